// The service that answers when Sluice is started without one, so that a first try, a demonstration
// and a test need no other program.
//
//   /                        a greeting
//   /bytes/N                 N bytes, up to 1 TiB
//   /echo                    the request's body, as it arrives
//   /delay/MS                a greeting after MS milliseconds, up to an hour
//   /status/NNN              that status, 200 to 599
//   /headers                 the request's head as the origin sees it: shows what the proxy adds
//   /stream/N?interval=MS    N chunks, one each MS milliseconds (100)
//
// Everything else is answered 404 with this list. Any method is served; HEAD gets the head alone.
#pragma once

#include <string_view>

#include "base/intrusive_list.h"
#include "sluice/handler.h"
#include "sluice/loop.h"

namespace sluice {

struct ExchangeTag {};

// One thread: its loop's.
class EmbeddedOrigin final : public Handler {
 public:
  explicit EmbeddedOrigin(Loop& loop);  // `loop` must outlive it
  // Streams that are still open must not be used any more.
  ~EmbeddedOrigin() override;
  EmbeddedOrigin(const EmbeddedOrigin&) = delete;
  EmbeddedOrigin& operator=(const EmbeddedOrigin&) = delete;

  void OnRequest(ServerStream& stream, bool end_stream) override;

  // One answer that takes longer than a call (embedded_origin.cc).
  class Exchange;

 private:
  template <typename T, typename... Args>
  void Begin(ServerStream& stream, Args... args);
  // A copy of `text` that lives until the end of the dispatch.
  std::string_view Lend(std::string_view text);
  void AnswerHeaders(ServerStream& stream);
  void AnswerBytes(ServerStream& stream, std::string_view count);
  void AnswerDelay(ServerStream& stream, std::string_view delay);
  void AnswerStatus(ServerStream& stream, std::string_view status);
  void AnswerStream(ServerStream& stream, std::string_view count);

  Loop& loop_;
  IntrusiveList<Exchange, ExchangeTag> exchanges_;  // owned
};

}  // namespace sluice
