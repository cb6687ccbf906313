// A raw HTTP/1.1 client in a simulation: sends exactly the bytes it is told to, at the pace it is
// told to, and records what came back. It corrects nothing and retries nothing.
//
//   SimClient client(loop, network, "proxy");
//   client.Connect();
//   client.Request("GET", "/fast");
//   loop.RunUntil([&] { return client.answered() == 1; }, 1s);
//
// One thread; loop and network must outlive it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "sluice/transport.h"
#include "support/sim_http.h"
#include "support/sim_loop.h"
#include "support/sim_network.h"

namespace sluice {

class SimClient final : private TransportEvents {
 public:
  //  kIdle -Connect-> kConnecting -> kOpen -> kEnded | kFailed
  //                        \-----------------------> kFailed
  //  any -Close, Reset-> kLeft
  enum class State : uint8_t {
    kIdle,
    kConnecting,
    kOpen,
    kEnded,   // the server half-closed; we may still write
    kFailed,  // connecting failed, or the connection was reset: see error()
    kLeft,    // we closed
  };

  // A request whose first byte stands at `offset` of what this client sent.
  struct Sent {
    std::string method;
    std::string target;
    uint64_t offset = 0;
  };

  SimClient(SimLoop& loop, SimNetwork& network, std::string address);
  ~SimClient();

  void Connect();

  // Called after each complete response; may be empty. Must not destroy the client.
  std::function<void()> on_answer;
  // Called when bytes of a tunnel have come, and when the server has ended or reset the connection.
  std::function<void()> on_tunnel;
  std::function<void()> on_end;

  // Raw bytes, sent as soon as the connection is open, in order.
  void Send(std::string_view bytes);
  // As Send, the first byte of a request to which a response is expected.
  void Begin(const std::string& method, const std::string& target, std::string_view bytes);
  // A whole request with a Host field; `fields` are lines that end in CRLF. `body` goes with a
  // Content-Length, none without it.
  void Request(const std::string& method, const std::string& target, std::string_view fields = {},
               std::string_view body = {});
  // The head of a request and then, at the pace of the connection and of `gap` between pieces of
  // `piece` bytes, `bytes` of SimBody with a Content-Length; `stop_at`: not more than that many.
  void Upload(const std::string& target, uint64_t bytes, size_t piece = 16 * 1024,
              Duration gap = {}, uint64_t stop_at = UINT64_MAX);

  // From now on reads what one event brings and then nothing for `gap`.
  void ReadSlowly(Duration gap) { read_gap_ = gap; }
  void PauseReading();
  void ResumeReading();

  void HalfClose();
  void Close();
  void Reset();

  State state() const { return state_; }
  // Our address once connected, as the server sees it.
  const std::string& local_address() const { return local_address_; }
  // errno of the failure, 0 without one.
  int error() const { return error_; }
  bool ended() const { return state_ == State::kEnded || state_ == State::kFailed; }
  // Bytes of an upload that were handed to the transport.
  uint64_t uploaded() const { return uploaded_; }
  bool half_closed() const { return half_closed_; }

  const std::deque<Sent>& sent() const { return sent_; }
  const SimReader& reader() const { return reader_; }
  const std::deque<SimMessage>& responses() const { return reader_.messages(); }
  // Complete responses, in the order of the requests.
  size_t answered() const { return answered_; }
  // A complete response said that it is the last one.
  bool told_to_close() const { return told_to_close_; }
  // The index of the first response that said so; valid if told_to_close().
  size_t last_response() const { return last_response_; }
  // The bytes of a tunnel.
  const std::string& tunnel() const { return tunnel_; }
  // What the reader, or this client, found wrong with what the server sent; "" if nothing.
  std::string complaint() const;

 private:
  void OnConnected(std::unique_ptr<Transport> transport, int error);
  void OnData(std::string_view bytes) override;
  void OnEof() override;
  void OnWritable() override { PumpUpload(); }
  void OnError(int error) override;
  void PumpUpload();
  void Drop(State state);
  void AfterRead();

  SimLoop& loop_;
  SimNetwork& network_;
  const std::string address_;
  std::string local_address_;
  // Events on the loop hold it weakly, and so know whether this client still exists.
  const std::shared_ptr<SimClient*> self_;
  State state_ = State::kIdle;
  std::unique_ptr<Dialer::Attempt> attempt_;
  std::unique_ptr<Transport> transport_;
  SimReader reader_{SimReader::Kind::kResponses};
  std::string unsent_;  // until connected
  std::deque<Sent> sent_;
  uint64_t bytes_sent_ = 0;
  uint64_t upload_left_ = 0;
  uint64_t uploaded_ = 0;
  size_t upload_piece_ = 0;
  Duration upload_gap_{};
  bool upload_waits_ = false;
  Duration read_gap_{};
  bool half_closed_ = false;
  bool told_to_close_ = false;
  size_t answered_ = 0;
  size_t last_response_ = 0;
  int error_ = 0;
  std::string tunnel_;
  std::string complaint_;
};

}  // namespace sluice
