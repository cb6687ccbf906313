#include "support/sim_h2_wire.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <set>

#include "support/sim_http.h"

namespace sluice {
namespace {

constexpr size_t kHead = 9;

uint32_t ReadWord(std::string_view bytes, size_t at, size_t count) {
  uint32_t word = 0;
  for (size_t i = 0; i < count; ++i) word = word << 8 | static_cast<uint8_t>(bytes[at + i]);
  return word;
}

void Must(bool fine) {
  if (!fine) std::abort();  // out of memory, or a call that is wrong here
}

nghttp2_nv ToNv(const std::pair<std::string, std::string>& field) {
  const auto bytes = [](const std::string& text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  };
  return {bytes(field.first), bytes(field.second), field.first.size(), field.second.size(),
          NGHTTP2_NV_FLAG_NONE};
}

std::string_view Text(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace

uint32_t SimFrame::Word(size_t at) const {
  return at + 4 <= payload.size() ? ReadWord(payload, at, 4) : 0;
}

std::optional<std::string_view> SimFrame::Content() const {
  std::string_view content = payload;
  size_t padding = 0;
  if (Has(h2::kPadded)) {
    if (content.empty()) return std::nullopt;
    padding = static_cast<uint8_t>(content[0]);
    content.remove_prefix(1);
  }
  if (type == h2::kHeaders && Has(h2::kHasPriority)) {
    if (content.size() < 5) return std::nullopt;
    content.remove_prefix(5);
  }
  if (padding > content.size()) return std::nullopt;
  content.remove_suffix(padding);
  return content;
}

std::string Describe(const SimFrame& frame) {
  static constexpr const char* kNames[] = {
      "DATA",         "HEADERS", "PRIORITY", "RST_STREAM",    "SETTINGS",
      "PUSH_PROMISE", "PING",    "GOAWAY",   "WINDOW_UPDATE", "CONTINUATION"};
  const std::string name =
      frame.type < std::size(kNames) ? kNames[frame.type] : "type " + std::to_string(frame.type);
  return name + " stream " + std::to_string(frame.stream) + " flags " +
         std::to_string(frame.flags) + ", " + std::to_string(frame.payload.size()) + " bytes";
}

std::string EncodeWord(uint32_t word) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(word >> shift));
  return bytes;
}

std::string EncodeFrame(const SimFrame& frame) {
  std::string bytes = EncodeWord(static_cast<uint32_t>(frame.payload.size())).substr(1);
  bytes.push_back(static_cast<char>(frame.type));
  bytes.push_back(static_cast<char>(frame.flags));
  return bytes + EncodeWord(frame.stream) + frame.payload;
}

SimFrame SettingsFrame(const std::vector<std::pair<uint16_t, uint32_t>>& settings) {
  SimFrame frame{h2::kSettings, 0, 0, {}};
  for (const auto& [id, value] : settings) {
    frame.payload += EncodeWord(id).substr(2) + EncodeWord(value);
  }
  return frame;
}

SimFrame WindowUpdateFrame(uint32_t stream, uint32_t increment) {
  return {h2::kWindowUpdate, 0, stream, EncodeWord(increment)};
}

SimFrame RstStreamFrame(uint32_t stream, uint32_t error) {
  return {h2::kRstStream, 0, stream, EncodeWord(error)};
}

SimFrame GoawayFrame(uint32_t last_stream, uint32_t error) {
  return {h2::kGoaway, 0, 0, EncodeWord(last_stream) + EncodeWord(error)};
}

SimFrame PingFrame(std::string_view eight_bytes, bool ack) {
  return {h2::kPing, ack ? h2::kAck : uint8_t{0}, 0, std::string(eight_bytes)};
}

std::optional<SimFrame> SimFrameReader::Next() {
  const std::string_view rest = std::string_view(buffer_).substr(taken_);
  const size_t size = rest.size() < kHead ? 0 : kHead + ReadWord(rest, 0, 3);
  if (size == 0 || rest.size() < size) {
    buffer_.erase(0, std::exchange(taken_, 0));
    return std::nullopt;
  }
  taken_ += size;
  return SimFrame{static_cast<uint8_t>(rest[3]), static_cast<uint8_t>(rest[4]),
                  ReadWord(rest, 5, 4) & h2::kMaxStreamId,
                  std::string(rest.substr(kHead, size - kHead))};
}

std::string SimGrpcBody(uint64_t offset, size_t count) {
  static const std::string prefix = '\0' + EncodeWord(kSimGrpcMessage - 5);
  std::string bytes = SimBody(offset, count);
  for (size_t i = 0; i < count; ++i) {
    const size_t at = (offset + i) % kSimGrpcMessage;
    if (at < prefix.size()) bytes[i] = prefix[at];
  }
  return bytes;
}

// ---- HPACK

struct SimHpackEncoder::State {
  State() { Must(nghttp2_hd_deflate_new(&deflater, 4096) == 0); }
  ~State() { nghttp2_hd_deflate_del(deflater); }
  nghttp2_hd_deflater* deflater = nullptr;
};

SimHpackEncoder::SimHpackEncoder() : state_(std::make_unique<State>()) {}
SimHpackEncoder::~SimHpackEncoder() = default;

std::string SimHpackEncoder::Encode(const SimFields& fields) {
  std::vector<nghttp2_nv> list;
  for (const auto& field : fields) list.push_back(ToNv(field));
  std::string block(nghttp2_hd_deflate_bound(state_->deflater, list.data(), list.size()), '\0');
  const ssize_t size =
      nghttp2_hd_deflate_hd(state_->deflater, reinterpret_cast<uint8_t*>(block.data()),
                            block.size(), list.data(), list.size());
  Must(size >= 0);
  block.resize(static_cast<size_t>(size));
  return block;
}

void SimHpackEncoder::SetTableSize(size_t bytes) {
  Must(nghttp2_hd_deflate_change_table_size(state_->deflater, std::min<size_t>(bytes, 4096)) == 0);
}

struct SimHpackDecoder::State {
  State() { Must(nghttp2_hd_inflate_new(&inflater) == 0); }
  ~State() { nghttp2_hd_inflate_del(inflater); }
  nghttp2_hd_inflater* inflater = nullptr;
};

SimHpackDecoder::SimHpackDecoder() : state_(std::make_unique<State>()) {}
SimHpackDecoder::~SimHpackDecoder() = default;

bool SimHpackDecoder::Decode(std::string_view block, SimFields* fields) {
  const auto* at = reinterpret_cast<const uint8_t*>(block.data());
  size_t left = block.size();
  for (;;) {
    nghttp2_nv field{};
    int flags = 0;
    const ssize_t taken =
        nghttp2_hd_inflate_hd2(state_->inflater, &field, &flags, at, left, /*in_final=*/1);
    if (taken < 0) return false;
    at += taken;
    left -= static_cast<size_t>(taken);
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      fields->emplace_back(Text(field.name, field.namelen), Text(field.value, field.valuelen));
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && left == 0) return false;
  }
  nghttp2_hd_inflate_end_headers(state_->inflater);
  return true;
}

void SimHpackDecoder::SetTableSize(size_t bytes) {
  Must(nghttp2_hd_inflate_change_table_size(state_->inflater, bytes) == 0);
}

// ---- the rules of fields

namespace {

// RFC 9113 8.2.1, 8.2.2.
std::string FaultOfField(const std::string& name, const std::string& value) {
  static const std::set<std::string> kOfConnection = {"connection", "keep-alive", "upgrade",
                                                      "proxy-connection", "transfer-encoding"};
  const bool bad_name =
      name.empty() || std::any_of(name.begin() + 1, name.end(), [](unsigned char c) {
        return c <= 0x20 || c >= 0x7f || c == ':' || std::isupper(c) != 0;
      });
  if (bad_name || std::isupper(static_cast<unsigned char>(name[0])) != 0 || name[0] <= ' ') {
    return "the name '" + name + "'";
  }
  const bool blank = !value.empty() && (value.front() == ' ' || value.front() == '\t' ||
                                        value.back() == ' ' || value.back() == '\t');
  if (blank || value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
    return "the value of " + name;
  }
  if (kOfConnection.contains(name)) return "the connection-specific field " + name;
  return {};
}

// Pseudo-header fields come first, are of the allowed ones, and come once. Takes them into
// `pseudo`.
std::string FaultOfAll(const SimFields& fields, const std::set<std::string>& allowed,
                       SimFields* pseudo) {
  bool regular = false;
  std::set<std::string> met;
  for (const auto& [name, value] : fields) {
    const std::string fault = FaultOfField(name, value);
    if (!fault.empty()) return fault;
    if (name[0] != ':') {
      regular = true;
      if (name == "content-length" && !met.insert(name).second) return "two content-length";
      continue;
    }
    if (regular) return name + " behind a regular field";
    if (!allowed.contains(name)) return name + " has no place here";
    if (!met.insert(name).second) return "two " + name;
    pseudo->emplace_back(name, value);
  }
  return {};
}

std::string ValueOf(const SimFields& fields, std::string_view name) {
  for (const auto& [field, value] : fields) {
    if (field == name) return value;
  }
  return {};
}

}  // namespace

std::string FaultOfRequest(const SimFields& fields) {
  SimFields pseudo;
  const std::string fault =
      FaultOfAll(fields, {":method", ":scheme", ":path", ":authority", ":protocol"}, &pseudo);
  if (!fault.empty()) return fault;
  const std::string method = ValueOf(pseudo, ":method");
  const std::string path = ValueOf(pseudo, ":path");
  const std::string authority = ValueOf(pseudo, ":authority");
  if (method.empty()) return "no :method";
  if (method == "CONNECT" && ValueOf(pseudo, ":protocol").empty()) {
    return pseudo.size() == 2 && !authority.empty() ? "" : "the pseudo-header fields of a CONNECT";
  }
  const bool extended = !ValueOf(pseudo, ":protocol").empty();  // RFC 8441 4
  if (extended && (method != "CONNECT" || authority.empty())) return "the :protocol of a " + method;
  if (ValueOf(pseudo, ":scheme").empty()) return "no :scheme";
  if (path.empty() || (path[0] != '/' && path != "*")) return "the :path '" + path + "'";
  const std::string host = ValueOf(fields, "host");
  if (!host.empty() && host != authority) return "a host that is not the :authority";
  for (const auto& [name, value] : fields) {
    if (name == "te" && value != "trailers") return "te: " + value;
  }
  return {};
}

std::string FaultOfResponse(const SimFields& fields) {
  SimFields pseudo;
  const std::string fault = FaultOfAll(fields, {":status"}, &pseudo);
  if (!fault.empty()) return fault;
  const std::string status = ValueOf(pseudo, ":status");
  const bool digits = status.size() == 3 && std::all_of(status.begin(), status.end(), [](char c) {
                        return c >= '0' && c <= '9';
                      });
  if (!digits || status == "101") return "the :status '" + status + "'";
  if (!ValueOf(fields, "te").empty()) return "te in a response";
  return {};
}

std::string FaultOfTrailers(const SimFields& fields) {
  SimFields pseudo;
  return FaultOfAll(fields, {}, &pseudo);
}

}  // namespace sluice
