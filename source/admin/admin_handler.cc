#include "admin/admin_handler.h"

#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "admin/clusters_json.h"
#include "admin/connections_json.h"
#include "admin/reload_json.h"
#include "admin/request_guard.h"
#include "admin/tls_json.h"

namespace sluice {
namespace {

constexpr uint64_t kMaxBody = 64 * 1024;
constexpr size_t kMaxConnectionsListed = 10'000;

// For workers to list their connections. One that hangs must not hang who asks about it.
constexpr Duration kAnswerBound = std::chrono::seconds(5);

constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kJson = "application/json";
constexpr std::string_view kYaml = "application/yaml";
// https://prometheus.io/docs/instrumenting/exposition_formats/
constexpr std::string_view kPrometheus = "text/plain; version=0.0.4; charset=utf-8";

// True when `list`, as in Allow, names `method`.
bool Names(std::string_view list, std::string_view method) {
  while (!list.empty()) {
    const size_t comma = list.find(", ");
    if (list.substr(0, comma) == method) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 2);
  }
  return false;
}

bool HasBegun(Phase phase) { return phase != Phase::kStarting && !IsReady(phase); }

int StatusOf(PartRefusal::Kind kind) {
  switch (kind) {
    case PartRefusal::Kind::kUnknownName:
      return 404;
    case PartRefusal::Kind::kNotNow:
      return 409;
    case PartRefusal::Kind::kFailed:
      return 500;
  }
  return 500;
}

int StatusOf(ReloadReport::Result result) {
  switch (result) {
    case ReloadReport::Result::kRefused:
      return 422;
    case ReloadReport::Result::kNotNow:
      return 409;
    default:
      return 200;
  }
}

}  // namespace

struct AdminHandler::Answer {
  int status = 200;
  std::string body;
  std::string_view content_type = kText;  // constants, both
  std::string_view allow;
};

struct AdminHandler::Endpoint {
  enum class Access : uint8_t { kOpen, kPrivate, kChange };
  std::string_view path;
  std::string_view methods;
  Access read;  // of GET and HEAD; the other methods change something
  void (AdminHandler::*serve)(Request&);
  std::string_view help;
};

const AdminHandler::Endpoint AdminHandler::kEndpoints[] = {
    {"/", "GET, HEAD", Endpoint::Access::kOpen, &AdminHandler::Index, "this list"},
    {"/live", "GET, HEAD", Endpoint::Access::kOpen, &AdminHandler::Live,
     "200 as long as the process answers"},
    {"/ready", "GET, HEAD", Endpoint::Access::kOpen, &AdminHandler::Ready,
     "200 when ready for traffic, otherwise 503"},
    {"/metrics", "GET, HEAD", Endpoint::Access::kOpen, &AdminHandler::Metrics,
     "metrics in the Prometheus text format"},
    {"/config", "GET, HEAD", Endpoint::Access::kPrivate, &AdminHandler::ShowConfig,
     "the configuration in force, defaults included"},
    {"/connections", "GET, HEAD", Endpoint::Access::kPrivate, &AdminHandler::Connections,
     "open downstream connections and what is in flight on them"},
    {"/clusters", "GET, HEAD", Endpoint::Access::kPrivate, &AdminHandler::Clusters,
     "clusters, their endpoints, and how those are"},
    {"/tls", "GET, HEAD", Endpoint::Access::kPrivate, &AdminHandler::Tls,
     "certificates in use, and when they expire"},
    {"/tls/reload", "POST", Endpoint::Access::kChange, &AdminHandler::ReloadTls,
     "read certificates, keys and CAs again"},
    {"/reload", "GET, HEAD, POST", Endpoint::Access::kPrivate, &AdminHandler::Reload,
     "GET: how the last reload went; POST: read the configuration again"},
    {"/restart", "POST", Endpoint::Access::kChange, &AdminHandler::Restart,
     "start the program anew and hand over to it; answers when that has taken over"},
    {"/drain", "GET, HEAD, POST, DELETE", Endpoint::Access::kPrivate, &AdminHandler::Drain,
     "GET: phase and progress; POST: begin a drain; DELETE: take it back while lame duck; "
     "?listener=, ?route=, ?cluster= or ?endpoint= drains a part, and DELETE undrains it"},
    {"/drain/prestop", "GET, POST", Endpoint::Access::kChange, &AdminHandler::Prestop,
     "begin a drain and answer when its propagation delay has passed"},
};

// One request, from its head until it is answered or gone.
class AdminHandler::Request final : public RequestReceiver, public Deferred {
 public:
  enum class Awaits : uint8_t { kNothing, kBegun, kPropagated };

  Request(AdminHandler& handler, uint64_t id, ServerStream& stream)
      : handler_(handler),
        id_(id),
        stream_(stream),
        give_up_(handler.loop_.timers(), Delegate::Bind<&Request::OnGiveUp>(this)) {}

  uint64_t id() const { return id_; }
  const RequestHead& head() const { return stream_.request(); }
  const DownstreamInfo& downstream() const { return stream_.downstream(); }
  Awaits awaits() const { return awaits_; }
  void Await(Awaits what) { awaits_ = what; }
  void GiveUpAfter(Duration bound) { give_up_.Set(handler_.loop_.Now() + bound); }

  // Ends the stream; `answer` is kept, because its body is lent until the dispatch ends.
  void Send(Answer answer) {
    give_up_.Stop();
    answer_ = std::move(answer);
    ResponseHead response;
    response.status = answer_.status;
    response.reason = ReasonPhrase(answer_.status);
    response.content_length = answer_.body.size();
    response.headers.Add("Content-Type", answer_.content_type);
    response.headers.Add("Cache-Control", "no-store");
    response.headers.Add("X-Content-Type-Options", "nosniff");
    if (!answer_.allow.empty()) response.headers.Add("Allow", answer_.allow);
    const bool bodiless = head().method == Method::kHead || answer_.body.empty();
    stream_.SendHead(response, bodiless);
    if (!bodiless) stream_.SendBody(answer_.body, true);
  }

  // No endpoint wants a body; one that is sent is read to its end, so that the connection can be
  // used again.
  void OnRequestBody(std::string_view bytes, bool end_stream) override {
    body_bytes_ += bytes.size();
    if (body_bytes_ > kMaxBody) {
      handler_.Refuse(*this, 413, "no endpoint of the admin takes a body");
    } else if (end_stream) {
      handler_.Dispatch(*this);
    }
  }
  void OnRequestTrailers(const HeaderList&) override { handler_.Dispatch(*this); }
  void OnResponseWritable() override {}
  void OnReset(StreamEnd) override { handler_.Forget(id_); }

 private:
  void OnGiveUp() { handler_.Refuse(*this, 504, "the workers did not answer in time"); }

  AdminHandler& handler_;
  const uint64_t id_;
  ServerStream& stream_;
  uint64_t body_bytes_ = 0;
  Awaits awaits_ = Awaits::kNothing;
  Timer give_up_;
  Answer answer_;
};

AdminHandler::AdminHandler(Loop& loop, DrainController& drain, PartDrainController& part_drain,
                           AdminSources sources)
    : loop_(loop), drain_(drain), part_drain_(part_drain), sources_(std::move(sources)) {
  drain_.AddListener([this](Phase from, Phase to) { OnPhase(from, to); });
}

AdminHandler::~AdminHandler() = default;

void AdminHandler::OnRequest(ServerStream& stream, bool end_stream) {
  const uint64_t id = next_id_++;
  auto& request =
      *requests_.emplace(id, std::make_unique<Request>(*this, id, stream)).first->second;
  stream.SetReceiver(&request);
  if (end_stream) {
    Dispatch(request);
  } else if (stream.request().expects_continue) {
    // RFC 9110 10.1.1: the body is read, so its sender need not wait.
    ResponseHead proceed;
    proceed.status = 100;
    proceed.reason = ReasonPhrase(100);
    stream.SendInformational(proceed);
  }
}

void AdminHandler::Dispatch(Request& request) {
  const std::string_view path = request.head().PathOnly();
  const std::string_view method = request.head().method_name;
  for (const Endpoint& endpoint : kEndpoints) {
    if (endpoint.path != path) continue;
    if (!Names(endpoint.methods, method)) {
      // RFC 9110 15.5.6: a 405 says what is allowed.
      return Reply(request.id(), {405, "allowed here: " + std::string(endpoint.methods) + "\n",
                                  kText, endpoint.methods});
    }
    const bool reads = method == "GET" || method == "HEAD";
    const auto access = reads ? endpoint.read : Endpoint::Access::kChange;
    std::string_view refusal;
    if (access == Endpoint::Access::kPrivate) {
      refusal = RefusesReading(request.head(), request.downstream());
    } else if (access == Endpoint::Access::kChange) {
      refusal = RefusesChange(request.head(), request.downstream());
      if (refusal.empty() && reads && IsBrowser(request.head())) {
        refusal = "refused: a browser must use POST for this";
      }
    }
    if (!refusal.empty()) return Refuse(request, 403, refusal);
    return (this->*endpoint.serve)(request);
  }
  std::string body = "no such endpoint; there are:\n";
  for (const Endpoint& endpoint : kEndpoints) body.append("  ").append(endpoint.path) += '\n';
  Reply(request.id(), {404, std::move(body), kText, {}});
}

void AdminHandler::Index(Request& request) {
  std::string body = "Sluice admin\n\n";
  for (const Endpoint& endpoint : kEndpoints) {
    body.append(endpoint.path).append(18 - endpoint.path.size(), ' ').append(endpoint.methods);
    body.append(25 - endpoint.methods.size(), ' ').append(endpoint.help) += '\n';
  }
  Reply(request.id(), {200, std::move(body), kText, {}});
}

void AdminHandler::Live(Request& request) { Reply(request.id(), {200, "live\n", kText, {}}); }

void AdminHandler::Ready(Request& request) {
  const bool ready = IsReady(drain_.phase());
  const std::string unready = ready ? sources_.unready() : std::string();
  const std::string says = unready.empty() ? std::string(PhaseName(drain_.phase())) : unready;
  Reply(request.id(), {ready && unready.empty() ? 200 : 503, says + "\n", kText, {}});
}

void AdminHandler::Metrics(Request& request) {
  const auto answer = [this, id = request.id()] {
    sources_.metrics_text([this, id](std::string text) {
      Reply(id, {200, std::move(text), kPrometheus, {}});
    });
  };
  if (!HasBegun(drain_.phase())) return answer();
  // While a drain is under way, its numbers shall be of now.
  drain_.Report([answer](const DrainReport&) { answer(); });
}

void AdminHandler::ShowConfig(Request& request) {
  Reply(request.id(), {200, sources_.config_text(), kYaml, {}});
}

void AdminHandler::Connections(Request& request) {
  request.GiveUpAfter(kAnswerBound);
  sources_.connections([this, id = request.id()](std::vector<ConnectionRecord> connections) {
    std::string json = ConnectionsJson(std::move(connections), kMaxConnectionsListed);
    Reply(id, {200, std::move(json) + "\n", kJson, {}});
  });
}

void AdminHandler::Clusters(Request& request) {
  request.GiveUpAfter(kAnswerBound);
  sources_.clusters([this, id = request.id()](const std::vector<ClusterRecord>& clusters) {
    Reply(id, {200, ClustersJson(clusters) + "\n", kJson, {}});
  });
}

void AdminHandler::Tls(Request& request) {
  Reply(request.id(), {200, TlsJson(sources_.tls(false)) + "\n", kJson, {}});
}

void AdminHandler::ReloadTls(Request& request) {
  const TlsReport report = sources_.tls(true);
  Reply(request.id(), {report.ok() ? 200 : 500, TlsJson(report) + "\n", kJson, {}});
}

void AdminHandler::Reload(Request& request) {
  if (request.head().method_name != "POST") {
    Reply(request.id(), {200, ReloadJson(sources_.last_reload()) + "\n", kJson, {}});
    return;
  }
  request.GiveUpAfter(kAnswerBound);
  sources_.reload([this, id = request.id()](const ReloadReport& report) {
    Reply(id, {StatusOf(report.result), ReloadJson(report) + "\n", kJson, {}});
  });
}

void AdminHandler::Restart(Request& request) {
  sources_.restart([this, id = request.id()](const Result<int>& pid) {
    const auto asked = requests_.find(id);
    if (asked == requests_.end()) return;  // the client has left in the meantime
    if (!pid) return Refuse(*asked->second, 409, pid.error().message);
    const nlohmann::ordered_json json = {{"pid", *pid}, {"previous_pid", getpid()}};
    Reply(id, {200, json.dump(2) + "\n", kJson, {}});
  });
}

void AdminHandler::Drain(Request& request) {
  const std::string_view method = request.head().method_name;
  if (method != "POST" && method != "DELETE") return SendReport(request);
  const Result<DrainQuery> query = ParseDrainQuery(request.head().path);
  if (!query) {
    Refuse(request, 400, query.error().message);
  } else if (query->part) {
    ChangePart(request, *query->part);
  } else if (method == "POST") {
    BeginDrain(request, query->from_command_line ? DrainTrigger::kCli : DrainTrigger::kAdmin);
  } else {
    UndoDrain(request);
  }
}

void AdminHandler::ChangePart(Request& request, const Part& part) {
  const bool undo = request.head().method_name == "DELETE";
  const auto changed = undo ? part_drain_.Undrain(part) : part_drain_.Drain(part);
  if (!changed) {
    Refuse(request, StatusOf(changed.error().kind), changed.error().message);
  } else {
    SendReport(request);
  }
}

void AdminHandler::BeginDrain(Request& request, DrainTrigger trigger) {
  const bool begun = HasBegun(drain_.phase());
  if (const auto accepted = drain_.Begin(trigger); !accepted) {
    Refuse(request, 409, accepted.error().message);
  } else if (begun) {
    SendReport(request);
  } else {
    request.Await(Request::Awaits::kBegun);
  }
}

void AdminHandler::UndoDrain(Request& request) {
  if (const auto undone = drain_.Undrain(); !undone) {
    Refuse(request, 409, undone.error().message);
  } else {
    SendReport(request);
  }
}

void AdminHandler::Prestop(Request& request) {
  const Phase phase = drain_.phase();
  if (const auto accepted = drain_.Begin(DrainTrigger::kPrestop); !accepted) {
    Refuse(request, 409, accepted.error().message);
  } else if (HasBegun(phase) && phase != Phase::kLameDuck) {
    SendReport(request);
  } else {
    request.Await(Request::Awaits::kPropagated);
  }
}

void AdminHandler::SendReport(Request& request) {
  drain_.Report([this, id = request.id()](DrainReport report) {
    report.parts = part_drain_.Describe(report.progress);
    Reply(id, {200, DrainReportJson(report) + "\n", kJson, {}});
  });
}

void AdminHandler::OnPhase(Phase from, Phase to) {
  std::vector<uint64_t> waiting;
  for (const auto& [id, request] : requests_) {
    if (request->awaits() != Request::Awaits::kNothing) waiting.push_back(id);
  }
  for (const uint64_t id : waiting) {
    Request& request = *requests_.at(id);
    if (to == Phase::kLameDuck && request.awaits() == Request::Awaits::kPropagated) continue;
    if (HasBegun(to)) {
      request.Await(Request::Awaits::kNothing);
      SendReport(request);
    } else if (from == Phase::kLameDuck) {
      Refuse(request, 409, "the drain was taken back while this waited for it");
    }
  }
}

void AdminHandler::Refuse(Request& request, int status, std::string_view why) {
  const nlohmann::ordered_json json = {{"error", why}};
  Reply(request.id(), {status, json.dump(2) + "\n", kJson, {}});
}

void AdminHandler::Reply(uint64_t id, Answer answer) {
  auto node = requests_.extract(id);
  if (node.empty()) return;  // the client has left in the meantime
  node.mapped()->Send(std::move(answer));
  loop_.DeleteLater(std::move(node.mapped()));
}

void AdminHandler::Forget(uint64_t id) {
  if (auto node = requests_.extract(id)) loop_.DeleteLater(std::move(node.mapped()));
}

}  // namespace sluice
