// A client of the admin: one request on one connection, over TCP or a Unix socket. It blocks, for
// a bounded time: the command line has nothing else to do.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace sluice {

struct AdminResponse {
  int status = 0;
  std::string body;
};

struct AdminError {
  enum class Kind { kNotThere, kSilent, kOther };
  Kind kind = Kind::kOther;  // kNotThere: nobody listens, or whoever did has gone
  std::string message;
};

using AdminResult = tl::expected<AdminResponse, AdminError>;

// Sends `method path` to `address` ("HOST:PORT", "[V6]:PORT" or "unix:/PATH"). Each step (connect,
// send, each piece of the answer) waits for at most `patience`.
AdminResult CallAdmin(const std::string& address, std::string_view method, std::string_view path,
                      std::chrono::milliseconds patience = std::chrono::seconds(5));

// The admin of one process, or a script of answers in a test.
using AdminCaller = std::function<AdminResult(std::string_view method, std::string_view path)>;

// What the document says under "error", or all of it; for a response that refuses.
std::string AdminErrorText(const AdminResponse& response);

}  // namespace sluice
