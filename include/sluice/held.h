// What lives for as long as somebody holds it, without being owned by them: a configuration that a
// worker has replaced while requests still go by it, an endpoint that was removed while requests
// are still on it.
//
// Counted without atomics: an object and all that hold it belong to one thread.
#pragma once

#include <cstdint>
#include <utility>

namespace sluice {

class Held {
 public:
  virtual ~Held() = default;
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  bool held() const { return holds_ > 0; }

 protected:
  Held() = default;

  // The last hold was given up, perhaps deep inside a call of this very object: who frees it, frees
  // it later.
  virtual void OnLetGo() = 0;

 private:
  template <typename T>
  friend class Hold;
  uint32_t holds_ = 0;
};

// A smart pointer that counts, and never deletes.
template <typename T>
class Hold {
 public:
  Hold() = default;
  explicit Hold(T* held) : held_(held) {
    if (held_ != nullptr) ++held_->Held::holds_;
  }
  Hold(const Hold& other) : Hold(other.held_) {}
  Hold(Hold&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  Hold& operator=(Hold other) noexcept {
    std::swap(held_, other.held_);
    return *this;
  }
  ~Hold() { Reset(); }

  void Reset() {
    T* const held = std::exchange(held_, nullptr);
    if (held != nullptr && --held->Held::holds_ == 0) static_cast<Held*>(held)->OnLetGo();
  }

  T* get() const { return held_; }
  T* operator->() const { return held_; }
  explicit operator bool() const { return held_ != nullptr; }

 private:
  T* held_ = nullptr;
};

// A configuration as one worker serves it.
class Generation : public Held {
 public:
  explicit Generation(uint64_t number) : number_(number) {}
  // Counts the configurations of the process, from 1.
  uint64_t number() const { return number_; }

  // Another is in force, and this one has parts that may be gone.
  void Replace() { replaced_ = true; }
  bool replaced() const { return replaced_; }

 private:
  const uint64_t number_;
  bool replaced_ = false;
};

}  // namespace sluice
