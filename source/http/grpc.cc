#include "http/grpc.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr std::string_view kType = "application/grpc";
constexpr size_t kMaxTimeoutDigits = 8;
constexpr Duration kShortest = milliseconds(1);
constexpr Duration kLongest = hours(365 * 24);

// The unit of a timeout; zero for a letter that is none.
constexpr Duration UnitOf(char letter) {
  switch (letter) {
    case 'H':
      return hours(1);
    case 'M':
      return minutes(1);
    case 'S':
      return seconds(1);
    case 'm':
      return milliseconds(1);
    case 'u':
      return microseconds(1);
    case 'n':
      return nanoseconds(1);
    default:
      return Duration::zero();
  }
}

// What a percent-encoded message may hold as it is.
bool IsPlain(char c) { return c >= 0x20 && c <= 0x7e && c != '%'; }

// Adds grpc-status and, unless it is empty, grpc-message.
void AddStatus(HeaderList& fields, GrpcStatus status, std::string_view message, Arena& arena) {
  std::array<char, 3> digits;
  const auto end = std::to_chars(digits.begin(), digits.end(), static_cast<unsigned>(status)).ptr;
  const std::string_view number(digits.data(), static_cast<size_t>(end - digits.data()));
  fields.Add("grpc-status", arena.Copy(number));
  if (!message.empty()) fields.Add("grpc-message", EncodeGrpcMessage(message, arena));
}

}  // namespace

bool IsGrpcContentType(std::string_view content_type) {
  if (!EqualsIgnoreCase(content_type.substr(0, kType.size()), kType)) return false;
  if (content_type.size() == kType.size()) return true;
  const char next = content_type[kType.size()];
  return next == '+' || next == ';' || next == ' ' || next == '\t';
}

bool IsGrpc(const RequestHead& request) {
  return request.upgrade.empty() &&
         IsGrpcContentType(request.headers.Value(HeaderId::kContentType));
}

bool AsksForGrpc(ServerStream& stream) {
  return stream.record().protocol == Protocol::kGrpc || IsGrpc(stream.request());
}

std::optional<Duration> GrpcTimeout(const RequestHead& request) {
  const std::string_view text = request.headers.Value("grpc-timeout");
  if (text.size() < 2 || text.size() > kMaxTimeoutDigits + 1) return {};
  const Duration unit = UnitOf(text.back());
  if (unit == Duration::zero()) return {};
  int64_t count = 0;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return {};
    count = count * 10 + (c - '0');
  }
  if (count > kLongest / unit) return kLongest;
  return std::max(count * unit, kShortest);
}

GrpcStatus GrpcStatusFor(int http_status) {
  switch (http_status) {
    case 400:
      return GrpcStatus::kInternal;
    case 401:
      return GrpcStatus::kUnauthenticated;
    case 403:
      return GrpcStatus::kPermissionDenied;
    case 404:
      return GrpcStatus::kUnimplemented;
    case 408:
      return GrpcStatus::kCancelled;
    case 413:
    case 431:
      return GrpcStatus::kResourceExhausted;
    case 429:
    case 502:
    case 503:
      return GrpcStatus::kUnavailable;
    case 504:
      return GrpcStatus::kDeadlineExceeded;
    default:
      return GrpcStatus::kUnknown;
  }
}

std::string_view EncodeGrpcMessage(std::string_view text, Arena& arena) {
  constexpr char kHex[] = "0123456789ABCDEF";
  if (std::all_of(text.begin(), text.end(), IsPlain)) return text;
  char* const out = arena.Allocate(3 * text.size());
  char* end = out;
  for (const char c : text) {
    if (IsPlain(c)) {
      *end++ = c;
      continue;
    }
    const auto byte = static_cast<uint8_t>(c);
    *end++ = '%';
    *end++ = kHex[byte >> 4];
    *end++ = kHex[byte & 0xf];
  }
  return {out, static_cast<size_t>(end - out)};
}

int GrpcStatusIn(const HeaderList& fields) {
  const std::string_view text = fields.Value("grpc-status");
  if (text.empty() || text.size() > 2) return -1;
  int status = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return -1;
    status = status * 10 + (c - '0');
  }
  return status;
}

void MakeGrpcError(GrpcStatus status, std::string_view message, ResponseHead& head) {
  head.status = 200;
  head.headers.Add(HeaderId::kContentType, "Content-Type", kType);
  AddStatus(head.headers, status, message, head.arena);
}

void SendGrpcError(ServerStream& stream, GrpcStatus status, std::string_view message) {
  stream.record().grpc_status = static_cast<int8_t>(status);
  ResponseHead head;
  MakeGrpcError(status, message, head);
  stream.SendHead(head, true);
}

void GrpcResponse::OnHead(const ResponseHead& head) {
  is_grpc_ = !head.content_length && IsGrpcContentType(head.headers.Value(HeaderId::kContentType));
}

void GrpcResponse::OnBody(std::string_view bytes) {
  if (!is_grpc_) return;
  while (!bytes.empty()) bytes.remove_prefix(ToMessageEnd(bytes));
}

size_t GrpcResponse::ToMessageEnd(std::string_view bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    if (message_left_ > 0) {
      const size_t taken = std::min<size_t>(bytes.size() - at, message_left_);
      message_left_ -= static_cast<uint32_t>(taken);
      at += taken;
    } else {
      length_ =
          length_ << 8 | static_cast<uint8_t>(bytes[at++]);  // the flags fall out at its upper end
      if (++prefix_bytes_ < kPrefix) continue;
      message_left_ = length_;
      prefix_bytes_ = 0;
    }
    if (message_left_ == 0) return at;
  }
  return at;
}

void EndWithGrpcStatus(ServerStream& stream, GrpcStatus status, std::string_view message) {
  stream.record().grpc_status = static_cast<int8_t>(status);
  Arena arena;
  HeaderList trailers;
  AddStatus(trailers, status, message, arena);
  stream.SendTrailers(trailers);
}

}  // namespace sluice
