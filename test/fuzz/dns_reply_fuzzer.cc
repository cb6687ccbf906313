// Answers of name servers: whatever comes from the network.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "net/dns_reply.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto records = sluice::ParseSrvReply({reinterpret_cast<const char*>(data), size});
  if (records && records->size() > sluice::kMaxSrvRecords) std::abort();
  return 0;
}
