#pragma once
// The segments of one writer tenure: which records belong together, told in the feed's registry (F-111). Private to feed/.
//
// Thread safety: whoever holds the persister's mutex.

#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "tidepool/feed/live_chunk.h"

namespace tidepool::feed {

class SegmentLog {
 public:
  using Put = std::function<void(const FeedRecord&)>;
  // `registry`: as recovery left it. `put` appends an entry and throws if it cannot.
  void begin(const FeedInfo& feed, const FeedRegistry& registry, uint64_t next_seq, uint64_t epoch, Put put);

  // Records are there: tell of a segment unless one is open.
  void open();
  // What the chunk's index has learnt since the last call.
  void gather(LiveChunk& chunk);
  // False: it holds nothing.
  bool close(const std::string& reason);
  // Entries that the disk refused, kept for the next time (F-114). The first of them that is refused again throws; false: none is left.
  bool retry();
  size_t pending() const noexcept { return pending_.size(); }

 private:
  FeedRecord entry(FeedEntry type) const;
  void put(const FeedRecord& record);
  Put put_;
  std::deque<FeedRecord> pending_;  // in their order
  uint64_t epoch_ = 0;
  size_t clocks_ = 1;
  bool open_ = false;
  uint64_t id_ = 0;
  uint64_t first_ = 0;
  uint64_t end_ = 0;
  ClockBounds bounds_[kClocksMax];
};

}  // namespace tidepool::feed
