#include "tidepool/client/clock_discipline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tidepool/base/clock.h"

namespace tidepool::client::clock_discipline_test {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kBudgetNs = 100 * kNsPerMs;

timex kept(long max_error_us) {
  timex now{};
  now.status = STA_PLL;
  now.maxerror = max_error_us;
  return now;
}

TEST(ClockDisciplineTest, IsGivenWhileSomebodyKeepsTheClockWithinTheBudget) {  // W-91
  EXPECT_EQ(clock_trouble(TIME_OK, kept(5'000), kBudgetNs), std::nullopt);
  EXPECT_EQ(clock_trouble(TIME_OK, kept(100'000), kBudgetNs), std::nullopt);
  EXPECT_EQ(clock_trouble(TIME_INS, kept(0), kBudgetNs), std::nullopt) << "a leap second to come is no trouble";
}

TEST(ClockDisciplineTest, IsMissingWhileTheKernelSaysThatNobodyKeepsTheClock) {  // W-91
  timex wild = kept(0);
  wild.status |= STA_UNSYNC;
  EXPECT_THAT(clock_trouble(TIME_OK, wild, kBudgetNs).value_or(""), HasSubstr("not synchronised: start chronyd"));
  EXPECT_THAT(clock_trouble(TIME_ERROR, kept(0), kBudgetNs).value_or(""), HasSubstr("not synchronised"));
}

TEST(ClockDisciplineTest, IsMissingBeyondTheErrorBudget) {  // W-91
  EXPECT_THAT(clock_trouble(TIME_OK, kept(100'001), kBudgetNs).value_or(""),
              HasSubstr("may be off by 100001 us: expected at most 100000 us"));
  EXPECT_NE(clock_trouble(TIME_OK, kept(-1), kBudgetNs), std::nullopt);
}

TEST(ClockDisciplineTest, IsMissingWhereTheKernelDoesNotAnswer) {  // W-91
  EXPECT_THAT(clock_trouble(-1, kept(0), kBudgetNs).value_or(""), HasSubstr("the kernel does not say"));
}

TEST(ClockDisciplineTest, OfThisHostIsWhatItsKernelSays) {  // W-91
  timex now{};
  const int state = ::adjtimex(&now);
  const bool unsynchronised = state < 0 || state == TIME_ERROR || (now.status & STA_UNSYNC) != 0;
  EXPECT_EQ(clock_trouble(UINT64_MAX).has_value(), unsynchronised);
}

}  // namespace
}  // namespace tidepool::client::clock_discipline_test
