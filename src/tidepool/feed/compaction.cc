// Replacing a feed's registry by a shorter or a mended one (F-27).

#include <fcntl.h>

#include <algorithm>
#include <map>

#include "tidepool/feed/log_scan.h"
#include "tidepool/feed/registry_parts.h"

namespace tidepool::feed {
namespace {

bool is_of_chunk(FeedEntry type) noexcept { return type >= FeedEntry::kChunkOpened && type <= FeedEntry::kChunkQuarantined; }

FeedEntry entry_of(ChunkState state) noexcept {
  switch (state) {
    case ChunkState::kOpen: return FeedEntry::kChunkOpened;
    case ChunkState::kSealed: return FeedEntry::kChunkSealed;
    case ChunkState::kPersisted: return FeedEntry::kChunkPersisted;
    case ChunkState::kExpired: return FeedEntry::kChunkExpired;
    case ChunkState::kAbandoned: return FeedEntry::kChunkAbandoned;
    case ChunkState::kQuarantined: return FeedEntry::kChunkQuarantined;
  }
  return FeedEntry::kChunkOpened;
}

// Which entries of chunks are still needed: of each the one that says its state and, where that does not say which records it
// had, the one before that does. Of what is expired or was never used only the last, so that no number is used twice and the floor
// is known, and those whose files are still there.
std::vector<bool> needed_chunk_entries(const std::vector<FeedRecord>& all, const FeedRegistry& lists,
                                       const std::string& directory) {
  std::map<uint64_t, std::vector<size_t>> of_chunk;
  uint64_t last_expired = 0;
  uint64_t last = 0;
  for (const ChunkInfo& chunk : lists.chunks()) {
    last = std::max(last, chunk.ordinal);
    if (chunk.state == ChunkState::kExpired) last_expired = std::max(last_expired, chunk.ordinal);
  }
  for (size_t i = 0; i < all.size(); ++i) {
    if (is_of_chunk(all[i].type)) of_chunk[all[i].ordinal].push_back(i);
  }
  std::vector<bool> needed(all.size());
  const auto names = names_in(directory);
  for (const ChunkInfo& chunk : lists.chunks()) {
    const bool over = chunk.state == ChunkState::kExpired || chunk.state == ChunkState::kAbandoned;
    const bool has_file = std::binary_search(names.begin(), names.end(), chunk_name(chunk.ordinal)) ||
                          std::binary_search(names.begin(), names.end(), index_name(chunk.ordinal));
    if (over && chunk.ordinal != last && chunk.ordinal != last_expired && !has_file) continue;
    const auto& mine = of_chunk[chunk.ordinal];
    const auto final_at = std::find_if(mine.rbegin(), mine.rend(), [&](size_t i) { return all[i].type == entry_of(chunk.state); });
    if (final_at == mine.rend()) continue;
    needed[*final_at] = true;
    if (chunk.state != ChunkState::kExpired && chunk.state != ChunkState::kQuarantined) continue;
    const auto told = std::find_if(final_at, mine.rend(), [&](size_t i) {
      return all[i].type == FeedEntry::kChunkSealed || all[i].type == FeedEntry::kChunkPersisted;
    });
    if (told != mine.rend()) needed[*told] = true;
  }
  return needed;
}

std::vector<FeedRecord> still_needed(const std::vector<FeedRecord>& all, const FeedRegistry& lists, const std::string& directory) {
  const std::vector<bool> chunk_entries = needed_chunk_entries(all, lists, directory);
  const uint64_t floor = lists.floor_seq();
  uint64_t last_segment = 0;
  for (const SegmentInfo& segment : lists.segments()) last_segment = std::max(last_segment, segment.id);
  std::vector<FeedRecord> kept;
  for (size_t i = 0; i < all.size(); ++i) {
    const FeedRecord& record = all[i];
    bool keep = true;
    if (is_of_chunk(record.type)) {
      keep = chunk_entries[i];
    } else if (record.type == FeedEntry::kSegmentOpened || record.type == FeedEntry::kSegmentClosed) {
      const auto& segments = lists.segments();
      const auto at = std::find_if(segments.begin(), segments.end(), [&](const SegmentInfo& s) { return s.id == record.ordinal; });
      const bool open = at == segments.end() || at->status == SegmentStatus::kOpen;
      keep = open || record.ordinal == last_segment || at->end_seq > floor;
    } else if (record.type == FeedEntry::kMark) {
      keep = record.first_seq >= floor;
    }
    if (keep) kept.push_back(record);
  }
  return kept;
}

}  // namespace

void replace_feed_registry(Files& files, const std::string& directory, RegistryLog::Identity identity,
                           const std::vector<FeedRecord>& records, uint32_t mode) {
  std::vector<std::byte> bytes = RegistryLog::empty(identity);
  for (uint64_t position = 0; position < records.size(); ++position) {
    const FeedRecord& record = records[position];
    const auto entry = RegistryLog::entry(identity, static_cast<uint16_t>(record.type), position, record.wall_ns, encode(record));
    bytes.insert(bytes.end(), entry.begin(), entry.end());
  }
  RegistryLog::set_count(bytes, records.size());
  // The mark first: should we die in between, followers look, find the one that they have, and go on with it.
  try {
    RegistryLog::open(files, concat(directory, "/", kFeedRegistryName), kFeedMagic, kFeedEntryBytes, true)
        .set_mark(RegistryLog::Mark::kReplaced);
  } catch (const FeedError&) {  // it is no registry: nobody could follow it
  }
  write_file_atomically(files, directory, kFeedRegistryName, bytes, mode);
}

bool FeedRegistry::compact(uint64_t entries_min) {
  refresh();
  const auto readable =
      static_cast<uint64_t>(std::count_if(chunks_.begin(), chunks_.end(), [](const ChunkInfo& chunk) { return chunk.readable(); }));
  const uint64_t wanted = 2 * epochs_.size() + readable + losses_.size();
  if (log_.count() < entries_min || log_.count() < 2 * wanted) return false;
  const shm::FileLock lock =
      lock_within(directory_, kAppendLockName, "compaction of the feed's registry", kLockTimeoutNs, Fault::kRegistryBusy);
  follow();
  refresh();
  const LogScan scan = scan_log(*files_, log_.path(), kFeedMagic, kFeedEntryBytes);
  if (!scan.problem.empty() || !scan.bad.empty()) return false;  // repair's business: it must not vanish
  const auto all = records_of(scan);
  const auto kept = still_needed(all, *this, directory_);
  if (2 * kept.size() > all.size()) return false;
  RegistryLog::Identity identity = scan.identity;
  ++identity.generation;
  const auto mode = File::open(*files_, log_.path(), O_RDONLY).stat().st_mode & 0777;
  replace_feed_registry(*files_, directory_, identity, kept, mode);
  refresh();
  return true;
}

}  // namespace tidepool::feed
