// tidepool version: which build this is.

#include <fmt/format.h>
#include <hdr/hdr_histogram_version.h>
#include <spdlog/version.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "tidepool/cli/build_info.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/verbs.h"
#include "tidepool/wire/messages.h"
#include "tidepool/wire/shm_layout.h"

namespace tidepool::cli {
namespace {

std::vector<std::pair<std::string, std::string>> libraries() {
  return {{"aeron", kAeronVersion},
          {"hdr_histogram", HDR_HISTOGRAM_VERSION},
          {"cli11", CLI11_VERSION},
          {"nlohmann_json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH)},
          {"fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
          {"spdlog", fmt::format("{}.{}.{}", SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH)},
          {"tomlplusplus", kTomlVersion}};
}

Exit run_version(const Context& context) {
  if (context.json) {
    nlohmann::ordered_json object = {{"version", TIDEPOOL_VERSION},
                                     {"commit", kCommit},
                                     {"build_type", kBuildType},
                                     {"compiler", kCompiler},
                                     {"sanitizer", kSanitizer},
                                     {"layout_version", wire::kLayoutVersion},
                                     {"schemas", {{"900", 1}, {"901", 1}, {"910", 1}}}};
    for (const auto& [name, version] : libraries()) object["libraries"][name] = version;
    print_json_line(context, object.dump());
    return Exit::kOk;
  }
  fmt::print(context.out, "tidepool {} (commit {})\n", TIDEPOOL_VERSION, kCommit);
  fmt::print(context.out, "  built      {}, {}{}\n", kCompiler, kBuildType, *kSanitizer != '\0' ? fmt::format(", sanitizer {}", kSanitizer) : "");
  fmt::print(context.out, "  speaks     schemas 900, 901 and 910 version 1, shared-memory layout {}\n", wire::kLayoutVersion);
  std::string line;
  for (const auto& [name, version] : libraries()) line += fmt::format("{}{} {}", line.empty() ? "" : ", ", name, version);
  fmt::print(context.out, "  libraries  {}\n", line);
  return Exit::kOk;
}

}  // namespace

void add_version(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("version", "show version, commit and what was built in");
  add_common_flags(*verb, context);
  verb->footer(
      "Examples:\n"
      "  tidepool version\n"
      "  tidepool version --json");
  verb->callback([&context] { context.action = [&context] { return run_version(context); }; });
}

}  // namespace tidepool::cli
