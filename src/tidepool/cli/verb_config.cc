// tidepool config check: every fault of a configuration file, before anything is started (config.md 1, 10).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/config_check.h"
#include "tidepool/cli/text.h"
#include "tidepool/cli/toml_file.h"
#include "tidepool/cli/verbs.h"

namespace tidepool::cli {
namespace {

using json = nlohmann::ordered_json;

struct ConfigArgs {
  std::string action;
  std::string file;
  std::string role;
  bool show = false;
  bool strict = false;
  bool no_environment = false;
};

Exit run_config(const Context& context, const ConfigArgs& args) {
  const Environment none = [](const std::string&) { return std::optional<std::string>(); };
  const ConfigValue root = read_toml_file(args.file);
  const CheckedConfig checked = check_config_tree(root, args.no_environment ? none : process_environment(), args.role);
  const auto faults = static_cast<uint64_t>(
      std::count_if(checked.problems.begin(), checked.problems.end(), [](const auto& problem) { return problem.fatal; }));
  const uint64_t warnings = checked.problems.size() - faults;
  const bool ok = faults == 0 && !(args.strict && warnings > 0);
  if (context.json) {
    json object = {{"ok", ok},         {"file", args.file},    {"roles", checked.roles},
                   {"errors", faults}, {"warnings", warnings}, {"problems", json::array()}};
    for (const auto& problem : checked.problems) {
      object["problems"].push_back({{"severity", problem.fatal ? "error" : "warning"},
                                    {"key", problem.key},
                                    {"origin", problem.origin},
                                    {"text", problem.text}});
    }
    if (args.show) {
      object["values"] = json::object();
      for (const auto& value : checked.values) object["values"][value.key] = {{"value", value.value}, {"origin", value.origin}};
    }
    print_json_line(context, object.dump(-1, ' ', false, json::error_handler_t::replace));
    return ok ? Exit::kOk : Exit::kFailed;
  }
  if (args.show) {
    for (const auto& value : checked.values)
      fmt::print(context.out, "{:<42} {:<28} {}\n", value.key, value.value.empty() ? "-" : value.value, value.origin);
  }
  for (const auto& problem : checked.problems) {
    const std::string line = problem.line();
    const auto colon = problem.origin.empty() ? 0 : problem.origin.size() + 2;
    fmt::print(context.err, "{}{}: {}\n", line.substr(0, colon), problem.fatal ? "error" : "warning",
               line.substr(std::min(colon, line.size())));
  }
  std::string roles;
  for (const auto role : checked.roles) roles += fmt::format("{}{}", roles.empty() ? "" : ", ", role);
  fmt::print(context.out, "{}: {} ({}): {}, {}\n", args.file, ok ? "ok" : "cannot be used", roles.empty() ? "nothing" : roles,
             format_count(faults, "error"), format_count(warnings, "warning"));
  return ok ? Exit::kOk : Exit::kFailed;
}

}  // namespace

void add_config(CLI::App& app, Context& context) {
  auto args = std::make_shared<ConfigArgs>();
  CLI::App* verb = app.add_subcommand("config", "check a configuration file: every fault with its line");
  verb->add_option("ACTION", args->action, "check")->required()->check(CLI::IsMember({"check"}).description(""));
  verb->add_option("FILE", args->file, "TOML file")->required();
  verb->add_option("--role", args->role,
                   "only this role's tables: driver, client (default: every role that the file has a table of)")
      ->type_name("NAME");
  verb->add_flag("--show", args->show, "print every value in force and where it comes from");
  verb->add_flag("--strict", args->strict, "unknown keys and other warnings fail, too");
  verb->add_flag("--no-environment", args->no_environment, "judge the file alone, without the environment that goes over it");
  add_common_flags(*verb, context);
  verb->footer(
      "All faults are reported, not only the first: \"lab.toml:12: error: profiles.small.header_nslots is 100: expected a power of "
      "two\".\n"
      "Unknown keys are warnings, since other implementations' files may have more. The driver's tables are [driver], [shm], "
      "[policies],\n"
      "[profiles.*], [streams.*] and [supervisor]; a client's are [client], [producer] and [consumer]. Nothing is started or "
      "touched.\n"
      "--json: ok, file, roles, errors, warnings, problems[{severity, key, origin, text}], and with --show values{key: {value, "
      "origin}}.\n"
      "Exit: 0 it can be used, 1 it cannot (or is no TOML, or not there), 2 usage.\n"
      "Examples:\n"
      "  tidepool config check lab.toml\n"
      "  tidepool config check lab.toml --role driver --show\n"
      "  tidepool config check lab.toml --json | jq -r '.problems[] | .origin + \" \" + .key + \" \" + .text'");
  verb->callback([args, &context] { context.action = [args, &context] { return run_config(context, *args); }; });
}

}  // namespace tidepool::cli
