// tidepool feed write: rows from stdin into a feed, each visible as it comes.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "tidepool/base/error.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/cli/feed/source_flags.h"
#include "tidepool/cli/feed/target.h"
#include "tidepool/cli/signals.h"

namespace tidepool::cli {
namespace {

struct WriteArgs {
  FeedTarget target;
  SourceFlags source;
  std::string format = "csv";
  double wait_s = 0;
};

Exit run_write(const Context& context, const WriteArgs& args) {
  install_signal_handlers();
  if (args.format != "csv" && args.format != "raw") throw UsageError("--format: expected csv or raw");
  feed::SourceOptions options = source_options(args.source);
  options.may_read = wait_readable;
  feed::WriterOptions writer_options;
  writer_options.text = "tidepool feed write";
  writer_options.allow_network_fs = args.source.allow_network_fs;
  writer_options.wait_for_lock_ns = static_cast<uint64_t>(args.wait_s * 1e9);
  feed::FeedWriter writer = feed::FeedWriter::open(args.target.base, args.target.name, writer_options);
  const feed::Schema& schema = writer.feed().schema;
  const auto source = args.format == "csv" ? feed::open_csv(STDIN_FILENO, "stdin", schema, options)
                                           : feed::open_raw(STDIN_FILENO, "stdin", schema, wait_readable);
  return import_into(context, *source, writer, args.source, "stdin", true, false);
}

}  // namespace

void add_feed_write(CLI::App& group, Context& context) {
  auto args = std::make_shared<WriteArgs>();
  CLI::App* verb = group.add_subcommand("write", "append rows from stdin: CSV or raw");
  add_target_flags(*verb, args->target);
  verb->add_option("--format", args->format, "csv or raw (rows as they are stored)")->type_name("FORMAT")->capture_default_str();
  verb->add_option("--wait", args->wait_s, "wait so long for another writer to end")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 1e9).description(""));
  add_source_flags(*verb, args->source);
  add_common_flags(*verb, context);
  verb->footer(
      "The feed must exist. CSV: the first line names the fields (or --no-header and the fields' order); clocks may be numbers or "
      "dates such\n"
      "as 2013-01-01T10:00:00Z (without an offset: UTC). A row that is no record is refused, with its line and the reason, and the "
      "others\n"
      "go in. At the end of stdin, or at SIGINT, everything is made durable and the feed is closed.\n"
      "--json: feed, source, created, records, first_seq, end_seq, rejected, rejects[{place, why}],\n"
      "memory_refused (huge or locked pages that were asked for and not given), interrupted, seconds.\n"
      "Exit: 0 all rows are in, 1 failed, 2 usage, 4 some rows were refused.\n"
      "Examples:\n"
      "  printf 'time_ns,price,size\\n1,10.5,3\\n2,10.6,1\\n' | tidepool feed write trades\n"
      "  ./sensor | tidepool feed write sensor --no-header\n"
      "  ssh there tidepool feed read trades --format raw | tidepool feed write trades --format raw");
  verb->callback([args, &context] { context.action = [args, &context] { return run_write(context, *args); }; });
}

}  // namespace tidepool::cli
