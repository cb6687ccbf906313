// The input is what another process calls its ticket keys, or what a file of them holds. What is
// taken comes out again as it went in; what is not changes nothing.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/tls_ticket_keys.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  static TlsTicketKeys keys;
  const std::string before = keys.Export();
  const bool taken = keys.Import(input, WallTime{}).has_value();
  if (keys.Export() != (taken ? std::string(input) : before)) {
    std::fprintf(stderr, "violated: keys are taken whole or not at all\n");
    std::abort();
  }
  return 0;
}
