// A client with a character, for simulations with many of them: patient, pipelining, slow, silent
// in the middle of something, or gone. What it asks for, when, and how, is drawn from a seed.
//
// One thread; must be destroyed before the simulation.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/random.h"
#include "support/proxy_sim.h"
#include "support/sim_client.h"

namespace sluice {

enum class Manner : uint8_t {
  kPatient,       // one request after the other on one connection
  kPipelining,    // several at once
  kStallsInHead,  // half a head, and nothing more
  kStallsInBody,  // half a body, and nothing more
  kUploadsSlowly,
  kReadsSlowly,
  kNeverReads,  // until the end of the simulation
  kLeaves,      // closes or resets at some moment
  kHalfCloses,  // after its last request
  kTunnels,     // upgrades, talks, ends it; sometimes never
};
inline constexpr size_t kMannerCount = 10;
std::string_view MannerName(Manner manner);

// The bytes of a whole response body to a GET for `target`, as SimOrigin sends it; UINT64_MAX where
// the end cannot be known from the target.
uint64_t ExpectedBody(const std::string& target);

class SimVisitor {
 public:
  // Comes at `arrival`. `name` makes its targets unique.
  SimVisitor(ProxySim& sim, uint64_t seed, std::string name, Duration arrival);

  Manner manner() const { return manner_; }
  SimClient& client() { return client_; }
  // It closed or reset of its own accord while something was still due.
  bool left() const { return left_; }
  // It may take longer than the time limits allow.
  bool tardy() const;
  // The request was begun and will never be whole.
  bool incomplete(size_t index) const { return index == incomplete_; }
  std::string Describe() const;

  // Reads what a kNeverReads has left in the kernel.
  void ReadAtLast() {
    client_.ReadSlowly({});
    client_.ResumeReading();
  }

 private:
  void Arrive();
  void OnAnswer();
  void OnTunnel();
  void RequestSomething();
  void UploadSomething(uint64_t stop_at);
  std::string Target();
  void Later(Duration delay, void (SimVisitor::*what)());
  void Leave();
  void Close();
  void TalkInTunnel();

  ProxySim& sim_;
  Random random_;
  const std::string name_;
  const Manner manner_;
  SimClient client_;
  size_t planned_ = 1;  // requests
  size_t made_ = 0;
  size_t incomplete_ = SIZE_MAX;
  bool left_ = false;
};

}  // namespace sluice
