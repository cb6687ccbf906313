#include "lifecycle/signals.h"

#include <uv.h>

#include <csignal>
#include <string>
#include <utility>

namespace sluice {
namespace {

constexpr int kWatched[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP};

// Blocks or unblocks them in this thread.
void Mask(int how) {
  sigset_t watched;
  sigemptyset(&watched);
  for (const int number : kWatched) sigaddset(&watched, number);
  pthread_sigmask(how, &watched, nullptr);
}

}  // namespace

// libuv's part, which outlives Signals until libuv has let go of it.
struct Signals::Watch {
  uv_signal_t handle;

  void Close() {
    handle.data = this;
    uv_close(reinterpret_cast<uv_handle_t*>(&handle),
             [](uv_handle_t* closed) { delete static_cast<Watch*>(closed->data); });
  }
};

Signals::Signals(SignalCallbacks callbacks) : callbacks_(std::move(callbacks)) {}

Signals::~Signals() {
  // The process is about to end with the exit code of its drain, and one more signal, which libuv
  // would now leave to its default, must not kill it first. Every other thread that may still run
  // blocks them all.
  Mask(SIG_BLOCK);
  for (int i = 0; i < count_; ++i) watches_[i]->Close();
}

Result<std::unique_ptr<Signals>> Signals::Install(uv_loop_s* loop, SignalCallbacks callbacks) {
  std::signal(SIGPIPE, SIG_IGN);
  std::unique_ptr<Signals> signals(new Signals(std::move(callbacks)));
  for (const int number : kWatched) {
    if (auto added = signals->Add(loop, number); !added) return tl::unexpected(added.error());
  }
  Mask(SIG_UNBLOCK);  // a parent may have left them blocked
  return signals;
}

Result<void> Signals::Add(uv_loop_s* loop, int number) {
  auto watch = std::make_unique<Watch>();
  int error = uv_signal_init(loop, &watch->handle);
  if (error != 0) return Fail(std::string("cannot watch signals: ") + uv_strerror(error));
  Watch* const added = watch.release();
  watches_[count_++] = added;
  added->handle.data = this;
  error = uv_signal_start(
      &added->handle,
      [](uv_signal_t* handle, int signal_number) {
        static_cast<Signals*>(handle->data)->OnSignal(signal_number);
      },
      number);
  if (error != 0) return Fail(std::string("cannot watch signals: ") + uv_strerror(error));
  // Waiting for a signal is no reason for the loop to go on.
  uv_unref(reinterpret_cast<uv_handle_t*>(&added->handle));
  return {};
}

void Signals::OnSignal(int number) {
  switch (number) {
    case SIGTERM:
      callbacks_.stop(DrainTrigger::kSigterm);
      break;
    case SIGINT:
      callbacks_.stop(DrainTrigger::kSigint);
      break;
    case SIGUSR1:
      callbacks_.reopen_logs();
      break;
    case SIGUSR2:
      callbacks_.restart();
      break;
    default:
      callbacks_.reload();
      break;
  }
}

}  // namespace sluice
