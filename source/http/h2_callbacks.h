// nghttp2's callbacks, one shim each: they find the session and call it by name.
#pragma once

#include <nghttp2/nghttp2.h>

#include "http/h2_session.h"

namespace sluice {

struct H2Session::Callbacks {
  // Of every session; made once for the process.
  static const nghttp2_session_callbacks* All();

  // The source of a stream's DATA frames.
  static nghttp2_data_provider BodyOf(H2Stream& stream);
};

}  // namespace sluice
