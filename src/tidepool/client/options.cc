#include "tidepool/client/options.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <set>
#include <string_view>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/client/endpoints.h"
#include "tidepool/client/clock_discipline.h"
#include "tidepool/transport/media_driver.h"
#include "tidepool/wire/messages.h"

namespace tidepool::client {
namespace {

constexpr const char* kDefaultChannel = "aeron:ipc?term-length=4m";
constexpr const char* kDiscoveryChannel = "aeron:ipc?term-length=1m";  // the protocol's own
constexpr int32_t kDiscoveryStreamId = 7000;                           // rulings P-11
constexpr int32_t kDiscoveryResponseStreamId = 7004;

[[noreturn]] void bad(const std::string& key, const std::string& value, std::string_view expected) {
  throw Error(Code::kInvalidArgument, key, " is '", printable(value), "': expected ", expected);
}

std::optional<uint64_t> parse_number(std::string_view text, int base = 10) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The variables of one role: "CLIENT_" + key in capitals.
class Variables {
 public:
  Variables(const Environment& environment, std::string prefix) : environment_(environment), prefix_(std::move(prefix)) {}

  std::optional<std::string> text(const std::string& key) const {
    auto value = environment_ ? environment_(prefix_ + key) : std::nullopt;
    return value && !value->empty() ? value : std::nullopt;
  }
  std::optional<uint64_t> number(const std::string& key, uint64_t min, uint64_t max, int base = 10) const {
    const auto value = text(key);
    if (!value) return std::nullopt;
    const auto parsed = parse_number(*value, base);
    if (!parsed || *parsed < min || *parsed > max) bad(prefix_ + key, *value, concat(base == 8 ? "an octal number, " : "a number, ", min, " to ", max));
    return parsed;
  }
  std::optional<bool> flag(const std::string& key) const {
    auto value = text(key);
    if (!value) return std::nullopt;
    std::transform(value->begin(), value->end(), value->begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (*value == "true" || *value == "1") return true;
    if (*value == "false" || *value == "0") return false;
    bad(prefix_ + key, *value, "true, false, 1 or 0");
  }
  template <typename Enum>
  std::optional<Enum> choice(const std::string& key, std::initializer_list<std::pair<std::string_view, Enum>> values) const {
    const auto value = text(key);
    if (!value) return std::nullopt;
    std::string expected;
    for (const auto& [name, result] : values) {
      if (*value == name) return result;
      expected += concat(expected.empty() ? "" : ", ", name);
    }
    bad(prefix_ + key, *value, expected);
  }
  // A period or time-out: the option's value, else the variable's, else the default; never 0.
  uint64_t milliseconds(const std::string& key, std::optional<uint32_t> option, uint64_t fallback) const {
    uint64_t ms = 0;
    if (option) {
      ms = *option;
    } else {
      ms = number(key, 1, std::numeric_limits<uint32_t>::max()).value_or(fallback);
    }
    if (ms == 0) bad(prefix_ + key, "0", "at least 1 ms");
    return ms * kNsPerMs;
  }
  const std::string& prefix() const noexcept { return prefix_; }

 private:
  const Environment& environment_;
  std::string prefix_;
};

// `plane`: "CONTROL", "ANNOUNCE", ...
Endpoint endpoint(const Variables& variables, const std::string& plane, const Endpoint& option, const Endpoint& fallback) {
  Endpoint out = option;
  if (out.channel.empty()) out.channel = variables.text(plane + "_CHANNEL").value_or(fallback.channel);
  if (out.stream_id == 0) {
    out.stream_id = static_cast<int32_t>(variables.number(plane + "_STREAM_ID", 1, wire::kMaxAeronStreamId).value_or(static_cast<uint64_t>(fallback.stream_id)));
  }
  if (out.stream_id < 0) bad(plane + " stream id", std::to_string(out.stream_id), "1 to 2147483647");
  if (!out.channel.starts_with("aeron:") || out.channel.size() > wire::kMaxUriBytes) {
    bad(variables.prefix() + plane + "_CHANNEL", out.channel, "an Aeron channel such as aeron:ipc?term-length=4m");
  }
  return out;
}

// `control`: where attach requests go; discovery is looked for on the same medium.
DiscoverySettings discovery_settings(const Endpoint& request, const Endpoint& response, std::optional<uint32_t> timeout_ms,
                                     std::optional<uint32_t> retry_ms, const Variables& variables,
                                     const std::string& control_channel) {
  const auto checked = [&](const char* plane, std::string channel) {
    if (!channel.empty() && (!channel.starts_with("aeron:") || channel.size() > 1024)) {
      bad(concat(variables.prefix(), plane), channel, "an Aeron channel of at most 1024 bytes, such as aeron:ipc?term-length=1m");
    }
    return channel;
  };
  DiscoverySettings out;
  out.request.channel =
      checked("DISCOVERY_CHANNEL", request.channel.empty() ? variables.text("DISCOVERY_CHANNEL").value_or("") : request.channel);
  if (out.request.channel.empty())
    out.request.channel = control_channel.starts_with("aeron:udp") ? control_channel : kDiscoveryChannel;
  out.request.stream_id = request.stream_id;
  if (out.request.stream_id == 0) {
    out.request.stream_id =
        static_cast<int32_t>(variables.number("DISCOVERY_STREAM_ID", 0, wire::kMaxAeronStreamId).value_or(kDiscoveryStreamId));
  }
  if (out.request.stream_id < kDiscoveryOff) bad("discovery stream id", std::to_string(out.request.stream_id), "1 to 2147483647");
  if (out.request.stream_id == kDiscoveryOff) out.request.stream_id = 0;
  out.response.channel =
      checked("DISCOVERY_RESPONSE_CHANNEL",
              response.channel.empty() ? variables.text("DISCOVERY_RESPONSE_CHANNEL").value_or("") : response.channel);
  // Not the request stream + 1: that is 7001, by convention a stream of announces (discovery.md 6). A UDP endpoint is the service's own.
  if (out.response.channel.empty() && out.request.channel.starts_with("aeron:ipc")) out.response.channel = out.request.channel;
  out.response.stream_id = response.stream_id;
  if (out.response.stream_id == 0) {
    out.response.stream_id = static_cast<int32_t>(
        variables.number("DISCOVERY_RESPONSE_STREAM_ID", 0, wire::kMaxAeronStreamId).value_or(kDiscoveryResponseStreamId));
    if (out.response.stream_id == 0) out.response.stream_id = kDiscoveryResponseStreamId;
  }
  if (out.response.stream_id < 0) bad("discovery response stream id", std::to_string(out.response.stream_id), "1 to 2147483647");
  out.timeout_ns = variables.milliseconds("DISCOVERY_TIMEOUT_MS", timeout_ms, 5000);
  out.retry_ns = variables.milliseconds("DISCOVERY_RETRY_INTERVAL_MS", retry_ms, 1000);
  return out;
}

shm::MapPolicy::Options map_policy(const shm::MapPolicy::Options& option, const Variables& variables) {
  const shm::MapPolicy::Options defaults;
  shm::MapPolicy::Options out = option;
  if (out.allowed_base_dirs == defaults.allowed_base_dirs) {
    if (const auto dirs = variables.text("ALLOWED_BASE_DIRS")) {
      out.allowed_base_dirs.clear();
      for (size_t at = 0; at <= dirs->size();) {
        const size_t end = std::min(dirs->find(':', at), dirs->size());
        if (end > at) out.allowed_base_dirs.push_back(dirs->substr(at, end - at));
        at = end + 1;
      }
    }
  }
  if (out.forbidden_mode == defaults.forbidden_mode) {
    out.forbidden_mode = static_cast<mode_t>(variables.number("FORBIDDEN_MODE", 0, 07777, 8).value_or(out.forbidden_mode));
    if (!variables.flag("ENFORCE_PERMISSIONS").value_or(true)) out.forbidden_mode = 0;
  }
  if (!out.expected_uid) {
    if (const auto uid = variables.number("EXPECTED_UID", 0, std::numeric_limits<uid_t>::max())) out.expected_uid = static_cast<uid_t>(*uid);
  }
  if (!out.expected_gid) {
    if (const auto gid = variables.number("EXPECTED_GID", 0, std::numeric_limits<gid_t>::max())) out.expected_gid = static_cast<gid_t>(*gid);
  }
  return out;
}

// config.md 7.2, "no-driver mode only".
OwnPools own_pools(const OwnPools& option, const Variables& variables) {
  const OwnPools defaults;
  OwnPools out = option;
  if (out.base_dir == defaults.base_dir) out.base_dir = variables.text("SHM_BASE_DIR").value_or(out.base_dir);
  if (out.name_space == defaults.name_space) out.name_space = variables.text("SHM_NAMESPACE").value_or(out.name_space);
  if (out.slot_count == defaults.slot_count)
    out.slot_count = static_cast<uint32_t>(variables.number("NSLOTS", 1, 1u << 31).value_or(out.slot_count));
  pool::Geometry{.slot_count = out.slot_count, .pools = out.pools}.check(true);
  return out;
}

// What producers and consumers have in common.
template <typename Options>
RoleSettings common(wire::Role role, const Options& options, const Variables& variables) {
  const Options defaults;
  constexpr uint64_t kMaxId = wire::kNull32 - 1;
  RoleSettings out;
  out.role = role;
  out.stream = options.stream != defaults.stream ? options.stream : variables.text("STREAM_ID").value_or(options.stream);
  out.client_id = options.client_id;
  if (out.client_id == 0) {
    out.client_id = static_cast<uint32_t>(variables.number(role == wire::Role::producer ? "PRODUCER_ID" : "CONSUMER_ID", 0, kMaxId).value_or(0));
  }
  if (out.client_id == wire::kNull32) bad("client_id", std::to_string(out.client_id), "0 (random) to 4294967294");
  out.publish_mode = options.publish_mode;
  if (out.publish_mode == defaults.publish_mode) {
    out.publish_mode = variables
                           .choice<wire::PublishMode>("PUBLISH_MODE", {{"existing_or_create", wire::PublishMode::existing_or_create},
                                                                       {"require_existing", wire::PublishMode::require_existing}})
                           .value_or(out.publish_mode);
  }
  out.hugepages = options.hugepages;
  if (out.hugepages == defaults.hugepages) {
    out.hugepages = variables
                        .choice<wire::HugepagesPolicy>("REQUIRE_HUGEPAGES", {{"unspecified", wire::HugepagesPolicy::unspecified},
                                                                             {"standard", wire::HugepagesPolicy::standard},
                                                                             {"hugepages", wire::HugepagesPolicy::hugepages}})
                        .value_or(out.hugepages);
  }
  out.expected_layout_version = options.expected_layout_version.value_or(
      static_cast<uint32_t>(variables.number("EXPECTED_LAYOUT_VERSION", 0, kMaxId).value_or(wire::kLayoutVersion)));
  // D-53: peers' drivers refuse every other expectation, so it is refused here, where the words are better.
  if (out.expected_layout_version > wire::kLayoutVersion) {
    bad("expected_layout_version", std::to_string(out.expected_layout_version), concat("0 (any) or ", wire::kLayoutVersion));
  }
  out.lock_memory = variables.flag("MLOCK").value_or(false);
  out.qos_interval_ns = variables.milliseconds("QOS_INTERVAL_MS", options.qos_interval_ms, 1000);
  out.on_state = options.on_state;
  out.consumer_streams = options.consumer_streams;
  if (out.consumer_streams.min_stream_id < 1 || out.consumer_streams.min_stream_id > out.consumer_streams.max_stream_id) {
    bad("consumer_streams.min_stream_id", std::to_string(out.consumer_streams.min_stream_id), "1 to max_stream_id");
  }
  out.payload_fallback_uri = options.payload_fallback_uri;
  if (out.payload_fallback_uri.empty()) out.payload_fallback_uri = variables.text("PAYLOAD_FALLBACK_URI").value_or("");
  if (!out.payload_fallback_uri.empty() && !is_known_fallback(out.payload_fallback_uri)) {  // W-77
    bad("payload_fallback_uri", out.payload_fallback_uri, "aeron:... or bridge://ID");
  }
  const auto hint = [&](const char* key, std::optional<uint32_t> option, uint32_t fallback) {
    return option.value_or(static_cast<uint32_t>(variables.number(key, 0, kMaxId).value_or(fallback)));
  };
  out.progress_hints.interval_us = hint("PROGRESS_INTERVAL_US", options.progress_interval_us, 250);
  out.progress_hints.bytes_delta = hint("PROGRESS_BYTES_DELTA", options.progress_bytes_delta, 65536);
  out.progress_hints.major_delta_units = hint("PROGRESS_MAJOR_DELTA_UNITS", options.progress_major_delta_units, 0);
  for (const uint32_t value :
       {out.progress_hints.interval_us, out.progress_hints.bytes_delta, out.progress_hints.major_delta_units}) {
    if (value == wire::kNull32) bad("a progress step", std::to_string(value), "0 to 4294967294");  // it would read as none
  }
  stream_number(out.stream);  // refuse a bad one before anything is asked
  return out;
}

// CFG-20: both or neither.
Endpoint request(const Variables& variables, const std::string& plane, const Endpoint& option, std::string_view key) {
  Endpoint out = option;
  if (out.channel.empty() && out.stream_id == 0) {
    out.channel = variables.text("REQUESTED_" + plane + "_CHANNEL").value_or("");
    out.stream_id = static_cast<int32_t>(variables.number("REQUESTED_" + plane + "_STREAM_ID", 0, wire::kMaxAeronStreamId).value_or(0));
  }
  if (out.stream_id < 0) bad(concat(key, " stream id"), std::to_string(out.stream_id), "1 to 2147483647");
  if (out.channel.empty() != (out.stream_id == 0)) {
    throw Error(Code::kInvalidArgument, key, " has ",
                out.channel.empty() ? concat("stream id ", out.stream_id, " and no channel")
                                    : concat("channel ", printable(out.channel), " and no stream id"),
                ": a request for a stream of one's own needs both, or neither");
  }
  if (!out.channel.empty() && (!out.channel.starts_with("aeron:") || out.channel.size() > wire::kMaxUriBytes)) {
    bad(concat(key, " channel"), out.channel, "an Aeron channel such as aeron:ipc");
  }
  return out;
}

}  // namespace

void check(const DataSource& source) {
  std::set<std::string_view> keys;
  for (const wire::Attribute& attribute : source.attributes) {
    if (!keys.insert(attribute.key).second) bad("attribute key", attribute.key, "each key once");  // wire.md 14
  }
  const wire::DataSourceAnnounce announce{.name = source.name, .summary = source.summary};
  const wire::DataSourceMeta meta{.attributes = source.attributes};
  for (const std::string_view field : {wire::over_limit(announce), wire::over_limit(meta)}) {
    if (!field.empty())
      throw Error(Code::kInvalidArgument, "data source: ", field, " is beyond what a message may carry (docs/formats/messages.md)");
  }
  std::set<uint32_t> types;
  for (const auto& blob : source.blobs) {
    if (!blob) throw Error(Code::kInvalidArgument, "data source: a blob is nullptr: expected a Blob");
    if (!types.insert(blob->type).second) bad("blob type", std::to_string(blob->type), "each type once");
  }
}

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value != nullptr && *value != '\0' ? std::optional<std::string>(value) : std::nullopt;
}

std::string duration_text(uint64_t ns) {
  if (ns % kNsPerSecond == 0) return concat(ns / kNsPerSecond, " s");
  return concat(ns / kNsPerMs, " ms");
}

std::optional<uint32_t> stream_number(const std::string& stream) {
  if (stream.empty()) bad("stream", stream, "a number or a name");
  if (!std::all_of(stream.begin(), stream.end(), [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  const auto number = parse_number(stream);
  if (!number || *number >= wire::kNull32) bad("stream", stream, "a stream id, 0 (the driver chooses) to 4294967294");
  return static_cast<uint32_t>(*number);
}

Settings resolve(const ClientOptions& options, const Environment& environment) {
  const Variables client(environment, "CLIENT_");
  const Variables plain(environment, "");
  Settings out;
  out.aeron_dir = options.aeron_dir;
  if (out.aeron_dir.empty()) out.aeron_dir = client.text("AERON_DIR").value_or(plain.text("AERON_DIR").value_or(transport::default_aeron_dir()));

  out.control = endpoint(client, "CONTROL", options.control, {kDefaultChannel, 1000});
  out.announce = endpoint(client, "ANNOUNCE", options.announce, out.control);
  out.descriptor = endpoint(client, "DESCRIPTOR", options.descriptor, {out.control.channel, 1100});
  out.qos = endpoint(client, "QOS", options.qos, {out.control.channel, 1200});
  out.metadata = endpoint(client, "METADATA", options.metadata, {out.control.channel, 1300});

  out.attach_timeout_ns = client.milliseconds("ATTACH_TIMEOUT_MS", options.attach_timeout_ms, 5000);
  out.attach_retry_ns = client.milliseconds("ATTACH_RETRY_INTERVAL_MS", options.attach_retry_interval_ms, 1000);
  out.keepalive_ns = client.milliseconds("KEEPALIVE_INTERVAL_MS", options.keepalive_interval_ms, 1000);
  out.grace_intervals = options.lease_expiry_grace_intervals.value_or(
      static_cast<uint32_t>(client.number("LEASE_EXPIRY_GRACE_INTERVALS", 1, 1'000'000).value_or(3)));
  if (out.grace_intervals == 0) bad("lease_expiry_grace_intervals", "0", "at least 1");
  out.backoff_min_ns = client.milliseconds("REATTACH_BACKOFF_MIN_MS", options.reattach_backoff_min_ms, 100);
  out.backoff_max_ns = client.milliseconds("REATTACH_BACKOFF_MAX_MS", options.reattach_backoff_max_ms, 3200);
  if (out.backoff_max_ns < out.backoff_min_ns) {
    throw Error(Code::kInvalidArgument, "reattach_backoff_max_ms is ", out.backoff_max_ns / kNsPerMs, ": expected at least reattach_backoff_min_ms, ",
                out.backoff_min_ns / kNsPerMs);
  }
  out.announce_period_ns = client.milliseconds("ANNOUNCE_PERIOD_MS", options.announce_period_ms, 1000);
  out.media_driver_timeout_ms = client.milliseconds("MEDIA_DRIVER_TIMEOUT_MS", options.media_driver_timeout_ms, 10'000) / kNsPerMs;
  out.wait = options.wait;
  out.invoker = options.invoker;
  out.keep_waiting = options.keep_waiting;
  out.policy = shm::MapPolicy(map_policy(options.map_policy, client));
  out.name = options.name;

  out.discovery = discovery_settings(options.discovery, options.discovery_response, options.discovery_timeout_ms,
                                     options.discovery_retry_interval_ms, client, out.control.channel);
  out.discovery.aeron_dir = out.aeron_dir;
  out.discovery.media_driver_timeout_ms = out.media_driver_timeout_ms;
  return out;
}

DiscoverySettings resolve(const DiscoveryOptions& options, const Environment& environment) {
  const Variables client(environment, "CLIENT_");
  const Variables plain(environment, "");
  DiscoverySettings out = discovery_settings(options.request, options.response, options.timeout_ms, options.retry_interval_ms,
                                             client, client.text("CONTROL_CHANNEL").value_or(kDefaultChannel));
  out.aeron_dir = options.aeron_dir;
  if (out.aeron_dir.empty())
    out.aeron_dir = client.text("AERON_DIR").value_or(plain.text("AERON_DIR").value_or(transport::default_aeron_dir()));
  out.media_driver_timeout_ms = client.milliseconds("MEDIA_DRIVER_TIMEOUT_MS", options.media_driver_timeout_ms, 10'000) / kNsPerMs;
  out.client_id = options.client_id;
  if (out.client_id == wire::kNull32) bad("client_id", std::to_string(out.client_id), "0 (random) to 4294967294");
  out.keep_waiting = options.keep_waiting;
  return out;
}

RoleSettings resolve(const ProducerOptions& options, const Settings& client, const Environment& environment) {
  const Variables variables(environment, "PRODUCER_");
  RoleSettings out = common(wire::Role::producer, options, variables);
  out.desired_node_id = options.desired_node_id;
  if (!out.desired_node_id) {
    if (const auto id = variables.number("DESIRED_NODE_ID", 1, wire::kNull32 - 1)) out.desired_node_id = static_cast<uint32_t>(*id);
  }
  out.source = {options.name, options.summary, options.attributes, options.blobs};
  check(out.source);
  out.blob_repeat_ns = uint64_t{options.blob_repeat_ms} * kNsPerMs;
  out.send_descriptors = options.send_descriptors;
  out.descriptor_timestamps = options.descriptor_timestamps;
  out.activity_interval_ns = variables.milliseconds("ANNOUNCE_INTERVAL_MS", options.announce_interval_ms, client.announce_period_ns / kNsPerMs);
  out.follow_consumer_config = options.follow_consumer_config.value_or(variables.flag("FOLLOW_CONSUMER_CONFIG").value_or(true));
  out.answer_hellos_after_ns = kNsPerSecond;
  if (options.own_pools) out.own_pools = own_pools(*options.own_pools, variables);
  if (out.own_pools && (out.stream == "0" || !stream_number(out.stream))) {
    bad("stream", out.stream, "a number from 1: without a driver nobody gives a producer its number");
  }
  out.clock_domain = options.clock_domain;
  if (out.clock_domain != ClockDomain::kMonotonic && !out.own_pools) {
    throw Error(Code::kInvalidArgument,
                "clock_domain is realtime-synced: expected own_pools with it, since with a driver it is the driver that "
                "announces, and its clock is monotonic");
  }
  const uint64_t budget_ns = uint64_t{options.clock_error_budget_us} * kNsPerUs;
  out.clock_trouble = [budget_ns] { return clock_trouble(budget_ns); };
  return out;
}

RoleSettings resolve(const ConsumerOptions& options, const Settings& client, const Environment& environment) {
  const Variables variables(environment, "CONSUMER_");
  RoleSettings out = common(wire::Role::consumer, options, variables);
  if (out.stream == "0") bad("stream", out.stream, "the stream to consume: only a producer can have the driver choose one");
  out.follow = options.follow;
  out.start = options.start;
  out.on_lap = options.on_lap;
  out.max_outstanding_seq_gap = options.max_outstanding_seq_gap;
  if (out.max_outstanding_seq_gap == ConsumerOptions{}.max_outstanding_seq_gap) {
    out.max_outstanding_seq_gap =
        static_cast<uint32_t>(variables.number("MAX_OUTSTANDING_SEQ_GAP", 0, wire::kNull32).value_or(out.max_outstanding_seq_gap));
  }
  out.freshness_ns = variables.milliseconds("ANNOUNCE_FRESHNESS_MS", options.announce_freshness_ms, 3 * client.announce_period_ns / kNsPerMs);
  out.hello_interval_ns = variables.milliseconds("HELLO_INTERVAL_MS", options.hello_interval_ms, 1000);
  out.mode = options.mode;
  if (out.mode == wire::Mode::stream) {
    out.mode = variables.choice<wire::Mode>("MODE", {{"stream", wire::Mode::stream}, {"rate_limited", wire::Mode::rate_limited}})
                   .value_or(out.mode);
  }
  if (out.mode == wire::Mode::unknown) bad("mode", "unknown", "stream or rate_limited");
  out.max_rate_hz = options.max_rate_hz;
  if (out.max_rate_hz == 0) out.max_rate_hz = static_cast<uint32_t>(variables.number("MAX_RATE_HZ", 0, 65535).value_or(0));
  if (out.max_rate_hz > 65535)
    bad("max_rate_hz", std::to_string(out.max_rate_hz), "0 (unlimited) to 65535");  // WX-27: a peer has 16 bits
  out.use_shm = options.use_shm && variables.flag("USE_SHM").value_or(true) && variables.flag("SUPPORTS_SHM").value_or(true);
  out.own_descriptors = request(variables, "DESCRIPTOR", options.own_descriptors, "own_descriptors");
  out.own_control = request(variables, "CONTROL", options.own_control, "own_control");
  if (out.follow == Follow::kRing && out.own_descriptors.stream_id != 0) {
    throw Error(Code::kInvalidArgument, "own_descriptors is for consumers that follow descriptors: by the ring none are read");
  }
  out.on_progress = options.on_progress;
  out.announce_only = options.announce_only;
  out.metadata = options.metadata;
  out.max_metadata_bytes = options.max_metadata_bytes;
  out.max_blob_bytes = options.max_blob_bytes;
  out.on_metadata = options.on_metadata;
  return out;
}

}  // namespace tidepool::client
