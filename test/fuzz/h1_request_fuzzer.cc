// Requests in any bytes: the parser must tell the same story however they are cut, and consume what
// it says it consumes. The first two bytes choose the cut and the limits.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz/h1_transcript.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using sluice::test::H1Transcript;
  if (size < 2) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t cut = input.size() * data[0] / 255;

  sluice::HttpLimits limits;
  if ((data[1] & 1) != 0) limits = {.header_bytes = 200, .header_count = 5, .uri_bytes = 20};
  if ((data[1] & 2) != 0) limits.body_bytes = 10;
  sluice::test::CheckAllCuts(H1Transcript::Side::kRequests, limits, input, cut);
  return 0;
}
