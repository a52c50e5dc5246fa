#include "tidepool/services/discovery/config.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/id_ranges.h"
#include "tidepool/base/log.h"
#include "tidepool/transport/channel_uri.h"
#include "tidepool/transport/connection.h"
#include "tidepool/wire/messages.h"

namespace tidepool::discovery {
namespace {

constexpr uint64_t kMaxU32 = std::numeric_limits<uint32_t>::max();
constexpr uint64_t kMaxU64 = std::numeric_limits<uint64_t>::max();
constexpr int32_t kDefaultMetadataStreamId = 1300;  // by convention (config.md 9)

// Where one driver is, as far as the keys below `at` say; `fallback`: what they leave out, where something stands in for it.
void read_driver_endpoint(ConfigReader& in, const std::string& at, const DriverEndpoint* fallback, DiscoveryConfig& c) {
  DriverEndpoint endpoint = fallback != nullptr ? *fallback : DriverEndpoint{};
  const std::string origin = in.origin_of(at);
  const auto need = [&](const char* name, bool given, const char* expected) {
    if (!given && fallback == nullptr) in.problem(concat(at, ".", name), origin, concat("is missing: expected ", expected));
  };
  const auto text = [&](const char* name, std::string& value, const char* expected) {
    const bool given = in.read(concat(at, ".", name), value);
    need(name, given, expected);
    return given;
  };
  text("driver_instance_id", endpoint.instance_id, "the name of the driver, as in its instance_id");
  const bool announce_moved = text("announce_channel", endpoint.announce.channel, "the driver's announce channel");
  in.read(at + ".announce_stream_id", endpoint.announce.stream_id, 1, wire::kMaxAeronStreamId);
  need("announce_stream_id", endpoint.announce.stream_id != 0, "the driver's announce stream id");
  text("driver_control_channel", endpoint.control_channel, "the channel that attach requests go to");
  in.read(at + ".driver_control_stream_id", endpoint.control_stream_id, 1, wire::kMaxAeronStreamId);
  need("driver_control_stream_id", endpoint.control_stream_id != 0, "the stream id that attach requests go to");

  const bool has_channel = in.read(at + ".metadata_channel", endpoint.metadata.channel);
  const bool has_id = in.read(at + ".metadata_stream_id", endpoint.metadata.stream_id, 0, wire::kMaxAeronStreamId);
  if (has_channel && endpoint.metadata.channel.empty()) endpoint.metadata.stream_id = 0;  // config.md 4.1: empty or 0 is none
  if (endpoint.metadata.stream_id != 0 && !has_channel && (endpoint.metadata.channel.empty() || announce_moved)) {
    endpoint.metadata.channel = endpoint.announce.channel;
  }
  if (has_channel && !endpoint.metadata.channel.empty() && endpoint.metadata.stream_id == 0 && !has_id) {
    in.problem(at + ".metadata_stream_id", origin, "is missing: without it no metadata is heard, and no stream has a name", false);
  }
  c.endpoints.push_back(std::move(endpoint));
}

void read_streams(ConfigReader& in, const std::string& table, const std::string* only_instance, DiscoveryConfig& c) {
  in.for_each_table(table + ".streams", [&](const std::string& at) {
    ConfiguredStream made;
    bool whole = true;
    if (only_instance != nullptr) {
      made.instance_id = *only_instance;
    } else if (!in.read(at + ".driver_instance_id", made.instance_id)) {
      in.problem(at + ".driver_instance_id", in.origin_of(at), "is missing: expected the driver_instance_id of one of the endpoints");
      whole = false;
    }
    if (!in.read(at + ".stream_id", made.stream_id, 1, kMaxU32 - 1)) {
      if (in.origin_of(at + ".stream_id").empty())
        in.problem(at + ".stream_id", in.origin_of(at), concat("is missing: expected 1 to ", kMaxU32 - 1));
      whole = false;
    }
    if (uint64_t id = 0; in.read(at + ".data_source_id", id, 0, kMaxU64 - 1)) made.data_source_id = id;
    in.read_texts(at + ".tags", made.tags);
    in.read(at + ".visible", made.visible);
    if (whole) c.streams.push_back(std::move(made));
  });
}

void read_common(ConfigReader& in, const std::string& table, DiscoveryConfig& c) {
  const auto key = [&table](const char* name) { return concat(table, ".", name); };
  in.read_either(key("request_channel"), key("channel"), c.request.channel);
  in.read_either(key("request_stream_id"), key("stream_id"), c.request.stream_id, 1, wire::kMaxAeronStreamId);
  in.read(key("announce_period_ms"), c.announce_period_ms, 0, kMaxU32);
  if (c.announce_period_ms == 0) c.announce_period_ms = 1000;
  if (uint64_t expiry_ns = 0; in.read(key("expiry_ns"), expiry_ns, 0, kMaxU64 - 1)) c.expiry_ns = expiry_ns;
  in.read(key("max_results"), c.max_results, 1, wire::kMaxResultsPerMessage);
  in.read(key("response_buf_bytes"), c.response_buf_bytes, 0, 16u << 20);
  if (c.response_buf_bytes == 0) c.response_buf_bytes = 65536;
  in.read(key("max_tags_per_entry"), c.max_tags_per_entry, 0, wire::kMaxTagsPerMessage);
  in.read(key("max_pools_per_entry"), c.max_pools_per_entry, 1, wire::kMaxPoolsPerMessage);
  in.read(key("response_linger_ms"), c.response_linger_ms, 0, kMaxU32);
  in.read(key("max_response_publications"), c.max_response_publications, 1, 4096);
  in.read(key("response_publication_idle_ms"), c.response_publication_idle_ms, 1, kMaxU32);
  in.read_texts(key("allowed_response_channels"), c.allowed_response_channels);
  in.read(key("answer_on_stream_zero"), c.answer_on_stream_zero);
  in.read(key("max_requests_per_second"), c.max_requests_per_second, 0, 1'000'000'000);
  in.read(key("deny_explicitly"), c.deny_explicitly);
}

bool written_in_a_file(const ConfigTable* table) {
  return table != nullptr && std::any_of(table->entries.begin(), table->entries.end(),
                                         [](const auto& entry) { return !entry.second.origin().starts_with("--"); });
}

// The driver that the same tree configures, as an endpoint. What is wrong with it is wrong with us too.
DriverEndpoint beside_driver(const ConfigValue& root, const Environment& environment, LoadedDiscovery& out) {
  const driver::LoadedConfig loaded = driver::load_driver_config(root, environment);
  const driver::DriverConfig& c = loaded.config;
  for (const auto& problem : loaded.problems) {
    const bool ours = problem.key.starts_with("driver.") &&
                      (problem.key.find("control") != std::string::npos || problem.key.find("announce") != std::string::npos ||
                       problem.key == "driver.instance_id" || problem.key == "driver.aeron_dir");
    if (problem.fatal && ours && problem.key.find("range") == std::string::npos) out.problems.push_back(problem);
  }
  out.config.announce_period_ms = c.announce_period_ms;
  out.config.request = {c.control_channel.starts_with("aeron:ipc") ? kDefaultRequestChannel : c.control_channel,
                        kDefaultRequestStreamId};
  return {.instance_id = c.instance_id,
          .announce = {c.effective_announce_channel(), c.effective_announce_stream_id()},
          .metadata = {c.control_channel, kDefaultMetadataStreamId},
          .control_channel = c.control_channel,
          .control_stream_id = static_cast<uint32_t>(c.control_stream_id)};
}

std::string medium_of(std::string_view channel) {
  if (channel.starts_with("aeron:ipc")) return "aeron:ipc";
  if (channel.starts_with("aeron:udp")) return "aeron:udp";
  return {};
}

}  // namespace

uint64_t DiscoveryConfig::effective_expiry_ns() const noexcept {
  return expiry_ns.value_or(3 * uint64_t{announce_period_ms} * kNsPerMs);
}

std::vector<std::string> DiscoveryConfig::effective_allowed_channels() const {
  if (!allowed_response_channels.empty()) return allowed_response_channels;
  const std::string medium = medium_of(request.channel);
  return medium.empty() ? std::vector<std::string>{} : std::vector<std::string>{medium};
}

bool LoadedDiscovery::ok() const noexcept { return !any_fatal(problems); }
std::string LoadedDiscovery::error_text() const { return fatal_text(problems); }

bool same_endpoint(const Endpoint& a, const Endpoint& b) {
  if (a.stream_id != b.stream_id) return false;
  if (a.channel.starts_with("aeron:ipc") && b.channel.starts_with("aeron:ipc")) return true;
  const auto address_of = [](const std::string& channel) {
    std::string out;
    const size_t question = channel.find('?');
    std::string_view rest = question == std::string::npos ? std::string_view{} : std::string_view(channel).substr(question + 1);
    for (const std::string_view key : {"endpoint=", "control="}) {
      for (std::string_view at = rest; !at.empty(); at.remove_prefix(std::min(at.find('|'), at.size() - 1) + 1)) {
        if (at.starts_with(key)) out += concat(at.substr(0, at.find('|')), "|");
      }
    }
    return out;
  };
  return medium_of(a.channel) == medium_of(b.channel) && address_of(a.channel) == address_of(b.channel);
}

LoadedDiscovery load_discovery_config(const ConfigValue& root, const Environment& environment) {
  LoadedDiscovery out;
  // A standalone C file has [driver] aeron_dir and no more (config.md 4.1).
  ConfigReader in(root, environment, out.problems, {{"driver.aeron_dir", "AERON_DIR"}});
  const ConfigTable* single = in.table("discovery");
  const ConfigTable* registry = in.table("discovery_registry");
  const ConfigTable* driver_table = in.table("driver");
  for (const char* name : {"discovery", "discovery_registry"})
    if (const ConfigValue* value = root.find(name)) in.origins[name] = value->origin();
  if (registry != nullptr && written_in_a_file(single))
    in.problem("discovery_registry", in.origin_of("discovery_registry"),
               "is beside [discovery]: expected one of them, for several drivers or for one");
  in.read("driver.aeron_dir", out.config.aeron_dir);

  if (registry != nullptr) {
    read_common(in, "discovery_registry", out.config);
    in.for_each_table("discovery_registry.endpoints", [&](const std::string& at) { read_driver_endpoint(in, at, nullptr, out.config); });
    read_streams(in, "discovery_registry", nullptr, out.config);
    in.warn_unknown("discovery_registry", registry);
  } else {
    const bool drives = driver_table != nullptr && std::any_of(driver_table->order.begin(), driver_table->order.end(),
                                                               [](const auto& name) { return name != "aeron_dir"; });
    const bool beside = drives || !written_in_a_file(single);
    std::optional<DriverEndpoint> fallback;
    if (beside) fallback = beside_driver(root, environment, out);
    read_common(in, "discovery", out.config);
    read_driver_endpoint(in, "discovery", fallback ? &*fallback : nullptr, out.config);
    const std::string instance = out.config.endpoints.back().instance_id;
    read_streams(in, "discovery", &instance, out.config);
    in.warn_unknown("discovery", single);
  }
  out.origins = std::move(in.origins);
  // A key that is missing or unreadable has been named already: no second complaint about what it left behind.
  if (out.ok()) {
    for (auto& problem : check_discovery_config(out.config, out.origins)) out.problems.push_back(std::move(problem));
  }
  return out;
}

std::vector<ConfigProblem> check_discovery_config(const DiscoveryConfig& c, const Origins& origins) {
  std::vector<ConfigProblem> problems;
  const bool registry = origins.contains("discovery_registry") || c.endpoints.size() > 1;
  const std::string prefix = registry ? "discovery_registry." : "discovery.";
  const auto bad = [&](const std::string& key, std::string text, bool fatal = true) {
    problems.push_back({key, origin_of(origins, key), std::move(text), fatal});
  };
  const auto channel = [&](const std::string& key, const std::string& value) {
    if (value.size() > kMaxControlChannelBytes)
      return bad(key, concat("has ", value.size(), " bytes: expected at most ", kMaxControlChannelBytes));
    if (auto fault = transport::channel_fault(value); !fault.empty()) return bad(key, concat("is ", in_quotes(value), ": ", fault));
    if (!value.starts_with("aeron:")) bad(key, concat("is ", in_quotes(value), ": expected aeron:ipc or aeron:udp, no spy"));
  };
  const auto stream_id = [&](const std::string& key, int64_t value) {
    if (value <= 0 || value > static_cast<int64_t>(wire::kMaxAeronStreamId))
      bad(key, concat("is ", value, ": expected 1 to ", wire::kMaxAeronStreamId));
  };
  channel(prefix + "request_channel", c.request.channel);
  stream_id(prefix + "request_stream_id", c.request.stream_id);
  if (c.endpoints.empty())
    bad(registry ? "discovery_registry" : prefix + "endpoints",
        "has no endpoints: expected a [[discovery_registry.endpoints]] for each driver");

  std::set<std::string> instances;
  for (size_t i = 0; i < c.endpoints.size(); ++i) {
    const DriverEndpoint& endpoint = c.endpoints[i];
    const std::string at = registry ? concat(prefix, "endpoints[", i, "].") : prefix;
    if (endpoint.instance_id.empty() || endpoint.instance_id.size() > kMaxInstanceIdBytes) {
      bad(at + "driver_instance_id", concat("has ", endpoint.instance_id.size(), " bytes: expected 1 to ", kMaxInstanceIdBytes));
    } else if (!instances.insert(endpoint.instance_id).second) {
      bad(at + "driver_instance_id",
          concat("is ", in_quotes(endpoint.instance_id), " again: expected each endpoint to have its own"));
    }
    channel(at + "announce_channel", endpoint.announce.channel);
    stream_id(at + "announce_stream_id", endpoint.announce.stream_id);
    channel(at + "driver_control_channel", endpoint.control_channel);
    stream_id(at + "driver_control_stream_id", endpoint.control_stream_id);
    if (endpoint.metadata.stream_id != 0) {
      channel(at + "metadata_channel", endpoint.metadata.channel);
      stream_id(at + "metadata_stream_id", endpoint.metadata.stream_id);
    }
    for (size_t j = 0; j < i; ++j) {
      const DriverEndpoint& other = c.endpoints[j];
      // DS-10: which driver an announce is of is told by where it arrives, and by nothing else.
      if (same_endpoint(endpoint.announce, other.announce)) {
        bad(at + "announce_stream_id", concat("is ", endpoint.announce.stream_id, " on the channel of endpoints[", j,
                                              "]: expected each driver to be heard on an endpoint of its own"));
      }
      if (endpoint.metadata.stream_id != 0 && same_endpoint(endpoint.metadata, other.metadata)) {
        bad(at + "metadata_stream_id",
            concat("is ", endpoint.metadata.stream_id, " on the channel of endpoints[", j,
                   "]: names of both drivers will be taken for either's"),
            false);
      }
    }
    if (same_endpoint(c.request, {endpoint.control_channel, static_cast<int32_t>(endpoint.control_stream_id)})) {
      bad(prefix + "request_stream_id",
          concat("is ", c.request.stream_id, ", where driver ", in_quotes(endpoint.instance_id),
                 " takes attach requests: some clients refuse that; expected a stream id of its own, such as ",
                 kDefaultRequestStreamId),
          false);
    }
  }

  std::set<std::pair<std::string, uint32_t>> named;
  for (size_t i = 0; i < c.streams.size(); ++i) {
    const ConfiguredStream& stream = c.streams[i];
    const std::string at = concat(prefix, "streams[", i, "]");
    if (!instances.contains(stream.instance_id))
      bad(at + ".driver_instance_id", concat("is ", in_quotes(stream.instance_id), ": expected that of an endpoint"));
    if (!named.insert({stream.instance_id, stream.stream_id}).second)
      bad(at + ".stream_id", concat("is ", stream.stream_id, " again: expected each stream once"));
    if (stream.tags.size() > c.max_tags_per_entry) {
      bad(at + ".tags", concat("has ", stream.tags.size(), " tags: expected at most max_tags_per_entry, ", c.max_tags_per_entry));
    }
    for (const std::string& tag : stream.tags) {
      if (tag.empty() || tag.size() > kMaxTagBytes)
        bad(at + ".tags", concat("holds ", in_quotes(tag), " of ", tag.size(), " bytes: expected 1 to ", kMaxTagBytes));
    }
  }
  for (const std::string& allowed : c.allowed_response_channels) {
    if (!allowed.starts_with("aeron:ipc") && !allowed.starts_with("aeron:udp")) {
      bad(prefix + "allowed_response_channels",
          concat("holds ", in_quotes(allowed),
                 ": expected beginnings of channels, such as aeron:ipc or aeron:udp?endpoint=10.0.0."));
    }
  }
  return problems;
}

}  // namespace tidepool::discovery
