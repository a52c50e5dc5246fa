// tidepool feed export: a range into a file, whole or not at all (F-151).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "tidepool/base/error.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/cli/feed/query_flags.h"
#include "tidepool/cli/progress.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/text.h"

namespace tidepool::cli {
namespace {

struct ExportArgs {
  FeedTarget target;
  std::string path;
  RangeFlags range;
  StyleFlags style;
  bool resume = false;
  bool force = false;
};

feed::RowFormat format_of_path(const std::string& path) {
  const size_t dot = path.rfind('.');
  const std::string ending = dot == std::string::npos ? "" : path.substr(dot + 1);
  if (ending == "csv" || ending == "tsv") return feed::RowFormat::kCsv;
  if (ending == "jsonl" || ending == "ndjson") return feed::RowFormat::kJsonLines;
  if (ending == "npy") return feed::RowFormat::kNpy;
  if (ending == "raw" || ending == "bin") return feed::RowFormat::kRaw;
  if (ending == "txt") return feed::RowFormat::kText;
  throw UsageError(concat("--format is missing, and '", path, "' does not end in csv, jsonl, npy, raw or txt"));
}

Exit run_export(const Context& context, const ExportArgs& args) {
  install_signal_handlers();
  const TimeFormat format = TimeFormat::parse(args.style.ts_fmt);
  feed::FeedReader reader = feed::FeedReader::open(args.target.base, args.target.name);
  if (!args.force && std::filesystem::exists(args.path))
    throw Error(Code::kRejected, args.path, " exists: remove it, or write over it with --force");
  feed::ExportOptions options;
  options.range = range_of(args.range, reader, format);
  options.limit = args.range.limit;
  options.on_gap = args.range.skip_damaged ? feed::OnGap::kSkip : feed::OnGap::kError;
  const feed::RowFormat fallback = args.style.format.empty() ? format_of_path(args.path) : feed::RowFormat::kCsv;
  options.style = style_of(args.style, fallback, reader.feed().schema, format);
  options.resume = args.resume;
  options.keep_partial = true;
  Progress progress(context);
  const uint64_t begin_ns = monotonic_ns();
  const uint64_t all = options.range.by_time ? 0 : options.range.to_seq - std::min(options.range.from_seq, options.range.to_seq);
  options.progress = [&](uint64_t records, uint64_t bytes) {
    const uint64_t now_ns = monotonic_ns();
    progress.update(now_ns, [&] {
      return fmt::format("{}{}, {}", format_count(records, "record"), all > 0 ? fmt::format(" ({} %)", records * 100 / all) : "",
                         format_rate(bytes, static_cast<double>(now_ns - begin_ns) / 1e9));
    });
    return !stop_requested();
  };
  const feed::ExportReport report = feed::export_file(reader, options, args.path);
  for (const feed::Gap& gap : report.gaps)
    print_error(context.err, concat("records ", gap.from, " to ", gap.to, " are not in it: ", gap.text));
  if (report.interrupted) {
    const bool kept = !options.range.by_time && options.on_gap == feed::OnGap::kError;
    throw Error(Code::kUnavailable, "interrupted after ", report.records, " records; ",
                kept ? "go on with --resume" : "nothing is left of it");
  }
  if (context.json) {
    ordered_json gaps = ordered_json::array();
    for (const feed::Gap& gap : report.gaps) gaps.push_back({{"from", gap.from}, {"to", gap.to}, {"why", gap.text}});
    print_json_line(context, dump({{"file", args.path},
                                   {"format", feed::format_name(options.style.format)},
                                   {"records", report.records},
                                   {"bytes", report.bytes},
                                   {"sha256", report.sha256},
                                   {"first_seq", report.first_seq ? ordered_json(*report.first_seq) : ordered_json(nullptr)},
                                   {"end_seq", report.end_seq},
                                   {"resumed_records", report.resumed_records},
                                   {"gaps", std::move(gaps)}}));
  } else {
    fmt::print(context.out, "{}: {}, {}, sha256 {}\n", args.path, format_count(report.records, "record"),
               format_bytes(report.bytes), report.sha256);
  }
  return Exit::kOk;
}

}  // namespace

void add_feed_export(CLI::App& group, Context& context) {
  auto args = std::make_shared<ExportArgs>();
  CLI::App* verb = group.add_subcommand("export", "write records to a file: CSV, JSON lines, NPY, raw");
  add_target_flags(*verb, args->target);
  verb->add_option("file,--out,-o", args->path, "the file")->type_name("FILE")->required();
  add_range_flags(*verb, args->range);
  add_style_flags(*verb, args->style, "csv, jsonl, npy, raw, text (default: by the file's ending)");
  verb->add_flag("--resume", args->resume, "go on with what an interrupted export to this file left");
  verb->add_flag("--force", args->force, "write over a file that is there");
  add_common_flags(*verb, context);
  verb->footer(
      "The file appears when it is complete and synced; until then it is FILE.partial. Beside it FILE.meta.json says records, "
      "bytes, sha256,\n"
      "range and gaps. Numbers are written so that they read back the same; bytes as hexadecimal digits; padding is left out, but "
      "for raw\n"
      "without --columns, which holds the rows as they are stored. npy: a structured array, or a plain one with a single "
      "--columns.\n"
      "--json: file, format, records, bytes, sha256, first_seq, end_seq, resumed_records, gaps[].\n"
      "Exit: 0 done (also an empty range: a file without records), 1 failed or interrupted, 2 usage.\n"
      "Examples:\n"
      "  tidepool feed export trades trades.csv\n"
      "  tidepool feed export trades part.npy --from 2026-11-22 --to 2026-11-23 --columns time_ns,price\n"
      "  tidepool feed export trades big.raw --resume\n"
      "  sha256sum trades.csv; jq -r .sha256 trades.csv.meta.json");
  verb->callback([args, &context] { context.action = [args, &context] { return run_export(context, *args); }; });
}

}  // namespace tidepool::cli
