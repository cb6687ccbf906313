// Names looked up as a file in the manner of /etc/resolv.conf says.
#include "net/system_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/uv_loop.h"
#include "support/dns_server.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SystemResolverTest : public ::testing::Test {
 protected:
  SystemResolverTest() {
    Write("search corp.test\nnameserver 127.0.0.1\n");
    const std::string address = server.address();
    const auto port = static_cast<uint16_t>(std::stoul(address.substr(address.find(':') + 1)));
    resolver = SystemResolver::Create(loop, {.servers = {},
                                             .timeout = std::chrono::seconds(2),
                                             .tries = 1,
                                             .system_file = file,
                                             .system_port = port})
                   .value();
    server.Set("app.test", 1, {DnsA(60, "10.0.0.1")});
  }
  ~SystemResolverTest() override { std::remove(file.c_str()); }

  void Write(const std::string& text) const { std::ofstream(file) << text; }

  std::unique_ptr<Resolver::Lookup> Begin(const std::string& name,
                                          DnsRecords records = DnsRecords::kIpv4) {
    got.reset();
    return resolver->Resolve({name, 80, records}, [this](Result<DnsAnswer> answer) {
      got = std::move(answer);
      loop.Stop();
    });
  }
  // What came of it, as addresses or as an error.
  std::vector<std::string> End() {
    loop.Run();
    if (!*got) return {got->error().message};
    std::vector<std::string> addresses;
    for (const DnsAnswer::Target& target : (*got)->targets) addresses.push_back(target.address);
    return addresses;
  }
  std::vector<std::string> Ask(const std::string& name, DnsRecords records = DnsRecords::kIpv4) {
    const auto lookup = Begin(name, records);
    return End();
  }

  const std::string file = testing::TempDir() + "resolv.conf." + std::to_string(getpid());
  UvLoop loop{1};
  DnsServer server;
  std::unique_ptr<SystemResolver> resolver;
  std::optional<Result<DnsAnswer>> got;
};

TEST_F(SystemResolverTest, AsksTheServersOfTheFile) {
  EXPECT_THAT(Ask("app.test"), ElementsAre("10.0.0.1:80"));
}

TEST_F(SystemResolverTest, UsesTheFileThatThereIsNow) {
  EXPECT_THAT(Ask("app.test"), ElementsAre("10.0.0.1:80"));
  Write("nameserver 127.0.0.9\n");
  EXPECT_THAT(Ask("app.test"), ElementsAre(HasSubstr("app.test: ")));
  Write("nameserver 127.0.0.1\n");
  EXPECT_THAT(Ask("app.test"), ElementsAre("10.0.0.1:80"));
}

TEST_F(SystemResolverTest, AFileThatIsMissingForAMomentChangesNothing) {
  std::remove(file.c_str());
  EXPECT_THAT(Ask("app.test"), ElementsAre("10.0.0.1:80"));
}

TEST_F(SystemResolverTest, ALookupUnderWayGoesOn) {
  const auto first = Begin("app.test");
  Write("nameserver 127.0.0.9\n");
  const auto second =
      resolver->Resolve({"other.test", 80, DnsRecords::kIpv4}, [](const Result<DnsAnswer>&) {});
  EXPECT_THAT(End(), ElementsAre("10.0.0.1:80"));
}

TEST_F(SystemResolverTest, ALookupMayOutliveIt) {
  const auto lookup = Begin("app.test");
  resolver.reset();
  EXPECT_THAT(End(), ElementsAre("10.0.0.1:80"));
}

TEST_F(SystemResolverTest, ASearchListIsForNamesThatAreNotAbsolute) {
  server.Set("app.corp.test", 1, {DnsA(60, "10.0.0.2")});
  EXPECT_THAT(Ask("app"), ElementsAre("10.0.0.2:80"));
  EXPECT_THAT(Ask("app."), ElementsAre("app.: no such name"));
}

// RFC 2782: what an SRV record names is absolute.
TEST_F(SystemResolverTest, ASearchListIsNotForHostsOfServices) {
  server.Set("_http._tcp.app.test", 33,
             {DnsSrv(60, 0, 1, 80, "app.test"), DnsSrv(60, 0, 1, 80, "gone.test")});
  server.Set("gone.test.corp.test", 1, {DnsA(60, "10.6.6.6")});
  EXPECT_THAT(Ask("_http._tcp.app.test", DnsRecords::kSrv), ElementsAre("10.0.0.1:80"));
}

}  // namespace
}  // namespace sluice
