#include "base/log_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/temp_dir.h"

namespace sluice {
namespace {

using Status = LogFile::Status;

// Stdout is something else while this lives.
class StdoutIs {
 public:
  explicit StdoutIs(int fd) : saved_(dup(STDOUT_FILENO)) { dup2(fd, STDOUT_FILENO); }
  ~StdoutIs() {
    dup2(saved_, STDOUT_FILENO);
    close(saved_);
  }

 private:
  const int saved_;
};

std::unique_ptr<LogFile> Open(const std::string& path) {
  std::string error;
  std::unique_ptr<LogFile> file = LogFile::Open(path, &error);
  EXPECT_NE(file, nullptr) << error;
  return file;
}

// Everything that can be read from `fd` now.
std::string Drain(int fd) {
  std::string all;
  char bytes[4096];
  for (ssize_t count; (count = read(fd, bytes, sizeof(bytes))) > 0;) {
    all.append(bytes, static_cast<size_t>(count));
    if (static_cast<size_t>(count) < sizeof(bytes)) break;
  }
  return all;
}

TEST(LogFileTest, AppendsToAFile) {
  const TempDir directory;
  directory.Write("log", "before\n");
  const auto file = Open(directory / "log");
  const LogFile::Written written = file->Write("one\ntwo\n");
  EXPECT_EQ(written.status, Status::kWritten);
  EXPECT_EQ(written.count, 8u);
  EXPECT_EQ(directory.Read("log"), "before\none\ntwo\n");
  EXPECT_FALSE(file->is_terminal());
}

TEST(LogFileTest, SaysWhyItCannotOpen) {
  const TempDir directory;
  std::string error;
  EXPECT_EQ(LogFile::Open(directory / "missing/log", &error), nullptr);
  EXPECT_THAT(error, testing::HasSubstr("missing/log: No such file"));
  EXPECT_EQ(LogFile::Open(directory / "", &error), nullptr);
  EXPECT_THAT(error, testing::HasSubstr("directory"));
}

TEST(LogFileTest, AFifoWithoutAReaderDoesNotHoldUpOpening) {
  const TempDir directory;
  ASSERT_EQ(mkfifo((directory / "fifo").c_str(), 0600), 0);
  std::string error;
  EXPECT_EQ(LogFile::Open(directory / "fifo", &error), nullptr);
  EXPECT_THAT(error, testing::HasSubstr("fifo"));
}

TEST(LogFileTest, ReopensAfterARotation) {
  const TempDir directory;
  const auto file = Open(directory / "log");
  file->Write("one\n");
  std::filesystem::rename(directory / "log", directory / "log.1");
  file->Write("two\n");
  std::string error;
  EXPECT_TRUE(file->Reopen(&error)) << error;
  file->Write("three\n");
  EXPECT_EQ(directory.Read("log.1"), "one\ntwo\n");
  EXPECT_EQ(directory.Read("log"), "three\n");
}

TEST(LogFileTest, KeepsTheOldFileWhenItCannotReopen) {
  const TempDir directory;
  std::filesystem::create_directory(directory / "d");
  const auto file = Open(directory / "d/log");
  std::filesystem::rename(directory / "d", directory / "e");
  std::string error;
  EXPECT_FALSE(file->Reopen(&error));
  EXPECT_THAT(error, testing::HasSubstr("d/log"));
  file->Write("still\n");
  EXPECT_EQ(directory.Read("e/log"), "still\n");
}

TEST(LogFileTest, AFullDiskIsAFailure) {
  const auto file = Open("/dev/full");
  const LogFile::Written written = file->Write("line\n");
  EXPECT_EQ(written.status, Status::kFailed);
  EXPECT_EQ(written.count, 0u);
  EXPECT_EQ(written.error, ENOSPC);
}

class LogFileStreamTest : public testing::Test {
 protected:
  ~LogFileStreamTest() override {
    for (const int fd : ends_) {
      if (fd >= 0) close(fd);
    }
  }

  // The write end blocks, as an inherited stdout does.
  void MakePipe() {
    ASSERT_EQ(pipe2(ends_, O_CLOEXEC), 0);
    fcntl(ends_[0], F_SETFL, O_NONBLOCK);
  }

  int ends_[2] = {-1, -1};  // to read, to write
};

TEST_F(LogFileStreamTest, AFullPipeDoesNotBlock) {
  MakePipe();
  const std::string line = std::string(99, 'x') + "\n";
  std::string lines;
  for (int i = 0; i < 10000; ++i) lines += line;  // a megabyte: more than a pipe holds
  LogFile::Written written;
  int flags;
  LogFile::Written again;
  {
    const StdoutIs redirected(ends_[1]);
    const auto file = Open("stdout");
    written = file->Write(lines);
    flags = fcntl(STDOUT_FILENO, F_GETFL);
    again = file->Write(lines);
    EXPECT_FALSE(file->inside_line());
  }
  EXPECT_EQ(written.status, Status::kWouldBlock);
  EXPECT_GT(written.count, 4000u);
  EXPECT_LT(written.count, lines.size());
  EXPECT_EQ(written.count % line.size(), 0u) << "a line was torn";
  EXPECT_EQ(flags & O_NONBLOCK, 0) << "the stream is shared with others, its mode is not ours";
  EXPECT_EQ(again.status, Status::kWouldBlock);
  EXPECT_EQ(again.count, 0u);
  EXPECT_EQ(Drain(ends_[0]), lines.substr(0, written.count));
}

TEST_F(LogFileStreamTest, ALongLineIsContinued) {
  MakePipe();
  const std::string line = std::string(3 * PIPE_BUF, 'x') + "\n";
  {
    const StdoutIs redirected(ends_[1]);
    EXPECT_EQ(Open("stdout")->Write(line).status, Status::kWritten);
  }
  EXPECT_EQ(Drain(ends_[0]), line);
}

TEST_F(LogFileStreamTest, AnAbandonedLineIsEndedBeforeTheNext) {
  MakePipe();
  const std::string huge = std::string(1 << 20, 'x') + "\n";
  size_t count;
  std::string first;
  {
    const StdoutIs redirected(ends_[1]);
    const auto file = Open("stdout");
    count = file->Write(huge).count;
    EXPECT_TRUE(file->inside_line());
    file->AbandonLine();
    while (first.size() < count) first += Drain(ends_[0]);
    EXPECT_EQ(file->Write("next\n").count, 5u);
    file->AbandonLine();  // nothing to abandon
    EXPECT_EQ(file->Write("last\n").count, 5u);
  }
  EXPECT_EQ(first, huge.substr(0, count));
  EXPECT_EQ(Drain(ends_[0]), "\nnext\nlast\n");
}

TEST_F(LogFileStreamTest, ASocketThatIsFullDoesNotBlock) {
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_), 0);
  const std::string lines(8 << 20, '\n');
  LogFile::Written written;
  {
    const StdoutIs redirected(ends_[1]);
    written = Open("stdout")->Write(lines);
  }
  EXPECT_EQ(written.status, Status::kWouldBlock);
  EXPECT_GT(written.count, 0u);
  EXPECT_LT(written.count, lines.size());
}

TEST_F(LogFileStreamTest, APipeWithoutAReaderIsAFailure) {
  MakePipe();
  close(ends_[0]);
  ends_[0] = -1;
  const auto before = signal(SIGPIPE, SIG_IGN);
  LogFile::Written written;
  {
    const StdoutIs redirected(ends_[1]);
    written = Open("stdout")->Write("line\n");
  }
  signal(SIGPIPE, before);
  EXPECT_EQ(written.status, Status::kFailed);
  EXPECT_EQ(written.error, EPIPE);
}

TEST_F(LogFileStreamTest, AStandardStreamIsNeitherReopenedNorClosed) {
  MakePipe();
  bool reopened;
  {
    const StdoutIs redirected(ends_[1]);
    std::string error;
    reopened = Open("stdout")->Reopen(&error);
    Open("stdout")->Write("still open\n");
  }
  EXPECT_TRUE(reopened);
  EXPECT_EQ(Drain(ends_[0]), "still open\n");
}

}  // namespace
}  // namespace sluice
