// Draining is counting: every piece of work holds a Pass, closing the gate admits no new one, and
// the last Pass to be released says "done". One thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

namespace sluice {

class Gate {
 public:
  // One admitted piece of work. The gate must outlive it.
  class Pass {
   public:
    Pass() = default;
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Pass& operator=(Pass&& other) noexcept {
      if (this != &other) {
        Release();
        gate_ = std::exchange(other.gate_, nullptr);
      }
      return *this;
    }
    ~Pass() { Release(); }

    void Release() {
      if (Gate* gate = std::exchange(gate_, nullptr)) gate->Leave();
    }
    bool held() const { return gate_ != nullptr; }

   private:
    friend class Gate;
    explicit Pass(Gate* gate) : gate_(gate) {}
    Gate* gate_ = nullptr;
  };

  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // A pass, or nothing once the gate is closed.
  std::optional<Pass> TryEnter() {
    if (closed()) return std::nullopt;
    return Enter();
  }

  // A pass even through a closed gate, for work that was accepted before it closed and only now
  // becomes visible (a request already on the wire of an accepted connection).
  Pass Enter() {
    ++passes_;
    return Pass(this);
  }

  // Admits no new work. `on_empty` is called once, from here if nothing is in flight, otherwise
  // from the release of the last pass.
  void Close(std::function<void()> on_empty) {
    on_empty_ = std::move(on_empty);
    closed_ = true;
    if (passes_ == 0) Announce();
  }

  // Takes work again (undrain); an announcement that was not made yet will not be.
  void Open() {
    closed_ = false;
    on_empty_ = nullptr;
  }

  bool closed() const { return closed_; }
  uint64_t passes() const { return passes_; }

 private:
  void Leave() {
    if (--passes_ == 0 && closed_) Announce();
  }
  void Announce() {
    if (auto on_empty = std::exchange(on_empty_, nullptr)) on_empty();
  }

  uint64_t passes_ = 0;
  bool closed_ = false;
  std::function<void()> on_empty_;
};

}  // namespace sluice
