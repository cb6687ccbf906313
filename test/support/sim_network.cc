#include "support/sim_network.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace sluice {

// Holds the caller's `Done`; the events under way know it weakly.
class SimNetwork::SimAttempt final : public Dialer::Attempt {
 public:
  explicit SimAttempt(Done done) : done_(std::make_shared<Done>(std::move(done))) {}
  std::weak_ptr<Done> waiting() const { return done_; }

 private:
  std::shared_ptr<Done> done_;
};

std::unique_ptr<Dialer::Attempt> SimNetwork::Dial(const std::string& address, Done done) {
  auto attempt = std::make_unique<SimAttempt>(std::move(done));
  const auto found = addresses_.find(address);
  if (found != addresses_.end() && found->second.black_hole) return attempt;
  const Duration delay = found == addresses_.end() ? Duration{} : found->second.connect_delay;
  loop_.After(delay, [this, address, waiting = attempt->waiting()] { Finish(address, waiting); });
  return attempt;
}

void SimNetwork::Finish(const std::string& address, const std::weak_ptr<Done>& waiting) {
  // A copy of the pointer keeps the callback alive while it destroys its attempt.
  const std::shared_ptr<Done> done = waiting.lock();
  if (done == nullptr) return;
  const Address& known = addresses_[address];
  if (known.error != 0) {
    (*done)(nullptr, known.error);
  } else if (known.accept == nullptr) {
    (*done)(nullptr, ECONNREFUSED);
  } else {
    Connect(address, waiting);
  }
}

void SimNetwork::Connect(const std::string& address, const std::weak_ptr<Done>& waiting) {
  const Address& known = addresses_[address];
  const std::string client_address = "10.1.0.1:" + std::to_string(next_port_++);
  Pipe::Pair pair =
      Pipe::Make(loop_, known.faults ? known.faults() : PipeFaults{}, client_address, address);
  connections_.push_back({address, client_address, pair.client_account, pair.server_account});

  addresses_[address].backlog.push_back(std::move(pair.server));
  loop_.After(Duration{}, [this, address] { AcceptOne(address); });
  // std::function wants what can be copied.
  auto client = std::make_shared<std::unique_ptr<Transport>>(std::move(pair.client));
  loop_.After(Duration{}, [waiting, client] {
    if (const std::shared_ptr<Done> done = waiting.lock()) (*done)(std::move(*client), 0);
  });
}

void SimNetwork::AcceptOne(const std::string& address) {
  Address& known = addresses_[address];
  if (known.backlog.empty() || known.accept == nullptr) return;
  std::unique_ptr<Transport> transport = std::move(known.backlog.front());
  known.backlog.pop_front();
  known.accept(std::move(transport));
}

void SimNetwork::AcceptQueued(const std::string& address) {
  while (!addresses_[address].backlog.empty()) AcceptOne(address);
}

void SimNetwork::StopListening(const std::string& address) {
  Address& known = addresses_[address];
  known.accept = nullptr;
  for (const auto& transport : known.backlog) transport->Reset();
  known.backlog.clear();
}

const SimNetwork::Connection* SimNetwork::Find(const std::string& from) const {
  for (const Connection& one : connections_) {
    if (one.from == from) return &one;
  }
  return nullptr;
}

size_t SimNetwork::made(const std::string& address) const {
  return std::count_if(connections_.begin(), connections_.end(),
                       [&](const Connection& one) { return one.address == address; });
}

size_t SimNetwork::open_at_server(const std::string& address) const {
  return std::count_if(connections_.begin(), connections_.end(), [&](const Connection& one) {
    return one.address == address && one.server->open;
  });
}

size_t SimNetwork::open_at_client(const std::string& address) const {
  return std::count_if(connections_.begin(), connections_.end(), [&](const Connection& one) {
    return one.address == address && one.client->open;
  });
}

}  // namespace sluice
