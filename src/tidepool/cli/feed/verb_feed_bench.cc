// tidepool feed bench: what feeds cost, each figure beside its limit in the same run (bench/feed_*.cc).

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "feed_bench.h"
#include "tidepool/base/error.h"
#include "tidepool/cli/bench_report.h"
#include "tidepool/cli/logging.h"
#include "tidepool/cli/verbs.h"

namespace tidepool::cli {
namespace {

struct FeedBenchArgs {
  std::vector<std::string> names;
  bench::FeedBenchOptions options;
  uint64_t sustained_mib = 1024;
  bool quick = false;
};

Exit run_feed_bench(const Context& context, const FeedBenchArgs& args) {
  start_scenery_log(context.err, context.log);
  const auto head = bench_head();
  bench::FeedBenchOptions options = args.options;
  options.sustained_bytes = args.sustained_mib << 20;
  if (args.quick) {
    options.windows = std::min(options.windows, 3);
    options.sustained_bytes = std::min<uint64_t>(options.sustained_bytes, 256ull << 20);
    options.seek_rows = std::min<uint64_t>(options.seek_rows, 10'000'000);
    options.seek_chunks = std::min<uint64_t>(options.seek_chunks, 100);
  }
  const auto results = bench::measure_feeds(options, args.names, [&](const std::string& what) { show_bench_progress(context, what); });
  end_bench_progress(context);
  if (results.empty()) throw UsageError(concat("no figure's name begins with ", args.names.front()));
  print_bench_results(context, head, results);
  return Exit::kOk;
}

}  // namespace

void add_feed_bench(CLI::App& group, Context& context) {
  auto args = std::make_shared<FeedBenchArgs>();
  if (const char* directory = std::getenv("TMPDIR"); directory != nullptr && *directory != 0) args->options.directory = directory;
  CLI::App* verb = group.add_subcommand("bench", "measure appends, latency, scans, seeks and frames, each figure beside its limit in the same run");
  verb->add_option("name", args->names, "figures whose name begins so, e.g. append, feed/latency, scan/column; default: all");
  verb->add_option("--dir", args->options.directory, "a directory on the disk to be measured")->capture_default_str();
  verb->add_option("--shm-root", args->options.shm_root, "where shared memory is")->capture_default_str();
  verb->add_option("--windows", args->options.windows, "pairs of windows a figure")->check(CLI::Range(1, 1000))->capture_default_str();
  verb->add_option("--sustained-mib", args->sustained_mib, "MiB a window of what the disk takes part in")->check(CLI::Range(64, 1 << 20))->capture_default_str();
  verb->add_option("--seek-rows", args->options.seek_rows, "rows of the feed that is sought in; beside it one of a tenth")
      ->check(CLI::Range(uint64_t{100'000}, uint64_t{10'000'000'000}))
      ->capture_default_str();
  verb->add_option("--seek-chunks", args->options.seek_chunks, "its chunks")->check(CLI::Range(uint64_t{10}, uint64_t{100'000}))->capture_default_str();
  verb->add_flag("--quick", args->quick, "3 short pairs a figure: a glance, not a measurement");
  add_common_flags(*verb, context);
  verb->footer(
      "Subject and limit alternate in short windows; `ratio` is the median of the paired ratios (1 is the limit; for times more is\n"
      "worse, for rates less is worse), `spread` their interquartile range. What is written goes below --dir and is removed.\n"
      "Examples:\n"
      "  tidepool feed bench append/tiered\n"
      "  tidepool feed bench latency --json\n"
      "  tidepool feed bench seek --seek-rows 1000000000 --seek-chunks 10000\n"
      "  tidepool feed bench --quick");
  verb->callback([args, &context] { context.action = [args, &context] { return run_feed_bench(context, *args); }; });
}

}  // namespace tidepool::cli
