#pragma once
// Which process is that? A pid alone proves nothing (it is reused): a pid with its start time does.

#include <cstdint>
#include <string>

namespace tidepool {

struct ProcessId {
  uint64_t pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/<pid>/stat: clock ticks since boot
  bool operator==(const ProcessId&) const = default;
};

ProcessId this_process();
// start_ticks of a running process, 0 if there is none (or it cannot be seen from this PID namespace). A zombie, which only
// waits to be reaped, runs no more.
uint64_t process_start_ticks(uint64_t pid) noexcept;
// The pid exists at all (signal 0) and is no zombie. EPERM counts as alive.
bool process_exists(uint64_t pid) noexcept;
// The effective user's name for paths: characters outside [A-Za-z0-9_-] replaced by '_', "unknown" if empty (W-21).
std::string sanitised_user_name();

}  // namespace tidepool
