#include "tidepool/feed/adopt.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <optional>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/feed/chunk_scan.h"
#include "tidepool/feed/log_scan.h"
#include "tidepool/feed/mend.h"
#include "tidepool/feed/quarantine.h"
#include "tidepool/feed/registry_parts.h"

namespace tidepool::feed {
namespace {

using Outcome = AdoptedChunk::Outcome;

struct Candidate {
  AdoptedChunk told;
  File file;
  DiskChunk disk;
  bool whole = false;
  bool no_chunk = false;  // it does not even begin like one
};

Candidate examine_candidate(const std::string& path, Files& files) {
  Candidate found;
  found.told.path = path;
  found.file = File::open(files, path, O_RDONLY);
  const auto bad = [&](std::string why) {
    found.told.outcome = Outcome::kQuarantined;
    found.told.why = std::move(why);
  };
  try {
    found.disk = examine_chunk(found.file, false);
  } catch (const FeedError& error) {
    if (error.fault() != Fault::kCorrupt) throw;
    bad(error.what());
    std::byte magic[sizeof kChunkMagic]{};
    found.no_chunk = found.file.read(magic, 0).size() < sizeof magic || load<uint64_t>(magic) != kChunkMagic;
    return found;
  }
  const DiskChunk& disk = found.disk;
  found.told.ordinal = disk.header.ordinal;
  if (!disk.footer) {
    bad("it has no footer that checks out: it was not sealed, or its end is missing");
    return found;
  }
  const ChunkSummary& summary = disk.footer->summary;
  found.told.first_seq = summary.first_seq;
  found.told.end_seq = summary.end_seq();
  const auto blocks = bad_blocks(found.file, disk.header, disk.table, summary.bytes);
  if (!blocks.empty()) {
    bad(concat("the checksum of block ", blocks.front().block, " is wrong", blocks.size() > 1 ? concat(", and of ", blocks.size() - 1, " more") : ""));
    return found;
  }
  IndexBuilder index(disk.header, summary.first_seq);
  if (!fold_file(found.file, disk.header, summary.bytes, index) || index.records() != summary.count) {
    bad(concat("it says ", summary.count, " records and has ", index.records()));
    return found;
  }
  found.whole = true;
  return found;
}

Schema schema_of_candidate(const Candidate& chunk) {
  const ChunkHeader& header = chunk.disk.header;
  std::vector<std::byte> bytes(header.schema_bytes);
  Schema schema = Schema::decode(chunk.file.read(bytes, header.schema_offset));
  if (schema.hash() != header.schema_hash)
    throw FeedError(Fault::kSchemaMismatch, chunk.told.path, ": the schema in it is not the one that its header names");
  return schema;
}

class Adoption {
 public:
  Adoption(const std::string& base, const std::string& name, const AdoptOptions& options)
      : base_(base), name_(name), options_(options), files_(*options.files) {}

  AdoptReport run(const std::vector<std::string>& paths) {
    check_feed_name(name_);
    for (const std::string& path : paths) chunks_.push_back(examine_candidate(path, files_));
    std::stable_sort(chunks_.begin(), chunks_.end(),
                     [](const Candidate& a, const Candidate& b) { return a.told.ordinal < b.told.ordinal; });
    find_or_plan_feed();
    if (feed_.options.storage == Storage::kMemory)
      throw FeedError(Fault::kUsage, "feed ", name_, " lives in memory: it has no place for chunks of elsewhere");
    shm::FileLock writer, persister, retention;
    if (!options_.dry_run) {
      if (report_.created) create_feed_as(base_, feed_, files_);
      feed_ = find_feed(base_, name_, files_);
      writer = lock_within(feed_.directory, kWriterLockName, "adoption", 0, Fault::kWriterBusy);
      persister = lock_within(feed_.directory, kPersisterLockName, "adoption", kLockTimeoutNs, Fault::kWriterBusy);
      retention = lock_within(feed_.directory, kRetentionLockName, "adoption", kLockTimeoutNs, Fault::kBusy);
    }
    decide();
    if (!options_.dry_run) take();
    for (Candidate& chunk : chunks_) report_.chunks.push_back(std::move(chunk.told));
    return std::move(report_);
  }

 private:
  // The feed that the files are of: the one of that name, or one that is made.
  void find_or_plan_feed() {
    const auto first = std::find_if(chunks_.begin(), chunks_.end(), [](const Candidate& chunk) { return chunk.whole; });
    const bool has_base = is_base();
    if (has_base) {
      const GlobalRegistry registry = GlobalRegistry::open(base_, files_);
      for (const auto& [name, feed] : registry.feeds()) {
        if (first != chunks_.end() && name != name_ && feed.id == first->disk.header.feed_id)
          throw FeedError(Fault::kSchemaConflict, first->told.path, " is of feed ", hex(feed.id), ", which is called ", name, " here");
      }
      if (registry.find(name_) != nullptr) {
        feed_ = find_feed(base_, name_, files_);
        if (first != chunks_.end() && first->disk.header.feed_id != feed_.id)
          throw FeedError(Fault::kSchemaConflict, first->told.path, " is of feed ", hex(first->disk.header.feed_id), "; ", name_,
                          " is feed ", hex(feed_.id), ": give another name");
        return;
      }
    }
    if (first == chunks_.end()) {
      throw FeedError(Fault::kCorrupt, "none of these files is a whole chunk, and there is no feed ", name_, " yet",
                      chunks_.empty() ? "" : concat(": ", chunks_.front().told.path, ": ", chunks_.front().told.why));
    }
    report_.created = true;
    feed_.name = name_;
    feed_.id = first->disk.header.feed_id;
    feed_.options = options_.feed_options;
    feed_.options.chunk_bytes = 4096;
    feed_.schema_id = 0;
    for (const Candidate& chunk : chunks_) {
      if (!chunk.whole || chunk.disk.header.feed_id != feed_.id) continue;
      feed_.options.chunk_bytes = std::max(feed_.options.chunk_bytes, chunk.disk.header.capacity);
      feed_.options.block_bytes = chunk.disk.header.block_bytes;
      if (chunk.disk.header.schema_id <= feed_.schema_id) continue;
      feed_.schema = schema_of_candidate(chunk);
      feed_.schema_id = chunk.disk.header.schema_id;
    }
    feed_.schema_hash = feed_.schema.hash();
    if (has_base) feed_.base_id = GlobalRegistry::open(base_, files_).id();
  }

  bool is_base() const {
    struct stat found{};
    return ::lstat(concat(base_, "/", kRegistryName).c_str(), &found) == 0;
  }

  // Which may come in. Ordinals and numbers are never used twice (F-25), and both grow together.
  void decide() {
    if (!report_.created || !options_.dry_run) {
      scan_ = scan_log(files_, concat(feed_.directory, "/", kFeedRegistryName), kFeedMagic, kFeedEntryBytes);
      if (!scan_.problem.empty()) throw FeedError(scan_.fault, scan_.problem, ": repair the feed first");
      records_ = records_of(scan_);
    }
    const FeedRegistry lists = FeedRegistry::of_records(feed_, records_);
    taken_ = lists.chunks();
    for (Candidate& chunk : chunks_) {
      const std::string why = objection(chunk);
      if (!why.empty()) {
        chunk.told.outcome = Outcome::kRefused;
        chunk.told.why = why;
        continue;
      }
      if (chunk.whole) {
        const bool there = std::any_of(taken_.begin(), taken_.end(), [&](const ChunkInfo& i) { return i.ordinal == chunk.told.ordinal; });
        chunk.told.outcome = there ? Outcome::kReplaced : Outcome::kAdopted;
      }
      if (chunk.told.end_seq == chunk.told.first_seq) continue;
      ChunkInfo info;
      info.ordinal = chunk.told.ordinal;
      info.state = chunk.whole ? ChunkState::kPersisted : ChunkState::kQuarantined;
      info.first_seq = chunk.told.first_seq;
      info.count = chunk.told.end_seq - chunk.told.first_seq;
      taken_.push_back(info);
    }
  }

  std::string objection(const Candidate& chunk) const {
    if (chunk.no_chunk) return chunk.told.why;
    if (chunk.told.ordinal == 0) return "";  // a header that does not check out: to quarantine
    const ChunkHeader& header = chunk.disk.header;
    if (header.feed_id != feed_.id) return concat("it is of feed ", hex(header.feed_id), ", not of ", hex(feed_.id));
    bool replaces = false;
    for (const ChunkInfo& there : taken_) {
      if (there.ordinal == header.ordinal) {
        if (!chunk.whole || !options_.replace_damaged || there.tag != header.created_wall_ns || !damaged(there))
          return concat("the feed has a chunk ", header.ordinal, " already");
        if (there.count != 0 && (there.first_seq != chunk.told.first_seq || there.end_seq() != chunk.told.end_seq))
          return concat("chunk ", header.ordinal, " of the feed has other records, ", there.first_seq, " to ", there.end_seq());
        replaces = true;
        continue;
      }
      if (!there.settled() || there.count == 0 || chunk.told.end_seq == chunk.told.first_seq) continue;
      const bool above = header.ordinal > there.ordinal;
      if (above ? chunk.told.first_seq < there.end_seq() : chunk.told.end_seq > there.first_seq)
        return concat("its records ", chunk.told.first_seq, " to ", chunk.told.end_seq, " do not go with those of chunk ",
                      there.ordinal, ", ", there.first_seq, " to ", there.end_seq());
    }
    struct stat found{};
    if (!replaces && ::lstat(concat(feed_.directory, "/", chunk_name(header.ordinal)).c_str(), &found) == 0)
      return concat("there is a file ", chunk_name(header.ordinal), " already that no entry names: repair the feed first");
    const Schema* version = feed_.version(header.schema_id);
    bool known = version != nullptr && version->hash() == header.schema_hash;
    if (version == nullptr || version->fields().empty())  // an older one, of which there is no chunk yet
      known = chunk.whole && header.schema_id < feed_.schema_id && schema_of_candidate(chunk).forbidden_changes(feed_.schema).empty();
    return known || !chunk.whole ? "" : concat("its schema, version ", header.schema_id, ", is not the feed's");
  }

  // Nobody reads all of its records here: it was put aside, its file is gone, or what is in it does not check out.
  bool damaged(const ChunkInfo& there) const {
    if (there.state == ChunkState::kQuarantined) return true;
    if (there.state != ChunkState::kPersisted) return false;
    const auto file = File::open_if_there(files_, concat(feed_.directory, "/", chunk_name(there.ordinal)), O_RDONLY);
    if (!file) return true;
    try {
      const DiskChunk disk = examine_chunk(file, false);
      const ChunkHeader& header = disk.header;
      if (header.base_id != feed_.base_id || header.feed_id != feed_.id || header.ordinal != there.ordinal || header.created_wall_ns != there.tag)
        return true;  // another one lies in its place
      return !disk.footer || !bad_blocks(file, header, disk.table, disk.footer->summary.bytes).empty();
    } catch (const FeedError& error) {
      if (error.fault() != Fault::kCorrupt && error.fault() != Fault::kUnsupportedVersion && error.fault() != Fault::kIo) throw;
      return true;  // a bad sector, too
    }
  }

  void take() {
    std::map<uint64_t, std::optional<uint64_t>> epochs;  // that the feed has already, and where they were closed
    for (const FeedRecord& record : records_) {
      if (record.type == FeedEntry::kEpochOpened) epochs.try_emplace(record.epoch);
      if (record.type == FeedEntry::kEpochClosed) epochs[record.epoch] = record.first_seq;
    }
    bool any = false;
    for (Candidate& chunk : chunks_) {
      switch (chunk.told.outcome) {
        case Outcome::kAdopted: bring_in(chunk); break;
        case Outcome::kReplaced: replace(chunk); break;
        case Outcome::kQuarantined: put_aside(chunk); break;
        case Outcome::kRefused: continue;
      }
      any = true;
    }
    if (!any) return;
    // What is in the directory now goes into the registry, with its epochs and segments, as a rebuild has them.
    RegistryPlan plan = plan_registry(feed_, records_, true, files_);
    close_adopted_epoch(plan.records, epochs);
    RegistryLog::Identity identity = scan_.identity;
    ++identity.generation;
    const shm::FileLock lock = lock_within(feed_.directory, kAppendLockName, "adoption", kLockTimeoutNs, Fault::kRegistryBusy);
    replace_feed_registry(files_, feed_.directory, identity, plan.records, feed_.options.file_mode);
    for (const Candidate& chunk : chunks_) {
      if (chunk.told.outcome != Outcome::kAdopted && chunk.told.outcome != Outcome::kReplaced) continue;
      const ChunkSummary& summary = chunk.disk.footer->summary;
      ChunkInfo info;
      info.ordinal = chunk.told.ordinal;
      info.first_seq = summary.first_seq;
      try {
        rebuild_index(feed_, info, files_);
      } catch (const FeedError& error) {  // a cache: readers do without (F-34)
        log(LogLevel::kWarn, "feed", "feed ", name_, ": no index of chunk ", info.ordinal, ": ", error.what());
      }
    }
  }

  // The newest epoch, if it came with these files, or earlier ones: nobody here died in it, so nobody has to recover from it. Not when the
  // feed's own writer died in an epoch before: that is still to be told.
  void close_adopted_epoch(std::vector<FeedRecord>& records, const std::map<uint64_t, std::optional<uint64_t>>& own) const {
    FeedRecord end;
    for (const Candidate& chunk : chunks_) {
      if (chunk.told.outcome != Outcome::kAdopted || chunk.told.end_seq < end.first_seq) continue;
      end.epoch = chunk.disk.header.epoch;
      end.first_seq = chunk.told.end_seq;
      end.wall_ns = chunk.disk.footer->summary.sealed_wall_ns;
    }
    const bool newest = std::none_of(records.begin(), records.end(), [&](const FeedRecord& record) {
      return record.type == FeedEntry::kEpochOpened && record.epoch > end.epoch;
    });
    if (end.epoch == 0 || !newest) return;
    if (!own.empty()) {
      const auto& [last, closed_at] = *own.rbegin();
      if (!closed_at || (last == end.epoch && *closed_at >= end.first_seq)) return;
    }
    end.type = FeedEntry::kEpochClosed;
    end.text = "adopted";
    records.push_back(end);
  }

  void replace(const Candidate& chunk) {
    const std::string name = chunk_name(chunk.told.ordinal);
    const auto old = File::open_if_there(files_, concat(feed_.directory, "/", name), O_RDONLY);
    const QuarantineNote note{
        .feed = name_, .by = "adoption", .why = "a whole one took its place", .first_seq = chunk.told.first_seq, .end_seq = chunk.told.end_seq};
    try {
      if (old) quarantine_copy(old, feed_.directory, name, note);
    } catch (const FeedError& error) {
      if (error.fault() != Fault::kIo) throw;
      quarantine_file(files_, feed_.directory, name, note);  // it cannot even be read
    }
    // Before the rename: once the chunk is whole, nobody comes here again.
    forget_notes(files_, feed_.directory, name);
    bring_in(chunk);
    std::erase_if(records_, [&](const FeedRecord& record) {
      return record.type == FeedEntry::kChunkQuarantined && record.ordinal == chunk.told.ordinal;
    });
  }

  // Under a temporary name, with this base's id in its header; all else of it stays as it was.
  void bring_in(const Candidate& chunk) {
    const std::string temporary = concat(feed_.directory, "/.tmp-", chunk_name(chunk.told.ordinal));
    const File to = File::open(files_, temporary, O_RDWR | O_CREAT | O_TRUNC, feed_.options.file_mode);
    std::vector<std::byte> window(uint64_t{1} << 20);
    uint64_t at = 0;
    for (auto got = chunk.file.read(window, at); !got.empty(); got = chunk.file.read(window, at)) {
      to.write(got, at);
      at += got.size();
    }
    ChunkHeader header = chunk.disk.header;
    header.base_id = feed_.base_id;
    to.write(header.encode(), 0);
    to.sync();
    rename_file(files_, temporary, concat(feed_.directory, "/", chunk_name(chunk.told.ordinal)));
    sync_directory(files_, feed_.directory);
  }

  void put_aside(const Candidate& chunk) {
    const bool numbered = chunk.told.ordinal != 0;
    const std::string name = numbered ? chunk_name(chunk.told.ordinal) : chunk.told.path.substr(chunk.told.path.rfind('/') + 1);
    quarantine_copy(chunk.file, feed_.directory, name,
                    {.feed = name_, .by = "adoption", .why = chunk.told.why, .first_seq = chunk.told.first_seq, .end_seq = chunk.told.end_seq});
    if (!numbered || chunk.told.end_seq == chunk.told.first_seq) return;
    // Its records are known by their numbers: readers are told that they are missing (F-135).
    FeedRecord record;
    record.type = FeedEntry::kChunkPersisted;
    record.wall_ns = realtime_ns();
    record.epoch = chunk.disk.header.epoch;
    record.ordinal = chunk.told.ordinal;
    record.tag = chunk.disk.header.created_wall_ns;
    record.first_seq = chunk.told.first_seq;
    record.count = chunk.told.end_seq - chunk.told.first_seq;
    record.bytes = chunk.disk.footer->summary.bytes;
    std::copy(std::begin(chunk.disk.footer->summary.clocks), std::end(chunk.disk.footer->summary.clocks), std::begin(record.clocks));
    record.on_disk = true;
    record.text = "adopted";
    records_.push_back(record);
    record.type = FeedEntry::kChunkQuarantined;
    record.text = "damaged";
    records_.push_back(record);
  }

  const std::string base_;
  const std::string name_;
  const AdoptOptions& options_;
  Files& files_;
  FeedInfo feed_;
  LogScan scan_;
  std::vector<FeedRecord> records_;
  std::vector<ChunkInfo> taken_;
  std::vector<Candidate> chunks_;
  AdoptReport report_;
};

}  // namespace

std::string_view outcome_name(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::kAdopted: return "adopted";
    case Outcome::kReplaced: return "replaced";
    case Outcome::kRefused: return "refused";
    case Outcome::kQuarantined: return "quarantined";
  }
  return "unknown";
}

uint64_t AdoptReport::count(Outcome outcome) const noexcept {
  return static_cast<uint64_t>(std::count_if(chunks.begin(), chunks.end(), [&](const AdoptedChunk& chunk) { return chunk.outcome == outcome; }));
}

AdoptReport adopt_chunks(const std::string& base, const std::string& name, const std::vector<std::string>& paths,
                         const AdoptOptions& options) {
  return Adoption(base, name, options).run(paths);
}

}  // namespace tidepool::feed
