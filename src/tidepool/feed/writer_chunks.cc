// Chunks made ahead, rotated and sealed: the helper's thread, and what an append that finds its chunk full does.

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "tidepool/feed/writer_impl.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kHeartbeatNs = 100 * kNsPerMs;
constexpr uint64_t kHelpEveryNs = 5 * kNsPerMs;
constexpr uint64_t kKeepSparesNs = 5 * kNsPerSecond;  // after the last rotation: a feed that has become slow gives its memory back

}  // namespace

// A new chunk, registered, not yet the one that is appended to. No lock held; throws.
std::shared_ptr<LiveChunk> FeedWriter::Impl::prepare() {
  {
    const std::scoped_lock lock(registry_mutex_);
    registry_.refresh();
    if (!registry_.epochs().empty() && registry_.epochs().back().epoch > epoch_) {
      throw FeedError(Fault::kFenced, "epoch ", registry_.epochs().back().epoch, " of feed ", feed_.name, " has begun, ours was ", epoch_);
    }
  }
  uint64_t promised = 0;
  {
    const std::scoped_lock lock(mutex_);
    if (current_ && current_->options.prefault) promised = current_->header.capacity - current_->reserved().load();
  }
  auto chunk = maker_->make(next_ordinal_++, settings(), promised);
  try {
    // Synced before any of its records can be said to be durable: else a power cut could leave them where no reader looks.
    put(entry_of(FeedEntry::kChunkOpened, *chunk), stored_);
  } catch (const FeedError&) {
    maker_->unlink(*chunk);
    if (chunk->disk) unlink_file(files_, concat(feed_.directory, "/", chunk_name(chunk->header.ordinal)));
    throw;
  }
  return chunk;
}

void FeedWriter::Impl::activate(LiveChunk& chunk, uint64_t first_seq) noexcept {
  chunk.first_seq = first_seq;
  chunk.activation = {first_seq, realtime_ns()};
  const auto bytes = encode(chunk.activation, chunk.header);
  std::memcpy(chunk.words_mapping.data() + kActivationAt, bytes.data(), bytes.size());
  chunk.words.state().publish(static_cast<uint32_t>(WordState::kActive));  // F-c: from here on it is valid
}

void FeedWriter::Impl::seal(LiveChunk& chunk) noexcept {
  chunk.words.state().publish(static_cast<uint32_t>(WordState::kSealed));  // after its last commit: a reader who sees it drains
}

// mutex_ held by `lock`: there is a next chunk, or why there is none is thrown.
void FeedWriter::Impl::ensure_next(Lock& lock) {
  while (preparing_) space_.wait(lock);
  if (next_ || stopping_) return;
  uint64_t waiting = 0;
  for (const auto& chunk : queue_) waiting += chunk->header.capacity;
  if (stored_ && waiting != 0 && waiting + current_->header.capacity > current_->options.backlog_bytes) {
    if (out_of_space_) throw FeedError(Fault::kNoSpace, trouble_);
    throw FeedError(Fault::kBackpressure, waiting, " bytes wait for the disk");
  }
  preparing_ = true;
  lock.unlock();
  std::shared_ptr<LiveChunk> made;
  std::exception_ptr failure;
  try {
    made = prepare();
  } catch (...) {
    failure = std::current_exception();
  }
  lock.lock();
  preparing_ = false;
  next_ = made;
  space_.notify_all();
  if (!failure) return room_trouble_.clear();
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    room_trouble_ = error.what();
    throw;
  }
}

// mutex_ held, nobody inside the gate: the next chunk becomes the current one. Nothing here can fail.
void FeedWriter::Impl::rotate_locked() noexcept {
  const uint64_t begin_ns = monotonic_ns();
  auto old = current_;
  activate(*next_, old->first_seq + old->count());
  for (size_t k = 0; k < feed_.schema.clocks(); ++k) live_.highest_before(k).set(path_.highest()[k]);
  seal(*old);
  current_ = std::move(next_);
  next_ = nullptr;
  queue_.push_back(old);
  ++rotations_;
  live_.rotations().set(rotations_);
  publish_latest();
  adopt();
  crew_->wake_helper();
  crew_->wake_persister();
  bell_->ring_if_parked();
  live_.rotation_latency().add(monotonic_ns() - begin_ns);
}

void FeedWriter::Impl::publish_latest() noexcept {
  live_.publish_latest({current_->header.ordinal, current_->first_seq, current_->header.capacity, current_->header.created_wall_ns});
}

void FeedWriter::Impl::adopt() noexcept {
  path_.adopt({.data = current_->data,
               .words = current_->words,
               .ordinal = current_->header.ordinal,
               .first_seq = current_->first_seq,
               .reserved = current_->reserved(),
               .waits_for_disk = stored_ && current_->options.sync == SyncMode::kEveryCommit});
}

void FeedWriter::Impl::abandon(LiveChunk& chunk) {
  chunk.words.state().publish(static_cast<uint32_t>(WordState::kAbandoned));
  put(entry_of(FeedEntry::kChunkAbandoned, chunk), false);
  maker_->unlink(chunk);
  unlink_file(files_, concat(feed_.directory, "/", chunk_name(chunk.header.ordinal)));
}

bool FeedWriter::Impl::rotate() {
  TIDEPOOL_ONE_THREAD(path_.one_thread(), "rotate");
  require_open();
  if (path_.claimed() != 0) throw FeedError(Fault::kUsage, "rotate: a claim is open");
  Lock lock(mutex_);
  if (current_->words.committed().load() == 0) return false;
  ensure_next(lock);
  if (!next_ || current_->words.committed().load() == 0) return false;  // closed, or sealed by age meanwhile
  rotate_locked();
  return true;
}

// ---- the helper ----------------------------------------------------------------------------------------------------------------

// Prepares the next chunk, keeps space ready ahead, beats the heart, seals by age, notices that it was fenced. One round.
uint64_t FeedWriter::Impl::help() {
  Lock lock(mutex_);
  if (stopping_) return kNsPerSecond;
  if (!next_ && failure_ == AppendStatus::kOk) {
    try {
      ensure_next(lock);
    } catch (const FeedError& error) {
      if (error.fault() == Fault::kFenced || error.fault() == Fault::kFeedDeleted || error.fault() == Fault::kFeedReplaced) fail(AppendStatus::kFenced);
    } catch (const std::exception&) {  // room_trouble_ has it; tried again
    }
  }
  const bool more = reserve_ahead(lock);
  watch(lock, watch_.seen);
  const uint64_t now_ns = monotonic_ns();
  if (now_ns - watch_.beat_ns >= kHeartbeatNs) {
    watch_.beat_ns = now_ns;
    if (watch_.rotations != rotations_) watch_.rotated_ns = now_ns;
    watch_.rotations = rotations_;
    lock.unlock();
    beat(now_ns);
    lock.lock();
  }
  if (stopping_) return kNsPerSecond;
  seal_by_age();
  return more ? 0 : kHelpEveryNs;
}

void FeedWriter::Impl::beat(uint64_t now_ns) {
  if (now_ns - watch_.rotated_ns >= kKeepSparesNs) maker_->drop_spares();
  live_.heartbeat_ns().publish(now_ns);
  look_for_successor();
  drop_outdated();
  look_at_deadline(now_ns);
}

// Was what we saw some time ago durable in time (F-62)? A sample of the records, every 100 ms, also while the disk, or a daemon, stands.
void FeedWriter::Impl::look_at_deadline(uint64_t now_ns) {
  if (!stored_) return;
  const uint64_t durable = durable_seq();
  uint64_t limit_ns = 0;
  uint64_t committed = 0;
  {
    const std::scoped_lock lock(mutex_);
    if (current_->options.sync != SyncMode::kInterval) return;
    const uint64_t interval_ns = current_->options.sync_interval_ns;
    limit_ns = interval_ns + std::max(interval_ns / 4, 2 * kHeartbeatNs);  // what a sync may take, and our own looking
    committed = current_->first_seq + current_->count();
  }
  if (durable < watch_.due_seq) {
    if (watch_.late || now_ns - watch_.due_since_ns <= limit_ns) return;
    watch_.late = true;
    live_.deadlines_missed().set(live_.deadlines_missed().peek() + 1);
    return;
  }
  watch_.due_seq = committed;
  watch_.due_since_ns = now_ns;
  watch_.late = false;
}

// One step: of the current chunk, whose writer may come to it, else of the next. False: nothing is left to do.
bool FeedWriter::Impl::reserve_ahead(Lock& lock) {
  const std::shared_ptr<LiveChunk> chunks[] = {current_, next_};
  lock.unlock();
  bool more = false;
  try {
    for (const auto& chunk : chunks) {
      if (chunk && !more) more = maker_->reserve_more(*chunk);
    }
  } catch (const FeedError&) {  // the append that needs it says so
  }
  lock.lock();
  return more;
}

// Tells of what appends and rotations did since the last look.
void FeedWriter::Impl::watch(Lock& lock, Seen& seen) {
  const uint64_t ordinal = current_->header.ordinal;
  const uint64_t first_seq = current_->first_seq;
  const uint64_t end = current_->words.committed().load();
  const bool rotated = seen.ordinal != 0 && seen.ordinal != ordinal;
  if (end != 0 && (seen.ordinal != ordinal || seen.end != end)) live_.last_append_ns().publish(monotonic_ns());
  seen = {ordinal, end};
  if (!rotated || !options_.on_event) return;
  lock.unlock();
  happened({.kind = WriterEvent::Kind::kRotated, .ordinal = ordinal, .first_seq = first_seq, .end_seq = first_seq});
  lock.lock();
}

void FeedWriter::Impl::look_for_successor() {
  bool gone = false;
  try {
    const std::scoped_lock lock(registry_mutex_);
    registry_.refresh();
    gone = !registry_.epochs().empty() && registry_.epochs().back().epoch > epoch_;
  } catch (const FeedError& error) {
    gone = error.fault() == Fault::kFeedReplaced || error.fault() == Fault::kFeedDeleted;
  }
  if (!gone) return;
  {
    const std::scoped_lock lock(mutex_);
    if (failure_ == AppendStatus::kFenced) return;
    fail(AppendStatus::kFenced);
  }
  happened({.kind = WriterEvent::Kind::kFenced});
}

// The settings for the next chunk (F-10). By who prepares.
const FeedOptions& FeedWriter::Impl::settings() {
  const std::scoped_lock lock(registry_mutex_);
  if (registry_.settings_changes() != settings_seen_) {
    const FeedInfo now = find_feed(base_, feed_.name, files_);
    if (now.id == feed_.id) settings_ = now.options;
    settings_seen_ = registry_.settings_changes();
  }
  return settings_;
}

// A chunk that was prepared for settings that have changed since is not begun.
void FeedWriter::Impl::drop_outdated() {
  {
    const std::scoped_lock lock(registry_mutex_);
    if (registry_.settings_changes() == settings_seen_) return;
  }
  std::shared_ptr<LiveChunk> outdated;
  {
    const std::scoped_lock lock(mutex_);
    if (preparing_ || stopping_) return;
    outdated = std::exchange(next_, nullptr);
  }
  maker_->drop_spares();
  if (!outdated) return;
  try {
    abandon(*outdated);
  } catch (const FeedError& error) {  // the next writer's recovery removes it
    log(LogLevel::kWarn, "feed", "feed ", feed_.name, ": ", error.what());
  }
}

void FeedWriter::Impl::seal_by_age() {  // mutex_ held
  if (current_->options.chunk_age_ns == 0 || !next_ || failure_ != AppendStatus::kOk || current_->words.committed().load() == 0) return;
  const uint64_t now_ns = options_.clock->monotonic_ns();
  if (current_->first_nonempty_ns == 0) current_->first_nonempty_ns = now_ns;
  if (now_ns - current_->first_nonempty_ns < current_->options.chunk_age_ns) return;
  if (!path_.gate().close()) return;  // an append is under way: next time (F-d)
  rotate_locked();
  path_.gate().open();
}

}  // namespace tidepool::feed
