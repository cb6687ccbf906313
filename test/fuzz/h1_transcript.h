// Runs bytes through an H1Parser in pieces and writes down all it tells, so that two ways of
// cutting the same bytes can be compared, and a test can state what it expects as text:
//
//   GET http://host/path 1.1 keep-alive
//   Accept: text/html
//   body "hello"
//   trailer Etag: x
//   end
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "http/h1_parser.h"

namespace sluice::test {

class H1Transcript final : public H1Events {
 public:
  enum class Side { kRequests, kResponses, kResponseToHead, kResponseToConnect };

  explicit H1Transcript(Side side, HttpLimits limits = {})
      : side_(side), limits_(limits), parser_(*this, limits_) {
    Begin();
  }

  // Feeds `bytes`, which continue what was fed before, message after message. The copy has exactly
  // their size, so that a sanitizer sees a read beyond them.
  void Feed(std::string_view bytes) {
    const std::vector<char> copy(bytes.begin(), bytes.end());
    std::string_view rest(copy.data(), copy.size());
    while (!rest.empty() && !done()) {
      const size_t used = parser_.Execute(rest);
      Require(used <= rest.size(), "consumed more than it was given");
      Require(used > 0 || ended_ || done(), "made no progress");
      Require(used == rest.size() || ended_ || done(), "left bytes without a reason");
      Require(!ended_ || !parser_.in_message(), "in a message that has ended");
      consumed_ += used;
      rest.remove_prefix(used);
      if (ended_ && !tunnel_) Begin();
    }
    left_over_ += rest.size();
  }

  void FeedInPieces(std::string_view bytes, size_t piece) {
    for (size_t at = 0; at < bytes.size(); at += piece) Feed(bytes.substr(at, piece));
  }

  // The input ends. Writes "eof" or "cut off" for a proper and an improper end.
  void Finish() {
    if (done()) return;
    const bool proper = parser_.FinishAtEof();
    Write(proper ? "eof" : "cut off");
  }

  // An error, or bytes that are not HTTP any more.
  bool done() const { return parser_.error().has_value() || tunnel_; }

  // Everything told, errors included.
  std::string text() const {
    std::string all = text_;
    if (!body_.empty()) all += "body \"" + body_ + "\"\n";
    if (const auto& error = parser_.error()) {
      all += std::to_string(error->status) + " " + std::string(error->detail) + "\n";
    }
    return all;
  }

  size_t consumed() const { return consumed_; }
  size_t left_over() const { return left_over_; }
  const H1Parser& parser() const { return parser_; }
  const RequestHead& request() const { return request_; }
  const ResponseHead& response() const { return response_; }

  void OnHead(H1Framing framing, bool keep_alive) override {
    Require(!parser_.error(), "a head after an error");
    if (side_ == Side::kRequests) {
      WriteRequest();
      tunnel_ = request_.method == Method::kConnect;
    } else {
      WriteResponse();
      tunnel_ = response_.status == 101 ||
                (side_ == Side::kResponseToConnect && response_.status / 100 == 2);
    }
    text_ += keep_alive ? " keep-alive" : " close";
    if (framing == H1Framing::kLength) text_ += " length";
    if (framing == H1Framing::kChunked) text_ += " chunked";
    if (framing == H1Framing::kUntilClose) text_ += " until-close";
    WriteMarks();
    text_ += "\n";
    WriteFields("", side_ == Side::kRequests ? request_.headers : response_.headers);
  }

  void OnBody(std::string_view bytes) override {
    Require(!bytes.empty(), "an empty piece of body");
    body_ += bytes;
  }

  void OnTrailers(const HeaderList& trailers) override {
    FlushBody();
    Require(!trailers.empty(), "trailers without a field");
    WriteFields("trailer ", trailers);
  }

  void OnMessageEnd() override {
    Write("end");
    ended_ = true;
  }

 private:
  static void Require(bool holds, const char* otherwise) {
    if (holds) return;
    std::fprintf(stderr, "the HTTP/1 parser %s\n", otherwise);
    std::abort();
  }

  void Begin() {
    ended_ = false;
    if (side_ == Side::kRequests) {
      parser_.BeginRequest(request_);
    } else {
      parser_.BeginResponse(response_, side_ == Side::kResponseToHead,
                            side_ == Side::kResponseToConnect);
    }
  }

  void Write(std::string_view line) {
    FlushBody();
    text_ += line;
    text_ += "\n";
  }

  void FlushBody() {
    if (!body_.empty()) text_ += "body \"" + body_ + "\"\n";
    body_.clear();
  }

  void WriteRequest() {
    text_ += request_.method_name;
    text_ += " ";
    text_ += request_.scheme;
    text_ += "://";
    text_ += request_.authority;
    text_ += request_.path == request_.authority ? "" : request_.path;
    text_ += request_.version.minor == 1 ? " 1.1" : " 1.0";
  }

  void WriteResponse() {
    text_ += std::to_string(response_.status) + " '" + std::string(response_.reason) + "'";
    text_ += response_.version.minor == 1 ? " 1.1" : " 1.0";
  }

  void WriteMarks() {
    const bool requests = side_ == Side::kRequests;
    const auto& length = requests ? request_.content_length : response_.content_length;
    if (length) text_ += " content-length=" + std::to_string(*length);
    const std::string_view upgrade = requests ? request_.upgrade : response_.upgrade;
    if (!upgrade.empty()) text_ += " upgrade=" + std::string(upgrade);
    if (requests && request_.expects_continue) text_ += " expects-continue";
    if (requests && request_.accepts_trailers) text_ += " accepts-trailers";
  }

  void WriteFields(std::string_view prefix, const HeaderList& fields) {
    for (const HeaderField& field : fields) {
      text_ += prefix;
      text_ += field.name;
      text_ += ": ";
      text_ += field.value;
      text_ += "\n";
    }
  }

  const Side side_;
  const HttpLimits limits_;
  RequestHead request_;
  ResponseHead response_;
  H1Parser parser_;
  std::string text_;
  std::string body_;
  size_t consumed_ = 0;
  size_t left_over_ = 0;
  bool ended_ = false;
  bool tunnel_ = false;
};

// What is told must not depend on how the bytes were cut.
inline void CheckAllCuts(H1Transcript::Side side, const HttpLimits& limits, std::string_view input,
                         size_t cut) {
  H1Transcript whole(side, limits);
  whole.Feed(input);
  whole.Finish();

  H1Transcript bytewise(side, limits);
  bytewise.FeedInPieces(input, 1);
  bytewise.Finish();

  H1Transcript halves(side, limits);
  halves.Feed(input.substr(0, std::min(cut, input.size())));
  halves.Feed(input.substr(std::min(cut, input.size())));
  halves.Finish();

  for (const H1Transcript* other : {&bytewise, &halves}) {
    // At an error it is only said that there is one, not how many bytes were walked to see it.
    const bool same_end =
        whole.parser().error().has_value() || other->consumed() == whole.consumed();
    if (other->text() == whole.text() && same_end) continue;
    std::fprintf(stderr, "whole (%zu consumed):\n%s\n%s (%zu consumed):\n%s\n", whole.consumed(),
                 whole.text().c_str(), other == &bytewise ? "byte by byte" : "cut in two",
                 other->consumed(), other->text().c_str());
    std::abort();
  }
}

}  // namespace sluice::test
