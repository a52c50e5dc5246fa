#include "tidepool/cli/client_flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <charconv>
#include <initializer_list>
#include <limits>
#include <set>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/toml_file.h"
#include "tidepool/services/driver/config.h"
#include "tidepool/wire/messages.h"

namespace tidepool::cli {
namespace {

constexpr uint64_t kMaxMs = std::numeric_limits<uint32_t>::max();
// For the tables of other roles: their variables say nothing to a client.
const client::Environment kNoEnvironment = [](const std::string&) { return std::optional<std::string>(); };

// One table of the file, read where the environment says nothing.
class Section {
 public:
  Section(const ConfigValue& file, std::string name, const client::Environment& environment)
      : name_(std::move(name)), environment_(environment), value_(file.find(name_)) {
    if (value_ != nullptr && value_->as_table() == nullptr) bad(*value_, name_, "a table");
  }

  // A value that the environment does not override; nullptr: none. `aliases`: further variables that override it.
  const ConfigValue* find(const std::string& key, std::initializer_list<const char*> aliases = {}) {
    known_.insert(key);
    const ConfigValue* value = value_ != nullptr ? value_->find(key) : nullptr;
    if (value == nullptr || set(environment_name(name_ + "." + key))) return nullptr;
    for (const char* alias : aliases) {
      if (set(alias)) return nullptr;
    }
    return value;
  }
  std::string text(const std::string& key, std::initializer_list<const char*> aliases = {}) {
    const ConfigValue* value = find(key, aliases);
    if (value == nullptr) return {};
    if (value->as_string() == nullptr) bad(*value, key, "a string");
    return *value->as_string();
  }
  std::optional<uint64_t> number(const std::string& key, uint64_t min, uint64_t max) {
    const ConfigValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    const int64_t* number = value->as_integer();
    if (number == nullptr || *number < 0 || static_cast<uint64_t>(*number) < min || static_cast<uint64_t>(*number) > max) {
      bad(*value, key, concat("a number from ", min, " to ", max));
    }
    return static_cast<uint64_t>(*number);
  }
  void number(const std::string& key, std::optional<uint32_t>& out, uint64_t min = 1) {
    if (!out) {
      if (const auto value = number(key, min, kMaxMs)) out = static_cast<uint32_t>(*value);
    }
  }
  std::optional<bool> flag(const std::string& key) {
    const ConfigValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (value->as_bool() == nullptr) bad(*value, key, "true or false");
    return *value->as_bool();
  }
  template <typename Enum>
  void choice(const std::string& key, std::initializer_list<std::pair<std::string_view, Enum>> values, Enum& out) {
    const ConfigValue* value = find(key);
    if (value == nullptr) return;
    std::string expected;
    for (const auto& [name, result] : values) {
      if (value->as_string() != nullptr && *value->as_string() == name) {
        out = result;
        return;
      }
      expected += concat(expected.empty() ? "" : ", ", name);
    }
    bad(*value, key, expected);
  }
  std::vector<std::string> texts(const std::string& key) {
    const ConfigValue* value = find(key);
    if (value == nullptr) return {};
    std::vector<std::string> out;
    const ConfigArray* array = value->as_array();
    if (array == nullptr) bad(*value, key, "an array of strings");
    for (const ConfigValue& item : *array) {
      if (item.as_string() == nullptr) bad(item, key, "an array of strings");
      out.push_back(*item.as_string());
    }
    return out;
  }
  void endpoint(const std::string& plane, client::Endpoint& out) {
    if (const auto channel = text(plane + "_channel"); out.channel.empty()) out.channel = channel;
    if (const auto id = number(plane + "_stream_id", 1, wire::kMaxAeronStreamId); id && out.stream_id == 0) out.stream_id = static_cast<int32_t>(*id);
  }

  // CFG-20: channel and id, both or neither; "" and 0 are none.
  void request(const std::string& plane, client::Endpoint& out) {
    const ConfigValue* const channel = find(plane + "_channel");
    out.channel = text(plane + "_channel");
    out.stream_id = static_cast<int32_t>(number(plane + "_stream_id", 0, wire::kMaxAeronStreamId).value_or(0));
    if (out.channel.empty() == (out.stream_id == 0)) return;
    const ConfigValue* const given = out.channel.empty() ? find(plane + "_stream_id") : channel;
    throw Error(Code::kInvalidArgument, given->origin(), ": ", name_, ".", plane, "_",
                out.channel.empty() ? "stream_id" : "channel", " is set and ", name_, ".", plane, "_",
                out.channel.empty() ? "channel" : "stream_id",
                " is not: a request for a stream of one's own needs both, or neither");
  }

  // Keys that nobody asked for: said and ignored (config.md 1). `later`: known to the configuration reference, of no use here.
  void report_unknown(std::initializer_list<std::string_view> later) const {
    if (value_ == nullptr) return;
    for (const std::string& key : value_->as_table()->order) {
      if (known_.contains(key)) continue;
      const bool is_later = std::find(later.begin(), later.end(), key) != later.end();
      log(is_later ? LogLevel::kDebug : LogLevel::kWarn, "config", value_->find(key)->origin(), ": ", name_, ".", printable(key, 64),
          is_later ? " has no effect on this command" : " is unknown and ignored: is it spelled right?");
    }
  }

 private:
  bool set(const std::string& variable) const {
    const auto text = environment_(variable);
    return text && !text->empty();
  }
  [[noreturn]] void bad(const ConfigValue& value, const std::string& key, std::string_view expected) const {
    std::string shown = concat("a value of type ", value.type_name());
    if (value.as_integer() != nullptr) shown = std::to_string(*value.as_integer());
    if (value.as_string() != nullptr) shown = concat("'", printable(*value.as_string(), 64), "'");
    throw Error(Code::kInvalidArgument, value.origin(), ": ", key == name_ ? name_ : name_ + "." + key, " is ", shown, ": expected ", expected);
  }

  std::string name_;
  const client::Environment& environment_;
  const ConfigValue* value_;
  std::set<std::string, std::less<>> known_;
};

void map_policy(Section& section, const ConfigValue& file, const client::Environment& environment, shm::MapPolicy::Options& policy) {
  if (const auto dirs = section.texts("allowed_base_dirs"); !dirs.empty()) {
    policy.allowed_base_dirs = dirs;
  } else if (const auto set = environment("CLIENT_ALLOWED_BASE_DIRS"); !set || set->empty()) {
    // One file for a lab: what its driver may create, its clients may map.
    Section shm(file, "shm", kNoEnvironment);
    if (const auto allowed = shm.texts("allowed_base_dirs"); !allowed.empty()) {
      policy.allowed_base_dirs = allowed;
    } else if (const std::string base = shm.text("base_dir"); !base.empty()) {
      policy.allowed_base_dirs = {base};
    }
  }
  if (const std::string mode = section.text("forbidden_mode"); !mode.empty()) {
    char* end = nullptr;
    const unsigned long value = std::strtoul(mode.c_str(), &end, 8);
    if (*end != '\0' || value > 07777) throw Error(Code::kInvalidArgument, "client.forbidden_mode is '", printable(mode, 16), "': expected an octal string such as \"007\"");
    policy.forbidden_mode = static_cast<mode_t>(value);
  }
  if (!section.flag("enforce_permissions").value_or(true)) policy.forbidden_mode = 0;
  if (const auto uid = section.number("expected_uid", 0, UINT32_MAX)) policy.expected_uid = static_cast<uid_t>(*uid);
  if (const auto gid = section.number("expected_gid", 0, UINT32_MAX)) policy.expected_gid = static_cast<gid_t>(*gid);
}

template <typename Options>
void common_role(Section& section, const std::string& stream, const ConfigValue& file, const char* id_key, Options& out) {
  const auto configured = section.number("stream_id", 1, UINT32_MAX - 1);
  if (!stream.empty()) {
    out.stream = stream_of(stream, file);
  } else if (configured) {
    out.stream = std::to_string(*configured);
  }
  if (const auto id = section.number(id_key, 0, UINT32_MAX - 1)) out.client_id = static_cast<uint32_t>(*id);
  section.choice<wire::PublishMode>("publish_mode",
                                    {{"existing_or_create", wire::PublishMode::existing_or_create}, {"require_existing", wire::PublishMode::require_existing}},
                                    out.publish_mode);
  section.choice<wire::HugepagesPolicy>("require_hugepages",
                                        {{"unspecified", wire::HugepagesPolicy::unspecified},
                                         {"standard", wire::HugepagesPolicy::standard},
                                         {"hugepages", wire::HugepagesPolicy::hugepages}},
                                        out.hugepages);
  section.number("expected_layout_version", out.expected_layout_version, 0);
  section.number("qos_interval_ms", out.qos_interval_ms);
}

// What producers and consumers say about streams of single consumers.
template <typename Options>
void single_streams(Section& section, Options& out) {
  section.number("progress_interval_us", out.progress_interval_us, 0);
  section.number("progress_bytes_delta", out.progress_bytes_delta, 0);
  section.number("progress_major_delta_units", out.progress_major_delta_units, 0);
  out.payload_fallback_uri = section.text("payload_fallback_uri");
}

}  // namespace

namespace {

constexpr const char* kAeronGroup = "Aeron (over environment and file)";

void add_endpoint_flags(CLI::App& verb, const char* plane, client::Endpoint& endpoint, const std::string& meaning) {
  verb.add_option(concat("--", plane, "-channel"), endpoint.channel, meaning + ": Aeron channel")
      ->type_name("URI")
      ->group(kAeronGroup);
  verb.add_option(concat("--", plane, "-stream"), endpoint.stream_id, meaning + ": Aeron stream id")
      ->type_name("N")
      ->check(CLI::Range(1, INT32_MAX).description(""))
      ->group(kAeronGroup);
}

// [client] discovery_*; what it leaves out, from [discovery] of the same file: one file for a lab.
void discovery_endpoints(Section& section, const ConfigValue& file, const client::Environment& environment,
                         client::Endpoint& request, client::Endpoint& response) {
  const auto silent = [&](const char* variable) {
    const auto value = environment(variable);
    return !value || value->empty();
  };
  if (const auto channel = section.text("discovery_channel"); request.channel.empty()) request.channel = channel;
  if (const auto id = section.number("discovery_stream_id", 0, wire::kMaxAeronStreamId); id && request.stream_id == 0) {
    request.stream_id = *id == 0 ? client::kDiscoveryOff : static_cast<int32_t>(*id);
  }
  if (const auto channel = section.text("discovery_response_channel"); response.channel.empty()) response.channel = channel;
  if (const auto id = section.number("discovery_response_stream_id", 0, wire::kMaxAeronStreamId); id && response.stream_id == 0) {
    response.stream_id = static_cast<int32_t>(*id);
  }
  Section service(file, "discovery", kNoEnvironment);
  const auto spelled = [&](const char* name, const char* alias) { return service.find(name) != nullptr ? name : alias; };
  const std::string channel = service.text(spelled("request_channel", "channel"));
  const auto id = service.number(spelled("request_stream_id", "stream_id"), 1, wire::kMaxAeronStreamId);
  if (request.channel.empty() && silent("CLIENT_DISCOVERY_CHANNEL")) request.channel = channel;
  if (request.stream_id == 0 && id && silent("CLIENT_DISCOVERY_STREAM_ID")) request.stream_id = static_cast<int32_t>(*id);
}

}  // namespace

void add_discovery_flags(CLI::App& verb, PlaneFlags& flags) {
  add_endpoint_flags(verb, "discovery", flags.discovery, "discovery's requests (default stream 7000)");
  add_endpoint_flags(verb, "discovery-response", flags.discovery_response, "its answers to us (default stream 7004)");
}

void add_plane_flags(CLI::App& verb, PlaneFlags& flags) {
  constexpr const char* kGroup = kAeronGroup;
  const auto channel = [&](const char* plane, client::Endpoint& endpoint, const std::string& meaning) {
    add_endpoint_flags(verb, plane, endpoint, meaning);
  };
  verb.add_option("--aeron-dir", flags.aeron_dir, "media driver's directory (default: AERON_DIR, then /dev/shm/aeron-USER)")->type_name("DIR")->group(kGroup);
  channel("control", flags.control, "attach and leases (default stream 1000)");
  channel("announce", flags.announce, "pool announces (default: control's)");
  channel("descriptor", flags.descriptor, "frame descriptors (default stream 1100)");
  channel("qos", flags.qos, "quality of service (default stream 1200)");
  channel("metadata", flags.metadata, "data sources' names (default stream 1300)");
}

void add_client_flags(CLI::App& verb, ClientFlags& flags) {
  verb.add_option("--config,-c", flags.config, "TOML file: stream names, [client], [producer], [consumer]")->type_name("FILE");
  verb.add_flag("--wait", flags.wait, "wait for ever for media driver, driver and stream");
  verb.add_option("--attach-timeout-ms", flags.attach_timeout_ms, "how long to wait for them otherwise (default 5000)")
      ->type_name("MS")
      ->check(CLI::Range(uint32_t{1}, std::numeric_limits<uint32_t>::max()).description(""));
  add_plane_flags(verb, flags.planes);
  add_discovery_flags(verb, flags.planes);
}

client::Endpoint parse_endpoint(const std::string& flag, const std::string& text, const std::string& channel) {
  const size_t colon = text.rfind(':');
  const std::string digits = colon == std::string::npos ? text : text.substr(colon + 1);
  char* end = nullptr;
  const unsigned long long id = std::strtoull(digits.c_str(), &end, 10);
  if (digits.empty() || !std::isdigit(static_cast<unsigned char>(digits[0])) || *end != '\0' || id == 0 || id > wire::kMaxAeronStreamId) {
    throw UsageError(concat(flag, " is '", printable(text, 128), "': expected an Aeron stream id from 1 to ", wire::kMaxAeronStreamId,
                            ", or CHANNEL:ID such as aeron:ipc:31001"));
  }
  return {colon == std::string::npos ? channel : text.substr(0, colon), static_cast<int32_t>(id)};
}

ConfigValue read_config(const ClientFlags& flags) { return flags.config.empty() ? ConfigValue() : read_toml_file(flags.config); }

client::ClientOptions client_options(const ClientFlags& flags, const ConfigValue& file, const client::Environment& environment) {
  client::ClientOptions out;
  out.aeron_dir = flags.planes.aeron_dir;
  out.control = flags.planes.control;
  out.announce = flags.planes.announce;
  out.descriptor = flags.planes.descriptor;
  out.qos = flags.planes.qos;
  out.metadata = flags.planes.metadata;
  out.discovery = flags.planes.discovery;
  out.discovery_response = flags.planes.discovery_response;
  out.wait = flags.wait;
  if (flags.attach_timeout_ms > 0) out.attach_timeout_ms = flags.attach_timeout_ms;

  Section section(file, "client", environment);
  if (const auto dir = section.text("aeron_dir", {"AERON_DIR"}); out.aeron_dir.empty()) out.aeron_dir = dir;
  section.endpoint("control", out.control);
  section.endpoint("announce", out.announce);
  section.endpoint("descriptor", out.descriptor);
  section.endpoint("qos", out.qos);
  section.endpoint("metadata", out.metadata);
  section.number("attach_timeout_ms", out.attach_timeout_ms);
  section.number("attach_retry_interval_ms", out.attach_retry_interval_ms);
  section.number("keepalive_interval_ms", out.keepalive_interval_ms);
  section.number("lease_expiry_grace_intervals", out.lease_expiry_grace_intervals);
  section.number("reattach_backoff_min_ms", out.reattach_backoff_min_ms);
  section.number("reattach_backoff_max_ms", out.reattach_backoff_max_ms);
  section.number("announce_period_ms", out.announce_period_ms);
  map_policy(section, file, environment, out.map_policy);
  discovery_endpoints(section, file, environment, out.discovery, out.discovery_response);
  section.number("discovery_timeout_ms", out.discovery_timeout_ms);
  section.number("discovery_retry_interval_ms", out.discovery_retry_interval_ms);
  section.report_unknown({});

  // One file for a lab: where its driver listens is where its clients ask, unless the client's environment or table say more.
  const auto silent = [&](const char* variable) {
    const auto value = environment(variable);
    return !value || value->empty();
  };
  Section driver(file, "driver", kNoEnvironment);
  client::Endpoint control, announce, qos;
  driver.endpoint("control", control);
  driver.endpoint("announce", announce);
  driver.endpoint("qos", qos);
  const auto adopt = [&](const std::string& plane, client::Endpoint& to, const client::Endpoint& from) {
    if (to.channel.empty() && silent(("CLIENT_" + plane + "_CHANNEL").c_str())) to.channel = from.channel;
    if (to.stream_id == 0 && silent(("CLIENT_" + plane + "_STREAM_ID").c_str())) to.stream_id = from.stream_id;
  };
  adopt("CONTROL", out.control, control);
  adopt("ANNOUNCE", out.announce, announce);
  adopt("QOS", out.qos, qos);
  if (out.aeron_dir.empty() && silent("CLIENT_AERON_DIR") && silent("AERON_DIR")) out.aeron_dir = driver.text("aeron_dir");
  return out;
}

client::ProducerOptions producer_options(const std::string& stream, const ConfigValue& file, const client::Environment& environment) {
  client::ProducerOptions out;
  Section section(file, "producer", environment);
  common_role(section, stream, file, "producer_id", out);
  section.number("desired_node_id", out.desired_node_id);
  section.number("announce_interval_ms", out.announce_interval_ms);
  if (const auto follow = section.flag("follow_consumer_config")) out.follow_consumer_config = follow;
  single_streams(section, out);
  section.report_unknown({"mlock", "layout_version", "nslots", "shm_base_dir", "shm_namespace", "pools"});
  return out;
}

client::DiscoveryOptions discovery_options(const PlaneFlags& flags, const ConfigValue& file,
                                           const client::Environment& environment) {
  client::DiscoveryOptions out;
  out.aeron_dir = flags.aeron_dir;
  out.request = flags.discovery;
  out.response = flags.discovery_response;
  Section section(file, "client", environment);
  if (const auto dir = section.text("aeron_dir", {"AERON_DIR"}); out.aeron_dir.empty()) out.aeron_dir = dir;
  discovery_endpoints(section, file, environment, out.request, out.response);
  section.number("discovery_timeout_ms", out.timeout_ms);
  section.number("discovery_retry_interval_ms", out.retry_interval_ms);
  Section driver(file, "driver", environment);
  if (const auto set = environment("CLIENT_AERON_DIR"); out.aeron_dir.empty() && (!set || set->empty()))
    out.aeron_dir = driver.text("aeron_dir", {"AERON_DIR"});
  return out;
}

client::ConsumerOptions consumer_options(const std::string& stream, const ConfigValue& file, const client::Environment& environment) {
  client::ConsumerOptions out;
  Section section(file, "consumer", environment);
  common_role(section, stream, file, "consumer_id", out);
  if (const auto gap = section.number("max_outstanding_seq_gap", 0, UINT32_MAX)) out.max_outstanding_seq_gap = static_cast<uint32_t>(*gap);
  section.number("announce_freshness_ms", out.announce_freshness_ms);
  section.number("hello_interval_ms", out.hello_interval_ms);
  section.choice<wire::Mode>("mode", {{"stream", wire::Mode::stream}, {"rate_limited", wire::Mode::rate_limited}}, out.mode);
  if (const auto hz = section.number("max_rate_hz", 0, 65535)) out.max_rate_hz = static_cast<uint32_t>(*hz);
  out.use_shm = section.flag("use_shm").value_or(true) && section.flag("supports_shm").value_or(true);
  section.request("requested_descriptor", out.own_descriptors);
  section.request("requested_control", out.own_control);
  single_streams(section, out);
  section.report_unknown({"supports_progress", "mlock"});  // progress: a command that shows it says so itself
  return out;
}

void add_own_pools_flags(CLI::App& verb, OwnPoolsFlags& flags) {
  constexpr const char* kGroup = "Without a tensor-pool driver";
  verb.add_flag("--no-driver", flags.no_driver, "make the stream's pools here and announce them; --stream must be a number")
      ->group(kGroup);
  verb.add_option("--pools", flags.pools, "slot sizes of the pools, powers of two from 64 (default: one that holds a frame)")
      ->type_name("STRIDE,...")
      ->needs("--no-driver")
      ->group(kGroup);
  verb.add_option("--slots", flags.slots, "slots of each pool, a power of two (default 64)")
      ->type_name("N")
      ->check(CLI::Range(uint32_t{1}, uint32_t{1} << 31).description(""))
      ->needs("--no-driver")
      ->group(kGroup);
  verb.add_option("--base-dir", flags.base_dir, "where the pools lie (default /dev/shm)")
      ->type_name("DIR")
      ->needs("--no-driver")
      ->group(kGroup);
  verb.add_option("--namespace", flags.name_space, "namespace below it (default: default)")
      ->type_name("NAME")
      ->needs("--no-driver")
      ->group(kGroup);
  verb.add_option_function<std::string>(
          "--clock", [&flags](const std::string& name) { flags.realtime = name == "realtime"; },
          "of time stamps: monotonic (default) or realtime, which needs a host whose clock is synchronised")
      ->type_name("NAME")
      ->check(CLI::IsMember({"monotonic", "realtime"}))
      ->needs("--no-driver")
      ->group(kGroup);
}

void own_pools_options(const OwnPoolsFlags& flags, const ConfigValue& file, const client::Environment& environment,
                       uint64_t frame_bytes, client::ProducerOptions& options) {
  if (!flags.no_driver) return;
  client::OwnPools pools;
  Section section(file, "producer", environment);
  if (const auto slots = section.number("nslots", 1, uint64_t{1} << 31)) pools.slot_count = static_cast<uint32_t>(*slots);
  if (const std::string dir = section.text("shm_base_dir"); !dir.empty()) pools.base_dir = dir;
  if (const std::string name = section.text("shm_namespace"); !name.empty()) pools.name_space = name;
  pools.pools.clear();
  if (const ConfigValue* listed = section.find("pools"); listed != nullptr && flags.pools.empty()) {
    const ConfigArray* array = listed->as_array();
    if (array == nullptr)
      throw Error(Code::kInvalidArgument, listed->origin(),
                  ": producer.pools is no array: expected [{ pool_id = 1, stride_bytes = 1048576 }]");
    for (const ConfigValue& entry : *array) {
      const auto value = [&](const char* key, uint64_t min, uint64_t max) {
        const ConfigValue* found = entry.find(key);
        const int64_t* number = found != nullptr ? found->as_integer() : nullptr;
        if (number == nullptr || *number < 0 || static_cast<uint64_t>(*number) < min || static_cast<uint64_t>(*number) > max) {
          throw Error(Code::kInvalidArgument, entry.origin(), ": producer.pools[].", key, ": expected a number from ", min, " to ",
                      max);
        }
        return static_cast<uint64_t>(*number);
      };
      pools.pools.push_back({.pool_id = static_cast<uint16_t>(value("pool_id", 1, 65534)),
                             .stride_bytes = static_cast<uint32_t>(value("stride_bytes", 64, uint64_t{1} << 31))});
    }
  }
  for (size_t at = 0; at < flags.pools.size();) {
    const size_t end = std::min(flags.pools.find(',', at), flags.pools.size());
    const std::string text = flags.pools.substr(at, end - at);
    uint64_t stride = 0;
    const auto [last, error] = std::from_chars(text.data(), text.data() + text.size(), stride);
    if (error != std::errc{} || last != text.data() + text.size() || stride < 64 || stride > uint64_t{1} << 31) {
      throw UsageError(
          concat("--pools has '", printable(text, 32), "': expected powers of two from 64 to 2147483648, separated by commas"));
    }
    pools.pools.push_back(
        {.pool_id = static_cast<uint16_t>(pools.pools.size() + 1), .stride_bytes = static_cast<uint32_t>(stride)});
    at = end + 1;
  }
  if (pools.pools.empty()) {
    const uint64_t stride = pool::PoolWriter::needed_stride_bytes(frame_bytes);
    if (stride > uint64_t{1} << 31)
      throw UsageError(concat("a frame of ", frame_bytes, " bytes is larger than any pool's slot can be, 2147483648"));
    pools.pools.push_back({.pool_id = 1, .stride_bytes = static_cast<uint32_t>(stride)});
  }
  if (flags.slots != 0) pools.slot_count = flags.slots;
  if (!flags.base_dir.empty()) pools.base_dir = flags.base_dir;
  if (!flags.name_space.empty()) pools.name_space = flags.name_space;
  options.own_pools = std::move(pools);
  if (flags.realtime) options.clock_domain = client::ClockDomain::kRealtimeSynced;
}

client::StateHandler state_logger(std::string role) {
  auto said = std::make_shared<std::string>();
  return [role = std::move(role), said](const client::StateChange& change) {
    const bool asking = change.state == client::State::kAttaching && !said->empty();
    const std::string text = concat("stream ", change.stream_id, " ", client::name_of(change.state), change.epoch != 0 ? concat(", epoch ", change.epoch) : "",
                                    change.why.empty() ? "" : ": ", change.why);
    log(asking || text == *said ? LogLevel::kDebug : LogLevel::kInfo, role, text);
    if (!asking) *said = text;
  };
}

std::string stream_of(const std::string& stream, const ConfigValue& file) {
  if (client::stream_number(stream)) return stream;
  const ConfigValue* streams = file.find("streams");
  const ConfigTable* table = streams != nullptr ? streams->as_table() : nullptr;
  if (table == nullptr) return stream;
  const auto entry = table->entries.find(stream);
  if (entry == table->entries.end()) return stream;
  const ConfigValue* id = entry->second.find("stream_id");
  const int64_t* number = id != nullptr ? id->as_integer() : nullptr;
  if (number == nullptr || *number < 1 || *number >= UINT32_MAX) {
    throw Error(Code::kInvalidArgument, entry->second.origin(), ": streams.", printable(stream, 64), ".stream_id is no number from 1 to 4294967294");
  }
  return std::to_string(*number);
}

}  // namespace tidepool::cli
