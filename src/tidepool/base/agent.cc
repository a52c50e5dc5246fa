#include "tidepool/base/agent.h"

#include <algorithm>
#include <cassert>
#include <ctime>
#include <utility>

namespace tidepool {
namespace {
constexpr uint32_t kSpins = 20;
constexpr uint32_t kYields = 10;
constexpr uint64_t kMinSleepNs = 1'000;

void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}
}  // namespace

void Idler::idle(int work_done) noexcept {
  if (work_done > 0) {
    idle_cycles_ = 0;
    sleep_ns_ = 0;
    return;
  }
  switch (strategy_) {
    case Idle::kSpin: pause(); return;
    case Idle::kYield: std::this_thread::yield(); return;
    case Idle::kBackoff: break;
  }
  if (idle_cycles_ < kSpins) {
    ++idle_cycles_;
    pause();
  } else if (idle_cycles_ < kSpins + kYields) {
    ++idle_cycles_;
    std::this_thread::yield();
  } else {
    sleep_ns_ = std::min(sleep_ns_ == 0 ? kMinSleepNs : sleep_ns_ * 2, max_sleep_ns_);
    const timespec pause_for{static_cast<time_t>(sleep_ns_ / 1'000'000'000), static_cast<long>(sleep_ns_ % 1'000'000'000)};
    ::nanosleep(&pause_for, nullptr);
  }
}

AgentRunner::AgentRunner(std::vector<std::shared_ptr<Agent>> agents, Idle idle) : agents_(std::move(agents)), idle_(idle) {}

AgentRunner::~AgentRunner() {
  stop();
  if (thread_.joinable()) thread_.join();
}

void AgentRunner::start() {
  assert(!thread_.joinable());
  running_.store(true, std::memory_order_release);
  try {
    thread_ = std::thread([this] {
      try {
        run([] { return true; });
      } catch (...) {
        failure_ = std::current_exception();
      }
      running_.store(false, std::memory_order_release);  // [done] failure_ is visible to who sees running() false
    });
  } catch (...) {
    running_.store(false, std::memory_order_release);
    throw;
  }
}

void AgentRunner::join() {
  if (thread_.joinable()) thread_.join();
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void AgentRunner::run(const std::function<bool()>& keep_going) {
  Idler idler(idle_);
  while (!stopping_.load(std::memory_order_relaxed) && keep_going()) {  // relaxed: as in stop()
    int work = 0;
    for (const auto& agent : agents_) work += agent->poll();
    idler.idle(work);
  }
}

}  // namespace tidepool
