#pragma once
// How big a stream's epoch is: slots, pools, strides, and the files that follow from them (wire.md 6.1, 6.5).

#include <cstdint>
#include <string>
#include <vector>

#include "tidepool/wire/messages.h"

namespace tidepool::pool {

struct PoolClass {
  uint16_t pool_id = 1;            // 1..65534, unique (rulings P-14)
  uint32_t stride_bytes = 1 << 20; // >= 64, a multiple of 64; written ones are powers of two (W-20)
  bool operator==(const PoolClass&) const = default;
};

// Slots and pools of one epoch. Plain values; check() judges them.
struct Geometry {
  uint32_t slot_count = 0;         // power of two; header ring and every pool (W-16)
  std::vector<PoolClass> pools;    // in configuration order
  bool operator==(const Geometry&) const = default;

  // Throws Error kInvalidArgument, naming the field and what was expected. `power_of_two_strides`: for creators.
  void check(bool power_of_two_strides) const;
  // File sizes, in 64 bits with overflow checks (W-17). Call after check().
  uint64_t header_bytes() const noexcept { return region_bytes(slot_count, wire::kSlotBytes); }
  uint64_t pool_bytes(const PoolClass& pool) const noexcept { return region_bytes(slot_count, pool.stride_bytes); }
  uint64_t total_bytes() const noexcept;

  static constexpr uint64_t region_bytes(uint32_t slots, uint32_t slot_bytes) noexcept {
    return wire::kSuperblockBytes + uint64_t{slots} * uint64_t{slot_bytes};  // < 2^32 * 2^32: cannot overflow 64 bits
  }
};

// What an announce or an attach response says of one epoch: where its regions are and what they should hold.
struct EpochRegions {
  uint32_t stream_id = 0;
  uint64_t epoch = 0;
  uint32_t layout_version = wire::kLayoutVersion;
  uint32_t header_nslots = 0;
  uint16_t header_slot_bytes = wire::kSlotBytes;
  std::string header_region_uri;
  std::vector<wire::PoolEntry> pools;
  bool operator==(const EpochRegions&) const = default;

  static EpochRegions of(const wire::ShmPoolAnnounce& announce);
  static EpochRegions of(const wire::ShmAttachResponse& response);  // call for an OK response with no field missing
  Geometry geometry() const;
  // Checks of wire.md 9.2 step 3: layout version, slot size, power of two, pools present and unique and equal in slots,
  // strides valid, URIs not empty. Throws Error kCorrupt naming the field.
  void check() const;
};

}  // namespace tidepool::pool
