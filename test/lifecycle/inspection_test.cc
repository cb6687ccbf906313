#include "lifecycle/inspection.h"

#include <gtest/gtest.h>

#include <optional>

#include "lifecycle/fake_drainable.h"
#include "support/sim_loop.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class InspectionTest : public testing::Test {
 protected:
  void Ask(Duration bound = seconds(1)) {
    inspector_->Ask(bound, [this](const DrainProgress* progress) {
      ++answers_;
      seen_ = progress ? std::optional(progress->in_flight_total()) : std::nullopt;
    });
  }

  SimLoop loop_;
  FakeDrainable target_;
  std::optional<Inspector> inspector_{std::in_place, loop_, target_};
  int answers_ = 0;
  std::optional<uint64_t> seen_;
};

TEST_F(InspectionTest, AnAnswerEndsTheWait) {
  target_.SetInFlight(7);
  Ask();
  EXPECT_EQ(answers_, 1);
  EXPECT_EQ(seen_, 7u);
  loop_.RunFor(seconds(10));
  EXPECT_EQ(answers_, 1);
}

TEST_F(InspectionTest, SilenceEndsAtTheBound) {
  target_.answers = false;
  Ask(seconds(1));
  loop_.RunFor(milliseconds(999));
  EXPECT_EQ(answers_, 0);
  loop_.RunFor(milliseconds(2));
  EXPECT_EQ(answers_, 1);
  EXPECT_FALSE(seen_);
}

TEST_F(InspectionTest, ALateAnswerIsIgnored) {
  target_.answers = false;
  Ask(seconds(1));
  loop_.RunFor(seconds(2));
  target_.unanswered[0](target_.progress);
  EXPECT_EQ(answers_, 1);
  EXPECT_FALSE(seen_);
}

TEST_F(InspectionTest, SeveralQuestionsAreIndependent) {
  target_.answers = false;
  Ask(seconds(1));
  Ask(seconds(5));
  target_.unanswered[1](target_.progress);
  EXPECT_EQ(answers_, 1);
  loop_.RunFor(seconds(10));
  EXPECT_EQ(answers_, 2);
}

TEST_F(InspectionTest, NobodyIsCalledOnceItIsGone) {
  target_.answers = false;
  Ask();
  inspector_.reset();
  target_.unanswered[0](target_.progress);
  loop_.RunFor(seconds(10));
  EXPECT_EQ(answers_, 0);
}

}  // namespace
}  // namespace sluice
