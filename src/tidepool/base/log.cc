#include "tidepool/base/log.h"

#include <mutex>

namespace tidepool {
namespace {
struct Sink {
  std::mutex mutex;  // GUARDED: sink, one line at a time
  LogSink sink;
  LogLevel threshold = LogLevel::kInfo;
  bool installed = false;
};
Sink& the_sink() {
  static auto& sink = *new Sink;  // never destroyed: threads of libraries may log while the process exits
  return sink;
}
}  // namespace

void set_log_sink(LogSink sink, LogLevel threshold) {
  auto& s = the_sink();
  const std::lock_guard lock(s.mutex);
  s.installed = static_cast<bool>(sink);
  s.sink = std::move(sink);
  s.threshold = threshold;
}

bool log_enabled(LogLevel level) noexcept {
  const auto& s = the_sink();
  return s.installed && level <= s.threshold;
}

void log_line(LogLevel level, std::string_view role, std::string_view text) {
  auto& s = the_sink();
  const std::lock_guard lock(s.mutex);
  if (s.sink) s.sink(level, role, text);
}

std::string printable(std::string_view text, size_t limit_bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : text.substr(0, limit_bytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out.push_back(c);
    } else {
      out.append({'\\', 'x', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  if (text.size() > limit_bytes) out.append("...");
  return out;
}

std::string json_quoted(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.append({'\\', c});
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte >= 0x7f) {
      out.append({'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]});
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
  return out;
}

}  // namespace tidepool
