// tidepool doctor: is this machine ready, and if not, what to type.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "tidepool/cli/command.h"
#include "tidepool/cli/host_checks.h"
#include "tidepool/cli/verbs.h"

namespace tidepool::cli {
namespace {

using json = nlohmann::ordered_json;

struct DoctorArgs {
  Host host;
  std::string config;
};

Exit run_doctor(const Context& context, const DoctorArgs& args) {
  const auto checks = check_host(args.host, args.config);
  const bool ok = std::none_of(checks.begin(), checks.end(), [](const Check& check) { return check.status == Check::Status::kFail; });
  if (context.json) {
    json object = {{"ok", ok}, {"checks", json::array()}};
    for (const Check& check : checks) {
      object["checks"].push_back({{"name", check.name}, {"status", name_of(check.status)}, {"detail", check.detail}, {"todo", check.todo}});
    }
    print_json_line(context, object.dump(-1, ' ', false, json::error_handler_t::replace));
    return ok ? Exit::kOk : Exit::kFailed;
  }
  const bool color = ::isatty(::fileno(context.out)) == 1;
  for (const Check& check : checks) {
    const char* paint = !color ? "" : check.status == Check::Status::kOk ? "\x1b[32m" : check.status == Check::Status::kWarn ? "\x1b[33m" : "\x1b[31m";
    std::string detail = check.detail;
    for (size_t at = 0; (at = detail.find('\n', at)) != std::string::npos; at += 26) detail.replace(at, 1, "\n" + std::string(25, ' '));
    fmt::print(context.out, "{}{:<5}{} {:<18} {}\n", paint, name_of(check.status), color ? "\x1b[0m" : "", check.name, detail);
    if (!check.todo.empty()) fmt::print(context.out, "{:25}-> {}\n", "", check.todo);
  }
  return ok ? Exit::kOk : Exit::kFailed;
}

}  // namespace

void add_doctor(CLI::App& app, Context& context) {
  auto args = std::make_shared<DoctorArgs>();
  CLI::App* verb = app.add_subcommand("doctor", "look at this machine: what is wrong and what to type");
  verb->add_option("--aeron-dir", args->host.aeron_dir, "media driver's directory (default: AERON_DIR, then /dev/shm/aeron-USER)")->type_name("DIR");
  verb->add_option("--config,-c", args->config, "a driver's file: check it too, and the machine for it")->type_name("FILE");
  verb->add_option("--base-dir", args->host.base_dir, "where pools lie (with --config: the file's)")->type_name("DIR")->capture_default_str();
  add_common_flags(*verb, context);
  verb->footer(
      "Each check is ok, warn or fail. Exit: 0 nothing failed, 1 something did.\n"
      "Examples:\n"
      "  tidepool doctor\n"
      "  tidepool doctor --config lab.toml\n"
      "  tidepool doctor --json | jq '.checks[] | select(.status != \"ok\")'");
  verb->callback([args, &context] { context.action = [args, &context] { return run_doctor(context, *args); }; });
}

}  // namespace tidepool::cli
