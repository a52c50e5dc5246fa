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
#include "tidepool/feed/blob_export.h"

namespace tidepool::cli {
namespace {

struct ExportArgs {
  FeedTarget target;
  std::string path;
  RangeFlags range;
  StyleFlags style;
  std::string blobs;
  bool resume = false;
  bool force = false;
};

ordered_json json_of(const std::vector<feed::BadPayload>& bad) {
  ordered_json out = ordered_json::array();
  for (const feed::BadPayload& one : bad) out.push_back({{"seq", one.seq}, {"column", one.column}, {"why", one.why}});
  return out;
}

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

Exit tell_export(const Context& context, const ExportArgs& args, const feed::ExportOptions& options,
                 const feed::ExportReport& report, const feed::BlobExport* blobs) {
  if (blobs) {
    for (const feed::BadPayload& bad : blobs->bad())
      print_error(context.err, concat("record ", bad.seq, ", payload of ", bad.column, ": ", bad.why));
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
                                   {"gaps", std::move(gaps)},
                                   {"payloads", blobs ? blobs->payloads() : 0},
                                   {"payload_bytes", blobs ? blobs->bytes() : 0},
                                   {"bad_payloads", blobs ? json_of(blobs->bad()) : ordered_json::array()}}));
  } else {
    fmt::print(context.out, "{}: {}, {}, sha256 {}\n", args.path, format_count(report.records, "record"),
               format_bytes(report.bytes), report.sha256);
    if (blobs) {
      fmt::print(context.out, "{}: {}, {}; {} bad\n", args.blobs, format_count(blobs->payloads(), "payload"),
                 format_bytes(blobs->bytes()), blobs->bad().size());
    }
  }
  return blobs && !blobs->bad().empty() ? Exit::kWrongData : Exit::kOk;
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
      return fmt::format("{}{}, {}", progress_bar(records, all), format_count(records, "record"),
                         format_rate(bytes, static_cast<double>(now_ns - begin_ns) / 1e9));
    });
    return !stop_requested();
  };
  std::optional<feed::BlobExport> blobs;
  if (!args.blobs.empty()) {
    if (args.resume) throw UsageError("--blobs goes with a whole export, not with --resume");
    blobs.emplace(args.target.base, args.target.name, args.blobs, args.force);
    const uint32_t row_bytes = reader.feed().schema.record_bytes();
    options.on_rows = [&, row_bytes](Bytes rows, uint64_t count, uint64_t first_seq) { blobs->take(rows, count, first_seq, row_bytes); };
  }
  const feed::ExportReport report = feed::export_file(reader, options, args.path);
  if (blobs) blobs->finish();
  for (const feed::Gap& gap : report.gaps)
    print_error(context.err, concat("records ", gap.from, " to ", gap.to, " are not in it: ", gap.text));
  if (report.interrupted) {
    const bool kept = !options.range.by_time && options.on_gap == feed::OnGap::kError;
    throw Error(Code::kUnavailable, "interrupted after ", report.records, " records; ",
                kept ? "go on with --resume" : "nothing is left of it");
  }
  return tell_export(context, args, options, report, blobs ? &*blobs : nullptr);
}

}  // namespace

void add_feed_export(CLI::App& group, Context& context) {
  auto args = std::make_shared<ExportArgs>();
  CLI::App* verb = group.add_subcommand("export", "write records to a file: CSV, JSON lines, NPY, raw");
  add_target_flags(*verb, args->target);
  verb->add_option("file,--out,-o", args->path, "the file")->type_name("FILE")->required();
  add_range_flags(*verb, args->range);
  add_style_flags(*verb, args->style, "csv, jsonl, npy, raw, text (default: by the file's ending)");
  verb->add_option("--blobs", args->blobs, "payloads, too, a file each: DIR/<column>/<number>.<codec>")->type_name("DIR");
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
      "A payload that is missing or damaged costs its own file alone, and is told.\n"
      "--json: file, format, records, bytes, sha256, first_seq, end_seq, resumed_records, gaps[], payloads, payload_bytes,\n"
      "        bad_payloads[{seq, column, why}].\n"
      "Exit: 0 done (also an empty range: a file without records), 1 failed or interrupted, 2 usage, 4 bad payloads.\n"
      "Examples:\n"
      "  tidepool feed export trades trades.csv\n"
      "  tidepool feed export trades part.npy --from 2026-11-22 --to 2026-11-23 --columns time_ns,price\n"
      "  tidepool feed export trades big.raw --resume\n"
      "  tidepool feed export shots shots.csv --blobs shots-payloads\n"
      "  sha256sum trades.csv; jq -r .sha256 trades.csv.meta.json");
  verb->callback([args, &context] { context.action = [args, &context] { return run_export(context, *args); }; });
}

}  // namespace tidepool::cli
