#pragma once
// A private world for `demo` and `bench`: a directory of its own in shared memory with an embedded media driver and a
// driver in it, run on threads of this process. Needs no configuration and meets nobody else's.

#include <memory>
#include <string>
#include <vector>

#include "tidepool/base/agent.h"
#include "tidepool/client/client.h"
#include "tidepool/services/driver/driver.h"
#include "tidepool/transport/media_driver.h"

namespace tidepool::cli {

struct WorldStream {
  std::string name;
  uint32_t stream_id = 0;
  pool::Geometry geometry;
};

struct WorldOptions {
  std::string parent_dir = "/dev/shm";
  std::string prefix = "tidepool";          // the directory is <parent>/<prefix>-<pid>-XXXXXX
  std::vector<WorldStream> streams;
  bool prefault = true;
  uint32_t keepalive_interval_ms = 1000;    // lease life is 3 of it
  uint32_t announce_period_ms = 1000;
};

// Thread safety: the owner's thread. Destruction stops the driver, then the media driver, and removes the directory.
class World {
 public:
  // Removes worlds of the same prefix whose process is gone, then starts. Throws Error.
  explicit World(const WorldOptions& options);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  const std::string& dir() const noexcept { return dir_; }
  std::string aeron_dir() const { return dir_ + "/aeron"; }
  // What a client in this or a child process connects with.
  client::ClientOptions client_options() const { return client_options(dir_, options_.keepalive_interval_ms, options_.announce_period_ms); }
  static client::ClientOptions client_options(const std::string& world_dir, uint32_t keepalive_interval_ms, uint32_t announce_period_ms);

  // Rethrows what ended the driver, if it ended.
  void check();

 private:
  WorldOptions options_;
  std::string dir_;
  std::unique_ptr<transport::MediaDriver> media_driver_;
  std::shared_ptr<driver::Driver> driver_;
  std::unique_ptr<AgentRunner> runner_;
};

// Worlds below `parent_dir` that a killed demo or bench of this user left: <prefix>-<pid>-<start ticks>-XXXXXX whose process is
// gone and whose media driver's kernel lock is free. With `remove` the dead ones are deleted. Links and others' are not looked at.
struct WorldRemains {
  std::string path = {};
  bool dead = false;
  bool removed = false;
  uint64_t bytes = 0;
  std::string why = {};
};
std::vector<WorldRemains> world_remains(const std::string& parent_dir, bool remove);

}  // namespace tidepool::cli
