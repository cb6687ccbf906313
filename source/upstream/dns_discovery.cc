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

// Whether it may be one of those that could not be looked up.
bool IsOf(const DnsAnswer::Target& target, const DnsAnswer::Unknown& unknown) {
  return target.host == unknown.host && target.address.starts_with('[') == unknown.ipv6;
}

}  // namespace

std::vector<EndpointConfig> EndpointsOf(const std::vector<DnsAnswer::Target>& targets) {
  std::map<uint32_t, uint32_t> priorities;
  uint32_t largest = 0;
  uint32_t lightest = kMaxWeight;  // of those that have a weight
  bool scaled = false;
  for (const DnsAnswer::Target& target : targets) {
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
  for (const DnsAnswer::Target& target : targets) {
    const uint32_t weight = target.weight == 0 ? very_little : target.weight * scale;
    endpoints.push_back({.address = target.address,
                         .weight = std::clamp<uint32_t>(weight, 1, kMaxWeight),
                         .priority = priorities[target.priority]});
  }
  return endpoints;
}

DnsDiscovery::DnsDiscovery(std::string cluster, const DnsConfig& config, Known known,
                           Surroundings surroundings)
    : cluster_(std::move(cluster)),
      config_(config),
      around_(std::move(surroundings)),
      endpoints_(std::move(known.endpoints)),
      targets_(std::move(known.targets)),
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
  const auto [found, told] =
      std::pair(around_.found, around_.answered);  // this may be gone by then
  const std::vector<EndpointConfig> before = endpoints_;
  if (!answer) {
    OnFailure(answer.error().message);
  } else if (const DnsAnswer::Unknown* missing = MissingIn(*answer); missing != nullptr) {
    OnPart(*answer, missing->reason);
  } else {
    OnSuccess(*answer);
  }
  if (endpoints_ != before) found();
  told();
}

// What makes an answer a part of one; null: it is whole. There are name servers that never answer
// for one kind of addresses: that counts only for a host which had some of them, or has none of the
// other.
const DnsAnswer::Unknown* DnsDiscovery::MissingIn(const DnsAnswer& answer) const {
  for (const DnsAnswer::Unknown& unknown : answer.unknown) {
    const bool had = std::any_of(targets_.begin(), targets_.end(),
                                 [&](const auto& target) { return IsOf(target, unknown); });
    const bool other = std::any_of(answer.targets.begin(), answer.targets.end(),
                                   [&](const auto& target) { return target.host == unknown.host; });
    if (had || !other) return &unknown;
  }
  return nullptr;
}

void DnsDiscovery::OnSuccess(const DnsAnswer& answer) {
  succeeded_.Add();
  backoff_ = {};
  if (!error_.empty()) LogEvent(Level::kInfo, "dns_recovered", {{"cluster", cluster_}});
  error_.clear();
  AskAgainIn(std::clamp(answer.ttl, config_.min_refresh, config_.max_refresh));
  Use(answer.targets);
}

// What is missing may well be there, and would be drained: of that, the last good answer stays. Of
// the rest the new one counts.
void DnsDiscovery::OnPart(const DnsAnswer& answer, const std::string& reason) {
  std::vector<DnsAnswer::Target> targets = answer.targets;
  for (const DnsAnswer::Target& target : targets_) {
    const bool unknown = std::any_of(answer.unknown.begin(), answer.unknown.end(),
                                     [&](const auto& one) { return IsOf(target, one); });
    const bool there =
        std::any_of(answer.targets.begin(), answer.targets.end(),
                    [&](const auto& other) { return other.address == target.address; });
    if (unknown && !there) targets.push_back(target);
  }
  TidyDnsTargets(&targets);
  Use(std::move(targets));
  OnFailure(reason);
}

void DnsDiscovery::Use(std::vector<DnsAnswer::Target> targets) {
  targets_ = std::move(targets);
  endpoints_ = EndpointsOf(targets_);
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
  const auto most = static_cast<uint64_t>((time / 100 * config_.jitter_percent).count());
  const Duration earlier(static_cast<int64_t>(around_.loop.random().Below(most + 1)));
  timer_.Set(around_.loop.Now() + std::max(time - earlier, config_.min_refresh));
}

}  // namespace sluice
