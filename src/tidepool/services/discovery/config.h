#pragma once
// What a discovery service is told (config.md 4, discovery.md 7): read from a configuration tree and the environment, checked as a
// whole before anything is touched (CFG-1, CFG-17).

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/base/config.h"
#include "tidepool/services/driver/config.h"

namespace tidepool::discovery {

inline constexpr const char* kDefaultRequestChannel = "aeron:ipc?term-length=1m";
inline constexpr int32_t kDefaultRequestStreamId = 7000;  // rulings P-11
inline constexpr size_t kMaxInstanceIdBytes = 128;
inline constexpr size_t kMaxControlChannelBytes = 1023;
inline constexpr size_t kMaxTagBytes = 64;

// A channel and an Aeron stream id.
struct Endpoint {
  std::string channel;
  int32_t stream_id = 0;
  bool operator==(const Endpoint&) const = default;
};

// One driver: where it is heard, and what answers say of it. DS-10: all of it is configuration.
struct DriverEndpoint {
  std::string instance_id;
  Endpoint announce;
  Endpoint metadata;  // stream id 0: none
  std::string control_channel;
  uint32_t control_stream_id = 0;
};

// What is said of a stream that no message says (DS-19, DS-20). Ours: [[discovery.streams]].
struct ConfiguredStream {
  std::string instance_id;
  uint32_t stream_id = 0;
  std::optional<uint64_t> data_source_id;
  std::vector<std::string> tags;
  bool visible = true;
};

struct DiscoveryConfig {
  std::string aeron_dir;  // empty: Aeron's default
  Endpoint request{kDefaultRequestChannel, kDefaultRequestStreamId};
  std::vector<DriverEndpoint> endpoints;
  std::vector<ConfiguredStream> streams;
  uint32_t announce_period_ms = 1000;
  std::optional<uint64_t> expiry_ns;  // 3 announce periods; 0: entries live for ever
  uint32_t max_results = 1000;
  uint32_t response_buf_bytes = 65536;
  uint16_t max_tags_per_entry = 16;
  uint16_t max_pools_per_entry = 16;
  uint32_t response_linger_ms = 1000;
  uint32_t max_response_publications = 64;
  uint32_t response_publication_idle_ms = 60'000;
  std::vector<std::string> allowed_response_channels;  // empty: the request channel's medium
  bool answer_on_stream_zero = false;
  uint32_t max_requests_per_second = 100;  // of one source; 0: no limit
  bool deny_explicitly = false;
  uint32_t media_driver_timeout_ms = 10'000;

  uint64_t effective_expiry_ns() const noexcept;
  std::vector<std::string> effective_allowed_channels() const;
};

struct LoadedDiscovery {
  DiscoveryConfig config;
  std::vector<ConfigProblem> problems;
  Origins origins;
  bool ok() const noexcept;
  std::string error_text() const;  // all fatal problems, one a line
};

// Read [discovery] or [discovery_registry]. What [discovery] leaves out is the driver's, if the tree configures one ([driver] with
// more than aeron_dir) or holds nothing about discovery at all. A value whose origin begins with "--" came from the command line
// and wins over the environment (rulings P-12). Never throws for bad content; touches nothing.
LoadedDiscovery load_discovery_config(const ConfigValue& root, const Environment& environment);

// CFG-17 on values, however they came about.
std::vector<ConfigProblem> check_discovery_config(const DiscoveryConfig& config, const Origins& origins = {});

// Two endpoints that one message reaches both of: the same stream id on the same medium and address.
bool same_endpoint(const Endpoint& a, const Endpoint& b);

}  // namespace tidepool::discovery
