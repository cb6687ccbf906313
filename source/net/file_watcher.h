// Hears when a file has changed: written in place, replaced by a rename, or because a symbolic link
// on the way to it leads elsewhere now (Kubernetes swaps `..data`).
//
// A watch on the file itself would be lost when it is replaced, so its directory is watched, and
// what happens there is only a reason to look at the file. A slow look now and then finds what a
// watch does not see: a directory that is replaced, a link in another one, a network file system.
//
// One thread, that of the loop.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "base/timer_queue.h"
#include "net/uv_loop.h"

namespace sluice {

class FileWatcher {
 public:
  // `changed` is called on the loop when the file is another one, or has another content or time,
  // than when it was last called, or here, and has stood still for `debounce`. `loop` must outlive
  // the watcher, and run once more after it. The watcher must not be destroyed inside.
  FileWatcher(UvLoop& loop, const std::string& path, Duration debounce,
              std::function<void()> changed);
  ~FileWatcher();
  FileWatcher(const FileWatcher&) = delete;

 private:
  struct Watch;
  struct Stamp {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    int64_t seconds = 0;
    int64_t nanoseconds = 0;
    bool operator==(const Stamp&) const = default;
  };

  Stamp Look() const;
  void Begin();
  void End();
  void OnEvent();
  void OnTimer();

  UvLoop& loop_;
  const std::string path_;
  const Duration debounce_;
  const std::function<void()> changed_;
  Watch* watch_ = nullptr;  // libuv's, which outlives us until libuv has let go of it
  Timer timer_;
  Stamp seen_;  // at the last look
  Stamp told_;
};

}  // namespace sluice
