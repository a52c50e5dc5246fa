#pragma once
// Retention: what of a feed may go, by age, bytes, chunks, a quota of the base and free space (F-125 to F-131). Always whole chunks,
// the oldest first; never one that is open, not durable, pinned, or the newest. An entry first (EXPIRED, synced), then a time of
// grace, then the files: readers are told, and who has a chunk mapped keeps it.
//
// Never because of a clock's step alone: a run that would remove more than half of a feed by age looks whether time moved
// plausibly, and else waits for the next run that confirms it an hour later (F-129).
//
// Thread safety: FeedRetention: one thread; any number of processes, the feed's retention lock keeps them apart.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/feed/registry.h"

namespace tidepool::feed {

// Limits; 0: none.
struct RetentionLimits {
  uint64_t age_ns = 0;
  uint64_t bytes = 0;  // of records
  uint64_t chunks = 0;
};

inline constexpr uint64_t kGraceNs = 60 * kNsPerSecond;

struct RetentionOptions {
  uint64_t grace_ns = kGraceNs;  // between EXPIRED and the end of the files (F-128)
  bool dry_run = false;  // say exactly what a run would do, and do nothing
  bool force = false;  // whatever the clocks say (F-129)
  const tidepool::Clock* clock = &SystemClock::instance();
  Files* files = &Files::system();
};

struct ExpiredChunk {
  std::string feed;
  uint64_t ordinal = 0;
  uint64_t first_seq = 0;
  uint64_t end_seq = 0;
  uint64_t bytes = 0;
  std::string why;  // "age", "bytes", "chunks", "quota", "free space"; "rows": of payloads, whose rows went before
};

struct RemovedFile {
  std::string feed;
  std::string path;
};

struct RetentionReport {
  uint64_t feeds = 0;
  std::vector<ExpiredChunk> expired;
  std::vector<RemovedFile> removed;
  uint64_t waiting = 0;  // files of expired chunks that stay for their time of grace
  uint64_t waiting_bytes = 0;
  std::vector<std::string> warnings;  // what was kept against a limit, and why; broken pins
};

// A file of an expired chunk that is still there.
struct ExpiredFile {
  std::string name;
  uint64_t bytes = 0;
  bool due = false;  // the time of grace is over
};
std::vector<ExpiredFile> expired_files(const FeedInfo& feed, Files& files, uint64_t grace_ns, const tidepool::Clock& clock);

// One feed's retention, for a writer's housekeeping, a daemon or a command.
class FeedRetention {
 public:
  // Throws what FeedRegistry::open() throws.
  FeedRetention(const FeedInfo& feed, const RetentionOptions& options);

  // Under the feed's retention lock, which it takes; throws FeedError kBusy naming who has it (F-125). `payload_bytes`: of what goes
  // with rows, as much as is kept when they begin at that number; a limit of bytes is one of all (F-123).
  using PayloadBytes = std::function<uint64_t(uint64_t first_seq)>;
  void run(const RetentionLimits& limits, RetentionReport& report, const PayloadBytes& payload_bytes = {});

  // Of a feed of payloads (blob.h): let those chunks go whose rows are all below `rows_floor`, and no others (F-123).
  void follow(uint64_t rows_floor, const std::string& why, RetentionReport& report);
  // Records of this feed that a run of follow() would leave, in bytes.
  uint64_t bytes_left(uint64_t rows_floor);
  // The first record that is kept, after what `report` says is expired (a dry run changes no registry).
  uint64_t floor_after(const RetentionReport& report);

  // For limits that concern many feeds: what may go at all, oldest first (pins and F-127 are heeded); and to let one go.
  struct Candidate {
    uint64_t ordinal = 0;
    uint64_t end_seq = 0;
    uint64_t bytes = 0;
    uint64_t sealed_wall_ns = 0;
  };
  std::vector<Candidate> removable(RetentionReport& report);
  uint64_t kept_bytes();
  bool compact() { return registry_.compact(); }
  void expire_one(uint64_t ordinal, const std::string& why, RetentionReport& report);
  const FeedInfo& feed() const noexcept { return feed_; }

 private:
  struct Anchor {  // two clocks at one moment
    uint64_t wall_ns = 0;
    uint64_t monotonic_ns = 0;
    Id boot_id{};
  };
  void expire(const std::vector<uint64_t>& ordinals, const std::string& why, RetentionReport& report);
  std::vector<std::pair<uint64_t, const char*>> choose(const RetentionLimits& limits, const PayloadBytes& payload_bytes,
                                                       RetentionReport& report);
  std::vector<const ChunkInfo*> without_rows(uint64_t rows_floor, std::string& unknown);
  void remove_due(RetentionReport& report);
  std::vector<const ChunkInfo*> unpinned(const std::vector<const ChunkInfo*>& wanted, RetentionReport& report);
  std::vector<const ChunkInfo*> old_ones(const std::vector<const ChunkInfo*>& candidates, uint64_t age_ns,
                                         RetentionReport& report) const;
  std::vector<const ChunkInfo*> candidates();
  bool time_moved_plausibly(std::string& why);
  bool confirmed(const std::string& why, RetentionReport& report);
  Anchor now() const;
  void load_state();
  void save_state();
  std::string name_of(const ChunkInfo& chunk) const;

  FeedInfo feed_;
  RetentionOptions options_;
  FeedRegistry registry_;
  Anchor last_;
  Anchor suspect_;  // when a run was stopped; zeros: none was
  bool state_changed_ = false;
  bool stopped_ = false;  // the last run, by F-129
  std::map<uint64_t, std::optional<uint64_t>> last_rows_;  // by ordinal, of a feed of payloads
};

struct PruneOptions {
  RetentionOptions run{};
  std::string feed{};  // empty: all of the base
  RetentionLimits limits{};  // instead of the feed's own, where not 0
  uint64_t quota_bytes = 0;  // of all feeds together
  uint64_t min_free_bytes = 0;  // of the base's file system
  std::function<uint64_t(const std::string& directory)> free_bytes{};  // a seam for tests; empty: ask the system
  std::function<void(const std::string& feed, const RetentionReport& so_far)> progress{};  // before each feed
};

// All of a base, under its prune.lock: throws kBusy naming who runs it already.
RetentionReport prune_base(const std::string& base, const PruneOptions& options = {});

}  // namespace tidepool::feed
