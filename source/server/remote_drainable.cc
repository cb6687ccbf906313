#include "server/remote_drainable.h"

#include <utility>

namespace sluice {

void RemoteDrainable::EnterLameDuck(const LameDuckOrder& order) {
  away_.Post([this, order] { target_.EnterLameDuck(order); });
}

void RemoteDrainable::LeaveLameDuck() {
  away_.Post([this] { target_.LeaveLameDuck(); });
}

void RemoteDrainable::BeginDrain(const DrainOrder& order, std::function<void()> done) {
  away_.Post([this, order, done = std::move(done)] {
    target_.BeginDrain(order, [this, done] { home_.Post(done); });
  });
}

void RemoteDrainable::Cut(CutReason reason) {
  away_.Post([this, reason] { target_.Cut(reason); });
}

void RemoteDrainable::Inspect(std::function<void(const DrainProgress&)> report) {
  away_.Post([this, report = std::move(report)] {
    target_.Inspect([this, report](const DrainProgress& progress) {
      home_.Post([report, progress] { report(progress); });
    });
  });
}

}  // namespace sluice
