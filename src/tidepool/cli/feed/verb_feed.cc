// tidepool feed: records that last. The group of its verbs; each has its own file.

#include <CLI/CLI.hpp>

#include "tidepool/cli/command.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/cli/verbs.h"

namespace tidepool::cli {

void add_feed(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("feed", "records that last: make, write, follow, query, check and keep feeds");
  group->require_subcommand(1);
#define TIDEPOOL_ADD_FEED_VERB(name) add_feed_##name(*group, context);
  TIDEPOOL_FEED_VERBS(TIDEPOOL_ADD_FEED_VERB)
#undef TIDEPOOL_ADD_FEED_VERB
  group->footer(
      "A base is a directory of feeds; a feed is a named, append-only sequence of records that one process writes and any number read.\n"
      "Every verb takes --base DIR (or TIDEPOOL_FEEDS) and --json; `tidepool feed VERB --help` has options and examples.\n"
      "Exit codes: 0 done, 1 failed, 2 usage, 3 nothing found, 4 damage found.\n"
      "Examples:\n"
      "  export TIDEPOOL_FEEDS=$HOME/feeds\n"
      "  tidepool feed create trades --field time_ns:uint64 --field price:float64 --field size:uint32\n"
      "  tidepool feed list\n"
      "  tidepool feed info trades");
}

}  // namespace tidepool::cli
