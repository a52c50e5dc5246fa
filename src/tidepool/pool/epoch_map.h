#pragma once
// All regions of one epoch, mapped and validated against what was announced: all or none (W-31).
//
// Thread safety: immutable but for alive(), which any thread may read and mark_dead() clears.
// Lifetime (rulings P-4): shared by the reader or writer, its views and its claims. Revocation, epoch change or driver
// loss calls mark_dead(): from then on still_valid() and every call say so; munmap comes with the last reference.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "tidepool/pool/geometry.h"
#include "tidepool/shm/commit_word.h"
#include "tidepool/shm/region.h"
#include "tidepool/shm/words.h"

namespace tidepool::pool {

// Limits of freshness for a mapping (W-63). 0 switches a check off.
struct Freshness {
  uint64_t now_ns = 0;        // CLOCK_MONOTONIC
  uint64_t max_age_ns = 0;    // activity older than this is stale; an activity of 0 always is, unless max_age_ns is 0
};

class alignas(64) EpochMap {
 public:
  // Who made a region, as its superblock says: a change means that somebody else made it anew (W-64, R-01).
  struct Creator {
    uint64_t pid = 0;
    uint64_t start_timestamp_ns = 0;
    bool operator==(const Creator&) const = default;
  };
  struct Pool {
    uint16_t pool_id = 0;
    uint32_t stride_bytes = 0;
    shm::Region region;
    const std::byte* slots = nullptr;    // first payload slot
    std::byte* mutable_slots = nullptr;  // nullptr when mapped read-only
    Creator creator;
  };

  // Map and validate (wire.md 7.3, 7.4). Throws Error: what Region::open throws, or kCorrupt naming region, field, value
  // found and value announced; kUnavailable when the activity is stale.
  static std::shared_ptr<EpochMap> open(const EpochRegions& regions, shm::Access access, const shm::MapPolicy& policy,
                                        const Freshness& freshness);

  uint32_t stream_id() const noexcept { return regions_.stream_id; }
  uint64_t epoch() const noexcept { return regions_.epoch; }
  uint32_t slot_count() const noexcept { return slot_mask_ + 1; }
  uint32_t slot_mask() const noexcept { return slot_mask_; }
  const EpochRegions& regions() const noexcept { return regions_; }
  const std::vector<Pool>& pools() const noexcept { return pools_; }
  // nullptr for an id that is not mapped.
  const Pool* pool(uint16_t pool_id) const noexcept;
  uint32_t largest_stride_bytes() const noexcept;

  bool writable() const noexcept { return mutable_slots_ != nullptr; }
  const std::byte* slot(uint32_t index) const noexcept { return slots_ + size_t{index} * wire::kSlotBytes; }
  std::byte* mutable_slot(uint32_t index) const noexcept { return mutable_slots_ + size_t{index} * wire::kSlotBytes; }

  // Of the header ring's superblock, as it is now. touch: every region (W-62); needs kReadWrite.
  uint64_t activity_ns() const noexcept;
  void touch_activity(uint64_t now_ns) noexcept;
  uint64_t creator_pid() const noexcept { return creator_.pid; }

  // Whether what was validated at open still holds (W-58, W-64): superblocks, pid and start time, file identity and size.
  // Throws Error kCorrupt with the difference. `freshness` as in open().
  void revalidate(const Freshness& freshness) const;

  bool alive() const noexcept { return alive_.load(std::memory_order_relaxed); }  // relaxed: a flag, no data with it
  void mark_dead() noexcept { alive_.store(false, std::memory_order_relaxed); }

 private:
  friend class EpochFiles;
  EpochMap() = default;
  void adopt() noexcept;  // pointers and masks from the regions, once all of them are mapped

  EpochRegions regions_;
  shm::Region header_;
  std::vector<Pool> pools_;
  const std::byte* slots_ = nullptr;
  std::byte* mutable_slots_ = nullptr;
  uint32_t slot_mask_ = 0;
  Creator creator_;  // of the header ring
  std::atomic<bool> alive_{true};
};

}  // namespace tidepool::pool
