#pragma once
// One frame in place: a validated private copy of its header, and its payload where it lies in shared memory.
//
// The payload may be overwritten by the producer at any time: what was read counts only if still_valid() says so after
// (W-45). copy_to() copies and validates in one step.
// Thread safety: as a value; one thread uses one view. Lifetime: a view keeps its mapping (rulings P-4), so reading it is
// always memory-safe; a reader that is handed the same view again reuses it without touching reference counts.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "tidepool/base/bytes.h"
#include "tidepool/pool/epoch_map.h"
#include "tidepool/wire/shm_layout.h"

namespace tidepool::pool {

class FrameView {
 public:
  FrameView() = default;

  // Holds a frame. Everything below but still_valid(), bytes() and copy_to() is for a view that does.
  explicit operator bool() const noexcept { return shm::CommitWord::is_committed(word_); }
  uint32_t stream_id() const noexcept { return map_->stream_id(); }
  uint64_t epoch() const noexcept { return map_->epoch(); }
  uint64_t seq() const noexcept { return shm::CommitWord::seq_of(word_); }
  // Capture time in the producer's clock, normally CLOCK_MONOTONIC ns.
  std::optional<uint64_t> timestamp_ns() const noexcept {
    return header_.timestamp_ns == wire::kNull64 ? std::nullopt : std::optional(header_.timestamp_ns);
  }
  std::optional<uint32_t> meta_version() const noexcept {
    return header_.meta_version == wire::kNull32 ? std::nullopt : std::optional(header_.meta_version);
  }
  // From the descriptor; 0 when absent or when the frame was found without one (ring-follow).
  uint64_t trace_id() const noexcept { return trace_id_; }

  const wire::TensorHeader& tensor() const noexcept { return header_.tensor; }  // strides are complete
  std::span<const int32_t> shape() const noexcept { return {header_.tensor.dims.data(), header_.tensor.ndims}; }
  wire::DType dtype() const noexcept { return header_.tensor.dtype; }

  // In shared memory, racing with the producer. Empty frames have an empty span (W-48).
  Bytes bytes() const noexcept { return {payload_, header_.values_len_bytes}; }
  // The elements, if T has the element size and the tensor's extent lies within the payload (W-47); else empty.
  template <typename T>
  std::span<const T> as() const noexcept {
    if (sizeof(T) != wire::element_bytes(dtype()) || !fits_extent() || reinterpret_cast<uintptr_t>(payload_) % alignof(T) != 0) return {};
    return {reinterpret_cast<const T*>(payload_), header_.values_len_bytes / sizeof(T)};
  }
  bool fits_extent() const noexcept { return wire::extent_bytes(header_.tensor) <= header_.values_len_bytes; }

  // The frame is still whole and its mapping alive: all that was read from bytes() until now belongs to it (W-45).
  [[nodiscard]] bool still_valid() const noexcept {
    return shm::CommitWord::is_committed(word_) && map_->alive() && shm::CommitWord(slot_).unchanged(word_);
  }
  // Copy the payload; false if `to` is too small or the frame was overwritten meanwhile (`to` is then garbage).
  [[nodiscard]] bool copy_to(MutableBytes to) const noexcept;

  // The 256 bytes of the slot header as copied and validated, with the committed word in front (for recorders: kept
  // verbatim). Padding, which nobody may interpret, is zero whatever the producer left there.
  void copy_slot_header(std::byte (&slot)[wire::kSlotBytes]) const noexcept;

 private:
  friend class PoolReader;
  // No frame any more; keeps the mapping, so that the next read need not count a reference.
  void clear() noexcept {
    word_ = 0;
    header_.values_len_bytes = 0;
  }

  std::shared_ptr<const EpochMap> map_;
  const std::byte* slot_ = nullptr;
  const std::byte* payload_ = nullptr;
  uint64_t word_ = 0;  // the committed word of the frame held; even: none
  uint64_t trace_id_ = 0;
  wire::SlotHeader header_;
  uint64_t tensor_image_ = 0;  // which reader's tensor header_.tensor is, so that an equal one need not be copied again; 0: none
  uint64_t words_[19] = {};  // the used part of the slot header as copied; slot_words.h
};

}  // namespace tidepool::pool
