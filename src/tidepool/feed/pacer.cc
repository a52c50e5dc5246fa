#include "tidepool/feed/pacer.h"

#include <time.h>

#include <algorithm>
#include <cmath>

namespace tidepool::feed {
namespace {

constexpr double kLongestNs = 9e18;  // within 64 bits, and longer than anybody waits

}  // namespace

Pacer::Pacer(const PaceOptions& options) : options_(options) {
  if (!std::isfinite(options.factor) || options.factor < 0) {
    throw FeedError(Fault::kUsage, "a pace of ", options.factor,
                    ": expected how many times as fast as the records' time, or 0 not to wait");
  }
}

Pacer::Due Pacer::due(uint64_t time_ns) noexcept {
  const uint64_t width = options_.window_ns;
  Due due;
  due.window = width == 0 ? 0 : time_ns / width;
  if (!started_) {
    started_ = true;
    start_ns_ = options_.clock->monotonic_ns();
    // The start is where its window begins, in the direction that time goes.
    from_ns_ = width == 0 ? time_ns : due.window * width + (options_.reverse ? width - 1 : 0);
    window_ = due.window;
    due.begins = width != 0;
  } else if (width != 0) {
    due.window = options_.reverse ? std::min(due.window, window_) : std::max(due.window, window_);
    due.begins = due.window != window_;
    window_ = due.window;
  }
  if (options_.factor == 0) return due;
  uint64_t reached_ns = time_ns;
  double more = 0;
  if (width != 0) {  // when all of the window is over
    reached_ns = due.window * width + (options_.reverse ? width - 1 : 0);
    more = static_cast<double>(width);
  }
  const uint64_t apart_ns =
      options_.reverse ? from_ns_ - std::min(from_ns_, reached_ns) : reached_ns - std::min(from_ns_, reached_ns);
  const double elapsed = (static_cast<double>(apart_ns) + more) / options_.factor;
  due.at_ns = start_ns_ + static_cast<uint64_t>(std::min(elapsed, kLongestNs));
  return due;
}

bool Pacer::wait(uint64_t at_ns, uint64_t timeout_ns) const noexcept {
  const uint64_t now_ns = options_.clock->monotonic_ns();
  if (now_ns >= at_ns) return true;
  const uint64_t wait_ns = std::min(at_ns - now_ns, timeout_ns);
  if (wait_ns > 0) {
    const timespec pause{static_cast<time_t>(wait_ns / kNsPerSecond), static_cast<long>(wait_ns % kNsPerSecond)};
    ::nanosleep(&pause, nullptr);
  }
  return options_.clock->monotonic_ns() >= at_ns;
}

PacedItem PacedReader::next(uint64_t timeout_ns) {
  const uint64_t begin_ns = monotonic_ns();
  if (!ahead_) {
    PacedItem item{merged_.next(timeout_ns), 0, false};
    if (!item.merged.item.is_record()) return item;
    const Pacer::Due due = pacer_.due(item.merged.time_ns);
    item.window = due.window;
    item.begins = due.begins;
    due_ns_ = due.at_ns;
    ahead_ = std::move(item);
  }
  const uint64_t spent_ns = monotonic_ns() - begin_ns;
  if (pacer_.wait(due_ns_, timeout_ns - std::min(timeout_ns, spent_ns))) {
    PacedItem item = std::move(*ahead_);
    ahead_.reset();
    return item;
  }
  PacedItem idle;
  idle.merged.feed = merged_.feeds();
  return idle;
}

}  // namespace tidepool::feed
