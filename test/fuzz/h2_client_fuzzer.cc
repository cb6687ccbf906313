// Any bytes from an HTTP/2 upstream: a request that is sent there must end, and end once, whatever
// comes back; and the connection must not be kept when it makes no sense. The first byte chooses
// where the bytes are cut, the second how the upstream leaves.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/proxy_sim.h"

namespace {

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

// Reads and forgets what the proxy sends.
struct Deaf final : sluice::TransportEvents {
  void OnData(std::string_view) override {}
  void OnEof() override {}
  void OnWritable() override {}
  void OnError(int) override {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using std::chrono::hours;
  using std::chrono::milliseconds;
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t cut = bytes.size() * data[0] / 255;

  sluice::ProxySimOptions options;
  options.cluster.protocol = sluice::UpstreamProtocol::kHttp2;
  sluice::ProxySim sim(1, options);
  Deaf deaf;
  std::vector<std::unique_ptr<sluice::Transport>> upstream;
  sim.network.At("h2.origin").accept = [&](std::unique_ptr<sluice::Transport> transport) {
    transport->SetEvents(&deaf);
    upstream.push_back(std::move(transport));
    sluice::Transport& accepted = *upstream.back();
    accepted.Write(sim.loop.Lend(std::string(bytes.substr(0, cut))));
    sim.loop.At(sim.loop.Now() + milliseconds(20), [&, end = data[1] % 3] {
      accepted.Write(sim.loop.Lend(std::string(bytes.substr(cut))));
      if (end == 1) accepted.ShutdownWrite();
      if (end == 2) accepted.Reset();
    });
  };
  auto client = sim.Connect();
  client->Request("GET", "/a");
  auto other = sim.ConnectH2();
  const uint32_t id = other->Request("POST", "/b", {}, "a body");
  sim.loop.RunFor(hours(1));
  Check(sim.Progress().in_flight_total() == 0, "a request is in flight for ever");
  Check(sim.log.size() == 2, "a request that is not on record exactly once");
  Check(other->stream(id).over(), "a stream without an end");
  Check(client->complaint().empty() && other->complaint().empty(),
        "a client that was sent nonsense");
  return 0;
}
