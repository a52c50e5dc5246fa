#pragma once
// The roles that one process runs, out of one configuration: what `tidepool driver`, `tidepool supervisor` and `tidepool up` have
// in common. All that was chosen is read and checked before anything is touched (CFG-1), started in the order of
// operations.md 1, polled on one thread, and ended in order by a signal.

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tidepool/base/agent.h"
#include "tidepool/base/config.h"
#include "tidepool/cli/client_flags.h"
#include "tidepool/cli/command.h"
#include "tidepool/services/discovery/provider.h"
#include "tidepool/services/driver/driver.h"
#include "tidepool/services/supervisor/supervisor.h"
#include "tidepool/transport/media_driver.h"

namespace tidepool::cli {

struct RoleChoice {
  bool driver = false;
  bool supervisor = false;
  bool discovery = false;
  bool embedded = false;  // a media driver in this process, unless one is alive already
  bool wait = false;      // for ever for somebody else's media driver
};

// The file's tree with the flags put over [driver] and over [supervisor] where that names endpoints of its own: their origins
// are the flags' names, which win over the environment (rulings P-12). [aeron] dir stands in for a missing driver.aeron_dir.
ConfigValue role_tree(ConfigValue file, const PlaneFlags& flags);

class Roles {
 public:
  // Reads and checks the configuration of what is chosen. Throws Error with every problem, a line each.
  Roles(const ConfigValue& root, const RoleChoice& choice);
  ~Roles();

  const driver::LoadedConfig& driver_config() const noexcept { return driver_config_; }
  const supervisor::LoadedConfig& supervisor_config() const noexcept { return supervisor_config_; }

  // Starts them. False: a signal came while the media driver was waited for. Throws Error.
  bool start(const Context& context);
  // Polls until a signal came and everybody has said goodbye. Throws Error when a role cannot go on.
  void serve();

  // Null: not chosen, or not started.
  const driver::Driver* driver() const noexcept { return driver_.get(); }
  const supervisor::Supervisor* supervisor() const noexcept { return supervisor_.get(); }
  const discovery::Provider* discovery() const noexcept { return discovery_.get(); }
  double seconds() const noexcept;  // since start()

 private:
  RoleChoice choice_;
  driver::LoadedConfig driver_config_;
  supervisor::LoadedConfig supervisor_config_;
  discovery::LoadedDiscovery discovery_config_;
  std::string aeron_dir_;
  uint64_t began_ns_ = 0;
  std::unique_ptr<transport::MediaDriver> media_;
  std::unique_ptr<driver::Driver> driver_;
  std::unique_ptr<supervisor::Supervisor> supervisor_;
  std::unique_ptr<discovery::Provider> discovery_;
};

nlohmann::ordered_json summary_json(const driver::Driver& driver);
nlohmann::ordered_json summary_json(const supervisor::Supervisor& supervisor);
nlohmann::ordered_json summary_json(const discovery::Provider& discovery);
// A line for people.
std::string summary_text(const driver::Driver& driver);
std::string summary_text(const supervisor::Supervisor& supervisor);
std::string summary_text(const discovery::Provider& discovery);

}  // namespace tidepool::cli
