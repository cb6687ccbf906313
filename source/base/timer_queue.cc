#include "base/timer_queue.h"

namespace sluice {

Timer::~Timer() {
  if (index_ != kNotQueued) queue_.Remove(this);
}

void Timer::Set(TimePoint deadline) {
  deadline_ = deadline;
  if (deadline == kNever) return;
  if (index_ == kNotQueued) {
    queued_at_ = deadline;
    queue_.Insert(this);
  } else if (deadline < queued_at_) {
    queued_at_ = deadline;
    queue_.SiftUp(index_);
  }
}

void TimerQueue::Advance(TimePoint now, size_t most) {
  // Bounded by the timers that are due at `now`: one that a callback sets for the same instant
  // fires too, which is what a chain of zero delays means; none in the project re-arms for ever.
  while (!heap_.empty() && heap_.front()->queued_at_ <= now) {
    Timer* timer = heap_.front();
    if (timer->deadline_ != timer->queued_at_) {
      // It was moved later or stopped since it was queued: the lazy half of Timer::Set. Also when
      // its new deadline is due as well, so that timers fire in the order of their deadlines.
      if (timer->deadline_ == kNever) {
        Remove(timer);
      } else {
        timer->queued_at_ = timer->deadline_;
        SiftDown(0);
      }
      continue;
    }
    Remove(timer);
    timer->deadline_ = kNever;
    timer->on_fire_();
    if (--most == 0) return;
  }
}

void TimerQueue::Insert(Timer* timer) {
  heap_.push_back(timer);
  timer->index_ = static_cast<uint32_t>(heap_.size() - 1);
  SiftUp(timer->index_);
}

void TimerQueue::Remove(Timer* timer) {
  const size_t index = timer->index_;
  timer->index_ = Timer::kNotQueued;
  Timer* last = heap_.back();
  heap_.pop_back();
  if (last == timer) return;
  Place(last, index);
  SiftUp(index);
  SiftDown(last->index_);
}

void TimerQueue::SiftUp(size_t index) {
  Timer* timer = heap_[index];
  while (index > 0) {
    const size_t parent = (index - 1) / 2;
    if (heap_[parent]->queued_at_ <= timer->queued_at_) break;
    Place(heap_[parent], index);
    index = parent;
  }
  Place(timer, index);
}

void TimerQueue::SiftDown(size_t index) {
  Timer* timer = heap_[index];
  for (;;) {
    size_t child = 2 * index + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1]->queued_at_ < heap_[child]->queued_at_)
      ++child;
    if (timer->queued_at_ <= heap_[child]->queued_at_) break;
    Place(heap_[child], index);
    index = child;
  }
  Place(timer, index);
}

void TimerQueue::Place(Timer* timer, size_t index) {
  heap_[index] = timer;
  timer->index_ = static_cast<uint32_t>(index);
}

}  // namespace sluice
