#include "net/fd_channel.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/wire.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

class Side final : public FdChannel::Events {
 public:
  void OnFrame(FdChannel::Frame frame) override {
    frames.push_back(std::move(frame));
    if (on_frame) on_frame();
  }
  void OnChannelClosed(const std::string& why) override { closed = why; }

  std::vector<FdChannel::Frame> frames;
  std::string closed;
  std::function<void()> on_frame;
};

class FdChannelTest : public ::testing::Test {
 protected:
  FdChannelTest() {
    auto [ours, theirs] = FdChannel::MakePair();
    channel_ = std::make_unique<FdChannel>(loop_, std::move(ours), side_);
    peer_ = std::move(theirs);
  }

  // Turns until `done`, for a bounded time.
  void RunUntil(std::function<bool()> done) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!done() && std::chrono::steady_clock::now() < end) {
      loop_.Post([this] { loop_.Stop(); });
      loop_.Run();
    }
    ASSERT_TRUE(done());
  }

  void PeerWrites(const std::string& bytes) {
    ASSERT_EQ(write(peer_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }

  static std::string Header(uint32_t length, uint16_t type, uint16_t fds) {
    WireWriter out;
    out.Number(length);
    out.Number(type);
    out.Number(fds);
    return out.Take();
  }

  UvLoop loop_{1};
  Side side_;
  std::unique_ptr<FdChannel> channel_;
  Fd peer_;
};

TEST_F(FdChannelTest, FramesArriveInOrderHoweverTheyAreCut) {
  const std::string bytes = FdChannel::Encode(1, "one") + FdChannel::Encode(2, "") +
                            FdChannel::Encode(3, std::string(100'000, 'x'));
  for (size_t at = 0; at < 30; ++at) PeerWrites(bytes.substr(at, 1));
  size_t written = 30;
  fcntl(peer_.get(), F_SETFL, O_NONBLOCK);
  RunUntil([&] {
    const ssize_t count = write(peer_.get(), bytes.data() + written, bytes.size() - written);
    if (count > 0) written += static_cast<size_t>(count);
    return side_.frames.size() == 3;
  });
  EXPECT_EQ(side_.frames[0].type, 1);
  EXPECT_EQ(side_.frames[0].payload, "one");
  EXPECT_EQ(side_.frames[1].payload, "");
  EXPECT_EQ(side_.frames[2].payload, std::string(100'000, 'x'));
}

TEST_F(FdChannelTest, CarriesDescriptorsInManyFrames) {
  Side other;
  FdChannel far(loop_, std::move(peer_), other);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Fd reader(ends[0]);
  const Fd writer(ends[1]);
  for (size_t count : {FdChannel::kMaxFds, size_t{1}, FdChannel::kMaxFds}) {
    channel_->Send(5, "sockets", std::vector<int>(count, writer.get()));
  }
  channel_->Send(6, "end");
  RunUntil([&] { return other.frames.size() == 4; });
  EXPECT_EQ(other.frames[0].fds.size(), FdChannel::kMaxFds);
  EXPECT_EQ(other.frames[1].fds.size(), 1u);
  EXPECT_EQ(other.frames[2].fds.size(), FdChannel::kMaxFds);
  EXPECT_TRUE(other.frames[3].fds.empty());
  const Fd& received = other.frames[1].fds.front();
  EXPECT_EQ(fcntl(received.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  ASSERT_EQ(write(received.get(), "!", 1), 1);
  char byte = 0;
  EXPECT_EQ(read(reader.get(), &byte, 1), 1);
}

TEST_F(FdChannelTest, MoreThanTheKernelTakesWaits) {
  const std::string large(FdChannel::kMaxPayload, 'y');
  for (int i = 0; i < 8; ++i) channel_->Send(1, large);
  EXPECT_GT(channel_->queued_bytes(), 0u);
  Side other;
  FdChannel far(loop_, std::move(peer_), other);
  RunUntil([&] { return other.frames.size() == 8; });
  EXPECT_EQ(other.frames.back().payload, large);
  EXPECT_EQ(channel_->queued_bytes(), 0u);
}

TEST_F(FdChannelTest, TheEndOfTheOtherSideIsToldAfterWhatItSaid) {
  PeerWrites(FdChannel::Encode(1, "last words"));
  peer_.Close();
  RunUntil([&] { return !side_.closed.empty(); });
  ASSERT_EQ(side_.frames.size(), 1u);
  EXPECT_THAT(side_.closed, HasSubstr("has left"));
  EXPECT_TRUE(channel_->closed());
  channel_->Send(1, "to nobody");
}

TEST_F(FdChannelTest, AFrameThatIsTooLargeEndsIt) {
  PeerWrites(Header(FdChannel::kMaxPayload + 1, 1, 0));
  RunUntil([&] { return !side_.closed.empty(); });
  EXPECT_THAT(side_.closed, HasSubstr("too large"));
}

TEST_F(FdChannelTest, AFrameWithTooManyDescriptorsEndsIt) {
  PeerWrites(Header(0, 1, FdChannel::kMaxFds + 1));
  RunUntil([&] { return !side_.closed.empty(); });
  EXPECT_THAT(side_.closed, HasSubstr("too large"));
}

TEST_F(FdChannelTest, DescriptorsThatWereNotSentEndIt) {
  PeerWrites(Header(0, 1, 1));
  RunUntil([&] { return !side_.closed.empty(); });
  EXPECT_THAT(side_.closed, HasSubstr("descriptors are missing"));
}

TEST_F(FdChannelTest, DescriptorsThatNoFrameWantsEndIt) {
  // A frame of 0 descriptors that brings one, again and again: they would pile up.
  const Fd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const std::string frame = FdChannel::Encode(1, "");
  for (int i = 0; i < 300; ++i) {
    iovec slice{const_cast<char*>(frame.data()), frame.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &slice;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = null.get();
    std::memcpy(CMSG_DATA(rights), &fd, sizeof(int));
    if (sendmsg(peer_.get(), &message, MSG_NOSIGNAL) < 0) break;
    loop_.Post([this] { loop_.Stop(); });
    loop_.Run();
  }
  RunUntil([&] { return !side_.closed.empty(); });
  EXPECT_THAT(side_.closed, HasSubstr("too many descriptors"));
}

TEST_F(FdChannelTest, MayBeClosedByAFrame) {
  side_.on_frame = [&] { channel_->Close(); };
  PeerWrites(FdChannel::Encode(1, "a") + FdChannel::Encode(1, "b"));
  RunUntil([&] { return channel_->closed(); });
  EXPECT_EQ(side_.frames.size(), 1u);
  EXPECT_EQ(side_.closed, "") << "whoever closes it needs not be told";
}

TEST_F(FdChannelTest, KnowsWhoIsThere) {
  const auto peer = channel_->peer();
  ASSERT_TRUE(peer.has_value());
  EXPECT_EQ(peer->uid, getuid());
  EXPECT_EQ(peer->pid, getpid());
}

}  // namespace
}  // namespace sluice
