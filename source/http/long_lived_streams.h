// The streams of one worker that do not end by themselves soon, and that can be told to go in words
// of their own: WebSockets, event streams, whatever a route wants ended early. A drain tells them
// one by one, in random order, spread over a time, so that neither their clients' new connections
// nor this loop meet them all at once.
//
//   Add --> at home --BeginDrain--> waiting for its turn --Tell--> told
//                ^---- EndDrain ----+
//
// One worker thread.
#pragma once

#include <functional>
#include <list>
#include <vector>

#include "base/intrusive_list.h"
#include "base/time.h"
#include "base/timer_queue.h"
#include "sluice/handler.h"
#include "sluice/loop.h"

namespace sluice {

struct LongLivedTag {};
class LongLivedStreams;

class LongLivedStream : public ListHook<LongLivedTag> {
 public:
  virtual ~LongLivedStream() = default;

  virtual ServerStream& stream() = 0;

  // Its turn has come: end in your own words, now or at the next place that allows it. Returns
  // false to be asked again a little later. May end the stream.
  virtual bool Tell() = 0;

 private:
  friend class LongLivedStreams;
  struct LongLivedDrain* drain_ = nullptr;  // for which it waits
  size_t place_ = 0;                        // among those that wait for it
};

// A drain of some of them.
struct LongLivedDrain {
  StreamFilter concerns;
  TimePoint until{};  // when the last of those that were there at its beginning is told
  double due = 0;     // less than one
  uint64_t told = 0;
  uint64_t left = 0;  // ended while they waited; not those that ended before it was shown them
  // In no order: whose turn it is, chance decides. Nobody
  // has to shuffle fifty thousand in one turn of the loop.
  std::vector<LongLivedStream*> waiting;
};

class LongLivedStreams {
 public:
  // `loop` must outlive it.
  explicit LongLivedStreams(Loop& loop);
  LongLivedStreams(const LongLivedStreams&) = delete;

  // Takes a stream in; one that a drain concerns waits for it at once. When it is removed, its
  // stream may be over already.
  void Add(LongLivedStream& stream);
  void Remove(LongLivedStream& stream);
  // For one that may come back: it has not ended.
  void Withdraw(LongLivedStream& stream);

  // Tells those that `concerns` picks over `spread`, or less when they are few, and until EndDrain
  // all that come.
  LongLivedDrain& BeginDrain(StreamFilter concerns, Duration spread);
  // When whatever is in flight will be cut; kNever while nothing drains. What would take longer
  // need not begin.
  TimePoint cut_at() const { return cut_at_; }
  void SetCutAt(TimePoint deadline) { cut_at_ = deadline; }
  // Taken back: who still waits stays, unless another drain concerns it. `drain` is gone.
  void EndDrain(LongLivedDrain& drain);

 private:
  void Assign(LongLivedStream& stream);
  void ShowSome();
  void Enqueue(LongLivedStream& stream, LongLivedDrain& drain);
  void Dequeue(LongLivedStream& stream);
  void TellSome(LongLivedDrain& drain, TimePoint now);
  void OnTick();

  Loop& loop_;
  Timer tick_;
  // Those that no drain has told: `unseen_` are to be shown to the drains, some in each turn.
  IntrusiveList<LongLivedStream, LongLivedTag> untold_;
  IntrusiveList<LongLivedStream, LongLivedTag> unseen_;
  size_t count_ = 0;  // in both
  std::list<LongLivedDrain> drains_;
  TimePoint cut_at_ = kNever;
};

}  // namespace sluice
