#include "tidepool/cli/pacer.h"

#include <gtest/gtest.h>

#include "tidepool/cli/signals.h"

namespace tidepool::cli::pacer_test {
namespace {

constexpr uint64_t kStartNs = 1'000 * kNsPerSecond;

TEST(PacerTest, HasItsTurnsAtTheRateFromTheFirstOneOn) {
  Pacer pacer(1000, kStartNs);
  for (uint64_t turn = 0; turn < 5; ++turn) EXPECT_EQ(pacer.take_turn(kStartNs), kStartNs + turn * kNsPerMs);
}

TEST(PacerTest, DoesNotAddUpRoundingErrors) {
  Pacer pacer(3, kStartNs);
  uint64_t due_ns = 0;
  for (int turn = 0; turn <= 3000; ++turn) due_ns = pacer.take_turn(kStartNs + static_cast<uint64_t>(turn) * kNsPerSecond / 3);
  EXPECT_NEAR(static_cast<double>(due_ns - kStartNs), 1000.0 * kNsPerSecond, 2.0);
}

TEST(PacerTest, MakesUpForShortDelaysOnly) {
  Pacer pacer(1000, kStartNs);
  (void)pacer.take_turn(kStartNs);
  EXPECT_EQ(pacer.take_turn(kStartNs + 50 * kNsPerMs), kStartNs + 1 * kNsPerMs);  // at once, and so are the next ones
  EXPECT_EQ(pacer.take_turn(kStartNs + 50 * kNsPerMs), kStartNs + 2 * kNsPerMs);
  const uint64_t late_ns = kStartNs + 10 * kNsPerSecond;
  EXPECT_EQ(pacer.take_turn(late_ns), late_ns);  // nobody is flooded with 10,000 frames
  EXPECT_EQ(pacer.take_turn(late_ns), late_ns + kNsPerMs);
}

TEST(PacerTest, RestartsWhereItIsTold) {
  Pacer pacer(10, kStartNs);
  (void)pacer.take_turn(kStartNs);
  pacer.restart(kStartNs + 7);
  EXPECT_EQ(pacer.take_turn(kStartNs + 7), kStartNs + 7);
  EXPECT_EQ(pacer.take_turn(kStartNs + 7), kStartNs + 7 + 100 * kNsPerMs);
}

TEST(PacerTest, NeverWaitsFlatOut) {
  Pacer pacer(0, kStartNs);
  for (uint64_t now_ns = kStartNs; now_ns < kStartNs + 10; ++now_ns) EXPECT_EQ(pacer.take_turn(now_ns), now_ns);
}

TEST(PacerTest, SurvivesRatesBelowAnyUse) {
  Pacer pacer(1e-12, kStartNs);
  (void)pacer.take_turn(kStartNs);
  EXPECT_GT(pacer.take_turn(kStartNs), kStartNs + 3600 * kNsPerSecond);
}

TEST(PacerTest, EndsItsWaitWhenASignalAsksForIt) {
  clear_stop();
  Pacer pacer(1e-3, monotonic_ns());
  EXPECT_TRUE(pacer.wait());
  request_stop();
  EXPECT_FALSE(pacer.wait());  // 1000 s early
  clear_stop();
}

}  // namespace
}  // namespace tidepool::cli::pacer_test
