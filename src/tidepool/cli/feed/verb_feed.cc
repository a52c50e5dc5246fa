// tidepool feed: the verbs of feeds, one file for each in this folder.

#include <CLI/CLI.hpp>

#include "tidepool/cli/command.h"
#include "tidepool/cli/verbs.h"

namespace tidepool::cli {

void add_feed_bench(CLI::App& group, Context& context);

void add_feed(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("feed", "durable feeds");
  group->require_subcommand(1);
  add_feed_bench(*group, context);
}

}  // namespace tidepool::cli
