#include "upstream/health_probe.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "http/grpc.h"
#include "http/h1_client_connection.h"
#include "upstream/grpc_health.h"

namespace sluice {
namespace {

// More than this of a body is not waited for.
constexpr uint64_t kMaxBody = 64 * 1024;
constexpr size_t kMaxGrpcBody = 4 * 1024;

constexpr std::string_view kUserAgent = "sluice-health-check";

// Why there is no connection.
std::string_view ReasonOf(int error) {
  switch (error) {
    case ECONNREFUSED:
    case ENOENT:  // a Unix socket that is not there
      return "refused";
    case EPROTO:
      return "TLS failed";
    case ECONNRESET:
      return "broke off";
    case ETIMEDOUT:
      return kTimeoutReason;
    default:
      return "unreachable";
  }
}

std::string_view ReasonOf(ServingStatus status) {
  switch (status) {
    case ServingStatus::kServing:
      return {};
    case ServingStatus::kNotServing:
      return "not serving";
    case ServingStatus::kServiceUnknown:
      return "service unknown";
    case ServingStatus::kUnknown:
      return "serving status unknown";
    case ServingStatus::kMalformed:
      break;
  }
  return "malformed answer";
}

}  // namespace

HealthProbeConfig::HealthProbeConfig(const ClusterConfig& cluster)
    : check(*cluster.health_check),
      reads_drain_header(cluster.upstream_drain.header),
      scheme(cluster.tls ? "https" : "http"),
      http2_only(cluster.protocol == UpstreamProtocol::kHttp2 ||
                 check.kind == HealthCheckKind::kGrpc) {
  for (const std::string& text : check.statuses) {
    if (const auto range = ParseStatusRange(text)) statuses.push_back(*range);
  }
}

HealthProbe::HealthProbe(Loop& loop, Dialer& dialer, const HealthProbeConfig& config,
                         const std::string& address, std::function<void(const ProbeResult&)> done)
    : loop_(loop),
      config_(config),
      address_(address),
      done_(std::move(done)),
      timeout_(loop.timers(), Delegate::Bind<&HealthProbe::OnTimeout>(this)) {
  http2_.streams_per_connection = 1;
  timeout_.Set(loop_.Now() + config_.check.timeout);
  attempt_ = dialer.Dial(address_, [this](std::unique_ptr<Transport> transport, int error) {
    OnDialed(std::move(transport), error);
  });
}

HealthProbe::~HealthProbe() {
  state_ = State::kOver;
  if (connection_ != nullptr) connection_->Close();
}

void HealthProbe::OnDialed(std::unique_ptr<Transport> transport, int error) {
  if (state_ != State::kConnecting) return;
  if (error != 0) {
    Finish({.reason = ReasonOf(error)});
  } else if (config_.check.kind == HealthCheckKind::kTcp) {
    loop_.DeleteLater(std::move(transport));
    Finish({.passed = true});
  } else {
    Ask(std::move(transport));
  }
}

void HealthProbe::Ask(std::unique_ptr<Transport> transport) {
  state_ = State::kAsking;
  const bool grpc = config_.check.kind == HealthCheckKind::kGrpc;
  const TlsInfo* const tls = transport->tls();
  const bool http2 = tls != nullptr ? tls->alpn == "h2" : config_.http2_only;
  // gRPC has nothing else, and requests that may use nothing else would all fail.
  if (config_.http2_only && !http2) {
    loop_.DeleteLater(std::move(transport));
    Finish({.reason = "no HTTP/2"});
    return;
  }
  auto& owner = static_cast<ClientConnectionOwner&>(*this);
  if (http2) {
    connection_ = std::make_unique<H2ClientConnection>(loop_, std::move(transport), owner, http2_);
  } else {
    connection_ =
        std::make_unique<H1ClientConnection>(loop_, std::move(transport), owner, http2_.limits);
  }
  request_.method = grpc ? Method::kPost : Method::kGet;
  request_.method_name = grpc ? "POST" : "GET";
  request_.scheme = config_.scheme;
  request_.authority = config_.check.host.empty() ? address_ : config_.check.host;
  if (request_.authority.starts_with("unix:")) request_.authority = "localhost";
  request_.path = grpc ? kGrpcHealthPath : config_.check.path;
  request_.headers.Add(HeaderId::kUserAgent, "user-agent", kUserAgent);
  if (!grpc) {
    connection_->StartRequest(request_, true, *this);
    return;
  }
  request_.headers.Add(HeaderId::kContentType, "content-type", "application/grpc");
  request_.accepts_trailers = true;
  ClientStream& stream = connection_->StartRequest(request_, false, *this);
  const std::string message = EncodeHealthCheckRequest(config_.check.service);
  char* const bytes = loop_.Scratch(message.size());
  message.copy(bytes, message.size());
  stream.SendBody({bytes, message.size()}, true);
}

void HealthProbe::OnResponseHead(ResponseHead& head, bool end_stream) {
  result_.status = head.status;
  if (config_.reads_drain_header) {
    const HeaderField* const drain = head.headers.Find(HeaderId::kXSluiceDrain);
    result_.draining = drain != nullptr && EqualsIgnoreCase(drain->value, "true");
  }
  if (end_stream) Judge(GrpcStatusIn(head.headers));
}

void HealthProbe::OnResponseBody(std::string_view bytes, bool end_stream) {
  received_ += bytes.size();
  const bool grpc = config_.check.kind == HealthCheckKind::kGrpc;
  if (grpc) body_.append(bytes.substr(0, kMaxGrpcBody - std::min(body_.size(), kMaxGrpcBody)));
  if (grpc && received_ > kMaxGrpcBody) {
    Finish({.reason = ReasonOf(ServingStatus::kMalformed), .status = result_.status});
  } else if (end_stream || received_ > kMaxBody) {
    // Over HTTP the status is the answer, however much comes behind it.
    Judge(-1);
  }
}

void HealthProbe::OnResponseTrailers(const HeaderList& trailers) { Judge(GrpcStatusIn(trailers)); }

void HealthProbe::OnUpstreamFailure(const UpstreamFailure&) {
  Finish({.reason = "broke off", .status = result_.status});
}

void HealthProbe::Judge(int grpc_status) {
  ProbeResult result = result_;
  if (config_.check.kind == HealthCheckKind::kGrpc) {
    if (result.status != 200) {
      result.reason = kStatusReason;
    } else if (grpc_status != 0) {
      result.reason = "grpc-status";
    } else {
      result.reason = ReasonOf(DecodeHealthCheckResponse(body_));
    }
    result.passed = result.reason.empty();
  } else {
    result.passed =
        std::any_of(config_.statuses.begin(), config_.statuses.end(),
                    [&](const StatusRange& range) { return range.Contains(result.status); });
    if (!result.passed) result.reason = kStatusReason;
  }
  Finish(result);
}

void HealthProbe::Finish(const ProbeResult& result) {
  if (state_ == State::kOver) return;
  state_ = State::kOver;
  timeout_.Stop();
  if (connection_ != nullptr) {
    connection_->Close();
    loop_.DeleteLater(std::move(connection_));
  }
  done_(result);
}

}  // namespace sluice
