#include "tidepool/base/clock.h"

#include <gtest/gtest.h>

namespace tidepool {
namespace {

TEST(ClockTest, IsTheKernelsMonotonicClockInNanoseconds) {  // D-7
  timespec before{};
  timespec after{};
  ASSERT_EQ(::clock_gettime(CLOCK_MONOTONIC, &before), 0);
  const uint64_t now_ns = SystemClock::instance().monotonic_ns();
  ASSERT_EQ(::clock_gettime(CLOCK_MONOTONIC, &after), 0);
  const auto ns = [](const timespec& t) {
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
  };
  EXPECT_LE(ns(before), now_ns);
  EXPECT_LE(now_ns, ns(after));
}

TEST(ClockTest, GivesWallClockTimeApart) { EXPECT_GT(SystemClock::instance().realtime_ns(), 1'600'000'000 * kNsPerSecond); }

TEST(ManualClockTest, MovesOnlyWhenTold) {  // style S-26
  ManualClock clock(5);
  EXPECT_EQ(clock.monotonic_ns(), 5u);
  const uint64_t wall_ns = clock.realtime_ns();
  clock.advance_ns(3 * kNsPerMs);
  EXPECT_EQ(clock.monotonic_ns(), 5 + 3 * kNsPerMs);
  EXPECT_EQ(clock.realtime_ns(), wall_ns + 3 * kNsPerMs);
}

}  // namespace
}  // namespace tidepool
