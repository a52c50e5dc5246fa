#include "tidepool/feed/served_feed.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/shm/directory.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kFoldBytes = uint64_t{256} << 10;
constexpr uint64_t kSpacingNs = 50 * kNsPerMs;  // of syncs that sync_bytes alone ask for (docs/decisions/0010)

uint32_t wish_of(LivePage::Wish wish) noexcept { return static_cast<uint32_t>(wish); }

}  // namespace

std::unique_ptr<ServedFeed> ServedFeed::attend(const std::string& base, const std::string& name, const std::string& who, Files& files) {
  FeedInfo feed = find_feed(base, name, files);
  const auto directory = trusted_live_directory(feed);
  if (!directory || feed.options.storage == Storage::kMemory) return nullptr;
  const auto asked = [&](const std::optional<LivePage>& page) { return page && page->wish().load() == wish_of(LivePage::Wish::kServe); };
  if (!asked(LivePage::open(files, *directory, feed))) return nullptr;
  shm::FileLock lock = lock_within(feed.directory, kPersisterLockName, who, 0, Fault::kBusy);
  // Behind the lock: whoever has it otherwise is done with the page that we saw.
  auto page = LivePage::open_writable(files, *directory, feed);
  if (!page) throw FeedError(Fault::kPermission, *directory, "/", LivePage::kName, " cannot be written: run the daemon as the user who writes the feed");
  if (!asked(page)) return nullptr;
  std::unique_ptr<ServedFeed> served(new ServedFeed(base, std::move(feed), std::move(lock), std::move(*page), files));
  if (served->over()) return nullptr;
  served->page_.daemon_fault().publish(0);
  served->page_.served_by().publish(static_cast<uint64_t>(::getpid()));
  return served;
}

ServedFeed::ServedFeed(const std::string& base, FeedInfo feed, shm::FileLock lock, LivePage page, Files& files)
    : base_(base),
      feed_(std::move(feed)),
      files_(files),
      lock_(std::move(lock)),
      page_(std::move(page)),
      registry_(FeedRegistry::open(feed_, files, true)),
      settings_seen_(registry_.settings_changes()),
      in_place_(feed_.options.storage == Storage::kDurable) {}

// The writer went, another one came, or it has let us go. A page belongs to one tenure.
bool ServedFeed::over() const {
  if (page_.wish().load() != wish_of(LivePage::Wish::kServe)) return true;
  if (page_.state().load() != static_cast<uint32_t>(LivePage::State::kActive)) return true;
  if (registry_.epochs().empty() || registry_.epochs().back().epoch != page_.epoch()) return true;
  const auto holder = shm::FileLock::holder(shm::Directory::open(feed_.directory), kWriterLockName);
  return !holder || (holder->pid != 0 && holder->pid != page_.pid());
}

uint64_t ServedFeed::pause_ns() const noexcept { return (feed_.options.sync == SyncMode::kEveryCommit ? 1 : 10) * kNsPerMs; }

ServedFeed::Did ServedFeed::round() {
  registry_.refresh();
  if (over()) return Did::kOver;
  if (registry_.settings_changes() != settings_seen_) {
    feed_.options = find_feed(base_, feed_.name, files_).options;
    settings_seen_ = registry_.settings_changes();
  }
  try {
    const bool worked = work();
    if (page_.daemon_fault().peek() != 0) page_.daemon_fault().publish(0);
    return worked ? Did::kWorked : Did::kNothing;
  } catch (const FeedError& error) {
    page_.daemon_fault().publish(static_cast<uint32_t>(error.fault()) + 1);
    throw;
  }
}

// Every chunk of this tenure that is not complete on disk, oldest first.
bool ServedFeed::work() {
  bool worked = false;
  const bool force = page_.sync_wanted().load() > page_.durable_seq().load();
  const std::vector<ChunkInfo> known(registry_.chunks().begin(), registry_.chunks().end());  // finish() changes the list
  for (const ChunkInfo& info : known) {
    if (info.epoch != page_.epoch() || (info.state != ChunkState::kOpen && info.state != ChunkState::kSealed)) {
      chunks_.erase(info.ordinal);
      continue;
    }
    std::unique_ptr<Chunk>& chunk = chunks_[info.ordinal];
    if (!chunk) chunk = open_chunk(info);
    if (!chunk) {
      chunks_.erase(info.ordinal);
      continue;
    }
    const bool sealed = chunk->words.state().load() == static_cast<uint32_t>(WordState::kSealed);  // before `committed`, in take()
    worked |= take(*chunk, force);
    if (!sealed) continue;
    finish(*chunk, info);
    chunks_.erase(info.ordinal);  // nothing of it stays mapped: its memory may serve again
    worked = true;
  }
  return worked;
}

// nullptr: it holds no record yet, or it is none of this writer's.
std::unique_ptr<ServedFeed::Chunk> ServedFeed::open_chunk(const ChunkInfo& info) {
  const std::string path = concat(live_directory_path(feed_), "/", chunk_name(info.ordinal));
  const File live = File::open_if_there(files_, path, O_RDWR);
  if (!live || live.size() < kChunkPageBytes) return nullptr;
  auto chunk = std::make_unique<Chunk>();
  std::vector<std::byte> page(kChunkPageBytes);
  chunk->header = ChunkHeader::decode(live.read(page, 0), path);
  const ChunkHeader& header = chunk->header;
  if (header.base_id != feed_.base_id || header.feed_id != feed_.id || header.ordinal != info.ordinal || header.created_wall_ns != info.tag ||
      header.boot_id != this_boot_id() || header.epoch != page_.epoch()) {
    return nullptr;
  }
  chunk->words_mapping = Mapping::of(live, in_place_ ? kChunkPageBytes : header.file_bytes(), true);
  if (!in_place_ && live.size() < header.file_bytes()) throw FeedError(Fault::kCorrupt, path, " is cut off");
  chunk->words = ChunkWords(chunk->words_mapping.data());
  const auto state = static_cast<WordState>(chunk->words.state().load());
  if ((state != WordState::kActive && state != WordState::kSealed) || chunk->words.committed().load() == 0) return nullptr;
  const auto activation = decode_activation({chunk->words_mapping.data(), kChunkPageBytes}, header);
  if (!activation) throw FeedError(Fault::kCorrupt, path, ": it is in use, and says not from which record on");
  chunk->activation = *activation;
  chunk->index = IndexBuilder(header, activation->first_seq);
  if (in_place_) {
    const File file = File::open(files_, concat(feed_.directory, "/", chunk_name(info.ordinal)), O_RDONLY);
    const uint64_t bytes = std::min(file.size(), header.file_bytes());
    if (bytes <= header.data_offset) throw FeedError(Fault::kCorrupt, file.path(), " is cut off");
    chunk->data_mapping = Mapping::of(file, bytes, false);
    chunk->data = chunk->data_mapping.data() + header.data_offset;
    chunk->mapped_bytes = bytes - header.data_offset;
  } else {
    chunk->data = chunk->words_mapping.data() + header.data_offset;
    chunk->mapped_bytes = header.capacity;
  }
  open_file(*chunk);
  chunk->last_sync_ns = monotonic_ns();
  return chunk;
}

// A new one, or the one that a daemon before us, or the writer, has begun.
void ServedFeed::open_file(Chunk& chunk) {
  const ChunkHeader& header = chunk.header;
  const std::string path = concat(feed_.directory, "/", chunk_name(header.ordinal));
  const Bytes schema(chunk.words_mapping.data() + header.schema_offset, in_place_ ? 0 : header.schema_bytes);
  const File found = File::open_if_there(files_, path, O_RDONLY);
  if (!found) {
    if (in_place_) throw FeedError(Fault::kCorrupt, path, " is gone");
    chunk.file = ChunkFile::create(files_, feed_.directory, header, schema, feed_.options.file_mode, false);
    return chunk.file->activate(chunk.activation);
  }
  const DiskChunk disk = examine_chunk(found, false);
  if (disk.header.feed_id != feed_.id || disk.header.ordinal != header.ordinal || disk.header.created_wall_ns != header.created_wall_ns) {
    throw FeedError(Fault::kCorrupt, path, ": of another feed or making");
  }
  if (in_place_) {  // checksummed from the beginning; its tail slots go on
    chunk.file = ChunkFile::resume(files_, path, header, 0, 0, {}, disk.generation);
    return chunk.file->activate(chunk.activation);
  }
  const uint64_t end = std::min({disk.verified_end, chunk.words.durable().load(), chunk.words.committed().load()});
  IndexBuilder before(header, chunk.activation.first_seq);
  if (!before.fold(chunk.data, end)) throw FeedError(Fault::kCorrupt, path, ": a frame in memory is damaged");
  ContinuedFile continued =
      continue_chunk_file(files_, {feed_.directory, header, schema, feed_.options.file_mode, chunk.activation, chunk.data}, disk, end, before.records());
  chunk.file = std::move(continued.file);
  if (!continued.rewritten) return;
  ++rewritten_;
  log(LogLevel::kWarn, "feed", "persistd: feed ", feed_.name, ": chunk ", header.ordinal, " on disk was not what memory holds: written anew");
}

// What is committed goes into the index and the file, and is synced if it is time. True: there was something.
bool ServedFeed::take(Chunk& chunk, bool force) {
  const ChunkHeader& header = chunk.header;
  const uint64_t end = chunk.words.committed().load();
  if (end > chunk.mapped_bytes || (header.layout == Layout::kRows && end % header.record_bytes != 0)) {
    throw FeedError(Fault::kCorrupt, "chunk ", header.ordinal, " of feed ", feed_.name, " says that it holds ", end, " bytes, of ", chunk.mapped_bytes);
  }
  const bool fresh = chunk.index.position() < end;
  while (chunk.index.position() < end || chunk.file->checked_end() < chunk.index.position()) {
    uint64_t step = end;
    if (header.layout == Layout::kRows) {
      step = std::min(end, (chunk.index.position() + std::max<uint64_t>(kFoldBytes, header.record_bytes)) / header.record_bytes * header.record_bytes);
    }
    if (!chunk.index.fold(chunk.data, step)) throw FeedError(Fault::kCorrupt, "chunk ", header.ordinal, ": a frame changed after it was committed");
    if (chunk.index.position() > chunk.file->checked_end()) chunk.file->take(chunk.data, chunk.index.position(), in_place_);
  }
  const uint64_t now_ns = monotonic_ns();
  const uint64_t waiting = chunk.file->checked_end() - chunk.file->durable_end();
  if (waiting == 0) {
    chunk.last_sync_ns = now_ns;
    if (force) say_durable(chunk);
    return fresh;
  }
  const FeedOptions& options = feed_.options;
  const uint64_t since_ns = now_ns - chunk.last_sync_ns;
  const bool due = options.sync == SyncMode::kInterval &&
                   (since_ns >= options.sync_interval_ns || (waiting >= options.sync_bytes && since_ns >= std::min(kSpacingNs, options.sync_interval_ns)));
  if (!force && !due) return fresh;
  chunk.file->sync(chunk.index.records());
  const uint64_t took_ns = monotonic_ns() - now_ns;
  page_.syncs().set(page_.syncs().peek() + 1);
  page_.sync_ns_total().set(page_.sync_ns_total().peek() + took_ns);
  page_.sync_ns_max().set(std::max(page_.sync_ns_max().peek(), took_ns));
  chunk.last_sync_ns = monotonic_ns();
  say_durable(chunk);
  return true;
}

void ServedFeed::say_durable(Chunk& chunk) {
  const uint64_t end = chunk.file->durable_end();
  if (end > chunk.words.durable().load()) chunk.words.durable().publish(end);
  const uint64_t durable = chunk.activation.first_seq + chunk.index.records();
  const uint64_t before = page_.durable_seq().load();
  if (end != chunk.index.position() || durable <= before) return;
  page_.durable_seq().publish(durable);
  records_ += durable - before;
}

void ServedFeed::finish(Chunk& chunk, const ChunkInfo& info) {
  ChunkSummary summary = chunk.index.summary();
  summary.sealed_wall_ns = realtime_ns();
  chunk.file->seal(summary);
  say_durable(chunk);
  try {
    write_cache_file(files_, feed_.directory, index_name(chunk.header.ordinal), encode_index(chunk.header, summary.first_seq, chunk.index.entries()),
                     feed_.options.file_mode);
  } catch (const FeedError& error) {  // a cache (F-34)
    log(LogLevel::kWarn, "feed", "persistd: feed ", feed_.name, ": no index: ", error.what());
  }
  FeedRecord entry;
  entry.type = FeedEntry::kChunkSealed;
  entry.epoch = page_.epoch();
  entry.monotonic_ns = monotonic_ns();
  entry.ordinal = info.ordinal;
  entry.tag = info.tag;
  entry.in_memory = true;
  entry.on_disk = true;
  entry.first_seq = summary.first_seq;
  entry.count = summary.count;
  entry.bytes = summary.bytes;
  std::copy(std::begin(summary.clocks), std::end(summary.clocks), std::begin(entry.clocks));
  if (info.state == ChunkState::kOpen) registry_.append(entry, false);
  entry.type = FeedEntry::kChunkPersisted;  // not synced: until the next that is, the file speaks for itself
  registry_.append(entry, false);
  ++chunks_done_;
}

}  // namespace tidepool::feed
