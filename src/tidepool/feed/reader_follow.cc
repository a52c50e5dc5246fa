// From record to record: the next one, in this chunk or another, or what came instead; and waiting for it.

#include <time.h>

#include <algorithm>

#include "tidepool/base/agent.h"
#include "tidepool/feed/reader_impl.h"

namespace tidepool::feed {

namespace {

constexpr uint64_t kLookAroundNs = 50 * kNsPerMs;  // how often a waiting reader asks whether the writer still lives
constexpr uint64_t kRichLookRows = 4;
constexpr uint32_t kRichLooks = 2;
constexpr int kBreathPauses = 24;  // 0.2 to 1 us

}  // namespace

Item FeedReader::Impl::next(uint64_t timeout_ns) {
  Item item;
  if (told_to_stop(item) || next_row(item)) return item;
  if (timeout_ns == 0 && nothing_new()) return item;
  wait(timeout_ns, [&] {
    item = {};
    try_next(item);
    return item.kind;
  }, item);
  if (item.kind == Item::Kind::kGap || item.kind == Item::Kind::kDiverged) told(item.kind, item.gap);
  return item;
}

// Whoever looks at the commit word takes its cache line from the writer, who waits to get it back. When rows come in bursts, a breath before
// the next look lets more of them come at once, and the writer go on (docs/decisions/0010). One row after another, as replies come, never
// meets it.
void FeedReader::Impl::breathe() noexcept {
  if (rich_looks_ < kRichLooks || !here_ || !here_->live() || here_->sealed()) return;
  Idler spin(Idle::kSpin);
  for (int i = 0; i < kBreathPauses; ++i) spin.idle(0);
}

Batch FeedReader::Impl::next_batch(uint64_t max_rows, uint64_t timeout_ns) {
  breathe();
  Batch batch;
  Item event;
  wait(timeout_ns, [&] {
    batch = {};
    event = {};
    try_batch(batch, event, max_rows);
    return batch.kind == Item::Kind::kRow ? batch.kind : event.kind;
  }, event);
  rich_looks_ = batch.count >= kRichLookRows && batch.count < max_rows ? std::min(rich_looks_ + 1, kRichLooks) : 0;
  if (batch.kind != Item::Kind::kRow) {
    batch.kind = event.kind;
    batch.gap = event.gap;
    if (batch.kind == Item::Kind::kGap || batch.kind == Item::Kind::kDiverged) told(batch.kind, batch.gap);
  }
  return batch;
}

// The chunk with record next_seq_ is here_; false, with an event or kIdle in `item`, when there is nothing to give.
bool FeedReader::Impl::stand(Item& item) {
  for (int hops = 0; hops < 1000; ++hops) {  // far more than there is to cross at once; then the caller looks again
    if (gone_) {
      item.kind = *gone_;
      return false;
    }
    if (here_) {
      // The order counts: sealed first, then the end again, so that the last records before the seal are not lost (F-79).
      const bool sealed = here_->sealed();
      const uint64_t end = here_->header().record_bytes != 0 ? here_->first_seq() + here_->end() / here_->header().record_bytes : here_->end_seq();
      if (next_seq_ < end) return true;
      if (!sealed) {
        if (!registry_.has_news()) return false;
      } else if (next_seq_ < promised_end_) {
        item.kind = Item::Kind::kGap;
        item.gap = {next_seq_, promised_end_, GapCause::kDamaged, concat(here_->path(), " ends before its last record")};
        next_seq_ = promised_end_;
        here_ = nullptr;
        return false;
      }
    }
    try {
      refresh();
    } catch (const FeedError& error) {
      if (error.fault() != Fault::kFeedReplaced && error.fault() != Fault::kFeedDeleted) throw;
      gone_ = error.fault() == Fault::kFeedReplaced ? Item::Kind::kReplaced : Item::Kind::kDeleted;
      here_ = nullptr;
      continue;
    }
    if (diverged(item)) return false;
    if (here_ && !here_->sealed()) return false;
    if (here_ && next_seq_ < here_->end_seq()) continue;
    const Place place = locate(next_seq_);
    if (place.kind == Place::Kind::kNothingYet) {
      here_ = nullptr;
      return false;
    }
    if (place.kind == Place::Kind::kGap) {
      item.kind = Item::Kind::kGap;
      item.gap = place.gap;
      next_seq_ = place.gap.to;
      here_ = nullptr;
      return false;
    }
    if (place.chunk == here_) return false;
    // Left for good: its memory is the writer's again (F-79). A file may stay mapped, it costs nobody anything.
    if (here_ && here_->live()) cache_.remove(here_);
    here_ = place.chunk;
    promised_end_ = place.end_seq;
  }
  return false;
}

bool FeedReader::Impl::diverged(Item& item) {
  for (const EpochInfo& epoch : registry_.epochs()) {
    if (epoch.epoch <= cursor_epoch_) continue;
    epoch_before_ = cursor_epoch_;
    cursor_epoch_ = epoch.epoch;
    if (epoch.first_seq >= next_seq_) continue;
    item.kind = Item::Kind::kDiverged;
    item.gap = {epoch.first_seq, next_seq_, GapCause::kMissing, "records that were read were lost, and their numbers are written anew"};
    next_seq_ = epoch.first_seq;
    here_ = nullptr;
    return true;
  }
  return false;
}

// The common case: the row behind the last one, in the same chunk. False: nothing was done.
bool FeedReader::Impl::next_row(Item& item) {
  if (!here_ || pending_time_) return false;
  const uint32_t bytes = here_->header().record_bytes;
  const uint64_t offset = (next_seq_ - here_->first_seq()) * bytes;
  if (bytes == 0 || offset + bytes > here_->end_bytes()) {
    if (bytes != 0) here_->expect(offset);
    return false;
  }
  if (here_->damage(offset, offset + bytes)) [[unlikely]] return false;
  if (held_ != here_) held_ = here_;
  item.kind = Item::Kind::kRow;
  item.schema_id = here_->header().schema_id;
  item.seq = next_seq_++;
  item.bytes = {here_->data() + offset, bytes};
  last_epoch_ = here_->header().epoch;
  for (size_t k = 0; k < here_->header().clocks; ++k) last_clocks_[k] = item.clock(k);
  stalled_told_ = false;
  gave_any_ = true;
  return true;
}

// Two looks are enough to know that nothing came: the chunk goes on, and the registry says nothing.
bool FeedReader::Impl::nothing_new() const noexcept {
  return here_ && here_->header().record_bytes != 0 && !pending_time_ && !options_.stop_when_inactive && !here_->sealed() && !registry_.has_news();
}

void FeedReader::Impl::try_next(Item& item) {
  for (;;) {
    if (!stand(item)) return;
    const uint64_t index = next_seq_ - here_->first_seq();
    if (here_->header().record_bytes == 0 && index >= here_->records()) return;
    give(item, here_, index);
    if (item.kind == Item::Kind::kGap) {
      next_seq_ = item.gap.to;
      return;
    }
    ++next_seq_;
    gave_any_ = true;
    last_epoch_ = here_->header().epoch;
    for (size_t k = 0; k < here_->header().clocks; ++k) last_clocks_[k] = item.clock(k);
    if (!pending_time_) return;
    if (item.clock(pending_time_->clock) >= pending_time_->value) {
      pending_time_.reset();
      return;
    }
    item = {};
  }
}

void FeedReader::Impl::try_batch(Batch& batch, Item& event, uint64_t max_rows) {
  if (feed_.schema.layout() != Layout::kRows) throw FeedError(Fault::kUsage, "feed ", feed_.name, " holds frames: read them one by one");
  if (max_rows == 0) throw FeedError(Fault::kUsage, "a batch of 0 rows");
  if (pending_time_) {  // until the time asked for has come, record by record
    try_next(event);
    if (!event.is_record()) return;
    batch = {Item::Kind::kRow, event.seq, 1, event.bytes, {}, event.schema_id};
    return;
  }
  if (!stand(event)) return;
  const uint64_t index = next_seq_ - here_->first_seq();
  Item first;
  give(first, here_, index);
  if (first.kind == Item::Kind::kGap) {
    event = first;
    next_seq_ = first.gap.to;
    return;
  }
  const uint64_t count = whole_rows(*here_, index, std::min(max_rows, here_->records() - index));
  batch = {Item::Kind::kRow, next_seq_, count, {first.bytes.data(), count * here_->header().record_bytes}, {}, first.schema_id};
  next_seq_ += count;
  gave_any_ = true;
  last_epoch_ = here_->header().epoch;
  const std::byte* last = batch.rows.data() + batch.rows.size() - here_->header().record_bytes;
  for (size_t k = 0; k < here_->header().clocks; ++k) last_clocks_[k] = load<uint64_t>(last + 8 * k);
}

// Try until there is something, the time is over, or the feed has ended; `event` gets kStalled and kEnded.
template <typename Try>
void FeedReader::Impl::wait(uint64_t timeout_ns, Try&& look, Item& event) {
  if (told_to_stop(event)) return;
  if (look() != Item::Kind::kIdle) {
    stalled_told_ = false;
    return;
  }
  if (timeout_ns == 0 && !options_.stop_when_inactive) return;
  const uint64_t begin_ns = monotonic_ns();
  const uint64_t deadline_ns = timeout_ns > ~uint64_t{0} - begin_ns ? ~uint64_t{0} : begin_ns + timeout_ns;
  for (uint64_t now_ns = begin_ns;; now_ns = monotonic_ns()) {
    if (now_ns - looked_around_ns_ >= kLookAroundNs || timeout_ns == 0) {
      looked_around_ns_ = now_ns;
      const WriterState state = look_at_writer();
      if (state == WriterState::kActive || state == WriterState::kStalled || state == WriterState::kUnknown) {
        inactive_since_ns_ = 0;
      } else if (inactive_since_ns_ == 0) {
        inactive_since_ns_ = now_ns;
      }
      if ((state == WriterState::kStalled || state == WriterState::kUnknown) && !stalled_told_) {
        stalled_told_ = true;
        event.kind = Item::Kind::kStalled;
        return;
      }
      const bool inactive = state == WriterState::kClosed || state == WriterState::kCrashed || state == WriterState::kNever;
      if (inactive && options_.stop_when_inactive && now_ns - inactive_since_ns_ >= options_.grace_ns) {
        // The state first, then the last look: what was committed before it ended is delivered (F-84).
        if (look() != Item::Kind::kIdle) return;
        if (!gave_any_) check_live_data();
        event.kind = Item::Kind::kEnded;
        return;
      }
    }
    if (told_to_stop(event)) return;
    if (now_ns >= deadline_ns) return;
    const uint64_t until_ns = std::min(deadline_ns, now_ns + kLookAroundNs);
    if (bell_) {
      bell_->park(until_ns, [&] { return !something_new() && !stop_->asked.load(); });
    } else {
      const timespec pause{0, static_cast<long>(std::min<uint64_t>(until_ns - now_ns, kNsPerMs))};
      ::nanosleep(&pause, nullptr);
    }
    if (look() != Item::Kind::kIdle) {
      stalled_told_ = false;
      return;
    }
  }
}

bool FeedReader::Impl::told_to_stop(Item& event) {
  if (!stop_->maybe()) [[likely]] return false;
  stop_->asked.store(false);
  event = {};
  event.kind = Item::Kind::kCancelled;
  return true;
}

// [cancel] The flag first, then the bell: a reader that parks looks at the flag after it has announced itself.
void FeedReader::Impl::cancel() noexcept {
  stop_->asked.store(true);
  try {
    const std::scoped_lock lock(stop_->mutex);
    if (auto bell = shm::Doorbell::open(stop_->live_directory)) bell->ring_if_parked();
  } catch (...) {  // then it looks within 50 ms
  }
}

bool FeedReader::Impl::something_new() {
  if (registry_.has_news()) return true;
  if (!here_) return false;
  if (here_->header().record_bytes != 0) return next_seq_ < here_->first_seq() + here_->end() / here_->header().record_bytes || here_->sealed();
  return next_seq_ < here_->end_seq() || here_->sealed();
}

WriterState FeedReader::Impl::writer_state() {
  refresh();
  return look_at_writer();
}

WriterState FeedReader::Impl::look_at_writer() {
  if (registry_.epochs().empty()) return WriterState::kNever;
  const EpochInfo& last = registry_.epochs().back();
  bool asked = true;
  try {
    const bool held = shm::FileLock::holder(shm::Directory::open(feed_.directory), "writer.lock").has_value();
    if (!held) return last.closed ? WriterState::kClosed : WriterState::kCrashed;
  } catch (const Error&) {
    // Not allowed to look, or a file system without such locks. That it closed is its own word; else only a heart that beats proves
    // anything (F-43).
    if (last.closed) return WriterState::kClosed;
    asked = false;
  }
  const WriterState still = asked ? WriterState::kStalled : WriterState::kUnknown;
  if (!live_ || live_->epoch() < last.epoch) return asked ? WriterState::kActive : WriterState::kUnknown;
  const uint64_t beat_ns = live_->heartbeat_ns().load();
  const uint64_t committed = here_ && here_->live() ? here_->end() : 0;
  const uint64_t now_ns = monotonic_ns();
  if (beat_ns != beat_seen_ns_ || committed != committed_seen_) {
    beat_seen_ns_ = beat_ns;
    committed_seen_ = committed;
    moved_ns_ = now_ns;
    if (now_ns - std::min(now_ns, beat_ns) < options_.stalled_after_ns) return WriterState::kActive;
    // First sight of an old heartbeat: records that still come are life as well.
    return committed == 0 ? still : WriterState::kActive;
  }
  const bool stale = now_ns - std::min(now_ns, beat_ns) >= options_.stalled_after_ns && now_ns - moved_ns_ >= std::min(options_.stalled_after_ns, kLookAroundNs);
  return stale ? still : WriterState::kActive;
}

// Record `index` of the chunk into `item`, or the gap that its damaged block makes.
void FeedReader::Impl::give(Item& item, const Chunk& chunk, uint64_t index) {
  const uint64_t offset = chunk->offset_of(index);
  const uint64_t seq = chunk->first_seq() + index;
  const uint32_t record_bytes = chunk->header().record_bytes;
  held_ = chunk;
  if (record_bytes != 0) {
    if (const auto bad = chunk->damage(offset, offset + record_bytes)) [[unlikely]] return damaged(item, *chunk, index, *bad);
    item.kind = Item::Kind::kRow;
    item.schema_id = chunk->header().schema_id;
    item.seq = seq;
    item.bytes = {chunk->data() + offset, record_bytes};
    return;
  }
  const auto head = decode_frame(chunk->data() + offset, chunk->end() - offset, seq, chunk->header().align_log2);
  if (!head) return damaged(item, *chunk, index, offset + 1);
  if (const auto bad = chunk->damage(offset, offset + head->length)) [[unlikely]] return damaged(item, *chunk, index, *bad);
  const uint64_t payload_at = frame_payload_offset(head->meta_bytes, chunk->header().align_log2);
  item.kind = Item::Kind::kFrame;
  item.seq = seq;
  item.frame = *head;
  item.meta = {chunk->data() + offset + kFrameHeadBytes, head->meta_bytes};
  item.bytes = {chunk->data() + offset + payload_at, head->length - payload_at};
}

void FeedReader::Impl::damaged(Item& item, AttachedChunk& chunk, uint64_t index, uint64_t bad_until) {
  const uint64_t behind = std::max(index + 1, chunk.record_at_or_behind(bad_until));
  item.kind = Item::Kind::kGap;
  item.gap = {chunk.first_seq() + index, chunk.first_seq() + behind, GapCause::kDamaged, chunk.path()};
}

// How many of `count` rows from `index` on lie before the first damaged block; the first one does.
uint64_t FeedReader::Impl::whole_rows(AttachedChunk& chunk, uint64_t index, uint64_t count) {
  const uint64_t bytes = chunk.header().record_bytes;
  const uint64_t from = index * bytes;
  const auto bad = chunk.damage(from, from + count * bytes);
  if (!bad) return count;
  // `bad` is the end of the damaged block: rows that end at or before its beginning are whole.
  const uint64_t begins = (*bad - 1) / chunk.header().block_bytes * chunk.header().block_bytes;
  return std::max<uint64_t>(1, begins > from ? (begins - from) / bytes : 1);
}

}  // namespace tidepool::feed
