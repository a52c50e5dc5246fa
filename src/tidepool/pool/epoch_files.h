#pragma once
// Makes and removes epochs: directories and region files of a stream (wire.md 7.1, 7.5, 9.6; driver.md 8). Used by the
// driver, and by a producer that runs without one.
//
//   <base>/tensorpool-<user>/<namespace>/<stream id>/<epoch>/header.ring, <pool id>.pool
//   <base>/tensorpool-<user>/<namespace>/<stream id>/doorbell          (rulings P-3)

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/pool/epoch_map.h"
#include "tidepool/shm/directory.h"

namespace tidepool::pool {

struct StoreOptions {
  std::string base_dir = "/dev/shm";
  std::string name_space = "default";  // [A-Za-z0-9_-]+
  mode_t file_mode = 0660;             // directories: execute added wherever read or write is granted (D-37); setgid
                                       // (02660) goes to the directories; bits for others are refused
  std::vector<std::string> allowed_base_dirs = {};  // empty: base_dir alone; bounds every create and unlink
  bool reserve = true;                 // policies.prefault_shm: reserve and touch every page
  bool lock_memory = false;            // policies.mlock_shm
  bool use_hugepages = false;          // base_dir is on hugetlbfs and URIs shall say so
  bool power_of_two_strides = true;    // refuse others (W-20); policies.require_power_of_two_stride switches it off (CFG-9)
};

// Root of one driver's (or stand-alone producer's) streams, held open. Thread safety: one thread.
class EpochFiles {
 public:
  // Opens or makes the directories down to the namespace. Throws Error kPermission when tensorpool-<user> is a link, belongs
  // to somebody else or is writable by others; kInvalidArgument for a bad namespace; kNotFound for a missing base.
  explicit EpochFiles(StoreOptions options);

  // Make every region of (stream, epoch), superblocks complete, magic last (W-32, D-33); none on failure (D-35).
  // Throws Error kNoSpace (bytes needed, bytes free, what to raise), kRejected (the epoch's directory exists, D-42), others.
  struct Created {
    EpochRegions regions;
    std::shared_ptr<EpochMap> map;  // read-write
  };
  Created create(uint32_t stream_id, uint64_t epoch, const Geometry& geometry, uint64_t now_ns);

  // max(previous + 1, highest directory found + 1, now_ns); never 0 nor all ones (D-31): throws Error kRejected, naming the
  // directory, when one of that number leaves no room above it.
  uint64_t next_epoch(uint32_t stream_id, uint64_t previous, uint64_t now_ns) const;

  // Remove the epochs of `stream_id` that wire.md 9.6 and driver.md 8.6 allow (D-40, W-67): all of these hold. Returns what
  // was removed, or would be. What cannot be removed is logged and left.
  //   - not the current one, and not among the `keep` newest directories
  //   - min_age_ns passed since the latest of: the ring's activity, the directory's last change
  //   - in_use() denies it
  //   - the superblock's creator is dead or is this process. A directory whose superblock cannot be read has none.
  struct CollectRules {
    uint64_t current_epoch = 0;        // never removed; 0: none is current
    uint32_t keep = 2;                 // newest directories kept, current included; 0: collect nothing
    uint64_t min_age_ns = 0;
    uint64_t now_ns = 0;               // CLOCK_MONOTONIC
    uint64_t now_realtime_ns = 0;
    std::function<bool(uint64_t epoch)> in_use;  // a live lease refers to it
    bool dry_run = false;
  };
  struct Collected {
    uint64_t epoch = 0;
    uint64_t bytes = 0;
    std::string path;
    std::string why;
  };
  std::vector<Collected> collect(uint32_t stream_id, const CollectRules& rules);

  // Remove one epoch unconditionally (an own one: shutdown with cleanup, a failed creation). Only files of the names that
  // create() gives are deleted; a directory that holds others is left with them (kRejected).
  void remove(uint32_t stream_id, uint64_t epoch);
  // Remove a stream's doorbell and directory if it has no epoch any more; true if it is gone.
  bool remove_stream(uint32_t stream_id);

  // Streams that have a directory here.
  std::vector<uint32_t> streams() const;
  std::vector<uint64_t> epochs(uint32_t stream_id) const;
  const shm::Directory& namespace_directory() const noexcept { return namespace_dir_; }
  // Canonical path of a stream's directory, whether or not it exists.
  std::string stream_path(uint32_t stream_id) const;
  const StoreOptions& options() const noexcept { return options_; }

 private:
  shm::Directory stream_directory(uint32_t stream_id) const;  // made if missing
  mode_t directory_mode() const noexcept;

  StoreOptions options_;
  shm::Directory namespace_dir_;
};

}  // namespace tidepool::pool
