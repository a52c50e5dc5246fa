#pragma once
// What an epoch's directory proves of those who made it (R-25, rulings P-7): the superblock's process and start time, its
// activity, the directory's own change time. A pid alone proves nothing. Read with pread() alone: nothing is mapped, so a file
// that is cut meanwhile is a short read and no fault.

#include <cstdint>
#include <optional>

#include "tidepool/shm/directory.h"
#include "tidepool/wire/shm_layout.h"

namespace tidepool::pool {

// The header ring's superblock as it stands; nullopt: no such file, not a regular one, or cut short. Its magic is not judged.
std::optional<wire::Superblock> read_superblock(const shm::Directory& epoch) noexcept;

// The process that wrote the superblock still runs, as far as this PID namespace shows. A pid that runs but began after the
// superblock was written is somebody else's.
bool creator_runs(const wire::Superblock& block, uint64_t now_ns) noexcept;

// Time since the epoch was last touched: the least of what the ring's activity and the directory's change time say. An activity
// ahead of its clock is another boot's and says nothing. `now_realtime_ns`: the directory's clock.
uint64_t idle_ns(const shm::Directory& epoch, const std::optional<wire::Superblock>& block, uint64_t now_ns,
                 uint64_t now_realtime_ns) noexcept;

// Memory that the region files take; a file of another name counts nothing. Throws Error.
uint64_t allocated_bytes(const shm::Directory& epoch);

}  // namespace tidepool::pool
