#include "upstream/dns_discovery.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/log.h"

namespace sluice {
namespace {

constexpr char kHelp[] = "Lookups of the names of clusters.";
constexpr uint32_t kMaxPriority = 15;
constexpr uint32_t kMaxWeight = 1'000'000;
constexpr Duration kMaxBackoff = std::chrono::seconds(30);

DnsQuestion QuestionOf(const DnsConfig& config) {
  const size_t colon = config.name.find(':');
  DnsQuestion question{.name = config.name.substr(0, colon), .records = config.records};
  if (colon != std::string::npos) {
    question.port = static_cast<uint16_t>(std::stoul(config.name.substr(colon + 1)));
  }
  return question;
}

}  // namespace

std::vector<EndpointConfig> EndpointsOf(const DnsAnswer& answer) {
  std::map<uint32_t, uint32_t> priorities;
  uint32_t largest = 0;
  uint32_t lightest = kMaxWeight;  // of those that have a weight
  bool scaled = false;
  for (const DnsAnswer::Target& target : answer.targets) {
    priorities[target.priority];
    largest = std::max(largest, target.weight);
    if (target.weight > 0) lightest = std::min(lightest, target.weight);
    scaled = scaled || target.weight == 0;
  }
  // So that there is something below the lightest.
  const uint32_t scale =
      scaled && largest > 0 ? std::clamp<uint32_t>(kMaxWeight / largest, 1, 100) : 1;
  const uint32_t very_little = largest > 0 ? lightest * scale / 100 : 1;
  uint32_t next = 0;
  for (auto& [from, to] : priorities) to = std::min(next++, kMaxPriority);
  std::vector<EndpointConfig> endpoints;
  for (const DnsAnswer::Target& target : answer.targets) {
    const uint32_t weight = target.weight == 0 ? very_little : target.weight * scale;
    endpoints.push_back({.address = target.address,
                         .weight = std::clamp<uint32_t>(weight, 1, kMaxWeight),
                         .priority = priorities[target.priority]});
  }
  return endpoints;
}

DnsDiscovery::DnsDiscovery(std::string cluster, const DnsConfig& config,
                           std::vector<EndpointConfig> known, Surroundings surroundings)
    : cluster_(std::move(cluster)),
      config_(config),
      around_(std::move(surroundings)),
      endpoints_(std::move(known)),
      succeeded_(around_.shard.Counter("sluice_dns_lookups_total", kHelp,
                                       {{"cluster", cluster_}, {"result", "success"}})),
      failed_(around_.shard.Counter("sluice_dns_lookups_total", kHelp,
                                    {{"cluster", cluster_}, {"result", "failure"}})),
      timer_(around_.loop.timers(), Delegate::Bind<&DnsDiscovery::Ask>(this)) {
  Ask();
}

void DnsDiscovery::Ask() {
  lookup_ = around_.resolver.Resolve(QuestionOf(config_),
                                     [this](const Result<DnsAnswer>& answer) { OnAnswer(answer); });
}

void DnsDiscovery::OnAnswer(const Result<DnsAnswer>& answer) {
  answered_ = true;
  const auto told = around_.answered;  // this may be gone by then
  if (!answer) {
    OnFailure(answer.error().message);
  } else if (answer->incomplete.empty()) {
    OnSuccess(*answer);
  } else {
    OnPart(*answer);
  }
  told();
}

void DnsDiscovery::OnSuccess(const DnsAnswer& answer) {
  succeeded_.Add();
  backoff_ = {};
  if (!error_.empty()) LogEvent(Level::kInfo, "dns_recovered", {{"cluster", cluster_}});
  error_.clear();
  AskAgainIn(std::clamp(answer.ttl, config_.min_refresh, config_.max_refresh));
  std::vector<EndpointConfig> endpoints = EndpointsOf(answer);
  if (endpoints == endpoints_) return;
  endpoints_ = std::move(endpoints);
  TellFound();
}

// What is missing may well be there, and would be drained: the last good answer is better. Without
// one, a part is better than nothing.
void DnsDiscovery::OnPart(const DnsAnswer& answer) {
  const bool first = endpoints_.empty();
  if (first) endpoints_ = EndpointsOf(answer);
  OnFailure(answer.incomplete);
  if (first) TellFound();
}

// May destroy this.
void DnsDiscovery::TellFound() {
  const auto found = around_.found;
  found(std::vector<EndpointConfig>(endpoints_));
}

// An answer without an address is one as well: a cluster without endpoints serves nobody, so the
// last ones are as good as none.
void DnsDiscovery::OnFailure(const std::string& error) {
  failed_.Add();
  if (error != error_) {
    LogEvent(Level::kWarning, "dns_failed",
             {{"cluster", cluster_},
              {"reason", error},
              {"effect", endpoints_.empty() ? "the cluster has no endpoints"
                                            : "the endpoints found last stay"}});
  }
  error_ = error;
  backoff_ = std::min({std::max(backoff_ * 2, config_.min_refresh), config_.max_refresh,
                       std::max(kMaxBackoff, config_.min_refresh)});
  AskAgainIn(backoff_);
}

void DnsDiscovery::AskAgainIn(Duration time) {
  const auto most = static_cast<uint64_t>((time * config_.jitter_percent / 100).count());
  timer_.Set(around_.loop.Now() + time -
             Duration(static_cast<int64_t>(around_.loop.random().Below(most + 1))));
}

}  // namespace sluice
