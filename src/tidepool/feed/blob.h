#pragma once
// Payloads of any size beside the rows of a feed (F-120 to F-123; docs/formats/feed-blob.md). A row holds a reference of seven
// words for each blob column; the payloads of a column are frames of a feed of their own, `<feed>.blob.<column>`, so that
// chunks, crashes, damage and care are what they are for every feed.
//
// A payload is visible before its row, and durable before its row is. Who reads a row can read its payload, as long as it is kept.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/feed/reader.h"
#include "tidepool/feed/writer.h"

namespace tidepool::feed {

// How a payload is to be understood. Nothing here encodes or decodes it.
enum class BlobCodec : uint64_t { kRaw = 0, kMsgpack = 1, kJson = 2, kZstd = 3, kNpy = 4 };
inline constexpr uint64_t kBlobCodecs = 5;
std::string_view blob_codec_name(BlobCodec codec) noexcept;
BlobCodec blob_codec_named(std::string_view name);  // throws FeedError kUsage

// What a row holds, as seven uint64 fields: <column>_chunk_id, _offset, _size, _codec, _schema_id, _flags, _crc. All zeros: no
// payload.
struct BlobRef {
  uint64_t chunk_id = 0;   // ordinal of the chunk, of the column's feed
  uint64_t offset = 0;     // of the payload in the chunk's data area
  uint64_t size = 0;
  uint64_t codec = 0;
  uint64_t schema_id = 0;  // the user's
  uint64_t flags = 0;      // bit 0: there is a payload
  uint64_t crc = 0;        // CRC-32C of the payload

  static constexpr size_t kBytes = 56;
  bool is_null() const noexcept { return (flags & 1) == 0; }
  bool operator==(const BlobRef&) const = default;
};
BlobRef load_blob_ref(const std::byte* at) noexcept;
void store_blob_ref(const BlobRef& ref, std::byte* at) noexcept;

struct BlobColumn {
  std::string name;
  uint32_t offset = 0;  // of the reference in the record
};
// The blob columns of a schema, by the names of their fields.
std::vector<BlobColumn> blob_columns(const Schema& schema);
// `rows` with seven fields more for each column. Throws FeedError kInvalidSchema: a name that is none ([A-Za-z0-9_]), or twice.
Schema with_blob_columns(const Schema& rows, const std::vector<std::string>& columns);
std::string blob_feed_name(std::string_view feed, std::string_view column);

// The feed has blob columns, and feeds for them that are its own.
bool has_blob_feeds(const std::string& base, const FeedInfo& feed, Files& files = Files::system());

struct BlobOptions {
  std::vector<std::string> columns;
  uint64_t chunk_bytes = uint64_t{64} << 20;  // of payloads; a payload fits into one chunk
};
// Make a feed of rows with blob columns, all of it or, after a crash, the rest of it. False: it was there already. Throws as
// create_feed().
bool create_blob_feed(const std::string& base, const std::string& name, const Schema& rows, const BlobOptions& blobs,
                      const FeedOptions& options = {}, Files& files = Files::system());

// One payload of a row that is appended.
struct BlobPart {
  size_t column = 0;
  Bytes payload;  // not empty
  BlobCodec codec = BlobCodec::kRaw;
  uint64_t schema_id = 0;
};

// The writer of such a feed. Thread safety and lifetime: as FeedWriter.
class BlobWriter {
 public:
  // Throws as FeedWriter::open(); kUsage for a feed without blob columns, kFeedDamaged when a column's feed is not there.
  static BlobWriter open(const std::string& base, const std::string& name, const WriterOptions& options = {});
  BlobWriter(BlobWriter&&) noexcept;
  BlobWriter& operator=(BlobWriter&&) noexcept;
  ~BlobWriter();

  const std::vector<BlobColumn>& columns() const noexcept;
  size_t column(std::string_view name) const;  // throws FeedError kUsage, listing those that there are (F-120)
  size_t row_bytes() const noexcept;           // of a record without its references

  // A row without its references, and its payloads: one at most for each column, none for a null. All of it is visible at
  // once, or nothing. kTooLarge: a payload larger than a chunk of its column; kUnknownBlob: no such column or codec, twice the
  // same column, or an empty payload; nothing is written then.
  [[nodiscard]] Appended append(Bytes row, std::span<const BlobPart> parts) noexcept;
  template <typename Row>
    requires std::is_trivially_copyable_v<Row> && (!std::is_convertible_v<const Row&, Bytes>)
  [[nodiscard]] Appended append(const Row& row, std::span<const BlobPart> parts) noexcept {
    return append(std::as_bytes(std::span(&row, 1)), parts);
  }
  // Payloads that were written for a row which was then refused (a strict clock that went back): they take space, and nothing
  // refers to them (F-121).
  uint64_t orphans() const noexcept;

  FeedWriter& rows() noexcept;  // for all that is not appending
  void sync();                  // payloads, then rows
  void close();                 // rows, then payloads; throws as FeedWriter::close()

 private:
  class Impl;
  explicit BlobWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct Blob {
  enum class Status : uint8_t {
    kOk,
    kNull,     // the row has none
    kExpired,  // given up by retention, or by the window of a memory feed
    kMissing,  // its chunk is gone
    kDamaged,  // another content than the row says (F-122); other rows are none the worse
  };
  Status status = Status::kNull;
  BlobRef ref;
  Bytes payload;                     // kOk; as long as `hold`
  std::shared_ptr<const void> hold;
  std::string problem;               // kExpired, kMissing, kDamaged: which feed, chunk and place
};

// The payloads of the rows that a FeedReader gives. Thread safety: one thread. Changes nothing.
class BlobReader {
 public:
  // Throws FeedError kFeedNotFound, kUsage for a feed without blob columns. A column's feed that is not there makes its blobs
  // kMissing.
  static BlobReader open(const std::string& base, const std::string& name, Files& files = Files::system());
  BlobReader(BlobReader&&) noexcept;
  BlobReader& operator=(BlobReader&&) noexcept;
  ~BlobReader();

  const std::vector<BlobColumn>& columns() const noexcept;
  size_t column(std::string_view name) const;
  // Checked against its checksum each time (F-122). Throws only for what the machine refuses.
  Blob get(Bytes row, size_t column);
  Blob get(const Item& row, size_t column_index) { return get(row.bytes, column_index); }

 private:
  class Impl;
  explicit BlobReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Every reference of every row that is on disk, looked up by pread; `verify` tells it, too (F-133).
struct BlobCheck {
  uint64_t rows = 0;
  uint64_t blobs = 0;
  uint64_t bytes = 0;
  uint64_t orphans = 0;                // payloads that no row refers to
  uint64_t bad = 0;
  std::vector<std::string> problems;   // of the first 1,000: "row 17, image: ..."
};
BlobCheck check_blobs(const std::string& base, const std::string& name, Files& files = Files::system());
// Retention of a column follows its rows (F-123): frames of `<feed>.blob.<column>` below this number belong to rows that are gone.
// Chunks that end at or before it may go, and no others.
uint64_t blob_floor_seq(const std::string& base, const std::string& name, std::string_view column, Files& files = Files::system());

}  // namespace tidepool::feed
