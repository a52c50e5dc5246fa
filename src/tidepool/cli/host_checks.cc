#include "tidepool/cli/host_checks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <system_error>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/base/process.h"
#include "tidepool/cli/roles.h"
#include "tidepool/cli/ffmpeg.h"
#include "tidepool/cli/text.h"
#include "tidepool/cli/toml_file.h"
#include "tidepool/services/driver/config.h"
#include "tidepool/shm/directory.h"
#include "tidepool/shm/file_lock.h"
#include "tidepool/shm/region.h"
#include "tidepool/transport/media_driver.h"

namespace tidepool::cli {
namespace {

namespace fs = std::filesystem;
using Status = Check::Status;

std::string read_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<uint64_t> number_of(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && stop != text.data() ? std::optional(value) : std::nullopt;
}

// "HugePages_Total:      16" of /proc/meminfo.
uint64_t meminfo(const Host& host, std::string_view key) {
  std::ifstream file(host.proc + "/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == ':') return number_of(std::string_view(line).substr(key.size() + 1)).value_or(0);
  }
  return 0;
}

// Bytes that a tree takes; what cannot be read counts nothing. Follows no link.
uint64_t tree_bytes(const fs::path& root) {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at(root, error), end; !error && at != end; at.increment(error)) {
    struct stat status {};
    if (::lstat(at->path().c_str(), &status) == 0) bytes += static_cast<uint64_t>(status.st_blocks) * 512;
  }
  return bytes;
}

std::string user_dir(const Host& host) { return host.base_dir + "/tensorpool-" + sanitised_user_name(); }

std::string limit_text(rlim_t limit) { return limit == RLIM_INFINITY ? "unlimited" : format_bytes(limit); }

}  // namespace

std::string_view name_of(Check::Status status) noexcept {
  switch (status) {
    case Status::kOk: return "ok";
    case Status::kWarn: return "warn";
    case Status::kFail: return "fail";
  }
  return "?";
}

Check check_media_driver(const Host& host) {
  Check check{.name = "media driver"};
  const auto status = transport::media_driver_status(host.aeron_dir);
  if (status.alive) {
    check.detail = fmt::format("alive at {}: pid {}, heartbeat {} ms old", status.dir, status.pid, status.heartbeat_age_ms);
    return check;
  }
  check.status = Status::kWarn;
  check.todo = fmt::format("tidepool media-driver --aeron-dir {}   or a driver with --embedded", status.dir);
  if (status.cnc_present) {
    check.detail = fmt::format("none that answers at {}: {}", status.dir, status.problem);
  } else if (fs::exists(status.dir) && ::access(status.dir.c_str(), R_OK | W_OK | X_OK) != 0) {
    check.status = Status::kFail;
    check.detail = fmt::format("{} may not be used by this user", status.dir);
    check.todo = "run as its owner, or name another with --aeron-dir";
  } else {
    check.detail = fmt::format("none at {}", status.dir);
  }
  return check;
}

Check check_shared_memory(const Host& host) {
  Check check{.name = "shared memory"};
  shm::FileSystem system;
  try {
    system = shm::file_system_of(host.base_dir);
  } catch (const Error& error) {
    return {check.name, Status::kFail, error.what(), fmt::format("mount a tmpfs at {}, or set shm.base_dir", host.base_dir)};
  }
  const std::string kind = system.tmpfs ? "tmpfs" : system.hugetlbfs ? "hugetlbfs" : "neither tmpfs nor hugetlbfs";
  check.detail = fmt::format("{} ({}): {} free of {}", host.base_dir, kind, format_bytes(system.free_bytes), format_bytes(system.capacity_bytes));
  // A file that never has a name: what the driver will do, without leaving anything.
  const int fd = ::open(host.base_dir.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  const int err = errno;
  if (fd >= 0) ::close(fd);
  const std::string more = fmt::format("mount -o remount,size=4G {}   (containers: --shm-size=4g)", host.base_dir);
  if (fd < 0 && err != EOPNOTSUPP) {
    check.status = Status::kFail;
    check.detail += "; no file can be made there" + errno_text(err);
    check.todo = err == ENOSPC ? more : fmt::format("chmod 1777 {}, or set shm.base_dir to a directory of your own", host.base_dir);
  } else if (system.free_bytes < (uint64_t{16} << 20)) {
    check.status = Status::kFail;
    check.todo = more;
  } else if (system.capacity_bytes <= (uint64_t{128} << 20) || system.free_bytes < system.capacity_bytes / 10) {
    check.status = Status::kWarn;
    check.todo = more;
  } else if (!system.tmpfs && !system.hugetlbfs) {
    check.status = Status::kWarn;
    check.detail += ": the page cache writes it back to a disk";
    check.todo = "set shm.base_dir to /dev/shm";
  }
  return check;
}

Check check_memory_limit(const Host& host) {
  Check check{.name = "memory limit", .detail = "no cgroup limit below the machine's memory"};
  // cgroup v2: "0::/user.slice/..."; the limit of any ancestor holds.
  std::string group = read_line(host.proc + "/self/cgroup");
  if (!group.starts_with("0::/")) return check;
  group.erase(0, 3);
  uint64_t lowest = UINT64_MAX;
  for (fs::path at = host.sys + "/fs/cgroup" + group; at.string().size() >= (host.sys + "/fs/cgroup").size(); at = at.parent_path()) {
    if (const auto limit = number_of(read_line((at / "memory.max").string()))) lowest = std::min(lowest, *limit);
    if (at == at.parent_path()) break;
  }
  const uint64_t machine = meminfo(host, "MemTotal") * 1024;
  if (lowest >= machine) return check;
  check.detail = fmt::format("a cgroup allows {} (pools in tmpfs count)", format_bytes(lowest));
  if (lowest < (uint64_t{512} << 20)) {
    check.status = Status::kWarn;
    check.todo = "raise the container's or service's memory limit, or keep the pools small";
  }
  return check;
}

Check check_permissions(const Host& host) {
  const std::string path = user_dir(host);
  Check check{.name = "permissions"};
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) return {check.name, Status::kFail, path + errno_text(), "look at who owns its parents"};
    check.detail = path + " is not there yet: the driver makes it";
    return check;
  }
  const unsigned mode = status.st_mode & 07777;
  check.detail = fmt::format("{}: mode {:04o}, uid {}", path, mode, status.st_uid);
  if (!S_ISDIR(status.st_mode)) {
    check.status = Status::kFail;
    check.detail += S_ISLNK(status.st_mode) ? ", a symbolic link: a driver refuses it" : ", no directory";
    check.todo = "rm " + path;
  } else if (status.st_uid != ::geteuid()) {
    check.status = Status::kFail;
    check.detail += ": belongs to somebody else";
    check.todo = "have its owner or root remove it, or set shm.base_dir";
  } else if ((mode & 0002) != 0) {
    check.status = Status::kFail;
    check.detail += ": everybody may write there";
    check.todo = "chmod o-rwx " + path;
  } else if ((mode & 0005) != 0) {
    check.status = Status::kWarn;
    check.detail += ": everybody may look";
    check.todo = "chmod o-rwx " + path;
  } else if ((mode & 0070) != 0) {
    check.detail += ": shared with the group (for one user, permissions_mode = \"600\" is enough)";
  }
  return check;
}

Check check_limits() {
  Check check{.name = "limits"};
  rlimit files{}, locked{}, size{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  ::getrlimit(RLIMIT_MEMLOCK, &locked);
  ::getrlimit(RLIMIT_FSIZE, &size);
  check.detail = fmt::format("open files {}, locked memory {} (mlock_shm needs the pools' size), file size {}",
                             files.rlim_cur == RLIM_INFINITY ? "unlimited" : std::to_string(files.rlim_cur), limit_text(locked.rlim_cur), limit_text(size.rlim_cur));
  if (size.rlim_cur < (uint64_t{64} << 20)) {
    check.status = Status::kFail;
    check.todo = "ulimit -f unlimited";
  } else if (files.rlim_cur < 512) {
    check.status = Status::kWarn;
    check.todo = "ulimit -n 4096";
  }
  return check;
}

Check check_clock(const Host& host) {
  Check check{.name = "clock"};
  const std::string source = read_line(host.sys + "/devices/system/clocksource/clocksource0/current_clocksource");
  // The cheapest of a few batches: the others were interrupted.
  uint64_t cheapest_ns = UINT64_MAX;
  for (int batch = 0; batch < 5; ++batch) {
    const uint64_t begin_ns = monotonic_ns();
    uint64_t now_ns = begin_ns;
    for (int i = 0; i < 1000; ++i) now_ns = monotonic_ns();
    cheapest_ns = std::min(cheapest_ns, (now_ns - begin_ns) / 1000);
  }
  check.detail = fmt::format("{}, a reading takes {}", source.empty() ? "source unknown" : printable(source, 64), format_ns(cheapest_ns));
  if (cheapest_ns > 250) {
    check.status = Status::kWarn;
    check.detail += ": it is no user-space clock";
    check.todo = "if the processor's counter is stable:  echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource";
  }
  return check;
}

Check check_membarrier() {
  const long commands = ::syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  if (commands >= 0 && (commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED) != 0) return {"membarrier", Status::kOk, "expedited: parked readers wake at once", ""};
  return {"membarrier", Status::kWarn, commands < 0 ? "refused" + errno_text() : std::string("not expedited"),
          "nothing is lost: parked readers look again every millisecond (Linux 4.16 has it; some containers filter it)"};
}

Check check_hugepages(const Host& host) {
  const uint64_t total = meminfo(host, "HugePages_Total"), free = meminfo(host, "HugePages_Free"), size = meminfo(host, "Hugepagesize") * 1024;
  std::string mounts;
  std::ifstream file(host.proc + "/self/mounts");
  for (std::string line; std::getline(file, line);) {
    const size_t from = line.find(' '), to = line.find(' ', from + 1);
    if (to != std::string::npos && line.compare(to + 1, 10, "hugetlbfs ") == 0) mounts += (mounts.empty() ? "" : ", ") + line.substr(from + 1, to - from - 1);
  }
  Check check{.name = "hugepages"};
  check.detail = total == 0 ? "none reserved (needed by require_hugepages only)" : fmt::format("{} of {} free, {} each", free, total, format_bytes(size));
  check.detail += mounts.empty() ? "; hugetlbfs is not mounted" : "; hugetlbfs at " + printable(mounts);
  return check;
}

Check check_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int count = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  if (count >= 2) return {"processors", Status::kOk, fmt::format("{} usable", count), ""};
  return {"processors", Status::kWarn, "one usable: who spins takes it from who produces", "let consumers wait (the default) and keep media driver and driver in one process (--embedded)"};
}

// Producers that made their own pools in this namespace and live: "producer of stream 10000 ... (pid 41 ...)".
std::string producers_alive(const shm::Directory& directory) {
  std::string out;
  for (const std::string& name : directory.entries()) {
    if (!name.starts_with("producer-") || !name.ends_with(".lock")) continue;
    if (const auto holder = shm::FileLock::holder(directory, name))
      out += concat(out.empty() ? "" : ", ", printable(holder->description(), 160));
  }
  return out;
}

std::vector<Check> check_leftovers(const Host& host) {
  std::vector<Check> checks;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(user_dir(host), error)) {
    if (!entry.is_directory(error) || entry.is_symlink(error)) continue;
    const std::string path = entry.path().string();
    Check check{.name = "namespace " + printable(entry.path().filename().string(), 64)};
    try {
      const shm::Directory directory = shm::Directory::open(path);
      const std::string producers = producers_alive(directory);
      if (const auto holder = shm::FileLock::holder(directory, "driver.lock")) {
        check.detail = fmt::format("driver alive: pid {} ({}), pools take {}", holder->pid, printable(holder->text, 64), format_bytes(tree_bytes(path)));
      } else if (!producers.empty()) {
        check.detail = fmt::format("no driver; {}; pools take {}", producers, format_bytes(tree_bytes(path)));
      } else if (const uint64_t bytes = tree_bytes(path); bytes > (uint64_t{1} << 20)) {
        check.status = Status::kWarn;
        check.detail = fmt::format("no driver is alive, {} left behind in {}", format_bytes(bytes), path);
        check.todo = "the next driver of this namespace sweeps all but the newest epochs; or, if nobody reads them:  rm -r " + path;
      } else {
        check.detail = "no driver is alive, nothing left behind";
      }
    } catch (const Error& fault) {
      check.status = Status::kWarn;
      check.detail = fault.what();
    }
    checks.push_back(std::move(check));
  }
  uint64_t dead_bytes = 0;
  bool proven = true;
  std::string dead;
  for (const auto& entry : fs::directory_iterator(host.base_dir, error)) {
    const std::string path = entry.path().string();
    if (!entry.path().filename().string().starts_with("aeron") || !entry.is_directory(error) || entry.is_symlink(error)) continue;
    const auto status = transport::media_driver_status(path);
    if (!status.cnc_present || status.alive || process_exists(status.pid)) continue;
    dead_bytes += tree_bytes(path);
    dead += " " + path;
    proven &= transport::media_driver_remains(path, false).dead;
  }
  if (!dead.empty()) {  // a kernel lock proves a death; else the process is gone and its heartbeat has stopped
    checks.push_back({"dead media drivers", Status::kWarn, fmt::format("left {} behind in{}", format_bytes(dead_bytes), dead),
                      proven ? "tidepool gc" : "rm -r" + dead});
  }
  if (checks.empty()) checks.push_back({"drivers", Status::kOk, "none alive for this user, nothing left behind", "tidepool driver --config FILE"});
  return checks;
}

Check check_ffmpeg() {
  try {
    return {"ffmpeg", Status::kOk, find_ffmpeg(), ""};
  } catch (const Error& error) {
    return {"ffmpeg", Status::kOk, concat("only publish --video and demo need it: ", error.what()), ""};
  }
}

std::vector<Check> check_config(const std::string& path, Host& host) {
  std::vector<Check> checks;
  driver::LoadedConfig loaded;
  try {
    loaded = driver::load_driver_config(role_tree(read_toml_file(path), {}), process_environment());
  } catch (const Error& error) {
    checks.push_back({"configuration", Status::kFail, error.what(), "tidepool driver --example shows one"});
    return checks;
  }
  for (const auto& problem : loaded.problems) {
    checks.push_back({"configuration", problem.fatal ? Status::kFail : Status::kWarn, problem.line(), ""});
  }
  uint64_t bytes = 0;
  for (const auto& stream : loaded.config.streams) {
    if (const auto* profile = loaded.config.profile(stream.profile)) bytes += profile->geometry.total_bytes();
  }
  if (loaded.ok()) {
    checks.push_back({"configuration", Status::kOk, fmt::format("{}: {}, {} an epoch, {}", path, format_count(loaded.config.streams.size(), "stream"), format_bytes(bytes),
                                                                loaded.config.allow_dynamic_streams ? "dynamic streams on" : "no dynamic streams"), ""});
  }
  host.base_dir = loaded.config.base_dir;
  if (host.aeron_dir.empty()) host.aeron_dir = loaded.config.aeron_dir;
  if (loaded.config.mlock_shm) {
    rlimit locked{};
    ::getrlimit(RLIMIT_MEMLOCK, &locked);
    if (locked.rlim_cur < bytes) {
      checks.push_back({"locked memory", Status::kFail, fmt::format("mlock_shm is on: the streams take {}, the limit is {}", format_bytes(bytes), limit_text(locked.rlim_cur)),
                        "ulimit -l unlimited   (as root, or by limits.conf or LimitMEMLOCK=)"});
    }
  }
  return checks;
}

std::vector<Check> check_host(Host host, const std::string& config) {
  std::vector<Check> checks;
  if (!config.empty()) checks = check_config(config, host);
  for (auto&& check : {check_media_driver(host), check_shared_memory(host), check_memory_limit(host), check_permissions(host), check_limits(), check_clock(host),
                       check_membarrier(), check_hugepages(host), check_cpus()}) {
    checks.push_back(check);
  }
  for (auto& check : check_leftovers(host)) checks.push_back(std::move(check));
  checks.push_back(check_ffmpeg());
  return checks;
}

}  // namespace tidepool::cli
