#include "net/tls_dialer.h"

#include <cerrno>

#include "net/tls_fixture.h"
#include "support/sim_network.h"

namespace sluice {
namespace {

class TlsDialerTest : public TlsTest {
 protected:
  TlsDialerTest() {
    network_.At("upstream").accept = [this](std::unique_ptr<Transport> transport) {
      accepted_.push_back(Server(std::move(transport), server_context_));
    };
  }

  void Dial(const std::string& address = "upstream") {
    loop_.Dispatch([&] {
      done_ = false;
      attempt_ = dialer_.Dial(address, [this](std::unique_ptr<Transport> transport, int error) {
        done_ = true;
        error_ = error;
        attempt_.reset();  // as a pool does
        if (transport != nullptr) client_ = std::make_unique<TlsEnd>(std::move(transport));
      });
      EXPECT_FALSE(done_) << "from inside Dial";
    });
  }

  SimNetwork network_{loop_};
  std::shared_ptr<const TlsServerContext> server_context_ = Build(ServerOptions());
  TlsDialer dialer_{loop_, network_, Build(ClientOptions()), client_metrics_};
  std::vector<std::unique_ptr<TlsEnd>> accepted_;
  std::unique_ptr<Dialer::Attempt> attempt_;
  std::unique_ptr<TlsEnd> client_;
  bool done_ = false;
  int error_ = 0;
};

TEST_F(TlsDialerTest, IsDoneAfterTheHandshake) {
  Dial();
  ASSERT_TRUE(Until([&] { return done_; }));
  ASSERT_EQ(error_, 0);
  EXPECT_TRUE(client_->transport->ready());
  client_->ready = true;
  EXPECT_EQ(client_->transport->PeerAddress(), "upstream");
  loop_.Dispatch([&] { client_->transport->Write("ping"); });
  ASSERT_TRUE(Until([&] { return accepted_[0]->data == "ping"; }));
  loop_.Dispatch([&] { accepted_[0]->transport->Write("pong"); });
  ASSERT_TRUE(Until([&] { return client_->data == "pong"; }));
}

// An HTTP/2 server speaks first: its words may come with the last of the handshake.
TEST_F(TlsDialerTest, WhatComesWithTheHandshakeReachesTheNewOwner) {
  network_.At("upstream").accept = [this](std::unique_ptr<Transport> transport) {
    accepted_.push_back(Server(std::move(transport), server_context_));
    TlsEnd& end = *accepted_.back();
    end.on_ready = [&end] { end.transport->Write("I speak first"); };
  };
  Dial();
  ASSERT_TRUE(Until([&] { return done_ && error_ == 0; }));
  client_->ready = true;
  ASSERT_TRUE(Until([&] { return client_->data == "I speak first"; }));
}

TEST_F(TlsDialerTest, AHandshakeThatFailsIsAnError) {
  TlsClientOptions options = ClientOptions();
  options.server_name = "other.test";
  dialer_.SetContext(Build(options));
  Dial();
  ASSERT_TRUE(Until([&] { return done_; }));
  EXPECT_EQ(error_, EPROTO);
  EXPECT_EQ(client_, nullptr);
  EXPECT_EQ(ClientFailures("bad_certificate"), 1);
  ASSERT_TRUE(Until([&] { return accepted_[0]->error != 0; }));
}

TEST_F(TlsDialerTest, WhatTheInnerDialerCannotDoIsItsError) {
  Dial("nobody");
  ASSERT_TRUE(Until([&] { return done_; }));
  EXPECT_EQ(error_, ECONNREFUSED);
}

TEST_F(TlsDialerTest, AnAttemptMayBeGivenUpAtAnyMoment) {
  for (int steps = 0; steps < 12; ++steps) {
    Dial();
    const uint64_t from = loop_.dispatches();
    loop_.RunUntil([&] { return loop_.dispatches() >= from + steps; }, std::chrono::seconds(1));
    if (done_) break;
    loop_.Dispatch([&] { attempt_.reset(); });
    Settle();
    EXPECT_FALSE(done_);
  }
  EXPECT_GT(ClientFailures("timeout"), 0);
  EXPECT_EQ(network_.open_at_client("upstream"), done_ ? 1u : 0u);
}

TEST_F(TlsDialerTest, TheNextConnectionResumesTheLastSession) {
  for (const bool resumed : {false, true, true}) {
    Dial();
    ASSERT_TRUE(Until([&] { return done_; }));
    client_->ready = true;
    EXPECT_EQ(client_->transport->tls()->resumed, resumed);
    Settle();
  }
  dialer_.SetContext(Build(ClientOptions()));
  Dial();
  ASSERT_TRUE(Until([&] { return done_; }));
  client_->ready = true;
  EXPECT_FALSE(client_->transport->tls()->resumed) << "whom it trusted may have changed";
}

}  // namespace
}  // namespace sluice
