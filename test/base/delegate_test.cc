#include "base/delegate.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

class Counter {
 public:
  virtual ~Counter() = default;
  void Count() { ++count_; }
  virtual void CountVirtually() { count_ += 10; }
  int count() const { return count_; }

 protected:
  int count_ = 0;
};

class Hundreds : public Counter {
 public:
  void CountVirtually() override { count_ += 100; }
};

TEST(DelegateTest, CallsItsMemberOnItsObject) {
  Counter first;
  Counter second;
  const Delegate delegate = Delegate::Bind<&Counter::Count>(&first);
  delegate();
  delegate();
  EXPECT_EQ(first.count(), 2);
  EXPECT_EQ(second.count(), 0);
}

TEST(DelegateTest, DispatchesVirtually) {
  Hundreds hundreds;
  Delegate::Bind<&Counter::CountVirtually> (&hundreds)();
  EXPECT_EQ(hundreds.count(), 100);
}

TEST(DelegateTest, BindsAnInheritedMember) {
  Hundreds hundreds;
  Delegate::Bind<&Counter::Count> (&hundreds)();
  EXPECT_EQ(hundreds.count(), 1);
}

TEST(DelegateTest, IsCopied) {
  Counter first;
  Counter second;
  Delegate delegate;
  delegate = Delegate::Bind<&Counter::Count>(&first);
  const Delegate copy = delegate;
  delegate = Delegate::Bind<&Counter::Count>(&second);
  copy();
  EXPECT_EQ(first.count(), 1);
  EXPECT_EQ(second.count(), 0);
  delegate();
  EXPECT_EQ(second.count(), 1);
}

TEST(DelegateTest, IsTwoWords) { EXPECT_EQ(sizeof(Delegate), 2 * sizeof(void*)); }

}  // namespace
}  // namespace sluice
