#include "tidepool/feed/import_columns.h"

#include <algorithm>
#include <charconv>

#include "tidepool/base/log.h"
#include "tidepool/feed/fault.h"
#include "tidepool/feed/iso_time.h"
#include "tidepool/feed/values.h"

namespace tidepool::feed {
namespace {

std::string list_of(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    if (out.size() > 400) return out + ", ...";
    out += concat(out.empty() ? "" : ", ", printable(name, 64));
  }
  return out;
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool named_like_a_time(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (lower == "t" || lower == "ts" || lower.starts_with("ts_") || lower.ends_with("_ts") || lower.ends_with("_ns") ||
      lower.ends_with("_us"))
    return true;
  return lower.find("time") != std::string::npos || lower.find("date") != std::string::npos;
}

bool taken(const SourceOptions& options, const std::string& name) {
  return options.columns.empty() || contains(options.columns, name) || contains(options.clocks, name);
}

}  // namespace

ColumnMap map_columns(const std::vector<std::string>& columns, bool named, const Schema& schema, const SourceOptions& options,
                      const std::string& path) {
  for (size_t k = 0; named && k < options.clocks.size(); ++k) {
    if (k >= schema.clocks() || schema.fields()[k].name != options.clocks[k]) {
      std::vector<std::string> clocks;
      for (size_t i = 0; i < schema.clocks(); ++i) clocks.push_back(schema.fields()[i].name);
      throw FeedError(Fault::kSchemaConflict, path, ": '", printable(options.clocks[k], 64), "' is not clock ", k,
                      " of the feed; its clocks are ", list_of(clocks));
    }
  }
  ColumnMap map;
  map.field_of.assign(columns.size(), -1);
  std::vector<bool> filled(schema.fields().size());
  std::vector<std::string> foreign;
  std::vector<size_t> shown;
  for (size_t i = 0; i < schema.fields().size(); ++i) {
    if (is_shown(schema.fields()[i])) shown.push_back(i);
    filled[i] = !is_shown(schema.fields()[i]);
  }
  if (options.clock_from_row) {
    map.row_clock = 0;
    filled[0] = true;
    if (!named) shown.erase(shown.begin());
  }
  for (size_t c = 0; c < columns.size(); ++c) {
    if (!taken(options, columns[c])) continue;
    size_t field = schema.fields().size();
    if (named) {
      const auto at = std::find_if(schema.fields().begin(), schema.fields().end(),
                                   [&](const Field& one) { return one.name == columns[c] && is_shown(one); });
      field = static_cast<size_t>(at - schema.fields().begin());
    } else if (c < shown.size()) {
      field = shown[c];
    }
    if (field >= schema.fields().size()) {
      foreign.push_back(columns[c]);
    } else if (filled[field]) {
      throw FeedError(Fault::kSchemaConflict, path, ": two columns are called '", printable(columns[c], 64), "'");
    } else {
      filled[field] = true;
      map.field_of[c] = static_cast<int>(field);
    }
  }
  std::vector<std::string> lacking;
  for (size_t i = 0; i < filled.size(); ++i) {
    if (!filled[i]) lacking.push_back(schema.fields()[i].name);
  }
  if (foreign.empty() && lacking.empty()) return map;
  throw FeedError(Fault::kSchemaConflict, path, ": its columns are not the fields of the feed",
                  foreign.empty() ? "" : concat("\nonly in the file: ", list_of(foreign)),
                  lacking.empty() ? "" : concat("\nonly in the feed: ", list_of(lacking)),
                  foreign.empty() || !lacking.empty() ? "" : "\nchoose those to take with --columns");
}

std::vector<size_t> choose_clocks(const std::vector<ClockFit>& columns, const SourceOptions& options, const std::string& path) {
  std::vector<size_t> out;
  std::vector<std::string> names;
  for (const ClockFit& column : columns) names.push_back(column.name);
  for (const std::string& wanted : options.clocks) {
    const auto at = std::find(names.begin(), names.end(), wanted);
    if (at == names.end())
      throw FeedError(Fault::kInvalidSchema, path, ": there is no column '", printable(wanted, 64), "' to be a clock; there are ",
                      list_of(names));
    out.push_back(static_cast<size_t>(at - names.begin()));
  }
  if (options.clock_from_row || !out.empty()) return out;
  const auto first = [&](auto&& fits) -> bool {
    for (size_t i = 0; i < columns.size(); ++i) {
      if (!columns[i].possible || !taken(options, columns[i].name) || !fits(columns[i])) continue;
      out.push_back(i);
      return true;
    }
    return false;
  };
  if (first([](const ClockFit& column) { return column.is_time && named_like_a_time(column.name); }) ||
      first([](const ClockFit& column) { return column.is_time; }) ||
      first([](const ClockFit& column) { return named_like_a_time(column.name); })) {
    return out;
  }
  throw FeedError(Fault::kInvalidSchema, path,
                  ": no column is clearly a time that no row lacks: say which is the clock with --clock COLUMN, or take the rows' "
                  "numbers with --clock-from-row",
                  "\nthe columns: ", list_of(names));
}

std::optional<uint64_t> parse_clock(std::string_view text, ClockUnit from, ClockUnit to, std::string& why) {
  const auto refuse = [&](std::string_view what) -> std::optional<uint64_t> {
    why = concat("'", printable(text, 40), "' ", what);
    return std::nullopt;
  };
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  if (text.empty()) return refuse("is no time");
  if (text.front() == '-') return refuse("is before the clock's zero");
  uint64_t whole = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (error == std::errc::result_out_of_range) return refuse("does not fit 64 bits");
  const std::string_view rest(end, static_cast<size_t>(text.data() + text.size() - end));
  if (error == std::errc() && rest.empty()) {
    const auto value = convert_clock(whole, from, to);
    return value ? value : refuse(concat(unit_name(from), " does not fit 64 bits of ", unit_name(to)));
  }
  if (error == std::errc() && rest.front() == '.' && rest.size() <= 19 &&
      rest.find_first_not_of("0123456789", 1) == std::string_view::npos) {
    // A decimal, exactly: what is finer than a nanosecond is cut off.
    uint64_t fraction_ns = 0, scale = ns_per(from);
    for (const char c : rest.substr(1)) {
      scale /= 10;
      fraction_ns += static_cast<uint64_t>(c - '0') * scale;
    }
    const auto whole_ns = convert_clock(whole, from, ClockUnit::kNs);
    uint64_t ns = 0;
    if (!whole_ns || __builtin_add_overflow(*whole_ns, fraction_ns, &ns)) return refuse("does not fit 64 bits of ns");
    return convert_clock(ns, ClockUnit::kNs, to);
  }
  const auto civil = parse_iso_time(text);
  if (!civil) return refuse("is no time: expected a whole number, a decimal, or a date such as 2013-01-01T10:00:00Z");
  const auto ns = utc_ns(*civil);
  return ns ? convert_clock(*ns, ClockUnit::kNs, to) : refuse("is before 1970 or after 2554");
}

}  // namespace tidepool::feed
