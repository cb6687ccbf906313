// Answers of grpc.health.v1: whatever an upstream sends.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "upstream/grpc_health.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::DecodeHealthCheckResponse({reinterpret_cast<const char*>(data), size});
  return 0;
}
