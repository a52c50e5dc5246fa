#include "tidepool/shm/gate.h"

#include <gtest/gtest.h>

#include <thread>

#include "tidepool/shm/published_word.h"
#include "tidepool/shm/test_support.h"

namespace tidepool::shm {
namespace {

TEST(GateTest, LetsPassUntilItIsClosed) {
  Gate gate;
  EXPECT_TRUE(gate.enter());
  EXPECT_FALSE(gate.close()) << "somebody is inside";
  gate.leave();
  EXPECT_TRUE(gate.enter()) << "a close that failed leaves it open";
  gate.leave();
  EXPECT_TRUE(gate.close());
  EXPECT_FALSE(gate.enter());
  gate.open();
  EXPECT_TRUE(gate.enter());
}

// A number that is only changed inside the gate, or behind its back when it is closed: no change is ever lost.
TEST(GateTest, NeverLetsThePasserAndTheCloserInTogether) {  // F-106
  Gate gate;
  uint64_t guarded = 0;  // plain on purpose
  constexpr uint64_t kPasses = 200'000;
  uint64_t closed = 0;
  std::atomic<bool> done{false};
  std::thread closer([&] {
    while (!done.load()) {
      if (gate.close()) {
        ++guarded;
        ++closed;
        gate.open();
      }
    }
  });
  for (uint64_t i = 0; i < kPasses;) {
    if (!gate.enter()) continue;
    ++guarded;
    gate.leave();
    ++i;
  }
  done = true;
  closer.join();
  EXPECT_EQ(guarded, kPasses + closed);
}

TEST(GateTest, IsClosedInAForkedChild) {
  Gate gate;
  TIDEPOOL_IN_CHILD([&] {
    EXPECT_FALSE(gate.enter());
    EXPECT_TRUE(gate.forked());
  });
  EXPECT_TRUE(gate.enter());
  EXPECT_FALSE(gate.forked());
}

TEST(LatestSlotsTest, ShowsNothingBeforeTheFirstAndNeverAMixture) {  // F-86
  alignas(8) std::byte memory[LatestSlots<3>::kBytes] = {};
  LatestSlots<3> slots(memory);
  uint64_t seen[3];
  EXPECT_FALSE(slots.read(seen));
  std::thread writer([&] {
    for (uint64_t i = 1; i <= 100'000; ++i) slots.publish({i, i + 1, i + 2});
  });
  uint64_t last = 0;
  while (last < 100'000) {
    if (!slots.read(seen)) continue;
    ASSERT_EQ(seen[1], seen[0] + 1);
    ASSERT_EQ(seen[2], seen[0] + 2);
    ASSERT_GE(seen[0], last);
    last = seen[0];
  }
  writer.join();
}

}  // namespace
}  // namespace tidepool::shm
