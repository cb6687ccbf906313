// A bound member function: two words, no allocation, no type erasure beyond a function pointer.
//
// Used for callbacks that live inside long-lived objects (timers, watchers), where a std::function
// would cost memory for every idle connection.
#pragma once

namespace sluice {

class Delegate {
 public:
  Delegate() = default;

  // Binds `Member` (a pointer to a member function without arguments) to `object`, which must
  // outlive every call.
  template <auto Member, typename T>
  static Delegate Bind(T* object) {
    return Delegate(object, [](void* self) { (static_cast<T*>(self)->*Member)(); });
  }

  void operator()() const { call_(object_); }

 private:
  Delegate(void* object, void (*call)(void*)) : object_(object), call_(call) {}

  void* object_ = nullptr;
  void (*call_)(void*) = nullptr;
};

}  // namespace sluice
