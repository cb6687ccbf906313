// What the long-lived streams of the benches carry: numbered messages, so that one which is lost,
// changed or cut is seen.
#pragma once

#include <cstdint>
#include <string>

namespace bench {

constexpr size_t kMessageBytes = 64;

inline std::string NumberedMessage(uint64_t number) {
  std::string message = "message " + std::to_string(number) + " ";
  message.resize(kMessageBytes, 's');
  return message;
}

// An event with it, as the HTML standard writes one (9.2.6).
inline std::string NumberedEvent(uint64_t number) {
  return "id: " + std::to_string(number) + "\ndata: " + NumberedMessage(number) + "\n\n";
}

// A gRPC message: not compressed, the length in four bytes, the bytes.
inline std::string GrpcMessage(const std::string& bytes) {
  const auto size = static_cast<uint32_t>(bytes.size());
  std::string message(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) message += static_cast<char>(size >> shift);
  return message + bytes;
}

// What a client sends first over a WebSocket, to be echoed.
constexpr const char* kHello = "hello";

}  // namespace bench
