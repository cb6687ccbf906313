// The seam for looking up names: DnsResolver (net/dns_resolver.h) asks name servers, a fake answers
// in tests.
//
// One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "sluice/loop.h"
#include "sluice/result.h"

namespace sluice {

// Which records of a name are asked for. kAddress: A and AAAA.
enum class DnsRecords : uint8_t { kAddress, kIpv4, kIpv6, kSrv };

struct DnsQuestion {
  std::string name;
  uint16_t port = 0;  // put beside every address; of SRV records: unused
  DnsRecords records = DnsRecords::kAddress;
};

struct DnsAnswer {
  struct Target {
    std::string address;  // "192.0.2.1:80", "[2001:db8::1]:80": in ParseConfigAddress's spelling
    uint32_t weight = 1;  // of SRV records (RFC 2782), 0 there included
    uint32_t priority = 0;
    auto operator<=>(const Target&) const = default;
  };
  std::vector<Target> targets;  // in order, each address once; never empty
  Duration ttl{};               // the shortest of all records that led here
  // Why targets may be missing: a host that SRV records name could not be looked up now. Empty:
  // none is. A host that does not exist is not missing.
  std::string incomplete;
};

class Resolver {
 public:
  virtual ~Resolver() = default;

  // A question under way; destroying it withdraws it.
  class Lookup {
   public:
    virtual ~Lookup() = default;
  };

  // Calls `answered` once, never before this has returned. An error says who was asked for what,
  // and what came of it; a name that does not exist, or has no such records, is one too.
  virtual std::unique_ptr<Lookup> Resolve(const DnsQuestion& question,
                                          std::function<void(Result<DnsAnswer>)> answered) = 0;
};

}  // namespace sluice
