// Which chunks there are, where they lie, and which one holds a record.

#include <algorithm>

#include "tidepool/feed/reader_impl.h"

namespace tidepool::feed {

void FeedReader::Impl::refresh() {
  if (!registry_.has_news()) return;
  registry_.refresh();
  learn();
}

void FeedReader::Impl::learn() {
  settled_.clear();
  open_.clear();
  for (auto& highest : highest_) highest.clear();
  floor_ = registry_.floor_seq();
  settled_end_ = 0;
  const auto& chunks = registry_.chunks();
  for (size_t at = 0; at < chunks.size(); ++at) {
    const ChunkInfo& chunk = chunks[at];
    if (chunk.settled()) settled_end_ = std::max(settled_end_, chunk.end_seq());
    if (!chunk.readable()) continue;
    if (!chunk.settled()) {
      open_.push_back(at);
      continue;
    }
    if (chunk.count == 0) continue;
    settled_.push_back(at);
    for (size_t k = 0; k < kClocksMax; ++k) highest_[k].push_back(std::max(highest_[k].empty() ? 0 : highest_[k].back(), chunk.clocks[k].max));
  }
  // What the registry calls over and its own words do not was left by a recovery that died: nobody will write there again (G-2).
  const auto left = [&](const Chunk& chunk) {
    const ChunkInfo* known = chunk->live() && !chunk->sealed() ? registry_.chunk(chunk->header().ordinal) : nullptr;
    return known != nullptr && known->state != ChunkState::kOpen && known->tag == chunk->header().created_wall_ns;
  };
  const auto stale = [&](const Chunk& chunk) { return chunk->provisional() || chunk->seen_damage() || left(chunk); };
  cache_.remove_if(stale);
  if (here_ && stale(here_)) here_ = nullptr;
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
      // Of a writer that the registry has never heard of: the feed was restored to a time before it, or news is on its way.
      if (live_ && live_->epoch() > epoch) live_.reset();
      if (live_) bell_ = shm::Doorbell::open(*directory);
    }
  }
}

// A writer may have come with a newer version of the schema (F-18). What feed().schema says stays: it is how this reader began.
void FeedReader::Impl::learn_versions() {
  if (registry_.settings_changes() == settings_seen_) return;
  settings_seen_ = registry_.settings_changes();
  const GlobalRegistry global = GlobalRegistry::open(base_, files_, feed_.name);
  const FeedInfo* named = global.find(feed_.name);
  if (named == nullptr || named->id != feed_.id) return;  // deleted or replaced: told elsewhere
  FeedInfo now = *named;
  load_schemas(now, files_);
  feed_.versions = std::move(now.versions);
}

// All that a memory feed held went with its writer, or with the boot: that is not the same as never having held anything (F-89).
void FeedReader::Impl::check_live_data() {
  if (feed_.options.storage != Storage::kMemory || !settled_.empty() || registry_.epochs().empty()) return;
  for (const size_t open : open_) {
    Chunk chunk;
    if (attach(registry_.chunks()[open], chunk) == AttachedChunk::Outcome::kOk && chunk->records() != 0) return;
  }
  const WriterState state = look_at_writer();
  if (state != WriterState::kClosed && state != WriterState::kCrashed && state != WriterState::kNever) return;
  if (committed_seq() == 0) return;
  throw FeedError(Fault::kNoLiveData, "feed ", feed_.name, " lives in memory, nobody writes it, and the records that it held are gone");
}

AttachedChunk::Outcome FeedReader::Impl::attach(const ChunkInfo& info, Chunk& chunk) {
  for (auto at = cache_.begin(); at != cache_.end(); ++at) {
    if ((*at)->header().ordinal != info.ordinal) continue;
    cache_.splice(cache_.begin(), cache_, at);
    chunk = cache_.front();
    return AttachedChunk::Outcome::kOk;
  }
  std::optional<AttachedChunk::Outcome> attached;
  while (!attached) {
    try {
      attached = AttachedChunk::attach(feed_, info, files_, options_.verify, chunk);
    } catch (const FeedError& error) {
      // Out of descriptors, mappings or memory: give back what was used longest ago, and try again.
      if (error.fault() != Fault::kNoSpace || cache_.empty()) throw;
      cache_.pop_back();
    }
  }
  const AttachedChunk::Outcome outcome = *attached;
  if (outcome != AttachedChunk::Outcome::kOk) return outcome;
  chunk->enter(*ledger_);
  cache_.push_front(chunk);
  while (cache_.size() > std::max<size_t>(options_.mapped_chunks_max, 2)) cache_.pop_back();
  return outcome;
}

FeedReader::Impl::Chunk FeedReader::Impl::must_attach(const ChunkInfo& info) {
  Chunk chunk;
  if (attach(info, chunk) == AttachedChunk::Outcome::kOk) return chunk;
  throw FeedError(Fault::kCorrupt, feed_.directory, "/", chunk_name(info.ordinal), " is missing: it holds records ", info.first_seq, " to ", info.end_seq(), " of feed ", feed_.name);
}

FeedReader::Impl::Chunk FeedReader::Impl::newest_open() {
  refresh();
  for (auto open = open_.rbegin(); open != open_.rend(); ++open) {
    Chunk chunk;
    if (attach(registry_.chunks()[*open], chunk) == AttachedChunk::Outcome::kOk) return chunk;
  }
  return nullptr;
}

// In a chunk whose records are known: there, or what is wrong with it.
FeedReader::Impl::Place FeedReader::Impl::locate_in(const ChunkInfo& info, uint64_t seq) {
  Place place;
  place.end_seq = info.end_seq();
  place.gap = {seq, info.end_seq(), GapCause::kMissing, {}};
  place.kind = Place::Kind::kHere;
  try {
    if (attach(info, place.chunk) == AttachedChunk::Outcome::kOk) return place;
    place.gap.text = concat(feed_.directory, "/", chunk_name(info.ordinal), " is missing");
  } catch (const FeedError& error) {
    if (error.fault() != Fault::kCorrupt && error.fault() != Fault::kSchemaMismatch) throw;
    place.gap.cause = GapCause::kDamaged;
    place.gap.text = error.what();
  }
  place.kind = Place::Kind::kGap;
  return place;
}

// In a chunk that is still written, or was left by a writer that died. `next_first`: where a later one begins, if that is known.
FeedReader::Impl::Place FeedReader::Impl::locate_in_open(uint64_t seq, uint64_t& next_first, bool& vanished) {
  Place place;
  for (auto open = open_.rbegin(); open != open_.rend(); ++open) {
    Chunk chunk;
    const AttachedChunk::Outcome outcome = attach(registry_.chunks()[*open], chunk);
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
    break;
  }
  return place;
}

// Where record `seq` is, or will be.
FeedReader::Impl::Place FeedReader::Impl::locate(uint64_t seq) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto& chunks = registry_.chunks();
    const auto above = std::upper_bound(settled_.begin(), settled_.end(), seq, [&](uint64_t s, size_t at) { return s < chunks[at].first_seq; });
    uint64_t next_first = above == settled_.end() ? ~uint64_t{0} : chunks[*above].first_seq;
    Place place;
    bool vanished = false;
    const bool known = above != settled_.begin() && seq < chunks[*(above - 1)].end_seq();
    place = known ? locate_in(chunks[*(above - 1)], seq) : locate_in_open(seq, next_first, vanished);
    if (place.kind == Place::Kind::kHere) return place;
    // Expired between look-up and attach? The registry says so, or the file is really gone.
    if ((known || vanished) && attempt == 0 && registry_.refresh()) {
      learn();
      continue;
    }
    if (known) return place;
    const uint64_t floor = registry_.floor_seq();
    if (next_first != ~uint64_t{0} && next_first > seq) {
      place.kind = Place::Kind::kGap;
      place.gap = {seq, next_first, quarantined(seq) != nullptr ? GapCause::kDamaged : cause_below_floor(), {}};
    } else if (const ChunkInfo* chunk = quarantined(seq)) {  // the last one there is: whoever waits behind it would wait for ever
      place.kind = Place::Kind::kGap;
      place.gap = {seq, chunk->end_seq(), GapCause::kDamaged, concat(chunk_name(chunk->ordinal), " is in quarantine")};
    } else if (seq < floor) {
      place.kind = Place::Kind::kGap;
      place.gap = {seq, floor, cause_below_floor(), {}};
    }
    return place;
  }
  return {};
}

const ChunkInfo* FeedReader::Impl::quarantined(uint64_t seq) const noexcept {
  const auto& chunks = registry_.chunks();
  for (auto chunk = chunks.rbegin(); chunk != chunks.rend(); ++chunk) {
    if (chunk->count == 0) continue;
    if (chunk->end_seq() <= seq) break;  // all before it end before it
    if (chunk->state == ChunkState::kQuarantined && seq >= chunk->first_seq) return &*chunk;
  }
  return nullptr;
}

uint64_t FeedReader::Impl::first_seq() {
  refresh();
  const uint64_t floor = floor_;
  if (settled_.empty() && !open_.empty()) {
    Chunk chunk;
    for (const size_t open : open_) {
      if (attach(registry_.chunks()[open], chunk) == AttachedChunk::Outcome::kOk) return std::max(floor, chunk->first_seq());
    }
  }
  return floor;
}

uint64_t FeedReader::Impl::committed_seq() {
  refresh();
  for (auto open = open_.rbegin(); open != open_.rend(); ++open) {
    Chunk chunk;
    if (attach(registry_.chunks()[*open], chunk) == AttachedChunk::Outcome::kOk) return chunk->end_seq();
  }
  const uint64_t end = registry_.epochs().empty() ? 0 : registry_.epochs().back().closed ? registry_.epochs().back().end_seq : registry_.epochs().back().first_seq;
  return std::max(end, settled_end_);
}

uint64_t FeedReader::Impl::durable_seq() {
  refresh();
  if (feed_.options.storage == Storage::kMemory) return 0;
  uint64_t durable = live_ ? live_->durable_seq().load() : 0;
  for (const size_t at : settled_) {
    if (registry_.chunks()[at].state == ChunkState::kPersisted) durable = std::max(durable, registry_.chunks()[at].end_seq());
  }
  return durable;
}

std::optional<LatestChunk> FeedReader::Impl::latest_chunk() {
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

FeedRegistry& FeedReader::Impl::registry() {
  refresh();
  return registry_;
}

}  // namespace tidepool::feed
