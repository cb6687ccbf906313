// TlsTransport against itself, and against an OpenSSL that a test holds in its hands.
#include "net/tls_transport.h"

#include <openssl/sslerr.h>

#include <cerrno>

#include "net/tls_fixture.h"

namespace sluice {
namespace {

std::string Pattern(size_t size) {
  std::string text;
  text.reserve(size + 8);
  for (size_t i = 0; text.size() < size; ++i) text += std::to_string(i) + ",";
  text.resize(size);
  return text;
}

class TlsTransportTest : public TlsTest {
 protected:
  // Both ends ours.
  void Join(const PipeFaults& faults = {}) {
    Pipe::Pair pair = Pipe::Make(loop_, faults);
    server_wire_ = pair.server_account;
    loop_.Dispatch([&] {
      server_ = Server(std::move(pair.server), Build(ServerOptions()));
      client_ = Client(std::move(pair.client), Build(ClientOptions()));
    });
  }
  void JoinReady(const PipeFaults& faults = {}) {
    Join(faults);
    ASSERT_TRUE(Until([&] { return server_->ready && client_->ready; }));
  }

  // The server ours, the client a test's.
  void JoinPeer(int version = TLS1_3_VERSION, const PipeFaults& faults = {}) {
    Pipe::Pair pair = Pipe::Make(loop_, faults);
    server_wire_ = pair.server_account;
    loop_.Dispatch([&] {
      server_ = Server(std::move(pair.server), Build(ServerOptions()));
      peer_ = std::make_unique<TlsPeer>(loop_, std::move(pair.client), TlsPeer::NewClient(version));
    });
  }
  void JoinPeerReady(int version = TLS1_3_VERSION, const PipeFaults& faults = {}) {
    JoinPeer(version, faults);
    ASSERT_TRUE(Until([&] { return server_->ready && peer_->done(); }));
  }
  void Write(TlsEnd& end, const std::string& text) {
    loop_.Dispatch([&] { end.transport->Write(loop_.Lend(text)); });
  }

  // The peer's, to arrive together.
  std::string Records(std::initializer_list<const char*> texts) {
    std::string wire;
    for (const char* text : texts) wire += peer_->Record(text);
    return wire;
  }

  std::unique_ptr<TlsEnd> server_, client_;
  std::unique_ptr<TlsPeer> peer_;
  std::shared_ptr<const PipeAccount> server_wire_;
};

TEST_F(TlsTransportTest, IsReadyAfterTheHandshakeAndNotBefore) {
  Join();
  EXPECT_FALSE(server_->transport->ready());
  EXPECT_EQ(server_->transport->tls(), nullptr);
  Write(*server_, "too early, and dropped");
  ASSERT_TRUE(Until([&] { return server_->ready && client_->ready; }));
  Write(*client_, "ping");
  ASSERT_TRUE(Until([&] { return server_->data == "ping"; }));
  Write(*server_, "pong");
  ASSERT_TRUE(Until([&] { return client_->data == "pong"; }));

  const TlsInfo& info = *server_->transport->tls();
  EXPECT_EQ(info.version, "TLSv1.3");
  EXPECT_EQ(info.cipher, "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(info.alpn, "http/1.1");
  EXPECT_EQ(info.server_name, "server.test");
  EXPECT_EQ(info.verification, PeerVerification::kNone);
  EXPECT_EQ(client_->transport->tls()->verification, PeerVerification::kVerified);
  EXPECT_EQ(client_->transport->tls()->peer().dns_sans, "server.test");
}

TEST_F(TlsTransportTest, HandshakeAndDataMayComeByteByByte) {
  PipeFaults faults;
  faults.max_chunk = 1;
  JoinReady(faults);
  const std::string text = Pattern(40'000);
  Write(*client_, text);
  ASSERT_TRUE(Until([&] { return server_->data.size() == text.size(); }));
  EXPECT_EQ(server_->data, text);
}

TEST_F(TlsTransportTest, HeadAndBodyLeaveInOneRecord) {
  JoinPeerReady();
  loop_.Dispatch([&] {
    server_->transport->Write("head, ");
    server_->transport->Write(loop_.Lend(Pattern(1000)));
    server_->transport->Write(", end");
  });
  ASSERT_TRUE(Until([&] { return peer_->data.ends_with(", end"); }));
  EXPECT_THAT(peer_->records, testing::ElementsAre(1011));
  EXPECT_EQ(peer_->data, "head, " + Pattern(1000) + ", end");
}

TEST_F(TlsTransportTest, ALargeBodyLeavesInFullRecords) {
  JoinPeerReady();
  const std::string body = Pattern(40'000);
  loop_.Dispatch([&] {
    server_->transport->Write("head");
    server_->transport->Write(loop_.Lend(body));
    server_->transport->Write("tail");
  });
  ASSERT_TRUE(Until([&] { return peer_->data.ends_with("tail"); }));
  EXPECT_EQ(peer_->data, "head" + body + "tail");
  EXPECT_THAT(peer_->records, testing::ElementsAre(16384, 16384, 40'008 - 2 * 16384));
}

TEST_F(TlsTransportTest, AfterFlushNowNothingLentIsReferredTo) {
  JoinPeerReady();
  std::string bytes = "as it was";
  loop_.Dispatch([&] {
    server_->transport->Write(bytes);
    server_->transport->FlushNow();
    EXPECT_EQ(server_->transport->queued_bytes(), 0u);
    bytes = "overwritten";
  });
  ASSERT_TRUE(Until([&] { return !peer_->data.empty(); }));
  EXPECT_EQ(peer_->data, "as it was");
}

TEST_F(TlsTransportTest, ACongestedWriterIsToldWhenItMayGoOn) {
  PipeFaults faults;
  faults.socket_buffer = 10'000;
  JoinPeerReady(TLS1_3_VERSION, faults);
  const std::string body = Pattern(600'000);
  loop_.Dispatch([&] {
    server_->transport->Write(loop_.Lend(body));
    EXPECT_TRUE(server_->transport->congested());
    peer_->Pause();
  });
  Settle();
  EXPECT_TRUE(server_->transport->congested());
  EXPECT_EQ(server_->writable, 0);
  bool low = false;
  server_->on_writable = [&] {
    low = low || server_->transport->queued_bytes() <= Transport::kLowWatermark;
  };
  loop_.Dispatch([&] { peer_->Resume(); });
  ASSERT_TRUE(Until([&] { return peer_->data.size() == body.size(); }));
  Settle();
  EXPECT_EQ(peer_->data, body);
  EXPECT_TRUE(low);
  EXPECT_EQ(server_->transport->queued_bytes(), 0u);
  EXPECT_EQ(server_->transport->untaken_bytes(), 0u);
}

// What was congested when its owner looked may be no more when it is encrypted.
TEST_F(TlsTransportTest, ACongestedWriterIsToldEvenIfTheKernelTakesAllAtOnce) {
  PipeFaults faults;
  faults.socket_buffer = 4 * 1024 * 1024;
  JoinPeerReady(TLS1_3_VERSION, faults);
  Write(*server_, Pattern(300'000));
  EXPECT_EQ(server_->writable, 1);
}

TEST_F(TlsTransportTest, ShutdownWriteSaysCloseNotifyThenFinAndReadsOn) {
  JoinPeerReady();
  loop_.Dispatch([&] {
    server_->transport->Write("last words");
    server_->transport->ShutdownWrite();
    server_->transport->Write("ignored");
    EXPECT_FALSE(server_->write_shut) << "told from inside ShutdownWrite";
  });
  ASSERT_TRUE(Until([&] { return peer_->fin; }));
  EXPECT_EQ(peer_->data, "last words");
  EXPECT_TRUE(peer_->close_notify);
  EXPECT_TRUE(server_->write_shut);
  loop_.Dispatch([&] { peer_->Send("still here"); });
  ASSERT_TRUE(Until([&] { return server_->data == "still here"; }));
}

TEST_F(TlsTransportTest, CloseNotifyIsTheEndAndWritingGoesOn) {
  JoinPeerReady();
  loop_.Dispatch([&] {
    peer_->Send("question");
    peer_->SendCloseNotify();
    peer_->SendFin();
  });
  ASSERT_TRUE(Until([&] { return server_->eof; }));
  EXPECT_EQ(server_->data, "question");
  Write(*server_, "answer");
  ASSERT_TRUE(Until([&] { return peer_->data == "answer"; }));
  EXPECT_EQ(server_->error, 0);
}

TEST_F(TlsTransportTest, AFinWithoutCloseNotifyIsAnError) {
  JoinPeerReady();
  loop_.Dispatch([&] {
    peer_->Send("all that came of a long bo");
    peer_->SendFin();
  });
  ASSERT_TRUE(Until([&] { return server_->error != 0; }));
  EXPECT_EQ(server_->data, "all that came of a long bo");
  EXPECT_EQ(server_->error, ECONNRESET);
  EXPECT_FALSE(server_->eof);
}

TEST_F(TlsTransportTest, CloseIsAnOrderlyEndIfAllHasLeft) {
  JoinPeerReady();
  Write(*server_, "whole");
  ASSERT_TRUE(Until([&] { return peer_->data == "whole"; }));
  loop_.Dispatch([&] { server_->transport->Close(); });
  ASSERT_TRUE(Until([&] { return peer_->fin; }));
  EXPECT_TRUE(peer_->close_notify);
}

TEST_F(TlsTransportTest, CloseIsNoOrderlyEndIfSomethingIsLost) {
  PipeFaults faults;
  faults.socket_buffer = 20'000;
  JoinPeerReady(TLS1_3_VERSION, faults);
  Write(*server_, Pattern(300'000));
  loop_.Dispatch([&] { server_->transport->Close(); });
  ASSERT_TRUE(Until([&] { return peer_->fin || peer_->error != 0; }));
  EXPECT_FALSE(peer_->close_notify);
}

TEST_F(TlsTransportTest, ResetIsAnErrorToThePeer) {
  JoinPeerReady();
  loop_.Dispatch([&] { server_->transport->Reset(); });
  ASSERT_TRUE(Until([&] { return peer_->error != 0; }));
  EXPECT_FALSE(peer_->close_notify);
  EXPECT_EQ(server_->error, 0);
}

TEST_F(TlsTransportTest, WhilePausedNothingIsDeliveredAndLittleIsKept) {
  JoinPeerReady();
  loop_.Dispatch([&] { server_->transport->PauseReading(); });
  const uint64_t before = server_wire_->delivered;
  const std::string body = Pattern(5'000'000);
  loop_.Dispatch([&] { peer_->Send(body); });
  Settle();
  EXPECT_EQ(server_->data, "");
  EXPECT_TRUE(server_->transport->HasUnreadInput());
  EXPECT_LE(server_wire_->delivered - before, 128u * 1024) << "the peer was not held back";
  loop_.Dispatch([&] { server_->transport->ResumeReading(); });
  ASSERT_TRUE(Until([&] { return server_->data.size() == body.size(); }));
  EXPECT_EQ(server_->data, body);
}

// The rest of what has arrived is ciphertext that nobody has looked at yet.
TEST_F(TlsTransportTest, PausingInTheMiddleKeepsTheRest) {
  JoinPeerReady();
  server_->on_data = [&] { server_->transport->PauseReading(); };
  loop_.Dispatch([&] {
    peer_->SendRaw(Records({"one", "two", "three"}));
    peer_->SendCloseNotify();
    peer_->SendFin();
  });
  for (const char* expected : {"one", "onetwo", "onetwothree"}) {
    ASSERT_TRUE(Until([&] { return server_->data == expected; })) << server_->data;
    Settle();
    EXPECT_EQ(server_->data, expected);
    EXPECT_FALSE(server_->eof);
    EXPECT_TRUE(server_->transport->HasUnreadInput());
    loop_.Dispatch([&] { server_->transport->ResumeReading(); });
  }
  ASSERT_TRUE(Until([&] { return server_->eof; }));
}

TEST_F(TlsTransportTest, PausingAndResumingAtOnceLosesNothing) {
  JoinPeerReady();
  server_->on_data = [&] {
    server_->transport->PauseReading();
    server_->transport->ResumeReading();
  };
  loop_.Dispatch([&] { peer_->SendRaw(Records({"one", "two"})); });
  ASSERT_TRUE(Until([&] { return server_->data == "onetwo"; }));
}

TEST_F(TlsTransportTest, ARecordThatHasBegunIsUnreadInputOnce) {
  JoinPeerReady();
  EXPECT_FALSE(server_->transport->HasUnreadInput());
  const std::string record = peer_->Record("whole at last");
  loop_.Dispatch([&] { peer_->SendRaw(record.substr(0, 7)); });
  Settle();
  EXPECT_TRUE(server_->transport->HasUnreadInput());
  EXPECT_FALSE(server_->transport->HasUnreadInput()) << "it would hold its connection for ever";
  loop_.Dispatch([&] { peer_->SendRaw(record.substr(7)); });
  ASSERT_TRUE(Until([&] { return server_->data == "whole at last"; }));
  EXPECT_FALSE(server_->transport->HasUnreadInput());
}

TEST_F(TlsTransportTest, KeysMayChangeOnTheWay) {
  JoinPeerReady();
  for (int round = 0; round < 3; ++round) {
    loop_.Dispatch([&] {
      peer_->RequestKeyUpdate();
      peer_->Send("a");
    });
    Settle();
    Write(*server_, "b");
  }
  ASSERT_TRUE(Until([&] { return server_->data == "aaa" && peer_->data == "bbb"; }));
}

// Each attempt is answered by an alert, which a peer that does not read would let pile up.
TEST_F(TlsTransportTest, RenegotiationIsRefusedAndItsRefusalsAreBounded) {
  PipeFaults faults;
  faults.socket_buffer = 4096;
  JoinPeerReady(TLS1_2_VERSION, faults);
  loop_.Dispatch([&] { peer_->Pause(); });
  size_t most = 0;
  for (int i = 0; i < 20'000 && server_->error == 0; ++i) {
    loop_.Dispatch([&] {
      SSL_renegotiate(peer_->ssl());
      SSL_do_handshake(peer_->ssl());
      peer_->SendRaw(peer_->Record("x"));
    });
    loop_.RunFor(std::chrono::milliseconds(1));
    if (server_->error == 0) most = std::max(most, server_->transport->queued_bytes());
  }
  EXPECT_LE(most, 300u * 1024);
}

TEST_F(TlsTransportTest, ABrokenRecordEndsTheConnectionWithAnAlert) {
  JoinPeerReady();
  std::string record = peer_->Record("tampered with");
  record[record.size() - 3] ^= 1;
  loop_.Dispatch([&] { peer_->SendRaw(record); });
  ASSERT_TRUE(Until([&] { return server_->error != 0; }));
  Settle();
  EXPECT_EQ(server_->data, "");
  EXPECT_EQ(peer_->ssl_error, SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
}

TEST_F(TlsTransportTest, HttpWithoutTlsIsToldSoAndCounted) {
  Pipe::Pair pair = Pipe::Make(loop_);
  auto client = std::make_unique<TlsEnd>(std::move(pair.client));
  client->ready = true;
  loop_.Dispatch([&] {
    server_ = Server(std::move(pair.server), Build(ServerOptions()));
    client->transport->Write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  });
  ASSERT_TRUE(Until([&] { return client->eof; }));
  EXPECT_THAT(client->data, testing::StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  const size_t body = client->data.find("\r\n\r\n") + 4;
  EXPECT_THAT(client->data,
              testing::HasSubstr("Content-Length: " + std::to_string(client->data.size() - body)));
  EXPECT_EQ(Failures("plain_http"), 1);
  EXPECT_EQ(server_->error, 0) << "not before the client has closed, or the owner's time is over";
  loop_.Dispatch([&] { client->transport->Close(); });
  ASSERT_TRUE(Until([&] { return server_->error != 0; }));
}

TEST_F(TlsTransportTest, HandshakesThatDoNotEndAreCounted) {
  JoinPeer();
  loop_.Dispatch([&] { server_->transport->Close(); });
  EXPECT_EQ(Failures("timeout"), 1);

  Pipe::Pair pair = Pipe::Make(loop_);
  loop_.Dispatch([&] { server_ = Server(std::move(pair.server), Build(ServerOptions())); });
  loop_.Dispatch([&] { pair.client->Close(); });
  ASSERT_TRUE(Until([&] { return server_->error != 0; }));
  EXPECT_EQ(Failures("closed"), 1);
}

// Both sides talk, pause and resume at random over pipes of every kind: every byte arrives, in
// order.
TEST_F(TlsTransportTest, CarriesEverythingUnderEveryFault) {
  Random random(7);
  for (int seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    JoinReady(PipeFaults::Draw(random, /*resets=*/false));
    std::string sent[2];
    TlsEnd* ends[2] = {client_.get(), server_.get()};
    for (int step = 0; step < 30; ++step) {
      TlsEnd& end = *ends[random.Below(2)];
      std::string& out = sent[&end == ends[1] ? 1 : 0];
      loop_.Dispatch([&] {
        for (uint64_t slices = random.Below(4); slices > 0; --slices) {
          const std::string slice = Pattern(random.Below(size_t{1} << random.Below(17)));
          out += slice;
          end.transport->Write(loop_.Lend(slice));
          if (random.Chance(0.2)) end.transport->FlushNow();
        }
        random.Chance(0.3) ? end.transport->PauseReading() : end.transport->ResumeReading();
      });
      loop_.RunFor(std::chrono::microseconds(random.Below(3000)));
    }
    loop_.Dispatch([&] {
      for (TlsEnd* end : ends) {
        end->transport->ResumeReading();
        end->transport->ShutdownWrite();
      }
    });
    ASSERT_TRUE(Until([&] { return client_->eof && server_->eof; }));
    EXPECT_EQ(server_->data, sent[0]);
    EXPECT_EQ(client_->data, sent[1]);
    EXPECT_EQ(server_->error + client_->error, 0);
  }
}

}  // namespace
}  // namespace sluice
