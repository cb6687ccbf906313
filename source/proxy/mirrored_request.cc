#include "proxy/mirrored_request.h"

#include <utility>

namespace sluice {
namespace {

// More of a body is not held for a mirror that is slow to connect.
constexpr size_t kMaxHeld = 64 * 1024;

constexpr Duration kLongest = std::chrono::seconds(60);

void CopyHead(const RequestHead& from, RequestHead& to) {
  to.method = from.method;
  to.method_name = to.arena.Copy(from.method_name);
  to.scheme = to.arena.Copy(from.scheme);
  to.authority = to.arena.Copy(from.authority);
  to.path = to.arena.Copy(from.path);
  to.version = from.version;
  to.content_length = from.content_length;
  to.accepts_trailers = from.accepts_trailers;
  for (const HeaderField& field : from.headers) {
    to.headers.Add(field.id, to.arena.Copy(field.name), to.arena.Copy(field.value));
  }
}

}  // namespace

MirroredRequest::MirroredRequest(Surroundings around, const RequestHead& head, bool end_stream)
    : around_(std::move(around)),
      generation_(around_.generation),
      timeout_(around_.loop.timers(), Delegate::Bind<&MirroredRequest::OnTimeout>(this)),
      has_body_(!end_stream),
      ended_(end_stream) {
  CopyHead(head, head_);
}

MirroredRequest::~MirroredRequest() {
  if (state_ != State::kOver) Leave();
}

void MirroredRequest::Start() {
  const Duration timeout = around_.timeout == Duration::zero() ? kLongest : around_.timeout;
  timeout_.Set(around_.loop.Now() + timeout);
  auto lease = around_.cluster.Pick({});
  if (!lease) {
    Finish();
    return;
  }
  lease_ = *std::move(lease);
  pool_ = Hold<Held>(&lease_.pool());
  lease_.pool().Acquire(*this, {});
}

void MirroredRequest::OnConnection(ClientConnection& connection, EndpointPool&, bool) {
  state_ = State::kExchanging;
  upstream_ = &connection.StartRequest(head_, !has_body_, *this);
  if (!has_body_ || (body_.empty() && !ended_)) return;
  char* const bytes = around_.loop.Scratch(body_.size());
  const size_t size = body_.size();
  body_.view().copy(bytes, size);
  body_.Clear();
  upstream_->SendBody({bytes, size}, ended_);
}

void MirroredRequest::SendBody(std::string_view bytes, bool end_stream) {
  if (state_ == State::kOver) return;
  ended_ = end_stream;
  if (state_ == State::kConnecting) {
    body_.Append(bytes);
    if (body_.size() > kMaxHeld) Finish();
  } else if (upstream_ == nullptr) {
    return;  // it has answered already
  } else if (upstream_->congested()) {
    Finish();
  } else {
    upstream_->SendBody(bytes, end_stream);
  }
}

void MirroredRequest::OnResponseHead(ResponseHead& head, bool end_stream) {
  lease_.ReportAnswer();
  // A tunnel is nothing to be mirrored.
  if (head.status == 101) {
    Finish();
  } else if (end_stream) {
    ResponseOver();
  }
}

void MirroredRequest::OnResponseBody(std::string_view, bool end_stream) {
  if (end_stream) ResponseOver();
}

void MirroredRequest::OnResponseTrailers(const HeaderList&) { ResponseOver(); }

void MirroredRequest::OnUpstreamFailure(const UpstreamFailure&) { ResponseOver(); }

void MirroredRequest::ResponseOver() {
  upstream_ = nullptr;
  Finish();
}

void MirroredRequest::Finish() {
  if (state_ == State::kOver) return;
  Leave();
  around_.over();
}

// What is left of it may outlive the cluster.
void MirroredRequest::Leave() {
  state_ = State::kOver;
  StopWaiting();
  timeout_.Stop();
  lease_.Release();
  if (upstream_ != nullptr) std::exchange(upstream_, nullptr)->Cancel();
  pool_.Reset();
  generation_.Reset();
}

}  // namespace sluice
