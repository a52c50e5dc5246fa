#include "tidepool/feed/blob_care.h"

#include <fcntl.h>

#include <algorithm>

#include "tidepool/base/log.h"
#include "tidepool/feed/chunk_scan.h"
#include "tidepool/feed/crc32c.h"
#include "tidepool/feed/feed_check.h"
#include "tidepool/feed/registry_parts.h"

namespace tidepool::feed {
namespace {

constexpr std::string_view kBlobInfix = ".blob.";
constexpr std::string_view kOwnerLead = "payloads of column ";
constexpr std::string_view kOwnerMiddle = " of feed ";
constexpr uint64_t kRowWindowBytes = uint64_t{1} << 20;
constexpr size_t kPayloadFilesOpen = 4;  // of each column

std::string data_path(const FeedInfo& feed, uint64_t ordinal) { return concat(feed.directory, "/", chunk_name(ordinal)); }

// The lists of a feed's registry, read by pread; without a file that is one: none.
FeedRegistry lists_from_file(const FeedInfo& feed, Files& files) {
  const LogScan scan = scan_log(files, concat(feed.directory, "/", kFeedRegistryName), kFeedMagic, kFeedEntryBytes);
  if (!scan.problem.empty()) throw FeedError(scan.fault, scan.problem);
  return FeedRegistry::of_records(feed, records_of(scan));
}

// The payloads of one column, as far as they are on disk.
class PayloadFiles {
 public:
  PayloadFiles(const FeedInfo& feed, std::string column, Files& files) : feed_(feed), column_(std::move(column)), files_(files) {
    try {
      lists_ = lists_from_file(feed, files);
    } catch (const FeedError& error) {
      trouble_ = error.what();
    }
  }

  const std::string& column() const noexcept { return column_; }
  // nullopt: the payload is what the reference says.
  std::optional<BadReference> look(const BlobRef& ref) {
    BadReference bad;
    bad.column = column_;
    bad.path = data_path(feed_, ref.chunk_id);
    bad.ordinal = ref.chunk_id;
    bad.expected = concat("payload of ", ref.size, " bytes at ", ref.offset);
    bad.missing = true;
    if (ref.size == 0) return damaged(bad, "a reference without a size");
    try {
      Held* held = hold(ref, bad.found);
      if (held == nullptr) return bad;
      if (ref.offset > held->disk.verified_end || ref.size > held->disk.verified_end - ref.offset)
        return damaged(bad, concat("the end of the chunk's records at ", held->disk.verified_end));
      const auto crc = checksum(held->file, held->disk.header.data_offset + ref.offset, ref.size);
      if (!crc) return damaged(bad, "the end of the file");
      if (*crc != ref.crc) return damaged(bad, "another checksum than the row has");
    } catch (const FeedError& error) {
      if (is_missing(error.fault())) {
        bad.found = "no such file";
        return bad;
      }
      return damaged(bad, error.what());
    }
    ++referred_[ref.chunk_id];
    return std::nullopt;
  }

  // Payloads of rows [floor, end) that no row refers to.
  uint64_t orphans(uint64_t floor, uint64_t end) const {
    uint64_t count = 0;
    for (const ChunkInfo& chunk : lists_.chunks()) {
      if (!chunk.readable()) continue;
      const auto payloads = payloads_of(feed_, chunk, files_);
      const auto mine = static_cast<uint64_t>(std::count_if(payloads.begin(), payloads.end(), [&](const IndexEntry& payload) {
        return payload.stream_seq >= floor && payload.stream_seq < end;
      }));
      const auto at = referred_.find(chunk.ordinal);
      count += mine - std::min(mine, at == referred_.end() ? 0 : at->second);
    }
    return count;
  }

 private:
  struct Held {
    uint64_t ordinal = 0;
    File file;
    DiskChunk disk;
  };

  static BadReference damaged(BadReference bad, std::string found) {
    bad.missing = false;
    bad.found = std::move(found);
    return bad;
  }

  Held* hold(const BlobRef& ref, std::string& why) {
    const auto at = std::find_if(held_.begin(), held_.end(), [&](const Held& held) { return held.ordinal == ref.chunk_id; });
    // One that grows is looked at again when it is too short.
    if (at != held_.end() && (at->disk.footer || ref.offset + ref.size <= at->disk.verified_end)) return &*at;
    if (at != held_.end()) held_.erase(at);
    if (!trouble_.empty()) {
      why = trouble_;
      return nullptr;
    }
    const ChunkInfo* info = lists_.chunk(ref.chunk_id);
    if (info == nullptr || !info->readable()) {
      why = info == nullptr                           ? "no such chunk"
            : info->state == ChunkState::kExpired     ? "a chunk that is expired"
            : info->state == ChunkState::kQuarantined ? "a chunk in quarantine"
                                                      : "a chunk that never held a record";
      return nullptr;
    }
    Held fresh{ref.chunk_id, File::open(files_, data_path(feed_, ref.chunk_id), O_RDONLY), {}};
    fresh.disk = examine_chunk(fresh.file, false);
    const ChunkHeader& header = fresh.disk.header;
    if (header.feed_id != feed_.id || header.ordinal != ref.chunk_id || header.created_wall_ns != info->tag)
      throw FeedError(Fault::kCorrupt, "another chunk than the registry names");
    if (held_.size() == kPayloadFilesOpen) held_.erase(held_.begin());
    held_.push_back(std::move(fresh));
    return &held_.back();
  }

  std::optional<uint64_t> checksum(const File& file, uint64_t from, uint64_t bytes) {
    uint32_t crc = 0;
    buffer_.resize(kRowWindowBytes);
    for (uint64_t at = 0; at < bytes;) {
      const auto wanted = MutableBytes(buffer_).first(std::min<uint64_t>(buffer_.size(), bytes - at));
      const auto got = file.read(wanted, from + at);
      if (got.size() != wanted.size()) return std::nullopt;
      crc = crc32c(crc, got);
      at += got.size();
    }
    return crc;
  }

  FeedInfo feed_;
  std::string column_;
  Files& files_;
  FeedRegistry lists_;
  std::string trouble_;
  std::vector<Held> held_;
  std::map<uint64_t, uint64_t> referred_;  // by chunk
  std::vector<std::byte> buffer_;
};

class References {
 public:
  References(const FeedInfo& rows, const std::vector<FeedInfo>& columns, Files& files,
             const std::function<void(const BadReference&)>& bad)
      : feed_(rows), files_(files), bad_(bad), lists_(lists_from_file(rows, files)) {
    // The rows' lists first: whatever is durable of them by now, its payloads were before (F-122).
    for (const BlobColumn& column : blob_columns(rows.schema)) {
      const auto at = std::find_if(columns.begin(), columns.end(),
                                   [&](const FeedInfo& info) { return is_column_of(info, rows.id, column.name); });
      if (at != columns.end()) payloads_.emplace_back(*at, column.name, files);
    }
  }

  ReferenceCheck run(bool settled) {
    for (const ChunkInfo& info : lists_.chunks()) {
      if (!info.readable()) continue;
      try {
        const File file = File::open_if_there(files_, data_path(feed_, info.ordinal), O_RDONLY);
        if (file) chunk(info, file);
      } catch (const FeedError&) {  // of the rows: another check's finding
      }
    }
    for (const PayloadFiles& payloads : payloads_) {
      const uint64_t orphans = payloads.orphans(lists_.floor_seq(), settled ? ~uint64_t{0} : end_seq_);
      if (orphans != 0) check_.orphans[payloads.column()] = orphans;
    }
    return std::move(check_);
  }

 private:
  void chunk(const ChunkInfo& info, const File& file) {
    const DiskChunk disk = examine_chunk(file, false);
    const ChunkHeader& header = disk.header;
    const Schema* version = feed_.version(header.schema_id);
    if (header.feed_id != feed_.id || header.created_wall_ns != info.tag || header.layout != Layout::kRows || version == nullptr ||
        version->record_bytes() != header.record_bytes || !disk.activation)
      return;
    const auto columns = blob_columns(*version);
    std::vector<uint64_t> damaged;  // blocks: what is in them is no reference
    if (disk.footer) {
      for (const BadBlock& block : bad_blocks(file, header, disk.table, disk.verified_end)) damaged.push_back(block.block);
    }
    const uint64_t first_seq = disk.activation->first_seq;
    const uint64_t rows_at_once = std::max<uint64_t>(1, kRowWindowBytes / header.record_bytes);
    std::vector<std::byte> window(rows_at_once * header.record_bytes);
    for (uint64_t row = 0; row < disk.verified_records; row += rows_at_once) {
      const uint64_t count = std::min(rows_at_once, disk.verified_records - row);
      const auto got = file.read(MutableBytes(window).first(count * header.record_bytes), header.data_offset + row * header.record_bytes);
      for (uint64_t i = 0; i < got.size() / header.record_bytes; ++i) {
        const uint64_t at = (row + i) * header.record_bytes;
        const bool bad = std::any_of(damaged.begin(), damaged.end(), [&](uint64_t block) {
          return at < (block + 1) * header.block_bytes && at + header.record_bytes > block * header.block_bytes;
        });
        if (!bad) references(columns, got.data() + i * header.record_bytes, first_seq + row + i);
      }
    }
    end_seq_ = std::max(end_seq_, first_seq + disk.verified_records);
  }

  void references(const std::vector<BlobColumn>& columns, const std::byte* row, uint64_t seq) {
    ++check_.rows;
    for (const BlobColumn& column : columns) {
      const BlobRef ref = load_blob_ref(row + column.offset);
      if (ref.is_null()) continue;
      const auto at =
          std::find_if(payloads_.begin(), payloads_.end(), [&](const PayloadFiles& p) { return p.column() == column.name; });
      std::optional<BadReference> bad;
      if (at != payloads_.end()) {
        bad = at->look(ref);
      } else {
        bad = BadReference{0,    column.name, concat(feed_.directory, kBlobInfix, column.name), ref.chunk_id, true,
                           concat("payload of ", ref.size, " bytes at ", ref.offset), "no such feed"};
      }
      if (!bad) {
        ++check_.blobs;
        check_.bytes += ref.size;
        continue;
      }
      ++check_.bad;
      bad->row = seq;
      bad_(*bad);
    }
  }

  const FeedInfo& feed_;
  Files& files_;
  const std::function<void(const BadReference&)>& bad_;
  FeedRegistry lists_;
  std::vector<PayloadFiles> payloads_;
  ReferenceCheck check_;
  uint64_t end_seq_ = 0;
};

}  // namespace

std::string blob_owner_text(const Id& feed_id, std::string_view column) {
  return concat(kOwnerLead, column, kOwnerMiddle, hex(feed_id));
}

bool is_column_of(const FeedInfo& blobs, const Id& feed_id, std::string_view column) {
  return blobs.layout == Layout::kFrames && !blobs.schema.fields().empty() &&
         blobs.schema.fields()[0].description == blob_owner_text(feed_id, column);
}

std::optional<BlobOwner> blob_owner(const FeedInfo& blobs) {
  if (blobs.layout != Layout::kFrames || blobs.schema.fields().empty()) return std::nullopt;
  const std::string_view text = blobs.schema.fields()[0].description;
  const size_t middle = text.find(kOwnerMiddle);
  if (!text.starts_with(kOwnerLead) || middle == std::string_view::npos) return std::nullopt;
  BlobOwner owner;
  owner.column = text.substr(kOwnerLead.size(), middle - kOwnerLead.size());
  owner.feed_id = text.substr(middle + kOwnerMiddle.size());
  const std::string ending = concat(kBlobInfix, owner.column);
  if (!blobs.name.ends_with(ending)) return std::nullopt;
  owner.feed = blobs.name.substr(0, blobs.name.size() - ending.size());
  return owner;
}

bool may_be_blob_feed(std::string_view name) noexcept { return name.find(kBlobInfix) != std::string_view::npos; }

std::vector<const FeedInfo*> payloads_first(const FeedsByName& feeds) {
  std::vector<const FeedInfo*> order;
  for (const bool payloads : {true, false}) {
    for (const auto& [name, feed] : feeds) {
      if (may_be_blob_feed(name) == payloads) order.push_back(&feed);
    }
  }
  return order;
}

std::optional<FeedInfo> with_schema(const FeedInfo& feed, Files& files) {
  FeedInfo loaded = feed;
  try {
    load_schemas(loaded, files);
  } catch (const FeedError&) {
    return std::nullopt;
  }
  return loaded;
}

std::vector<FeedInfo> blob_feeds_of(const FeedsByName& feeds, std::string_view name, const Id& id, Files& files) {
  std::vector<FeedInfo> found;
  const std::string lead = concat(name, kBlobInfix);
  for (auto at = feeds.lower_bound(lead); at != feeds.end() && at->first.starts_with(lead); ++at) {
    if (at->second.deleting) continue;
    auto loaded = with_schema(at->second, files);
    if (loaded && is_column_of(*loaded, id, std::string_view(at->first).substr(lead.size()))) found.push_back(std::move(*loaded));
  }
  return found;
}

const FeedInfo* parent_in(const FeedsByName& feeds, const BlobOwner& owner) {
  const auto at = feeds.find(owner.feed);
  return at != feeds.end() && hex(at->second.id) == owner.feed_id ? &at->second : nullptr;
}

std::vector<IndexEntry> payloads_of(const FeedInfo& blobs, const ChunkInfo& chunk, Files& files) {
  try {
    const File file = File::open(files, data_path(blobs, chunk.ordinal), O_RDONLY);
    const DiskChunk disk = examine_chunk(file, false);
    if (disk.header.feed_id != blobs.id || disk.header.created_wall_ns != chunk.tag || !disk.activation) return {};
    const uint64_t first_seq = disk.activation->first_seq;
    if (disk.footer) {
      if (const File index = File::open_if_there(files, concat(blobs.directory, "/", index_name(chunk.ordinal)), O_RDONLY)) {
        std::vector<std::byte> bytes(std::min<uint64_t>(index.size(), uint64_t{1} << 32));
        auto entries = decode_index(index.read(bytes, 0), disk.header, first_seq);
        if (entries && entries->size() == disk.verified_records) return std::move(*entries);
      }
    }
    IndexBuilder builder(disk.header, first_seq);
    if (!fold_file(file, disk.header, disk.verified_end, builder)) return {};
    return builder.entries();
  } catch (const FeedError&) {
    return {};
  }
}

std::optional<uint64_t> last_row_of(const FeedInfo& blobs, const ChunkInfo& chunk, Files& files) {
  const auto payloads = payloads_of(blobs, chunk, files);
  if (payloads.empty()) return std::nullopt;
  return payloads.back().stream_seq;  // rows are in order, so it never falls
}

ReferenceCheck check_references(const FeedInfo& rows, const std::vector<FeedInfo>& columns, bool settled, Files& files,
                                const std::function<void(const BadReference&)>& bad) {
  return References(rows, columns, files, bad).run(settled);
}

// ---- what blob.h offers of it ------------------------------------------------------------------------------------------------

BlobCheck check_blobs(const std::string& base, const std::string& name, Files& files) {
  constexpr size_t kProblemsTold = 1000;
  const FeedInfo rows = find_feed(base, name, files);
  if (blob_columns(rows.schema).empty()) throw FeedError(Fault::kUsage, "feed ", name, " has no blob columns");
  BlobCheck check;
  const ReferenceCheck found = check_references(rows, blob_feeds_of(GlobalRegistry::open(base, files).feeds(), name, rows.id, files),
                                                !has_owner(rows), files, [&](const BadReference& bad) {
                                                  if (check.problems.size() == kProblemsTold) return;
                                                  check.problems.push_back(concat("row ", bad.row, ", ", bad.column, ": ", bad.path,
                                                                                  ": expected ", bad.expected, ", found ", bad.found));
                                                });
  check.rows = found.rows;
  check.blobs = found.blobs;
  check.bytes = found.bytes;
  check.bad = found.bad;
  for (const auto& [column, count] : found.orphans) check.orphans += count;
  return check;
}

uint64_t blob_floor_seq(const std::string& base, const std::string& name, std::string_view column, Files& files) {
  const FeedInfo rows = find_feed(base, name, files);
  const FeedInfo blobs = find_feed(base, blob_feed_name(name, column), files);
  const uint64_t floor = lists_from_file(rows, files).floor_seq();
  const FeedRegistry lists = lists_from_file(blobs, files);
  uint64_t kept = lists.floor_seq();
  for (const ChunkInfo& chunk : lists.chunks()) {
    if (chunk.state != ChunkState::kPersisted || chunk.count == 0) continue;
    const auto last = last_row_of(blobs, chunk, files);
    if (!last || *last >= floor) break;
    kept = chunk.end_seq();
  }
  return kept;
}

}  // namespace tidepool::feed
