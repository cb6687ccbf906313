#include "net/file_watcher.h"

#include <sys/stat.h>
#include <uv.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

namespace sluice {
namespace {

constexpr Duration kSlowLook = std::chrono::seconds(5);

}  // namespace

struct FileWatcher::Watch {
  uv_fs_event_t event{};
  FileWatcher* owner;
};

FileWatcher::FileWatcher(UvLoop& loop, const std::string& path, Duration debounce,
                         std::function<void()> changed)
    : loop_(loop),
      path_(std::filesystem::absolute(path)),
      debounce_(debounce),
      changed_(std::move(changed)),
      timer_(loop.timers(), Delegate::Bind<&FileWatcher::OnTimer>(this)),
      seen_(Look()),
      told_(seen_) {
  Begin();
  timer_.Set(loop_.Now() + kSlowLook);
}

FileWatcher::~FileWatcher() { End(); }

FileWatcher::Stamp FileWatcher::Look() const {
  struct stat status {};
  if (stat(path_.c_str(), &status) != 0) return {};
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec,
          status.st_mtim.tv_nsec};
}

void FileWatcher::Begin() {
  watch_ = new Watch;
  watch_->owner = this;
  watch_->event.data = watch_;
  uv_fs_event_init(loop_.uv(), &watch_->event);
  // Where it fails (no directory, too many watches), the slow look has to do.
  uv_fs_event_start(
      &watch_->event,
      [](uv_fs_event_t* event, const char*, int, int) {
        FileWatcher* const self = static_cast<Watch*>(event->data)->owner;
        if (self == nullptr) return;
        UvLoop::Dispatch dispatch(self->loop_);
        self->OnEvent();
      },
      std::filesystem::path(path_).parent_path().c_str(), 0);
}

void FileWatcher::End() {
  watch_->owner = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&watch_->event),
           [](uv_handle_t* handle) { delete static_cast<Watch*>(handle->data); });
}

// Whatever happens in the directory; a log that is written there does so all the time, and must not
// put the look off.
void FileWatcher::OnEvent() {
  const TimePoint due = loop_.Now() + debounce_;
  if (due < timer_.deadline()) timer_.Set(due);
}

void FileWatcher::OnTimer() {
  timer_.Set(loop_.Now() + kSlowLook);
  const Stamp now = Look();
  if (std::exchange(seen_, now) != now) {
    timer_.Set(loop_.Now() + debounce_);  // it may not be whole yet
    return;
  }
  if (now == told_) return;
  told_ = now;
  // The directory may be another one, too.
  End();
  Begin();
  changed_();
}

}  // namespace sluice
