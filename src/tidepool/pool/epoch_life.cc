#include "tidepool/pool/epoch_life.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "tidepool/base/clock.h"
#include "tidepool/base/process.h"
#include "tidepool/pool/epoch_names.h"

namespace tidepool::pool {

std::optional<wire::Superblock> read_superblock(const shm::Directory& epoch) noexcept {
  const int fd = ::openat(epoch.fd(), std::string(kHeaderRingName).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  std::byte bytes[wire::kSuperblockBytes];
  struct stat status{};
  const bool whole =
      ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && ::pread(fd, bytes, sizeof bytes, 0) == ssize_t{sizeof bytes};
  ::close(fd);
  if (!whole) return std::nullopt;
  return wire::decode_superblock(bytes);
}

// Both times are since boot, with room for clock ticks and for a clock that was suspended.
bool creator_runs(const wire::Superblock& block, uint64_t now_ns) noexcept {
  if (!process_exists(block.pid)) return false;
  const uint64_t ticks = process_start_ticks(block.pid);
  const long ticks_per_second = ::sysconf(_SC_CLK_TCK);
  if (ticks == 0 || ticks_per_second <= 0 || block.start_timestamp_ns > now_ns) return true;
  const uint64_t began_ns = ticks * (kNsPerSecond / static_cast<uint64_t>(ticks_per_second));
  const uint64_t suspended_ns = clock_ns(CLOCK_BOOTTIME) - monotonic_ns();
  return began_ns <= block.start_timestamp_ns + suspended_ns + kNsPerSecond;
}

uint64_t idle_ns(const shm::Directory& epoch, const std::optional<wire::Superblock>& block, uint64_t now_ns,
                 uint64_t now_realtime_ns) noexcept {
  const uint64_t modified_ns = epoch.modified_realtime_ns();
  uint64_t idle = now_realtime_ns > modified_ns ? now_realtime_ns - modified_ns : 0;
  if (block && block->activity_timestamp_ns != 0 && block->activity_timestamp_ns <= now_ns) {
    idle = std::min(idle, now_ns - block->activity_timestamp_ns);
  }
  return idle;
}

uint64_t allocated_bytes(const shm::Directory& epoch) {
  uint64_t bytes = 0;
  for (const std::string& name : epoch.entries()) {
    struct stat status{};
    if (is_region_name(name) && ::fstatat(epoch.fd(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
      bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    }
  }
  return bytes;
}

}  // namespace tidepool::pool
