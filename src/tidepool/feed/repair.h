#pragma once
// Puts right what verify finds and what the dead left half done (F-132, F-134): registries from chunk files, the base's registry
// from feed directories, footers and indexes from records; finishes rotations, deletes, retention; moves to quarantine what cannot
// be right. Works on data and checksums, never on counters; nothing is deleted that holds records; a chunk never grows beyond what
// its checksums vouch for.
//
// Each feed under its writer's lock, all the while: a feed that somebody writes is skipped. Idempotent: killed at any point, the
// next run finishes; a second run finds nothing to do. Thread safety: functions without state.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tidepool/feed/verify.h"

namespace tidepool::feed {

struct RepairAction {
  std::string what{};  // a stable word: "rebuild-index"; docs/protocols/feed.md lists them
  std::string feed{};  // empty: of the base
  std::string path{};
  std::string why{};
  uint64_t first_seq = 0;  // records that are concerned, [first_seq, end_seq); equal: none
  uint64_t end_seq = 0;
  bool done = false;    // a dry run does nothing
  std::string failure{};  // why it could not be done
};
// "rebuild-index <path>: why", and what became of it.
std::string text_of(const RepairAction& action);

struct RepairOptions {
  bool dry_run = false;                      // say all that would be done, change nothing, take no lock
  std::string feed{};                        // empty: all of the base
  uint64_t grace_ns = 60'000'000'000;        // files of expired chunks stay that long (F-128)
  std::function<void(const VerifyProgress&)> progress{};
  Files* files = &Files::system();
};

struct RepairReport {
  uint64_t feeds = 0;
  std::vector<std::string> skipped;  // "trades: is held by feed writer (pid 41, ...)"
  std::vector<RepairAction> actions;
  VerifyReport left;                 // what verify says afterwards; of a dry run nothing
  bool failed() const noexcept;      // an action could not be done
};

// Throws FeedError kBaseNotFound, kFeedNotFound, kRegistryBusy, kUnsupportedVersion, kPermission for the base itself.
RepairReport repair_base(const std::string& base, const RepairOptions& options = {});

}  // namespace tidepool::feed
