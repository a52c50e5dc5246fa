#pragma once
// The memory control groups that this process is in: the kernel kills who goes past their limit, whatever room /dev/shm has, and
// shared memory counts. So we look before we take. Versions 1 and 2. Private to feed/.
//
// Thread safety: stateless.

#include <cstdint>
#include <string>

namespace tidepool::feed {

// Bytes that may still be taken in the tightest of the groups; all ones: no limit, or none that can be seen. `membership`: as in
// /proc/self/cgroup. `mount`: where groups are, /sys/fs/cgroup. `group`: which one is the tightest.
uint64_t memory_left_in(const std::string& membership, const std::string& mount, std::string& group);

}  // namespace tidepool::feed
