#pragma once
// A clock's values as people write and read them.

#include <cstdint>
#include <functional>
#include <string>

#include "tidepool/feed/schema.h"

namespace CLI {
class App;
}

namespace tidepool::cli {

// --ts-fmt: epoch (the plain number), local, utc, or a zone of the time zone database ("Europe/Berlin"). Sets the process's time
// zone for the last one. Throws UsageError for a zone that there is not.
class TimeFormat {
 public:
  TimeFormat() = default;
  static TimeFormat parse(const std::string& text);
  bool is_epoch() const noexcept { return kind_ == Kind::kEpoch; }
  // "2013-01-01T05:00:00-05:00"; the number itself for a clock that is not of the wall.
  std::string text(uint64_t value, const feed::Clock& clock) const;
  // For feed::RowStyle; empty with epoch.
  std::function<void(std::string&, uint64_t, size_t)> for_rows(const feed::Schema& schema) const;

  // What people type: "1357034400000000000" (in the clock's unit), "1357034400s", "1.5ms", "2013-01-01T10:00" (without an offset in
  // this format's zone, which is the local one by default), "10:42" (today), "now", "now-5m". The result is in the clock's unit,
  // rounded up, as half-open ranges need it. `what` names the option. Throws UsageError.
  uint64_t parse_time(const std::string& text, const feed::Clock& clock, const std::string& what) const;

 private:
  enum class Kind : uint8_t { kEpoch, kLocal, kUtc, kZone };
  Kind kind_ = Kind::kEpoch;
};

// --ts-fmt, kept in `format` for TimeFormat::parse().
void add_time_flag(CLI::App& verb, std::string& format);

// "250ms", "5m", "2h", "1d", "90s", "1.5h", and bare seconds. Throws UsageError naming `what`.
uint64_t parse_duration_ns(const std::string& text, const std::string& what);

}  // namespace tidepool::cli
