#pragma once
// Whether a feed, or all of a base, is what it should be: every checksum, every number against every other, registry against files
// (F-133). Changes nothing, takes no lock, maps nothing (G-5, rulings F-i). While somebody writes, what is durable is checked.
//
// Thread safety: functions without state.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/feed/file_seam.h"

namespace tidepool::feed {

enum class Severity : uint8_t {
  kNote,        // told, and nothing wrong: a dead writer's unfinished chunk, a file in quarantine
  kRepairable,  // no record is lost: repair puts it right from what else there is
  kDamage,      // records cannot be read, or a whole file cannot
};
std::string_view severity_name(Severity severity) noexcept;  // "note", "repairable", "damage"

struct Finding {
  Severity severity = Severity::kNote;
  std::string what;        // a stable word: "chunk-block"; docs/protocols/feed.md lists them
  std::string feed;        // empty: of the base
  std::string path;        // the file
  uint64_t ordinal = 0;    // of the chunk; 0: none
  uint64_t first_seq = 0;  // records that are concerned, [first_seq, end_seq); equal: none
  uint64_t end_seq = 0;
  std::string expected;
  std::string found;
};
// "damage chunk-block: <path>: records 128 to 256: expected ..., found ...".
std::string text_of(const Finding& finding);

struct VerifyProgress {
  std::string feed;
  uint64_t chunks = 0;  // done, of all feeds so far
  uint64_t bytes = 0;
  uint64_t feed_done = 0;    // chunks of this feed
  uint64_t feed_chunks = 0;  // that it has
};

struct VerifyOptions {
  bool blocks = true;  // read all records; else headers, footers and registries alone
  std::function<void(const VerifyProgress&)> progress{};
  Files* files = &Files::system();
};

struct VerifyReport {
  uint64_t feeds = 0;
  uint64_t chunks = 0;
  uint64_t records = 0;
  uint64_t bytes = 0;  // of records
  std::vector<Finding> findings;
  bool sound() const noexcept;  // notes at most
  uint64_t count(Severity severity) const noexcept;
};

// Throws FeedError kBaseNotFound, kFeedNotFound, kInvalidName, kPermission for the base itself; everything else is a finding.
VerifyReport verify_base(const std::string& base, const VerifyOptions& options = {});
VerifyReport verify_feed(const std::string& base, const std::string& name, const VerifyOptions& options = {});

}  // namespace tidepool::feed
