// tidepool feed datasets: the times in which several feeds were all captured, as a manifest to train on (F-116 to F-118).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>

#include "tidepool/cli/command.h"
#include "tidepool/cli/feed/dataset_manifest.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/cli/feed/target.h"
#include "tidepool/cli/feed/time_text.h"
#include "tidepool/cli/text.h"

namespace tidepool::cli {
namespace {

struct DatasetsArgs {
  std::string base;
  std::vector<std::string> sources;
  std::vector<std::string> feeds;
  std::string status = "usable";
  std::string time = "epoch";
  std::string out;
  std::string verify;
  double min_duration_s = 0;
  double ratio = 0.8;
  double embargo_s = 0;
  size_t show_top = 20;
  size_t folds = 0;
  size_t walk_forward = 0;
  bool closed_only = false;
  bool checksums = false;
};

uint64_t ns_of(double seconds, std::string_view flag) {
  if (!(seconds >= 0 && seconds < 1e9)) throw UsageError(concat(flag, ": expected 0 to 1e9 seconds"));
  return static_cast<uint64_t>(std::llround(seconds * 1e9));
}

std::vector<feed::FeedSource> sources_of(const DatasetsArgs& args) {
  std::vector<feed::FeedSource> sources;
  for (const std::string& text : args.sources) {
    sources.push_back(feed::parse_source(text));
    const auto same = [&](const feed::FeedSource& other) { return other.alias == sources.back().alias; };
    if (std::count_if(sources.begin(), sources.end(), same) > 1)
      throw UsageError(concat("two sources are called '", sources.back().alias, "'"));
  }
  if (sources.empty() && args.base.empty())
    throw UsageError("which feeds? Give --base DIR, or --source ALIAS=DIR for each of several bases");
  if (sources.empty()) sources.push_back({"", args.base});
  return sources;
}

std::vector<feed::Split> folds_of(const DatasetsArgs& args, const std::optional<feed::Interval>& longest) {
  const uint64_t embargo_ns = ns_of(args.embargo_s, "--embargo-seconds");
  if (!longest) return {};
  if (args.folds != 0) return feed::k_folds(*longest, args.folds, embargo_ns);
  if (args.walk_forward != 0) return feed::walk_forward(*longest, args.walk_forward, 0, embargo_ns);
  return {};
}

constexpr feed::Clock kWall{.domain = feed::ClockDomain::kWall};

std::string span_text(const feed::Interval& interval, const TimeFormat& time) {
  return fmt::format("{} to {}  ({})", time.text(interval.from, kWall), time.text(interval.to, kWall), format_ns(interval.duration()));
}

void print_dataset(std::FILE* out, const DatasetManifest& manifest, const feed::Dataset& dataset, size_t show_top,
                   const TimeFormat& time) {
  for (const feed::DatasetFeed& feed : dataset.feeds) {
    fmt::print(out, "{}: {}\n", feed.ref.text(), format_count(feed.usable.size(), "span"));
    for (const std::string& remark : feed.remarks) fmt::print(out, "  {}\n", remark);
  }
  auto windows = manifest.windows;
  std::stable_sort(windows.begin(), windows.end(),
                   [](const auto& a, const auto& b) { return a.interval.duration() > b.interval.duration(); });
  fmt::print(out, "{} in common{}\n", format_count(windows.size(), "window"),
             windows.size() > show_top ? concat(", the longest ", show_top, ":") : "");
  windows.resize(std::min(windows.size(), show_top));
  for (const auto& window : windows) {
    fmt::print(out, "  {}\n", span_text(window.interval, time));
    for (const feed::WindowContent& content : window.content) {
      fmt::print(out, "    {}: {} from {} on, {}{}\n", content.feed, format_count(content.records, "record"), content.first_seq,
                 format_bytes(content.bytes), content.gaps.empty() ? "" : concat(", ", content.gaps.size(), " gaps"));
    }
  }
  if (manifest.recommended) {
    fmt::print(out, "train       {}\nvalidation  {}\n", span_text(manifest.recommended->train.front(), time),
               span_text(manifest.recommended->validation, time));
  }
  for (size_t i = 0; i < manifest.folds.size(); ++i) {
    for (const feed::Interval& train : manifest.folds[i].train)
      fmt::print(out, "fold {} train       {}\n", i, span_text(train, time));
    fmt::print(out, "fold {} validation  {}\n", i, span_text(manifest.folds[i].validation, time));
  }
}

Exit run_verify(const Context& context, const std::string& path) {
  const DatasetManifest manifest = read_manifest(path);
  feed::DatasetOptions options;
  options.segments = feed::segment_filter_named(manifest.status_filter);
  const feed::Dataset dataset = feed::find_dataset(manifest.refs, options);
  std::vector<std::string> differences;
  size_t checked = 0;
  for (const auto& window : manifest.windows) {
    if (window.content.empty()) continue;
    ++checked;
    const bool checksum =
        std::any_of(window.content.begin(), window.content.end(), [](const auto& content) { return content.crc != 0; });
    for (std::string& line : feed::content_differences(window.content, feed::window_content(dataset, window.interval, checksum)))
      differences.push_back(std::move(line));
  }
  if (checked == 0) throw UsageError(concat(path, " says nothing of its content: it was made without --out or --checksums"));
  if (context.json) {
    print_json_line(context,
                    dump({{"manifest", path}, {"windows", checked}, {"same", differences.empty()}, {"differences", differences}}));
  } else {
    for (const std::string& line : differences) fmt::print(context.out, "{}\n", line);
    fmt::print(context.out, "{}: {} checked, {}\n", path, format_count(checked, "window"),
               differences.empty() ? "as they were" : "not as they were");
  }
  return differences.empty() ? Exit::kOk : Exit::kWrongData;
}

Exit run_datasets(const Context& context, const DatasetsArgs& args) {
  if (!args.verify.empty()) return run_verify(context, args.verify);
  if (args.feeds.empty()) throw UsageError("which feeds? Name them, or --verify a manifest");
  const TimeFormat time = TimeFormat::parse(args.time);
  DatasetManifest manifest;
  manifest.sources = sources_of(args);
  manifest.status_filter = args.status;
  manifest.ratio = args.ratio;
  for (const std::string& text : args.feeds) manifest.refs.push_back(feed::parse_feed_ref(text, manifest.sources));
  feed::DatasetOptions options;
  options.segments = feed::segment_filter_named(args.status);
  options.include_open = !args.closed_only;
  options.min_duration_ns = ns_of(args.min_duration_s, "--min-duration-seconds");
  const feed::Dataset dataset = feed::find_dataset(manifest.refs, options);
  for (const feed::Interval& window : dataset.windows) {
    manifest.windows.push_back({window, {}});
    if (args.checksums || !args.out.empty())
      manifest.windows.back().content = feed::window_content(dataset, window, args.checksums);
  }
  if (const auto longest = dataset.longest()) {
    manifest.recommended = feed::split_window(*longest, args.ratio, ns_of(args.embargo_s, "--embargo-seconds"));
  } else if (!(args.ratio > 0 && args.ratio < 1)) {
    throw UsageError("--train-ratio: expected more than 0 and less than 1");
  }
  manifest.folds = folds_of(args, dataset.longest());
  const ordered_json json = manifest_json(manifest, dataset);
  if (!args.out.empty()) write_manifest(args.out, json);
  if (context.json) {
    print_json_line(context, dump(json));
  } else {
    print_dataset(context.out, manifest, dataset, args.show_top, time);
    if (!args.out.empty()) fmt::print(context.out, "wrote {}\n", args.out);
  }
  return manifest.windows.empty() ? Exit::kNothing : Exit::kOk;
}

}  // namespace

void add_feed_datasets(CLI::App& group, Context& context) {
  auto args = std::make_shared<DatasetsArgs>();
  CLI::App* verb = group.add_subcommand("datasets", "the times in which several feeds were all captured");
  verb->add_option("feeds,--feed,--feeds,--feed-ref,--feed-refs", args->feeds,
                   "the feeds: NAME, ALIAS:NAME of a source, either with @CLOCK")
      ->type_name("FEED");
  add_base_flag(*verb, args->base)->required(false);
  verb->add_option("--source", args->sources, "one of several bases, and what it is called here (repeat)")->type_name("ALIAS=DIR");
  verb->add_option("--status", args->status, "which segments: usable (default), all, closed, crash_closed, open")
      ->type_name("STATUS");
  verb->add_flag("--closed-only", args->closed_only, "leave out the segment that is still being captured");
  verb->add_option("--min-duration-seconds", args->min_duration_s, "leave out shorter windows")->type_name("SECONDS");
  verb->add_option("--train-ratio", args->ratio, "part of the longest window to train on (default 0.8)")->type_name("RATIO");
  auto* folds = verb->add_option("--folds", args->folds, "and that many folds of the longest window")->type_name("K");
  verb->add_option("--walk-forward", args->walk_forward, "and that many validations, each after all that it is trained on")
      ->type_name("STEPS")
      ->excludes(folds);
  verb->add_option("--embargo-seconds", args->embargo_s, "left out between training and validation")->type_name("SECONDS");
  verb->add_option("--show-top", args->show_top, "print the longest windows only (default 20)")->type_name("COUNT");
  verb->add_option("--out", args->out, "write the manifest, with what lies in each window")->type_name("FILE");
  verb->add_flag("--checksums", args->checksums, "with a checksum of every record of the windows (reads them)");
  verb->add_option("--verify", args->verify, "does a manifest's content still exist, unchanged?")->type_name("FILE");
  add_time_flag(*verb, args->time);
  add_common_flags(*verb, context);
  verb->footer(
      "All times are nanoseconds whatever the clocks' units; windows are half-open. Feeds of a monotonic and of a wall clock have "
      "no time\n"
      "in common and are refused.\n"
      "--json, and FILE: format_version, created_at_us, base_path and feeds[], or mode, sources{} and feed_refs[], status_filter,\n"
      "intervals[{start_ns, end_ns, duration_ns, content[{feed, base_id, feed_id, first_seq, end_seq, records, bytes, "
      "first_epoch,\n"
      "last_epoch, crc32c, gaps}]}], recommended{train[], validation, train_ratio}, folds[], remarks[].\n"
      "Exit: 0, 1 a feed cannot be read, 2 usage, 3 no window in common, 4 --verify found a difference.\n"
      "Examples:\n"
      "  tidepool feed datasets trades quotes --base /data/feeds\n"
      "  tidepool feed datasets a:trades b:trades --source a=/data/a --source b=/data/b --out windows.json --checksums\n"
      "  tidepool feed datasets --verify windows.json");
  verb->callback([args, &context] { context.action = [args, &context] { return run_datasets(context, *args); }; });
}

}  // namespace tidepool::cli
