#pragma once
// Rows of any version of a feed's schema as rows of one: fields by name, those that a version did not have by default (F-18).
//
// Thread safety: const calls from any thread.

#include <cstdint>
#include <vector>

#include "tidepool/feed/reader.h"

namespace tidepool::feed {

class Projection {
 public:
  // To `target`, which may be the newest version, an older one, or any choice of fields in any order. `defaults`: a row of the
  // target that holds what missing fields get; empty: zeros. Throws FeedError kSchemaConflict when a field has another type
  // than the target wants, kUsage when it is in no version at all.
  Projection(const FeedInfo& feed, const Schema& target, Bytes defaults = {});

  const Schema& target() const noexcept { return target_; }
  // One row, as an Item or Batch gave it, into `out`, of target().record_bytes(). Throws FeedError kUsage: a version that was not
  // there when this was made (a writer came since: make it again), or a size that is not that version's.
  void apply(uint32_t schema_id, Bytes row, MutableBytes out) const;
  // All rows of a piece, appended to `out`.
  void append(const Batch& piece, std::vector<std::byte>& out) const;

 private:
  struct Run {
    uint32_t from = 0;
    uint32_t to = 0;
    uint32_t bytes = 0;
  };
  struct Version {
    uint32_t record_bytes = 0;
    std::vector<Run> runs;
  };
  Schema target_;
  std::vector<std::byte> defaults_;
  std::vector<Version> versions_;
};

// A range across versions as one array (F-18). Throws as FeedReader::read_range() does.
std::vector<std::byte> read_projected(FeedReader& reader, const TimeRange& time, const Projection& projection,
                                      uint64_t bytes_max = uint64_t{1} << 30);

}  // namespace tidepool::feed
