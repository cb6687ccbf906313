#include "net/output_queue.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <vector>

#include "net/fd.h"

namespace sluice {
namespace {

class OutputQueueTest : public ::testing::Test {
 protected:
  OutputQueueTest() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    near_ = Fd(fds[0]);
    far_ = Fd(fds[1]);
  }

  // Everything that has arrived at the far end.
  std::string Received() {
    std::string all;
    char block[65536];
    for (;;) {
      const ssize_t got = recv(far_.get(), block, sizeof(block), 0);
      if (got <= 0) return all;
      all.append(block, static_cast<size_t>(got));
    }
  }

  Fd near_, far_;
  OutputQueue queue_;
};

TEST_F(OutputQueueTest, SendsSlicesInOrder) {
  queue_.Add("head ");
  queue_.Add("");
  queue_.Add("body");
  EXPECT_EQ(queue_.size(), 9u);
  EXPECT_EQ(queue_.Send(near_.get()), 0);
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(Received(), "head body");
}

TEST_F(OutputQueueTest, KeepsACopyOfWhatTheSocketDoesNotTake) {
  std::string lent(4 * 1024 * 1024, 'a');
  queue_.Add(lent);
  EXPECT_EQ(queue_.Send(near_.get()), 0);
  ASSERT_TRUE(queue_.waiting());
  const size_t left = queue_.size();
  std::fill(lent.begin(), lent.end(), '!');  // the loan is over
  queue_.Add("the end");
  EXPECT_EQ(queue_.size(), left + 7);

  std::string all = Received();
  while (!queue_.empty()) {
    ASSERT_EQ(queue_.Send(near_.get()), 0);
    all += Received();
  }
  EXPECT_EQ(all, std::string(4 * 1024 * 1024, 'a') + "the end");
}

TEST_F(OutputQueueTest, SendsMoreSlicesThanOneCallTakes) {
  const std::string even = "x", odd = "yz";  // not adjacent in memory: no two slices merge
  std::string expected;
  for (int i = 0; i < 3000; ++i) {
    queue_.Add(i % 2 == 0 ? even : odd);
    expected += i % 2 == 0 ? even : odd;
  }
  std::string all;
  while (!queue_.empty()) {
    ASSERT_EQ(queue_.Send(near_.get()), 0);
    all += Received();
  }
  EXPECT_EQ(all, expected);
}

TEST_F(OutputQueueTest, ReportsABrokenSocket) {
  far_.Close();
  queue_.Add("lost");
  EXPECT_EQ(queue_.Send(near_.get()), EPIPE);
}

}  // namespace
}  // namespace sluice
