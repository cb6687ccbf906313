#include "base/arena.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/random.h"

namespace sluice {
namespace {

TEST(ArenaTest, CopiesText) {
  Arena arena;
  std::string text = "value";
  const std::string_view copy = arena.Copy(text);
  text = "other";
  EXPECT_EQ(copy, "value");
  EXPECT_EQ(arena.Copy(""), "");
}

TEST(ArenaTest, ConcatenatesParts) {
  Arena arena;
  const std::string owned = "c";
  EXPECT_EQ(arena.Concat("a", std::string_view("b"), owned, "", "d"), "abcd");
  EXPECT_EQ(arena.Concat("", ""), "");
}

TEST(ArenaTest, AppendExtendsTheNewestInPlace) {
  Arena arena;
  const std::string_view first = arena.Copy("con");
  const std::string_view whole = arena.Append(first, "nection");
  EXPECT_EQ(whole, "connection");
  EXPECT_EQ(whole.data(), first.data());
}

TEST(ArenaTest, AppendMovesWhatIsNotTheNewest) {
  Arena arena;
  const std::string_view first = arena.Copy("one");
  const std::string_view second = arena.Copy("two");
  EXPECT_EQ(arena.Append(first, "+"), "one+");
  EXPECT_EQ(first, "one");
  EXPECT_EQ(second, "two");
}

TEST(ArenaTest, AppendToNothingAndOfNothing) {
  Arena arena;
  const std::string_view text = arena.Append({}, "x");
  EXPECT_EQ(text, "x");
  EXPECT_EQ(arena.Append(text, ""), "x");
  EXPECT_EQ(arena.Append({}, {}), "");
}

TEST(ArenaTest, AppendTakesTextOfItsOwn) {
  Arena arena;
  const std::string_view text = arena.Copy("ab");
  EXPECT_EQ(arena.Append(text, text), "abab");
}

// A value that arrives byte by byte crosses blocks again and again.
TEST(ArenaTest, AppendAcrossBlocks) {
  Arena arena;
  std::string expected;
  std::string_view value;
  for (int i = 0; i < 100000; ++i) {
    const char byte = static_cast<char>('a' + i % 26);
    expected.push_back(byte);
    value = arena.Append(value, std::string_view(&byte, 1));
  }
  EXPECT_EQ(value, expected);
}

TEST(ArenaTest, TakesTextLargerThanABlock) {
  Arena arena;
  const std::string_view small = arena.Copy("small");
  const std::string large(300000, 'x');
  EXPECT_EQ(arena.Copy(large), large);
  EXPECT_EQ(small, "small");
}

TEST(ArenaTest, ResetKeepsTheFirstBlock) {
  Arena arena;
  const char* const first = arena.Copy("first").data();
  arena.Copy(std::string(100000, 'x'));
  arena.Reset();
  EXPECT_EQ(arena.Copy("again").data(), first);
}

TEST(ArenaTest, ResetOfAnUnusedArena) {
  Arena arena;
  arena.Reset();
  EXPECT_EQ(arena.Copy("x"), "x");
}

TEST(ArenaTest, WorksAfterALargeFirstBlockWasGivenBack) {
  Arena arena;
  for (int round = 0; round < 3; ++round) {
    const std::string large(200000, static_cast<char>('a' + round));
    EXPECT_EQ(arena.Copy(large), large);
    arena.Reset();
    EXPECT_EQ(arena.Concat("small ", "again"), "small again");
    arena.Reset();
  }
}

// Every view holds its text until Reset, whatever was allocated after it.
TEST(ArenaTest, ViewsStayValidOnRandomOperations) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    Arena arena;
    std::vector<std::pair<std::string_view, std::string>> texts;
    const auto some_text = [&] {
      std::string text(random.Below(random.Chance(0.05) ? 20000 : 100), '\0');
      for (char& byte : text) byte = static_cast<char>(random.Below(256));
      return text;
    };
    for (int step = 0; step < 500; ++step) {
      const uint64_t choice = random.Below(texts.empty() ? 2 : 4);
      const std::string text = some_text();
      if (choice == 0) {
        texts.emplace_back(arena.Copy(text), text);
      } else if (choice == 1) {
        const std::string more = some_text();
        texts.emplace_back(arena.Concat(text, "|", more), text + "|" + more);
      } else {
        // The newest half of the time: that is the case that extends in place.
        const size_t at = choice == 2 ? texts.size() - 1 : random.Below(texts.size());
        const auto [view, expected] = texts[at];
        texts.emplace_back(arena.Append(view, text), expected + text);
      }
      if (random.Chance(0.01)) {
        for (const auto& [view, expected] : texts) ASSERT_EQ(view, expected) << "seed " << seed;
        texts.clear();
        arena.Reset();
      }
    }
    for (const auto& [view, expected] : texts) ASSERT_EQ(view, expected) << "seed " << seed;
  }
}

}  // namespace
}  // namespace sluice
