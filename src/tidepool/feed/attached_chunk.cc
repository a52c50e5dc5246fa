#include "tidepool/feed/attached_chunk.h"

#include <fcntl.h>

#include <algorithm>

#include "tidepool/feed/crc32c.h"

namespace tidepool::feed {
namespace {

bool is_it(const ChunkHeader& header, const FeedInfo& feed, const ChunkInfo& info) noexcept {
  return header.base_id == feed.base_id && header.feed_id == feed.id && header.ordinal == info.ordinal && header.epoch == info.epoch &&
         feed.knows(header.schema_id, header.schema_hash) && header.created_wall_ns == info.tag && header.layout == feed.schema.layout() &&
         header.clocks == feed.schema.clocks() && header.record_bytes == feed.version(header.schema_id)->record_bytes();
}

// How far behind this frame the next one begins; 0: it is no frame, or not that one.
uint64_t span_of(const std::byte* at, uint64_t available, uint64_t seq, uint8_t align_log2) noexcept {
  const auto head = decode_frame(at, available, seq, align_log2);
  if (!head) return 0;
  const uint64_t span = frame_span(head->meta_bytes, head->length - frame_payload_offset(head->meta_bytes, align_log2), align_log2);
  return span <= available ? span : 0;
}

}  // namespace

AttachedChunk::Outcome AttachedChunk::attach(const FeedInfo& feed, const ChunkInfo& info, Files& files, bool verify, std::shared_ptr<AttachedChunk>& out,
                                             int looks) {
  auto chunk = std::make_shared<AttachedChunk>();
  chunk->files_ = &files;
  const std::string disk_path = concat(feed.directory, "/", chunk_name(info.ordinal));
  bool words_alone = false;
  if (const auto live = trusted_live_directory(feed)) {
    const std::string path = concat(*live, "/", chunk_name(info.ordinal));
    if (const File file = File::open_if_there(files, path, O_RDONLY); file) {
      std::vector<std::byte> page(kChunkPageBytes);
      const Bytes head = file.read(page, 0);
      const ChunkHeader header = head.size() < kChunkPageBytes ? ChunkHeader{} : ChunkHeader::decode(head, path);
      // Of another boot or making: as if it were not there.
      if (is_it(header, feed, info) && header.boot_id == this_boot_id() && this_boot_id() != kNoId) {
        const uint64_t size = file.size();
        words_alone = size < header.file_bytes();
        chunk->header_ = header;
        chunk->words_mapping_ = Mapping::of(file, words_alone ? kChunkPageBytes : header.file_bytes(), false);
        chunk->words_ = ChunkWords(chunk->words_mapping_.data());
        const auto state = static_cast<WordState>(chunk->words_.state().load());
        if (state == WordState::kPrepared) return Outcome::kNotYet;
        const auto activation = decode_activation({chunk->words_mapping_.data(), kChunkPageBytes}, header);
        if (!activation || state == WordState::kAbandoned) return Outcome::kGone;
        chunk->first_seq_ = activation->first_seq;
        chunk->path_ = path;
        chunk->index_path_ = concat(*live, "/", index_name(info.ordinal));
        if (!words_alone) {
          chunk->data_ = chunk->words_mapping_.data() + header.data_offset;
          chunk->checked_to_ = ~uint64_t{0};  // memory, written on this boot
          out = std::move(chunk);
          return Outcome::kOk;
        }
      }
    }
  }
  const File file = File::open_if_there(files, disk_path, O_RDONLY);
  if (!file) return Outcome::kGone;
  if (chunk->words_ && words_alone) {
    std::vector<std::byte> page(kChunkPageBytes);
    const ChunkHeader header = ChunkHeader::decode(file.read(page, 0), disk_path);
    // While it is written its file is as long as it may become; sealed, it is cut, and its footer tells more than the words. Who was
    // killed in between, or met a disk that took no more, left what the words vouch for and no footer.
    uint64_t needed = header.file_bytes();
    if (is_it(header, feed, info) && file.size() < needed && chunk->words_.state().load() >= static_cast<uint32_t>(WordState::kSealed)) {
      const uint64_t committed = chunk->words_.committed().load();
      if (committed <= header.capacity && !examine_chunk(file, false).footer) needed = header.data_offset + committed;
    }
    if (is_it(header, feed, info) && file.size() >= needed) {
      chunk->mapping_ = Mapping::of(file, needed, false);
      chunk->data_ = chunk->mapping_.data() + header.data_offset;
      chunk->path_ = disk_path;
      chunk->checked_to_ = ~uint64_t{0};
      out = std::move(chunk);
      return Outcome::kOk;
    }
    chunk->words_ = {};
  }
  if (!info.settled()) {
    // Made, and cut off by a power failure before its first sync: nothing durable is in it.
    std::vector<std::byte> page(kChunkPageBytes);
    const Bytes head = file.read(page, 0);
    if (head.size() < kChunkPageBytes || std::all_of(head.begin(), head.end(), [](std::byte byte) { return byte == std::byte{0}; })) return Outcome::kNotYet;
  }
  DiskChunk disk = examine_chunk(file, false);
  if (!is_it(disk.header, feed, info)) {
    const ChunkHeader& found = disk.header;
    if (found.base_id == feed.base_id && found.feed_id == feed.id && found.created_wall_ns == info.tag && !feed.knows(found.schema_id, found.schema_hash)) {
      throw FeedError(Fault::kSchemaMismatch, disk_path, " is of version ", found.schema_id, " of the schema with hash ", found.schema_hash,
                      ", which is none of feed ", feed.name, "'s: it is not read as if it were");
    }
    throw FeedError(Fault::kCorrupt, disk_path, " is not chunk ", info.ordinal, " of feed ", feed.name, ": another feed, epoch or making");
  }
  if (!disk.activation) return info.settled() ? Outcome::kGone : Outcome::kNotYet;
  chunk->header_ = disk.header;
  chunk->path_ = disk_path;
  chunk->index_path_ = concat(feed.directory, "/", index_name(info.ordinal));
  chunk->first_seq_ = disk.activation->first_seq;
  chunk->provisional_ = !disk.footer && !info.settled();
  chunk->fixed_end_ = disk.verified_end;
  if (disk.footer) chunk->count_ = disk.footer->summary.count;
  for (size_t k = 0; k < kClocksMax; ++k) chunk->ordered_[k] = disk.footer && disk.footer->summary.clocks[k].ordered;
  if (disk.footer && verify) {
    chunk->table_ = disk.table;
    chunk->good_.resize(disk.table.size());
  } else {
    chunk->checked_to_ = ~uint64_t{0};  // without a footer it was checked just now
  }
  const uint64_t size_now = file.size();
  // With nothing verified in it the file may end anywhere behind its first page.
  const uint64_t mapped_end = disk.verified_end == 0 ? std::min<uint64_t>(size_now, disk.header.data_offset) : disk.header.data_offset + disk.verified_end;
  if (size_now < mapped_end) {
    // The recovery of a next writer takes an unsealed chunk's unverified end away (F-52): what is left is examined again.
    if (looks <= 1) throw FeedError(Fault::kCorrupt, disk_path, " was cut to ", size_now, " bytes each time that it was opened: expected ", mapped_end);
    return attach(feed, info, files, verify, out, looks - 1);
  }
  chunk->mapping_ = Mapping::of(file, mapped_end, false);
  chunk->data_ = chunk->mapping_.data() + disk.header.data_offset;
  out = std::move(chunk);
  return Outcome::kOk;
}

uint64_t AttachedChunk::records() {
  const uint64_t bytes = end();
  if (header_.record_bytes != 0) return bytes / header_.record_bytes;
  if (walked_ == 0 && !live()) {
    load_index();
    for (const IndexEntry& entry : index_) offsets_.push_back(entry.offset);
    if (!offsets_.empty()) {
      // The last of them is walked over again: it tells where the next one begins.
      walked_ = offsets_.back();
      offsets_.pop_back();
    }
  }
  while (walked_ < bytes) {
    const uint64_t span = span_of(data_ + walked_, bytes - walked_, first_seq_ + offsets_.size(), header_.align_log2);
    if (span == 0) {
      if (resync(bytes)) continue;
      break;  // damaged from here: the caller finds records() short of what was promised
    }
    offsets_.push_back(walked_);
    walked_ += span;
  }
  return offsets_.size();
}

// A head at walked_ is damaged, and no index says where the next frame is: from the next block on, the first place where a frame of this
// chunk begins from which all goes on to the end, or to the next damaged block (F-119). A payload that holds frames of another chunk does
// not: their numbers would have to lead exactly there.
bool AttachedChunk::resync(uint64_t end) {
  if (live() || offsets_.size() >= count_ || walked_ == lost_from_) return false;
  const uint64_t block_bytes = header_.block_bytes;
  const uint64_t step = uint64_t{1} << header_.align_log2;
  for (uint64_t at = (walked_ / block_bytes + 1) * block_bytes; at < end && end - at >= kFrameHeadBytes; at += step) {
    const uint64_t seq = load<uint64_t>(data_ + at + 8);  // most places are none by this alone
    if (seq <= first_seq_ + offsets_.size() || seq - first_seq_ >= count_ || !goes_on(at, seq, end)) continue;
    offsets_.resize(seq - first_seq_, walked_);  // give() finds no frame there: a gap up to this one
    walked_ = at;
    return true;
  }
  lost_from_ = walked_;
  return false;
}

bool AttachedChunk::goes_on(uint64_t offset, uint64_t seq, uint64_t end) {
  const uint64_t begin = offset;
  while (offset < end) {
    const uint64_t span = span_of(data_ + offset, end - offset, seq, header_.align_log2);
    if (span == 0) break;
    offset += span;
    ++seq;
  }
  if (offset == end) return seq == first_seq_ + count_;
  return offset != begin && damage(offset, offset + 1).has_value();
}

std::optional<uint64_t> AttachedChunk::check(uint64_t from, uint64_t to) {
  const uint64_t block_bytes = header_.block_bytes;
  for (uint64_t block = from / block_bytes; block * block_bytes < to; ++block) {
    if (block >= table_.size()) return to;
    if (good_[block]) continue;
    const uint64_t begin = block * block_bytes;
    const uint64_t end = std::min(begin + block_bytes, fixed_end_);
    if (crc32c({data_ + begin, end - begin}) != table_[block]) {
      seen_damage_ = true;
      return end;
    }
    good_[block] = true;
  }
  // The window that needs no look: what was just checked, grown if it continues.
  const uint64_t begin = from / block_bytes * block_bytes;
  const uint64_t until = std::min((to + block_bytes - 1) / block_bytes * block_bytes, fixed_end_);
  if (begin > checked_to_ || until < checked_from_) {
    checked_from_ = begin;
    checked_to_ = until;
  } else {
    checked_from_ = std::min(checked_from_, begin);
    checked_to_ = std::max(checked_to_, until);
  }
  return std::nullopt;
}

uint64_t AttachedChunk::record_at_or_behind(uint64_t offset) {
  const uint64_t count = records();
  if (header_.record_bytes != 0) return std::min(count, (offset + header_.record_bytes - 1) / header_.record_bytes);
  return static_cast<uint64_t>(std::lower_bound(offsets_.begin(), offsets_.end(), offset) - offsets_.begin());
}

// What the index says, as far as it is there. Of a live chunk it grows: it is read again once it is an eighth longer, so that all of its
// readings together cost as much as a few of the last; the records behind it are looked at themselves (F-33).
void AttachedChunk::load_index() {
  if (index_tried_ && !live()) return;
  index_tried_ = true;
  try {
    const File file = File::open_if_there(*files_, index_path_, O_RDONLY);
    if (!file) return;  // a live one goes with its chunk's name: what was read of it stays true
    const uint64_t size = file.size();
    if (live() && index_bytes_ != 0 && size < index_bytes_ + index_bytes_ / 8 + kIndexEntryBytes) return;
    std::vector<std::byte> bytes(std::min<uint64_t>(size, uint64_t{1} << 32));
    if (auto entries = decode_index(file.read(bytes, 0), header_, first_seq_)) index_ = std::move(*entries);
    index_bytes_ = size;
    // A cache: entries beyond the data are another life's (F-33).
    while (!index_.empty() && (index_.back().offset >= end() || index_.back().length > end() - index_.back().offset)) index_.pop_back();
  } catch (const FeedError&) {  // then without
  }
}

AttachedChunk::Block AttachedChunk::block_at(uint64_t index) {
  load_index();
  Block block;
  const uint64_t seq = first_seq_ + index;
  const auto above = std::upper_bound(index_.begin(), index_.end(), seq, [](uint64_t s, const IndexEntry& entry) { return s < entry.first_seq; });
  if (above != index_.begin()) {
    const IndexEntry& entry = *(above - 1);
    if (seq - entry.first_seq < entry.count) {
      block.first = entry.first_seq - first_seq_;
      block.count = entry.count;
      for (size_t k = 0; k < kClocksMax; ++k) block.clocks[k] = {entry.min[k], entry.max[k], (entry.flags >> k & 1) == 0};
      return block;
    }
  }
  const uint64_t step = rows_per_index_entry(header_);
  block.first = index / step * step;
  block.count = std::min(step, std::max(records(), index + 1) - block.first);
  for (ClockBounds& bounds : block.clocks) bounds = {0, ~uint64_t{0}, false};
  return block;
}

uint64_t AttachedChunk::first_not_before(uint64_t t, size_t k, uint64_t from_index, uint64_t count) {
  if (ordered(k)) {
    uint64_t low = from_index;
    uint64_t high = count;
    while (low < high) {
      const uint64_t middle = low + (high - low) / 2;
      if (clock_of(middle, k) >= t) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }
  uint64_t at = from_index;
  load_index();
  if (!index_.empty()) {
    // `highest` never falls: entries before the first that reaches t hold nothing.
    const auto found = std::lower_bound(index_.begin(), index_.end(), t, [&](const IndexEntry& entry, uint64_t value) { return entry.highest[k] < value; });
    at = std::max(at, found == index_.end() ? index_.back().first_seq + index_.back().count - first_seq_ : found->first_seq - first_seq_);
  }
  while (at < count && clock_of(at, k) < t) ++at;
  return std::min(at, count);
}

}  // namespace tidepool::feed
