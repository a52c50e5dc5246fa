#include "tidepool/feed/reader.h"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <list>
#include <mutex>

#include "tidepool/base/log.h"
#include "tidepool/feed/attached_chunk.h"
#include "tidepool/shm/doorbell.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kLookAroundNs = 50 * kNsPerMs;  // how often a waiting reader asks whether the writer still lives

using Chunk = std::shared_ptr<AttachedChunk>;

struct Place {
  enum class Kind : uint8_t { kHere, kGap, kNothingYet } kind = Kind::kNothingYet;
  Chunk chunk;
  uint64_t end_seq = 0;  // kHere: what the registry promises of this chunk, once it is settled
  Gap gap;
};

}  // namespace

std::string_view writer_state_name(WriterState state) noexcept {
  switch (state) {
    case WriterState::kNever: return "never";
    case WriterState::kActive: return "active";
    case WriterState::kStalled: return "stalled";
    case WriterState::kClosed: return "closed";
    case WriterState::kCrashed: return "crashed";
  }
  return "unknown";
}

class FeedReader::Impl {
 public:
  Impl(const std::string& base, const std::string& name, const ReaderOptions& options)
      : options_(options), files_(*options.files), base_(base), feed_(find_feed(base, name, files_)), registry_(FeedRegistry::open(feed_, files_, false)) {
    learn();
    seek(options.from);
  }

  const FeedInfo& feed() const noexcept { return feed_; }

  void seek(const At& at) {
    refresh();
    here_ = nullptr;
    pending_time_.reset();
    at_mark_.reset();
    cursor_epoch_ = registry_.epochs().empty() ? 0 : registry_.epochs().back().epoch;
    last_epoch_ = 0;
    switch (at.kind) {
      case At::Kind::kLatest: next_seq_ = committed_seq(); break;
      case At::Kind::kLast: {
        const uint64_t end = committed_seq();
        next_seq_ = std::max(first_seq(), end - std::min(end, at.value));
        break;
      }
      case At::Kind::kOldest: next_seq_ = first_seq(); break;
      case At::Kind::kTime: seek_time(at); break;
      case At::Kind::kMark: seek_mark(at); break;
      case At::Kind::kSequence:
        if (at.value > committed_seq()) {
          throw FeedError(Fault::kOutOfRange, "record ", at.value, " of feed ", feed_.name, " was not written yet: the next one is ", committed_seq());
        }
        next_seq_ = at.value;
        break;
      case At::Kind::kCheckpoint:
        if (at.saved.feed_id != feed_.id) {
          throw FeedError(Fault::kFeedReplaced, "the checkpoint is of another feed than the one that is called ", feed_.name, " now");
        }
        next_seq_ = at.saved.next_seq;
        // Epochs that began since tell whether what was read still is what was written.
        if (at.saved.epoch != 0) cursor_epoch_ = std::min(cursor_epoch_, at.saved.epoch);
        last_epoch_ = at.saved.epoch;
        break;
    }
  }

  Item next(uint64_t timeout_ns) {
    Item item;
    wait(timeout_ns, [&] {
      item = {};
      try_next(item);
      return item.kind;
    }, item);
    return item;
  }

  Batch next_batch(uint64_t max_rows, uint64_t timeout_ns) {
    Batch batch;
    Item event;
    wait(timeout_ns, [&] {
      batch = {};
      event = {};
      try_batch(batch, event, max_rows);
      return batch.kind == Item::Kind::kRow ? batch.kind : event.kind;
    }, event);
    if (batch.kind != Item::Kind::kRow) {
      batch.kind = event.kind;
      batch.gap = event.gap;
    }
    return batch;
  }

  std::shared_ptr<const void> hold() const { return held_; }

  // [cancel] The flag first, then the bell: a reader that parks looks at the flag after it has announced itself.
  void cancel() noexcept {
    stop_->asked.store(true);
    try {
      const std::scoped_lock lock(stop_->mutex);
      if (auto bell = shm::Doorbell::open(stop_->live_directory)) bell->ring_if_parked();
    } catch (...) {  // then it looks within 50 ms
    }
  }
  uint64_t next_seq() const noexcept { return next_seq_; }
  const std::optional<MarkInfo>& at_mark() const noexcept { return at_mark_; }

  Checkpoint checkpoint() const {
    Checkpoint saved;
    saved.base_id = feed_.base_id;
    saved.feed_id = feed_.id;
    saved.epoch = last_epoch_ != 0 ? last_epoch_ : cursor_epoch_;
    saved.next_seq = next_seq_;
    saved.ordinal = here_ ? here_->header().ordinal : 0;
    std::copy(std::begin(last_clocks_), std::end(last_clocks_), std::begin(saved.clocks));
    saved.schema_hash = feed_.schema_hash;
    return saved;
  }

  // ---- queries --------------------------------------------------------------------------------------------------------------

  std::optional<uint64_t> first_after(uint64_t t, size_t k) {
    refresh();
    check_live_data();
    return find_after(t, k);
  }

  std::optional<uint64_t> find_after(uint64_t t, size_t k) {
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

  std::optional<uint64_t> first_before(uint64_t t, size_t k) {
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

  Item read(uint64_t seq) {
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

  bool range_next(Range& range, Batch& piece, uint64_t max_rows) {
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
          end = chunk.first_not_before(range.time_.to, k, begin, count);
          if (begin == end) {
            range.seq_ = chunk.first_seq() + count;
            continue;
          }
          // All of this chunk that belongs to it is given: go on behind the chunk.
        } else {
          const auto inside = [&](uint64_t index) {
            const uint64_t clock = chunk.clock_of(index, k);
            return clock >= range.time_.from && clock < range.time_.to;
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
      end = begin + std::min(end - begin, rows ? std::max<uint64_t>(1, max_rows) : 1);
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

  void prepare_range(Range& range) {
    refresh();
    check_live_data();
    const uint64_t committed = committed_seq();
    range.end_seq_ = range.by_time_ ? committed : std::min(range.end_seq_, committed);
    if (!range.by_time_) {
      range.seq_ = std::max(range.seq_, std::min(first_seq(), range.end_seq_));
      return;
    }
    check_clock(range.time_.clock);
    if (range.time_.to <= range.time_.from) range.end_seq_ = 0;
    range.seq_ = first_seq();
    const auto begin = find_after(range.time_.from, range.time_.clock);
    if (begin) {
      range.seq_ = *begin;
    } else {
      range.end_seq_ = 0;
    }
  }

  std::optional<LatestChunk> latest_chunk() {
    refresh();
    if (live_) {
      if (const auto latest = live_->latest()) {
        LatestChunk chunk{latest->ordinal, latest->first_seq, latest->capacity, {}, true};
        const bool durable = feed_.options.storage == Storage::kDurable;
        chunk.path = durable ? concat(feed_.directory, "/", chunk_name(latest->ordinal)) : concat(live_directory_, "/", chunk_name(latest->ordinal));
        if (static_cast<LivePage::State>(live_->state().load()) == LivePage::State::kActive) return chunk;
      }
    }
    for (auto open = open_.rbegin(); open != open_.rend(); ++open) {
      Chunk chunk;
      if (attach(registry_.chunks()[*open], chunk) != AttachedChunk::Outcome::kOk) continue;
      return LatestChunk{chunk->header().ordinal, chunk->first_seq(), chunk->header().capacity, chunk->path(), chunk->live()};
    }
    if (settled_.empty()) return std::nullopt;
    const Chunk chunk = must_attach(registry_.chunks()[settled_.back()]);
    return LatestChunk{chunk->header().ordinal, chunk->first_seq(), chunk->header().capacity, chunk->path(), chunk->live()};
  }

  bool has_data_since(uint64_t t, size_t k) {
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

  uint64_t first_seq() {
    refresh();
    uint64_t floor = registry_.floor_seq();
    if (settled_.empty() && !open_.empty()) {
      Chunk chunk;
      for (const size_t open : open_) {
        if (attach(registry_.chunks()[open], chunk) == AttachedChunk::Outcome::kOk) return std::max(floor, chunk->first_seq());
      }
    }
    return floor;
  }

  uint64_t committed_seq() {
    refresh();
    for (auto open = open_.rbegin(); open != open_.rend(); ++open) {
      Chunk chunk;
      if (attach(registry_.chunks()[*open], chunk) == AttachedChunk::Outcome::kOk) return chunk->end_seq();
    }
    uint64_t end = registry_.epochs().empty() ? 0 : registry_.epochs().back().closed ? registry_.epochs().back().end_seq : registry_.epochs().back().first_seq;
    for (const ChunkInfo& chunk : registry_.chunks()) {
      if (chunk.settled()) end = std::max(end, chunk.end_seq());
    }
    return end;
  }

  uint64_t durable_seq() {
    refresh();
    if (feed_.options.storage == Storage::kMemory) return 0;
    uint64_t durable = live_ ? live_->durable_seq().load() : 0;
    for (const size_t at : settled_) {
      if (registry_.chunks()[at].state == ChunkState::kPersisted) durable = std::max(durable, registry_.chunks()[at].end_seq());
    }
    return durable;
  }

  WriterState writer_state() {
    refresh();
    return look_at_writer();
  }

  FeedRegistry& registry() {
    refresh();
    return registry_;
  }

 private:
  void seek_time(const At& at) {
    check_clock(at.clock);
    const uint64_t end = committed_seq();
    const auto found = find_after(at.value, at.clock);
    next_seq_ = found ? *found : end;
    if (!found) pending_time_ = at;
  }

  void seek_mark(const At& at) {
    check_clock(at.clock);
    const uint64_t floor = first_seq();
    const uint64_t end = committed_seq();  // a mark may outlive its record, until the next writer has found that out
    const MarkInfo* earliest = nullptr;  // that is kept
    const MarkInfo* best = nullptr;
    for (const MarkInfo& mark : registry_.marks()) {
      if (mark.seq >= end) break;
      if (mark.seq >= floor && earliest == nullptr) earliest = &mark;
      if (mark.clocks[at.clock] <= at.value) best = &mark;
    }
    if (best == nullptr || (best->seq < floor && earliest == nullptr)) return seek_time(at);
    at_mark_ = best->seq < floor ? *earliest : *best;
    next_seq_ = at_mark_->seq;
  }

  void check_clock(size_t k) const {
    if (k >= feed_.schema.clocks()) throw FeedError(Fault::kUsage, "feed ", feed_.name, " has ", feed_.schema.clocks(), " clocks: there is no clock ", k);
  }

  // ---- what is there --------------------------------------------------------------------------------------------------------

  void refresh() {
    if (!registry_.has_news()) return;
    registry_.refresh();
    learn();
  }

  void learn() {
    settled_.clear();
    open_.clear();
    for (auto& highest : highest_) highest.clear();
    const auto& chunks = registry_.chunks();
    for (size_t at = 0; at < chunks.size(); ++at) {
      const ChunkInfo& chunk = chunks[at];
      if (!chunk.readable()) continue;
      if (!chunk.settled()) {
        open_.push_back(at);
        continue;
      }
      if (chunk.count == 0) continue;
      settled_.push_back(at);
      for (size_t k = 0; k < kClocksMax; ++k) highest_[k].push_back(std::max(highest_[k].empty() ? 0 : highest_[k].back(), chunk.clocks[k].max));
    }
    cache_.remove_if([](const Chunk& chunk) { return chunk->provisional(); });
    if (here_ && here_->provisional()) here_ = nullptr;
    const uint64_t epoch = registry_.epochs().empty() ? 0 : registry_.epochs().back().epoch;
    learn_versions();
    if (!live_ || live_->epoch() < epoch) {
      live_.reset();
      bell_.reset();
      newest_ = nullptr;
      if (const auto directory = trusted_live_directory(feed_)) {
        live_directory_ = *directory;
        {
          const std::scoped_lock lock(stop_->mutex);
          stop_->live_directory = *directory;
        }
        live_ = LivePage::open(files_, *directory, feed_);
        if (live_) bell_ = shm::Doorbell::open(*directory);
      }
    }
  }

  // A writer may have come with a newer version of the schema (F-18). What feed().schema says stays: it is how this reader began.
  void learn_versions() {
    if (registry_.settings_changes() == settings_seen_) return;
    settings_seen_ = registry_.settings_changes();
    const GlobalRegistry global = GlobalRegistry::open(base_, files_);
    const FeedInfo* named = global.find(feed_.name);
    if (named == nullptr || named->id != feed_.id) return;  // deleted or replaced: told elsewhere
    FeedInfo now = *named;
    load_schemas(now, files_);
    feed_.versions = std::move(now.versions);
  }

  AttachedChunk::Outcome attach(const ChunkInfo& info, Chunk& chunk) {
    for (auto at = cache_.begin(); at != cache_.end(); ++at) {
      if ((*at)->header().ordinal != info.ordinal) continue;
      cache_.splice(cache_.begin(), cache_, at);
      chunk = cache_.front();
      return AttachedChunk::Outcome::kOk;
    }
    AttachedChunk::Outcome outcome = AttachedChunk::Outcome::kGone;
    try {
      outcome = AttachedChunk::attach(feed_, info, files_, options_.verify, chunk);
    } catch (const FeedError& error) {
      // Out of descriptors, mappings or memory: give back what was used longest ago, and try once more.
      if (error.fault() != Fault::kNoSpace || cache_.empty()) throw;
      cache_.clear();
      outcome = AttachedChunk::attach(feed_, info, files_, options_.verify, chunk);
    }
    if (outcome != AttachedChunk::Outcome::kOk) return outcome;
    cache_.push_front(chunk);
    while (cache_.size() > std::max<size_t>(options_.mapped_chunks_max, 2)) cache_.pop_back();
    return outcome;
  }

  Chunk must_attach(const ChunkInfo& info) {
    Chunk chunk;
    if (attach(info, chunk) == AttachedChunk::Outcome::kOk) return chunk;
    throw FeedError(Fault::kCorrupt, feed_.directory, "/", chunk_name(info.ordinal), " is missing: it holds records ", info.first_seq, " to ", info.end_seq(), " of feed ", feed_.name);
  }

  Chunk newest_open() {
    refresh();
    for (auto open = open_.rbegin(); open != open_.rend(); ++open) {
      Chunk chunk;
      if (attach(registry_.chunks()[*open], chunk) == AttachedChunk::Outcome::kOk) return chunk;
    }
    return nullptr;
  }

  GapCause cause_below_floor() const noexcept { return feed_.options.storage == Storage::kMemory ? GapCause::kLiveWindow : GapCause::kRetention; }

  // Where record `seq` is, or will be.
  Place locate(uint64_t seq) {
    for (int attempt = 0; attempt < 2; ++attempt) {
      Place place;
      bool vanished = false;
      const auto& chunks = registry_.chunks();
      const auto above = std::upper_bound(settled_.begin(), settled_.end(), seq, [&](uint64_t s, size_t at) { return s < chunks[at].first_seq; });
      uint64_t next_first = above == settled_.end() ? ~uint64_t{0} : chunks[*above].first_seq;
      if (above != settled_.begin()) {
        const ChunkInfo& info = chunks[*(above - 1)];
        if (seq < info.end_seq()) {
          Gap gap{seq, info.end_seq(), GapCause::kMissing, concat(feed_.directory, "/", chunk_name(info.ordinal), " is missing")};
          try {
            if (attach(info, place.chunk) == AttachedChunk::Outcome::kOk) {
              place.kind = Place::Kind::kHere;
              place.end_seq = info.end_seq();
              return place;
            }
          } catch (const FeedError& error) {
            if (error.fault() != Fault::kCorrupt) throw;
            gap.cause = GapCause::kDamaged;
            gap.text = error.what();
          }
          // Expired between look-up and attach? The registry says so, or the file is really gone.
          if (attempt == 0 && registry_.refresh()) {
            learn();
            continue;
          }
          place.kind = Place::Kind::kGap;
          place.gap = gap;
          return place;
        }
      }
      for (auto open = open_.rbegin(); open != open_.rend(); ++open) {
        Chunk chunk;
        const AttachedChunk::Outcome outcome = attach(chunks[*open], chunk);
        vanished |= outcome == AttachedChunk::Outcome::kGone;
        if (outcome != AttachedChunk::Outcome::kOk) continue;
        if (chunk->first_seq() > seq) {
          next_first = std::min(next_first, chunk->first_seq());
          continue;
        }
        // Behind the end of a sealed one lies another, prepared, or one that the registry will name.
        if (chunk->sealed() && seq >= chunk->end_seq()) break;
        place.kind = Place::Kind::kHere;
        place.chunk = chunk;
        return place;
      }
      if (vanished && attempt == 0 && registry_.refresh()) {
        learn();
        continue;
      }
      if (next_first != ~uint64_t{0} && next_first > seq) {
        place.kind = Place::Kind::kGap;
        place.gap = {seq, next_first, quarantined(seq) != nullptr ? GapCause::kDamaged : cause_below_floor(), {}};
        return place;
      }
      if (const ChunkInfo* chunk = quarantined(seq)) {  // the last one there is: whoever waits behind it would wait for ever
        place.kind = Place::Kind::kGap;
        place.gap = {seq, chunk->end_seq(), GapCause::kDamaged, concat(chunk_name(chunk->ordinal), " is in quarantine")};
        return place;
      }
      if (seq < registry_.floor_seq()) {
        place.kind = Place::Kind::kGap;
        place.gap = {seq, registry_.floor_seq(), cause_below_floor(), {}};
      }
      return place;
    }
    return {};
  }

  const ChunkInfo* quarantined(uint64_t seq) const noexcept {
    const auto& chunks = registry_.chunks();
    for (auto chunk = chunks.rbegin(); chunk != chunks.rend(); ++chunk) {
      if (chunk->count == 0) continue;
      if (chunk->end_seq() <= seq) break;  // all before it end before it
      if (chunk->state == ChunkState::kQuarantined && seq >= chunk->first_seq) return &*chunk;
    }
    return nullptr;
  }

  // ---- the follower ---------------------------------------------------------------------------------------------------------

  // Record `index` of the chunk into `item`, or the gap that its damaged block makes.
  void give(Item& item, const Chunk& chunk, uint64_t index) {
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

  void damaged(Item& item, AttachedChunk& chunk, uint64_t index, uint64_t bad_until) {
    const uint64_t behind = std::max(index + 1, chunk.record_at_or_behind(bad_until));
    item.kind = Item::Kind::kGap;
    item.gap = {chunk.first_seq() + index, chunk.first_seq() + behind, GapCause::kDamaged, chunk.path()};
  }

  // How many of `count` rows from `index` on lie before the first damaged block; the first one does.
  uint64_t whole_rows(AttachedChunk& chunk, uint64_t index, uint64_t count) {
    const uint64_t bytes = chunk.header().record_bytes;
    const uint64_t from = index * bytes;
    const auto bad = chunk.damage(from, from + count * bytes);
    if (!bad) return count;
    // `bad` is the end of the damaged block: rows that end at or before its beginning are whole.
    const uint64_t begins = (*bad - 1) / chunk.header().block_bytes * chunk.header().block_bytes;
    return std::max<uint64_t>(1, begins > from ? (begins - from) / bytes : 1);
  }

  // The chunk with record next_seq_ is here_; false, with an event or kIdle in `item`, when there is nothing to give.
  bool stand(Item& item) {
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
      here_ = place.chunk;
      promised_end_ = place.end_seq;
    }
    return false;
  }

  bool diverged(Item& item) {
    for (const EpochInfo& epoch : registry_.epochs()) {
      if (epoch.epoch <= cursor_epoch_) continue;
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

  void try_next(Item& item) {
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

  void try_batch(Batch& batch, Item& event, uint64_t max_rows) {
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
  void wait(uint64_t timeout_ns, Try&& look, Item& event) {
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
        if (state == WriterState::kActive || state == WriterState::kStalled) {
          inactive_since_ns_ = 0;
        } else if (inactive_since_ns_ == 0) {
          inactive_since_ns_ = now_ns;
        }
        if (state == WriterState::kStalled && !stalled_told_) {
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

  bool told_to_stop(Item& event) {
    if (!stop_->asked.load(std::memory_order_relaxed)) [[likely]] return false;
    stop_->asked.store(false);
    event = {};
    event.kind = Item::Kind::kCancelled;
    return true;
  }

  // All that a memory feed held went with its writer, or with the boot: that is not the same as never having held anything (F-89).
  void check_live_data() {
    if (feed_.options.storage != Storage::kMemory || !settled_.empty() || registry_.epochs().empty()) return;
    for (const size_t open : open_) {
      Chunk chunk;
      if (attach(registry_.chunks()[open], chunk) == AttachedChunk::Outcome::kOk && chunk->records() != 0) return;
    }
    const WriterState state = look_at_writer();
    if (state == WriterState::kActive || state == WriterState::kStalled || committed_seq() == 0) return;
    throw FeedError(Fault::kNoLiveData, "feed ", feed_.name, " lives in memory, nobody writes it, and the records that it held are gone");
  }

  bool something_new() {
    if (registry_.has_news()) return true;
    if (!here_) return false;
    if (here_->header().record_bytes != 0) return next_seq_ < here_->first_seq() + here_->end() / here_->header().record_bytes || here_->sealed();
    return next_seq_ < here_->end_seq() || here_->sealed();
  }

  WriterState look_at_writer() {
    if (registry_.epochs().empty()) return WriterState::kNever;
    const EpochInfo& last = registry_.epochs().back();
    bool held = false;
    try {
      held = shm::FileLock::holder(shm::Directory::open(feed_.directory), "writer.lock").has_value();
    } catch (const Error&) {
      held = !last.closed;  // not allowed to look: never "free" (F-43)
    }
    if (!held) return last.closed ? WriterState::kClosed : WriterState::kCrashed;
    if (!live_ || live_->epoch() < last.epoch) return WriterState::kActive;
    const uint64_t beat_ns = live_->heartbeat_ns().load();
    const uint64_t committed = here_ && here_->live() ? here_->end() : 0;
    const uint64_t now_ns = monotonic_ns();
    if (beat_ns != beat_seen_ns_ || committed != committed_seen_) {
      beat_seen_ns_ = beat_ns;
      committed_seen_ = committed;
      moved_ns_ = now_ns;
      if (now_ns - std::min(now_ns, beat_ns) < options_.stalled_after_ns) return WriterState::kActive;
      // First sight of an old heartbeat: records that still come are life as well.
      return committed == 0 ? WriterState::kStalled : WriterState::kActive;
    }
    const bool stale = now_ns - std::min(now_ns, beat_ns) >= options_.stalled_after_ns && now_ns - moved_ns_ >= std::min(options_.stalled_after_ns, kLookAroundNs);
    return stale ? WriterState::kStalled : WriterState::kActive;
  }

  bool gap_piece(Range& range, Batch& piece, const Gap& gap) {
    piece = {};
    piece.kind = Item::Kind::kGap;
    piece.first_seq = range.seq_;
    piece.gap = gap;
    piece.gap.to = std::min(gap.to, range.end_seq_);
    range.seq_ = piece.gap.to;
    return true;
  }

  ReaderOptions options_;
  Files& files_;
  std::string base_;
  FeedInfo feed_;
  FeedRegistry registry_;
  std::vector<size_t> settled_;               // of registry_.chunks(): readable, their records known, in order
  std::vector<size_t> open_;                  // those still written, or left by a writer that died
  std::vector<uint64_t> highest_[kClocksMax]; // running maximum over settled_
  std::optional<LivePage> live_;
  std::string live_directory_;
  std::optional<shm::Doorbell> bell_;
  std::list<Chunk> cache_;                    // mapped, latest used first
  Chunk here_;
  Chunk newest_;
  Chunk held_;
  uint64_t promised_end_ = 0;
  uint64_t next_seq_ = 0;
  uint64_t cursor_epoch_ = 0;
  uint64_t last_epoch_ = 0;
  uint64_t last_clocks_[kClocksMax] = {};
  std::optional<At> pending_time_;
  std::optional<MarkInfo> at_mark_;
  std::optional<Item::Kind> gone_;
  bool stalled_told_ = false;
  bool gave_any_ = false;
  uint64_t inactive_since_ns_ = 0;
  uint64_t settings_seen_ = 0;
  // Shared with who cancels.
  struct Stop {
    std::atomic<bool> asked{false};
    std::mutex mutex;
    std::string live_directory;
  };
  std::unique_ptr<Stop> stop_ = std::make_unique<Stop>();
  uint64_t looked_around_ns_ = 0;
  uint64_t beat_seen_ns_ = 0;
  uint64_t committed_seen_ = 0;
  uint64_t moved_ns_ = 0;
};

FeedReader::FeedReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FeedReader::FeedReader(FeedReader&&) noexcept = default;
FeedReader& FeedReader::operator=(FeedReader&&) noexcept = default;
FeedReader::~FeedReader() = default;

FeedReader FeedReader::open(const std::string& base, const std::string& name, const ReaderOptions& options) {
  return FeedReader(std::make_unique<Impl>(base, name, options));
}

const FeedInfo& FeedReader::feed() const noexcept { return impl_->feed(); }
void FeedReader::seek(const At& at) { impl_->seek(at); }
void FeedReader::cancel() noexcept { impl_->cancel(); }
const std::optional<MarkInfo>& FeedReader::at_mark() const noexcept { return impl_->at_mark(); }
Item FeedReader::next(uint64_t timeout_ns) { return impl_->next(timeout_ns); }
Batch FeedReader::next_batch(uint64_t max_rows, uint64_t timeout_ns) { return impl_->next_batch(max_rows, timeout_ns); }
std::shared_ptr<const void> FeedReader::hold() const { return impl_->hold(); }
uint64_t FeedReader::next_seq() const noexcept { return impl_->next_seq(); }
Checkpoint FeedReader::checkpoint() const { return impl_->checkpoint(); }
std::optional<uint64_t> FeedReader::first_after(uint64_t t, size_t clock) { return impl_->first_after(t, clock); }
std::optional<uint64_t> FeedReader::first_before(uint64_t t, size_t clock) { return impl_->first_before(t, clock); }
Item FeedReader::read(uint64_t seq) { return impl_->read(seq); }

bool FeedReader::Range::next(Batch& piece, uint64_t max_rows) { return impl_ != nullptr && impl_->range_next(*this, piece, max_rows); }

FeedReader::Range FeedReader::range(const TimeRange& time) {
  Range range;
  range.impl_ = impl_.get();
  range.by_time_ = true;
  range.time_ = time;
  impl_->prepare_range(range);
  return range;
}

FeedReader::Range FeedReader::range_seq(uint64_t from, uint64_t to) {
  Range range;
  range.impl_ = impl_.get();
  range.seq_ = from;
  range.end_seq_ = to;
  impl_->prepare_range(range);
  return range;
}

namespace {
[[noreturn]] void refuse(const FeedInfo& feed, const Gap& gap) {
  throw FeedError(Fault::kCorrupt, "records ", gap.from, " to ", gap.to, " of feed ", feed.name, " cannot be read", gap.text.empty() ? "" : ": ", gap.text);
}
[[noreturn]] void refuse_versions(const FeedInfo& feed, const Batch& piece) {
  throw FeedError(Fault::kUsage, "from record ", piece.first_seq, " on, feed ", feed.name, " has version ", piece.schema_id,
                  " of its schema: read the range in pieces, or make one of all versions by a Projection");
}
void check_size(size_t bytes, uint64_t bytes_max) {
  if (bytes > bytes_max) throw FeedError(Fault::kResultTooLarge, "the range holds more than ", bytes_max, " bytes: read it in batches");
}
}  // namespace

std::vector<std::byte> FeedReader::read_range(const TimeRange& time, uint64_t bytes_max) {
  std::vector<std::byte> out;
  uint32_t version = 0;
  Range all = range(time);
  for (Batch piece; all.next(piece);) {
    if (piece.kind == Item::Kind::kGap) refuse(feed(), piece.gap);
    if (version != 0 && piece.schema_id != version) refuse_versions(feed(), piece);
    version = piece.schema_id;
    check_size(out.size() + piece.rows.size(), bytes_max);
    out.insert(out.end(), piece.rows.begin(), piece.rows.end());
  }
  return out;
}

std::vector<std::byte> FeedReader::read_column(std::string_view name, const TimeRange& time, uint64_t bytes_max) {
  const Field* field = feed().schema.field(name);
  if (field == nullptr || feed().schema.layout() != Layout::kRows) throw FeedError(Fault::kUsage, "feed ", feed().name, " has no field '", printable(name), "'");
  std::vector<std::byte> out;
  Range all = range(time);
  for (Batch piece; all.next(piece);) {
    if (piece.kind == Item::Kind::kGap) refuse(feed(), piece.gap);
    const size_t at = out.size();
    check_size(at + piece.count * field->bytes(), bytes_max);
    out.resize(at + piece.count * field->bytes());
    const Schema* version = feed().version(piece.schema_id);
    if (version == nullptr || version->field(name) == nullptr) refuse_versions(feed(), piece);
    const std::byte* from = piece.rows.data() + field->offset;
    const size_t row_bytes = piece.rows.size() / piece.count;
    for (uint64_t i = 0; i < piece.count; ++i) std::memcpy(out.data() + at + i * field->bytes(), from + i * row_bytes, field->bytes());
  }
  return out;
}

std::optional<LatestChunk> FeedReader::latest_chunk() { return impl_->latest_chunk(); }
bool FeedReader::has_data_since(uint64_t t, size_t clock) { return impl_->has_data_since(t, clock); }
uint64_t FeedReader::first_seq() { return impl_->first_seq(); }
uint64_t FeedReader::committed_seq() { return impl_->committed_seq(); }
uint64_t FeedReader::durable_seq() { return impl_->durable_seq(); }
WriterState FeedReader::writer_state() { return impl_->writer_state(); }
const std::vector<SegmentInfo>& FeedReader::segments() { return impl_->registry().segments(); }
const std::vector<LossInfo>& FeedReader::losses() { return impl_->registry().losses(); }
const std::vector<MarkInfo>& FeedReader::marks() { return impl_->registry().marks(); }
const std::vector<ChunkInfo>& FeedReader::chunks() { return impl_->registry().chunks(); }
const std::vector<EpochInfo>& FeedReader::epochs() { return impl_->registry().epochs(); }
const std::vector<std::string>& FeedReader::warnings() { return impl_->registry().warnings(); }

}  // namespace tidepool::feed
