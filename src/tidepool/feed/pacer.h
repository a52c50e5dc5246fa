#pragma once
// Replay at the pace of the records' own time: real time times a factor, each record at its moment, or all of a fixed window together
// when that window is over (F-103). Pacer says when; PacedReader is a merge of feeds (or one) that keeps to it.
//
// Thread safety: one thread.

#include <cstdint>
#include <optional>

#include "tidepool/base/clock.h"
#include "tidepool/feed/merged_reader.h"

namespace tidepool::feed {

struct PaceOptions {
  double factor = 1;  // so many times as fast as the records' clock; 0: no waiting, only windows
  uint64_t window_ns =
      0;  // 0: each record at its own time. Windows begin at multiples of it, so that all replays have the same ones
  bool reverse = false;  // records come newest first
  const tidepool::Clock* clock = &SystemClock::instance();
};

class Pacer {
 public:
  // Throws FeedError kUsage for a factor that is none.
  explicit Pacer(const PaceOptions& options);

  struct Due {
    uint64_t at_ns = 0;  // of the monotonic clock; in the past: now
    uint64_t window = 0;  // number of its window: it begins at window * window_ns
    bool begins = false;  // the first record of another window
  };
  // Of a record of that time. The first one sets the start; one that is earlier than those before it is due with them.
  Due due(uint64_t time_ns) noexcept;
  // Wait for that moment, `timeout_ns` at most, asleep. False: it has not come yet.
  bool wait(uint64_t at_ns, uint64_t timeout_ns) const noexcept;
  void restart() noexcept { started_ = false; }  // after a pause: the next record sets the start anew

 private:
  PaceOptions options_;
  bool started_ = false;
  uint64_t start_ns_ = 0;  // of the monotonic clock
  uint64_t from_ns_ = 0;  // of the records' clock
  uint64_t window_ = 0;
};

struct PacedItem {
  MergedItem merged;
  uint64_t window = 0;  // of a record
  bool begins = false;  // the first record of another window
};

class PacedReader {
 public:
  PacedReader(MergedReader merged, const PaceOptions& options) : merged_(std::move(merged)), pacer_(options) {}
  // The next record once it is due, or event; kIdle: none came, or it is not due within the time given. Events come behind the records
  // that were before them.
  [[nodiscard]] PacedItem next(uint64_t timeout_ns = 0);
  MergedReader& merged() noexcept { return merged_; }

 private:
  MergedReader merged_;
  Pacer pacer_;
  std::optional<PacedItem> ahead_;  // read, and not due yet
  uint64_t due_ns_ = 0;
};

}  // namespace tidepool::feed
