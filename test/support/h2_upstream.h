// An HTTP/2 upstream under the control of a test: an independent HTTP/2 session at the server's end
// of a Pipe, which can also be told to break the rules.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "sluice/transport.h"
#include "support/sim_h2_session.h"
#include "support/sim_loop.h"

namespace sluice {

class TestH2Upstream final : private TransportEvents {
 public:
  TestH2Upstream(SimLoop& loop, std::unique_ptr<Transport> transport,
                 const SimH2Options& options = {})
      : transport_(std::move(transport)),
        session_(
            SimH2Session::Role::kServer, options, loop,
            [this, &loop](std::string bytes) { transport_->Write(loop.Lend(std::move(bytes))); },
            [this] { return transport_->congested(); }) {
    transport_->SetEvents(this);
  }

  SimH2Session& session() { return session_; }
  SimH2Stream& stream(uint32_t id) { return session_.streams().at(id); }

  void Head(uint32_t id, int status, SimFields fields = {}, bool end_stream = false) {
    fields.insert(fields.begin(), {":status", std::to_string(status)});
    session_.SendHead(stream(id), fields, end_stream);
  }
  // A whole response without a body.
  void Respond(uint32_t id, int status = 200) { Head(id, status, {}, true); }
  // A frame as it stands.
  void Raw(const SimFrame& frame) { session_.SendFrame(frame); }

  void HalfClose() { transport_->ShutdownWrite(); }
  void Reset() { transport_->Reset(); }
  void StopReading() { transport_->PauseReading(); }
  bool closed_by_peer() const { return eof_ || error_ != 0; }

 private:
  void OnData(std::string_view bytes) override { session_.Feed(bytes); }
  void OnEof() override { eof_ = true; }
  void OnWritable() override { session_.Pump(); }
  void OnError(int error) override { error_ = error; }

  std::unique_ptr<Transport> transport_;
  SimH2Session session_;
  bool eof_ = false;
  int error_ = 0;
};

}  // namespace sluice
