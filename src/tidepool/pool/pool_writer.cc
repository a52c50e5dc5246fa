#include "tidepool/pool/pool_writer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/pool/racing_copy.h"
#include "tidepool/pool/slot_words.h"
#include "tidepool/shm/commit_word.h"
#include "tidepool/shm/words.h"

namespace tidepool::pool {

namespace detail {

constexpr uint64_t kMaxSeq = (uint64_t{1} << 63) - 1;  // wire.md 8: one bit of the word is the commit
constexpr uint32_t kNobody = std::numeric_limits<uint32_t>::max();

// What a writer and its claims share. Open claims form a list through their slots, in the order of their sequences, so
// that commit knows the oldest (rulings P-1) and abort takes any out, both without a search.
struct alignas(64) WriterState {
  struct Slot {
    bool open = false;
    uint32_t older = kNobody;
    uint32_t newer = kNobody;
    uint64_t image = 0;    // the tensor image that this writer left in bytes 64..255 of the slot; 0: none, or not known
    uint64_t claimed = 0;  // the tensor image of the slot's last claim, which `tensors` holds at its index
  };
  struct SizeClass {
    uint32_t stride_bytes = 0;
    uint16_t pool_id = 0;
    std::byte* slots = nullptr;
  };

  std::shared_ptr<EpochMap> map;
  std::vector<SizeClass> size_classes;  // by stride, then in configuration order (wire.md 8.4)
  std::vector<Slot> slots;              // by slot index
  std::vector<wire::TensorHeader> tensors;  // by slot index: a claim's tensor, apart since equal ones need not be stored again
  uint32_t oldest = kNobody;
  uint32_t newest = kNobody;
  bool stamps_claims = true;
  uint64_t next_seq = 0;
  uint64_t committed_seq = 0;
  WriterCounts counts;

  // The last tensor claimed, as it was given and as it was completed, and the slot header words that it makes.
  uint64_t image = 0;
  wire::TensorHeader given;
  wire::TensorHeader complete;
  uint64_t extent_bytes = 0;
  uint64_t words[kSlotWords] = {};

  uint32_t index_of(uint64_t seq) const noexcept { return static_cast<uint32_t>(seq) & map->slot_mask(); }

  void link(uint32_t index) noexcept {
    slots[index].open = true;
    slots[index].older = newest;
    slots[index].newer = kNobody;
    (newest == kNobody ? oldest : slots[newest].newer) = index;
    newest = index;
  }

  void unlink(uint32_t index) noexcept {
    Slot& slot = slots[index];
    (slot.older == kNobody ? oldest : slots[slot.older].newer) = slot.newer;
    (slot.newer == kNobody ? newest : slots[slot.newer].older) = slot.older;
    slot.open = false;
  }

  // Equality without a call or a branch for each field: this is asked for every frame.
  static bool same(const wire::TensorHeader& a, const wire::TensorHeader& b) noexcept {
    uint64_t difference = static_cast<uint64_t>(a.dtype != b.dtype) | static_cast<uint64_t>(a.order != b.order) |
                          static_cast<uint64_t>(a.ndims != b.ndims) | static_cast<uint64_t>(a.progress_unit != b.progress_unit) |
                          (a.progress_stride_bytes ^ b.progress_stride_bytes);
#pragma GCC unroll 8
    for (size_t i = 0; i < wire::kMaxDims; i += 2) {
      difference |= load<uint64_t>(&a.dims[i]) ^ load<uint64_t>(&b.dims[i]);
      difference |= load<uint64_t>(&a.strides[i]) ^ load<uint64_t>(&b.strides[i]);
    }
    return difference == 0;
  }

  // The tensor's rules hold and its image is in `words`.
  bool adopt(const wire::TensorHeader& tensor) noexcept {
    if (image != 0 && same(tensor, given)) return true;
    wire::TensorHeader filled = tensor;
    if (wire::check_and_infer(filled) != wire::TensorFault::kNone) return false;
    given = tensor;
    complete = filled;
    extent_bytes = wire::extent_bytes(filled);
    ++image;
    encode(filled, words);
    return true;
  }

  static void encode(const wire::TensorHeader& tensor, uint64_t (&to)[kSlotWords]) noexcept {
    std::byte bytes[wire::kSlotBytes];
    wire::SlotHeader header;
    header.tensor = tensor;
    wire::encode_slot_header(header, bytes);
    std::memcpy(to, bytes, sizeof bytes);
  }

  const SizeClass* smallest_fit(uint64_t bytes) const noexcept {
    for (const SizeClass& size_class : size_classes) {
      if (bytes <= size_class.stride_bytes) return &size_class;
    }
    return nullptr;
  }
};

}  // namespace detail

using detail::WriterState;

void Claim::drop() noexcept {
  ++state_->counts.aborted;
  state_->unlink(state_->index_of(seq_));
  state_.reset();
}

const wire::TensorHeader& Claim::tensor() const noexcept { return state_->tensors[state_->index_of(seq_)]; }

uint64_t Claim::epoch() const noexcept { return state_->map->epoch(); }
bool Claim::alive() const noexcept { return state_ != nullptr && state_->map->alive(); }

PoolWriter::PoolWriter(std::shared_ptr<EpochMap> map, uint64_t first_seq) : state_(std::make_shared<WriterState>()) {
  if (map == nullptr || map->slot_count() == 0 || !map->writable()) {
    throw Error(Code::kInvalidArgument, "a pool writer needs a mapping with write access");
  }
  if (first_seq > detail::kMaxSeq) throw Error(Code::kInvalidArgument, "first sequence ", first_seq, ": sequences have 63 bits");
  for (uint32_t i = 0; i < map->slot_count(); ++i) {
    const uint64_t word = shm::CommitWord(map->slot(i)).load();
    const uint64_t seq = shm::CommitWord::seq_of(word);
    if (word != 0 && seq >= first_seq) {
      throw Error(Code::kRejected, "epoch ", map->epoch(), " of stream ", map->stream_id(), " already holds frame ", seq,
                  ": a sequence is never used twice in an epoch: attach again for a fresh one, or begin above it");
    }
  }
  state_->map = std::move(map);
  state_->next_seq = first_seq;
  state_->slots.resize(state_->map->slot_count());
  state_->tensors.resize(state_->map->slot_count());
  auto& classes = state_->size_classes;
  for (const EpochMap::Pool& pool : state_->map->pools()) {
    const auto after = std::upper_bound(classes.begin(), classes.end(), pool.stride_bytes,
                                        [](uint32_t stride, const auto& other) { return stride < other.stride_bytes; });
    classes.insert(after, {.stride_bytes = pool.stride_bytes, .pool_id = pool.pool_id, .slots = pool.mutable_slots});
  }
  spare_ = state_;
}

ClaimError PoolWriter::claim(const wire::TensorHeader& tensor, Claim& claim, std::optional<uint32_t> values_len_bytes) noexcept {
  return claim_seq(state_->next_seq, tensor, claim, values_len_bytes);
}

ClaimError PoolWriter::claim_seq(uint64_t seq, const wire::TensorHeader& tensor, Claim& claim,
                                 std::optional<uint32_t> values_len_bytes) noexcept {
  if (claim) abort(claim);
  if (!state_->map->alive()) return ClaimError::kDetached;
  if (!state_->adopt(tensor)) {
    ++state_->counts.invalid;
    return ClaimError::kInvalidTensor;
  }
  return begin(seq, values_len_bytes ? *values_len_bytes : state_->extent_bytes, state_->stamps_claims, claim);
}

// After adopt(tensor).
ClaimError PoolWriter::begin(uint64_t seq, uint64_t values_len_bytes, bool stamp, Claim& claim) noexcept {
  WriterState& state = *state_;
  if (seq < state.next_seq || seq > detail::kMaxSeq) return ClaimError::kInvalidSeq;
  const WriterState::SizeClass* const size_class =
      values_len_bytes <= wire::kNull32 ? state.smallest_fit(values_len_bytes) : nullptr;
  if (size_class == nullptr) {  // W-50
    ++state.counts.too_large;
    return ClaimError::kTooLarge;
  }
  const uint32_t index = state.index_of(seq);
  if (state.slots[index].open) return ClaimError::kTooManyClaims;  // W-41: with no jump this is the oldest of nslots

  // All that takes time comes before the mark: a follower that spins on this slot takes its line back as soon as it can, and a
  // commit that follows at once shall still find it here.
  const uint64_t now_ns = stamp ? monotonic_ns() : 0;
  WriterState::Slot& slot = state.slots[index];
  if (slot.claimed != state.image) {
    slot.claimed = state.image;
    state.tensors[index] = state.complete;
  }
  state.link(index);
  state.next_seq = seq + 1;
  claim.state_ = spare_ ? std::move(spare_) : state_;
  claim.payload_ = size_class->slots + uint64_t{index} * size_class->stride_bytes;
  claim.seq_ = seq;
  claim.claimed_at_ns_ = now_ns;
  claim.values_len_bytes_ = static_cast<uint32_t>(values_len_bytes);
  claim.pool_id_ = size_class->pool_id;
  shm::CommitWord(state.map->mutable_slot(index)).begin(seq);  // W-51: whoever reads the old frame finds out by this word
  return ClaimError::kNone;
}

void PoolWriter::close(Claim& claim) noexcept {
  state_->unlink(state_->index_of(claim.seq_));
  if (spare_ == nullptr) {
    spare_ = std::move(claim.state_);
  } else {
    claim.state_.reset();
  }
  claim.payload_ = nullptr;
  claim.values_len_bytes_ = 0;
}

// W-39: after this, bytes 8..255 of the slot are this frame's, pads and unused dimensions zero. Bytes 64..255 hold nothing
// but the tensor header and padding. They are stored in full unless this writer itself left exactly these bytes there
// when it wrote the slot last: as the only writer of the epoch (W-35) it would store what is there already, and take
// three more cache lines from every reader with it. docs/decisions says what that is worth. Nothing that somebody else
// left (an earlier process, a fresh file) is relied on, and a slot whose word was found foreign (W-41) is written in full.
void PoolWriter::write_header(Claim& claim, const FrameInfo& info) noexcept {
  WriterState& state = *state_;
  // A claim that was not stamped is stamped now and keeps it, so that an early header is the final one.
  if (!info.timestamp_ns && claim.claimed_at_ns_ == 0) claim.claimed_at_ns_ = monotonic_ns();
  const uint32_t index = state.index_of(claim.seq_);
  std::byte* const slot = state.map->mutable_slot(index);
  uint64_t head[kTensorWord] = {};
  pack({.values_len_bytes = claim.values_len_bytes_,
        .payload_slot = index,
        .pool_id = claim.pool_id_,
        .payload_offset = 0,
        .timestamp_ns = info.timestamp_ns ? *info.timestamp_ns : claim.claimed_at_ns_,
        .meta_version = info.meta_version},
       head);
  head[kLengthWord] = uint64_t{wire::kTensorMessageBytes} << 32;
  shm::store_words(slot + 8, reinterpret_cast<const std::byte*>(head + 1), kTensorWord - 1);
  WriterState::Slot& written = state.slots[index];
  if (written.image == written.claimed) return;

  uint64_t encoded[kSlotWords];
  const uint64_t* words = state.words;
  if (written.claimed != state.image) {  // another tensor was claimed since
    WriterState::encode(state.tensors[index], encoded);
    words = encoded;
  }
  // A stream of equal shapes leaves these three lines in its readers' caches: one line a frame moves between the cores.
  shm::store_changed_lines(slot + 8 * kTensorWord, reinterpret_cast<const std::byte*>(words + kTensorWord), kSlotWords - kTensorWord);
  written.image = written.claimed;
}

void PoolWriter::publish_header_early(Claim& claim, const FrameInfo& info) noexcept {
  if (claim.state_ == nullptr || claim.state_ != state_ || !state_->map->alive()) return;
  write_header(claim, info);
}

CommitResult PoolWriter::commit(Claim& claim, const FrameInfo& info) noexcept {
  if (claim.state_ == nullptr) return CommitResult::kNotOpen;
  if (claim.state_ != state_) {  // left over from an earlier epoch's writer, or another stream's
    const bool dead = !claim.alive();
    claim = Claim();
    return dead ? CommitResult::kDetached : CommitResult::kNotOpen;
  }
  WriterState& state = *state_;
  if (!state.map->alive()) {
    close(claim);
    ++state.counts.aborted;
    return CommitResult::kDetached;
  }
  const uint32_t index = state.index_of(claim.seq_);
  if (state.oldest != index) return CommitResult::kOutOfOrder;
  write_header(claim, info);
  const bool ours = shm::CommitWord(state.map->mutable_slot(index)).commit(claim.seq_);
  if (ours) {
    state.committed_seq = claim.seq_;
    ++state.counts.frames;
  } else {
    ++state.counts.overwritten;
    state.slots[index].image = 0;
  }
  close(claim);
  return ours ? CommitResult::kOk : CommitResult::kOverwritten;
}

void PoolWriter::abort(Claim& claim) noexcept {
  if (claim.state_ == nullptr) return;
  if (claim.state_ != state_) {
    claim = Claim();
    return;
  }
  close(claim);
  ++state_->counts.aborted;
}

ClaimError PoolWriter::offer(const wire::TensorHeader& tensor, Bytes payload, const FrameInfo& info) noexcept {
  if (!state_->map->alive()) return ClaimError::kDetached;
  if (state_->oldest != detail::kNobody) return ClaimError::kTooManyClaims;  // its commit would be out of order: consume nothing
  if (!state_->adopt(tensor)) {
    ++state_->counts.invalid;
    return ClaimError::kInvalidTensor;
  }
  Claim claim;
  const ClaimError error = begin(state_->next_seq, payload.size(), !info.timestamp_ns && state_->stamps_claims, claim);
  if (error != ClaimError::kNone) return error;
  if (!payload.empty()) copy_to_slot(claim.payload_, payload.data(), payload.size());
  return commit(claim, info) == CommitResult::kOk ? ClaimError::kNone : ClaimError::kDetached;
}

void PoolWriter::stamp_claims(bool on) noexcept { state_->stamps_claims = on; }
uint64_t PoolWriter::next_seq() const noexcept { return state_->next_seq; }
uint64_t PoolWriter::committed_seq() const noexcept { return state_->committed_seq; }
const WriterCounts& PoolWriter::counts() const noexcept { return state_->counts; }
const std::shared_ptr<EpochMap>& PoolWriter::shared_map() const noexcept { return state_->map; }

uint64_t PoolWriter::needed_stride_bytes(uint64_t values_len_bytes) noexcept {
  constexpr uint64_t kLargest = uint64_t{1} << 63;
  return values_len_bytes > kLargest ? std::numeric_limits<uint64_t>::max() : std::bit_ceil(std::max<uint64_t>(values_len_bytes, 64));
}

}  // namespace tidepool::pool
