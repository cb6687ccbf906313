// Where log lines go: a file, a FIFO, stdout or stderr. Never waits for its reader unless asked to:
// a pipe that nobody empties, a stopped terminal or a full disk must not stop the proxy.
//
// Not thread safe; its owner has one thread or a lock. The process ignores SIGPIPE, or the thread
// blocks it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace sluice {

class LogFile {
 public:
  // `path` is "stdout", "stderr" or a file, which is created when missing and appended to. Null
  // when it cannot be opened: `error` then says why.
  static std::unique_ptr<LogFile> Open(const std::string& path, std::string* error);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // Opens the path again, after a rotation. On failure the old file stays open. A standard stream
  // stays what it is.
  bool Reopen(std::string* error);

  enum class Status { kWritten, kWouldBlock, kFailed };
  struct Written {
    Status status;
    size_t count;  // of the bytes given, those that are written
    int error;     // errno value, when kFailed
  };

  // Writes as much of `lines`, each of which ends in '\n', as goes without waiting for a reader,
  // and so that a line of up to PIPE_BUF bytes does not mix with those of another process. Call
  // again with the rest; or give up what is left of a line that was begun, by AbandonLine.
  Written Write(std::string_view lines);

  // The next Write begins a new line.
  void AbandonLine() { owes_newline_ = inside_line_; }

  // For poll(2) with POLLOUT.
  int fd() const { return fd_; }
  bool is_terminal() const;
  // A line was written in part.
  bool inside_line() const { return inside_line_; }

 private:
  // A socket can be told not to block, call by call. Any other stream was inherited and is shared
  // with its other users, so O_NONBLOCK must not be set on it: it is asked first (poll) and given
  // no more than it then certainly takes (PIPE_BUF, pipe(7)).
  enum class Kind { kRegular, kSocket, kStream };

  LogFile(std::string path, int fd);
  void Adopt(int fd);
  ssize_t WriteOnce(std::string_view bytes) const;

  std::string path_;
  int fd_ = -1;
  Kind kind_ = Kind::kRegular;
  bool inside_line_ = false;
  bool owes_newline_ = false;
};

}  // namespace sluice
