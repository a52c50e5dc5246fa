#pragma once
// One chunk as a reader has it: mapped read-only, from shared memory while it is live there, else from its file. Private to feed/.
//
// Thread safety: one thread. Lifetime: shared by the reader and by whoever holds what it gave out; the mapping ends with the last.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/feed/chunk.h"
#include "tidepool/feed/held.h"
#include "tidepool/feed/index.h"

namespace tidepool::feed {

class AttachedChunk {
 public:
  enum class Outcome : uint8_t { kOk, kNotYet, kGone };
  // Where `info` lies: kNotYet: prepared, not begun. kGone: neither in memory nor on disk. Throws FeedError for what the machine
  // refuses, kCorrupt for a file that is not that chunk.
  static Outcome attach(const FeedInfo& feed, const ChunkInfo& info, Files& files, bool verify, std::shared_ptr<AttachedChunk>& chunk,
                        int looks = 4);

  const ChunkHeader& header() const noexcept { return header_; }
  uint64_t first_seq() const noexcept { return first_seq_; }
  const std::byte* data() const noexcept { return data_; }
  const std::string& path() const noexcept { return path_; }
  bool live() const noexcept { return static_cast<bool>(words_); }
  // Of a writer that left no footer and no live object: what is here may yet be taken over by the next one. Attach again on news.
  bool provisional() const noexcept { return provisional_; }
  const ChunkWords& words() const noexcept { return words_; }
  void enter(HeldLedger& ledger) { entry_ = ledger.add(path_, mapping_ ? mapping_.size() : words_mapping_.size()); }

  // Bytes of the data area that hold records, never beyond what is mapped.
  uint64_t end() const noexcept {
    if (!words_) return fixed_end_;
    const uint64_t committed = words_.committed().load();
    if (committed > header_.capacity) [[unlikely]] return clip(header_.capacity);
    return header_.record_bytes == 0 ? committed : clip(committed);
  }
  // The same without cutting it to whole rows: enough to see whether a row is there.
  uint64_t end_bytes() const noexcept { return words_ ? std::min(words_.committed().load(), header_.capacity) : fixed_end_; }
  // The bytes there are wanted as soon as they come: one way for the word that tells of them and for themselves, instead of two.
  void expect(uint64_t offset) const noexcept {
    if (words_ && offset < header_.capacity) __builtin_prefetch(data_ + offset);
  }
  bool sealed() const noexcept { return !words_ ? !provisional_ : words_.state().load() >= static_cast<uint32_t>(WordState::kSealed); }
  uint64_t records();            // within end()
  uint64_t end_seq() { return first_seq_ + records(); }
  // Where record `index` begins; it must be < records().
  uint64_t offset_of(uint64_t index) noexcept { return header_.record_bytes != 0 ? index * header_.record_bytes : offsets_[index]; }
  uint64_t clock_of(uint64_t index, size_t k) noexcept {
    return load<uint64_t>(data_ + offset_of(index) + (header_.record_bytes != 0 ? 0 : 16) + 8 * k);
  }
  // No clock of it goes backwards over the records below end(), which must have been loaded before.
  bool ordered(size_t k) const noexcept { return words_ ? (words_.unordered().load() >> k & 1) == 0 : ordered_[k]; }

  // The bytes [from, to) check out, or were checked before; else the end of the first damaged block.
  std::optional<uint64_t> damage(uint64_t from, uint64_t to) {
    if (from >= checked_from_ && to <= checked_to_) [[likely]] return std::nullopt;
    return check(from, to);
  }
  // A whole copy may take its place (adopt.h): attach again on news.
  bool seen_damage() const noexcept { return seen_damage_; }
  // First record at or behind byte `offset`; records() if none is known to be.
  uint64_t record_at_or_behind(uint64_t offset);

  // The records that an entry of the index describes, `index` among them; without one as many as an entry would, of unknown clocks.
  struct Block {
    uint64_t first = 0;
    uint64_t count = 0;
    ClockBounds clocks[kClocksMax];
  };
  Block block_at(uint64_t index);

  // The first record >= `from_index` whose clock k is >= t, below `count`; `count` if none.
  uint64_t first_not_before(uint64_t t, size_t k, uint64_t from_index, uint64_t count);

 private:
  uint64_t clip(uint64_t bytes) const noexcept { return header_.record_bytes == 0 ? bytes : bytes / header_.record_bytes * header_.record_bytes; }
  std::optional<uint64_t> check(uint64_t from, uint64_t to);
  bool resync(uint64_t end);
  bool goes_on(uint64_t offset, uint64_t seq, uint64_t end);
  void load_index();

  ChunkHeader header_;
  std::string path_;
  std::string index_path_;
  Files* files_ = nullptr;
  Mapping mapping_;
  Mapping words_mapping_;
  ChunkWords words_;
  const std::byte* data_ = nullptr;
  uint64_t first_seq_ = 0;
  bool provisional_ = false;
  uint64_t fixed_end_ = 0;
  bool ordered_[kClocksMax] = {true, true, true};
  std::vector<uint32_t> table_;  // block checksums; empty: nothing to check against
  std::vector<bool> good_;
  uint64_t checked_from_ = 0;
  uint64_t checked_to_ = 0;
  std::vector<uint64_t> offsets_;  // frames, as far as walked; those lost with a head that is no head have its place
  uint64_t walked_ = 0;
  bool seen_damage_ = false;
  uint64_t lost_from_ = ~uint64_t{0};  // no frame was found behind the damage here
  uint64_t count_ = 0;  // records, by the footer; 0: none says
  std::vector<IndexEntry> index_;
  uint64_t index_bytes_ = 0;  // of its file, when it was read
  bool index_tried_ = false;
  HeldLedger::Entry entry_;
};

}  // namespace tidepool::feed
