#include "tidepool/services/supervisor/config.h"

#include <limits>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/transport/channel_uri.h"

namespace tidepool::supervisor {
namespace {

constexpr uint32_t kMaxU32 = std::numeric_limits<uint32_t>::max();
constexpr uint32_t kMaxAeronStream = 0x7FFFFFFF;
constexpr uint32_t kMinIntervalMs = 10;

// The driver's side of the file, read for its values alone.
struct Inherited {
  SupervisorConfig config;
  std::vector<IdRange> stream_ids;
};

Inherited read_inherited(const ConfigValue& root, const Environment& environment) {
  std::vector<ConfigProblem> unheard;  // services/driver says them
  ConfigReader in(root, environment, unheard,
                  {{"driver.aeron_dir", "AERON_DIR"}, {"driver.control_channel", "TP_CONTROL_CHANNEL"}, {"driver.control_stream_id", "TP_CONTROL_STREAM_ID"}});
  Inherited out;
  SupervisorConfig& c = out.config;
  in.read("driver.aeron_dir", c.aeron_dir);
  in.read("driver.control_channel", c.control.channel);
  in.read("driver.control_stream_id", c.control.stream_id, 1, kMaxAeronStream);
  c.announce = c.control;
  in.read("driver.announce_channel", c.announce.channel);
  in.read("driver.announce_stream_id", c.announce.stream_id, 1, kMaxAeronStream);
  c.metadata.channel = c.control.channel;
  in.read("driver.qos_channel", c.qos.channel);
  in.read("driver.qos_stream_id", c.qos.stream_id, 1, kMaxAeronStream);
  in.read("driver.stream_id_range", out.stream_ids);
  in.read("driver.descriptor_stream_id_range", c.descriptor_ids);
  in.read("driver.control_stream_id_range", c.control_ids);
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
  in.read(base_key, base, 0, kMaxAeronStream);
  in.read(count_key, count, 0, kMaxAeronStream);
  if (base == 0 && count == 0) return;
  if (base == 0 || count == 0) {
    const std::string& given = base == 0 ? count_key : base_key;
    return in.problem(base == 0 ? base_key : count_key, in.origin_of(given), concat("is missing: ", given, " needs it beside itself"));
  }
  if (uint64_t{base} + count - 1 > kMaxAeronStream)
    return in.problem(count_key, in.origin_of(count_key), concat("is ", count, ": expected the last id, base + range - 1, to be at most ", kMaxAeronStream));
  out = {{base, base + count - 1}};
}

// CFG-8 as far as a supervisor's ids are concerned.
void check_ids(ConfigReader& in, const SupervisorConfig& c, const std::vector<IdRange>& stream_ids) {
  const auto key_of = [&](std::string_view kind) {
    const std::string own = concat("supervisor.per_consumer_", kind, "_base");
    return in.origin_of(own).empty() ? concat("driver.", kind, "_stream_id_range") : own;
  };
  const auto check = [&](std::string_view kind, const std::vector<IdRange>& ranges) {
    const std::string key = key_of(kind);
    for (const IdRange& range : ranges) {
      const auto bad = [&](std::string text) { in.problem(key, in.origin_of(key), concat("is ", text_of(range), std::move(text))); };
      if (range.first == 0 || range.first > range.last || range.last > kMaxAeronStream) {
        bad(concat(": expected ids from 1 to ", kMaxAeronStream, ", the smaller one first"));
        continue;
      }
      for (const auto& [name, endpoint] : {std::pair{"control", &c.control}, std::pair{"announce", &c.announce}, std::pair{"metadata", &c.metadata}, std::pair{"qos", &c.qos}})
        if (range.contains(static_cast<uint32_t>(endpoint->stream_id)))
          bad(concat(" and contains ", endpoint->stream_id, ", the ", name, " stream: expected none of those in use"));
      for (const IdRange& other : stream_ids)
        if (range.overlaps(other)) bad(concat(" and overlaps driver.stream_id_range ", text_of(other), ": expected disjoint ranges"));
    }
  };
  check("descriptor", c.descriptor_ids);
  check("control", c.control_ids);
  for (const IdRange& a : c.descriptor_ids)
    for (const IdRange& b : c.control_ids)
      if (a.overlaps(b))
        in.problem(key_of("control"), in.origin_of(key_of("control")),
                   concat("is ", text_of(b), " and overlaps ", text_of(a), " of ", key_of("descriptor"), ": expected disjoint ranges"));
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
    in.read(concat("supervisor.", name, "_stream_id"), endpoint->stream_id, 1, kMaxAeronStream);
  }
  in.read("supervisor.consumer_capacity", c.consumer_capacity, 1, 1u << 20);
  in.read("supervisor.consumer_stale_ms", c.consumer_stale_ms, kMinIntervalMs, kMaxU32);
  in.read("supervisor.liveness_timeout_ms", c.liveness_timeout_ms, kMinIntervalMs, kMaxU32);
  in.read("supervisor.liveness_check_interval_ms", c.liveness_check_interval_ms, kMinIntervalMs, kMaxU32);
  read_channel(in, "supervisor.per_consumer_descriptor_channel", c.per_consumer_descriptor_channel);
  read_channel(in, "supervisor.per_consumer_control_channel", c.per_consumer_control_channel);
  read_base(in, "descriptor", c.descriptor_ids);
  read_base(in, "control", c.control_ids);
  c.per_consumer_enabled = !c.descriptor_ids.empty() || !c.control_ids.empty();
  if (in.read("supervisor.per_consumer_enabled", c.per_consumer_enabled) && c.per_consumer_enabled && c.descriptor_ids.empty() && c.control_ids.empty())
    in.problem("supervisor.per_consumer_enabled", in.origin_of("supervisor.per_consumer_enabled"),
               "is true, but there are no ids to assign: every request will be declined; expected supervisor.per_consumer_*_base and _range, or "
               "driver.descriptor_stream_id_range",
               false);
  if (table != nullptr) check_ids(in, c, inherited.stream_ids);
  in.read("supervisor.force_no_shm", c.force_no_shm);
  uint32_t mode = 0;
  if (in.read("supervisor.force_mode", mode, 0, 2) && mode != 0) c.force_mode = static_cast<wire::Mode>(mode);
  in.read("supervisor.payload_fallback_uri", c.payload_fallback_uri);
  if (!c.payload_fallback_uri.empty() && !c.payload_fallback_uri.starts_with("aeron:") && !c.payload_fallback_uri.starts_with("bridge://"))
    in.problem("supervisor.payload_fallback_uri", in.origin_of("supervisor.payload_fallback_uri"),
               concat("is ", in_quotes(c.payload_fallback_uri), ": expected aeron:... or bridge://..."));
  if (c.force_no_shm && c.payload_fallback_uri.empty())
    in.problem("supervisor.force_no_shm", in.origin_of("supervisor.force_no_shm"),
               "is true without a payload_fallback_uri: consumers will have nothing to read from", false);
  in.warn_unknown("supervisor", table);
  out.origins = std::move(in.origins);
  return out;
}

}  // namespace tidepool::supervisor
