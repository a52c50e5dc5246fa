#pragma once
// Segments: spans of a feed that were captured without a known break, and the breaks between them, told as what is stored (F-111 to
// F-115). The registry says where writers began and stopped; what retention or a loss took since is taken off here, so that every
// bound is that of records that can be read.
//
// Thread safety: as the reader that is given. None of this moves its next().

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/feed/reader.h"

namespace tidepool::feed {

// Which segments a question is about.
enum class SegmentFilter : uint8_t {
  kUsable,  // closed and crash-closed; the open one too where its end is asked for
  kAll,
  kClosed,
  kCrashClosed,
  kOpen,
  kBroken,
  kInvalidEmpty,
};
std::string_view segment_status_name(SegmentStatus status) noexcept;  // "open", "closed", "crash_closed", "invalid_empty", "broken"
// "usable", "all" or a status; throws FeedError kUsage with those that there are.
SegmentFilter segment_filter_named(std::string_view name);

struct Segment {
  uint64_t id = 0;  // 0: made from chunks, because the registry tells of none there (F-114)
  uint64_t epoch = 0;
  SegmentStatus status = SegmentStatus::kOpen;
  uint64_t first_seq = 0;  // of what is stored
  uint64_t end_seq = 0;  // kBroken: kUnknownCount when nobody knows how much was lost
  ClockBounds clocks[kClocksMax];
  uint64_t opened_wall_ns = 0;
  uint64_t closed_wall_ns = 0;  // 0: open
  std::string reason;
  bool clipped = false;  // it held more once: expired, lost or damaged since

  uint64_t records() const noexcept { return end_seq == kUnknownCount ? 0 : end_seq - first_seq; }
};
bool passes(const Segment& segment, SegmentFilter filter, bool include_open = false) noexcept;

// All of them by first record, broken spans between them. A segment with a hole comes as one part on each side of it. Reads
// the records only where a bound is not written down: at most two pieces of chunks for each segment.
std::vector<Segment> stored_segments(FeedReader& reader);

// [from, to), in the unit of the clock. `to` is the last record's clock and one, so that touching means end == next start (F-116);
// a record at the clock's very maximum lies in no half-open range.
struct Interval {
  uint64_t from = 0;
  uint64_t to = 0;
  uint64_t duration() const noexcept { return to - from; }
  bool operator==(const Interval&) const = default;
};
Interval interval_of(const Segment& segment, size_t clock) noexcept;
// Sorted, overlapping and touching ones made one.
std::vector<Interval> merged(std::vector<Interval> intervals);

// What may be read of a feed: from the first usable record to behind the last, where nothing was captured in between, and the
// longest span without such a gap (F-115). nullopt: nothing is usable.
struct SuggestedRange {
  Interval whole;
  std::vector<Interval> gaps;
  Interval longest;
};
std::optional<SuggestedRange> suggest_range(const std::vector<Segment>& segments, size_t clock,
                                            SegmentFilter filter = SegmentFilter::kUsable, bool include_open = true);

}  // namespace tidepool::feed
