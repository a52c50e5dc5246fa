// Names of files and locks, and a feed's own registry.

#include "tidepool/feed/registry.h"

#include <fcntl.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/feed/registry_parts.h"

namespace tidepool::feed {
namespace {

constexpr size_t kTextAt = 184;
constexpr size_t kTextBytesMax = 56;

// OPEN -> SEALED -> PERSISTED -> EXPIRED, each step skippable: a lost entry in between, damaged and skipped, is no reason to lose the
// chunk. Saying the same again is none either: a recovery that was killed does. What is on disk was not empty, and nothing comes back
// from EXPIRED or ABANDONED (F-23); what was put aside may be found sound after all.
bool may_follow(ChunkState from, ChunkState to) noexcept {
  if (from == to) return true;
  switch (from) {
    case ChunkState::kOpen:
    case ChunkState::kSealed: return to > from;
    case ChunkState::kPersisted: return to == ChunkState::kExpired || to == ChunkState::kQuarantined;
    case ChunkState::kQuarantined: return to == ChunkState::kPersisted;
    case ChunkState::kExpired:
    case ChunkState::kAbandoned: return false;
  }
  return false;
}

}  // namespace

std::string chunk_name(uint64_t ordinal) {
  char text[32];
  std::snprintf(text, sizeof text, "%016llx.data", static_cast<unsigned long long>(ordinal));
  return text;
}

std::string index_name(uint64_t ordinal) {
  char text[32];
  std::snprintf(text, sizeof text, "%016llx.idx", static_cast<unsigned long long>(ordinal));
  return text;
}

std::optional<uint64_t> ordinal_of(std::string_view file_name) noexcept {
  if (file_name.size() < 16 || (file_name.substr(16) != ".data" && file_name.substr(16) != ".idx")) return std::nullopt;
  uint64_t ordinal = 0;
  for (const char c : file_name.substr(0, 16)) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return std::nullopt;
    ordinal = ordinal << 4 | static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return ordinal;
}

shm::FileLock lock_within(const std::string& directory, const std::string& name, const std::string& who, uint64_t timeout_ns, Fault fault) {
  const uint64_t deadline_ns = monotonic_ns() + timeout_ns;
  for (;;) {
    try {
      return shm::FileLock::acquire(shm::Directory::open(directory), name, who);
    } catch (const Error& error) {
      if (error.code() == Code::kPermission) throw FeedError(Fault::kPermission, error.what());
      if (error.code() != Code::kRejected) throw FeedError(error.code() == Code::kNoSpace ? Fault::kNoSpace : Fault::kIo, error.what());
      if (monotonic_ns() >= deadline_ns) throw FeedError(fault, error.what());
    }
    const timespec pause{0, 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
}

// ---- a feed's own registry -------------------------------------------------------------------------------------------------

std::vector<std::byte> encode(const FeedRecord& record) {
  std::vector<std::byte> bytes(kFeedEntryBytes);
  std::byte* at = bytes.data();
  store(at + 24, record.epoch);
  store(at + 32, record.ordinal);
  store(at + 40, record.first_seq);
  store(at + 48, record.count);
  store(at + 56, record.bytes);
  uint32_t flags = (record.in_memory ? 256u : 0u) | (record.on_disk ? 512u : 0u);
  for (size_t k = 0; k < kClocksMax; ++k) {
    store(at + 64 + 16 * k, record.clocks[k].min);
    store(at + 72 + 16 * k, record.clocks[k].max);
    if (!record.clocks[k].ordered) flags |= 1u << k;
  }
  store(at + 112, flags);
  store(at + 116, record.schema_id);
  store(at + 120, record.tag);
  store(at + 128, record.value);
  store(at + 144, record.monotonic_ns);
  store(at + 152, record.boot_id);
  store(at + 168, record.pid);
  store(at + 176, record.start_ticks);
  std::memcpy(at + kTextAt, record.text.data(), std::min(record.text.size(), kTextBytesMax));
  return {bytes.begin() + kEntryHeadBytes, bytes.end()};
}

FeedRecord decode_feed_record(const RegistryLog::Entry& entry) {
  const std::byte* at = entry.bytes.data();
  FeedRecord record;
  record.type = static_cast<FeedEntry>(entry.type);
  record.wall_ns = entry.wall_ns;
  record.epoch = load<uint64_t>(at + 24);
  record.ordinal = load<uint64_t>(at + 32);
  record.first_seq = load<uint64_t>(at + 40);
  record.count = load<uint64_t>(at + 48);
  record.bytes = load<uint64_t>(at + 56);
  const auto flags = load<uint32_t>(at + 112);
  for (size_t k = 0; k < kClocksMax; ++k) record.clocks[k] = {load<uint64_t>(at + 64 + 16 * k), load<uint64_t>(at + 72 + 16 * k), (flags >> k & 1) == 0};
  record.in_memory = (flags & 256) != 0;
  record.on_disk = (flags & 512) != 0;
  record.schema_id = load<uint32_t>(at + 116);
  record.tag = load<uint64_t>(at + 120);
  record.value = load<uint64_t>(at + 128);
  record.monotonic_ns = load<uint64_t>(at + 144);
  record.boot_id = load<Id>(at + 152);
  record.pid = load<uint64_t>(at + 168);
  record.start_ticks = load<uint64_t>(at + 176);
  const std::string_view text(reinterpret_cast<const char*>(at + kTextAt), kTextBytesMax);
  record.text = printable(text.substr(0, text.find('\0')));
  return record;
}

FeedRegistry FeedRegistry::of_records(const FeedInfo& feed, const std::vector<FeedRecord>& records) {
  FeedRegistry registry;
  registry.directory_ = feed.directory;
  registry.feed_id_ = feed.id;
  const RegistryLog::Identity identity{.magic = kFeedMagic, .entry_bytes = kFeedEntryBytes};
  for (uint64_t position = 0; position < records.size(); ++position) {
    const FeedRecord& record = records[position];
    const auto bytes = RegistryLog::entry(identity, static_cast<uint16_t>(record.type), position, record.wall_ns, encode(record));
    registry.take({static_cast<uint16_t>(record.type), position, record.wall_ns, bytes});
  }
  return registry;
}

FeedRegistry FeedRegistry::open(const FeedInfo& feed, Files& files, bool writable) {
  FeedRegistry registry;
  registry.directory_ = feed.directory;
  registry.feed_id_ = feed.id;
  registry.files_ = &files;
  registry.writable_ = writable;
  registry.log_ = RegistryLog::open(files, concat(feed.directory, "/", kFeedRegistryName), kFeedMagic, kFeedEntryBytes, writable);
  if (registry.log_.identity().feed_id != feed.id) {
    throw FeedError(Fault::kFeedReplaced, feed.directory, " holds another feed than the registry names: it was deleted and created again");
  }
  registry.refresh();
  return registry;
}

bool FeedRegistry::refresh() {
  if (log_.superseded()) {
    RegistryLog newer;
    try {
      newer = RegistryLog::open(*files_, concat(directory_, "/", kFeedRegistryName), kFeedMagic, kFeedEntryBytes, writable_);
    } catch (const FeedError& error) {
      if (is_missing(error.fault())) throw FeedError(Fault::kFeedDeleted, directory_, " is gone: the feed was deleted");
      throw;
    }
    if (newer.identity().feed_id != feed_id_) throw FeedError(Fault::kFeedReplaced, directory_, " holds another feed now: deleted and created again");
    if (newer.identity().generation != log_.identity().generation) {
      log_ = std::move(newer);
      chunks_.clear();
      epochs_.clear();
      segments_.clear();
      losses_.clear();
      marks_.clear();
      impossible_.clear();
    } else if (log_.mark() == RegistryLog::Mark::kGone) {
      throw FeedError(Fault::kFeedDeleted, directory_, ": the feed is being deleted");
    }  // else a compaction that has not come further, or never will: this one is in force
  }
  return log_.refresh({.entry = [&](const RegistryLog::Entry& entry) { take(entry); },
                       .damaged = [&](uint64_t position, std::string_view why) {
                         warnings_.push_back(concat(log_.path(), ": entry ", position, " is damaged (", why, ") and was skipped"));
                       }}) != 0;
}

ChunkInfo& FeedRegistry::chunk_slot(uint64_t ordinal) {
  const auto at = std::lower_bound(chunks_.begin(), chunks_.end(), ordinal, [](const ChunkInfo& chunk, uint64_t o) { return chunk.ordinal < o; });
  if (at != chunks_.end() && at->ordinal == ordinal) return *at;
  ChunkInfo chunk;
  chunk.ordinal = ordinal;
  return *chunks_.insert(at, chunk);
}

void FeedRegistry::take(const RegistryLog::Entry& entry) {
  const FeedRecord record = decode_feed_record(entry);
  const auto warn = [&](std::string_view what) { warnings_.push_back(concat(log_.path(), ": entry ", entry.position, ": ", what)); };
  const auto refuse = [&](std::string_view what) {
    warn(what);
    impossible_.push_back(entry.position);
  };
  const auto advance = [&](ChunkState to) {
    if (record.ordinal == 0) return refuse("a chunk without a number: ignored");
    ChunkInfo& chunk = chunk_slot(record.ordinal);
    if (chunk.epoch != 0 && !may_follow(chunk.state, to)) return refuse("an impossible step of a chunk's life: ignored");
    chunk.state = to;
    chunk.epoch = record.epoch;
    if (record.tag != 0) chunk.tag = record.tag;
    chunk.in_memory = record.in_memory;
    chunk.on_disk = record.on_disk;
    if (to == ChunkState::kSealed || to == ChunkState::kPersisted) {
      chunk.first_seq = record.first_seq;
      chunk.count = record.count;
      chunk.bytes = record.bytes;
      std::copy(std::begin(record.clocks), std::end(record.clocks), std::begin(chunk.clocks));
      chunk.sealed_wall_ns = record.wall_ns;
    }
  };
  switch (record.type) {
    case FeedEntry::kEpochOpened:
      if (!epochs_.empty() && record.epoch <= epochs_.back().epoch) return refuse("an epoch that is not above the last: ignored");
      epochs_.push_back({record.epoch, record.first_seq, record.wall_ns, kUnknownCount, false});
      // Records from there on were lost, and their numbers are written anew.
      std::erase_if(marks_, [&](const MarkInfo& mark) { return mark.seq >= record.first_seq; });
      break;
    case FeedEntry::kEpochClosed:
      if (!epochs_.empty() && epochs_.back().epoch == record.epoch) {
        epochs_.back().closed = true;
        epochs_.back().end_seq = record.first_seq;
      }
      break;
    case FeedEntry::kChunkOpened: advance(ChunkState::kOpen); break;
    case FeedEntry::kChunkSealed: advance(ChunkState::kSealed); break;
    case FeedEntry::kChunkPersisted: advance(ChunkState::kPersisted); break;
    case FeedEntry::kChunkExpired: advance(ChunkState::kExpired); break;
    case FeedEntry::kChunkAbandoned: advance(ChunkState::kAbandoned); break;
    case FeedEntry::kChunkQuarantined: advance(ChunkState::kQuarantined); break;
    case FeedEntry::kSegmentOpened: {
      SegmentInfo segment;
      segment.id = record.ordinal;
      segment.epoch = record.epoch;
      segment.first_seq = record.first_seq;
      segment.end_seq = record.first_seq;
      segment.opened_wall_ns = record.wall_ns;
      segments_.push_back(segment);
      break;
    }
    case FeedEntry::kSegmentClosed: {
      auto at = std::find_if(segments_.rbegin(), segments_.rend(), [&](const SegmentInfo& s) { return s.id == record.ordinal; });
      if (at == segments_.rend()) {
        segments_.emplace_back();
        at = segments_.rbegin();
        at->id = record.ordinal;
      }
      at->epoch = record.epoch;
      at->first_seq = record.first_seq;
      at->end_seq = record.first_seq + record.count;
      at->status = static_cast<SegmentStatus>(record.value);
      std::copy(std::begin(record.clocks), std::end(record.clocks), std::begin(at->clocks));
      at->closed_wall_ns = record.wall_ns;
      at->reason = record.text;
      break;
    }
    case FeedEntry::kMark: take_mark(record); break;
    case FeedEntry::kSettingsChanged: ++settings_changes_; break;
    case FeedEntry::kLoss: losses_.push_back({record.epoch, record.first_seq, record.count, record.text}); break;
    default: warn("of a kind that this program does not know: ignored"); break;
  }
}

void FeedRegistry::take_mark(const FeedRecord& record) {
  MarkInfo mark{record.first_seq, record.epoch, record.value, {}, record.wall_ns, record.text};
  for (size_t k = 0; k < kClocksMax; ++k) mark.clocks[k] = record.clocks[k].max;
  const auto at = std::upper_bound(marks_.begin(), marks_.end(), mark.seq, [](uint64_t seq, const MarkInfo& m) { return seq < m.seq; });
  marks_.insert(at, std::move(mark));
}

const ChunkInfo* FeedRegistry::chunk(uint64_t ordinal) const noexcept {
  const auto at = std::lower_bound(chunks_.begin(), chunks_.end(), ordinal, [](const ChunkInfo& chunk, uint64_t o) { return chunk.ordinal < o; });
  return at != chunks_.end() && at->ordinal == ordinal ? &*at : nullptr;
}

const ChunkInfo* FeedRegistry::next_readable(uint64_t ordinal) const noexcept {
  auto at = std::upper_bound(chunks_.begin(), chunks_.end(), ordinal, [](uint64_t o, const ChunkInfo& chunk) { return o < chunk.ordinal; });
  while (at != chunks_.end() && !at->readable()) ++at;
  return at == chunks_.end() ? nullptr : &*at;
}

uint64_t FeedRegistry::floor_seq() const noexcept {
  uint64_t expired_end = 0;
  for (const ChunkInfo& chunk : chunks_) {
    if (chunk.state == ChunkState::kSealed || chunk.state == ChunkState::kPersisted) return chunk.first_seq;
    if (chunk.state == ChunkState::kOpen) break;
    if (chunk.state == ChunkState::kExpired) expired_end = std::max(expired_end, chunk.end_seq());
  }
  return expired_end;
}

void FeedRegistry::append(const FeedRecord& record, bool sync) {
  const shm::FileLock lock = lock_within(directory_, kAppendLockName, "an entry of the feed's registry", kLockTimeoutNs, Fault::kRegistryBusy);
  follow();
  log_.append(static_cast<uint16_t>(record.type), realtime_ns(), encode(record), sync);
}

void FeedRegistry::settle() {
  const shm::FileLock lock = lock_within(directory_, kAppendLockName, "an entry of the feed's registry", kLockTimeoutNs, Fault::kRegistryBusy);
  follow();
  log_.settle();
}

// Under the append lock: onto the generation that is in force. Nobody replaces it now, so a mark without a newer one is that of
// somebody who died before he came that far.
void FeedRegistry::follow() {
  if (log_.mark() != RegistryLog::Mark::kReplaced) return;
  const uint64_t generation = log_.identity().generation;
  refresh();
  if (log_.identity().generation == generation) log_.set_mark(RegistryLog::Mark::kNone);
}

}  // namespace tidepool::feed
