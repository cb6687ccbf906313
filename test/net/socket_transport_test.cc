#include "net/socket_transport.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "net/listen_socket.h"
#include "net/listener.h"
#include "net/socket_address.h"
#include "net/socket_adopter.h"
#include "net/socket_dialer.h"

namespace sluice {
namespace {

// Writes down what a transport tells, and runs what a test hooked in.
class Owner final : public TransportEvents {
 public:
  void OnData(std::string_view bytes) override {
    data += bytes;
    if (on_data) on_data();
  }
  void OnEof() override {
    eof = true;
    if (on_eof) on_eof();
  }
  void OnWritable() override {
    ++writable;
    if (on_writable) on_writable();
  }
  void OnWriteShut() override {
    write_shut = true;
    if (on_write_shut) on_write_shut();
  }
  void OnError(int code) override {
    error = code;
    if (on_error) on_error();
  }

  std::string data;
  bool eof = false;
  bool write_shut = false;
  int writable = 0;
  int error = 0;
  std::function<void()> on_data, on_eof, on_writable, on_write_shut, on_error;
};

// A transport on one end of a TCP connection, a blocking raw socket on the other.
class SocketTransportTest : public ::testing::Test {
 protected:
  SocketTransportTest() {
    auto bound = BindListenSockets("127.0.0.1:0", 8, 1);
    EXPECT_TRUE(bound) << bound.error().message;
    peer_ = Fd(socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_storage address{};
    socklen_t length = sizeof(address);
    getsockname(bound->fds[0].get(), reinterpret_cast<sockaddr*>(&address), &length);
    EXPECT_EQ(connect(peer_.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    Fd near(accept4(bound->fds[0].get(), nullptr, nullptr, SOCK_NONBLOCK));
    transport_ = std::make_unique<SocketTransport>(loop_, std::move(near), "peer");
  }
  ~SocketTransportTest() override { transport_.reset(); }

  // Runs `work` on the loop, then the loop until somebody stops it.
  void Run(std::function<void()> work) {
    loop_.Post(std::move(work));
    loop_.Run();
  }
  std::function<void()> Stop() {
    return [this] { loop_.Stop(); };
  }

  UvLoop loop_{1};
  Owner owner_;
  Fd peer_;
  std::unique_ptr<SocketTransport> transport_;
};

TEST_F(SocketTransportTest, DeliversDataThenTheEnd) {
  ASSERT_EQ(send(peer_.get(), "hello", 5, 0), 5);
  shutdown(peer_.get(), SHUT_WR);
  owner_.on_eof = Stop();
  Run([&] { transport_->SetEvents(&owner_); });
  EXPECT_EQ(owner_.data, "hello");
  EXPECT_EQ(owner_.error, 0);
}

TEST_F(SocketTransportTest, DeliversNothingWhilePaused) {
  ASSERT_EQ(send(peer_.get(), "hello", 5, 0), 5);
  Run([&] {
    transport_->SetEvents(&owner_);
    transport_->PauseReading();
    loop_.Post([&] {
      loop_.Post([&] {
        EXPECT_EQ(owner_.data, "");
        EXPECT_TRUE(transport_->HasUnreadInput());
        owner_.on_data = Stop();
        transport_->ResumeReading();
      });
    });
  });
  EXPECT_EQ(owner_.data, "hello");
  EXPECT_FALSE(transport_->HasUnreadInput());
}

TEST_F(SocketTransportTest, TellsWhenACongestedQueueIsFreeAgain) {
  const std::string block(8 * 1024 * 1024, 'b');
  size_t received = 0;
  Run([&] {
    transport_->SetEvents(&owner_);
    transport_->Write(block);
    transport_->FlushNow();
    EXPECT_TRUE(transport_->congested());
    EXPECT_EQ(owner_.writable, 0);
    loop_.Stop();
  });
  fcntl(peer_.get(), F_SETFL, O_NONBLOCK);
  std::string buffer(1024 * 1024, '\0');
  owner_.on_writable = [&] {
    EXPECT_LE(transport_->queued_bytes(), Transport::kLowWatermark);
    if (transport_->queued_bytes() == 0) loop_.Stop();
  };
  std::function<void()> read_on = [&] {
    const ssize_t got = recv(peer_.get(), buffer.data(), buffer.size(), 0);
    if (got > 0) received += static_cast<size_t>(got);
    if (owner_.writable == 0 || transport_->queued_bytes() > 0) loop_.Post(read_on);
  };
  Run(read_on);
  while (received < block.size()) {
    const ssize_t got = recv(peer_.get(), buffer.data(), buffer.size(), 0);
    ASSERT_GT(got, 0) << "after " << received;
    received += static_cast<size_t>(got);
  }
  EXPECT_EQ(transport_->queued_bytes(), 0u);
  EXPECT_GE(owner_.writable, 1);
}

TEST_F(SocketTransportTest, HalfClosesAfterEverythingWasWritten) {
  owner_.on_write_shut = Stop();
  Run([&] {
    transport_->SetEvents(&owner_);
    transport_->Write("good");
    transport_->Write("bye");
    transport_->ShutdownWrite();
    transport_->Write("ignored");
    EXPECT_FALSE(owner_.write_shut) << "told from inside ShutdownWrite";
  });
  char buffer[64];
  EXPECT_EQ(recv(peer_.get(), buffer, sizeof(buffer), MSG_WAITALL), 7);
  EXPECT_EQ(std::string(buffer, 7), "goodbye");
  EXPECT_EQ(recv(peer_.get(), buffer, sizeof(buffer), 0), 0);
}

TEST_F(SocketTransportTest, ReadsTheLastWordsOfAPeerThatHasReset) {
  // The peer answers early, then resets because it does not read what we send.
  ASSERT_EQ(send(peer_.get(), "413", 3, 0), 3);
  Run([&] {
    transport_->SetEvents(&owner_);
    transport_->PauseReading();
    loop_.Post([&] { loop_.Stop(); });
  });
  const linger abort{.l_onoff = 1, .l_linger = 0};
  setsockopt(peer_.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
  owner_.on_error = Stop();
  Run([&] {
    transport_->ResumeReading();
    peer_.Close();
    transport_->Write("more of the request");
  });
  EXPECT_EQ(owner_.data, "413");
  EXPECT_TRUE(owner_.error == ECONNRESET || owner_.error == EPIPE) << owner_.error;
}

// ---- a peer that resets while nobody reads

class ResetWatchTest : public SocketTransportTest {
 protected:
  void ResetByPeer() {
    const linger abort{.l_onoff = 1, .l_linger = 0};
    setsockopt(peer_.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
    peer_.Close();
  }
  // Long enough for whatever the kernel has to tell.
  void RunFor(Duration span) {
    Timer end(loop_.timers(), Delegate::Bind<&ResetWatchTest::OnTimer>(this));
    loop_.Post([&] { end.Set(loop_.Now() + span); });
    loop_.Run();
  }
  void OnTimer() { loop_.Stop(); }
};

TEST_F(ResetWatchTest, IsToldWhilePaused) {
  ASSERT_EQ(send(peer_.get(), "unread", 6, 0), 6);
  owner_.on_error = Stop();
  Run([&] {
    transport_->SetEvents(&owner_);
    transport_->WatchForReset();
    transport_->PauseReading();
    loop_.Post([&] { ResetByPeer(); });
  });
  EXPECT_EQ(owner_.error, ECONNRESET);
  EXPECT_EQ(owner_.data, "");
}

TEST_F(ResetWatchTest, IsToldAfterTheEnd) {
  shutdown(peer_.get(), SHUT_WR);
  owner_.on_eof = [&] { loop_.Post([&] { ResetByPeer(); }); };
  owner_.on_error = Stop();
  Run([&] {
    transport_->SetEvents(&owner_);
    transport_->WatchForReset();
  });
  EXPECT_TRUE(owner_.eof);
  EXPECT_EQ(owner_.error, EPIPE) << "what Linux says of one that had ended";
}

// What an upstream said before it went is still to be read.
TEST_F(ResetWatchTest, IsNotToldUnlessItIsWatchedFor) {
  ASSERT_EQ(send(peer_.get(), "last words", 10, 0), 10);
  loop_.Post([&] {
    transport_->SetEvents(&owner_);
    transport_->PauseReading();
    ResetByPeer();
  });
  RunFor(std::chrono::milliseconds(50));
  EXPECT_EQ(owner_.error, 0);
  owner_.on_error = Stop();
  Run([&] { transport_->ResumeReading(); });
  EXPECT_EQ(owner_.data, "last words");
  EXPECT_EQ(owner_.error, ECONNRESET);
}

// Whoever only ends its side, or sends urgent data, is neither gone nor told of again and again.
TEST_F(ResetWatchTest, AnEndOrUrgentDataIsNone) {
  loop_.Post([&] {
    transport_->SetEvents(&owner_);
    transport_->WatchForReset();
    transport_->PauseReading();
    send(peer_.get(), "!", 1, MSG_OOB);
    shutdown(peer_.get(), SHUT_WR);
  });
  const std::clock_t before = std::clock();
  RunFor(std::chrono::milliseconds(200));
  EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 10) << "spins";
  EXPECT_EQ(owner_.error, 0);
  owner_.on_eof = Stop();
  Run([&] { transport_->ResumeReading(); });
  EXPECT_TRUE(owner_.eof);
}

TEST_F(SocketTransportTest, ResetIsSeenAsAnErrorByThePeer) {
  Run([&] {
    transport_->SetEvents(&owner_);
    transport_->Reset();
    loop_.Stop();
  });
  char buffer[8];
  EXPECT_EQ(recv(peer_.get(), buffer, sizeof(buffer), 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_EQ(owner_.error, 0) << "no event follows a reset of our own";
}

TEST_F(SocketTransportTest, MayBeDoomedFromInsideItsOwnEvents) {
  ASSERT_EQ(send(peer_.get(), "x", 1, 0), 1);
  owner_.on_data = [&] {
    transport_->Write("never sent");
    transport_->Close();
    loop_.DeleteLater(std::move(transport_));
    loop_.Stop();
  };
  Run([&] { transport_->SetEvents(&owner_); });
  EXPECT_EQ(owner_.data, "x");
  EXPECT_EQ(transport_, nullptr);
}

// ---- listener and dialer, on the same sockets ----

class ListenerTest : public ::testing::Test {
 protected:
  void Listen(const std::string& address) {
    auto bound = BindListenSockets(address, 64, 1);
    ASSERT_TRUE(bound) << bound.error().message;
    address_ = bound->address;
    listener_ = std::make_unique<Listener>(
        loop_, std::move(bound->fds[0]),
        [this](std::unique_ptr<Transport> transport) {
          accepted_.push_back(std::move(transport));
          if (on_accept_) on_accept_();
        },
        errors_);
  }
  ~ListenerTest() override {
    accepted_.clear();
    listener_.reset();
  }

  UvLoop loop_{1};
  SocketDialer dialer_{loop_};
  MetricCell errors_;
  std::string address_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Transport>> accepted_;
  std::function<void()> on_accept_;
};

TEST_F(ListenerTest, DialledConnectionsAreAcceptedOverTcpAndUnix) {
  for (const std::string& where : {std::string("127.0.0.1:0"), std::string("[::1]:0"),
                                   "unix:" + ::testing::TempDir() + "/sluice-listener-test.sock"}) {
    Listen(where);
    std::unique_ptr<Transport> dialled;
    std::unique_ptr<Dialer::Attempt> attempt;
    accepted_.clear();
    on_accept_ = [&] {
      if (dialled) loop_.Stop();
    };
    loop_.Post([&] {
      listener_->Resume();
      attempt = dialer_.Dial(address_, [&](std::unique_ptr<Transport> transport, int error) {
        EXPECT_EQ(error, 0) << where;
        dialled = std::move(transport);
        if (!accepted_.empty()) loop_.Stop();
      });
    });
    loop_.Run();
    EXPECT_EQ(accepted_.size(), 1u) << where;
    dialled.reset();
    attempt.reset();
    accepted_.clear();
    listener_.reset();
  }
}

TEST_F(ListenerTest, StopAcceptsWhatIsQueuedAndThenRefuses) {
  Listen("127.0.0.1:0");
  const auto address = SocketAddress::Parse(address_);
  std::vector<Fd> clients;
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back(socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(connect(clients.back().get(), address->data(), address->length()), 0);
  }
  loop_.Post([&] {
    EXPECT_TRUE(accepted_.empty());
    listener_->Stop();  // though it was never resumed
    loop_.Stop();
  });
  loop_.Run();
  EXPECT_EQ(accepted_.size(), 20u);
  const Fd late(socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_EQ(connect(late.get(), address->data(), address->length()), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
}

TEST_F(ListenerTest, APausedListenerLeavesConnectionsInTheQueue) {
  Listen("127.0.0.1:0");
  const auto address = SocketAddress::Parse(address_);
  const Fd client(socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(connect(client.get(), address->data(), address->length()), 0);
  on_accept_ = [&] { loop_.Stop(); };
  loop_.Post([&] {
    listener_->Resume();
    listener_->Pause();
    loop_.Post([&] {
      loop_.Post([&] {
        EXPECT_TRUE(accepted_.empty());
        listener_->Resume();
      });
    });
  });
  loop_.Run();
  EXPECT_EQ(accepted_.size(), 1u);
}

TEST_F(ListenerTest, DiallingAClosedPortFailsButNeverInsideTheCall) {
  Listen("127.0.0.1:0");
  const std::string address = address_;
  listener_.reset();
  int seen = 0;
  std::unique_ptr<Dialer::Attempt> attempt;
  loop_.Post([&] {
    attempt = dialer_.Dial(address, [&](std::unique_ptr<Transport> transport, int error) {
      EXPECT_EQ(transport, nullptr);
      seen = error;
      loop_.Stop();
    });
    EXPECT_EQ(seen, 0);
  });
  loop_.Run();
  EXPECT_EQ(seen, ECONNREFUSED);
}

TEST(ListenSocketTest, WorkersShareAPortAndASecondProcessDoesNot) {
  auto first = BindListenSockets("127.0.0.1:0", 8, 3);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->fds.size(), 3u);
  const auto second = BindListenSockets(first->address, 8, 1);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find(first->address), std::string::npos)
      << second.error().message;
}

TEST(ListenSocketTest, ReplacesAStaleSocketFileButNotALivingOne) {
  const std::string address = "unix:" + ::testing::TempDir() + "/sluice-stale-test.sock";
  {
    auto left_behind = BindListenSockets(address, 8, 1);
    ASSERT_TRUE(left_behind) << left_behind.error().message;
  }
  auto living = BindListenSockets(address, 8, 2);
  ASSERT_TRUE(living) << living.error().message;
  EXPECT_FALSE(BindListenSockets(address, 8, 1));
  unlink(address.c_str() + 5);
}

TEST_F(SocketTransportTest, FrozenStandsStillAndThawsWhereItWas) {
  Run([&] {
    transport_->SetEvents(&owner_);
    const auto frozen = transport_->Freeze();
    ASSERT_TRUE(frozen);
    EXPECT_EQ(frozen->unsent, "");
    EXPECT_FALSE(transport_->Freeze()) << "twice";
    ASSERT_EQ(send(peer_.get(), "abc", 3, 0), 3);
    loop_.Post([&] {
      EXPECT_EQ(owner_.data, "");
      owner_.on_data = Stop();
      transport_->Thaw();
    });
  });
  EXPECT_EQ(owner_.data, "abc");
}

TEST_F(SocketTransportTest, AnotherGoesOnWithAFrozenOne) {
  Owner next;
  std::unique_ptr<Transport> adopted;
  std::string sent;
  std::thread reader;
  Run([&] {
    transport_->SetEvents(&owner_);
    // More than the kernel takes, so that some is unsent.
    sent.assign(8 * 1024 * 1024, 'x');
    transport_->Write(sent);
    const auto frozen = transport_->Freeze();
    ASSERT_TRUE(frozen);
    EXPECT_FALSE(frozen->unsent.empty());
    SocketAdopter adopter(loop_);
    adopted = adopter.Adopt(frozen->descriptor, "somebody");
    ASSERT_NE(adopted, nullptr);
    EXPECT_EQ(adopted->PeerAddress(), "somebody");
    char* const unsent = loop_.Scratch(frozen->unsent.size());
    std::copy(frozen->unsent.begin(), frozen->unsent.end(), unsent);
    adopted->Write({unsent, frozen->unsent.size()});
    adopted->SetEvents(&next);
    transport_->Close();  // which the peer must not see
    next.on_writable = Stop();
    reader = std::thread([this, &sent] {
      std::string got(sent.size(), '\0');
      EXPECT_EQ(recv(peer_.get(), got.data(), got.size(), MSG_WAITALL),
                static_cast<ssize_t>(got.size()));
      EXPECT_EQ(got, sent);
    });
  });
  reader.join();
  ASSERT_EQ(send(peer_.get(), "abc", 3, 0), 3);
  next.on_data = Stop();
  Run([] {});
  EXPECT_EQ(next.data, "abc");
  EXPECT_EQ(owner_.data, "");
  EXPECT_EQ(owner_.error, 0);
}

TEST(SocketAdopter, TakesConnectedStreamsOnly) {
  UvLoop loop(1);
  SocketAdopter adopter(loop);
  EXPECT_EQ(adopter.Adopt(-1, "x"), nullptr);
  const Fd datagram(socket(AF_INET, SOCK_DGRAM, 0));
  EXPECT_EQ(adopter.Adopt(datagram.get(), "x"), nullptr);
  const Fd file(open("/dev/null", O_RDONLY));
  EXPECT_EQ(adopter.Adopt(file.get(), "x"), nullptr);
}

}  // namespace
}  // namespace sluice
