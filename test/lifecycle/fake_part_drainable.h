// A worker that drains parts when the test says so, and writes down what it is told.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sluice/part_drain.h"

namespace sluice {

class FakePartDrainable final : public PartDrainable {
 public:
  std::vector<std::string> calls;
  std::vector<PartDrainOrder> orders;
  bool idle = false;       // nothing is ever in flight: done at once
  PartProgress when_done;  // what is reported then

  // What was in flight of the part has ended; of every drain of it that was ever begun.
  void Finish(const Part& part) {
    for (const auto& done : done_[part]) done(Progress(part));
  }

  void DrainPart(const PartDrainOrder& order,
                 std::function<void(const PartProgress&)> done) override {
    calls.push_back("drain " + order.part.name);
    orders.push_back(order);
    done_[order.part].push_back(done);
    if (idle) done(Progress(order.part));
  }
  void CutPart(const Part& part) override { calls.push_back("cut " + part.name); }
  void UndrainPart(const Part& part) override { calls.push_back("undrain " + part.name); }

 private:
  PartProgress Progress(const Part& part) const {
    PartProgress progress = when_done;
    progress.part = part;
    return progress;
  }

  std::map<Part, std::vector<std::function<void(const PartProgress&)>>> done_;
};

}  // namespace sluice
