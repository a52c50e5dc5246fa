// tidepool feed tail: the newest records, and with --follow those that come.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/cli/feed/frame_lines.h"
#include "tidepool/cli/feed/query_flags.h"
#include "tidepool/cli/signals.h"

namespace tidepool::cli {
namespace {

struct TailArgs {
  FeedTarget target;
  uint64_t lines = 10;
  bool follow = false;
  bool oldest = false;
  bool until_inactive = false;
  double for_seconds = 0;
  uint64_t count = ~uint64_t{0};
  std::string checkpoint;
  StyleFlags style;
};

constexpr uint64_t kWaitNs = 100 * kNsPerMs;  // so that a signal is seen soon
constexpr uint64_t kRowsAtOnce = 4096;

class Tail {
 public:
  Tail(const Context& context, const TailArgs& args)
      : context_(context), args_(args), format_(TimeFormat::parse(args.style.ts_fmt)), reader_(open()) {
    style_ =
        style_of(args.style, context.json ? feed::RowFormat::kJsonLines : feed::RowFormat::kText, reader_.feed().schema, format_);
    if (style_.format == feed::RowFormat::kNpy)
      throw UsageError("an .npy file says its length first, which tail cannot know: take csv, jsonl, raw or text");
    if (context.json && style_.format == feed::RowFormat::kRaw)
      throw UsageError("--json ends with a line of its own, which raw has no place for");
    if (args.style.format.empty()) style_.sequence = true;
    lines_ = style_.format == feed::RowFormat::kJsonLines;
    if (reader_.feed().schema.layout() == feed::Layout::kFrames) {
      frames_.emplace(reader_.feed().schema, style_);
    } else {
      rows_.emplace(reader_.feed().schema, style_);
    }
  }

  Exit run() {
    const uint64_t begin_ns = monotonic_ns();
    end_ns_ = args_.for_seconds > 0 ? begin_ns + static_cast<uint64_t>(args_.for_seconds * 1e9) : ~uint64_t{0};
    // Without --follow: what is there now, and no more, however fast it grows.
    const uint64_t stop_seq = args_.follow ? ~uint64_t{0} : reader_.committed_seq();
    std::string head;
    frames_ ? frames_->begin(head) : rows_->begin(head, 0);
    put(head);
    while (!over_ && !stop_requested() && records_ < args_.count && monotonic_ns() < end_ns_ && reader_.next_seq() < stop_seq) {
      const uint64_t most = std::min({kRowsAtOnce, args_.count - records_, stop_seq - reader_.next_seq()});
      frames_ ? take(reader_.next(args_.follow ? kWaitNs : 0)) : take(reader_.next_batch(most, args_.follow ? kWaitNs : 0));
    }
    if (!args_.checkpoint.empty()) reader_.checkpoint().save(args_.checkpoint);
    if (context_.json) {
      print_json_line(
          context_,
          dump({{"records", records_}, {"next_seq", reader_.next_seq()}, {"gaps", gaps_}, {"missed", missed_}, {"ended", ended_}}));
    }
    if (failed_) return Exit::kFailed;
    return records_ > 0 || args_.follow ? Exit::kOk : Exit::kNothing;
  }

 private:
  feed::FeedReader open() const {
    feed::ReaderOptions options;
    options.from = args_.oldest ? feed::At::oldest() : feed::At::last(args_.lines);
    options.stop_when_inactive = args_.until_inactive || !args_.follow;
    feed::FeedReader reader = feed::FeedReader::open(args_.target.base, args_.target.name, options);
    if (!args_.checkpoint.empty()) {
      if (const auto saved = feed::Checkpoint::load(args_.checkpoint, reader.feed().id)) reader.seek(feed::At::checkpoint(*saved));
    }
    return reader;
  }
  void put(const std::string& text) {
    if (text.empty()) return;
    // Whoever follows sees it now, not when a buffer is full.
    if (std::fwrite(text.data(), 1, text.size(), context_.out) != text.size() || std::fflush(context_.out) != 0) request_stop();
  }
  void take(const feed::Item& item) {
    if (!item.is_record()) return event(item.kind, item.gap);
    std::string line;
    frames_->frame(line, item);
    ++records_;
    put(line);
  }
  void take(const feed::Batch& batch) {
    if (batch.kind != feed::Item::Kind::kRow) return event(batch.kind, batch.gap);
    std::string lines;
    rows_->rows(lines, batch.rows, batch.count, batch.first_seq);
    records_ += batch.count;
    put(lines);
  }
  void tell(std::string_view event, const feed::Gap& gap, std::string_view text) {
    print_error(context_.err, text);
    if (!lines_) return;
    ordered_json line = {{"event", event}};
    if (gap.to > gap.from) line.update({{"from", gap.from}, {"to", gap.to}, {"why", gap.text}});
    put(dump(line) + "\n");
  }
  void event(feed::Item::Kind kind, const feed::Gap& gap) {
    using Kind = feed::Item::Kind;
    const std::string range = concat("records ", gap.from, " to ", gap.to);
    switch (kind) {
      case Kind::kGap:
        ++gaps_;
        missed_ += gap.to - gap.from;
        return tell("gap", gap, concat(range, " cannot be had", gap.text.empty() ? "" : ": ", gap.text));
      case Kind::kDiverged: ++gaps_; return tell("diverged", gap, concat(range, " were lost in a power cut and are written anew"));
      case Kind::kStalled: return tell("stalled", {}, "the writer stands still; waiting for it");
      case Kind::kReplaced:
        failed_ = over_ = true;
        return tell("replaced", {}, concat("FEED_REPLACED: another feed is called ", args_.target.name, " now"));
      case Kind::kDeleted:
        failed_ = over_ = true;
        return tell("deleted", {}, concat("FEED_DELETED: feed ", args_.target.name, " was deleted"));
      case Kind::kEnded: ended_ = over_ = true; return;
      case Kind::kIdle: over_ = !args_.follow; return;
      case Kind::kCancelled: over_ = true; return;
      case Kind::kRow:
      case Kind::kFrame: return;
    }
  }

  const Context& context_;
  const TailArgs& args_;
  TimeFormat format_;
  feed::FeedReader reader_;
  feed::RowStyle style_;
  std::optional<feed::RowEncoder> rows_;
  std::optional<FrameEncoder> frames_;
  uint64_t end_ns_ = 0;
  uint64_t records_ = 0, gaps_ = 0, missed_ = 0;
  bool lines_ = false, over_ = false, ended_ = false, failed_ = false;
};

Exit run_tail(const Context& context, const TailArgs& args) {
  install_signal_handlers();
  return Tail(context, args).run();
}

}  // namespace

void add_feed_tail(CLI::App& group, Context& context) {
  auto args = std::make_shared<TailArgs>();
  CLI::App* verb = group.add_subcommand("tail", "the newest records, and those that come");
  add_target_flags(*verb, args->target);
  verb->add_option("--lines,-n", args->lines, "how many of those that are there")->type_name("N")->capture_default_str();
  verb->add_flag("--oldest", args->oldest, "begin with the oldest record that is kept");
  verb->add_flag("--follow,-f", args->follow, "wait for more, until SIGINT");
  verb->add_flag("--until-inactive", args->until_inactive, "with --follow: end when all is read and nobody writes");
  verb->add_option("--for", args->for_seconds, "with --follow: end after so long")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 1e9).description(""));
  verb->add_option("--count", args->count, "end after so many records")->type_name("N")->default_str("none");
  verb->add_option("--checkpoint", args->checkpoint, "go on where the last tail with this name ended, and save where this one does")
      ->type_name("NAME");
  add_style_flags(*verb, args->style, "text (default), csv, jsonl (default with --json), raw");
  add_common_flags(*verb, context);
  verb->footer(
      "Follows across chunks, restarts of the writer and retention. What was missed is told on stderr, and in jsonl as an "
      "{\"event\": ...}\n"
      "line: gap, diverged (lost in a power cut and written anew), stalled, replaced, deleted.\n"
      "--json: a line for each record, then records, next_seq, gaps, missed, ended.\n"
      "Exit: 0 (also at SIGINT), 1 failed, or the feed was deleted or replaced, 2 usage, 3 no records (without --follow).\n"
      "Examples:\n"
      "  tidepool feed tail trades\n"
      "  tidepool feed tail trades -f --ts-fmt local\n"
      "  tidepool feed tail trades -f --until-inactive --format csv > all.csv\n"
      "  tidepool feed tail trades -f --checkpoint nightly --format jsonl | my-consumer");
  verb->callback([args, &context] { context.action = [args, &context] { return run_tail(context, *args); }; });
}

}  // namespace tidepool::cli
