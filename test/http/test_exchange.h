// One exchange of a ClientConnection as its user sees it: it records what it is told, and fails the
// test when it is told too much.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/client_connection.h"

namespace sluice {

// Its request lives as long as it does.
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
  std::string upgrade;
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
    upgrade = head.upgrade;
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
    const bool tunnel = request.method == Method::kConnect || status == 101;
    if (!tunnel) stream = nullptr;  // whose other direction may go on
    if (on_complete) on_complete();
  }
};

}  // namespace sluice
