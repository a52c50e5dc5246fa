// tidepool up: everything that one file names, in one process.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "tidepool/base/error.h"
#include "tidepool/cli/client_flags.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/driver_settings.h"
#include "tidepool/cli/roles.h"
#include "tidepool/cli/toml_file.h"
#include "tidepool/cli/verbs.h"

namespace tidepool::cli {
namespace {

struct UpArgs {
  PlaneFlags planes;
  std::string file;
  bool wait = false;
  bool check = false;
};

// [aeron] embedded: true unless a directory of somebody else's media driver is named (design 2).
bool embedded(const ConfigValue& file) {
  const ConfigValue* value = file.find("aeron.embedded");
  if (value == nullptr) return file.find("aeron.dir") == nullptr;
  const bool* flag = value->as_bool();
  if (flag == nullptr) throw Error(Code::kInvalidArgument, value->origin(), ": aeron.embedded is a value of type ", value->type_name(), ": expected true or false");
  return *flag;
}

RoleChoice choice_of(const ConfigValue& file, const UpArgs& args) {
  RoleChoice choice;
  for (const char* table : {"driver", "profiles", "streams"}) choice.driver = choice.driver || file.find(table) != nullptr;
  choice.supervisor = file.find("supervisor") != nullptr;
  choice.discovery = file.find("discovery") != nullptr || file.find("discovery_registry") != nullptr;
  choice.embedded = embedded(file);
  choice.wait = args.wait;
  if (!choice.driver && !choice.supervisor && !choice.discovery)
    throw Error(Code::kInvalidArgument, args.file, " names no role: expected a table [driver] with [profiles.*], [supervisor] or [discovery] (an example:  tidepool driver --example)");
  return choice;
}

Exit run_up(const Context& context, const UpArgs& args) {
  ConfigValue file = read_toml_file(args.file);
  const RoleChoice choice = choice_of(file, args);
  Roles roles(role_tree(std::move(file), args.planes), choice);
  if (args.check) {
    if (choice.driver) print_effective(context, roles.driver_config());
    return Exit::kOk;
  }
  if (!roles.start(context)) return Exit::kOk;
  roles.serve();
  if (context.json) {
    nlohmann::ordered_json object = {{"seconds", roles.seconds()}};
    if (roles.driver() != nullptr) object["driver"] = summary_json(*roles.driver());
    if (roles.supervisor() != nullptr) object["supervisor"] = summary_json(*roles.supervisor());
    if (roles.discovery() != nullptr) object["discovery"] = summary_json(*roles.discovery());
    print_json_line(context, object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print(context.out, "up for {:.1f} s\n", roles.seconds());
    if (roles.driver() != nullptr) fmt::print(context.out, "  driver: {}\n", summary_text(*roles.driver()));
    if (roles.supervisor() != nullptr) fmt::print(context.out, "  supervisor: {}\n", summary_text(*roles.supervisor()));
    if (roles.discovery() != nullptr) fmt::print(context.out, "  discovery: {}\n", summary_text(*roles.discovery()));
  }
  return Exit::kOk;
}

}  // namespace

void add_up(CLI::App& app, Context& context) {
  auto args = std::make_shared<UpArgs>();
  CLI::App* verb = app.add_subcommand("up", "run everything that a file names, in one process");
  verb->add_option("file", args->file, "TOML file: [aeron], [driver] and its tables, [supervisor], [discovery] or [discovery_registry]")->type_name("FILE")->required();
  verb->add_flag("--wait", args->wait, "with a media driver of somebody else's: wait for it for ever");
  verb->add_flag("--check", args->check, "check the file, print what would be in force, and leave");
  add_plane_flags(*verb, args->planes);
  add_common_flags(*verb, context);
  verb->footer(
      "A role runs if its table is there. A media driver runs inside, unless one is alive in its directory already, [aeron] embedded is\n"
      "false, or [aeron] dir names another one's directory. A driver's file in the published layout works unchanged.\n"
      "Ends in order on SIGINT or SIGTERM; a second signal ends it at once.\n"
      "With --json the first line on stdout is {\"event\":\"ready\",...}, the last one the summary.\n"
      "Examples:\n"
      "  tidepool up examples/minimal.toml\n"
      "  tidepool up examples/full.toml --aeron-dir /dev/shm/aeron-lab\n"
      "  tidepool up lab.toml --check");
  verb->callback([args, &context] { context.action = [args, &context] { return run_up(context, *args); }; });
}

}  // namespace tidepool::cli
