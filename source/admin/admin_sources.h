// What the admin pages show that the lifecycle does not know. server/ provides it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "config/diff.h"
#include "sluice/handler.h"
#include "sluice/result.h"

namespace sluice {

// One open downstream connection, as /connections lists it.
struct ConnectionRecord {
  std::string listener;
  std::string peer;
  std::string state;  // "idle", "active", "draining", "lingering", ...
  uint32_t worker = 0;
  Duration age{};
  uint64_t requests = 0;  // begun on it, the ones in flight included

  struct Stream {
    Protocol protocol = Protocol::kHttp1;
    std::string route;
    Duration age{};
    uint64_t bytes_in = 0;
    uint64_t bytes_out = 0;
    std::string waiting_for;
  };
  std::vector<Stream> in_flight;
};

// A cluster, as /clusters lists it; over all workers.
struct ClusterRecord {
  struct Endpoint {
    std::string address;
    std::string_view state;  // a constant: "usable", "unhealthy", ...
    uint32_t weight = 1;
    uint32_t priority = 0;
    std::string zone;
    uint64_t in_flight = 0;
    uint32_t ejections = 0;     // that are not forgotten yet
    std::string check_failure;  // why its last health check did not pass: "status 503"
  };
  std::string name;
  uint64_t in_flight = 0;
  uint64_t waiting = 0;      // requests, for a connection
  uint64_t connections = 0;  // open, or being opened
  std::string dns_error;     // why the last lookup failed
  std::vector<Endpoint> endpoints;
};

// What TLS uses of its files.
struct TlsReport {
  struct Certificate {
    std::string file;
    std::string subject;
    std::vector<std::string> names;
    WallTime not_after{};
  };
  struct Entry {
    std::string where;  // "listeners.edge", "clusters.app"
    std::vector<Certificate> certificates;
    std::string error;  // why it could not be read again; what is listed is still in use
  };
  std::vector<Entry> entries;
  bool ok() const {
    for (const Entry& entry : entries) {
      if (!entry.error.empty()) return false;
    }
    return true;
  }
};

// How a reload went.
struct ReloadReport {
  // kNone: none was tried yet. kRefused: the file is wrong. kNotNow: it was not even read.
  enum class Result : uint8_t { kNone, kChanged, kUnchanged, kRefused, kNotNow };
  Result result = Result::kNone;
  std::string_view cause;  // "signal", "admin", "file"; a constant
  WallTime at{};
  uint64_t generation = 1;  // the one in force; the first is 1
  ConfigDiff diff;
  std::string error;  // why nothing has changed: "file:line:column: ..."
};

// All are called on the control thread and must answer there; they may answer from inside the call,
// must answer at most once, and must be set.
struct AdminSources {
  // The configuration in force, as YAML.
  std::function<std::string()> config_text;

  // Every metric in the Prometheus text format.
  std::function<void(std::function<void(std::string)> reply)> metrics_text;

  // Every open downstream connection, of every worker.
  std::function<void(std::function<void(std::vector<ConnectionRecord>)> reply)> connections;

  // Every cluster.
  std::function<void(std::function<void(std::vector<ClusterRecord>)> reply)> clusters;

  // Why it is not ready although the phase says so; empty: it is.
  std::function<std::string()> unready;

  // Starts a new process of the program and hands over to it: its pid, or what went wrong.
  std::function<void(std::function<void(Result<int>)> reply)> restart;

  // What TLS uses; with `reload`, after its files were read again.
  std::function<TlsReport(bool reload)> tls;

  // How the last reload went; and a reload, which answers when every worker goes by it.
  std::function<ReloadReport()> last_reload;
  std::function<void(std::function<void(const ReloadReport&)> reply)> reload;
};

}  // namespace sluice
