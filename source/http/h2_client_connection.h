// HTTP/2 towards an upstream: many exchanges at a time on one connection (RFC 9113).
//
//   kOpen --GOAWAY from the upstream, or no stream ids left--> kDraining
//     |                                                            |
//     +---- error, EOF, Close -------------------------------------+--> kClosed
//
// A rule that the upstream breaks in one response ends that exchange; one that it breaks in framing
// or header compression ends the connection, and with it every exchange, each exactly once.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/object_pool.h"
#include "http/client_connection.h"
#include "http/h2_client_stream.h"
#include "http/h2_session.h"
#include "http/http_options.h"
#include "sluice/transport.h"

namespace sluice {

// What the connections to one endpoint share.
struct H2ClientContext {
  HttpLimits limits;  // of response heads
  // max_concurrent_streams is what we have open, if the upstream allows as many.
  Http2Options options;
  // What the last connection came to carry: a new one starts with it, until the upstream has said.
  uint32_t streams_per_connection = 0;
  ObjectPool<H2ClientStream> streams{512};
};

class H2ClientConnection final : public ClientConnection,
                                 private TransportEvents,
                                 private H2SessionEvents,
                                 private Flushable {
 public:
  // `owner` and `context` must outlive it, until it is closed.
  H2ClientConnection(Loop& loop, std::unique_ptr<Transport> transport, ClientConnectionOwner& owner,
                     H2ClientContext& context);
  ~H2ClientConnection() override;

  uint32_t room() const override {
    return state_ == State::kOpen && active_ < limit_ ? limit_ - active_ : 0;
  }
  uint32_t active() const override { return active_; }
  bool multiplexes() const override { return true; }
  ClientStream& StartRequest(const RequestHead& head, bool end_stream,
                             ResponseReceiver& receiver) override;
  // As far as is known: what waits to be read may be any frame. An upstream that closes says GOAWAY
  // first, and what it then has not taken is sent again.
  bool StillOpen() override { return state_ != State::kClosed; }
  void Close() override;

 private:
  friend class H2ClientStream;
  enum class State : uint8_t { kOpen, kDraining, kClosed };
  using Response = H2ClientStream::Response;

  // TransportEvents
  void OnData(std::string_view bytes) override;
  void OnEof() override;
  void OnWritable() override;
  void OnError(int error) override;

  // H2SessionEvents
  H2Stream* OnBlockBegin(H2Stream* stream, H2Block block) override;
  void OnField(H2Stream& stream, std::string_view name, std::string_view value) override;
  void OnBlockEnd(H2Stream& stream, bool end_stream) override;
  void OnStreamBody(H2Stream& stream, std::string_view bytes, bool end_stream) override;
  void OnStreamWritable(H2Stream& stream) override;
  void OnStreamLeft(H2Stream& stream) override;
  void OnStreamReset(H2Stream& stream, H2Error error, bool by_peer) override;
  void OnGoaway(int32_t last_stream_id, H2Error error) override;
  void OnPeerSettings() override;
  void OnFlood(H2Flood flood) override;
  void OnSessionOver() override;

  // Gives back the streams whose exchanges ended in this dispatch, and fails what it had to
  // postpone for good.
  void Flush() override;

  // For H2ClientStream.
  void EndRequest(H2ClientStream& stream, std::string_view bytes);
  void SendTrailers(H2ClientStream& stream, const HeaderList& trailers);
  void Cancel(H2ClientStream& stream);
  void Leave(H2ClientStream& stream);

  void Postpone(H2ClientStream& stream);
  void SendPostponed();
  std::vector<H2Field> Unpostpone(H2ClientStream& stream);
  void DeliverHead(H2ClientStream& stream, bool end_stream);
  void EndResponse(H2ClientStream& stream);
  void TellAvailable();
  void Drain();
  // Takes the stream out of the exchanges under way; nothing is sent or delivered by it any more.
  // Returns who was waiting for it, if anybody still was.
  ResponseReceiver* Part(H2ClientStream& stream);
  void Fail(H2ClientStream& stream, UpstreamFailure::Kind kind, std::string_view detail);
  struct Details {
    std::string_view before_response;
    std::string_view mid_response;
  };
  void EndAll(UpstreamFailure::Kind kind, const Details& details);

  static H2ClientStream& Of(H2Stream& stream) { return static_cast<H2ClientStream&>(stream); }

  Loop& loop_;
  std::unique_ptr<Transport> transport_;
  ClientConnectionOwner& owner_;
  H2ClientContext& context_;
  H2Session session_;
  IntrusiveList<H2ClientStream, H2ExchangeTag> exchanges_;
  std::vector<std::unique_ptr<H2ClientStream>> parted_;
  std::vector<H2ClientStream*> postponed_;  // wait for the upstream's SETTINGS
  std::vector<H2Field> fields_;             // while a head is written
  const std::string_view scheme_;
  uint32_t active_ = 0;  // exchanges_
  uint32_t limit_ = 0;   // of active_
  uint32_t started_ = 0;
  bool settings_known_ = false;  // the upstream's
  State state_ = State::kOpen;
};

}  // namespace sluice
