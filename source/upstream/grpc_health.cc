#include "upstream/grpc_health.h"

#include <cstdint>
#include <optional>

namespace sluice {
namespace {

constexpr size_t kPrefix = 5;  // a byte of flags, four of length

void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) *out += static_cast<char>(value | 0x80);
  *out += static_cast<char>(value);
}

// Takes a varint off the front; nothing when it is cut short or has more than 64 bits.
std::optional<uint64_t> TakeVarint(std::string_view* in) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !in->empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(in->front());
    in->remove_prefix(1);
    value |= uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

// Takes the value of a field of that wire type off the front.
bool Skip(uint64_t wire_type, std::string_view* in) {
  size_t size = 0;
  switch (wire_type) {
    case 0:
      return TakeVarint(in).has_value();
    case 1:
      size = 8;
      break;
    case 2: {
      const auto length = TakeVarint(in);
      if (!length || *length > in->size()) return false;
      size = *length;
      break;
    }
    case 5:
      size = 4;
      break;
    default:
      return false;
  }
  if (size > in->size()) return false;
  in->remove_prefix(size);
  return true;
}

}  // namespace

std::string EncodeHealthCheckRequest(std::string_view service) {
  std::string message;
  if (!service.empty()) {
    message += '\x0a';  // field 1, length-delimited
    AppendVarint(service.size(), &message);
    message += service;
  }
  const auto size = static_cast<uint32_t>(message.size());
  std::string framed(1, '\0');  // not compressed
  for (const int shift : {24, 16, 8, 0}) framed += static_cast<char>(size >> shift);
  return framed + message;
}

ServingStatus DecodeHealthCheckResponse(std::string_view body) {
  if (body.size() < kPrefix || body[0] != 0) return ServingStatus::kMalformed;
  uint32_t size = 0;
  for (size_t i = 1; i < kPrefix; ++i) size = size << 8 | static_cast<unsigned char>(body[i]);
  body.remove_prefix(kPrefix);
  if (body.size() != size) return ServingStatus::kMalformed;
  uint64_t status = 0;
  while (!body.empty()) {
    const auto tag = TakeVarint(&body);
    if (!tag) return ServingStatus::kMalformed;
    if (*tag == 1 << 3) {  // field 1, a varint
      const auto value = TakeVarint(&body);
      if (!value) return ServingStatus::kMalformed;
      status = *value;
    } else if (!Skip(*tag & 7, &body)) {
      return ServingStatus::kMalformed;
    }
  }
  return status <= 3 ? static_cast<ServingStatus>(status) : ServingStatus::kUnknown;
}

}  // namespace sluice
