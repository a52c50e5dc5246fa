#include "tidepool/services/driver/config.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <filesystem>
#include <limits>
#include <set>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/id_ranges.h"
#include "tidepool/base/log.h"
#include "tidepool/shm/region.h"
#include "tidepool/transport/channel_uri.h"
#include "tidepool/wire/messages.h"

namespace tidepool::driver {
namespace {

constexpr uint32_t kMaxU32 = std::numeric_limits<uint32_t>::max();
constexpr uint32_t kMaxStreamId = kMaxU32 - 1;  // all ones is the protocol's null
constexpr size_t kMaxInstanceIdBytes = 128;
constexpr size_t kMaxNamespaceBytes = 255;
constexpr size_t kMaxTokenBytes = 1024;
constexpr uint32_t kMinIntervalMs = 10;
constexpr uint32_t kMaxCounterOwner = 32767;  // above, type ids turn negative; 0 would take Aeron's own

void read_driver(ConfigReader& in, DriverConfig& c) {
  in.read("driver.instance_id", c.instance_id);
  in.read("driver.aeron_dir", c.aeron_dir);
  in.read("driver.control_channel", c.control_channel);
  in.read("driver.control_stream_id", c.control_stream_id, 1, wire::kMaxAeronStreamId);
  in.read("driver.announce_channel", c.announce_channel);
  in.read("driver.announce_stream_id", c.announce_stream_id, 1, wire::kMaxAeronStreamId);
  in.read("driver.qos_channel", c.qos_channel);
  in.read("driver.qos_stream_id", c.qos_stream_id, 1, wire::kMaxAeronStreamId);
  in.read("driver.stream_id_range", c.stream_id_range);
  in.read("driver.descriptor_stream_id_range", c.descriptor_stream_id_range);
  in.read("driver.control_stream_id_range", c.control_stream_id_range);
  in.read("driver.counter_owner_id", c.counter_owner_id, 1, kMaxCounterOwner);
}

void read_shm(ConfigReader& in, DriverConfig& c) {
  in.read("shm.base_dir", c.base_dir);
  in.read("shm.namespace", c.name_space);
  in.read("shm.require_hugepages", c.require_hugepages);
  in.read("shm.page_size_bytes", c.page_size_bytes, 1, kMaxU32);
  in.read_mode("shm.permissions_mode", c.permissions_mode);
  in.read_paths("shm.allowed_base_dirs", c.allowed_base_dirs);
}

void read_policies(ConfigReader& in, DriverConfig& c) {
  in.read("policies.allow_dynamic_streams", c.allow_dynamic_streams);
  in.read("policies.default_profile", c.default_profile);
  in.read("policies.announce_period_ms", c.announce_period_ms, kMinIntervalMs, kMaxU32);
  in.read("policies.lease_keepalive_interval_ms", c.lease_keepalive_interval_ms, kMinIntervalMs, kMaxU32);
  in.read("policies.lease_expiry_grace_intervals", c.lease_expiry_grace_intervals, 1, kMaxU32);
  in.read("policies.node_id_reuse_cooldown_ms", c.node_id_reuse_cooldown_ms, 0, kMaxU32);
  in.read("policies.provision_at_start", c.provision_at_start);
  in.read("policies.prefault_shm", c.prefault_shm);
  in.read("policies.reuse_existing_shm", c.reuse_existing_shm);
  in.read("policies.mlock_shm", c.mlock_shm);
  in.read("policies.cleanup_shm_on_exit", c.cleanup_shm_on_exit);
  in.read("policies.epoch_gc_enabled", c.epoch_gc_enabled);
  in.read("policies.epoch_gc_keep", c.epoch_gc_keep, 0, kMaxU32);
  in.read("policies.epoch_gc_min_age_ns", c.epoch_gc_min_age_ns, 0, std::numeric_limits<uint64_t>::max());
  in.read("policies.epoch_gc_on_startup", c.epoch_gc_on_startup);
  in.read("policies.shutdown_timeout_ms", c.shutdown_timeout_ms, 0, kMaxU32);
  in.read("policies.shutdown_token", c.shutdown_token);
  in.read("policies.notify_unknown_lease", c.notify_unknown_lease);
  in.read("policies.dynamic_stream_linger_ms", c.dynamic_stream_linger_ms, 0, kMaxU32);
  in.read("policies.media_driver_timeout_ms", c.media_driver_timeout_ms, kMinIntervalMs, kMaxU32);
  in.read("policies.require_power_of_two_stride", c.require_power_of_two_stride);
}

void read_pools(ConfigReader& in, const std::string& prefix, const ConfigValue& value, Profile& profile) {
  const auto* array = value.as_array();
  if (array == nullptr) return in.wrong_type(prefix, value, "an array of tables with pool_id and stride_bytes");
  for (size_t i = 0; i < array->size(); ++i) {
    const std::string key = concat(prefix, "[", i, "]");
    const auto* entry = (*array)[i].as_table();
    if (entry == nullptr) {
      in.wrong_type(key, (*array)[i], "a table with pool_id and stride_bytes");
      continue;
    }
    pool::PoolClass pool{0, 0};
    in.know(key + ".pool_id");
    in.know(key + ".stride_bytes");
    in.origins[key] = (*array)[i].origin();
    if (const auto* id = ConfigReader::find_in(entry, "pool_id")) {
      in.origins[key + ".pool_id"] = id->origin();
      if (!in.read_integer(key + ".pool_id", *id, pool.pool_id, 0, 65535)) continue;
    } else {
      in.problem(key + ".pool_id", (*array)[i].origin(), "is missing: expected 1 to 65534");
      continue;
    }
    if (const auto* stride = ConfigReader::find_in(entry, "stride_bytes")) {
      in.origins[key + ".stride_bytes"] = stride->origin();
      if (!in.read_integer(key + ".stride_bytes", *stride, pool.stride_bytes, 0, kMaxU32)) continue;
    } else {
      in.problem(key + ".stride_bytes", (*array)[i].origin(), "is missing: expected bytes, a power of two from 64 up");
      continue;
    }
    in.warn_unknown(key, entry);
    profile.geometry.pools.push_back(pool);
  }
}

void read_profiles(ConfigReader& in, DriverConfig& c) {
  const auto* profiles = in.table("profiles");
  if (profiles == nullptr) return;
  for (const auto& name : profiles->order) {
    const auto& value = profiles->entries.at(name);
    const std::string key = concat("profiles.", printable(name));
    in.origins[key] = value.origin();
    const auto* table = value.as_table();
    if (table == nullptr) {
      in.wrong_type(key, value, "a table");
      continue;
    }
    Profile profile;
    profile.name = name;
    profile.geometry.slot_count = kDefaultHeaderSlots;
    for (const char* known : {".header_nslots", ".header_slot_bytes", ".payload_pools"}) in.know(key + known);
    if (const auto* slots = ConfigReader::find_in(table, "header_nslots")) {
      in.origins[key + ".header_nslots"] = slots->origin();
      in.read_integer(key + ".header_nslots", *slots, profile.geometry.slot_count, 0, kMaxU32);
    }
    if (const auto* bytes = ConfigReader::find_in(table, "header_slot_bytes")) {
      uint64_t given = wire::kSlotBytes;
      in.read_integer(key + ".header_slot_bytes", *bytes, given, 0, std::numeric_limits<uint64_t>::max());
      if (given != wire::kSlotBytes)
        in.problem(key + ".header_slot_bytes", bytes->origin(), concat("is ", given, ": expected 256, the only size there is"));
    }
    if (const auto* pools = ConfigReader::find_in(table, "payload_pools")) {
      in.origins[key + ".payload_pools"] = pools->origin();
      read_pools(in, key + ".payload_pools", *pools, profile);
    }
    in.warn_unknown(key, table);
    c.profiles.push_back(std::move(profile));
  }
}

void read_streams(ConfigReader& in, DriverConfig& c) {
  const auto* streams = in.table("streams");
  if (streams == nullptr) return;
  for (const auto& name : streams->order) {
    const auto& value = streams->entries.at(name);
    const std::string key = concat("streams.", printable(name));
    in.origins[key] = value.origin();
    const auto* table = value.as_table();
    if (table == nullptr) {
      in.wrong_type(key, value, "a table with stream_id and profile");
      continue;
    }
    StaticStream stream;
    stream.name = name;
    bool whole = true;
    in.know(key + ".stream_id");
    in.know(key + ".profile");
    if (const auto* id = ConfigReader::find_in(table, "stream_id")) {
      in.origins[key + ".stream_id"] = id->origin();
      whole &= in.read_integer(key + ".stream_id", *id, stream.stream_id, 0, kMaxU32);
    } else {
      in.problem(key + ".stream_id", value.origin(), concat("is missing: expected 1 to ", kMaxStreamId));
      whole = false;
    }
    if (const auto* profile = ConfigReader::find_in(table, "profile")) {
      in.origins[key + ".profile"] = profile->origin();
      if (const auto* text = profile->as_string()) {
        stream.profile = *text;
      } else {
        in.wrong_type(key + ".profile", *profile, "the name of a profile");
        whole = false;
      }
    } else {
      in.problem(key + ".profile", value.origin(), "is missing: expected the name of a profile");
      whole = false;
    }
    in.warn_unknown(key, table);
    if (whole) c.streams.push_back(std::move(stream));
  }
}

constexpr const char* kStreamRangeKey = "driver.stream_id_range";
constexpr const char* kDescriptorRangeKey = "driver.descriptor_stream_id_range";
constexpr const char* kControlRangeKey = "driver.control_stream_id_range";

// CFG-8, D-48.
void check_ranges(const DriverConfig& c, const Origins& origins, std::vector<ConfigProblem>& problems) {
  std::vector<NamedId> in_use = {{"driver.control_stream_id", static_cast<uint32_t>(c.control_stream_id)},
                                 {"driver.announce_stream_id", static_cast<uint32_t>(c.effective_announce_stream_id())},
                                 {"driver.qos_stream_id", static_cast<uint32_t>(c.qos_stream_id)}};
  for (const auto& stream : c.streams) in_use.push_back({concat("streams.", printable(stream.name), ".stream_id"), stream.stream_id});
  auto all = named(kStreamRangeKey, c.stream_id_range);
  for (const auto& range : all) check_range(range, kMaxStreamId, in_use, origins, problems);
  for (const auto& [key, ranges] :
       {std::pair{kDescriptorRangeKey, &c.descriptor_stream_id_range}, std::pair{kControlRangeKey, &c.control_stream_id_range}}) {
    for (const auto& range : named(key, *ranges)) {
      check_range(range, wire::kMaxAeronStreamId, in_use, origins, problems);
      all.push_back(range);
    }
  }
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t j = 0; j < i; ++j) check_disjoint(all[i], all[j], origins, problems);
}

// CFG-16: [supervisor] (config.md 3). Its answers to hellos are given by the driver itself; its registry and its planes of its
// own are not, which is said.
void read_supervisor(const ConfigValue& root, const Environment& environment, ConfigReader& in, DriverConfig& c, LoadedConfig& out) {
  if (in.table("supervisor") == nullptr) return;
  supervisor::LoadedConfig loaded = supervisor::load_supervisor_config(root, environment);
  const auto is_its_own = [](std::string_view key) { return key.starts_with("supervisor."); };
  for (auto& problem : loaded.problems) {
    if (is_its_own(problem.key)) out.problems.push_back(std::move(problem));  // of the driver's keys all has been said
  }
  for (auto& [key, origin] : loaded.origins) {
    if (is_its_own(key)) in.origins[key] = std::move(origin);
  }
  c.consumers = std::move(loaded.config.consumers);
  const auto not_served = [&](const char* key, const char* ours) {
    if (const auto origin = origin_of(in.origins, key); !origin.empty())
      in.problem(key, origin, concat("differs from ", ours, ": this driver hears hellos on its own control stream alone"), false);
  };
  const supervisor::Endpoint& control = loaded.config.control;
  if (control.channel != c.control_channel) not_served("supervisor.control_channel", "driver.control_channel");
  if (control.stream_id != c.control_stream_id) not_served("supervisor.control_stream_id", "driver.control_stream_id");
}

constexpr const char* kTables[] = {"driver",       "shm",       "policies",           "profiles", "streams",
                                   "supervisor",   "discovery", "discovery_registry", "bridge",   "mappings",
                                   "rate_limiter", "client",    "producer",           "consumer"};

// The nearest directory above `path` that exists, for statements about its file system; empty if even the parent is missing.
std::string existing_base(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return path;
  const auto parent = std::filesystem::path(path).parent_path().string();
  return std::filesystem::is_directory(parent, error) ? parent : std::string{};
}

bool below(std::string_view path, std::string_view base) {
  return path.starts_with(base) && (path.size() == base.size() || base == "/" || path[base.size()] == '/');
}

void check_directories(const DriverConfig& c, const Origins& origins, std::vector<ConfigProblem>& problems) {
  const auto bad = [&](std::string_view key, std::string text) {
    problems.push_back({std::string(key), origin_of(origins, key), std::move(text)});
  };
  std::vector<std::string> allowed;
  bool listed = true;
  for (const auto& dir : c.allowed_base_dirs) {
    if (!dir.starts_with('/')) {
      bad("shm.allowed_base_dirs", concat("holds ", in_quotes(dir), ": expected absolute paths"));
      listed = false;
      continue;
    }
    std::error_code error;
    auto canonical = std::filesystem::canonical(dir, error);
    if (error || !std::filesystem::is_directory(canonical, error)) {
      // A base directory of our own making may be listed before it exists.
      if (dir == c.base_dir && !existing_base(dir).empty()) {
        canonical = std::filesystem::canonical(existing_base(dir), error) / std::filesystem::path(dir).filename();
      } else {
        bad("shm.allowed_base_dirs", concat("holds ", in_quotes(dir), ": expected existing directories"));
        listed = false;
        continue;
      }
    }
    allowed.push_back(canonical.string());
  }
  if (!c.base_dir.starts_with('/')) return bad("shm.base_dir", concat("is ", in_quotes(c.base_dir), ": expected an absolute path"));
  const std::string existing = existing_base(c.base_dir);
  if (existing.empty())
    return bad("shm.base_dir",
               concat("is ", in_quotes(c.base_dir), ": expected a directory, or a name in an existing one to make"));
  std::error_code error;
  auto canonical = std::filesystem::canonical(existing, error);
  if (error) return bad("shm.base_dir", concat("is ", in_quotes(c.base_dir), ", which cannot be resolved: ", error.message()));
  if (existing != c.base_dir) {
    if (std::filesystem::exists(std::filesystem::symlink_status(c.base_dir, error)))
      return bad("shm.base_dir", concat("is ", in_quotes(c.base_dir), ", which exists and is no directory: expected one"));
    canonical /= std::filesystem::path(c.base_dir).filename();
  }
  if (listed && !allowed.empty() &&
      std::none_of(allowed.begin(), allowed.end(), [&](const auto& dir) { return below(canonical.string(), dir); }))
    bad("shm.base_dir", concat("is ", in_quotes(c.base_dir), ": expected it to be below one of shm.allowed_base_dirs"));
  if (c.require_hugepages) {
    try {
      if (!shm::file_system_of(existing).hugetlbfs)
        bad("shm.require_hugepages", concat("is true, but ", in_quotes(c.base_dir),
                                            " (shm.base_dir) is not on hugetlbfs: mount one and name it there, or say false"));
    } catch (const Error& failure) {
      bad("shm.base_dir", concat("cannot be examined: ", failure.what()));
    }
  }
}

void check_profiles(const DriverConfig& c, const Origins& origins, std::vector<ConfigProblem>& problems) {
  const auto bad = [&](const std::string& key, const std::string& fallback, std::string text) {
    auto origin = origin_of(origins, key);
    problems.push_back({key, origin.empty() ? origin_of(origins, fallback) : origin, std::move(text)});
  };
  if (c.profiles.empty())
    bad("profiles", "",
        "is empty: expected at least one profile, such as [profiles.small] payload_pools = [{pool_id = 1, stride_bytes = "
        "1048576}]");
  for (const auto& profile : c.profiles) {
    const std::string key = concat("profiles.", printable(profile.name));
    const auto& geometry = profile.geometry;
    if (geometry.slot_count == 0 || !std::has_single_bit(geometry.slot_count))
      bad(key + ".header_nslots", key, concat("is ", geometry.slot_count, ": expected a power of two"));
    if (geometry.pools.empty()) bad(key + ".payload_pools", key, "is missing or empty: expected at least one pool");
    if (geometry.pools.size() > wire::kMaxPoolsPerMessage)
      bad(key + ".payload_pools", key,
          concat("has ", geometry.pools.size(), " pools: expected at most ", wire::kMaxPoolsPerMessage));
    std::set<uint16_t> ids;
    uint64_t total = geometry.header_bytes();
    for (size_t i = 0; i < geometry.pools.size(); ++i) {
      const auto& pool = geometry.pools[i];
      const std::string pool_key = concat(key, ".payload_pools[", i, "]");
      if (pool.pool_id == 0 || pool.pool_id == 65535)
        bad(pool_key + ".pool_id", key, concat("is ", pool.pool_id, ": expected 1 to 65534"));
      if (!ids.insert(pool.pool_id).second)
        bad(pool_key + ".pool_id", key, concat("is ", pool.pool_id, " again: expected each pool to have its own"));
      if (pool.stride_bytes < 64 || pool.stride_bytes % 64 != 0) {
        bad(pool_key + ".stride_bytes", key, concat("is ", pool.stride_bytes, ": expected at least 64 and a multiple of 64"));
      } else if (c.require_power_of_two_stride && !std::has_single_bit(pool.stride_bytes)) {
        bad(pool_key + ".stride_bytes", key,
            concat("is ", pool.stride_bytes,
                   ": expected a power of two (or policies.require_power_of_two_stride = false, which some consumers refuse)"));
      }
      if (__builtin_add_overflow(total, geometry.pool_bytes(pool), &total)) {
        bad(key + ".payload_pools", key, "adds up to more than 2^64 bytes: expected fewer slots or smaller strides");
        break;
      }
    }
  }
}

void check_streams(const DriverConfig& c, const Origins& origins, std::vector<ConfigProblem>& problems) {
  const auto bad = [&](const std::string& key, std::string text, bool fatal = true) {
    problems.push_back({key, origin_of(origins, key), std::move(text), fatal});
  };
  std::map<uint32_t, std::string> names;
  for (const auto& stream : c.streams) {
    const std::string key = concat("streams.", printable(stream.name));
    if (stream.stream_id == 0 || stream.stream_id > kMaxStreamId)
      bad(key + ".stream_id", concat("is ", stream.stream_id, ": expected 1 to ", kMaxStreamId));
    if (const auto [at, fresh] = names.emplace(stream.stream_id, stream.name); !fresh)
      bad(key + ".stream_id", concat("is ", stream.stream_id, " like that of streams.", printable(at->second),
                                     ": expected each stream to have its own"));
    if (c.profile(stream.profile) == nullptr)
      bad(key + ".profile", concat("is ", in_quotes(stream.profile), ": expected the name of a profile under [profiles]"));
  }
  if (c.streams.empty() && !c.allow_dynamic_streams)
    bad("streams", "is empty: expected at least one stream, or policies.allow_dynamic_streams = true");
  if (!c.default_profile.empty() && c.profile(c.default_profile) == nullptr) {
    // Without dynamic streams the key means nothing yet; a wrong name is still worth a word.
    bad("policies.default_profile",
        concat("is ", in_quotes(c.default_profile), ": expected the name of a profile under [profiles]"), c.allow_dynamic_streams);
  }
  if (c.allow_dynamic_streams && c.stream_id_range.empty())
    bad(kStreamRangeKey, "is missing while policies.allow_dynamic_streams is true: dynamic attach requests will be refused", false);
}

void check_channels(const DriverConfig& c, const Origins& origins, std::vector<ConfigProblem>& problems) {
  struct Use {
    const char* channel_key;
    const char* stream_key;
    const std::string* channel;
    int32_t stream_id;
  };
  const Use uses[] = {
      {"driver.control_channel", "driver.control_stream_id", &c.control_channel, c.control_stream_id},
      {"driver.announce_channel", "driver.announce_stream_id", &c.effective_announce_channel(), c.effective_announce_stream_id()},
      {"driver.qos_channel", "driver.qos_stream_id", &c.qos_channel, c.qos_stream_id}};
  for (const Use& use : uses) {
    if (use.stream_id <= 0)
      problems.push_back(
          {use.stream_key, origin_of(origins, use.stream_key), concat("is ", use.stream_id, ": expected 1 to ", wire::kMaxAeronStreamId)});
    // An announce channel that was not given is the control channel: one complaint is enough.
    if (use.channel == &c.control_channel && use.channel_key != uses[0].channel_key) continue;
    if (auto fault = transport::channel_fault(*use.channel); !fault.empty())
      problems.push_back(
          {use.channel_key, origin_of(origins, use.channel_key), concat("is ", in_quotes(*use.channel), ": ", fault)});
  }
  for (size_t i = 0; i < std::size(uses); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (uses[i].stream_id != uses[j].stream_id) continue;
      if (auto clash = transport::channel_clash(*uses[i].channel, *uses[j].channel); !clash.empty())
        problems.push_back({uses[i].channel_key, origin_of(origins, uses[i].channel_key),
                            concat("is ", in_quotes(*uses[i].channel), " and shares stream id ", uses[i].stream_id, " with ",
                                   uses[j].channel_key, " ", in_quotes(*uses[j].channel), " but differs in ", clash,
                                   ": the media driver refuses whichever comes second"),
                            false});
    }
  }
}

void check_policies(const DriverConfig& c, const Origins& origins, std::vector<ConfigProblem>& problems) {
  const auto bad = [&](std::string_view key, std::string text, bool fatal = true) {
    problems.push_back({std::string(key), origin_of(origins, key), std::move(text), fatal});
  };
  for (const auto& [key, value] : {std::pair{"policies.announce_period_ms", c.announce_period_ms},
                                   std::pair{"policies.lease_keepalive_interval_ms", c.lease_keepalive_interval_ms}})
    if (value < kMinIntervalMs) bad(key, concat("is ", value, ": expected at least ", kMinIntervalMs));
  if (c.lease_expiry_grace_intervals == 0) bad("policies.lease_expiry_grace_intervals", "is 0: expected at least 1");
  if (c.lease_expiry_grace_intervals == 1)
    bad("policies.lease_expiry_grace_intervals", "is 1: a lease then ends with the first late keepalive; expected 2 or more",
        false);
  if (c.shutdown_token.size() > kMaxTokenBytes)
    bad("policies.shutdown_token", concat("has ", c.shutdown_token.size(), " bytes: expected at most ", kMaxTokenBytes));
  if (c.reuse_existing_shm)
    bad("policies.reuse_existing_shm", "is true and has no effect: every epoch gets a new directory", false);
}

}  // namespace

const Profile* DriverConfig::profile(std::string_view name) const noexcept {
  for (const auto& candidate : profiles)
    if (candidate.name == name) return &candidate;
  return nullptr;
}

const Profile* DriverConfig::dynamic_profile() const noexcept {
  if (!default_profile.empty()) return profile(default_profile);
  return profiles.empty() ? nullptr : &profiles.front();
}

uint64_t DriverConfig::effective_gc_min_age_ns() const noexcept {
  return epoch_gc_min_age_ns != 0 ? epoch_gc_min_age_ns : 3 * uint64_t{announce_period_ms} * kNsPerMs;
}

const std::string& DriverConfig::effective_announce_channel() const noexcept {
  return announce_channel.empty() ? control_channel : announce_channel;
}
int32_t DriverConfig::effective_announce_stream_id() const noexcept {
  return announce_stream_id == 0 ? control_stream_id : announce_stream_id;
}

supervisor::ConsumerPolicy DriverConfig::effective_consumers() const {
  supervisor::ConsumerPolicy out = consumers;
  if (out.descriptor_ids.empty()) out.descriptor_ids = descriptor_stream_id_range;
  if (out.control_ids.empty()) out.control_ids = control_stream_id_range;
  return out;
}

uint64_t DriverConfig::lease_lifetime_ns() const noexcept {
  // Bounded so that an expiry stays far from the clock's end however the two keys are set: about a century.
  constexpr uint64_t kLongestNs = 3'000'000'000 * kNsPerSecond;
  const uint64_t ms = uint64_t{lease_keepalive_interval_ms} * lease_expiry_grace_intervals;  // < 2^64
  return ms > kLongestNs / kNsPerMs ? kLongestNs : ms * kNsPerMs;
}

bool LoadedConfig::ok() const noexcept { return !any_fatal(problems); }
std::string LoadedConfig::error_text() const { return fatal_text(problems); }

std::vector<ConfigProblem> check_driver_config(const DriverConfig& c, const Origins& origins) {
  std::vector<ConfigProblem> problems;
  const auto bad = [&](std::string_view key, std::string text, bool fatal = true) {
    problems.push_back({std::string(key), origin_of(origins, key), std::move(text), fatal});
  };
  if (c.counter_owner_id == 0 || c.counter_owner_id > kMaxCounterOwner)
    bad("driver.counter_owner_id", concat("is ", c.counter_owner_id, ": expected 1 to ", kMaxCounterOwner));
  if (c.instance_id.empty() || c.instance_id.size() > kMaxInstanceIdBytes)
    bad("driver.instance_id", concat("has ", c.instance_id.size(), " bytes: expected 1 to ", kMaxInstanceIdBytes));
  check_channels(c, origins, problems);
  check_ranges(c, origins, problems);

  const bool plain = std::all_of(c.name_space.begin(), c.name_space.end(), [](char x) {
    return (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || (x >= '0' && x <= '9') || x == '_' || x == '-';
  });
  if (c.name_space.empty() || c.name_space.size() > kMaxNamespaceBytes || !plain)
    bad("shm.namespace",
        concat("is ", in_quotes(c.name_space), ": expected 1 to ", kMaxNamespaceBytes, " characters out of A-Z a-z 0-9 _ -"));
  if (c.permissions_mode > 07777) {
    bad("shm.permissions_mode", "is more than 7777 in octal: expected one such as \"660\"");
  } else if ((c.permissions_mode & 0007) != 0) {
    bad("shm.permissions_mode",
        "grants other users something: clients refuse such files; expected a last digit of 0, such as \"660\"");
  } else if ((c.permissions_mode & 0600) != 0600) {
    bad("shm.permissions_mode", "takes reading or writing from the owner: expected at least \"600\"");
  } else if ((c.permissions_mode & ~mode_t{02660}) != 0) {
    bad("shm.permissions_mode", "has more than reading, writing and setgid: expected \"660\", \"600\", \"640\" or \"2660\"");
  }
  if (!std::has_single_bit(c.page_size_bytes)) {
    bad("shm.page_size_bytes", concat("is ", c.page_size_bytes, ": expected a power of two"));
  } else if (const long system = ::sysconf(_SC_PAGESIZE);
             !c.require_hugepages && system > 0 && c.page_size_bytes != static_cast<uint64_t>(system)) {
    bad("shm.page_size_bytes", concat("is ", c.page_size_bytes, ", but this system has pages of ", system, " bytes: those count"),
        false);
  }
  check_directories(c, origins, problems);
  check_policies(c, origins, problems);
  check_profiles(c, origins, problems);
  check_streams(c, origins, problems);
  return problems;
}

std::vector<ConfigProblem> check_capacity(const DriverConfig& c, const Origins& origins) {
  std::vector<ConfigProblem> problems;
  shm::FileSystem file_system;
  const std::string existing = existing_base(c.base_dir);
  if (existing.empty()) return problems;  // check_driver_config has said so
  try {
    file_system = shm::file_system_of(existing);
  } catch (const Error& failure) {
    problems.push_back({"shm.base_dir", origin_of(origins, "shm.base_dir"), concat("cannot be examined: ", failure.what())});
    return problems;
  }
  const uint64_t capacity = file_system.capacity_bytes;
  if (capacity == 0) return problems;  // hugetlbfs and tmpfs without a limit tell nothing
  uint64_t all = 0;
  bool each_fits = true;
  for (const auto& stream : c.streams) {
    const Profile* profile = c.profile(stream.profile);
    if (profile == nullptr) continue;
    const uint64_t bytes = profile->geometry.total_bytes();
    const std::string key = concat("streams.", printable(stream.name));
    if (bytes > capacity) {
      each_fits = false;
      problems.push_back(
          {key, origin_of(origins, key),
           concat("takes ", bytes, " bytes an epoch by profile ", in_quotes(stream.profile), "; the file system of ",
                  printable(c.base_dir), " holds ", capacity,
                  " in all: make that bigger (mount -o remount,size=...), or give the profile fewer slots or smaller strides")});
    }
    if (__builtin_add_overflow(all, bytes, &all)) all = std::numeric_limits<uint64_t>::max();
  }
  if (all > capacity && each_fits)
    problems.push_back({"streams", "",
                        concat("take ", all, " bytes together, an epoch each; the file system of ", printable(c.base_dir),
                               " holds ", capacity, " in all: make that bigger (mount -o remount,size=...), or configure less")});
  return problems;
}

LoadedConfig load_driver_config(const ConfigValue& root, const Environment& environment) {
  LoadedConfig out;
  auto& c = out.config;
  if (root.as_table() == nullptr) {
    out.problems.push_back(
        {"configuration", root.origin(), "is no table: expected [driver], [shm], [policies], [profiles.*] and [streams.*]"});
    return out;
  }
  ConfigReader in(root, environment, out.problems,
                  {{"driver.aeron_dir", "AERON_DIR"}, {"driver.control_channel", "TP_CONTROL_CHANNEL"}, {"driver.control_stream_id", "TP_CONTROL_STREAM_ID"}});
  const ConfigTable* tables[] = {in.table("driver"), in.table("shm"), in.table("policies")};
  read_driver(in, c);
  read_shm(in, c);
  read_policies(in, c);
  const auto problems_before = out.problems.size();
  read_profiles(in, c);
  read_streams(in, c);
  const bool lists_whole =
      out.problems.size() == problems_before || std::none_of(out.problems.begin() + static_cast<std::ptrdiff_t>(problems_before),
                                                             out.problems.end(), [](const auto& p) { return p.fatal; });
  in.warn_unknown("driver", tables[0]);
  in.warn_unknown("shm", tables[1]);
  in.warn_unknown("policies", tables[2]);
  for (const char* name : kTables) in.know(name);
  in.warn_unknown("", root.as_table());

  // What could not be read has been said; an empty list that follows from it would be said twice.
  for (auto& problem : check_driver_config(c, in.origins)) {
    const bool consequence = !lists_whole && problem.fatal &&
                             (problem.key == "streams" || problem.key == "profiles" || problem.key.ends_with(".payload_pools"));
    if (!consequence) out.problems.push_back(std::move(problem));
  }
  if (out.ok())
    for (auto& problem : check_capacity(c, in.origins)) out.problems.push_back(std::move(problem));
  read_supervisor(root, environment, in, c, out);
  out.origins = std::move(in.origins);
  return out;
}

}  // namespace tidepool::driver
