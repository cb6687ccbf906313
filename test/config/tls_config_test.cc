// The keys of TLS: what they say, and what is refused for contradicting itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "config/load.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// A listener with TLS, whose further keys start on line 4; in `listener` on line 3.
std::string Listener(const std::string& tls, const std::string& listener = "backlog: 1") {
  return "listeners:\n- address: 127.0.0.1:1\n  " + listener +
         "\n  tls: {certificates: [{cert: /c.pem, key: /k.pem}], " + tls +
         "}\n  cluster: app\nclusters: [{name: app, endpoints: ['127.0.0.1:2']}]\n";
}

// A cluster with TLS on line 6.
std::string Cluster(const std::string& tls) {
  return std::string(kBase) + "  tls: {" + tls + "}\n";
}

TEST(TlsConfig, IsOffUnlessThereIsASection) {
  const Config config = Load(kBase);
  EXPECT_FALSE(config.listeners[0].tls);
  EXPECT_FALSE(config.clusters[0].tls);
  EXPECT_THAT(DumpConfig(config), testing::Not(HasSubstr("certificates")));
}

TEST(TlsConfig, OfAListener) {
  const Config config =
      Load(Listener("client_auth: required, ca: /ca.pem, min_version: 1.3, session_lifetime: 10m, "
                    "ticket_key_files: [/t1, /t2]",
                    "forward_client_cert: append"));
  const ListenerTlsConfig& tls = *config.listeners[0].tls;
  EXPECT_EQ(tls.certificates[0].cert, "/c.pem");
  EXPECT_EQ(tls.certificates[0].key, "/k.pem");
  EXPECT_EQ(tls.client_auth, ClientAuth::kRequired);
  EXPECT_EQ(tls.min_version, TlsMinVersion::k13);
  EXPECT_THAT(tls.ticket_key_files, ElementsAre("/t1", "/t2"));
  EXPECT_EQ(config.listeners[0].forward_client_cert, ForwardClientCert::kAppend);
  EXPECT_EQ(DumpConfig(Load(DumpConfig(config))), DumpConfig(config));
}

TEST(TlsConfig, OfACluster) {
  const Config config = Load(Cluster("server_name: App.Internal, ca: /ca.pem, cert: /c, key: /k"));
  const ClusterTlsConfig& tls = *config.clusters[0].tls;
  EXPECT_TRUE(tls.verify);
  EXPECT_EQ(tls.server_name, "app.internal");
  EXPECT_EQ(DumpConfig(Load(DumpConfig(config))), DumpConfig(config));
  EXPECT_EQ(Load(Cluster("server_name: 'fe80::1'")).clusters[0].tls->server_name, "fe80::1");
  EXPECT_FALSE(Load(Cluster("verify: false")).clusters[0].tls->verify);
}

TEST(TlsConfig, ServerNamesAreLowerCaseAndMayHaveOneWildcard) {
  const Config config = Load(
      "listeners:\n- {address: '127.0.0.1:1', cluster: a, tls: {certificates: [{cert: c, key: k, "
      "server_names: [WWW.Example.com, '*.Example.com']}]}}\n"
      "clusters: [{name: a, endpoints: ['127.0.0.1:2']}]\n");
  EXPECT_THAT(config.listeners[0].tls->certificates[0].server_names,
              ElementsAre("www.example.com", "*.example.com"));
}

TEST(TlsConfig, WhatIsMissing) {
  EXPECT_THAT(Problem("listeners: [{address: '127.0.0.1:1', routes: [{direct_response: {}}], "
                      "tls: {}}]\n"),
              HasSubstr("listeners[0].tls: 'certificates' is missing"));
  EXPECT_THAT(Problem("listeners: [{address: '127.0.0.1:1', routes: [{direct_response: {}}], "
                      "tls: {certificates: [{cert: /c}]}}]\n"),
              HasSubstr("certificates[0]: 'key' is missing"));
  EXPECT_THAT(Problem(Cluster("verify: true")),
              AllOf(StartsWith("test.yaml:6:"), HasSubstr("tls.server_name is missing")));
  EXPECT_THAT(Problem(Listener("client_auth: optional")),
              AllOf(StartsWith("test.yaml:4:"), HasSubstr("expected a file in tls.ca")));
}

TEST(TlsConfig, WhatContradictsItself) {
  EXPECT_THAT(Problem(Listener("ca: /ca.pem")), HasSubstr("tls.ca does nothing"));
  EXPECT_THAT(Problem(Listener("session_tickets: off, ticket_key_files: /t")),
              HasSubstr("does nothing without session_tickets"));
  EXPECT_THAT(Problem(Listener("session_tickets: on", "forward_client_cert: replace")),
              AllOf(StartsWith("test.yaml:3:"), HasSubstr("nothing to forward")));
  EXPECT_THAT(Problem(Cluster("verify: off, ca: /ca")), HasSubstr("tls.ca does nothing"));
  EXPECT_THAT(Problem(Cluster("server_name: a, cert: /c")),
              HasSubstr("tls.cert and tls.key go together"));
}

TEST(TlsConfig, ValuesThatAreNone) {
  EXPECT_THAT(Problem(Cluster("server_name: 'app:443'")), HasSubstr("is not a name"));
  EXPECT_THAT(Problem(Cluster("server_name: 'a..b'")), HasSubstr("is not a name"));
  EXPECT_THAT(Problem(Listener("min_version: 1.1")),
              HasSubstr("'1.1' is unknown; expected one of 1.2, 1.3"));
  EXPECT_THAT(Problem(Listener("ciphers: 'AES 128'")), HasSubstr("is not a list of ciphers"));
  EXPECT_THAT(Problem("listeners: [{address: '127.0.0.1:1', routes: [{direct_response: {}}], "
                      "tls: {certificates: [{cert: '', key: k}]}}]\n"),
              HasSubstr("an empty path"));
  EXPECT_THAT(Problem("listeners: [{address: '127.0.0.1:1', routes: [{direct_response: {}}], "
                      "tls: {certificates: [{cert: c, key: k, server_names: 'a*.b'}]}}]\n"),
              HasSubstr("is not a server name"));
}

}  // namespace
}  // namespace sluice
