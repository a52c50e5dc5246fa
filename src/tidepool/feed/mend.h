#pragma once
// What repair writes: parts of a chunk's file from its verified records, its index, and the plan of a feed's registry. Private to
// feed/.

#include <string>
#include <vector>

#include "tidepool/feed/chunk_scan.h"

namespace tidepool::feed {

// Everything of a settled chunk's file but its header and its records, from these. Only after all blocks check out; throws
// kCorrupt else. Written over what is there: the same bytes where they were right.
void mend_chunk(const FeedInfo& feed, const ChunkInfo& info, Files& files);
void rebuild_index(const FeedInfo& feed, const ChunkInfo& info, Files& files);

struct RegistryPlan {
  std::vector<FeedRecord> records;
  std::string why;  // they are not what the registry has; empty: they are
};
// The entries that a feed's registry should have: those that it has, put right where a chunk's own footer says otherwise (F-21).
// `lost`: some are gone, so what chunk files say is added: chunks, epochs (F-53), a segment an epoch that has none (F-114).
RegistryPlan plan_registry(const FeedInfo& feed, std::vector<FeedRecord> records, bool lost, Files& files);

}  // namespace tidepool::feed
