#include "tidepool/base/process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "tidepool/base/clock.h"

namespace tidepool {
namespace {

TEST(ProcessTest, IsAPidAndTheTimeItStarted) {
  const ProcessId self = this_process();
  EXPECT_EQ(self.pid, static_cast<uint64_t>(::getpid()));
  EXPECT_GT(self.start_ticks, 0u);
  EXPECT_EQ(self, this_process());
  const auto now_ticks = clock_ns(CLOCK_BOOTTIME) / (kNsPerSecond / static_cast<uint64_t>(::sysconf(_SC_CLK_TCK)));
  EXPECT_LE(self.start_ticks, now_ticks);
  EXPECT_TRUE(process_exists(self.pid));
  EXPECT_EQ(process_start_ticks(1) != 0, process_exists(1));
}

TEST(ProcessTest, IsKnownWhateverItCallsItself) {  // the command name stands before the start time
  const uint64_t start_ticks = this_process().start_ticks;
  char name_before[16]{};
  ASSERT_EQ(::prctl(PR_GET_NAME, name_before), 0);
  for (const auto* name : {"a) S 1 2 3 (b", ")", " 1 2 3 4", "(((", "a\nb) c"}) {
    ASSERT_EQ(::prctl(PR_SET_NAME, name), 0);
    EXPECT_EQ(this_process().start_ticks, start_ticks) << name;
  }
  ::prctl(PR_SET_NAME, name_before);
}

TEST(ProcessTest, IsGoneOnceItEndedEvenIfNobodyReapedIt) {  // a zombie holds nothing
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  ASSERT_GT(child, 0);
  EXPECT_TRUE(process_exists(static_cast<uint64_t>(child)));
  EXPECT_GT(process_start_ticks(static_cast<uint64_t>(child)), 0u);
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);  // it ended and stays a zombie
  EXPECT_FALSE(process_exists(static_cast<uint64_t>(child)));
  EXPECT_EQ(process_start_ticks(static_cast<uint64_t>(child)), 0u);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(process_exists(static_cast<uint64_t>(child)));
  EXPECT_EQ(process_start_ticks(static_cast<uint64_t>(child)), 0u);
}

TEST(ProcessTest, DoesNotExistUnderAnImpossiblePid) {
  for (const uint64_t pid : {uint64_t{0}, uint64_t{INT32_MAX} + 1, uint64_t{UINT32_MAX}, UINT64_MAX}) {
    EXPECT_FALSE(process_exists(pid));
    EXPECT_EQ(process_start_ticks(pid), 0u);
  }
}

TEST(UserNameTest, IsFitForAPath) {  // W-21
  const std::string name = sanitised_user_name();
  EXPECT_FALSE(name.empty());
  EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"), std::string::npos) << name;
}

TEST(UserNameTest, IsUnknownForAUserWithoutAName) {  // W-21: containers run as such users
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: needs root to become somebody else";
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::setresuid(54321, 54321, 54321) == 0 && sanitised_user_name() == "unknown" ? 0 : 1);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace tidepool
