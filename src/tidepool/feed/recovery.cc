#include "tidepool/feed/recovery.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "tidepool/base/clock.h"
#include "tidepool/feed/chunk_scan.h"
#include "tidepool/feed/crc32c.h"
#include "tidepool/feed/quarantine.h"
#include "tidepool/feed/registry_parts.h"

namespace tidepool::feed {
namespace {

struct LiveObject {
  Mapping mapping;
  ChunkHeader header;
  std::optional<Activation> activation;
  ChunkWords words;
  bool whole = false;  // holds the data area, not the words alone
};

class Recovery {
 public:
  Recovery(const FeedInfo& feed, FeedRegistry& registry, Files& files) : feed_(feed), registry_(registry), files_(files) {}

  RecoveryReport run() {
    live_directory_ = trusted_live_directory(feed_);
    if (!registry_.epochs().empty()) {
      const EpochInfo& last = registry_.epochs().back();
      report_.epoch = epoch_on_disk_ = last.epoch;
      report_.clean = last.closed;
      report_.next_seq = last.closed ? last.end_seq : last.first_seq;
      // By a recovery that died before it came to open an epoch: what it settled tells of no loss any more.
      for (const LossInfo& loss : registry_.losses()) report_.loss |= !last.closed && loss.epoch == last.epoch;
    }
    for (const std::string& warning : registry_.warnings()) report_.remarks.push_back(warning);
    std::set<uint64_t> ordinals;
    for (const ChunkInfo& chunk : registry_.chunks()) ordinals.insert(chunk.ordinal);
    sweep_and_list(feed_.directory, ordinals);
    if (live_directory_) sweep_and_list(*live_directory_, ordinals);
    for (const uint64_t ordinal : ordinals) {
      report_.highest_ordinal = std::max(report_.highest_ordinal, ordinal);
      const ChunkInfo* known = registry_.chunk(ordinal);
      const ChunkInfo info = known != nullptr ? *known : ChunkInfo{};
      const bool unfinished = known == nullptr || info.state == ChunkState::kOpen || (info.state == ChunkState::kSealed && feed_.options.storage != Storage::kMemory);
      if (unfinished) {
        recover(ordinal, known == nullptr ? nullptr : &info);
      } else if (feed_.options.storage == Storage::kMemory && info.state == ChunkState::kSealed && !live(ordinal, &info)) {
        put(FeedEntry::kChunkExpired, info, nullptr);  // its memory is gone with the boot or the process that held it
        note(info.first_seq, info.count, info.clocks);
      } else if (info.state == ChunkState::kPersisted) {
        note(info.first_seq, info.count, info.clocks);
        unlink_live(ordinal);
      } else {
        note(info.first_seq, info.count, info.clocks);
        if (info.state == ChunkState::kAbandoned || info.state == ChunkState::kExpired) {
          unlink_live(ordinal);
          if (info.state == ChunkState::kAbandoned) unlink_file(files_, disk_path(ordinal));
        }
      }
    }
    registry_.refresh();
    if (report_.loss) lose(report_.next_seq);
    close_segments();
    ++report_.epoch;
    return std::move(report_);
  }

 private:
  // What was committed from there on may be gone. Durable before the chunk that shows it is settled: should the power fail in between,
  // nobody else would know (G-3).
  void lose(uint64_t first_seq) {
    report_.loss = true;
    registry_.refresh();
    for (const LossInfo& known : registry_.losses()) {
      if (known.epoch == report_.epoch && known.first_seq == first_seq) return;
    }
    FeedRecord loss;
    loss.type = FeedEntry::kLoss;
    loss.epoch = report_.epoch;
    loss.first_seq = first_seq;
    loss.count = kUnknownCount;
    loss.text = "unsynced records of a boot that ended";
    registry_.append(loss, true);
  }

  std::string disk_path(uint64_t ordinal) const { return concat(feed_.directory, "/", chunk_name(ordinal)); }

  void sweep_and_list(const std::string& directory, std::set<uint64_t>& ordinals) {
    for (const std::string& name : names_in(directory)) {
      if (is_unfinished(name)) {
        sweep(concat(directory, "/", name));
      } else if (const auto ordinal = ordinal_of(name)) {
        ordinals.insert(*ordinal);
      }
    }
  }

  void sweep(const std::string& path) {
    if (files_.unlink(path) == 0 || errno == ENOENT) return;
    remove_tree(files_, path);
  }

  // Its live object, if it is this feed's, this boot's, and the one that the registry means.
  std::optional<LiveObject> live(uint64_t ordinal, const ChunkInfo* info) {
    if (!live_directory_) return std::nullopt;
    const std::string path = concat(*live_directory_, "/", chunk_name(ordinal));
    try {
      const File file = File::open_if_there(files_, path, O_RDWR);
      if (!file) return std::nullopt;
      const uint64_t size = file.size();
      if (size < kChunkPageBytes) throw FeedError(Fault::kCorrupt, path, ": shorter than a page");
      LiveObject object;
      std::vector<std::byte> page(kChunkPageBytes);
      object.header = ChunkHeader::decode(file.read(page, 0), path);
      const ChunkHeader& header = object.header;
      if (header.base_id != feed_.base_id || header.feed_id != feed_.id || header.ordinal != ordinal || header.boot_id != this_boot_id() ||
          !feed_.knows(header.schema_id, header.schema_hash) || (info != nullptr && (info->tag != header.created_wall_ns || info->epoch != header.epoch))) {
        throw FeedError(Fault::kCorrupt, path, ": of another boot, feed or making");
      }
      // Begun by a writer that the registry, whole as it is, has never heard of: the files were restored to a time before it.
      if (info == nullptr && registry_.warnings().empty() && header.epoch > epoch_on_disk_) {
        throw FeedError(Fault::kCorrupt, path, ": of epoch ", header.epoch, ", and the feed's files know none behind ", epoch_on_disk_,
                        ": they were restored, and this is of what came after");
      }
      object.whole = size >= header.file_bytes();
      object.mapping = Mapping::of(file, object.whole ? header.file_bytes() : kChunkPageBytes, true);
      object.words = ChunkWords(object.mapping.data());
      object.activation = decode_activation({object.mapping.data(), kChunkPageBytes}, header);
      return object;
    } catch (const FeedError& error) {
      // What cannot be looked at now is not gone: to go on without it would lose what it holds.
      if (error.fault() != Fault::kCorrupt && error.fault() != Fault::kUnsupportedVersion) throw;
      report_.remarks.push_back(error.what());
      return std::nullopt;
    }
  }

  void unlink_live(uint64_t ordinal) {
    if (!live_directory_) return;
    unlink_file(files_, concat(*live_directory_, "/", chunk_name(ordinal)));
    unlink_file(files_, concat(*live_directory_, "/", index_name(ordinal)));
  }

  void put(FeedEntry type, const ChunkInfo& info, const ChunkSummary* summary, bool sync = true) {
    FeedRecord record;
    record.type = type;
    record.epoch = info.epoch;
    record.ordinal = info.ordinal;
    record.tag = info.tag;
    if (summary != nullptr) {
      record.first_seq = summary->first_seq;
      record.count = summary->count;
      record.bytes = summary->bytes;
      std::copy(std::begin(summary->clocks), std::end(summary->clocks), std::begin(record.clocks));
    }
    record.in_memory = feed_.options.storage == Storage::kMemory;
    record.on_disk = !record.in_memory;
    registry_.append(record, sync);
  }

  void note(uint64_t first_seq, uint64_t count, const ClockBounds (&clocks)[kClocksMax]) {
    report_.next_seq = std::max(report_.next_seq, first_seq + count);
    if (count == 0) return;
    report_.any_records = true;
    for (size_t k = 0; k < kClocksMax; ++k) report_.highest[k] = std::max(report_.highest[k], clocks[k].max);
  }

  void abandon(const ChunkInfo& info, bool keep_file) {
    put(FeedEntry::kChunkAbandoned, info, nullptr);
    unlink_live(info.ordinal);
    if (!keep_file) unlink_file(files_, disk_path(info.ordinal));
  }

  void recover(uint64_t ordinal, const ChunkInfo* known) {
    auto object = live(ordinal, known);
    std::optional<DiskChunk> disk;
    try {
      if (const File file = File::open_if_there(files_, disk_path(ordinal), O_RDONLY); file) {
        disk = examine_chunk(file, false);
        const ChunkHeader& header = disk->header;
        if (header.feed_id != feed_.id || header.ordinal != ordinal || !feed_.knows(header.schema_id, header.schema_hash) || (known != nullptr && header.created_wall_ns != known->tag)) {
          throw FeedError(Fault::kCorrupt, disk_path(ordinal), ": of another feed or making");
        }
      }
    } catch (const FeedError& error) {
      // Not the file that it should be: out of the way, never deleted, never served (F-30, F-134).
      if (error.fault() != Fault::kCorrupt) throw;
      disk.reset();
      report_.remarks.push_back(error.what());
      quarantine(ordinal, error.what());
    }
    ChunkInfo info = known != nullptr ? *known : ChunkInfo{};
    if (known == nullptr) {
      const ChunkHeader* header = object ? &object->header : disk ? &disk->header : nullptr;
      const bool active = (object && object->activation) || (disk && disk->activation);
      if (header == nullptr || !active) {  // prepared and never registered: it holds nothing
        unlink_live(ordinal);
        if (disk) unlink_file(files_, disk_path(ordinal));
        return;
      }
      // Its entry is lost: the chunk describes itself.
      info.ordinal = ordinal;
      info.epoch = header->epoch;
      info.tag = header->created_wall_ns;
      report_.epoch = std::max(report_.epoch, info.epoch);
      put(FeedEntry::kChunkOpened, info, nullptr, false);
      report_.remarks.push_back(concat("chunk ", ordinal, " was not in the registry: entered again"));
    }
    if (object) {
      from_memory(info, *object, disk);
    } else if (disk) {
      from_disk(info, *disk);
    } else {
      // Nothing of it is left. It was prepared only, or all of it went with the memory of a boot that ended.
      if (!report_.clean) lose(report_.next_seq);
      abandon(info, true);
    }
  }

  void quarantine(uint64_t ordinal, std::string why) {
    quarantine_file(files_, feed_.directory, chunk_name(ordinal), {.feed = feed_.name, .by = "recovery", .why = std::move(why)});
  }

  void from_memory(ChunkInfo info, LiveObject& object, std::optional<DiskChunk>& disk) {
    const ChunkHeader& header = object.header;
    uint64_t committed = std::min(object.words.committed().load(), header.capacity);
    if (header.layout == Layout::kRows) committed = committed / header.record_bytes * header.record_bytes;
    if (!object.activation || object.words.state().load() == static_cast<uint32_t>(WordState::kPrepared) || committed == 0) {
      object.words.state().publish(static_cast<uint32_t>(WordState::kAbandoned));
      return abandon(info, false);
    }
    ChunkRecovery told{info.ordinal, object.activation->first_seq, 0, true, false, false, {}};
    Mapping file_mapping;
    const std::byte* data = nullptr;
    const bool in_place = feed_.options.storage == Storage::kDurable;
    if (in_place) {
      const File file = File::open_if_there(files_, disk_path(info.ordinal), O_RDWR);
      if (!file || !disk || file.size() < header.data_offset + committed) {
        object.words.state().publish(static_cast<uint32_t>(WordState::kSealed));
        if (disk) return from_disk(info, *disk);
        lose(report_.next_seq);
        abandon(info, true);
        return;
      }
      file_mapping = Mapping::of(file, header.data_offset + committed, false);
      data = file_mapping.data() + header.data_offset;
    } else {
      if (!object.whole) {
        report_.remarks.push_back(concat("chunk ", info.ordinal, ": its live object is cut off"));
        if (disk) return from_disk(info, *disk);
        lose(report_.next_seq);
        abandon(info, true);
        return;
      }
      data = object.mapping.data() + header.data_offset;
    }
    IndexBuilder index(header, object.activation->first_seq);
    if (!index.fold(data, committed)) {
      told.cut = true;
      told.remark = concat("a frame behind byte ", index.position(), " is damaged: cut there");
      lose(object.activation->first_seq + index.records());
    }
    ChunkSummary summary = index.summary();
    summary.sealed_wall_ns = realtime_ns();
    told.count = summary.count;
    if (summary.count == 0) {
      object.words.state().publish(static_cast<uint32_t>(WordState::kAbandoned));
      return abandon(info, false);
    }
    if (feed_.options.storage == Storage::kMemory) {
      object.words.state().publish(static_cast<uint32_t>(WordState::kSealed));
      put(FeedEntry::kChunkSealed, info, &summary);
    } else {
      // Before the registry says so, as a writer does it: should we be killed in between, who follows this object leaves it all the same.
      if (disk && summary.bytes < std::min(disk->verified_end, committed)) {  // damaged in memory, not there
        object.words.state().publish(static_cast<uint32_t>(WordState::kSealed));
        return from_disk(info, *disk);
      }
      store(object, disk, data, summary, told);
      write_index(header, index);
      object.words.state().publish(static_cast<uint32_t>(WordState::kSealed));
      put(FeedEntry::kChunkSealed, info, &summary, false);
      put(FeedEntry::kChunkPersisted, info, &summary);
      unlink_live(info.ordinal);
    }
    note(summary.first_seq, summary.count, summary.clocks);
    report_.chunks.push_back(told);
  }

  // The records of a live object into its file. What was reported durable stays where it is: a power cut right now must not cost
  // it. What comes behind is written again even if it seems to be there: a sync that failed leaves pages that look right and will
  // never be written.
  void store(LiveObject& object, const std::optional<DiskChunk>& disk, const std::byte* data, const ChunkSummary& summary, ChunkRecovery& told) {
    const ChunkHeader& header = object.header;
    const Bytes schema(object.mapping.data() + header.schema_offset, feed_.options.storage == Storage::kTiered ? header.schema_bytes : 0);
    if (!disk) {
      ChunkFile file = ChunkFile::create(files_, feed_.directory, header, schema, feed_.options.file_mode, false);
      return finish(file, *object.activation, data, summary);
    }
    const uint64_t end = std::min({disk->verified_end, object.words.durable().load(), summary.bytes});
    if (schema.empty()) {  // written in place: the file is all there is
      ChunkFile file = ChunkFile::resume(files_, disk_path(header.ordinal), header, end, 0, table_below(*disk, data, end), disk->generation);
      return finish(file, *object.activation, data, summary);
    }
    const ChunkSource source{feed_.directory, header, schema, feed_.options.file_mode, *object.activation, data};
    IndexBuilder before(header, object.activation->first_seq);
    before.fold(data, end);
    try {
      ContinuedFile continued = continue_chunk_file(files_, source, *disk, end, before.records());
      told.rewritten = continued.rewritten;
      if (told.rewritten) told.remark = "its file was not what memory holds: written anew";
      finish(continued.file, *object.activation, data, summary);
    } catch (const FeedError& error) {
      if (error.fault() != Fault::kIo) throw;
      told.rewritten = true;
      told.remark = concat(error.what(), ": written anew elsewhere");
      rewrite_chunk_file(files_, source, [&](ChunkFile& file) {
        file.take(data, summary.bytes, false);
        file.seal(summary);
      });
    }
    if (told.rewritten) report_.remarks.push_back(concat("chunk ", header.ordinal, ": ", told.remark));
  }

  static std::vector<uint32_t> table_below(const DiskChunk& disk, const std::byte* data, uint64_t end) {
    const uint64_t block_bytes = disk.header.block_bytes;
    std::vector<uint32_t> table(disk.table.begin(), disk.table.begin() + static_cast<ptrdiff_t>(end / block_bytes));
    if (const uint64_t tail = end % block_bytes; tail != 0) table.push_back(crc32c({data + end - tail, tail}));
    return table;
  }

  static void finish(ChunkFile& file, const Activation& activation, const std::byte* data, const ChunkSummary& summary) {
    file.activate(activation);
    file.take(data, summary.bytes, false);
    file.seal(summary);
  }

  void write_index(const ChunkHeader& header, const IndexBuilder& index) {
    try {
      write_file_atomically(files_, feed_.directory, index_name(header.ordinal), encode_index(header, index.summary().first_seq, index.entries()), feed_.options.file_mode);
    } catch (const FeedError& error) {
      report_.remarks.push_back(error.what());  // a cache (F-34)
    }
  }

  void from_disk(const ChunkInfo& info, const DiskChunk& disk) {
    for (const std::string& remark : disk.remarks) report_.remarks.push_back(concat("chunk ", info.ordinal, ": ", remark));
    ChunkRecovery told{info.ordinal, 0, 0, false, !disk.footer, false, {}};
    if (disk.footer) {
      const ChunkSummary& summary = disk.footer->summary;
      if (info.state == ChunkState::kOpen) put(FeedEntry::kChunkSealed, info, &summary, false);
      put(FeedEntry::kChunkPersisted, info, &summary);
      told.first_seq = summary.first_seq;
      told.count = summary.count;
      note(summary.first_seq, summary.count, summary.clocks);
      unlink_live(info.ordinal);
      report_.chunks.push_back(told);
      return;
    }
    if (!report_.clean) lose(disk.activation ? std::max(report_.next_seq, disk.activation->first_seq + disk.verified_records) : report_.next_seq);
    if (!disk.activation || disk.verified_end == 0) {
      if (disk.activation) quarantine(info.ordinal, "it may hold records, and nothing vouches for any of them");
      return abandon(info, disk.activation.has_value());
    }
    const File file = File::open(files_, disk_path(info.ordinal), O_RDONLY);
    IndexBuilder index(disk.header, disk.activation->first_seq);
    fold_file(file, disk.header, disk.verified_end, index);
    ChunkSummary summary = index.summary();
    summary.sealed_wall_ns = realtime_ns();
    if (summary.count == 0 || summary.bytes != disk.verified_end) {
      lose(report_.next_seq);
      quarantine(info.ordinal, "its checksums are right, its records are not");
      put(FeedEntry::kChunkQuarantined, info, nullptr);
      return;
    }
    ChunkFile chunk = ChunkFile::resume(files_, disk_path(info.ordinal), disk.header, disk.verified_end, disk.verified_records, disk.table, disk.generation);
    chunk.seal(summary);
    write_index(disk.header, index);
    put(FeedEntry::kChunkSealed, info, &summary, false);
    put(FeedEntry::kChunkPersisted, info, &summary);
    unlink_live(info.ordinal);
    told.first_seq = summary.first_seq;
    told.count = summary.count;
    told.remark = "kept up to the last sync";
    note(summary.first_seq, summary.count, summary.clocks);
    report_.chunks.push_back(told);
  }

  void close_segments() {
    if (!feed_.options.segments) return;
    uint64_t last_id = 0;
    uint64_t covered = registry_.epochs().empty() ? 0 : registry_.epochs().back().first_seq;
    for (const SegmentInfo& segment : std::vector<SegmentInfo>(registry_.segments())) {
      last_id = std::max(last_id, segment.id);
      if (segment.status == SegmentStatus::kOpen) {
        close_segment(segment.id, segment.epoch, segment.first_seq);
        covered = std::max(covered, report_.next_seq);
      } else if (segment.epoch == report_.epoch) {
        covered = std::max(covered, segment.end_seq);
      }
    }
    // A writer may die with records committed before it has told of their segment: it is rebuilt from the chunks (F-111).
    if (!report_.clean && report_.next_seq > covered) close_segment(last_id + 1, report_.epoch, covered);
    registry_.refresh();
  }

  // From `first_seq` to the end of what was kept.
  void close_segment(uint64_t id, uint64_t epoch, uint64_t first_seq) {
    FeedRecord record;
    record.type = FeedEntry::kSegmentClosed;
    record.ordinal = id;
    record.epoch = epoch;
    record.first_seq = first_seq;
    record.count = report_.next_seq > first_seq ? report_.next_seq - first_seq : 0;
    record.value = static_cast<uint64_t>(record.count == 0 ? SegmentStatus::kInvalidEmpty : SegmentStatus::kCrashClosed);
    record.text = "writer ended without closing";
    // What is stored, not what was said (F-113): the bounds of the chunks that it lies in.
    for (const ChunkInfo& chunk : registry_.chunks()) {
      if (chunk.count == 0 || chunk.end_seq() <= first_seq) continue;
      for (size_t k = 0; k < kClocksMax; ++k) {
        record.clocks[k].min = std::min(record.clocks[k].min, chunk.clocks[k].min);
        record.clocks[k].max = std::max(record.clocks[k].max, chunk.clocks[k].max);
        record.clocks[k].ordered = record.clocks[k].ordered && chunk.clocks[k].ordered;
      }
    }
    registry_.append(record, false);
  }

  const FeedInfo& feed_;
  FeedRegistry& registry_;
  Files& files_;
  std::optional<std::string> live_directory_;
  uint64_t epoch_on_disk_ = 0;  // the newest that the registry names
  RecoveryReport report_;
};

}  // namespace

RecoveryReport recover_feed(const FeedInfo& feed, FeedRegistry& registry, Files& files) { return Recovery(feed, registry, files).run(); }

}  // namespace tidepool::feed
