// HTTP/1.0 and 1.1 towards clients: requests in, one at a time and in order; responses out; what a
// pipelining client sends ahead waits in a bounded queue.
#pragma once

#include <memory>
#include <optional>

#include "base/byte_queue.h"
#include "base/object_pool.h"
#include "http/h1_parser.h"
#include "http/h1_server_stream.h"
#include "sluice/codec.h"

namespace sluice {

using H1StreamPool = ObjectPool<H1ServerStream>;

class H1ServerCodec final : public ServerCodec, private H1Events {
 public:
  // `host` and `pool` must outlive the codec.
  H1ServerCodec(CodecHost& host, H1StreamPool& pool);
  ~H1ServerCodec() override;

  void OnData(std::string_view bytes) override;
  void OnEof() override;
  void OnWritable() override;
  void OnTransportError() override;
  void OnTimeout(Expecting expecting) override;
  bool BeginDrain() override;
  void Cut() override;
  bool CutStreams(const StreamFilter&, bool) override { return false; }
  // In h1_server_codec_move.cc.
  bool can_move() const override { return state_ == State::kOpen; }
  bool at_rest() const override;
  std::optional<FrozenCodec> Freeze() override;
  void Thaw() override;
  void Abandon(StreamEnd why) override;
  Result<void> Adopt(const FrozenCodec& frozen, TransportAdopter& adopter) override;
  size_t stream_count() const override { return stream_ && stream_->in_flight_ ? 1 : 0; }
  void ForEachStream(const std::function<void(const RequestRecord&)>& visit) const override;

 private:
  friend class H1ServerStream;
  using RequestState = H1ServerStream::RequestState;
  using ResponseState = H1ServerStream::ResponseState;

  //   kOpen -> kOver: Finish or Drop was asked of the host; nothing more is read or answered
  enum class State : uint8_t { kOpen, kOver };

  void OnHead(H1Framing framing, bool keep_alive) override;
  void OnBody(std::string_view bytes) override;
  void OnTrailers(const HeaderList& trailers) override;
  void OnMessageEnd() override;

  // Parses and answers `bytes` request by request; keeps what has to wait for a response.
  void Feed(std::string_view bytes);
  void FeedKept();
  void Keep(std::string_view bytes);
  void StartStream();
  void CountStream();
  void DispatchRequest();
  void DeliverTunnel(std::string_view bytes);
  void EndTunnelInput();

  // The response was handed to the transport whole / has left whole.
  void OnResponseEnded();
  void OnResponseLeft();

  // After a response is done: true when the connection is ready for the next request.
  bool TurnOver();

  // Answers with an error of our own if no head was sent, and ends the connection. `why` goes on
  // record: kComplete for an answer that is the client's own fault.
  void Refuse(int status, std::string_view detail, StreamEnd why);

  void CutKept();

  bool in_open_tunnel() const {
    return stream_ && stream_->request_state_ == RequestState::kTunnel &&
           stream_->response_state_ == ResponseState::kBody;
  }
  std::optional<FrozenCodec::Tunnel> FreezeTunnel();
  Result<void> AdoptTunnel(const FrozenCodec::Tunnel& tunnel, TransportAdopter& adopter);

  // Ends a response before its end, in a way the client can see.
  void BreakOff(StreamEnd why);

  void EndStream(StreamEnd why);
  void ResetReceiver(StreamEnd why);
  void ReleaseStream();
  void Finish();
  void Drop(bool visibly_broken);
  void UpdateReading();
  void UpdateExpectation();

  // True when the client has sent more than the present request.
  bool HasPipelined() const { return unparsed_ > 0 || !kept_.empty(); }

  CodecHost& host_;
  H1StreamPool& pool_;
  H1Parser parser_;
  std::unique_ptr<H1ServerStream> stream_;
  ByteQueue kept_;       // what a pipelining client sent ahead
  size_t unparsed_ = 0;  // of what Feed was given
  uint64_t requests_ = 0;
  H1Framing request_framing_ = H1Framing::kNone;
  State state_ = State::kOpen;
  bool feeding_ = false;     // inside Feed: the stream must not be replaced under it
  bool head_ready_ = false;  // parsed, not dispatched yet
  bool eof_ = false;
  bool cut_before_ = false;  // the second Cut finds a response that still has not left
};

}  // namespace sluice
