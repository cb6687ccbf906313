#include "base/log_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

// The standard stream that `path` names, or -1.
int StandardStream(const std::string& path) {
  if (path == "stdout") return STDOUT_FILENO;
  if (path == "stderr") return STDERR_FILENO;
  return -1;
}

int OpenForAppend(const std::string& path, std::string* error) {
  // O_NONBLOCK: a FIFO that nobody reads must not hold up the start. It means nothing to a file.
  const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  const int fd = open(path.c_str(), flags, 0644);
  if (fd < 0) *error = "cannot open " + path + ": " + std::strerror(errno);
  return fd;
}

}  // namespace

LogFile::LogFile(std::string path, int fd) : path_(std::move(path)) { Adopt(fd); }

std::unique_ptr<LogFile> LogFile::Open(const std::string& path, std::string* error) {
  int fd = StandardStream(path);
  if (fd < 0) fd = OpenForAppend(path, error);
  if (fd < 0) return nullptr;
  return std::unique_ptr<LogFile>(new LogFile(path, fd));
}

LogFile::~LogFile() {
  if (StandardStream(path_) < 0) close(fd_);
}

bool LogFile::Reopen(std::string* error) {
  if (StandardStream(path_) >= 0) return true;
  const int fd = OpenForAppend(path_, error);
  if (fd < 0) return false;
  close(fd_);
  Adopt(fd);
  return true;
}

void LogFile::Adopt(int fd) {
  fd_ = fd;
  inside_line_ = owes_newline_ = false;
  struct stat status = {};
  if (fstat(fd, &status) != 0) return;
  kind_ = S_ISREG(status.st_mode)    ? Kind::kRegular
          : S_ISSOCK(status.st_mode) ? Kind::kSocket
                                     : Kind::kStream;
}

ssize_t LogFile::WriteOnce(std::string_view bytes) const {
  if (kind_ == Kind::kRegular) return write(fd_, bytes.data(), bytes.size());
  if (kind_ == Kind::kSocket) {
    return send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  pollfd ready = {fd_, POLLOUT, 0};
  if (poll(&ready, 1, 0) == 0) {
    errno = EAGAIN;
    return -1;
  }
  if (bytes.size() > PIPE_BUF) {
    bytes = bytes.substr(0, PIPE_BUF);
    const size_t last_end = bytes.rfind('\n');
    if (last_end != std::string_view::npos) bytes = bytes.substr(0, last_end + 1);
  }
  return write(fd_, bytes.data(), bytes.size());
}

LogFile::Written LogFile::Write(std::string_view lines) {
  size_t count = 0;
  while (owes_newline_ || count < lines.size()) {
    const std::string_view bytes = owes_newline_ ? "\n" : lines.substr(count);
    const ssize_t written = WriteOnce(bytes);
    if (written < 0) {
      if (errno == EINTR) continue;
      const bool would_block = errno == EAGAIN || errno == EWOULDBLOCK;
      return {would_block ? Status::kWouldBlock : Status::kFailed, count, errno};
    }
    if (written == 0) return {Status::kFailed, count, EIO};
    inside_line_ = bytes[static_cast<size_t>(written) - 1] != '\n';
    if (owes_newline_) {
      owes_newline_ = false;
    } else {
      count += static_cast<size_t>(written);
    }
  }
  return {Status::kWritten, count, 0};
}

bool LogFile::is_terminal() const { return isatty(fd_) == 1; }

}  // namespace sluice
