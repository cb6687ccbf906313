// HTTP/2 towards clients: many requests at a time on one connection.
//
// Its goodbye, at a drain, an idle timeout or when the client is advised to leave (RFC 9113 6.8):
//
//   kNone --BeginGoodbye: GOAWAY 2^31-1, PING--> kNoticed --ACK, or a timer: GOAWAY n--> kFinal
//
// Streams that arrive while kNoticed are served: the client did not know yet. In kFinal the
// connection ends with its last stream.
#pragma once

#include <memory>
#include <vector>

#include "base/object_pool.h"
#include "base/timer_queue.h"
#include "http/h2_server_stream.h"
#include "http/h2_session.h"
#include "http/h2_stall_watch.h"
#include "sluice/codec.h"

namespace sluice {

using H2StreamPool = ObjectPool<H2ServerStream>;

class H2ServerCodec final : public ServerCodec,
                            private H2SessionEvents,
                            private H2StallWatch::Owner,
                            private Flushable {
 public:
  // `host` and `pool` must outlive the codec.
  H2ServerCodec(CodecHost& host, H2StreamPool& pool);
  ~H2ServerCodec() override;

  void OnData(std::string_view bytes) override;
  void OnEof() override;
  void OnWritable() override;
  void OnTransportError() override;
  void OnTimeout(Expecting expecting) override;
  bool BeginDrain() override;
  void Cut() override;
  bool CutStreams(const StreamFilter& concerns, bool again) override;
  size_t stream_count() const override { return in_flight_; }
  void ForEachStream(const std::function<void(const RequestRecord&)>& visit) const override;

 private:
  friend class H2ServerStream;
  using RequestState = H2ServerStream::RequestState;
  using ResponseState = H2ServerStream::ResponseState;

  enum class Goodbye : uint8_t { kNone, kNoticed, kFinal };

  // H2SessionEvents
  H2Stream* OnBlockBegin(H2Stream* stream, H2Block block) override;
  void OnField(H2Stream& stream, std::string_view name, std::string_view value) override;
  void OnBlockEnd(H2Stream& stream, bool end_stream) override;
  void OnStreamBody(H2Stream& stream, std::string_view bytes, bool end_stream) override;
  void OnStreamWritable(H2Stream& stream) override;
  void OnStreamLeft(H2Stream& stream) override;
  void OnStreamReset(H2Stream& stream, H2Error error, bool by_peer) override;
  void OnGoaway(int32_t, H2Error) override {}
  void OnNoticeAcknowledged() override;
  void OnFlood(H2Flood flood) override;
  void OnGoawaySent(int32_t last_stream_id, H2Error error) override;
  void OnSessionOver() override;

  // H2StallWatch::Owner
  bool HasStreams() const override { return !streams_.empty(); }
  void LookAtStreams() override;
  void OnTransportStalled() override;

  // Frees the streams that ended in this dispatch.
  void Flush() override;

  void DispatchRequest(H2ServerStream& stream, bool end_stream);
  void RefuseMalformed(H2ServerStream& stream, std::string_view detail);
  void EndRequest(H2ServerStream& stream);
  void WriteHead(H2ServerStream& stream, const ResponseHead& head,
                 std::optional<uint64_t> content_length, bool end_stream);
  void WriteTrailers(H2ServerStream& stream, const HeaderList& trailers);

  // Answers with an error of our own if no head was sent; the request is on record at once.
  void Refuse(H2ServerStream& stream, int status, std::string_view detail, StreamEnd why);

  // Ends a response before its end, in a way the client can see.
  void BreakOff(H2ServerStream& stream, StreamEnd why);
  // The same in the words of gRPC, where the stream takes them.
  void BreakOff(H2ServerStream& stream, StreamEnd why, GrpcStatus status, std::string_view message);

  void AdviseClose();
  void BeginGoodbye();
  void FinishGoodbye();
  void CutStream(H2ServerStream& stream, bool again);

  static H2StallWatch::Wait WaitOf(const H2ServerStream& stream);
  void OnStalled(H2ServerStream& stream, H2StallWatch::Stall stall);

  void EndStream(H2ServerStream& stream, StreamEnd why);
  void ResetReceiver(H2ServerStream& stream, StreamEnd why);
  void Bury(H2ServerStream& stream);
  std::vector<H2ServerStream*> Open();
  void EndAll(StreamEnd why, std::string_view detail);
  void UpdateExpectation();

  static H2ServerStream& Of(H2Stream& stream) { return static_cast<H2ServerStream&>(stream); }

  CodecHost& host_;
  H2StreamPool& pool_;
  H2Session session_;
  IntrusiveList<H2ServerStream, H2StreamTag> streams_;
  std::vector<H2ServerStream*> buried_;
  std::vector<H2Field> fields_;  // while a head is written
  Timer goodbye_timer_;
  H2StallWatch watch_;
  size_t in_flight_ = 0;
  uint64_t requests_ = 0;
  Goodbye goodbye_ = Goodbye::kNone;
  Expecting expecting_ = Expecting::kNothing;
  bool block_open_ = false;  // a request's header block has begun and not ended
  bool cut_ = false;
  bool eof_ = false;
  bool over_ = false;
};

}  // namespace sluice
