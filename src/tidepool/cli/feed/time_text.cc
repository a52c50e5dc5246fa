#include "tidepool/cli/feed/time_text.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string_view>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/command.h"
#include "tidepool/feed/iso_time.h"
#include "tidepool/feed/values.h"

namespace tidepool::cli {
namespace {

constexpr std::pair<std::string_view, uint64_t> kSpans[] = {{"ns", 1},
                                                            {"us", 1'000},
                                                            {"ms", 1'000'000},
                                                            {"s", kNsPerSecond},
                                                            {"m", 60 * kNsPerSecond},
                                                            {"min", 60 * kNsPerSecond},
                                                            {"h", 3600 * kNsPerSecond},
                                                            {"d", 86400 * kNsPerSecond}};

// "1.5h" in nanoseconds, exactly; nullopt: not a number with such a unit, or beyond 64 bits.
std::optional<uint64_t> span_ns(std::string_view text, std::string_view default_unit) {
  uint64_t whole = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (error != std::errc()) return std::nullopt;
  std::string_view rest(end, static_cast<size_t>(text.data() + text.size() - end));
  std::string_view digits;
  if (rest.starts_with('.')) {
    const size_t stop = std::min(rest.find_first_not_of("0123456789", 1), rest.size());
    digits = rest.substr(1, stop - 1);
    rest = rest.substr(stop);
    if (digits.empty() || digits.size() > 18) return std::nullopt;
  }
  if (rest.empty()) rest = default_unit;
  for (const auto& [name, factor] : kSpans) {
    if (name != rest) continue;
    uint64_t ns = 0;
    if (__builtin_mul_overflow(whole, factor, &ns)) return std::nullopt;
    uint64_t more = 0, scale = factor;
    for (const char c : digits) {
      scale /= 10;
      more += static_cast<uint64_t>(c - '0') * scale;
    }
    if (__builtin_add_overflow(ns, more, &ns)) return std::nullopt;
    return ns;
  }
  return std::nullopt;
}

// Nanoseconds since 1970 of a time in the process's zone.
std::optional<uint64_t> local_ns(const feed::CivilTime& time) {
  std::tm fields{};
  fields.tm_year = time.year - 1900;
  fields.tm_mon = time.month - 1;
  fields.tm_mday = time.day;
  fields.tm_hour = time.hour;
  fields.tm_min = time.minute;
  fields.tm_sec = time.second;
  fields.tm_isdst = -1;
  const std::time_t seconds = std::mktime(&fields);
  uint64_t ns = 0;
  if (seconds < 0 || __builtin_mul_overflow(static_cast<uint64_t>(seconds), kNsPerSecond, &ns) ||
      __builtin_add_overflow(ns, time.nanosecond, &ns))
    return std::nullopt;
  return ns;
}

// "10:42" or "10:42:07.5", of today.
std::optional<feed::CivilTime> time_of_today(const std::string& text, bool utc) {
  const std::time_t now = std::time(nullptr);
  std::tm fields{};
  if ((utc ? ::gmtime_r(&now, &fields) : ::localtime_r(&now, &fields)) == nullptr) return std::nullopt;
  return feed::parse_iso_time(fmt::format("{:04}-{:02}-{:02}T{}", fields.tm_year + 1900, fields.tm_mon + 1, fields.tm_mday, text));
}

std::string local_text(uint64_t ns) {
  const auto seconds = static_cast<std::time_t>(ns / kNsPerSecond);
  std::tm fields{};
  if (::localtime_r(&seconds, &fields) == nullptr) return std::to_string(ns);
  std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", fields.tm_year + 1900, fields.tm_mon + 1, fields.tm_mday,
                                fields.tm_hour, fields.tm_min, fields.tm_sec);
  if (const uint64_t fraction = ns % kNsPerSecond; fraction != 0) {
    out += fmt::format(".{:09}", fraction);
    while (out.back() == '0') out.pop_back();
  }
  const long offset = fields.tm_gmtoff / 60;
  return out + fmt::format("{}{:02}:{:02}", offset < 0 ? '-' : '+', std::labs(offset) / 60, std::labs(offset) % 60);
}

}  // namespace

TimeFormat TimeFormat::parse(const std::string& text) {
  TimeFormat format;
  if (text.empty() || text == "epoch") return format;
  if (text == "utc" || text == "UTC") {
    format.kind_ = Kind::kUtc;
    return format;
  }
  if (text == "local") {
    format.kind_ = Kind::kLocal;
    ::tzset();
    return format;
  }
  const char* root = std::getenv("TZDIR");
  const std::filesystem::path zone = std::filesystem::path(root != nullptr && *root != '\0' ? root : "/usr/share/zoneinfo") / text;
  std::error_code failed;
  if (text.front() == '/' || text.find("..") != std::string::npos || !std::filesystem::is_regular_file(zone, failed)) {
    throw UsageError(
        fmt::format("--ts-fmt '{}': expected epoch, local, utc or a time zone such as Europe/Berlin", printable(text, 64)));
  }
  ::setenv("TZ", (":" + text).c_str(), 1);
  ::tzset();
  format.kind_ = Kind::kZone;
  return format;
}

std::string TimeFormat::text(uint64_t value, const feed::Clock& clock) const {
  const auto ns = feed::convert_clock(value, clock.unit, feed::ClockUnit::kNs);
  if (kind_ == Kind::kEpoch || clock.domain == feed::ClockDomain::kMonotonic || !ns) return std::to_string(value);
  return kind_ == Kind::kUtc ? feed::iso_utc(*ns) : local_text(*ns);
}

std::function<void(std::string&, uint64_t, size_t)> TimeFormat::for_rows(const feed::Schema& schema) const {
  if (is_epoch()) return {};
  std::vector<feed::Clock> clocks;
  for (size_t k = 0; k < schema.clocks(); ++k) clocks.push_back(schema.clock(k));
  return [format = *this, clocks](std::string& out, uint64_t value, size_t k) { out += format.text(value, clocks[k]); };
}

uint64_t TimeFormat::parse_time(const std::string& text, const feed::Clock& clock, const std::string& what) const {
  const auto refuse = [&](std::string_view why) -> UsageError {
    return UsageError(
        fmt::format("{} '{}': {}; expected a whole number of {}, 1357034400s, 2013-01-01T10:00:00Z, 10:42, now or now-5m", what,
                    printable(text, 64), why, feed::unit_name(clock.unit)));
  };
  const auto in_unit = [&](uint64_t ns) { return *feed::convert_clock(ns, feed::ClockUnit::kNs, clock.unit, feed::Rounding::kUp); };
  if (text.starts_with('-')) throw refuse("times are not negative");
  uint64_t plain = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), plain);
  if (error == std::errc() && end == text.data() + text.size()) return plain;
  if (error == std::errc::result_out_of_range) throw refuse("it does not fit 64 bits");
  if (text.starts_with("now")) {
    const uint64_t now = clock.domain == feed::ClockDomain::kMonotonic ? monotonic_ns() : realtime_ns();
    if (text.size() == 3) return in_unit(now);
    const auto span = text.size() > 4 ? span_ns(std::string_view(text).substr(4), "s") : std::nullopt;
    if (!span || (text[3] != '-' && text[3] != '+')) throw refuse("it is no time");
    if (text[3] == '+') return in_unit(now + *span);
    return in_unit(now > *span ? now - *span : 0);
  }
  if (const auto span = span_ns(text, "")) return in_unit(*span);
  const bool utc = kind_ == Kind::kUtc;
  auto civil = feed::parse_iso_time(text);
  if (!civil) civil = time_of_today(text, utc);
  if (!civil) throw refuse("it is no time");
  if (clock.domain == feed::ClockDomain::kMonotonic) throw refuse("the clock is monotonic: it knows no dates");
  const auto ns = civil->offset_minutes || utc ? feed::utc_ns(*civil) : local_ns(*civil);
  if (!ns) throw refuse("it is before 1970 or after 2554");
  return in_unit(*ns);
}

void add_time_flag(CLI::App& verb, std::string& format) {
  verb.add_option("--ts-fmt", format, "clocks as epoch (plain numbers), local, utc, or in a zone such as Europe/Berlin")
      ->type_name("FMT")
      ->capture_default_str();
}

uint64_t parse_duration_ns(const std::string& text, const std::string& what) {
  if (const auto ns = span_ns(text, "s")) return *ns;
  throw UsageError(fmt::format("{} '{}': expected a duration such as 250ms, 90s, 5m, 2h or 1d", what, printable(text, 40)));
}

}  // namespace tidepool::cli
