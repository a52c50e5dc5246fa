#pragma once
// Several feeds read as one, in the order of a clock: ties by the order of the feeds, then by record number, so that the same data
// always come in the same order (F-103). One record of each feed is looked at ahead (more with a reordering window), whatever
// their length; every gap, stall and end of a feed comes as an item that says which feed it is of.
//
// Thread safety: one thread. Lifetime: what an item points to may be read until the next call.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tidepool/feed/dataset.h"

namespace tidepool::feed {

struct MergeOptions {
  // A feed of a loose clock gives its records in the order of this much time: each waits until one that is younger by so much has
  // come. What comes later still is marked as late, and given at once.
  uint64_t reorder_ns = 0;
  size_t reorder_records_max = 4096;  // of each feed; beyond it the oldest is given whatever its time
  // While following: how long a feed that is silent may hold the others back. Its records are late then, if they come after all.
  // The default gives the one order that the data define, at the price of waiting for the slowest feed.
  uint64_t patience_ns = ~uint64_t{0};
  ReaderOptions reader;  // `from` is where following begins; stop_when_inactive ends a feed that nobody writes
};

struct MergedItem {
  size_t feed = 0;  // which one; the number of feeds: it concerns all (kIdle, kEnded)
  uint64_t time_ns = 0;  // of a record
  bool late = false;  // an item of a later time was given before it
  Item item;
};

class MergedReader {
 public:
  // All that lies in the window, then kEnded. The end of each feed is fixed now.
  static MergedReader open_window(const std::vector<FeedRef>& refs, const Interval& window_ns, const MergeOptions& options = {});
  // History from options.reader.from on, then what comes. Throws FeedError as FeedReader::open() does, and kUsage, kOutOfRange for
  // clocks that cannot be compared.
  static MergedReader follow(const std::vector<FeedRef>& refs, const MergeOptions& options = {});

  MergedReader(MergedReader&&) noexcept;
  MergedReader& operator=(MergedReader&&) noexcept;
  ~MergedReader();

  size_t feeds() const noexcept;
  FeedReader& reader(size_t feed) noexcept;  // for its schema; moving it breaks the merge
  // The next record or event; kIdle: nothing can be given in the time given, because a feed that must come first is silent.
  [[nodiscard]] MergedItem next(uint64_t timeout_ns = 0);
  uint64_t late() const noexcept;  // records given late so far

 private:
  class Impl;
  explicit MergedReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidepool::feed
