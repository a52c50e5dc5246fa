#pragma once
// Where the library's few log lines go. The library never prints: without a sink they are dropped; the command line
// installs one (spdlog). Never called on a hot path.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "tidepool/base/error.h"

namespace tidepool {

enum class LogLevel : uint8_t { kError, kWarn, kInfo, kDebug, kTrace };

using LogSink = std::function<void(LogLevel level, std::string_view role, std::string_view text)>;

// Install the process's sink and threshold; an empty sink drops all again. The sink gets one line at a time, must not
// throw and must not log. Thread safety: call before threads are started.
void set_log_sink(LogSink sink, LogLevel threshold);
bool log_enabled(LogLevel level) noexcept;
void log_line(LogLevel level, std::string_view role, std::string_view text);

// Text from another process made printable: control characters and non-ASCII escaped, cut at limit_bytes (W-93).
std::string printable(std::string_view text, size_t limit_bytes = 256);
// As a JSON string with its quotes, all of it in printable ASCII: a byte beyond that becomes the code point of its number.
std::string json_quoted(std::string_view text);

template <typename... Parts>
void log(LogLevel level, std::string_view role, const Parts&... parts) {
  if (log_enabled(level)) log_line(level, role, concat(parts...));
}

}  // namespace tidepool
