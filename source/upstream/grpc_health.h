// The two messages of grpc.health.v1.Health/Check, in gRPC's framing: few enough bytes to need no
// protobuf library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

inline constexpr std::string_view kGrpcHealthPath = "/grpc.health.v1.Health/Check";

// HealthCheckRequest{service}; `service` has less than 128 KiB.
std::string EncodeHealthCheckRequest(std::string_view service);

// What a HealthCheckResponse says.
enum class ServingStatus : uint8_t { kUnknown, kServing, kNotServing, kServiceUnknown, kMalformed };

// Reads the body of a response, which must be one whole message. Fields that it does not know are
// skipped; of several statuses the last counts, as protobuf says.
ServingStatus DecodeHealthCheckResponse(std::string_view body);

}  // namespace sluice
