#pragma once
// Times as people want to see them: --ts-fmt epoch|utc|local|ZONE.

#include <cstdint>
#include <string>
#include <string_view>

#include "tidepool/feed/schema.h"

namespace CLI {
class App;
}

namespace tidepool::cli {

class TimeText {
 public:
  TimeText() = default;
  // "epoch", "utc", "local" or a name of the time zone data base; throws UsageError for a zone that is not there.
  explicit TimeText(std::string_view format);

  // Nanoseconds of the wall clock: "2026-11-22 15:42:07.123456789+01:00", or the number.
  std::string of_ns(uint64_t wall_ns) const;
  // A feed's own clock: the number as it is for `epoch`, and for a monotonic clock always.
  std::string of_clock(uint64_t value, const feed::Clock& clock) const;

 private:
  enum class Kind : uint8_t { kEpoch, kUtc, kLocal, kZone };
  Kind kind_ = Kind::kEpoch;
  std::string zone_;
};

// --ts-fmt, kept in `format`.
void add_time_flag(CLI::App& verb, std::string& format);

}  // namespace tidepool::cli
