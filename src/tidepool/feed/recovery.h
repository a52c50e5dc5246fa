#pragma once
// What a writer does before its first append: find out what earlier ones left, finish it, and say what was lost (F-52, F-53).
// On the boot that wrote them, live objects are the truth and nothing is lost. On another boot, checksums decide (F-h).
//
// Runs under the feed's writer lock. Idempotent: killed at any point, the next run finishes.

#include <cstdint>
#include <string>
#include <vector>

#include "tidepool/feed/chunk.h"

namespace tidepool::feed {

struct ChunkRecovery {
  uint64_t ordinal = 0;
  uint64_t first_seq = 0;
  uint64_t count = 0;
  bool from_memory = false;  // its live object was there: nothing is lost
  bool cut = false;          // ends where checksums end; what was committed beyond is unknown
  bool rewritten = false;    // its file was not what memory says (F-64)
  std::string remark;
};

struct RecoveryReport {
  uint64_t epoch = 0;     // the one that the writer opens
  uint64_t next_seq = 0;  // of its first record
  uint64_t highest_ordinal = 0;
  uint64_t highest[kClocksMax] = {};  // of each clock over all records that are known
  bool any_records = false;
  bool clean = true;      // the last writer closed
  bool loss = false;      // committed records may be gone: from next_seq on
  std::vector<ChunkRecovery> chunks;  // that were not settled
  std::vector<std::string> remarks;
};

RecoveryReport recover_feed(const FeedInfo& feed, FeedRegistry& registry, Files& files);

}  // namespace tidepool::feed
