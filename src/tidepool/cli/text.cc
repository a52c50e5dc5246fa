#include "tidepool/cli/text.h"

#include <fmt/format.h>

#include <charconv>

#include "tidepool/base/log.h"
#include "tidepool/cli/command.h"
#include "tidepool/wire/tensor.h"

namespace tidepool::cli {

std::string format_bytes(uint64_t bytes) {
  static constexpr std::string_view kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string format_rate(uint64_t bytes, double seconds) {
  if (seconds <= 0) return "-";
  const double rate = static_cast<double>(bytes) / seconds;
  return format_bytes(rate < 1.8e19 ? static_cast<uint64_t>(rate) : UINT64_MAX) + "/s";
}

std::string format_ns(uint64_t ns) {
  if (ns < 1'000) return fmt::format("{} ns", ns);
  if (ns < 1'000'000) return fmt::format("{:.1f} us", static_cast<double>(ns) / 1e3);
  if (ns < 1'000'000'000) return fmt::format("{:.1f} ms", static_cast<double>(ns) / 1e6);
  if (ns < 600'000'000'000) return fmt::format("{:.1f} s", static_cast<double>(ns) / 1e9);
  if (ns < 36'000'000'000'000) return fmt::format("{:.1f} min", static_cast<double>(ns) / 60e9);
  return fmt::format("{:.1f} h", static_cast<double>(ns) / 3600e9);
}

std::string format_count(uint64_t count, std::string_view noun) { return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s"); }

std::vector<int32_t> parse_shape(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return UsageError(fmt::format("--shape is '{}': {}; expected 1 to {} dimensions such as 480,640 or 480,640,3", printable(text, 64), why, wire::kMaxDims));
  };
  std::vector<int32_t> dims;
  size_t at = 0;
  for (;;) {
    const size_t end = std::min(text.find_first_of(",x", at), text.size());
    const std::string_view part = text.substr(at, end - at);
    int32_t value = 0;
    const auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error == std::errc::result_out_of_range) throw refuse("a dimension is above 2147483647");
    if (part.empty() || error != std::errc{} || stop != part.data() + part.size()) throw refuse(fmt::format("'{}' is not a number", printable(part, 32)));
    if (value < 0) throw refuse("a dimension is negative");
    if (dims.size() == wire::kMaxDims) throw refuse("too many dimensions");
    dims.push_back(value);
    if (end == text.size()) return dims;
    at = end + 1;
  }
}

std::string format_shape(const int32_t* dims, size_t ndims) { return fmt::format("{}", fmt::join(dims, dims + ndims, ",")); }

}  // namespace tidepool::cli
