// What the proxy adds to the heads it passes on, to say that it was there and for whom it speaks.
//
// On each request:
//   Via                 "1.1 sluice" is appended (RFC 9110 7.6.3); the version is the one received
//   X-Forwarded-For     the client's address, without port; a Unix client has none
//   X-Forwarded-Proto   "http" or "https": how the client reached us
//   X-Forwarded-Host    the authority it asked for
//   Forwarded           the same in RFC 7239's form, if the listener is configured to
//   X-Forwarded-Client-Cert   see proxy/client_cert.h, if the listener is configured to
//   X-Request-Id        the client's if it is sane, otherwise a new UUID
// On each response:
//   Via                 as above
//
// A client can write anything into X-Forwarded-* and Forwarded, so they are dropped and written
// anew unless the listener trusts its clients (`trust_forwarded`, for a proxy behind a proxy): then
// For and Forwarded are extended, Proto and Host are kept. A loop, our own name in Via, is no
// error.
//
// One object for each listener, immutable, shared by all threads. It keeps no memory between
// requests; new text lives in the head's arena.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/random.h"
#include "config/config.h"
#include "sluice/handler.h"
#include "sluice/loop.h"
#include "sluice/message.h"

namespace sluice {

class Forwarding {
 public:
  // Takes `via`, `forwarded`, `trust_forwarded` and `forward_client_cert` from `config`; it need
  // not outlive this.
  explicit Forwarding(const ListenerConfig& config);
  Forwarding(const Forwarding&) = delete;
  Forwarding& operator=(const Forwarding&) = delete;

  // To be called once, before Route::RewriteRequest, which changes the authority and may edit what
  // is written here. `head` then refers to this object and to `downstream`.
  void ApplyToRequest(RequestHead& head, const DownstreamInfo& downstream, Random& random) const;

  // The same for a head that came from an upstream, interim ones included. `head` then refers to
  // this object.
  void ApplyToResponse(ResponseHead& head) const;

 private:
  struct Seen;

  std::string_view ViaFor(HttpVersion version) const;
  void AddForwardedFields(RequestHead& head, const DownstreamInfo& downstream,
                          const Seen& seen) const;

  const bool forwarded_;
  const bool trust_;
  const ForwardClientCert client_cert_;
  std::array<std::string, 4> via_;  // HTTP/1.0, 1.1, 2, 3; empty: no Via
};

// Max-Forwards (RFC 9110 7.6.2) limits how far an OPTIONS or TRACE travels: it is decremented in
// `head`. False when it has reached 0 here: do not forward the request, give it to
// AnswerAsRecipient. A field that is not a number is passed on as it is; on other methods too.
bool DecrementMaxForwards(RequestHead& head);

// Answers an OPTIONS or TRACE as the last on its way and ends the stream: OPTIONS with 204, TRACE
// with the request as it arrived, less its credentials (RFC 9110 9.3.8).
void AnswerAsRecipient(ServerStream& stream, Loop& loop);

}  // namespace sluice
