#include "server/control_port.h"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "net/listen_socket.h"

namespace sluice {
namespace {

constexpr uint32_t kBacklog = 128;
constexpr std::string_view kUnix = "unix:";

}  // namespace

Result<std::unique_ptr<ControlPort>> ControlPort::Open(UvLoop& loop, const std::string& name,
                                                       const std::string& address, Handler& handler,
                                                       MetricShard& shard, Fd inherited) {
  if (inherited.valid()) {
    std::vector<Fd> one;
    one.push_back(std::move(inherited));
    auto adopted = AdoptListenSockets(std::move(one), address, kBacklog, 1);
    if (!adopted) return Fail(name + ": " + adopted.error().message);
    return std::unique_ptr<ControlPort>(
        new ControlPort(loop, name, adopted->address, std::move(adopted->by_worker.front().front()),
                        handler, shard));
  }
  // A socket file of the admin is for its owner only: it can stop the process.
  const mode_t mask = umask(0077);
  auto sockets = BindListenSockets(address, kBacklog, 1);
  umask(mask);
  if (!sockets) return Fail(name + ": " + sockets.error().message);
  return std::unique_ptr<ControlPort>(new ControlPort(
      loop, name, sockets->address, std::move(sockets->fds.front()), handler, shard));
}

ControlPort::ControlPort(UvLoop& loop, const std::string& name, std::string address, Fd fd,
                         Handler& handler, MetricShard& shard)
    : address_(std::move(address)),
      context_(name, shard),
      connections_(loop, shard, [](const DrainScope&) {}),
      listener_(
          loop, std::move(fd),
          [this](std::unique_ptr<Transport> transport) {
            connections_.Accept(std::move(transport), context_);
          },
          shard.Counter("sluice_accept_errors_total",
                        "accept4 failed: out of descriptors or memory.", {{"listener", name}})) {
  context_.handler = &handler;
}

void ControlPort::LetGo() {
  let_go_ = true;
  listener_.LetGo();
  // Whoever has a connection to us wants to hear of the new process from now on.
  DrainOrder order;
  order.idle_grace = order.linger = context_.options.timeouts.linger;
  connections_.BeginDrain(order, [] {});
}

ControlPort::~ControlPort() {
  if (address_.starts_with(kUnix) && !let_go_) unlink(address_.c_str() + kUnix.size());
}

}  // namespace sluice
