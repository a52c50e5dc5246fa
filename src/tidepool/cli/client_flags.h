#pragma once
// How a command becomes a client: the flags of every command that talks Aeron, over the environment, over a
// configuration file, over the defaults (rulings P-12). The environment itself is read by the client library.

#include <cstdint>
#include <string>

#include "tidepool/base/config.h"
#include "tidepool/client/client.h"
#include "tidepool/client/discovery.h"
#include "tidepool/client/options.h"

namespace CLI {
class App;
}

namespace tidepool::cli {


// Where the media driver is and which channel and Aeron stream each plane has. Empty and 0: not given.
struct PlaneFlags {
  std::string aeron_dir;
  client::Endpoint control, announce, descriptor, qos, metadata;
  client::Endpoint discovery, discovery_response;
};
void add_plane_flags(CLI::App& verb, PlaneFlags& flags);
// Where discovery is asked: --discovery-channel, --discovery-stream, --discovery-response-channel, --discovery-response-stream.
void add_discovery_flags(CLI::App& verb, PlaneFlags& flags);

struct ClientFlags {
  PlaneFlags planes;
  std::string config;            // a file: [client], [producer], [consumer]; what they leave out, from [driver] and [shm]
  bool wait = false;
  uint32_t attach_timeout_ms = 0;  // 0: not given
};
void add_client_flags(CLI::App& verb, ClientFlags& flags);

// "31001", or "aeron:ipc?term-length=1m:31001"; without a channel it is `channel`. Throws UsageError naming `flag`.
client::Endpoint parse_endpoint(const std::string& flag, const std::string& text, const std::string& channel);

// The file named by --config, or an empty tree. Throws Error.
ConfigValue read_config(const ClientFlags& flags);

// Flags, and beneath them what `file` says where `environment` is silent. Throws Error naming file and line of a value that
// makes no sense. `environment` is that of the process, but for tests.
client::ClientOptions client_options(const ClientFlags& flags, const ConfigValue& file, const client::Environment& environment);
// `stream`: --stream or empty.
client::ProducerOptions producer_options(const std::string& stream, const ConfigValue& file, const client::Environment& environment);
// As client_options(), for a query alone.
client::DiscoveryOptions discovery_options(const PlaneFlags& flags, const ConfigValue& file,
                                           const client::Environment& environment);
client::ConsumerOptions consumer_options(const std::string& stream, const ConfigValue& file, const client::Environment& environment);

// A producer's own pools: --no-driver and what goes with it.
struct OwnPoolsFlags {
  bool no_driver = false;
  std::string pools;  // STRIDE[,STRIDE...]; empty: the file's, else one that holds the frame
  uint32_t slots = 0;  // 0: not given
  std::string base_dir, name_space;
  bool realtime = false;  // --clock realtime
};
void add_own_pools_flags(CLI::App& verb, OwnPoolsFlags& flags);
// Fills options.own_pools and options.clock_domain in, if they are wanted. `frame_bytes`: for the pool that nobody gave.
void own_pools_options(const OwnPoolsFlags& flags, const ConfigValue& file, const client::Environment& environment,
                       uint64_t frame_bytes, client::ProducerOptions& options);

// Logs state changes for `role`: each once, not every round of asking again.
client::StateHandler state_logger(std::string role);

// --stream's number or name: a name that the file's [streams.*] has becomes its number, others stay names, which the
// client looks up among the announced data sources and asks discovery for (rulings P-11).
std::string stream_of(const std::string& stream, const ConfigValue& file);

}  // namespace tidepool::cli
