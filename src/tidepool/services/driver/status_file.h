#pragma once
// What a driver says of itself to tools: a small JSON file beside its lock, replaced as a whole (docs/formats/driver-status.md,
// docs/decisions/0009-driver-status-file.md). No protocol message asks a driver for its leases; nobody but tools reads this.
//
// Thread safety: one thread. Failures are logged once and are no reason to stop serving.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "tidepool/shm/directory.h"

namespace tidepool::driver {

class StatusFile {
 public:
  static constexpr uint64_t kPeriodNs = 1'000'000'000;     // rewritten so often though nothing changed: proof of life
  static constexpr uint64_t kMinPeriodNs = 50'000'000;     // and not more often than this whatever changes

  // `directory`: the namespace's, whose lock the caller holds for as long as this lives.
  StatusFile(shm::Directory directory, mode_t mode) : directory_(std::move(directory)), mode_(mode & 0660) {}

  // Write `text()` if it is due: `stamp` differs from that of the last time, or a period has passed.
  void update(uint64_t now_ns, uint64_t stamp, const std::function<std::string()>& text);
  // The driver ends: nothing is to be said any more.
  void remove() noexcept;

 private:
  void write(const std::string& text) const;  // throws Error

  shm::Directory directory_;
  mode_t mode_;
  uint64_t stamp_ = 0;
  uint64_t written_ns_ = 0;  // 0: never
  bool complained_ = false;
};

}  // namespace tidepool::driver
