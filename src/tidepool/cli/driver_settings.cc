#include "tidepool/cli/driver_settings.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/text.h"

namespace tidepool::cli {
namespace {

std::string ranges_text(const std::vector<IdRange>& ranges) {
  std::string out;
  for (const auto& range : ranges) out += fmt::format("{}{}-{}", out.empty() ? "" : ", ", range.first, range.last);
  return out;
}

std::string joined(const std::vector<std::string>& texts) { return fmt::format("{}", fmt::join(texts, ":")); }

std::vector<std::pair<std::string, std::string>> scalars(const driver::DriverConfig& c) {
  const auto yes = [](bool value) { return std::string(value ? "true" : "false"); };
  const auto number = [](auto value) { return std::to_string(value); };
  return {
      {"driver.instance_id", c.instance_id},
      {"driver.aeron_dir", c.aeron_dir},
      {"driver.control_channel", c.control_channel},
      {"driver.control_stream_id", number(c.control_stream_id)},
      {"driver.announce_channel", c.effective_announce_channel()},
      {"driver.announce_stream_id", number(c.effective_announce_stream_id())},
      {"driver.qos_channel", c.qos_channel},
      {"driver.qos_stream_id", number(c.qos_stream_id)},
      {"driver.stream_id_range", ranges_text(c.stream_id_range)},
      {"driver.descriptor_stream_id_range", ranges_text(c.descriptor_stream_id_range)},
      {"driver.control_stream_id_range", ranges_text(c.control_stream_id_range)},
      {"driver.counter_owner_id", number(c.counter_owner_id)},
      {"shm.base_dir", c.base_dir},
      {"shm.namespace", c.name_space},
      {"shm.require_hugepages", yes(c.require_hugepages)},
      {"shm.page_size_bytes", number(c.page_size_bytes)},
      {"shm.permissions_mode", fmt::format("{:o}", c.permissions_mode)},
      {"shm.allowed_base_dirs", c.allowed_base_dirs.empty() ? c.base_dir : joined(c.allowed_base_dirs)},
      {"policies.allow_dynamic_streams", yes(c.allow_dynamic_streams)},
      {"policies.default_profile", c.dynamic_profile() != nullptr ? c.dynamic_profile()->name : c.default_profile},
      {"policies.announce_period_ms", number(c.announce_period_ms)},
      {"policies.lease_keepalive_interval_ms", number(c.lease_keepalive_interval_ms)},
      {"policies.lease_expiry_grace_intervals", number(c.lease_expiry_grace_intervals)},
      {"policies.node_id_reuse_cooldown_ms", number(c.node_id_reuse_cooldown_ms)},
      {"policies.provision_at_start", yes(c.provision_at_start)},
      {"policies.prefault_shm", yes(c.prefault_shm)},
      {"policies.reuse_existing_shm", yes(c.reuse_existing_shm)},
      {"policies.mlock_shm", yes(c.mlock_shm)},
      {"policies.cleanup_shm_on_exit", yes(c.cleanup_shm_on_exit)},
      {"policies.epoch_gc_enabled", yes(c.epoch_gc_enabled)},
      {"policies.epoch_gc_keep", number(c.epoch_gc_keep)},
      {"policies.epoch_gc_min_age_ns", number(c.effective_gc_min_age_ns())},
      {"policies.epoch_gc_on_startup", yes(c.epoch_gc_on_startup)},
      {"policies.shutdown_timeout_ms", number(c.shutdown_timeout_ms)},
      {"policies.media_driver_timeout_ms", number(c.media_driver_timeout_ms)},
      {"policies.shutdown_token", c.shutdown_token.empty() ? "" : "********"},
      {"policies.notify_unknown_lease", yes(c.notify_unknown_lease)},
      {"policies.dynamic_stream_linger_ms", number(c.dynamic_stream_linger_ms)},
      {"policies.require_power_of_two_stride", yes(c.require_power_of_two_stride)},
      {"supervisor.per_consumer_enabled", yes(c.consumers.per_consumer_enabled)},
      {"supervisor.per_consumer_descriptor_channel", c.consumers.per_consumer_descriptor_channel},
      {"supervisor.per_consumer_control_channel", c.consumers.per_consumer_control_channel},
      {"supervisor.per_consumer_descriptor_base", ranges_text(c.consumers.descriptor_ids)},
      {"supervisor.per_consumer_control_base", ranges_text(c.consumers.control_ids)},
      {"supervisor.consumer_capacity", number(c.consumers.consumer_capacity)},
      {"supervisor.force_no_shm", yes(c.consumers.force_no_shm)},
      {"supervisor.force_mode", number(static_cast<int>(c.consumers.force_mode.value_or(wire::Mode::unknown)))},
      {"supervisor.payload_fallback_uri", c.consumers.payload_fallback_uri},
  };
}

}  // namespace

void print_effective(const Context& context, const driver::LoadedConfig& loaded) {
  const driver::DriverConfig& config = loaded.config;
  const auto origin_of = [&](const std::string& key) {
    const auto found = loaded.origins.find(key);
    return found == loaded.origins.end() ? std::string("default") : found->second;
  };
  if (context.json) {
    nlohmann::ordered_json object;
    for (const auto& [key, value] : scalars(config)) object["values"][key] = {{"value", value}, {"origin", origin_of(key)}};
    for (const auto& profile : config.profiles) {
      auto pools = nlohmann::ordered_json::array();
      for (const auto& pool : profile.geometry.pools) pools.push_back({{"pool_id", pool.pool_id}, {"stride_bytes", pool.stride_bytes}});
      object["profiles"][profile.name] = {
          {"header_nslots", profile.geometry.slot_count}, {"payload_pools", pools}, {"bytes_per_epoch", profile.geometry.total_bytes()}};
    }
    for (const auto& stream : config.streams) object["streams"][stream.name] = {{"stream_id", stream.stream_id}, {"profile", stream.profile}};
    print_json_line(context, object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  for (const auto& [key, value] : scalars(config)) fmt::print(context.out, "{:<42} {:<28} {}\n", key, value.empty() ? "-" : value, origin_of(key));
  for (const auto& profile : config.profiles) {
    fmt::print(context.out, "profiles.{}: {}\n", profile.name, describe_geometry(profile.geometry));
  }
  for (const auto& stream : config.streams) fmt::print(context.out, "streams.{}: stream {}, profile {}\n", stream.name, stream.stream_id, stream.profile);
}

std::vector<std::pair<std::string, std::string>> effective_values(const driver::LoadedConfig& loaded) { return scalars(loaded.config); }

std::string describe_geometry(const pool::Geometry& geometry) {
  std::string pools;
  for (const auto& pool : geometry.pools) pools += fmt::format("{}{}", pools.empty() ? "" : " + ", format_bytes(pool.stride_bytes));
  return fmt::format("{} slots of {}, {} an epoch", geometry.slot_count, pools, format_bytes(geometry.total_bytes()));
}

}  // namespace tidepool::cli
