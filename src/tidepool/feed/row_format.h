#pragma once
// Rows as CSV, JSON lines, an .npy array, raw bytes, or columns for people (F-102, F-151).

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/feed/schema.h"

namespace tidepool::feed {

enum class RowFormat : uint8_t { kText, kCsv, kJsonLines, kNpy, kRaw };
std::string_view format_name(RowFormat format) noexcept;  // "text", "csv", "jsonl", "npy", "raw"
RowFormat format_named(std::string_view name);            // throws FeedError kUsage

struct RowStyle {
  RowFormat format = RowFormat::kCsv;
  std::vector<std::string> columns;  // which fields, in this order; empty: all but padding
  bool header = true;                // CSV: a first line of names; text: likewise
  char delimiter = ',';              // CSV
  bool sequence = false;             // CSV, JSON lines, text: the record's number first, as "seq"
  bool unsigned_text = false;        // JSON lines: integers beyond 2^53 as strings (F-151)
  // How a clock is shown in CSV, JSON lines (as a string then) and text; empty: its number.
  std::function<void(std::string& out, uint64_t value, size_t clock)> clock_text;
};

// Thread safety: one thread.
class RowEncoder {
 public:
  // Throws FeedError kUsage for a column that there is not.
  RowEncoder(const Schema& schema, RowStyle style);

  // What comes before the first row. `count`: of rows to come (an .npy file says it at its beginning).
  void begin(std::string& out, uint64_t count) const;
  void rows(std::string& out, Bytes rows, uint64_t count, uint64_t first_seq) const;
  const RowStyle& style() const noexcept { return style_; }
  const std::vector<Field>& fields() const noexcept { return fields_; }

 private:
  void value(std::string& out, size_t index, Bytes row) const;
  void csv_row(std::string& out, Bytes row, uint64_t seq) const;
  void json_row(std::string& out, Bytes row, uint64_t seq) const;
  void text_row(std::string& out, Bytes row, uint64_t seq) const;
  RowStyle style_;
  uint32_t record_bytes_ = 0;
  bool whole_ = false;            // rows are given as they are stored
  std::vector<Field> fields_;
  std::vector<int> clock_of_;     // of each field: its clock, or -1
  std::vector<size_t> widths_;    // text
};

// One value of a CSV line, in quotes if it must be.
void append_csv(std::string& out, std::string_view value, char delimiter);

}  // namespace tidepool::feed
