#include "proxy/echoed_upload.h"

#include <utility>

namespace sluice {

EchoedUpload::EchoedUpload(Owner& owner, ClientStream& exchange, Cluster::Lease lease,
                           uint64_t sent, Loop& loop)
    : loop_(loop),
      owner_(owner),
      exchange_(&exchange),
      pool_(&lease.pool()),
      lease_(std::move(lease)),
      missing_(sent) {
  exchange.SetReceiver(*this);
  exchange.PauseResponse();
}

EchoedUpload::~EchoedUpload() { Stop(); }

void EchoedUpload::Stop() {
  told_ = true;
  Leave();
}

// What is left of it may outlive the cluster.
void EchoedUpload::Leave() {
  if (exchange_ != nullptr) std::exchange(exchange_, nullptr)->Cancel();
  lease_.Release();
  pool_.Reset();
}

void EchoedUpload::Pause() {
  paused_ = true;
  if (exchange_ != nullptr) exchange_->PauseResponse();
}

void EchoedUpload::Resume() {
  if (!std::exchange(paused_, false)) return;
  if (const std::string_view held = held_.view(); !held.empty()) {
    char* const bytes = loop_.Scratch(held.size());
    held.copy(bytes, held.size());
    const size_t size = held.size();
    held_.Clear();
    owner_.OnEcho({bytes, size});  // may pause it again
  }
  if (!paused_) Settle();
  if (!paused_ && exchange_ != nullptr && !told_) exchange_->ResumeResponse();
}

void EchoedUpload::OnResponseBody(std::string_view bytes, bool end_stream) {
  if (end_stream) exchange_ = nullptr;
  // The draft, "Intermediary Processing": more than was sent is an error.
  if (bytes.size() > missing_) {
    missing_ = UINT64_MAX;
    if (exchange_ != nullptr) std::exchange(exchange_, nullptr)->Cancel();
  } else {
    missing_ -= bytes.size();
    if (paused_) {
      held_.Append(bytes);
    } else if (!bytes.empty()) {
      owner_.OnEcho(bytes);
    }
  }
  if (!paused_) Settle();
}

void EchoedUpload::OnResponseTrailers(const HeaderList&) {
  exchange_ = nullptr;
  if (!paused_) Settle();
}

void EchoedUpload::OnUpstreamFailure(const UpstreamFailure&) {
  exchange_ = nullptr;
  if (!paused_) Settle();
}

// All that has come was delivered.
void EchoedUpload::Settle() {
  if (told_ || !held_.empty() || (missing_ > 0 && exchange_ != nullptr)) return;
  told_ = true;
  // The upstream has no need of the rest of a request that it will not carry out.
  Leave();
  missing_ == 0 ? owner_.OnEchoOver() : owner_.OnEchoFailed();
}

}  // namespace sluice
