// Repair of one feed: its definition and schema, its registry, chunks that a writer left, chunks and indexes that are damaged.

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "tidepool/base/clock.h"
#include "tidepool/feed/mend.h"
#include "tidepool/feed/pins.h"
#include "tidepool/feed/quarantine.h"
#include "tidepool/feed/recovery.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/repair_steps.h"
#include "tidepool/feed/retention.h"

namespace tidepool::feed {
namespace {

class FeedRepair {
 public:
  FeedRepair(const FeedInfo& feed, RepairSteps& steps)
      : feed_(feed),
        steps_(steps),
        files_(steps.files()),
        verify_{.progress = steps.options().progress, .files = steps.options().files} {}

  void run() {
    if (!path_exists(feed_.directory)) return;
    FeedCheck check(feed_, verify_, ignored_);
    schema(check);
    definition();
    if (!registry()) return;
    if (feed_.options.storage != Storage::kMemory) quarantined_left();
    unfinished();
    chunks();
    expired();
    live_remains();
  }

 private:
  std::string path(const std::string& name) const { return concat(feed_.directory, "/", name); }
  RepairAction action(std::string what, std::string at, std::string why) const {
    return {.what = std::move(what), .feed = feed_.name, .path = std::move(at), .why = std::move(why)};
  }
  RepairAction action(std::string what, const ChunkInfo& info, std::string why) const {
    RepairAction made = action(std::move(what), path(chunk_name(info.ordinal)), std::move(why));
    made.first_seq = info.first_seq;
    made.end_seq = info.end_seq();
    return made;
  }

  void schema(FeedCheck& check) {
    const auto schema = check.schema();
    if (!schema) return;  // verify tells it: nothing holds the schema any more
    feed_.schema = *schema;
    try {
      load_schemas(feed_, files_);
    } catch (const FeedError&) {  // the newest alone, then
      feed_.versions.clear();
    }
    if (ignored_.findings.empty()) return;
    const Finding finding = ignored_.findings.back();
    steps_.step(action("rewrite-schema", finding.path, concat(finding.found, ": from a chunk")), [&] {
      write_file_atomically(files_, feed_.directory, schema_file_name(feed_.schema_id), feed_.schema.encode(), feed_.options.file_mode);
    });
  }

  void definition() {
    std::string why;
    const auto found = read_definition(files_, feed_.directory, why);
    if (found && found->base_id == feed_.base_id && encode_feed(*found) == encode_feed(feed_)) return;
    steps_.step(action("rewrite-definition", path(kDefinitionName), found ? "it is not what registry.bin says" : why),
                [&] { write_definition(files_, feed_.directory, feed_); });
  }

  // ---- the registry -----------------------------------------------------------------------------------------------------------

  bool registry() {
    const std::string at = path(kFeedRegistryName);
    LogScan scan;
    try {
      scan = scan_log(files_, at, kFeedMagic, kFeedEntryBytes);
    } catch (const FeedError& error) {
      if (!is_missing(error.fault()) && error.fault() != Fault::kCorrupt) throw;
      scan.problem = error.what();
    }
    if (!scan.problem.empty() && scan.fault == Fault::kUnsupportedVersion) throw FeedError(scan.fault, scan.problem);
    if (scan.problem.empty() && (scan.identity.feed_id != feed_.id || scan.identity.base_id != feed_.base_id)) {
      scan.problem = concat(at, " is that of another feed or base");
      scan.header_readable = false;
      scan.entries.clear();
    }
    const bool lost =
        !scan.problem.empty() || std::any_of(scan.bad.begin(), scan.bad.end(), [](const LogScan::Bad& bad) { return !bad.lost; });
    std::vector<FeedRecord> records = records_of(scan);
    std::string why = scan.problem;
    if (why.empty() && lost) why = concat(scan.bad.size(), " of its entries are damaged");
    if (why.empty() && !scan.reserved_zero) why = "its header has bytes that are none of its";
    RegistryPlan plan = plan_registry(feed_, std::move(records), lost, files_);
    if (why.empty()) why = plan.why;
    lists_ = FeedRegistry::of_records(feed_, plan.records);
    if (!why.empty()) {
      RegistryLog::Identity identity{.magic = kFeedMagic,
                                     .entry_bytes = kFeedEntryBytes,
                                     .base_id = feed_.base_id,
                                     .feed_id = feed_.id,
                                     .generation = realtime_ns(),
                                     .created_wall_ns = realtime_ns()};
      if (scan.header_readable) {
        identity = scan.identity;
        ++identity.generation;
      }
      steps_.step(action("rebuild-registry", at, concat(why, ": from what of it is right, and from chunks")), [&] {
        const shm::FileLock lock = lock_within(feed_.directory, kAppendLockName, "repair", kLockTimeoutNs, Fault::kRegistryBusy);
        if (lost && path_exists(at)) copy_aside(at);
        replace_feed_registry(files_, feed_.directory, identity, plan.records, feed_.options.file_mode);
      });
    } else if (scan.mark != 0) {
      steps_.step(action("clear-mark", at, "a mark says that it was replaced or its feed deleted, and neither is so"), [&] {
        const shm::FileLock lock = lock_within(feed_.directory, kAppendLockName, "repair", kLockTimeoutNs, Fault::kRegistryBusy);
        RegistryLog::open(files_, at, kFeedMagic, kFeedEntryBytes, true).set_mark(RegistryLog::Mark::kNone);
      });
    }
    if (steps_.dry()) return true;
    open_.emplace(FeedRegistry::open(feed_, files_, true));
    open_->settle();
    open_->refresh();
    return true;
  }

  void copy_aside(const std::string& at) {
    const File file = File::open(files_, at, O_RDONLY);
    std::vector<std::byte> bytes(std::min<uint64_t>(file.size(), uint64_t{1} << 30));
    bytes.resize(file.read(bytes, 0).size());
    make_durable_directory(files_, feed_.directory, kQuarantineName, 0750);
    write_file_atomically(files_, path(kQuarantineName), concat(kFeedRegistryName, ".", realtime_ns()), bytes, 0640);
  }

  // As far as the steps have come: in a dry run as planned.
  const FeedRegistry& lists() {
    if (!open_) return lists_;
    open_->refresh();
    return *open_;
  }

  void put(FeedEntry type, const ChunkInfo& info, std::string text) {
    FeedRecord record;
    record.type = type;
    record.epoch = info.epoch;
    record.ordinal = info.ordinal;
    record.tag = info.tag;
    record.first_seq = info.first_seq;
    record.count = info.count;
    record.on_disk = true;
    record.text = std::move(text);
    open_->append(record, true);
  }

  // ---- chunks that a writer left ----------------------------------------------------------------------------------------------

  void unfinished() {
    std::vector<RepairAction> found;
    const bool stored = feed_.options.storage != Storage::kMemory;
    for (const ChunkInfo& info : lists().chunks()) {
      if (info.state == ChunkState::kOpen || (info.state == ChunkState::kSealed && stored)) {
        found.push_back(action("finish-chunk", path(chunk_name(info.ordinal)),
                               "its writer has ended: kept as far as its commit word, or its checksums, say"));
      } else if (info.state == ChunkState::kAbandoned && (path_exists(path(chunk_name(info.ordinal))))) {
        found.push_back(action("remove-chunk", path(chunk_name(info.ordinal)), "it never held a record"));
      }
    }
    for (const SegmentInfo& segment : lists().segments()) {
      if (segment.status == SegmentStatus::kOpen)
        found.push_back(action("close-segment", path(kFeedRegistryName), concat("segment ", segment.id, " was never closed")));
    }
    std::vector<std::string> places{feed_.directory};
    if (const auto live = trusted_live_directory(feed_)) places.push_back(*live);
    for (const std::string& name : names_in(path(kPinsName)))
      if (is_unfinished(name)) found.push_back(action("remove-leftover", concat(path(kPinsName), "/", name), "it was never finished"));
    std::set<uint64_t> seen;
    for (const std::string& place : places) {
      for (const std::string& name : names_in(place)) {
        const auto ordinal = ordinal_of(name);
        if (is_unfinished(name))
          found.push_back(action("remove-leftover", concat(place, "/", name), "it was never finished"));
        if (!ordinal || lists().chunk(*ordinal) != nullptr || !seen.insert(*ordinal).second) continue;
        found.push_back(action(name.ends_with(".idx") ? "remove-index" : "adopt-chunk", concat(place, "/", name),
                               "no entry names it: taken in, put aside or removed as it says of itself"));
      }
    }
    if (found.empty()) return;
    for (size_t i = 0; i + 1 < found.size(); ++i) steps_.step(found[i], [] {});
    steps_.step(found.back(), [&] {
      const RecoveryReport report = recover_feed(feed_, *open_, files_);
      sweep_pins(feed_, files_);
      for (const std::string& name :
           names_in(feed_.directory)) {  // indexes whose chunk recovery has removed, or that never had one
        const auto ordinal = ordinal_of(name);
        if (ordinal && name.ends_with(".idx") && !path_exists(path(chunk_name(*ordinal)))) unlink_file(files_, path(name));
      }
      static_cast<void>(report);
    });
  }

  // The entry says so, and the file is still where readers would look: somebody died in between.
  void quarantined_left() {
    for (const ChunkInfo& info : std::vector<ChunkInfo>(lists().chunks())) {
      if (info.state != ChunkState::kQuarantined || !path_exists(path(chunk_name(info.ordinal)))) continue;
      put_aside(info, "it was to be put aside before");
    }
  }

  void put_aside(const ChunkInfo& info, const std::string& why) {
    steps_.step(action("quarantine-chunk", info, why), [&] {
      if (info.state != ChunkState::kQuarantined) put(FeedEntry::kChunkQuarantined, info, "damaged");
      // The index first: while the chunk is in its place, a next run knows that this one did not finish.
      unlink_file(files_, path(index_name(info.ordinal)));
      quarantine_file(files_, feed_.directory, chunk_name(info.ordinal),
                      {.feed = feed_.name, .by = "repair", .why = why, .first_seq = info.first_seq, .end_seq = info.end_seq()});
    });
  }

  // ---- chunks and indexes that are damaged ------------------------------------------------------------------------------------

  void chunks() {
    if (feed_.options.storage == Storage::kMemory) return;
    const std::vector<ChunkInfo> all = lists().chunks();
    uint64_t done = 0, bytes = 0;
    for (const ChunkInfo& info : all) {
      if (verify_.progress) verify_.progress({feed_.name, done, bytes, done, all.size()});
      ++done;
      bytes += info.bytes;
      if (info.state != ChunkState::kPersisted) continue;
      VerifyReport report;
      FeedCheck(feed_, verify_, report).chunk(info);
      if (!report.findings.empty()) mend(info, report.findings);
    }
  }

  void mend(const ChunkInfo& info, const std::vector<Finding>& findings) {
    const auto with = [&](std::string_view what) {
      const auto at = std::find_if(findings.begin(), findings.end(), [&](const Finding& finding) { return finding.what == what; });
      return at == findings.end() ? nullptr : &*at;
    };
    if (const Finding* missing = with("chunk-missing")) {
      steps_.step(action("mark-missing", info, missing->found), [&] {
        put(FeedEntry::kChunkQuarantined, info, "missing");
        note_damage(files_, feed_.directory, concat(chunk_name(info.ordinal), ".missing"),
                    {.feed = feed_.name,
                     .by = "repair",
                     .why = "the file was not there",
                     .first_seq = info.first_seq,
                     .end_seq = info.end_seq()});
        unlink_file(files_, path(index_name(info.ordinal)));
      });
      return;
    }
    for (const char* what : {"chunk-header", "chunk-foreign"}) {
      if (const Finding* finding = with(what))
        return put_aside(info, concat("expected ", finding->expected, ", found ", finding->found));
    }
    bool damaged = false;
    for (const Finding& finding : findings) {
      if (finding.severity != Severity::kDamage) continue;
      damaged = true;
      const std::string what = concat(chunk_name(info.ordinal), ".", finding.what, "-", finding.first_seq, "-", finding.end_seq);
      if (finding.what == "chunk-unreadable" || has_note(feed_.directory, what)) continue;
      RepairAction note = action("note-damage", info, concat("expected ", finding.expected, ", found ", finding.found));
      note.first_seq = finding.first_seq;
      note.end_seq = finding.end_seq;
      steps_.step(note, [&] {
        note_damage(
            files_, feed_.directory, what,
            {.feed = feed_.name, .by = "repair", .why = note.why, .first_seq = finding.first_seq, .end_seq = finding.end_seq});
      });
    }
    if (damaged) return;  // what cannot be vouched for is not written over
    for (const char* what : {"chunk-footer", "chunk-bounds", "chunk-activation", "chunk-schema", "chunk-table", "chunk-reserved"}) {
      const Finding* finding = with(what);
      if (finding == nullptr) continue;
      steps_.step(action("mend-chunk", info, concat(what, ": expected ", finding->expected, ", found ", finding->found)),
                  [&] { mend_chunk(feed_, info, files_); });
      break;
    }
    // Without a footer the index was not looked at.
    if (const Finding* finding = with("index"); finding != nullptr || with("chunk-footer") != nullptr) {
      const std::string why =
          finding != nullptr ? concat("expected ", finding->expected, ", found ", finding->found) : "its chunk was mended";
      steps_.step(action("rebuild-index", path(index_name(info.ordinal)), why), [&] { rebuild_index(feed_, info, files_); });
    }
  }

  void expired() {
    if (feed_.options.storage == Storage::kMemory) return;
    const auto due = expired_files(feed_, files_, steps_.options().grace_ns, SystemClock::instance());
    for (const ExpiredFile& file : due) {
      if (!file.due) continue;
      steps_.step(action("remove-expired", path(file.name), "its chunk is expired, and the time of grace is over"),
                  [&] { unlink_file(files_, path(file.name)); });
    }
  }

  // Page, doorbell and directory of a writer that is gone, when no chunk is left in them.
  void live_remains() {
    const auto live = trusted_live_directory(feed_);
    if (!live || feed_.options.storage == Storage::kMemory) return;
    if (!steps_.dry()) {
      for (const std::string& name : names_in(*live)) {
        if (ordinal_of(name)) return;
      }
    }
    steps_.step(action("remove-live", *live, "its writer has ended, and its records are on disk"), [&] {
      for (const char* name : {LivePage::kName, "doorbell"}) unlink_file(files_, concat(*live, "/", name));
      files_.remove_directory(*live);  // stays if a stranger put something there
    });
  }

  FeedInfo feed_;
  RepairSteps& steps_;
  Files& files_;
  VerifyOptions verify_;
  VerifyReport ignored_;
  FeedRegistry lists_;
  std::optional<FeedRegistry> open_;
};

}  // namespace

void repair_one(const FeedInfo& feed, RepairSteps& steps) { FeedRepair(feed, steps).run(); }

}  // namespace tidepool::feed
