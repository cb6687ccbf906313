// One downstream connection, whatever it speaks: it owns the transport and the codec, keeps the
// time limits, and takes its part in a drain.
//
//   kHandshake -- TLS is ready --> kOpen
//
//            +------------------ BeginDrain while busy --------------+
//            v                                                       |
//   kOpen ------ BeginDrain while idle ---> kIdleGrace --request--> kOpen (told: the response
//   closes)
//     |                                        | grace over
//     |  Finish (codec)                        v
//     +-----------------> kFinishing <---------+
//     |                     | all written, half-closed
//     |                     v
//     |                  kLingering ---- the client closes, or the bound ----> kClosed
//     +---- Drop, error ------------------------------------------------------> kClosed
//
// Instead of being told, a connection may be let go into another process (Leave): as soon as it is
// at rest it is frozen there and thaws here or is forgotten. One that comes from another process
// begins frozen.
//
//   kOpen --Freeze--> kFrozen --Thaw--> kOpen (told)
//                        \----- OnMoved -----> kClosed
//
// Which protocol is spoken is known when TLS has agreed on it (ALPN), or, on cleartext, from the
// first bytes: HTTP/2 begins with a preface that no HTTP/1.1 request begins with (RFC 9113 3.3).
//
// kFinishing and kLingering read and discard, because a close with unread data makes the kernel
// send a reset, and a reset can destroy a response still on its way (RFC 9112 9.6).
#pragma once

#include <memory>
#include <optional>

#include "base/gate.h"
#include "base/intrusive_list.h"
#include "base/timer_queue.h"
#include "sluice/codec.h"
#include "sluice/moved_connection.h"
#include "sluice/transport.h"

namespace sluice {

class ConnectionManager;
struct ListenerContext;
struct MovedState;

struct ConnectionTag {};
struct SweepTag {};

class ServerConnection final : public Deferred,
                               public ListHook<ConnectionTag>,
                               public ListHook<SweepTag>,
                               private TransportEvents,
                               private CodecHost {
 public:
  // `manager` and `context` must outlive the connection. Call Start once it is registered.
  ServerConnection(ConnectionManager& manager, ListenerContext& context,
                   std::unique_ptr<Transport> transport);
  ~ServerConnection() override;

  void Start();

  // Tells the connection to go. `idle_grace_over` is when an idle one is closed.
  void BeginDrain(TimePoint idle_grace_over);

  // Ends everything now, politely: see ServerCodec::Cut. What then does not leave within the linger
  // bound is dropped.
  void Cut();

  // The same for those streams that `concerns` picks, and for the connection only where it carries
  // one at a time; `again`: see ServerCodec::CutStreams.
  void CutStreams(const StreamFilter& concerns, bool again);

  // In server_connection_move.cc.
  // It is to be moved instead of being told: the manager is asked to do so whenever the connection
  // comes to rest. False, and nothing is changed, where that is not possible.
  bool Leave();
  bool leaving() const { return leaving_; }
  // Leave is taken back.
  void Stay() { leaving_ = false; }
  bool at_rest() const { return open() && codec_->at_rest(); }
  // Freezes a connection that is leaving and says what it is; nothing when that is not possible
  // now.
  std::optional<MovedConnection> Freeze();
  // The other process does not go on with it, or does.
  void Thaw();
  void OnMoved();
  // Instead of Start, and before it is registered: goes on, in the next turn of the loop, with what
  // another process has frozen.
  Result<void> Adopt(const MovedState& state, TransportAdopter& adopter);

  const ListenerContext& context() const { return context_; }
  const ServerCodec& codec() const { return *codec_; }
  const DownstreamInfo& info() const { return info_; }

  bool cut() const { return cut_; }
  TimePoint accepted_at() const { return accepted_at_; }
  uint64_t requests() const { return requests_; }  // begun on it

  // For /connections: "handshake", "idle", "busy", "moving", "finishing", "lingering".
  std::string_view StateName() const;

 private:
  enum class State : uint8_t {
    kHandshake,
    kOpen,
    kIdleGrace,
    kFrozen,
    kFinishing,
    kLingering,
    kClosed,
  };

  // TransportEvents
  void OnData(std::string_view bytes) override;
  void OnReady() override;
  void OnEof() override;
  void OnWritable() override;
  void OnWriteShut() override;
  void OnError(int error) override;

  // CodecHost
  Loop& loop() override;
  Transport& transport() override { return *transport_; }
  const HttpOptions& options() const override;
  const DownstreamInfo& downstream() const override { return info_; }
  void OnStreamBegin(RequestRecord& record) override;
  void OnStreamEnd(const RequestHead& request, RequestRecord& record) override;
  void OnRequest(ServerStream& stream, bool end_stream) override;
  Result<void> AdoptTunnel(ServerStream& stream, const FrozenTunnel& tunnel,
                           TransportAdopter& adopter) override;
  void OnProgress(Expecting expecting) override;
  bool ShouldAdviseClose() override;
  void OnGoawaySent(std::string_view stage) override;
  void OnFlood(std::string_view kind) override;
  void Finish() override;
  void Drop(bool visibly_broken) override;

  void SpeakHttp1();
  void SpeakHttp2();
  void Sniff(std::string_view bytes);
  void EndSniffing();
  void OnFrozenTimer();
  void Resume();
  void GiveUp();
  bool open() const { return state_ == State::kOpen || state_ == State::kIdleGrace; }

  void OnTimer();
  void EndIdle();
  void OnFlushTimer();
  void Linger();
  Duration LimitFor(Expecting expecting) const;
  void Close();

  ConnectionManager& manager_;
  ListenerContext& context_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<ServerCodec> codec_;
  DownstreamInfo info_;
  Timer timer_;
  Gate::Pass pass_;
  TimePoint accepted_at_;
  TimePoint limit_ = kNever;  // of the wait in which another process has frozen it
  uint64_t requests_ = 0;
  size_t untaken_at_last_look_ = 0;
  State state_ = State::kOpen;
  Expecting expecting_ = Expecting::kNothing;
  bool sniffing_ = false;  // the first bytes will tell the protocol
  uint8_t sniffed_ = 0;    // bytes of HTTP/2's preface that came and were held back
  bool leaving_ = false;
  bool adopted_ = false;  // and not resumed yet
  bool draining_ = false;
  bool cut_ = false;
  bool eof_ = false;
  bool write_shut_ = false;
};

}  // namespace sluice
