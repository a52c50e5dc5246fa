#pragma once
// A copy of a base, or of some of its feeds, taken while writers write (F-153): at the last record that was durable when a feed's turn
// came. The copy is a base of its own, of the same id; a second run into it takes what is new. Chunks that are complete are copied
// once and never again.
//
// Order is all of it: a feed's registry before its chunks, so that no entry promises what is not there; rows before their payloads,
// so that no row is without one. Changes nothing in the base, takes no lock. Thread safety: functions without state.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tidepool/feed/file_seam.h"

namespace tidepool::feed {

struct BackupProgress {
  std::string feed;
  uint64_t files = 0;  // copied, of all feeds so far
  uint64_t bytes = 0;
};

struct BackupOptions {
  std::vector<std::string> feeds{};  // with their payloads; empty: all
  std::function<void(const BackupProgress&)> progress{};
  Files* files = &Files::system();
};

struct BackupReport {
  uint64_t feeds = 0;
  uint64_t files = 0;  // copied
  uint64_t bytes = 0;
  uint64_t kept = 0;     // chunks that the copy had already
  uint64_t removed = 0;  // files of the copy that retention has taken from the feed since
  std::vector<std::string> remarks;
};

// Throws FeedError kBaseNotFound, kFeedNotFound, kUsage for a directory that holds something else, kNoSpace, kBusy when retention
// takes a feed's chunks faster than they can be copied.
BackupReport backup_base(const std::string& base, const std::string& to, const BackupOptions& options = {});

}  // namespace tidepool::feed
