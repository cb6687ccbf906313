#include "lifecycle/fan_out.h"

#include <memory>
#include <utility>

namespace sluice {
namespace {

// What the parts still owe; shared by their callbacks, so that it lives as long as the last of
// them.
class Countdown {
 public:
  Countdown(size_t parts, std::function<void()> on_zero)
      : outstanding_(parts), answered_(parts), on_zero_(std::move(on_zero)) {}

  // True when `part` had not answered yet.
  bool Take(size_t part) {
    if (answered_[part]) return false;
    answered_[part] = true;
    return true;
  }

  void Finish() {
    if (--outstanding_ == 0) std::exchange(on_zero_, nullptr)();
  }

 private:
  size_t outstanding_;
  std::vector<bool> answered_;
  std::function<void()> on_zero_;
};

}  // namespace

FanOut::FanOut(std::vector<Drainable*> parts) : parts_(std::move(parts)) {}

void FanOut::EnterLameDuck(const LameDuckOrder& order) {
  for (Drainable* part : parts_) part->EnterLameDuck(order);
}

void FanOut::LeaveLameDuck() {
  for (Drainable* part : parts_) part->LeaveLameDuck();
}

void FanOut::BeginDrain(const DrainOrder& order, std::function<void()> done) {
  if (parts_.empty()) {
    done();
    return;
  }
  auto countdown = std::make_shared<Countdown>(parts_.size(), std::move(done));
  for (size_t i = 0; i < parts_.size(); ++i) {
    parts_[i]->BeginDrain(order, [countdown, i] {
      if (countdown->Take(i)) countdown->Finish();
    });
  }
}

void FanOut::Cut(CutReason reason) {
  for (Drainable* part : parts_) part->Cut(reason);
}

void FanOut::Inspect(std::function<void(const DrainProgress&)> report) {
  auto sum = std::make_shared<DrainProgress>();
  if (parts_.empty()) {
    report(*sum);
    return;
  }
  auto countdown = std::make_shared<Countdown>(parts_.size(),
                                               [sum, report = std::move(report)] { report(*sum); });
  for (size_t i = 0; i < parts_.size(); ++i) {
    parts_[i]->Inspect([countdown, sum, i](const DrainProgress& progress) {
      if (!countdown->Take(i)) return;
      sum->Add(progress);
      countdown->Finish();
    });
  }
}

}  // namespace sluice
