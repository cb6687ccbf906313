#include "base/log_writer.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <future>
#include <mutex>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/log_file.h"

namespace sluice {
namespace {

constexpr auto kStopPatience = std::chrono::milliseconds(500);

}  // namespace

// What the writer's owner, the producers and the thread have in common. The thread holds a share,
// so that it can be left behind.
struct AsyncLogWriter::Shared {
  Shared(const Options& how, std::unique_ptr<LogFile> log_file, int event_fd, MetricCell& refused)
      : options(how), file(std::move(log_file)), wake_fd(event_fd), dropped(refused) {}
  ~Shared() { close(wake_fd); }

  void Wake() const {
    const uint64_t one = 1;
    // It fails only when the counter is full, and then the thread is awake.
    [[maybe_unused]] const ssize_t written = write(wake_fd, &one, sizeof(one));
  }

  const Options options;
  const std::unique_ptr<LogFile> file;  // the thread's alone
  const int wake_fd;

  // The thread sleeps until somebody sets this to false and wakes it.
  std::atomic<bool> asleep{false};

  std::mutex mutex;  // guards the orders below
  std::vector<std::unique_ptr<Channel>> channels;
  std::vector<std::function<void()>> flushes;
  bool reopen = false;
  bool stop = false;
  bool ended = false;
  std::condition_variable end;

  std::mutex owner_mutex;  // held while the thread touches what belongs to the owner
  bool left_behind = false;
  MetricCell& dropped;
};

// The thread.
class AsyncLogWriter::Writer {
 public:
  explicit Writer(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  void Run() {
    const auto interval = std::chrono::ceil<std::chrono::milliseconds>(
        std::max<Duration>(shared_->options.flush_interval, Duration(1)));
    for (;;) {
      const bool last_round = TakeOrders();
      bool busy = false;
      for (Channel* channel : channels_) {
        if (channel->ring_.Pop(lines_) == 0) continue;
        busy = true;
        WriteLines();
        lines_.clear();
      }
      for (auto& done : std::exchange(flushes_, {})) WithOwner(done);
      if (last_round) break;
      if (std::exchange(woken_, false)) continue;
      if (busy) {
        Wait(interval);
      } else {
        Sleep();
      }
    }
    const std::lock_guard lock(shared_->mutex);
    shared_->ended = true;
    shared_->end.notify_all();
  }

 private:
  // Returns true when this round is the last.
  bool TakeOrders() {
    bool reopen;
    {
      const std::lock_guard lock(shared_->mutex);
      channels_.clear();
      for (const auto& channel : shared_->channels) channels_.push_back(channel.get());
      flushes_ = std::exchange(shared_->flushes, {});
      reopen = std::exchange(shared_->reopen, false);
      stopping_ = shared_->stop;
    }
    if (reopen) ReopenFile();
    return stopping_;
  }

  void ReopenFile() {
    std::string error;
    if (shared_->file->Reopen(&error)) return;
    LogEvent(Level::kError, "access_log_reopen_failed", {{"error", error}});
  }

  // Writes `lines_`; waits as long as the file takes nothing and nobody wants to stop.
  void WriteLines() {
    std::string_view rest = lines_;
    for (;;) {
      const LogFile::Written written = shared_->file->Write(rest);
      rest.remove_prefix(written.count);
      if (written.status == LogFile::Status::kWouldBlock) {
        if (WaitForRoom(rest)) continue;
        return Drop(rest);
      }
      if (written.status == LogFile::Status::kWritten) {
        failing_ = false;
        return;
      }
      if (!std::exchange(failing_, true)) {  // once, not for every line
        LogEvent(Level::kError, "access_log_write_failed",
                 {{"path", shared_->options.path}, {"error", std::strerror(written.error)}});
      }
      return Drop(rest);
    }
  }

  // True when it is worth trying again; false when the thread shall end.
  bool WaitForRoom(std::string_view& rest) {
    if (stopping_) return false;
    pollfd ready[2] = {{shared_->file->fd(), POLLOUT, 0}, {shared_->wake_fd, POLLIN, 0}};
    while (poll(ready, 2, -1) < 0 && errno == EINTR) {
    }
    if (ready[1].revents == 0) return true;
    ClearWake();
    woken_ = true;  // for other orders, too, which the next round takes
    bool reopen;
    {
      const std::lock_guard lock(shared_->mutex);
      stopping_ = shared_->stop;
      reopen = std::exchange(shared_->reopen, false);
    }
    if (stopping_) return false;
    if (reopen) {
      // The new file must not begin with the second half of a line.
      if (shared_->file->inside_line()) {
        const std::string_view begun = rest.substr(0, rest.find('\n') + 1);
        Drop(begun);
        rest.remove_prefix(begun.size());
      }
      ReopenFile();
    }
    return true;
  }

  void Drop(std::string_view lines) {
    shared_->file->AbandonLine();
    const auto count = std::count(lines.begin(), lines.end(), '\n');
    WithOwner([&] { shared_->dropped.Add(count); });
  }

  template <typename Action>
  void WithOwner(Action&& action) {
    const std::lock_guard lock(shared_->owner_mutex);
    if (!shared_->left_behind) action();
  }

  // Until a producer has a line or somebody an order.
  void Sleep() {
    shared_->asleep.store(true);
    const bool all_empty = std::all_of(channels_.begin(), channels_.end(),
                                       [](Channel* channel) { return channel->ring_.empty(); });
    if (all_empty) Wait(std::chrono::milliseconds(-1));
    shared_->asleep.store(false);
  }

  // Until it is woken or `time` has passed; for ever when it is negative.
  void Wait(std::chrono::milliseconds time) {
    pollfd woken = {shared_->wake_fd, POLLIN, 0};
    if (poll(&woken, 1, static_cast<int>(time.count())) > 0) ClearWake();
  }

  void ClearWake() {
    uint64_t count;
    [[maybe_unused]] const ssize_t cleared = read(shared_->wake_fd, &count, sizeof(count));
  }

  const std::shared_ptr<Shared> shared_;
  std::vector<Channel*> channels_;
  std::vector<std::function<void()>> flushes_;
  std::string lines_;  // taken from one ring, being written
  bool failing_ = false;
  bool woken_ = false;  // while writing: take orders before the next wait
  bool stopping_ = false;
};

bool AsyncLogWriter::Channel::Write(std::string_view line) {
  const bool fits = ring_.TryPush(line);
  if (!fits) dropped_.Add();
  const bool half_full = ring_.used() > ring_.capacity() / 2;
  const bool newly_half_full = half_full && !told_half_full_;
  told_half_full_ = half_full;
  // Sequentially consistent after TryPush, see LineRing::empty.
  const bool asleep = shared_.asleep.load() && shared_.asleep.exchange(false);
  if (asleep || newly_half_full) shared_.Wake();
  return fits;
}

std::unique_ptr<AsyncLogWriter> AsyncLogWriter::Start(const Options& options, MetricCell& dropped,
                                                      std::string* error) {
  std::unique_ptr<LogFile> file = LogFile::Open(options.path, error);
  if (!file) return nullptr;
  const int event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (event_fd < 0) {
    *error = std::string("cannot create an eventfd: ") + std::strerror(errno);
    return nullptr;
  }
  return std::unique_ptr<AsyncLogWriter>(
      new AsyncLogWriter(std::make_shared<Shared>(options, std::move(file), event_fd, dropped)));
}

AsyncLogWriter::AsyncLogWriter(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {
  // Signals are the control thread's; SIGPIPE from a pipe without a reader must not end the
  // process.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([writer = Writer(shared_)]() mutable { writer.Run(); });
  pthread_setname_np(thread_.native_handle(), "access-log");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

AsyncLogWriter::~AsyncLogWriter() {
  std::unique_lock lock(shared_->mutex);
  shared_->stop = true;
  shared_->Wake();
  const bool ended = shared_->end.wait_for(lock, kStopPatience, [&] { return shared_->ended; });
  lock.unlock();
  if (ended) {
    thread_.join();
    return;
  }
  const std::lock_guard owner_lock(shared_->owner_mutex);
  shared_->left_behind = true;
  thread_.detach();
}

AsyncLogWriter::Channel& AsyncLogWriter::AddChannel(MetricCell& dropped) {
  const std::lock_guard lock(shared_->mutex);
  shared_->channels.push_back(
      std::unique_ptr<Channel>(new Channel(*shared_, shared_->options.ring_bytes, dropped)));
  // It must be among those that the thread looks at before it falls asleep.
  shared_->Wake();
  return *shared_->channels.back();
}

void AsyncLogWriter::Flush(std::function<void()> done) {
  const std::lock_guard lock(shared_->mutex);
  shared_->flushes.push_back(std::move(done));
  shared_->Wake();
}

bool AsyncLogWriter::FlushAndWait(Duration timeout) {
  auto flushed = std::make_shared<std::promise<void>>();
  std::future<void> wait = flushed->get_future();
  Flush([flushed] { flushed->set_value(); });
  return wait.wait_for(timeout) == std::future_status::ready;
}

void AsyncLogWriter::Reopen() {
  const std::lock_guard lock(shared_->mutex);
  shared_->reopen = true;
  shared_->Wake();
}

}  // namespace sluice
