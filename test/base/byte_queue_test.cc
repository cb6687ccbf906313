#include "base/byte_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/random.h"

namespace sluice {
namespace {

TEST(ByteQueueTest, StartsEmpty) {
  const ByteQueue queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.size(), 0u);
  EXPECT_EQ(queue.view(), "");
}

TEST(ByteQueueTest, IsFirstInFirstOut) {
  ByteQueue queue;
  queue.Append("hello ");
  queue.Append("world");
  EXPECT_EQ(queue.view(), "hello world");
  queue.Consume(6);
  EXPECT_EQ(queue.view(), "world");
  queue.Append("!");
  EXPECT_EQ(queue.view(), "world!");
}

TEST(ByteQueueTest, AppendingNothingChangesNothing) {
  ByteQueue queue;
  queue.Append("");
  EXPECT_TRUE(queue.empty());
  queue.Append("a");
  queue.Append({});
  EXPECT_EQ(queue.view(), "a");
}

TEST(ByteQueueTest, HoldsNoMemoryOnceEmpty) {
  ByteQueue queue;
  queue.Append(std::string(100000, 'x'));
  queue.Consume(99999);
  EXPECT_NE(queue.view().data(), nullptr);
  queue.Consume(1);
  EXPECT_EQ(queue.view().data(), nullptr);
  queue.Append("y");
  queue.Clear();
  EXPECT_EQ(queue.view().data(), nullptr);
  EXPECT_TRUE(queue.empty());
}

TEST(ByteQueueTest, CarriesAnyByte) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  ByteQueue queue;
  queue.Append(all);
  EXPECT_EQ(queue.view(), all);
}

TEST(ByteQueueTest, CopiesWhatItIsGiven) {
  std::string bytes = "lent";
  ByteQueue queue;
  queue.Append(bytes);
  bytes.assign("gone");
  EXPECT_EQ(queue.view(), "lent");
}

// A stream that stays short must not make the block grow: what was consumed is used again.
TEST(ByteQueueTest, ReusesTheSpaceOfConsumedBytes) {
  ByteQueue queue;
  queue.Append(std::string(400, 'x'));
  const char* const block = queue.view().data();
  for (int i = 0; i < 1000; ++i) {
    queue.Consume(300);
    queue.Append(std::string(300, 'x'));
    ASSERT_EQ(queue.size(), 400u);
    const auto offset =
        reinterpret_cast<uintptr_t>(queue.view().data()) - reinterpret_cast<uintptr_t>(block);
    ASSERT_LT(offset, 512u) << "it moved to another block in round " << i;
  }
}

TEST(ByteQueueTest, AgreesWithAStringOnRandomOperations) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    ByteQueue queue;
    std::string model;
    uint8_t next = 0;
    for (int step = 0; step < 2000; ++step) {
      // Phases that grow and phases that shrink, so that every fill level is seen.
      const bool growing = (step / 200) % 2 == 0;
      if (random.Chance(growing ? 0.6 : 0.4)) {
        std::string bytes(random.Below(random.Chance(0.05) ? 5000 : 300), '\0');
        for (char& byte : bytes) byte = static_cast<char>(next++);
        queue.Append(bytes);
        model += bytes;
      } else if (random.Chance(0.01)) {
        queue.Clear();
        model.clear();
      } else {
        const size_t count = random.Below(std::min<size_t>(model.size(), 600) + 1);
        queue.Consume(count);
        model.erase(0, count);
      }
      ASSERT_EQ(queue.size(), model.size()) << "seed " << seed << " step " << step;
      ASSERT_EQ(queue.empty(), model.empty());
      ASSERT_EQ(queue.view(), model) << "seed " << seed << " step " << step;
    }
  }
}

}  // namespace
}  // namespace sluice
