#include "tidepool/cli/feed/read_walk.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <optional>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/frame_lines.h"
#include "tidepool/cli/feed/time_text.h"
#include "tidepool/cli/signals.h"
#include "tidepool/feed/pacer.h"
#include "tidepool/feed/projection.h"
#include "tidepool/feed/values.h"
#include "tidepool/feed/walk.h"

namespace tidepool::cli {
namespace {

constexpr uint64_t kLookForSignalsNs = 100 * kNsPerMs;
constexpr size_t kWalkBufferBytes = size_t{1} << 20;

feed::WalkOptions walk_options(const WalkFlags& flags, const feed::FeedReader& reader, const feed::RecordRange& range) {
  feed::WalkOptions options;
  options.range = range;
  options.where = flags.where;
  options.reverse = flags.reverse;
  if (flags.every.empty()) return options;
  const char* end = flags.every.data() + flags.every.size();
  const auto [at, error] = std::from_chars(flags.every.data(), end, options.every);
  if (error == std::errc() && at == end) {
    if (options.every == 0) throw UsageError("--every 0: expected 1 or more, or a time such as 100ms");
    return options;
  }
  options.every = 1;
  const uint64_t step_ns = parse_duration_ns(flags.every, "--every");
  options.step = feed::convert_clock_or_throw(step_ns, feed::ClockUnit::kNs, reader.feed().schema.clock(range.time.clock).unit,
                                              feed::Rounding::kUp);
  if (options.step == 0) throw UsageError("--every 0: expected a number of records, or a time such as 100ms");
  return options;
}

constexpr std::string_view kGoOn = "to go on without them, say --skip-damaged";

class WalkWriter {
 public:
  WalkWriter(const Context& context, feed::FeedReader& reader, const WalkFlags& flags, const feed::ExportOptions& options)
      : context_(context),
        reader_(reader),
        flags_(flags),
        options_(options),
        clock_(reader.feed().schema.clock(options.range.time.clock)) {
    const feed::Schema& schema = reader.feed().schema;
    schema.layout() == feed::Layout::kFrames ? static_cast<void>(frames_.emplace(schema, options.style))
                                             : static_cast<void>(rows_.emplace(schema, options.style));
    if (flags.paced || flags.window_ms > 0) {
      feed::PaceOptions pace;
      pace.factor = flags.paced ? flags.pace : 1;
      pace.window_ns = static_cast<uint64_t>(std::llround(flags.window_ms * 1e6));
      pace.reverse = flags.reverse;
      windows_ = pace.window_ns > 0 && options.style.format == feed::RowFormat::kJsonLines;
      window_ns_ = pace.window_ns;
      pacer_.emplace(pace);
    }
  }

  WalkReport run(uint64_t count) {
    frames_ ? frames_->begin(buffer_) : rows_->begin(buffer_, count);
    feed::Walk walk(reader_, walk_options(flags_, reader_, options_.range));
    for (feed::Item item; report_.records.records < options_.limit && !stop_requested() && walk.next(item);) {
      if (item.kind == feed::Item::Kind::kGap) {
        if (options_.on_gap == feed::OnGap::kError) throw gap_error(reader_.feed(), item.gap, kGoOn);
        report_.records.gaps.push_back(item.gap);
        continue;
      }
      if (pacer_ && !wait_for(item)) break;
      put_record(item);
      if (buffer_.size() >= kWalkBufferBytes) flush();
    }
    if (stop_requested()) report_.records.interrupted = true;
    end_window();
    flush();
    report_.examined = walk.examined();
    return report_;
  }

 private:
  void put_record(const feed::Item& item) {
    feed::ExportReport& records = report_.records;
    if (frames_) {
      frames_->frame(buffer_, item);
    } else if (item.schema_id == reader_.feed().schema_id) {
      rows_->rows(buffer_, item.bytes, 1, item.seq);
    } else {  // of an older version: what it did not have is zero
      if (!projection_) projection_.emplace(reader_.feed(), reader_.feed().schema);
      row_.resize(reader_.feed().schema.record_bytes());
      projection_->apply(item.schema_id, item.bytes, row_);
      rows_->rows(buffer_, row_, 1, item.seq);
    }
    ++records.records;
    ++in_window_;
    if (!records.first_seq || item.seq < *records.first_seq) records.first_seq = item.seq;
    records.end_seq = std::max(records.end_seq, item.seq + 1);
  }
  // What was written so far is out before it waits. False: stopped.
  bool wait_for(const feed::Item& item) {
    const uint64_t time_ns = feed::convert_clock_or_throw(item.clock(options_.range.time.clock), clock_.unit, feed::ClockUnit::kNs);
    const feed::Pacer::Due due = pacer_->due(time_ns);
    if (due.begins) {
      end_window();
      window_ = due.window;
    }
    if (pacer_->wait(due.at_ns, 0)) return true;
    flush();
    while (!pacer_->wait(due.at_ns, kLookForSignalsNs)) {
      if (stop_requested()) return false;
    }
    return true;
  }
  void end_window() {
    if (windows_ && in_window_ > 0)
      buffer_ += dump({{"event", "window"},
                       {"from_ns", window_ * window_ns_},
                       {"to_ns", (window_ + 1) * window_ns_},
                       {"records", in_window_}}) +
                 "\n";
    in_window_ = 0;
  }
  void flush() {
    if (buffer_.empty()) return;
    // A reader that went away ends it quietly, as for `read` without these options.
    if (std::fwrite(buffer_.data(), 1, buffer_.size(), context_.out) != buffer_.size() ||
        (pacer_ && std::fflush(context_.out) != 0))
      request_stop();
    report_.records.bytes += buffer_.size();
    buffer_.clear();
  }

  const Context& context_;
  feed::FeedReader& reader_;
  const WalkFlags& flags_;
  const feed::ExportOptions& options_;
  feed::Clock clock_;
  std::optional<feed::RowEncoder> rows_;
  std::optional<FrameEncoder> frames_;
  std::optional<feed::Pacer> pacer_;
  std::optional<feed::Projection> projection_;
  std::vector<std::byte> row_;
  std::string buffer_;
  WalkReport report_;
  bool windows_ = false;
  uint64_t window_ns_ = 0, window_ = 0, in_window_ = 0;
};

}  // namespace

void add_walk_flags(CLI::App& verb, WalkFlags& flags) {
  verb.add_flag("--reverse", flags.reverse, "the newest first");
  verb.add_option("--every", flags.every, "every Nth of them; or, with a unit (100ms), none nearer in time to the one before")
      ->type_name("N|TIME");
  verb.add_option("--where", flags.where, "only records whose FIELD is so: = != < <= > >= a value; several times: all of it holds")
      ->type_name("'FIELD OP VALUE'")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  verb.add_option_function<double>(
          "--pace", [&flags](double factor) { flags.pace = factor, flags.paced = true; },
          "as fast as it was written, times this; 0: without waiting")
      ->type_name("FACTOR")
      ->check(CLI::Range(0.0, 1e9).description(""));
  verb.add_option("--window", flags.window_ms, "paced by windows of so long: what is in one comes when it is over")
      ->type_name("MS")
      ->check(CLI::Range(1e-6, 1e12).description(""));
}

uint64_t count_walk(feed::FeedReader& reader, const WalkFlags& flags, const feed::ExportOptions& options) {
  uint64_t count = 0;
  feed::Walk walk(reader, walk_options(flags, reader, options.range));
  for (feed::Item item; count < options.limit && !stop_requested() && walk.next(item);) {
    if (item.is_record()) {
      ++count;
    } else if (options.on_gap == feed::OnGap::kError) {
      throw gap_error(reader.feed(), item.gap, kGoOn);
    }
  }
  return count;
}

WalkReport write_walk(const Context& context, feed::FeedReader& reader, const WalkFlags& flags, const feed::ExportOptions& options,
                      uint64_t count) {
  return WalkWriter(context, reader, flags, options).run(count);
}

}  // namespace tidepool::cli
