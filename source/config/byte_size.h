// Sizes as people write them: "64KiB", "1MiB", or a plain number of bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sluice/result.h"

namespace sluice {

// Units: B, KiB, MiB, GiB, TiB (powers of 1024), or none for bytes. KB and the like are refused,
// because half of the world reads them as 1000. The error says what is wrong and what was expected.
Result<uint64_t> ParseByteSize(std::string_view text);

// The shortest text that ParseByteSize reads back as the same number.
std::string FormatByteSize(uint64_t bytes);

}  // namespace sluice
