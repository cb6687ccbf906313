// What is read of gRPC, on any bytes: a timeout is within its bounds or none, an encoded message is
// printable and decodes to what it was, and where a message ends does not depend on how the body is
// cut into pieces.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/grpc.h"

namespace sluice {
namespace {

void Check(bool holds, const char* what, std::string_view input) {
  if (holds) return;
  std::fprintf(stderr, "%s\n  input: %.*s\n", what, static_cast<int>(input.size()), input.data());
  std::abort();
}

// By the letter of the specification, with nothing in common with the parser.
bool IsTimeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return false;
  const std::string_view digits = text.substr(0, text.size() - 1);
  return digits.find_first_not_of("0123456789") == std::string_view::npos &&
         std::string_view("HMSmun").find(text.back()) != std::string_view::npos;
}

void CheckTimeout(std::string_view input) {
  RequestHead request;
  request.headers.Add("grpc-timeout", input);
  const auto timeout = GrpcTimeout(request);
  Check(timeout.has_value() == IsTimeout(input), "valid is what the specification says", input);
  if (!timeout) return;
  Check(*timeout >= std::chrono::milliseconds(1), "shorter than a millisecond", input);
  Check(*timeout <= std::chrono::hours(365 * 24), "longer than a year", input);
}

void CheckMessage(std::string_view input) {
  Arena arena;
  const std::string_view encoded = EncodeGrpcMessage(input, arena);
  std::string decoded;
  for (size_t i = 0; i < encoded.size(); ++i) {
    const char c = encoded[i];
    Check(c >= 0x20 && c <= 0x7e, "not printable", input);
    if (c != '%') {
      decoded += c;
      continue;
    }
    Check(i + 2 < encoded.size(), "half an escape", input);
    decoded += static_cast<char>(std::stoi(std::string(encoded.substr(i + 1, 2)), nullptr, 16));
    i += 2;
  }
  Check(decoded == input, "it decodes to something else", input);
}

void CheckResponse(std::string_view input) {
  ResponseHead head;
  head.headers.Add("content-type", "application/grpc");
  GrpcResponse whole;
  whole.OnHead(head);
  GrpcResponse pieces = whole;
  for (size_t at = 0, size = 1; at < input.size(); at += size, size = size % 7 + 1) {
    pieces.OnBody(input.substr(at, size));
  }
  whole.OnBody(input);
  Check(whole.takes_status() == pieces.takes_status(), "it depends on the pieces", input);
}

void CheckFields(std::string_view input) {
  IsGrpcContentType(input);
  HeaderList fields;
  fields.Add("grpc-status", input);
  const int status = GrpcStatusIn(fields);
  Check(status >= -1 && status <= 99, "no status", input);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  sluice::CheckTimeout(input);
  sluice::CheckMessage(input);
  sluice::CheckResponse(input);
  sluice::CheckFields(input);
  return 0;
}
