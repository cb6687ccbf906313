#include "cli/init_process.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>

#include "lifecycle/exit_code.h"
#include "net/fd.h"

namespace sluice {
namespace {

constexpr int kForwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT};

// Where generations say who serves; $NOTIFY_SOCKET names it in the abstract namespace.
Fd BindNotifySocket() {
  Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socklen_t size = sizeof(sa_family_t);  // the kernel chooses a name
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return Fd();
  size = sizeof(address);
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  std::string name(address.sun_path, size - offsetof(sockaddr_un, sun_path));
  name[0] = '@';
  setenv("NOTIFY_SOCKET", name.c_str(), 1);
  return fd;
}

// The number behind "MAINPID=" in a notification; 0: it says nothing of the kind.
pid_t MainPidIn(std::string_view message) {
  constexpr std::string_view kKey = "MAINPID=";
  const size_t at = message.find(kKey);
  if (at == std::string_view::npos) return 0;
  pid_t pid = 0;
  const std::string_view number = message.substr(at + kKey.size());
  std::from_chars(number.data(), number.data() + number.size(), pid);
  return pid;
}

class Init {
 public:
  Init(pid_t child, Fd signals, Fd notifications)
      : main_(child), signals_(std::move(signals)), notifications_(std::move(notifications)) {}

  int Run() {
    while (Reap()) {
      pollfd ready[] = {{signals_.get(), POLLIN, 0}, {notifications_.get(), POLLIN, 0}};
      poll(ready, 2, -1);
      ReadNotifications();
      ForwardSignals();
    }
    return exit_code_;
  }

 private:
  // False once nobody is left.
  bool Reap() {
    for (;;) {
      int status = 0;
      const pid_t ended = waitpid(-1, &status, WNOHANG);
      if (ended < 0) return false;
      if (ended == 0) return true;
      ReadNotifications();  // it may have named its successor before it ended
      if (ended != main_) continue;
      exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
  }

  void ReadNotifications() {
    std::array<char, 4096> buffer;
    for (;;) {
      const ssize_t size = recv(notifications_.get(), buffer.data(), buffer.size(), 0);
      if (size < 0) return;
      const pid_t pid = MainPidIn({buffer.data(), static_cast<size_t>(size)});
      if (pid > 1) main_ = pid;
    }
  }

  void ForwardSignals() {
    signalfd_siginfo signal{};
    while (read(signals_.get(), &signal, sizeof(signal)) == sizeof(signal)) {
      if (signal.ssi_signo != SIGCHLD) kill(main_, static_cast<int>(signal.ssi_signo));
    }
  }

  pid_t main_;
  Fd signals_;
  Fd notifications_;
  int exit_code_ = kExitOk;
};

}  // namespace

bool IsInitProcess() { return getpid() == 1; }

int RunAsInit(const std::function<int()>& serve) {
  sigset_t watched;
  sigset_t before;
  sigemptyset(&watched);
  for (const int number : kForwarded) sigaddset(&watched, number);
  sigaddset(&watched, SIGCHLD);
  sigprocmask(SIG_BLOCK, &watched, &before);
  Fd notifications = BindNotifySocket();
  Fd signals(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!notifications.valid() || !signals.valid()) {
    sigprocmask(SIG_SETMASK, &before, nullptr);
    return serve();  // without hot restarts, as it would be anywhere
  }
  const pid_t child = fork();
  if (child <= 0) {  // the child; or there can be none
    sigprocmask(SIG_SETMASK, &before, nullptr);
    // Sockets that were passed to PID 1 are for whoever serves.
    if (std::getenv("LISTEN_PID") != nullptr) {
      setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
    }
    return serve();
  }
  return Init(child, std::move(signals), std::move(notifications)).Run();
}

}  // namespace sluice
