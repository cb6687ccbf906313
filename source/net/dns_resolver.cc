#include "net/dns_resolver.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "net/dns_reply.h"
#include "net/fd_watcher.h"
#include "net/socket_address.h"

namespace sluice {
namespace {

constexpr size_t kMaxTargets = 1024;

// Once for the process.
bool LibraryReady() {
  static const bool ready = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
  return ready;
}

int FamilyOf(DnsRecords records) {
  switch (records) {
    case DnsRecords::kIpv4:
      return AF_INET;
    case DnsRecords::kIpv6:
      return AF_INET6;
    case DnsRecords::kAddress:
    case DnsRecords::kSrv:
      break;
  }
  return AF_UNSPEC;
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

// One question, with all that has to be asked for it. Lives until the last of that has come back,
// withdrawn or not.
class DnsResolver::Inquiry : public std::enable_shared_from_this<Inquiry> {
 public:
  Inquiry(UvLoop& loop, DnsQuestion question, std::function<void(Result<DnsAnswer>)> answered)
      : loop_(loop), question_(std::move(question)), answered_(std::move(answered)) {}

  void Begin(ares_channel channel) {
    channel_ = channel;
    ++missing_;
    if (question_.records == DnsRecords::kSrv) {
      ares_query(channel, question_.name.c_str(), ns_c_in, ns_t_srv, OnSrv, Keep({}));
    } else {
      AskAddresses({.target = question_.name, .port = question_.port, .weight = 1});
    }
    Settle();
  }
  void Withdraw() { answered_ = nullptr; }

 private:
  // What c-ares hands back.
  struct Asked {
    std::shared_ptr<Inquiry> inquiry;
    SrvRecord record;
  };
  Asked* Keep(SrvRecord record) {
    ++missing_;
    return new Asked{shared_from_this(), std::move(record)};
  }

  void AskAddresses(SrvRecord record) {
    const std::string port = std::to_string(record.port);
    const std::string host = record.target;
    ares_addrinfo_hints hints{};
    hints.ai_family = FamilyOf(question_.records);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = ARES_AI_NOSORT | ARES_AI_NUMERICSERV;
    ares_getaddrinfo(channel_, host.c_str(), port.c_str(), &hints, OnAddresses,
                     Keep(std::move(record)));
  }

  // Whether something has come, and is still wanted.
  bool Accepts(int status) {
    if (status == ARES_EDESTRUCTION) Withdraw();
    if (!answered_ || status == ARES_SUCCESS) return answered_ != nullptr;
    error_ = ares_strerror(status);
    return false;
  }

  static void OnSrv(void* data, int status, int, unsigned char* bytes, int size) {
    const std::unique_ptr<Asked> asked(static_cast<Asked*>(data));
    Inquiry& self = *asked->inquiry;
    if (self.Accepts(status)) {
      auto records = ParseSrvReply(
          {reinterpret_cast<const char*>(bytes), static_cast<size_t>(std::max(size, 0))});
      if (!records) self.error_ = records.error().message;
      if (records && records->empty()) self.error_ = "there is no such service";
      if (records) self.FollowSrv(*std::move(records));
    }
    self.Settle();
  }

  void FollowSrv(std::vector<SrvRecord> records) {
    for (SrvRecord& record : records) {
      ttl_ = std::min(ttl_, record.ttl);
      AskAddresses(std::move(record));
    }
  }

  static void OnAddresses(void* data, int status, int, ares_addrinfo* found) {
    const std::unique_ptr<Asked> asked(static_cast<Asked*>(data));
    Inquiry& self = *asked->inquiry;
    if (self.Accepts(status)) self.Take(*found, asked->record);
    if (found != nullptr) ares_freeaddrinfo(found);
    self.Settle();
  }

  void Take(const ares_addrinfo& found, const SrvRecord& record) {
    for (const ares_addrinfo_cname* name = found.cnames; name != nullptr; name = name->next) {
      ttl_ = std::min(ttl_, static_cast<uint32_t>(std::max(name->ttl, 0)));
    }
    for (const ares_addrinfo_node* node = found.nodes; node != nullptr; node = node->ai_next) {
      if (targets_.size() == kMaxTargets) return;
      sockaddr_storage storage{};
      const auto length = std::min<size_t>(node->ai_addrlen, sizeof(storage));
      std::copy_n(reinterpret_cast<const char*>(node->ai_addr), length,
                  reinterpret_cast<char*>(&storage));
      const SocketAddress address(storage, static_cast<socklen_t>(length));
      targets_.push_back({address.ToString(), record.weight, record.priority});
      ttl_ = std::min(ttl_, static_cast<uint32_t>(std::max(node->ai_ttl, 0)));
    }
  }

  // One of the questions is over; after the last the answer is told, never from inside a call of
  // ours.
  void Settle() {
    if (--missing_ > 0 || !answered_) return;
    loop_.Post([self = shared_from_this()] { self->Answer(); });
  }

  void Answer() {
    const auto answered = std::exchange(answered_, nullptr);
    if (!answered) return;
    if (targets_.empty()) {
      answered(Fail(question_.name + ": " + (error_.empty() ? "no address was found" : error_)));
      return;
    }
    DnsAnswer answer;
    answer.targets = std::move(targets_);
    std::sort(answer.targets.begin(), answer.targets.end());
    const auto same = [](const auto& a, const auto& b) { return a.address == b.address; };
    answer.targets.erase(std::unique(answer.targets.begin(), answer.targets.end(), same),
                         answer.targets.end());
    answer.ttl = std::chrono::seconds(ttl_);
    answered(std::move(answer));
  }

  UvLoop& loop_;
  const DnsQuestion question_;
  std::function<void(Result<DnsAnswer>)> answered_;  // empty: told, or withdrawn
  ares_channel channel_ = nullptr;
  std::vector<DnsAnswer::Target> targets_;
  uint32_t ttl_ = UINT32_MAX;  // seconds
  std::string error_;          // the last one
  size_t missing_ = 0;         // questions under way
};

class DnsResolver::Withdrawable final : public Lookup {
 public:
  explicit Withdrawable(std::shared_ptr<Inquiry> inquiry) : inquiry_(std::move(inquiry)) {}
  ~Withdrawable() override { inquiry_->Withdraw(); }

 private:
  std::shared_ptr<Inquiry> inquiry_;
};

DnsResolver::DnsResolver(UvLoop& loop)
    : loop_(loop), timer_(loop.timers(), Delegate::Bind<&DnsResolver::OnTimer>(this)) {}

DnsResolver::~DnsResolver() {
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
  ares.tries = static_cast<int>(options.tries);
  ares.sock_state_cb_data = this;
  ares.sock_state_cb = [](void* data, ares_socket_t fd, int read, int write) {
    static_cast<DnsResolver*>(data)->OnSocketState(fd, read != 0, write != 0);
  };
  int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
  char dns_alone[] = "b";
  if (!options.servers.empty()) {
    // Who names the servers wants their word, and not that of a hosts file.
    ares.lookups = dns_alone;
    ares.flags = ARES_FLAG_NOSEARCH;
    mask |= ARES_OPT_LOOKUPS | ARES_OPT_FLAGS;
  }
  if (const int status = ares_init_options(&channel_, &ares, mask); status != ARES_SUCCESS) {
    channel_ = nullptr;
    return Fail(std::string("c-ares: ") + ares_strerror(status));
  }
  if (options.servers.empty()) return {};
  std::string list;
  for (const std::string& server : options.servers) list += (list.empty() ? "" : ",") + server;
  if (const int status = ares_set_servers_ports_csv(channel_, list.c_str());
      status != ARES_SUCCESS) {
    return Fail("name servers " + list + ": " + ares_strerror(status));
  }
  return {};
}

std::unique_ptr<Resolver::Lookup> DnsResolver::Resolve(
    const DnsQuestion& question, std::function<void(Result<DnsAnswer>)> answered) {
  auto inquiry = std::make_shared<Inquiry>(loop_, question, std::move(answered));
  inquiry->Begin(channel_);
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
  socket->Want({read, write});
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
