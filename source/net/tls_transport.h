// TLS over any other Transport.
//
//   kHandshake --done, OnReady--> kOpen --Close, Reset, OnError--> kClosed
//       \--failed--> kFailing --the alert has left, the peer closed--> OnError, kClosed
//
// OpenSSL reads from the span that the inner transport lends and writes into Loop::Scratch: it sees
// no socket, and there is no buffer between the two. What it decrypts is delivered from Scratch as
// well. Writes of a dispatch are gathered and encrypted at its end, small slices (a head and its
// body) together in records of up to 16 KiB; they then leave in the inner transport's one system
// call. An idle connection holds no buffer.
//
// The end of the stream is the peer's close_notify. Without it, its FIN is an error: anybody on the
// path could have sent it (RFC 8446 6.1), and a body that ends with the connection must not look
// complete.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/byte_queue.h"
#include "net/tls_bio.h"
#include "net/tls_client_context.h"
#include "net/tls_handshake.h"
#include "net/tls_record_writer.h"
#include "net/tls_server_context.h"
#include "sluice/loop.h"
#include "sluice/transport.h"

namespace sluice {

class TlsTransport final : public Transport, private TransportEvents, private Flushable {
 public:
  // The server's end. `loop` and `metrics` must outlive it.
  static std::unique_ptr<Transport> Accept(Loop& loop, std::unique_ptr<Transport> inner,
                                           std::shared_ptr<const TlsServerContext> context,
                                           TlsHandshakeMetrics& metrics);
  // The client's end; it begins the handshake with SetEvents. Sessions to resume come from `slot`
  // and go there.
  static std::unique_ptr<Transport> Connect(Loop& loop, std::unique_ptr<Transport> inner,
                                            std::shared_ptr<const TlsClientContext> context,
                                            std::shared_ptr<TlsSessionSlot> slot,
                                            TlsHandshakeMetrics& metrics);
  ~TlsTransport() override;

  void SetEvents(TransportEvents* events) override;
  bool ready() const override { return info_.has_value(); }
  const TlsInfo* tls() const override { return info_ ? &*info_ : nullptr; }
  void Write(std::string_view bytes) override;
  void FlushNow() override;
  size_t queued_bytes() const override;
  size_t untaken_bytes() const override;
  void ShutdownWrite() override;
  // Says close_notify if everything written has left; a peer then sees an orderly end.
  void Close() override;
  void Reset() override;
  void PauseReading() override;
  void ResumeReading() override;
  void WatchForReset() override { inner_->WatchForReset(); }
  bool HasUnreadInput() override;
  std::string PeerAddress() const override { return inner_->PeerAddress(); }
  std::string LocalAddress() const override { return inner_->LocalAddress(); }

 private:
  enum class State : uint8_t { kHandshake, kFailing, kOpen, kClosed };
  enum class Side : uint8_t { kOpen, kShutting, kShut };             // of one direction
  enum class Promise : uint8_t { kNothing, kEmpty, kLowWatermark };  // as in SocketTransport

  struct Parts {
    std::unique_ptr<Transport> inner;
    SslPtr ssl;
    std::shared_ptr<const void> context;  // kept, with what else the SSL refers to
    std::shared_ptr<TlsSessionSlot> slot;
  };
  TlsTransport(Loop& loop, Parts parts, TlsHandshakeMetrics& metrics);

  // TransportEvents, from the inner transport
  void OnData(std::string_view bytes) override;
  void OnEof() override;
  void OnWritable() override { TellWritable(); }
  void OnWriteShut() override;
  void OnError(int error) override;

  void Flush() override;

  bool AtClient() const { return SSL_is_server(ssl_.get()) == 0; }
  void Handshake();
  void HandshakeFailed(const TlsFailureCause& cause);
  void AnswerPlainHttp();
  void CountFailure(const TlsFailureCause& cause);
  void Consume(std::string_view ciphertext);
  void ReadPlaintext();
  void OnReadStopped(int result);
  void DrainKept();
  bool Encrypt();
  void SayCloseNotify();
  void TellWritable();
  void Fail(int error);
  void Release();

  Loop& loop_;
  std::unique_ptr<Transport> inner_;
  std::shared_ptr<const void> context_;
  std::shared_ptr<TlsSessionSlot> slot_;
  TlsBio bio_;
  SslPtr ssl_;
  TlsHandshakeMetrics& metrics_;
  TransportEvents* events_ = nullptr;
  std::optional<TlsInfo> info_;
  ByteQueue kept_;            // ciphertext, while reading is paused
  TlsRecordWriter gathered_;  // plaintext, lent until the end of the dispatch
  int write_error_ = 0;       // found where no event may be called
  State state_ = State::kHandshake;
  Side read_side_ = Side::kOpen;
  Side write_side_ = Side::kOpen;
  Promise promise_ = Promise::kNothing;
  bool heard_ = false;  // at least one byte
  bool paused_ = false;
  bool partial_seen_ = false;  // by HasUnreadInput: the record that has begun
};

}  // namespace sluice
