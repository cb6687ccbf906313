// Answers of name servers, as far as c-ares does not read them with all that is needed: its parser
// of SRV records drops their TTL.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/result.h"

namespace sluice {

struct SrvRecord {
  std::string target;  // a host name, without the dot at its end
  uint16_t port = 0;
  uint16_t priority = 0;
  uint16_t weight = 0;
  uint32_t ttl = 0;  // seconds, the shortest of the record's and of the CNAMEs before it
};

// At most so many are taken of one answer: the same ones whatever their order, and of the first
// priorities.
inline constexpr size_t kMaxSrvRecords = 256;

// The SRV records (RFC 2782) of a whole answer; bytes from the network, which may be anything. A
// target of "." means that there is no such service: it is left out, and so is port 0, where
// nothing can listen. By priority, then by target.
Result<std::vector<SrvRecord>> ParseSrvReply(std::string_view message);

}  // namespace sluice
