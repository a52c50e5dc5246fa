#include "tidepool/feed/index.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "tidepool/feed/crc32c.h"

namespace tidepool::feed {
namespace {

constexpr size_t kIndexIdentityBytes = 124;
constexpr size_t kIndexCountAt = 128;

std::vector<std::byte> encode_header(const ChunkHeader& header, uint64_t first_seq) {
  std::vector<std::byte> bytes(kIndexHeaderBytes);
  std::byte* at = bytes.data();
  store(at, kIndexMagic);
  store(at + 8, kMajor);
  store(at + 10, kMinor);
  store(at + 12, static_cast<uint32_t>(kIndexEntryBytes));
  store(at + 16, header.base_id);
  store(at + 32, header.feed_id);
  store(at + 48, header.ordinal);
  store(at + 56, header.epoch);
  store(at + 64, first_seq);
  store(at + 72, header.created_wall_ns);
  store(at + 80, static_cast<uint64_t>(header.layout == Layout::kRows ? rows_per_index_entry(header) : 1));
  store(at + kIndexIdentityBytes, crc32c(Bytes(bytes).first(kIndexIdentityBytes)));
  return bytes;
}

void encode_entry(const IndexEntry& entry, std::byte* at) {
  store(at + 4, entry.flags);
  store(at + 8, entry.first_seq);
  store(at + 16, entry.count);
  store(at + 20, entry.payload_crc);
  store(at + 24, entry.offset);
  store(at + 32, entry.length);
  for (size_t k = 0; k < kClocksMax; ++k) {
    store(at + 40 + 16 * k, entry.min[k]);
    store(at + 48 + 16 * k, entry.max[k]);
    store(at + 88 + 8 * k, entry.highest[k]);
  }
  store(at + 112, entry.stream_epoch);
  store(at + 120, entry.stream_seq);
  store(at, crc32c({at + 4, kIndexEntryBytes - 4}));
}

}  // namespace

uint64_t rows_per_index_entry(const ChunkHeader& header) noexcept {
  return header.record_bytes == 0 ? 1 : std::max<uint64_t>(1, header.block_bytes / header.record_bytes);
}

IndexBuilder::IndexBuilder(const ChunkHeader& header, uint64_t first_seq)
    : header_(header), first_seq_(first_seq), rows_per_entry_(rows_per_index_entry(header)) {}

// Without branches: it is a row's share of the persister's time.
void IndexBuilder::note(const std::byte* first_clock, uint64_t stride, uint64_t count, size_t k, IndexEntry& entry) noexcept {
  ClockBounds& all = bounds_[k];
  ClockBounds& marked = marked_[k];
  uint64_t lowest = ~uint64_t{0};
  uint64_t highest = 0;
  uint64_t so_far = all.max;  // 0 before the first record: nothing is below
  uint64_t since_mark = marked.max;
  bool back = false;
  bool back_since_mark = false;
  for (uint64_t i = 0; i < count; ++i) {
    const auto clock = load<uint64_t>(first_clock + i * stride);
    back |= clock < so_far;
    back_since_mark |= clock < since_mark;
    so_far = std::max(so_far, clock);
    since_mark = std::max(since_mark, clock);
    lowest = std::min(lowest, clock);
    highest = std::max(highest, clock);
  }
  if (back) {
    all.ordered = false;
    entry.flags |= 1u << k;
  }
  all.min = std::min(all.min, lowest);
  all.max = so_far;
  marked.ordered = marked.ordered && !back_since_mark;
  marked.min = std::min(marked.min, lowest);
  marked.max = since_mark;
  entry.min[k] = entry.count == 0 ? lowest : std::min(entry.min[k], lowest);
  entry.max[k] = entry.count == 0 ? highest : std::max(entry.max[k], highest);
  entry.highest[k] = all.max;
}

bool IndexBuilder::fold(const std::byte* data, uint64_t end, uint64_t begin) {
  if (header_.layout == Layout::kRows) {
    const uint32_t bytes = header_.record_bytes;
    while (position_ + bytes <= end) {
      const uint64_t in_entry = records_ % rows_per_entry_;
      if (in_entry == 0) {
        IndexEntry entry;
        entry.first_seq = first_seq_ + records_;
        entry.offset = position_;
        entries_.push_back(entry);
      }
      IndexEntry& entry = entries_.back();
      const uint64_t count = std::min(rows_per_entry_ - in_entry, (end - position_) / bytes);
      for (size_t k = 0; k < header_.clocks; ++k) note(data + (position_ - begin) + 8 * k, bytes, count, k, entry);
      entry.count += static_cast<uint32_t>(count);
      entry.length += count * bytes;
      position_ += count * bytes;
      records_ += count;
    }
    return true;
  }
  while (position_ < end) {
    const auto head = decode_frame(data + (position_ - begin), end - position_, first_seq_ + records_, header_.align_log2);
    if (!head) return false;
    const uint64_t payload_at = frame_payload_offset(head->meta_bytes, header_.align_log2);
    const uint64_t span = frame_span(head->meta_bytes, head->length - payload_at, header_.align_log2);
    if (span > end - position_) return false;
    IndexEntry entry;
    entry.first_seq = head->seq;
    entry.offset = position_;
    entry.length = head->length;
    entry.payload_crc = crc32c({data + (position_ - begin) + payload_at, head->length - payload_at});
    entry.stream_epoch = head->stream_epoch;
    entry.stream_seq = head->stream_seq;
    for (size_t k = 0; k < header_.clocks; ++k) note(reinterpret_cast<const std::byte*>(&head->clocks[k]), 8, 1, k, entry);
    entry.count = 1;
    entries_.push_back(entry);
    position_ += span;
    ++records_;
  }
  return true;
}

size_t IndexBuilder::complete_entries() const noexcept {
  return header_.layout == Layout::kRows ? static_cast<size_t>(records_ / rows_per_entry_) : entries_.size();
}

void IndexBuilder::mark() noexcept {
  for (ClockBounds& bounds : marked_) bounds = {};
}

ChunkSummary IndexBuilder::summary() const {
  ChunkSummary summary;
  summary.first_seq = first_seq_;
  summary.count = records_;
  summary.bytes = position_;
  std::copy(std::begin(bounds_), std::end(bounds_), std::begin(summary.clocks));
  return summary;
}

std::vector<std::byte> encode_index(const ChunkHeader& header, uint64_t first_seq, const std::vector<IndexEntry>& entries) {
  std::vector<std::byte> bytes = encode_header(header, first_seq);
  store(bytes.data() + kIndexCountAt, static_cast<uint64_t>(entries.size()));
  bytes.resize(kIndexHeaderBytes + entries.size() * kIndexEntryBytes);
  for (size_t i = 0; i < entries.size(); ++i) encode_entry(entries[i], bytes.data() + kIndexHeaderBytes + i * kIndexEntryBytes);
  return bytes;
}

std::optional<std::vector<IndexEntry>> decode_index(Bytes file, const ChunkHeader& header, uint64_t first_seq) {
  if (file.size() < kIndexHeaderBytes) return std::nullopt;
  const auto expected = encode_header(header, first_seq);
  if (std::memcmp(file.data(), expected.data(), 8) != 0 || load<uint16_t>(file.data() + 8) != kMajor) return std::nullopt;
  if (crc32c(file.first(kIndexIdentityBytes)) != load<uint32_t>(file.data() + kIndexIdentityBytes)) return std::nullopt;
  if (std::memcmp(file.data() + 12, expected.data() + 12, kIndexIdentityBytes - 12) != 0) return std::nullopt;
  const uint64_t count = std::min<uint64_t>(load<uint64_t>(file.data() + kIndexCountAt), (file.size() - kIndexHeaderBytes) / kIndexEntryBytes);
  std::vector<IndexEntry> entries;
  uint64_t seq = first_seq;
  uint64_t offset = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const std::byte* at = file.data() + kIndexHeaderBytes + i * kIndexEntryBytes;
    if (crc32c({at + 4, kIndexEntryBytes - 4}) != load<uint32_t>(at)) break;
    IndexEntry entry;
    entry.flags = load<uint32_t>(at + 4);
    entry.first_seq = load<uint64_t>(at + 8);
    entry.count = load<uint32_t>(at + 16);
    entry.payload_crc = load<uint32_t>(at + 20);
    entry.offset = load<uint64_t>(at + 24);
    entry.length = load<uint64_t>(at + 32);
    for (size_t k = 0; k < kClocksMax; ++k) {
      entry.min[k] = load<uint64_t>(at + 40 + 16 * k);
      entry.max[k] = load<uint64_t>(at + 48 + 16 * k);
      entry.highest[k] = load<uint64_t>(at + 88 + 8 * k);
    }
    entry.stream_epoch = load<uint64_t>(at + 112);
    entry.stream_seq = load<uint64_t>(at + 120);
    // What does not continue the entry before it, or leaves the chunk, is as bad as a wrong checksum.
    if (entry.first_seq != seq || entry.offset < offset || entry.offset > header.capacity || entry.length > header.capacity - entry.offset) break;
    seq += entry.count;
    offset = entry.offset + entry.length;
    entries.push_back(entry);
  }
  return entries;
}

LiveIndex LiveIndex::create(Files& files, const std::string& path, const ChunkHeader& header, uint64_t first_seq, uint32_t mode) {
  LiveIndex index;
  index.file_ = File::open(files, path, O_RDWR | O_CREAT | O_TRUNC, mode, true);
  auto bytes = encode_header(header, first_seq);
  index.file_.write(bytes, 0);
  index.page_ = Mapping::of(index.file_, kIndexHeaderBytes, true);
  return index;
}

void LiveIndex::add(const IndexBuilder& builder) {
  const size_t complete = builder.complete_entries();
  if (complete <= written_) return;
  std::vector<std::byte> bytes((complete - written_) * kIndexEntryBytes);
  for (size_t i = written_; i < complete; ++i) encode_entry(builder.entries()[i], bytes.data() + (i - written_) * kIndexEntryBytes);
  file_.write(bytes, kIndexHeaderBytes + written_ * kIndexEntryBytes);
  written_ = complete;
  shm::PublishedWord(page_.data() + kIndexCountAt).publish(complete);
}

}  // namespace tidepool::feed
