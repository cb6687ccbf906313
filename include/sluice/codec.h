// The seam between a downstream connection and the protocol spoken on it: H1ServerCodec
// (http/h1_server_codec.h) or H2ServerCodec (http/h2_server_codec.h). The connection owns the
// transport, the limits in time and the place in a drain; the codec turns bytes into streams and
// back.
//
// One worker thread. The codec never deletes the connection; it asks its host.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "sluice/drainable.h"
#include "sluice/handler.h"
#include "sluice/loop.h"
#include "sluice/transport.h"

namespace sluice {

struct HttpOptions;  // http/http_options.h

// What the connection is waiting for; it decides which time limit runs.
enum class Expecting : uint8_t {
  kHandshake,      // TLS
  kNothing,        // the next move is ours or the upstream's
  kFirstRequest,   // accepted, not a byte yet
  kNextRequest,    // idle keep-alive
  kRequestHead,    // some bytes of a head are here
  kRequestBody,    // the client owes body bytes
  kResponseTaken,  // the client does not take what is queued for it
};

// A codec that stands still, for the process that goes on with its connection.
struct FrozenCodec {
  struct Tunnel {
    std::string request;  // EncodeRequestHead (http/moved_state.h)
    Duration age{};       // since the first byte of the request
    uint64_t bytes_in = 0;
    uint64_t bytes_out = 0;
    FrozenTunnel handled;
  };
  std::string input;             // was read, and nothing of it begun on
  uint64_t requests = 0;         // that came before, the tunnel's included
  std::optional<Tunnel> tunnel;  // a WebSocket
};

class CodecHost {
 public:
  virtual Loop& loop() = 0;
  virtual Transport& transport() = 0;
  virtual const HttpOptions& options() const = 0;
  virtual const DownstreamInfo& downstream() const = 0;

  // A request begins (first byte of its head) and ends; between them it is in flight.
  virtual void OnStreamBegin(RequestRecord& record) = 0;
  virtual void OnStreamEnd(const RequestHead& request, RequestRecord& record) = 0;

  // A head is complete: answer it.
  virtual void OnRequest(ServerStream& stream, bool end_stream) = 0;

  // A tunnel comes from another process.
  virtual Result<void> AdoptTunnel(ServerStream& stream, const FrozenTunnel& tunnel,
                                   TransportAdopter& adopter) = 0;

  // Something moved, or the connection waits for something else now: restart the limit.
  virtual void OnProgress(Expecting expecting) = 0;

  // True when the response that is about to be written should advise the client to leave.
  virtual bool ShouldAdviseClose() = 0;

  // For the metrics: a GOAWAY was framed ("notice", "final" or "error"); the client flooded us (see
  // H2FloodName).
  virtual void OnGoawaySent(std::string_view stage) = 0;
  virtual void OnFlood(std::string_view kind) = 0;

  // All that will ever be written has been written: flush, half-close, linger, close.
  virtual void Finish() = 0;

  // Close now; `visibly_broken` by RST.
  virtual void Drop(bool visibly_broken) = 0;

 protected:
  ~CodecHost() = default;
};

class ServerCodec {
 public:
  virtual ~ServerCodec() = default;

  // Bytes from the client, lent until the end of the dispatch; all are consumed or kept.
  virtual void OnData(std::string_view bytes) = 0;
  virtual void OnEof() = 0;
  virtual void OnWritable() = 0;

  // The transport broke: every stream ends with kClientGone. Nothing is written any more.
  virtual void OnTransportError() = 0;

  // The limit for what is expected has passed.
  virtual void OnTimeout(Expecting expecting) = 0;

  // The drain begins. The codec says its goodbye at the next right moment (HTTP/1.1: in the next
  // response head; HTTP/2: GOAWAY) and calls Finish when the last stream has ended. Returns false
  // when it is idle and has nothing to say: the host then gives it the idle grace and finishes.
  virtual bool BeginDrain() = 0;

  // Ends every stream now, as the drain's table says for its protocol, then Finish or Drop. A
  // response that was handed over whole and only has to leave is let go on: the host calls Cut
  // again after a bounded wait, which then ends it.
  virtual void Cut() = 0;

  // Cut for those streams that `concerns` picks and no others; `again`: the bounded wait is over,
  // and what is still there ends for good. Returns false, and does nothing, where a stream cannot
  // end without its connection: the host then cuts that.
  virtual bool CutStreams(const StreamFilter& concerns, bool again) = 0;

  // The connection may be moved into another process when this one lets go of it: where the
  // protocol allows it at all, and at this moment.
  virtual bool can_move() const { return false; }
  virtual bool at_rest() const { return false; }

  // At rest: what the other process needs. Until Thaw or Abandon nothing is read, written or begun.
  virtual std::optional<FrozenCodec> Freeze() { return std::nullopt; }
  virtual void Thaw() {}
  // The connection is forgotten, without a byte: what is in flight ends with `why`.
  virtual void Abandon(StreamEnd) {}
  // Goes on, at the next Thaw, with what another process has frozen; only on a new codec. An error
  // says why not.
  virtual Result<void> Adopt(const FrozenCodec&, TransportAdopter&) {
    return Fail("this protocol does not move");
  }

  virtual size_t stream_count() const = 0;

  // Visits the record of each stream in flight.
  virtual void ForEachStream(const std::function<void(const RequestRecord&)>& visit) const = 0;
};

}  // namespace sluice
