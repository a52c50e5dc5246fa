#pragma once
// Times as people and files write them: "2013-01-01T10:00:00Z", "2026-11-22 10:42:07.25+01:00", "2026-11-22".

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::feed {

struct CivilTime {
  int year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0;
  uint32_t nanosecond = 0;
  std::optional<int> offset_minutes;  // east of UTC, when the text says so
};

// nullopt: not such a time, or a date that no calendar has. Digits behind the ninth of a second are refused, not cut off.
std::optional<CivilTime> parse_iso_time(std::string_view text) noexcept;
// Nanoseconds since 1970 in UTC, taking a time without an offset as UTC; nullopt: before 1970, or beyond 64 bits.
std::optional<uint64_t> utc_ns(const CivilTime& time) noexcept;
// "2013-01-01T10:00:00Z", with a fraction only if there is one.
std::string iso_utc(uint64_t ns);

}  // namespace tidepool::feed
