#include "tidepool/cli/feed/target.h"

#include <CLI/CLI.hpp>

namespace tidepool::cli {

CLI::Option* add_base_flag(CLI::App& verb, std::string& base) {
  return verb.add_option("--base,--base-path", base, "directory of the feeds (default: TIDEPOOL_FEEDS)")
      ->type_name("DIR")
      ->envname("TIDEPOOL_FEEDS")
      ->required();
}

void add_target_flags(CLI::App& verb, FeedTarget& target) {
  verb.add_option("name,--feed", target.name, "the feed")->type_name("NAME")->required();
  add_base_flag(verb, target.base);
}

}  // namespace tidepool::cli
