#include "support/sim_visitor.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace sluice {
namespace {

using std::chrono::milliseconds;

Duration Millis(uint64_t count) { return milliseconds(static_cast<int64_t>(count)); }

}  // namespace

std::string_view MannerName(Manner manner) {
  static constexpr std::string_view kNames[kMannerCount] = {
      "patient",      "pipelining",  "stalls_in_head", "stalls_in_body", "uploads_slowly",
      "reads_slowly", "never_reads", "leaves",         "half_closes",    "tunnels"};
  return kNames[static_cast<size_t>(manner)];
}

uint64_t ExpectedBody(const std::string& target) {
  const std::string path = target.substr(0, target.find('?'));
  auto query = SimQuery(target);
  if (path == "/until-close") return UINT64_MAX;
  if (path == "/no-content") return 0;
  if (query.contains("bytes") && path != "/die-after-head") {
    return std::strtoull(query["bytes"].c_str(), nullptr, 10);
  }
  return 16;
}

SimVisitor::SimVisitor(ProxySim& sim, uint64_t seed, std::string name, Duration arrival)
    : sim_(sim),
      random_(seed),
      name_(std::move(name)),
      // Patient and pipelining clients are the common ones.
      manner_(random_.Chance(0.3) ? static_cast<Manner>(random_.Below(2))
                                  : static_cast<Manner>(random_.Below(kMannerCount))),
      client_(sim.loop, sim.network, "proxy") {
  client_.on_answer = [this] { OnAnswer(); };
  Later(arrival, &SimVisitor::Arrive);
}

bool SimVisitor::tardy() const {
  return manner_ == Manner::kStallsInHead || manner_ == Manner::kStallsInBody ||
         manner_ == Manner::kUploadsSlowly || manner_ == Manner::kReadsSlowly ||
         manner_ == Manner::kNeverReads || manner_ == Manner::kTunnels;
}

void SimVisitor::Later(Duration delay, void (SimVisitor::*what)()) {
  sim_.loop.After(delay, [this, what] { (this->*what)(); });
}

std::string SimVisitor::Target() {
  const std::string id = "id=" + name_ + "." + std::to_string(made_);
  const std::string bytes = "&bytes=" + std::to_string(random_.Below(1u << random_.Below(18)));
  switch (random_.Below(18)) {
    case 0:
      return "/slow?" + id + "&ms=" + std::to_string(random_.Below(3000));
    case 1:
    case 2:
      return "/big?" + id + bytes;
    case 3:
    case 4:
      return "/chunked?" + id + bytes + "&chunk=" + std::to_string(1 + random_.Below(5000)) +
             (random_.Chance(0.5) ? "&trailers=1" : "");
    case 5:
      return "/trickle?" + id + "&bytes=40&chunk=7&ms=" + std::to_string(random_.Below(500));
    case 6:
      return "/until-close?" + id + bytes;
    case 7:
      return "/no-content?" + id;
    case 8:
      return "/close?" + id;
    case 9:
      return "/quiet-close?" + id;
    case 10:
      return "/die?" + id + (random_.Chance(0.8) ? "&reused=1" : "");
    case 11:
      return "/drop-mid?" + id + bytes + (random_.Chance(0.5) ? "&reset=1" : "");
    case 12:
      return random_.Chance(0.3) ? "/garbage?" + id : "/fast?" + id;
    case 13:
      return "/hints?" + id;
    default:
      return "/fast?" + id;
  }
}

void SimVisitor::RequestSomething() {
  const std::string target = Target();
  ++made_;
  const uint64_t kind = random_.Below(10);
  if (kind == 0) {
    client_.Request("HEAD", target);
  } else if (kind == 1) {
    client_.Request("POST", target, {}, SimBody(0, 1 + random_.Below(3000)));
  } else if (kind == 2) {
    const size_t count = 1 + random_.Below(1000);
    char size[32];
    std::snprintf(size, sizeof(size), "%zx", count);
    client_.Begin("PUT", target,
                  "PUT " + target +
                      " HTTP/1.1\r\nHost: sim.test\r\nTransfer-Encoding: chunked\r\n" + "\r\n" +
                      size + "\r\n" + SimBody(0, count) + "\r\n0\r\n\r\n");
  } else {
    client_.Request("GET", target);
  }
}

void SimVisitor::UploadSomething(uint64_t stop_at) {
  const uint64_t bytes = 1000 + random_.Below(100'000);
  const char* path = random_.Chance(0.2) ? "/early?id=" : "/upload?id=";
  const bool slowly = manner_ == Manner::kUploadsSlowly;
  client_.Upload(path + name_ + "." + std::to_string(made_++), bytes,
                 slowly ? 1 + random_.Below(4000) : 16 * 1024,
                 slowly ? Millis(1 + random_.Below(300)) : Duration{}, stop_at);
}

void SimVisitor::Arrive() {
  client_.Connect();
  switch (manner_) {
    case Manner::kPatient:
      planned_ = 1 + random_.Below(6);
      RequestSomething();
      break;
    case Manner::kPipelining:
      planned_ = 2 + random_.Below(4);
      while (made_ < planned_) RequestSomething();
      break;
    case Manner::kStallsInHead:
      incomplete_ = made_;
      client_.Begin(
          "GET", "/fast",
          std::string_view("GET /fast HTTP/1.1\r\nHost: x\r").substr(0, 1 + random_.Below(28)));
      break;
    case Manner::kStallsInBody:
      incomplete_ = made_;
      UploadSomething(random_.Below(1000));
      break;
    case Manner::kUploadsSlowly:
      UploadSomething(UINT64_MAX);
      break;
    case Manner::kReadsSlowly:
      client_.ReadSlowly(Millis(1 + random_.Below(400)));
      planned_ = 1 + random_.Below(3);
      RequestSomething();
      break;
    case Manner::kNeverReads:
      client_.ReadSlowly(std::chrono::hours(24));
      while (made_ < 1 + random_.Below(3)) RequestSomething();
      planned_ = made_;
      break;
    case Manner::kLeaves:
      planned_ = 2;
      RequestSomething();
      if (random_.Chance(0.5)) RequestSomething();
      Later(Millis(random_.Below(1000)), &SimVisitor::Leave);
      break;
    case Manner::kHalfCloses:
      planned_ = 1 + random_.Below(3);
      while (made_ < planned_) RequestSomething();
      client_.HalfClose();
      break;
    case Manner::kTunnels:
      client_.Request("GET", "/upgrade?id=" + name_, "Connection: upgrade\r\nUpgrade: echo\r\n");
      ++made_;
      break;
  }
}

void SimVisitor::OnAnswer() {
  if (client_.reader().in_tunnel()) {
    Later(Millis(random_.Below(500)), &SimVisitor::TalkInTunnel);
  } else if (client_.told_to_close()) {
    if (random_.Chance(0.7)) Later(Millis(random_.Below(50)), &SimVisitor::Close);
  } else if (client_.answered() == made_ && made_ < planned_) {
    Later(Millis(random_.Below(1u << random_.Below(11))), &SimVisitor::RequestSomething);
  } else if (client_.answered() == planned_ && random_.Chance(0.3)) {
    Later(Millis(random_.Below(1000)), &SimVisitor::Close);
  }
}

void SimVisitor::TalkInTunnel() {
  client_.Send("hello tunnel");
  if (random_.Chance(0.6)) client_.HalfClose();
}

void SimVisitor::Close() {
  if (client_.answered() < client_.sent().size() && !client_.told_to_close()) left_ = true;
  client_.Close();
}

void SimVisitor::Leave() {
  left_ = true;
  if (random_.Chance(0.5)) {
    client_.Close();
  } else {
    client_.Reset();
  }
}

std::string SimVisitor::Describe() const {
  std::string text = name_ + " " + std::string(MannerName(manner_)) + ", from " +
                     client_.local_address() + ", state " +
                     std::to_string(static_cast<int>(client_.state())) + ", error " +
                     std::to_string(client_.error()) + "\n";
  for (size_t i = 0; i < client_.sent().size(); ++i) {
    text += "    " + client_.sent()[i].method + " " + client_.sent()[i].target + " at " +
            std::to_string(client_.sent()[i].offset) + " -> ";
    if (i < client_.responses().size()) {
      const SimMessage& response = client_.responses()[i];
      text += std::to_string(response.status) + (response.complete ? " complete " : " part ") +
              std::to_string(response.body_bytes) + (response.close ? " close" : "") + "\n";
    } else {
      text += "nothing\n";
    }
  }
  return text;
}

}  // namespace sluice
