// SHA-1 (FIPS 180-4), for protocols that ask for it as a checksum, as the handshake of WebSocket
// does. It keeps no secret: collisions are made at will.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sluice {

std::array<uint8_t, 20> Sha1(std::string_view text);

}  // namespace sluice
