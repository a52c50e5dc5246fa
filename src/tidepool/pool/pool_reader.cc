#include "tidepool/pool/pool_reader.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "tidepool/pool/slot_words.h"
#include "tidepool/shm/commit_word.h"
#include "tidepool/shm/words.h"

namespace tidepool::pool {

using shm::CommitWord;

void DropCounts::count_late(ReadResult why) noexcept {
  switch (why) {
    case ReadResult::kFrame:
    case ReadResult::kDead:
      return;
    case ReadResult::kUncommitted:
      ++uncommitted;
      break;
    case ReadResult::kChanged:
      ++changed;
      break;
    case ReadResult::kIdentity:
      ++identity;
      break;
    case ReadResult::kHeaderInvalid:
      ++header_invalid;
      break;
    case ReadResult::kPayloadInvalid:
      ++payload_invalid;
      break;
  }
  ++drops_late;
}

PoolReader::PoolReader(std::shared_ptr<const EpochMap> map) : map_(std::move(map)), last_words_(map_->slot_count()) {
  static_assert(sizeof tensor_words_ == kUsedWords * 8);
}

ReadResult PoolReader::read(uint64_t seq, FrameView& view, uint64_t trace_id) noexcept {
  view.clear();
  if (!map_->alive()) return ReadResult::kDead;
  const auto index = static_cast<uint32_t>(seq) & map_->slot_mask();
  const std::byte* const slot = map_->slot(index);
  const uint64_t word = CommitWord(slot).load();
  if (!CommitWord::is_committed(word)) return ReadResult::kUncommitted;
  if (CommitWord::seq_of(word) != seq) {
    // The order of wire.md 8.2: a word that moved while we looked counts as changed, one that stands as another frame.
    return CommitWord(slot).unchanged(word) ? ReadResult::kIdentity : ReadResult::kChanged;
  }
  return read_committed(word, slot, index, view, trace_id);
}

std::optional<uint64_t> PoolReader::successor_in_slot(uint64_t seq) const noexcept {
  const uint64_t word = CommitWord(map_->slot(static_cast<uint32_t>(seq) & map_->slot_mask())).load();
  if (!CommitWord::is_committed(word) || CommitWord::seq_of(word) <= seq) return std::nullopt;
  return CommitWord::seq_of(word);
}

std::optional<PoolReader::Remains> PoolReader::remains_if_overtaken(uint64_t seq) const noexcept {
  const auto word_at = [this](uint64_t of) { return CommitWord(map_->slot(static_cast<uint32_t>(of) & map_->slot_mask())).load(); };
  const uint64_t word = word_at(seq);
  const uint64_t held = CommitWord::seq_of(word);
  if (held <= seq || ((held ^ seq) & map_->slot_mask()) != 0) return std::nullopt;
  // Sequences are claimed, and committed, in order (rulings P-1): from `held` on each slot has that of this lap, up to a place from
  // which on each has that of the lap before.
  const auto last = [&](auto&& reached) {
    uint64_t is = 0, is_not = map_->slot_count();
    while (is_not - is > 1) {
      const uint64_t middle = is + (is_not - is) / 2;
      (reached(held + middle) ? is : is_not) = middle;
    }
    return held + is;
  };
  const uint64_t begun = last([&](uint64_t of) { return CommitWord::seq_of(word_at(of)) >= of; });
  const uint64_t committed = CommitWord::is_committed(word)
                                 ? last([&](uint64_t of) { return word_at(of) >= CommitWord::committed(of); })
                                 : held - 1;  // it is the first that is not
  return Remains{.oldest = begun - std::min<uint64_t>(begun, map_->slot_count() - 1), .newest = committed};
}

ReadResult PoolReader::read_committed(uint64_t word, const std::byte* slot, uint32_t index, FrameView& view, uint64_t trace_id) noexcept {
  // The window: from the load of `word` to unchanged(). What is copied in it is judged only after it (W-42, W-92).
  auto* const bytes = reinterpret_cast<std::byte*>(view.words_);
  shm::copy_words(bytes + 8, slot + 8, kNearWords - 1);
  if (static_cast<uint8_t>(bytes[kNdimsByte]) > kNearDims) {
    shm::copy_words(bytes + 8 * kNearWords, slot + 8 * kNearWords, kUsedWords - kNearWords);
  } else {  // the lines that hold no more than padding are left alone: they stay in the producer's cache
    for (size_t i = kNearWords; i < kUsedWords; ++i) view.words_[i] = 0;
  }
  if (!CommitWord(slot).unchanged(word)) {
    view.clear();
    return ReadResult::kChanged;
  }
  if (word < last_words_[index]) {  // W-49
    view.clear();
    return ReadResult::kChanged;
  }
  if (const ReadResult result = judge(view.words_, index, view); result != ReadResult::kFrame) {
    view.clear();
    return result;
  }
  last_words_[index] = word;
  if (view.map_ != map_) view.map_ = map_;
  view.slot_ = slot;
  view.word_ = word;
  view.trace_id_ = trace_id;
  return ReadResult::kFrame;
}

// W-43, on the private copy alone. Fills header_ and payload_.
ReadResult PoolReader::judge(const uint64_t* words, uint32_t index, FrameView& view) noexcept {
  wire::SlotHeader& header = view.header_;
  if (tensor_image_ != 0 && has_tensor_length(words) && same_tensor(words, tensor_words_)) {
    if (view.tensor_image_ != tensor_image_) {
      header.tensor = tensor_;
      view.tensor_image_ = tensor_image_;
    }
  } else {
    view.tensor_image_ = 0;
    std::byte slot[wire::kSlotBytes] = {};
    std::memcpy(slot + 8, words + 1, (kUsedWords - 1) * 8);
    if (wire::decode_slot_header(slot, header) != wire::SlotFault::kNone) return ReadResult::kHeaderInvalid;
    std::memcpy(tensor_words_, words, sizeof tensor_words_);
    tensor_ = header.tensor;
    static std::atomic<uint64_t> images{0};
    tensor_image_ = images.fetch_add(1, std::memory_order_relaxed) + 1;  // relaxed: a number alone
    view.tensor_image_ = tensor_image_;
  }
  const FrameFields fields = unpack(words);
  if (fields.payload_offset != 0 || fields.payload_slot != index) return ReadResult::kHeaderInvalid;
  if (last_pool_ == nullptr || last_pool_->pool_id != fields.pool_id) {
    const EpochMap::Pool* const pool = map_->pool(fields.pool_id);
    if (pool == nullptr) return ReadResult::kPayloadInvalid;
    last_pool_ = pool;
  }
  if (fields.values_len_bytes > last_pool_->stride_bytes) return ReadResult::kPayloadInvalid;
  header.values_len_bytes = fields.values_len_bytes;
  header.payload_slot = fields.payload_slot;
  header.pool_id = fields.pool_id;
  header.payload_offset = 0;
  header.timestamp_ns = fields.timestamp_ns;
  header.meta_version = fields.meta_version;
  view.payload_ = last_pool_->slots + uint64_t{index} * last_pool_->stride_bytes;
  return ReadResult::kFrame;
}

}  // namespace tidepool::pool
