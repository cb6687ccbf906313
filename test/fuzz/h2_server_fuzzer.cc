// Any bytes from a client that began as HTTP/2: the whole proxy must neither crash nor hang, and
// when the client has gone nothing of it may be left. The first byte chooses where the bytes are
// cut, the second whether the client stays, half-closes or resets behind them.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "support/proxy_sim.h"
#include "support/sim_h2_wire.h"

namespace {

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using std::chrono::hours;
  using std::chrono::milliseconds;
  if (size < 2) return 0;
  const std::string bytes = std::string(sluice::h2::kPreface) +
                            std::string(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t cut = bytes.size() * data[0] / 255;

  sluice::ProxySim sim;
  auto client = sim.Connect();
  client->Send(std::string_view(bytes).substr(0, cut));
  sim.loop.RunFor(milliseconds(20));
  client->Send(std::string_view(bytes).substr(cut));
  sim.loop.RunFor(milliseconds(20));
  if (data[1] % 3 == 1) client->HalfClose();
  if (data[1] % 3 == 2) client->Reset();
  sim.origin.Release();
  sim.loop.RunFor(hours(1));
  client->Close();
  sim.loop.RunFor(hours(1));
  Check(sim.Progress().in_flight_total() == 0, "a request is in flight for ever");
  Check(sim.connections.connection_count() == 0, "a connection is open though its client has gone");
  for (const sluice::SimLogEntry& entry : sim.log) {
    Check(entry.record.status == 0 || entry.record.status >= 200, "an interim status on record");
  }
  return 0;
}
