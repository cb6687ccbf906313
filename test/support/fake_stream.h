// A ServerStream without a codec: it records what a handler sends, plays the client's side on
// demand, and fails the test when the handler breaks the rules of sluice/handler.h.
//
//   SimLoop loop;
//   FakeStream stream(loop, "POST", "/echo");
//   stream.request().headers.Add("Content-Type", "text/plain");
//   stream.Deliver(handler);
//   stream.SendRequestBody("hello", true);
//   EXPECT_EQ(stream.body(), "hello");
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/grpc.h"
#include "sluice/handler.h"
#include "sluice/loop.h"

namespace sluice {

// A copy of what was sent, which outlives the head it was copied from.
struct SentHead {
  explicit SentHead(const ResponseHead& head)
      : status(head.status),
        reason(head.reason),
        content_length(head.content_length),
        upgrade(head.upgrade),
        headers(Copy(head.headers)) {}

  static std::vector<std::pair<std::string, std::string>> Copy(const HeaderList& fields) {
    std::vector<std::pair<std::string, std::string>> copy;
    for (const HeaderField& field : fields) copy.emplace_back(field.name, field.value);
    return copy;
  }

  // The value of the first field of that name, or "".
  std::string Value(std::string_view name) const {
    for (const auto& [sent, value] : headers) {
      if (EqualsIgnoreCase(sent, name)) return value;
    }
    return "";
  }

  int status;
  std::string reason;
  std::optional<uint64_t> content_length;
  std::string upgrade;
  std::vector<std::pair<std::string, std::string>> headers;
};

// One thread; `loop` must outlive it.
class FakeStream final : public ServerStream, private Flushable {
 public:
  // `method` and `path` are copied; everything else of request() is for the test to fill in.
  FakeStream(Loop& loop, std::string_view method, std::string_view path) : loop_(loop) {
    request_.method = MethodOf(method);
    request_.method_name = request_.arena.Copy(method);
    request_.scheme = "http";
    request_.authority = "sluice.test";
    request_.path = request_.arena.Copy(path);
    record_.started = loop.Now();
    downstream_.listener = "test";
    SetPeer("192.0.2.1", 40000);
  }

  // --- The client's side.

  void SetPeer(std::string_view host, int port) {
    downstream_.peer = std::string(host) + ":" + std::to_string(port);
    downstream_.peer_host = std::string_view(downstream_.peer).substr(0, host.size());
  }

  // Gives the head to `handler`. `end_stream`: the request has no body.
  void Deliver(Handler& handler, bool end_stream = true) {
    request_ended_ = end_stream;
    handler.OnRequest(*this, end_stream);
    EXPECT_TRUE(over() || receiver_ != nullptr) << "neither answered nor set a receiver";
  }

  // Nothing is delivered once the stream is over, as with a codec. A paused request must be resumed
  // first.
  void SendRequestBody(std::string_view bytes, bool end_stream) {
    if (over()) return;
    EXPECT_FALSE(request_paused_) << "the test sends body that the handler has paused";
    EXPECT_FALSE(request_ended_) << "the test sends body after the request's end";
    request_ended_ = end_stream;
    RequestReceiver* const receiver = receiver_;
    if (tunnel_ && ended_ && end_stream) receiver_ = nullptr;  // both directions have ended
    receiver->OnRequestBody(bytes, end_stream);
  }

  void SendRequestTrailers(const HeaderList& trailers) {
    if (over()) return;
    request_ended_ = true;
    receiver_->OnRequestTrailers(trailers);
  }

  // From now on the client takes nothing: the stream is congested after `bytes` more.
  void StopReadingAfter(uint64_t bytes) { window_ = body_size_ + bytes; }

  // The client takes everything again, and the handler is told.
  void ResumeReading() {
    const bool was_congested = congested();
    window_.reset();
    if (was_congested && !over()) receiver_->OnResponseWritable();
  }

  // The client takes `bytes` more, and the handler is told.
  void TakeMore(uint64_t bytes) {
    StopReadingAfter(bytes);
    if (!over()) receiver_->OnResponseWritable();
  }

  // The drain's deadline, as a codec tells of it.
  void Cut() {
    if (!over() && receiver_ != nullptr) receiver_->OnCut();
  }

  void Reset(StreamEnd why = StreamEnd::kClientGone) {
    if (over()) return;
    reset_ = true;
    if (RequestReceiver* receiver = std::exchange(receiver_, nullptr)) receiver->OnReset(why);
  }

  // Keeps only the size of the body from now on, for large ones.
  void DiscardBody() { keep_body_ = false; }

  // --- What the handler did.

  const std::vector<SentHead>& informational() const { return informational_; }
  const std::optional<SentHead>& head() const { return head_; }
  int status() const { return head_ ? head_->status : 0; }
  const std::string& body() const { return body_; }
  uint64_t body_size() const { return body_size_; }
  size_t body_pieces() const { return body_pieces_; }
  const std::vector<std::pair<std::string, std::string>>& trailers() const { return trailers_; }
  bool ended() const { return ended_; }  // the response is complete
  const std::optional<StreamEnd>& aborted() const { return aborted_; }
  bool request_paused() const { return request_paused_; }
  // A tunnel is over when both of its directions have ended.
  bool over() const {
    return (ended_ && (!tunnel_ || request_ended_)) || reset_ || aborted_.has_value();
  }
  DownstreamInfo& mutable_downstream() { return downstream_; }

  // --- ServerStream.

  RequestHead& request() override { return request_; }
  RequestRecord& record() override { return record_; }
  const DownstreamInfo& downstream() const override { return downstream_; }

  void SetReceiver(RequestReceiver* receiver) override {
    ExpectOpen("SetReceiver");
    receiver_ = receiver;
  }

  void SendInformational(const ResponseHead& head) override {
    ExpectOpen("SendInformational");
    EXPECT_TRUE(head.informational()) << "status " << head.status;
    EXPECT_FALSE(head_) << "an interim response after the final head";
    informational_.emplace_back(head);
  }

  void SendHead(const ResponseHead& head, bool end_stream) override {
    ExpectOpen("SendHead");
    EXPECT_FALSE(head_) << "a second head";
    EXPECT_FALSE(head.informational()) << "status " << head.status;
    head_.emplace(head);
    record_.status = head.status;
    if (record_.protocol == Protocol::kGrpc) grpc_.OnHead(head);
    tunnel_ = head.status == 101 || (request_.method == Method::kConnect && head.status / 100 == 2);
    if (tunnel_) request_ended_ = false;
    if (end_stream) End();
  }

  void SendBody(std::string_view bytes, bool end_stream) override {
    ExpectOpen("SendBody");
    EXPECT_FALSE(ended_) << "bytes after the end of the response";
    EXPECT_TRUE(head_) << "a body without a head";
    EXPECT_TRUE(!bytes.empty() || end_stream) << "an empty piece that is not the last";
    EXPECT_FALSE(request_.method == Method::kHead && !bytes.empty()) << "a body for HEAD";
    lent_.emplace_back(bytes, std::string(bytes));
    loop_.FlushLater(*this);
    body_size_ += bytes.size();
    ++body_pieces_;
    grpc_.OnBody(bytes);
    if (keep_body_) body_ += bytes;
    if (end_stream) End();
  }

  void SendTrailers(const HeaderList& trailers) override {
    ExpectOpen("SendTrailers");
    EXPECT_TRUE(head_) << "trailers without a head";
    trailers_ = SentHead::Copy(trailers);
    End();
  }

  bool takes_grpc_status() const override { return grpc_.takes_status(); }
  void CloseAfterResponse() override {}
  void Abort(StreamEnd why) override {
    ExpectOpen("Abort");
    aborted_ = why;
    receiver_ = nullptr;
  }

  bool congested() const override { return window_ && body_size_ >= *window_; }
  void PauseRequest() override { request_paused_ = true; }
  void ResumeRequest() override { request_paused_ = false; }
  void DiscardRequest() override {
    EXPECT_TRUE(tunnel_ && ended_) << "a request that is still needed";
    receiver_ = nullptr;
    request_ended_ = true;
  }

 private:
  static Method MethodOf(std::string_view name) {
    for (const auto& [known, method] :
         {std::pair<std::string_view, Method>{"CONNECT", Method::kConnect},
          {"DELETE", Method::kDelete},
          {"GET", Method::kGet},
          {"HEAD", Method::kHead},
          {"OPTIONS", Method::kOptions},
          {"PATCH", Method::kPatch},
          {"POST", Method::kPost},
          {"PUT", Method::kPut},
          {"TRACE", Method::kTrace}}) {
      if (known == name) return method;
    }
    return Method::kOther;
  }

  void ExpectOpen(const char* call) { EXPECT_FALSE(over()) << call << " on a stream that is over"; }

  void End() {
    EXPECT_TRUE(!head_->content_length || request_.method == Method::kHead ||
                head_->status == 304 || *head_->content_length == body_size_)
        << "content-length " << *head_->content_length << ", body of " << body_size_;
    ended_ = true;
    if (!tunnel_ || request_ended_) receiver_ = nullptr;
  }

  // At the end of the dispatch, when a real stream hands the pieces to the kernel, the handler must
  // not have touched them.
  void Flush() override {
    for (const auto& [bytes, copy] : lent_) {
      EXPECT_EQ(bytes, copy) << "lent bytes changed before the end of the dispatch";
    }
    lent_.clear();
  }

  Loop& loop_;
  RequestHead request_;
  RequestRecord record_;
  DownstreamInfo downstream_;
  RequestReceiver* receiver_ = nullptr;
  std::vector<std::pair<std::string_view, std::string>> lent_;
  std::vector<SentHead> informational_;
  std::optional<SentHead> head_;
  GrpcResponse grpc_;
  std::string body_;
  uint64_t body_size_ = 0;
  size_t body_pieces_ = 0;
  bool keep_body_ = true;
  std::vector<std::pair<std::string, std::string>> trailers_;
  std::optional<uint64_t> window_;  // the stream is congested from this size of the body on
  std::optional<StreamEnd> aborted_;
  bool request_ended_ = false;
  bool request_paused_ = false;
  bool tunnel_ = false;
  bool ended_ = false;
  bool reset_ = false;
};

}  // namespace sluice
