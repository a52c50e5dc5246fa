#pragma once
// Datasets: the windows of time in which several feeds, of one base or of many, were all captured without a break; how to split one
// into training and validation; and what of each feed lies in it, so that it can be found again and checked (F-116 to F-118).
//
// All times here are nanoseconds, whatever the unit of a feed's clock; all windows are half-open. Nothing changes a feed.
// Thread safety: stateless.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tidepool/feed/segments.h"

namespace tidepool::feed {

// A feed of a base, and the clock that its times are taken by. `alias` is what the base is called in a manifest; empty: the only one.
struct FeedRef {
  std::string alias;
  std::string base;
  std::string feed;
  std::string clock;  // empty: clock 0
  std::string text() const { return alias.empty() ? feed : concat(alias, ":", feed); }
};

struct FeedSource {
  std::string alias;
  std::string base;
};
// "alias=path"; throws FeedError kUsage.
FeedSource parse_source(std::string_view text);
// "feed", "alias:feed", either with "@clock" behind it. Without an alias there must be one source only. Throws FeedError kUsage.
FeedRef parse_feed_ref(std::string_view text, const std::vector<FeedSource>& sources);

struct DatasetOptions {
  SegmentFilter segments = SegmentFilter::kUsable;
  bool include_open = true;  // a segment without an end reaches up to the last committed record; false: left out (F-116)
  uint64_t min_duration_ns = 0;  // shorter windows are left out
  Files* files = &Files::system();
};

struct DatasetFeed {
  FeedRef ref;
  Id base_id{};
  Id feed_id{};
  size_t clock = 0;
  ClockUnit unit = ClockUnit::kNs;
  ClockDomain domain = ClockDomain::kUser;
  std::vector<Interval> usable;  // ns
  std::vector<std::string> remarks;  // breaks that data was lost in: "records 800 to 1000: ..."
};

struct Dataset {
  std::vector<DatasetFeed> feeds;
  std::vector<Interval> windows;  // ns, in order
  // The longest, the first of them if there are several; nullopt: there is none.
  std::optional<Interval> longest() const noexcept;
};

// Throws FeedError: kFeedNotFound and the like naming the feed, kUsage for clocks that cannot be compared (a monotonic one and a wall
// clock), kOutOfRange for times that do not fit into nanoseconds of 64 bits (F-15).
Dataset find_dataset(const std::vector<FeedRef>& refs, const DatasetOptions& options = {});
// Of all lists, each sorted and without overlaps: the times that are in every one.
std::vector<Interval> intersection(const std::vector<std::vector<Interval>>& lists);

// ---- splitting a window (F-117) ------------------------------------------------------------------------------------------------

struct Split {
  std::vector<Interval> train;
  Interval validation;
};
// train = floor(duration * ratio), 1 to duration - 1; the rest validates. `embargo_ns` is left out between them, so that what is
// computed over a past of that length cannot leak. nullopt: the window is shorter than 2 (or than the embargo leaves). Throws
// FeedError kUsage unless 0 < ratio < 1.
std::optional<Split> split_window(const Interval& window, double ratio = 0.8, uint64_t embargo_ns = 0);
// `k` equal parts, each of them once the validation, all others (but for the embargo around it) the training. k >= 2.
std::vector<Split> k_folds(const Interval& window, size_t k, uint64_t embargo_ns = 0);
// `steps` validations one after the other in the last part of the window, each trained on all (or, with `train_ns`, on that much)
// that lies before it. steps >= 1.
std::vector<Split> walk_forward(const Interval& window, size_t steps, uint64_t train_ns = 0, uint64_t embargo_ns = 0);

// ---- what lies in a window (F-118) ---------------------------------------------------------------------------------------------

// One feed's part: first and last record that belong to it, their number, the epochs that they were written in, and a checksum of
// their bytes, in order. A later look that gives the same is of the same data.
struct WindowContent {
  std::string feed;  // as FeedRef::text()
  Id base_id{};
  Id feed_id{};
  uint64_t first_seq = 0;
  uint64_t end_seq = 0;  // one past the last; equal to first_seq: no record
  uint64_t records = 0;
  uint64_t bytes = 0;
  uint64_t first_epoch = 0;
  uint64_t last_epoch = 0;
  uint32_t crc = 0;  // CRC-32C; 0 when it was not asked for
  std::vector<Gap> gaps;  // records that are gone: retention, damage
  bool operator==(const WindowContent& other) const;
};
// Reads the window of every feed (of unordered clocks: all that may belong to it). `checksum`: their bytes too.
std::vector<WindowContent> window_content(const Dataset& dataset, const Interval& window, bool checksum,
                                          Files& files = Files::system());
// The window in a feed's own unit: records of `unit` belong to it exactly if their raw clock lies in what this returns.
TimeRange raw_range(const Interval& window_ns, ClockUnit unit, size_t clock) noexcept;
// What is different between what was written down and what is there now, a line each (F-118: retention ate part of a window).
std::vector<std::string> content_differences(const std::vector<WindowContent>& then, const std::vector<WindowContent>& now);

}  // namespace tidepool::feed
