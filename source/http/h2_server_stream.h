// One HTTP/2 request and its response: the ServerStream that H2ServerCodec gives to a handler.
// Recycled through an ObjectPool; between uses it keeps only the memory of its head.
#pragma once

#include <cstdint>

#include "http/grpc.h"
#include "http/h2_head.h"
#include "http/h2_stream.h"
#include "sluice/handler.h"

namespace sluice {

class H2ServerCodec;

struct H2StreamTag {};

class H2ServerStream final : public ServerStream, public H2Stream, public ListHook<H2StreamTag> {
 public:
  //   request:   kHead -> kBody -> kEnded       (kBody is skipped without a body)
  //              kEnded, kBody -> kTunnel -> kEnded    after 2xx to CONNECT, extended or not
  enum class RequestState : uint8_t { kHead, kBody, kTunnel, kEnded };

  //   response:  kNone -> kBody -> kEnded (all handed to the session)
  enum class ResponseState : uint8_t { kNone, kBody, kEnded };

  RequestHead& request() override { return request_; }
  RequestRecord& record() override { return record_; }
  const DownstreamInfo& downstream() const override;
  void SetReceiver(RequestReceiver* receiver) override { receiver_ = receiver; }
  void SendInformational(const ResponseHead& head) override;
  void SendHead(const ResponseHead& head, bool end_stream) override;
  void SendBody(std::string_view bytes, bool end_stream) override;
  void SendTrailers(const HeaderList& trailers) override;
  bool takes_grpc_status() const override {
    return response_state_ == ResponseState::kBody && grpc_.takes_status();
  }
  void CloseAfterResponse() override;
  void Abort(StreamEnd why) override;
  bool congested() const override;
  void PauseRequest() override;
  void ResumeRequest() override;
  void DiscardRequest() override;

 private:
  friend class H2ServerCodec;

  // From the pool, for a new request on `codec`; and back to it.
  void Start(H2ServerCodec* codec, TimePoint now);
  void Recycle();

  // RFC 8441: HTTP/2 has no other upgrade.
  bool opens_websocket() const { return !request_.upgrade.empty(); }
  bool connects() const { return request_.method == Method::kConnect || opens_websocket(); }
  bool HasBody(int status) const;
  void SendUnswitched(const ResponseHead& head, bool end_stream);
  void EndResponse();

  H2ServerCodec* codec_ = nullptr;
  RequestReceiver* receiver_ = nullptr;
  RequestHead request_;
  HeaderList trailers_;
  RequestRecord record_;
  H2BlockState block_;
  GrpcResponse grpc_;
  uint64_t response_left_ = 0;  // of a body with a length
  RequestState request_state_ = RequestState::kHead;
  ResponseState response_state_ = ResponseState::kNone;
  bool response_has_length_ = false;
  bool response_has_body_ = false;
  bool request_paused_ = false;
  bool tunnel_ = false;
  bool in_flight_ = false;  // between the host's OnStreamBegin and OnStreamEnd
  bool buried_ = false;     // over, waits for the end of the dispatch
};

}  // namespace sluice
