// What is refused: each with its place, what is wrong, what was expected, and what may have been
// meant.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/load.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::SizeIs;
using testing::StartsWith;

// A configuration with one route, whose keys start on line 4, column 5.
std::string Route(const std::string& keys) {
  return "listeners:\n- address: 127.0.0.1:1\n  routes:\n  - " + keys +
         "\nclusters: [{name: a, endpoints: ['127.0.0.1:2']}]\n";
}

std::string Cluster(const std::string& keys) { return std::string(kBase) + "  " + keys + "\n"; }

TEST(Errors, AnUnknownKey) {
  EXPECT_EQ(
      Problem(std::string(kBase) + "drain:\n  dedline: 1s\n"),
      "test.yaml:7:3: unknown key 'dedline' in drain; expected one of propagation_delay, "
      "jitter, strategy, deadline, spread, idle_grace, linger, stopping_background, flushing, "
      "releasing, grace_period, report_file; did you mean 'deadline'");
  EXPECT_EQ(Problem(std::string(kBase) + "drains: {}\n"),
            "test.yaml:6:1: unknown key 'drains'; expected one of workers, max_connections, "
            "pid_file, zone, listeners, clusters, tls, drain, self_drain, reload, restart, admin, "
            "access_log, log; "
            "did you mean 'drain'");
  EXPECT_THAT(Problem(Cluster("a_thing_nobody_knows: {}")),
              AllOf(StartsWith("test.yaml:6:3: unknown key 'a_thing_nobody_knows' in clusters[0];"),
                    testing::Not(HasSubstr("did you mean"))));
}

TEST(Errors, ADuplicateKey) {
  EXPECT_EQ(Problem(Cluster("name: other")),
            "test.yaml:6:3: duplicate key 'name'; it is on line 4 already");
}

TEST(Errors, AWrongType) {
  EXPECT_EQ(Problem(std::string(kBase) + "drain: fast\n"),
            "test.yaml:6:8: drain: 'fast'; expected a section ('key: value')");
  EXPECT_EQ(Problem(std::string(kBase) + "admin: [1]\n"),
            "test.yaml:6:8: admin: a list; expected a section ('key: value') or its address alone");
  EXPECT_EQ(Problem(std::string(kBase) + "workers: [1]\n"),
            "test.yaml:6:10: workers: a list; expected a number");
  EXPECT_EQ(Problem(std::string(kBase) + "workers:\n"),
            "test.yaml:6:1: workers: has no value; expected a number");
  EXPECT_EQ(Problem(Cluster("connect_timeout: {s: 1}")),
            "test.yaml:6:20: clusters[0].connect_timeout: a section; expected a duration such as "
            "500ms or 10s");
  EXPECT_EQ(Problem("listeners: 8080\n"),
            "test.yaml:1:12: listeners: '8080'; expected a list ('- ...' or [...])");
  EXPECT_EQ(Problem("just words\n"),
            "test.yaml:1:1: 'just words' is not a configuration; expected keys such as "
            "'listeners:'");
  EXPECT_EQ(Problem(Route("{cluster: a, request_headers: {set: [x]}}")),
            "test.yaml:4:41: listeners[0].routes[0].request_headers.set: a list; expected 'Name: "
            "value' pairs");
  EXPECT_EQ(Problem(Route("{cluster: a, match: {methods: {GET: 1}}}")),
            "test.yaml:4:35: listeners[0].routes[0].match.methods: a section; expected a list of "
            "method");
  EXPECT_EQ(Problem(Route("{cluster: [a]}")),
            "test.yaml:4:15: listeners[0].routes[0].cluster: a list; expected name");
  EXPECT_EQ(Problem("listeners:\n-\n"),
            "test.yaml:2:1: listeners[0]: an empty element; expected a "
            "section");
}

TEST(Errors, ABadValue) {
  const auto of = [](const std::string& keys) { return Problem(std::string(kBase) + keys + "\n"); };
  EXPECT_EQ(of("drain: {deadline: 10}"),
            "test.yaml:6:19: drain.deadline: '10' has no unit; expected a duration such as 500ms, "
            "10s or 1m30s; did you mean 10s");
  EXPECT_EQ(of("workers: many"),
            "test.yaml:6:10: workers: 'many' is not a number; expected a whole number from 1 to "
            "1024, or auto");
  EXPECT_THAT(of("workers: 0"), HasSubstr("'0' is out of range; expected a whole number from 1"));
  EXPECT_THAT(of("workers: 1025"), HasSubstr("out of range"));
  EXPECT_THAT(of("workers: 1.5"), HasSubstr("not a number"));
  EXPECT_THAT(of("workers: -1"), HasSubstr("not a number"));
  EXPECT_THAT(of("max_connections: 4294967296"), HasSubstr("from 0 to 4294967295"));
  EXPECT_THAT(of("max_connections: 99999999999999999999"), HasSubstr("out of range"));
  EXPECT_EQ(of("log: {level: warn}"),
            "test.yaml:6:14: log.level: 'warn' is unknown; expected one of debug, info, warning, "
            "error");
  EXPECT_THAT(of("log: {level: wraning}"), EndsWith("; did you mean 'warning'"));
  EXPECT_THAT(of("access_log: stdot"), EndsWith("; did you mean stdout"));
  EXPECT_THAT(of("access_log: {text_format: '%STATSU%'}"), EndsWith("did you mean %STATUS%"));
  EXPECT_THAT(of("access_log: {text_format: '100%'}"), HasSubstr("no percent sign at its end"));
  EXPECT_THAT(of("access_log: {text_format: '%REQ(a b)%'}"), HasSubstr("not a header name"));
  EXPECT_THAT(of("admin: example.com:80"), HasSubstr("names are not resolved"));
  EXPECT_THAT(Problem(Cluster("connect_timeout: 0s")), HasSubstr("expected at least 1ms"));
  EXPECT_THAT(Problem(Cluster("max_idle: many")), HasSubstr("not a number"));
  EXPECT_THAT(Problem(Cluster("protocol: h2")), HasSubstr("expected one of http1, http2, auto"));
  EXPECT_THAT(Problem(Cluster("http2: {connection_window: 1KiB}")), HasSubstr("from 65535"));
}

TEST(Errors, ABadListener) {
  const auto of = [](const std::string& keys) {
    return Problem("listeners:\n- {" + keys +
                   "}\nclusters: [{name: a, endpoints: ['127.0.0.1:2']}]\n");
  };
  EXPECT_EQ(of("cluster: a"), "test.yaml:2:3: listeners[0]: 'address' is missing");
  EXPECT_EQ(of("address: '127.0.0.1:1'"),
            "test.yaml:2:3: listeners[0]: nothing to do; expected one of cluster, routes, "
            "virtual_hosts");
  EXPECT_THAT(of("address: '127.0.0.1:1', cluster: a, routes: [{cluster: a}]"),
              HasSubstr("'routes' stands beside 'cluster'; expected only one of"));
  EXPECT_THAT(of("address: '127.0.0.1:1', routes: []"),
              HasSubstr("listeners[0].routes: an empty list; expected at least one element"));
  EXPECT_THAT(of("address: '127.0.0.1:1', virtual_hosts: [{domains: [], routes: [{cluster: a}]}]"),
              HasSubstr("virtual_hosts[0].domains: an empty list"));
  EXPECT_THAT(of("address: '127.0.0.1:1', virtual_hosts: [{routes: [{cluster: a}]}]"),
              HasSubstr("virtual_hosts[0]: 'domains' is missing"));
  EXPECT_THAT(of("address: '127.0.0.1:1', virtual_hosts: [{domains: ['*']}]"),
              HasSubstr("virtual_hosts[0]: 'routes' is missing"));
  EXPECT_THAT(of("address: '127.0.0.1:1', cluster: a, allow_connect: yes"),
              HasSubstr("'yes' is neither yes nor no; expected true, false, on or off"));
  EXPECT_THAT(of("address: '127.0.0.1:1', cluster: a, limits: {header_bytes: 1KB}"),
              HasSubstr("did you mean 1KiB"));
  EXPECT_THAT(of("address: '127.0.0.1:1', cluster: a, limits: {header_bytes: 1}"),
              HasSubstr("expected a size from 256 to 16MiB"));
  EXPECT_THAT(of("address: '127.0.0.1:1', cluster: a, timeouts: {write: 0s}"),
              HasSubstr("too short"));
  EXPECT_THAT(of("address: '127.0.0.1:1', cluster: a, via: \"a\\r\\nb\""),
              HasSubstr("'a??b' is not a pseudonym"));
}

TEST(Errors, ABadRoute) {
  const auto of = [](const std::string& keys) { return Problem(Route("{" + keys + "}")); };
  EXPECT_THAT(of("match: {prefix: /a}"),
              HasSubstr("expected one of cluster, clusters, redirect, direct_response"));
  EXPECT_THAT(of("cluster: a, direct_response: {}"), HasSubstr("stands beside"));
  EXPECT_THAT(of("cluster: a, match: {prefix: /a, path: /b}"), HasSubstr("stands beside"));
  EXPECT_THAT(of("cluster: a, match: {prefix: api}"), HasSubstr("does not start with a slash"));
  EXPECT_THAT(of("cluster: a, match: {prefix: ''}"), HasSubstr("an empty path"));
  EXPECT_THAT(of("cluster: a, match: {path: '/a?b'}"), HasSubstr("has a query"));
  for (const std::string path :
       {"/a/../b", "/.", "/%2e", "/%7E", "/%zz", "/%2f", "/%00", "/a\\b", "/..%2Fb", "/..;x/b"}) {
    EXPECT_THAT(of("cluster: a, match: {path: '" + path + "'}"), HasSubstr("would match nothing"));
  }
  EXPECT_THAT(of("cluster: a, match: {regex: '(a'}"),
              HasSubstr("'(a' is not a regular expression (missing ): (a); expected one in RE2"));
  EXPECT_THAT(of("cluster: a, match: {methods: [get]}"), HasSubstr("did you mean GET"));
  EXPECT_THAT(of("cluster: a, match: {methods: ['a b']}"), HasSubstr("not a method"));
  EXPECT_THAT(of("cluster: a, match: {headers: ['a b']}"), HasSubstr("not a header name"));
  EXPECT_THAT(of("cluster: a, match: {headers: [{name: a, exact: b, prefix: c}]}"),
              HasSubstr("stands beside"));
  EXPECT_THAT(of("cluster: a, match: {headers: [{name: a, present: false}]}"),
              HasSubstr("'false' is unknown; expected true"));
  EXPECT_THAT(of("cluster: a, match: {headers: [{name: a, regex: '['}]}"),
              HasSubstr("not a regular expression"));
  EXPECT_THAT(of("cluster: a, match: {query: [{exact: x}]}"), HasSubstr("'name' is missing"));
  EXPECT_THAT(of("cluster: a, timeout: 5"), HasSubstr("did you mean 5s"));
  EXPECT_THAT(of("cluster: a, host_rewrite: 'a b'"), HasSubstr("not a host"));
  EXPECT_THAT(of("cluster: a, prefix_rewrite: b"), HasSubstr("does not start with a slash"));
  EXPECT_THAT(of("redirect: {path: /x}, prefix_rewrite: /b"), HasSubstr("does nothing"));
  EXPECT_THAT(of("direct_response: {}, host_rewrite: b"), HasSubstr("does nothing"));
  for (const std::string key :
       {"mirror: {cluster: a}", "fault: {}", "retries: {attempts: 3}", "max_in_flight: 1"}) {
    for (const std::string action : {"redirect: {path: /x}, ", "direct_response: {}, "}) {
      EXPECT_THAT(of(action + key),
                  HasSubstr(key.substr(0, key.find(':')) + " does nothing in a route that"));
    }
  }
  EXPECT_THAT(of("clusters: []"), HasSubstr("an empty list"));
  EXPECT_THAT(of("clusters: [{name: a, weight: 0}, {name: a, weight: 0}]"),
              HasSubstr("the weights of all clusters are 0"));
  EXPECT_THAT(of("redirect: {}"), HasSubstr("leads back to itself"));
  EXPECT_THAT(of("redirect: {path: /x, status: 304}"), HasSubstr("304 is not a redirect"));
  EXPECT_THAT(of("redirect: {path: /x, status: 200}"), HasSubstr("out of range"));
  EXPECT_THAT(of("redirect: {scheme: ftp}"), HasSubstr("expected http or https"));
  EXPECT_THAT(of("redirect: {path: \"/a\\r\\nSet-Cookie: b\"}"), HasSubstr("control characters"));
  EXPECT_THAT(of("direct_response: {status: 204, body: x}"), HasSubstr("has no body"));
  EXPECT_THAT(of("direct_response: {status: 101}"), HasSubstr("out of range"));
  EXPECT_THAT(of("direct_response: {content_type: \"a\\nb\"}"), HasSubstr("control characters"));
}

TEST(Errors, ABadHeaderEdit) {
  const auto of = [](const std::string& edit) {
    return Problem(Route("{cluster: a, request_headers: {" + edit + "}}"));
  };
  EXPECT_THAT(of("set: {'a b': c}"), HasSubstr("not a header name"));
  EXPECT_THAT(of("set: {'': c}"), HasSubstr("not a header name"));
  EXPECT_THAT(of("set: {a: \"b\\r\\nc: d\"}"), HasSubstr("control characters"));
  EXPECT_THAT(of("set: {a: \"b\\0\"}"), HasSubstr("control characters"));
  EXPECT_THAT(of("set: {a: ' b'}"), HasSubstr("white space"));
  EXPECT_THAT(of("set: {Host: b}"), HasSubstr("expected host_rewrite"));
  EXPECT_THAT(of("add: {Transfer-Encoding: b}"), HasSubstr("cannot be edited"));
  EXPECT_THAT(of("remove: [connection]"), HasSubstr("cannot be edited"));
  EXPECT_THAT(of("set: {a: [b, c]}"), HasSubstr("a list"));
  EXPECT_THAT(of("add: {a: [b, [c]]}"), HasSubstr("a list"));
}

TEST(Errors, ABadCluster) {
  const auto of = [](const std::string& keys) {
    return Problem("clusters:\n- {" + keys +
                   "}\nlisteners: [{address: '127.0.0.1:1', routes: [{direct_response: {}}]}]\n");
  };
  EXPECT_THAT(of("endpoints: ['127.0.0.1:1']"), HasSubstr("clusters[0]: 'name' is missing"));
  EXPECT_THAT(of("name: ''"
                 ", endpoints: ['127.0.0.1:1']"),
              HasSubstr("an empty name"));
  EXPECT_THAT(of("name: a"),
              HasSubstr("clusters[0]: nothing to do; expected one of endpoints, dns"));
  EXPECT_THAT(of("name: a, endpoints: []"), HasSubstr("an empty list"));
  EXPECT_THAT(of("name: a, endpoints: ['app:80']"), HasSubstr("names are not resolved"));
  EXPECT_THAT(of("name: a, endpoints: ['127.0.0.1:0']"), HasSubstr("has port 0"));
  EXPECT_THAT(of("name: a, endpoints: ['0.0.0.0:80']"), HasSubstr("every address"));
  EXPECT_THAT(of("name: a, endpoints: [{weight: 1}]"), HasSubstr("'address' is missing"));
  EXPECT_THAT(of("name: a, endpoints: [{address: '127.0.0.1:1', weight: 0}]"),
              HasSubstr("the weights of all endpoints are 0"));
  EXPECT_THAT(of("name: a, endpoints: ['127.0.0.1:1', 'localhost:1']"),
              HasSubstr("a second endpoint '127.0.0.1:1'"));
  EXPECT_THAT(of("name: a, endpoints: ['127.0.0.1:1'], load_balancing: randomly"),
              HasSubstr("expected one of round_robin, least_request, random, ring_hash, maglev"));
}

TEST(Errors, ABadUpstream) {
  const auto cluster = [](const std::string& keys) {
    return Problem("clusters:\n- {name: a, " + keys +
                   "}\nlisteners: [{address: '127.0.0.1:1', cluster: a}]\n");
  };
  const std::string endpoints = "endpoints: ['127.0.0.1:2'], ";
  EXPECT_THAT(cluster(endpoints + "dns: 'x:1'"), HasSubstr("expected only one of"));
  EXPECT_THAT(cluster("dns: app.test"),
              HasSubstr("expected one as app.test:8080, or records: srv"));
  EXPECT_THAT(cluster("dns: 'app..test:80'"), HasSubstr("is not a name to look up"));
  for (const std::string address : {"10.0.0.1:80", "10.0.0.1", "[::1]:80", "unix:/run/app.sock"}) {
    EXPECT_THAT(
        cluster("dns: '" + address + "'"),
        HasSubstr("'" + address + "' is an address, which is not looked up; use endpoints"));
  }
  EXPECT_THAT(cluster("dns: {name: _http._tcp.test, records: srv}, tls: {}"),
              HasSubstr("tls.server_name is missing: SRV records may name any host"));
  EXPECT_THAT(cluster("dns: 'app.test:70000'"), HasSubstr("is not a name to look up"));
  EXPECT_THAT(cluster("dns: {name: 'a.test:80', records: srv}"),
              HasSubstr("SRV records name their own"));
  EXPECT_THAT(cluster("dns: {name: 'a.test:80', servers: ['unix:/x']}"),
              HasSubstr("is no address of a name server"));
  EXPECT_THAT(cluster("dns: {name: 'a.test:80', min_refresh: 2s, max_refresh: 1s}"),
              HasSubstr("longer than dns.max_refresh"));
  EXPECT_THAT(cluster(endpoints + "health_check: {statuses: ['99']}"),
              HasSubstr("expected one as 503, or a range as 500-599"));
  const auto check = [&](const std::string& keys) {
    return cluster(endpoints + "health_check: {" + keys + "}");
  };
  EXPECT_EQ(check("statuses: []"),
            "test.yaml:2:66: cluster 'a': health_check.statuses is an empty list: no check could "
            "pass; expected one, as 200-299");
  for (const std::string key : {"path: /x", "statuses: ['200']", "statuses: []"}) {
    for (const std::string kind : {"kind: tcp, ", "kind: grpc, "}) {
      EXPECT_THAT(check(kind + key),
                  HasSubstr(key.substr(0, key.find(':')) + " does nothing without kind http"));
    }
  }
  EXPECT_THAT(check("kind: tcp, host: x"), HasSubstr("host does nothing without kind http or"));
  EXPECT_THAT(check("kind: tcp, service: x"), HasSubstr("service does nothing without kind grpc"));
  EXPECT_THAT(check("service: x"), HasSubstr("service does nothing without kind grpc"));
  EXPECT_THAT(cluster(endpoints + "hash_on: {header: x}"), HasSubstr("hash_on does nothing"));
  EXPECT_THAT(cluster(endpoints + "session_cookie: {name: 'a b'}"),
              HasSubstr("is not the name of a cookie"));
  EXPECT_THAT(cluster(endpoints + "tls: {verify: false}, health_check: {kind: grpc}"),
              HasSubstr("kind grpc needs HTTP/2"));
  EXPECT_THAT(cluster(endpoints + "critical: true"), HasSubstr("without a health_check"));
  EXPECT_THAT(Problem(Route("{cluster: a, retries: {grpc_statuses: [unavailible]}}")),
              HasSubstr("did you mean unavailable"));
  EXPECT_THAT(Problem(Route("{cluster: a, mirror: {cluster: b}}")),
              HasSubstr("no cluster is named 'b'"));
}

TEST(Errors, NamesThatPointNowhere) {
  EXPECT_EQ(Problem("listeners: [{address: '127.0.0.1:1', cluster: ap}]\n"
                    "clusters: [{name: app, endpoints: ['127.0.0.1:2']}]\n"),
            "test.yaml:1:47: no cluster is named 'ap'; expected one of app; did you mean 'app'");
  EXPECT_EQ(Problem("listeners: [{address: '127.0.0.1:1', cluster: app}]\n"),
            "test.yaml:1:47: no cluster is named 'app'; expected a list 'clusters' that defines "
            "it");
}

TEST(Errors, OneMistakeIsReportedOnce) {
  // Neither the name nor the list that could not be read makes everything else dangle.
  EXPECT_THAT(Problems("listeners: [{address: '127.0.0.1:1', cluster: a}]\nclusters: 5\n"),
              ElementsAre(HasSubstr("expected a list")));
  EXPECT_THAT(Problems("listeners: [{address: '127.0.0.1:1', cluster: }]\n"),
              ElementsAre(HasSubstr("has no value")));
  EXPECT_THAT(Problems("listeners: [5]\n"), ElementsAre(HasSubstr("expected a section")));
}

TEST(Errors, NamesAndAddressesUsedTwice) {
  const std::string listener = "- {name: a, address: '127.0.0.1:1', cluster: c}\n";
  const std::string clusters = "clusters: [{name: c, endpoints: ['127.0.0.1:2']}]\n";
  EXPECT_THAT(Problems("listeners:\n" + listener + listener + clusters),
              ElementsAre("test.yaml:3:10: a second listener named 'a'; the first is on line 2",
                          "test.yaml:3:22: a second listener on '127.0.0.1:1'; the first is on "
                          "line 2; expected an address of its own"));
  EXPECT_THAT(
      Problem("listeners:\n" + listener + "- {address: 'localhost:1', cluster: c}\n" + clusters),
      HasSubstr("a second listener on '127.0.0.1:1'"));
  EXPECT_THAT(Problem("listeners: [{address: '127.0.0.1:9901', cluster: c}]\n" + clusters),
              HasSubstr("is the address of admin"));
  EXPECT_THAT(Problems("listeners: [{address: '127.0.0.1:0', cluster: c}, {address: "
                       "'127.0.0.1:0', name: b, cluster: c}]\n" +
                       clusters),
              IsEmpty());
  EXPECT_THAT(Problem("listeners:\n" + listener +
                      "clusters:\n- {name: c, endpoints: ['127.0.0.1:2']}\n"
                      "- {name: c, endpoints: ['127.0.0.1:3']}\n"),
              EndsWith("a second cluster named 'c'; the first is on line 4"));
  const std::string hosts = "listeners: [{address: '127.0.0.1:1', virtual_hosts: [";
  const std::string route = "routes: [{direct_response: {}}]}";
  EXPECT_THAT(Problem(hosts + "{name: a, domains: [x.y], " + route +
                      ", {name: b, domains: [X.Y.], " + route + "]}]\n"),
              HasSubstr("a second virtual host for 'x.y'"));
  EXPECT_THAT(Problem(hosts + "{name: a, domains: [x], " + route + ", {name: a, domains: [y], " +
                      route + "]}]\n"),
              HasSubstr("a second virtual host named 'a'"));
  EXPECT_THAT(Problem(Route("{name: r, cluster: a}\n  - {name: r, cluster: a}")),
              HasSubstr("a second route named 'r'; the first is on line 4"));
}

TEST(Errors, BadDomains) {
  for (const std::string domain : {"", "a b", "*.", "*a.b", "a.*", "*.*", "a:b", "a:123456",
                                   "a:", "http://a", "a/b", ".a", "[::1", "a_b?"}) {
    EXPECT_THAT(Problem("listeners: [{address: '127.0.0.1:1', virtual_hosts: [{domains: ['" +
                        domain + "'], routes: [{direct_response: {}}]}]}]\n"),
                HasSubstr("is not a domain"))
        << domain;
  }
}

TEST(Errors, AreCollectedInTheOrderOfTheFile) {
  std::string text = "workers: none\n";
  text += kBase;
  for (int i = 0; i < 12; ++i) text += "key" + std::to_string(i) + "_with_no_meaning: 1\n";
  const std::vector<std::string> problems = Problems(text);
  ASSERT_THAT(problems, SizeIs(11));
  EXPECT_THAT(problems[0], StartsWith("test.yaml:1:10: workers: "));
  EXPECT_THAT(problems[1], StartsWith("test.yaml:7:1: unknown key 'key0_with_no_meaning'"));
  EXPECT_THAT(problems[9], StartsWith("test.yaml:15:1: unknown key 'key8_with_no_meaning'"));
  EXPECT_EQ(problems[10], "and 3 more");
}

TEST(Errors, BrokenYaml) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a: b: c\n", "test.yaml:1:5: not valid YAML: illegal map value"},
      {"a: 'b\nc: d\n", "test.yaml:3:1: not valid YAML: .*; a quote is not closed"},
      {"a:\n\tb: 1\n", "test.yaml:2:.*indent with spaces, not with tabs"},
      {"a: [1, 2\n", "test.yaml:.*not valid YAML: end of sequence flow not found"},
      {"listeners:\n- address: [::1]:80\n",
       "test.yaml:2:.*write an address such as '\\[::1\\]:80' in "
       "quotes"},
      {"a: 1\n---\nb: 2\n", "test.yaml:2:1: not valid YAML: a second document; expected one"},
      {"a: !include b.yaml\n",
       "test.yaml:1:4: not valid YAML: the tag '!include' is not "
       "supported"},
      {"a: &x {b: 1}\nc: {<<: *x}\n", "test.yaml:2:5: .*merge keys .* are not supported.*"},
      {"? [a]\n: b\n", "test.yaml:.*a key that is not a plain word"},
      {"a: {b: c?d}\n", "test.yaml:1:9: .*unknown token; put a text in quotes .*"},
      {"a: *b\n", "test.yaml:.*the referenced anchor is not defined"},
      {"a: &a [*a]\n", "test.yaml:1:8: .*an alias inside what it stands for"},
      {"a: \x04\n", "test.yaml:1:4: a control byte; expected .*"},
      {std::string("a: \0", 4), "test.yaml:1:4: a control byte; expected .*"},
      {"a: \xc3\xa9\xff\n", "test.yaml:1:5: this is not UTF-8; .*"},
      {"a: \xc0\x80\n", "test.yaml:1:4: this is not UTF-8; .*"},
      {"a: \xed\xa0\x80\n", "test.yaml:1:4: this is not UTF-8; .*"},
      {"a: \xc3", "test.yaml:1:4: this is not UTF-8; .*"}};
  for (const auto& [text, expected] : cases) {
    EXPECT_THAT(Problem(text), testing::ContainsRegex(expected)) << text;
  }
}

TEST(Errors, ADocumentThatIsTooMuch) {
  EXPECT_EQ(Problem(std::string(4 * 1024 * 1024 + 1, '#')), "test.yaml: larger than 4194304 bytes");
  EXPECT_THAT(Problem(std::string(100'000, '[')), HasSubstr("nested more than 64 deep"));
  EXPECT_THAT(Problem(std::string(100'000, '{')), HasSubstr("test.yaml:1:"));
  std::string dashes;
  for (int i = 0; i < 50'000; ++i) dashes += "- ";
  EXPECT_THAT(Problem(dashes), HasSubstr("nested more than 64 deep"));

  // A billion laughs: nine aliases of nine aliases of ...
  std::string bomb = "a0: &a0 [lol]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string alias = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + alias;
    for (int j = 0; j < 8; ++j) bomb += ", " + alias;
    bomb += "]\n";
  }
  EXPECT_THAT(Problem(bomb), HasSubstr("grows too large by its aliases"));

  // The same depth, made of short steps.
  std::string steps = "a0: &a0 [x]\n";
  for (int i = 1; i < 100; ++i) {
    steps += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) +
             "]\n";
  }
  EXPECT_THAT(Problem(steps), HasSubstr("nested more than 64 deep"));
}

TEST(Errors, OfOverrides) {
  const auto of = [](const std::string& override_text) { return Problem(kBase, {override_text}); };
  EXPECT_THAT(of("drain.foo=1"),
              StartsWith("--set drain.foo=1: unknown key 'foo' in drain; expected one of"));
  EXPECT_THAT(of("drian.deadline=1s"), EndsWith("did you mean 'drain'"));
  EXPECT_EQ(of("drain.deadline=1"),
            "--set drain.deadline=1: drain.deadline: '1' has no unit; expected a duration such as "
            "500ms, 10s or 1m30s; did you mean 1s");
  for (const std::string text : {"drain", "=1", "drain.=1", ".a=1", "a..b=1"}) {
    EXPECT_EQ(of(text), "--set " + text +
                            ": not an override; expected KEY.PATH=VALUE, such as "
                            "drain.deadline=10s");
  }
  EXPECT_EQ(of("clusters.ap.max_idle=1"),
            "--set clusters.ap.max_idle=1: there is no element named 'ap'; expected a name or an "
            "index; did you mean 'app'");
  EXPECT_EQ(of("clusters.2.name=b"),
            "--set clusters.2.name=b: there is no element 2; expected 0 to 1 (1 appends)");
  EXPECT_THAT(of("clusters.1.name=b"),
              HasSubstr("clusters[1]: nothing to do; expected one of endpoints, dns"));
  EXPECT_THAT(of("workers=[1"), StartsWith("--set workers=[1: not valid YAML"));
  EXPECT_THAT(of("workers=\xff"), HasSubstr("not UTF-8"));
  EXPECT_THAT(of("listeners.front.cluster=b"),
              StartsWith("--set listeners.front.cluster=b: no cluster is named 'b'"));
  EXPECT_THAT(of("listeners.front.name.x=b"), HasSubstr("is a value, not a section"));
  EXPECT_THAT(of("listeners.1={address: '127.0.0.1:8080', name: b, cluster: app}"),
              HasSubstr("a second listener on '127.0.0.1:8080'; the first is on line 2"));
  EXPECT_THAT(of("drain.deadline=" + std::string(1000, 'x')),
              MatchesRegex("--set .{200}\\.\\.\\.: .*"));
}

}  // namespace
}  // namespace sluice
