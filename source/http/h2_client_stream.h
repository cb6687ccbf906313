// One exchange on an H2ClientConnection: the ClientStream that the proxy sends its request by, and
// the response that is put together. Recycled through an ObjectPool; between uses it keeps only the
// memory of its head.
#pragma once

#include <cstdint>
#include <vector>

#include "http/client_connection.h"
#include "http/h2_session.h"
#include "http/h2_stream.h"
#include "http/http_options.h"
#include "sluice/message.h"

namespace sluice {

class H2ClientConnection;

struct H2ExchangeTag {};

class H2ClientStream final : public ClientStream, public H2Stream, public ListHook<H2ExchangeTag> {
 public:
  // ClientStream
  void SendBody(std::string_view bytes, bool end_stream) override;
  void SendTrailers(const HeaderList& trailers) override;
  bool congested() const override;
  size_t untaken_bytes() const override { return queued_bytes(); }
  void PauseResponse() override;
  void ResumeResponse() override;
  void SetReceiver(ResponseReceiver& receiver) override { receiver_ = &receiver; }
  void Cancel() override;
  void Leave() override;

 private:
  friend class H2ClientConnection;

  //   kAwaited -> kBegun (interim heads) -> kBody (the final head was delivered) -> kEnded
  //                                     \-> kTunnel (2xx to CONNECT, extended or not) -> kEnded
  enum class Response : uint8_t { kAwaited, kBegun, kBody, kTunnel, kEnded };

  void Start(H2ClientConnection& connection, const RequestHead& request,
             ResponseReceiver& receiver);
  void Recycle();
  void BeginBlock();

  bool begun() const { return response_ != Response::kAwaited; }
  // Of the block that is read.
  bool TooLarge(const HttpLimits& limits) const {
    return block_bytes_ > limits.header_bytes || block_fields_ > limits.header_count + 1;
  }
  bool request_sent() const { return out() == Out::kSent || out() == Out::kLeft; }

  H2ClientConnection* connection_ = nullptr;
  ResponseReceiver* receiver_ = nullptr;
  // A request that waits for the upstream's SETTINGS; its text is in the arena of head_.
  std::vector<H2Field> unsent_;
  ResponseHead head_;
  HeaderList trailers_;  // in the head's arena
  uint32_t block_bytes_ = 0;
  uint32_t block_fields_ = 0;
  Response response_ = Response::kAwaited;
  bool to_connect_ = false;     // the request is a CONNECT, extended or not
  bool to_websocket_ = false;   // it is an extended one
  bool request_ended_ = false;  // of a tunnel: its upstream direction
};

}  // namespace sluice
