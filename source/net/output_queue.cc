#include "net/output_queue.h"

#include <limits.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace sluice {
namespace {

// Bytes taken, or a negative errno value; 0 when the socket takes nothing now.
ssize_t SendVector(int fd, iovec* slices, size_t count) {
  msghdr message{};
  message.msg_iov = slices;
  message.msg_iovlen = std::min<size_t>(count, IOV_MAX);
  for (;;) {
    const ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    return -errno;
  }
}

}  // namespace

void OutputQueue::Add(std::string_view bytes) {
  if (bytes.empty()) return;
  if (!kept_.empty()) {  // it has to wait its turn anyway
    kept_.Append(bytes);
    return;
  }
  lent_bytes_ += bytes.size();
  if (!lent_.empty()) {
    iovec& last = lent_.back();
    if (static_cast<char*>(last.iov_base) + last.iov_len == bytes.data()) {
      last.iov_len += bytes.size();
      return;
    }
  }
  lent_.push_back({const_cast<char*>(bytes.data()), bytes.size()});
}

int OutputQueue::Send(int fd) {
  if (const int error = SendKept(fd)) return error;
  return SendLent(fd);
}

int OutputQueue::SendKept(int fd) {
  if (kept_.empty()) return 0;
  iovec slice{const_cast<char*>(kept_.view().data()), kept_.size()};
  const ssize_t sent = SendVector(fd, &slice, 1);
  if (sent < 0) return static_cast<int>(-sent);
  kept_.Consume(static_cast<size_t>(sent));
  return 0;
}

int OutputQueue::SendLent(int fd) {
  size_t next = 0;
  while (next < lent_.size()) {
    const ssize_t sent = SendVector(fd, lent_.data() + next, lent_.size() - next);
    if (sent < 0) return static_cast<int>(-sent);
    size_t taken = static_cast<size_t>(sent);
    while (next < lent_.size() && taken >= lent_[next].iov_len) taken -= lent_[next++].iov_len;
    if (next == lent_.size()) break;
    iovec& part = lent_[next];
    part.iov_base = static_cast<char*>(part.iov_base) + taken;
    part.iov_len -= taken;
    // Short: the socket is full, or the vector was longer than one call takes.
    if (next < IOV_MAX) break;
  }
  for (; next < lent_.size(); ++next) {
    kept_.Append({static_cast<const char*>(lent_[next].iov_base), lent_[next].iov_len});
  }
  lent_.clear();
  lent_bytes_ = 0;
  return 0;
}

void OutputQueue::Clear() {
  kept_.Clear();
  lent_.clear();
  lent_bytes_ = 0;
}

}  // namespace sluice
