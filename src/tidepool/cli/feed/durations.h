#pragma once
// Durations ("90", "90s", "15m", "12h", "7d") and sizes ("64MiB") on the command line.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <string>

namespace tidepool::cli {

// A limit below nothing is a typing error, and would be none at all.
inline CLI::Validator not_negative(const CLI::Validator& inner, const std::string& description) {
  return CLI::Validator(
      [inner](std::string& text) { return text.starts_with('-') ? "expected 0 or more, not " + text : inner(text); }, description);
}
// A number with a unit, as seconds.
inline CLI::Validator duration() {
  const CLI::AsNumberWithUnit seconds(std::map<std::string, double>{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}},
                                      CLI::AsNumberWithUnit::CASE_SENSITIVE, "DURATION");
  return not_negative(seconds, seconds.get_description());
}
// A number with a unit (KiB, MB, ...), as bytes.
inline CLI::Validator size_in_bytes() { return not_negative(CLI::AsSizeValue(false), ""); }
inline uint64_t duration_ns(double seconds) {
  return seconds <= 0 ? 0 : seconds >= 1e10 ? ~uint64_t{0} : static_cast<uint64_t>(seconds * 1e9);
}

}  // namespace tidepool::cli
