#include "tidepool/client/clock_discipline.h"

#include <cerrno>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"

namespace tidepool::client {

std::optional<std::string> clock_trouble(int state, const timex& now, uint64_t budget_ns) {
  if (state < 0)
    return concat("the kernel does not say whether the clock is synchronised", errno_text(), ": expected adjtimex() to be allowed");
  // What ntpd, chronyd, phc2sys and timesyncd clear when they have the clock in hand, and the kernel sets again 16 s of error later.
  if (state == TIME_ERROR || (now.status & STA_UNSYNC) != 0) {
    return "the host's wall clock is not synchronised: start chronyd, ntpd, systemd-timesyncd or phc2sys and wait until it is "
           "(timedatectl, adjtimex --print)";
  }
  const uint64_t error_ns = now.maxerror < 0 ? UINT64_MAX : static_cast<uint64_t>(now.maxerror) * kNsPerUs;
  if (error_ns > budget_ns) {
    return concat("the host's wall clock may be off by ", error_ns / kNsPerUs, " us: expected at most ", budget_ns / kNsPerUs,
                  " us (clock_error_budget_us); a nearer time source or a larger budget would do");
  }
  return std::nullopt;
}

std::optional<std::string> clock_trouble(uint64_t budget_ns) {
  timex now{};  // modes 0: only looked at
  const int state = ::adjtimex(&now);
  return clock_trouble(state, now, budget_ns);
}

}  // namespace tidepool::client
