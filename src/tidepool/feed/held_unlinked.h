#pragma once
// Who keeps memory from being free: live chunks whose names are gone, and that a process still has mapped (F-78, F-138, rulings F-q).
// From /proc, so of the processes that we may look at: one's own, or as root all.

#include <cstdint>
#include <string>
#include <vector>

#include "tidepool/feed/registry_log.h"

namespace tidepool::feed {

struct HeldUnlinked {
  uint64_t pid = 0;
  std::string directory;  // the live directory that the chunk was in: it names base and feed
  uint64_t inode = 0;
  uint64_t bytes = 0;
};
// Of live objects of that base below `shm_root`, each once for each process that has it mapped.
std::vector<HeldUnlinked> held_unlinked(const Id& base_id, const std::string& shm_root);
// The same of one process's /proc/<pid>/maps.
void add_held_unlinked(const std::string& maps, uint64_t pid, const std::string& lead, std::vector<HeldUnlinked>& found);

}  // namespace tidepool::feed
