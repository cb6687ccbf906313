// Responses in any bytes, as an answer to GET, HEAD or CONNECT. The first two bytes choose the cut,
// and the request and the limits.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz/h1_transcript.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using sluice::test::H1Transcript;
  static constexpr H1Transcript::Side kSides[] = {
      H1Transcript::Side::kResponses, H1Transcript::Side::kResponses,
      H1Transcript::Side::kResponseToHead, H1Transcript::Side::kResponseToConnect};
  if (size < 2) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t cut = input.size() * data[0] / 255;

  sluice::HttpLimits limits;
  if ((data[1] & 4) != 0) limits = {.header_bytes = 200, .header_count = 5};
  sluice::test::CheckAllCuts(kSides[data[1] & 3], limits, input, cut);
  return 0;
}
