#pragma once
// How a feed and a base are, by one call that changes nothing (F-136, F-138, F-139): who writes, how far it is and how far behind the
// disk, how old the newest record is, what was lost, what room is left. From live state where there is one, not from file times.
//
// Thread safety: stateless.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/feed/latency_words.h"
#include "tidepool/feed/persistd.h"
#include "tidepool/feed/reader.h"
#include "tidepool/feed/shm_use.h"

namespace tidepool::feed {

enum class Grade : uint8_t {
  kOk,
  kWarning,  // worth a look; nothing is lost by waiting
  kBad,  // somebody has to do something
  kUnknown,  // the check itself failed
};
std::string_view grade_name(Grade grade) noexcept;  // "ok", "warning", "bad", "unknown"

struct HealthFinding {
  Grade grade = Grade::kOk;
  std::string check;  // "writer", "lag", "age", "chunks", "clocks", "persister", "disk", "shared memory", "registry", ...
  std::string text;
};

struct HealthLimits {
  uint64_t max_age_ns = 0;  // of the newest record; 0: not asked
  uint64_t max_lag_ns = 10 * kNsPerSecond;  // of records that wait for the disk; 0: not asked
  uint64_t stalled_after_ns = 5 * kNsPerSecond;  // without a heartbeat: of a writer, and of a daemon that persists for it
  uint64_t min_free_bytes = 1'000'000'000;  // on disk
  uint64_t min_free_shm_bytes = uint64_t{64} << 20;
  std::vector<std::string> feeds{};  // these only; empty: all of the base
};

// Counters of the writer that lives, or lived last on this boot (F-138). Without its live page there are none: zeros, and `known`
// says so.
struct WriterCounters {
  bool known = false;
  uint64_t rotations = 0;
  uint64_t syncs = 0;
  uint64_t sync_ns_total = 0;
  uint64_t sync_ns_max = 0;
  uint64_t waits = 0;  // appends that had to wait for room (F-56)
  uint64_t wait_ns_total = 0;
  uint64_t refused = 0;  // appends for which there was no room in time
  uint64_t dropped = 0;  // records of a memory feed that were given up for room
  uint64_t deadlines_missed = 0;  // times that records were durable later than sync_interval (F-62)
  uint64_t recovered = 0;  // records that it took over from a crash
  uint64_t regressions[kClocksMax] = {};  // clocks that went backwards (F-40)
  LatencyCounts sync_latency;
  LatencyCounts rotation_latency;
};

struct FeedHealth {
  std::string name;
  Storage storage = Storage::kTiered;
  WriterState writer = WriterState::kNever;
  uint64_t epoch = 0;
  uint64_t pid = 0;  // 0: nobody has it
  std::optional<uint64_t> heartbeat_age_ns;  // nothing: no live state
  uint64_t first_seq = 0;
  uint64_t committed_seq = 0;
  uint64_t durable_seq = 0;
  uint64_t lag_records = 0;  // committed, not durable
  uint64_t lag_bytes = 0;
  std::optional<uint64_t> lag_ns;  // since they were last synced; nothing: nothing waits, or nobody knows
  std::optional<uint64_t> last_append_age_ns;
  uint64_t last_clocks[kClocksMax] = {};  // of the newest record
  bool has_last = false;
  // The live window (F-139); zeros, and live false, when nothing is in shared memory.
  bool live = false;
  uint64_t live_first_seq = 0;
  uint64_t live_capacity_bytes = 0;  // of the chunk that is written
  uint64_t shm_bytes = 0;
  uint64_t disk_bytes = 0;
  uint64_t chunks = 0;  // that can be read
  uint64_t quarantined = 0;
  uint64_t losses = 0;
  uint64_t lost_records = 0;  // in them, as far as their number is known
  uint64_t dropped_records = 0;  // that left the window of a memory feed
  uint64_t damage_notes = 0;  // in quarantine/: what repair or recovery put aside, or found damaged in its place
  // Beyond the feed's own limits for longer than any run of retention is apart; and files that should be gone (F-136).
  uint64_t retention_backlog_chunks = 0;
  uint64_t retention_backlog_bytes = 0;
  // Live chunks without a name that others than the writer have mapped, each counted once (F-78).
  uint64_t held_unlinked_bytes = 0;
  uint64_t held_unlinked_by = 0;  // processes
  WriterCounters counters;
  std::vector<HealthFinding> findings;
  Grade grade() const noexcept;  // the worst
};

struct BaseHealth {
  std::string base;
  Room disk;
  std::vector<Room> shm;
  uint64_t shm_bytes = 0;  // of this base
  std::vector<std::string> shm_of_nobody;  // live directories that no feed of the base has: cleaning up removes them (F-68)
  std::optional<PersistdStatus> persistd;  // the daemon that serves it; nothing: none does
  uint64_t damage_notes = 0;               // in the base's own quarantine/
  std::vector<FeedHealth> feeds;
  std::vector<HealthFinding> findings;  // of the base itself
  Grade grade() const noexcept;
};

// A check that cannot be made is a finding of grade kUnknown, and the others are made all the same; only a feed or base that is not
// there at all is thrown (kFeedNotFound, kBaseNotFound, kPermission).
FeedHealth check_feed(const std::string& base, const std::string& name, const HealthLimits& limits = {},
                      Files& files = Files::system());
BaseHealth check_base(const std::string& base, const HealthLimits& limits = {}, Files& files = Files::system());

// As Prometheus reads it: "tidepool_feed_committed_seq{feed="trades"} 17" and so on.
std::string prometheus_text(const BaseHealth& health);
// The same numbers for people: "trades committed_seq 17", a line each; counters whose page is not there are 0 and "unavailable".
std::string metrics_text(const BaseHealth& health);

}  // namespace tidepool::feed
