#pragma once
// What a supervisor is told: [supervisor] of config.md 3, with the driver's endpoints and id ranges as its defaults.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/base/config_reader.h"
#include "tidepool/wire/messages.h"

namespace tidepool::supervisor {


struct Endpoint {
  std::string channel = {};
  int32_t stream_id = 0;
  bool operator==(const Endpoint&) const = default;
};

// What hellos are answered with (driver.md 13, 19): by a supervisor, or by a driver itself.
struct ConsumerPolicy {
  bool per_consumer_enabled = true;             // false: every request is declined, as where there are no ids to assign
  std::string per_consumer_descriptor_channel;  // empty: the channel that the consumer asked for
  std::string per_consumer_control_channel;
  std::vector<IdRange> descriptor_ids;  // of base and range, or the driver's
  std::vector<IdRange> control_ids;
  uint32_t consumer_capacity = 256;  // consumers that are known, and answered
  bool force_no_shm = false;
  std::optional<wire::Mode> force_mode;
  std::string payload_fallback_uri;

  bool assigns() const noexcept { return per_consumer_enabled && !(descriptor_ids.empty() && control_ids.empty()); }
};

struct SupervisorConfig {
  std::string aeron_dir;                                  // driver.aeron_dir; empty: Aeron's default
  Endpoint control = {"aeron:ipc?term-length=4m", 1000};  // hellos in, configs out
  Endpoint announce = {"aeron:ipc?term-length=4m", 1000};
  Endpoint metadata = {"aeron:ipc?term-length=4m", 1300};
  Endpoint qos = {"aeron:ipc?term-length=4m", 1200};
  ConsumerPolicy consumers;
  uint32_t consumer_stale_ms = 5000;
  uint32_t liveness_timeout_ms = 5000;
  uint32_t liveness_check_interval_ms = 1000;
  std::vector<std::string> allowed_base_dirs = {"/dev/shm"};  // where announced regions may lie whose activity is read
};

struct LoadedConfig {
  bool present = false;  // there is a [supervisor] table
  SupervisorConfig config;
  std::vector<ConfigProblem> problems;
  Origins origins;
  bool ok() const noexcept { return !any_fatal(problems); }
};

// Never throws for bad content; touches nothing. Of [driver], [shm] and [streams.*] it takes the defaults and the ids in use, and
// says nothing: their own loader judges them. A driver that answers hellos itself reads its [supervisor] with this, too.
LoadedConfig load_supervisor_config(const ConfigValue& root, const Environment& environment);

}  // namespace tidepool::supervisor
