// HTTP/1.1 towards an upstream: one exchange after the other on one connection.
//
//   kIdle --StartRequest--> kBusy --response and request complete, both sides persist--> kIdle
//     |                       | anything else
//     +---- EOF, any byte ----+--------------------------------------------------------> kClosed
//
// After a 101, or 2xx to CONNECT, it is a tunnel until both directions have ended.
#pragma once

#include <memory>
#include <string>

#include "http/client_connection.h"
#include "http/h1_parser.h"
#include "http/http_options.h"
#include "sluice/transport.h"

namespace sluice {

class H1ClientConnection final : public ClientConnection,
                                 private ClientStream,
                                 private TransportEvents,
                                 private H1Events {
 public:
  // `owner` and `limits` (of response heads) must outlive it.
  H1ClientConnection(Loop& loop, std::unique_ptr<Transport> transport, ClientConnectionOwner& owner,
                     const HttpLimits& limits);
  ~H1ClientConnection() override;

  uint32_t room() const override { return state_ == State::kIdle ? 1 : 0; }
  uint32_t active() const override {
    return state_ == State::kBusy || state_ == State::kTunnel ? 1 : 0;
  }
  bool multiplexes() const override { return false; }
  ClientStream& StartRequest(const RequestHead& head, bool end_stream,
                             ResponseReceiver& receiver) override;
  // Only on a new connection: goes on, when the stream is thawed, with a tunnel that another
  // process has frozen, `unsent` first.
  ClientStream& AdoptTunnel(ResponseReceiver& receiver, std::string_view unsent);
  bool StillOpen() override;
  void Close() override;

 private:
  enum class State : uint8_t { kIdle, kBusy, kTunnel, kClosed };

  // ClientStream
  void SendBody(std::string_view bytes, bool end_stream) override;
  void SendTrailers(const HeaderList& trailers) override;
  bool congested() const override { return transport_->congested(); }
  size_t untaken_bytes() const override { return transport_->untaken_bytes(); }
  void PauseResponse() override;
  void ResumeResponse() override;
  void SetReceiver(ResponseReceiver& receiver) override { receiver_ = &receiver; }
  std::optional<FrozenTransport> Freeze() override;
  void Thaw() override;
  void Cancel() override;
  void Leave() override;

  // TransportEvents
  void OnData(std::string_view bytes) override;
  void OnEof() override;
  void OnWritable() override;
  void OnError(int error) override;

  // H1Events
  void OnHead(H1Framing framing, bool keep_alive) override;
  void OnBody(std::string_view bytes) override;
  void OnTrailers(const HeaderList& trailers) override;
  void OnMessageEnd() override;

  void BeginResponse();
  void DispatchHead();
  void MakeWebSocketKey();
  void EnterTunnel();
  void EndRequest();
  // The receiver has been given the end of its response.
  void OnExchangeOver();
  void Fail(UpstreamFailure::Kind kind, std::string_view detail);

  Loop& loop_;
  std::unique_ptr<Transport> transport_;
  ClientConnectionOwner& owner_;
  ResponseReceiver* receiver_ = nullptr;  // null: idle, or the exchange was given up
  const RequestHead* request_ = nullptr;
  H1Parser parser_;
  ResponseHead head_;
  std::string websocket_key_;  // ours, where the request came without one over HTTP/2
  State state_ = State::kIdle;
  H1Framing response_framing_ = H1Framing::kNone;
  bool request_chunked_ = false;
  bool request_ended_ = false;
  bool response_begun_ = false;
  bool response_ended_ = false;
  bool head_ready_ = false;
  bool persists_ = true;  // both sides allow another exchange
};

}  // namespace sluice
