#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/base/process.h"
#include "tidepool/pool/epoch_files.h"
#include "tidepool/pool/epoch_names.h"

namespace tidepool::pool {

namespace {

// The header ring's superblock, without mapping a file that nobody may care for any more. nullopt: no such file, not a
// regular one, or cut short.
std::optional<wire::Superblock> read_superblock(const shm::Directory& directory) noexcept {
  const int fd = ::openat(directory.fd(), std::string(kHeaderRingName).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  std::byte bytes[wire::kSuperblockBytes];
  struct stat status {};
  const bool whole = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && ::pread(fd, bytes, sizeof bytes, 0) == ssize_t{sizeof bytes};
  ::close(fd);
  if (!whole) return std::nullopt;
  return wire::decode_superblock(bytes);
}

// The process that wrote the superblock runs no more, or is this one. A pid that runs but began after the superblock was
// written is somebody else's: both times since boot, with room for clock ticks and for a clock that was suspended.
bool creator_is_gone(const wire::Superblock& block, uint64_t now_ns) noexcept {
  if (block.pid == static_cast<uint64_t>(::getpid())) return true;
  if (!process_exists(block.pid)) return true;
  const uint64_t ticks = process_start_ticks(block.pid);
  const long ticks_per_second = ::sysconf(_SC_CLK_TCK);
  if (ticks == 0 || ticks_per_second <= 0 || block.start_timestamp_ns > now_ns) return false;
  const uint64_t began_ns = ticks * (kNsPerSecond / static_cast<uint64_t>(ticks_per_second));
  const uint64_t suspended_ns = clock_ns(CLOCK_BOOTTIME) - monotonic_ns();
  return began_ns > block.start_timestamp_ns + suspended_ns + kNsPerSecond;
}

// Time since the epoch was last touched: the least of what its clocks say. A time ahead of its clock says nothing when it
// is monotonic (an earlier boot's), and "just now" when it is the directory's.
uint64_t age_ns(const shm::Directory& directory, const std::optional<wire::Superblock>& block, const EpochFiles::CollectRules& rules) noexcept {
  const uint64_t modified_ns = directory.modified_realtime_ns();
  uint64_t age = rules.now_realtime_ns > modified_ns ? rules.now_realtime_ns - modified_ns : 0;
  if (block && block->activity_timestamp_ns != 0 && block->activity_timestamp_ns <= rules.now_ns) {
    age = std::min(age, rules.now_ns - block->activity_timestamp_ns);
  }
  return age;
}

uint64_t bytes_of(const shm::Directory& directory) {
  uint64_t bytes = 0;
  for (const std::string& name : directory.entries()) {
    struct stat status {};
    if (is_region_name(name) && ::fstatat(directory.fd(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
      bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    }
  }
  return bytes;
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
        const uint64_t age = age_ns(directory, block, rules);
        if (age < rules.min_age_ns) continue;
        if (block && !creator_is_gone(*block, rules.now_ns)) continue;
        one = {.epoch = epoch, .bytes = bytes_of(directory), .path = directory.path(), .why = concat("idle for ", age / kNsPerMs, " ms, ")};
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
