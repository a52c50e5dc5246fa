#include "tidepool/cli/pacer.h"

#include <sys/prctl.h>
#include <time.h>

#include <algorithm>

#include "tidepool/cli/signals.h"

namespace tidepool::cli {
namespace {
constexpr uint64_t kMaxLateNs = 100 * kNsPerMs;
constexpr uint64_t kSliceNs = 100 * kNsPerMs;  // another thread may have taken the signal

void sleep_until(uint64_t due_ns) noexcept {
  const timespec due{static_cast<time_t>(due_ns / kNsPerSecond), static_cast<long>(due_ns % kNsPerSecond)};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr);  // EINTR: the caller looks at the flag
}
}  // namespace

void sleep_ns(uint64_t ns) noexcept { sleep_until(monotonic_ns() + ns); }

Pacer::Pacer(double rate_hz, uint64_t now_ns) noexcept : period_ns_(rate_hz > 0 ? 1e9 / rate_hz : 0), begin_ns_(now_ns) {
  if (period_ns_ > 0) ::prctl(PR_SET_TIMERSLACK, 1'000UL);  // 1 us instead of 50: kHz rates are meant as said
}

uint64_t Pacer::take_turn(uint64_t now_ns) noexcept {
  if (period_ns_ <= 0) return now_ns;
  // At most 292 years: beyond, the cast would not be defined.
  const uint64_t due_ns = begin_ns_ + static_cast<uint64_t>(std::min(static_cast<double>(turns_) * period_ns_, 9e18));
  if (now_ns > due_ns + kMaxLateNs) {
    restart(now_ns);
    ++turns_;
    return now_ns;
  }
  ++turns_;
  return due_ns;
}

bool Pacer::wait() noexcept {
  if (period_ns_ <= 0) return !stop_requested();
  const uint64_t due_ns = take_turn(monotonic_ns());
  for (;;) {
    if (stop_requested()) return false;
    const uint64_t now_ns = monotonic_ns();
    if (now_ns >= due_ns) return true;
    sleep_until(std::min(due_ns, now_ns + kSliceNs));
  }
}

void Pacer::restart(uint64_t now_ns) noexcept {
  begin_ns_ = now_ns;
  turns_ = 0;
}

}  // namespace tidepool::cli
