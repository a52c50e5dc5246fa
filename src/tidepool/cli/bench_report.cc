#include "tidepool/cli/bench_report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "tidepool/cli/build_info.h"

namespace tidepool::cli {
namespace {

std::string cell(double value) {
  return value >= 1e6 ? fmt::format("{:.3g} M", value / 1e6) : value >= 100 ? fmt::format("{:.0f}", value) : fmt::format("{:.2f}", value);
}

void print_table(std::FILE* out, const std::vector<bench::Result>& results) {
  fmt::print(out, "{:<34} {:>10} {:>10}  {:<9} {:>6} {:>7}  {}\n", "name", "value", "limit", "unit", "ratio", "spread", "limit is");
  for (const auto& result : results) {
    fmt::print(out, "{:<34} {:>10} {:>10}  {:<9} {:>6.2f} {:>7.2f}  {}\n", result.name, cell(result.value), cell(result.limit),
               result.unit.size() > 9 ? "frames" : result.unit, result.ratio, result.spread, result.limit_name);
    for (const auto& [key, value] : result.more) fmt::print(out, "{:<34} {:>10}  {}\n", "", cell(value), key);
  }
}

bool shows_progress(const Context& context) { return !context.quiet && ::isatty(::fileno(context.err)) != 0; }

}  // namespace

BenchHead bench_head() {
  auto head = bench::machine_head();
  head.emplace_back("commit", kCommit);
  return head;
}

void show_bench_progress(const Context& context, const std::string& what) {
  if (shows_progress(context)) fmt::print(context.err, "\r\033[Kmeasuring {} ...", what);
}

void end_bench_progress(const Context& context) {
  if (shows_progress(context)) fmt::print(context.err, "\r\033[K");
}

void print_bench_results(const Context& context, const BenchHead& head, const std::vector<bench::Result>& results) {
  if (context.json) {
    nlohmann::ordered_json object;
    for (const auto& [key, value] : head) object["machine"][key] = value;
    object["results"] = nlohmann::ordered_json::array();
    for (const auto& result : results) {
      nlohmann::ordered_json entry = {{"name", result.name},   {"value", result.value},           {"unit", result.unit},
                                      {"limit", result.limit}, {"limit_name", result.limit_name}, {"ratio", result.ratio},
                                      {"spread", result.spread}};
      for (const auto& [key, value] : result.more) entry[key] = value;
      object["results"].push_back(std::move(entry));
    }
    print_json_line(context, object.dump());
    return;
  }
  for (const auto& [key, value] : head) fmt::print(context.out, "{:<7} {}\n", key, value);
  fmt::print(context.out, "\n");
  print_table(context.out, results);
}

}  // namespace tidepool::cli
