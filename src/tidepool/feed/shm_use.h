#pragma once
// How much shared memory the feeds of a base take, and a cap on it (F-68).

#include <cstdint>
#include <string>
#include <vector>

#include "tidepool/feed/registry.h"

namespace tidepool::feed {

struct ShmUse {
  struct Feed {
    Id id{};
    std::string directory;
    uint64_t bytes = 0;     // really allocated
    uint64_t objects = 0;
  };
  uint64_t bytes = 0;
  std::vector<Feed> feeds;  // each that has live objects there, also of feeds that nobody writes any more
};
// Below one shm_root. What cannot be looked at counts as nothing.
ShmUse shm_use(const Id& base_id, const std::string& shm_root);
// Throws FeedError kNoShmSpace when `more` bytes beside what the base has would exceed `bytes_max` (0: no cap).
void check_shm_cap(const FeedInfo& feed, uint64_t more, uint64_t bytes_max);

struct Room {
  std::string path;
  uint64_t free_bytes = 0;  // for us, not for root
  uint64_t total_bytes = 0;
};
// Of the file system that `path` lies on; throws FeedError.
Room room_of(const std::string& path);

}  // namespace tidepool::feed
