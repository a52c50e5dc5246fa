#include "tidepool/feed/walk.h"

#include <algorithm>
#include <utility>

namespace tidepool::feed {

Walk::Walk(FeedReader& reader, const WalkOptions& options)
    : reader_(&reader),
      options_(options),
      filter_(Filter::parse(reader.feed().schema, options.where)),
      rows_(reader.feed().schema.layout() == Layout::kRows) {
  if (options_.every == 0) throw FeedError(Fault::kUsage, "every 0th record: expected 1 or more");
  const RecordRange& range = options_.range;
  if (range.time.clock >= reader.feed().schema.clocks()) {
    throw FeedError(Fault::kUsage, "feed ", reader.feed().name, " has ", reader.feed().schema.clocks(),
                    " clocks: there is no clock ", range.time.clock);
  }
  if (range.by_time) filter_.within(range.time);
  low_ = range.by_time ? reader.first_seq() : range.from_seq;
  high_ = reader.committed_seq();
  if (!range.by_time) high_ = std::min(high_, range.to_seq);
  high_ = std::max(low_, high_);
  first_ = options_.reverse ? high_ - 1 : low_;
  static_cast<void>(reader.range_seq(low_, high_));  // a memory feed whose records are gone says so
}

bool Walk::next(Item& item) {
  for (;;) {
    if (run_ == runs_.size()) {
      if (low_ == high_) return false;
      runs_.clear();
      run_ = 0;
      row_ = 0;
      load();
      continue;
    }
    Run& run = runs_[options_.reverse ? runs_.size() - 1 - run_ : run_];
    if (run.piece.kind == Item::Kind::kGap) {
      ++run_;
      item = {};
      item.kind = Item::Kind::kGap;
      item.gap = std::move(run.piece.gap);
      return true;
    }
    if (run.piece.kind == Item::Kind::kFrame) {
      ++run_;
      item = reader_->read(run.piece.first_seq);
      hold_ = reader_->hold();
      if (!item.is_record() || take(item)) return true;
      continue;
    }
    while (row_ < run.piece.count && run.keep[options_.reverse ? run.piece.count - 1 - row_ : row_] == 0) ++row_;
    if (row_ == run.piece.count) {
      ++run_;
      row_ = 0;
      continue;
    }
    const uint64_t index = options_.reverse ? run.piece.count - 1 - row_ : row_;
    ++row_;
    const size_t bytes = run.piece.rows.size() / run.piece.count;
    item = {};
    item.kind = Item::Kind::kRow;
    item.seq = run.piece.first_seq + index;
    item.bytes = run.piece.rows.subspan(index * bytes, bytes);
    item.schema_id = run.piece.schema_id;
    if (take(item)) return true;
  }
}

// Whether a record that is wanted is one of those that are given.
bool Walk::take(const Item& item) {
  if (to_pass_ > 0) {
    --to_pass_;
    return false;
  }
  if (options_.step > 0) {
    const uint64_t time = item.clock(options_.range.time.clock);
    const uint64_t apart = options_.reverse ? given_time_ - std::min(given_time_, time) : time - std::min(given_time_, time);
    if (given_any_ && apart < options_.step) return false;
    given_time_ = time;
  }
  given_any_ = true;
  to_pass_ = filter_.passes_all() ? 0 : options_.every - 1;  // without conditions the numbers say which
  return true;
}

// Whether a record whose number counts is among these.
bool Walk::on_grid(uint64_t from, uint64_t to) const noexcept {
  const uint64_t every = options_.every;
  if (options_.reverse) return (first_ - from) / every * every >= first_ - (to - 1);
  return (from - first_ + every - 1) / every * every < to - first_;
}

// These are decided.
void Walk::advance(uint64_t from, uint64_t to) noexcept {
  if (options_.reverse) {
    high_ = from;
  } else {
    low_ = to;
  }
}

// The next block of records, if it may hold some that are wanted.
void Walk::load() {
  const uint64_t at = options_.reverse ? high_ - 1 : low_;
  const std::optional<Stretch> chunk = reader_->chunk_around(at);
  if (!chunk) {
    load_hole(at);
    return;
  }
  const auto cut = [&](uint64_t seq) { return std::clamp(seq, low_, high_); };
  const uint64_t from = cut(chunk->from), to = cut(chunk->to);
  if (!filter_.may_pass(chunk->clocks) || (filter_.passes_all() && !on_grid(from, to))) {
    advance(from, to);
    return;
  }
  const std::optional<Stretch> block = reader_->block_around(at);
  if (!block) {  // the chunk is known and cannot be read
    advance(from, to);
    load_rows(from, to);
    return;
  }
  const uint64_t begin = cut(block->from), end = cut(block->to);
  advance(begin, end);
  if (!filter_.may_pass(block->clocks) || (filter_.passes_all() && !on_grid(begin, end))) return;
  rows_ ? load_rows(begin, end) : load_frame(at);
}

void Walk::load_rows(uint64_t from, uint64_t to) {
  FeedReader::Range range = reader_->range_seq(from, to);
  uint64_t at = from;
  for (Batch piece; range.next(piece);) {
    if (piece.first_seq > at) add_gap(at, piece.first_seq, {0, 0, GapCause::kRetention, "expired meanwhile"});
    if (piece.kind == Item::Kind::kGap) {
      at = piece.gap.to;
      add_gap(piece.gap.from, piece.gap.to, piece.gap);
      continue;
    }
    at = piece.first_seq + piece.count;
    Run run;
    run.keep.assign(piece.count, 1);
    const bool rows = piece.kind == Item::Kind::kRow;
    if (rows && filter_.passes_all()) {
      for (uint64_t i = 0; options_.every > 1 && i < piece.count; ++i)
        run.keep[i] = on_grid(piece.first_seq + i, piece.first_seq + i + 1) ? 1 : 0;
    } else if (rows) {
      filter_of(piece.schema_id).select(piece.rows.data(), piece.rows.size() / piece.count, run.keep);
    }
    examined_ += piece.count;
    run.piece = piece;
    runs_.push_back(std::move(run));
  }
  if (at < to) add_gap(at, to, {0, 0, GapCause::kRetention, "expired meanwhile"});
  hold_ = reader_->hold();
}

// Of a frame its head is enough; next() reads it again, so that a walk back holds one at a time.
void Walk::load_frame(uint64_t seq) {
  const Item item = reader_->read(seq);
  ++examined_;
  if (!item.is_record()) return add_gap(seq, seq + 1, item.gap);
  if (!filter_.passes(item)) return;
  Run run;
  run.piece.kind = Item::Kind::kFrame;
  run.piece.first_seq = seq;
  run.piece.count = 1;
  runs_.push_back(std::move(run));
}

// In no chunk: expired, in quarantine, or lost.
void Walk::load_hole(uint64_t seq) {
  uint64_t from = low_, to = high_;
  for (const ChunkInfo& chunk : reader_->chunks()) {
    if (!chunk.readable() || !chunk.settled() || chunk.count == 0) continue;
    if (chunk.end_seq() <= seq) from = std::max(from, chunk.end_seq());
    if (chunk.first_seq > seq) to = std::min(to, chunk.first_seq);
  }
  Gap gap{seq, seq + 1, GapCause::kRetention, seq < reader_->first_seq() ? "expired" : std::string()};
  const Item item = reader_->read(seq);
  if (item.kind == Item::Kind::kGap) gap = item.gap;
  // Backwards its beginning is what the chunks say, forwards its end what the reader does.
  if (!options_.reverse) {
    from = seq;
    to = std::clamp(gap.to, seq + 1, to);
  } else {
    to = seq + 1;
  }
  if (item.is_record()) return;  // it came meanwhile: look again
  advance(from, to);
  add_gap(from, to, gap);
}

void Walk::add_gap(uint64_t from, uint64_t to, Gap gap) {
  gap.from = from;
  gap.to = to;
  Run run;
  run.piece.kind = Item::Kind::kGap;
  run.piece.first_seq = from;
  run.piece.gap = std::move(gap);
  runs_.push_back(std::move(run));
}

const Filter& Walk::filter_of(uint32_t schema_id) {
  const Schema* version = reader_->feed().version(schema_id);
  if (version == nullptr || schema_id == reader_->feed().schema_id) return filter_;
  if (of_version_.size() <= schema_id) of_version_.resize(schema_id + 1);
  if (!of_version_[schema_id]) of_version_[schema_id] = std::make_unique<Filter>(filter_.of_version(*version));
  return *of_version_[schema_id];
}

}  // namespace tidepool::feed
