#include "base/intrusive_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

#include "base/random.h"

namespace sluice {
namespace {

struct RedTag {};
struct BlueTag {};

struct Item : ListHook<RedTag>, ListHook<BlueTag> {
  explicit Item(int n) : number(n) {}
  bool red() const { return ListHook<RedTag>::linked(); }
  bool blue() const { return ListHook<BlueTag>::linked(); }
  void LeaveRed() { ListHook<RedTag>::Unlink(); }
  int number;
};

using RedList = IntrusiveList<Item, RedTag>;
using BlueList = IntrusiveList<Item, BlueTag>;

template <typename List>
std::vector<int> Numbers(List& list) {
  std::vector<int> numbers;
  list.ForEach([&](Item& item) { numbers.push_back(item.number); });
  return numbers;
}

TEST(IntrusiveListTest, StartsEmpty) {
  RedList list;
  EXPECT_TRUE(list.empty());
  EXPECT_TRUE(Numbers(list).empty());
}

TEST(IntrusiveListTest, KeepsOrder) {
  RedList list;
  Item one(1), two(2), three(3);
  list.PushBack(&two);
  list.PushBack(&three);
  list.PushFront(&one);
  EXPECT_EQ(Numbers(list), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(list.front(), &one);
  EXPECT_EQ(list.back(), &three);
}

TEST(IntrusiveListTest, UnlinkIsIdempotent) {
  RedList list;
  Item one(1), two(2);
  list.PushBack(&one);
  list.PushBack(&two);
  EXPECT_TRUE(one.red());
  one.LeaveRed();
  EXPECT_FALSE(one.red());
  one.LeaveRed();
  EXPECT_EQ(Numbers(list), std::vector<int>{2});
}

TEST(IntrusiveListTest, AnElementLeavesWhenDestroyed) {
  RedList list;
  Item one(1);
  list.PushBack(&one);
  {
    Item two(2);
    list.PushBack(&two);
    EXPECT_EQ(Numbers(list), (std::vector<int>{1, 2}));
  }
  EXPECT_EQ(Numbers(list), std::vector<int>{1});
}

TEST(IntrusiveListTest, ADestroyedListLetsItsElementsGo) {
  Item one(1), two(2);
  {
    RedList list;
    list.PushBack(&one);
    list.PushBack(&two);
  }
  EXPECT_FALSE(one.red());
  EXPECT_FALSE(two.red());
  RedList other;
  other.PushBack(&one);
  EXPECT_EQ(Numbers(other), std::vector<int>{1});
}

TEST(IntrusiveListTest, TagsAreIndependent) {
  RedList red;
  BlueList blue;
  Item one(1), two(2);
  red.PushBack(&one);
  red.PushBack(&two);
  blue.PushBack(&two);
  blue.PushBack(&one);
  one.LeaveRed();
  EXPECT_EQ(Numbers(red), std::vector<int>{2});
  EXPECT_EQ(Numbers(blue), (std::vector<int>{2, 1}));
  EXPECT_TRUE(one.blue());
}

TEST(IntrusiveListTest, TakeAllEmptiesTheOther) {
  RedList list, other;
  Item one(1), two(2), three(3);
  list.PushBack(&one);
  other.PushBack(&two);
  other.PushBack(&three);
  list.TakeAll(other);
  EXPECT_TRUE(other.empty());
  EXPECT_EQ(Numbers(list), (std::vector<int>{1, 2, 3}));
  list.TakeAll(other);
  EXPECT_EQ(Numbers(list), (std::vector<int>{1, 2, 3}));
}

TEST(IntrusiveListTest, TakeAllJoinsBothEnds) {
  RedList list, other;
  Item one(1), two(2), three(3), four(4);
  other.PushBack(&two);
  other.PushBack(&three);
  list.TakeAll(other);  // into an empty one
  EXPECT_EQ(list.front(), &two);
  EXPECT_EQ(list.back(), &three);
  list.PushFront(&one);
  list.PushBack(&four);
  EXPECT_EQ(Numbers(list), (std::vector<int>{1, 2, 3, 4}));
  two.LeaveRed();
  three.LeaveRed();
  EXPECT_EQ(Numbers(list), (std::vector<int>{1, 4}));
  other.PushBack(&three);  // the other is a list like any other
  other.TakeAll(list);
  EXPECT_EQ(Numbers(other), (std::vector<int>{3, 1, 4}));
  EXPECT_TRUE(list.empty());
}

TEST(IntrusiveListTest, WhatWasTakenOutlivesTheListItCameFrom) {
  RedList list;
  Item one(1), two(2);
  {
    RedList other;
    other.PushBack(&one);
    other.PushBack(&two);
    list.TakeAll(other);
  }
  EXPECT_TRUE(one.red());
  EXPECT_EQ(Numbers(list), (std::vector<int>{1, 2}));
}

TEST(IntrusiveListTest, TakeAllLeavesOtherTagsAlone) {
  RedList red, other_red;
  BlueList blue;
  Item one(1), two(2);
  other_red.PushBack(&one);
  other_red.PushBack(&two);
  blue.PushBack(&two);
  blue.PushBack(&one);
  red.TakeAll(other_red);
  EXPECT_EQ(Numbers(red), (std::vector<int>{1, 2}));
  EXPECT_EQ(Numbers(blue), (std::vector<int>{2, 1}));
}

TEST(IntrusiveListTest, NextWalksToTheEnd) {
  RedList red;
  BlueList blue;
  Item one(1), two(2), three(3);
  for (Item* item : {&one, &two, &three}) red.PushBack(item);
  for (Item* item : {&three, &one}) blue.PushBack(item);
  EXPECT_EQ(red.Next(&one), &two);
  EXPECT_EQ(red.Next(&two), &three);
  EXPECT_EQ(red.Next(&three), nullptr);
  EXPECT_EQ(blue.Next(&three), &one);
  EXPECT_EQ(blue.Next(&one), nullptr);
  two.LeaveRed();
  EXPECT_EQ(red.Next(&one), &three);
  RedList other;
  other.TakeAll(red);
  EXPECT_EQ(other.Next(&one), &three);
  EXPECT_EQ(other.Next(&three), nullptr);
}

TEST(IntrusiveListTest, AVisitMayUnlinkMoveOrDestroyItsElement) {
  RedList list, other;
  std::vector<std::unique_ptr<Item>> items;
  for (int i = 0; i < 9; ++i) {
    items.push_back(std::make_unique<Item>(i));
    list.PushBack(items.back().get());
  }
  std::vector<int> visited;
  list.ForEach([&](Item& item) {
    visited.push_back(item.number);
    if (item.number % 3 == 0)
      items[static_cast<size_t>(item.number)].reset();
    else if (item.number % 3 == 1)
      item.LeaveRed(), other.PushFront(&item);
  });
  EXPECT_EQ(visited, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(Numbers(list), (std::vector<int>{2, 5, 8}));
  EXPECT_EQ(Numbers(other), (std::vector<int>{7, 4, 1}));
}

TEST(IntrusiveListTest, AgreesWithAModelOnRandomOperations) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    RedList lists[2];
    std::deque<int> models[2];
    std::vector<std::unique_ptr<Item>> items;
    int next_number = 0;
    const auto forget = [&](int number) {
      for (auto& model : models) std::erase(model, number);
    };
    for (int step = 0; step < 300; ++step) {
      const size_t which = random.Below(2);
      Item* item = items.empty() ? nullptr : items[random.Below(items.size())].get();
      switch (random.Below(7)) {
        case 0:
          items.push_back(std::make_unique<Item>(next_number++));
          break;
        case 1:
          if (item == nullptr || item->red()) break;
          lists[which].PushBack(item);
          models[which].push_back(item->number);
          break;
        case 2:
          if (item == nullptr || item->red()) break;
          lists[which].PushFront(item);
          models[which].push_front(item->number);
          break;
        case 3:
          if (item == nullptr) break;
          item->LeaveRed();
          forget(item->number);
          break;
        case 4:
          if (item == nullptr) break;
          forget(item->number);
          std::erase_if(items, [&](const auto& owned) { return owned.get() == item; });
          break;
        case 5:
          if (!random.Chance(0.2)) break;
          lists[which].TakeAll(lists[1 - which]);
          models[which].insert(models[which].end(), models[1 - which].begin(),
                               models[1 - which].end());
          models[1 - which].clear();
          break;
        case 6:
          if (!random.Chance(0.2)) break;
          lists[which].ForEach([&](Item& visited) {
            if (!random.Chance(0.3)) return;
            forget(visited.number);
            std::erase_if(items, [&](const auto& owned) { return owned.get() == &visited; });
          });
          break;
      }
      for (size_t i = 0; i < 2; ++i) {
        ASSERT_EQ(Numbers(lists[i]), std::vector<int>(models[i].begin(), models[i].end()))
            << "seed " << seed << " step " << step;
        ASSERT_EQ(lists[i].empty(), models[i].empty());
      }
    }
  }
}

}  // namespace
}  // namespace sluice
