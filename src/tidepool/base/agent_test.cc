#include "tidepool/base/agent.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"

namespace tidepool {
namespace {

class CountingAgent final : public Agent {
 public:
  explicit CountingAgent(int fail_at = 0) : fail_at_(fail_at) {}
  int poll() override {
    const int n = polls.fetch_add(1, std::memory_order_relaxed) + 1;
    if (n == fail_at_) throw Error(Code::kUnavailable, "media driver gone");
    return n % 3 == 0;
  }
  std::string_view name() const noexcept override { return "counting"; }
  std::atomic<int> polls{0};

 private:
  int fail_at_;
};

// Waits for `condition` to a generous deadline.
template <typename Condition>
bool eventually(Condition condition) {
  const uint64_t deadline_ns = monotonic_ns() + 30 * kNsPerSecond;
  while (!condition()) {
    if (monotonic_ns() > deadline_ns) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST(AgentRunnerTest, PollsItsAgentsInTurnUntilItIsStopped) {
  for (const Idle idle : {Idle::kSpin, Idle::kYield, Idle::kBackoff}) {
    const auto first = std::make_shared<CountingAgent>();
    const auto second = std::make_shared<CountingAgent>();
    AgentRunner runner({first, second}, idle);
    EXPECT_FALSE(runner.running());
    runner.start();
    EXPECT_TRUE(eventually([&] { return second->polls.load() >= 100; }));
    EXPECT_TRUE(runner.running());
    runner.stop();
    runner.join();
    EXPECT_FALSE(runner.running());
    EXPECT_EQ(first->polls.load(), second->polls.load());  // whole rounds
  }
}

TEST(AgentRunnerTest, EndsAllAgentsWhenOneThrowsAndKeepsTheErrorForJoin) {
  const auto fine = std::make_shared<CountingAgent>();
  const auto failing = std::make_shared<CountingAgent>(5);
  AgentRunner runner({fine, failing}, Idle::kYield);
  runner.start();
  EXPECT_TRUE(eventually([&] { return !runner.running(); }));
  EXPECT_EQ(fine->polls.load(), 5);
  try {
    runner.join();
    FAIL() << "join() returned";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kUnavailable);
    EXPECT_STREQ(error.what(), "media driver gone");
  }
  EXPECT_NO_THROW(runner.join());  // told once
}

TEST(AgentRunnerTest, StopsAndJoinsWhenItIsDestroyed) {
  const auto agent = std::make_shared<CountingAgent>();
  {
    AgentRunner runner({agent}, Idle::kBackoff);
    runner.start();
    EXPECT_TRUE(eventually([&] { return agent->polls.load() > 0; }));
  }
  EXPECT_EQ(agent.use_count(), 1);
  AgentRunner never_started({agent}, Idle::kSpin);
  EXPECT_NO_THROW(never_started.join());
}

TEST(AgentRunnerTest, RunsOnTheCallersThreadUntilItSaysNo) {
  const auto agent = std::make_shared<CountingAgent>();
  AgentRunner runner({agent}, Idle::kSpin);
  runner.run([&] { return agent->polls.load() < 7; });
  EXPECT_EQ(agent->polls.load(), 7);
  EXPECT_THROW(AgentRunner({std::make_shared<CountingAgent>(2)}, Idle::kSpin).run([] { return true; }), Error);
}

TEST(AgentRunnerTest, LeavesTheCallersThreadWhenSomebodyStopsIt) {
  const auto agent = std::make_shared<CountingAgent>();
  AgentRunner runner({agent}, Idle::kBackoff);
  std::thread stopper([&] {
    EXPECT_TRUE(eventually([&] { return agent->polls.load() >= 10; }));
    runner.stop();
  });
  runner.run([] { return true; });
  stopper.join();
  EXPECT_GE(agent->polls.load(), 10);
}

TEST(IdlerTest, SleepsLongerTheLongerNothingHappensAndNotAtAllAfterWork) {
  Idler idler(Idle::kBackoff, 64'000);
  for (int i = 0; i < 30; ++i) idler.idle(0);  // spins and yields
  const uint64_t start_ns = monotonic_ns();
  for (int i = 0; i < 10; ++i) idler.idle(0);  // 1, 2, 4, ... 64 us, then 64 each
  EXPECT_GE(monotonic_ns() - start_ns, 127'000u + 3 * 64'000u);
  idler.idle(1);
  for (int i = 0; i < 30; ++i) idler.idle(0);
}

}  // namespace
}  // namespace tidepool
