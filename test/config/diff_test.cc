#include "config/diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/load.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// "changed path: before -> after", "added path", "removed path"; "!" at the restart.
std::vector<std::string> Diff(const std::string& before, const std::string& after) {
  std::vector<std::string> lines;
  for (const ConfigChange& change : DiffConfigs(Load(before), Load(after))) {
    std::string line = std::string(ConfigChangeName(change.kind)) + " " + change.path;
    if (change.kind == ConfigChange::Kind::kChanged) {
      line += ": " + change.before + " -> " + change.after;
    }
    lines.push_back(line + (change.at_restart ? "!" : ""));
  }
  return lines;
}

std::string Routes(const std::string& routes) {
  return "listeners:\n- {name: front, address: '127.0.0.1:8080', routes: [" + routes +
         "]}\nclusters:\n- {name: app, endpoints: [127.0.0.1:3000]}\n";
}

constexpr char kA[] = "{name: a, match: {prefix: /a}, cluster: app}";
constexpr char kB[] = "{name: b, match: {prefix: /b}, cluster: app}";

TEST(ConfigDiff, IsEmptyForTheSame) {
  EXPECT_THAT(Diff(kBase, kBase), IsEmpty());
  EXPECT_THAT(Diff(kBase, std::string(kBase) + "workers: auto\ndrain: {deadline: 20000ms}\n"),
              IsEmpty());
}

TEST(ConfigDiff, NamesAKeyWithBothValues) {
  EXPECT_THAT(Diff(kBase, std::string(kBase) + "drain: {deadline: 5s}\n"),
              ElementsAre("changed drain.deadline: 20s -> 5s"));
  EXPECT_THAT(Diff(kBase, std::string(kBase) + "  connect_timeout: 3s\n"),
              ElementsAre("changed clusters[app].connect_timeout: 1s -> 3s"));
}

TEST(ConfigDiff, NamesWhatCameOrWentWithoutWhatIsInIt) {
  const std::string other = std::string(kBase) + "- {name: other, endpoints: [127.0.0.1:4000]}\n";
  EXPECT_THAT(Diff(kBase, other), ElementsAre("added clusters[other]"));
  EXPECT_THAT(Diff(other, kBase), ElementsAre("removed clusters[other]"));
}

TEST(ConfigDiff, KnowsEndpointsByTheirAddress) {
  EXPECT_THAT(Diff("listeners: [{name: f, address: '127.0.0.1:1', cluster: app}]\n"
                   "clusters: [{name: app, endpoints: [127.0.0.1:1, 127.0.0.1:2]}]\n",
                   "listeners: [{name: f, address: '127.0.0.1:1', cluster: app}]\n"
                   "clusters: [{name: app, endpoints: ["
                   "{address: '127.0.0.1:2', weight: 3}, 127.0.0.1:3]}]\n"),
              ElementsAre("removed clusters[app].endpoints[127.0.0.1:1]",
                          "changed clusters[app].endpoints[127.0.0.1:2].weight: 1 -> 3",
                          "added clusters[app].endpoints[127.0.0.1:3]"));
}

TEST(ConfigDiff, TellsOfAnotherOrder) {
  const std::string a = kA;
  const std::string b = kB;
  EXPECT_THAT(Diff(Routes(a + ", " + b), Routes(b + ", " + a)),
              ElementsAre("changed listeners[front].virtual_hosts[default].routes: "
                          "[a, b] -> [b, a]"));
  EXPECT_THAT(Diff(Routes(a + ", " + b), Routes(b)),
              ElementsAre("removed listeners[front].virtual_hosts[default].routes[a]"));
}

TEST(ConfigDiff, TellsOfAnotherAction) {
  EXPECT_THAT(Diff(Routes(kA), Routes("{name: a, match: {prefix: /a}, redirect: {host: x.test}}")),
              testing::Contains("added listeners[front].virtual_hosts[default].routes[a].redirect."
                                "status"));
}

TEST(ConfigDiff, AListenerIsItsName) {
  EXPECT_THAT(Diff("listeners: [{name: f, address: '127.0.0.1:1', cluster: app}]\n"
                   "clusters: [{name: app, endpoints: [127.0.0.1:1]}]\n",
                   "listeners: [{name: f, address: '127.0.0.1:2', cluster: app}]\n"
                   "clusters: [{name: app, endpoints: [127.0.0.1:1]}]\n"),
              ElementsAre("changed listeners[f].address: 127.0.0.1:1 -> 127.0.0.1:2"));
}

TEST(ConfigDiff, SectionsThatMayBeAbsentComeAsAWhole) {
  const std::string tls = std::string(kBase) + "  tls: {server_name: app.test}\n";
  EXPECT_THAT(Diff(kBase, tls), ElementsAre("added clusters[app].tls"));
  EXPECT_THAT(Diff(tls, kBase), ElementsAre("removed clusters[app].tls"));
}

TEST(ConfigDiff, MarksWhatARunningProcessCannotChange) {
  EXPECT_THAT(Diff(kBase, std::string(kBase) + "workers: 3\nadmin: off\npid_file: /tmp/p\n"),
              ElementsAre("changed admin.address: 127.0.0.1:9901 -> off!",
                          "changed pid_file:  -> /tmp/p!", "changed workers: auto -> 3!"));
}

// A reload must not empty a cluster that is only looked up otherwise from now on.
TEST(ConfigDiff, KeepsWhatAClusterHasUntilItIsLookedUp) {
  const auto config = [](const std::string& app) {
    return Load("listeners: [{address: '127.0.0.1:1', cluster: app}]\nclusters:\n- " + app);
  };
  Config found = config("{name: app, dns: 'app.test:80'}");
  found.clusters[0].endpoints = {{"10.0.0.1:80"}};
  const Config given = config("{name: app, endpoints: ['10.0.0.1:80']}");
  for (const Config& before : {found, given}) {
    for (const std::string dns :
         {"'app.test:80'", "'other.test:80'", "{name: 'app.test:80', tries: 3}"}) {
      Config after = config("{name: app, dns: " + dns + "}");
      KeepDiscovered(before, &after);
      EXPECT_EQ(after.clusters[0].endpoints, before.clusters[0].endpoints) << dns;
    }
  }
  Config after = config("{name: app, endpoints: ['10.0.0.2:80']}");
  KeepDiscovered(found, &after);
  EXPECT_EQ(after.clusters[0].endpoints[0].address, "10.0.0.2:80") << "these are given";
}

TEST(ConfigDiff, KeepsUntilTheRestartWhatItMarks) {
  const Config before = Load(kBase);
  Config after = Load(std::string(kBase) + "workers: 3\nadmin: off\npid_file: /tmp/p\n");
  KeepUntilRestart(before, &after);
  EXPECT_THAT(DiffConfigs(before, after), IsEmpty());
}

}  // namespace
}  // namespace sluice
