// Finding records by time or number, and ranges of them. None of it moves next().

#include <algorithm>

#include "tidepool/feed/reader_impl.h"

namespace tidepool::feed {

void FeedReader::Impl::check_clock(size_t k) const {
  if (k >= feed_.schema.clocks()) throw FeedError(Fault::kUsage, "feed ", feed_.name, " has ", feed_.schema.clocks(), " clocks: there is no clock ", k);
}

std::optional<uint64_t> FeedReader::Impl::first_after(uint64_t t, size_t k) {
  refresh();
  check_live_data();
  return find_after(t, k);
}

std::optional<uint64_t> FeedReader::Impl::find_after(uint64_t t, size_t k) {
  check_clock(k);
  refresh();
  // The first chunk whose running maximum reaches t holds a record that does: nothing before it can.
  const auto& highest = highest_[k];
  const auto at = static_cast<size_t>(std::lower_bound(highest.begin(), highest.end(), t) - highest.begin());
  if (at < settled_.size()) {
    const ChunkInfo& info = registry_.chunks()[settled_[at]];
    const Chunk chunk = must_attach(info);
    const uint64_t count = chunk->records();
    const uint64_t index = chunk->first_not_before(t, k, 0, count);
    if (index < count) return chunk->first_seq() + index;
    throw FeedError(Fault::kCorrupt, chunk->path(), ": records ", chunk->first_seq() + count, " to ", info.end_seq(), " of feed ", feed_.name, " are missing");
  }
  for (const size_t open : open_) {
    Chunk chunk;
    if (attach(registry_.chunks()[open], chunk) != AttachedChunk::Outcome::kOk) continue;
    const uint64_t count = chunk->records();
    const uint64_t index = chunk->first_not_before(t, k, 0, count);
    if (index < count) return chunk->first_seq() + index;
  }
  return std::nullopt;
}

std::optional<uint64_t> FeedReader::Impl::first_before(uint64_t t, size_t k) {
  check_clock(k);
  refresh();
  check_live_data();
  const auto last_in = [&](AttachedChunk& chunk) -> std::optional<uint64_t> {
    const uint64_t count = chunk.records();
    if (chunk.ordered(k)) {
      const uint64_t above = t == ~uint64_t{0} ? count : chunk.first_not_before(t + 1, k, 0, count);
      return above == 0 ? std::nullopt : std::optional(chunk.first_seq() + above - 1);
    }
    for (uint64_t index = count; index > 0; --index) {
      if (chunk.clock_of(index - 1, k) <= t) return chunk.first_seq() + index - 1;
    }
    return std::nullopt;
  };
  for (auto open = open_.rbegin(); open != open_.rend(); ++open) {
    Chunk chunk;
    if (attach(registry_.chunks()[*open], chunk) != AttachedChunk::Outcome::kOk) continue;
    if (const auto found = last_in(*chunk)) return found;
  }
  for (auto at = settled_.rbegin(); at != settled_.rend(); ++at) {
    const ChunkInfo& info = registry_.chunks()[*at];
    if (info.clocks[k].min > t) continue;
    const Chunk chunk = must_attach(info);
    if (const auto found = last_in(*chunk)) return found;
  }
  return std::nullopt;
}

Item FeedReader::Impl::read(uint64_t seq) {
  refresh();
  Item item;
  const Place place = locate(seq);
  if (place.kind == Place::Kind::kGap) {
    item.kind = Item::Kind::kGap;
    item.gap = place.gap;
    return item;
  }
  if (place.kind == Place::Kind::kNothingYet || seq >= place.chunk->end_seq()) {
    if (place.kind == Place::Kind::kHere && seq < place.end_seq) {
      item.kind = Item::Kind::kGap;
      item.gap = {seq, place.end_seq, GapCause::kDamaged, place.chunk->path()};
      return item;
    }
    throw FeedError(Fault::kOutOfRange, "record ", seq, " of feed ", feed_.name, " was not written yet: the next one is ", committed_seq());
  }
  give(item, place.chunk, seq - place.chunk->first_seq());
  return item;
}

bool FeedReader::Impl::range_next(Range& range, Batch& piece, uint64_t max_rows) {
  if (max_rows == 0) throw FeedError(Fault::kUsage, "a batch of 0 rows: expected 1 or more");
  constexpr uint64_t kNoEnd = ~uint64_t{0};
  while (range.seq_ < range.end_seq_) {
    const Place place = locate(range.seq_);
    if (place.kind == Place::Kind::kNothingYet) return false;
    if (place.kind == Place::Kind::kGap) return gap_piece(range, piece, place.gap);
    AttachedChunk& chunk = *place.chunk;
    const uint64_t first = range.seq_ - chunk.first_seq();
    const uint64_t count = std::min(chunk.records(), range.end_seq_ - chunk.first_seq());
    if (first >= count) {
      const uint64_t promised = std::min(range.end_seq_, place.end_seq);
      if (range.seq_ >= promised) return false;
      return gap_piece(range, piece, {range.seq_, promised, GapCause::kDamaged, chunk.path()});
    }
    uint64_t begin = first;
    uint64_t end = count;
    if (range.by_time_) {
      const size_t k = range.time_.clock;
      if (chunk.ordered(k)) {
        begin = chunk.first_not_before(range.time_.from, k, first, count);
        end = range.time_.to == kNoEnd ? count : chunk.first_not_before(range.time_.to, k, begin, count);
        if (begin == end) {
          range.seq_ = chunk.first_seq() + count;
          continue;
        }
        // All of this chunk that belongs to it is given: go on behind the chunk.
      } else {
        const auto inside = [&](uint64_t index) {
          const uint64_t clock = chunk.clock_of(index, k);
          return clock >= range.time_.from && (clock < range.time_.to || range.time_.to == kNoEnd);
        };
        while (begin < count && !inside(begin)) ++begin;
        if (begin == count) {
          range.seq_ = chunk.first_seq() + count;
          continue;
        }
        end = begin + 1;
        while (end < count && inside(end)) ++end;
      }
    }
    const bool rows = chunk.header().record_bytes != 0;
    end = begin + std::min<uint64_t>(end - begin, rows ? max_rows : 1);
    Item item;
    give(item, place.chunk, begin);
    if (item.kind == Item::Kind::kGap) return gap_piece(range, piece, item.gap);
    piece = {};
    piece.kind = item.kind;
    piece.first_seq = item.seq;
    piece.schema_id = item.schema_id;
    piece.count = 1;
    piece.rows = item.bytes;
    if (rows) {
      end = begin + whole_rows(chunk, begin, end - begin);
      piece.count = end - begin;
      piece.rows = {item.bytes.data(), (end - begin) * chunk.header().record_bytes};
    }
    range.seq_ = chunk.first_seq() + end;
    return true;
  }
  return false;
}

void FeedReader::Impl::prepare_range(Range& range) {
  refresh();
  check_live_data();
  const uint64_t committed = committed_seq();
  range.end_seq_ = range.by_time_ ? committed : std::min(range.end_seq_, committed);
  if (!range.by_time_) {
    range.seq_ = std::max(range.seq_, std::min(first_seq(), range.end_seq_));
    return;
  }
  check_clock(range.time_.clock);
  if (range.time_.to <= range.time_.from && range.time_.to != ~uint64_t{0}) range.end_seq_ = 0;
  range.seq_ = first_seq();
  const auto begin = find_after(range.time_.from, range.time_.clock);
  if (begin) {
    range.seq_ = *begin;
  } else {
    range.end_seq_ = 0;
  }
}

bool FeedReader::Impl::gap_piece(Range& range, Batch& piece, const Gap& gap) {
  piece = {};
  piece.kind = Item::Kind::kGap;
  piece.first_seq = range.seq_;
  piece.gap = gap;
  piece.gap.to = std::min(gap.to, range.end_seq_);
  range.seq_ = piece.gap.to;
  return true;
}

bool FeedReader::Impl::has_data_since(uint64_t t, size_t k) {
  check_clock(k);
  if (live_ && static_cast<LivePage::State>(live_->state().load()) == LivePage::State::kActive) {
    if (!newest_ || newest_->sealed()) newest_ = newest_open();
    if (newest_ && newest_->live()) {
      const bool before = newest_->first_seq() > 0 && live_->highest_before(k).load() >= t;
      if (before) return true;
      // Records beyond what the maximum covers were committed in this moment: look at them (rulings F-f).
      const uint64_t covered = newest_->words().covered().load();
      if (covered > 0 && newest_->words().highest(k).load() >= t) return true;
      const uint64_t count = newest_->records();
      for (uint64_t index = newest_->record_at_or_behind(covered); index < count; ++index) {
        if (newest_->clock_of(index, k) >= t) return true;
      }
      if (!newest_->sealed()) return false;
    }
  }
  return find_after(t, k).has_value();
}

}  // namespace tidepool::feed
