#include "tidepool/feed/blob.h"

#include <algorithm>
#include <cstring>
#include <list>

#include "tidepool/base/log.h"
#include "tidepool/feed/attached_chunk.h"
#include "tidepool/feed/blob_care.h"
#include "tidepool/feed/crc32c.h"

namespace tidepool::feed {
namespace {

constexpr std::string_view kWords[] = {"_chunk_id", "_offset", "_size", "_codec", "_schema_id", "_flags", "_crc"};
constexpr std::string_view kCodecNames[] = {"raw", "msgpack", "json", "zstd", "npy"};
constexpr size_t kColumnNameMax = 64;
constexpr size_t kChunksMapped = 4;  // of each column

void check_column_name(std::string_view name) {
  const auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; };
  if (!name.empty() && name.size() <= kColumnNameMax && std::all_of(name.begin(), name.end(), good)) return;
  throw FeedError(Fault::kInvalidSchema, "'", printable(name), "' is no name of a blob column: 1 to ", kColumnNameMax,
                  " letters, digits and '_'");
}

size_t index_of(const std::vector<BlobColumn>& columns, std::string_view name) {
  std::string known;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name == name) return i;
    known += concat(i == 0 ? "" : ", ", columns[i].name);
  }
  throw FeedError(Fault::kUsage, "there is no blob column '", printable(name), "'; there are ", known);
}

std::vector<BlobColumn> columns_of(const FeedInfo& feed) {
  auto columns = blob_columns(feed.schema);
  if (columns.empty()) throw FeedError(Fault::kUsage, "feed ", feed.name, " has no blob columns");
  return columns;
}

FeedInfo find_column(const std::string& base, const FeedInfo& feed, const BlobColumn& column, Files& files) {
  const std::string name = blob_feed_name(feed.name, column.name);
  FeedInfo found;
  try {
    found = find_feed(base, name, files);
  } catch (const FeedError& error) {
    if (!is_missing(error.fault())) throw;
    throw FeedError(Fault::kFeedDamaged, "feed ", feed.name, " has a blob column ", column.name, " and there is no feed ", name,
                    ": create it again");
  }
  if (!is_column_of(found, feed.id, column.name))
    throw FeedError(Fault::kFeedDamaged, "feed ", name, " is not that of the blobs of ", feed.name);
  return found;
}

FeedOptions options_of_column(const FeedOptions& rows, const BlobOptions& blobs) {
  FeedOptions options = rows;
  options.chunk_bytes = blobs.chunk_bytes;
  options.segments = false;
  options.retention_ns = 0;  // follows the rows
  options.retention_bytes = 0;
  // The rows' policy decides: a row is not made durable before its payload.
  if (options.sync == SyncMode::kEveryCommit) options.sync = SyncMode::kInterval;
  return options;
}

}  // namespace

std::string_view blob_codec_name(BlobCodec codec) noexcept {
  const auto at = static_cast<uint64_t>(codec);
  return at < kBlobCodecs ? kCodecNames[at] : "unknown";
}

BlobCodec blob_codec_named(std::string_view name) {
  for (uint64_t at = 0; at < kBlobCodecs; ++at) {
    if (kCodecNames[at] == name) return static_cast<BlobCodec>(at);
  }
  throw FeedError(Fault::kUsage, "codec '", printable(name), "': expected raw, msgpack, json, zstd or npy");
}

BlobRef load_blob_ref(const std::byte* at) noexcept {
  const auto word = [&](size_t i) { return load<uint64_t>(at + 8 * i); };
  return {word(0), word(1), word(2), word(3), word(4), word(5), word(6)};
}

void store_blob_ref(const BlobRef& ref, std::byte* at) noexcept {
  const uint64_t words[] = {ref.chunk_id, ref.offset, ref.size, ref.codec, ref.schema_id, ref.flags, ref.crc};
  static_assert(sizeof words == BlobRef::kBytes);  // docs/formats/feed-blob.md
  std::memcpy(at, words, sizeof words);
}

std::vector<BlobColumn> blob_columns(const Schema& schema) {
  std::vector<BlobColumn> columns;
  const auto& fields = schema.fields();
  if (schema.layout() != Layout::kRows) return columns;
  for (size_t i = schema.clocks(); i + std::size(kWords) <= fields.size(); ++i) {
    if (!fields[i].name.ends_with(kWords[0])) continue;
    const std::string name = fields[i].name.substr(0, fields[i].name.size() - kWords[0].size());
    bool all = !name.empty();
    for (size_t word = 0; word < std::size(kWords) && all; ++word) {
      const Field& field = fields[i + word];
      all = field.type == Type::kUint64 && field.count == 1 && field.offset == fields[i].offset + 8 * word &&
            field.name == concat(name, kWords[word]);
    }
    if (!all) continue;
    columns.push_back({name, fields[i].offset});
    i += std::size(kWords) - 1;
  }
  return columns;
}

Schema with_blob_columns(const Schema& rows, const std::vector<std::string>& columns) {
  if (rows.layout() != Layout::kRows) throw FeedError(Fault::kInvalidSchema, "blob columns belong to rows, not to frames");
  std::vector<FieldText> more;
  for (const std::string& column : columns) {
    check_column_name(column);
    for (const std::string_view word : kWords) more.push_back({concat(column, word), "uint64"});
  }
  return rows.with(more);
}

bool has_blob_feeds(const std::string& base, const FeedInfo& feed, Files& files) {
  const auto columns = blob_columns(feed.schema);
  return std::any_of(columns.begin(), columns.end(), [&](const BlobColumn& column) {
    try {
      return is_column_of(find_feed(base, blob_feed_name(feed.name, column.name), files), feed.id, column.name);
    } catch (const FeedError&) {
      return false;
    }
  });
}

std::string blob_feed_name(std::string_view feed, std::string_view column) { return concat(feed, ".blob.", column); }

bool create_blob_feed(const std::string& base, const std::string& name, const Schema& rows, const BlobOptions& blobs,
                      const FeedOptions& options, Files& files) {
  if (blobs.columns.empty()) throw FeedError(Fault::kUsage, "feed ", name, ": no blob column is named");
  for (const std::string& column : blobs.columns) {  // all, before anything is made
    check_column_name(column);
    check_feed_name(blob_feed_name(name, column));
  }
  bool made = create_feed(base, name, with_blob_columns(rows, blobs.columns), options, files);
  const FeedInfo feed = find_feed(base, name, files);
  std::vector<std::string> clocks;
  for (size_t k = 0; k < rows.clocks(); ++k) clocks.push_back(rows.clock_name(k));
  for (const std::string& column : blobs.columns) {
    Schema schema = Schema::frames(clocks);
    for (size_t k = 0; k < rows.clocks(); ++k) {
      Clock clock = rows.clock(k);
      clock.order = ClockOrder::kLoose;  // the rows refuse what goes back
      schema.set_clock(k, clock);
    }
    schema.describe(clocks.front(), blob_owner_text(feed.id, column));
    const std::string blob_name = blob_feed_name(name, column);
    const FeedOptions column_options = options_of_column(feed.options, blobs);
    try {
      if (!is_column_of(find_feed(base, blob_name, files), feed.id, column))
        delete_feed(base, blob_name, true, files);  // of an earlier life
    } catch (const FeedError& error) {
      if (!is_missing(error.fault()) && error.fault() != Fault::kFeedDeleted) throw;
    }
    made |= create_feed(base, blob_name, schema, column_options, files);
  }
  return made;
}

// ---- writing ---------------------------------------------------------------------------------------------------------------

class BlobWriter::Impl {
 public:
  Impl(const std::string& base, const std::string& name, const WriterOptions& options) {
    const FeedInfo feed = find_feed(base, name, *options.files);
    columns_ = columns_of(feed);
    // Payloads first: what an earlier writer left of them is safe before the rows that refer to it are (F-122).
    for (const BlobColumn& column : columns_) {
      find_column(base, feed, column, *options.files);
      WriterOptions of_column = options;
      of_column.text = concat(options.text, " (blobs of ", name, ")");
      of_column.on_durable = nullptr;
      of_column.on_event = nullptr;
      writers_.push_back(std::make_unique<FeedWriter>(FeedWriter::open(base, blob_feed_name(name, column.name), of_column)));
    }
    WriterOptions of_rows = options;
    of_rows.blobs_are_written = true;
    if (feed.options.storage != Storage::kMemory) {
      of_rows.before_sync = [this] {
        for (const auto& writer : writers_) writer->sync();
      };
    }
    rows_ = std::make_unique<FeedWriter>(FeedWriter::open(base, name, of_rows));
    record_bytes_ = feed.record_bytes;
    clocks_ = feed.clocks;
    plan_copies();
    claims_.resize(columns_.size());
  }

  ~Impl() {
    rows_.reset();  // its end makes its rows durable, for which it needs the payloads' writers
    writers_.clear();
  }

  const std::vector<BlobColumn>& columns() const noexcept { return columns_; }
  size_t row_bytes() const noexcept { return row_bytes_; }
  uint64_t orphans() const noexcept { return orphans_; }
  FeedWriter& rows() noexcept { return *rows_; }

  Appended append(Bytes row, std::span<const BlobPart> parts) noexcept {
    if (row.size() != row_bytes_) return {AppendStatus::kWrongSize};
    if (!sensible(parts)) return {AppendStatus::kUnknownBlob};
    const Claim room = rows_->claim();
    if (!room) return {room.status};
    for (size_t i = 0; i < parts.size(); ++i) {
      claims_[i] = writers_[parts[i].column]->claim_frame(0, parts[i].payload.size());
      if (claims_[i]) continue;
      const AppendStatus status = claims_[i].status;
      for (size_t before = 0; before < i; ++before) writers_[parts[before].column]->abort(claims_[before]);
      rows_->abort(room);
      return {status};
    }
    for (const Run& run : copies_) std::memcpy(room.bytes.data() + run.to, row.data() + run.from, run.bytes);
    for (const BlobColumn& column : columns_) std::memset(room.bytes.data() + column.offset, 0, BlobRef::kBytes);
    for (size_t i = 0; i < parts.size(); ++i) {
      if (const AppendStatus status = write(parts[i], claims_[i], room); status != AppendStatus::kOk)
        return give_up(parts, i, room, status);
    }
    const Appended done = rows_->commit(room);
    if (!done) orphans_ += parts.size();
    return done;
  }

  void sync() { rows_->sync(); }

  void close() {
    rows_->close();
    for (const auto& writer : writers_) writer->close();
  }

 private:
  struct Run {
    size_t from = 0;
    size_t to = 0;
    size_t bytes = 0;
  };

  // A record without its references, run by run.
  void plan_copies() {
    std::vector<BlobColumn> sorted = columns_;
    std::sort(sorted.begin(), sorted.end(), [](const BlobColumn& a, const BlobColumn& b) { return a.offset < b.offset; });
    size_t to = 0;
    const auto add = [&](size_t end) {
      if (end > to) copies_.push_back({row_bytes_, to, end - to});
      row_bytes_ += end - to;
    };
    for (const BlobColumn& column : sorted) {
      add(column.offset);
      to = column.offset + BlobRef::kBytes;
    }
    add(record_bytes_);
  }

  bool sensible(std::span<const BlobPart> parts) const noexcept {
    if (parts.size() > columns_.size()) return false;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].column >= columns_.size() || parts[i].payload.empty() || static_cast<uint64_t>(parts[i].codec) >= kBlobCodecs)
        return false;
      for (size_t before = 0; before < i; ++before) {
        if (parts[before].column == parts[i].column) return false;
      }
    }
    return true;
  }

  AppendStatus write(const BlobPart& part, const Claim& claim, const Claim& room) noexcept {
    std::memcpy(claim.bytes.data(), part.payload.data(), part.payload.size());
    FrameMeta meta;
    for (size_t k = 0; k < clocks_; ++k) meta.clocks[k] = load<uint64_t>(room.bytes.data() + 8 * k);
    meta.stream_epoch = rows_->epoch();
    meta.stream_seq = room.seq;  // whose it is: retention and repair go by it
    if (const Appended done = writers_[part.column]->commit(claim, meta, part.payload.size()); !done) return done.status;
    store_blob_ref({claim.ordinal, claim.offset, part.payload.size(), static_cast<uint64_t>(part.codec), part.schema_id, 1,
                    crc32c(part.payload)},
                   room.bytes.data() + columns_[part.column].offset);
    return AppendStatus::kOk;
  }

  Appended give_up(std::span<const BlobPart> parts, size_t failed, const Claim& room, AppendStatus status) noexcept {
    for (size_t i = failed + 1; i < parts.size(); ++i) writers_[parts[i].column]->abort(claims_[i]);
    rows_->abort(room);
    orphans_ += failed;
    return {status};
  }

  std::vector<BlobColumn> columns_;
  std::vector<std::unique_ptr<FeedWriter>> writers_;  // of the columns; they outlive rows_, which syncs them
  std::unique_ptr<FeedWriter> rows_;
  std::vector<Claim> claims_;
  std::vector<Run> copies_;
  size_t row_bytes_ = 0;
  size_t record_bytes_ = 0;
  size_t clocks_ = 1;
  uint64_t orphans_ = 0;
};

BlobWriter::BlobWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BlobWriter::BlobWriter(BlobWriter&&) noexcept = default;
BlobWriter& BlobWriter::operator=(BlobWriter&&) noexcept = default;
BlobWriter::~BlobWriter() = default;
BlobWriter BlobWriter::open(const std::string& base, const std::string& name, const WriterOptions& options) {
  return BlobWriter(std::make_unique<Impl>(base, name, options));
}
const std::vector<BlobColumn>& BlobWriter::columns() const noexcept { return impl_->columns(); }
size_t BlobWriter::column(std::string_view name) const { return index_of(impl_->columns(), name); }
size_t BlobWriter::row_bytes() const noexcept { return impl_->row_bytes(); }
Appended BlobWriter::append(Bytes row, std::span<const BlobPart> parts) noexcept { return impl_->append(row, parts); }
uint64_t BlobWriter::orphans() const noexcept { return impl_->orphans(); }
FeedWriter& BlobWriter::rows() noexcept { return impl_->rows(); }
void BlobWriter::sync() { impl_->sync(); }
void BlobWriter::close() { impl_->close(); }

// ---- reading ---------------------------------------------------------------------------------------------------------------

class BlobReader::Impl {
 public:
  Impl(const std::string& base, const std::string& name, Files& files)
      : files_(files), feed_(find_feed(base, name, files)), columns_(columns_of(feed_)) {
    for (const BlobColumn& column : columns_) {
      Source source;
      try {
        source.feed = find_column(base, feed_, column, files);
        source.registry = FeedRegistry::open(source.feed, files, false);
      } catch (const FeedError& error) {
        if (error.fault() == Fault::kPermission || error.fault() == Fault::kUnsupportedVersion) throw;
        source.problem = error.what();
      }
      sources_.push_back(std::move(source));
    }
  }

  const std::vector<BlobColumn>& columns() const noexcept { return columns_; }

  Blob get(Bytes row, size_t at) {
    if (at >= columns_.size()) throw FeedError(Fault::kUsage, "there is no blob column ", at, " in feed ", feed_.name);
    Blob blob;
    if (row.size() < columns_[at].offset + BlobRef::kBytes) return blob;  // of a version of the schema that had none
    blob.ref = load_blob_ref(row.data() + columns_[at].offset);
    if (blob.ref.is_null()) return blob;
    fetch(sources_[at], blob);
    if (blob.status != Blob::Status::kOk) {
      blob.problem = concat(blob_feed_name(feed_.name, columns_[at].name), ", chunk ", blob.ref.chunk_id, ", ", blob.ref.size,
                            " bytes at ", blob.ref.offset, ": ", blob.problem);
    }
    return blob;
  }

 private:
  struct Source {
    FeedInfo feed;
    FeedRegistry registry;
    std::list<std::shared_ptr<AttachedChunk>> mapped;  // latest used first
    std::string problem;
  };

  static void fail(Blob& blob, Blob::Status status, std::string_view why) {
    blob.status = status;
    blob.problem = why;
  }

  void fetch(Source& source, Blob& blob) {
    if (!source.problem.empty()) return fail(blob, Blob::Status::kMissing, source.problem);
    try {
      const auto chunk = attach(source, blob);
      if (!chunk) return;
      const uint64_t end = chunk->end();
      if (blob.ref.offset > end || blob.ref.size > end - blob.ref.offset)
        return fail(blob, Blob::Status::kDamaged, "it lies beyond the end of the chunk");
      const Bytes payload{chunk->data() + blob.ref.offset, blob.ref.size};
      if (crc32c(payload) != blob.ref.crc)
        return fail(blob, Blob::Status::kDamaged, "its checksum is not the one that the row has");
      blob.payload = payload;
      blob.hold = chunk;
      blob.status = Blob::Status::kOk;
    } catch (const FeedError& error) {
      switch (error.fault()) {
        case Fault::kCorrupt: return fail(blob, Blob::Status::kDamaged, error.what());
        case Fault::kFeedReplaced:
        case Fault::kFeedDeleted: return fail(blob, Blob::Status::kMissing, error.what());
        default: throw;
      }
    }
  }

  // The chunk that the reference names; nullptr, and why, when there is none.
  std::shared_ptr<AttachedChunk> attach(Source& source, Blob& blob) {
    if (source.registry.has_news()) {
      source.registry.refresh();
      source.mapped.remove_if([](const auto& chunk) { return chunk->provisional(); });
    }
    for (auto at = source.mapped.begin(); at != source.mapped.end(); ++at) {
      if ((*at)->header().ordinal != blob.ref.chunk_id) continue;
      source.mapped.splice(source.mapped.begin(), source.mapped, at);
      return source.mapped.front();
    }
    // Looked up again when it is not as it should be: it may have been written out, or given up, in this moment.
    for (int attempt = 0; attempt < 2; ++attempt) {
      if (attempt > 0) source.registry.refresh();
      const ChunkInfo* info = source.registry.chunk(blob.ref.chunk_id);
      if (info == nullptr) continue;
      if (info->state == ChunkState::kExpired) {
        fail(blob, Blob::Status::kExpired, "it is no longer kept");
        return nullptr;
      }
      if (info->state == ChunkState::kQuarantined) {
        fail(blob, Blob::Status::kDamaged, "its chunk is quarantined");
        return nullptr;
      }
      std::shared_ptr<AttachedChunk> chunk;
      if (!info->readable() || AttachedChunk::attach(source.feed, *info, files_, false, chunk) != AttachedChunk::Outcome::kOk)
        continue;
      source.mapped.push_front(chunk);
      if (source.mapped.size() > kChunksMapped) source.mapped.pop_back();
      return chunk;
    }
    fail(blob, Blob::Status::kMissing, "there is no such chunk");
    return nullptr;
  }

  Files& files_;
  FeedInfo feed_;
  std::vector<BlobColumn> columns_;
  std::vector<Source> sources_;
};

BlobReader::BlobReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BlobReader::BlobReader(BlobReader&&) noexcept = default;
BlobReader& BlobReader::operator=(BlobReader&&) noexcept = default;
BlobReader::~BlobReader() = default;
BlobReader BlobReader::open(const std::string& base, const std::string& name, Files& files) {
  return BlobReader(std::make_unique<Impl>(base, name, files));
}
const std::vector<BlobColumn>& BlobReader::columns() const noexcept { return impl_->columns(); }
size_t BlobReader::column(std::string_view name) const { return index_of(impl_->columns(), name); }
Blob BlobReader::get(Bytes row, size_t column) { return impl_->get(row, column); }

}  // namespace tidepool::feed
