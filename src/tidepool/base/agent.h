#pragma once
// A role (driver, conductor, supervisor, ...) is an Agent: a duty cycle without a thread of its own. A runner gives
// agents a thread and an idle strategy, so that any set of roles runs in one process.

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace tidepool {

class Agent {
 public:
  virtual ~Agent() = default;
  // One duty cycle: never blocks, returns the amount of work done (0: nothing to do, the runner may idle).
  // Throws Error only for what the role cannot go on with.
  virtual int poll() = 0;
  virtual std::string_view name() const noexcept = 0;
};

// What a runner does between duty cycles that had no work.
enum class Idle : uint8_t {
  kSpin,     // burns the core: lowest latency
  kYield,    // gives the core away when somebody wants it
  kBackoff,  // spins, yields, then sleeps up to 1 ms: the default, right for small machines
};

// State of one idling loop. Thread safety: one thread.
class Idler {
 public:
  explicit Idler(Idle strategy, uint64_t max_sleep_ns = 1'000'000) noexcept : strategy_(strategy), max_sleep_ns_(max_sleep_ns) {}
  void idle(int work_done) noexcept;

 private:
  Idle strategy_;
  uint64_t max_sleep_ns_;
  uint32_t idle_cycles_ = 0;
  uint64_t sleep_ns_ = 0;
};

// Runs agents in order on one thread until stopped. If an agent throws, the runner stops all of its agents and keeps
// the exception for join().
// Thread safety: start(), stop(), join() from the owner's thread; stop() also from a signal-safe flag's watcher.
class AgentRunner {
 public:
  AgentRunner(std::vector<std::shared_ptr<Agent>> agents, Idle idle);
  ~AgentRunner();
  AgentRunner(const AgentRunner&) = delete;
  AgentRunner& operator=(const AgentRunner&) = delete;

  // Once, and on a thread of the runner's own. Throws std::system_error when there are no more threads.
  void start();
  void stop() noexcept { stopping_.store(true, std::memory_order_relaxed); }  // relaxed: a flag alone, no data with it
  void join();  // waits for the thread; rethrows what an agent threw
  bool running() const noexcept { return running_.load(std::memory_order_acquire); }  // [done] with run()

  // Run on the calling thread until stopped or until keep_going says no; what an agent throws comes through.
  void run(const std::function<bool()>& keep_going);

 private:
  std::vector<std::shared_ptr<Agent>> agents_;
  Idle idle_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> running_{false};
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace tidepool
