#include "tidepool/cli/world.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <regex>

#include "tidepool/base/error.h"
#include "tidepool/base/process.h"

namespace tidepool::cli {
namespace {
namespace fs = std::filesystem;

// <prefix>-<pid>-<start ticks>-XXXXXX: the name says whose it is, so that a crash's leftovers can be told from a live one.
std::string make_world_dir(const WorldOptions& options) {
  const ProcessId self = this_process();
  std::string path = concat(options.parent_dir, "/", options.prefix, "-", self.pid, "-", self.start_ticks, "-XXXXXX");
  if (::mkdtemp(path.data()) == nullptr) {
    const int err = errno;
    throw Error(code_of_errno(err), "make a directory in ", options.parent_dir, errno_text(err), ": is it there and writable?");
  }
  return path;
}

void remove_dead_worlds(const WorldOptions& options) noexcept {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(options.parent_dir, error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(options.prefix + "-") || entry.is_symlink(error)) continue;
    char* end = nullptr;
    const uint64_t pid = std::strtoull(name.c_str() + options.prefix.size() + 1, &end, 10);
    if (pid == 0 || *end != '-') continue;
    const uint64_t ticks = std::strtoull(end + 1, &end, 10);
    if (ticks == 0 || *end != '-' || process_start_ticks(pid) == ticks) continue;
    struct stat status {};
    if (::lstat(entry.path().c_str(), &status) != 0 || status.st_uid != ::geteuid()) continue;
    fs::remove_all(entry.path(), error);
  }
}
}  // namespace

World::World(const WorldOptions& options) : options_(options) {
  remove_dead_worlds(options_);
  dir_ = make_world_dir(options_);
  try {
    transport::MediaDriverOptions media;
    media.dir = aeron_dir();
    media_driver_ = std::make_unique<transport::MediaDriver>(media);

    driver::DriverConfig config;
    config.instance_id = options_.prefix;
    config.aeron_dir = aeron_dir();
    config.base_dir = dir_;
    config.prefault_shm = options_.prefault;
    config.lease_keepalive_interval_ms = options_.keepalive_interval_ms;
    config.announce_period_ms = options_.announce_period_ms;
    config.cleanup_shm_on_exit = true;
    for (const WorldStream& stream : options_.streams) {
      config.profiles.push_back({stream.name, stream.geometry});
      config.streams.push_back({stream.name, stream.stream_id, stream.name});
    }
    driver_ = std::make_shared<driver::Driver>(config);
    runner_ = std::make_unique<AgentRunner>(std::vector<std::shared_ptr<Agent>>{driver_}, Idle::kBackoff);
    runner_->start();
  } catch (...) {
    driver_.reset();
    media_driver_.reset();
    std::error_code error;
    fs::remove_all(dir_, error);
    throw;
  }
}

World::~World() {
  if (runner_) runner_->stop();
  try {
    if (runner_) runner_->join();
  } catch (...) {  // check() is where the reason is told
  }
  runner_.reset();
  driver_.reset();
  media_driver_.reset();
  std::error_code error;
  fs::remove_all(dir_, error);
}

client::ClientOptions World::client_options(const std::string& world_dir, uint32_t keepalive_interval_ms, uint32_t announce_period_ms) {
  client::ClientOptions options;
  options.aeron_dir = world_dir + "/aeron";
  // A world answers to nobody's environment: every plane is named.
  const std::string channel = "aeron:ipc?term-length=4m";
  options.control = {channel, 1000};
  options.announce = {channel, 1000};
  options.descriptor = {channel, 1100};
  options.qos = {channel, 1200};
  options.metadata = {channel, 1300};
  options.keepalive_interval_ms = keepalive_interval_ms;
  options.announce_period_ms = announce_period_ms;
  options.map_policy.allowed_base_dirs = {world_dir};
  return options;
}

void World::check() {
  if (runner_ && !runner_->running()) runner_->join();
}

std::vector<WorldRemains> world_remains(const std::string& parent_dir, bool remove) {
  static const std::regex kName("tidepool(-[a-z]+)*-([0-9]{1,19})-([0-9]{1,19})-[A-Za-z0-9]{6}");
  std::vector<WorldRemains> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(parent_dir, error)) {
    const std::string name = entry.path().filename();
    std::smatch parts;
    struct stat status {};
    if (!std::regex_match(name, parts, kName) || ::lstat(entry.path().c_str(), &status) != 0) continue;
    if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid()) continue;
    WorldRemains one{.path = entry.path().string()};
    const uint64_t pid = std::stoull(parts[2]), ticks = std::stoull(parts[3]);
    const auto media = transport::media_driver_remains(one.path + "/aeron", false);
    if (process_start_ticks(pid) == ticks) {
      one.why = concat("its process ", pid, " runs");
    } else if (fs::exists(one.path + "/aeron") && !media.dead) {
      one.why = media.why;  // seen from another PID namespace the process seems gone: the lock does not
    } else {
      one.dead = true;
      one.why = concat("its process ", pid, " is gone");
      for (fs::recursive_directory_iterator at(entry.path(), error), end; !error && at != end; at.increment(error)) {
        if (::lstat(at->path().c_str(), &status) == 0) one.bytes += static_cast<uint64_t>(status.st_blocks) * 512;
      }
      error.clear();
      if (remove) {
        std::error_code failed;
        fs::remove_all(entry.path(), failed);
        one.removed = !failed;
        if (failed) one.why = concat("remove it: ", failed.message());
      }
    }
    out.push_back(std::move(one));
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return out;
}

}  // namespace tidepool::cli
