#include "http/moved_state.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace sluice {
namespace {

MovedState Some() {
  MovedState state;
  state.peer = "127.0.0.1:4000";
  state.age = std::chrono::hours(3);
  state.limit_left = std::chrono::milliseconds(1500);
  state.sniffing = true;
  state.sniffed = 2;
  state.codec.requests = 7;
  state.codec.input = std::string("GET /\0", 6);
  state.unsent = "HTTP";
  return state;
}

TEST(MovedState, ComesBackAsItWas) {
  const auto state = DecodeMovedState(EncodeMovedState(Some()));
  ASSERT_TRUE(state);
  EXPECT_EQ(state->peer, "127.0.0.1:4000");
  EXPECT_EQ(state->age, std::chrono::hours(3));
  EXPECT_EQ(state->limit_left, std::chrono::milliseconds(1500));
  EXPECT_TRUE(state->sniffing);
  EXPECT_EQ(state->sniffed, 2);
  EXPECT_EQ(state->codec.requests, 7u);
  EXPECT_EQ(state->codec.input, std::string("GET /\0", 6));
  EXPECT_EQ(state->unsent, "HTTP");
}

TEST(MovedState, OfWhichAPartIsMissingIsRefused) {
  const std::string whole = EncodeMovedState(Some());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(DecodeMovedState(whole.substr(0, size))) << size;
  }
  EXPECT_FALSE(DecodeMovedState(whole + "x"));
}

TEST(MovedState, OfAnotherVersionIsRefusedByName) {
  std::string bytes = EncodeMovedState(Some());
  bytes[0] = 99;
  const auto state = DecodeMovedState(bytes);
  ASSERT_FALSE(state);
  EXPECT_NE(state.error().message.find("version 99"), std::string::npos) << state.error().message;
}

TEST(MovedState, ThatContradictsItselfIsRefused) {
  MovedState state = Some();
  state.sniffing = false;  // and yet bytes were held back
  EXPECT_FALSE(DecodeMovedState(EncodeMovedState(state)));
  state = Some();
  state.sniffed = 4;  // the preface would have been known
  EXPECT_FALSE(DecodeMovedState(EncodeMovedState(state)));
  state = Some();
  state.unsent.assign(kMaxMovedState + 1, 'x');
  EXPECT_FALSE(DecodeMovedState(EncodeMovedState(state)));
}

}  // namespace
}  // namespace sluice
