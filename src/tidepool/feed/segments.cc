#include "tidepool/feed/segments.h"

#include <algorithm>

namespace tidepool::feed {
namespace {

constexpr std::string_view kStatusNames[] = {"open", "closed", "crash_closed", "invalid_empty", "broken"};

void widen(ClockBounds& bounds, uint64_t clock) noexcept {
  if (bounds.min <= bounds.max && clock < bounds.max) bounds.ordered = false;
  bounds.min = std::min(bounds.min, clock);
  bounds.max = std::max(bounds.max, clock);
}

void widen(ClockBounds& bounds, const ClockBounds& next) noexcept {
  if (next.min > next.max) return;
  const bool follows = bounds.min > bounds.max || next.min >= bounds.max;
  bounds.ordered = bounds.ordered && next.ordered && follows;
  bounds.min = std::min(bounds.min, next.min);
  bounds.max = std::max(bounds.max, next.max);
}

class Teller {
 public:
  explicit Teller(FeedReader& reader)
      : reader_(reader), clocks_(reader.feed().schema.clocks()), floor_(reader.first_seq()), end_(reader.committed_seq()) {
    chunks_ = reader.chunks();
    epochs_ = reader.epochs();
  }

  std::vector<Segment> tell() {
    find_holes();
    for (const SegmentInfo& info : std::vector<SegmentInfo>(reader_.segments())) take(info);
    fill_uncovered();
    for (const Segment& hole : holes_) told_.push_back(hole);
    std::stable_sort(told_.begin(), told_.end(), [](const Segment& a, const Segment& b) { return a.first_seq < b.first_seq; });
    return std::move(told_);
  }

 private:
  // Where records are known to be gone: quarantined chunks, and losses that recovery wrote down (F-112).
  void find_holes() {
    for (const ChunkInfo& chunk : chunks_) {
      if (chunk.state != ChunkState::kQuarantined || chunk.count == 0) continue;
      holes_.push_back(broken(chunk.epoch, chunk.first_seq, chunk.end_seq(), concat("chunk ", chunk.ordinal, " is quarantined")));
      std::copy(std::begin(chunk.clocks), std::end(chunk.clocks), std::begin(holes_.back().clocks));
    }
    cuts_ = holes_;
    for (const LossInfo& loss : reader_.losses()) {
      holes_.push_back(broken(loss.epoch, loss.first_seq, loss.count == kUnknownCount ? kUnknownCount : loss.first_seq + loss.count,
                              loss.reason));
    }
    std::sort(cuts_.begin(), cuts_.end(), [](const Segment& a, const Segment& b) { return a.first_seq < b.first_seq; });
  }

  static Segment broken(uint64_t epoch, uint64_t first_seq, uint64_t end_seq, std::string reason) {
    Segment segment;
    segment.epoch = epoch;
    segment.status = SegmentStatus::kBroken;
    segment.first_seq = first_seq;
    segment.end_seq = end_seq;
    segment.reason = std::move(reason);
    return segment;
  }

  // Numbers from there on were written anew by a later epoch: what an earlier one told of them is no longer so (F-113).
  uint64_t end_of_epoch(uint64_t epoch) const noexcept {
    uint64_t end = end_;
    for (const EpochInfo& later : epochs_) {
      if (later.epoch > epoch) end = std::min(end, later.first_seq);
    }
    return end;
  }

  void take(const SegmentInfo& info) {
    Segment segment;
    segment.id = info.id;
    segment.epoch = info.epoch;
    segment.status = info.status;
    segment.opened_wall_ns = info.opened_wall_ns;
    segment.closed_wall_ns = info.closed_wall_ns;
    segment.reason = info.reason;
    segment.first_seq = info.first_seq;
    segment.end_seq = info.end_seq;
    if (info.status == SegmentStatus::kInvalidEmpty || info.status > SegmentStatus::kBroken) {
      if (info.status > SegmentStatus::kBroken) segment.status = SegmentStatus::kBroken;  // a kind that this program does not know
      told_.push_back(segment);
      return;
    }
    const uint64_t claimed_end = info.status == SegmentStatus::kOpen ? end_ : info.end_seq;
    segment.first_seq = std::max(info.first_seq, floor_);
    segment.end_seq = std::min(claimed_end, end_of_epoch(info.epoch));
    segment.clipped = segment.first_seq != info.first_seq || segment.end_seq != claimed_end;
    if (segment.first_seq >= segment.end_seq) return;  // all of it is gone
    std::copy(std::begin(info.clocks), std::end(info.clocks), std::begin(segment.clocks));
    covered_.push_back({segment.first_seq, segment.end_seq});
    split(std::move(segment), info.status == SegmentStatus::kClosed);
  }

  // The parts of it that no hole took. `exact`: its bounds are those of all its records.
  void split(Segment segment, bool exact) {
    const uint64_t end = segment.end_seq;
    uint64_t at = segment.first_seq;
    bool whole = true;
    for (const Segment& cut : cuts_) {
      if (cut.end_seq <= at || cut.first_seq >= end) continue;
      whole = false;
      if (cut.first_seq > at) give(segment, at, cut.first_seq, false, true);
      at = std::max(at, cut.end_seq);
    }
    if (at < end) give(segment, at, end, exact && whole && !segment.clipped, !whole);
  }

  void give(const Segment& of, uint64_t from, uint64_t to, bool exact, bool clipped) {
    Segment part = of;
    part.first_seq = from;
    part.end_seq = to;
    part.clipped |= clipped;
    if (!exact) measure(part);
    told_.push_back(std::move(part));
  }

  // Records that no segment tells of: a feed that keeps none, or a registry whose entries are damaged. One for each epoch (F-114).
  void fill_uncovered() {
    std::sort(covered_.begin(), covered_.end(), [](const Interval& a, const Interval& b) { return a.from < b.from; });
    for (size_t i = 0; i < epochs_.size(); ++i) {
      const uint64_t from = std::max(epochs_[i].first_seq, floor_);
      const uint64_t to = end_of_epoch(epochs_[i].epoch);
      const bool last = i + 1 == epochs_.size();
      uint64_t at = from;
      for (const Interval& known : covered_) {
        if (known.to <= at || known.from >= to) continue;
        if (known.from > at) invent(epochs_[i], at, known.from, false);
        at = std::max(at, known.to);
      }
      if (at < to) invent(epochs_[i], at, to, last);
    }
  }

  void invent(const EpochInfo& epoch, uint64_t from, uint64_t to, bool last) {
    Segment segment;
    segment.epoch = epoch.epoch;
    segment.status = epoch.closed || !last ? SegmentStatus::kClosed : SegmentStatus::kOpen;
    segment.first_seq = from;
    segment.end_seq = to;
    segment.opened_wall_ns = epoch.opened_wall_ns;
    segment.reason = "no segment was recorded: made from chunks";
    split(std::move(segment), false);
  }

  // Bounds of [first_seq, end_seq): from the registry for whole chunks, from the records for parts of them.
  void measure(Segment& segment) {
    for (ClockBounds& bounds : segment.clocks) bounds = {};
    uint64_t at = segment.first_seq;
    for (const ChunkInfo& chunk : chunks_) {
      if (!chunk.readable() || !chunk.settled() || chunk.count == 0 || chunk.end_seq() <= at || chunk.first_seq >= segment.end_seq)
        continue;
      if (chunk.first_seq < at || chunk.end_seq() > segment.end_seq) {
        scan(segment, at, std::min(chunk.end_seq(), segment.end_seq));
      } else {
        if (chunk.first_seq > at) scan(segment, at, chunk.first_seq);
        for (size_t k = 0; k < clocks_; ++k) widen(segment.clocks[k], chunk.clocks[k]);
      }
      at = std::min(chunk.end_seq(), segment.end_seq);
    }
    if (at < segment.end_seq) scan(segment, at, segment.end_seq);  // of the chunk that is written now
  }

  void scan(Segment& segment, uint64_t from, uint64_t to) {
    auto range = reader_.range_seq(from, to);
    const size_t row_bytes = reader_.feed().schema.record_bytes();
    for (Batch piece; range.next(piece);) {
      if (piece.kind == Item::Kind::kFrame) {
        const Item frame = reader_.read(piece.first_seq);
        if (!frame.is_record()) continue;
        for (size_t k = 0; k < clocks_; ++k) widen(segment.clocks[k], frame.clock(k));
      } else if (piece.kind == Item::Kind::kRow) {
        const size_t bytes = piece.count == 0 ? row_bytes : piece.rows.size() / piece.count;
        for (uint64_t i = 0; i < piece.count; ++i) {
          for (size_t k = 0; k < clocks_; ++k) widen(segment.clocks[k], load<uint64_t>(piece.rows.data() + i * bytes + 8 * k));
        }
      }
    }
  }

  FeedReader& reader_;
  size_t clocks_;
  uint64_t floor_;
  uint64_t end_;
  std::vector<ChunkInfo> chunks_;
  std::vector<EpochInfo> epochs_;
  std::vector<Segment> holes_;  // all broken spans
  std::vector<Segment> cuts_;  // those that take records out of segments
  std::vector<Interval> covered_;  // of record numbers
  std::vector<Segment> told_;
};

}  // namespace

std::string_view segment_status_name(SegmentStatus status) noexcept {
  const auto at = static_cast<size_t>(status);
  return at < std::size(kStatusNames) ? kStatusNames[at] : "unknown";
}

SegmentFilter segment_filter_named(std::string_view name) {
  if (name == "usable") return SegmentFilter::kUsable;
  if (name == "all") return SegmentFilter::kAll;
  if (name == "closed") return SegmentFilter::kClosed;
  if (name == "crash_closed") return SegmentFilter::kCrashClosed;
  if (name == "open") return SegmentFilter::kOpen;
  if (name == "broken") return SegmentFilter::kBroken;
  if (name == "invalid_empty") return SegmentFilter::kInvalidEmpty;
  throw FeedError(Fault::kUsage, "segments '", name,
                  "': expected usable, all, closed, crash_closed, open, broken or invalid_empty");
}

bool passes(const Segment& segment, SegmentFilter filter, bool include_open) noexcept {
  if (include_open && segment.status == SegmentStatus::kOpen) return true;
  switch (filter) {
    case SegmentFilter::kUsable: return segment.status == SegmentStatus::kClosed || segment.status == SegmentStatus::kCrashClosed;
    case SegmentFilter::kAll: return true;
    case SegmentFilter::kClosed: return segment.status == SegmentStatus::kClosed;
    case SegmentFilter::kCrashClosed: return segment.status == SegmentStatus::kCrashClosed;
    case SegmentFilter::kOpen: return segment.status == SegmentStatus::kOpen;
    case SegmentFilter::kBroken: return segment.status == SegmentStatus::kBroken;
    case SegmentFilter::kInvalidEmpty: return segment.status == SegmentStatus::kInvalidEmpty;
  }
  return false;
}

std::vector<Segment> stored_segments(FeedReader& reader) { return Teller(reader).tell(); }

Interval interval_of(const Segment& segment, size_t clock) noexcept {
  const ClockBounds& bounds = segment.clocks[clock];
  if (bounds.min > bounds.max) return {};
  return {bounds.min, bounds.max == ~uint64_t{0} ? bounds.max : bounds.max + 1};
}

std::vector<Interval> merged(std::vector<Interval> intervals) {
  std::erase_if(intervals, [](const Interval& interval) { return interval.from >= interval.to; });
  std::sort(intervals.begin(), intervals.end(), [](const Interval& a, const Interval& b) { return a.from < b.from; });
  std::vector<Interval> out;
  for (const Interval& interval : intervals) {
    if (!out.empty() && interval.from <= out.back().to) {
      out.back().to = std::max(out.back().to, interval.to);
    } else {
      out.push_back(interval);
    }
  }
  return out;
}

std::optional<SuggestedRange> suggest_range(const std::vector<Segment>& segments, size_t clock, SegmentFilter filter,
                                            bool include_open) {
  std::vector<Interval> usable;
  for (const Segment& segment : segments) {
    if (segment.records() != 0 && segment.status != SegmentStatus::kBroken && passes(segment, filter, include_open))
      usable.push_back(interval_of(segment, clock));
  }
  usable = merged(std::move(usable));
  if (usable.empty()) return std::nullopt;
  SuggestedRange range;
  range.whole = {usable.front().from, usable.back().to};
  range.longest = *std::max_element(usable.begin(), usable.end(),
                                    [](const Interval& a, const Interval& b) { return a.duration() < b.duration(); });
  for (size_t i = 1; i < usable.size(); ++i) range.gaps.push_back({usable[i - 1].to, usable[i].from});
  return range;
}

}  // namespace tidepool::feed
