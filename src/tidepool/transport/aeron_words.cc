#include "tidepool/transport/aeron_words.h"

#include <aeronc.h>

#include <cstdarg>
#include <cstdio>
#include <mutex>

#include "tidepool/base/log.h"

extern "C" void aeron_err_clear(void);  // util/aeron_error.h, which is no C++ header

namespace tidepool::transport {

namespace {

int print_to_log(const char* /*file*/, uint64_t /*line*/, void* stream, const char* format, va_list args) {
  // The same hook writes Aeron's files (error logs, loss reports): those stay what they are.
  if (stream != static_cast<void*>(stderr) && stream != static_cast<void*>(stdout)) {
    return std::vfprintf(static_cast<FILE*>(stream), format, args);
  }
  char text[1024];
  const int length = std::vsnprintf(text, sizeof text, format, args);
  if (length > 0) log(LogLevel::kWarn, "aeron", one_line(text));
  return length;
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    // "[aeron_async_add..., aeron_client_conductor.c:3806] what happened": the position helps nobody here.
    if (line.starts_with('[')) {
      const size_t close = line.find("] ");
      line = close == std::string_view::npos ? std::string_view() : line.substr(close + 2);
    }
    while (!line.empty() && (line.front() == ' ' || line.front() == '\r')) line.remove_prefix(1);
    while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    if (!out.empty()) out += ": ";
    out += line;
  }
  return printable(out, 1024);
}

std::string take_aeron_words() {
  const bool some = aeron_errcode() != 0;
  std::string words = some ? one_line(aeron_errmsg()) : std::string();
  aeron_err_clear();
  return words;
}

int aeron_error_number() noexcept { return aeron_errcode(); }

void route_aeron_prints_to_log() {
  static std::once_flag once;
  std::call_once(once, [] { aeron_set_fprintf_handler(&print_to_log); });
}

}  // namespace tidepool::transport
