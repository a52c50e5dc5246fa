#pragma once
// "90", "90s", "15m", "12h", "7d" on the command line.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <string>

namespace tidepool::cli {

// A number with a unit, as seconds.
inline CLI::Validator duration() {
  return CLI::AsNumberWithUnit(std::map<std::string, double>{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}},
                               CLI::AsNumberWithUnit::CASE_SENSITIVE, "DURATION");
}
inline uint64_t duration_ns(double seconds) {
  return seconds <= 0 ? 0 : seconds >= 1e10 ? ~uint64_t{0} : static_cast<uint64_t>(seconds * 1e9);
}

}  // namespace tidepool::cli
