// A Drainable whose work is what the test says it is, and which writes down what it is told.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sluice/drainable.h"

namespace sluice {

class FakeDrainable : public Drainable {
 public:
  std::vector<std::string> calls;
  std::vector<DrainOrder> orders;
  LameDuckOrder lame_duck;
  DrainProgress progress;
  bool answers = true;  // false: like a worker that hangs
  bool obeys_cut = true;

  // Work in flight, by direction: a drain of its scope is done when it is gone.
  void SetInFlight(uint64_t inbound, uint64_t outbound = 0) {
    inbound_ = inbound;
    outbound_ = outbound;
    Account();
    Settle();
  }

  void FinishInbound() {
    progress.finished += inbound_;
    SetInFlight(0, outbound_);
  }
  void FinishOutbound() {
    progress.finished += outbound_;
    SetInFlight(inbound_, 0);
  }

  // Calls every `done` it was ever given once more, as a buggy implementation would.
  void CallEveryDoneAgain() {
    const auto again = given_;
    for (const auto& done : again) done();
  }

  void EnterLameDuck(const LameDuckOrder& order) override {
    calls.push_back("lame_duck");
    lame_duck = order;
  }
  void LeaveLameDuck() override { calls.push_back("back"); }

  void BeginDrain(const DrainOrder& order, std::function<void()> done) override {
    calls.push_back(order.scope.outbound ? "drain everything" : "drain inbound");
    orders.push_back(order);
    given_.push_back(done);
    waiting_.push_back({order.scope.outbound, std::move(done)});
    Settle();
  }

  void Cut(CutReason reason) override {
    calls.push_back("cut " + std::string(CutReasonName(reason)));
    if (!obeys_cut) return;
    progress.cut[0] += inbound_ + outbound_;
    SetInFlight(0, 0);
  }

  void Inspect(std::function<void(const DrainProgress&)> report) override {
    if (answers) {
      report(progress);
    } else {
      unanswered.push_back(std::move(report));
    }
  }
  std::vector<std::function<void(const DrainProgress&)>> unanswered;

 private:
  void Account() {
    progress.in_flight = {inbound_ + outbound_};
    progress.in_flight_by_route.clear();
    if (inbound_ != 0) progress.in_flight_by_route.emplace_back("default/0", inbound_);
    if (outbound_ != 0) progress.in_flight_by_route.emplace_back("egress/0", outbound_);
  }

  void Settle() {
    auto waiting = std::exchange(waiting_, {});
    for (auto& [everything, done] : waiting) {
      if (inbound_ == 0 && (!everything || outbound_ == 0)) {
        done();
      } else {
        waiting_.emplace_back(everything, std::move(done));
      }
    }
  }

  uint64_t inbound_ = 0;
  uint64_t outbound_ = 0;
  std::vector<std::pair<bool, std::function<void()>>> waiting_;
  std::vector<std::function<void()>> given_;
};

}  // namespace sluice
