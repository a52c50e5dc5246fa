// tidepool feed segments: what was captured without a break, and why the breaks (F-111 to F-115).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "tidepool/cli/command.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/cli/feed/target.h"
#include "tidepool/cli/feed/time_text.h"
#include "tidepool/feed/segments.h"
#include "tidepool/feed/values.h"

namespace tidepool::cli {
namespace {

struct SegmentsArgs {
  FeedTarget target;
  std::string status = "all";
  std::string clock;
  std::string time = "epoch";
  bool suggest = false;
};

ordered_json unknown_or(uint64_t value, uint64_t unknown) { return value == unknown ? ordered_json(nullptr) : ordered_json(value); }

ordered_json segment_json(const feed::Segment& segment, const feed::Schema& schema) {
  ordered_json out = {{"id", segment.id},
                      {"epoch", segment.epoch},
                      {"status", feed::segment_status_name(segment.status)},
                      {"first_seq", segment.first_seq},
                      {"end_seq", unknown_or(segment.end_seq, feed::kUnknownCount)},
                      {"records", segment.records()},
                      {"clocks", ordered_json::array()},
                      {"opened_ns", unknown_or(segment.opened_wall_ns, 0)},
                      {"closed_ns", unknown_or(segment.closed_wall_ns, 0)},
                      {"reason", segment.reason},
                      {"clipped", segment.clipped}};
  for (size_t k = 0; k < schema.clocks(); ++k) {
    const feed::ClockBounds& bounds = segment.clocks[k];
    if (bounds.min > bounds.max) continue;
    out["clocks"].push_back({{"name", schema.clock_name(k)},
                             {"unit", feed::unit_name(schema.clock(k).unit)},
                             {"min", bounds.min},
                             {"max", bounds.max},
                             {"ordered", bounds.ordered}});
  }
  return out;
}

ordered_json interval_json(const feed::Interval& interval) { return {{"from", interval.from}, {"to", interval.to}}; }

ordered_json range_json(const std::optional<feed::SuggestedRange>& range, const feed::Schema& schema, size_t clock) {
  if (!range) return nullptr;
  ordered_json out = {{"clock", schema.clock_name(clock)},
                      {"unit", feed::unit_name(schema.clock(clock).unit)},
                      {"from", range->whole.from},
                      {"to", range->whole.to}};
  out["longest"] = interval_json(range->longest);
  out["gaps"] = ordered_json::array();
  for (const feed::Interval& gap : range->gaps) out["gaps"].push_back(interval_json(gap));
  return out;
}

void print_segments(std::FILE* out, const std::vector<feed::Segment>& segments, const feed::Schema& schema, size_t clock,
                    const TimeFormat& time) {
  for (const feed::Segment& segment : segments) {
    const feed::ClockBounds& bounds = segment.clocks[clock];
    const std::string end = segment.end_seq == feed::kUnknownCount ? "?" : std::to_string(segment.end_seq);
    fmt::print(out, "{:>6}  {:<13} records {} to {}", segment.id == 0 ? "-" : std::to_string(segment.id),
               feed::segment_status_name(segment.status), segment.first_seq, end);
    if (bounds.min <= bounds.max) {
      fmt::print(out, "  {} {} to {}", schema.clock_name(clock), time.text(bounds.min, schema.clock(clock)),
                 time.text(bounds.max, schema.clock(clock)));
    }
    fmt::print(out, "{}{}\n", segment.clipped ? "  (held more once)" : "", segment.reason.empty() ? "" : "  " + segment.reason);
  }
}

void print_range(std::FILE* out, const std::optional<feed::SuggestedRange>& range, const feed::Schema& schema, size_t clock,
                 const TimeFormat& time) {
  if (!range) {
    fmt::print(out, "no usable segment\n");
    return;
  }
  const auto text = [&](const feed::Interval& interval) {
    return fmt::format("{} to {}", time.text(interval.from, schema.clock(clock)),
                       time.text(interval.to, schema.clock(clock)));
  };
  fmt::print(out, "suggested range of {}: {}\n", schema.clock_name(clock), text(range->whole));
  for (const feed::Interval& gap : range->gaps) fmt::print(out, "  gap {}\n", text(gap));
  fmt::print(out, "  longest without a gap: {}\n", text(range->longest));
}

Exit run_segments(const Context& context, const SegmentsArgs& args) {
  const feed::SegmentFilter filter = feed::segment_filter_named(args.status);
  const TimeFormat time = TimeFormat::parse(args.time);
  feed::FeedReader reader = feed::FeedReader::open(args.target.base, args.target.name);
  const feed::Schema& schema = reader.feed().schema;
  const size_t clock = args.clock.empty() ? 0 : schema.clock_named(args.clock);
  const auto all = feed::stored_segments(reader);
  std::vector<feed::Segment> chosen;
  for (const feed::Segment& segment : all) {
    if (feed::passes(segment, filter)) chosen.push_back(segment);
  }
  const bool usable = filter == feed::SegmentFilter::kAll || filter == feed::SegmentFilter::kUsable;
  const auto range = feed::suggest_range(all, clock, usable ? feed::SegmentFilter::kUsable : filter, usable);
  if (context.json) {
    ordered_json out = {{"feed", reader.feed().name}, {"status", args.status}, {"segments", ordered_json::array()}};
    for (const feed::Segment& segment : chosen) out["segments"].push_back(segment_json(segment, schema));
    if (args.suggest) out["suggested_range"] = range_json(range, schema, clock);
    print_json_line(context, dump(out));
  } else {
    print_segments(context.out, chosen, schema, clock, time);
    if (args.suggest) print_range(context.out, range, schema, clock, time);
  }
  return args.suggest && !range ? Exit::kNothing : Exit::kOk;
}

}  // namespace

void add_feed_segments(CLI::App& group, Context& context) {
  auto args = std::make_shared<SegmentsArgs>();
  CLI::App* verb = group.add_subcommand("segments", "what was captured without a break, and the breaks");
  add_target_flags(*verb, args->target);
  verb->add_option("--status", args->status, "all (default), usable, closed, crash_closed, open, broken or invalid_empty")
      ->type_name("STATUS");
  verb->add_option("--clock", args->clock, "the clock whose times are meant (default: the first)")->type_name("NAME");
  verb->add_flag("--suggest-range", args->suggest, "and the range to read, its gaps, and its longest span without one");
  add_time_flag(*verb, args->time);
  add_common_flags(*verb, context);
  verb->footer(
      "A segment is what one writer captured up to a break: it closed, it died (crash_closed), or it said so. Bounds are those of "
      "the\n"
      "records that are stored now. broken: records that were lost, or whose chunk is quarantined. Ranges are half-open.\n"
      "--json: feed, status, segments[{id, epoch, status, first_seq, end_seq, records, clocks[{name, unit, min, max, ordered}],\n"
      "opened_ns, closed_ns, reason, clipped}], suggested_range{clock, unit, from, to, longest{from, to}, gaps[{from, to}]}.\n"
      "Exit: 0, 1 no such feed, 2 usage, 3 --suggest-range and nothing usable.\n"
      "Examples:\n"
      "  tidepool feed segments trades --base /data/feeds\n"
      "  tidepool feed segments trades --suggest-range --ts-fmt utc\n"
      "  tidepool feed segments trades --status broken --json");
  verb->callback([args, &context] { context.action = [args, &context] { return run_segments(context, *args); }; });
}

}  // namespace tidepool::cli
