#include "net/uv_loop.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace sluice {
namespace {

using std::chrono::milliseconds;

class Recorder final : public Deferred, public Flushable {
 public:
  explicit Recorder(std::vector<std::string>& log) : log_(log) {}
  ~Recorder() override { log_.push_back("destroyed"); }
  void Flush() override { log_.push_back("flushed"); }

 private:
  std::vector<std::string>& log_;
};

TEST(UvLoopTest, RunsPostedWorkInOrderAndNeverInline) {
  UvLoop loop(1);
  std::vector<int> order;
  loop.Post([&] {
    order.push_back(1);
    loop.Post([&] {
      order.push_back(3);
      loop.Stop();
    });
    order.push_back(2);
  });
  EXPECT_TRUE(order.empty());
  loop.Run();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(UvLoopTest, TakesWorkFromOtherThreads) {
  UvLoop loop(1);
  int sum = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) {
        loop.Post([&] {
          if (++sum == 4000) loop.Stop();
        });
      }
    });
  }
  loop.Run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum, 4000);
}

TEST(UvLoopTest, EndsADispatchByFlushingThenDestroying) {
  UvLoop loop(1);
  std::vector<std::string> log;
  loop.Post([&] {
    auto recorder = std::make_unique<Recorder>(log);
    loop.FlushLater(*recorder);
    loop.FlushLater(*recorder);
    loop.DeleteLater(std::move(recorder));
    log.push_back("worked");
  });
  loop.Post([&] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(log, (std::vector<std::string>{"worked", "flushed", "destroyed"}));
}

struct Alarm {
  void Ring() { on_ring(); }
  std::function<void()> on_ring;
};

class Then final : public Flushable {
 public:
  explicit Then(std::function<void()> what) : what_(std::move(what)) {}
  void Flush() override { what_(); }

 private:
  std::function<void()> what_;
};

TEST(UvLoopTest, EndsATurnOnlyWhenNothingIsLeftToFlush) {
  UvLoop loop(1);
  std::vector<std::string> log;
  Then last([&] {
    log.push_back("last");
    loop.Stop();
  });
  Then middle([&] {
    log.push_back("middle");
    loop.FlushAtTurnEnd(last);
  });
  Then first([&] {
    log.push_back("first");
    loop.FlushLater(middle);
  });
  loop.Post([&] { loop.FlushAtTurnEnd(first); });
  loop.Post([&] { log.push_back("worked"); });
  Alarm too_late{[&] {
    log.push_back("waited");
    loop.Stop();
  }};
  Timer timer(loop.timers(), Delegate::Bind<&Alarm::Ring>(&too_late));
  loop.Post([&] { timer.Set(loop.Now() + std::chrono::seconds(20)); });
  loop.Run();
  EXPECT_EQ(log, (std::vector<std::string>{"worked", "first", "middle", "last"}));
}

TEST(UvLoopTest, FiresTimersInOrderAndNotEarly) {
  UvLoop loop(1);
  std::vector<int> order;
  Alarm first{[&] { order.push_back(1); }};
  Alarm second{[&] {
    order.push_back(2);
    loop.Stop();
  }};
  Timer late(loop.timers(), Delegate::Bind<&Alarm::Ring>(&second));
  Timer early(loop.timers(), Delegate::Bind<&Alarm::Ring>(&first));
  TimePoint set_at{}, rang_at{};
  loop.Post([&] {
    set_at = loop.Now();
    late.Set(loop.Now() + milliseconds(20));
    early.Set(loop.Now() + milliseconds(5));
  });
  Alarm watch{[&] { rang_at = loop.Now(); }};
  Timer watched(loop.timers(), Delegate::Bind<&Alarm::Ring>(&watch));
  loop.Post([&] { watched.Set(loop.Now() + milliseconds(10)); });
  loop.Run();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_GE(rang_at - set_at, milliseconds(10));
}

// Longer than a turn gives to posted work.
void WorkForLong() {
  const auto until = std::chrono::steady_clock::now() + milliseconds(3);
  while (std::chrono::steady_clock::now() < until) {
  }
}

TEST(UvLoopTest, PostedWorkThatTakesLongLeavesTheRestToTheNextTurn) {
  UvLoop loop(1);
  std::vector<std::string> log;
  Then turn_ends([&] { log.push_back("turn ends"); });
  for (const char* name : {"one", "two", "three"}) {
    loop.Post([&, name] {
      log.push_back(name);
      loop.FlushAtTurnEnd(turn_ends);
      WorkForLong();
    });
  }
  loop.Post([&] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(log, (std::vector<std::string>{"one", "turn ends", "two", "turn ends", "three",
                                           "turn ends"}));
}

TEST(UvLoopTest, ATimerThatIsDueNeedNotWaitForAllThatWasPosted) {
  UvLoop loop(1);
  constexpr int kItems = 50;
  int done = 0;
  int done_at_ring = -1;
  Alarm alarm{[&] { done_at_ring = done; }};
  Timer timer(loop.timers(), Delegate::Bind<&Alarm::Ring>(&alarm));
  loop.Post([&] { timer.Set(loop.Now() + milliseconds(1)); });
  for (int i = 0; i < kItems; ++i) {
    loop.Post([&] {
      ++done;
      WorkForLong();
    });
  }
  loop.Post([&] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(done, kItems);
  EXPECT_GE(done_at_ring, 0) << "it never rang";
  EXPECT_LT(done_at_ring, kItems);
}

TEST(UvLoopTest, SlicesKeepTheOrderOfWhatIsPostedMeanwhile) {
  UvLoop loop(1);
  std::vector<int> order;
  const auto work = [&](int number) {
    return [&order, number] {
      order.push_back(number);
      WorkForLong();
    };
  };
  loop.Post([&] {
    order.push_back(0);
    loop.Post(work(3));
    loop.Post([&, again = work(4)] {
      again();
      loop.Post(work(5));
      loop.Post([&] { loop.Stop(); });
    });
    WorkForLong();
  });
  loop.Post(work(1));
  loop.Post(work(2));
  loop.Run();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

TEST(UvLoopTest, EachPieceOfPostedWorkIsADispatchAndDiesInIt) {
  UvLoop loop(1);
  std::vector<std::string> log;
  struct Traced {
    explicit Traced(std::vector<std::string>& where) : log(where) {}
    ~Traced() { log.push_back("freed"); }
    std::vector<std::string>& log;
  };
  for (const char* name : {"one", "two"}) {
    loop.Post([&, name, traced = std::make_shared<Traced>(log)] {
      auto recorder = std::make_unique<Recorder>(log);
      loop.FlushLater(*recorder);
      loop.DeleteLater(std::move(recorder));
      log.push_back(name);
    });
  }
  loop.Post([&] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(log, (std::vector<std::string>{"one", "freed", "flushed", "destroyed",  //
                                           "two", "freed", "flushed", "destroyed"}));
}

TEST(UvLoopTest, StopsOnlyOnceAllThatWasPostedBeforeHasRun) {
  UvLoop loop(1);
  constexpr int kItems = 20;
  int done = 0;
  std::thread poster([&] {
    for (int i = 0; i < kItems; ++i) {
      loop.Post([&] {
        ++done;
        WorkForLong();
      });
    }
    loop.Stop();
  });
  loop.Run();
  poster.join();
  EXPECT_EQ(done, kItems);
}

TEST(UvLoopTest, RunsAgainAfterAStop) {
  UvLoop loop(1);
  std::vector<int> order;
  for (int round = 0; round < 3; ++round) {
    loop.Post([&order, round] {
      order.push_back(round);
      WorkForLong();
    });
    loop.Post([&] { loop.Stop(); });
    loop.Run();
  }
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
}

TEST(UvLoopTest, WorkThatNeverHadItsTurnIsFreedWithTheLoop) {
  auto token = std::make_shared<int>(7);
  {
    UvLoop loop(1);
    loop.Post([&] {
      WorkForLong();
      loop.Stop();
    });
    loop.Run();
    for (int i = 0; i < 3; ++i) loop.Post([token] { FAIL() << "nobody runs the loop"; });
  }
  EXPECT_EQ(token.use_count(), 1);
}

TEST(UvLoopTest, DropsWorkPostedAfterItsLastTurn) {
  auto token = std::make_shared<int>(7);
  {
    UvLoop loop(1);
    loop.Post([&] { loop.Stop(); });
    loop.Run();
    loop.Post([token] { FAIL() << "ran after the loop had stopped"; });
  }
  EXPECT_EQ(token.use_count(), 1);
}

TEST(UvLoopTest, ScratchIsValidForTheWholeDispatchHoweverMuchIsAsked) {
  UvLoop loop(1);
  loop.Post([&] {
    std::vector<std::pair<char*, size_t>> blocks;
    for (const size_t size : {10u, 60000u, 200000u, 5u, 70000u}) {
      char* block = loop.Scratch(size);
      std::fill(block, block + size, static_cast<char>('a' + blocks.size()));
      blocks.emplace_back(block, size);
    }
    for (size_t i = 0; i < blocks.size(); ++i) {
      const auto [block, size] = blocks[i];
      EXPECT_EQ(std::string(block, size), std::string(size, static_cast<char>('a' + i)));
    }
    loop.Stop();
  });
  loop.Run();
}

}  // namespace
}  // namespace sluice
