// What the two sides agree on, and whom they let in: names, ciphers, certificates, sessions.
#include <openssl/err.h>
#include <openssl/pem.h>

#include <functional>

#include "net/tls_fixture.h"

namespace sluice {
namespace {

using testing::HasSubstr;

class TlsContextTest : public TlsTest {
 protected:
  // Shakes hands to the end, whichever that is.
  void Shake(std::shared_ptr<const TlsServerContext> server,
             std::shared_ptr<const TlsClientContext> client) {
    Pipe::Pair pair = Pipe::Make(loop_);
    loop_.Dispatch([&] {
      server_ = Server(std::move(pair.server), std::move(server));
      client_ = Client(std::move(pair.client), std::move(client));
    });
    ASSERT_TRUE(Until([&] { return client_->over(); }));
    Settle();  // a ticket, or the alert of a server that judges the client's certificate
    if (client_->error != 0) {
      ASSERT_TRUE(Until([&] { return server_->over(); }));
    }
  }
  void Shake(const TlsServerOptions& server, const TlsClientOptions& client) {
    Shake(Build(server), Build(client));
  }
  const TlsInfo& server_info() { return *server_->transport->tls(); }
  const TlsInfo& client_info() { return *client_->transport->tls(); }

  // The subject that a client which asks for `name` is shown.
  std::string Shown(std::shared_ptr<const TlsServerContext> server, const std::string& name,
                    const std::string& ciphers = "") {
    TlsClientOptions options = ClientOptions();
    options.verify = false;
    options.ca.clear();
    options.server_name = name;
    options.ciphers = ciphers;
    if (!ciphers.empty()) options.cipher_suites = "TLS_AES_128_GCM_SHA256";
    slot_->session.reset();
    Shake(std::move(server), Build(options));
    return client_->ready ? client_info().peer().subject : "nothing";
  }

  // Two handshakes; whether the second one resumes.
  bool Resumes(std::shared_ptr<const TlsServerContext> first,
               std::shared_ptr<const TlsServerContext> second, const TlsClientOptions& client) {
    slot_->session.reset();
    const auto context = Build(client);
    Shake(std::move(first), context);
    EXPECT_TRUE(client_->ready);
    EXPECT_FALSE(client_info().resumed);
    Shake(std::move(second), context);
    EXPECT_TRUE(client_->ready);
    EXPECT_EQ(client_info().resumed, server_info().resumed);
    return client_info().resumed;
  }

  std::unique_ptr<TlsEnd> server_, client_;
};

// ---- certificates by name ----

TEST_F(TlsContextTest, TheNameAskedForChoosesTheCertificate) {
  TlsServerOptions options = ServerOptions();
  options.certificates = {
      Issue("first", {.common_name = "first", .dns_names = {"first.test", "shared.test"}}),
      Issue("wild", {.common_name = "wild", .dns_names = {"*.wild.test", "shared.test"}}),
      Issue("exact", {.common_name = "exact", .dns_names = {"exact.wild.test"}}),
      Issue("named", {.common_name = "named", .dns_names = {"ignored.test"}})};
  options.certificates[3].server_names = {"Named.test"};
  const auto server = Build(options);
  const std::pair<const char*, const char*> expected[] = {
      {"first.test", "CN=first"},      {"a.wild.test", "CN=wild"}, {"exact.wild.test", "CN=exact"},
      {"EXACT.Wild.Test", "CN=exact"}, {"wild.test", "CN=first"},  {"a.b.wild.test", "CN=first"},
      {"shared.test", "CN=first"},     {"named.test", "CN=named"}, {"ignored.test", "CN=first"},
      {"unknown", "CN=first"},         {"", "CN=first"},
  };
  for (const auto& [name, subject] : expected) EXPECT_EQ(Shown(server, name), subject) << name;
  EXPECT_EQ(server->certificates().size(), 4u);
  EXPECT_THAT(server->certificates()[1].names, testing::ElementsAre("*.wild.test", "shared.test"));
}

TEST_F(TlsContextTest, TheKindOfKeyIsTheClientsChoice) {
  TlsServerOptions options = ServerOptions();
  CertSpec spec{.common_name = "ec", .dns_names = {"server.test"}};
  options.certificates = {Issue("ec", spec)};
  spec.common_name = "rsa";
  spec.rsa = true;
  options.certificates.push_back(Issue("rsa", spec));
  const auto server = Build(options);
  EXPECT_EQ(Shown(server, "server.test"), "CN=ec");
  // TLS 1.2 and a cipher that goes with RSA only.
  TlsServerOptions old = options;
  SSL* const client = TlsPeer::NewClient(TLS1_2_VERSION);
  SSL_set_cipher_list(client, "ECDHE-RSA-AES128-GCM-SHA256");
  Pipe::Pair pair = Pipe::Make(loop_);
  loop_.Dispatch([&] { server_ = Server(std::move(pair.server), server); });
  TlsPeer peer(loop_, std::move(pair.client), client);
  ASSERT_TRUE(Until([&] { return server_->ready; }));
  EXPECT_EQ(server_info().cipher, "ECDHE-RSA-AES128-GCM-SHA256");
}

// ---- protocols and versions ----

TEST_F(TlsContextTest, TheServersFirstProtocolThatTheClientOffersIsTaken) {
  TlsClientOptions client = ClientOptions();
  const std::pair<std::vector<std::string>, std::string_view> expected[] = {
      {{"http/1.1", "h2"}, "h2"}, {{"http/1.1"}, "http/1.1"}, {{"h2"}, "h2"}, {{}, ""}};
  for (const auto& [offered, agreed] : expected) {
    client.alpn = offered;
    Shake(ServerOptions(), client);
    ASSERT_TRUE(server_->ready);
    EXPECT_EQ(server_info().alpn, agreed);
    EXPECT_EQ(client_info().alpn, agreed);
  }
}

TEST_F(TlsContextTest, HandshakesThatMustFailDoAndAreCountedByReason) {
  TlsServerOptions server = ServerOptions();
  server.alpn = {"http/1.1"};
  TlsClientOptions client = ClientOptions();
  client.alpn = {"h2"};
  Shake(server, client);
  EXPECT_EQ(client_->error, EPROTO);
  EXPECT_NE(server_->error, 0);
  EXPECT_EQ(Failures("no_alpn"), 1);
  EXPECT_EQ(ClientFailures("no_alpn"), 1);

  Pipe::Pair old = Pipe::Make(loop_);
  server.min_version = TlsVersion::kTls13;
  loop_.Dispatch([&] { server_ = Server(std::move(old.server), Build(server)); });
  TlsPeer peer(loop_, std::move(old.client), TlsPeer::NewClient(TLS1_2_VERSION));
  ASSERT_TRUE(Until([&] { return peer.fin; }));
  EXPECT_EQ(peer.ssl_error, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
  EXPECT_EQ(Failures("protocol_version"), 1);

  server = ServerOptions();
  server.cipher_suites = "TLS_AES_256_GCM_SHA384";
  client = ClientOptions();
  client.min_version = TlsVersion::kTls13;
  client.cipher_suites = "TLS_AES_128_GCM_SHA256";
  Shake(server, client);
  EXPECT_EQ(Failures("no_shared_cipher"), 1);
  EXPECT_EQ(ClientFailures("no_shared_cipher"), 1);
}

// ---- who the upstream is ----

TEST_F(TlsContextTest, AnUpstreamMustBeVouchedForAndBeMeant) {
  const TestCa stranger("stranger");
  dir_.Write("stranger.pem", stranger.cert());
  struct Case {
    const char* what;
    TlsKeyPair certificate;
    std::string ca, name;
    const char* failure;  // null: it is let in
  };
  const CertSpec good{.common_name = "server",
                      .dns_names = {"server.test", "*.wild.test"},
                      .addresses = {"127.0.0.1", "::1"}};
  CertSpec expired = good;
  expired.valid_to_days = 0;
  expired.valid_from_days = -2;
  CertSpec early = good;
  early.valid_from_days = 1;
  CertSpec nameless{.common_name = "server.test"};
  const Case cases[] = {
      {"all well", Issue("good", good), "ca.pem", "server.test", nullptr},
      {"a wildcard", Issue("good", good), "ca.pem", "a.wild.test", nullptr},
      {"an address", Issue("good", good), "ca.pem", "127.0.0.1", nullptr},
      {"an IPv6 address", Issue("good", good), "ca.pem", "::1", nullptr},
      {"another name", Issue("good", good), "ca.pem", "other.test", "bad_certificate"},
      {"two labels", Issue("good", good), "ca.pem", "a.b.wild.test", "bad_certificate"},
      {"another address", Issue("good", good), "ca.pem", "127.0.0.2", "bad_certificate"},
      {"the subject is no name", Issue("nameless", nameless), "ca.pem", "server.test",
       "bad_certificate"},
      {"expired", Issue("expired", expired), "ca.pem", "server.test", "bad_certificate"},
      {"too early", Issue("early", early), "ca.pem", "server.test", "bad_certificate"},
      {"not our CA", Issue("good", good), "stranger.pem", "server.test", "unknown_ca"},
      {"another CA", Issue("forged", good, stranger), "ca.pem", "server.test", "unknown_ca"},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.what);
    TlsServerOptions server = ServerOptions();
    server.certificates = {one.certificate};
    TlsClientOptions client = ClientOptions();
    client.ca = dir_ / one.ca;
    client.server_name = one.name;
    slot_->session.reset();
    const int64_t before = one.failure == nullptr ? 0 : ClientFailures(one.failure);
    Shake(server, client);
    if (one.failure == nullptr) {
      EXPECT_TRUE(client_->ready) << client_->error;
    } else {
      EXPECT_EQ(client_->error, EPROTO);
      EXPECT_EQ(ClientFailures(one.failure), before + 1);
    }
    // Without verification all are let in, and what was wrong can be told.
    client.verify = false;
    slot_->session.reset();
    Shake(server, client);
    ASSERT_TRUE(client_->ready);
    EXPECT_EQ(client_info().verification,
              one.failure == nullptr ? PeerVerification::kVerified : PeerVerification::kFailed);
    EXPECT_EQ(client_info().peer().verify_error.empty(), one.failure == nullptr);
  }
}

// ---- who the client is ----

TEST_F(TlsContextTest, ClientsAreLetInByWhatIsAskedOfThem) {
  const TestCa stranger("stranger");
  CertSpec spec{
      .common_name = "client", .dns_names = {"a.test", "b.test"}, .uris = {"spiffe://x/y"}};
  const TlsKeyPair none;
  const TlsKeyPair good = Issue("client", spec);
  const TlsKeyPair forged = Issue("forged", spec, stranger);
  spec.valid_from_days = -9;
  spec.valid_to_days = -1;
  const TlsKeyPair expired = Issue("expired", spec);
  using enum TlsClientAuth;
  using enum PeerVerification;
  struct Case {
    TlsClientAuth auth;
    const TlsKeyPair& certificate;
    PeerVerification verification;
    const char* failure;  // null: it is let in
  };
  const Case cases[] = {
      {kOff, none, kNone, nullptr},
      {kOff, good, kNone, nullptr},
      {kOptional, none, kNone, nullptr},
      {kOptional, good, kVerified, nullptr},
      {kOptional, forged, kFailed, nullptr},
      {kOptional, expired, kFailed, nullptr},
      {kRequired, good, kVerified, nullptr},
      {kRequired, none, kNone, "bad_certificate"},
      {kRequired, forged, kNone, "unknown_ca"},
      {kRequired, expired, kNone, "bad_certificate"},
  };
  for (const TlsVersion version : {TlsVersion::kTls12, TlsVersion::kTls13}) {
    for (const Case& one : cases) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(one.auth) << one.certificate.cert);
      TlsServerOptions server = ServerOptions();
      server.client_auth = one.auth;
      if (one.auth != kOff) server.ca = dir_ / "ca.pem";
      server.min_version = version;
      TlsClientOptions client = ClientOptions();
      client.certificate = one.certificate;
      slot_->session.reset();
      const int64_t before = one.failure == nullptr ? 0 : Failures(one.failure);
      Shake(server, client);
      if (one.failure != nullptr) {
        ASSERT_TRUE(Until([&] { return client_->error != 0; }));
        EXPECT_FALSE(server_->ready);
        EXPECT_EQ(Failures(one.failure), before + 1);
        continue;
      }
      ASSERT_TRUE(server_->ready);
      EXPECT_EQ(server_info().verification, one.verification);
      if (one.verification == kNone) {
        EXPECT_EQ(server_info().peer().subject, "");
        continue;
      }
      EXPECT_EQ(server_info().peer().subject, "CN=client");
      EXPECT_EQ(server_info().peer().uri_san, "spiffe://x/y");
      EXPECT_EQ(server_info().peer().dns_sans, "a.test,b.test");
      EXPECT_EQ(server_info().peer().fingerprint.size(), 64u);
      EXPECT_NE(server_info().peer().serial, "");
    }
  }
}

// ---- sessions ----

TEST_F(TlsContextTest, SessionsResumeOnEveryContextWithTheSameKeys) {
  const auto keys = std::make_shared<TlsTicketKeys>();
  for (const TlsVersion version : {TlsVersion::kTls12, TlsVersion::kTls13}) {
    TlsServerOptions server = ServerOptions();
    TlsClientOptions client = ClientOptions();
    if (version == TlsVersion::kTls13) {
      server.min_version = version;
    } else {
      client.cipher_suites.clear();
    }
    EXPECT_TRUE(Resumes(Build(server, keys), Build(server, keys), client));
    EXPECT_FALSE(Resumes(Build(server, keys), Build(server), client)) << "other keys";
    server.session_tickets = false;
    EXPECT_FALSE(Resumes(Build(server, keys), Build(server, keys), client)) << "no tickets";
  }
}

TEST_F(TlsContextTest, SessionsOfTls12ResumeToo) {
  const auto context = Build(ServerOptions());
  SSL_SESSION* session = nullptr;
  for (const bool resumed : {false, true}) {
    Pipe::Pair pair = Pipe::Make(loop_);
    SSL* const client = TlsPeer::NewClient(TLS1_2_VERSION);
    if (session != nullptr) SSL_set_session(client, session);
    loop_.Dispatch([&] { server_ = Server(std::move(pair.server), context); });
    TlsPeer peer(loop_, std::move(pair.client), client);
    ASSERT_TRUE(Until([&] { return server_->ready && peer.done(); }));
    EXPECT_EQ(server_info().version, "TLSv1.2");
    EXPECT_EQ(server_info().resumed, resumed);
    if (session == nullptr) session = SSL_get1_session(peer.ssl());
    loop_.Dispatch([&] { server_->transport->Close(); });
  }
  SSL_SESSION_free(session);
}

TEST_F(TlsContextTest, ASessionWithoutACertificateDoesNotResumeWhereOneIsNeeded) {
  const auto keys = std::make_shared<TlsTicketKeys>();
  const TlsServerOptions open = ServerOptions();
  TlsServerOptions asking = open;
  asking.client_auth = TlsClientAuth::kOptional;
  asking.ca = dir_ / "ca.pem";
  const TestCa other("other");
  dir_.Write("other.pem", other.cert());
  TlsServerOptions asking_others = asking;
  asking_others.ca = dir_ / "other.pem";
  TlsClientOptions client = ClientOptions();
  client.certificate = Issue("client", {.common_name = "client"});
  EXPECT_TRUE(Resumes(Build(asking, keys), Build(asking, keys), client));
  EXPECT_EQ(server_info().peer().subject, "CN=client") << "known from the session";
  EXPECT_EQ(server_info().verification, PeerVerification::kVerified);
  EXPECT_FALSE(Resumes(Build(open, keys), Build(asking, keys), client));
  EXPECT_FALSE(Resumes(Build(asking, keys), Build(asking_others, keys), client));
}

TEST_F(TlsContextTest, TicketsOutliveOneChangeOfKeysAndNotTwo) {
  const auto keys = std::make_shared<TlsTicketKeys>();
  const auto server = Build(ServerOptions(), keys);
  const auto client = Build(ClientOptions());
  Shake(server, client);
  const SessionPtr old(SSL_SESSION_dup(slot_->session.get()));
  keys->Rotate(loop_.WallNow());
  Shake(server, client);
  EXPECT_TRUE(client_info().resumed);
  keys->Rotate(loop_.WallNow());
  slot_->session.reset(SSL_SESSION_dup(old.get()));
  Shake(server, client);
  EXPECT_FALSE(client_info().resumed);
}

TEST_F(TlsContextTest, KeysFromFilesAndFromAnotherProcess) {
  const WallTime now = loop_.WallNow();
  dir_.Write("a", std::string(80, 'a'));
  dir_.Write("b", std::string(80, 'b'));
  dir_.Write("short", std::string(79, 'c'));
  const auto ab = std::make_shared<TlsTicketKeys>();
  const auto ba = std::make_shared<TlsTicketKeys>();
  const auto imported = std::make_shared<TlsTicketKeys>();
  ASSERT_TRUE(ab->LoadFiles({dir_ / "a", dir_ / "b"}, "keys", now));
  ASSERT_TRUE(ba->LoadFiles({dir_ / "b", dir_ / "a"}, "keys", now));
  ASSERT_TRUE(imported->Import(ab->Export(), now));
  EXPECT_TRUE(Resumes(Build(ServerOptions(), ab), Build(ServerOptions(), ba), ClientOptions()));
  EXPECT_TRUE(
      Resumes(Build(ServerOptions(), ab), Build(ServerOptions(), imported), ClientOptions()));

  const auto refused = ab->LoadFiles({dir_ / "a", dir_ / "short"}, "keys", now);
  ASSERT_FALSE(refused);
  EXPECT_THAT(
      refused.error().message,
      testing::AllOf(HasSubstr("keys[1]: "), HasSubstr("short: has 79 bytes; expected 80")));
  for (const std::string& bytes : {std::string(), std::string("\x02\x01", 2) + std::string(80, 'x'),
                                   ab->Export() + "x", ab->Export().substr(1)}) {
    EXPECT_FALSE(ab->Import(bytes, now));
  }
  EXPECT_EQ(ab->Export(), imported->Export()) << "what was refused has changed nothing";
}

// ---- files ----

TEST_F(TlsContextTest, ErrorsNameTheKeyTheFileAndTheReason) {
  const TlsKeyPair good = Issue("good", {});
  const TlsKeyPair other = Issue("other", {});
  dir_.Write("junk.pem", "not PEM at all\n");
  dir_.Write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  dir_.Write("locked.key", [] {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    BIO* memory = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(memory, key, EVP_aes_128_cbc(),
                             reinterpret_cast<const unsigned char*>("secret"), 6, nullptr, nullptr);
    char* text = nullptr;
    const long size = BIO_get_mem_data(memory, &text);
    std::string pem(text, static_cast<size_t>(size));
    BIO_free(memory);
    EVP_PKEY_free(key);
    return pem;
  }());
  struct Case {
    std::string cert, key;
    std::vector<std::string> parts;
  };
  const std::string at = "listeners.test.tls.certificates[0]";
  const Case cases[] = {
      {dir_ / "none.pem", good.key, {at + ".cert: ", "none.pem: No such file or directory"}},
      {good.cert, dir_ / "none.key", {at + ".key: ", "none.key: No such file or directory"}},
      {dir_ / "junk.pem", good.key, {at + ".cert: ", "junk.pem: holds no certificate in PEM form"}},
      {dir_ / "broken.pem", good.key, {at + ".cert: ", "broken.pem: "}},
      {good.cert, dir_ / "junk.pem", {at + ".key: ", "junk.pem: holds no private key in PEM form"}},
      {good.cert, dir_ / "locked.key", {"locked.key: the key is protected by a passphrase"}},
      {good.cert, other.key, {"other.key: is not the key of the certificate in ", "good.pem"}},
  };
  for (const Case& one : cases) {
    TlsServerOptions options = ServerOptions();
    options.certificates = {{one.cert, one.key, {}}};
    const auto built = TlsServerContext::Build(options, std::make_shared<TlsTicketKeys>());
    ASSERT_FALSE(built) << one.parts[0];
    for (const std::string& part : one.parts) EXPECT_THAT(built.error().message, HasSubstr(part));
    EXPECT_EQ(ERR_peek_error(), 0u) << "left behind for the next one to stumble over";
  }
  TlsServerOptions options = ServerOptions();
  options.ciphers = "NO-SUCH-CIPHER";
  EXPECT_THAT(TlsServerContext::Build(options, nullptr).error().message,
              HasSubstr("listeners.test.tls.ciphers: 'NO-SUCH-CIPHER': no cipher match"));
  options = ServerOptions();
  options.cipher_suites = "TLS_NO_SUCH";
  EXPECT_THAT(TlsServerContext::Build(options, nullptr).error().message,
              HasSubstr("listeners.test.tls.cipher_suites: 'TLS_NO_SUCH' has a name"));
  TlsClientOptions client = ClientOptions();
  client.ca = dir_ / "junk.pem";
  EXPECT_THAT(TlsClientContext::Build(client).error().message, HasSubstr("clusters.test.tls.ca: "));
}

}  // namespace
}  // namespace sluice
