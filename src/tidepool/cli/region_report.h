#pragma once
// A region file or an epoch's directory as a stranger finds it: read with pread() alone, so that nothing is mapped, nothing
// can be written and a file that is cut under our eyes is a short read and no fault. Everything in it is input.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/wire/shm_layout.h"

namespace tidepool::cli {

struct SlotReport {
  enum class State : uint8_t { kUnused, kWriting, kCommitted };
  uint32_t index = 0;
  uint64_t word = 0;           // seq_commit
  State state = State::kUnused;
  uint64_t seq = 0;            // kWriting, kCommitted
  std::string fault;           // kCommitted: what is wrong with the header; empty: nothing
  wire::SlotHeader header;     // kCommitted without a fault
};

struct RegionReport {
  std::string path;
  uint64_t file_bytes = 0;
  wire::Superblock superblock;
  bool creator_alive = false;
  // Header ring only:
  uint64_t committed = 0, writing = 0, unused = 0, damaged = 0;
  std::vector<SlotReport> slots;     // the newest, newest first
  std::vector<std::string> faults;   // sentences, of slots
};

// What slots may refer to, when the pools of their epoch are known.
struct KnownPool {
  uint16_t pool_id = 0;
  uint32_t stride_bytes = 0;
};

// Read one region. `slot_limit`: how many slots to report. `pools`: check slots against them; nullptr: unknown.
// Throws Error naming the file: kNotFound, kPermission, kCorrupt (no region, cut short, contradicts itself), kUnsupported (a
// newer layout). Slots that are damaged are faults and no exceptions.
RegionReport examine_region(const std::string& path, size_t slot_limit, const std::vector<KnownPool>* pools = nullptr);

struct EpochReport {
  std::string path;
  RegionReport header;
  std::vector<RegionReport> pools;
  std::vector<std::string> faults;  // regions that contradict each other; each region's own are with it
};
// Read header.ring and every *.pool of an epoch's directory. Throws Error as examine_region() does.
EpochReport examine_epoch(const std::string& directory, size_t slot_limit);

// Of a stream's directory: its epochs' directories, ascending; empty for any other.
std::vector<std::string> epochs_below(const std::string& directory);

}  // namespace tidepool::cli
