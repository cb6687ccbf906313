// A connected byte stream: Tcp (and Unix) in net/socket_transport.h, Tls on top of one, Pipe in
// memory for tests. One loop thread only.
//
//   Open --ShutdownWrite--> write side shut --Close--> closed
//     \-----------Close / Reset / OnError ------------> closed
//
// Back-pressure: a writer looks at queued_bytes() and, above kHighWatermark, stops its source; it
// is told by OnWritable when the queue has fallen to kLowWatermark. A reader that must wait calls
// PauseReading, and the peer is held back by the kernel's window.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sluice/loop.h"
#include "sluice/result.h"
#include "sluice/tls_info.h"

namespace sluice {

// What a transport tells its owner. Every call may close the transport, and may destroy the owner
// by way of Loop::DeleteLater.
class TransportEvents {
 public:
  // `bytes` is lent until the end of the current dispatch: Transport::Write may pass slices of it
  // on, anything kept for longer is copied. Never empty.
  virtual void OnData(std::string_view bytes) = 0;

  // A transport that was not ready() is now: its TLS handshake is over and tls() says how.
  virtual void OnReady() {}

  // The peer half-closed: no more data will come, ours may still be written.
  virtual void OnEof() = 0;

  // The queue had reached kHighWatermark and has fallen to kLowWatermark; or bytes that had to wait
  // for the peer beyond the dispatch they were written in have all left, and the queue is empty.
  virtual void OnWritable() = 0;

  // After ShutdownWrite: everything queued has left and our side is half-closed. Not called from
  // inside ShutdownWrite.
  virtual void OnWriteShut() {}

  // The connection is broken (reset, timed out, unreachable): it is closed already, and what was
  // queued is lost. `error` is a positive errno value.
  virtual void OnError(int error) = 0;

 protected:
  ~TransportEvents() = default;
};

// What another process needs to go on with a connection.
struct FrozenTransport {
  int descriptor = -1;  // stays the transport's
  std::string unsent;   // accepted by Write, not taken by the kernel
};

class Transport : public Deferred {
 public:
  static constexpr size_t kHighWatermark = 256 * 1024;
  static constexpr size_t kLowWatermark = 64 * 1024;

  // Starts delivering to `events`, which must outlive the transport or replace itself before it
  // dies. Nothing is read before the first call.
  virtual void SetEvents(TransportEvents* events) = 0;

  // False while a TLS handshake goes on: nothing may be written, no data comes, and OnReady or
  // OnError ends it.
  virtual bool ready() const { return true; }

  // Null on a cleartext transport, and before it is ready.
  virtual const TlsInfo* tls() const { return nullptr; }

  // Writes `bytes`, which the caller lends until the end of the current dispatch (a slice of
  // OnData's bytes, Loop::Scratch, or a constant). All writes of a dispatch leave in one system
  // call; what the kernel does not take is copied and written when it does. Ignored once the write
  // side is shut or the transport is closed.
  virtual void Write(std::string_view bytes) = 0;

  // Performs the gathered writes now instead of at the end of the dispatch, so that queued_bytes()
  // tells whether the kernel took them; nothing that was lent is referred to after it. Calls no
  // event: what there is to tell is told at the end of the dispatch.
  virtual void FlushNow() = 0;

  // Bytes accepted by Write and not yet taken by the kernel.
  virtual size_t queued_bytes() const = 0;

  // queued_bytes() and what the kernel holds that the peer has not taken yet: whether a slow reader
  // moves at all shows here first, because the kernel's buffer alone may hold megabytes. One system
  // call.
  virtual size_t untaken_bytes() const { return queued_bytes(); }

  // Half-closes after everything queued was written (TLS: close_notify before it). Reading goes on.
  virtual void ShutdownWrite() = 0;

  // Closes at once; what is queued is lost. No event follows, not even from the same dispatch.
  virtual void Close() = 0;

  // As Close, but so that the peer sees an error rather than an orderly end (RST): for a body whose
  // end is the end of the connection and which must not look complete.
  virtual void Reset() = 0;

  // A reader that was paused may still be given OnError; data and OnEof wait for ResumeReading.
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;

  // From now on a reset by the peer is told at once, also while reading is paused and after OnEof;
  // what the peer sent before it, and was not delivered, is lost. For a peer whose words are worth
  // nothing once it is gone: a client.
  virtual void WatchForReset() {}

  // True when the peer has sent data or an end that was not delivered yet: the last look before an
  // idle connection is half-closed or reused. One system call.
  virtual bool HasUnreadInput() = 0;

  // Stands still: what was written is given to the kernel as far as it goes, and from then on
  // nothing is read or sent and no event comes, until Thaw or Close. Nothing where there is no
  // descriptor that another process could go on with (TLS), or an end or an error was seen.
  virtual std::optional<FrozenTransport> Freeze() { return std::nullopt; }
  virtual void Thaw() {}

  // "127.0.0.1:41234", "[::1]:80" or "unix:/path"; for people and for X-Forwarded-For.
  virtual std::string PeerAddress() const = 0;
  virtual std::string LocalAddress() const = 0;

  bool congested() const { return queued_bytes() >= kHighWatermark; }
};

// Opens connections to upstream endpoints: SocketDialer, or a fake that hands out pipes.
class Dialer {
 public:
  virtual ~Dialer() = default;

  // An attempt under way; destroying it gives the attempt up.
  class Attempt {
   public:
    virtual ~Attempt() = default;
  };

  // Calls `done` exactly once, never from inside Dial, with the connected transport, which is
  // ready(), or with a positive errno value; not after the attempt was destroyed. `address` is as
  // in the configuration ("host:port" with a numeric host, "[v6]:port", "unix:/path"). The caller
  // bounds the wait.
  using Done = std::function<void(std::unique_ptr<Transport> transport, int error)>;
  virtual std::unique_ptr<Attempt> Dial(const std::string& address, Done done) = 0;
};

}  // namespace sluice
