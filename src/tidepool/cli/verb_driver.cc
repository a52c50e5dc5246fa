// tidepool driver: owner of pools, epochs and leases (services/driver), with a media driver inside if asked.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "tidepool/cli/client_flags.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/driver_settings.h"
#include "tidepool/cli/roles.h"
#include "tidepool/cli/toml_file.h"
#include "tidepool/cli/verbs.h"

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

void print_summary(const Context& context, const Roles& roles) {
  const std::string& instance_id = roles.driver_config().config.instance_id;
  if (context.json) {
    nlohmann::ordered_json object = {{"instance_id", instance_id}, {"seconds", roles.seconds()}};
    object.update(summary_json(*roles.driver()));
    if (roles.supervisor() != nullptr) object["supervisor"] = summary_json(*roles.supervisor());
    print_json_line(context, object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  fmt::print(context.out, "driver {}: {:.1f} s, {}\n", instance_id, roles.seconds(), summary_text(*roles.driver()));
  if (roles.supervisor() != nullptr) fmt::print(context.out, "supervisor: {}\n", summary_text(*roles.supervisor()));
}

Exit run_driver(const Context& context, const DriverArgs& args) {
  if (args.example) {
    std::fputs(kExample, context.out);
    return Exit::kOk;
  }
  if (args.config.empty()) throw UsageError("--config FILE is missing: a driver must be told its streams (an example:  tidepool driver --example)");
  ConfigValue root = role_tree(read_toml_file(args.config), args.planes);
  // Presence of the table enables the embedded supervisor (config.md 3).
  RoleChoice choice{.driver = true, .supervisor = root.find("supervisor") != nullptr, .embedded = args.embedded, .wait = args.wait};
  Roles roles(root, choice);
  if (args.check) {
    print_effective(context, roles.driver_config());
    return Exit::kOk;
  }
  if (!roles.start(context)) return Exit::kOk;
  roles.serve();
  print_summary(context, roles);
  return Exit::kOk;
}

}  // namespace

void add_driver(CLI::App& app, Context& context) {
  auto args = std::make_shared<DriverArgs>();
  CLI::App* verb = app.add_subcommand("driver", "own the pools: make regions, grant leases, announce epochs");
  verb->add_option("--config,-c", args->config, "TOML file with [driver], [shm], [policies], [profiles.*], [streams.*], [supervisor]")->type_name("FILE");
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
