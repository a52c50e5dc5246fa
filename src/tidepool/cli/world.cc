#include "tidepool/cli/world.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

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

}  // namespace tidepool::cli
