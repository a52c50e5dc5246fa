// Records on their way to disk: the persister's thread, and who asks for a sync.

#include <algorithm>
#include <chrono>
#include <deque>

#include "tidepool/feed/writer_impl.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kFoldStepBytes = uint64_t{256} << 10;  // what index and checksums look at, one after the other: stays in the cache
constexpr uint64_t kBusyNs = kNsPerMs;
constexpr uint64_t kIdleNs = 10 * kNsPerMs;
constexpr uint64_t kRoundBytes = uint64_t{1} << 20;       // as much new makes the next round follow at once
// A sync costs the disk some milliseconds whatever its size: at high rates sync_bytes come together faster than that, and are
// waited for no more often than this (rulings F-m).
constexpr uint64_t kSyncSpacingNs = 50 * kNsPerMs;

}  // namespace

void FeedWriter::Impl::sync() {
  require_open();
  if (!stored_) throw FeedError(Fault::kUsage, "feed ", feed_.name, " lives in memory: there is nothing to make durable");
  const std::scoped_lock persisting(persist_mutex_);
  if (served_) return sync_by_daemon();
  round(true);
}

bool FeedWriter::Impl::wait_durable(uint64_t seq, uint64_t timeout_ns) {
  Lock lock(mutex_);
  space_.wait_for(lock, std::chrono::nanoseconds(timeout_ns), [&] { return durable_seq() > seq || failure_ != AppendStatus::kOk; });
  return durable_seq() > seq;
}

bool FeedWriter::Impl::mark_segment_boundary(const std::string& reason) {
  TIDEPOOL_ONE_THREAD(path_.one_thread(), "mark a segment");
  require_open();
  if (path_.claimed() != 0) throw FeedError(Fault::kUsage, "mark a segment: a claim is open");
  const std::scoped_lock persisting(persist_mutex_);
  round(false);
  std::shared_ptr<LiveChunk> now;
  {
    const std::scoped_lock lock(mutex_);
    now = current_;
  }
  if (now && now->index_started) segments_.gather(*now);
  return segments_.close(reason);
}

void FeedWriter::Impl::mark(uint64_t seq, uint32_t code, const std::string& text) {
  require_open();
  const std::scoped_lock persisting(persist_mutex_);
  round(false);  // finds the frames' places, and the registry names the chunk
  FeedRecord record = entry(FeedEntry::kMark);
  record.first_seq = seq;
  record.value = code;
  record.text = text;
  std::deque<std::shared_ptr<LiveChunk>> chunks = window_;
  {
    const std::scoped_lock lock(mutex_);
    chunks.insert(chunks.end(), queue_.begin(), queue_.end());
    chunks.push_back(current_);
  }
  for (const auto& chunk : chunks) {
    if (!chunk->index_started || seq < chunk->first_seq || seq - chunk->first_seq >= chunk->index.records()) continue;
    const uint64_t at = seq - chunk->first_seq;
    const std::byte* clocks = rows_ ? chunk->data + at * record_bytes_ : chunk->data + chunk->index.entries()[at].offset + 16;
    record.ordinal = chunk->header.ordinal;
    for (size_t k = 0; k < feed_.schema.clocks(); ++k) record.clocks[k].min = record.clocks[k].max = load<uint64_t>(clocks + 8 * k);
    if (stored_) cached("copy of the mark", [&] { marks_.append(record, live_.floor_seq().peek()); });
    return put(record, false);
  }
  throw FeedError(Fault::kOutOfRange, "mark record ", seq, " of feed ", feed_.name, ": it is not one of those in memory, which end at ", next_seq());
}

// One round of the persister.
uint64_t FeedWriter::Impl::persist() {
  uint64_t worked = 0;
  uint64_t finished = 0;
  {
    const std::scoped_lock lock(mutex_);
    if (stopping_ || failure_ == AppendStatus::kIoError || failure_ == AppendStatus::kHelperGone) return kNsPerSecond;
  }
  try {
    const std::scoped_lock persisting(persist_mutex_);
    if (stored_) look_at_daemon();
    worked = round(false);
    if (worked < kRoundBytes) compare_copies();
    finished = finished_;
  } catch (const FeedError& error) {
    log(LogLevel::kWarn, "feed", "feed ", feed_.name, ": ", error.what());
    happened({.kind = WriterEvent::Kind::kTrouble, .text = error.what()});
  }
  housekeeper_.poll(finished);
  return worked >= kRoundBytes ? 0 : worked != 0 ? kBusyNs : kIdleNs;
}

// Take what is committed: into the index, and to disk. `force`: and make it durable. Bytes that were new. Throws for the disk's
// reasons.
uint64_t FeedWriter::Impl::round(bool force) {
  std::vector<std::shared_ptr<LiveChunk>> chunks;
  {
    const std::scoped_lock lock(mutex_);
    chunks.assign(queue_.begin(), queue_.end());
    if (current_ && (chunks.empty() || chunks.back() != current_)) chunks.push_back(current_);
  }
  uint64_t worked = 0;
  try {
    for (auto& chunk : chunks) {
      const bool sealed = chunk->words.state().load() == static_cast<uint32_t>(WordState::kSealed);  // before the word below
      const uint64_t end = chunk->words.committed().load();
      if (end != 0) {
        worked += end - chunk->index.position();
        take(*chunk, end, force);
        if (sealed && finish(*chunk)) worked += 1;
      }
      chunk = nullptr;  // so that who gets it from the window has it alone
    }
    const std::scoped_lock lock(mutex_);
    if (!served_ && failure_ == AppendStatus::kOk) {
      trouble_.clear();
      out_of_space_ = false;
    }
  } catch (const FeedError& error) {
    round_failed(error);
    throw;
  }
  try {
    segments_.retry();
  } catch (const FeedError& error) {  // no record waits for that; it is tried again, and close() throws it
    const std::scoped_lock lock(mutex_);
    trouble_ = error.what();
  }
  return worked;
}

void FeedWriter::Impl::round_failed(const FeedError& error) {
  const std::scoped_lock lock(mutex_);
  trouble_ = error.what();
  out_of_space_ = error.fault() == Fault::kNoSpace;
  if (error.fault() == Fault::kIo || error.fault() == Fault::kCorrupt) fail(AppendStatus::kIoError);
  if (out_of_space_ && options_.when_disk_full == WriterOptions::WhenDiskFull::kFail) fail(AppendStatus::kNoSpace);
}

void FeedWriter::Impl::start(LiveChunk& chunk) {
  if (!chunk.index_started) {
    chunk.index = IndexBuilder(chunk.header, chunk.first_seq);
    cached("live index", [&] { chunk.live_index = LiveIndex::create(files_, chunk.index_path, chunk.header, chunk.first_seq, chunk.options.live_mode()); });
    chunk.index_started = true;
    chunk.last_sync_ns = options_.clock->monotonic_ns();
  }
  if (chunk.options.segments) segments_.open();
  if (!ours()) return;
  if (!chunk.disk) chunk.disk = ChunkFile::create(files_, feed_.directory, chunk.header, schema_block_, chunk.options.file_mode, false);
  if (!chunk.activation_written) {
    chunk.disk->activate(chunk.activation);
    chunk.activation_written = true;
  }
}

void FeedWriter::Impl::take(LiveChunk& chunk, uint64_t end, bool force) {
  start(chunk);
  const bool in_place = feed_.options.storage == Storage::kDurable;
  while (chunk.index.position() < end || (ours() && chunk.disk->checked_end() < chunk.index.position())) {
    uint64_t step = end;
    if (rows_) step = std::min(end, (chunk.index.position() + std::max<uint64_t>(kFoldStepBytes, record_bytes_)) / record_bytes_ * record_bytes_);
    if (!chunk.index.fold(chunk.data, step)) throw FeedError(Fault::kCorrupt, "chunk ", chunk.header.ordinal, ": a frame changed after it was committed");
    if (ours()) chunk.disk->take(chunk.data, chunk.index.position(), in_place);
  }
  if (chunk.live_index) cached("live index", [&] { chunk.live_index->add(chunk.index); });
  if (!ours()) return;
  const uint64_t now_ns = options_.clock->monotonic_ns();
  if (chunk.disk->checked_end() == chunk.disk->durable_end()) {
    chunk.last_sync_ns = now_ns;
  } else if (force || sync_is_due(chunk, now_ns)) {
    timed_sync([&] { chunk.disk->sync(chunk.index.records()); });
    chunk.last_sync_ns = now_ns;
    say_durable(chunk);
  }
}

bool FeedWriter::Impl::sync_is_due(const LiveChunk& chunk, uint64_t now_ns) const noexcept {
  const FeedOptions& options = chunk.options;
  if (options.sync != SyncMode::kInterval) return false;
  const uint64_t since_ns = now_ns - chunk.last_sync_ns;
  if (since_ns >= options.sync_interval_ns) return true;
  return chunk.disk->checked_end() - chunk.disk->durable_end() >= options.sync_bytes && since_ns >= std::min(kSyncSpacingNs, options.sync_interval_ns);
}

void FeedWriter::Impl::say_durable(LiveChunk& chunk) {
  chunk.words.durable().publish(chunk.disk->durable_end());
  const uint64_t durable = chunk.first_seq + chunk.index.records();
  {
    const std::scoped_lock lock(mutex_);
    if (durable > live_.durable_seq().peek()) live_.durable_seq().publish(durable);
    space_.notify_all();
  }
  if (options_.on_durable) call([&] { options_.on_durable(durable); });
  happened({.kind = WriterEvent::Kind::kSynced, .ordinal = chunk.header.ordinal, .first_seq = chunk.first_seq, .end_seq = durable});
}

// A sealed chunk, all of it taken: complete on disk, and out of the queue. False: a daemon has not come so far.
bool FeedWriter::Impl::finish(LiveChunk& chunk) {
  ChunkSummary summary = chunk.index.summary();
  summary.sealed_wall_ns = realtime_ns();
  const uint64_t began_ns = monotonic_ns();
  if (ours()) {
    seal_on_disk(chunk, summary);
  } else if (stored_) {
    if (!persisted_by_daemon(chunk)) return false;
  } else {
    put(sealed_entry(chunk, summary), false);
  }
  segments_.gather(chunk);
  to_window(chunk, summary, began_ns);
  return true;
}

FeedRecord FeedWriter::Impl::sealed_entry(const LiveChunk& chunk, const ChunkSummary& summary) const {
  FeedRecord sealed = entry_of(FeedEntry::kChunkSealed, chunk);
  sealed.first_seq = summary.first_seq;
  sealed.count = summary.count;
  sealed.bytes = summary.bytes;
  std::copy(std::begin(summary.clocks), std::end(summary.clocks), std::begin(sealed.clocks));
  return sealed;
}

void FeedWriter::Impl::seal_on_disk(LiveChunk& chunk, const ChunkSummary& summary) {
  timed_sync([&] { chunk.disk->seal(summary); });
  say_durable(chunk);
  cached("index", [&] {
    write_cache_file(files_, feed_.directory, index_name(chunk.header.ordinal), encode_index(chunk.header, summary.first_seq, chunk.index.entries()),
                     feed_.options.file_mode);
  });
  FeedRecord sealed = sealed_entry(chunk, summary);
  put(sealed, false);
  // Not synced: until the next entry that is, the file speaks for itself (docs/protocols/feed.md, "footer, no entry").
  sealed.type = FeedEntry::kChunkPersisted;
  put(sealed, false);
}

void FeedWriter::Impl::to_window(LiveChunk& chunk, const ChunkSummary& summary, uint64_t began_ns) {
  ++finished_;
  uint64_t backlog = 0;
  {
    const std::scoped_lock lock(mutex_);
    const auto at = std::find_if(queue_.begin(), queue_.end(), [&](const auto& queued) { return queued.get() == &chunk; });
    window_.push_back(std::move(*at));
    queue_.erase(at);
    for (const auto& queued : queue_) backlog += queued->words.committed().load();
    space_.notify_all();
  }
  happened({.kind = WriterEvent::Kind::kPersisted, .ordinal = chunk.header.ordinal, .first_seq = summary.first_seq, .end_seq = summary.end_seq(), .bytes = summary.bytes,
            .backlog_bytes = backlog, .elapsed_ns = monotonic_ns() - began_ns});
  const size_t live_chunks = chunk.options.live_chunks;
  while (window_.size() + 1 > live_chunks) retire(pop_window());
}

std::shared_ptr<LiveChunk> FeedWriter::Impl::pop_window() {
  auto chunk = std::move(window_.front());
  window_.pop_front();
  return chunk;
}

void FeedWriter::Impl::retire(std::shared_ptr<LiveChunk> chunk) {
  if (!stored_) {
    FeedRecord expired = entry_of(FeedEntry::kChunkExpired, *chunk);
    expired.first_seq = chunk->first_seq;
    expired.count = chunk->index.records();
    put(expired, false);
    live_.floor_seq().publish(chunk->first_seq + chunk->index.records());
  }
  const uint64_t ordinal = chunk->header.ordinal;
  const uint64_t first_seq = chunk->first_seq;
  const uint64_t end_seq = first_seq + chunk->index.records();
  maker_->retire(std::move(chunk));
  happened({.kind = WriterEvent::Kind::kRetired, .ordinal = ordinal, .first_seq = first_seq, .end_seq = end_seq});
}

}  // namespace tidepool::feed
