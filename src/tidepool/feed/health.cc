#include "tidepool/feed/health.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <set>

#include "tidepool/base/clock.h"
#include "tidepool/feed/blob_retention.h"
#include "tidepool/feed/held_unlinked.h"
#include "tidepool/feed/persistd.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/values.h"
#include "tidepool/shm/directory.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kRetentionSlackNs = 3600 * kNsPerSecond;
constexpr uint64_t kPersistdQuietNs = 5 * kNsPerSecond;  // F-63

Grade worst(const std::vector<HealthFinding>& findings) noexcept {
  Grade grade = Grade::kOk;
  for (const HealthFinding& finding : findings) grade = std::max(grade, finding.grade);
  return grade;
}

bool is_note(const std::string& name) noexcept { return name.ends_with(".note") && !is_unfinished(name); }

std::string seconds(uint64_t ns) { return concat(ns / kNsPerSecond, ".", (ns / (100 * kNsPerMs)) % 10, " s"); }

// A check that throws has failed by itself; the others still run (F-136).
void attempt(std::vector<HealthFinding>& findings, const char* check, const std::function<void()>& body) {
  try {
    body();
  } catch (const std::exception& error) {
    findings.push_back({Grade::kUnknown, check, error.what()});
  }
}

class FeedDoctor {
 public:
  FeedDoctor(const std::string& base, const std::string& name, const HealthLimits& limits, Files& files,
             const std::vector<HeldUnlinked>* held = nullptr)
      : base_(base), limits_(limits), files_(files), held_(held), reader_(FeedReader::open(base, name, {.files = &files})) {
    health_.name = name;
    health_.storage = reader_.feed().options.storage;
  }

  FeedHealth look() {
    run("writer", [this] { look_at_writer(); });
    run("persister", [this] { look_at_persister(); });
    run("records", [this] { look_at_records(); });
    run("chunks", [this] { look_at_chunks(); });
    run("lag", [this] { look_at_lag(); });
    run("age", [this] { look_at_age(); });
    run("clocks", [this] { look_at_clocks(); });
    run("shared memory", [this] { look_at_memory(); });
    run("quarantine", [this] { look_at_quarantine(); });
    run("retention", [this] { look_at_retention(); });
    run("registry", [this] {
      for (const std::string& warning : reader_.warnings()) note(Grade::kWarning, "registry", warning);
    });
    return std::move(health_);
  }

 private:
  void run(const char* check, const std::function<void()>& body) { attempt(health_.findings, check, body); }
  void note(Grade grade, const char* check, std::string text) { health_.findings.push_back({grade, check, std::move(text)}); }

  void look_at_writer() {
    health_.writer = reader_.writer_state();
    if (!reader_.epochs().empty()) health_.epoch = reader_.epochs().back().epoch;
    const auto directory = trusted_live_directory(reader_.feed());
    if (directory) page_ = LivePage::open(files_, *directory, reader_.feed());
    if (page_ && page_->epoch() != health_.epoch) page_.reset();
    if (page_) {
      const bool held = health_.writer == WriterState::kActive || health_.writer == WriterState::kStalled;
      health_.pid = held ? page_->pid() : 0;
      const uint64_t now_ns = monotonic_ns(), beat_ns = page_->heartbeat_ns().load();
      health_.heartbeat_age_ns = now_ns - std::min(now_ns, beat_ns);
      const uint64_t last_ns = page_->last_append_ns().load();
      if (last_ns != 0) health_.last_append_age_ns = now_ns - std::min(now_ns, last_ns);
      WriterCounters& counters = health_.counters;
      counters = {true,
                  page_->rotations().load(),
                  page_->syncs().load(),
                  page_->sync_ns_total().load(),
                  page_->sync_ns_max().load(),
                  page_->waits().load(),
                  page_->wait_ns_total().load(),
                  page_->refused().load(),
                  page_->dropped().load(),
                  page_->deadlines_missed().load(),
                  page_->recovered().load(),
                  {},
                  page_->sync_latency().load(),
                  page_->rotation_latency().load()};
      for (size_t k = 0; k < kClocksMax; ++k) counters.regressions[k] = page_->regressions(k).load();
      if (held && *health_.heartbeat_age_ns >= limits_.stalled_after_ns) look_whether_it_moves();
    }
    if (health_.writer == WriterState::kStalled) note(Grade::kBad, "writer", "it holds its lock and stands still");
    if (health_.writer == WriterState::kUnknown) note(Grade::kWarning, "writer", "whether there is one cannot be told: its lock cannot be asked");
    if (health_.writer == WriterState::kCrashed)
      note(Grade::kWarning, "writer", "the last one ended without closing; the next one, or repair, finishes what it left");
  }

  // Its helper is silent. A writer that still appends lives (F-58); only one that does not is stalled.
  void look_whether_it_moves() {
    const uint64_t before = reader_.committed_seq();
    health_.writer = WriterState::kStalled;
    for (int look = 0; look < 20 && health_.writer == WriterState::kStalled; ++look) {
      const timespec pause{0, 5'000'000};
      ::nanosleep(&pause, nullptr);
      if (reader_.committed_seq() != before) health_.writer = WriterState::kActive;
    }
    if (health_.writer != WriterState::kActive) return;
    note(Grade::kWarning, "writer", concat("its helper has been silent for ", seconds(*health_.heartbeat_age_ns), " while records still come"));
  }

  // F-63: a writer that leaves its records to a daemon.
  void look_at_persister() {
    if (!page_ || health_.pid == 0 || page_->wish().load() != static_cast<uint32_t>(LivePage::Wish::kServe)) return;
    if (!shm::FileLock::holder(shm::Directory::open(reader_.feed().directory), kPersisterLockName)) {
      note(Grade::kBad, "persister", "nobody takes its records to disk: run tidepool feed persistd");
      return;
    }
    const auto daemon = persistd_of(base_, files_);
    const uint64_t now_ns = monotonic_ns();
    if (!daemon || now_ns - std::min(now_ns, daemon->heartbeat_ns) < limits_.stalled_after_ns) return;
    note(Grade::kWarning, "persister", concat("the daemon's heartbeat is ", seconds(now_ns - daemon->heartbeat_ns), " old"));
  }

  void look_at_records() {
    health_.first_seq = reader_.first_seq();
    health_.committed_seq = std::max(reader_.committed_seq(), health_.first_seq);
    health_.durable_seq = reader_.durable_seq();
    if (health_.committed_seq == health_.first_seq) return;
    const Item last = reader_.read(health_.committed_seq - 1);
    if (!last.is_record()) {
      note(Grade::kBad, "records", concat("the newest one, ", health_.committed_seq - 1, ", cannot be read: ", last.gap.text));
      return;
    }
    health_.has_last = true;
    for (size_t k = 0; k < reader_.feed().schema.clocks(); ++k) health_.last_clocks[k] = last.clock(k);
    if (!reader_.read(health_.first_seq).is_record())
      note(Grade::kBad, "records", concat("the oldest one, ", health_.first_seq, ", cannot be read"));
  }

  void look_at_chunks() {
    for (const ChunkInfo& chunk : reader_.chunks()) {
      health_.chunks += chunk.readable() ? 1 : 0;
      health_.quarantined += chunk.state == ChunkState::kQuarantined ? 1 : 0;
      struct stat found{};
      const std::string path = concat(reader_.feed().directory, "/", chunk_name(chunk.ordinal));
      if (chunk.readable() && ::lstat(path.c_str(), &found) == 0)
        health_.disk_bytes += static_cast<uint64_t>(found.st_blocks) * 512;
    }
    health_.losses = reader_.losses().size();
    for (const LossInfo& loss : reader_.losses()) health_.lost_records += loss.count == kUnknownCount ? 0 : loss.count;
    if (health_.storage == Storage::kMemory) health_.dropped_records = health_.first_seq;
    if (health_.quarantined != 0) note(Grade::kBad, "chunks", concat(health_.quarantined, " are in quarantine: verify tells why"));
    if (health_.losses != 0)
      note(Grade::kWarning, "chunks",
           concat("records were lost ", health_.losses, " times, last: ", reader_.losses().back().reason));
  }

  // Each thing that was put aside, or found damaged in its place, has a note (F-135).
  void look_at_quarantine() {
    for (const std::string& name : names_in(concat(reader_.feed().directory, "/", kQuarantineName)))
      health_.damage_notes += is_note(name) ? 1 : 0;
    if (health_.damage_notes != 0 && health_.quarantined == 0)
      note(Grade::kWarning, "quarantine", concat(health_.damage_notes, " notes of damage in ", kQuarantineName, "/"));
  }

  // What a run of retention would do, and should have done (F-125, F-131).
  void look_at_retention() {
    const FeedInfo& feed = reader_.feed();
    if (feed.options.storage == Storage::kMemory) return;
    RetentionOptions dry;
    dry.dry_run = true;
    dry.grace_ns = kGraceNs + kRetentionSlackNs;
    dry.files = &files_;
    RetentionLimits limits;
    if (feed.options.retention_ns != 0) limits.age_ns = feed.options.retention_ns + kRetentionSlackNs;
    if (feed.options.retention_bytes != 0) limits.bytes = feed.options.retention_bytes + 2 * feed.options.chunk_bytes;
    RetentionReport report;
    WholeRetention(feed, dry).run(limits, report);
    for (const ExpiredChunk& chunk : report.expired) health_.retention_backlog_bytes += chunk.bytes;
    health_.retention_backlog_chunks = report.expired.size();
    if (!report.expired.empty()) {
      note(Grade::kWarning, "retention",
           concat(report.expired.size(), " chunks of ", health_.retention_backlog_bytes,
                  " bytes are beyond its limits: its writer, persistd or prune should have let them go"));
    }
    if (!report.removed.empty())
      note(Grade::kWarning, "retention", concat(report.removed.size(), " files of expired chunks should be gone: prune removes them"));
    for (const std::string& warning : report.warnings) {
      if (warning.find("more than half") != std::string::npos) note(Grade::kWarning, "retention", warning);
    }
  }

  // What is committed and not durable, and since when: the newest tail slot of a chunk's file says when it was synced last.
  void look_at_lag() {
    if (health_.counters.deadlines_missed != 0) {
      note(Grade::kWarning, "lag", concat("records were durable later than the feed's sync_interval says ", health_.counters.deadlines_missed, " times"));
    }
    if (health_.storage == Storage::kMemory || health_.committed_seq <= health_.durable_seq) return;
    health_.lag_records = health_.committed_seq - health_.durable_seq;
    uint64_t synced_wall_ns = 0;
    for (const ChunkInfo& chunk : reader_.chunks()) {
      if (!chunk.readable()) continue;
      synced_wall_ns = std::max(synced_wall_ns, chunk.state == ChunkState::kPersisted ? chunk.sealed_wall_ns : synced_at(chunk));
    }
    const uint32_t record_bytes = reader_.feed().schema.record_bytes();
    health_.lag_bytes = record_bytes != 0 ? health_.lag_records * record_bytes : frame_lag();
    for (const EpochInfo& epoch : reader_.epochs()) synced_wall_ns = std::max(synced_wall_ns, epoch.opened_wall_ns);
    const uint64_t now_ns = realtime_ns();
    health_.lag_ns = now_ns - std::min(now_ns, synced_wall_ns);
    const bool policy = reader_.feed().options.sync == SyncMode::kInterval || reader_.feed().options.sync == SyncMode::kEveryCommit;
    if (limits_.max_lag_ns != 0 && policy && *health_.lag_ns > limits_.max_lag_ns) {
      note(Grade::kBad, "lag", concat(health_.lag_records, " records wait for the disk since ", seconds(*health_.lag_ns)));
    }
  }

  uint64_t synced_at(const ChunkInfo& chunk) {
    const File file = File::open_if_there(files_, concat(reader_.feed().directory, "/", chunk_name(chunk.ordinal)), O_RDONLY);
    if (!file) return 0;
    std::vector<std::byte> page(kChunkPageBytes);
    const MutableBytes read = file.read(page, 0);
    uint64_t wall_ns = 0;
    if (read.size() < kChunkPageBytes) return 0;
    for (const size_t slot : {0, 1}) {
      if (const auto tail = decode_tail(read, slot)) wall_ns = std::max(wall_ns, tail->wall_ns);
    }
    return wall_ns;
  }

  uint64_t frame_lag() {
    uint64_t bytes = 0;
    for (uint64_t seq = health_.durable_seq; seq < health_.committed_seq && seq < health_.durable_seq + 100'000; ++seq) {
      const Item frame = reader_.read(seq);
      if (frame.is_record()) bytes += frame.frame.length;
    }
    return bytes;
  }

  void look_at_age() {
    // The record's own wall clock first; else when the writer was seen to append.
    const Clock& clock = reader_.feed().schema.clock(0);
    std::optional<uint64_t> age_ns = health_.last_append_age_ns;
    if (health_.has_last && clock.domain == ClockDomain::kWall) {
      if (const auto at_ns = convert_clock(health_.last_clocks[0], clock.unit, ClockUnit::kNs)) {
        const uint64_t now_ns = realtime_ns();
        age_ns = now_ns - std::min(now_ns, *at_ns);
        if (*at_ns > now_ns + kNsPerSecond)
          note(Grade::kWarning, "age", concat("the newest record is of a time that lies ", seconds(*at_ns - now_ns), " ahead"));
      }
    }
    if (!age_ns) {
      for (const ChunkInfo& chunk : reader_.chunks()) {
        if (chunk.sealed_wall_ns != 0) age_ns = realtime_ns() - std::min(realtime_ns(), chunk.sealed_wall_ns);
      }
    }
    health_.last_append_age_ns = age_ns;
    if (limits_.max_age_ns == 0) return;
    if (!age_ns) {
      note(health_.committed_seq == 0 ? Grade::kBad : Grade::kUnknown, "age",
           health_.committed_seq == 0 ? "there is no record yet" : "nothing says when its records came");
    } else if (*age_ns > limits_.max_age_ns) {
      note(Grade::kBad, "age", concat("the newest record came ", seconds(*age_ns), " ago"));
    }
  }

  void look_at_clocks() {
    for (size_t k = 0; k < reader_.feed().schema.clocks(); ++k) {
      if (health_.counters.regressions[k] == 0) continue;
      note(Grade::kWarning, "clocks",
           concat(reader_.feed().schema.clock_name(k), " went backwards ", health_.counters.regressions[k], " times"));
    }
  }

  void look_at_memory() {
    for (const ShmUse::Feed& feed : shm_use(reader_.feed().base_id, reader_.feed().options.shm_root).feeds) {
      if (feed.id == reader_.feed().id) health_.shm_bytes += feed.bytes;
    }
    look_at_held();
    const auto latest = reader_.latest_chunk();
    health_.live = latest && latest->live;
    if (!health_.live) return;
    health_.live_capacity_bytes = latest->capacity_bytes;
    health_.live_first_seq = latest->first_seq;
    const auto directory = trusted_live_directory(reader_.feed());
    if (!directory) return;
    for (const ChunkInfo& chunk : reader_.chunks()) {
      struct stat found{};
      if (!chunk.settled() || !chunk.readable() || ::lstat(concat(*directory, "/", chunk_name(chunk.ordinal)).c_str(), &found) != 0)
        continue;
      health_.live_first_seq = std::min(health_.live_first_seq, chunk.first_seq);
    }
  }

  void look_at_held() {
    const std::string directory = live_directory_path(reader_.feed());
    const auto found = held_ != nullptr ? *held_ : held_unlinked(reader_.feed().base_id, reader_.feed().options.shm_root);
    std::map<uint64_t, uint64_t> bytes;  // by inode
    std::set<uint64_t> pids;
    const uint64_t writer = page_ ? page_->pid() : 0;
    for (const HeldUnlinked& held : found) {
      if (held.directory != directory || held.pid == writer) continue;  // a writer keeps what it will use again
      bytes[held.inode] = std::max(bytes[held.inode], held.bytes);
      pids.insert(held.pid);
    }
    for (const auto& [inode, size] : bytes) health_.held_unlinked_bytes += size;
    health_.held_unlinked_by = pids.size();
  }


  std::string base_;
  HealthLimits limits_;
  Files& files_;
  const std::vector<HeldUnlinked>* held_;
  FeedReader reader_;
  std::optional<LivePage> page_;
  FeedHealth health_;
};

void check_room(std::vector<HealthFinding>& findings, const char* check, const std::string& path, uint64_t least, Room& room) {
  attempt(findings, check, [&] {
    room = room_of(path);
    if (room.free_bytes < least)
      findings.push_back({Grade::kBad, check, concat(path, " has ", room.free_bytes, " bytes free, less than ", least)});
  });
}

std::string label_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out + "\"";
}

struct HistogramMetric {
  const char* name;
  const char* help;
  const LatencyCounts WriterCounters::*counts;
};
constexpr HistogramMetric kHistogramMetrics[] = {
    {"sync_latency_seconds", "how long syncs took", &WriterCounters::sync_latency},
    {"rotation_latency_seconds", "how long the switch to the next chunk took", &WriterCounters::rotation_latency},
};

std::string seconds_text(uint64_t ns) {
  char text[48];
  std::snprintf(text, sizeof text, "%.9g", static_cast<double>(ns) / 1e9);
  return text;
}

void add_histogram(std::string& out, const HistogramMetric& metric, const BaseHealth& health) {
  const std::string name = concat("tidepool_feed_", metric.name);
  out += concat("# HELP ", name, " ", metric.help, "\n# TYPE ", name, " histogram\n");
  for (const FeedHealth& feed : health.feeds) {
    const LatencyCounts& counts = feed.counters.*metric.counts;
    const std::string labels = concat("base=", label_quoted(health.base), ",feed=", label_quoted(feed.name));
    uint64_t so_far = 0;
    for (size_t i = 0; i < kLatencyBuckets; ++i) {
      so_far += counts.buckets[i];
      out += concat(name, "_bucket{", labels, ",le=\"", i + 1 == kLatencyBuckets ? "+Inf" : seconds_text(latency_bound_ns(i)), "\"} ",
                    so_far, "\n");
    }
    out += concat(name, "_sum{", labels, "} ", seconds_text(counts.total_ns), "\n", name, "_count{", labels, "} ", so_far, "\n");
  }
}

struct Metric {
  const char* name;
  const char* type;
  const char* help;
  std::function<std::optional<uint64_t>(const FeedHealth&)> value;
};

const std::vector<Metric>& metrics() {
  using H = const FeedHealth&;
  static const std::vector<Metric> all = {
      {"up", "gauge", "1 while a writer lives and moves", [](H h) { return h.writer == WriterState::kActive ? 1 : 0; }},
      {"grade", "gauge", "0 ok, 1 warning, 2 bad, 3 a check failed", [](H h) { return static_cast<uint64_t>(h.grade()); }},
      {"first_seq", "gauge", "first record that is kept", [](H h) { return h.first_seq; }},
      {"committed_seq", "counter", "one past the newest record", [](H h) { return h.committed_seq; }},
      {"durable_seq", "counter", "records below survive a power cut", [](H h) { return h.durable_seq; }},
      {"lag_records", "gauge", "committed and not durable", [](H h) { return h.lag_records; }},
      {"lag_bytes", "gauge", "committed and not durable", [](H h) { return h.lag_bytes; }},
      {"lag_ns", "gauge", "since the last sync, while something waits", [](H h) { return h.lag_ns; }},
      {"last_append_age_ns", "gauge", "age of the newest record", [](H h) { return h.last_append_age_ns; }},
      {"shm_bytes", "gauge", "shared memory", [](H h) { return h.shm_bytes; }},
      {"disk_bytes", "gauge", "chunks on disk", [](H h) { return h.disk_bytes; }},
      {"chunks", "gauge", "chunks that can be read", [](H h) { return h.chunks; }},
      {"quarantined_chunks", "gauge", "chunks moved away as damaged", [](H h) { return h.quarantined; }},
      {"losses", "counter", "times that committed records were lost", [](H h) { return h.losses; }},
      {"lost_records", "counter", "in those losses, as far as their number is known", [](H h) { return h.lost_records; }},
      {"dropped_records", "counter", "that left the window of a memory feed", [](H h) { return h.dropped_records; }},
      {"checksum_errors", "gauge", "damage that repair or recovery has noted", [](H h) { return h.damage_notes; }},
      {"retention_backlog_bytes", "gauge", "beyond its limits for an hour", [](H h) { return h.retention_backlog_bytes; }},
      {"held_unlinked_bytes", "gauge", "shared memory without a name that readers hold", [](H h) { return h.held_unlinked_bytes; }},
      {"held_unlinked_by", "gauge", "processes that hold it", [](H h) { return h.held_unlinked_by; }},
      {"counters_known", "gauge", "0: no live page, and what follows is 0", [](H h) { return h.counters.known ? 1 : 0; }},
      {"rotations", "counter", "of the page: chunks begun by this writer", [](H h) { return h.counters.rotations; }},
      {"syncs", "counter", "of the page: syncs of its files", [](H h) { return h.counters.syncs; }},
      {"sync_ns_total", "counter", "of the page: time spent in them", [](H h) { return h.counters.sync_ns_total; }},
      {"sync_ns_max", "gauge", "of the page: the longest", [](H h) { return h.counters.sync_ns_max; }},
      {"waits", "counter", "of the page: appends that waited for room", [](H h) { return h.counters.waits; }},
      {"refused", "counter", "of the page: appends for which there was no room in time", [](H h) { return h.counters.refused; }},
      {"given_up_records", "counter", "of the page: by a memory feed, for room", [](H h) { return h.counters.dropped; }},
      {"deadlines_missed", "counter", "of the page: times that records were durable too late", [](H h) { return h.counters.deadlines_missed; }},
      {"wait_ns_total", "counter", "of the page: time spent waiting", [](H h) { return h.counters.wait_ns_total; }},
      {"recovered_records", "counter", "of the page: taken over from a crash", [](H h) { return h.counters.recovered; }},
      {"clock_regressions", "counter", "of the page: of all clocks",
       [](H h) { return h.counters.regressions[0] + h.counters.regressions[1] + h.counters.regressions[2]; }},
  };
  return all;
}

// What concerns no single feed: the daemon, the base's own quarantine.
void check_care(const std::string& base, const GlobalRegistry& registry, BaseHealth& health, Files& files) {
  attempt(health.findings, "persister", [&] {
    health.persistd = persistd_of(base, files);
    if (!health.persistd) return;
    const uint64_t now_ns = monotonic_ns(), quiet_ns = now_ns - std::min(now_ns, health.persistd->heartbeat_ns);
    if (quiet_ns > kPersistdQuietNs)
      health.findings.push_back({Grade::kBad, "persister", concat("the daemon (pid ", health.persistd->pid, ") holds its lock and stands still for ", seconds(quiet_ns))});
    if (health.persistd->failures != 0)
      health.findings.push_back({Grade::kWarning, "persister", concat("the daemon (pid ", health.persistd->pid, ") has failed ", health.persistd->failures, " times: its log says at what")});
  });
  attempt(health.findings, "quarantine", [&] {
    for (const std::string& name : names_in(concat(base, "/", kQuarantineName))) health.damage_notes += is_note(name) ? 1 : 0;
    if (health.damage_notes != 0)
      health.findings.push_back({Grade::kWarning, "quarantine", concat(health.damage_notes, " things of ", registry.base(), " were put aside as damaged")});
  });
}

}  // namespace

std::string_view grade_name(Grade grade) noexcept {
  switch (grade) {
    case Grade::kOk: return "ok";
    case Grade::kWarning: return "warning";
    case Grade::kBad: return "bad";
    case Grade::kUnknown: return "unknown";
  }
  return "unknown";
}

Grade FeedHealth::grade() const noexcept { return worst(findings); }

Grade BaseHealth::grade() const noexcept {
  Grade grade = worst(findings);
  for (const FeedHealth& feed : feeds) grade = std::max(grade, feed.grade());
  return grade;
}

FeedHealth check_feed(const std::string& base, const std::string& name, const HealthLimits& limits, Files& files) {
  return FeedDoctor(base, name, limits, files).look();
}

BaseHealth check_base(const std::string& base, const HealthLimits& limits, Files& files) {
  BaseHealth health;
  health.base = base;
  const GlobalRegistry registry = GlobalRegistry::open(base, files);
  for (const std::string& warning : registry.warnings()) health.findings.push_back({Grade::kWarning, "registry", warning});
  check_room(health.findings, "disk", base, limits.min_free_bytes, health.disk);
  check_care(base, registry, health, files);
  std::map<std::string, std::vector<Id>> roots;
  std::map<std::string, std::vector<HeldUnlinked>> held;
  for (const std::string& name : limits.feeds) {
    if (registry.find(name) == nullptr) health.findings.push_back({Grade::kBad, "registry", concat("there is no feed ", name)});
  }
  for (const auto& [name, feed] : registry.feeds()) {
    roots[feed.options.shm_root].push_back(feed.id);
    if (!limits.feeds.empty() && std::find(limits.feeds.begin(), limits.feeds.end(), name) == limits.feeds.end()) continue;
    if (feed.deleting) {
      health.findings.push_back({Grade::kWarning, "registry", concat("feed ", name, " is half deleted: delete it again")});
      continue;
    }
    try {
      auto known = held.find(feed.options.shm_root);
      if (known == held.end()) known = held.emplace(feed.options.shm_root, held_unlinked(registry.id(), feed.options.shm_root)).first;
      health.feeds.push_back(FeedDoctor(base, name, limits, files, &known->second).look());
    } catch (const FeedError& error) {
      FeedHealth broken;
      broken.name = name;
      broken.storage = feed.options.storage;
      broken.findings.push_back({Grade::kBad, "registry", error.what()});
      health.feeds.push_back(std::move(broken));
    } catch (const std::exception& error) {  // not the feed's fault: the check's
      FeedHealth broken;
      broken.name = name;
      broken.storage = feed.options.storage;
      broken.findings.push_back({Grade::kUnknown, "feed", error.what()});
      health.feeds.push_back(std::move(broken));
    }
  }
  for (const auto& [path, ids] : roots) {
    Room room;
    check_room(health.findings, "shared memory", path, limits.min_free_shm_bytes, room);
    health.shm.push_back(room);
    const ShmUse use = shm_use(registry.id(), path);
    health.shm_bytes += use.bytes;
    for (const ShmUse::Feed& feed : use.feeds) {
      if (std::find(ids.begin(), ids.end(), feed.id) == ids.end()) health.shm_of_nobody.push_back(feed.directory);
    }
  }
  for (const std::string& directory : health.shm_of_nobody) {
    health.findings.push_back({Grade::kWarning, "shared memory", concat(directory, " belongs to no feed of this base any more")});
  }
  return health;
}

std::string prometheus_text(const BaseHealth& health) {
  std::string out;
  for (const Metric& metric : metrics()) {
    out += concat("# HELP tidepool_feed_", metric.name, " ", metric.help, "\n# TYPE tidepool_feed_", metric.name, " ", metric.type,
                  "\n");
    for (const FeedHealth& feed : health.feeds) {
      if (const auto value = metric.value(feed))
        out +=
            concat("tidepool_feed_", metric.name, "{base=", label_quoted(health.base), ",feed=", label_quoted(feed.name), "} ", *value, "\n");
    }
  }
  for (const HistogramMetric& metric : kHistogramMetrics) add_histogram(out, metric, health);
  const auto one = [&](const char* name, const char* help, uint64_t value) {
    out += concat("# HELP tidepool_base_", name, " ", help, "\n# TYPE tidepool_base_", name, " gauge\ntidepool_base_", name,
                  "{base=", label_quoted(health.base), "} ", value, "\n");
  };
  one("grade", "0 ok, 1 warning, 2 bad, 3 a check failed", static_cast<uint64_t>(health.grade()));
  one("disk_free_bytes", "on the file system of the base", health.disk.free_bytes);
  one("shm_bytes", "shared memory of all its feeds", health.shm_bytes);
  one("checksum_errors", "damage of the base itself that repair has noted", health.damage_notes);
  one("persistd_up", "1 while a daemon serves it", health.persistd ? 1 : 0);
  one("persistd_failures", "of that daemon", health.persistd ? health.persistd->failures : 0);
  return out;
}

std::string metrics_text(const BaseHealth& health) {
  std::string out;
  for (const FeedHealth& feed : health.feeds) {
    for (const Metric& metric : metrics()) {
      const bool of_page = std::string_view(metric.help).starts_with("of the page: ");
      if (const auto value = metric.value(feed))
        out += concat(feed.name, " ", metric.name, " ", *value, of_page && !feed.counters.known ? " unavailable" : "", "\n");
    }
    for (const HistogramMetric& metric : kHistogramMetrics) {
      const LatencyCounts& counts = feed.counters.*metric.counts;
      out += concat(feed.name, " ", metric.name, " count ", counts.count(), " sum ", seconds_text(counts.total_ns));
      for (size_t i = 0; i < kLatencyBuckets; ++i) {
        if (counts.buckets[i] != 0)
          out += concat(" <=", i + 1 == kLatencyBuckets ? "inf" : seconds_text(latency_bound_ns(i)), ":", counts.buckets[i]);
      }
      out += feed.counters.known ? "\n" : " unavailable\n";
    }
  }
  return out;
}

}  // namespace tidepool::feed
