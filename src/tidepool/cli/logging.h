#pragma once
// The command line's log: lines for people on stderr. TIDEPOOL_LOG (error, warn, info, debug, trace) sets the level,
// --log goes over it (rulings P-12).

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "tidepool/base/log.h"

namespace tidepool::cli {

std::optional<LogLevel> log_level_from(std::string_view name) noexcept;

// Install the process's sink. `flag` is --log's value or empty. Throws UsageError for an unknown level.
// Thread safety: call before threads are started.
void start_log(std::FILE* to, const std::string& flag);
// As start_log(), but info lines of roles that run here as scenery (demo, bench) stay away unless the user asked for a level.
void start_scenery_log(std::FILE* to, const std::string& flag);
// Drop the sink (the FILE is about to go).
void stop_log();

}  // namespace tidepool::cli
