#include "tidepool/services/supervisor/config.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/base/id_ranges.h"
#include "tidepool/base/log.h"
#include "tidepool/transport/channel_uri.h"
#include "tidepool/wire/messages.h"

namespace tidepool::supervisor {
namespace {

constexpr uint32_t kMaxU32 = std::numeric_limits<uint32_t>::max();
constexpr uint32_t kMinIntervalMs = 10;
constexpr uint32_t kMaxConsumers = 1u << 20;

// The driver's side of the file, read for its values alone.
struct Inherited {
  SupervisorConfig config;
  std::vector<IdRange> stream_ids;
  std::vector<NamedId> in_use;  // by the driver's planes and the static streams
};

// [streams.*]: what is no number is the driver's to complain of.
void add_static_streams(const ConfigValue& root, std::vector<NamedId>& in_use) {
  const ConfigValue* streams = root.find("streams");
  if (streams == nullptr || streams->as_table() == nullptr) return;
  for (const auto& [name, stream] : streams->as_table()->entries) {
    const ConfigValue* id = stream.find("stream_id");
    const int64_t* number = id != nullptr ? id->as_integer() : nullptr;
    if (number != nullptr && *number > 0 && *number <= kMaxU32)
      in_use.push_back({concat("streams.", printable(name), ".stream_id"), static_cast<uint32_t>(*number)});
  }
}

Inherited read_inherited(const ConfigValue& root, const Environment& environment) {
  std::vector<ConfigProblem> unheard;  // services/driver says them
  ConfigReader in(root, environment, unheard,
                  {{"driver.aeron_dir", "AERON_DIR"}, {"driver.control_channel", "TP_CONTROL_CHANNEL"}, {"driver.control_stream_id", "TP_CONTROL_STREAM_ID"}});
  Inherited out;
  SupervisorConfig& c = out.config;
  in.read("driver.aeron_dir", c.aeron_dir);
  in.read("driver.control_channel", c.control.channel);
  in.read("driver.control_stream_id", c.control.stream_id, 1, wire::kMaxAeronStreamId);
  c.announce = c.control;
  in.read("driver.announce_channel", c.announce.channel);
  in.read("driver.announce_stream_id", c.announce.stream_id, 1, wire::kMaxAeronStreamId);
  c.metadata.channel = c.control.channel;
  in.read("driver.qos_channel", c.qos.channel);
  in.read("driver.qos_stream_id", c.qos.stream_id, 1, wire::kMaxAeronStreamId);
  in.read("driver.stream_id_range", out.stream_ids);
  in.read("driver.descriptor_stream_id_range", c.consumers.descriptor_ids);
  in.read("driver.control_stream_id_range", c.consumers.control_ids);
  for (const auto& [name, endpoint] : {std::pair{"control", &c.control}, std::pair{"announce", &c.announce}, std::pair{"qos", &c.qos}})
    out.in_use.push_back({concat("driver.", name, "_stream_id"), static_cast<uint32_t>(endpoint->stream_id)});
  add_static_streams(root, out.in_use);
  std::string base_dir;
  if (in.read("shm.base_dir", base_dir)) c.allowed_base_dirs = {base_dir};
  if (std::vector<std::string> allowed; in.read_paths("shm.allowed_base_dirs", allowed) && !allowed.empty()) c.allowed_base_dirs = allowed;
  return out;
}

void read_channel(ConfigReader& in, const std::string& key, std::string& out) {
  if (!in.read(key, out) || out.empty()) return;
  if (auto fault = transport::channel_fault(out); !fault.empty()) in.problem(key, in.origin_of(key), concat("is ", in_quotes(out), ": ", fault));
}

// CFG-16: a base and its count, which stand in for the driver's range of the kind.
void read_base(ConfigReader& in, const std::string& kind, std::vector<IdRange>& out) {
  const std::string base_key = concat("supervisor.per_consumer_", kind, "_base");
  const std::string count_key = concat("supervisor.per_consumer_", kind, "_range");
  uint32_t base = 0, count = 0;
  in.read(base_key, base, 0, wire::kMaxAeronStreamId);
  in.read(count_key, count, 0, wire::kMaxAeronStreamId);
  if (base == 0 && count == 0) return;
  if (base == 0 || count == 0) {
    const std::string& given = base == 0 ? count_key : base_key;
    return in.problem(base == 0 ? base_key : count_key, in.origin_of(given), concat("is missing: ", given, " needs it beside itself"));
  }
  if (uint64_t{base} + count - 1 > wire::kMaxAeronStreamId)
    return in.problem(count_key, in.origin_of(count_key), concat("is ", count, ": expected the last id, base + range - 1, to be at most ", wire::kMaxAeronStreamId));
  out = {{base, base + count - 1}};
}

// CFG-8 as far as a supervisor's ids are concerned.
void check_ids(ConfigReader& in, const SupervisorConfig& c, Inherited& inherited, std::vector<ConfigProblem>& problems) {
  const auto key_of = [&](std::string_view kind) {
    const std::string own = concat("supervisor.per_consumer_", kind, "_base");
    return in.origin_of(own).empty() ? concat("driver.", kind, "_stream_id_range") : own;
  };
  std::vector<NamedId> in_use = inherited.in_use;
  for (const auto& [name, endpoint] :
       {std::pair{"control", &c.control}, std::pair{"announce", &c.announce}, std::pair{"metadata", &c.metadata}, std::pair{"qos", &c.qos}}) {
    const auto id = static_cast<uint32_t>(endpoint->stream_id);
    if (std::none_of(in_use.begin(), in_use.end(), [id](const NamedId& known) { return known.id == id; }))
      in_use.push_back({concat("supervisor.", name, "_stream_id"), id});
  }
  // A base stands in for the driver's range of the same kind, so that one alone may overlap it.
  auto others = named("driver.stream_id_range", inherited.stream_ids);
  for (const auto& [kind, ranges] : {std::pair{"descriptor", &c.consumers.descriptor_ids}, std::pair{"control", &c.consumers.control_ids}}) {
    const auto mine = named(key_of(kind), *ranges);
    for (const NamedRange& range : mine) {
      check_range(range, wire::kMaxAeronStreamId, in_use, in.origins, problems);
      for (const NamedRange& other : others) check_disjoint(range, other, in.origins, problems);
    }
    others.insert(others.end(), mine.begin(), mine.end());
  }
}

// Streams for single consumers, and what else hellos are answered with.
void read_policy(ConfigReader& in, ConsumerPolicy& c) {
  in.read("supervisor.consumer_capacity", c.consumer_capacity, 1, kMaxConsumers);
  read_channel(in, "supervisor.per_consumer_descriptor_channel", c.per_consumer_descriptor_channel);
  read_channel(in, "supervisor.per_consumer_control_channel", c.per_consumer_control_channel);
  read_base(in, "descriptor", c.descriptor_ids);
  read_base(in, "control", c.control_ids);
  if (in.read("supervisor.per_consumer_enabled", c.per_consumer_enabled) && c.per_consumer_enabled && !c.assigns())
    in.problem("supervisor.per_consumer_enabled", in.origin_of("supervisor.per_consumer_enabled"),
               "is true, but there are no ids to assign: every request will be declined; expected supervisor.per_consumer_*_base and _range, or "
               "driver.descriptor_stream_id_range",
               false);
  in.read("supervisor.force_no_shm", c.force_no_shm);
  uint32_t mode = 0;
  if (in.read("supervisor.force_mode", mode, 0, 2) && mode != 0) c.force_mode = static_cast<wire::Mode>(mode);
  const std::string uri_key = "supervisor.payload_fallback_uri";
  in.read(uri_key, c.payload_fallback_uri);
  if (const auto& uri = c.payload_fallback_uri; !uri.empty() && !uri.starts_with("aeron:") && !uri.starts_with("bridge://"))
    in.problem(uri_key, in.origin_of(uri_key), concat("is ", in_quotes(uri), ": expected aeron:... or bridge://..."));
  if (c.payload_fallback_uri.size() > wire::kMaxUriBytes)
    in.problem(uri_key, in.origin_of(uri_key),
               concat("has ", c.payload_fallback_uri.size(), " bytes: expected at most ", wire::kMaxUriBytes));
  if (c.force_no_shm && c.payload_fallback_uri.empty())
    in.problem("supervisor.force_no_shm", in.origin_of("supervisor.force_no_shm"),
               "is true without a payload_fallback_uri: consumers will have nothing to read from", false);
}

}  // namespace

LoadedConfig load_supervisor_config(const ConfigValue& root, const Environment& environment) {
  LoadedConfig out;
  Inherited inherited = read_inherited(root, environment);
  SupervisorConfig& c = out.config = std::move(inherited.config);
  ConfigReader in(root, environment, out.problems);
  const ConfigTable* table = in.table("supervisor");
  out.present = table != nullptr;

  for (const auto& [name, endpoint] : {std::pair{"control", &c.control}, std::pair{"announce", &c.announce}, std::pair{"metadata", &c.metadata}, std::pair{"qos", &c.qos}}) {
    read_channel(in, concat("supervisor.", name, "_channel"), endpoint->channel);
    in.read(concat("supervisor.", name, "_stream_id"), endpoint->stream_id, 1, wire::kMaxAeronStreamId);
  }
  in.read("supervisor.consumer_stale_ms", c.consumer_stale_ms, kMinIntervalMs, kMaxU32);
  in.read("supervisor.liveness_timeout_ms", c.liveness_timeout_ms, kMinIntervalMs, kMaxU32);
  in.read("supervisor.liveness_check_interval_ms", c.liveness_check_interval_ms, kMinIntervalMs, kMaxU32);
  read_policy(in, c.consumers);
  if (table != nullptr) check_ids(in, c, inherited, out.problems);
  in.warn_unknown("supervisor", table);
  out.origins = std::move(in.origins);
  return out;
}

}  // namespace tidepool::supervisor
