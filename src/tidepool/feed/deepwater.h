#pragma once
// Deepwater's bases, read for import (F-152, docs/guide/feeds.md): a global registry, and for each feed a registry of chunks, a
// schema in MessagePack and chunk files without headers or checksums. What is on disk is taken; its ring in shared memory is not.
//
// Its counts are believed only as far as the files bear them out: valid bytes are min(write_pos, size of the file) in whole records;
// bounds and status are not used; zero rows at a chunk's end are refused, since its ring persists such.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tidepool/feed/import.h"

namespace tidepool::feed {

struct DeepwaterChunk {
  uint64_t id = 0;
  uint64_t records = 0;  // that the file holds
  uint64_t told_records = 0;  // that the registry says
  bool missing = false;
};

struct DeepwaterFeed {
  std::string name;
  std::string directory;
  Schema schema;
  FeedOptions options;  // as near as ours come
  std::vector<DeepwaterChunk> chunks;
  std::vector<std::string> remarks;  // what is odd, a line each
};

// Names of the feeds of a base. Throws FeedError kBaseNotFound, kCorrupt.
std::vector<std::string> deepwater_feeds(const std::string& base);
// Throws FeedError kFeedNotFound, listing those there are; kCorrupt; kInvalidSchema.
DeepwaterFeed open_deepwater_feed(const std::string& base, const std::string& name);
// Its rows in order. Missing chunks, short ones and zero rows are told as refusals.
std::unique_ptr<RowSource> deepwater_rows(const DeepwaterFeed& feed);

}  // namespace tidepool::feed
