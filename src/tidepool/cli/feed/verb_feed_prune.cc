// tidepool feed prune: retention by hand, and what makes a machine do it by itself (F-125 to F-131).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <memory>
#include <thread>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/durations.h"
#include "tidepool/cli/feed/event_sink.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/cli/feed/target.h"
#include "tidepool/cli/feed/timer_units.h"
#include "tidepool/cli/progress.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/text.h"
#include "tidepool/feed/retention.h"

namespace tidepool::cli {
namespace {

struct PruneArgs {
  std::string base;
  std::string name;
  bool dry_run = false;
  bool force = false;
  bool wait = false;
  bool events = false;
  bool print_systemd = false;
  bool print_cron = false;
  double max_age_s = 0;
  double grace_s = 60;
  uint64_t max_bytes = 0;
  uint64_t max_chunks = 0;
  uint64_t quota = 0;
  uint64_t min_free = 0;
};

feed::PruneOptions options_of(const PruneArgs& args) {
  feed::PruneOptions options;
  options.run.dry_run = args.dry_run;
  options.run.force = args.force;
  options.run.grace_ns = duration_ns(args.grace_s);
  options.feed = args.name;
  options.limits = {duration_ns(args.max_age_s), args.max_bytes, args.max_chunks};
  options.quota_bytes = args.quota;
  options.min_free_bytes = args.min_free;
  return options;
}

void wait_for_grace(double seconds) {
  install_signal_handlers();
  const uint64_t until_ns = monotonic_ns() + duration_ns(seconds) + kNsPerMs;
  while (!stop_requested() && monotonic_ns() < until_ns) std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

// The same run again, as words.
std::vector<std::string> words_of(const PruneArgs& args) {
  std::vector<std::string> words{"feed", "prune", "--base", std::filesystem::absolute(args.base).string(), "--quiet"};
  if (!args.name.empty()) words.push_back(args.name);
  const auto add = [&](const char* flag, const std::string& value) { words.insert(words.end(), {flag, value}); };
  if (args.max_age_s > 0) add("--max-age", fmt::format("{:.0f}s", args.max_age_s));
  if (args.max_bytes > 0) add("--max-bytes", fmt::format("{}", args.max_bytes));
  if (args.max_chunks > 0) add("--max-chunks", fmt::format("{}", args.max_chunks));
  if (args.quota > 0) add("--quota", fmt::format("{}", args.quota));
  if (args.min_free > 0) add("--min-free", fmt::format("{}", args.min_free));
  if (args.events) words.push_back("--events");
  return words;
}

Exit print_units(const Context& context, const PruneArgs& args) {
  const std::string description = concat("retention of the tidepool feeds in ", args.base);
  const std::string text =
      args.print_cron ? cron_line(words_of(args)) : systemd_units("tidepool-feed-prune", description, words_of(args));
  if (context.json) {
    print_json_line(context, dump({{"command", shell_command(words_of(args))}, {"text", text}, {"installed", false}}));
  } else {
    fmt::print(context.out, "{}", text);
  }
  return Exit::kOk;
}

feed::RetentionReport prune(const Context& context, const PruneArgs& args) {
  Progress progress(context);
  feed::PruneOptions options = options_of(args);
  uint64_t done = 0;
  options.progress = [&](const std::string& name, const feed::RetentionReport& so_far) {
    ++done;
    progress.update(monotonic_ns(), [&] {
      return fmt::format("{}: {} looked at, {} expired, {} removed", name, format_count(done, "feed"),
                         format_count(so_far.expired.size(), "chunk"), format_count(so_far.removed.size(), "file"));
    });
  };
  return feed::prune_base(args.base, options);
}

Exit run_prune(const Context& context, const PruneArgs& args) {
  if (args.print_systemd || args.print_cron) return print_units(context, args);
  feed::RetentionReport report = prune(context, args);
  if (args.wait && !args.dry_run && (report.waiting > 0 || !report.expired.empty())) {
    wait_for_grace(args.grace_s);
    feed::RetentionReport rest = prune(context, args);
    std::move(rest.expired.begin(), rest.expired.end(), std::back_inserter(report.expired));
    std::move(rest.removed.begin(), rest.removed.end(), std::back_inserter(report.removed));
    report.waiting = rest.waiting;
    report.waiting_bytes = rest.waiting_bytes;
  }
  const uint64_t untold = tell_events(context, args.base, args.events && !args.dry_run, report);
  uint64_t bytes = 0;
  for (const feed::ExpiredChunk& chunk : report.expired) bytes += chunk.bytes;
  if (context.json) {
    ordered_json expired = ordered_json::array(), removed = ordered_json::array();
    for (const feed::ExpiredChunk& chunk : report.expired) {
      expired.push_back({{"feed", chunk.feed},
                         {"ordinal", chunk.ordinal},
                         {"first_seq", chunk.first_seq},
                         {"end_seq", chunk.end_seq},
                         {"bytes", chunk.bytes},
                         {"why", chunk.why}});
    }
    for (const feed::RemovedFile& file : report.removed) removed.push_back({{"feed", file.feed}, {"path", file.path}});
    print_json_line(context, dump({{"base", args.base},
                                   {"dry_run", args.dry_run},
                                   {"feeds", report.feeds},
                                   {"expired", std::move(expired)},
                                   {"expired_bytes", bytes},
                                   {"removed", std::move(removed)},
                                   {"waiting", report.waiting},
                                   {"waiting_bytes", report.waiting_bytes},
                                   {"events_dropped", untold},
                                   {"warnings", report.warnings}}));
  } else {
    const char* would = args.dry_run ? "would " : "";
    for (const feed::ExpiredChunk& chunk : report.expired) {
      fmt::print(context.out, "{}expire {} chunk {}: records {} to {}, {}: {}\n", would, chunk.feed, chunk.ordinal, chunk.first_seq,
                 chunk.end_seq, format_bytes(chunk.bytes), chunk.why);
    }
    for (const feed::RemovedFile& file : report.removed) fmt::print(context.out, "{}remove {}\n", would, file.path);
    for (const std::string& warning : report.warnings) fmt::print(context.err, "tidepool: {}\n", warning);
    fmt::print(context.out, "{}: {}: {} expired ({}), {} removed, {} wait for their time of grace\n", args.base,
               format_count(report.feeds, "feed"), format_count(report.expired.size(), "chunk"), format_bytes(bytes),
               format_count(report.removed.size(), "file"), report.waiting);
  }
  return Exit::kOk;
}

}  // namespace

void add_feed_prune(CLI::App& group, Context& context) {
  auto args = std::make_shared<PruneArgs>();
  CLI::App* verb = group.add_subcommand("prune", "let old records go: by age, bytes, chunks, a quota or free space");
  verb->add_option("name,--feed", args->name, "this feed only")->type_name("NAME");
  add_base_flag(*verb, args->base);
  verb->add_flag("--dry-run,-n", args->dry_run, "say exactly what a run would do");
  verb->add_option("--max-age", args->max_age_s, "instead of the feeds' own retention")
      ->type_name("DURATION")
      ->transform(duration());
  verb->add_option("--max-bytes", args->max_bytes, "of records, for each feed, instead of its own limit")
      ->type_name("BYTES")
      ->transform(size_in_bytes());
  verb->add_option("--max-chunks", args->max_chunks, "for each feed")->type_name("N");
  verb->add_option("--quota", args->quota, "of records, all feeds together")
      ->type_name("BYTES")
      ->transform(size_in_bytes());
  verb->add_option("--min-free", args->min_free, "on the base's disk: oldest chunks go until there is so much")
      ->type_name("BYTES")
      ->transform(size_in_bytes());
  verb->add_option("--grace", args->grace_s, "between the entry and the end of the files")
      ->type_name("DURATION")
      ->transform(duration())
      ->default_str("60s");
  verb->add_flag("--wait", args->wait, "wait for the time of grace and remove the files");
  verb->add_flag("--force", args->force, "although the clock seems to have stepped");
  verb->add_flag("--events", args->events, "write what was done to the feed system.events");
  auto* systemd = verb->add_flag("--print-systemd", args->print_systemd, "print units that run this every 15 minutes; nothing is installed");
  verb->add_flag("--print-cron", args->print_cron, "print a crontab line that does; nothing is installed")->excludes(systemd);
  add_common_flags(*verb, context);
  verb->footer(
      "Whole chunks, oldest first; never one that is open, not durable, pinned, or a feed's newest. Readers are told of the gap, "
      "and who has\n"
      "a chunk mapped keeps it. More than half of a feed goes by age only if the clocks have moved plausibly since the last run; "
      "else the\n"
      "next run an hour later, or --force. A writer and `persistd` do this by themselves with each feed's own limits.\n"
      "--json: base, dry_run, feeds, expired[{feed, ordinal, first_seq, end_seq, bytes, why}], expired_bytes, removed[{feed, "
      "path}], waiting,\n"
      "        waiting_bytes, events_dropped, warnings[].\n"
      "Exit: 0 done, 1 could not (another prune runs), 2 usage.\n"
      "Examples:\n"
      "  tidepool feed prune --dry-run --base /data/feeds\n"
      "  tidepool feed prune trades --max-age 30d\n"
      "  tidepool feed prune --min-free 20GiB --grace 0 --json\n"
      "  tidepool feed prune --quota 200GiB --print-systemd");
  verb->callback([args, &context] { context.action = [args, &context] { return run_prune(context, *args); }; });
}

}  // namespace tidepool::cli
