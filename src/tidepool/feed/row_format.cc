#include "tidepool/feed/row_format.h"

#include <algorithm>
#include <charconv>

#include "tidepool/base/log.h"
#include "tidepool/feed/fault.h"
#include "tidepool/feed/npy.h"
#include "tidepool/feed/values.h"

namespace tidepool::feed {
namespace {

constexpr std::pair<std::string_view, RowFormat> kFormats[] = {{"text", RowFormat::kText},
                                                               {"csv", RowFormat::kCsv},
                                                               {"jsonl", RowFormat::kJsonLines},
                                                               {"npy", RowFormat::kNpy},
                                                               {"raw", RowFormat::kRaw}};

void append_raw(std::string& out, const std::byte* from, size_t bytes) { out.append(reinterpret_cast<const char*>(from), bytes); }

void append_right(std::string& out, std::string_view text, size_t width) {
  if (!out.empty() && out.back() != '\n') out += "  ";
  if (text.size() < width) out.append(width - text.size(), ' ');
  out += text;
}

// People read "rotated", programs the number that stands for it. A number without a name, or an array of them, stays.
void show_name(std::string& out, size_t begin, const Field& field) {
  int64_t number = 0;
  const char* end = out.data() + out.size();
  const auto [at, error] = std::from_chars(out.data() + begin, end, number);
  if (error != std::errc() || at != end) return;
  for (const ValueName& known : field.names) {
    if (known.value != number) continue;
    out.replace(begin, std::string::npos, known.name);
    return;
  }
}

}  // namespace

std::string_view format_name(RowFormat format) noexcept {
  for (const auto& [name, known] : kFormats) {
    if (known == format) return name;
  }
  return "unknown";
}

RowFormat format_named(std::string_view name) {
  for (const auto& [known, format] : kFormats) {
    if (known == name) return format;
  }
  throw FeedError(Fault::kUsage, "format '", printable(name, 40), "': expected text, csv, jsonl, npy or raw");
}

void append_csv(std::string& out, std::string_view value, char delimiter) {
  const bool plain = value.find_first_of("\"\r\n") == std::string_view::npos && value.find(delimiter) == std::string_view::npos &&
                     (value.empty() || (value.front() != ' ' && value.back() != ' '));
  if (plain) {
    out += value;
    return;
  }
  out += '"';
  for (const char c : value) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

RowEncoder::RowEncoder(const Schema& schema, RowStyle style) : style_(std::move(style)), record_bytes_(schema.record_bytes()) {
  if (schema.layout() != Layout::kRows)
    throw FeedError(Fault::kUsage, "a feed of frames has no rows: give its payloads out as raw, or its heads as text or jsonl");
  fields_ = select_fields(schema, style_.columns);
  if (fields_.empty()) throw FeedError(Fault::kUsage, "the feed has no fields to show");
  const bool all = style_.columns.empty();
  const bool padded =
      std::any_of(schema.fields().begin(), schema.fields().end(), [](const Field& field) { return !is_shown(field); });
  uint64_t shown_bytes = 0;
  for (const Field& field : fields_) shown_bytes += field.bytes();
  // Raw rows are copied with their padding, so that they can be imported as they are; .npy elements have none.
  whole_ = all && (style_.format == RowFormat::kRaw || (!padded && shown_bytes == record_bytes_));
  for (const Field& field : fields_) {
    int clock = -1;
    for (size_t k = 0; k < schema.clocks(); ++k) {
      if (schema.clock_name(k) == field.name) clock = static_cast<int>(k);
    }
    clock_of_.push_back(clock);
    const size_t natural = clock >= 0                                                ? (style_.clock_text ? 25 : 19)
                           : field.type == Type::kText || field.type == Type::kBytes ? std::min<size_t>(field.bytes(), 24)
                                                                                     : 10;
    widths_.push_back(std::max(natural, field.name.size()));
  }
}

void RowEncoder::value(std::string& out, size_t index, Bytes row) const {
  const Field& field = fields_[index];
  if (clock_of_[index] >= 0 && style_.clock_text) {
    style_.clock_text(out, load<uint64_t>(row.data() + field.offset), static_cast<size_t>(clock_of_[index]));
  } else {
    const size_t begin = out.size();
    append_text(out, field, row);
    if (style_.format == RowFormat::kText && !field.names.empty()) show_name(out, begin, field);
  }
}

void RowEncoder::begin(std::string& out, uint64_t count) const {
  if (style_.format == RowFormat::kNpy) out += npy_header(fields_, count, !style_.columns.empty() && fields_.size() == 1);
  if (!style_.header) return;
  if (style_.format == RowFormat::kCsv) {
    if (style_.sequence) out += concat("seq", style_.delimiter);
    for (size_t i = 0; i < fields_.size(); ++i) {
      if (i > 0) out += style_.delimiter;
      append_csv(out, fields_[i].name, style_.delimiter);
    }
    out += '\n';
  }
  if (style_.format == RowFormat::kText) {
    if (style_.sequence) append_right(out, "seq", 12);
    for (size_t i = 0; i < fields_.size(); ++i) append_right(out, fields_[i].name, widths_[i]);
    out += '\n';
  }
}

void RowEncoder::csv_row(std::string& out, Bytes row, uint64_t seq) const {
  if (style_.sequence) out += concat(seq, style_.delimiter);
  std::string text;
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (i > 0) out += style_.delimiter;
    const bool numeric = fields_[i].type != Type::kText && fields_[i].type != Type::kChar && clock_of_[i] < 0;
    if (numeric && style_.delimiter == ',') {  // digits, blanks between elements: nothing to quote
      value(out, i, row);
      continue;
    }
    text.clear();
    value(text, i, row);
    append_csv(out, text, style_.delimiter);
  }
  out += '\n';
}

void RowEncoder::json_row(std::string& out, Bytes row, uint64_t seq) const {
  out += '{';
  if (style_.sequence) out += concat("\"seq\":", seq);
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (i > 0 || style_.sequence) out += ',';
    append_json_string(out, is_utf8(fields_[i].name) ? std::string_view(fields_[i].name) : "?");
    out += ':';
    if (clock_of_[i] >= 0 && style_.clock_text) {
      std::string text;
      value(text, i, row);
      append_json_string(out, text);
    } else {
      append_json(out, fields_[i], row, style_.unsigned_text);
    }
  }
  out += "}\n";
}

void RowEncoder::text_row(std::string& out, Bytes row, uint64_t seq) const {
  const size_t begin = out.size();
  std::string line, text;
  if (style_.sequence) append_right(line, std::to_string(seq), 12);
  for (size_t i = 0; i < fields_.size(); ++i) {
    text.clear();
    value(text, i, row);
    append_right(line, printable(text), widths_[i]);
  }
  out.insert(begin, line);
  out += '\n';
}

void RowEncoder::rows(std::string& out, Bytes rows, uint64_t count, uint64_t first_seq) const {
  if (count > rows.size() / record_bytes_)
    throw FeedError(Fault::kUsage, count, " rows of ", record_bytes_, " bytes are not in ", rows.size(), " bytes");
  const bool binary = style_.format == RowFormat::kRaw || style_.format == RowFormat::kNpy;
  if (binary && whole_) return append_raw(out, rows.data(), count * record_bytes_);
  for (uint64_t i = 0; i < count; ++i) {
    const Bytes row = rows.subspan(i * record_bytes_, record_bytes_);
    switch (style_.format) {
      case RowFormat::kText: text_row(out, row, first_seq + i); break;
      case RowFormat::kCsv: csv_row(out, row, first_seq + i); break;
      case RowFormat::kJsonLines: json_row(out, row, first_seq + i); break;
      case RowFormat::kNpy:
      case RowFormat::kRaw:
        for (const Field& field : fields_) append_raw(out, row.data() + field.offset, field.bytes());
        break;
    }
  }
}

}  // namespace tidepool::feed
