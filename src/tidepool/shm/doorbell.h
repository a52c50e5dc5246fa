#pragma once
// The doorbell: a file in which a reader can park until a producer rings (rulings P-3). A documented extension:
// docs/formats/doorbell.md. Without the file or the right to write it, a reader polls with backoff instead.
//
// Layout (one page, made by the driver or a stand-alone producer as <stream dir>/doorbell):
//   0   u64 magic   "TPDBELL1" little-endian, stored last
//   8   u32 version 1
//   64  u32 rings          the futex word: every wake adds one
//   128 u64 parked_until   CLOCK_MONOTONIC ns; 0 or past: nobody is parked. Parkers extend it, nobody counts
//
// [park]  A parker raises parked_until, issues a membarrier (global, expedited), then looks once more for its frame and
//         only then waits. The producer publishes its frame, then reads parked_until with a plain load. Either the
//         parker sees the frame or the producer sees the deadline: the membarrier gives the producer the StoreLoad
//         fence that it does not pay for. A parker whose membarrier is refused re-checks every 1 ms; a producer that
//         could not register for it pays for a fence.
// [ring]  The ringer clears parked_until (acq_rel), then adds a ring (release); a parker reads rings (acquire), then raises
//         parked_until (acq_rel). So a mark that a ringer clears belongs to a parker that will see a new ring.
// The ringer clears parked_until, so a killed parker costs one wake in all; its deadline tells tools that it is stale.
// Everything in the page is a hint: a wrong one costs a look or a system call, never more than a wait to the deadline.

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "tidepool/shm/directory.h"

namespace tidepool::shm {

inline constexpr uint64_t kDoorbellMagic = 0x314C4C4542445054;  // bytes in memory: "TPDBELL1"
inline constexpr size_t kDoorbellBytes = 4096;

class Doorbell {
 public:
  // Make the file (driver, stand-alone producer), or keep the one that is there if it is whole and ours; anything else in
  // its place is replaced. Throws Error.
  static void create(const Directory& stream_directory, mode_t mode);
  // Map the doorbell of a stream directory (canonical path: no link is followed); nullopt when there is none, it is foreign
  // or damaged, or it may not be written (log and poll instead). Never throws.
  static std::optional<Doorbell> open(const std::string& stream_directory) noexcept;

  Doorbell(Doorbell&& other) noexcept;
  Doorbell& operator=(Doorbell&& other) noexcept;
  ~Doorbell();

  // Producer, after a frame is committed: one plain load; only if somebody is parked, clear the deadline, add a ring and
  // wake all of them. Returns true if it rang. Before register_producer() (once per process) it costs a fence.
  bool ring_if_parked() noexcept { return somebody_parked() && ring(); }
  static void register_producer() noexcept;

  // Reader: park until rung or `deadline_ns` (CLOCK_MONOTONIC). `still_empty` is looked at once after the deadline was
  // announced and before waiting; false returns at once. Returns false on timeout.
  template <typename StillEmpty>
  bool park(uint64_t deadline_ns, StillEmpty&& still_empty) noexcept {
    for (;;) {
      const uint32_t seen = announce_parking(deadline_ns);
      if (!still_empty()) return true;
      const Waited waited = wait(seen, deadline_ns);
      if (waited == Waited::kRung) return true;
      if (waited == Waited::kTimeout) return !still_empty();
    }
  }

 private:
  enum class Waited : uint8_t { kRung, kTimeout, kLookAgain };
  static constexpr size_t kParkedUntilAt = 128;  // a cache line of its own: read by the producer for each frame
  Doorbell(std::byte* page, size_t mapped_bytes) noexcept : page_(page), mapped_bytes_(mapped_bytes) {}
  bool somebody_parked() const noexcept {
    // [park] The frame's store stays above the load. A registered process only forbids the compiler to swap them, the
    // parker's membarrier does the rest; relaxed: whichever value is seen, the fence is right for a registered process too.
    if (registered_.load(std::memory_order_relaxed)) {
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    }
    return std::atomic_ref(*reinterpret_cast<uint64_t*>(page_ + kParkedUntilAt)).load(std::memory_order_relaxed) != 0;  // relaxed: ordered by [park]
  }
  bool ring() noexcept;
  uint32_t announce_parking(uint64_t deadline_ns) noexcept;  // raises parked_until, membarrier; returns the ring count
  Waited wait(uint32_t seen, uint64_t deadline_ns) noexcept;

  static inline std::atomic<bool> registered_{false};  // parkers' membarriers reach this process
  std::byte* page_ = nullptr;
  size_t mapped_bytes_ = 0;
  bool fenced_ = false;  // the last membarrier of announce_parking() was granted
};

}  // namespace tidepool::shm
