#include "proxy/session_cookie.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <string>

#include "http/cookie.h"

namespace sluice {
namespace {

constexpr size_t kDigits = 16;

}  // namespace

std::optional<uint64_t> SessionEndpoint(const SessionCookie& cookie, const RequestHead& head) {
  const std::string_view value = CookieValue(head.headers, cookie.name);
  if (value.size() != kDigits) return std::nullopt;
  uint64_t identity = 0;
  const auto [end, error] =
      std::from_chars(value.data(), value.data() + value.size(), identity, 16);
  if (error != std::errc() || end != value.data() + value.size()) return std::nullopt;
  return identity;
}

std::string_view SetCookieValue(const SessionCookie& cookie, uint64_t identity, Arena& arena) {
  std::string text = fmt::format("{}={:016x}; Path={}", cookie.name, identity, cookie.path);
  if (cookie.max_age != Duration::zero()) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(cookie.max_age).count();
    text += fmt::format("; Max-Age={}", seconds);
  }
  text += "; HttpOnly; SameSite=Lax";
  if (cookie.secure) text += "; Secure";
  return arena.Copy(text);
}

}  // namespace sluice
