// Looks names up as the system says at the moment: c-ares reads /etc/resolv.conf once, and the file
// is written anew when a host changes networks, or a cluster its DNS service.
//
// The thread of its loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/dns_resolver.h"
#include "net/uv_loop.h"
#include "sluice/resolver.h"

namespace sluice {

class SystemResolver final : public Resolver {
 public:
  // `options` name no servers. Fails as DnsResolver::Create. `loop` must outlive it, and every
  // lookup; those that are left when it is destroyed go on.
  static Result<std::unique_ptr<SystemResolver>> Create(UvLoop& loop, DnsResolverOptions options);

  // The file is read each time. A lookup under way keeps the servers that it began with.
  std::unique_ptr<Lookup> Resolve(const DnsQuestion& question,
                                  std::function<void(Result<DnsAnswer>)> answered) override;

 private:
  class Kept;

  SystemResolver(UvLoop& loop, DnsResolverOptions options);
  Result<void> Open();
  void UseFile();

  UvLoop& loop_;
  const DnsResolverOptions options_;
  std::string text_;  // of the file, as `current_` has it
  std::shared_ptr<DnsResolver> current_;
};

}  // namespace sluice
