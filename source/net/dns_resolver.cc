#include "net/dns_resolver.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <sys/socket.h>

#include <algorithm>
#include <deque>
#include <string_view>
#include <tuple>
#include <utility>

#include "net/dns_reply.h"
#include "net/fd_watcher.h"
#include "net/socket_address.h"

namespace sluice {
namespace {

// Once for the process.
bool LibraryReady() {
  static const bool ready = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
  return ready;
}

// Names are looked up by so few at a time: a burst of hundreds of questions is lost in the buffers
// of sockets, and what is lost would look like endpoints that do not answer.
constexpr size_t kMaxHostsAtOnce = 16;

// Whether it is known that there is nothing: an answer, too. A name that cannot be one has nothing.
bool SaysNothing(int status) {
  return status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME;
}

}  // namespace

// A socket of c-ares, which it opens and closes itself.
class DnsResolver::Socket final : private FdEvents {
 public:
  Socket(DnsResolver& resolver, int fd)
      : resolver_(resolver), fd_(fd), watcher_(resolver.loop_, fd, *this) {}
  void Want(Readiness interest) { watcher_.Want(interest); }

 private:
  // May destroy this very object.
  void OnReady(Readiness ready) override {
    resolver_.Process(ready.read ? fd_ : ARES_SOCKET_BAD, ready.write ? fd_ : ARES_SOCKET_BAD);
  }

  DnsResolver& resolver_;
  const int fd_;
  FdWatcher watcher_;
};

// What every lookup of a resolver needs. Lookups keep it, and know by `channel` whether the
// resolver is still there.
struct DnsResolver::Asking {
  explicit Asking(UvLoop& on) : loop(on) {}
  UvLoop& loop;
  ares_channel channel = nullptr;  // null: the resolver is gone
  uint32_t tries = 1;
  std::string servers;  // "the name server 10.0.0.10:53"

  std::string WordsFor(int status) const {
    switch (status) {
      case ARES_ENOTFOUND:
        return "no such name";
      case ARES_ENODATA:
        return "the name has no such records";
      case ARES_EBADNAME:
        return "this cannot be a name";
      case ARES_ETIMEOUT:
        return servers + " did not answer";
      case ARES_ECONNREFUSED:
        return servers + " cannot be reached, or refused to answer";
      default:
        return servers + ": " + ares_strerror(status);
    }
  }
};

// One question, with all that has to be asked for it. Lives until the last of that has come back,
// withdrawn or not.
class DnsResolver::Inquiry : public std::enable_shared_from_this<Inquiry> {
 public:
  Inquiry(std::shared_ptr<const Asking> asking, DnsQuestion question,
          std::function<void(Result<DnsAnswer>)> answered)
      : asking_(std::move(asking)),
        question_(std::move(question)),
        answered_(std::move(answered)) {}

  void Begin() {
    ++missing_;
    if (question_.records == DnsRecords::kSrv) {
      AskSrv(std::make_unique<Asked>(shared_from_this()));
    } else {
      hosts_.push_back({.target = question_.name, .port = question_.port, .weight = 1});
      AskNextHosts();
    }
    Settle();
  }
  void Withdraw() { answered_ = nullptr; }

 private:
  // A name whose addresses are asked for.
  struct Host {
    SrvRecord record;
    size_t missing = 0;  // kinds of addresses
  };
  // What c-ares hands back.
  struct Asked {
    explicit Asked(std::shared_ptr<Inquiry> by) : inquiry(std::move(by)) {}
    std::shared_ptr<Inquiry> inquiry;
    std::shared_ptr<Host> host;  // null: of SRV records
    int family = AF_UNSPEC;
    uint32_t tries = 0;
  };

  bool Wanted() const { return answered_ && asking_->channel != nullptr; }

  void AskSrv(std::unique_ptr<Asked> asked) {
    ++asked->tries;
    ++missing_;
    ares_query(asking_->channel, question_.name.c_str(), ns_c_in, ns_t_srv, OnSrv, asked.release());
  }

  void AskAddresses(std::unique_ptr<Asked> asked) {
    ++asked->tries;
    ++missing_;
    ++asked->host->missing;
    const std::shared_ptr<Host> host = asked->host;
    const std::string port = std::to_string(host->record.port);
    ares_addrinfo_hints hints{};
    hints.ai_family = asked->family;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = ARES_AI_NOSORT | ARES_AI_NUMERICSERV;
    // What SRV records name is absolute (RFC 2782): no search list. The dot at the end says so.
    const bool of_srv = question_.records == DnsRecords::kSrv;
    const std::string name = host->record.target + (of_srv ? "." : "");
    ares_getaddrinfo(asking_->channel, name.c_str(), port.c_str(), &hints, OnAddresses,
                     asked.release());
  }

  // Both kinds are asked for apart, so that each has all its tries.
  void AskNextHosts() {
    while (!hosts_.empty() && hosts_at_once_ < kMaxHostsAtOnce && Wanted()) {
      const auto host = std::make_shared<Host>();
      host->record = std::move(hosts_.front());
      hosts_.pop_front();
      ++hosts_at_once_;
      ++host->missing;  // until both are asked for: c-ares may answer at once
      for (const int family : {AF_INET, AF_INET6}) {
        if (family == AF_INET && question_.records == DnsRecords::kIpv6) continue;
        if (family == AF_INET6 && question_.records == DnsRecords::kIpv4) continue;
        auto asked = std::make_unique<Asked>(shared_from_this());
        asked->host = host;
        asked->family = family;
        AskAddresses(std::move(asked));
      }
      EndQuestion(*host);
    }
  }

  // c-ares is told to try every server once: left to itself it doubles the timeout each time. When
  // a name server closes a TCP connection, which it may do (RFC 7766 6.2.4), c-ares ends all that
  // is under way to it as refused, over UDP as well: that is worth one try more.
  bool MayTryAgain(int status, const Asked& asked) const {
    if (!Wanted()) return false;
    if (status == ARES_ECONNREFUSED) return asked.tries < std::max(asking_->tries, 2U);
    return status == ARES_ETIMEOUT && asked.tries < asking_->tries;
  }

  static void OnSrv(void* data, int status, int, unsigned char* bytes, int size) {
    std::unique_ptr<Asked> asked(static_cast<Asked*>(data));
    const std::shared_ptr<Inquiry> self = asked->inquiry;
    if (status == ARES_EDESTRUCTION) self->Withdraw();
    if (self->MayTryAgain(status, *asked)) {
      self->AskSrv(std::move(asked));
    } else if (status != ARES_SUCCESS) {
      self->error_ = self->asking_->WordsFor(status);
    } else {
      self->FollowSrv({reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)});
    }
    self->Settle();
  }

  void FollowSrv(std::string_view message) {
    auto records = ParseSrvReply(message);
    if (!records) {
      error_ = asking_->servers + ": " + records.error().message;
      return;
    }
    if (records->empty()) error_ = "there is no such service";
    for (SrvRecord& record : *records) {
      ttl_ = std::min(ttl_, record.ttl);
      hosts_.push_back(std::move(record));
    }
    AskNextHosts();
  }

  static void OnAddresses(void* data, int status, int, ares_addrinfo* found) {
    std::unique_ptr<Asked> asked(static_cast<Asked*>(data));
    const std::shared_ptr<Inquiry> self = asked->inquiry;
    const std::shared_ptr<Host> host = asked->host;
    if (status == ARES_EDESTRUCTION) self->Withdraw();
    if (self->MayTryAgain(status, *asked)) {
      self->AskAddresses(std::move(asked));
    } else if (status == ARES_SUCCESS && self->answered_) {
      self->Take(*found, *host);
    } else if (status != ARES_SUCCESS) {
      self->Note(status, *asked);
    }
    if (found != nullptr) ares_freeaddrinfo(found);
    if (self->EndQuestion(*host)) self->AskNextHosts();
    self->Settle();
  }

  // What is missing outweighs what does not exist, where both are to be told.
  void Note(int status, const Asked& asked) {
    std::string words = asking_->WordsFor(status);
    if (!SaysNothing(status)) {
      const std::string& host = asked.host->record.target;
      const std::string of_host = question_.records == DnsRecords::kSrv ? host + ": " : "";
      unknown_.push_back({host, asked.family == AF_INET6, question_.name + ": " + of_host + words});
    }
    if (!SaysNothing(status) || error_.empty()) error_ = std::move(words);
  }

  // Whether it was the last one about this host.
  bool EndQuestion(Host& host) {
    if (--host.missing > 0) return false;
    --hosts_at_once_;
    return true;
  }

  void Take(const ares_addrinfo& found, Host& host) {
    for (const ares_addrinfo_cname* name = found.cnames; name != nullptr; name = name->next) {
      ttl_ = std::min(ttl_, static_cast<uint32_t>(std::max(name->ttl, 0)));
    }
    for (const ares_addrinfo_node* node = found.nodes; node != nullptr; node = node->ai_next) {
      sockaddr_storage storage{};
      const auto length = std::min<size_t>(node->ai_addrlen, sizeof(storage));
      std::copy_n(reinterpret_cast<const char*>(node->ai_addr), length,
                  reinterpret_cast<char*>(&storage));
      const SocketAddress address(storage, static_cast<socklen_t>(length));
      targets_.push_back(
          {address.ToString(), host.record.weight, host.record.priority, host.record.target});
      ttl_ = std::min(ttl_, static_cast<uint32_t>(std::max(node->ai_ttl, 0)));
    }
    if (targets_.size() > kMaxDnsTargets) TidyDnsTargets(&targets_);
  }

  // One of the questions is over; after the last the answer is told, never from inside a call of
  // ours.
  void Settle() {
    if (--missing_ > 0 || !answered_) return;
    asking_->loop.Post([self = shared_from_this()] { self->Answer(); });
  }

  void Answer() {
    const auto answered = std::exchange(answered_, nullptr);
    if (!answered || asking_->channel == nullptr) return;  // withdrawn
    std::sort(unknown_.begin(), unknown_.end(), [](const auto& a, const auto& b) {
      return std::tie(a.host, a.ipv6) < std::tie(b.host, b.ipv6);
    });
    if (targets_.empty()) {
      answered(unknown_.empty() ? Fail(question_.name + ": " + error_)
                                : Fail(unknown_.front().reason));
      return;
    }
    TidyDnsTargets(&targets_);
    answered(DnsAnswer{.targets = std::move(targets_),
                       .ttl = std::chrono::seconds(ttl_),
                       .unknown = std::move(unknown_)});
  }

  const std::shared_ptr<const Asking> asking_;
  const DnsQuestion question_;
  std::function<void(Result<DnsAnswer>)> answered_;  // empty: told, or withdrawn
  std::deque<SrvRecord> hosts_;                      // to be asked for
  size_t hosts_at_once_ = 0;
  std::vector<DnsAnswer::Target> targets_;
  uint32_t ttl_ = UINT32_MAX;  // seconds
  std::vector<DnsAnswer::Unknown> unknown_;
  std::string error_;   // the last one
  size_t missing_ = 0;  // questions under way
};

class DnsResolver::Withdrawable final : public Lookup {
 public:
  explicit Withdrawable(std::shared_ptr<Inquiry> inquiry) : inquiry_(std::move(inquiry)) {}
  ~Withdrawable() override { inquiry_->Withdraw(); }

 private:
  std::shared_ptr<Inquiry> inquiry_;
};

DnsResolver::DnsResolver(UvLoop& loop)
    : loop_(loop),
      timer_(loop.timers(), Delegate::Bind<&DnsResolver::OnTimer>(this)),
      asking_(std::make_shared<Asking>(loop)) {}

DnsResolver::~DnsResolver() {
  asking_->channel = nullptr;
  if (channel_ != nullptr) ares_destroy(channel_);  // every question comes back
}

Result<std::unique_ptr<DnsResolver>> DnsResolver::Create(UvLoop& loop,
                                                         const DnsResolverOptions& options) {
  std::unique_ptr<DnsResolver> resolver(new DnsResolver(loop));
  if (auto opened = resolver->Open(options); !opened) return tl::unexpected(opened.error());
  return resolver;
}

Result<void> DnsResolver::Open(const DnsResolverOptions& options) {
  if (!LibraryReady()) return Fail("c-ares cannot be used");
  ares_options ares{};
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(options.timeout).count();
  ares.timeout = static_cast<int>(std::clamp<int64_t>(milliseconds, 1, 3'600'000));
  ares.tries = 1;  // the others are made by Inquiry
  asking_->tries = options.tries;
  ares.sock_state_cb_data = this;
  ares.sock_state_cb = [](void* data, ares_socket_t fd, int read, int write) {
    static_cast<DnsResolver*>(data)->OnSocketState(fd, read != 0, write != 0);
  };
  int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
  char dns_alone[] = "b";
  std::string system_file = options.system_file;
  if (options.servers.empty()) {
    ares.resolvconf_path = system_file.data();
    ares.udp_port = ares.tcp_port = options.system_port;
    mask |= ARES_OPT_RESOLVCONF | ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT;
  } else {
    // Who names the servers wants their word, and not that of a hosts file.
    ares.lookups = dns_alone;
    ares.flags = ARES_FLAG_NOSEARCH;
    mask |= ARES_OPT_LOOKUPS | ARES_OPT_FLAGS;
  }
  if (const int status = ares_init_options(&channel_, &ares, mask); status != ARES_SUCCESS) {
    channel_ = nullptr;
    return Fail(std::string("c-ares: ") + ares_strerror(status));
  }
  asking_->channel = channel_;
  asking_->servers = "the name servers of the system";
  if (options.servers.empty()) return {};
  std::string list;
  for (const std::string& server : options.servers) list += (list.empty() ? "" : ",") + server;
  asking_->servers =
      (options.servers.size() == 1 ? "the name server " : "the name servers ") + list;
  if (const int status = ares_set_servers_ports_csv(channel_, list.c_str());
      status != ARES_SUCCESS) {
    return Fail("name servers " + list + ": " + ares_strerror(status));
  }
  return {};
}

std::unique_ptr<Resolver::Lookup> DnsResolver::Resolve(
    const DnsQuestion& question, std::function<void(Result<DnsAnswer>)> answered) {
  auto inquiry = std::make_shared<Inquiry>(asking_, question, std::move(answered));
  inquiry->Begin();
  SetTimer();
  return std::make_unique<Withdrawable>(std::move(inquiry));
}

// Told before c-ares closes a socket, too: then it wants nothing.
void DnsResolver::OnSocketState(int fd, bool read, bool write) {
  if (!read && !write) {
    sockets_.erase(fd);
    return;
  }
  auto& socket = sockets_[fd];
  if (socket == nullptr) socket = std::make_unique<Socket>(*this, fd);
  socket->Want({.read = read, .write = write});
}

void DnsResolver::OnTimer() { Process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); }

void DnsResolver::Process(int read_fd, int write_fd) {
  ares_process_fd(channel_, read_fd, write_fd);
  SetTimer();
}

void DnsResolver::SetTimer() {
  timeval wait{};
  if (ares_timeout(channel_, nullptr, &wait) == nullptr) {
    timer_.Stop();
    return;
  }
  timer_.Set(loop_.Now() + std::chrono::seconds(wait.tv_sec) +
             std::chrono::microseconds(wait.tv_usec));
}

}  // namespace sluice
