// tidepool bench: every figure beside its limit, measured in the same run (bench/).

#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>

#include "latency.h"
#include "throughput.h"
#include "tidepool/base/error.h"
#include "tidepool/cli/bench_report.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/logging.h"
#include "tidepool/cli/verbs.h"

namespace tidepool::cli {
namespace {

struct BenchArgs {
  std::vector<std::string> suites;
  std::vector<std::string> sizes;
  int windows = 21;
  bool quick = false;
};

uint64_t parse_size(const std::string& text) {
  size_t used = 0;
  uint64_t value = 0;
  try {
    value = std::stoull(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const std::string unit = text.substr(used);
  const uint64_t factor = unit.empty() || unit == "B" ? 1 : unit == "KiB" ? 1024 : unit == "MiB" ? 1u << 20 : 0;
  if (used == 0 || factor == 0 || value == 0 || value > (64u << 20) / factor) {
    throw UsageError(concat("--sizes ", text, ": expected a size such as 64B, 640KiB or 8MiB, at most 64MiB"));
  }
  return value * factor;
}

Exit run_bench(const Context& context, const BenchArgs& args) {
  start_scenery_log(context.err, context.log);
  const auto head = bench_head();  // before anything is pinned
  const bool all = args.suites.empty();
  const auto wants = [&](std::string_view suite) {
    return all || std::find(args.suites.begin(), args.suites.end(), suite) != args.suites.end();
  };
  std::vector<uint64_t> sizes;
  for (const auto& size : args.sizes) sizes.push_back(parse_size(size));

  const auto progress = [&](const std::string& what) { show_bench_progress(context, what); };
  std::vector<bench::Result> results;
  const auto add = [&](std::vector<bench::Result> more) { results.insert(results.end(), more.begin(), more.end()); };
  if (wants("latency")) {
    bench::LatencyOptions options;
    options.windows = args.windows;
    if (args.quick) options.windows = 5;
    if (!sizes.empty()) options.sizes_bytes = sizes;
    add(bench::measure_latency(options, progress));
  }
  if (wants("throughput")) {
    bench::ThroughputOptions options;
    options.windows = args.windows;
    if (args.quick) {
      options.windows = 5;
      options.stopped_pairs = 3;
    }
    if (!sizes.empty()) options.sizes_bytes = sizes;
    add(bench::measure_throughput(options, progress));
  }
  end_bench_progress(context);
  print_bench_results(context, head, results);
  return Exit::kOk;
}

}  // namespace

void add_bench(CLI::App& app, Context& context) {
  auto args = std::make_shared<BenchArgs>();
  CLI::App* verb = app.add_subcommand("bench", "measure latency and throughput, each figure beside its limit in the same run");
  verb->add_option("suite", args->suites, "latency, throughput; default: both")->check(CLI::IsMember({"latency", "throughput"}));
  verb->add_option("--sizes", args->sizes, "payload sizes, e.g. 64B,640KiB,8MiB")->delimiter(',');
  verb->add_option("--windows", args->windows, "pairs of 50 ms windows a figure")->check(CLI::Range(1, 1000))->capture_default_str();
  verb->add_flag("--quick", args->quick, "5 pairs a figure: a glance, not a measurement");
  add_common_flags(*verb, context);
  verb->footer(
      "Subject and limit alternate in windows of about 50 ms; `ratio` is the median of the paired ratios (1 is the limit; for\n"
      "times more is worse, for rates less is worse), `spread` their interquartile range. Two processes, pinned when there are CPUs.\n"
      "Examples:\n"
      "  tidepool bench latency\n"
      "  tidepool bench throughput --sizes 640KiB --json\n"
      "  tidepool bench --quick");
  verb->callback([args, &context] { context.action = [args, &context] { return run_bench(context, *args); }; });
}

void add_bench_peer(CLI::App& app, Context& context) {
  auto options = std::make_shared<bench::PeerOptions>();
  CLI::App* verb = app.add_subcommand("bench-peer", "the other process of a benchmark; started by `tidepool bench`");
  verb->group("");  // not in --help
  verb->add_option("--world", options->world_dir)->required();
  verb->add_option("--role", options->role)->required();
  verb->add_option("--index", options->index);
  verb->add_option("--cpu", options->cpu);
  verb->add_flag("--sleep", options->sleep);
  verb->callback([options, &context] { context.action = [options] { return static_cast<Exit>(bench::run_peer(*options)); }; });
}

}  // namespace tidepool::cli
