#include "upstream/cluster.h"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice {
namespace {

// A warm-up goes in so many steps, but no faster than this.
constexpr int kWarmUpSteps = 50;
constexpr Duration kMinStep = std::chrono::milliseconds(10);

}  // namespace

Cluster::Cluster(Loop& loop, Dialer& dialer, const ClusterConfig& config, MetricShard& shard)
    : loop_(loop),
      dialer_(dialer),
      config_(config),
      metrics_(config.name, shard),
      breaker_(config_.circuit_breaker),
      waits_(config_.circuit_breaker),
      outliers_(config_.outlier),
      levels_(config_),
      changes_(loop.timers(), Delegate::Bind<&Cluster::Update>(this)),
      interval_(loop.timers(), Delegate::Bind<&Cluster::OnIntervalOver>(this)) {
  for (const EndpointConfig& endpoint : config_.endpoints) endpoints_.push_back(Add(endpoint));
  levels_.Build(endpoints_, loop_.Now());
}

Cluster::~Cluster() { StopReporting(); }

void Cluster::ReportEndpoints(MetricShard& shard) {
  for (size_t i = 0; i < kEndpointStateCount; ++i) {
    const std::string state(EndpointStateName(static_cast<EndpointState>(i)));
    reports_.push_back({&shard.Gauge("sluice_upstream_endpoints", "Endpoints, by how they are.",
                                     {{"cluster", config_.name}, {"state", state}})});
  }
  Update();
}

// Another cluster of this name may report to the same gauges already.
void Cluster::StopReporting() {
  for (const StateReport& report : reports_) report.gauge->Add(-report.reported);
  reports_.clear();
}

void Cluster::Report(TimePoint now) {
  std::array<int64_t, kEndpointStateCount> counts{};
  for (const auto& endpoint : endpoints_) ++counts[static_cast<size_t>(endpoint->state(now))];
  for (size_t i = 0; i < reports_.size(); ++i) {
    reports_[i].gauge->Add(counts[i] - std::exchange(reports_[i].reported, counts[i]));
  }
}

std::unique_ptr<Endpoint> Cluster::Add(const EndpointConfig& config) {
  auto pool = std::make_unique<EndpointPool>(loop_, dialer_, config_, config, metrics_);
  pool->Join(*this, breaker_);
  auto endpoint = std::make_unique<Endpoint>(std::move(pool), config);
  if (config_.health_check) endpoint->health = EndpointHealth{};
  return endpoint;
}

// First they are all among the removed: what closes on one may make room for who waits on another.
void Cluster::Remove(std::vector<std::unique_ptr<Endpoint>> gone) {
  const size_t before = removed_.size();
  for (auto& endpoint : gone) {
    if (endpoint == nullptr) continue;
    endpoint->place = Endpoint::kRemoved;
    removed_.push_back(std::move(endpoint));
  }
  for (size_t i = before; i < removed_.size(); ++i) {
    removed_[i]->pool->Retire([this] {
      if (freed_) freed_();
    });
    removed_[i]->kept.Reset();
  }
}

void Cluster::SetEndpoints(const std::vector<EndpointConfig>& endpoints) {
  std::vector<std::unique_ptr<Endpoint>> now;
  for (const EndpointConfig& config : endpoints) {
    const auto same = std::find_if(endpoints_.begin(), endpoints_.end(), [&](const auto& endpoint) {
      return endpoint != nullptr && endpoint->config.address == config.address;
    });
    if (same == endpoints_.end()) {
      now.push_back(Add(config));
      now.back()->was_good = false;  // so that it warms up once it can
    } else {
      (*same)->config = config;
      now.push_back(std::move(*same));
    }
  }
  std::vector<std::unique_ptr<Endpoint>> gone = std::exchange(endpoints_, std::move(now));
  config_.endpoints = endpoints;
  levels_.Build(endpoints_, loop_.Now());
  Remove(std::move(gone));
  Update();
}

void Cluster::Retire() {
  StopReporting();
  SetDrained(true);
}

void Cluster::Abandon() {
  std::vector<std::unique_ptr<Endpoint>> gone;
  gone.swap(endpoints_);
  levels_.Build(endpoints_, loop_.Now());
  Remove(std::move(gone));
}

bool Cluster::Reap() {
  std::erase_if(removed_, [](const auto& endpoint) { return endpoint->pool->free(); });
  return !endpoints_.empty() || !removed_.empty();
}

void Cluster::CloseIdle() {
  for (const auto* some : {&endpoints_, &removed_}) {
    for (const auto& endpoint : *some) endpoint->pool->CloseIdle();
  }
}

// ---- requests

tl::expected<Cluster::Lease, ConnectFailure> Cluster::Pick(const PickRequest& request) {
  if (breaker_.requests_full()) {
    metrics_.overflows.Add();
    return tl::unexpected(ConnectFailure::kOverflow);
  }
  if (waits_.on() && !waits_.Admits(loop_.Now())) {
    metrics_.overloads.Add();
    return tl::unexpected(ConnectFailure::kOverload);
  }
  Endpoint* const endpoint = levels_.Pick(request, loop_.random());
  if (endpoint == nullptr) return tl::unexpected(ConnectFailure::kNoEndpoint);
  Lease lease = Take(*endpoint);
  if (waits_.on()) {
    waits_.OnBegin();
    lease.waits_since_ = loop_.Now();
  }
  return lease;
}

Cluster::Lease Cluster::PickAddress(std::string_view address) {
  Endpoint* const endpoint = drained_ ? nullptr : Find(address);
  if (endpoint == nullptr || endpoint->drained) return {};
  return Take(*endpoint);
}

Cluster::Lease Cluster::Take(Endpoint& endpoint) {
  ++endpoint.group->load(endpoint.place).active;
  ++breaker_.requests;
  return Lease(this, &endpoint);
}

void Cluster::OnAnswer(Lease& lease) {
  const TimePoint now = loop_.Now();
  waits_.OnAnswer(now - std::exchange(lease.waits_since_, kNever), now);
}

void Cluster::Leave(const Lease& lease) {
  if (lease.waits_since_ != kNever) waits_.OnLeft();
  const Endpoint& endpoint = *lease.endpoint_;
  --breaker_.requests;
  if (endpoint.place != Endpoint::kRemoved) --endpoint.group->load(endpoint.place).active;
}

bool Cluster::TryRetry() {
  if (breaker_.retries_full()) {
    metrics_.retry_overflows.Add();
    return false;
  }
  ++breaker_.retries;
  return true;
}

Endpoint* Cluster::Find(const EndpointPool& pool) const {
  const auto found = std::find_if(endpoints_.begin(), endpoints_.end(), [&](const auto& endpoint) {
    return endpoint->pool.get() == &pool;
  });
  return found == endpoints_.end() ? nullptr : found->get();
}

Endpoint* Cluster::Find(std::string_view address) const {
  const auto found = std::find_if(endpoints_.begin(), endpoints_.end(), [&](const auto& endpoint) {
    return endpoint->config.address == address;
  });
  return found == endpoints_.end() ? nullptr : found->get();
}

// ---- what is known of the endpoints

void Cluster::SetEndpointDrained(std::string_view address, bool drained) {
  Endpoint* const endpoint = Find(address);
  if (endpoint == nullptr) return;
  endpoint->drained = drained;
  Update();
}

void Cluster::SetDrained(bool drained) {
  drained_ = drained;
  Update();
}

void Cluster::SetHealth(std::string_view address, const EndpointHealth& health) {
  Endpoint* const endpoint = Find(address);
  // A check that has passed since then knows better than what it said of itself before.
  if (endpoint != nullptr && health.healthy && !health.draining) endpoint->draining_until = {};
  KnowHealth(address, health);
}

void Cluster::KnowHealth(std::string_view address, const EndpointHealth& health) {
  Endpoint* const endpoint = Find(address);
  if (endpoint == nullptr) return;
  endpoint->health = health;
  Update();
}

void Cluster::Learn(const EndpointNews& news) {
  Endpoint* const endpoint = Find(news.address);
  if (endpoint == nullptr) return;
  if (news.kind == EndpointNews::Kind::kDraining) {
    endpoint->draining_until = std::max(endpoint->draining_until, news.until);
  } else {
    LearnEjection(endpoint->outlier, news);
  }
  Update();
}

// So that it stays away longer each time, whichever worker finds it out.
void Cluster::LearnEjection(OutlierRecord& record, const EndpointNews& news) {
  const TimePoint now = loop_.Now();
  const bool known = record.ejected_until > now;
  if (!known && !outliers_.MayEject(EjectedAt(now), endpoints_.size())) return;
  record.ejected_until = std::max(record.ejected_until, news.until);
  record.ejections = std::max(record.ejections, news.ejections);
  if (!interval_.active()) interval_.Set(now + config_.outlier.interval);
}

void Cluster::Tell(const EndpointNews& news) {
  if (observer_ != nullptr) observer_->OnEndpointNews(*this, news);
}

void Cluster::OnDrain(Endpoint& endpoint, std::string_view reason) {
  const TimePoint now = loop_.Now();
  if (endpoint.place == Endpoint::kRemoved || config_.upstream_drain.hold == Duration::zero()) {
    return;
  }
  // What goes on saying so is not told again and again.
  const bool known = endpoint.draining_until > now;
  endpoint.draining_until = now + config_.upstream_drain.hold;
  if (known) return;
  metrics_.drains_seen.Add();
  Tell({EndpointNews::Kind::kDraining, endpoint.config.address, endpoint.draining_until, reason});
  Update();
}

void Cluster::OnOutcome(Endpoint& endpoint, Outcome outcome) {
  if (endpoint.place == Endpoint::kRemoved) return;
  if (const std::string_view reason = outliers_.OnResult(endpoint.outlier, outcome);
      !reason.empty()) {
    Eject(endpoint, reason);
  }
  if (!interval_.active() && outliers_.judges(endpoint.outlier)) {
    interval_.Set(loop_.Now() + config_.outlier.interval);
  }
}

void Cluster::Eject(Endpoint& endpoint, std::string_view reason) {
  const TimePoint now = loop_.Now();
  if (endpoint.outlier.ejected_until > now) return;
  if (!outliers_.Eject(endpoint.outlier, now, EjectedAt(now), endpoints_.size())) return;
  metrics_.ejections.Add();
  Tell({EndpointNews::Kind::kEjected, endpoint.config.address, endpoint.outlier.ejected_until,
        reason, endpoint.outlier.ejections});
  Update();
}

size_t Cluster::EjectedAt(TimePoint now) const {
  return static_cast<size_t>(
      std::count_if(endpoints_.begin(), endpoints_.end(),
                    [=](const auto& endpoint) { return endpoint->outlier.ejected_until > now; }));
}

void Cluster::OnIntervalOver() {
  std::vector<OutlierRecord*> records;
  for (const auto& endpoint : endpoints_) records.push_back(&endpoint->outlier);
  const TimePoint now = loop_.Now();
  for (const size_t place : outliers_.Judge(records, now)) {
    Eject(*endpoints_[place], "success_rate");
  }
  // As long as there is something to forget; a result begins it anew.
  const bool remembers = std::any_of(records.begin(), records.end(),
                                     [](const auto* record) { return record->ejections > 0; });
  if (remembers) interval_.Set(now + config_.outlier.interval);
}

// Something is known that was not: who is chosen, whose connections are kept, and when to look
// again.
void Cluster::Update() {
  const TimePoint now = loop_.Now();
  TimePoint next = kNever;
  for (const auto& endpoint : endpoints_) {
    const bool good = endpoint->Takes(EndpointTier::kGood, now);
    if (good && !endpoint->was_good) {
      endpoint->warms_up_until = now + config_.slow_start.window;
    }
    // What nobody has looked at has not come back when it turns out to be well.
    if (endpoint->state(now) != EndpointState::kUnchecked) endpoint->was_good = good;
    next = std::min(next, endpoint->NextChange(now));
    if (endpoint->warms_up_until > now) {
      next = std::min(next, now + std::max(kMinStep, config_.slow_start.window / kWarmUpSteps));
    }
  }
  levels_.Refresh(now);
  Report(now);
  for (const auto& endpoint : endpoints_) {
    const bool usable = endpoint->group->load(endpoint->place).usable;
    endpoint->pool->SetDraining(drained_ || !usable);
  }
  changes_.Set(next);
}

// ---- what happens in the pools

void Cluster::OnAttemptOver(EndpointPool& pool, bool connected) {
  Endpoint* const endpoint = Find(pool);
  if (endpoint == nullptr) return;
  if (connected) {
    outliers_.OnConnected(endpoint->outlier);
  } else {
    OnOutcome(*endpoint, Outcome::kConnectFailure);
  }
}

void Cluster::OnGoaway(EndpointPool& pool) {
  Endpoint* const endpoint = Find(pool);
  if (endpoint != nullptr && config_.upstream_drain.goaway) OnDrain(*endpoint, "goaway");
}

bool Cluster::MakeRoomFor(EndpointPool& pool) {
  for (const auto* some : {&endpoints_, &removed_}) {
    for (const auto& endpoint : *some) {
      if (endpoint->pool.get() != &pool && endpoint->pool->CloseOneIdle()) return true;
    }
  }
  return false;
}

bool Cluster::OthersLackConnections(const EndpointPool& pool) const {
  for (const auto* some : {&endpoints_, &removed_}) {
    for (const auto& endpoint : *some) {
      if (endpoint->pool.get() != &pool && endpoint->pool->LacksConnections()) return true;
    }
  }
  return false;
}

// Each time another endpoint comes first.
void Cluster::OnRoomForConnection() {
  if (breaker_.pending == 0) return;
  for (const auto& endpoint : removed_) endpoint->pool->StartAttempts();
  const size_t count = endpoints_.size();
  if (count == 0) return;
  const size_t first = ++first_served_ % count;
  for (size_t i = 0; i < count; ++i) endpoints_[(first + i) % count]->pool->StartAttempts();
}

}  // namespace sluice
