// An HTTP/2 client in a simulation (cleartext, with prior knowledge). As SimClient it sends what it
// is told, retries nothing, and records what came back; what the server does wrong is its
// complaint().
//
//   SimH2Client client(loop, network, "proxy");
//   client.Connect();
//   const uint32_t id = client.Request("GET", "/fast");
//   loop.RunUntil([&] { return client.answered() == 1; }, 1s);
//   client.stream(id).in.status
//
// One thread; loop and network must outlive it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/transport.h"
#include "support/sim_h2_session.h"
#include "support/sim_loop.h"
#include "support/sim_network.h"

namespace sluice {

class SimH2Client final : private TransportEvents {
 public:
  //  kIdle -Connect-> kConnecting -> kOpen -> kEnded | kFailed
  //                        \-----------------------> kFailed
  //  any -Close, Reset-> kLeft
  enum class State : uint8_t { kIdle, kConnecting, kOpen, kEnded, kFailed, kLeft };

  SimH2Client(SimLoop& loop, SimNetwork& network, std::string address,
              const SimH2Options& options = {});
  ~SimH2Client();

  // Called after each END_STREAM, and each reset; and when the server ends the connection. May be
  // empty. Must not destroy the client.
  std::function<void(const SimH2Stream&)> on_over;
  std::function<void()> on_end;

  void Connect();
  // Of all that will be sent only so many bytes leave, until SendHeldBack.
  void HoldBackAfter(size_t bytes) { leave_ = bytes; }
  void SendHeldBack();

  // A whole request; `body` goes with a content-length, none without it. All of these give the id
  // of the new stream.
  uint32_t Request(const std::string& method, const std::string& target, SimFields fields = {},
                   std::string_view body = {});
  // Only the head.
  uint32_t Begin(const std::string& method, const std::string& target, SimFields fields = {});
  // A head and then, at the pace of the windows and of `gap` between pieces of `piece` bytes,
  // `bytes` of SimBody with a content-length; `stop_at`: not more than that many, and no end.
  uint32_t Upload(const std::string& target, uint64_t bytes, uint64_t piece = UINT64_MAX,
                  Duration gap = {}, uint64_t stop_at = UINT64_MAX);
  // A gRPC call with so many messages; it stays open for more if not `ends`.
  uint32_t Grpc(const std::string& target, uint64_t messages = 1, bool ends = true,
                SimFields fields = {});

  // The head of an extended CONNECT for a WebSocket (RFC 8441 5); what is sent behind it is the
  // WebSocket's.
  uint32_t WebSocket(const std::string& target, SimFields fields = {});

  void SendBytes(uint32_t id, std::string_view bytes) { session_.SendBytes(stream(id), bytes); }
  void SendBody(uint32_t id, uint64_t bytes) { session_.SendBody(stream(id), bytes); }
  void Finish(uint32_t id) { session_.Finish(stream(id)); }
  void ResetStream(uint32_t id, uint32_t error = h2::kCancel) { session_.Reset(stream(id), error); }

  // The window of a stream: shut from now on, opened by `bytes` every `gap`, or opened as usual.
  void HoldWindow(uint32_t id) { stream(id).opens = false; }
  void ReadSlowly(uint32_t id, uint64_t bytes, Duration gap);
  void ReadAgain(uint32_t id);

  // The connection.
  void PauseReading();
  void ResumeReading();
  void HalfClose();
  void Close();
  void Reset();

  SimH2Session& session() { return session_; }
  const SimH2Session& session() const { return session_; }
  SimH2Stream& stream(uint32_t id) { return session_.streams().at(id); }
  const SimH2Stream& stream(uint32_t id) const { return session_.streams().at(id); }
  const std::vector<SimH2Goaway>& goaways() const { return session_.goaways(); }

  State state() const { return state_; }
  const std::string& local_address() const { return local_address_; }
  int error() const { return error_; }
  bool ended() const { return state_ == State::kEnded || state_ == State::kFailed; }
  TimePoint ended_at() const { return ended_at_; }
  // Complete responses, and streams that the server reset.
  size_t answered() const;
  size_t resets() const;
  // What is wrong with what the server sent; "" if nothing.
  const std::string& complaint() const { return session_.complaint(); }

 private:
  void OnConnected(std::unique_ptr<Transport> transport, int error);
  void OnData(std::string_view bytes) override { session_.Feed(bytes); }
  void OnEof() override;
  void OnWritable() override { session_.Pump(); }
  void OnError(int error) override;
  void Write(std::string bytes);
  void UploadMore(uint32_t id, uint64_t bytes, uint64_t piece, Duration gap, bool ends);
  void Drop(State state);
  // Calls `what` later, if this client still exists.
  void Later(Duration delay, std::function<void()> what);

  SimLoop& loop_;
  SimNetwork& network_;
  const std::string address_;
  std::string local_address_;
  const std::shared_ptr<SimH2Client*> self_;
  State state_ = State::kIdle;
  std::unique_ptr<Dialer::Attempt> attempt_;
  std::unique_ptr<Transport> transport_;
  std::string unsent_;  // until connected, or held back
  size_t leave_ = SIZE_MAX;
  SimH2Session session_;
  TimePoint ended_at_{};
  bool half_closed_ = false;
  int error_ = 0;
};

}  // namespace sluice
