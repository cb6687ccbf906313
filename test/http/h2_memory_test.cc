#include "http/h2_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace sluice::h2_memory {
namespace {

// Each test has a thread of its own, which keeps nothing yet.
template <typename Body>
void OnNewThread(Body body) {
  std::thread(body).join();
}

std::string Text(const void* block, size_t size) { return {static_cast<const char*>(block), size}; }

TEST(H2Memory, BlocksOfEverySizeHoldWhatTheyShould) {
  OnNewThread([] {
    for (int round = 0; round < 2; ++round) {
      std::vector<void*> blocks;
      for (size_t size = 0; size <= kMaxBlock + 100; ++size) {
        blocks.push_back(Allocate(size));
        ASSERT_NE(blocks.back(), nullptr);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(blocks.back()) % alignof(std::max_align_t), 0U);
        std::memset(blocks.back(), static_cast<int>(size % 251), size);
      }
      for (size_t size = 0; size < blocks.size(); ++size) {
        EXPECT_EQ(Text(blocks[size], size), std::string(size, static_cast<char>(size % 251)));
        Free(blocks[size]);
      }
    }
  });
}

TEST(H2Memory, AFreedBlockIsTheNextOfItsSize) {
  if (!Keeps()) GTEST_SKIP() << "a sanitizer sees every block";
  OnNewThread([] {
    void* const block = Allocate(100);
    Free(block);
    EXPECT_GE(KeptBytes(), 100U);
    void* const other = Allocate(500);
    EXPECT_NE(other, block);
    void* const again = Allocate(90);
    EXPECT_EQ(again, block);
    EXPECT_EQ(KeptBytes(), 0U);
    Free(other);
    Free(again);
  });
}

TEST(H2Memory, ZeroedIsZeroedWhateverStoodThere) {
  OnNewThread([] {
    void* const block = Allocate(200);
    std::memset(block, 'x', 200);
    Free(block);
    void* const zeroed = AllocateZeroed(20, 10);
    EXPECT_EQ(Text(zeroed, 200), std::string(200, '\0'));
    Free(zeroed);
  });
}

TEST(H2Memory, ASizeThatOverflowsIsNotGiven) {
  volatile size_t most = SIZE_MAX;  // the compiler shall not see it coming
  EXPECT_EQ(AllocateZeroed(most / 2, 4), nullptr);
}

TEST(H2Memory, ReallocatedBlocksKeepTheirBytes) {
  OnNewThread([] {
    auto* block = static_cast<char*>(Reallocate(nullptr, 10));
    std::memcpy(block, "0123456789", 10);
    for (const size_t size : {60U, 64U, 700U, 5000U, 1030U, 130U, 70U, 12U}) {
      block = static_cast<char*>(Reallocate(block, size));
      ASSERT_NE(block, nullptr);
      EXPECT_EQ(Text(block, 10), "0123456789");
      std::memset(block + 10, '.', size - 10);
    }
    Free(block);
    // What was cut down is not taken for more than it is.
    for (size_t size = 0; size <= kMaxBlock; size += 8) {
      void* const next = Allocate(size);
      std::memset(next, 'x', size);
      Free(next);
    }
  });
}

TEST(H2Memory, NoMoreIsKeptThanTheLimit) {
  OnNewThread([] {
    std::vector<void*> blocks;
    for (size_t i = 0; i < 2 * kMaxKept / 1000; ++i) blocks.push_back(Allocate(1000));
    for (void* block : blocks) Free(block);
    EXPECT_LE(KeptBytes(), kMaxKept);
    if (Keeps()) {
      EXPECT_GT(KeptBytes(), kMaxKept - 2 * kMaxBlock);
    }
  });
}

TEST(H2Memory, LargeBlocksAreNotKept) {
  OnNewThread([] {
    Free(Allocate(kMaxBlock * 4));
    Free(nullptr);
    EXPECT_EQ(KeptBytes(), 0U);
  });
}

TEST(H2Memory, ABlockMayBeFreedOnAnotherThread) {
  void* block = nullptr;
  OnNewThread([&] { block = Allocate(300); });
  OnNewThread([&] { Free(block); });
}

// Frees one more block when its thread has ended what was made after it.
struct FreesLate {
  ~FreesLate() { Free(block); }
  void* block = nullptr;
};

TEST(H2Memory, WhatIsFreedAtTheVeryEndOfAThreadIsNotKept) {
  OnNewThread([] {
    static thread_local FreesLate late;  // destroyed after what Free sets up
    late.block = Allocate(300);
    Free(Allocate(300));
  });
}

}  // namespace
}  // namespace sluice::h2_memory
