// A TCP or Unix stream socket as a Transport.
//
// Writes of a dispatch are gathered as lent slices and leave in one sendmsg at its end; only what
// the kernel does not take is copied. An idle transport holds no buffer.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "net/fd.h"
#include "net/fd_watcher.h"
#include "net/uv_loop.h"
#include "sluice/transport.h"

namespace sluice {

class SocketTransport final : public Transport, private FdEvents, private Flushable {
 public:
  // Takes a connected, non-blocking socket. `peer` is its far address as text.
  SocketTransport(UvLoop& loop, Fd fd, std::string peer);
  ~SocketTransport() override;

  void SetEvents(TransportEvents* events) override;
  void Write(std::string_view bytes) override;
  void FlushNow() override;
  size_t queued_bytes() const override;
  size_t untaken_bytes() const override;
  void ShutdownWrite() override;
  void Close() override;
  void Reset() override;
  void PauseReading() override;
  void ResumeReading() override;
  void WatchForReset() override;
  bool HasUnreadInput() override;
  std::optional<FrozenTransport> Freeze() override;
  void Thaw() override;
  std::string PeerAddress() const override { return peer_; }
  std::string LocalAddress() const override;

 private:
  // Of one direction. The write side is shutting while bytes are still queued.
  enum class Side : uint8_t { kOpen, kShutting, kShut };

  // What the owner is waiting to hear by OnWritable.
  enum class Promise : uint8_t { kNothing, kEmpty, kLowWatermark };

  void OnReady(Readiness ready) override;
  void Flush() override;

  bool closed() const { return !fd_.valid(); }
  void Read();
  void Send();
  void AfterSend();
  void FailWrite(int error);
  void Fail(int error);
  void Release();
  void UpdateInterest();

  UvLoop& loop_;
  Fd fd_;
  std::string peer_;
  std::optional<FdWatcher> watcher_;
  TransportEvents* events_ = nullptr;
  std::unique_ptr<OutputQueue> output_;  // only while there is something in it
  int write_error_ = 0;  // the write side is broken; the read side may have something to say yet
  Side read_side_ = Side::kOpen;
  Side write_side_ = Side::kOpen;
  Promise promise_ = Promise::kNothing;
  bool reading_paused_ = false;
  bool tells_reset_ = false;
  bool frozen_ = false;
};

}  // namespace sluice
