#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/pool/epoch_files.h"
#include "tidepool/pool/epoch_life.h"
#include "tidepool/pool/epoch_names.h"

namespace tidepool::pool {

namespace {

// Who made it runs no more, or is this process.
bool creator_is_gone(const wire::Superblock& block, uint64_t now_ns) noexcept {
  return block.pid == static_cast<uint64_t>(::getpid()) || !creator_runs(block, now_ns);
}

}  // namespace

void remove_epoch_directory(const shm::Directory& stream, const std::string& epoch) {
  {
    const shm::Directory directory = stream.child(epoch);
    const std::vector<std::string> names = directory.entries();
    for (const std::string& name : names) {
      struct stat status {};
      const bool is_directory = ::fstatat(directory.fd(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
      if (is_region_name(name) && !is_directory) directory.unlink_file(name);
    }
    if (const std::vector<std::string> others = directory.entries(); !others.empty()) {
      throw Error(Code::kRejected, directory.path(), " also holds ", printable(others.front()), ", which is not ours: remove it by hand");
    }
  }
  stream.remove_directory(epoch);
}

void EpochFiles::remove(uint32_t stream_id, uint64_t epoch) {
  const std::string stream_name = std::to_string(stream_id);
  const std::string epoch_name = std::to_string(epoch);
  if (!namespace_dir_.has(stream_name)) return;
  const shm::Directory stream = namespace_dir_.child(stream_name);
  if (stream.has(epoch_name)) remove_epoch_directory(stream, epoch_name);
}

bool EpochFiles::remove_stream(uint32_t stream_id) {
  const std::string name = std::to_string(stream_id);
  if (!namespace_dir_.has(name)) return true;
  {
    const shm::Directory stream = namespace_dir_.child(name);
    const std::vector<std::string> entries = stream.entries();
    if (std::any_of(entries.begin(), entries.end(), [](const std::string& entry) { return entry != kDoorbellName; })) return false;
    if (stream.has(kDoorbellName)) stream.unlink_file(kDoorbellName);
  }
  return namespace_dir_.remove_directory(name);
}

std::vector<EpochFiles::Collected> EpochFiles::collect(uint32_t stream_id, const CollectRules& rules) {
  std::vector<Collected> collected;
  const std::string stream_name = std::to_string(stream_id);
  if (rules.keep == 0 || !namespace_dir_.has(stream_name)) return collected;
  const shm::Directory stream = namespace_dir_.child(stream_name);
  std::vector<uint64_t> old = stream.numbered_entries();
  old.resize(old.size() - std::min<size_t>(old.size(), rules.keep));  // ascending: the newest are at the end
  for (const uint64_t epoch : old) {
    if (epoch == rules.current_epoch || (rules.in_use && rules.in_use(epoch))) continue;
    const std::string name = std::to_string(epoch);
    try {
      Collected one;
      {
        const shm::Directory directory = stream.child(name);
        const std::optional<wire::Superblock> block = read_superblock(directory);
        const uint64_t age = idle_ns(directory, block, rules.now_ns, rules.now_realtime_ns);
        if (age < rules.min_age_ns) continue;
        if (block && !creator_is_gone(*block, rules.now_ns)) continue;
        one = {.epoch = epoch, .bytes = allocated_bytes(directory), .path = directory.path(), .why = concat("idle for ", age / kNsPerMs, " ms, ")};
        one.why += !block                                          ? std::string("no readable superblock")
                   : block->pid == static_cast<uint64_t>(::getpid()) ? std::string("made by this process")
                                                                   : concat("its creator, process ", block->pid, ", is gone");
      }
      if (!rules.dry_run) remove_epoch_directory(stream, name);
      collected.push_back(std::move(one));
    } catch (const Error& error) {  // a link, a foreign file, no right: the others may still go
      log(LogLevel::kWarn, "pool", "collect epoch ", epoch, " of stream ", stream_id, ": ", error.what());
    }
  }
  return collected;
}

}  // namespace tidepool::pool
