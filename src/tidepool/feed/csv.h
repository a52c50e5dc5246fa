#pragma once
// CSV (RFC 4180, with LF or CRLF) record by record, from any file descriptor, in bounded memory; and what a schema for it would be.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/feed/schema.h"

namespace tidepool::feed {

// Thread safety: one thread.
class CsvReader {
 public:
  static constexpr size_t kRecordBytesLimit = size_t{16} << 20;

  // Does not own `fd`. `name` is for messages. `may_read`, if given, is asked before each read, may wait for something to read, and
  // ends the file with false.
  CsvReader(int fd, std::string name, char delimiter = ',', std::function<bool(int fd)> may_read = {});

  // The next record's values, quotes undone; valid until the next call. False: the end. Empty lines are skipped.
  // Throws FeedError kCorrupt for a quote that does not end or a record beyond the limit, kIo for what the machine refuses.
  bool next(std::vector<std::string_view>& values);
  uint64_t line() const noexcept { return record_line_; }  // where the record began, from 1
  uint64_t bytes() const noexcept { return consumed_; }  // read so far
  // Nothing more is buffered: the next call may wait for the other end of a pipe.
  bool would_read() const noexcept { return text_.find('\n', at_) == std::string::npos; }

 private:
  void skip_mark();
  bool find_record_end(size_t& end);
  bool fill();
  int fd_;
  std::string name_;
  char delimiter_;
  std::function<bool(int)> may_read_;
  std::string text_;
  size_t at_ = 0;
  bool ended_ = false;
  bool started_ = false;
  uint64_t line_ = 1;
  uint64_t record_line_ = 1;
  uint64_t consumed_ = 0;
};

// What was seen of one column.
struct ColumnGuess {
  std::string name;
  uint64_t values = 0;  // that are not missing
  uint64_t missing = 0;
  bool integers = true;
  bool unsigned_big = false;  // above int64
  bool negative = false;
  bool numbers = true;
  bool booleans = true;
  bool times = true;  // ISO 8601
  size_t text_bytes_max = 0;
  void look(std::string_view value, const std::vector<std::string>& missing_texts);
  std::string type() const;  // "int64", "uint64", "float64", "bool", "text[8]"
  // Could lead the records: whole numbers from 0 on, or times, none missing.
  bool could_be_clock() const noexcept { return missing == 0 && values > 0 && ((integers && !negative) || times); }
};

// "", "NA", "nan", "null", ...: what stands for a missing value.
const std::vector<std::string>& default_missing_texts();
bool is_missing(std::string_view value, const std::vector<std::string>& missing_texts) noexcept;

}  // namespace tidepool::feed
