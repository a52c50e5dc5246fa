// tidepool feed read: a range of a feed to stdout.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "tidepool/base/error.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/cli/feed/frame_lines.h"
#include "tidepool/cli/feed/query_flags.h"
#include "tidepool/cli/feed/read_walk.h"
#include "tidepool/cli/signals.h"

namespace tidepool::cli {
namespace {

struct ReadArgs {
  FeedTarget target;
  RangeFlags range;
  StyleFlags style;
  WalkFlags walk;
  bool count = false;
};

void put(const Context& context, Bytes bytes) {
  // A reader that went away ends it quietly: what cannot be written is seen when results are flushed.
  if (std::fwrite(bytes.data(), 1, bytes.size(), context.out) != bytes.size()) request_stop();
}

feed::ExportReport read_frames(const Context& context, feed::FeedReader& reader, const feed::ExportOptions& options) {
  const FrameEncoder encoder(reader.feed().schema, options.style);
  feed::ExportReport report;
  std::string line;
  encoder.begin(line);
  put(context, std::as_bytes(std::span(line)));
  feed::for_each_piece(reader, options.range, [&](const feed::Batch& piece) {
    if (report.records >= options.limit || stop_requested()) return false;
    if (piece.kind == feed::Item::Kind::kGap) {
      report.gaps.push_back(piece.gap);
      return true;
    }
    const feed::Item item = reader.read(piece.first_seq);
    if (item.kind != feed::Item::Kind::kFrame) {
      report.gaps.push_back(item.gap);
      return true;
    }
    line.clear();
    encoder.frame(line, item);
    put(context, std::as_bytes(std::span(line)));
    if (!report.first_seq) report.first_seq = item.seq;
    report.end_seq = item.seq + 1;
    ++report.records;
    report.bytes += line.size();
    return true;
  });
  report.interrupted = stop_requested();
  return report;
}

ordered_json gaps_json(const std::vector<feed::Gap>& gaps) {
  ordered_json out = ordered_json::array();
  for (const feed::Gap& gap : gaps) out.push_back({{"from", gap.from}, {"to", gap.to}, {"why", gap.text.empty() && gap.cause == feed::GapCause::kRetention ? "expired" : gap.text}});
  return out;
}

Exit tell_read(const Context& context, const ReadArgs& args, feed::FeedReader& reader, const feed::ExportReport& report,
               std::optional<uint64_t> examined) {
  for (const feed::Gap& gap : report.gaps) print_error(context.err, feed::gap_error(reader.feed(), gap).what());
  if (context.json) {
    ordered_json summary = {{"records", report.records},
                            {"first_seq", report.first_seq ? ordered_json(*report.first_seq) : ordered_json(nullptr)},
                            {"end_seq", report.end_seq},
                            {"interrupted", report.interrupted},
                            {"gaps", gaps_json(report.gaps)}};
    if (examined) summary["examined"] = *examined;
    print_json_line(context, dump(summary));
  }
  if (report.interrupted) {
    // A reader that went away needs no telling.
    if (std::ferror(context.out) == 0) print_error(context.err, concat("interrupted: ", report.records, " records were read"));
    return Exit::kFailed;
  }
  if (report.records > 0) return Exit::kOk;
  if (!context.quiet) {
    const uint64_t first = reader.first_seq(), end = std::max(reader.committed_seq(), first);
    print_error(context.err, end == first ? concat("feed ", args.target.name, " is empty")
                                          : concat("no record in that range: feed ", args.target.name, " has records ", first, " to ", end));
  }
  return Exit::kNothing;
}

Exit run_read(const Context& context, const ReadArgs& args) {
  install_signal_handlers();
  const TimeFormat format = TimeFormat::parse(args.style.ts_fmt);
  feed::FeedReader reader = feed::FeedReader::open(args.target.base, args.target.name);
  feed::ExportOptions options;
  options.range = range_of(args.range, reader, format);
  options.limit = args.range.limit;
  options.on_gap = args.range.skip_damaged ? feed::OnGap::kSkip : feed::OnGap::kError;
  options.style =
      style_of(args.style, context.json ? feed::RowFormat::kJsonLines : feed::RowFormat::kText, reader.feed().schema, format);
  const bool binary = options.style.format == feed::RowFormat::kNpy || options.style.format == feed::RowFormat::kRaw;
  if (context.json && binary)
    throw UsageError("--json ends with a line of its own, which npy and raw have no place for; see `export`");
  if (args.style.format.empty()) options.style.sequence = true;
  options.progress = [](uint64_t, uint64_t) { return !stop_requested(); };
  // Damage is found before the first line is out, so that there is no half an answer (F-104, F-150).
  uint64_t count = 0;
  const bool walked = args.walk.any();
  if (walked && !options.range.by_time) options.range.to_seq = std::min(options.range.to_seq, reader.committed_seq());  // F-100
  if (args.count || options.on_gap == feed::OnGap::kError || (walked && options.style.format == feed::RowFormat::kNpy)) {
    count = walked ? count_walk(reader, args.walk, options)
                   : std::min(feed::count_records(reader, options.range, options.on_gap), options.limit);
  }
  if (args.count) {
    context.json ? print_json_line(context, dump({{"records", count}})) : fmt::print(context.out, "{}\n", count);
    return count > 0 ? Exit::kOk : Exit::kNothing;
  }
  const bool frames = reader.feed().schema.layout() == feed::Layout::kFrames;
  std::optional<uint64_t> examined;
  feed::ExportReport report;
  if (walked) {
    if (options.style.format == feed::RowFormat::kNpy) options.limit = count;  // the file has said so
    const WalkReport walk = write_walk(context, reader, args.walk, options, count);
    report = walk.records;
    examined = walk.examined;
  } else {
    report = frames ? read_frames(context, reader, options)
                    : feed::export_rows(reader, options, [&](Bytes bytes) { put(context, bytes); });
  }
  return tell_read(context, args, reader, report, examined);
}

}  // namespace

void add_feed_read(CLI::App& group, Context& context) {
  auto args = std::make_shared<ReadArgs>();
  CLI::App* verb = group.add_subcommand("read", "print records: all, by time, by number, or the newest")->alias("range");
  add_target_flags(*verb, args->target);
  add_range_flags(*verb, args->range);
  add_walk_flags(*verb, args->walk);
  add_style_flags(*verb, args->style, "text (default), csv, jsonl (default with --json), npy, raw");
  verb->add_flag("--count", args->count, "only say how many records there are");
  add_common_flags(*verb, context);
  verb->footer(
      "Ranges are half-open: --to and --to-seq are not in them. A range's end is fixed when it begins; a feed that grows meanwhile "
      "is no\n"
      "trouble. Times are compared with the clock as it was written, in its unit; records come in their order, not sorted by "
      "time.\n"
      "A record that cannot be read ends it with an error before anything is printed; --skip-damaged goes on and tells on stderr.\n"
      "--where looks at blocks as a whole and passes over those whose times exclude them; --every counts what --where leaves, and without\n"
      "it goes by numbers. --pace replays: each record at its time, or with --window all of a window (they begin at multiples of it) when\n"
      "it is over; in jsonl each window ends with {\"event\": \"window\", from_ns, to_ns, records}.\n"
      "--json: a line for each record, then records, first_seq, end_seq, interrupted, gaps[{from, to, why}]; with --where, --every, ...\n"
      "also examined (records that were looked at).\n"
      "Exit: 0 records were found, 1 failed, 2 usage, 3 none in that range.\n"
      "Examples:\n"
      "  tidepool feed read trades --last 5\n"
      "  tidepool feed read trades --from 2026-11-22T10:42 --to 2026-11-22T10:43 --ts-fmt local\n"
      "  tidepool feed read trades --from-seq 1000 --to-seq 2000 --columns time_ns,price --format csv > part.csv\n"
      "  tidepool feed read trades --latest 30s --where 'price > 101.4' --where 'side = B'\n"
      "  tidepool feed range trades --reverse --every 100ms --limit 20\n"
      "  tidepool feed read trades --from 10:42 --pace 4 --format csv | my-strategy\n"
      "  tidepool feed read trades --pace 1 --window 50 --format jsonl\n"
      "  tidepool feed read trades --format npy | python3 -c 'import numpy, sys, io; "
      "print(numpy.load(io.BytesIO(sys.stdin.buffer.read())))'");
  verb->callback([args, &context] { context.action = [args, &context] { return run_read(context, *args); }; });
}

}  // namespace tidepool::cli
