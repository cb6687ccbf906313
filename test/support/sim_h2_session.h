// One end of an HTTP/2 connection in a simulation, without the connection: bytes in by Feed, bytes
// out by a callback. It sends what it is told, wrong things too, and is strict with what it reads:
// states, windows, field rules and lengths that do not add up become its complaint().
//
// SimH2Client and SimH2Origin put it on a transport.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/sim_h2_wire.h"
#include "support/sim_http.h"
#include "support/sim_loop.h"

namespace sluice {

struct SimH2Options {
  uint32_t stream_window = h2::kDefaultWindow;
  uint32_t connection_window = 1024 * 1024;  // not below h2::kDefaultWindow
  std::optional<uint32_t> max_streams{};     // that the peer may have open
  std::optional<uint32_t> header_table{};    // what the peer's encoder may use
  bool extended_connect = false;             // of a server: it says that it takes such requests
  bool ack_settings = true;
  bool ack_pings = true;
  bool open_streams = true;  // windows of streams are opened again as bytes come
};

struct SimH2Goaway {
  TimePoint at{};
  uint32_t last_stream = 0;
  uint32_t error = 0;
};

// One exchange, as one end knows it.
struct SimH2Stream {
  uint32_t id = 0;
  uint64_t offset = 0;  // of its HEADERS in all that we sent, if we opened it

  // What the peer sends. `complete`: END_STREAM came. Headers are with the pseudo-header fields.
  SimMessage in;
  std::vector<SimMessage> interim;
  bool has_head = false;
  bool trailers_only = false;               // END_STREAM came with the head
  std::optional<uint32_t> reset_by_peer{};  // its error
  std::optional<uint32_t> reset_by_us{};
  bool refused = false;  // above the last stream of a GOAWAY of ours: not looked at
  TimePoint over_at{};

  // What we send: `literal`, then `body_left` bytes of SimBody from `body_at`, then perhaps the
  // end.
  bool grpc = false;  // SimGrpcBody instead
  std::string literal;
  uint64_t body_at = 0;
  uint64_t body_left = 0;
  bool end_wanted = false;
  std::optional<SimFields> trailers;
  bool out_ended = false;

  int64_t in_window = 0;
  int64_t out_window = 0;
  uint64_t unopened = 0;  // bytes that came and whose window was not opened again
  bool opens = true;

  bool over() const { return (in.complete && out_ended) || reset_by_peer || reset_by_us; }
  bool answered() const { return in.complete; }
};

class SimH2Session {
 public:
  enum class Role : uint8_t { kClient, kServer };

  // `write` takes bytes; `congested` says that it wants no more DATA before the next Pump.
  SimH2Session(Role role, const SimH2Options& options, SimLoop& loop,
               std::function<void(std::string)> write, std::function<bool()> congested);
  SimH2Session(const SimH2Session&) = delete;

  // What happened; may be empty.
  std::function<void(SimH2Stream&)> on_head;        // and the request may go on
  std::function<void(SimH2Stream&)> on_body;        // some of it came
  std::function<void(SimH2Stream&)> on_end;         // END_STREAM came
  std::function<void(SimH2Stream&)> on_reset;       // by the peer
  std::function<void(SimH2Stream&)> on_sent;        // all that was queued has been written
  std::function<void(const SimFrame&)> on_control;  // GOAWAY, PING, SETTINGS

  // Sends the preface (of a client) and SETTINGS.
  void Start();
  void Feed(std::string_view bytes);
  void FeedEof();
  // The transport, or a window, takes more.
  void Pump();

  // ---- sending
  // Of a client: a new stream.
  SimH2Stream& Open(const SimFields& fields, bool end_stream);
  void SendHead(SimH2Stream& stream, const SimFields& fields, bool end_stream);
  // The same in two parts: a HEADERS frame that does not end its block, and the CONTINUATION.
  SimH2Stream& OpenPartly(const SimFields& fields);
  void FinishPartly();
  void SendInterim(SimH2Stream& stream, const SimFields& fields) {
    SendHead(stream, fields, false);
  }
  void SendBody(SimH2Stream& stream, uint64_t bytes);  // so much more of SimBody
  void SendBytes(SimH2Stream& stream, std::string_view bytes);
  void Finish(SimH2Stream& stream);
  void FinishWithTrailers(SimH2Stream& stream, const SimFields& trailers);
  void Reset(SimH2Stream& stream, uint32_t error);
  void Ping(std::string_view eight_bytes);
  void Goaway(uint32_t last_stream, uint32_t error);
  void SendFrame(const SimFrame& frame) { Write(EncodeFrame(frame)); }
  void Write(std::string bytes);
  // Gives back what came of a stream that does not open by itself; all of it, or so much.
  void OpenWindow(SimH2Stream& stream, uint64_t most = UINT64_MAX);
  // What was withheld, and whatever comes from now on.
  void AckPings();
  void AckSettings();

  // ---- state
  const std::string& complaint() const { return complaint_; }
  std::map<uint32_t, SimH2Stream>& streams() { return streams_; }
  const std::map<uint32_t, SimH2Stream>& streams() const { return streams_; }
  SimH2Stream* Find(uint32_t id);
  size_t open_streams() const;  // not over, on either side
  const std::vector<SimH2Goaway>& goaways() const { return goaways_; }
  uint32_t last_peer_stream() const { return last_peer_stream_; }
  uint64_t written() const { return written_; }
  size_t pings() const { return pings_; }  // that the peer sent
  size_t goaways_before_ping() const { return goaways_before_ping_; }
  bool settings_acked() const { return settings_to_ack_ == 0; }
  bool got_settings() const { return got_settings_; }
  uint32_t peer_max_streams() const { return peer_max_streams_; }
  bool peer_takes_extended_connect() const { return peer_takes_extended_connect_; }
  // Frames that came, by type.
  uint64_t count(uint8_t type) const { return counts_[type & 15]; }

 private:
  void Complain(const std::string& what);
  void OnFrame(const SimFrame& frame);
  bool CheckFrame(const SimFrame& frame);
  void OnData(const SimFrame& frame);
  void OnHeaders(const SimFrame& frame);
  void OnBlock();
  void OnMessageBlock(SimH2Stream& stream, SimFields fields, bool end_stream);
  SimH2Stream* AcceptStream(uint32_t id);
  void OnEndStream(SimH2Stream& stream);
  void OnRst(const SimFrame& frame);
  void OnSettings(const SimFrame& frame);
  void OnSettingsAck();
  void ApplySetting(uint16_t id, uint32_t value);
  void OnPing(const SimFrame& frame);
  void OnGoaway(const SimFrame& frame);
  void OnWindowUpdate(const SimFrame& frame);
  bool MayReceive(SimH2Stream* stream, const SimFrame& frame);
  void Return(SimH2Stream* stream, uint64_t bytes);
  void PumpStream(SimH2Stream& stream);
  bool SendOnePiece(SimH2Stream& stream);
  void End(SimH2Stream& stream);
  void NoteOver(SimH2Stream& stream) { stream.over_at = loop_.Now(); }
  SimH2Stream& NewStream(const SimFields& fields);
  void WriteBlock(uint32_t stream, const SimFields& fields, bool end_stream);

  const Role role_;
  const SimH2Options options_;
  SimLoop& loop_;
  std::function<void(std::string)> write_;
  std::function<bool()> congested_;
  SimFrameReader reader_;
  SimHpackEncoder encoder_;
  SimHpackDecoder decoder_;
  std::string preface_;  // of the client, as far as it came
  std::map<uint32_t, SimH2Stream> streams_;
  std::deque<uint32_t> sending_;  // streams with something to send, round robin
  std::string block_;             // a header block so far
  uint32_t block_stream_ = 0;     // 0: none is under way
  bool block_ends_stream_ = false;
  std::vector<SimH2Goaway> goaways_;
  std::optional<uint32_t> our_goaway_;
  std::string rest_of_block_;  // of OpenPartly
  std::deque<std::string> withheld_pings_;
  std::deque<std::string> pings_sent_;
  std::string complaint_;
  uint64_t counts_[16] = {};
  uint64_t written_ = 0;
  uint32_t next_stream_ = 1;
  uint32_t last_peer_stream_ = 0;
  int64_t in_window_ = h2::kDefaultWindow;
  int64_t out_window_ = h2::kDefaultWindow;
  uint64_t unopened_ = 0;
  int64_t in_stream_window_ = h2::kDefaultWindow;  // as the peer knows it: since its ACK
  int64_t out_stream_window_ = h2::kDefaultWindow;
  uint32_t out_frame_ = h2::kDefaultFrameSize;
  uint32_t peer_max_streams_ = UINT32_MAX;
  size_t settings_to_ack_ = 0;         // ours
  size_t withheld_settings_acks_ = 0;  // of the peer's
  size_t pings_ = 0;
  size_t goaways_before_ping_ = 0;
  bool ack_pings_;
  bool ack_settings_;
  bool got_settings_ = false;
  bool peer_takes_extended_connect_ = false;
  bool pumping_ = false;
};

}  // namespace sluice
