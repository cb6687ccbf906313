// What another process says in a hand-over, any bytes: it is refused, or it is what would be
// written again. The first byte of an input chooses the message.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "lifecycle/hand_over_messages.h"

namespace sluice {
namespace {

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

template <typename Message>
void CheckAgain(const Result<Message>& message, Result<Message> (*decode)(std::string_view)) {
  if (!message) {
    Check(!message.error().message.empty(), "a refusal says why");
    return;
  }
  const auto again = decode(Encode(*message));
  Check(again.has_value() && *again == *message, "written and read again it is the same");
}

void CheckMessage(uint8_t kind, std::string_view bytes) {
  switch (kind % 6) {
    case 0:
      return CheckAgain(DecodeHello(bytes), DecodeHello);
    case 1:
      return CheckAgain(DecodeOffer(bytes), DecodeOffer);
    case 2:
      return CheckAgain(DecodeSockets(bytes), DecodeSockets);
    case 3:
      return CheckAgain(DecodeTicketKeys(bytes), DecodeTicketKeys);
    case 4:
      return CheckAgain(DecodeMove(bytes), DecodeMove);
    default:
      return CheckAgain(DecodeMoveAnswer(bytes), DecodeMoveAnswer);
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  sluice::CheckMessage(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
