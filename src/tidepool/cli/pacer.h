#pragma once
// Keeps a loop to a rate. Late turns are made up for, but never more than 100 ms of them: a source that was stopped does not
// flood its consumers afterwards.

#include <cstdint>

#include "tidepool/base/clock.h"

namespace tidepool::cli {

// Sleep, or less when a signal comes.
void sleep_ns(uint64_t ns) noexcept;

// Thread safety: one thread.
class Pacer {
 public:
  // 0 Hz is flat out. The first turn is due at once.
  Pacer(double rate_hz, uint64_t now_ns) noexcept;

  // Wait for the next turn. False when a signal asked the command to end.
  bool wait() noexcept;
  // The next turn is due now, whatever was missed.
  void restart(uint64_t now_ns) noexcept;

  // Asked at `now_ns`: when this turn is due (in the past: at once). wait() without the waiting.
  uint64_t take_turn(uint64_t now_ns) noexcept;

 private:
  double period_ns_;
  uint64_t begin_ns_;
  uint64_t turns_ = 0;  // since begin_ns_: due times are begin + turns * period, so that rounding does not add up
};

}  // namespace tidepool::cli
