// The parts of a SimH2Origin: its connections, and their exchanges. For its two .cc files only.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "support/sim_h2_origin.h"

namespace sluice {

class SimH2Origin::Connection final : public Deferred, private TransportEvents {
 public:
  Connection(SimH2Origin& origin, size_t ordinal, std::unique_ptr<Transport> transport);

  SimH2Origin& origin() { return origin_; }
  SimH2Session& session() { return session_; }
  size_t ordinal() const { return ordinal_; }
  void Release();
  size_t held() const;
  void Goaway();
  // GOAWAY below the stream: it and what comes behind it is not processed.
  void GoawayBelow(uint32_t stream);
  void Linger();
  void Die(bool reset);
  void EndWhenIdle();

 private:
  void OnRequest(SimH2Stream& stream);
  void CountRequest();
  void Note(SimH2Stream& stream);
  void OnControl(const SimFrame& frame);
  Exchange* Find(SimH2Stream& stream);
  void OnTimer();

  void OnData(std::string_view bytes) override;
  void OnEof() override;
  void OnWritable() override { session_.Pump(); }
  void OnWriteShut() override;
  void OnError(int) override { Die(false); }

  SimH2Origin& origin_;
  const size_t ordinal_;
  std::unique_ptr<Transport> transport_;
  SimH2Session session_;
  std::map<uint32_t, std::unique_ptr<Exchange>> exchanges_;
  Timer timer_;  // idle, or the linger
  size_t requests_ = 0;
  bool going_ = false;  // a final GOAWAY was sent
  bool shut_ = false;
  bool gone_ = false;
};

// One request and its response.
class SimH2Origin::Exchange {
 public:
  Exchange(Connection& connection, SimH2Stream& stream, size_t seen)
      : connection_(connection),
        stream_(stream),
        seen_(seen),
        path_(stream.in.target.substr(0, stream.in.target.find('?'))),
        query_(SimQuery(stream.in.target)),
        step_(connection.origin().loop_.timers(), Delegate::Bind<&Exchange::OnStep>(this)) {}

  void OnHead();
  void OnBody();
  void OnEnd();
  void OnSent();
  void OnReset();
  void Stop();  // the connection is gone
  void Release();
  bool held() const { return phase_ == Phase::kHeld; }
  Seen& seen() { return connection_.origin().seen_[seen_]; }

 private:
  //  kReading -request whole-> kWaiting | kHeld | kSending <-> kHeld -> kDone
  enum class Phase : uint8_t { kReading, kWaiting, kHeld, kSending, kDone };

  SimH2Session& session() { return connection_.session(); }
  bool grpc() const { return path_.starts_with("/grpc"); }
  bool tunnel() const { return path_ == "/upgrade" && !stream_.in.Header(":protocol").empty(); }
  uint64_t Number(const std::string& key, uint64_t otherwise) const;
  std::string Text(const std::string& key, const std::string& otherwise) const;
  bool Refuses();
  bool Breaks();
  void Answer();
  void SendHead();
  void SendSome();
  void Finish();
  void OnStep();

  Connection& connection_;
  SimH2Stream& stream_;
  const size_t seen_;
  const std::string path_;
  const std::map<std::string, std::string> query_;
  Timer step_;
  Phase phase_ = Phase::kReading;
  uint64_t bytes_ = 16;            // of the response
  uint64_t stop_at_ = UINT64_MAX;  // of it: there it is held, or broken off
  uint64_t given_ = 0;             // to the session
};

}  // namespace sluice
