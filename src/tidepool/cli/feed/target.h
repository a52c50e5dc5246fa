#pragma once
// Which base and which feed a verb is about.

#include <string>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace tidepool::cli {

struct FeedTarget {
  std::string base;
  std::string name;
};

// --base DIR (upstream's --base-path is another name for it); TIDEPOOL_FEEDS when it is not given.
CLI::Option* add_base_flag(CLI::App& verb, std::string& base);
// --base, and the feed's name as the first word (or --feed NAME).
void add_target_flags(CLI::App& verb, FeedTarget& target);

}  // namespace tidepool::cli
