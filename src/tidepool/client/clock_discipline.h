#pragma once
// Whether this host's wall clock is disciplined, which alone allows REALTIME_SYNCED to be announced (wire.md 15, W-91).

#include <sys/timex.h>

#include <cstdint>
#include <optional>
#include <string>

namespace tidepool::client {

// nullopt: somebody (NTP, PTP) keeps CLOCK_REALTIME, with a maximum error within `budget_ns`. Else why not, as a sentence.
std::optional<std::string> clock_trouble(uint64_t budget_ns);

// The judgement alone: `state` is what adjtimex() returned, `now` what it filled in.
std::optional<std::string> clock_trouble(int state, const timex& now, uint64_t budget_ns);

}  // namespace tidepool::client
