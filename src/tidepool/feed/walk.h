#pragma once
// The records of a range one by one: forwards or backwards, all or every Nth, and only those that fulfil conditions (F-103). Chunks and
// blocks whose clocks show that they hold nothing wanted are passed over unread.
//
// Thread safety: one thread. Lifetime: the reader must outlive it; what an item points to may be read until the next call.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tidepool/feed/export.h"
#include "tidepool/feed/filter.h"

namespace tidepool::feed {

struct WalkOptions {
  RecordRange range{};
  std::vector<std::string> where{};  // all of them: Filter::parse()
  bool reverse = false;  // the newest first
  // Of the records that are wanted, the first and then each Nth. Without conditions those are the records of every Nth number, and the
  // others are not looked at, so that damage between them is not told.
  uint64_t every = 1;
  // ... of those, none nearer to the one before it than this, in time of the clock of `range`, in its unit. 0: whatever their time.
  uint64_t step = 0;
};

class Walk {
 public:
  // The range's end is fixed now (F-100). Throws FeedError kUsage: `every` of 0, no such clock, a condition that is none; and as
  // FeedReader::range() does.
  Walk(FeedReader& reader, const WalkOptions& options);

  // The next record, or a gap: records that might have been wanted and cannot be read. False: that was all.
  bool next(Item& item);
  uint64_t examined() const noexcept { return examined_; }  // records that were looked at, wanted or not

 private:
  struct Run {
    Batch piece;
    std::vector<uint8_t> keep;
  };
  void load();
  void load_rows(uint64_t from, uint64_t to);
  void load_frame(uint64_t seq);
  void load_hole(uint64_t seq);
  void add_gap(uint64_t from, uint64_t to, Gap gap);
  void advance(uint64_t from, uint64_t to) noexcept;
  bool on_grid(uint64_t from, uint64_t to) const noexcept;
  bool take(const Item& item);
  const Filter& filter_of(uint32_t schema_id);

  FeedReader* reader_;
  WalkOptions options_;
  Filter filter_;
  std::vector<std::unique_ptr<Filter>> of_version_;
  bool rows_ = true;
  uint64_t low_ = 0;  // records [low_, high_) are not decided yet
  uint64_t high_ = 0;
  uint64_t first_ = 0;  // where it began
  std::vector<Run> runs_;  // of one block, in their order
  size_t run_ = 0;  // how many of them are done, in the walk's direction
  uint64_t row_ = 0;  // and of the next one's records
  std::shared_ptr<const void> hold_;
  uint64_t to_pass_ = 0;  // wanted records until the next one that is given
  bool given_any_ = false;
  uint64_t given_time_ = 0;
  uint64_t examined_ = 0;
};

}  // namespace tidepool::feed
