#include "tidepool/feed/mend.h"

#include <fcntl.h>

#include <algorithm>
#include <map>

#include "tidepool/base/clock.h"
#include "tidepool/feed/mark_log.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/repair_steps.h"

namespace tidepool::feed {
namespace {

struct OnDisk {
  ChunkHeader header;
  Footer footer;
};

// The chunk files of this feed that are complete, by ordinal.
std::map<uint64_t, OnDisk> complete_chunks(const FeedInfo& feed, Files& files) {
  std::map<uint64_t, OnDisk> found;
  for (const std::string& name : names_in(feed.directory)) {
    const auto ordinal = ordinal_of(name);
    if (!ordinal || !name.ends_with(".data")) continue;
    try {
      const File file = File::open(files, concat(feed.directory, "/", name), O_RDONLY);
      if (file.size() < kChunkPageBytes) continue;
      DiskChunk disk = examine_chunk(file, false);
      if (disk.header.feed_id != feed.id || disk.header.base_id != feed.base_id || disk.header.ordinal != *ordinal || !disk.footer)
        continue;
      found.emplace(*ordinal, OnDisk{disk.header, std::move(*disk.footer)});
    } catch (const FeedError& error) {
      if (error.fault() != Fault::kCorrupt && error.fault() != Fault::kUnsupportedVersion) throw;
    }
  }
  return found;
}

FeedRecord persisted(const OnDisk& chunk) {
  const ChunkSummary& summary = chunk.footer.summary;
  FeedRecord record;
  record.type = FeedEntry::kChunkPersisted;
  record.wall_ns = summary.sealed_wall_ns;
  record.epoch = chunk.header.epoch;
  record.ordinal = chunk.header.ordinal;
  record.tag = chunk.header.created_wall_ns;
  record.first_seq = summary.first_seq;
  record.count = summary.count;
  record.bytes = summary.bytes;
  std::copy(std::begin(summary.clocks), std::end(summary.clocks), std::begin(record.clocks));
  record.on_disk = true;
  record.text = "rebuilt from its file";
  return record;
}

// Entries that contradict the chunk they are of: the chunk is right (F-21).
bool correct(std::vector<FeedRecord>& records, const FeedRegistry& lists, const std::map<uint64_t, OnDisk>& chunks) {
  bool changed = false;
  for (const ChunkInfo& info : lists.chunks()) {
    const auto at = chunks.find(info.ordinal);
    if (info.state != ChunkState::kPersisted || at == chunks.end()) continue;
    const OnDisk& chunk = at->second;
    if (chunk.header.created_wall_ns != info.tag || chunk.header.epoch != info.epoch) continue;  // another chunk: not believed
    const ChunkSummary& summary = chunk.footer.summary;
    const bool same = summary.first_seq == info.first_seq && summary.count == info.count && summary.bytes == info.bytes &&
                      std::equal(std::begin(summary.clocks), std::end(summary.clocks), std::begin(info.clocks));
    if (same) continue;
    std::erase_if(records, [&](const FeedRecord& record) {
      return record.ordinal == info.ordinal &&
             (record.type == FeedEntry::kChunkSealed || record.type == FeedEntry::kChunkPersisted);
    });
    records.push_back(persisted(chunk));
    changed = true;
  }
  return changed;
}

// The epochs of what is still in shared memory: without their entries recovery would take it for what came after a restore.
void add_live_epochs(const FeedInfo& feed, Files& files, std::map<uint64_t, FeedRecord>& wanted) {
  const auto live = trusted_live_directory(feed);
  for (const std::string& name : live ? names_in(*live) : std::vector<std::string>()) {
    if (!ordinal_of(name) || !name.ends_with(".data")) continue;
    try {
      const File file = File::open(files, concat(*live, "/", name), O_RDONLY);
      std::vector<std::byte> page(kChunkPageBytes);
      const Bytes head = file.read(page, 0);
      if (head.size() < kChunkPageBytes) continue;
      const ChunkHeader header = ChunkHeader::decode(head, file.path());
      const auto activation = decode_activation(head, header);
      if (header.feed_id != feed.id || header.base_id != feed.base_id || header.boot_id != this_boot_id() || !activation) continue;
      FeedRecord opened;
      opened.type = FeedEntry::kEpochOpened;
      opened.epoch = header.epoch;
      opened.first_seq = activation->first_seq;
      opened.wall_ns = header.created_wall_ns;
      opened.monotonic_ns = header.created_monotonic_ns;
      opened.boot_id = header.boot_id;
      opened.text = "rebuilt from its live chunks";
      wanted.emplace(header.epoch, opened);
    } catch (const FeedError& error) {
      if (error.fault() != Fault::kCorrupt && error.fault() != Fault::kUnsupportedVersion && !is_missing(error.fault())) throw;
    }
  }
}

void add_epochs(const FeedInfo& feed, Files& files, std::vector<FeedRecord>& records, const std::map<uint64_t, OnDisk>& chunks) {
  std::map<uint64_t, FeedRecord> wanted;
  for (const auto& [ordinal, chunk] : chunks) {
    FeedRecord opened;
    opened.type = FeedEntry::kEpochOpened;
    opened.epoch = chunk.header.epoch;
    opened.first_seq = chunk.footer.summary.first_seq;
    opened.wall_ns = chunk.header.created_wall_ns;
    opened.monotonic_ns = chunk.header.created_monotonic_ns;
    opened.boot_id = chunk.header.boot_id;
    opened.text = "rebuilt from its chunks";
    wanted.emplace(chunk.header.epoch, opened);  // the first chunk's: the lowest number
  }
  add_live_epochs(feed, files, wanted);
  for (const FeedRecord& record : records) {
    if (record.type == FeedEntry::kEpochOpened) wanted.erase(record.epoch);
  }
  for (const auto& [epoch, opened] : wanted) {
    const uint64_t mine = epoch;
    const auto at = std::find_if(records.begin(), records.end(), [&](const FeedRecord& record) {
      return record.epoch > mine || (record.epoch == mine && record.type != FeedEntry::kLoss);
    });
    records.insert(at, opened);
  }
}

// Marks lie beside the registry as well (F-39). Of a record that is not the one that was marked, since it was lost and its number
// written anew, or that nobody has any more, there is none.
void add_marks(std::vector<FeedRecord>& records, const FeedInfo& feed, const std::map<uint64_t, OnDisk>& chunks, Files& files) {
  for (FeedRecord& mark : stored_marks(feed, files)) {
    const bool known = std::any_of(records.begin(), records.end(), [&](const FeedRecord& record) {
      return record.type == FeedEntry::kMark && record.first_seq == mark.first_seq && record.epoch == mark.epoch && record.value == mark.value;
    });
    if (known) continue;
    const auto at = chunks.find(mark.ordinal);
    if (at != chunks.end()) {
      const ChunkSummary& summary = at->second.footer.summary;
      if (at->second.header.epoch != mark.epoch || mark.first_seq < summary.first_seq || mark.first_seq >= summary.end_seq()) continue;
    } else if (!File::open_if_there(files, concat(feed.directory, "/", chunk_name(mark.ordinal)), O_RDONLY)) {
      continue;  // not even an unfinished one
    }
    records.push_back(std::move(mark));
  }
}

void add_segments(std::vector<FeedRecord>& records, const std::map<uint64_t, OnDisk>& chunks) {
  std::map<uint64_t, FeedRecord> wanted;
  uint64_t last_id = 0;
  for (const auto& [ordinal, chunk] : chunks) {
    const ChunkSummary& summary = chunk.footer.summary;
    auto [at, fresh] = wanted.try_emplace(chunk.header.epoch);
    FeedRecord& segment = at->second;
    if (fresh) {
      segment.type = FeedEntry::kSegmentClosed;
      segment.epoch = chunk.header.epoch;
      segment.first_seq = summary.first_seq;
      segment.value = static_cast<uint64_t>(SegmentStatus::kCrashClosed);
      segment.text = "rebuilt from its chunks";
    }
    for (size_t k = 0; k < kClocksMax; ++k) {
      ClockBounds& bounds = segment.clocks[k];
      bounds.ordered =
          bounds.ordered && summary.clocks[k].ordered && (bounds.min > bounds.max || summary.clocks[k].min >= bounds.max);
      bounds.min = std::min(bounds.min, summary.clocks[k].min);
      bounds.max = std::max(bounds.max, summary.clocks[k].max);
    }
    segment.count = summary.end_seq() - segment.first_seq;
    segment.wall_ns = summary.sealed_wall_ns;
  }
  for (const FeedRecord& record : records) {
    if (record.type != FeedEntry::kSegmentOpened && record.type != FeedEntry::kSegmentClosed) continue;
    wanted.erase(record.epoch);
    last_id = std::max(last_id, record.ordinal);
  }
  for (auto& [epoch, segment] : wanted) {
    segment.ordinal = ++last_id;
    records.push_back(segment);
  }
}

}  // namespace

RegistryPlan plan_registry(const FeedInfo& feed, std::vector<FeedRecord> records, bool lost, Files& files) {
  RegistryPlan plan;
  if (const FeedRegistry told = FeedRegistry::of_records(feed, records); !told.impossible().empty()) {
    // Everybody ignores them (F-23): without them the lists are the same.
    for (auto at = told.impossible().rbegin(); at != told.impossible().rend(); ++at)
      records.erase(records.begin() + static_cast<ptrdiff_t>(*at));
    plan.why = concat(told.impossible().size(), " of its entries cannot follow from those before them");
  }
  if (feed.options.storage == Storage::kMemory) {
    plan.records = std::move(records);
    return plan;
  }
  const auto chunks = complete_chunks(feed, files);
  const FeedRegistry lists = FeedRegistry::of_records(feed, records);
  if (correct(records, lists, chunks)) plan.why = "entries contradict the chunks that they are of";
  if (lost) {
    for (const auto& [ordinal, chunk] : chunks) {
      const ChunkInfo* known = lists.chunk(ordinal);
      if (known == nullptr || ((known->state == ChunkState::kOpen || known->state == ChunkState::kSealed) &&
                               known->tag == chunk.header.created_wall_ns))
        records.push_back(persisted(chunk));
    }
    add_epochs(feed, files, records, chunks);
    add_marks(records, feed, chunks, files);
    if (feed.options.segments) add_segments(records, chunks);
  }
  plan.records = std::move(records);
  return plan;
}

void mend_chunk(const FeedInfo& feed, const ChunkInfo& info, Files& files) {
  const std::string path = concat(feed.directory, "/", chunk_name(info.ordinal));
  const File file = File::open(files, path, O_RDWR);
  const DiskChunk disk = examine_chunk(file, true);
  const ChunkHeader& header = disk.header;
  const uint64_t end = disk.footer ? disk.footer->summary.bytes : disk.verified_end;
  IndexBuilder index(header, info.first_seq);
  if (end != info.bytes || !bad_blocks(file, header, disk.table, end).empty() || !fold_file(file, header, end, index) ||
      index.records() != info.count) {
    throw FeedError(Fault::kCorrupt, path, ": not all of its records can be vouched for");
  }
  Footer footer{index.summary(), disk.table};
  footer.summary.sealed_wall_ns = disk.footer ? disk.footer->summary.sealed_wall_ns : info.sealed_wall_ns;
  const uint64_t footer_at = footer_offset(header, end);
  // The footer first, and synced: with it right, nothing else is needed to trust the records.
  if (!disk.footer || footer.summary.clocks[0] != disk.footer->summary.clocks[0] ||
      footer.summary.clocks[1] != disk.footer->summary.clocks[1] || footer.summary.clocks[2] != disk.footer->summary.clocks[2]) {
    const auto bytes = encode(footer, header);
    file.write(bytes, footer_at);
    file.resize(footer_at + bytes.size());
    file.sync();
  }
  const auto zero = [&](uint64_t from, uint64_t to) {
    if (first_nonzero(file, from, to)) file.write(std::vector<std::byte>(to - from), from);
  };
  zero(header.data_offset + end, footer_at);
  const auto activation = decode_activation(
      [&] {
        static thread_local std::byte page[kChunkPageBytes];
        return Bytes(file.read(page, 0));
      }(),
      header);
  if (!activation || activation->first_seq != info.first_seq)
    file.write(encode(Activation{info.first_seq, activation ? activation->wall_ns : header.created_wall_ns}, header),
               kActivationAt);
  zero(kActivationAt + kActivationBytes, kTailSlotAt[0]);
  zero(kTailSlotAt[0] + kTailSlotBytes, kTailSlotAt[1]);
  zero(kTailSlotAt[1] + kTailSlotBytes, header.schema_offset);
  const auto schema = feed.schema.encode();
  if (schema.size() == header.schema_bytes) file.write(schema, header.schema_offset);
  zero(uint64_t{header.schema_offset} + header.schema_bytes, header.table_offset);
  std::vector<uint32_t> table(disk.table.begin(), disk.table.begin() + static_cast<ptrdiff_t>(end / header.block_bytes));
  table.resize(header.table_bytes / 4);
  file.write(std::as_bytes(std::span(table)), header.table_offset);
  zero(uint64_t{header.table_offset} + header.table_bytes, header.data_offset);
  file.sync();
}

void rebuild_index(const FeedInfo& feed, const ChunkInfo& info, Files& files) {
  const File file = File::open(files, concat(feed.directory, "/", chunk_name(info.ordinal)), O_RDONLY);
  const DiskChunk disk = examine_chunk(file, false);
  IndexBuilder index(disk.header, info.first_seq);
  if (!fold_file(file, disk.header, disk.verified_end, index))
    throw FeedError(Fault::kCorrupt, file.path(), ": its records end before it says");
  write_file_atomically(files, feed.directory, index_name(info.ordinal), encode_index(disk.header, info.first_seq, index.entries()),
                        feed.options.file_mode);
}

std::optional<FeedInfo> feed_of_directory(const std::string& directory, const std::string& name, Files& files, std::string& how) {
  std::string why;
  if (auto feed = read_definition(files, directory, why)) {
    how = "as its definition says";
    if (feed->name == name) return feed;
    how = concat("its definition is that of feed ", feed->name);
    return std::nullopt;
  }
  // Without a definition: schema and registry say which feed it is, a chunk how large chunks are.
  try {
    FeedInfo feed;
    feed.name = name;
    feed.directory = directory;
    const File schema = File::open(files, concat(directory, "/", kSchemaName), O_RDONLY);
    std::vector<std::byte> bytes(std::min<uint64_t>(schema.size(), uint64_t{8} << 20));
    feed.schema = Schema::decode(schema.read(bytes, 0));
    const LogScan scan = scan_log(files, concat(directory, "/", kFeedRegistryName), kFeedMagic, kFeedEntryBytes);
    if (scan.header_readable) {
      feed.base_id = scan.identity.base_id;
      feed.id = scan.identity.feed_id;
      feed.created_wall_ns = scan.identity.created_wall_ns;
    }
    for (const std::string& at : names_in(directory)) {
      if (!ordinal_of(at) || !at.ends_with(".data")) continue;
      const File file = File::open(files, concat(directory, "/", at), O_RDONLY);
      std::vector<std::byte> page(kChunkPageBytes);
      const ChunkHeader header = ChunkHeader::decode(file.read(page, 0), file.path());
      feed.base_id = header.base_id;
      feed.id = header.feed_id;
      feed.options.chunk_bytes = std::max<uint64_t>(header.capacity, 4096);
      feed.options.block_bytes = header.block_bytes;
    }
    if (feed.id == kNoId) return std::nullopt;
    feed.schema_hash = feed.schema.hash();
    feed.record_bytes = feed.schema.record_bytes();
    feed.clocks = static_cast<uint32_t>(feed.schema.clocks());
    feed.layout = feed.schema.layout();
    how = concat(kDefinitionName, ": ", why, "; from its schema, registry and chunks, with settings by default");
    return feed;
  } catch (const FeedError&) {
    return std::nullopt;
  }
}

}  // namespace tidepool::feed
