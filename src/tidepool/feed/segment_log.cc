#include "tidepool/feed/segment_log.h"

#include <algorithm>

#include "tidepool/base/clock.h"

namespace tidepool::feed {

void SegmentLog::begin(const FeedInfo& feed, const FeedRegistry& registry, uint64_t next_seq, uint64_t epoch, Put put) {
  put_ = std::move(put);
  epoch_ = epoch;
  clocks_ = feed.schema.clocks();
  first_ = next_seq;
  for (const SegmentInfo& segment : registry.segments()) id_ = std::max(id_, segment.id);
}

FeedRecord SegmentLog::entry(FeedEntry type) const {
  FeedRecord record;
  record.type = type;
  record.epoch = epoch_;
  record.monotonic_ns = monotonic_ns();
  return record;
}

// Records go on without their segments' entries, which come when the disk takes them: in order, so behind those that wait.
void SegmentLog::put(const FeedRecord& record) {
  try {
    retry();
    put_(record);
  } catch (const FeedError& error) {
    if (error.fault() == Fault::kFeedReplaced || error.fault() == Fault::kFeedDeleted) throw;
    pending_.push_back(record);
  }
}

bool SegmentLog::retry() {
  while (!pending_.empty()) {
    put_(pending_.front());
    pending_.pop_front();
  }
  return false;
}

void SegmentLog::open() {
  if (open_) return;
  FeedRecord opened = entry(FeedEntry::kSegmentOpened);
  opened.ordinal = id_ + 1;
  opened.first_seq = first_;
  put(opened);
  ++id_;
  open_ = true;
}

void SegmentLog::gather(LiveChunk& chunk) {
  for (size_t k = 0; k < clocks_; ++k) {
    const ClockBounds& fresh = chunk.index.since_mark(k);
    if (fresh.min > fresh.max) continue;
    ClockBounds& bounds = bounds_[k];
    bounds.ordered = bounds.ordered && fresh.ordered && (bounds.min > bounds.max || fresh.min >= bounds.max);
    bounds.min = std::min(bounds.min, fresh.min);
    bounds.max = std::max(bounds.max, fresh.max);
  }
  chunk.index.mark();
  end_ = chunk.first_seq + chunk.index.records();
}

bool SegmentLog::close(const std::string& reason) {
  if (!open_) return false;
  const uint64_t end = std::max(end_, first_);
  if (end == first_) return false;
  FeedRecord closed = entry(FeedEntry::kSegmentClosed);
  closed.ordinal = id_;
  closed.first_seq = first_;
  closed.count = end - first_;
  closed.value = static_cast<uint64_t>(SegmentStatus::kClosed);
  std::copy(std::begin(bounds_), std::end(bounds_), std::begin(closed.clocks));
  closed.text = reason;
  put(closed);
  open_ = false;
  first_ = end;
  for (ClockBounds& bounds : bounds_) bounds = {};
  return true;
}

}  // namespace tidepool::feed
