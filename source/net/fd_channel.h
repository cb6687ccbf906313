// A Unix stream socket between two processes that carries frames, each with some bytes and some
// file descriptors. What comes from the other side is bounded and checked; it may be anything.
//
//   frame: u32 length of the payload, u16 type, u16 number of descriptors, payload
//
// The descriptors of a frame are sent with its first byte (SCM_RIGHTS), of which the kernel takes
// 253 at a time. One loop thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/fd.h"
#include "net/fd_watcher.h"
#include "net/uv_loop.h"

namespace sluice {

class FdChannel final : public Deferred, private FdEvents, private Flushable {
 public:
  static constexpr size_t kMaxPayload = 1024 * 1024;
  static constexpr size_t kMaxFds = 253;

  struct Frame {
    uint16_t type = 0;
    std::string payload;
    std::vector<Fd> fds;
  };

  class Events {
   public:
    // May close or destroy the channel by way of Loop::DeleteLater.
    virtual void OnFrame(Frame frame) = 0;
    // The other side has left, or is not to be understood: `why` is for people. The channel is
    // closed; what it had taken to send is lost.
    virtual void OnChannelClosed(const std::string& why) = 0;

   protected:
    ~Events() = default;
  };

  // Takes a connected Unix stream socket. `events` must outlive the channel.
  FdChannel(UvLoop& loop, Fd fd, Events& events);
  ~FdChannel() override;

  // Two ends that are connected; the second is to be inherited by another program (not
  // close-on-exec). Invalid ones, with errno, when there are no descriptors left.
  static std::pair<Fd, Fd> MakePair();

  // A frame without descriptors as bytes, for who has no loop.
  static std::string Encode(uint16_t type, std::string_view payload);

  // Sends a frame, now or when there is room. At most kMaxPayload bytes and kMaxFds descriptors,
  // which stay the caller's. Nothing is sent on a closed channel.
  void Send(uint16_t type, std::string_view payload, const std::vector<int>& fds = {});

  // Bytes that were taken by Send and not by the kernel.
  size_t queued_bytes() const { return queued_bytes_; }

  // Waits until everything has left, for at most `bound`: the process is about to end.
  void SendAll(Duration bound);

  // Silently: no event follows.
  void Close();
  bool closed() const { return !fd_.valid(); }

  // Of the process on the other side (SO_PEERCRED): when it connected, or made the pair.
  struct Peer {
    uint32_t uid = 0;
    int pid = 0;
  };
  std::optional<Peer> peer() const;

 private:
  struct Outgoing {
    std::string bytes;
    size_t sent = 0;
    std::vector<Fd> fds;
  };

  void OnReady(Readiness ready) override;
  void Flush() override;
  void Read();
  bool ReadSome();
  void TakeFrames();
  void Write();
  void Fail(const std::string& why);

  UvLoop& loop_;
  Fd fd_;
  Events& events_;
  std::optional<FdWatcher> watcher_;
  std::string input_;
  std::deque<Fd> input_fds_;
  std::deque<Outgoing> output_;
  size_t queued_bytes_ = 0;
  std::string failure_;  // told at the end of the dispatch
};

}  // namespace sluice
