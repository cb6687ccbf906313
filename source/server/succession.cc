#include "server/succession.h"

#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "lifecycle/service_manager.h"
#include "net/listen_socket.h"

namespace sluice {
namespace {

// Names the descriptor of the channel to the process that started this one.
constexpr char kTakeoverVariable[] = "SLUICE_TAKEOVER_FD";

constexpr uint32_t kTakeoverBacklog = 16;

// The channel to the process that started this one to take over; invalid: it was started otherwise.
Fd TakeInheritedChannel() {
  const char* const text = std::getenv(kTakeoverVariable);
  if (text == nullptr) return Fd();
  const std::string_view number = text;
  int fd = -1;
  std::from_chars(number.data(), number.data() + number.size(), fd);
  unsetenv(kTakeoverVariable);
  return Fd(fd);
}

// Found by the shell's rules.
std::filesystem::path FindInPath(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "";
  while (!rest.empty()) {
    const size_t colon = rest.find(':');
    const auto candidate = std::filesystem::path(rest.substr(0, colon)) / name;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  }
  return {};
}

}  // namespace

Program ProgramOf(const std::vector<std::string>& arguments) {
  const std::string& name = arguments.front();
  std::error_code error;
  std::filesystem::path path = name;
  if (name.find('/') == std::string::npos) path = FindInPath(name);
  if (path.empty()) path = std::filesystem::read_symlink("/proc/self/exe", error);
  return {std::filesystem::absolute(path, error).string(), arguments};
}

// ---- taking over ----

Result<std::unique_ptr<Succession>> Succession::Begin(UvLoop& loop, const RestartConfig& config,
                                                      const std::string& takeover_path) {
  std::unique_ptr<Succession> self(new Succession(loop));
  self->config_ = config;
  self->sockets_.Add(TakeActivatedSockets());
  Fd channel = TakeInheritedChannel();
  if (!channel.valid() && !takeover_path.empty()) {
    auto connected = Takeover::Connect(takeover_path);
    if (!connected) return tl::unexpected(connected.error());
    channel = std::move(*connected);
    if (!channel.valid()) {
      LogEvent(Level::kInfo, "nothing_to_take_over", {{"socket", takeover_path}});
    }
  }
  if (!channel.valid()) return self;

  self->takeover_ = std::make_unique<Takeover>(loop, std::move(channel), config.timeout);
  Result<std::optional<Inheritance>> received;
  // On the loop: it may fail at once.
  loop.Post([&] {
    self->takeover_->Receive([&](Result<std::optional<Inheritance>> result) {
      received = std::move(result);
      loop.Stop();
    });
  });
  loop.Run();
  if (!received) return Fail("cannot take over: " + received.error().message);
  if (!*received) return self;
  self->inheritance_ = std::move(**received);
  self->sockets_.Add(std::move(self->inheritance_.sockets), std::move(self->inheritance_.fds));
  return self;
}

void Succession::Refuse(const std::string& why) {
  if (const Fd channel = TakeInheritedChannel(); channel.valid()) {
    Takeover::Refuse(channel.get(), why);
  }
}

Succession::Succession(UvLoop& loop) : loop_(loop) {}

Succession::~Succession() = default;

void Succession::Inherit(const Snapshot& snapshot, Metrics& metrics, WallTime now) {
  for (const HandOverTicketKeys& inherited : inheritance_.ticket_keys) {
    for (size_t i = 0; i < snapshot.listeners.size(); ++i) {
      const ListenerConfig& listener = snapshot.config.listeners[i];
      const auto& keys = snapshot.listeners[i].ticket_keys;
      const bool random = listener.tls && listener.tls->ticket_key_files.empty();
      if (listener.name != inherited.listener || keys == nullptr || !random) continue;
      if (const auto imported = keys->Import(inherited.keys, now); !imported) {
        LogEvent(Level::kError, "ticket_keys_not_inherited",
                 {{"listener", listener.name}, {"error", imported.error().message}});
      }
    }
  }
  std::string error;
  if (!inheritance_.counters.empty() && !metrics.Import(inheritance_.counters, &error)) {
    LogEvent(Level::kError, "counters_not_inherited", {{"error", error}});
  }
}

void Succession::WhenMayAccept(std::function<void()> start,
                               std::function<void(const std::string&)> give_up) {
  if (takeover_ == nullptr) return start();
  waiting_ = true;
  takeover_->Ready(
      {.adopt =
           [this](MovedConnection connection, Takeover::Hooks::Descriptors descriptors,
                  std::function<void(Result<void>)> answer) {
             Adopt(std::move(connection), std::move(descriptors), std::move(answer));
           },
       .on_counters =
           [this](const std::string& counters) {
             std::string error;
             if (!process_->metrics.Import(counters, &error)) {
               LogEvent(Level::kError, "counters_not_inherited", {{"error", error}});
             }
           },
       .on_predecessor_gone =
           [this] {
             LogEvent(Level::kInfo, "predecessor_gone", {{"pid", takeover_->predecessor()}});
           }},
      [this, start = std::move(start), give_up = std::move(give_up)](Result<void> now) {
        waiting_ = false;
        now ? start() : give_up(now.error().message);
      });
}

void Succession::GiveUp(const std::string& why) {
  if (takeover_ != nullptr) takeover_->GiveUp(why);
}

void Succession::OnAccepting() {
  sockets_.CloseRest();
  if (takeover_ != nullptr) takeover_->Accepting();
  NotifyServiceManager("READY=1\nMAINPID=" + std::to_string(getpid()));
}

void Succession::Adopt(MovedConnection connection, Takeover::Hooks::Descriptors descriptors,
                       std::function<void(Result<void>)> answer) {
  Worker& worker = *process_->workers[next_worker_++ % process_->workers.size()];
  worker.loop().Post(
      [this, &worker, connection = std::move(connection), descriptors, answer = std::move(answer)] {
        const Result<void> adopted = worker.Adopt(connection);
        loop_.Post([answer, adopted] { answer(adopted); });
      });
}

// ---- handing over ----

// On its worker's thread; carries connections to the hand-over, and answers back.
class Succession::Mover final : public ConnectionMover {
 public:
  Mover(Succession& succession, Worker& worker) : succession_(succession), worker_(worker) {}

  void Move(const MovedConnection& connection, std::function<void(bool)> answer) override {
    succession_.loop_.Post([this, connection, answer = std::move(answer)] {
      std::vector<int> descriptors = {connection.client};
      if (connection.upstream >= 0) descriptors.push_back(connection.upstream);
      succession_.hand_over_->Move(
          connection.listener, connection.state, descriptors,
          [this, answer](bool taken) { worker_.loop().Post([answer, taken] { answer(taken); }); });
    });
  }

 private:
  Succession& succession_;
  Worker& worker_;
};

Result<void> Succession::Attach(Process process) {
  process_.emplace(std::move(process));
  process_->shard
      .Gauge("sluice_generation",
             "Which generation of the process this is: hot restarts add one each.")
      .Set(inheritance_.generation);
  hand_over_ =
      std::make_unique<HandOver>(loop_, process_->drain, MakeHooks(),
                                 HandOverOptions{.timeout = config_.timeout,
                                                 .generation = inheritance_.generation,
                                                 .max_generations = config_.generations,
                                                 .ancestors = inheritance_.ancestors,
                                                 .moves_connections = config_.move_connections},
                                 process_->shard);
  for (const auto& worker : process_->workers) {
    movers_.push_back(std::make_unique<Mover>(*this, *worker));
  }
  return BindTakeoverSocket();
}

Result<void> Succession::BindTakeoverSocket() {
  if (config_.socket.empty()) return {};
  const std::string address = "unix:" + config_.socket;
  auto sockets = sockets_.Take(HandOverSocket::Kind::kTakeover, {}, address);
  if (sockets.empty()) {
    // Who may connect gets everything: the listeners, and what is on the connections.
    const mode_t mask = umask(0177);
    auto bound = BindListenSockets(address, kTakeoverBacklog, 1);
    umask(mask);
    if (!bound) return Fail("restart.socket: " + bound.error().message);
    sockets = std::move(bound->fds);
  }
  takeover_socket_ = std::make_unique<FdAcceptor>(
      loop_, std::move(sockets.front()),
      [this](Fd connection) { hand_over_->Accept(std::move(connection)); });
  return {};
}

HandOverHooks Succession::MakeHooks() {
  HandOverHooks hooks;
  hooks.gather = [this](std::function<void(HandOverInventory)> reply) { Gather(std::move(reply)); };
  hooks.stop_accepting = [this](std::function<void()> done) {
    if (process_->admin != nullptr) process_->admin->Pause();
    EachWorker(&Worker::PauseAccepting, std::move(done));
  };
  hooks.accept_again = [this] {
    if (process_->admin != nullptr) process_->admin->Accept();
    EachWorker(&Worker::AcceptAgain);
  };
  hooks.let_go = [this] { LetGo(); };
  hooks.successor_lost = [this] { StopMoving(); };
  hooks.counters = [this] { return process_->metrics.Export(); };
  return hooks;
}

// `done` once all have.
void Succession::EachWorker(void (Worker::*act)(), std::function<void()> done) {
  auto missing = std::make_shared<size_t>(process_->workers.size());
  for (const auto& worker : process_->workers) {
    worker->loop().Post([this, &worker = *worker, act, done, missing] {
      (worker.*act)();
      if (!done) return;
      loop_.Post([done, missing] {
        if (--*missing == 0) done();
      });
    });
  }
}

void Succession::Gather(std::function<void(HandOverInventory)> reply) {
  struct Gathering {
    HandOverInventory inventory;
    size_t missing;
  };
  auto all = std::make_shared<Gathering>();
  all->missing = process_->workers.size();
  const auto add = [](HandOverInventory& to, HandOverSocket::Kind kind, std::string listener,
                      std::string configured, Fd fd) {
    if (!fd.valid()) return;
    to.sockets.push_back(
        {kind, std::move(listener), std::move(configured), BoundAddress(fd.get()).value_or("")});
    to.fds.push_back(std::move(fd));
  };
  if (process_->admin != nullptr) {
    add(all->inventory, HandOverSocket::Kind::kAdmin, "admin",
        process_->snapshot().config.admin.address, process_->admin->DuplicateSocket());
  }
  if (takeover_socket_ != nullptr) {
    add(all->inventory, HandOverSocket::Kind::kTakeover, {}, "unix:" + config_.socket,
        takeover_socket_->Duplicate());
  }
  const Snapshot& snapshot = process_->snapshot();
  for (size_t i = 0; i < snapshot.listeners.size(); ++i) {
    if (snapshot.listeners[i].ticket_keys == nullptr) continue;
    all->inventory.ticket_keys.push_back(
        {snapshot.config.listeners[i].name, snapshot.listeners[i].ticket_keys->Export()});
  }
  for (const auto& worker : process_->workers) {
    worker->loop().Post([this, &worker = *worker, all, add, reply] {
      auto sockets = std::make_shared<std::vector<OwnedSocket>>(worker.DuplicateSockets());
      loop_.Post([this, sockets, all, add, reply] {
        for (OwnedSocket& socket : *sockets) {
          add(all->inventory, HandOverSocket::Kind::kListener, socket.listener, socket.address,
              std::move(socket.fd));
        }
        if (--all->missing > 0) return;
        all->inventory.counters = process_->metrics.Export();
        reply(std::move(all->inventory));
      });
    });
  }
}

// The drain follows, and finds the sockets gone and the movers there.
void Succession::LetGo() {
  NotifyServiceManager("MAINPID=" + std::to_string(hand_over_->successor()));
  if (process_->admin != nullptr) process_->admin->LetGo();
  if (takeover_socket_ != nullptr) takeover_socket_->Close();
  for (size_t i = 0; i < movers_.size(); ++i) {
    ConnectionMover* const mover = config_.move_connections ? movers_[i].get() : nullptr;
    process_->workers[i]->loop().Post([&worker = *process_->workers[i], mover] {
      worker.LetGoOfSockets();
      worker.MoveTo(mover);
    });
  }
}

void Succession::StopMoving() {
  for (const auto& worker : process_->workers) {
    worker->loop().Post([&worker = *worker] { worker.MoveTo(nullptr); });
  }
}

void Succession::Restart(HandOver::Done done) {
  ChildProcess::Program program;
  program.path = process_->program.path;
  program.arguments = process_->program.arguments;
  program.environment = {std::string(kTakeoverVariable) + "=" +
                         std::to_string(ChildProcess::kDescriptor)};
  hand_over_->Restart(std::move(program), std::move(done));
}

void Succession::TellCounters() {
  if (hand_over_ != nullptr) hand_over_->TellCounters();
}

void Succession::SayFarewell() {
  if (hand_over_ != nullptr) hand_over_->SayFarewell();
}

}  // namespace sluice
