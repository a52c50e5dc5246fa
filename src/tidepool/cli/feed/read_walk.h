#pragma once
// `feed read` record by record: conditions, backwards, every Nth, and paced by the records' own time (F-103).

#include <string>
#include <vector>

#include "tidepool/cli/command.h"
#include "tidepool/feed/export.h"
#include "tidepool/feed/reader.h"

namespace CLI {
class App;
}

namespace tidepool::cli {

struct WalkFlags {
  bool reverse = false;
  std::string every;  // "10", or a duration
  std::vector<std::string> where;
  double pace = 0;
  bool paced = false;
  double window_ms = 0;
  bool any() const noexcept { return reverse || !every.empty() || !where.empty() || paced || window_ms > 0; }
};
void add_walk_flags(CLI::App& verb, WalkFlags& flags);

struct WalkReport {
  feed::ExportReport records;
  uint64_t examined = 0;
};
// How many records there would be; throws at the first gap unless `options` skips them.
uint64_t count_walk(feed::FeedReader& reader, const WalkFlags& flags, const feed::ExportOptions& options);
// Written as they come, at their pace. `count`: for formats that say it first.
WalkReport write_walk(const Context& context, feed::FeedReader& reader, const WalkFlags& flags, const feed::ExportOptions& options,
                      uint64_t count);

}  // namespace tidepool::cli
