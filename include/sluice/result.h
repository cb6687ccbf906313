// Errors are values. A Result<T> holds what was asked for, or an Error that a person can act on.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace sluice {

// Says what was wrong, where (file:line:column, address, route) and what to do, in one line that
// starts in lower case and does not end in a full stop.
struct Error {
  std::string message;
};

template <typename T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> Fail(std::string message) {
  return tl::unexpected<Error>(Error{std::move(message)});
}

}  // namespace sluice
