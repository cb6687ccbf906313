// Writes the lines of many threads to one log file from a thread of its own, so that no worker ever
// waits for a disk or for the reader of a pipe.
//
//   worker -> Channel (a LineRing) -.
//   worker -> Channel (a LineRing) -+-> writer thread -> LogFile
//
// While lines come in, the thread wakes once in a flush interval, or when a ring is half full.
// While none come in it sleeps, without polling, until the first line wakes it. A file that takes
// nothing (a pipe that nobody reads) fills the rings; lines that then find no room are dropped and
// counted in the channel's cell. Lines that the file refuses (disk full, reader gone) are dropped
// and counted in the writer's own cell.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/line_ring.h"
#include "base/metrics.h"
#include "base/time.h"

namespace sluice {

class AsyncLogWriter {
 public:
  struct Options {
    std::string path = "stdout";  // "stdout", "stderr" or a file
    size_t ring_bytes = 1 << 20;  // of each channel; the longest line that can be written
    Duration flush_interval = std::chrono::milliseconds(100);
  };

 private:
  struct Shared;

 public:
  // One thread's way to the log. Must not be used after its writer was destroyed.
  class Channel {
   public:
    // Queues `line`, which ends in '\n'; copies it. Never blocks; false when it was dropped.
    bool Write(std::string_view line);

   private:
    friend class AsyncLogWriter;
    Channel(Shared& shared, size_t ring_bytes, MetricCell& dropped)
        : shared_(shared), ring_(ring_bytes), dropped_(dropped) {}

    Shared& shared_;
    LineRing ring_;
    MetricCell& dropped_;
    bool told_half_full_ = false;
  };

  // Opens the file and starts the thread. Null when that fails: `error` says why. `dropped` counts
  // the lines that the file refused. It outlives the writer, and no other thread writes to it: take
  // it from a shard of its own.
  static std::unique_ptr<AsyncLogWriter> Start(const Options& options, MetricCell& dropped,
                                               std::string* error);

  // Writes what can be written without waiting and ends the thread. Returns within half a second
  // even when the file hangs in the kernel: the thread is then left behind with what it needs.
  ~AsyncLogWriter();
  AsyncLogWriter(const AsyncLogWriter&) = delete;
  AsyncLogWriter& operator=(const AsyncLogWriter&) = delete;

  // A channel that lives as long as the writer, for one thread at a time; `dropped` is that
  // thread's. Any thread may call this.
  Channel& AddChannel(MetricCell& dropped);

  // Calls `done`, on the writer's thread, when every line queued before this call has been written
  // or dropped; at the latest from the destructor. Not at all once a hanging thread was left
  // behind.
  void Flush(std::function<void()> done);

  // As above, waiting for at most `timeout`; false when it passed.
  bool FlushAndWait(Duration timeout);

  // Opens the path again, after a rotation (SIGUSR1); soon, on the writer's thread. On failure the
  // old file stays in use, and the process's log says why.
  void Reopen();

 private:
  class Writer;

  explicit AsyncLogWriter(std::shared_ptr<Shared> shared);

  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace sluice
