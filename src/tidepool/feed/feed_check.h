#pragma once
// The pieces that verify and repair share: one feed's files against what its registry says. Private to feed/.

#include <map>
#include <optional>
#include <set>

#include "tidepool/feed/chunk_scan.h"
#include "tidepool/feed/log_scan.h"
#include "tidepool/feed/verify.h"

namespace tidepool::feed {

// The feeds that a global registry's entries make.
struct GlobalLists {
  std::map<std::string, FeedInfo, std::less<>> feeds;
  std::vector<uint64_t> unknown;  // positions of entries whose content is no feed's
  std::set<std::string> deleted;  // feed ids, 32 hex digits each
};
GlobalLists lists_of(const LogScan& scan, const std::string& base);

// Whether somebody writes the feed, or takes what a dead writer left to disk. True when it cannot be asked (F-43).
bool has_owner(const FeedInfo& feed) noexcept;

class FeedCheck {
 public:
  FeedCheck(const FeedInfo& feed, const VerifyOptions& options, VerifyReport& report)
      : feed_(feed), options_(options), files_(*options.files), report_(report) {}

  // Its directory is there; else told.
  bool directory();
  // Schema file and definition against the global registry. The schema, from the file or else a chunk.
  std::optional<Schema> schema();
  void definition();
  // The registry's file; nullopt: none that can be used (told).
  std::optional<LogScan> registry();
  // Every chunk of the lists; the sequence that they make; files that no entry needs.
  void chunks(const FeedRegistry& lists);
  void chunk(const ChunkInfo& info);
  void sequence(const FeedRegistry& lists);
  bool only_prepared(const std::string& path, uint64_t ordinal);
  void strays(const FeedRegistry& lists);

 private:
  Finding& tell(Severity severity, std::string what, std::string path, std::string expected, std::string found);
  Finding& tell_chunk(Severity severity, const char* what, const ChunkInfo& info, std::string expected, std::string found);
  void unfinished(const ChunkInfo& info);
  void persisted(const ChunkInfo& info);
  bool identity(const ChunkInfo& info, const ChunkHeader& header);
  void footer(const ChunkInfo& info, const File& file, const DiskChunk& disk);
  void head(const ChunkInfo& info, const File& file, const DiskChunk& disk);
  void data(const ChunkInfo& info, const File& file, const DiskChunk& disk);
  void index(const ChunkInfo& info, const DiskChunk& disk, const IndexBuilder* builder);
  std::string path_of(uint64_t ordinal) const { return concat(feed_.directory, "/", chunk_name(ordinal)); }

  FeedInfo feed_;
  VerifyOptions options_;
  Files& files_;
  VerifyReport& report_;
  std::map<uint64_t, uint64_t> unsettled_{};  // records of files whose chunk the registry has not ended: first, and behind the last
};

// One feed, all of it.
void check_feed(const FeedInfo& feed, const VerifyOptions& options, VerifyReport& report);

}  // namespace tidepool::feed
