#include "net/dns_reply.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace sluice {
namespace {

constexpr uint16_t kTypeCname = 5;
constexpr uint16_t kTypeSrv = 33;
constexpr uint16_t kClassInternet = 1;
constexpr size_t kMaxName = 253;
constexpr int kMaxPointers = 127;  // as many as a name can have labels

// Reads a message from the front, and fails for good where it is cut short.
class Reader {
 public:
  explicit Reader(std::string_view message) : message_(message) {}

  bool failed() const { return failed_; }
  size_t at() const { return at_; }
  void Seek(size_t at) {
    at_ = at;
    if (at > message_.size()) Fail();
  }
  void Skip(size_t count) { Seek(at_ + count); }

  uint16_t U16() {
    if (message_.size() - at_ < 2) return Fail();
    const auto high = static_cast<unsigned char>(message_[at_]);
    const auto low = static_cast<unsigned char>(message_[at_ + 1]);
    at_ += 2;
    return static_cast<uint16_t>(high << 8 | low);
  }
  uint32_t U32() {
    const uint32_t high = U16();
    return high << 16 | U16();
  }

  // A name (RFC 1035 4.1.4). A pointer leads only backwards, so there is no circle, and only
  // so many are followed: else a few thousand records could each have a chain of thousands.
  std::string Name() {
    std::string name;
    size_t at = at_;
    size_t limit = at_;  // pointers lead to before this
    int pointers = 0;
    while (true) {
      if (at >= message_.size()) return Broken();
      const auto length = static_cast<unsigned char>(message_[at++]);
      if (length >= 0xc0) {
        if (at >= message_.size()) return Broken();
        const size_t to = (length & 0x3fU) << 8 | static_cast<unsigned char>(message_[at++]);
        if (pointers++ == 0) at_ = at;
        if (to >= limit || pointers > kMaxPointers) return Broken();
        at = limit = to;
        continue;
      }
      if (length >= 0x40 || message_.size() - at < length) return Broken();
      if (length == 0) break;
      if (!name.empty()) name += '.';
      name += message_.substr(at, length);
      at += length;
      if (name.size() > kMaxName) return Broken();
    }
    if (pointers == 0) at_ = at;
    return name;
  }

 private:
  uint16_t Fail() {
    failed_ = true;
    at_ = message_.size();
    return 0;
  }
  std::string Broken() {
    Fail();
    return {};
  }

  const std::string_view message_;
  size_t at_ = 0;
  bool failed_ = false;
};

// What may stand in an address that is looked up next.
bool IsHostName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  });
}

// RFC 2181 8: with its highest bit set a TTL is to be taken for zero.
uint32_t TtlOf(uint32_t received) { return received > INT32_MAX ? 0 : received; }

}  // namespace

Result<std::vector<SrvRecord>> ParseSrvReply(std::string_view message) {
  Reader reader(message);
  reader.Skip(4);  // id, flags: c-ares has looked at them
  const uint16_t questions = reader.U16();
  const uint16_t answers = reader.U16();
  reader.Skip(4);  // counts of other records
  for (uint16_t i = 0; i < questions && !reader.failed(); ++i) {
    reader.Name();
    reader.Skip(4);
  }
  std::vector<SrvRecord> records;
  uint32_t ttl = UINT32_MAX;  // of the CNAMEs so far
  for (uint16_t i = 0; i < answers && !reader.failed(); ++i) {
    reader.Name();
    const uint16_t type = reader.U16();
    const uint16_t record_class = reader.U16();
    const uint32_t record_ttl = TtlOf(reader.U32());
    const uint16_t length = reader.U16();
    const size_t end = reader.at() + length;
    if (record_class == kClassInternet && type == kTypeCname) ttl = std::min(ttl, record_ttl);
    if (record_class == kClassInternet && type == kTypeSrv) {
      SrvRecord record;
      record.priority = reader.U16();
      record.weight = reader.U16();
      record.port = reader.U16();
      record.target = reader.Name();
      record.ttl = std::min(ttl, record_ttl);
      const bool usable = IsHostName(record.target) && record.port != 0;
      if (!reader.failed() && usable) records.push_back(std::move(record));
    }
    if (!reader.failed()) reader.Seek(end);
  }
  if (reader.failed()) return Fail("the answer is malformed");
  std::sort(records.begin(), records.end(), [](const SrvRecord& a, const SrvRecord& b) {
    return std::tie(a.priority, a.target, a.port, a.weight) <
           std::tie(b.priority, b.target, b.port, b.weight);
  });
  if (records.size() > kMaxSrvRecords) records.resize(kMaxSrvRecords);
  return records;
}

}  // namespace sluice
