#include "tidepool/pool/sweep.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/base/process.h"
#include "tidepool/pool/epoch_life.h"
#include "tidepool/pool/epoch_names.h"
#include "tidepool/shm/file_lock.h"
#include "tidepool/shm/region.h"

namespace tidepool::pool {
namespace {

using Kind = SweepEntry::Kind;

std::string ms_text(uint64_t ns) { return concat(ns / kNsPerMs, " ms"); }

// Why a directory, or a file in it, is none of ours to touch; empty: it is ours.
std::string foreign(const struct stat& status) {
  if (S_ISLNK(status.st_mode)) return "it is a symbolic link";
  if (status.st_uid != ::geteuid()) return concat("it belongs to user ", status.st_uid);
  if (S_ISDIR(status.st_mode) && (status.st_mode & S_IWOTH) != 0) return "others may write there";
  return {};
}
std::string foreign(const shm::Directory& directory) {
  struct stat status{};
  return ::fstat(directory.fd(), &status) == 0 ? foreign(status) : "it cannot be examined" + errno_text();
}
// Of an epoch's files: only ours, under the names that an epoch has.
std::string foreign_file(const shm::Directory& epoch) {
  for (const std::string& name : epoch.entries()) {
    struct stat status{};
    if (::fstatat(epoch.fd(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone meanwhile
    if (!is_region_name(name) || !S_ISREG(status.st_mode)) return concat("it holds ", printable(name), ", which is no region");
    if (const std::string why = foreign(status); !why.empty()) return concat(printable(name), ": ", why);
  }
  return {};
}

class Sweep {
 public:
  explicit Sweep(const SweepOptions& options) : options_(options) {}

  std::vector<SweepEntry> run() {
    const shm::Directory base = shm::Directory::open(shm::canonical_path(options_.base_dir));
    const std::string name = "tensorpool-" + sanitised_user_name();
    if (!base.has(name)) return {};
    try {
      const shm::Directory user = base.child(name);
      if (const std::string why = foreign(user); !why.empty()) {
        kept(Kind::kNamespace, user.path(), why);
      } else {
        for (const std::string& entry : user.entries()) sweep_namespace(user, entry);
      }
    } catch (const Error& error) {
      kept(Kind::kNamespace, concat(base.path(), "/", name), error.what());
    }
    return std::move(entries_);
  }

 private:
  SweepEntry& kept(Kind kind, std::string path, std::string why) {
    SweepEntry entry;
    entry.kind = kind;
    entry.path = std::move(path);
    entry.why = std::move(why);
    return entries_.emplace_back(std::move(entry));
  }

  void sweep_namespace(const shm::Directory& user, const std::string& name) {
    const std::string path = concat(user.path(), "/", name);
    try {
      const shm::Directory directory = user.child(name);
      if (const std::string why = foreign(directory); !why.empty()) return void(kept(Kind::kNamespace, path, why));
      shm::FileLock lock;  // held to the end: no driver begins meanwhile
      if (directory.has(kDriverLockName)) {
        const std::string lock_name(kDriverLockName);
        if (const auto holder = shm::FileLock::holder(directory, lock_name)) {
          return void(kept(Kind::kNamespace, path, concat("its driver is alive: ", holder->description())));
        }
        if (!options_.dry_run) lock = shm::FileLock::acquire(directory, lock_name, "tidepool gc");
      }
      for (const std::string& entry : directory.entries()) {
        if (entry == kDriverLockName) continue;  // removing it would race with the next holder
        if (entry == kDriverStatusName || entry == kDriverStatusNewName) {
          remove_status(directory, entry);
        } else {
          sweep_stream(directory, entry);
        }
      }
    } catch (const Error& error) {
      kept(Kind::kNamespace, path, error.what());
    }
  }

  // What the dead driver said of itself last (docs/formats/driver-status.md).
  void remove_status(const shm::Directory& directory, const std::string& name) {
    SweepEntry& entry = kept(Kind::kFile, concat(directory.path(), "/", name), "the driver that wrote it is gone");
    entry.removed = true;
    if (!options_.dry_run) directory.unlink_file(name);
  }

  void sweep_stream(const shm::Directory& name_space, const std::string& name) {
    const std::string path = concat(name_space.path(), "/", name);
    const auto id = number_of<uint32_t>(name);
    if (!id || *id == 0) return void(kept(Kind::kFile, path, "it is no stream of ours: remove it by hand"));
    try {
      const shm::Directory stream = name_space.child(name);
      if (const std::string why = foreign(stream); !why.empty()) return void(kept(Kind::kStream, path, why));
      const std::vector<uint64_t> epochs = stream.numbered_entries();
      size_t left = 0;
      for (size_t i = 0; i < epochs.size(); ++i) {
        left += sweep_epoch(stream, *id, epochs[i], epochs.size() - i <= options_.keep) ? 0 : 1;
      }
      for (const std::string& entry : stream.entries()) {
        if (entry == kDoorbellName || number_of<uint64_t>(entry)) continue;
        kept(Kind::kFile, concat(path, "/", printable(entry)), "it is nothing of ours: remove it by hand");
        ++left;
      }
      if (left > 0) return;
      // Young ones may be a stream that is being made at this moment.
      const uint64_t idle = idle_ns(stream, std::nullopt, monotonic_ns(), realtime_ns());
      if (epochs.empty() && idle < options_.min_age_ns)
        return void(kept(Kind::kStream, path, concat("touched ", ms_text(idle), " ago")));
      SweepEntry& entry = kept(Kind::kStream, path, "no epoch is left");
      entry.stream_id = *id;
      entry.removed = true;
      if (options_.dry_run) return;
      if (stream.has(kDoorbellName)) stream.unlink_file(kDoorbellName);
      name_space.remove_directory(name);
    } catch (const Error& error) {
      kept(Kind::kStream, path, error.what()).stream_id = *id;
    }
  }

  // True if it is gone, or would be.
  bool sweep_epoch(const shm::Directory& stream, uint32_t stream_id, uint64_t epoch, bool newest) {
    const size_t at = entries_.size();
    const std::string name = std::to_string(epoch);
    SweepEntry& fresh = kept(Kind::kEpoch, concat(stream.path(), "/", name), "");
    fresh.stream_id = stream_id;
    fresh.epoch = epoch;
    try {
      {
        const shm::Directory directory = stream.child(name);
        entries_[at].bytes = allocated_bytes(directory);
        entries_[at].why = spared(directory, newest);
        if (entries_[at].removed = entries_[at].why.empty(); !entries_[at].removed) return false;
        const auto block = read_superblock(directory);
        const uint64_t idle = idle_ns(directory, block, monotonic_ns(), realtime_ns());
        entries_[at].why =
            concat("no driver holds the lock, idle for ", ms_text(idle),
                   block ? concat(", its maker, process ", block->pid, ", is gone") : std::string(", no readable superblock"));
      }
      if (!options_.dry_run) remove_epoch_directory(stream, name);
      return true;
    } catch (const Error& error) {
      entries_[at].failed = std::exchange(entries_[at].removed, false);
      entries_[at].why = error.what();
      return false;
    }
  }

  // Why an epoch may not go; empty: it may.
  std::string spared(const shm::Directory& directory, bool newest) const {
    if (std::string why = foreign(directory); !why.empty()) return why;
    if (std::string why = foreign_file(directory); !why.empty()) return why + ": remove it by hand";
    const auto block = read_superblock(directory);
    const uint64_t now_ns = monotonic_ns();
    const uint64_t idle = idle_ns(directory, block, now_ns, realtime_ns());
    if (idle < options_.min_age_ns) return concat("active ", ms_text(idle), " ago, dead after ", ms_text(options_.min_age_ns));
    if (block && creator_runs(*block, now_ns)) return concat("its maker, process ", block->pid, ", runs");
    if (newest) return concat("among the newest ", options_.keep);
    return {};
  }

  // As we write numbers: "007" is nobody's 7.
  template <typename Number>
  static std::optional<Number> number_of(const std::string& name) {
    uint64_t value = 0;
    if (name.empty() || name.size() > 20 || (name[0] == '0' && name.size() > 1)) return std::nullopt;
    for (const char c : name) {
      if (c < '0' || c > '9' || __builtin_mul_overflow(value, 10u, &value) ||
          __builtin_add_overflow(value, static_cast<uint64_t>(c - '0'), &value)) {
        return std::nullopt;
      }
    }
    if (value > std::numeric_limits<Number>::max()) return std::nullopt;
    return static_cast<Number>(value);
  }

  const SweepOptions& options_;
  std::vector<SweepEntry> entries_;
};

}  // namespace

std::string_view name_of(SweepEntry::Kind kind) noexcept {
  switch (kind) {
    case Kind::kNamespace: return "namespace";
    case Kind::kStream: return "stream";
    case Kind::kEpoch: return "epoch";
    case Kind::kFile: return "file";
  }
  return "?";
}

std::vector<SweepEntry> sweep(const SweepOptions& options) { return Sweep(options).run(); }

}  // namespace tidepool::pool
