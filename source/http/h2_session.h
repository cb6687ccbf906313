// HTTP/2 on one connection, as both ends of it need it (RFC 9113): frames, header compression, flow
// control, the order of what is sent, and the defences against floods. nghttp2 does the protocol;
// this class joins it to a Transport and to streams. H2ServerCodec and H2ClientConnection say what
// the messages mean.
//
// Bytes in: Receive parses and calls the events. Bytes out: what is sent is framed at the end of
// the turn (Loop::FlushAtTurnEnd), or of the dispatch if it is much, and leaves in one system call
// for all streams.
//
// Flow control is end to end and by stream: the window of a paused stream is not opened, that of
// the connection always is, so that a slow stream never stops the others. What may arrive on paused
// streams is bounded by their number times Http2Options::stream_window.
//
// One worker thread. The session, and a stream that is given to an event, live at least until the
// end of the dispatch: owners recycle and delete later.
#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/intrusive_list.h"
#include "http/h2_flood_guard.h"
#include "http/h2_frame_rules.h"
#include "http/h2_stream.h"
#include "http/http_options.h"
#include "sluice/loop.h"
#include "sluice/message.h"
#include "sluice/transport.h"

namespace sluice {

// RFC 9113 7.
enum class H2Error : uint32_t {
  kNoError = 0,
  kProtocolError = 1,
  kInternalError = 2,
  kFlowControlError = 3,
  kSettingsTimeout = 4,
  kStreamClosed = 5,
  kFrameSizeError = 6,
  kRefusedStream = 7,
  kCancel = 8,
  kCompressionError = 9,
  kConnectError = 10,
  kEnhanceYourCalm = 11,
  kInadequateSecurity = 12,
  kHttp11Required = 13,
};

// The last stream id of the GOAWAY that refuses nothing (RFC 9113 6.8).
inline constexpr int32_t kRefusesNothing = INT32_MAX;

// On the PING that follows it, to tell its ACK from others.
inline constexpr std::array<uint8_t, 8> kNoticePing = {'g', 'o', 'i', 'n', 'g', 'a', 'w', 'y'};

enum class H2Role : uint8_t { kServer, kClient };

// Which of a message's header blocks begins.
enum class H2Block : uint8_t {
  kRequest,
  kResponse,  // the first of a response, which may be an interim one
  kFurther,   // after an interim head: another head; otherwise the trailers
};

struct H2Field {
  std::string_view name;  // in lower case
  std::string_view value;
  // No other message will have this value: in the peer's table (RFC 7541 2.3.2) it would only push
  // out what comes again, and be compared with every value of its name that comes after it.
  bool comes_once = false;
  bool constant_name = false;  // `name` lives for ever
};

class H2SessionEvents {
 public:
  // A header block begins, the first byte of a message. For kRequest the server makes the stream
  // and returns it, for others `stream` is that of the message. Null: the block is read and thrown
  // away.
  virtual H2Stream* OnBlockBegin(H2Stream* stream, H2Block block) = 0;

  // One field; valid for the call. nghttp2 has checked names, values, pseudo-header rules and
  // connection-specific fields (RFC 9113 8.2, 8.3).
  virtual void OnField(H2Stream& stream, std::string_view name, std::string_view value) = 0;

  // The block is whole. `end_stream`: nothing follows, not even an empty OnStreamBody.
  virtual void OnBlockEnd(H2Stream& stream, bool end_stream) = 0;

  // `bytes` is lent until the end of the dispatch; empty only when `end_stream`.
  virtual void OnStreamBody(H2Stream& stream, std::string_view bytes, bool end_stream) = 0;

  // The queue, congested before, takes more.
  virtual void OnStreamWritable(H2Stream& stream) = 0;

  // The last byte of what was sent has been taken by the kernel (H2Stream::Out::kLeft). Not after
  // a reset.
  virtual void OnStreamLeft(H2Stream& stream) = 0;

  // The stream is over before both of its ends: the peer reset it (`by_peer`), or broke a rule and
  // was told so. Nothing more comes of it and nothing more can be sent.
  virtual void OnStreamReset(H2Stream& stream, H2Error error, bool by_peer) = 0;

  // The peer takes no stream above `last_stream_id`. Those above are given OnStreamReset with
  // kRefusedStream after it.
  virtual void OnGoaway(int32_t last_stream_id, H2Error error) = 0;

  // The PING of Notice was answered: whatever the peer sent before it knew has arrived.
  virtual void OnNoticeAcknowledged() {}

  // The peer's SETTINGS, which may change how many streams it takes.
  virtual void OnPeerSettings() {}

  // A flood of this kind; GOAWAY ENHANCE_YOUR_CALM was sent, OnSessionOver follows.
  virtual void OnFlood(H2Flood) {}

  // A GOAWAY has been framed.
  virtual void OnGoawaySent(int32_t /*last_stream_id*/, H2Error) {}

  // Nothing is read or written any more: a connection error was made or met (a GOAWAY that says so
  // is in the transport), or the last stream after a GOAWAY has ended. Close the connection.
  // Streams still open are not told.
  virtual void OnSessionOver() = 0;

 protected:
  ~H2SessionEvents() = default;
};

class H2Session final : private Flushable {
 public:
  // Sends SETTINGS (and the client's preface) at the end of this dispatch. `limits` bounds header
  // blocks. Everything given must outlive it.
  H2Session(H2Role role, Loop& loop, Transport& transport, const Http2Options& options,
            const HttpLimits& limits, H2SessionEvents& events);
  ~H2Session();
  H2Session(const H2Session&) = delete;

  // Bytes from the peer, lent until the end of the dispatch.
  void Receive(std::string_view bytes);

  // The transport takes more than it did; something may have left.
  void OnTransportWritable();

  // ---- sending

  // Of a client: opens `stream` with a request. False when no stream ids are left, or the peer
  // takes no new stream. `fields` begins with the pseudo-headers; they are copied.
  bool SendRequest(H2Stream& stream, const std::vector<H2Field>& fields, bool end_stream);

  // Of a server: the final head, or an interim one.
  void SendResponse(H2Stream& stream, const std::vector<H2Field>& fields, bool end_stream);
  void SendInterim(H2Stream& stream, const std::vector<H2Field>& fields);

  // `bytes` is lent until the end of the dispatch.
  void SendBody(H2Stream& stream, std::string_view bytes, bool end_stream);
  void SendTrailers(H2Stream& stream, const std::vector<H2Field>& fields);

  // Ends the stream both ways with RST_STREAM. No event follows for it.
  void ResetStream(H2Stream& stream, H2Error error);

  // While paused, what arrives on the stream is kept and its window stays shut. What was kept is
  // delivered at the end of the dispatch in which it is resumed.
  void PauseStream(H2Stream& stream);
  void ResumeStream(H2Stream& stream);

  bool Congested(const H2Stream& stream) const;

  // Parts with a stream that its owner recycles: it must have ended, been reset, or not begun.
  void Forget(H2Stream& stream);

  // The first goodbye: GOAWAY with 2^31-1, which refuses nothing, and a PING behind it (RFC 9113
  // 6.8). Once.
  void Notice();

  // The last goodbye, with the id of the last stream that was taken; those above it are ignored
  // from then on. It is framed at the end of the dispatch, with the id that is true then. Once for
  // kNoError; an error is also the end of the session.
  void Goaway(H2Error error);

  // ---- state

  // Of a client: how many streams the peer lets it have open at a time, those it has included.
  uint32_t PeerMaxStreams() const;
  // Of a client: whether the peer's SETTINGS, as far as they have come, allow it (RFC 8441 3).
  bool PeerTakesExtendedConnect() const;
  bool goaway_sent() const { return goaway_ == Goodbye::kSent; }
  bool over() const { return over_; }

  // Nothing waits for the peer's windows, the transport or the kernel.
  bool all_left() const { return leaving_.empty(); }

 private:
  struct Callbacks;
  friend struct Callbacks;
  enum class Goodbye : uint8_t { kNone, kWanted, kSent };

  // What the session does at the end of a turn.
  struct Sender final : Flushable {
    explicit Sender(H2Session& its) : session(its) {}
    void Flush() override { session.SendAll(); }
    H2Session& session;
  };

  // In: from nghttp2, by way of Callbacks.
  void OnFrameHeader(const nghttp2_frame_hd& header);
  int OnBlockBegin(int32_t id, int category);
  int OnField(std::string_view name, std::string_view value);
  void OnFrame(const nghttp2_frame& frame);
  void OnData(int32_t id, std::string_view bytes);
  void OnStreamClosed(int32_t id, uint32_t error);
  H2Stream* Find(int32_t id) const;
  void Detach(H2Stream& stream);
  void OnBlock(H2Stream& stream, bool end_stream);
  void Deliver(H2Stream& stream, std::string_view bytes, bool end_stream);
  void DeliverArrived(H2Stream& stream);
  void Account(H2Flood flood);
  void Judge(uint32_t error);

  // Out.
  bool SubmitHead(H2Stream& stream, int32_t id, const std::vector<H2Field>& fields,
                  bool end_stream);
  void SubmitTrailers(H2Stream& stream);
  ptrdiff_t ReadBody(H2Stream& stream, size_t most, uint32_t* flags);
  void WriteBody(H2Stream& stream, const uint8_t* frame_header, size_t length);
  void OnFrameSent(const nghttp2_frame& frame);
  void OnFrameNotSent(const nghttp2_frame& frame);
  void Flush() override;
  void SendAll();
  void Pump();
  void SubmitBody(H2Stream& stream);
  void Send();
  static void Keep(H2Stream& stream);
  void Settle(H2Stream& stream);
  void TellLeft();
  void CheckOver();
  void Write(const uint8_t* bytes, size_t count);
  void Touch(H2Stream& stream) { stream.moved_at_ = loop_.Now(); }
  void MarkPending(H2Stream& stream);

  Loop& loop_;
  Transport& transport_;
  H2SessionEvents& events_;
  nghttp2_session* session_ = nullptr;
  H2FloodGuard floods_;
  H2FrameRules rules_{session_};
  const HttpLimits& limits_;
  IntrusiveList<H2Stream, H2PendingTag> pending_;
  IntrusiveList<H2Stream, H2WaitingTag> waiting_;
  Sender sender_{*this};
  IntrusiveList<H2Stream, H2LeavingTag> leaving_;  // in the order of leaves_at_
  uint64_t written_ = 0;                           // bytes given to the transport
  H2Stream* block_stream_ = nullptr;               // of the header block that is read; or null
  size_t block_bytes_ = 0;                         // on the wire, of that block
  size_t decoded_bytes_ = 0;  // of its fields, as SETTINGS_MAX_HEADER_LIST_SIZE counts them
  uint32_t opening_ = 0;      // of a client: requests that are not framed yet
  uint32_t own_resets_ = 0;   // RST_STREAM frames submitted by us and not framed yet
  H2Role role_;
  Goodbye goaway_ = Goodbye::kNone;
  H2Error goaway_error_ = H2Error::kNoError;
  bool noticed_ = false;
  bool failed_ = false;  // GOAWAY with an error was sent, or must be
  bool over_ = false;
};

}  // namespace sluice
