#include "tidepool/feed/live_chunk.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/feed/shm_use.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kReserveStepBytes = uint64_t{1} << 20;

}  // namespace

ChunkMaker::ChunkMaker(const FeedInfo& feed, Files& files, uint64_t epoch, uint64_t base_shm_bytes_max)
    : feed_(feed), files_(files), epoch_(epoch), base_shm_bytes_max_(base_shm_bytes_max), schema_block_(feed.schema.encode()) {}

std::shared_ptr<LiveChunk> ChunkMaker::make(uint64_t ordinal, const FeedOptions& options, uint64_t promised) {
  auto chunk = std::make_shared<LiveChunk>();
  ChunkHeader& header = chunk->header;
  FeedInfo planned = feed_;
  planned.options = options;
  chunk->options = options;
  header = ChunkHeader::plan(planned, options.chunk_bytes);
  header.ordinal = ordinal;
  header.epoch = epoch_;
  header.created_wall_ns = realtime_ns();
  header.created_monotonic_ns = monotonic_ns();
  header.boot_id = this_boot_id();
  chunk->data_path = concat(live_directory_, "/", chunk_name(ordinal));
  chunk->index_path = concat(live_directory_, "/", index_name(ordinal));
  try {
    if (feed_.options.storage == Storage::kDurable) {
      create_on_disk(*chunk);
    } else if (auto spare = take_spare(*chunk)) {
      adopt(*chunk, std::move(*spare));
    } else {
      create(*chunk, promised);
    }
    chunk->words = ChunkWords(chunk->words_mapping.data());
    reserve(*chunk, std::min(header.capacity, kReserveStepBytes));
  } catch (const FeedError&) {
    files_.unlink(chunk->data_path);
    if (chunk->disk) files_.unlink(concat(feed_.directory, "/", chunk_name(ordinal)));
    throw;
  }
  return chunk;
}

// With `more` bytes more, `now` of them at once, the base stays below its cap; what we only keep for later goes first. Throws.
void ChunkMaker::check_room(uint64_t more, uint64_t now) {
  try {
    check_shm_cap(feed_, more, base_shm_bytes_max_);
    check_memory_group(now);
  } catch (const FeedError&) {
    drop_spares();
    check_shm_cap(feed_, more, base_shm_bytes_max_);
    check_memory_group(now);
  }
}

// Who goes past the limit of his control group is killed, and told nothing.
void ChunkMaker::check_memory_group(uint64_t more) {
  std::string group;
  const uint64_t left = files_.memory_left(group);
  if (more <= left) return;
  throw FeedError(Fault::kNoShmSpace, "the memory control group ", group, " leaves ", left, " bytes, and feed ", feed_.name, " needs ", more,
                  " for its next chunk: raise the limit of the group (of the container), or use smaller or fewer live chunks");
}

void ChunkMaker::create(LiveChunk& chunk, uint64_t promised) {
  const ChunkHeader& header = chunk.header;
  // Without prefault it is taken step by step, and looked at then.
  const uint64_t whole = header.file_bytes() + promised;
  check_room(whole, chunk.options.prefault ? whole : header.data_offset + std::min(header.capacity, kReserveStepBytes));
  chunk.data_file = File::open(files_, chunk.data_path, O_RDWR | O_CREAT | O_EXCL, chunk.options.live_mode(), true);
  chunk.data_file.reserve(0, header.data_offset);
  chunk.data_file.resize(header.file_bytes());
  chunk.words_mapping = Mapping::of(chunk.data_file, header.file_bytes(), true);
  const auto constant = header.encode();
  std::memcpy(chunk.words_mapping.data(), constant.data(), constant.size());
  std::memcpy(chunk.words_mapping.data() + header.schema_offset, schema_block_.data(), schema_block_.size());
  chunk.data = chunk.words_mapping.data() + header.data_offset;
  hints_.apply(chunk.data_file, chunk.options, chunk.words_mapping);
}

void ChunkMaker::create_on_disk(LiveChunk& chunk) {
  const ChunkHeader& header = chunk.header;
  check_room(kChunkPageBytes, kChunkPageBytes);
  chunk.data_file = File::open(files_, chunk.data_path, O_RDWR | O_CREAT | O_EXCL, chunk.options.live_mode(), true);
  chunk.data_file.reserve(0, kChunkPageBytes);
  chunk.data_file.resize(kChunkPageBytes);
  chunk.words_mapping = Mapping::of(chunk.data_file, kChunkPageBytes, true);
  const auto constant = header.encode();
  std::memcpy(chunk.words_mapping.data(), constant.data(), constant.size());
  chunk.disk = ChunkFile::create(files_, feed_.directory, header, schema_block_, chunk.options.file_mode, true);
  chunk.data_mapping = Mapping::of(chunk.disk->file(), header.file_bytes(), true);
  chunk.data = chunk.data_mapping.data() + header.data_offset;
  hints_.apply(chunk.disk->file(), chunk.options, chunk.data_mapping);
}

// ---- space -------------------------------------------------------------------------------------------------------------------

void ChunkMaker::reserve(LiveChunk& chunk, uint64_t end) {
  while (chunk.reserved().load() < end) {
    const std::scoped_lock lock(chunk.reserve_mutex);
    const uint64_t from = chunk.reserved().peek();
    if (from >= end) return;
    // In steps, so that who waits for the first of them does not wait for all.
    const uint64_t to = std::min(chunk.header.capacity, (from / kReserveStepBytes + 1) * kReserveStepBytes);
    const bool on_disk = feed_.options.storage == Storage::kDurable;
    const File& file = on_disk ? chunk.disk->file() : chunk.data_file;
    // In shared memory, pages that were touched are space that is there. On disk they are not, and where touching is refused
    // (before Linux 5.14, or because there is no space) reserving says why.
    const bool touch = chunk.options.prefault && !on_disk;
    if (!on_disk && !chunk.options.prefault && from != 0) check_memory_group(to - from);
    const int refusal = touch && files_.populate(chunk.data + from, to - from) != 0 ? errno : 0;
    if (!touch || refusal != 0) file.reserve(chunk.header.data_offset + from, to - from);
    if (refusal != 0) hints_.refused("touching pages ahead", refusal);  // and not for want of space
    if (chunk.options.prefault && on_disk && files_.populate(chunk.data + from, to - from) != 0) {  // for speed alone
      hints_.refused("touching pages ahead", errno);
    }
    chunk.reserved().publish(to);
  }
}

bool ChunkMaker::reserve_more(LiveChunk& chunk) {
  const uint64_t reserved = chunk.reserved().load();
  // Without prefault a slow feed with large chunks stays small: some steps ahead of what is written (F-31).
  const uint64_t wanted = chunk.options.prefault ? chunk.header.capacity
                                                 : std::min(chunk.header.capacity, chunk.words.committed().load() + 4 * kReserveStepBytes);
  if (reserved >= wanted) return false;
  reserve(chunk, reserved + 1);
  return true;
}

// ---- away, and back ------------------------------------------------------------------------------------------------------------

void ChunkMaker::unlink(const LiveChunk& chunk) {
  unlink_file(files_, chunk.data_path);
  unlink_file(files_, chunk.index_path);
}

void ChunkMaker::retire(std::shared_ptr<LiveChunk> chunk) {
  unlink_file(files_, chunk->index_path);
  const bool whole = feed_.options.storage != Storage::kDurable && chunk->reserved().load() == chunk->header.capacity;
  // Under a name that the next writer sweeps. Only we have this chunk any more: a claim in it would have kept it from being sealed.
  const std::string path = concat(live_directory_, "/.tmp-spare-", chunk->header.ordinal);
  if (!whole || chunk.use_count() != 1 || files_.rename(chunk->data_path, path) != 0) {
    unlink_file(files_, chunk->data_path);
    return;
  }
  Spare spare{std::move(chunk->data_file), std::move(chunk->words_mapping), chunk->options.live_mode()};
  spare.file.renamed(path);
  chunk->words = {};
  const std::scoped_lock lock(spares_mutex_);
  spares_.push_back(std::move(spare));
  if (spares_.size() <= chunk->options.live_chunks) return;
  files_.unlink(spares_.front().file.path());  // somebody keeps it: it ends with its last reader
  spares_.pop_front();
}

std::optional<ChunkMaker::Spare> ChunkMaker::take_spare(const LiveChunk& chunk) {
  const std::scoped_lock lock(spares_mutex_);
  for (auto at = spares_.begin(); at != spares_.end(); ++at) {
    if (at->mapping.size() != chunk.header.file_bytes() || at->mode != chunk.options.live_mode()) continue;  // of other settings
    // Granted only when no other open file and no other mapping of it is left, and until it is given back nobody can open it:
    // also not who looked its old name up before it went (rulings F-a, F-29).
    if (files_.lease(at->file.fd(), true) != 0) continue;
    Spare spare = std::move(*at);
    spares_.erase(at);
    return spare;
  }
  return std::nullopt;
}

void ChunkMaker::adopt(LiveChunk& chunk, Spare spare) {
  const ChunkHeader& header = chunk.header;
  std::byte* at = spare.mapping.data();
  // While the lease holds: from here on the object is another chunk, prepared, with no record. What its data area still holds lies
  // behind the commit word, where nobody looks before it is written anew.
  std::memset(at, 0, header.data_offset);
  const auto constant = header.encode();
  std::memcpy(at, constant.data(), constant.size());
  std::memcpy(at + header.schema_offset, schema_block_.data(), schema_block_.size());
  files_.lease(spare.file.fd(), false);
  try {
    rename_file(files_, spare.file.path(), chunk.data_path);
  } catch (const FeedError&) {
    files_.unlink(spare.file.path());
    throw;
  }
  spare.file.renamed(chunk.data_path);
  chunk.data_file = std::move(spare.file);
  chunk.words_mapping = std::move(spare.mapping);
  chunk.data = chunk.words_mapping.data() + header.data_offset;
  chunk.reserved().publish(header.capacity);
}

size_t ChunkMaker::drop_spares() noexcept {
  const std::scoped_lock lock(spares_mutex_);
  for (const Spare& spare : spares_) files_.unlink(spare.file.path());
  const size_t dropped = spares_.size();
  spares_.clear();
  return dropped;
}

}  // namespace tidepool::feed
