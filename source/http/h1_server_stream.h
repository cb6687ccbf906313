// One HTTP/1.x request and its response: the ServerStream that H1ServerCodec gives to a handler.
// Recycled through an ObjectPool; between uses it keeps only the memory of its head.
#pragma once

#include <cstdint>

#include "http/h1_parser.h"
#include "sluice/handler.h"

namespace sluice {

class H1ServerCodec;

class H1ServerStream final : public ServerStream {
 public:
  //   request:   kHead -> kBody -> kEnded       (kBody is skipped without a body)
  //                         \-> kDiscarded -> kEnded   the response ended first
  //              kEnded -> kTunnel -> kTunnelEnded     after 101, or 2xx to CONNECT
  enum class RequestState : uint8_t { kHead, kBody, kDiscarded, kEnded, kTunnel, kTunnelEnded };

  //   response:  kNone -> kBody -> kEnded (all handed to the transport) -> kDone (all left)
  enum class ResponseState : uint8_t { kNone, kBody, kEnded, kDone };

  RequestHead& request() override { return request_; }
  RequestRecord& record() override { return record_; }
  const DownstreamInfo& downstream() const override;
  void SetReceiver(RequestReceiver* receiver) override { receiver_ = receiver; }
  void SendInformational(const ResponseHead& head) override;
  void SendHead(const ResponseHead& head, bool end_stream) override;
  void SendBody(std::string_view bytes, bool end_stream) override;
  void SendTrailers(const HeaderList& trailers) override;
  void CloseAfterResponse() override { close_after_ = true; }
  void Abort(StreamEnd why) override;
  bool congested() const override;
  void PauseRequest() override;
  void ResumeRequest() override;
  void DiscardRequest() override;

 private:
  friend class H1ServerCodec;

  // From the pool, for a new request on `codec`; and back to it.
  void Start(H1ServerCodec* codec, TimePoint now);
  void Recycle();

  bool request_over() const {
    return request_state_ == RequestState::kEnded || request_state_ == RequestState::kTunnelEnded;
  }
  bool tunnel() const {
    return request_state_ == RequestState::kTunnel || request_state_ == RequestState::kTunnelEnded;
  }

  void WriteHead(const ResponseHead& head, bool end_stream);
  H1Framing ChooseFraming(const ResponseHead& head, bool end_stream) const;
  void EndResponse();

  H1ServerCodec* codec_ = nullptr;
  RequestReceiver* receiver_ = nullptr;
  RequestHead request_;
  RequestRecord record_;
  uint64_t response_left_ = 0;  // of a body with a length
  uint64_t discarded_ = 0;      // request body bytes that came after the response had ended
  RequestState request_state_ = RequestState::kHead;
  ResponseState response_state_ = ResponseState::kNone;
  H1Framing response_framing_ = H1Framing::kNone;
  bool close_after_ = false;    // the connection ends with this response
  bool client_closes_ = false;  // it said that it sends nothing after this request
  bool request_paused_ = false;
  bool continue_sent_ = false;
  bool in_flight_ = false;  // between the host's OnStreamBegin and OnStreamEnd
};

}  // namespace sluice
