#pragma once
// SIGINT and SIGTERM end a command in order: the handler only sets a flag, loops look at it. A second signal ends the
// process at once. SIGPIPE is ignored: a closed pipe is a write error, and children get the default back.

namespace tidepool::cli {

// Part of install_signal_handlers(); run_command() does it for the verbs that never wait.
void ignore_broken_pipes();

// Idempotent. Every verb that waits calls it before it starts anything.
void install_signal_handlers();

// A signal asked the command to end. Any thread.
bool stop_requested() noexcept;
// As if a signal had come (tests, a failed sibling).
void request_stop() noexcept;
// Forget earlier requests: run_command() begins with it.
void clear_stop() noexcept;

}  // namespace tidepool::cli
