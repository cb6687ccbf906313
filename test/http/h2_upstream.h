// The two sides of an H2ClientConnection for its tests: the upstream, an independent HTTP/2 session
// at the other end of a Pipe, and the proxy's side, which records what it is told.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/client_connection.h"
#include "support/pipe.h"
#include "support/sim_h2_session.h"
#include "support/sim_loop.h"

namespace sluice {

class TestH2Upstream final : private TransportEvents {
 public:
  TestH2Upstream(SimLoop& loop, std::unique_ptr<Transport> transport,
                 const SimH2Options& options = {})
      : transport_(std::move(transport)),
        session_(
            SimH2Session::Role::kServer, options, loop,
            [this, &loop](std::string bytes) { transport_->Write(loop.Lend(std::move(bytes))); },
            [this] { return transport_->congested(); }) {
    transport_->SetEvents(this);
  }

  SimH2Session& session() { return session_; }
  SimH2Stream& stream(uint32_t id) { return session_.streams().at(id); }

  void Head(uint32_t id, int status, SimFields fields = {}, bool end_stream = false) {
    fields.insert(fields.begin(), {":status", std::to_string(status)});
    session_.SendHead(stream(id), fields, end_stream);
  }
  // A whole response without a body.
  void Respond(uint32_t id, int status = 200) { Head(id, status, {}, true); }
  // A frame as it stands.
  void Raw(const SimFrame& frame) { session_.SendFrame(frame); }

  void HalfClose() { transport_->ShutdownWrite(); }
  void Reset() { transport_->Reset(); }
  void StopReading() { transport_->PauseReading(); }
  bool closed_by_peer() const { return eof_ || error_ != 0; }

 private:
  void OnData(std::string_view bytes) override { session_.Feed(bytes); }
  void OnEof() override { eof_ = true; }
  void OnWritable() override { session_.Pump(); }
  void OnError(int error) override { error_ = error; }

  std::unique_ptr<Transport> transport_;
  SimH2Session session_;
  bool eof_ = false;
  int error_ = 0;
};

// One exchange as the proxy's side sees it. Its request lives as long as it does.
class TestExchange final : public ResponseReceiver {
 public:
  TestExchange(std::string_view method, std::string_view path) {
    request.method = LookupMethod(method);
    request.method_name = request.arena.Copy(method);
    request.scheme = "http";
    request.authority = "app.test";
    request.path = request.arena.Copy(path);
  }

  RequestHead request;
  ClientStream* stream = nullptr;  // while the exchange goes on

  std::vector<int> interim;
  int status = 0;
  std::optional<uint64_t> content_length;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::vector<std::pair<std::string, std::string>> trailers;
  bool complete = false;
  std::optional<UpstreamFailure> failure;
  int writable = 0;

  // Called in the event of that name; may be empty.
  std::function<void()> on_head;
  std::function<void()> on_complete;

  void Cancel() { std::exchange(stream, nullptr)->Cancel(); }

  std::string Header(std::string_view name) const {
    for (const auto& [known, value] : headers) {
      if (known == name) return value;
    }
    return "";
  }

 private:
  void OnInformational(const ResponseHead& head) override {
    ExpectUnderWay();
    interim.push_back(head.status);
  }
  void OnResponseHead(ResponseHead& head, bool end_stream) override {
    ExpectUnderWay();
    EXPECT_EQ(status, 0) << "a second head";
    status = head.status;
    content_length = head.content_length;
    for (const HeaderField& field : head.headers) headers.emplace_back(field.name, field.value);
    if (on_head) on_head();
    if (end_stream) Complete();
  }
  void OnResponseBody(std::string_view bytes, bool end_stream) override {
    ExpectUnderWay();
    EXPECT_NE(status, 0) << "a body before the head";
    body += bytes;
    if (end_stream) Complete();
  }
  void OnResponseTrailers(const HeaderList& fields) override {
    ExpectUnderWay();
    for (const HeaderField& field : fields) trailers.emplace_back(field.name, field.value);
    Complete();
  }
  void OnRequestWritable() override { ++writable; }
  void OnUpstreamFailure(const UpstreamFailure& what) override {
    ExpectUnderWay();
    failure = what;
    stream = nullptr;
  }

  void ExpectUnderWay() {
    EXPECT_FALSE(complete) << "told of something after the end";
    EXPECT_FALSE(failure) << "told of something after the failure";
  }
  void Complete() {
    complete = true;
    if (request.method != Method::kConnect) stream = nullptr;
    if (on_complete) on_complete();
  }
};

}  // namespace sluice
