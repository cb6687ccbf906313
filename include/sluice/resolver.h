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
    std::string host{};  // whose address it is: the name, or what an SRV record names
    bool operator==(const Target&) const = default;
  };
  // Addresses that may be there and could not be looked up now. Those of a host that does not
  // exist, or has none, are known.
  struct Unknown {
    std::string host;
    bool ipv6 = false;   // the kind of addresses; else IPv4
    std::string reason;  // with the name that was asked for
    bool operator==(const Unknown&) const = default;
  };
  std::vector<Target> targets;   // by address, each once; never empty
  Duration ttl{};                // the shortest of all records that led here
  std::vector<Unknown> unknown;  // by host; empty: the answer is whole
};

// At most so many targets are taken of an answer.
inline constexpr size_t kMaxDnsTargets = 1024;

// By address, each once, with the record that goes before the others: of the first priority, then
// of the largest weight. Of too many those of the first priorities are left: the same ones each
// time, though name servers turn the order of their records.
void TidyDnsTargets(std::vector<DnsAnswer::Target>* targets);

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
