#pragma once
// The index of a chunk (docs/formats/feed-index.md): where records are and what times they hold, so that a search need not scan.
// A cache: whatever is wrong with it, it is built again from the chunk (F-34).
//
// Rows: an entry for every `rows_per_entry` rows, so that row r is described by entry r / rows_per_entry.
// Frames: an entry a frame, with its place, and the checksum of its payload.
//
// Thread safety: one thread a builder.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/feed/chunk.h"

namespace tidepool::feed {

inline constexpr uint64_t kIndexMagic = 0x3158444E49505054;  // "TPPINDX1"
inline constexpr size_t kIndexHeaderBytes = 256;
inline constexpr size_t kIndexEntryBytes = 128;

struct IndexEntry {
  uint32_t flags = 0;  // bit k: clock k goes backwards within this entry's records, or against those before
  uint64_t first_seq = 0;
  uint32_t count = 0;
  uint32_t payload_crc = 0;  // frames
  uint64_t offset = 0;       // in the data area
  uint64_t length = 0;
  uint64_t min[kClocksMax] = {};
  uint64_t max[kClocksMax] = {};
  uint64_t highest[kClocksMax] = {};  // over this and all entries before: never falls, whatever the clocks do
  uint64_t stream_epoch = 0;          // frames: the stream's own numbering (rulings F-n)
  uint64_t stream_seq = 0;
};

class IndexBuilder {
 public:
  IndexBuilder() = default;
  IndexBuilder(const ChunkHeader& header, uint64_t first_seq);

  // Look at the records in [position(), end) of the data area. False: frames that are no frames; position() is where.
  // data[0] is byte `begin` of the data area.
  bool fold(const std::byte* data, uint64_t end, uint64_t begin = 0);
  uint64_t position() const noexcept { return position_; }
  uint64_t records() const noexcept { return records_; }
  const std::vector<IndexEntry>& entries() const noexcept { return entries_; }  // the last one may still grow (rows)
  size_t complete_entries() const noexcept;
  const ClockBounds& bounds(size_t k) const noexcept { return bounds_[k]; }
  // The bounds since the last call of this (for segments).
  const ClockBounds& since_mark(size_t k) const noexcept { return marked_[k]; }
  void mark() noexcept;
  ChunkSummary summary() const;

 private:
  // Clock k of `count` records that follow, before they are counted in the entry.
  void note(const std::byte* first_clock, uint64_t stride, uint64_t count, size_t k, IndexEntry& entry) noexcept;
  ChunkHeader header_;
  uint64_t first_seq_ = 0;
  uint64_t rows_per_entry_ = 1;
  uint64_t position_ = 0;
  uint64_t records_ = 0;
  std::vector<IndexEntry> entries_;
  ClockBounds bounds_[kClocksMax];
  ClockBounds marked_[kClocksMax];
};

uint64_t rows_per_index_entry(const ChunkHeader& header) noexcept;

// The bytes of an index file.
std::vector<std::byte> encode_index(const ChunkHeader& header, uint64_t first_seq, const std::vector<IndexEntry>& entries);
// The entries of an index file that check out, from the first on; nullopt when the file is not the index of that chunk at all.
std::optional<std::vector<IndexEntry>> decode_index(Bytes file, const ChunkHeader& header, uint64_t first_seq);

// The live counterpart, in shared memory: the same bytes, its count of entries published as they are completed.
class LiveIndex {
 public:
  static LiveIndex create(Files& files, const std::string& path, const ChunkHeader& header, uint64_t first_seq, uint32_t mode);
  // Add the entries that were completed since.
  void add(const IndexBuilder& builder);
  explicit operator bool() const noexcept { return static_cast<bool>(file_); }

 private:
  File file_;
  Mapping page_;
  size_t written_ = 0;
};

}  // namespace tidepool::feed
