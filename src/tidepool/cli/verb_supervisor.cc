// tidepool supervisor: watches producers and consumers, answers hellos with policy (services/supervisor).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "tidepool/cli/client_flags.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/roles.h"
#include "tidepool/cli/toml_file.h"
#include "tidepool/cli/verbs.h"

namespace tidepool::cli {
namespace {

struct SupervisorArgs {
  PlaneFlags planes;
  std::string config;
  bool embedded = false;
  bool wait = false;
};

nlohmann::ordered_json table_json(const supervisor::Supervisor& supervisor) {
  auto consumers = nlohmann::ordered_json::array(), producers = nlohmann::ordered_json::array();
  for (const auto& c : supervisor.consumers()) {
    consumers.push_back({{"stream_id", c.stream_id}, {"consumer_id", c.consumer_id}, {"epoch", c.epoch}, {"last_seq", c.last_seq}, {"drops_gap", c.drops_gap},
                         {"drops_late", c.drops_late}, {"descriptor_stream_id", c.descriptor.stream_id}, {"control_stream_id", c.control.stream_id},
                         {"lag", c.lag ? nlohmann::ordered_json(*c.lag) : nlohmann::ordered_json(nullptr)}, {"stale", c.stale}});
  }
  for (const auto& p : supervisor.producers()) {
    producers.push_back({{"stream_id", p.stream_id}, {"producer_id", p.producer_id}, {"epoch", p.epoch}, {"current_seq", p.current_seq}, {"name", p.name},
                         {"stale", p.stale}});
  }
  return {{"consumers", consumers}, {"producers", producers}};
}

void print_summary(const Context& context, const Roles& roles) {
  const supervisor::Supervisor& supervisor = *roles.supervisor();
  if (context.json) {
    nlohmann::ordered_json object = {{"seconds", roles.seconds()}};
    object.update(summary_json(supervisor));
    object.update(table_json(supervisor));
    print_json_line(context, object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  fmt::print(context.out, "supervisor: {:.1f} s, {}\n", roles.seconds(), summary_text(supervisor));
  for (const auto& p : supervisor.producers())
    fmt::print(context.out, "  stream {}: producer {}{}, epoch {}, next sequence {}{}\n", p.stream_id, p.producer_id, p.name.empty() ? "" : " (" + p.name + ")", p.epoch,
               p.current_seq, p.stale ? ", silent" : "");
  for (const auto& c : supervisor.consumers())
    fmt::print(context.out, "  stream {}: consumer {}, epoch {}, last sequence {}, {} dropped by gaps, {} late{}{}\n", c.stream_id, c.consumer_id, c.epoch, c.last_seq,
               c.drops_gap, c.drops_late, c.lag ? fmt::format(", {} behind", *c.lag) : "", c.stale ? ", silent" : "");
}

Exit run_supervisor(const Context& context, const SupervisorArgs& args) {
  ConfigValue file = args.config.empty() ? ConfigValue() : read_toml_file(args.config);
  if (file.find("supervisor") == nullptr) file.as_table()->add("supervisor", ConfigValue());  // all defaults
  Roles roles(role_tree(std::move(file), args.planes), {.driver = false, .supervisor = true, .embedded = args.embedded, .wait = args.wait});
  if (!roles.start(context)) return Exit::kOk;
  roles.serve();
  print_summary(context, roles);
  return Exit::kOk;
}

}  // namespace

void add_supervisor(CLI::App& app, Context& context) {
  auto args = std::make_shared<SupervisorArgs>();
  CLI::App* verb = app.add_subcommand("supervisor", "watch producers and consumers; answer consumers' hellos with policy");
  verb->add_option("--config,-c", args->config, "TOML file with [supervisor]; what it leaves out, from [driver]")->type_name("FILE");
  verb->add_flag("--embedded", args->embedded, "run a media driver in this process, unless one is alive already");
  verb->add_flag("--wait", args->wait, "wait for ever for the media driver");
  add_plane_flags(*verb, args->planes);
  add_common_flags(*verb, context);
  verb->footer(
      "A supervisor is optional. It grants no leases and touches no files; who has gone silent is logged once.\n"
      "A [supervisor] table in a driver's file runs it inside `tidepool driver` and `tidepool up` instead.\n"
      "Ends in order on SIGINT or SIGTERM, with what it knew as its summary.\n"
      "Examples:\n"
      "  tidepool supervisor --aeron-dir /dev/shm/aeron-lab\n"
      "  tidepool supervisor --config lab.toml --json");
  verb->callback([args, &context] { context.action = [args, &context] { return run_supervisor(context, *args); }; });
}

}  // namespace tidepool::cli
