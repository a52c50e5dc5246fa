#include "tidepool/feed/feed_check.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "tidepool/base/clock.h"
#include "tidepool/feed/mark_log.h"
#include "tidepool/feed/registry_parts.h"

namespace tidepool::feed {
namespace {

std::string crc_text(uint32_t crc) {
  char text[32];
  std::snprintf(text, sizeof text, "checksum %08x", crc);
  return text;
}

std::string records_text(uint64_t first, uint64_t count, uint64_t bytes) {
  return concat(count, " records from ", first, " in ", bytes, " bytes");
}

std::string bounds_text(const ClockBounds& bounds) {
  return concat(bounds.min, " to ", bounds.max, bounds.ordered ? ", ordered" : ", unordered");
}

bool same_entry(const IndexEntry& a, const IndexEntry& b, size_t clocks) {
  if (a.flags != b.flags || a.first_seq != b.first_seq || a.count != b.count || a.payload_crc != b.payload_crc ||
      a.offset != b.offset || a.length != b.length || a.stream_epoch != b.stream_epoch || a.stream_seq != b.stream_seq)
    return false;
  for (size_t k = 0; k < clocks; ++k) {
    if (a.min[k] != b.min[k] || a.max[k] != b.max[k] || a.highest[k] != b.highest[k]) return false;
  }
  return true;
}

bool is_directory(const std::string& path) {
  struct stat found{};
  return ::lstat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

}  // namespace

GlobalLists lists_of(const LogScan& scan, const std::string& base) {
  GlobalLists lists;
  for (const RegistryLog::Entry& entry : scan.entries) {
    auto feed = decode_feed(entry);
    const auto type = static_cast<GlobalEntry>(entry.type);
    if (!feed || type < GlobalEntry::kCreated || type > GlobalEntry::kDeleted) {
      lists.unknown.push_back(entry.position);
      continue;
    }
    feed->base_id = scan.identity.base_id;
    feed->directory = concat(feeds_directory(base), "/", feed->name);
    const auto known = lists.feeds.find(feed->name);
    const bool same = known != lists.feeds.end() && known->second.id == feed->id;
    if (type == GlobalEntry::kCreated) {
      lists.feeds.insert_or_assign(feed->name, *feed);
    } else if (same && type == GlobalEntry::kChanged) {
      feed->created_wall_ns = known->second.created_wall_ns;
      known->second = *feed;
    } else if (same && type == GlobalEntry::kDeleting) {
      known->second.deleting = true;
    } else if (type == GlobalEntry::kDeleted) {
      lists.deleted.insert(hex(feed->id));
      if (same) lists.feeds.erase(known);
    }
  }
  return lists;
}

bool has_owner(const FeedInfo& feed) noexcept {
  try {
    const auto directory = shm::Directory::open(feed.directory);
    return shm::FileLock::holder(directory, kWriterLockName).has_value() ||
           shm::FileLock::holder(directory, kPersisterLockName).has_value();
  } catch (const Error& error) {
    return error.code() != Code::kNotFound;
  }
}

Finding& FeedCheck::tell(Severity severity, std::string what, std::string path, std::string expected, std::string found) {
  report_.findings.push_back(
      {severity, std::move(what), feed_.name, std::move(path), 0, 0, 0, std::move(expected), std::move(found)});
  return report_.findings.back();
}

Finding& FeedCheck::tell_chunk(Severity severity, const char* what, const ChunkInfo& info, std::string expected,
                               std::string found) {
  Finding& finding = tell(severity, what, path_of(info.ordinal), std::move(expected), std::move(found));
  finding.ordinal = info.ordinal;
  if (severity == Severity::kDamage) {
    finding.first_seq = info.first_seq;
    finding.end_seq = info.end_seq();
  }
  return finding;
}

bool FeedCheck::directory() {
  if (is_directory(feed_.directory)) {
    if (!feed_.deleting) return true;
    tell(Severity::kRepairable, "delete-unfinished", feed_.directory, "no directory: the feed is being deleted", "one");
    return false;
  }
  if (feed_.deleting) {
    tell(Severity::kRepairable, "delete-unfinished", feed_.directory, "an entry that it is deleted", "that it is being deleted");
  } else {
    tell(Severity::kDamage, "feed-missing", feed_.directory, "the directory of a feed", "none");
  }
  return false;
}

std::optional<Schema> FeedCheck::schema() {
  const std::string path = concat(feed_.directory, "/", schema_file_name(feed_.schema_id));
  const auto with_its_forerunners = [&](Schema newest) {
    try {
      load_schemas(feed_, files_);  // F-18: chunks may be of any version
    } catch (const FeedError&) {    // then chunks are held against the newest alone
      feed_.versions.clear();
    }
    return newest;
  };
  std::string why;
  try {
    const File file = File::open(files_, path, O_RDONLY);
    std::vector<std::byte> bytes(std::min<uint64_t>(file.size(), uint64_t{8} << 20));
    const auto got = file.read(bytes, 0);
    Schema schema = Schema::decode(got);
    if (schema.hash() == feed_.schema_hash && schema.encode().size() == file.size()) return with_its_forerunners(schema);
    why = schema.hash() == feed_.schema_hash ? concat(file.size(), " bytes") : concat("hash ", schema.hash());
  } catch (const FeedError& error) {
    why = error.what();
  }
  try {
    Schema schema = schema_from_chunks(feed_, files_, feed_.schema_id);
    tell(Severity::kRepairable, "schema", path, concat("hash ", feed_.schema_hash), why);
    return with_its_forerunners(schema);
  } catch (const FeedError&) {
    tell(Severity::kDamage, "schema", path, concat("hash ", feed_.schema_hash), concat(why, "; and no chunk holds it"));
    return std::nullopt;
  }
}

void FeedCheck::definition() {
  const std::string path = concat(feed_.directory, "/", kDefinitionName);
  std::string why;
  try {
    const auto found = read_definition(files_, feed_.directory, why);
    if (found && found->base_id == feed_.base_id && encode_feed(*found) == encode_feed(feed_)) return;
    if (found) why = "another definition";
  } catch (const FeedError& error) {
    why = error.what();
  }
  tell(Severity::kRepairable, "definition", path, "the definition that registry.bin has", why);
}

std::optional<LogScan> FeedCheck::registry() {
  const std::string path = concat(feed_.directory, "/", kFeedRegistryName);
  LogScan scan;
  try {
    scan = scan_log(files_, path, kFeedMagic, kFeedEntryBytes);
  } catch (const FeedError& error) {
    tell(Severity::kRepairable, "registry-header", path, "a registry of this feed", error.what());
    return std::nullopt;
  }
  if (!scan.problem.empty()) {
    tell(scan.fault == Fault::kUnsupportedVersion ? Severity::kDamage : Severity::kRepairable, "registry-header", path,
         "the header of a registry", scan.problem);
    return std::nullopt;
  }
  if (scan.identity.feed_id != feed_.id || scan.identity.base_id != feed_.base_id) {
    tell(Severity::kDamage, "registry-foreign", path, concat("feed ", hex(feed_.id), " of base ", hex(feed_.base_id)),
         concat("feed ", hex(scan.identity.feed_id), " of base ", hex(scan.identity.base_id)));
    return std::nullopt;
  }
  for (const LogScan::Bad& bad : scan.bad) {
    tell(bad.lost ? Severity::kNote : Severity::kRepairable, "registry-entry", path,
         concat("entry ", bad.position, ": ", bad.expected), bad.found);
  }
  if (scan.torn != 0)
    tell(Severity::kNote, "registry-torn", path, concat(scan.count, " entries"),
         concat("behind them ", scan.torn, " that were never finished"));
  if (scan.mark != 0)
    tell(Severity::kRepairable, "registry-mark", path, "a registry that is in force",
         concat("a mark (", scan.mark, ") that it was replaced or its feed deleted"));
  if (!scan.reserved_zero) tell(Severity::kRepairable, "registry-reserved", path, "zeros in the header", "other bytes");
  const FeedRegistry lists = FeedRegistry::of_records(feed_, records_of(scan));
  for (const uint64_t at : lists.impossible()) {
    tell(Severity::kRepairable, "registry-step", path, "entries that follow from each other",
         concat("entry ", scan.entries[at].position, ", which cannot be"));
  }
  for (const RegistryLog::Entry& entry : scan.entries) {
    if (!is_known(static_cast<FeedEntry>(entry.type)))
      tell(Severity::kNote, "registry-unknown", path, "entries of kinds that this program knows", concat("entry ", entry.position, " of kind ", entry.type));
  }
  return scan;
}

void FeedCheck::chunks(const FeedRegistry& lists) {
  const bool memory = feed_.options.storage == Storage::kMemory;
  uint64_t done = 0;
  for (const ChunkInfo& info : lists.chunks()) {
    if (options_.progress) options_.progress({feed_.name, report_.chunks, report_.bytes, done++, lists.chunks().size()});
    if (memory) {
      if (info.state == ChunkState::kQuarantined) chunk(info);
      continue;  // lives in memory, and goes with it
    }
    chunk(info);
  }
  if (!memory) sequence(lists);
}

void FeedCheck::chunk(const ChunkInfo& info) {
  ++report_.chunks;
  switch (info.state) {
    case ChunkState::kOpen:
    case ChunkState::kSealed: return unfinished(info);
    case ChunkState::kPersisted:
      try {
        persisted(info);
      } catch (const FeedError& error) {
        tell_chunk(Severity::kDamage, is_missing(error.fault()) ? "chunk-missing" : "chunk-unreadable", info,
                   "its file", error.what());
      }
      return;
    case ChunkState::kExpired:
    case ChunkState::kAbandoned:
      try {
        if (!File::open_if_there(files_, path_of(info.ordinal), O_RDONLY)) return;
      } catch (const FeedError&) {  // whatever lies there is no business of readers
      }
      tell_chunk(info.state == ChunkState::kExpired ? Severity::kNote : Severity::kRepairable, "chunk-left", info, "no file",
                 info.state == ChunkState::kExpired ? "one that retention has not removed yet" : "one that never held a record");
      return;
    case ChunkState::kQuarantined: {
      Finding& finding = tell_chunk(Severity::kNote, "chunk-quarantined", info, "its records", "in quarantine");
      finding.first_seq = info.first_seq;
      finding.end_seq = info.end_seq();
      return;
    }
  }
}

// Of a writer that lives, or that died: what is durable must be there.
void FeedCheck::unfinished(const ChunkInfo& info) {
  uint64_t promised = 0;
  try {
    if (const auto live = trusted_live_directory(feed_)) {
      if (const File file = File::open_if_there(files_, concat(*live, "/", chunk_name(info.ordinal)), O_RDONLY); file) {
        std::vector<std::byte> page(kChunkPageBytes);
        const Bytes head = file.read(page, 0);
        if (head.size() == kChunkPageBytes) {
          const ChunkHeader header = ChunkHeader::decode(head, file.path());
          if (header.feed_id == feed_.id && header.created_wall_ns == info.tag && header.boot_id == this_boot_id())
            promised = load<uint64_t>(head.data() + kWordDurableAt);
        }
      }
    }
    const File file = File::open_if_there(files_, path_of(info.ordinal), O_RDONLY);
    if (!file) {
      if (promised != 0) tell_chunk(Severity::kDamage, "chunk-missing", info, concat(promised, " durable bytes"), "no file");
      return;
    }
    const DiskChunk disk = examine_chunk(file, false);
    if (!identity(info, disk.header)) return;
    report_.records += disk.verified_records;
    report_.bytes += disk.verified_end;
    if (disk.activation) unsettled_[disk.activation->first_seq] = disk.activation->first_seq + disk.verified_records;
    for (const std::string& remark : disk.remarks)
      tell_chunk(Severity::kNote, "chunk-unfinished", info, "records up to the last sync", remark);
    if (disk.verified_end >= promised) return;
    Finding& finding = tell_chunk(Severity::kDamage, "chunk-block", info, concat(promised, " durable bytes"),
                                  concat(disk.verified_end, " that check out"));
    if (disk.activation && disk.header.layout == Layout::kRows) {
      finding.first_seq = disk.activation->first_seq + disk.verified_records;
      finding.end_seq = disk.activation->first_seq + promised / disk.header.record_bytes;
    }
  } catch (const FeedError& error) {
    tell_chunk(promised != 0 ? Severity::kDamage : Severity::kNote, "chunk-unfinished", info, concat(promised, " durable bytes"),
               error.what());
  }
}

bool FeedCheck::identity(const ChunkInfo& info, const ChunkHeader& header) {
  const auto differs = [&](const char* what, const std::string& expected, const std::string& found) {
    tell_chunk(Severity::kDamage, "chunk-foreign", info, concat(what, " ", expected), concat(what, " ", found));
    return false;
  };
  const auto number = [](uint64_t value) { return concat(value); };
  if (header.base_id != feed_.base_id) return differs("base", hex(feed_.base_id), hex(header.base_id));
  if (header.feed_id != feed_.id) return differs("feed", hex(feed_.id), hex(header.feed_id));
  if (header.ordinal != info.ordinal) return differs("ordinal", number(info.ordinal), number(header.ordinal));
  if (header.epoch != info.epoch) return differs("epoch", number(info.epoch), number(header.epoch));
  if (header.created_wall_ns != info.tag) return differs("tag", number(info.tag), number(header.created_wall_ns));
  const Schema* version = feed_.versions.empty() ? nullptr : feed_.version(header.schema_id);
  const uint64_t hash = version == nullptr ? feed_.schema_hash : version->hash();
  const uint32_t record_bytes = version == nullptr ? feed_.record_bytes : version->record_bytes();
  if (header.schema_hash != hash) return differs("schema", number(hash), number(header.schema_hash));
  if (header.layout != feed_.layout || header.clocks != feed_.clocks || header.record_bytes != record_bytes) {
    return differs("layout", concat(feed_.clocks, " clocks, ", record_bytes, " bytes"),
                   concat(static_cast<unsigned>(header.clocks), " clocks, ", header.record_bytes, " bytes"));
  }
  return true;
}

void FeedCheck::persisted(const ChunkInfo& info) {
  const File file = File::open(files_, path_of(info.ordinal), O_RDONLY);
  DiskChunk disk;
  try {
    disk = examine_chunk(file, false);
  } catch (const FeedError& error) {
    if (error.fault() != Fault::kCorrupt && error.fault() != Fault::kUnsupportedVersion) throw;
    tell_chunk(Severity::kDamage, "chunk-header", info, "the header of this chunk", error.what());
    return;
  }
  if (!identity(info, disk.header)) return;
  report_.records += disk.verified_records;
  report_.bytes += disk.verified_end;
  head(info, file, disk);
  footer(info, file, disk);
  if (disk.footer) data(info, file, disk);
}

// The parts of the file before the data that nothing of the records depends on, and that repair can write again.
void FeedCheck::head(const ChunkInfo& info, const File& file, const DiskChunk& disk) {
  const ChunkHeader& header = disk.header;
  std::vector<std::byte> page(kChunkPageBytes);
  if (const auto activation = decode_activation(file.read(page, 0), header);
      !activation || activation->first_seq != info.first_seq) {
    tell_chunk(Severity::kRepairable, "chunk-activation", info, concat("first record ", info.first_seq),
               activation ? concat(activation->first_seq) : "a wrong checksum");
  }
  std::vector<std::byte> block(header.schema_bytes);
  try {
    if (const Schema schema = Schema::decode(file.read(block, header.schema_offset)); schema.hash() != header.schema_hash) {
      tell_chunk(Severity::kRepairable, "chunk-schema", info, concat("hash ", header.schema_hash), concat("hash ", schema.hash()));
    }
  } catch (const FeedError& error) {
    tell_chunk(Severity::kRepairable, "chunk-schema", info, concat("hash ", header.schema_hash), error.what());
  }
  if (disk.footer) {
    const uint64_t whole = disk.footer->summary.bytes / header.block_bytes;
    std::vector<uint32_t> table(header.table_bytes / 4);
    file.read(std::as_writable_bytes(std::span(table)), header.table_offset);
    for (uint64_t i = 0; i < table.size(); ++i) {
      const uint32_t expected = i < whole ? disk.table[i] : 0;
      if (table[i] == expected) continue;
      tell_chunk(Severity::kRepairable, "chunk-table", info, concat("block ", i, ": ", crc_text(expected)), crc_text(table[i]));
      break;
    }
  }
  const uint64_t parts[][2] = {{kActivationAt + kActivationBytes, kTailSlotAt[0]},
                               {kTailSlotAt[0] + kTailSlotBytes, kTailSlotAt[1]},
                               {kTailSlotAt[1] + kTailSlotBytes, header.schema_offset},
                               {uint64_t{header.schema_offset} + header.schema_bytes, header.table_offset},
                               {uint64_t{header.table_offset} + header.table_bytes, header.data_offset}};
  for (const auto& [from, to] : parts) {
    if (const auto at = first_nonzero(file, from, to))
      tell_chunk(Severity::kRepairable, "chunk-reserved", info, concat("zeros from ", from, " to ", to),
                 concat("something at ", *at));
  }
}

void FeedCheck::footer(const ChunkInfo& info, const File& file, const DiskChunk& disk) {
  if (!disk.footer) {
    const bool all = disk.verified_end == info.bytes && disk.verified_records == info.count;
    std::string found = disk.remarks.empty() ? "none" : disk.remarks.front();
    Finding& finding = tell_chunk(all ? Severity::kRepairable : Severity::kDamage, "chunk-footer", info,
                                  concat("a footer for ", records_text(info.first_seq, info.count, info.bytes)),
                                  concat(found, "; ", disk.verified_end, " bytes check out, the file has ", file.size()));
    if (!all) finding.first_seq = info.first_seq + std::min(info.count, disk.verified_records);
    return;
  }
  const ChunkSummary& summary = disk.footer->summary;
  if (summary.first_seq != info.first_seq || summary.count != info.count || summary.bytes != info.bytes) {
    tell_chunk(Severity::kRepairable, "chunk-registry", info,
               concat("as the registry says, ", records_text(info.first_seq, info.count, info.bytes)),
               records_text(summary.first_seq, summary.count, summary.bytes));
  }
  for (size_t k = 0; k < feed_.clocks; ++k) {
    if (summary.clocks[k] == info.clocks[k]) continue;
    tell_chunk(Severity::kRepairable, "chunk-registry", info,
               concat("as the registry says, clock ", k, ": ", bounds_text(info.clocks[k])), bounds_text(summary.clocks[k]));
  }
  const uint64_t data_end = disk.header.data_offset + summary.bytes;
  if (const auto at = first_nonzero(file, data_end, footer_offset(disk.header, summary.bytes))) {
    tell_chunk(Severity::kRepairable, "chunk-reserved", info, "zeros between records and footer", concat("something at ", *at));
  }
}

void FeedCheck::data(const ChunkInfo& info, const File& file, const DiskChunk& disk) {
  const ChunkSummary& summary = disk.footer->summary;
  if (!options_.blocks) return index(info, disk, nullptr);
  const auto bad = bad_blocks(file, disk.header, disk.table, summary.bytes);
  std::vector<IndexEntry> entries;
  if (!bad.empty() && disk.header.layout == Layout::kFrames) {
    try {
      const File at = File::open(files_, concat(feed_.directory, "/", index_name(info.ordinal)), O_RDONLY);
      std::vector<std::byte> bytes(std::min<uint64_t>(at.size(), uint64_t{1} << 32));
      entries = decode_index(at.read(bytes, 0), disk.header, summary.first_seq).value_or(std::vector<IndexEntry>{});
    } catch (const FeedError&) {  // then it is any record of the chunk
    }
  }
  for (const BadBlock& block : bad) {
    const uint64_t from = block.block * disk.header.block_bytes;
    Finding& finding =
        tell_chunk(Severity::kDamage, "chunk-block", info, concat("block ", block.block, ": ", crc_text(block.expected)),
                   block.cut ? "the end of the file" : crc_text(block.found));
    const SeqRange range = records_within(disk.header, summary.first_seq, summary.count, entries, from,
                                          std::min(from + disk.header.block_bytes, summary.bytes));
    finding.first_seq = range.first;
    finding.end_seq = range.end;
  }
  if (!bad.empty()) return;
  IndexBuilder builder(disk.header, summary.first_seq);
  const bool whole = fold_file(file, disk.header, summary.bytes, builder);
  const ChunkSummary real = builder.summary();
  if (!whole || real.count != summary.count || real.bytes != summary.bytes) {
    Finding& finding =
        tell_chunk(Severity::kDamage, "chunk-records", info, records_text(summary.first_seq, summary.count, summary.bytes),
                   records_text(real.first_seq, real.count, real.bytes));
    finding.first_seq = summary.first_seq + std::min(real.count, summary.count);
    return;
  }
  for (size_t k = 0; k < feed_.clocks; ++k) {
    if (real.clocks[k] == summary.clocks[k]) continue;
    tell_chunk(Severity::kRepairable, "chunk-bounds", info,
               concat("as the records say, clock ", k, ": ", bounds_text(real.clocks[k])), bounds_text(summary.clocks[k]));
  }
  index(info, disk, &builder);
}

void FeedCheck::index(const ChunkInfo& info, const DiskChunk& disk, const IndexBuilder* builder) {
  const std::string path = concat(feed_.directory, "/", index_name(info.ordinal));
  const auto wrong = [&](std::string expected, std::string found) {
    tell(Severity::kRepairable, "index", path, std::move(expected), std::move(found)).ordinal = info.ordinal;
  };
  try {
    const File file = File::open(files_, path, O_RDONLY);
    std::vector<std::byte> bytes(std::min<uint64_t>(file.size(), uint64_t{1} << 32));
    const auto got = file.read(bytes, 0);
    if (builder != nullptr) {
      const auto expected = encode_index(disk.header, disk.footer->summary.first_seq, builder->entries());
      if (got.size() == expected.size() && std::equal(got.begin(), got.end(), expected.begin())) return;
    }
    const auto entries = decode_index(got, disk.header, disk.footer->summary.first_seq);
    if (!entries) return wrong("the index of this chunk", "another, or a wrong checksum");
    if (builder == nullptr) return;
    for (size_t i = 0; i < builder->entries().size(); ++i) {
      if (i >= entries->size() || !same_entry((*entries)[i], builder->entries()[i], feed_.clocks)) {
        return wrong(concat("entry ", i, " as the records say"), i >= entries->size() ? "none that checks out" : "another");
      }
    }
    wrong(concat(builder->entries().size(), " entries and zeros"),
          concat(got.size(), " bytes that differ in parts that nobody reads"));
  } catch (const FeedError& error) {
    wrong("the index of this chunk", error.what());
  }
}

void FeedCheck::sequence(const FeedRegistry& lists) {
  uint64_t next = kUnknownCount;
  for (const ChunkInfo& info : lists.chunks()) {
    if (!info.settled() || info.count == 0) continue;
    // A power cut may take the entries that end a chunk and leave those of the next: readers have its records from its file.
    for (auto open = unsettled_.find(next); next != info.first_seq && open != unsettled_.end() && open->second > next; open = unsettled_.find(next)) {
      next = open->second;
    }
    if (next != kUnknownCount && info.first_seq != next) {
      Finding& finding =
          tell_chunk(Severity::kDamage, "sequence", info, concat("records from ", next), concat("records from ", info.first_seq));
      finding.first_seq = std::min(next, info.first_seq);
      finding.end_seq = std::max(next, info.first_seq);
    }
    next = info.end_seq();
  }
}

// A writer makes its next chunk ready ahead, without an entry: what it left when it was killed holds nothing and harms nobody.
bool FeedCheck::only_prepared(const std::string& path, uint64_t ordinal) {
  if (!path.ends_with(".data")) return false;
  try {
    const DiskChunk disk = examine_chunk(File::open(files_, path, O_RDONLY), false);
    return disk.header.feed_id == feed_.id && disk.header.ordinal == ordinal && !disk.activation && !disk.footer &&
           disk.verified_end == 0;
  } catch (const FeedError&) {
    return false;
  }
}

void FeedCheck::strays(const FeedRegistry& lists) {
  const char* const known[] = {kSchemaName,        kDefinitionName,    kFeedRegistryName, kWriterLockName,  kAppendLockName,
                               kPersisterLockName, kRetentionLockName, kPinsName,         "retention.state", kMarksName};
  for (const std::string& name : names_in(feed_.directory)) {
    const std::string path = concat(feed_.directory, "/", name);
    if (const auto ordinal = ordinal_of(name)) {
      const ChunkInfo* info = lists.chunk(*ordinal);
      if (info == nullptr && only_prepared(path, *ordinal)) {
        tell(Severity::kNote, "chunk-prepared", path, "a writer that begins it", "made ready, and never begun").ordinal = *ordinal;
      } else if (info == nullptr) {
        tell(Severity::kRepairable, name.ends_with(".idx") ? "orphan-index" : "orphan-chunk", path, "an entry of the registry",
             "none")
            .ordinal = *ordinal;
      } else if (name.ends_with(".idx") && (info->state == ChunkState::kAbandoned || info->state == ChunkState::kQuarantined)) {
        tell(Severity::kRepairable, "orphan-index", path, "no index: its chunk is gone", "one").ordinal = *ordinal;
      }
    } else if (is_unfinished(name)) {
      tell(Severity::kRepairable, "leftover", path, "nothing", "a file that was never finished");
    } else if (name == kQuarantineName) {
      for (const std::string& held : names_in(path))
        tell(Severity::kNote, "quarantine", concat(path, "/", held), "nothing", "put aside by a repair or a writer");
    } else if (name == kPinsName) {
      for (const std::string& held : names_in(path))
        if (is_unfinished(held)) tell(Severity::kRepairable, "leftover", concat(path, "/", held), "nothing", "a pin that was never finished");
    } else if (!name.starts_with("schema-") && std::find(std::begin(known), std::end(known), name) == std::end(known)) {
      tell(Severity::kNote, "stray", path, "nothing", "something that this program does not know");
    }
  }
}

void check_feed(const FeedInfo& named, const VerifyOptions& options, VerifyReport& report) {
  ++report.feeds;
  FeedInfo feed = named;
  // While somebody writes, things move between two looks: then a look is repeated, and the last one counts.
  for (int attempt = 0;; ++attempt) {
    VerifyReport mine;
    FeedCheck check(feed, options, mine);
    const bool owned = has_owner(feed);
    if (check.directory()) {
      if (const auto schema = check.schema()) feed.schema = *schema;
      check.definition();
      if (const auto scan = check.registry()) {
        const FeedRegistry lists = FeedRegistry::of_records(feed, records_of(*scan));
        check.chunks(lists);
        check.strays(lists);
      }
    }
    if (!mine.sound() && owned && attempt < 2) continue;
    report.chunks += mine.chunks;
    report.records += mine.records;
    report.bytes += mine.bytes;
    std::move(mine.findings.begin(), mine.findings.end(), std::back_inserter(report.findings));
    return;
  }
}

}  // namespace tidepool::feed
