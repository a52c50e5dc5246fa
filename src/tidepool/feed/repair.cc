// Repair of a base: its registry, what creators and deleters left, and each feed.

#include "tidepool/feed/repair.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>

#include "tidepool/base/clock.h"
#include "tidepool/feed/blob_care.h"
#include "tidepool/feed/quarantine.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/remote_target.h"
#include "tidepool/feed/repair_steps.h"

namespace tidepool::feed {
namespace {

class BaseRepair {
 public:
  BaseRepair(const std::string& base, RepairSteps& steps) : base_(base), steps_(steps), files_(steps.files()) {}

  void run() {
    if (!path_exists(concat(base_, "/", kRegistryName)) && names_in(feeds_directory(base_)).empty()) {
      throw FeedError(Fault::kBaseNotFound, "there is neither registry.bin nor a feed in ", base_,
                      ": is that the directory that the feeds were created in?");
    }
    shm::FileLock lock;
    if (!steps_.dry()) {
      lock = lock_within(base_, kRegistryLockName, "repair", kLockTimeoutNs, Fault::kRegistryBusy);
      try {
        settle_global(base_, files_);
      } catch (const FeedError& error) {
        if (error.fault() != Fault::kCorrupt && !is_missing(error.fault()) && error.fault() != Fault::kUnsupportedVersion) throw;
      }  // told below
    }
    registry();
    if (!wanted_alone().empty() && lists_.feeds.find(wanted_alone()) == lists_.feeds.end() &&
        !path_exists(concat(feeds_directory(base_), "/", wanted_alone()))) {
      throw FeedError(Fault::kFeedNotFound, "there is no feed ", wanted_alone(), " in ", base_);
    }
    directories();
    lock = {};  // feeds have locks of their own, and their repair may take long
    for (const FeedInfo* listed : payloads_first(lists_.feeds)) {
      const FeedInfo& feed = *listed;
      const std::string& name = feed.name;
      const auto whose = owner_of(feed);
      if (!wanted(name) && !(whose && wanted(whose->feed))) continue;
      ++steps_.report().feeds;
      const size_t troubles = steps_.report().skipped.size() + failures();
      try {
        if (waits_for_payloads_.contains(name)) throw FeedError(Fault::kBusy, "its payloads come first, and they are not in order");
        if (whose && lists_.deleted.contains(whose->feed_id)) {
          finish_delete_of(feed, concat("its rows, feed ", whose->feed, ", are deleted"));
        } else {
          one(feed);
        }
      } catch (const FeedError& error) {
        if (error.fault() == Fault::kWriterBusy || error.fault() == Fault::kBusy) {
          steps_.report().skipped.push_back(concat(name, ": ", error.what()));
        } else if (steps_.report().actions.empty() || steps_.report().actions.back().failure.empty()) {
          steps_.report().actions.push_back(
              {.what = "repair", .feed = name, .path = feed.directory, .why = "", .failure = error.what()});
        }
      }
      if (whose && steps_.report().skipped.size() + failures() != troubles) waits_for_payloads_.insert(whose->feed);
    }
  }

 private:
  // Whose payloads a feed holds; a row is not made durable before its payload is (F-122), so they come first.
  std::optional<BlobOwner> owner_of(const FeedInfo& feed) const {
    if (!may_be_blob_feed(feed.name) || feed.deleting) return std::nullopt;
    const auto loaded = with_schema(feed, files_);
    return loaded ? blob_owner(*loaded) : std::nullopt;
  }
  size_t failures() const {
    const auto& actions = steps_.report().actions;
    return static_cast<size_t>(std::count_if(actions.begin(), actions.end(), [](const auto& action) { return !action.failure.empty(); }));
  }
  const std::string& wanted_alone() const noexcept { return steps_.options().feed; }
  bool wanted(const std::string& name) const noexcept { return wanted_alone().empty() || wanted_alone() == name; }

  // registry.bin, from what of it is right and else from the directories of feeds (F-5).
  void registry() {
    const std::string path = concat(base_, "/", kRegistryName);
    LogScan scan;
    try {
      scan = scan_log(files_, path, kGlobalMagic, kGlobalEntryBytes);
    } catch (const FeedError& error) {
      if (!is_missing(error.fault())) throw;
      scan.problem = concat(path, " is missing");
    }
    if (!scan.problem.empty()) {
      if (scan.fault == Fault::kUnsupportedVersion) throw FeedError(scan.fault, scan.problem);
      return rebuild(path, scan);
    }
    base_id_ = scan.identity.base_id;
    lists_ = lists_of(scan, base_);
    const bool damaged = std::any_of(scan.bad.begin(), scan.bad.end(), [](const LogScan::Bad& bad) { return !bad.lost; });
    if (!damaged && scan.mark == 0 && scan.reserved_zero) return;
    const std::string why = damaged ? concat(scan.bad.size(), " of its entries are damaged: written again without them")
                                    : "its header has bytes that are none of its";
    steps_.step({.what = "rewrite-registry", .path = path, .why = why}, [&] {
      RegistryLog::Identity identity = scan.identity;
      ++identity.generation;
      std::vector<std::byte> bytes = RegistryLog::empty(identity);
      for (size_t i = 0; i < scan.entries.size(); ++i) {
        const RegistryLog::Entry& entry = scan.entries[i];
        const auto slot = RegistryLog::entry(identity, entry.type, i, entry.wall_ns, entry.bytes.subspan(kEntryHeadBytes));
        bytes.insert(bytes.end(), slot.begin(), slot.end());
      }
      RegistryLog::set_count(bytes, scan.entries.size());
      copy_aside(path);
      write_file_atomically(files_, base_, kRegistryName, bytes, 0640);
    });
  }

  // The damaged one is kept for who wants to look at it. A copy: the name must not be empty in between.
  void copy_aside(const std::string& path) {
    const File file = File::open_if_there(files_, path, O_RDONLY);
    if (!file) return;
    std::vector<std::byte> bytes(std::min<uint64_t>(file.size(), uint64_t{1} << 30));
    bytes.resize(file.read(bytes, 0).size());
    const std::string aside = concat(base_, "/", kQuarantineName);
    make_durable_directory(files_, base_, kQuarantineName, 0750);
    write_file_atomically(files_, aside, concat(kRegistryName, ".", realtime_ns()), bytes, 0640);
  }

  void rebuild(const std::string& path, const LogScan& scan) {
    std::vector<FeedInfo> found;
    std::map<Id, size_t> bases;
    for (const std::string& name : names_in(feeds_directory(base_))) {
      std::string how;
      if (!is_feed_name(name)) continue;
      auto feed = feed_of_directory(concat(feeds_directory(base_), "/", name), name, files_, how);
      if (!feed) continue;
      ++bases[feed->base_id];
      found.push_back(std::move(*feed));
    }
    if (found.empty())
      throw FeedError(Fault::kCorrupt, scan.problem, "; and no directory in ", feeds_directory(base_), " says which feed it is");
    base_id_ =
        std::max_element(bases.begin(), bases.end(), [](const auto& a, const auto& b) { return a.second < b.second; })->first;
    std::erase_if(found, [&](const FeedInfo& feed) { return feed.base_id != base_id_; });
    std::sort(found.begin(), found.end(),
              [](const FeedInfo& a, const FeedInfo& b) { return a.created_wall_ns < b.created_wall_ns; });
    RegistryLog::Identity identity{.magic = kGlobalMagic,
                                   .entry_bytes = kGlobalEntryBytes,
                                   .base_id = base_id_,
                                   .generation = realtime_ns(),
                                   .created_wall_ns = realtime_ns()};
    std::vector<std::byte> bytes = RegistryLog::empty(identity);
    for (size_t i = 0; i < found.size(); ++i) {
      const auto entry = RegistryLog::entry(identity, static_cast<uint16_t>(GlobalEntry::kCreated), i, found[i].created_wall_ns,
                                            encode_feed(found[i]));
      bytes.insert(bytes.end(), entry.begin(), entry.end());
      lists_.feeds.insert_or_assign(found[i].name, found[i]);
    }
    RegistryLog::set_count(bytes, found.size());
    steps_.step({.what = "rebuild-registry",
                 .path = path,
                 .why = concat(scan.problem, ": from the directories of ", found.size(), " feeds")},
                [&] {
                  copy_aside(path);
                  write_file_atomically(files_, base_, kRegistryName, bytes, 0640);
                });
  }

  // Directories that no entry names, and what was never finished.
  void directories() {
    for (const std::string& name : names_in(feeds_directory(base_))) {
      const std::string path = concat(feeds_directory(base_), "/", name);
      if (is_unfinished(name) && wanted_alone().empty()) {
        steps_.step({.what = "remove-leftover", .path = path, .why = "the making of a feed was never finished"},
                    [&] { remove_tree(files_, path); });
      } else if (is_feed_name(name) && wanted(name) && lists_.feeds.find(name) == lists_.feeds.end()) {
        orphan(name, path);
      }
    }
  }

  void orphan(const std::string& name, const std::string& path) {
    std::string how;
    const auto feed = feed_of_directory(path, name, files_, how);
    const bool taken = feed && std::any_of(lists_.feeds.begin(), lists_.feeds.end(),
                                           [&](const auto& entry) { return entry.second.id == feed->id; });
    if (feed && !taken && feed->base_id == base_id_) {
      steps_.step({.what = "register-feed", .feed = name, .path = path, .why = concat("registry.bin does not name it; ", how)},
                  [&] { write_global(base_, GlobalEntry::kCreated, *feed, files_); });
      lists_.feeds.insert_or_assign(name, *feed);
      return;
    }
    const std::string why = !feed   ? "nothing in it says which feed it is"
                            : taken ? "a copy of a feed that has another name"
                                    : "a feed of another base";
    steps_.step({.what = "quarantine-feed", .feed = name, .path = path, .why = why}, [&] {
      make_durable_directory(files_, base_, kQuarantineName, 0750);
      const std::string to = concat(kQuarantineName, "/", name, ".", realtime_ns());
      note_damage(files_, base_, to.substr(to.find('/') + 1), {.feed = name, .by = "repair", .why = why});
      rename_file(files_, path, concat(base_, "/", to));
      sync_directory(files_, concat(base_, "/", kQuarantineName));
      sync_directory(files_, feeds_directory(base_));
    });
  }

  void finish_delete_of(const FeedInfo& feed, const std::string& why) {
    steps_.step({.what = "finish-delete", .feed = feed.name, .path = feed.directory, .why = why}, [&] {
      const shm::FileLock lock = lock_within(base_, kRegistryLockName, "repair", kLockTimeoutNs, Fault::kRegistryBusy);
      shm::FileLock writer;
      shm::FileLock persister;
      if (path_exists(feed.directory)) {
        writer = lock_within(feed.directory, kWriterLockName, "repair", 0, Fault::kWriterBusy);
        persister = lock_within(feed.directory, kPersisterLockName, "repair", kLockTimeoutNs, Fault::kWriterBusy);
      }
      finish_delete(base_, feed, files_);
    });
  }

  void one(const FeedInfo& feed) {
    if (feed.deleting) return finish_delete_of(feed, "its delete was never finished");
    if (steps_.dry()) {
      if (has_owner(feed)) throw FeedError(Fault::kWriterBusy, "somebody writes it");
      return repair_one(feed, steps_);
    }
    if (!path_exists(feed.directory)) return;  // verify says so: there is nothing to make it from
    const shm::FileLock writer = lock_within(feed.directory, kWriterLockName, "repair", 0, Fault::kWriterBusy);
    const shm::FileLock persister = lock_within(feed.directory, kPersisterLockName, "repair", kLockTimeoutNs, Fault::kWriterBusy);
    const shm::FileLock retention = lock_within(feed.directory, kRetentionLockName, "repair", kLockTimeoutNs, Fault::kBusy);
    repair_one(feed, steps_);
  }

  std::string base_;
  RepairSteps& steps_;
  Files& files_;
  Id base_id_{};
  GlobalLists lists_;
  std::set<std::string> waits_for_payloads_;  // feeds whose payloads could not be put in order
};

}  // namespace

std::string text_of(const RepairAction& action) {
  const std::string records =
      action.end_seq > action.first_seq ? concat(" (records ", action.first_seq, " to ", action.end_seq, ")") : "";
  return concat(action.what, " ", action.path, records, ": ", action.why,
                action.failure.empty() ? "" : concat(": FAILED: ", action.failure));
}

bool RepairReport::failed() const noexcept {
  return std::any_of(actions.begin(), actions.end(), [](const RepairAction& action) { return !action.failure.empty(); });
}

RepairReport repair_base(const std::string& base, const RepairOptions& options) {
  refuse_remote_target(base);
  if (!options.feed.empty()) check_feed_name(options.feed);
  RepairReport report;
  RepairSteps steps(options, report);
  BaseRepair(base, steps).run();
  if (options.dry_run) return report;
  const VerifyOptions verify{.progress = options.progress, .files = options.files};
  try {
    report.left = options.feed.empty() ? verify_base(base, verify) : verify_feed(base, options.feed, verify);
  } catch (const FeedError& error) {
    if (!is_missing(error.fault())) throw;  // it was deleted, or put aside
  }
  return report;
}

}  // namespace tidepool::feed
