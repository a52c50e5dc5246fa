#include "tidepool/cli/feed/query_flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/command.h"

namespace tidepool::cli {

void add_range_flags(CLI::App& verb, RangeFlags& flags) {
  verb.add_option("--from", flags.from,
                  "from this time on: a number in the clock's unit, 1357034400s, 2013-01-01T10:00:00Z, 10:42, now-5m")
      ->type_name("TIME");
  verb.add_option("--to", flags.to, "to this time, itself excluded")->type_name("TIME");
  verb.add_option("--clock", flags.clock, "the clock that --from and --to are of (default: the first)")->type_name("NAME");
  verb.add_option_function<uint64_t>(
          "--from-seq", [&flags](uint64_t seq) { flags.from_seq = seq, flags.by_from_seq = true; }, "from this record on")
      ->type_name("N");
  verb.add_option_function<uint64_t>(
          "--to-seq", [&flags](uint64_t seq) { flags.to_seq = seq, flags.by_to_seq = true; }, "to this record, itself excluded")
      ->type_name("N");
  verb.add_option_function<uint64_t>(
          "--last,-n", [&flags](uint64_t count) { flags.last = count, flags.by_last = true; }, "the newest N records")
      ->type_name("N");
  verb.add_option("--latest", flags.latest, "what is no older than this before the newest: 30s, 5m, 1.5h")->type_name("TIME");
  verb.add_option("--limit", flags.limit, "no more than N records")->type_name("N")->default_str("all");
  verb.add_flag("--skip-damaged", flags.skip_damaged, "go on behind records that cannot be read, and say which these are");
}

feed::RecordRange range_of(const RangeFlags& flags, feed::FeedReader& reader, const TimeFormat& format) {
  const bool by_time = !flags.from.empty() || !flags.to.empty();
  const bool by_seq = flags.by_from_seq || flags.by_to_seq;
  const bool by_latest = !flags.latest.empty();
  if (by_time + by_seq + flags.by_last + by_latest > 1) throw UsageError("by time, by --from-seq and --to-seq, --last or --latest: one of them");
  if (!flags.clock.empty() && !by_time && !by_latest) throw UsageError("--clock is for --from, --to and --latest");
  feed::RecordRange range;
  if (by_latest) {
    range.by_time = true;
    range.time = reader.latest(parse_duration_ns(flags.latest, "--latest"), flags.clock.empty() ? 0 : reader.feed().schema.clock_named(flags.clock));
    return range;
  }
  if (by_time) {
    const feed::Schema& schema = reader.feed().schema;
    range.by_time = true;
    range.time.clock = flags.clock.empty() ? 0 : schema.clock_named(flags.clock);
    const feed::Clock& clock = schema.clock(range.time.clock);
    if (!flags.from.empty()) range.time.from = format.parse_time(flags.from, clock, "--from");
    if (!flags.to.empty()) range.time.to = format.parse_time(flags.to, clock, "--to");
    return range;
  }
  const uint64_t first = reader.first_seq(), end = std::max(reader.committed_seq(), first);
  range.from_seq = flags.by_from_seq ? flags.from_seq : first;
  range.to_seq = flags.by_to_seq ? flags.to_seq : end;
  if (flags.by_last) range.from_seq = end - std::min(flags.last, end - first);
  if (flags.by_from_seq && flags.from_seq > end) {
    throw feed::FeedError(feed::Fault::kOutOfRange, "record ", flags.from_seq, " of feed ", reader.feed().name,
                          " does not exist yet: the next one will be ", end);
  }
  return range;
}

void add_style_flags(CLI::App& verb, StyleFlags& flags, const std::string& formats) {
  verb.add_option("--format", flags.format, formats)->type_name("FORMAT");
  verb.add_option("--columns", flags.columns, "these fields only, in this order")->type_name("A,B")->delimiter(',');
  add_time_flag(verb, flags.ts_fmt);
  verb.add_flag("--no-header", flags.no_header, "no first line of names (csv, text)");
  verb.add_flag("--seq", flags.seq, "the record's number first, as \"seq\" (csv, jsonl, text)");
  verb.add_flag("--unsigned-text", flags.unsigned_text, "jsonl: integers beyond 2^53 as strings");
  verb.add_option("--delimiter", flags.delimiter, "of csv: one character, or tab")->type_name("C")->capture_default_str();
}

char delimiter_of(const std::string& text) {
  if (text == "tab" || text == "\\t") return '\t';
  if (text.size() != 1 || text == "\"" || text == "\n")
    throw UsageError(concat("--delimiter '", printable(text, 20), "': expected one character, or tab"));
  return text[0];
}

feed::RowStyle style_of(const StyleFlags& flags, feed::RowFormat fallback, const feed::Schema& schema, const TimeFormat& format) {
  feed::RowStyle style;
  style.format = flags.format.empty() ? fallback : feed::format_named(flags.format);
  style.columns = flags.columns;
  style.header = !flags.no_header;
  style.sequence = flags.seq;
  style.unsigned_text = flags.unsigned_text;
  style.delimiter = delimiter_of(flags.delimiter);
  style.clock_text = format.for_rows(schema);
  const bool binary = style.format == feed::RowFormat::kNpy || style.format == feed::RowFormat::kRaw;
  if (binary && (flags.seq || style.clock_text))
    throw UsageError("npy and raw hold the fields as they are: --seq and --ts-fmt are for csv, jsonl and text");
  return style;
}

}  // namespace tidepool::cli
