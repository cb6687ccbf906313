// HTTP/1.1 for the actors of a simulation: a strict reader that shares nothing with the product's
// parser, so that the two judge each other, and bodies whose every byte is known from its offset,
// so that a lost, doubled or stale byte is seen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

// `count` bytes of the body that every actor sends and expects, from `offset` on.
std::string SimBody(uint64_t offset, size_t count);
// True when `bytes` stand there in it.
bool IsSimBody(std::string_view bytes, uint64_t offset);

// "/big?bytes=10&x=" -> {"bytes", "10"}, {"x", ""}.
std::map<std::string, std::string> SimQuery(std::string_view target);

// One request or response as read.
struct SimMessage {
  std::string method;  // of a request
  std::string target;
  int status = 0;                                            // of a response
  std::string version;                                       // "HTTP/1.1"
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::vector<std::pair<std::string, std::string>> trailers;
  std::string body;  // its first kKept bytes
  uint64_t body_bytes = 0;
  bool body_as_expected = true;  // equals SimBody(0, body_bytes)
  bool complete = false;
  bool close = false;  // the sender said that this is its last message

  static constexpr size_t kKept = 4096;
  // The value of the first field of that name (lower case), or "".
  std::string_view Header(std::string_view name) const;
  uint64_t HeaderCount(std::string_view name) const;
};

class SimReader {
 public:
  enum class Kind : uint8_t { kRequests, kResponses };

  explicit SimReader(Kind kind) : kind_(kind) {}
  SimReader(const SimReader&) = delete;
  SimReader& operator=(const SimReader&) = delete;

  // Told of each message (a 1xx other than 101 included) when its head is whole, and when it is
  // complete. May be empty.
  std::function<void(const SimMessage&)> on_head;
  std::function<void(const SimMessage&)> on_message;
  // What follows a 101, or a 2xx to CONNECT, and whatever else came with it.
  std::function<void(std::string_view)> on_tunnel;

  // A response to a request of this method is due; responses come in that order. A response that
  // nobody expects is an error.
  void Expect(const std::string& method) { expected_.push_back(method); }

  // From inside on_head or on_message: this request becomes a tunnel.
  void EnterTunnel() { state_ = State::kTunnel; }

  void Feed(std::string_view bytes);
  // The peer ended its stream.
  void FeedEof();

  // Not empty once what was read is not valid HTTP/1.1; nothing is read after it.
  const std::string& error() const { return error_; }
  // The messages begun so far, the last one perhaps incomplete; without 1xx.
  const std::deque<SimMessage>& messages() const { return messages_; }
  const std::vector<int>& informational() const { return informational_; }
  bool in_message() const { return state_ != State::kHead || !buffer_.empty(); }
  bool in_tunnel() const { return state_ == State::kTunnel; }

 private:
  //  kHead -> kLength | kUntilClose | kTunnel | kChunkSize
  //  kChunkSize -> kChunkData -> kChunkEnd -> kChunkSize ... -> kTrailers -> kHead
  enum class State : uint8_t {
    kHead,
    kLength,
    kUntilClose,
    kChunkSize,
    kChunkData,
    kChunkEnd,
    kTrailers,
    kTunnel,
    kBroken,
  };

  void Fail(const std::string& why);
  bool TakeLine(std::string* line);
  bool Step();
  bool ParseHead();
  bool ParseStartLine(const std::string& line, SimMessage* message);
  bool ParseField(const std::string& line,
                  std::vector<std::pair<std::string, std::string>>* fields);
  bool ChooseFraming(SimMessage* message);
  bool ChooseResponseFraming(const SimMessage& message);
  bool ReadLength(const SimMessage& message, bool* has_length);
  bool ParseChunkSize();
  void TakeBody(size_t limit);
  void Complete();

  const Kind kind_;
  State state_ = State::kHead;
  std::string buffer_;
  uint64_t remaining_ = 0;  // of the body or chunk
  bool chunked_ = false;
  std::deque<std::string> expected_;
  std::deque<SimMessage> messages_;
  std::vector<int> informational_;
  std::string error_;
};

}  // namespace sluice
