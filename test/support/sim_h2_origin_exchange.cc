#include <algorithm>
#include <cstdlib>

#include "support/sim_h2_origin_parts.h"

namespace sluice {

uint64_t SimH2Origin::Exchange::Number(const std::string& key, uint64_t otherwise) const {
  const auto found = query_.find(key);
  return found == query_.end() ? otherwise : std::strtoull(found->second.c_str(), nullptr, 10);
}

std::string SimH2Origin::Exchange::Text(const std::string& key,
                                        const std::string& otherwise) const {
  const auto found = query_.find(key);
  return found == query_.end() ? otherwise : found->second;
}

// It says that it has not processed the request.
bool SimH2Origin::Exchange::Refuses() {
  if (path_ != "/refuse" && path_ != "/goaway-below") return false;
  if (connection_.origin().times_seen(stream_.in.target) > Number("times", 1)) return false;
  seen().processed = false;
  phase_ = Phase::kDone;
  if (path_ == "/refuse") {
    session().Reset(stream_, h2::kRefusedStream);
  } else {
    connection_.GoawayBelow(stream_.id);
  }
  return true;
}

void SimH2Origin::Exchange::OnHead() {
  if (Refuses()) return;
  if (path_ == "/never-reads" || (path_ == "/upload" && query_.contains("ms"))) {
    stream_.opens = false;
  }
  if (path_ == "/upload" && query_.contains("ms")) OnStep();
  if (path_ == "/early" || path_ == "/forbidden") Answer();
  if (tunnel()) {
    phase_ = Phase::kSending;
    bytes_ = 0;
    session().SendHead(stream_, {{":status", "200"}}, false);
    if (query_.contains("ends")) Finish();
  }
  if (path_ == "/grpc-echo") {
    phase_ = Phase::kSending;
    SendHead();
    bytes_ = 0;
  }
}

void SimH2Origin::Exchange::OnBody() {
  if (tunnel() && phase_ == Phase::kSending) {
    const std::string more = stream_.in.body.substr(given_);
    bytes_ += more.size();
    given_ += more.size();
    session().SendBytes(stream_, more);
  }
  if (path_ != "/grpc-echo") return;
  const uint64_t more = stream_.in.body_bytes - bytes_;
  bytes_ += more;
  given_ += more;
  session().SendBody(stream_, more);
}

// The request is whole.
void SimH2Origin::Exchange::OnEnd() {
  if (phase_ == Phase::kDone || path_ == "/never-reads") return;
  if (path_ == "/grpc-echo" || tunnel()) return Finish();
  if (phase_ != Phase::kReading) return;
  step_.Stop();
  if (Breaks()) return;
  if (path_ == "/slow") {
    phase_ = Phase::kWaiting;
    step_.Set(connection_.origin().loop_.Now() + std::chrono::milliseconds(Number("ms", 10)));
  } else if (path_ == "/hold" || path_ == "/grpc-hold") {
    phase_ = Phase::kHeld;
  } else {
    if (path_ == "/hints") session().SendInterim(stream_, {{":status", "103"}, {"link", "</a>"}});
    Answer();
  }
}

bool SimH2Origin::Exchange::Breaks() {
  if (path_ == "/rst") {
    phase_ = Phase::kDone;
    session().Reset(stream_, static_cast<uint32_t>(Number("error", h2::kInternalError)));
  } else if (path_ == "/die" && !(query_.contains("reused") && stream_.id == 1)) {
    connection_.Die(false);
  } else if (path_ == "/garbage") {
    session().SendFrame({h2::kData, 0, 0, "data on stream 0"});
    connection_.Linger();
  } else {
    return false;
  }
  return true;
}

void SimH2Origin::Exchange::Answer() {
  phase_ = Phase::kSending;
  if (path_ == "/no-content") bytes_ = 0;
  if (grpc()) bytes_ = kSimGrpcMessage;
  if (path_ != "/early" && path_ != "/upload") bytes_ = Number("bytes", bytes_);
  if (path_ == "/drop-mid" || path_ == "/hold-mid" || path_ == "/grpc-hold-mid") {
    stop_at_ = Number("at", bytes_ / 2);
  }
  if (path_ == "/grpc-error") {
    seen().answered = true;
    phase_ = Phase::kDone;
    session().SendHead(stream_,
                       {{":status", "200"},
                        {"content-type", "application/grpc"},
                        {"grpc-status", Text("status", "5")},
                        {"grpc-message", "not%20found"}},
                       true);
    return;
  }
  SendHead();
  if (stream_.in.method == "HEAD") bytes_ = 0;
  SendSome();
}

void SimH2Origin::Exchange::SendHead() {
  const std::string status = path_ == "/no-content" ? "204" : path_ == "/forbidden" ? "403" : "200";
  SimFields head = {{":status", status}, {"x-origin", "sim"}};
  if (grpc()) {
    head.emplace_back("content-type", "application/grpc");
  } else if (path_ != "/chunked" && path_ != "/no-content" && !query_.contains("chunked")) {
    head.emplace_back("content-length", std::to_string(bytes_));
  }
  session().SendHead(stream_, head, false);
}

// The next piece; OnSent follows.
void SimH2Origin::Exchange::SendSome() {
  const bool trickles = query_.contains("ms") && query_.contains("chunk");
  const uint64_t limit = std::min(bytes_, stop_at_);
  const uint64_t piece = trickles ? Number("chunk", 1) : UINT64_MAX;
  const uint64_t count = std::min(piece, limit - given_);
  given_ += count;
  if (given_ == bytes_ && given_ < stop_at_) {
    if (count > 0) session().SendBody(stream_, count);
    return Finish();
  }
  if (count > 0) return session().SendBody(stream_, count);
  OnSent();
}

// What was given so far is on its way.
void SimH2Origin::Exchange::OnSent() {
  if (stream_.out_ended) seen().answered = true;
  if (phase_ != Phase::kSending || path_ == "/grpc-echo" || tunnel()) return;
  if (given_ < std::min(bytes_, stop_at_)) {
    step_.Set(connection_.origin().loop_.Now() + std::chrono::milliseconds(Number("ms", 10)));
  } else if (path_ == "/drop-mid") {
    phase_ = Phase::kDone;
    if (query_.contains("reset")) return connection_.Die(true);
    session().Reset(stream_, h2::kInternalError);
  } else {
    phase_ = Phase::kHeld;
  }
}

void SimH2Origin::Exchange::Finish() {
  phase_ = Phase::kDone;
  if (grpc()) {
    session().FinishWithTrailers(stream_, {{"grpc-status", Text("status", "0")}});
  } else if (query_.contains("trailers") && stream_.in.method != "HEAD") {
    session().FinishWithTrailers(stream_, {{"x-sum", "7"}});
  } else {
    session().Finish(stream_);
  }
  if (query_.contains("rst")) session().Reset(stream_, h2::kNoError);
  if (path_ == "/goaway") connection_.Goaway();
}

void SimH2Origin::Exchange::OnStep() {
  if (phase_ == Phase::kReading) {
    session().OpenWindow(stream_);
    step_.Set(connection_.origin().loop_.Now() + std::chrono::milliseconds(Number("ms", 10)));
  } else if (phase_ == Phase::kWaiting) {
    Answer();
  } else if (phase_ == Phase::kSending) {
    SendSome();
  }
}

void SimH2Origin::Exchange::Release() {
  if (phase_ != Phase::kHeld) return;
  if (stop_at_ == UINT64_MAX) return Answer();
  stop_at_ = UINT64_MAX;
  phase_ = Phase::kSending;
  SendSome();
}

void SimH2Origin::Exchange::OnReset() {
  Stop();
  seen().cancelled = true;
}

void SimH2Origin::Exchange::Stop() {
  phase_ = Phase::kDone;
  step_.Stop();
}

}  // namespace sluice
