#pragma once
// How repair does and tells its steps, and the two halves of it. Private to feed/.

#include <sys/stat.h>

#include <string>

#include "tidepool/feed/feed_check.h"
#include "tidepool/feed/repair.h"

namespace tidepool::feed {

// A link counts as what it is.
inline bool path_exists(const std::string& path) {
  struct stat found{};
  return ::lstat(path.c_str(), &found) == 0;
}

class RepairSteps {
 public:
  RepairSteps(const RepairOptions& options, RepairReport& report) : options_(options), report_(report) {}

  bool dry() const noexcept { return options_.dry_run; }
  Files& files() const noexcept { return *options_.files; }
  const RepairOptions& options() const noexcept { return options_; }
  RepairReport& report() noexcept { return report_; }
  // Tell it, and do it unless this is a dry run. What fails is told and thrown: nothing that builds on it may follow.
  template <typename Body>
  void step(RepairAction action, Body&& body) {
    if (dry()) {
      report_.actions.push_back(std::move(action));
      return;
    }
    try {
      body();
    } catch (const FeedError& error) {
      action.failure = error.what();
      report_.actions.push_back(std::move(action));
      throw;
    }
    action.done = true;
    report_.actions.push_back(std::move(action));
  }

 private:
  const RepairOptions& options_;
  RepairReport& report_;
};

// One feed, under its locks (a dry run: none).
void repair_one(const FeedInfo& feed, RepairSteps& steps);

// What a feed's directory says of itself: from its definition, or else from its registry, schema and chunks, with settings by
// default. nullopt: nothing in it says which feed it is.
std::optional<FeedInfo> feed_of_directory(const std::string& directory, const std::string& name, Files& files, std::string& how);

}  // namespace tidepool::feed
