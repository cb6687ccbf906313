// An upstream connection as the pool and the proxy see it, whatever protocol it speaks:
// H1ClientConnection carries one request at a time, H2ClientConnection many.
//
// One worker thread. Callbacks may destroy the receiver, never the connection: that goes through
// Loop::DeleteLater.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "sluice/handler.h"
#include "sluice/loop.h"
#include "sluice/message.h"
#include "sluice/transport.h"

namespace sluice {

// How an exchange with an upstream went wrong.
struct UpstreamFailure {
  enum class Kind : uint8_t {
    kReset,        // the connection broke or ended early
    kStreamReset,  // the upstream gave this one exchange up, not the connection
    kProtocol,     // what came was not a valid response
    kRefused,  // the upstream said that it has not processed the request, and never will: it may
               // be sent again whatever its method (RFC 9113 8.7: REFUSED_STREAM, or a GOAWAY
               // below its stream)
  };
  Kind kind = Kind::kReset;
  std::string_view detail;      // a constant, for the log
  bool response_begun = false;  // at least one byte of the response had come
};

// Gets the response to one request, in order: informational heads, the head, body, trailers or end.
class ResponseReceiver {
 public:
  virtual void OnInformational(const ResponseHead& head) = 0;
  // The receiver may edit `head`, which is valid until the response ends.
  virtual void OnResponseHead(ResponseHead& head, bool end_stream) = 0;
  // `bytes` is lent until the end of the current dispatch. Empty only when `end_stream`.
  virtual void OnResponseBody(std::string_view bytes, bool end_stream) = 0;
  virtual void OnResponseTrailers(const HeaderList& trailers) = 0;
  // The request's queue, congested before, takes more.
  virtual void OnRequestWritable() = 0;
  // The exchange is over without a complete response. No call follows.
  virtual void OnUpstreamFailure(const UpstreamFailure& failure) = 0;

 protected:
  ~ResponseReceiver() = default;
};

// The sending side of one exchange. It ends with the response, with OnUpstreamFailure, or with
// Cancel; after any of them it must not be used.
class ClientStream {
 public:
  // `bytes` is lent until the end of the current dispatch.
  virtual void SendBody(std::string_view bytes, bool end_stream) = 0;
  virtual void SendTrailers(const HeaderList& trailers) = 0;
  virtual bool congested() const = 0;
  // What of the request the upstream has not taken, as far as that can be seen: whether one that
  // reads slowly reads at all.
  virtual size_t untaken_bytes() const = 0;
  virtual void PauseResponse() = 0;
  virtual void ResumeResponse() = 0;

  // The rest of the response goes to another receiver.
  virtual void SetReceiver(ResponseReceiver& receiver) = 0;

  // Of a tunnel that is open both ways: stands still, as Transport says.
  virtual std::optional<FrozenTransport> Freeze() { return std::nullopt; }
  virtual void Thaw() {}

  // Gives the exchange up; the receiver hears nothing more.
  virtual void Cancel() = 0;

  // The same for a tunnel, after its last words: what was sent on it, and the end of that, leave
  // first.
  virtual void Leave() = 0;

 protected:
  ~ClientStream() = default;
};

class ClientConnection;

// The pool's side of a connection.
class ClientConnectionOwner {
 public:
  // It can take a request again: room() was 0 and is not any more, or an exchange has ended.
  virtual void OnConnectionAvailable(ClientConnection& connection) = 0;
  // It takes no request any more (room() is 0 for good), but those it carries go on: the upstream
  // sent GOAWAY.
  virtual void OnConnectionDraining(ClientConnection& connection) = 0;
  // GOAWAY without an error has come: the upstream may be about to go. May come more than once.
  virtual void OnGoaway(ClientConnection&) {}
  // It takes no more and is closed; the owner drops it by way of Loop::DeleteLater.
  virtual void OnConnectionClosed(ClientConnection& connection) = 0;

 protected:
  ~ClientConnectionOwner() = default;
};

class ClientConnection : public Deferred {
 public:
  // How many more requests it takes now: 1 or 0 for HTTP/1.1; for HTTP/2 what the upstream's
  // SETTINGS_MAX_CONCURRENT_STREAMS leaves.
  virtual uint32_t room() const = 0;

  // Exchanges under way.
  virtual uint32_t active() const = 0;

  // True when it carries several exchanges at a time.
  virtual bool multiplexes() const = 0;

  // Sends the head and returns where the rest of the request goes. Only while room() is not 0.
  // `head` and `receiver` must live until the exchange is over.
  virtual ClientStream& StartRequest(const RequestHead& head, bool end_stream,
                                     ResponseReceiver& receiver) = 0;

  // Looks whether the peer has closed an unused connection, which the loop may not have told yet.
  // One system call; for requests that could not be replayed.
  virtual bool StillOpen() = 0;

  // Closes at once; exchanges in progress fail.
  virtual void Close() = 0;
};

}  // namespace sluice
