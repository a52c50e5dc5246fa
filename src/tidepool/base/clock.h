#pragma once
// Time. Everything that the protocol stamps or compares on one host is CLOCK_MONOTONIC nanoseconds (D-7, W section 15).

#include <cstdint>
#include <ctime>

namespace tidepool {

inline constexpr uint64_t kNsPerUs = 1'000;
inline constexpr uint64_t kNsPerMs = 1'000'000;
inline constexpr uint64_t kNsPerSecond = 1'000'000'000;

inline uint64_t clock_ns(clockid_t id) noexcept {
  timespec now{};
  ::clock_gettime(id, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec);
}
inline uint64_t monotonic_ns() noexcept { return clock_ns(CLOCK_MONOTONIC); }
inline uint64_t realtime_ns() noexcept { return clock_ns(CLOCK_REALTIME); }

// The seam through which roles see time, so that a lease can expire in a test without sleeping (style S-26).
// Thread safety: as the implementation says; SystemClock is stateless.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint64_t monotonic_ns() const noexcept = 0;
  virtual uint64_t realtime_ns() const noexcept = 0;
};

class SystemClock final : public Clock {
 public:
  uint64_t monotonic_ns() const noexcept override { return tidepool::monotonic_ns(); }
  uint64_t realtime_ns() const noexcept override { return tidepool::realtime_ns(); }
  static const SystemClock& instance() noexcept;
};

// A clock that moves only when told. Thread safety: one thread.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(uint64_t start_ns = 1'000 * kNsPerSecond) noexcept : now_ns_(start_ns) {}
  uint64_t monotonic_ns() const noexcept override { return now_ns_; }
  uint64_t realtime_ns() const noexcept override { return 1'700'000'000 * kNsPerSecond + now_ns_; }
  void advance_ns(uint64_t ns) noexcept { now_ns_ += ns; }

 private:
  uint64_t now_ns_;
};

}  // namespace tidepool
