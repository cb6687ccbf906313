// What of a request may have to be sent (again): body and trailers that came before there was a
// connection, and what has been sent since, for as long as the upstream may lose or refuse it.
//
// One worker thread.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/arena.h"
#include "base/byte_queue.h"
#include "sluice/loop.h"
#include "sluice/message.h"

namespace sluice {

class ReplayBuffer {
 public:
  // For a request of which up to `most` bytes of body may be sent again; a longer one is let go
  // once it has been sent.
  void Begin(size_t most) { most_ = most; }

  // Body that has to wait for a connection.
  void Add(std::string_view bytes) { body_.Append(bytes); }

  // Trailers that have to wait, or may be needed again; copied to `arena`, which outlives them.
  void AddTrailers(const HeaderList& trailers, Arena& arena);
  const HeaderList& trailers() const { return trailers_; }

  // The sending begins: what has been added, lent until the end of the dispatch. `keep`: it may
  // have to be sent again, and so may what follows.
  std::string_view Send(Loop& loop, bool keep);

  // More of the body was sent.
  void OnSent(std::string_view bytes);

  // All that was sent is still here.
  bool whole() const { return whole_; }

  // It will not be sent again.
  void LetGo();

  // Ready for the next request.
  void Reset();

 private:
  ByteQueue body_;
  HeaderList trailers_;
  size_t most_ = 0;
  bool keep_ = false;
  bool whole_ = true;
};

}  // namespace sluice
