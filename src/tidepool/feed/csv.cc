#include "tidepool/feed/csv.h"

#include <algorithm>
#include <charconv>

#include "tidepool/base/log.h"
#include "tidepool/feed/fault.h"
#include "tidepool/feed/iso_time.h"
#include "tidepool/feed/user_file.h"

namespace tidepool::feed {
namespace {

constexpr size_t kReadBytes = size_t{256} << 10;

template <typename Number>
bool is_number(std::string_view text, Number& value) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// Where in a record a character stands. A quote within a value that did not begin with one is a character like others.
enum class Place : uint8_t { kBegin, kPlain, kQuoted, kClosed };
Place behind(Place place, char c, char delimiter) noexcept {
  if (place == Place::kQuoted) return c == '"' ? Place::kClosed : Place::kQuoted;
  if (c == '"' && place == Place::kBegin) return Place::kQuoted;
  if (c == '"' && place == Place::kClosed) return Place::kQuoted;  // two quotes are one
  return c == delimiter ? Place::kBegin : Place::kPlain;
}

}  // namespace

CsvReader::CsvReader(int fd, std::string name, char delimiter, std::function<bool(int fd)> may_read)
    : fd_(fd), name_(std::move(name)), delimiter_(delimiter), may_read_(std::move(may_read)) {}

bool CsvReader::fill() {
  if (ended_) return false;
  if (at_ > 0) {
    text_.erase(0, at_);
    at_ = 0;
  }
  if (text_.size() > kRecordBytesLimit) {
    throw FeedError(Fault::kCorrupt, name_, ":", record_line_, ": a record is longer than ", kRecordBytesLimit,
                    " bytes: does a quote not end?");
  }
  if (may_read_ && !may_read_(fd_)) {
    ended_ = true;
    return false;
  }
  const size_t before = text_.size();
  text_.resize(before + kReadBytes);
  const size_t got = read_some(fd_, name_, std::as_writable_bytes(std::span(text_)).subspan(before));
  text_.resize(before + got);
  if (got == 0) ended_ = true;
  consumed_ += got;
  return got > 0;
}

// A byte order mark at the beginning is none of the first value's.
void CsvReader::skip_mark() {
  while (text_.size() < 3 && fill()) {
  }
  if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  started_ = true;
}

// `end`: of the record that begins at at_, its line end excluded. False: there is none any more.
bool CsvReader::find_record_end(size_t& end) {
  size_t look = 0;  // from at_
  Place place = Place::kBegin;
  for (;;) {
    for (; at_ + look < text_.size(); ++look) {
      const char c = text_[at_ + look];
      if (c == '\n' && place != Place::kQuoted) {
        end = at_ + look;
        return true;
      }
      place = behind(place, c, delimiter_);
    }
    if (fill()) continue;
    if (place == Place::kQuoted) throw FeedError(Fault::kCorrupt, name_, ":", record_line_, ": a quote does not end");
    end = text_.size();
    return at_ < text_.size();
  }
}

bool CsvReader::next(std::vector<std::string_view>& values) {
  values.clear();
  size_t end = 0, next_at = 0;
  do {
    record_line_ = line_;
    if (!started_) skip_mark();
    if (!find_record_end(end)) return false;
    line_ += static_cast<uint64_t>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                                              text_.begin() + static_cast<std::ptrdiff_t>(end), '\n')) +
             1;
    next_at = std::min(end + 1, text_.size());
    if (end > at_ && text_[end - 1] == '\r') --end;
    if (end > at_) break;
    at_ = next_at;  // an empty line
  } while (true);
  // Values are undone in place: they never grow.
  size_t write = at_;
  for (size_t read = at_; read <= end;) {
    const size_t begin = write;
    Place place = Place::kBegin;
    for (; read < end; ++read) {
      const char c = text_[read];
      if (c == delimiter_ && place != Place::kQuoted) break;
      const Place next = behind(place, c, delimiter_);
      const bool opens = place == Place::kBegin && next == Place::kQuoted;
      const bool closes = place == Place::kQuoted && next == Place::kClosed;
      if (!opens && !closes) text_[write++] = c;
      place = next;
    }
    values.emplace_back(text_.data() + begin, write - begin);
    if (read >= end) break;
    ++read;  // the delimiter; write is behind read from here on
  }
  at_ = next_at;
  return true;
}

void ColumnGuess::look(std::string_view value, const std::vector<std::string>& missing_texts) {
  text_bytes_max = std::max(text_bytes_max, value.size());
  if (is_missing(value, missing_texts)) {
    ++missing;
    return;
  }
  ++values;
  if (times && !parse_iso_time(value)) times = false;
  value = trimmed(value);
  if (booleans && value != "true" && value != "false" && value != "True" && value != "False" && value != "TRUE" && value != "FALSE")
    booleans = false;
  if (!numbers) return;
  int64_t whole = 0;
  uint64_t big = 0;
  double real = 0;
  if (integers && is_number(value, whole)) {
    negative |= whole < 0;
  } else if (integers && is_number(value, big)) {
    unsigned_big = true;
  } else {
    integers = false;
    numbers = is_number(value, real);
  }
}

std::string ColumnGuess::type() const {
  if (values > 0 && booleans && missing == 0) return "bool";
  if (values > 0 && integers && missing == 0 && !(unsigned_big && negative)) return unsigned_big ? "uint64" : "int64";
  if (values > 0 && numbers) return "float64";
  return concat("text[", std::max<size_t>(1, text_bytes_max), "]");
}

const std::vector<std::string>& default_missing_texts() {
  static const std::vector<std::string> kTexts = {"", "NA", "N/A", "nan", "NaN", "null", "NULL", "None"};
  return kTexts;
}

bool is_missing(std::string_view value, const std::vector<std::string>& missing_texts) noexcept {
  return std::find(missing_texts.begin(), missing_texts.end(), value) != missing_texts.end();
}

}  // namespace tidepool::feed
