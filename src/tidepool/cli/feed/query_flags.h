#pragma once
// Which records, and how they are written: the options that read, export and tail share.

#include <string>
#include <vector>

#include "tidepool/cli/feed/target.h"
#include "tidepool/cli/feed/time_text.h"
#include "tidepool/feed/export.h"

namespace tidepool::cli {

struct RangeFlags {
  std::string from, to, clock;
  uint64_t from_seq = 0, to_seq = 0;
  bool by_from_seq = false, by_to_seq = false;
  uint64_t last = 0;
  bool by_last = false;
  std::string latest;  // a duration
  uint64_t limit = ~uint64_t{0};
  bool skip_damaged = false;
};
void add_range_flags(CLI::App& verb, RangeFlags& flags);
// What they mean for this feed. Throws UsageError for combinations that have no meaning (F-74).
feed::RecordRange range_of(const RangeFlags& flags, feed::FeedReader& reader, const TimeFormat& format);

struct StyleFlags {
  std::string format;  // empty: the verb's default
  std::vector<std::string> columns;
  std::string ts_fmt = "epoch";
  bool no_header = false;
  bool seq = false;
  bool unsigned_text = false;
  std::string delimiter = ",";
};
void add_style_flags(CLI::App& verb, StyleFlags& flags, const std::string& formats);
feed::RowStyle style_of(const StyleFlags& flags, feed::RowFormat fallback, const feed::Schema& schema, const TimeFormat& format);
// One character; "tab" or "\t" is one, too.
char delimiter_of(const std::string& text);

}  // namespace tidepool::cli
