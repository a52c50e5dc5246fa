#pragma once
// How far a frame that is being written has come, and what may be read of it (wire.md 11.3).
//
// Thread safety: as a value; one thread. Lifetime: a view keeps its mapping (rulings P-4), so that reading it is always memory-safe.

#include <cstdint>
#include <memory>

#include "tidepool/base/bytes.h"
#include "tidepool/pool/epoch_map.h"
#include "tidepool/wire/messages.h"

namespace tidepool::client {

class ProgressView {
 public:
  uint32_t stream_id() const noexcept { return map_->stream_id(); }
  uint64_t epoch() const noexcept { return map_->epoch(); }
  uint64_t seq() const noexcept { return seq_; }
  // started, progress or complete. complete says that the producer is done, not that the frame can be had (W-80).
  wire::ProgressState state() const noexcept { return state_; }
  uint64_t bytes_filled() const noexcept { return bytes_filled_; }

  // The slot's header is there already, and valid. Producers may write it last: then tensor() and the length are unknown.
  bool has_header() const noexcept { return has_header_; }
  const wire::TensorHeader& tensor() const noexcept { return header_.tensor; }
  uint32_t values_len_bytes() const noexcept { return header_.values_len_bytes; }

  // bytes[0, bytes_filled()) in shared memory, racing with the producer; empty when the header is unknown or its layout says
  // nothing about prefixes (W-81).
  Bytes prefix() const noexcept { return {payload_, payload_ != nullptr ? static_cast<size_t>(bytes_filled_) : 0}; }
  // What was read of prefix() until now belongs to this frame: its slot is still that sequence's, written or being written.
  [[nodiscard]] bool still_valid() const noexcept;
  // Copy the prefix; false if `to` is too small or the slot has gone to another frame meanwhile (`to` is then garbage).
  [[nodiscard]] bool copy_to(MutableBytes to) const noexcept;

 private:
  friend class ProgressTracker;
  std::shared_ptr<const pool::EpochMap> map_;
  const std::byte* slot_ = nullptr;
  const std::byte* payload_ = nullptr;
  uint64_t seq_ = 0;
  uint64_t bytes_filled_ = 0;
  wire::ProgressState state_ = wire::ProgressState::unknown;
  bool has_header_ = false;
  wire::SlotHeader header_;
};

}  // namespace tidepool::client
