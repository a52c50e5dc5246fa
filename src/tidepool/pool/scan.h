#pragma once
// What lives below a base directory, as the files say (operations.md 12; rulings P-3): for operators' tools alone. Clients
// never scan: they take the paths that an announce or an attach response names (W-22, R-22).
//
// Everything found is input: read with pread(), never mapped, never written, no link followed. What cannot be read is a fault
// beside its path and no exception.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/pool/geometry.h"
#include "tidepool/shm/file_lock.h"

namespace tidepool::pool {

struct ScannedEpoch {
  uint64_t epoch = 0;  // the directory's name
  std::string path;
  std::string fault;   // what of it cannot be believed; what follows is then what could be read
  Geometry geometry;   // slot_count 0: unknown
  uint64_t bytes = 0;  // of memory
  uint64_t pid = 0;    // of who made it; 0: unknown
  bool creator_runs = false;
  std::optional<uint64_t> activity_age_ns;  // nullopt: never active, or another boot's time
  uint64_t idle_ns = 0;                     // the least of that and the directory's age
  uint64_t next_seq = 0;                    // newest committed sequence + 1; 0: no frame yet
};

struct ScannedStream {
  uint32_t stream_id = 0;
  std::string path;
  std::string fault;
  bool doorbell = false;
  std::vector<ScannedEpoch> epochs;  // ascending
};

struct ScannedNamespace {
  std::string user;  // as in tensorpool-<user>
  std::string name;
  std::string path;
  std::string fault;
  std::optional<shm::LockOwner> driver;  // who holds the namespace's lock (P-7); nullopt: nobody does
  std::vector<ScannedStream> streams;    // by id
};

// Every tensorpool-<user>/<namespace> below `base_dir`, sorted. Throws Error when `base_dir` itself cannot be read.
enum class ScanDepth : uint8_t { kNamespaces, kEpochs };
std::vector<ScannedNamespace> scan(const std::string& base_dir, ScanDepth depth = ScanDepth::kEpochs);

// Newest committed sequence + 1 of an epoch's directory, 0 without a frame: a second look, for rates. Rings of more than
// kFullScanSlots slots are sampled first. nullopt: unreadable.
inline constexpr uint32_t kFullScanSlots = 65536;
std::optional<uint64_t> scan_next_seq(const std::string& epoch_path) noexcept;

}  // namespace tidepool::pool
