// A doubly linked list whose links live in its elements: membership costs no allocation, and an
// element leaves its list when it is destroyed. Not thread safe.
#pragma once

#include <cstddef>

namespace sluice {

// Base of an element. `Tag` lets one object be in several lists at once.
template <typename Tag>
class ListHook {
 public:
  ListHook() = default;
  ~ListHook() { Unlink(); }
  ListHook(const ListHook&) = delete;
  ListHook& operator=(const ListHook&) = delete;

  bool linked() const { return next_ != nullptr; }

  void Unlink() {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    next_ = prev_ = nullptr;
  }

 private:
  template <typename T, typename U>
  friend class IntrusiveList;
  ListHook* prev_ = nullptr;
  ListHook* next_ = nullptr;
};

// A list of T, each of which derives from ListHook<Tag>. It does not own its elements.
template <typename T, typename Tag>
class IntrusiveList {
 public:
  IntrusiveList() { head_.prev_ = head_.next_ = &head_; }
  ~IntrusiveList() {
    while (!empty()) front()->ListHook<Tag>::Unlink();
    head_.next_ = head_.prev_ = nullptr;
  }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  bool empty() const { return head_.next_ == &head_; }
  T* front() { return Element(head_.next_); }
  T* back() { return Element(head_.prev_); }
  // The one behind `element`, which is in this list; null: it is the last.
  T* Next(T* element) {
    ListHook<Tag>* const next = static_cast<ListHook<Tag>*>(element)->next_;
    return next == &head_ ? nullptr : Element(next);
  }

  // `element` must be in no list of this tag.
  void PushBack(T* element) { InsertBefore(&head_, element); }
  void PushFront(T* element) { InsertBefore(head_.next_, element); }

  // Moves all elements of `other`, which is another list, to the end of this one; in constant time.
  void TakeAll(IntrusiveList& other) {
    if (other.empty()) return;
    ListHook<Tag>* const first = other.head_.next_;
    ListHook<Tag>* const last = other.head_.prev_;
    other.head_.prev_ = other.head_.next_ = &other.head_;
    first->prev_ = head_.prev_;
    head_.prev_->next_ = first;
    last->next_ = &head_;
    head_.prev_ = last;
  }

  // Calls `visit(T&)` for every element; `visit` may unlink, move to another list or destroy the
  // element it is given, but no other. Whether one that it adds is visited too is not promised.
  template <typename Visit>
  void ForEach(Visit visit) {
    for (ListHook<Tag>* hook = head_.next_; hook != &head_;) {
      ListHook<Tag>* next = hook->next_;
      visit(*Element(hook));
      hook = next;
    }
  }

 private:
  static T* Element(ListHook<Tag>* hook) { return static_cast<T*>(hook); }

  void InsertBefore(ListHook<Tag>* position, T* element) {
    ListHook<Tag>* hook = element;
    hook->prev_ = position->prev_;
    hook->next_ = position;
    position->prev_->next_ = hook;
    position->prev_ = hook;
  }

  ListHook<Tag> head_;
};

}  // namespace sluice
