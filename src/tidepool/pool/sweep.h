#pragma once
// Removes what dead drivers and producers left below tensorpool-<this user>, all namespaces (rulings P-7, P-8; wire.md 9.6,
// driver.md 8.6; ). Only the proven dead goes: nobody holds the namespace's driver lock (it is held by the sweep
// meanwhile, so that no driver starts under it), the epoch has been idle for the minimum age, and who made it runs no more. A
// link, a foreign owner or a foreign file is refused and named. Who has the files mapped is not disturbed.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::pool {

struct SweepOptions {
  std::string base_dir = "/dev/shm";
  uint64_t min_age_ns = 3'000'000'000;  // 3 announce periods, as policies.epoch_gc_min_age_ns
  uint32_t keep = 2;                    // newest epochs of each stream that stay although they are dead, as policies.epoch_gc_keep; 0: none
  bool dry_run = false;                 // look and say, write nothing
};

// One thing that was looked at, and what became of it.
struct SweepEntry {
  enum class Kind : uint8_t { kNamespace, kStream, kEpoch, kFile };
  Kind kind = Kind::kEpoch;
  std::string path;
  bool removed = false;    // with dry_run: would be
  bool failed = false;     // dead, and could not be removed
  std::string why;
  uint64_t bytes = 0;      // of memory, kEpoch
  uint32_t stream_id = 0;  // kStream, kEpoch
  uint64_t epoch = 0;      // kEpoch
};
std::string_view name_of(SweepEntry::Kind kind) noexcept;

// Throws Error when `base_dir` cannot be read; whatever is below it is an entry.
std::vector<SweepEntry> sweep(const SweepOptions& options);

}  // namespace tidepool::pool
