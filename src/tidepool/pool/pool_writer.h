#pragma once
// Writes the frames of one epoch: claim a slot, fill its payload in place, commit. Sends nothing.
//
// Thread safety: one thread (one writer per stream, W-35), for the writer and all of its claims together.
// No allocation, lock, syscall or exception per frame (the clock is read through the vDSO).
// Lifetime: a Claim keeps its mapping and what it needs of its writer (rulings P-4): they may go in any order.

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "tidepool/base/bytes.h"
#include "tidepool/pool/epoch_map.h"
#include "tidepool/wire/shm_layout.h"

namespace tidepool::pool {

enum class ClaimError : uint8_t {
  kNone,
  kTooLarge,       // no pool's stride holds the payload: nothing was consumed (W-50); see needed_stride_bytes()
  kInvalidTensor,  // shape, strides or dtype break wire.md 6.4
  kTooManyClaims,  // as many claims are open as there are slots, or (after a jump) one still holds this slot (W-41)
  kDetached,       // the mapping is dead
  kInvalidSeq,     // claim_seq(): lower than next_seq(), or more than 63 bits
};

enum class CommitResult : uint8_t {
  kOk,
  kOutOfOrder,    // an earlier claim is still open: commit or abort that one first (rulings P-1)
  kOverwritten,   // the slot's word is no longer ours (W-41): somebody else writes this stream
  kDetached,      // the mapping is dead: nothing was published
  kNotOpen,       // the claim was already committed or aborted, or is another writer's
};

// What a frame carries besides its tensor.
struct FrameInfo {
  std::optional<uint64_t> timestamp_ns = {};  // capture time; default: CLOCK_MONOTONIC at claim (W-54)
  uint32_t meta_version = wire::kNull32;      // kNull32: none
};

struct WriterCounts {
  uint64_t frames = 0;        // committed
  uint64_t aborted = 0;
  uint64_t too_large = 0;
  uint64_t invalid = 0;
  uint64_t overwritten = 0;   // commits that found another's word in their slot
};

namespace detail {
struct WriterState;
}

// A slot on loan to the application (or to a device SDK). Movable; a claim that is destroyed open is aborted.
class Claim {
 public:
  Claim() = default;
  Claim(Claim&& other) noexcept { take(other); }
  Claim& operator=(Claim&& other) noexcept {
    if (this != &other) {
      if (state_ != nullptr) drop();
      take(other);
    }
    return *this;
  }
  ~Claim() {
    if (state_ != nullptr) drop();
  }

  // Open: claimed, and neither committed nor aborted since. The rest is for open claims only.
  explicit operator bool() const noexcept { return state_ != nullptr; }
  uint64_t seq() const noexcept { return seq_; }
  uint64_t epoch() const noexcept;
  // Writable, exactly as long as the claimed payload. Empty when the claim is not open.
  MutableBytes bytes() const noexcept { return {payload_, values_len_bytes_}; }
  // With complete strides; as long as the claim is open.
  const wire::TensorHeader& tensor() const noexcept;
  // The mapping is alive. Writing to bytes() is memory-safe either way.
  bool alive() const noexcept;

 private:
  friend class PoolWriter;
  // In the header: claims are handed on for every frame, and an empty one costs nothing.
  void take(Claim& other) noexcept {
    state_ = std::move(other.state_);
    payload_ = std::exchange(other.payload_, nullptr);
    values_len_bytes_ = std::exchange(other.values_len_bytes_, 0);
    seq_ = other.seq_;
    claimed_at_ns_ = other.claimed_at_ns_;
    pool_id_ = other.pool_id_;
  }
  void drop() noexcept;  // abort

  std::shared_ptr<detail::WriterState> state_;  // null: not open
  std::byte* payload_ = nullptr;
  uint64_t seq_ = 0;
  uint64_t claimed_at_ns_ = 0;  // 0: not stamped
  uint32_t values_len_bytes_ = 0;
  uint16_t pool_id_ = 0;
};

class PoolWriter {
 public:
  // `map` must be mapped kReadWrite. `first_seq`: 0 for a new epoch; bridges and limiters carry the source's (W-36).
  // Throws Error: kInvalidArgument for a read-only mapping; kRejected when the epoch already holds a frame that is not
  // older than first_seq, since no sequence may be committed twice in an epoch (W-40).
  explicit PoolWriter(std::shared_ptr<EpochMap> map, uint64_t first_seq = 0);

  // Claim the next slot for `tensor` (strides of 0 are inferred) with a payload of its extent, or of `values_len_bytes` if
  // given. Marks the slot as being written at once. Consumes a sequence only on kNone. A `claim` that is passed in open
  // is aborted first.
  [[nodiscard]] ClaimError claim(const wire::TensorHeader& tensor, Claim& claim,
                                 std::optional<uint32_t> values_len_bytes = std::nullopt) noexcept;
  // As claim(), but under a sequence of the caller's (bridges, limiters: the source's), not lower than next_seq().
  [[nodiscard]] ClaimError claim_seq(uint64_t seq, const wire::TensorHeader& tensor, Claim& claim,
                                     std::optional<uint32_t> values_len_bytes = std::nullopt) noexcept;

  // Write the slot header and publish. On kOk the frame is readable; the claim is closed on every result but kOutOfOrder.
  [[nodiscard]] CommitResult commit(Claim& claim, const FrameInfo& info = {}) noexcept;
  // Leave the slot uncommitted; its sequence is skipped. Does nothing to a claim that is not open.
  void abort(Claim& claim) noexcept;

  // Claim, copy, commit. kTooManyClaims also when an earlier claim is still open (rulings P-1); kDetached also when
  // somebody else wrote the slot meanwhile (W-35, W-41).
  [[nodiscard]] ClaimError offer(const wire::TensorHeader& tensor, Bytes payload, const FrameInfo& info = {}) noexcept;

  // Write the slot header while the slot is still being written, so that readers of FrameProgress know the layout
  // (wire.md 11.3). Give commit() the same `info`.
  void publish_header_early(Claim& claim, const FrameInfo& info) noexcept;

  // Whether claim() reads the clock (on by default). Who gives every frame its timestamp switches it off and saves the
  // reading; a frame without one is then stamped at its commit.
  void stamp_claims(bool on) noexcept;

  uint64_t next_seq() const noexcept;       // what the next claim gets
  uint64_t committed_seq() const noexcept;  // of the last commit; meaningful once frames > 0
  const WriterCounts& counts() const noexcept;
  // Stride that a payload of this length would need: the next power of two >= 64.
  static uint64_t needed_stride_bytes(uint64_t values_len_bytes) noexcept;
  EpochMap& map() const noexcept { return *shared_map(); }
  const std::shared_ptr<EpochMap>& shared_map() const noexcept;

 private:
  ClaimError begin(uint64_t seq, uint64_t values_len_bytes, bool stamp, Claim& claim) noexcept;
  void write_header(Claim& claim, const FrameInfo& info) noexcept;
  void close(Claim& claim) noexcept;

  std::shared_ptr<detail::WriterState> state_;
  // A reference that claims borrow and give back, so that a claim costs no atomic count in the steady state.
  std::shared_ptr<detail::WriterState> spare_;
};

}  // namespace tidepool::pool
