#include "tidepool/cli/feed/zone_text.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <ctime>
#include <optional>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/cli/command.h"
#include "tidepool/feed/values.h"

namespace tidepool::cli {
namespace {

// The C library knows one zone at a time.
class ZoneNow {
 public:
  explicit ZoneNow(const std::string& zone) {
    if (const char* before = std::getenv("TZ"); before != nullptr) before_ = before;
    ::setenv("TZ", zone.c_str(), 1);
    ::tzset();
  }
  ~ZoneNow() {
    before_ ? ::setenv("TZ", before_->c_str(), 1) : ::unsetenv("TZ");
    ::tzset();
  }
  ZoneNow(const ZoneNow&) = delete;
  ZoneNow& operator=(const ZoneNow&) = delete;

 private:
  std::optional<std::string> before_;
};

bool is_zone(std::string_view name) {
  if (name.empty() || name.front() == '/' || name.find("..") != std::string_view::npos) return false;
  struct stat found{};
  return ::stat(concat("/usr/share/zoneinfo/", name).c_str(), &found) == 0 && S_ISREG(found.st_mode);
}

std::string text_of(const std::tm& parts, uint64_t ns, bool utc) {
  char day[32], zone[16];
  std::strftime(day, sizeof day, "%Y-%m-%d %H:%M:%S", &parts);
  std::strftime(zone, sizeof zone, "%z", &parts);
  const std::string offset = utc ? "Z" : fmt::format("{:.3}:{}", zone, zone + 3);
  return fmt::format("{}.{:09}{}", day, ns, offset);
}

}  // namespace

TimeText::TimeText(std::string_view format) {
  if (format == "epoch") {
    kind_ = Kind::kEpoch;
  } else if (format == "utc") {
    kind_ = Kind::kUtc;
  } else if (format == "local") {
    kind_ = Kind::kLocal;
  } else if (is_zone(format)) {
    kind_ = Kind::kZone;
    zone_ = format;
  } else {
    throw UsageError(concat("--ts-fmt '", format,
                            "': expected epoch, utc, local, or a zone such as Europe/Zurich that /usr/share/zoneinfo has"));
  }
}

std::string TimeText::of_ns(uint64_t wall_ns) const {
  if (kind_ == Kind::kEpoch) return std::to_string(wall_ns);
  const auto seconds = static_cast<std::time_t>(wall_ns / kNsPerSecond);
  std::tm parts{};
  if (kind_ == Kind::kUtc) {
    ::gmtime_r(&seconds, &parts);
    return text_of(parts, wall_ns % kNsPerSecond, true);
  }
  std::optional<ZoneNow> zone;
  if (kind_ == Kind::kZone) zone.emplace(zone_);
  ::localtime_r(&seconds, &parts);
  return text_of(parts, wall_ns % kNsPerSecond, false);
}

std::string TimeText::of_clock(uint64_t value, const feed::Clock& clock) const {
  if (kind_ == Kind::kEpoch || clock.domain == feed::ClockDomain::kMonotonic) return std::to_string(value);
  const auto ns = feed::convert_clock(value, clock.unit, feed::ClockUnit::kNs);
  return ns ? of_ns(*ns) : std::to_string(value);
}

void add_time_flag(CLI::App& verb, std::string& format) {
  verb.add_option("--ts-fmt", format, "times as epoch (numbers, the default), utc, local, or a zone such as Europe/Zurich")
      ->type_name("FORMAT");
}

}  // namespace tidepool::cli
