#include "tidepool/feed/chunk_scan.h"

#include <algorithm>

#include "tidepool/feed/crc32c.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kWindowBytes = uint64_t{1} << 20;

// How much must be in the window for the record at its beginning; 0: there is none.
uint64_t span_at(const std::byte* at, uint64_t available, uint64_t left, uint64_t seq, const ChunkHeader& header) {
  if (header.layout == Layout::kRows) return header.record_bytes;
  if (available < kFrameHeadBytes) return 0;
  const auto head = decode_frame(at, left, seq, header.align_log2);
  if (!head) return 0;
  const uint64_t payload_at = frame_payload_offset(head->meta_bytes, header.align_log2);
  const uint64_t span = frame_span(head->meta_bytes, head->length - payload_at, header.align_log2);
  return span > left ? 0 : span;
}

}  // namespace

bool fold_file(const File& file, const ChunkHeader& header, uint64_t end, IndexBuilder& index) {
  std::vector<std::byte> window;
  uint64_t wanted = kWindowBytes;
  const uint64_t first_seq = index.summary().first_seq;
  while (index.position() < end) {
    const uint64_t begin = index.position();
    const uint64_t left = end - begin;
    window.resize(std::min(left, wanted));
    const auto got = file.read(window, header.data_offset + begin);
    const uint64_t need = span_at(got.data(), got.size(), left, first_seq + index.records(), header);
    if (need == 0 || need > left) return false;
    if (need > got.size()) {
      if (got.size() < window.size()) return false;  // the file ends
      wanted = need;
      continue;
    }
    const uint64_t until =
        header.layout == Layout::kRows ? begin + got.size() / header.record_bytes * header.record_bytes : begin + got.size();
    index.fold(got.data(), until, begin);  // false at a frame that the window cuts: the next window begins with it
    if (index.position() == begin) return false;
    wanted = kWindowBytes;
  }
  return true;
}

std::vector<BadBlock> bad_blocks(const File& file, const ChunkHeader& header, const std::vector<uint32_t>& table, uint64_t end) {
  std::vector<BadBlock> bad;
  std::vector<std::byte> buffer(header.block_bytes);
  for (uint64_t block = 0; block < table.size(); ++block) {
    const uint64_t from = block * header.block_bytes;
    if (from >= end) break;
    const auto wanted = MutableBytes(buffer).first(std::min<uint64_t>(header.block_bytes, end - from));
    const auto got = file.read(wanted, header.data_offset + from);
    const uint32_t crc = crc32c(got);
    if (got.size() != wanted.size() || crc != table[block]) bad.push_back({block, table[block], crc, got.size() != wanted.size()});
  }
  return bad;
}

SeqRange records_within(const ChunkHeader& header, uint64_t first_seq, uint64_t count, const std::vector<IndexEntry>& index,
                        uint64_t from, uint64_t to) {
  if (header.layout == Layout::kRows) {
    const uint64_t bytes = header.record_bytes;
    return {first_seq + std::min(count, from / bytes), first_seq + std::min(count, (to + bytes - 1) / bytes)};
  }
  SeqRange range{first_seq, first_seq + count};  // without an index: any of them
  for (const IndexEntry& entry : index) {
    if (entry.offset + entry.length <= from) range.first = entry.first_seq + entry.count;
    if (entry.offset >= to) {
      range.end = entry.first_seq;
      break;
    }
  }
  return range;
}

std::optional<uint64_t> first_nonzero(const File& file, uint64_t from, uint64_t to) {
  std::vector<std::byte> buffer(std::min<uint64_t>(to - std::min(from, to), kWindowBytes));
  while (from < to) {
    const auto got = file.read(MutableBytes(buffer).first(std::min<uint64_t>(buffer.size(), to - from)), from);
    if (got.empty()) return std::nullopt;
    const auto at = std::find_if(got.begin(), got.end(), [](std::byte byte) { return byte != std::byte{0}; });
    if (at != got.end()) return from + static_cast<uint64_t>(at - got.begin());
    from += got.size();
  }
  return std::nullopt;
}

}  // namespace tidepool::feed
