#include "net/socket_dialer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "net/fd.h"
#include "net/fd_watcher.h"
#include "net/socket_address.h"
#include "net/socket_transport.h"

namespace sluice {
namespace {

class SocketAttempt final : public Dialer::Attempt, private FdEvents {
 public:
  SocketAttempt(UvLoop& loop, std::string address, Dialer::Done done)
      : loop_(loop),
        address_(std::move(address)),
        done_(std::move(done)),
        give_up_(loop.timers(), Delegate::Bind<&SocketAttempt::TellError>(this)) {
    error_ = Start();
    if (error_ == 0) {
      watcher_.emplace(loop_, fd_.get(), static_cast<FdEvents&>(*this));
      watcher_->Want({.write = true});
    } else {
      give_up_.Set(loop_.Now());  // told from the loop, never from inside Dial
    }
  }

  ~SocketAttempt() override { watcher_.reset(); }

 private:
  // 0 when the connection is made or under way.
  int Start() {
    const Result<SocketAddress> address = SocketAddress::Parse(address_);
    if (!address) return EINVAL;
    fd_ = Fd(socket(address->family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd_.valid()) return errno;
    if (!address->is_unix()) {
      const int on = 1;
      setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    if (connect(fd_.get(), address->data(), address->length()) == 0) return 0;
    return errno == EINPROGRESS ? 0 : errno;
  }

  void OnReady(Readiness) override {
    socklen_t length = sizeof(error_);
    if (getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error_, &length) != 0) error_ = errno;
    watcher_.reset();
    if (error_ != 0) {
      TellError();
      return;
    }
    auto done = std::move(done_);  // `this` may be destroyed by it
    done(std::make_unique<SocketTransport>(loop_, std::move(fd_), address_), 0);
  }

  void TellError() {
    auto done = std::move(done_);
    done(nullptr, error_);
  }

  UvLoop& loop_;
  std::string address_;
  Dialer::Done done_;
  Timer give_up_;
  Fd fd_;
  std::optional<FdWatcher> watcher_;
  int error_ = 0;
};

}  // namespace

std::unique_ptr<Dialer::Attempt> SocketDialer::Dial(const std::string& address, Done done) {
  return std::make_unique<SocketAttempt>(loop_, address, std::move(done));
}

}  // namespace sluice
