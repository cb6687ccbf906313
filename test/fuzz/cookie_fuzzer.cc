// The Cookie field: whatever a client sends. A value that is found is part of the field.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "http/cookie.h"
#include "proxy/session_cookie.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view field(reinterpret_cast<const char*>(data), size);
  sluice::RequestHead head;
  head.headers.Add(sluice::HeaderId::kCookie, "cookie", field);
  const std::string_view value = sluice::CookieValue(head.headers, "a");
  const bool within = value.empty() || (value.data() >= field.data() &&
                                        value.data() + value.size() <= field.data() + field.size());
  if (!within) std::abort();
  sluice::SessionEndpoint({}, head);
  return 0;
}
