// Looks names up by c-ares, on a UvLoop: over UDP, and TCP where an answer is too long for it.
//
// The thread of its loop.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/timer_queue.h"
#include "net/uv_loop.h"
#include "sluice/resolver.h"

struct ares_channeldata;
struct ares_addrinfo;

namespace sluice {

struct DnsResolverOptions {
  std::vector<std::string> servers;  // "IP:port"; empty: those of the system, and its hosts file
  Duration timeout = std::chrono::seconds(2);  // of one question to one server
  uint32_t tries = 2;                          // questions to every server
  // Of the system's servers. Others than these are for tests.
  std::string system_file = "/etc/resolv.conf";
  uint16_t system_port = 53;
};

class DnsResolver final : public Resolver {
 public:
  // Fails when c-ares cannot use the options. `loop` must outlive it; lookups that are left are
  // withdrawn when it is destroyed.
  static Result<std::unique_ptr<DnsResolver>> Create(UvLoop& loop,
                                                     const DnsResolverOptions& options);
  ~DnsResolver() override;

  std::unique_ptr<Lookup> Resolve(const DnsQuestion& question,
                                  std::function<void(Result<DnsAnswer>)> answered) override;

 private:
  class Socket;
  struct Asking;
  class Inquiry;
  class Withdrawable;

  explicit DnsResolver(UvLoop& loop);
  Result<void> Open(const DnsResolverOptions& options);
  void OnSocketState(int fd, bool read, bool write);
  void OnTimer();
  void Process(int read_fd, int write_fd);
  void SetTimer();

  UvLoop& loop_;
  Timer timer_;
  std::shared_ptr<Asking> asking_;
  ares_channeldata* channel_ = nullptr;
  std::map<int, std::unique_ptr<Socket>> sockets_;  // by descriptor
};

}  // namespace sluice
