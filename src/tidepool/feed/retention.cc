#include "tidepool/feed/retention.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "tidepool/feed/blob_care.h"
#include "tidepool/feed/chunk.h"
#include "tidepool/feed/crc32c.h"
#include "tidepool/feed/log_scan.h"
#include "tidepool/feed/pins.h"
#include "tidepool/feed/registry_parts.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kStateMagic = 0x3154534E54455254;  // "TRETNST1"
constexpr size_t kStateBytes = 128;
constexpr const char* kStateName = "retention.state";
constexpr uint64_t kConfirmNs = 3600 * kNsPerSecond;
constexpr uint64_t kStateEveryNs = 900 * kNsPerSecond;
constexpr uint64_t kDriftNs = 60 * kNsPerSecond;

uint64_t distance(uint64_t a, uint64_t b) noexcept { return a > b ? a - b : b - a; }

uint64_t ns_of(ClockUnit unit, uint64_t value) noexcept {
  const uint64_t factor = unit == ClockUnit::kNs   ? 1
                          : unit == ClockUnit::kUs ? kNsPerUs
                          : unit == ClockUnit::kMs ? kNsPerMs
                                                   : kNsPerSecond;
  return value > ~uint64_t{0} / factor ? ~uint64_t{0} : value * factor;
}

// The newest time of a chunk's records on the wall clock; nullopt: they have no such clock. A clock of no said domain is taken for one
// (F-n): if it is none, its times are far away, and the time of sealing decides.
std::optional<uint64_t> record_wall_ns(const Schema& schema, const ChunkInfo& chunk) {
  for (size_t k = 0; k < schema.clocks(); ++k) {
    if (schema.clock(k).domain == ClockDomain::kWall) return ns_of(schema.clock(k).unit, chunk.clocks[k].max);
  }
  if (schema.clock(0).domain == ClockDomain::kMonotonic) return std::nullopt;
  return ns_of(schema.clock(0).unit, chunk.clocks[0].max);
}

}  // namespace

std::vector<ExpiredFile> expired_files(const FeedInfo& feed, Files& files, uint64_t grace_ns, const tidepool::Clock& clock) {
  std::vector<ExpiredFile> found;
  std::vector<std::pair<std::string, uint64_t>> there;
  for (const std::string& name : names_in(feed.directory)) {
    if (const auto ordinal = ordinal_of(name)) there.emplace_back(name, *ordinal);
  }
  const std::string registry = concat(feed.directory, "/", kFeedRegistryName);
  if (there.empty() || !File::open_if_there(files, registry, O_RDONLY)) return found;
  const LogScan scan = scan_log(files, registry, kFeedMagic, kFeedEntryBytes);
  if (!scan.problem.empty()) return found;
  const auto records = records_of(scan);
  const FeedRegistry lists = FeedRegistry::of_records(feed, records);
  for (const auto& [name, ordinal] : there) {
    const ChunkInfo* info = lists.chunk(ordinal);
    if (info == nullptr || info->state != ChunkState::kExpired) continue;
    const uint64_t mine = ordinal;
    const auto at = std::find_if(records.rbegin(), records.rend(),
                                 [&](const FeedRecord& r) { return r.type == FeedEntry::kChunkExpired && r.ordinal == mine; });
    // Since another boot nobody can have it mapped.
    const bool same_boot = at != records.rend() && at->boot_id == this_boot_id() && at->boot_id != kNoId;
    const uint64_t now_ns = clock.monotonic_ns();
    struct stat file{};
    if (::stat(concat(feed.directory, "/", name).c_str(), &file) != 0) continue;
    found.push_back(
        {name, static_cast<uint64_t>(file.st_size), !same_boot || now_ns - std::min(now_ns, at->monotonic_ns) >= grace_ns});
  }
  return found;
}

FeedRetention::FeedRetention(const FeedInfo& feed, const RetentionOptions& options)
    : feed_(feed), options_(options), registry_(FeedRegistry::open(feed, *options.files, !options.dry_run)) {
  load_state();
}

std::string FeedRetention::name_of(const ChunkInfo& chunk) const { return concat(feed_.directory, "/", chunk_name(chunk.ordinal)); }

FeedRetention::Anchor FeedRetention::now() const {
  return {options_.clock->realtime_ns(), options_.clock->monotonic_ns(), this_boot_id()};
}

// What F-127 leaves: durable, not the newest, nothing older in the way.
std::vector<const ChunkInfo*> FeedRetention::candidates() {
  registry_.refresh();
  std::vector<const ChunkInfo*> found;
  for (const ChunkInfo& chunk : registry_.chunks()) {
    if (chunk.state == ChunkState::kOpen || chunk.state == ChunkState::kSealed) break;
    if (chunk.state == ChunkState::kPersisted) found.push_back(&chunk);
  }
  const auto& all = registry_.chunks();
  const auto newest = std::find_if(all.rbegin(), all.rend(), [](const ChunkInfo& c) {
    return c.state == ChunkState::kSealed || c.state == ChunkState::kPersisted;
  });
  if (!found.empty() && newest != all.rend() && found.back()->ordinal == newest->ordinal) found.pop_back();
  return found;
}

uint64_t FeedRetention::kept_bytes() {
  registry_.refresh();
  uint64_t bytes = 0;
  for (const ChunkInfo& chunk : registry_.chunks()) {
    if (chunk.state == ChunkState::kSealed || chunk.state == ChunkState::kPersisted) bytes += chunk.bytes;
  }
  return bytes;
}

// How many of the candidates, from the oldest on, are too old (F-126).
std::vector<const ChunkInfo*> FeedRetention::old_ones(const std::vector<const ChunkInfo*>& candidates, uint64_t age_ns,
                                                      RetentionReport& report) const {
  std::vector<const ChunkInfo*> old;
  const uint64_t now_ns = options_.clock->realtime_ns();
  for (const ChunkInfo* chunk : candidates) {
    const auto record_ns = record_wall_ns(feed_.schema, *chunk);
    if (chunk->sealed_wall_ns == 0 || (record_ns && *record_ns == 0)) {
      report.warnings.push_back(concat(name_of(*chunk), " is kept: it has no time"));
      break;
    }
    const auto older = [&](uint64_t time_ns) { return now_ns > time_ns && now_ns - time_ns > age_ns; };
    const bool future = record_ns && *record_ns > now_ns;
    if (!older(chunk->sealed_wall_ns) || (record_ns && !future && !older(*record_ns))) break;
    old.push_back(chunk);
  }
  return old;
}

bool FeedRetention::time_moved_plausibly(std::string& why) {
  const Anchor here = now();
  for (const ChunkInfo& chunk : registry_.chunks()) {
    if (chunk.state != ChunkState::kSealed && chunk.state != ChunkState::kPersisted) continue;
    const auto record_ns = record_wall_ns(feed_.schema, chunk);
    if (chunk.sealed_wall_ns > here.wall_ns + kDriftNs || (record_ns && *record_ns > here.wall_ns + kDriftNs)) {
      why = concat(name_of(chunk), " is of the future");
      return false;
    }
  }
  Anchor before = last_;
  if (before.boot_id != here.boot_id) {  // an entry of this boot tells the two clocks as well
    const LogScan scan = scan_log(*options_.files, concat(feed_.directory, "/", kFeedRegistryName), kFeedMagic, kFeedEntryBytes);
    for (const FeedRecord& record : records_of(scan)) {
      if (record.boot_id == here.boot_id && record.monotonic_ns != 0)
        before = {record.wall_ns, record.monotonic_ns, record.boot_id};
    }
  }
  if (here.boot_id == kNoId || before.boot_id != here.boot_id || before.monotonic_ns > here.monotonic_ns) {
    why = "nothing of this boot tells how far the clock has moved";
    return false;
  }
  const uint64_t moved_ns = here.monotonic_ns - before.monotonic_ns;
  const uint64_t wall_ns = here.wall_ns - before.wall_ns;
  if (here.wall_ns >= before.wall_ns && distance(wall_ns, moved_ns) <= kDriftNs + moved_ns / 100) return true;
  why = concat(
      "the wall clock has stepped: ", moved_ns / kNsPerSecond, " s have passed, it says ",
      here.wall_ns >= before.wall_ns ? concat(wall_ns / kNsPerSecond) : concat("-", (before.wall_ns - here.wall_ns) / kNsPerSecond),
      " s");
  return false;
}

// An hour ago a run was stopped for the same reason, and the clocks have moved together since.
bool FeedRetention::confirmed(const std::string& why, RetentionReport& report) {
  const Anchor here = now();
  const bool known = suspect_.boot_id == here.boot_id && here.boot_id != kNoId && suspect_.monotonic_ns <= here.monotonic_ns &&
                     suspect_.wall_ns <= here.wall_ns;
  const uint64_t moved_ns = known ? here.monotonic_ns - suspect_.monotonic_ns : 0;
  const bool together = known && distance(here.wall_ns - suspect_.wall_ns, moved_ns) <= kDriftNs + moved_ns / 100;
  if (together && moved_ns >= kConfirmNs) {
    suspect_ = {};
    state_changed_ = true;
    return true;
  }
  if (!together) {
    suspect_ = here;
    state_changed_ = true;
  }
  report.warnings.push_back(concat("feed ", feed_.name, ": more than half of it would go by age, and ", why,
                                   ": nothing goes until a run an hour later confirms it, or by force"));
  return false;
}

// Those of `wanted` that no pin holds. A pin that costs more than it may, or whose time is over, breaks (F-130).
std::vector<const ChunkInfo*> FeedRetention::unpinned(const std::vector<const ChunkInfo*>& wanted, RetentionReport& report) {
  if (wanted.empty()) return wanted;
  std::vector<std::string> damaged;
  uint64_t held_from = kUnknownCount;
  for (Pin& pin : pins_of(feed_, damaged, *options_.files)) {
    if (pin.broken) continue;
    uint64_t held = 0;
    for (const ChunkInfo* chunk : wanted) held += chunk->end_seq() > pin.seq ? chunk->bytes : 0;
    if (held == 0) continue;
    const uint64_t now_ns = options_.clock->realtime_ns();
    if (pin.expires_wall_ns != 0 && now_ns > pin.expires_wall_ns) {
      pin.why = "its time was over";
    } else if (pin.bytes_max != 0 && held > pin.bytes_max) {
      pin.why = concat("it held ", held, " bytes, its limit is ", pin.bytes_max);
    } else {
      held_from = std::min(held_from, pin.seq);
      continue;
    }
    report.warnings.push_back(concat("feed ", feed_.name, ": pin ", pin.name, " at record ", pin.seq, " is broken: ", pin.why));
    pin.broken = true;
    if (!options_.dry_run) write_pin(feed_, pin, *options_.files);
  }
  for (const std::string& path : damaged) {
    report.warnings.push_back(concat(path, " is damaged, so it may hold anything: nothing goes until it is set again or removed"));
    held_from = 0;
  }
  std::vector<const ChunkInfo*> free;
  for (const ChunkInfo* chunk : wanted) {
    if (chunk->end_seq() > held_from) break;
    free.push_back(chunk);
  }
  return free;
}

std::vector<FeedRetention::Candidate> FeedRetention::removable(RetentionReport& report) {
  std::vector<Candidate> found;
  for (const ChunkInfo* chunk : unpinned(candidates(), report))
    found.push_back({chunk->ordinal, chunk->end_seq(), chunk->bytes, chunk->sealed_wall_ns});
  return found;
}

void FeedRetention::expire(const std::vector<uint64_t>& ordinals, const std::string& why, RetentionReport& report) {
  for (const uint64_t ordinal : ordinals) {
    const ChunkInfo* known = registry_.chunk(ordinal);
    if (known == nullptr || known->state != ChunkState::kPersisted) continue;
    const ChunkInfo chunk = *known;
    if (!options_.dry_run) {
      FeedRecord record;
      record.type = FeedEntry::kChunkExpired;
      record.epoch = chunk.epoch;
      record.ordinal = ordinal;
      record.tag = chunk.tag;
      record.first_seq = chunk.first_seq;
      record.count = chunk.count;
      record.monotonic_ns = options_.clock->monotonic_ns();
      record.boot_id = this_boot_id();
      record.text = why;
      registry_.append(record, ordinal == ordinals.back());  // the last sync takes all before it along
    }
    report.expired.push_back({feed_.name, ordinal, chunk.first_seq, chunk.end_seq(), chunk.bytes, why});
  }
  if (!options_.dry_run) registry_.refresh();
}

void FeedRetention::expire_one(uint64_t ordinal, const std::string& why, RetentionReport& report) {
  shm::FileLock lock;
  if (!options_.dry_run) lock = lock_within(feed_.directory, kRetentionLockName, "retention", 0, Fault::kBusy);
  expire({ordinal}, why, report);
}

// What goes by these limits, oldest first, and why.
std::vector<std::pair<uint64_t, const char*>> FeedRetention::choose(const RetentionLimits& limits, const PayloadBytes& payload_bytes,
                                                                    RetentionReport& report) {
  const auto all = candidates();
  std::vector<const ChunkInfo*> wanted;
  if (limits.age_ns != 0) {
    wanted = old_ones(all, limits.age_ns, report);
    const auto kept = static_cast<size_t>(std::count_if(registry_.chunks().begin(), registry_.chunks().end(),
                                                        [](const ChunkInfo& c) { return c.settled() && c.readable(); }));
    std::string why;
    stopped_ = 2 * wanted.size() > kept && !options_.force && !time_moved_plausibly(why) && !confirmed(why, report);
    if (stopped_) wanted.clear();
  }
  const size_t old = wanted.size();
  const auto with = [&](uint64_t first_seq) { return payload_bytes && limits.bytes != 0 ? payload_bytes(first_seq) : 0; };
  uint64_t rows = kept_bytes();
  uint64_t bytes = rows + with(registry_.floor_seq());
  size_t chunks = all.size() + 1;
  std::vector<const char*> reasons;
  for (size_t i = 0; i < all.size(); ++i, --chunks) {
    const char* why = i < old                                        ? "age"
                      : limits.bytes != 0 && bytes > limits.bytes    ? "bytes"
                      : limits.chunks != 0 && chunks > limits.chunks ? "chunks"
                                                                     : nullptr;
    if (why == nullptr) break;
    if (i >= old) wanted.push_back(all[i]);
    reasons.push_back(why);
    rows -= all[i]->bytes;
    bytes = rows + with(all[i]->end_seq());
  }
  const auto free = unpinned(wanted, report);
  if (free.size() < wanted.size()) {
    report.warnings.push_back(concat("feed ", feed_.name, ": ", wanted.size() - free.size(), " chunks from record ",
                                     wanted[free.size()]->first_seq, " on are kept by a pin"));
  } else if (limits.bytes != 0 && bytes > limits.bytes) {
    report.warnings.push_back(concat("feed ", feed_.name, ": ", bytes, " bytes stay, ", limits.bytes,
                                     " are its limit: the rest is its newest chunk, or not yet durable"));
  }
  std::vector<std::pair<uint64_t, const char*>> chosen;
  for (size_t i = 0; i < free.size(); ++i) chosen.emplace_back(free[i]->ordinal, reasons[i]);
  return chosen;
}

void FeedRetention::remove_due(RetentionReport& report) {
  for (const ExpiredFile& file : expired_files(feed_, *options_.files, options_.grace_ns, *options_.clock)) {
    if (!file.due) {
      ++report.waiting;
      report.waiting_bytes += file.bytes;
      continue;
    }
    if (!options_.dry_run) unlink_file(*options_.files, concat(feed_.directory, "/", file.name));
    report.removed.push_back({feed_.name, concat(feed_.directory, "/", file.name)});
  }
}

void FeedRetention::run(const RetentionLimits& limits, RetentionReport& report, const PayloadBytes& payload_bytes) {
  shm::FileLock lock;
  if (!options_.dry_run) lock = lock_within(feed_.directory, kRetentionLockName, "retention", 0, Fault::kBusy);
  ++report.feeds;
  const auto chosen = choose(limits, payload_bytes, report);
  for (size_t begin = 0, end = 0; begin < chosen.size(); begin = end) {  // runs of one reason
    std::vector<uint64_t> ordinals;
    for (end = begin; end < chosen.size() && chosen[end].second == chosen[begin].second; ++end)
      ordinals.push_back(chosen[end].first);
    expire(ordinals, chosen[begin].second, report);
  }
  remove_due(report);
  if (options_.dry_run) return;
  registry_.compact();
  if (stopped_ && !state_changed_) return;
  save_state();
}

uint64_t FeedRetention::floor_after(const RetentionReport& report) {
  registry_.refresh();
  uint64_t floor = registry_.floor_seq();
  for (const ExpiredChunk& chunk : report.expired) {
    if (chunk.feed == feed_.name) floor = std::max(floor, chunk.end_seq);
  }
  return floor;
}

// What may go of a feed of payloads. `unknown`: the chunk whose rows cannot be told, which keeps all behind it.
std::vector<const ChunkInfo*> FeedRetention::without_rows(uint64_t rows_floor, std::string& unknown) {
  std::vector<const ChunkInfo*> found;
  for (const ChunkInfo* chunk : candidates()) {
    auto at = last_rows_.find(chunk->ordinal);
    if (at == last_rows_.end()) at = last_rows_.emplace(chunk->ordinal, last_row_of(feed_, *chunk, *options_.files)).first;
    if (!at->second) unknown = name_of(*chunk);
    if (!at->second || *at->second >= rows_floor) break;
    found.push_back(chunk);
  }
  return found;
}

uint64_t FeedRetention::bytes_left(uint64_t rows_floor) {
  std::string unknown;
  uint64_t bytes = kept_bytes();
  for (const ChunkInfo* chunk : without_rows(rows_floor, unknown)) bytes -= chunk->bytes;
  return bytes;
}

void FeedRetention::follow(uint64_t rows_floor, const std::string& why, RetentionReport& report) {
  shm::FileLock lock;
  if (!options_.dry_run) lock = lock_within(feed_.directory, kRetentionLockName, "retention", 0, Fault::kBusy);
  std::string unknown;
  std::vector<uint64_t> ordinals;
  for (const ChunkInfo* chunk : unpinned(without_rows(rows_floor, unknown), report)) {
    const bool told = std::any_of(report.expired.begin(), report.expired.end(),
                                  [&](const ExpiredChunk& e) { return e.feed == feed_.name && e.ordinal == chunk->ordinal; });
    if (!told) ordinals.push_back(chunk->ordinal);
  }
  if (!unknown.empty())
    report.warnings.push_back(concat(unknown, " is kept, and all behind it: which rows its payloads belong to cannot be read"));
  expire(ordinals, why, report);
  std::erase_if(last_rows_, [&](const auto& known) {
    return std::any_of(ordinals.begin(), ordinals.end(), [&](uint64_t ordinal) { return ordinal == known.first; });
  });
  remove_due(report);
  if (!options_.dry_run) registry_.compact();
}

void FeedRetention::load_state() {
  const File file = File::open_if_there(*options_.files, concat(feed_.directory, "/", kStateName), O_RDONLY);
  std::vector<std::byte> bytes(kStateBytes);
  if (!file || file.read(bytes, 0).size() != kStateBytes || load<uint64_t>(bytes.data()) != kStateMagic) return;
  if (crc32c(Bytes(bytes).first(kStateBytes - 4)) != load<uint32_t>(bytes.data() + kStateBytes - 4))
    return;  // as if there were none
  last_ = {load<uint64_t>(bytes.data() + 16), load<uint64_t>(bytes.data() + 24), load<Id>(bytes.data() + 32)};
  suspect_ = {load<uint64_t>(bytes.data() + 48), load<uint64_t>(bytes.data() + 56), load<Id>(bytes.data() + 64)};
}

void FeedRetention::save_state() {
  const Anchor here = now();
  const bool due =
      last_.boot_id != here.boot_id || here.monotonic_ns - std::min(here.monotonic_ns, last_.monotonic_ns) >= kStateEveryNs;
  if (!due && !state_changed_) return;
  if (!stopped_) last_ = here;  // a step that is not confirmed must not become what the next run compares with
  std::vector<std::byte> bytes(kStateBytes);
  store(bytes.data(), kStateMagic);
  store(bytes.data() + 8, kMajor);
  store(bytes.data() + 16, last_.wall_ns);
  store(bytes.data() + 24, last_.monotonic_ns);
  store(bytes.data() + 32, last_.boot_id);
  store(bytes.data() + 48, suspect_.wall_ns);
  store(bytes.data() + 56, suspect_.monotonic_ns);
  store(bytes.data() + 64, suspect_.boot_id);
  store(bytes.data() + kStateBytes - 4, crc32c(Bytes(bytes).first(kStateBytes - 4)));
  write_file_atomically(*options_.files, feed_.directory, kStateName, bytes, feed_.options.file_mode);
  state_changed_ = false;
}

}  // namespace tidepool::feed
