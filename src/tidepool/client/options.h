#pragma once
// What the application asked for, completed: its own value, else the environment, else the default (rulings P-12).
// Everything is checked here, before anything is touched (CFG-1).

#include <functional>
#include <optional>
#include <string>

#include "tidepool/client/client.h"
#include "tidepool/client/discovery.h"

namespace tidepool::client {

using Environment = std::function<std::optional<std::string>(const std::string& name)>;
// The process's; a variable that is set but empty counts as unset (config.md 1).
std::optional<std::string> process_environment(const std::string& name);

// A client's settings: complete.
struct Settings {
  std::string aeron_dir;
  Endpoint control, announce, descriptor, qos, metadata;
  DiscoverySettings discovery;
  uint64_t attach_timeout_ns = 0;
  uint64_t attach_retry_ns = 0;
  uint64_t keepalive_ns = 0;
  uint32_t grace_intervals = 0;
  uint64_t backoff_min_ns = 0;
  uint64_t backoff_max_ns = 0;
  uint64_t announce_period_ns = 0;
  uint64_t media_driver_timeout_ms = 0;
  bool wait = false;
  bool invoker = false;
  std::function<bool()> keep_waiting;  // empty: for ever
  shm::MapPolicy policy;
  std::string name;
};
// Throws Error kInvalidArgument naming the variable or option, its value and what was expected.
Settings resolve(const ClientOptions& options, const Environment& environment);
DiscoverySettings resolve(const DiscoveryOptions& options, const Environment& environment);

struct ProgressHints {
  uint32_t interval_us = 250;
  uint32_t bytes_delta = 65536;
  uint32_t major_delta_units = 0;
};

// One role's settings: complete but for the stream's number.
struct RoleSettings {
  wire::Role role = wire::Role::producer;
  std::string stream;
  uint32_t client_id = 0;  // 0: random
  wire::PublishMode publish_mode = wire::PublishMode::existing_or_create;
  wire::HugepagesPolicy hugepages = wire::HugepagesPolicy::unspecified;
  std::optional<uint32_t> desired_node_id;
  uint32_t expected_layout_version = wire::kLayoutVersion;
  bool lock_memory = false;
  uint64_t qos_interval_ns = 0;
  StateHandler on_state;
  // producers
  DataSource source;
  bool send_descriptors = true;
  bool descriptor_timestamps = false;
  uint64_t activity_interval_ns = 0;
  bool follow_consumer_config = true;
  uint64_t answer_hellos_after_ns = 0;  // D-67: how long a driver has to answer first; 0: there is none
  uint64_t blob_repeat_ns = 0;
  std::optional<OwnPools> own_pools;
  ClockDomain clock_domain = ClockDomain::kMonotonic;
  // Why CLOCK_REALTIME may not be announced now (W-91); a seam for tests.
  std::function<std::optional<std::string>()> clock_trouble;
  // consumers
  Follow follow = Follow::kDescriptors;
  pool::Start start = pool::Start::kLatest;
  pool::OnLap on_lap = pool::OnLap::kOldestValid;
  uint32_t max_outstanding_seq_gap = 0;
  uint64_t freshness_ns = 0;
  uint64_t hello_interval_ns = 0;
  wire::Mode mode = wire::Mode::stream;
  uint32_t max_rate_hz = 0;
  bool use_shm = true;
  Endpoint own_descriptors, own_control;  // id 0: not asked for
  ProgressHandler on_progress;
  // both
  ConsumerStreamPolicy consumer_streams;
  std::string payload_fallback_uri;
  ProgressHints progress_hints;  // a producer's floors, a consumer's offer
  bool announce_only = false;
  bool metadata = true;
  uint64_t max_metadata_bytes = 0;
  uint64_t max_blob_bytes = 0;
  MetadataHandler on_metadata;

  // Nobody is asked for a lease.
  bool alone() const noexcept { return own_pools.has_value() || announce_only; }
};
RoleSettings resolve(const ProducerOptions& options, const Settings& client, const Environment& environment);
RoleSettings resolve(const ConsumerOptions& options, const Settings& client, const Environment& environment);

// Throws Error kInvalidArgument for what no message can carry, and for keys or blob types that are not unique (wire.md 14).
void check(const DataSource& source);

// The number that `stream` is, or nullopt: it is a name. Throws Error kInvalidArgument for an empty one and for numbers that
// are no stream id.
std::optional<uint32_t> stream_number(const std::string& stream);

// "5 s", "250 ms": for messages.
std::string duration_text(uint64_t ns);

}  // namespace tidepool::client
