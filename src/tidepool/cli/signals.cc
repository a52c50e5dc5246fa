#include "tidepool/cli/signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace tidepool::cli {
namespace {
std::atomic<bool> stop_flag{false};  // relaxed everywhere: a flag alone, no data with it
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler stores to it");

void on_signal(int number) {
  // The second one: whoever sends it does not want to wait. 128 + n is what a shell shows for a death by signal n.
  if (stop_flag.exchange(true, std::memory_order_relaxed)) ::_exit(128 + number);
}
}  // namespace

void ignore_broken_pipes() {
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, nullptr);
}

void install_signal_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigemptyset(&action.sa_mask);
  action.sa_flags = 0;  // no SA_RESTART: a blocking read or sleep returns and its loop sees the flag
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  ignore_broken_pipes();
}

bool stop_requested() noexcept { return stop_flag.load(std::memory_order_relaxed); }
void request_stop() noexcept { stop_flag.store(true, std::memory_order_relaxed); }
void clear_stop() noexcept { stop_flag.store(false, std::memory_order_relaxed); }

}  // namespace tidepool::cli
