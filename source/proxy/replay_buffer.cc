#include "proxy/replay_buffer.h"

namespace sluice {

void ReplayBuffer::AddTrailers(const HeaderList& trailers, Arena& arena) {
  for (const HeaderField& field : trailers) {
    trailers_.Add(field.id, arena.Copy(field.name), arena.Copy(field.value));
  }
}

std::string_view ReplayBuffer::Send(Loop& loop, bool keep) {
  keep_ = keep;
  if (body_.empty()) return {};
  // The queue may change within the dispatch.
  const std::string_view held = body_.view();
  char* const bytes = loop.Scratch(held.size());
  held.copy(bytes, held.size());
  const std::string_view lent(bytes, held.size());
  if (!keep || !whole_ || lent.size() > most_) LetGo();
  return lent;
}

void ReplayBuffer::OnSent(std::string_view bytes) {
  if (!whole_ || bytes.empty()) return;
  if (keep_ && body_.size() + bytes.size() <= most_) {
    body_.Append(bytes);
  } else {
    LetGo();
  }
}

void ReplayBuffer::LetGo() {
  whole_ = false;
  body_.Clear();
}

void ReplayBuffer::Reset() {
  body_.Clear();
  trailers_.Clear();
  keep_ = false;
  whole_ = true;
}

}  // namespace sluice
