#include "base/log_writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/temp_dir.h"

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kBound{30};  // of every wait for something that must happen

class LogWriterTest : public testing::Test {
 protected:
  ~LogWriterTest() override {
    writer_.reset();
    if (fifo_ >= 0) close(fifo_);
  }

  void Start(const std::string& path, Duration interval = milliseconds(1),
             size_t ring_bytes = 1 << 16) {
    AsyncLogWriter::Options options;
    options.path = path;
    options.flush_interval = interval;
    options.ring_bytes = ring_bytes;
    std::string error;
    writer_ = AsyncLogWriter::Start(options, refused_, &error);
    ASSERT_NE(writer_, nullptr) << error;
    channel_ = &writer_->AddChannel(dropped_);
  }

  // Logs to a FIFO that the test reads.
  void StartFifo(Duration interval = milliseconds(1), size_t ring_bytes = 1 << 16) {
    const std::string path = directory_ / "fifo";
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    fifo_ = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ASSERT_GE(fifo_, 0);
    Start(path, interval, ring_bytes);
  }

  // Waits for the FIFO, then takes what is there.
  std::string ReadFifo() {
    pollfd readable = {fifo_, POLLIN, 0};
    EXPECT_EQ(poll(&readable, 1, static_cast<int>(milliseconds(kBound).count())), 1)
        << "nothing was written";
    std::string bytes(1 << 16, '\0');
    const ssize_t count = read(fifo_, bytes.data(), bytes.size());
    bytes.resize(count < 0 ? 0 : static_cast<size_t>(count));
    return bytes;
  }

  TempDir directory_;
  MetricCell refused_;
  MetricCell dropped_;
  std::unique_ptr<AsyncLogWriter> writer_;
  AsyncLogWriter::Channel* channel_ = nullptr;
  int fifo_ = -1;
};

TEST_F(LogWriterTest, WritesLines) {
  Start(directory_ / "log");
  EXPECT_TRUE(channel_->Write("one\n"));
  EXPECT_TRUE(channel_->Write("two\n"));
  EXPECT_TRUE(writer_->FlushAndWait(kBound));
  EXPECT_EQ(directory_.Read("log"), "one\ntwo\n");
  EXPECT_EQ(dropped_.value(), 0);
  EXPECT_EQ(refused_.value(), 0);
}

TEST_F(LogWriterTest, SaysWhyItCannotStart) {
  AsyncLogWriter::Options options;
  options.path = directory_ / "missing/log";
  std::string error;
  EXPECT_EQ(AsyncLogWriter::Start(options, refused_, &error), nullptr);
  EXPECT_THAT(error, testing::HasSubstr("missing/log"));
}

TEST_F(LogWriterTest, DestroyingItWritesTheRest) {
  Start(directory_ / "log", hours(1));
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    const std::string line = std::to_string(i) + "\n";
    EXPECT_TRUE(channel_->Write(line));
    expected += line;
  }
  writer_.reset();
  EXPECT_EQ(directory_.Read("log"), expected);
}

// No wake-up may be lost, wherever the thread is on its way to sleep.
TEST_F(LogWriterTest, ASingleLineWakesASleepingWriter) {
  StartFifo();
  for (int i = 0; i < 500; ++i) {
    const std::string line = std::to_string(i) + "\n";
    ASSERT_TRUE(channel_->Write(line));
    ASSERT_EQ(ReadFifo(), line) << "in round " << i;
  }
}

TEST_F(LogWriterTest, ANewChannelIsSeenByASleepingWriter) {
  StartFifo();
  for (int i = 0; i < 50; ++i) {
    MetricCell dropped;
    AsyncLogWriter::Channel& channel = writer_->AddChannel(dropped);
    ASSERT_TRUE(channel.Write("x\n"));
    ASSERT_EQ(ReadFifo(), "x\n") << "in round " << i;
  }
}

// The first line is written at once; then lines are gathered, here for an hour, unless the ring
// becomes half full.
TEST_F(LogWriterTest, AHalfFullRingWakesTheWriter) {
  StartFifo(hours(1), 1024);
  const std::string line = std::string(99, 'x') + "\n";
  size_t accepted = 0;
  size_t seen = 0;
  // The first rounds may be carried by the first line alone, the others may not.
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 1000 && channel_->Write(line); ++i) accepted += line.size();
    while (seen + 1024 < accepted) {
      seen += ReadFifo().size();
      ASSERT_FALSE(HasFailure()) << "in round " << round;
    }
  }
}

TEST_F(LogWriterTest, APipeThatNobodyReadsDropsLinesAndBlocksNobody) {
  StartFifo();
  const std::string line = std::string(999, 'x') + "\n";
  int accepted = 0;
  int64_t refused_by_ring = 0;
  // The pipe holds 64 KiB, the ring 64 KiB more, the writer once that.
  for (int i = 0; i < 1000; ++i) channel_->Write(line) ? ++accepted : ++refused_by_ring;
  EXPECT_GT(accepted, 60);
  EXPECT_GT(refused_by_ring, 500);
  EXPECT_EQ(dropped_.value(), refused_by_ring);
  EXPECT_FALSE(writer_->FlushAndWait(milliseconds(10)));

  // The reader comes back: nothing that was accepted is lost or torn.
  std::string seen;
  while (seen.size() < static_cast<size_t>(accepted) * line.size()) {
    seen += ReadFifo();
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_TRUE(writer_->FlushAndWait(kBound));
  for (size_t at = 0; at < seen.size(); at += line.size()) {
    ASSERT_EQ(seen.substr(at, line.size()), line);
  }
  EXPECT_EQ(dropped_.value(), refused_by_ring);
  EXPECT_EQ(refused_.value(), 0);
}

TEST_F(LogWriterTest, APipeThatNobodyReadsDoesNotHangTheEnd) {
  StartFifo();
  // A second channel: the end must not wait once for each.
  MetricCell other_dropped;
  AsyncLogWriter::Channel& other = writer_->AddChannel(other_dropped);
  const std::string line = std::string(999, 'x') + "\n";
  int64_t accepted = 0;
  for (int i = 0; i < 1000; ++i) {
    accepted += channel_->Write(line) ? 1 : 0;
    accepted += other.Write(line) ? 1 : 0;
  }
  bool flushed = false;
  writer_->Flush([&flushed] { flushed = true; });
  const auto start = std::chrono::steady_clock::now();
  writer_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(5));
  EXPECT_TRUE(flushed) << "whoever waits for a flush must hear of the end";
  // Every line was either written or counted.
  std::string seen;
  for (char bytes[4096];;) {
    const ssize_t count = read(fifo_, bytes, sizeof(bytes));
    if (count <= 0) break;
    seen.append(bytes, static_cast<size_t>(count));
  }
  EXPECT_EQ(static_cast<int64_t>(seen.size() / line.size()) + refused_.value(), accepted);
}

TEST_F(LogWriterTest, AFullDiskDropsAndCounts) {
  Start("/dev/full");
  for (int i = 0; i < 3; ++i) channel_->Write("line\n");
  EXPECT_TRUE(writer_->FlushAndWait(kBound));
  EXPECT_EQ(refused_.value(), 3);
}

// The reader closes: SIGPIPE must not end the process, and a new reader gets new lines.
TEST_F(LogWriterTest, AReaderThatLeavesDropsAndCounts) {
  StartFifo();
  close(fifo_);
  channel_->Write("lost\n");
  EXPECT_TRUE(writer_->FlushAndWait(kBound));
  EXPECT_EQ(refused_.value(), 1);
  fifo_ = open((directory_ / "fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  channel_->Write("seen\n");
  EXPECT_EQ(ReadFifo(), "seen\n");
}

TEST_F(LogWriterTest, ALineLongerThanTheRingIsDropped) {
  Start(directory_ / "log", milliseconds(1), 1024);
  EXPECT_FALSE(channel_->Write(std::string(2000, 'x') + "\n"));
  EXPECT_TRUE(channel_->Write("short\n"));
  EXPECT_TRUE(writer_->FlushAndWait(kBound));
  EXPECT_EQ(directory_.Read("log"), "short\n");
  EXPECT_EQ(dropped_.value(), 1);
}

TEST_F(LogWriterTest, ReopensAfterARotation) {
  Start(directory_ / "log");
  channel_->Write("one\n");
  EXPECT_TRUE(writer_->FlushAndWait(kBound));
  std::filesystem::rename(directory_ / "log", directory_ / "log.1");
  writer_->Reopen();
  channel_->Write("two\n");
  EXPECT_TRUE(writer_->FlushAndWait(kBound));
  EXPECT_EQ(directory_.Read("log.1"), "one\n");
  EXPECT_EQ(directory_.Read("log"), "two\n");
}

TEST_F(LogWriterTest, ReopenLeavesAStuckPipeAtALineBreak) {
  StartFifo();
  // One line larger than the pipe: the writer stops in the middle of it.
  const std::string line = std::string(99, 'x') + "\n";
  ASSERT_TRUE(channel_->Write("begin" + std::string(40000, 'y') + "\n"));
  ASSERT_TRUE(channel_->Write(std::string(20000, 'z') + "\n"));
  while (channel_->Write(line)) {
  }
  std::filesystem::remove(directory_ / "fifo");
  writer_->Reopen();
  EXPECT_TRUE(writer_->FlushAndWait(kBound));
  std::istringstream text(directory_.Read("fifo"));
  int lines = 0;
  for (std::string seen; std::getline(text, seen); ++lines) {
    ASSERT_TRUE(seen + "\n" == line || seen == std::string(20000, 'z') ||
                seen == "begin" + std::string(40000, 'y'))
        << "a torn line: " << seen.substr(0, 100);
  }
  EXPECT_GT(lines, 10);
}

// Run under ThreadSanitizer by CI.
TEST_F(LogWriterTest, WritesTheLinesOfManyThreadsInTheirOrder) {
  constexpr int kThreads = 4;
  constexpr int kLines = 20000;
  Start(directory_ / "log", milliseconds(1), 4096);
  std::vector<MetricCell> dropped(kThreads);
  std::vector<std::thread> threads;
  std::vector<int> accepted(kThreads, 0);
  for (size_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      AsyncLogWriter::Channel& channel = writer_->AddChannel(dropped[thread]);
      for (int i = 0; i < kLines; ++i) {
        const std::string line = std::to_string(thread) + " " + std::to_string(i) + "\n";
        accepted[thread] += channel.Write(line) ? 1 : 0;
      }
    });
  }
  writer_->Reopen();
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(writer_->FlushAndWait(kBound));
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(writer_->FlushAndWait(kBound));

  std::vector<int> last(kThreads, -1);
  std::vector<int> seen(kThreads, 0);
  std::istringstream text(directory_.Read("log"));
  size_t thread;
  int number;
  while (text >> thread >> number) {
    ASSERT_LT(thread, last.size());
    ASSERT_LT(last[thread], number);
    last[thread] = number;
    ++seen[thread];
  }
  EXPECT_EQ(seen, accepted);
  for (size_t i = 0; i < kThreads; ++i) {
    EXPECT_EQ(accepted[i] + dropped[i].value(), kLines);
    EXPECT_GT(accepted[i], 0);
  }
}

// Times that the writer's thread has given up the CPU by itself.
int64_t VoluntarySwitches() {
  DIR* tasks = opendir("/proc/self/task");
  if (tasks == nullptr) return -1;
  int64_t switches = -1;
  while (const dirent* task = readdir(tasks)) {
    std::ifstream status(std::string("/proc/self/task/") + task->d_name + "/status");
    bool ours = false;
    for (std::string key, value; status >> key && std::getline(status, value);) {
      if (key == "Name:") ours = value == "\taccess-log";
      if (key == "voluntary_ctxt_switches:" && ours) switches = std::stoll(value);
    }
  }
  closedir(tasks);
  return switches;
}

TEST_F(LogWriterTest, DoesNotPollWhileIdle) {
  Start(directory_ / "log", milliseconds(1));
  channel_->Write("line\n");
  EXPECT_TRUE(writer_->FlushAndWait(kBound));
  const int64_t before = VoluntarySwitches();
  if (before < 0) GTEST_SKIP() << "no /proc";
  // Not a wait for something: the time in which nothing may happen, two hundred intervals long.
  poll(nullptr, 0, 200);
  EXPECT_LE(VoluntarySwitches() - before, 5);
}

}  // namespace
}  // namespace sluice
