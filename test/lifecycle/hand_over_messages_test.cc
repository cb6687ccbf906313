#include "lifecycle/hand_over_messages.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

const HandOverOffer kOffer{
    .generation = 3, .socket_count = 2, .moves_connections = true, .ancestors = {17, 4711}};
const std::vector<HandOverSocket> kSockets = {
    {HandOverSocket::Kind::kListener, "web", "127.0.0.1:0", "127.0.0.1:8080"},
    {HandOverSocket::Kind::kAdmin, "admin", "unix:/run/a", "unix:/run/a"},
    {HandOverSocket::Kind::kTakeover, "", "unix:/run/t", "unix:/run/t"}};
const HandOverTicketKeys kKeys{"web", std::string("\0\1\2", 3)};
const HandOverMove kMove{9, "web", std::string("state\0", 6)};
const HandOverMoveAnswer kAnswer{9, false, "no such route"};

TEST(HandOverMessagesTest, AreReadAsTheyWereWritten) {
  EXPECT_EQ(*DecodeHello(Encode(HandOverHello{.generation = 2})), HandOverHello{.generation = 2});
  EXPECT_EQ(*DecodeOffer(Encode(kOffer)), kOffer);
  EXPECT_EQ(*DecodeSockets(Encode(kSockets)), kSockets);
  EXPECT_EQ(*DecodeTicketKeys(Encode(kKeys)), kKeys);
  EXPECT_EQ(*DecodeMove(Encode(kMove)), kMove);
  EXPECT_EQ(*DecodeMoveAnswer(Encode(kAnswer)), kAnswer);
}

template <typename Decode>
void RefusesEveryOtherLength(const std::string& bytes, Decode decode) {
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode(bytes.substr(0, size)).has_value()) << size << " of " << bytes.size();
  }
  EXPECT_FALSE(decode(bytes + "x").has_value());
}

TEST(HandOverMessagesTest, ThatAreCutShortOrGoOnAreRefused) {
  RefusesEveryOtherLength(Encode(HandOverHello{}), DecodeHello);
  RefusesEveryOtherLength(Encode(kOffer), DecodeOffer);
  RefusesEveryOtherLength(Encode(kSockets), DecodeSockets);
  RefusesEveryOtherLength(Encode(kKeys), DecodeTicketKeys);
  RefusesEveryOtherLength(Encode(kMove), DecodeMove);
  RefusesEveryOtherLength(Encode(kAnswer), DecodeMoveAnswer);
}

TEST(HandOverMessagesTest, OfAnotherVersionOnlyTheVersionIsRead) {
  std::string hello = Encode(HandOverHello{});
  std::string offer = Encode(HandOverOffer{});
  hello[0] = offer[0] = 77;
  EXPECT_EQ(DecodeHello(hello + "what version 77 adds")->version, 77u);
  EXPECT_EQ(DecodeOffer(offer + "what version 77 adds")->version, 77u);
}

TEST(HandOverMessagesTest, AnImpossiblyLongListIsRefused) {
  HandOverOffer offer = kOffer;
  offer.ancestors.resize(5000);
  EXPECT_FALSE(DecodeOffer(Encode(offer)).has_value());
  EXPECT_FALSE(DecodeSockets(Encode(std::vector<HandOverSocket>(5000))).has_value());
}

TEST(HandOverMessagesTest, AnUnknownKindOfSocketIsRefused) {
  std::string bytes = Encode(std::vector<HandOverSocket>(1));
  bytes[4] = 3;
  EXPECT_FALSE(DecodeSockets(bytes).has_value());
}

}  // namespace
}  // namespace sluice
