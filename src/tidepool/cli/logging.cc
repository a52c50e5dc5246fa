#include "tidepool/cli/logging.h"

#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/cli/command.h"

namespace tidepool::cli {
namespace {
constexpr std::pair<std::string_view, LogLevel> kLevels[] = {  // in the order of LogLevel
    {"error", LogLevel::kError}, {"warn", LogLevel::kWarn}, {"info", LogLevel::kInfo}, {"debug", LogLevel::kDebug}, {"trace", LogLevel::kTrace}};

// Lines to a FILE. On a terminal a progress line may stand there (progress.h): it is wiped first and redrawn by itself.
// spdlog's own lock is not needed: base/log.cc serialises.
class FileSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit FileSink(std::FILE* to) : to_(to), terminal_(::isatty(::fileno(to)) == 1) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t text;
    formatter_->format(message, text);
    if (terminal_) {
      static constexpr std::string_view kWipe = "\r\x1b[K", kRed = "\x1b[31m", kYellow = "\x1b[33m", kReset = "\x1b[0m";
      const bool error = message.level >= spdlog::level::err, warn = message.level == spdlog::level::warn;
      std::fwrite(kWipe.data(), 1, kWipe.size(), to_);
      if (error || warn) std::fwrite((error ? kRed : kYellow).data(), 1, kRed.size(), to_);
      std::fwrite(text.data(), 1, text.size(), to_);
      if (error || warn) std::fwrite(kReset.data(), 1, kReset.size(), to_);
    } else {
      std::fwrite(text.data(), 1, text.size(), to_);
    }
    std::fflush(to_);
  }
  void flush_() override { std::fflush(to_); }

  std::FILE* to_;
  bool terminal_;
};

spdlog::level::level_enum level_of(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::kError: return spdlog::level::err;
    case LogLevel::kWarn: return spdlog::level::warn;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kTrace: return spdlog::level::trace;
  }
  return spdlog::level::info;
}
}  // namespace

std::optional<LogLevel> log_level_from(std::string_view name) noexcept {
  for (const auto& [text, level] : kLevels) {
    if (text == name) return level;
  }
  return std::nullopt;
}

void start_log(std::FILE* to, const std::string& flag) {
  std::string name = flag;
  std::string origin = "--log";
  if (name.empty()) {
    const char* variable = std::getenv("TIDEPOOL_LOG");
    name = variable != nullptr ? variable : "";
    origin = "environment TIDEPOOL_LOG";
  }
  const auto level = name.empty() ? std::optional(LogLevel::kInfo) : log_level_from(name);
  if (!level) throw UsageError(concat(origin, " is '", printable(name, 32), "': expected error, warn, info, debug or trace"));

  auto logger = std::make_shared<spdlog::logger>("tidepool", std::make_shared<FileSink>(to));
  logger->set_level(spdlog::level::trace);  // base/log.h holds the threshold
  logger->set_pattern("%H:%M:%S.%e %v");  // the level in our own words: those of --log
  set_log_sink(
      [logger](LogLevel line_level, std::string_view role, std::string_view text) {
        const std::string line = concat(kLevels[static_cast<size_t>(line_level)].first, " ", role, role.empty() ? "" : ": ", text);
        logger->log(level_of(line_level), line);
      },
      *level);
}

void start_scenery_log(std::FILE* to, const std::string& flag) {
  const char* level = std::getenv("TIDEPOOL_LOG");
  start_log(to, flag.empty() && (level == nullptr || *level == '\0') ? "warn" : flag);
}

void stop_log() { set_log_sink({}, LogLevel::kInfo); }

}  // namespace tidepool::cli
