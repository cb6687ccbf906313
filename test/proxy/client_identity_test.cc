// Who the client is by its TLS connection: in header rules, in X-Forwarded-Client-Cert, in the
// access log.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "proxy/access_log_format.h"
#include "proxy/client_cert.h"
#include "proxy/forwarding.h"
#include "proxy/header_edits.h"

// Behind those whose enumerators have the same names as some of its rules.
#include "config/text_rules.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class ClientIdentityTest : public testing::Test {
 protected:
  ClientIdentityTest() {
    tls_.version = "TLSv1.3";
    tls_.cipher = "TLS_AES_128_GCM_SHA256";
    tls_.server_name = "edge.test";
    tls_.verification = PeerVerification::kVerified;
    peer_->subject = "CN=client,O=\"Quoted\\\" Ltd\"";
    peer_->issuer = "CN=CA";
    peer_->serial = "1f";
    peer_->fingerprint = "ab12";
    peer_->uri_san = "spiffe://test/client";
    peer_->dns_sans = "a.test,b.test";
    downstream_.peer = downstream_.peer_host = "10.0.0.1";
    tls_.certificate = peer_;
    downstream_.tls = true;
    downstream_.tls_info = &tls_;
  }

  void Anonymous() {
    tls_.verification = PeerVerification::kNone;
    tls_.certificate = nullptr;
    tls_.server_name.clear();
  }

  std::vector<std::string> Values(std::string_view name) const {
    std::vector<std::string> values;
    for (const HeaderField& field : head_.headers) {
      if (EqualsIgnoreCase(field.name, name)) values.emplace_back(field.value);
    }
    return values;
  }

  void Edit(const HeaderEdits& edits) {
    edits_ = CompiledHeaderEdits::CompileTemplates(edits).value();
    edits_.Apply(head_, downstream_);
  }

  void Forward(ForwardClientCert mode, bool trust, const std::string& sent = "") {
    ListenerConfig config;
    config.forward_client_cert = mode;
    config.trust_forwarded = trust;
    forwarding_.emplace(config);
    head_.Reset();
    if (!sent.empty()) {
      head_.headers.Add("x-forwarded-client-cert", head_.arena.Copy(sent));
    }
    forwarding_->ApplyToRequest(head_, downstream_, random_);
  }

  std::shared_ptr<TlsPeerCertificate> peer_ = std::make_shared<TlsPeerCertificate>();
  TlsInfo tls_;
  DownstreamInfo downstream_;
  RequestHead head_;
  CompiledHeaderEdits edits_;
  std::optional<Forwarding> forwarding_;
  Random random_{1};
};

// ---- header rules ----

TEST_F(ClientIdentityTest, ValuesOfHeaderRulesHavePlaceholders) {
  Edit({.remove = {},
        .set = {{"X-Client", "%CLIENT_SUBJECT%"},
                {"X-Tls", "%TLS_VERSION%/%TLS_CIPHER% (%TLS_RESUMED%)"},
                {"X-Static", "as it is"},
                {"X-Percent", "100%%"}},
        .add = {{"X-Uri", "%CLIENT_URI%"}}});
  EXPECT_THAT(Values("X-Client"), ElementsAre(peer_->subject));
  EXPECT_THAT(Values("X-Tls"), ElementsAre("TLSv1.3/TLS_AES_128_GCM_SHA256 (no)"));
  EXPECT_THAT(Values("X-Static"), ElementsAre("as it is"));
  EXPECT_THAT(Values("X-Percent"), ElementsAre("100%"));
  EXPECT_THAT(Values("X-Uri"), ElementsAre("spiffe://test/client"));
}

TEST_F(ClientIdentityTest, WhatIsNotKnownIsNotLeftToTheClient) {
  Anonymous();
  head_.headers.Add("X-Client", "CN=admin");
  Edit({.remove = {},
        .set = {{"X-Client", "%CLIENT_SUBJECT%"}, {"X-Both", "%CLIENT_VERIFY% %CLIENT_URI%"}},
        .add = {{"X-Added", "%CLIENT_DNS%"}}});
  EXPECT_THAT(Values("X-Client"), IsEmpty());
  EXPECT_THAT(Values("X-Both"), ElementsAre("none -"));
  EXPECT_THAT(Values("X-Added"), IsEmpty());
  downstream_.tls_info = nullptr;
  head_.headers.Add("X-Client", "CN=admin");
  Edit({.remove = {}, .set = {{"X-Client", "%CLIENT_SUBJECT%"}}, .add = {}});
  EXPECT_THAT(Values("X-Client"), IsEmpty());
}

TEST_F(ClientIdentityTest, PlaceholdersThatAreNoneAreRefused) {
  const auto error = [](const std::string& value) {
    const auto compiled =
        CompiledHeaderEdits::CompileTemplates({.remove = {}, .set = {{"X-A", value}}, .add = {}});
    return compiled ? "accepted" : compiled.error().message;
  };
  EXPECT_THAT(error("%NO_SUCH%"), HasSubstr("unknown placeholder %NO_SUCH%"));
  EXPECT_THAT(error("100%"), HasSubstr("without a second one"));
  EXPECT_EQ(error("%%%CLIENT_URI%%%"), "accepted");
  const auto plain =
      CompiledHeaderEdits::Compile({.remove = {}, .set = {{"X-A", "100%"}}, .add = {}});
  EXPECT_TRUE(plain) << "of responses: there a percent sign is one";
}

// What the configuration lets pass is what compiles, and the other way round.
TEST_F(ClientIdentityTest, TheConfigurationKnowsTheSamePlaceholders) {
  for (size_t i = 0; i < kConnectionFactCount; ++i) {
    const auto fact = static_cast<ConnectionFact>(i);
    EXPECT_EQ(FindConnectionFact(ConnectionFactName(fact)), fact);
    std::string value = "%" + std::string(ConnectionFactName(fact)) + "%";
    EXPECT_EQ(kFieldTemplate.check(value), "");
    EXPECT_EQ(kAccessLogText.check(value), "");
    EXPECT_TRUE(AccessLogLine::Compile(value));
  }
  for (std::string value : {"%STATUS%", "%", "a%b", "%client_uri%"}) {
    EXPECT_NE(kFieldTemplate.check(value), "") << value;
    EXPECT_FALSE(HeaderTemplate::Compile(value)) << value;
  }
}

// ---- X-Forwarded-Client-Cert ----

TEST_F(ClientIdentityTest, ForwardsTheVerifiedCertificate) {
  peer_->subject = "CN=client";
  Forward(ForwardClientCert::kReplace, false);
  EXPECT_THAT(Values("X-Forwarded-Client-Cert"),
              ElementsAre("Hash=ab12;Subject=\"CN=client\";URI=spiffe://test/client;DNS=a.test;"
                          "DNS=b.test"));
}

// A certificate can say anything in its names; an element must stay one.
TEST_F(ClientIdentityTest, QuotesWhatCouldBeTakenForMore) {
  peer_->uri_san = "spiffe://x;DNS=admin.test,Hash=0";
  peer_->dns_sans = "a\"b";
  Forward(ForwardClientCert::kReplace, false);
  EXPECT_THAT(Values("X-Forwarded-Client-Cert"),
              ElementsAre("Hash=ab12;Subject=\"CN=client,O=\\\"Quoted\\\\\\\" Ltd\\\"\";"
                          "URI=\"spiffe://x;DNS=admin.test,Hash=0\";DNS=\"a\\\"b\""));
}

TEST_F(ClientIdentityTest, WhatTheClientSentIsKeptOnlyIfItIsTrustedAndAsConfigured) {
  using enum ForwardClientCert;
  const std::string ours = "Hash=ab12";
  const auto field = [&] { return Values("X-Forwarded-Client-Cert"); };
  for (const ForwardClientCert mode : {kOff, kReplace, kAppend}) {
    Forward(mode, /*trust=*/false, "Hash=forged");
    for (const std::string& value : field()) EXPECT_THAT(value, Not(HasSubstr("forged")));
    EXPECT_EQ(field().size(), mode == kOff ? 0u : 1u);
  }
  Forward(kOff, /*trust=*/true, "Hash=theirs");
  EXPECT_THAT(field(), ElementsAre("Hash=theirs"));
  Forward(kReplace, /*trust=*/true, "Hash=theirs");
  EXPECT_THAT(field(), ElementsAre(testing::StartsWith(ours)));
  Forward(kAppend, /*trust=*/true, "Hash=theirs");
  EXPECT_THAT(field(), ElementsAre(testing::StartsWith("Hash=theirs, " + ours)));
}

TEST_F(ClientIdentityTest, NothingIsForwardedOfACertificateThatWasNotVerified) {
  for (const auto verification : {PeerVerification::kFailed, PeerVerification::kNone}) {
    tls_.verification = verification;
    Forward(ForwardClientCert::kReplace, true, "Hash=theirs");
    EXPECT_THAT(Values("X-Forwarded-Client-Cert"), IsEmpty());
    Forward(ForwardClientCert::kAppend, true, "Hash=theirs");
    EXPECT_THAT(Values("X-Forwarded-Client-Cert"), ElementsAre("Hash=theirs"));
  }
}

// ---- the access log ----

TEST_F(ClientIdentityTest, TheAccessLogHasTheFacts) {
  const RequestRecord record;
  TimestampWriter timestamps;
  const auto line = [&](const AccessLogLine& compiled) {
    LineBuffer out;
    compiled.Append({head_, record, downstream_, WallTime{}, Duration{}}, timestamps, out);
    return fmt::to_string(out);
  };
  const auto text =
      AccessLogLine::Compile("%TLS_VERSION% %TLS_SERVER_NAME% %CLIENT_VERIFY% %CLIENT_SERIAL%");
  EXPECT_EQ(line(*text), "TLSv1.3 edge.test verified 1f\n");
  EXPECT_THAT(line(AccessLogLine::Json()),
              AllOf(HasSubstr(R"("tls_version":"TLSv1.3")"), HasSubstr(R"("tls_resumed":"no")"),
                    HasSubstr(R"("client_uri":"spiffe://test/client")")));
  downstream_.tls_info = nullptr;
  EXPECT_EQ(line(*text), "- - - -\n");
  EXPECT_THAT(line(AccessLogLine::Json()), Not(HasSubstr("tls_")));
}

}  // namespace
}  // namespace sluice
