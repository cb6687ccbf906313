#include "net/fd_channel.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/wire.h"

namespace sluice {
namespace {

constexpr size_t kHeader = 8;
constexpr size_t kReadSize = 64 * 1024;
// A turn of the loop reads no more, so that a peer that floods us does not hold it up.
constexpr int kReadsPerTurn = 16;

std::string EncodeFrame(uint16_t type, std::string_view payload, size_t fd_count) {
  WireWriter header;
  header.Number(static_cast<uint32_t>(payload.size()));
  header.Number(type);
  header.Number(static_cast<uint16_t>(fd_count));
  return header.Take().append(payload);
}

}  // namespace

FdChannel::FdChannel(UvLoop& loop, Fd fd, Events& events)
    : loop_(loop), fd_(std::move(fd)), events_(events) {
  fcntl(fd_.get(), F_SETFL, fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
  fcntl(fd_.get(), F_SETFD, FD_CLOEXEC);
  watcher_.emplace(loop_, fd_.get(), static_cast<FdEvents&>(*this));
  watcher_->Want({.read = true});
}

FdChannel::~FdChannel() { Close(); }

std::pair<Fd, Fd> FdChannel::MakePair() {
  int ends[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return {};
  fcntl(ends[1], F_SETFD, 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

std::optional<FdChannel::Peer> FdChannel::peer() const {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (getsockopt(fd_.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  return Peer{credentials.uid, credentials.pid};
}

void FdChannel::Close() {
  Unlink();
  watcher_.reset();
  fd_.Close();
  output_.clear();
  queued_bytes_ = 0;
  input_fds_.clear();
}

std::string FdChannel::Encode(uint16_t type, std::string_view payload) {
  return EncodeFrame(type, payload, 0);
}

void FdChannel::Send(uint16_t type, std::string_view payload, const std::vector<int>& fds) {
  if (closed() || !failure_.empty()) return;
  Outgoing outgoing{.bytes = EncodeFrame(type, payload, fds.size()), .fds = {}};
  for (const int fd : fds) {
    // The caller may close its own before there is room.
    outgoing.fds.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (outgoing.fds.back().valid()) continue;
    Fail(std::string("out of file descriptors: ") + std::strerror(errno));
    return;
  }
  queued_bytes_ += outgoing.bytes.size();
  output_.push_back(std::move(outgoing));
  Write();
}

void FdChannel::Write() {
  while (!output_.empty()) {
    Outgoing& next = output_.front();
    iovec slice{next.bytes.data() + next.sent, next.bytes.size() - next.sent};
    msghdr message{};
    message.msg_iov = &slice;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control;
    if (!next.fds.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(next.fds.size() * sizeof(int));
      cmsghdr* const rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(next.fds.size() * sizeof(int));
      for (size_t i = 0; i < next.fds.size(); ++i) {
        const int fd = next.fds[i].get();
        std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &fd, sizeof(int));
      }
    }
    const ssize_t sent = sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) return Fail(std::string("cannot send: ") + std::strerror(errno));
    next.fds.clear();  // they left with the first byte
    next.sent += static_cast<size_t>(sent);
    queued_bytes_ -= static_cast<size_t>(sent);
    if (next.sent == next.bytes.size()) output_.pop_front();
  }
  watcher_->Want({.read = true, .write = !output_.empty()});
}

void FdChannel::SendAll(Duration bound) {
  if (closed() || !failure_.empty()) return;
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(bound).count();
  const timeval timeout{us / 1'000'000, us % 1'000'000};
  setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  const int flags = fcntl(fd_.get(), F_GETFL);
  fcntl(fd_.get(), F_SETFL, flags & ~O_NONBLOCK);
  Write();
  fcntl(fd_.get(), F_SETFL, flags);
}

void FdChannel::OnReady(Readiness ready) {
  if (ready.read) Read();
  // What a frame set off may have closed the channel.
  if (ready.write && !closed() && failure_.empty()) Write();
}

void FdChannel::Read() {
  for (int i = 0; i < kReadsPerTurn && !closed() && failure_.empty(); ++i) {
    if (!ReadSome()) return;
    TakeFrames();
  }
}

bool FdChannel::ReadSome() {
  iovec slice{loop_.read_buffer(), kReadSize};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control;
  msghdr message{};
  message.msg_iov = &slice;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t count = recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC);
  if (count < 0) {
    if (errno != EAGAIN && errno != EINTR) {
      Fail(std::string("cannot receive: ") + std::strerror(errno));
    }
    return false;
  }
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; at + sizeof(int) <= part->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + at, sizeof(int));
      input_fds_.emplace_back(fd);
    }
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    Fail("file descriptors were lost: the limit on open files is too low");
    return false;
  }
  if (count == 0) {
    Fail("the other process has left");
    return false;
  }
  input_.append(loop_.read_buffer(), static_cast<size_t>(count));
  return true;
}

void FdChannel::TakeFrames() {
  size_t taken = 0;
  while (!closed() && failure_.empty() && input_.size() - taken >= kHeader) {
    WireReader header(std::string_view(input_).substr(taken, kHeader));
    const auto length = header.Number<uint32_t>();
    const auto type = header.Number<uint16_t>();
    const auto fd_count = header.Number<uint16_t>();
    if (length > kMaxPayload || fd_count > kMaxFds) {
      Fail("the other process does not keep to the protocol: a frame is too large");
      return;
    }
    if (input_.size() - taken < kHeader + length) break;
    if (fd_count > input_fds_.size()) {
      Fail("the other process does not keep to the protocol: descriptors are missing");
      return;
    }
    Frame frame{type, input_.substr(taken + kHeader, length), {}};
    for (uint16_t i = 0; i < fd_count; ++i) {
      frame.fds.push_back(std::move(input_fds_.front()));
      input_fds_.pop_front();
    }
    taken += kHeader + length;
    events_.OnFrame(std::move(frame));
  }
  input_.erase(0, taken);
  // They come with a frame that needs them: more than one frame's are nobody's.
  if (input_fds_.size() > kMaxFds) {
    Fail("the other process does not keep to the protocol: too many descriptors");
  }
}

// Told later: the caller may be in the middle of sending.
void FdChannel::Fail(const std::string& why) {
  if (!failure_.empty()) return;
  failure_ = why;
  watcher_->Want({});
  loop_.FlushLater(*this);
}

void FdChannel::Flush() {
  const std::string why = failure_;
  Close();
  events_.OnChannelClosed(why);
}

}  // namespace sluice
