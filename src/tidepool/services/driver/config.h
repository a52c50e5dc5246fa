#pragma once
// What a driver is told (config.md 2): read from a configuration tree and the environment, checked as a whole before
// anything is touched (CFG-1).

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/base/config_reader.h"
#include "tidepool/pool/geometry.h"
#include "tidepool/services/supervisor/config.h"

namespace tidepool::driver {

struct Profile {
  std::string name;
  pool::Geometry geometry;
};
struct StaticStream {
  std::string name;
  uint32_t stream_id = 0;
  std::string profile;
};

inline constexpr uint32_t kDefaultHeaderSlots = 64;  // rulings P-9: fits a laptop

struct DriverConfig {
  // [driver]
  std::string instance_id = "driver-01";
  std::string aeron_dir;
  std::string control_channel = "aeron:ipc?term-length=4m";
  int32_t control_stream_id = 1000;
  std::string announce_channel;      // empty: control's
  int32_t announce_stream_id = 0;    // 0: control's
  std::string qos_channel = "aeron:ipc?term-length=4m";
  int32_t qos_stream_id = 1200;
  std::vector<IdRange> stream_id_range;
  std::vector<IdRange> descriptor_stream_id_range;
  std::vector<IdRange> control_stream_id_range;
  uint16_t counter_owner_id = 32767;  // of this driver's Aeron counters (operations.md 3): 1 to 32767
  // [shm]
  std::string base_dir = "/dev/shm";
  std::string name_space = "default";
  bool require_hugepages = false;
  uint32_t page_size_bytes = 4096;
  mode_t permissions_mode = 0660;
  std::vector<std::string> allowed_base_dirs;  // empty: base_dir
  // [policies]
  bool allow_dynamic_streams = false;
  std::string default_profile;                 // empty: the first in the file
  uint32_t announce_period_ms = 1000;
  uint32_t lease_keepalive_interval_ms = 1000;
  uint32_t lease_expiry_grace_intervals = 3;
  uint32_t node_id_reuse_cooldown_ms = 1000;
  bool provision_at_start = false;             // static streams get their first epoch at start: they are announced before anybody attaches
  bool prefault_shm = true;
  bool reuse_existing_shm = false;             // accepted for shared files; an epoch directory is never reused (D-42)
  bool mlock_shm = false;
  bool cleanup_shm_on_exit = false;
  bool epoch_gc_enabled = true;
  uint32_t epoch_gc_keep = 2;
  uint64_t epoch_gc_min_age_ns = 0;            // 0: 3 announce periods
  bool epoch_gc_on_startup = true;             // on by default in our driver (rulings P-8)
  uint32_t shutdown_timeout_ms = 2000;
  uint32_t media_driver_timeout_ms = 10'000;   // media driver silent for this long: dead; reconnect to its successor
  std::string shutdown_token;                  // empty: requests disabled
  bool notify_unknown_lease = true;
  uint32_t dynamic_stream_linger_ms = 0;
  bool require_power_of_two_stride = true;
  // [supervisor], as far as this driver serves it: what it answers to consumers' hellos (driver.md 13, 19). Ids that are not given
  // there are those of the ranges above.
  supervisor::ConsumerPolicy consumers;
  // [profiles], [streams], in file order
  std::vector<Profile> profiles;
  std::vector<StaticStream> streams;

  const Profile* profile(std::string_view name) const noexcept;
  const Profile* dynamic_profile() const noexcept;  // default_profile, or the first; nullptr: there is none
  uint64_t effective_gc_min_age_ns() const noexcept;
  const std::string& effective_announce_channel() const noexcept;
  int32_t effective_announce_stream_id() const noexcept;
  supervisor::ConsumerPolicy effective_consumers() const;
  uint64_t lease_lifetime_ns() const noexcept;      // keepalive interval x grace intervals
};

struct LoadedConfig {
  DriverConfig config;
  std::vector<ConfigProblem> problems;
  Origins origins;
  bool ok() const noexcept;
  // All fatal problems, one a line.
  std::string error_text() const;
};
// Read [driver], [shm], [policies], [profiles.*], [streams.*] by config.md 1 and 2 with the environment over it, and check
// all of section 10 that concerns the driver, [supervisor] too. A value whose origin begins with "--" came from the command
// line and wins over the environment (rulings P-12). Never throws for bad content; looks at directories, touches nothing.
LoadedConfig load_driver_config(const ConfigValue& root, const Environment& environment);

// The checks of section 10 on values, however they came about.
std::vector<ConfigProblem> check_driver_config(const DriverConfig& config, const Origins& origins = {});
// CFG-4: every static stream's epoch fits the file system below base_dir, alone and all together.
std::vector<ConfigProblem> check_capacity(const DriverConfig& config, const Origins& origins = {});

}  // namespace tidepool::driver
