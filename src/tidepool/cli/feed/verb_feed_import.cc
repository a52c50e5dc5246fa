// tidepool feed import: a file of another program into a feed, which is made if it is not there (F-152).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "tidepool/base/error.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/durations.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/cli/feed/source_flags.h"
#include "tidepool/cli/feed/target.h"
#include "tidepool/cli/signals.h"
#include "tidepool/feed/deepwater.h"

namespace tidepool::cli {
namespace {

struct ImportArgs {
  FeedTarget target;
  std::string path, source_feed, format, storage = "tiered", shm_root = "/dev/shm";
  uint64_t chunk_bytes = uint64_t{64} << 20;
  SourceFlags source;
  bool aligned = false;
  bool check = false;
};

std::string format_of(const ImportArgs& args) {
  if (!args.format.empty()) {
    if (args.format != "csv" && args.format != "npy" && args.format != "raw" && args.format != "deepwater") {
      throw UsageError("--format: expected csv, npy, raw or deepwater");
    }
    return args.format;
  }
  const size_t dot = args.path.rfind('.');
  const std::string ending = dot == std::string::npos ? "" : args.path.substr(dot + 1);
  if (ending == "csv" || ending == "tsv" || ending == "txt") return "csv";
  if (ending == "npy" || ending == "raw") return ending;
  if (ending == "bin") return "raw";
  throw UsageError(concat("--format is missing, and '", args.path, "' does not end in csv, npy or raw"));
}

std::optional<feed::FeedInfo> existing(const FeedTarget& target) {
  try {
    return feed::find_feed(target.base, target.name, feed::Files::system());
  } catch (const feed::FeedError& error) {
    if (error.fault() == feed::Fault::kBaseNotFound || feed::is_missing(error.fault())) return std::nullopt;
    throw;
  }
}

Exit run_deepwater(const Context& context, const ImportArgs& args) {
  feed::DeepwaterFeed from = feed::open_deepwater_feed(args.path, args.source_feed.empty() ? args.target.name : args.source_feed);
  from.options.shm_root = args.shm_root;
  for (const std::string& remark : from.remarks) print_error(context.err, remark);
  uint64_t records = 0;
  for (const feed::DeepwaterChunk& chunk : from.chunks) records += chunk.records;
  if (args.check) {
    if (context.json) {
      print_json_line(context, dump({{"feed", args.target.name},
                                     {"exists", existing(args.target).has_value()},
                                     {"records", records},
                                     {"remarks", from.remarks},
                                     {"schema", schema_json(from.schema)}}));
    } else {
      fmt::print(context.out, "would create {} with {} records: {}\n", args.target.name, records, fields_text(from.schema));
    }
    return Exit::kOk;
  }
  // Records that are there already would come a second time (F-12).
  if (existing(args.target)) {
    throw Error(Code::kRejected, "feed ", args.target.name, " exists: give another name, and the old one with --source-feed ",
                from.name);
  }
  feed::create_feed(args.target.base, args.target.name, from.schema, from.options);
  feed::FeedWriter writer = feed::FeedWriter::open(args.target.base, args.target.name);
  return import_into(context, *feed::deepwater_rows(from), writer, args.source, from.directory, false, true);
}

Exit run_import(const Context& context, const ImportArgs& args) {
  install_signal_handlers();
  feed::check_feed_name(args.target.name);
  const std::string format = format_of(args);
  if (format == "deepwater") return run_deepwater(context, args);
  feed::SourceOptions options = source_options(args.source);
  options.aligned = args.aligned;
  const auto found = existing(args.target);
  if (!found && format == "raw") throw UsageError("raw rows do not say what they are: create the feed first");
  const feed::Schema schema = found             ? found->schema
                              : format == "csv" ? feed::guess_csv_schema(args.path, options)
                                                : feed::npy_schema(args.path, options);
  feed::FeedOptions feed_options;
  feed_options.storage = feed::storage_named(args.storage);
  feed_options.chunk_bytes = args.chunk_bytes;
  feed_options.shm_root = args.shm_root;
  if (!found) feed::check_options(schema, feed_options);
  const auto source = format == "csv"   ? feed::open_csv(args.path, schema, options)
                      : format == "npy" ? feed::open_npy(args.path, schema, options)
                                        : feed::open_raw(args.path, schema);
  if (args.check) {
    // The columns of a CSV file are held against the feed's when its first row is read.
    std::vector<std::byte> row;
    std::vector<uint64_t> place;
    source->read(row, place, 1, [](const feed::Rejected&) {});
    if (context.json) {
      print_json_line(context, dump({{"feed", args.target.name}, {"exists", found.has_value()}, {"schema", schema_json(schema)}}));
    } else {
      fmt::print(context.out, "{} {}: {}\n", found ? "into" : "would create", args.target.name, fields_text(schema));
    }
    return Exit::kOk;
  }
  if (!found) feed::create_feed(args.target.base, args.target.name, schema, feed_options);
  feed::WriterOptions writer_options;
  writer_options.text = "tidepool feed import";
  writer_options.allow_network_fs = args.source.allow_network_fs;
  feed::FeedWriter writer = feed::FeedWriter::open(args.target.base, args.target.name, writer_options);
  return import_into(context, *source, writer, args.source, args.path, false, !found);
}

}  // namespace

void add_feed_import(CLI::App& group, Context& context) {
  auto args = std::make_shared<ImportArgs>();
  CLI::App* verb = group.add_subcommand("import", "take in a file: CSV, NPY, raw rows, or a Deepwater base");
  add_target_flags(*verb, args->target);
  verb->add_option("file,--file", args->path, "the file, or the directory of a Deepwater base")->type_name("FILE")->required();
  verb->add_option("--format", args->format, "csv, npy, raw or deepwater (default: by the file's ending)")->type_name("FORMAT");
  verb->add_option("--source-feed", args->source_feed, "deepwater: the feed's name there, if it is another one")->type_name("NAME");
  verb->add_option("--clock", args->source.clocks, "the column that is the clock (several: the clocks, in order)")
      ->type_name("COLUMN")
      ->delimiter(',');
  verb->add_flag("--clock-from-row", args->source.clock_from_row, "no column is a clock: the row's number is, as field \"row\"");
  add_source_flags(*verb, args->source);
  verb->add_option("--storage", args->storage, "of a new feed: tiered, durable or memory")
      ->type_name("MODE")
      ->capture_default_str();
  verb->add_option("--chunk-size", args->chunk_bytes, "of a new feed")
      ->type_name("SIZE")
      ->transform(size_in_bytes())
      ->default_str("64MiB");
  verb->add_option("--shm-root", args->shm_root, "of a new feed: where live chunks go")->type_name("DIR")->capture_default_str();
  verb->add_flag("--aligned", args->aligned, "of a new feed: each field at a multiple of its size");
  verb->add_flag("--check", args->check, "only say which schema the file would have");
  add_common_flags(*verb, context);
  verb->footer(
      "A feed that is not there is made, its schema taken from the whole file: whole numbers become int64 (uint64 when too big), "
      "others\n"
      "float64 with NaN for what is missing, the rest text[longest]. The clock is the column of dates (2013-01-01T10:00:00Z; "
      "without an\n"
      "offset: UTC) or, without one, the one called time, ts, date, ...; name it with --clock when that is not clear. Dates become "
      "ns.\n"
      "Into a feed that is there columns go by name. A row that is no record is refused with its place and reason; the others go "
      "in.\n"
      "deepwater: schema, settings and records of one feed; what is missing or zero there is reported and refused.\n"
      ".npy: a structured array field by field; of a plain one the field is called \"value\" (with --clock-from-row).\n"
      "--json: feed, source, created, records, first_seq, end_seq, rejected, rejects[{place, why}], interrupted, seconds.\n"
      "Exit: 0 all rows are in, 1 failed, 2 usage, 4 some rows were refused.\n"
      "Examples:\n"
      "  tidepool feed import flights flights.csv --check\n"
      "  tidepool feed import flights flights.csv --clock time_hour\n"
      "  tidepool feed import ticks ticks.npy --clock ts --clock-unit us\n"
      "  tidepool feed import flights more.csv --replay 1000\n"
      "  tidepool feed import ticks /data/deepwater --format deepwater");
  verb->callback([args, &context] { context.action = [args, &context] { return run_import(context, *args); }; });
}

}  // namespace tidepool::cli
