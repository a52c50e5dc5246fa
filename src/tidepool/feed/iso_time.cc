#include "tidepool/feed/iso_time.h"

#include <cstdio>

namespace tidepool::feed {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// Takes `digits` digits from the front.
bool take(std::string_view& text, size_t digits, int& value) noexcept {
  if (text.size() < digits) return false;
  value = 0;
  for (size_t i = 0; i < digits; ++i) {
    if (!is_digit(text[i])) return false;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return true;
}

bool take(std::string_view& text, char c) noexcept {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

int days_in_month(int year, int month) noexcept {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kDays[month - 1];
}

// Days since 1970-01-01 (Howard Hinnant's days_from_civil).
int64_t days_of(int year, int month, int day) noexcept {
  const int64_t y = month <= 2 ? year - 1 : year;
  const int64_t era = (y >= 0 ? y : y - 399) / 400;
  const int64_t year_of_era = y - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

bool take_fraction(std::string_view& text, uint32_t& nanosecond) noexcept {
  uint32_t scale = 100'000'000;
  size_t digits = 0;
  for (; !text.empty() && is_digit(text.front()); text.remove_prefix(1), ++digits) {
    if (digits >= 9) return false;
    nanosecond += static_cast<uint32_t>(text.front() - '0') * scale;
    scale /= 10;
  }
  return digits > 0;
}

bool take_offset(std::string_view& text, CivilTime& time) noexcept {
  if (text.empty()) return true;
  if (take(text, 'Z') || take(text, 'z')) {
    time.offset_minutes = 0;
    return true;
  }
  const int sign = text.front() == '-' ? -1 : 1;
  int hours = 0, minutes = 0;
  if (!(take(text, '+') || take(text, '-')) || !take(text, 2, hours)) return false;
  if (!text.empty()) {
    take(text, ':');
    if (!take(text, 2, minutes)) return false;
  }
  if (hours > 23 || minutes > 59) return false;
  time.offset_minutes = sign * (hours * 60 + minutes);
  return true;
}

}  // namespace

std::optional<CivilTime> parse_iso_time(std::string_view text) noexcept {
  CivilTime time;
  if (!take(text, 4, time.year) || !take(text, '-') || !take(text, 2, time.month) || !take(text, '-') || !take(text, 2, time.day))
    return std::nullopt;
  if (time.month < 1 || time.month > 12 || time.day < 1 || time.day > days_in_month(time.year, time.month)) return std::nullopt;
  if (text.empty()) return time;
  if (!take(text, 'T') && !take(text, ' ')) return std::nullopt;
  if (!take(text, 2, time.hour) || !take(text, ':') || !take(text, 2, time.minute)) return std::nullopt;
  if (take(text, ':')) {
    if (!take(text, 2, time.second)) return std::nullopt;
    if (take(text, '.') && !take_fraction(text, time.nanosecond)) return std::nullopt;
  }
  if (time.hour > 23 || time.minute > 59 || time.second > 59) return std::nullopt;
  if (!take_offset(text, time) || !text.empty()) return std::nullopt;
  return time;
}

std::optional<uint64_t> utc_ns(const CivilTime& time) noexcept {
  const int64_t seconds = days_of(time.year, time.month, time.day) * 86400 + time.hour * 3600 + time.minute * 60 + time.second -
                          time.offset_minutes.value_or(0) * int64_t{60};
  if (seconds < 0) return std::nullopt;
  uint64_t ns = 0;
  if (__builtin_mul_overflow(static_cast<uint64_t>(seconds), kNsPerSecond, &ns) || __builtin_add_overflow(ns, time.nanosecond, &ns))
    return std::nullopt;
  return ns;
}

std::string iso_utc(uint64_t ns) {
  const uint64_t seconds = ns / kNsPerSecond;
  uint64_t fraction = ns % kNsPerSecond;
  // civil_from_days of the same source.
  const int64_t z = static_cast<int64_t>(seconds / 86400) + 719468;
  const int64_t era = z / 146097;
  const int64_t day_of_era = z - era * 146097;
  const int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t mp = (5 * day_of_year + 2) / 153;
  const auto day = static_cast<int>(day_of_year - (153 * mp + 2) / 5 + 1);
  const auto month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  const auto year = static_cast<int>(year_of_era + era * 400 + (month <= 2 ? 1 : 0));
  const auto in_day = static_cast<int>(seconds % 86400);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d", year, month, day, in_day / 3600, in_day / 60 % 60, in_day % 60);
  std::string out = text;
  if (fraction != 0) {
    std::snprintf(text, sizeof text, ".%09llu", static_cast<unsigned long long>(fraction));
    out += text;
    while (out.back() == '0') out.pop_back();
  }
  return out + "Z";
}

}  // namespace tidepool::feed
