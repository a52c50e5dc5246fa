// A writer whose records a daemon takes to disk (F-63): the base's persistd reads the chunks in shared memory, writes and syncs them,
// and tells how far it is by the live page and the registry. What stays here is what the writer knows better: index, segments, window.
//
// Who persists holds the feed's persister.lock, all its time: the writer, or the daemon.

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "tidepool/feed/persistd.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/writer_group.h"
#include "tidepool/feed/writer_impl.h"
#include "tidepool/shm/directory.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kLookAtDaemonNs = 100 * kNsPerMs;
constexpr uint64_t kSyncPollNs = 200'000;

}  // namespace

WriterGroup::WriterGroup() : crew_(std::make_shared<Crew>()) {}
WriterGroup::~WriterGroup() = default;
size_t WriterGroup::writers() const { return crew_->members(); }

// Rows with blobs are synced behind what they refer to (F-122), which only their writer can see to.
bool FeedWriter::Impl::wants_daemon() const noexcept {
  return stored_ && feed_.options.persister != Persister::kWriter && !options_.before_sync;
}

// The daemon of the last writer, dead or ended, is to let go: we hold the writer's lock, and are about to recover.
void FeedWriter::Impl::hand_over_requested() noexcept {
  const auto directory = trusted_live_directory(feed_);
  if (!directory) return;
  const auto page = LivePage::open_writable(files_, *directory, feed_);
  if (page && page->wish().load() == static_cast<uint32_t>(LivePage::Wish::kServe)) page->wish().publish(static_cast<uint32_t>(LivePage::Wish::kLeave));
}

// The last step of opening. Throws kNoPersister; then the feed is closed again.
void FeedWriter::Impl::begin_persisting() {
  crew_ = options_.group != nullptr ? options_.group->crew_ : std::make_shared<Crew>();
  try {
    if (wants_daemon() && !wait_for_daemon() && feed_.options.persister == Persister::kDaemon) {
      throw FeedError(Fault::kNoPersister, "feed ", feed_.name, " leaves it to the daemon of ", base_, " to take its records to disk, and none came within ",
                      options_.persister_wait_ns / kNsPerMs, " ms: run tidepool feed persistd, or set the feed's persister to writer or any");
    }
    if (!stored_) persister_lock_ = {};
    crew_->join(*this);
  } catch (const FeedError&) {
    close();
    throw;
  }
}

bool FeedWriter::Impl::wait_for_daemon() {
  const uint64_t deadline_ns = monotonic_ns() + options_.persister_wait_ns;
  const bool needed = feed_.options.persister == Persister::kDaemon;
  while (!persistd_of(base_, files_)) {
    if (!needed || monotonic_ns() >= deadline_ns) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  live_.wish().publish(static_cast<uint32_t>(LivePage::Wish::kServe));
  persister_lock_ = {};
  while (monotonic_ns() < deadline_ns) {
    if (live_.served_by().load() != 0) return served_ = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  live_.wish().publish(static_cast<uint32_t>(LivePage::Wish::kLeave));  // also for one who comes just now
  persister_lock_ = lock_within(feed_.directory, kPersisterLockName, options_.text, 30 * kNsPerSecond, Fault::kNoPersister);
  live_.wish().publish(static_cast<uint32_t>(LivePage::Wish::kNone));
  return false;
}

// ---- while it is written: persist_mutex_ held ------------------------------------------------------------------------------------

bool FeedWriter::Impl::persisted_by_daemon(const LiveChunk& chunk) {
  const std::scoped_lock lock(registry_mutex_);
  registry_.refresh();
  const ChunkInfo* info = registry_.chunk(chunk.header.ordinal);
  return info != nullptr && (info->state == ChunkState::kPersisted || info->state == ChunkState::kExpired);
}

void FeedWriter::Impl::tell_durable() {
  const uint64_t durable = durable_seq();
  if (durable <= told_durable_) return;
  told_durable_ = durable;
  {
    const std::scoped_lock lock(mutex_);
    space_.notify_all();
  }
  if (options_.on_durable) call([&] { options_.on_durable(durable); });
  happened({.kind = WriterEvent::Kind::kSynced, .end_seq = durable});
}

// What the daemon says, and whether it is there. Throws what it could not do.
void FeedWriter::Impl::look_at_daemon() {
  if (!served_) return;
  tell_durable();
  if (const uint32_t code = live_.daemon_fault().load(); code != 0 && code <= static_cast<uint32_t>(Fault::kUsage) + 1) {
    const FeedError error(static_cast<Fault>(code - 1), "the daemon that takes the records of feed ", feed_.name, " to disk fails: its log says why");
    round_failed(error);
    throw error;
  }
  const uint64_t now_ns = monotonic_ns();
  if (now_ns - daemon_looked_ns_ < kLookAtDaemonNs) return;
  daemon_looked_ns_ = now_ns;
  const bool there = shm::FileLock::holder(shm::Directory::open(feed_.directory), kPersisterLockName).has_value();
  bool ending = false;
  {
    const std::scoped_lock lock(mutex_);
    ending = closed_;
    trouble_ = there ? "" : concat("no persister: the daemon of ", base_, " is gone, and records wait in shared memory for the next one");
    out_of_space_ = false;
  }
  if (!there && (ending || feed_.options.persister == Persister::kAny)) take_over();
}

// The daemon is gone, and its lock with it: on with what it left.
void FeedWriter::Impl::take_over() {
  try {
    persister_lock_ = lock_within(feed_.directory, kPersisterLockName, options_.text, 0, Fault::kBusy);
  } catch (const FeedError& error) {
    if (error.fault() == Fault::kBusy) return;  // the next one has come
    throw;
  }
  live_.wish().publish(static_cast<uint32_t>(LivePage::Wish::kNone));
  std::vector<std::shared_ptr<LiveChunk>> chunks;
  {
    const std::scoped_lock lock(mutex_);
    chunks.assign(queue_.begin(), queue_.end());
    if (current_) chunks.push_back(current_);
    trouble_.clear();
  }
  for (const auto& chunk : chunks) {
    if (chunk->words.committed().load() != 0 && !persisted_by_daemon(*chunk)) continue_file(*chunk);
  }
  served_ = false;
  log(LogLevel::kInfo, "feed", "feed ", feed_.name, ": the daemon that took its records to disk is gone; the writer goes on with that");
}

void FeedWriter::Impl::continue_file(LiveChunk& chunk) {
  const File file = File::open_if_there(files_, concat(feed_.directory, "/", chunk_name(chunk.header.ordinal)), O_RDONLY);
  if (!file) return;
  const DiskChunk disk = examine_chunk(file, false);
  if (disk.header.feed_id != feed_.id || disk.header.created_wall_ns != chunk.header.created_wall_ns) {
    throw FeedError(Fault::kCorrupt, file.path(), ": of another feed or making");
  }
  if (feed_.options.storage == Storage::kDurable) return chunk.disk->follow(disk.generation);
  const uint64_t end = std::min({disk.verified_end, chunk.words.durable().load(), chunk.words.committed().load()});
  IndexBuilder before(chunk.header, chunk.first_seq);
  before.fold(chunk.data, end);
  const ChunkSource source{feed_.directory, chunk.header, schema_block_, chunk.options.file_mode, chunk.activation, chunk.data};
  ContinuedFile continued = continue_chunk_file(files_, source, disk, end, before.records());
  chunk.disk = std::move(continued.file);
  chunk.activation_written = true;
  if (continued.rewritten) {
    happened({.kind = WriterEvent::Kind::kRewritten, .ordinal = chunk.header.ordinal, .first_seq = chunk.first_seq, .text = "its file was not what memory holds"});
  }
}

// Everything so far is durable when this returns. Throws.
void FeedWriter::Impl::sync_by_daemon() {
  round(false);
  const uint64_t wanted = next_seq();
  live_.sync_wanted().publish(wanted);
  const uint64_t began_ns = monotonic_ns();
  while (durable_seq() < wanted) {
    look_at_daemon();
    if (!served_) {
      round(true);
      return;
    }
    {
      Lock lock(mutex_);
      if (failure_ != AppendStatus::kOk && !closed_) throw FeedError(Fault::kIo, "sync feed ", feed_.name, ": ", trouble_);
      const uint64_t waited_ns = monotonic_ns() - began_ns;
      if (!trouble_.empty() && waited_ns >= options_.persister_wait_ns) throw FeedError(Fault::kNoPersister, "sync feed ", feed_.name, ": ", trouble_);
      if (waited_ns >= options_.close_timeout_ns) throw FeedError(Fault::kBackpressure, "sync feed ", feed_.name, ": its daemon holds its lock and does not come to it");
    }
    std::this_thread::sleep_for(std::chrono::nanoseconds(kSyncPollNs));
  }
  tell_durable();
}

}  // namespace tidepool::feed
