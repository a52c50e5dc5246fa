#pragma once
// What CSV and .npy import share: which column becomes which field, and a clock's text or number as the clock's value. Private
// to feed/.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/feed/import.h"

namespace tidepool::feed {

struct ColumnMap {
  // Of each column of the file: index of its field in the schema, or -1.
  std::vector<int> field_of;
  int row_clock = -1;  // the field that takes the row's number
};

// Match columns and fields by name (without names by position). Throws FeedError kSchemaConflict.
ColumnMap map_columns(const std::vector<std::string>& columns, bool named, const Schema& schema, const SourceOptions& options,
                      const std::string& path);

// The clocks among `columns`, which could be one as `fit` says: those that options name, else the one that is clearly a time.
// Empty: the row's number. Throws FeedError kInvalidSchema.
struct ClockFit {
  std::string name;
  bool possible = false;
  bool is_time = false;  // a date and time, not only a number
};
std::vector<size_t> choose_clocks(const std::vector<ClockFit>& columns, const SourceOptions& options, const std::string& path);

// "1357034400000000000", "1357034400.5", "2013-01-01T10:00:00Z": the value in `to`; or what is wrong in `why`.
std::optional<uint64_t> parse_clock(std::string_view text, ClockUnit from, ClockUnit to, std::string& why);

inline constexpr std::string_view kRowClockName = "row";

}  // namespace tidepool::feed
