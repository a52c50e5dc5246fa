#include "tidepool/cli/roles.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/driver_settings.h"
#include "tidepool/cli/listening.h"
#include "tidepool/cli/media_driver_wait.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/text.h"
#include "tidepool/shm/region.h"

namespace tidepool::cli {
namespace {

// Rulings P-9, R-06: what will be taken, said before it is.
void print_sizes(const driver::DriverConfig& config) {
  uint64_t sum = 0;
  for (const auto& stream : config.streams) {
    const driver::Profile* profile = config.profile(stream.profile);
    if (profile == nullptr) continue;
    const uint64_t bytes = profile->geometry.total_bytes();
    sum += bytes;
    log(LogLevel::kInfo, "driver", "stream ", stream.stream_id, " (", stream.name, ", profile ", stream.profile, "): ", describe_geometry(profile->geometry));
  }
  if (config.allow_dynamic_streams && config.dynamic_profile() != nullptr) {
    const auto& profile = *config.dynamic_profile();
    log(LogLevel::kInfo, "driver", "each dynamic stream (profile ", profile.name, "): ", describe_geometry(profile.geometry));
  }
  const auto fs = shm::file_system_of(config.base_dir);
  const uint64_t epochs = config.epoch_gc_enabled && config.epoch_gc_keep > 0 ? config.epoch_gc_keep + uint64_t{1} : 1;
  log(LogLevel::kInfo, "driver", config.base_dir, ": ", format_bytes(fs.free_bytes), " free of ", format_bytes(fs.capacity_bytes), "; the streams take ",
      format_bytes(sum), ", up to ", format_bytes(sum * epochs), " while old epochs are kept");
}

nlohmann::ordered_json counts_json(const driver::DriverCounts& counts) {
  static constexpr const char* kCodes[] = {"ok", "unsupported", "invalid_params", "rejected", "internal_error"};
  static constexpr const char* kReasons[] = {"", "detached", "expired", "revoked"};
  nlohmann::ordered_json attaches, revoked;
  for (size_t i = 0; i < std::size(kCodes); ++i) attaches[kCodes[i]] = counts.attach_responses[i];
  for (size_t i = 1; i < std::size(kReasons); ++i) revoked[kReasons[i]] = counts.leases_revoked[i];
  return {{"attach_responses", attaches},
          {"detach_responses", counts.detach_responses},
          {"keepalives", counts.keepalives},
          {"keepalives_ignored", counts.keepalives_ignored},
          {"leases_revoked", revoked},
          {"announces", counts.announces},
          {"epochs_created", counts.epochs_created},
          {"epochs_collected", counts.epochs_collected},
          {"bytes_provisioned", counts.bytes_provisioned},
          {"malformed", counts.malformed},
          {"foreign_responses", counts.foreign_responses}};
}

// A table of the root, made if it is missing; nullptr where something else has its name (the loader says so).
ConfigTable* section(ConfigValue& root, const std::string& name) {
  ConfigTable& top = *root.as_table();
  const auto at = top.entries.find(name);
  return (at != top.entries.end() ? at->second : top.add(name, ConfigValue())).as_table();
}

void put_flags(ConfigTable& table, const PlaneFlags& flags, bool all_planes) {
  const auto put = [&](const std::string& key, const std::string& flag, const ConfigValue::Data& value) { table.add(key, ConfigValue(value, flag)); };
  const auto endpoint = [&](const std::string& plane, const client::Endpoint& given) {
    if (!given.channel.empty()) put(plane + "_channel", "--" + plane + "-channel", given.channel);
    if (given.stream_id != 0) put(plane + "_stream_id", "--" + plane + "-stream", int64_t{given.stream_id});
  };
  endpoint("control", flags.control);
  endpoint("announce", flags.announce);
  endpoint("qos", flags.qos);
  if (all_planes) endpoint("metadata", flags.metadata);
}

// Two roles may read one key: what was said of it is not said again.
void add_problems(const std::vector<ConfigProblem>& problems, std::vector<ConfigProblem>& said) {
  for (const ConfigProblem& problem : problems) {
    const bool again = std::any_of(said.begin(), said.end(), [&](const auto& p) { return p.key == problem.key && p.origin == problem.origin && p.fatal == problem.fatal; });
    if (!again) said.push_back(problem);
  }
}

}  // namespace

ConfigValue role_tree(ConfigValue root, const PlaneFlags& flags) {
  if (ConfigTable* driver = section(root, "driver")) {
    if (const ConfigValue* dir = root.find("aeron.dir"); dir != nullptr && !driver->entries.contains("aeron_dir")) driver->add("aeron_dir", *dir);
    if (!flags.aeron_dir.empty()) driver->add("aeron_dir", ConfigValue(flags.aeron_dir, "--aeron-dir"));
    put_flags(*driver, flags, false);  // descriptor and metadata: no plane of the driver's (driver.md 2)
  }
  if (ConfigValue* table = root.as_table()->entries.contains("supervisor") ? &root.as_table()->entries.at("supervisor") : nullptr;
      table != nullptr && table->as_table() != nullptr) {
    put_flags(*table->as_table(), flags, true);
  }
  return root;
}

Roles::Roles(const ConfigValue& root, const RoleChoice& choice) : choice_(choice) {
  std::vector<ConfigProblem> problems;
  if (choice.driver) {
    driver_config_ = driver::load_driver_config(root, process_environment());
    add_problems(driver_config_.problems, problems);
    aeron_dir_ = driver_config_.config.aeron_dir;
  }
  if (choice.supervisor) {
    supervisor_config_ = supervisor::load_supervisor_config(root, process_environment());
    add_problems(supervisor_config_.problems, problems);
    aeron_dir_ = supervisor_config_.config.aeron_dir;
  }
  if (choice.discovery) {
    discovery_config_ = discovery::load_discovery_config(root, process_environment());
    add_problems(discovery_config_.problems, problems);
    aeron_dir_ = discovery_config_.config.aeron_dir;
  }
  for (const ConfigProblem& problem : problems) {
    if (!problem.fatal) log(LogLevel::kWarn, "config", problem.line());
  }
  if (any_fatal(problems)) throw Error(Code::kInvalidArgument, "the configuration cannot be used:\n", fatal_text(problems));
  if (aeron_dir_.empty()) aeron_dir_ = transport::default_aeron_dir();
  driver_config_.config.aeron_dir = supervisor_config_.config.aeron_dir = discovery_config_.config.aeron_dir = aeron_dir_;
}

Roles::~Roles() = default;

bool Roles::start(const Context& context) {
  install_signal_handlers();
  if (choice_.driver) print_sizes(driver_config_.config);
  if (choice_.embedded) {
    media_ = embed_media_driver(aeron_dir_, "aeron");
  } else if (choice_.wait && !wait_for_media_driver(aeron_dir_)) {
    return false;
  }
  began_ns_ = monotonic_ns();
  nlohmann::ordered_json event = {{"event", "ready"}, {"pid", ::getpid()}, {"aeron_dir", aeron_dir_}};
  if (choice_.driver) {
    const driver::DriverConfig& config = driver_config_.config;
    driver_ = std::make_unique<driver::Driver>(config);
    log(LogLevel::kInfo, "driver", "ready: ", config.instance_id, ", control ", config.control_channel, " stream ", config.control_stream_id, ", announces on stream ",
        config.effective_announce_stream_id(), ", pools below ", config.base_dir);
    event["instance_id"] = config.instance_id;
    event["base_dir"] = config.base_dir;
  }
  if (choice_.supervisor) {
    const supervisor::SupervisorConfig& config = supervisor_config_.config;
    supervisor::SupervisorOptions options;
    const driver::DriverConfig& beside = driver_config_.config;
    options.answers = !driver_ || config.control != supervisor::Endpoint{beside.control_channel, beside.control_stream_id};
    supervisor_ = std::make_unique<supervisor::Supervisor>(config, SystemClock::instance(), options);
    log(LogLevel::kInfo, "supervisor", "ready: control ", config.control.channel, " stream ", config.control.stream_id, ", QoS stream ", config.qos.stream_id,
        !options.answers ? ", the driver answers hellos" : config.consumers.assigns() ? ", assigns per-consumer streams" : ", declines per-consumer streams");
  }
  if (choice_.discovery) {
    const discovery::DiscoveryConfig& config = discovery_config_.config;
    discovery_ = std::make_unique<discovery::Provider>(config);
    log(LogLevel::kInfo, "discovery", "ready: requests on ", config.request.channel, " stream ", config.request.stream_id, ", ",
        format_count(config.endpoints.size(), "driver"));
  }
  if (context.json) print_json_line(context, event.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  return true;
}

// Poll until a signal, then until the driver has said goodbye.
void Roles::serve() {
  Idler idler(Idle::kBackoff);
  uint64_t give_up_ns = UINT64_MAX;
  bool draining = false;
  for (;;) {
    if (!draining && stop_requested()) {
      log(LogLevel::kInfo, "tidepool", "stopping: a signal asked for it");
      if (!driver_) return;
      draining = true;
      give_up_ns = monotonic_ns() + (uint64_t{driver_config_.config.shutdown_timeout_ms} + 1000) * kNsPerMs;
      driver_->shutdown(wire::ShutdownReason::normal, "driver was told to stop", true);
    }
    if (draining && monotonic_ns() > give_up_ns) {
      log(LogLevel::kWarn, "driver", "the shutdown notice could not be sent in time");
      return;
    }
    int work = 0;
    if (driver_) work += driver_->poll();
    if (driver_ && driver_->lifecycle() == driver::Driver::Lifecycle::kStopped) return;
    if (supervisor_) work += supervisor_->poll();
    if (discovery_) work += discovery_->poll();
    idler.idle(work);
    if (media_ && !media_->running()) {
      throw Error(Code::kUnavailable, "the embedded media driver ended by itself: was its directory ", media_->dir(), " deleted?");
    }
  }
}

double Roles::seconds() const noexcept { return began_ns_ == 0 ? 0 : static_cast<double>(monotonic_ns() - began_ns_) / 1e9; }

nlohmann::ordered_json summary_json(const driver::Driver& driver) {
  nlohmann::ordered_json object = counts_json(driver.counts());
  object["streams"] = nlohmann::ordered_json::array();
  for (const auto& stream : driver.streams()) {
    object["streams"].push_back({{"stream_id", stream.stream_id},
                                 {"profile", stream.profile},
                                 {"epoch", stream.epoch},
                                 {"bytes_per_epoch", stream.bytes_per_epoch},
                                 {"dynamic", stream.dynamic}});
  }
  return object;
}

nlohmann::ordered_json summary_json(const supervisor::Supervisor& supervisor) {
  const auto& counts = supervisor.counts();
  return {{"configs_sent", counts.configs_sent},       {"configs_dropped", counts.configs_dropped},
          {"hellos", counts.hellos},
          {"planes_assigned", counts.planes_assigned}, {"planes_declined", counts.planes_declined},
          {"consumers_refused", counts.consumers_refused}, {"id_collisions", counts.id_collisions},
          {"liveness_checks", counts.liveness_checks}, {"consumers_stale", counts.consumers_stale},
          {"producers_stale", counts.producers_stale}, {"malformed", counts.malformed}};
}

nlohmann::ordered_json summary_json(const discovery::Provider& discovery) {
  const discovery::ProviderCounts counts = discovery.counts();
  return {{"live_streams", discovery.live_streams()}, {"requests", counts.requests}, {"answered", counts.responses.sent}};
}

std::string summary_text(const driver::Driver& driver) {
  const auto& counts = driver.counts();
  return fmt::format("{} granted, {} refused, {}, {} made, {} collected, {}", format_count(counts.attach_responses[0], "attach request"),
                     counts.attach_responses[1] + counts.attach_responses[2] + counts.attach_responses[3] + counts.attach_responses[4],
                     format_count(counts.leases_revoked[2], "expired lease"), format_count(counts.epochs_created, "epoch"), counts.epochs_collected,
                     format_count(counts.malformed, "malformed message"));
}

std::string summary_text(const supervisor::Supervisor& supervisor) {
  const auto& counts = supervisor.counts();
  return fmt::format("{}, {}, {} assigned, {} declined, {} and {} gone silent", format_count(counts.hellos, "hello"), format_count(counts.configs_sent, "answer"),
                     format_count(counts.planes_assigned, "per-consumer stream"), counts.planes_declined, format_count(counts.consumers_stale, "consumer"),
                     format_count(counts.producers_stale, "producer"));
}

std::string summary_text(const discovery::Provider& discovery) {
  const discovery::ProviderCounts counts = discovery.counts();
  return fmt::format("{} known, {}, {}", format_count(discovery.live_streams(), "live stream"), format_count(counts.requests, "request"),
                     format_count(counts.responses.sent, "answer"));
}

}  // namespace tidepool::cli
