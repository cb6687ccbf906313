#include "http/cookie.h"

#include <algorithm>

namespace sluice {
namespace {

std::string_view Trim(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  const size_t end = text.find_last_not_of(" \t") + 1;
  return end <= begin ? std::string_view() : text.substr(begin, end - begin);
}

}  // namespace

std::string_view CookieValue(const HeaderList& headers, std::string_view name) {
  for (const HeaderField& field : headers) {
    if (field.id != HeaderId::kCookie) continue;
    std::string_view left = field.value;
    while (!left.empty()) {
      const size_t end = std::min(left.find(';'), left.size());
      const std::string_view pair = left.substr(0, end);
      left.remove_prefix(std::min(end + 1, left.size()));
      const size_t equals = pair.find('=');
      if (equals == std::string_view::npos || Trim(pair.substr(0, equals)) != name) continue;
      std::string_view value = Trim(pair.substr(equals + 1));
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
        value = value.substr(1, value.size() - 2);
      }
      return value;
    }
  }
  return {};
}

}  // namespace sluice
