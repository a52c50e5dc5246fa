#include "tidepool/services/driver/node_ids.h"

#include <gtest/gtest.h>

#include <rapidcheck/gtest.h>

#include <map>

namespace tidepool::driver::node_ids_test {
namespace {

constexpr uint64_t kCooldown = 1'000;

TEST(NodeIdsTest, CountFromOneUpwardsAndFillGaps) {  // D-29
  NodeIds ids(0);
  for (uint32_t client = 101; client <= 103; ++client) {
    const auto id = ids.pick(client, 0);
    ASSERT_EQ(id, client - 100);
    ids.take(*id, client);
  }
  ids.release(2, 0);
  EXPECT_EQ(ids.pick(200, 0), 2u);
  ids.take(2, 200);
  EXPECT_EQ(ids.pick(201, 0), 4u);
}

TEST(NodeIdsTest, AClientGetsItsPreviousIdAgainWithoutCooldown) {  // D-30
  NodeIds ids(kCooldown);
  ids.take(1, 100);
  ids.take(2, 101);
  ids.release(2, 50);
  ids.release(1, 50);
  EXPECT_EQ(ids.pick(101, 50), 2u);  // not 1, the smaller
}

TEST(NodeIdsTest, OthersWaitOutTheCooldown) {  // D-30
  NodeIds ids(kCooldown);
  ids.take(1, 100);
  ids.release(1, 50);
  EXPECT_EQ(ids.pick(200, 50 + kCooldown - 1), 2u);
  EXPECT_EQ(ids.pick(200, 50 + kCooldown), 1u);
}

TEST(NodeIdsTest, APreviousIdThatSomebodyElseGotIsNotGivenAgain) {  // D-29, D-30
  NodeIds ids(0);
  ids.take(1, 100);
  ids.release(1, 0);
  ids.take(1, 200);
  EXPECT_EQ(ids.pick(100, 0), 2u);
  ids.release(1, 0);
  EXPECT_EQ(ids.pick(200, 0), 1u);
}

TEST(NodeIdsTest, ADesiredIdIsHadOnlyIfNobodyHoldsOrCoolsIt) {  // D-16
  NodeIds ids(kCooldown);
  EXPECT_TRUE(ids.available(77, 100, 0));
  ids.take(77, 100);
  EXPECT_FALSE(ids.available(77, 200, 0));
  ids.release(77, 50);
  EXPECT_FALSE(ids.available(77, 200, 50));
  EXPECT_TRUE(ids.available(77, 100, 50));
  EXPECT_TRUE(ids.available(77, 200, 50 + kCooldown));
}

TEST(NodeIdsTest, ZeroAndNullAreNeverAvailable) {  // D-29
  const NodeIds ids(0);
  EXPECT_FALSE(ids.available(0, 1, 0));
  EXPECT_FALSE(ids.available(0xFFFFFFFF, 1, 0));
  EXPECT_TRUE(ids.available(0xFFFFFFFE, 1, 0));
}

TEST(NodeIdsTest, SayWhenNoneIsLeft) {  // driver.md 5.2 row 21
  NodeIds ids(0, 2);
  ids.take(1, 100);
  ids.take(2, 101);
  EXPECT_EQ(ids.pick(102, 0), std::nullopt);
  ids.release(1, 0);
  EXPECT_EQ(ids.pick(102, 0), 1u);
}

TEST(NodeIdsTest, AReservationKeepsOthersAwayAndLeavesNoTrace) {  // D-8
  NodeIds ids(kCooldown);
  ids.take(1, 100);
  ids.release(1, 0);
  ids.reserve(1);
  EXPECT_EQ(ids.pick(200, 5'000), 2u);
  EXPECT_FALSE(ids.available(1, 100, 5'000));
  ids.unreserve(1);
  EXPECT_EQ(ids.pick(100, 0), 1u);  // still its previous one
}

TEST(NodeIdsTest, RememberABoundedNumberOfReleasedIds) {  // W-93
  NodeIds ids(1'000'000'000);
  for (uint32_t i = 1; i <= NodeIds::kMaxRemembered + 10; ++i) {
    ids.take(i, 100'000 + i);
    ids.release(i, 0);
  }
  // The oldest are forgotten, cooldown and all; the newest are not.
  EXPECT_TRUE(ids.available(1, 5, 0));
  EXPECT_FALSE(ids.available(NodeIds::kMaxRemembered + 10, 5, 0));
}

RC_GTEST_PROP(NodeIdsTest, NeverGiveOneIdToTwoLiveLeases, ()) {  // D-29
  NodeIds ids(3);
  std::map<uint32_t, uint32_t> live;  // client -> node
  uint64_t now = 0;
  for (const auto step : *rc::gen::container<std::vector<uint8_t>>(rc::gen::arbitrary<uint8_t>())) {
    const uint32_t client = 1 + step % 16;
    now += step / 64;
    if (const auto at = live.find(client); at != live.end()) {
      ids.release(at->second, now);
      live.erase(at);
      continue;
    }
    const auto node = ids.pick(client, now);
    RC_ASSERT(node.has_value());
    for (const auto& [other, taken] : live) RC_ASSERT(taken != *node);
    RC_ASSERT(ids.available(*node, client, now));
    ids.take(*node, client);
    live[client] = *node;
  }
}

}  // namespace
}  // namespace tidepool::driver::node_ids_test
