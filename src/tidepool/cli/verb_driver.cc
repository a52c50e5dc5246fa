// tidepool driver: owner of pools, epochs and leases (services/driver), with a media driver inside if asked.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "tidepool/base/agent.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/client_flags.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/driver_settings.h"
#include "tidepool/cli/listening.h"
#include "tidepool/cli/media_driver_wait.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/text.h"
#include "tidepool/cli/verbs.h"
#include "tidepool/services/driver/driver.h"
#include "tidepool/shm/region.h"
#include "tidepool/transport/media_driver.h"

namespace tidepool::cli {
namespace {

struct DriverArgs {
  PlaneFlags planes;
  std::string config;
  bool embedded = false;
  bool wait = false;
  bool check = false;
  bool example = false;
};

constexpr const char* kExample = R"(# A driver for one machine. tidepool driver --check shows every key and where its value comes from.
[driver]
instance_id = "lab"
stream_id_range = "20000-29999"

[policies]
# Streams that nobody named here, on request, with ids from stream_id_range and the first profile.
allow_dynamic_streams = true

# A profile is how much memory a stream has: header_nslots frames of at most the largest stride.
[profiles.camera]
header_nslots = 64
payload_pools = [{ pool_id = 1, stride_bytes = 1048576 }]

[profiles.big]
header_nslots = 16
payload_pools = [{ pool_id = 1, stride_bytes = 16777216 }]

[streams.cam1]
stream_id = 10000
profile = "camera"
)";

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

void print_summary(const Context& context, const driver::Driver& driver, const std::string& instance_id, double seconds) {
  const auto& counts = driver.counts();
  if (context.json) {
    nlohmann::ordered_json object = {{"instance_id", instance_id}, {"seconds", seconds}};
    object.update(counts_json(counts));
    object["streams"] = nlohmann::ordered_json::array();
    for (const auto& stream : driver.streams()) {
      object["streams"].push_back({{"stream_id", stream.stream_id},
                                   {"profile", stream.profile},
                                   {"epoch", stream.epoch},
                                   {"bytes_per_epoch", stream.bytes_per_epoch},
                                   {"dynamic", stream.dynamic}});
    }
    print_json_line(context, object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  fmt::print(context.out, "driver {}: {:.1f} s, {} granted, {} refused, {}, {} made, {} collected, {}\n", instance_id, seconds,
             format_count(counts.attach_responses[0], "attach request"),
             counts.attach_responses[1] + counts.attach_responses[2] + counts.attach_responses[3] + counts.attach_responses[4],
             format_count(counts.leases_revoked[2], "expired lease"), format_count(counts.epochs_created, "epoch"), counts.epochs_collected,
             format_count(counts.malformed, "malformed message"));
}

// Poll until a signal, then until the driver has said goodbye.
void serve(driver::Driver& driver, const transport::MediaDriver* media, uint64_t shutdown_timeout_ms) {
  Idler idler(Idle::kBackoff);
  bool draining = false;
  uint64_t give_up_ns = UINT64_MAX;
  while (driver.lifecycle() != driver::Driver::Lifecycle::kStopped) {
    if (!draining && stop_requested()) {
      draining = true;
      give_up_ns = monotonic_ns() + (shutdown_timeout_ms + 1000) * kNsPerMs;
      log(LogLevel::kInfo, "driver", "stopping: a signal asked for it");
      driver.shutdown(wire::ShutdownReason::normal, "driver was told to stop", true);
    }
    if (draining && monotonic_ns() > give_up_ns) {
      log(LogLevel::kWarn, "driver", "the shutdown notice could not be sent in time");
      return;
    }
    idler.idle(driver.poll());
    if (media != nullptr && !media->running()) {
      throw Error(Code::kUnavailable, "the embedded media driver ended by itself: was its directory ", media->dir(), " deleted?");
    }
  }
}

Exit run_driver(const Context& context, const DriverArgs& args) {
  if (args.example) {
    std::fputs(kExample, context.out);
    return Exit::kOk;
  }
  if (args.config.empty()) throw UsageError("--config FILE is missing: a driver must be told its streams (an example:  tidepool driver --example)");
  const ConfigValue root = driver_tree(args.config, args.planes);
  const driver::LoadedConfig loaded = driver::load_driver_config(root, driver::process_environment());
  for (const auto& problem : loaded.problems) {
    if (!problem.fatal) log(LogLevel::kWarn, "config", problem.line());
  }
  if (!loaded.ok()) throw Error(Code::kInvalidArgument, "the configuration cannot be used:\n", loaded.error_text());
  if (args.check) {
    print_effective(context, loaded);
    return Exit::kOk;
  }

  install_signal_handlers();
  driver::DriverConfig config = loaded.config;
  if (config.aeron_dir.empty()) config.aeron_dir = transport::default_aeron_dir();
  print_sizes(config);

  std::unique_ptr<transport::MediaDriver> media;
  if (args.embedded) {
    const auto status = transport::media_driver_status(config.aeron_dir);
    if (media_driver_alive(config.aeron_dir)) {  // one that was killed a moment ago has a young heartbeat still
      log(LogLevel::kInfo, "driver", "the media driver of pid ", status.pid, " is alive at ", config.aeron_dir, ": using that one");
    } else {
      media = std::make_unique<transport::MediaDriver>(transport::MediaDriverOptions{.dir = config.aeron_dir});
      log(LogLevel::kInfo, "driver", "media driver embedded at ", media->dir());
    }
  } else if (args.wait && !wait_for_media_driver(config.aeron_dir)) {
    return Exit::kOk;
  }

  const uint64_t begin_ns = monotonic_ns();
  driver::Driver driver(config);
  log(LogLevel::kInfo, "driver", "ready: ", config.instance_id, ", control ", config.control_channel, " stream ", config.control_stream_id, ", announces on stream ",
      config.effective_announce_stream_id(), ", pools below ", config.base_dir);
  if (context.json) {
    const nlohmann::ordered_json event = {
        {"event", "ready"}, {"pid", ::getpid()}, {"instance_id", config.instance_id}, {"aeron_dir", config.aeron_dir}, {"base_dir", config.base_dir}};
    print_json_line(context, event.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  serve(driver, media.get(), config.shutdown_timeout_ms);
  print_summary(context, driver, config.instance_id, static_cast<double>(monotonic_ns() - begin_ns) / 1e9);
  return Exit::kOk;
}

}  // namespace

void add_driver(CLI::App& app, Context& context) {
  auto args = std::make_shared<DriverArgs>();
  CLI::App* verb = app.add_subcommand("driver", "own the pools: make regions, grant leases, announce epochs");
  verb->add_option("--config,-c", args->config, "TOML file with [driver], [shm], [policies], [profiles.*], [streams.*]")->type_name("FILE");
  verb->add_flag("--embedded", args->embedded, "run a media driver in this process, unless one is alive already");
  verb->add_flag("--wait", args->wait, "wait for ever for the media driver");
  verb->add_flag("--check", args->check, "print the effective configuration, and where each value comes from, and leave");
  verb->add_flag("--example", args->example, "print a configuration to begin with, and leave");
  add_plane_flags(*verb, args->planes);
  add_common_flags(*verb, context);
  verb->footer(
      "The driver itself sends nothing on the descriptor and metadata streams: their flags are here so that one set fits all commands.\n"
      "Ends in order on SIGINT, SIGTERM or an authorised shutdown request; a second signal ends it at once.\n"
      "With --json the first line on stdout is {\"event\":\"ready\",...}, the last one the summary.\n"
      "Examples:\n"
      "  tidepool driver --example > lab.toml\n"
      "  tidepool driver --config lab.toml --embedded\n"
      "  tidepool driver --config lab.toml --aeron-dir /dev/shm/aeron-lab --control-stream 1500\n"
      "  tidepool driver --config lab.toml --check");
  verb->callback([args, &context] { context.action = [args, &context] { return run_driver(context, *args); }; });
}

}  // namespace tidepool::cli
