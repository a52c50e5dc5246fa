// CSV files as rows, and the schema that one of them would have.

#include <fcntl.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tidepool/base/log.h"
#include "tidepool/feed/fault.h"
#include "tidepool/feed/import_columns.h"
#include "tidepool/feed/user_file.h"
#include "tidepool/feed/values.h"

namespace tidepool::feed {
namespace {

std::vector<std::string> names_of(const std::vector<std::string_view>& values, bool header) {
  std::vector<std::string> out;
  for (size_t i = 0; i < values.size(); ++i) out.push_back(header ? std::string(values[i]) : concat("column", i + 1));
  return out;
}

class CsvSource final : public RowSource {
 public:
  CsvSource(UserFile file, int fd, const std::string& name, uint64_t total, const Schema& schema, const SourceOptions& options)
      : file_(std::move(file)),
        schema_(schema),
        options_(options),
        total_(total),
        reader_(fd, name, options.delimiter, options.may_read),
        name_(name) {}

  const Schema& schema() const override { return schema_; }
  uint64_t bytes_done() const override { return reader_.bytes(); }
  uint64_t bytes_total() const override { return total_; }

  bool read(std::vector<std::byte>& rows, std::vector<uint64_t>& places, uint64_t max_rows,
            const std::function<void(Rejected)>& reject) override {
    std::vector<std::string_view> values;
    for (uint64_t taken = 0; taken < max_rows;) {
      // What is there of a pipe is handed on before the rest is waited for.
      if (taken > 0 && total_ == 0 && reader_.would_read()) return true;
      if (!reader_.next(values)) return false;
      if (!mapped_ && begin(values)) continue;
      const size_t at = rows.size();
      rows.resize(at + schema_.record_bytes());
      std::string why = fill(MutableBytes(rows).subspan(at), values);
      if (why.empty()) {
        places.push_back(reader_.line());
        ++taken;
      } else {
        rows.resize(at);
        reject({reader_.line(), std::move(why)});
      }
      ++row_;
    }
    return true;
  }

 private:
  // The first record: true if it was the header.
  bool begin(const std::vector<std::string_view>& values) {
    map_ = map_columns(names_of(values, options_.header), options_.header, schema_, options_, name_);
    mapped_ = true;
    return options_.header;
  }
  std::string fill(MutableBytes row, const std::vector<std::string_view>& values) {
    if (values.size() != map_.field_of.size()) return concat(values.size(), " values, expected ", map_.field_of.size());
    if (map_.row_clock >= 0) store(row.data(), row_);
    for (size_t c = 0; c < values.size(); ++c) {
      const int index = map_.field_of[c];
      if (index < 0) continue;
      const auto field_index = static_cast<size_t>(index);
      const Field& field = schema_.fields()[field_index];
      std::string why = field_index < schema_.clocks() ? put_clock(field_index, values[c], row) : put(field, values[c], row);
      if (!why.empty()) return concat(field.name, ": ", why);
    }
    return {};
  }
  std::string put_clock(size_t k, std::string_view value, MutableBytes row) const {
    std::string why;
    const auto clock = parse_clock(value, options_.clock_unit, schema_.clock(k).unit, why);
    if (clock) store(row.data() + 8 * k, *clock);
    return why;
  }
  // A missing number is NaN where there is one.
  std::string put(const Field& field, std::string_view value, MutableBytes row) const {
    const bool text = field.type == Type::kText || field.type == Type::kChar;
    if (!text && field.count == 1 && is_missing(value, options_.missing_texts)) {
      if (field.type == Type::kFloat64)
        return store(row.data() + field.offset, std::numeric_limits<double>::quiet_NaN()), std::string();
      if (field.type == Type::kFloat32)
        return store(row.data() + field.offset, std::numeric_limits<float>::quiet_NaN()), std::string();
      if (field.type == Type::kFloat16) return store(row.data() + field.offset, uint16_t{0x7E00}), std::string();
      return concat("'", printable(value, 20), "': a value is missing, and ", name_of(field.type), " has none for that");
    }
    return parse_text(field, value, row);
  }

  UserFile file_;
  Schema schema_;
  SourceOptions options_;
  uint64_t total_;
  CsvReader reader_;
  std::string name_;
  ColumnMap map_;
  bool mapped_ = false;
  uint64_t row_ = 0;
};

std::vector<ColumnGuess> look_at(const std::string& path, const SourceOptions& options) {
  const UserFile file = UserFile::open(path);
  CsvReader reader(file.fd(), path, options.delimiter);
  std::vector<ColumnGuess> columns;
  std::vector<std::string_view> values;
  bool first = true;
  while (reader.next(values)) {
    if (first) {
      for (std::string& name : names_of(values, options.header)) {
        columns.emplace_back();
        columns.back().name = std::move(name);
      }
      first = false;
      if (options.header) continue;
    }
    // Rows of another length are refused at import, one by one: they say nothing here.
    if (values.size() != columns.size()) continue;
    for (size_t i = 0; i < values.size(); ++i) columns[i].look(values[i], options.missing_texts);
  }
  if (first) throw FeedError(Fault::kInvalidSchema, path, ": the file is empty: there is nothing to guess a schema from");
  return columns;
}

}  // namespace

Schema guess_csv_schema(const std::string& path, const SourceOptions& options) {
  const std::vector<ColumnGuess> columns = look_at(path, options);
  std::vector<ClockFit> fits;
  for (const ColumnGuess& column : columns)
    fits.push_back({column.name, column.could_be_clock(), column.times && column.values > 0});
  const std::vector<size_t> clocks = choose_clocks(fits, options, path);
  std::vector<FieldText> fields;
  if (clocks.empty()) fields.push_back({std::string(kRowClockName), "uint64"});
  for (const size_t clock : clocks) fields.push_back({columns[clock].name, "uint64"});
  const bool all = options.columns.empty();
  for (size_t i = 0; i < columns.size(); ++i) {
    if (std::find(clocks.begin(), clocks.end(), i) != clocks.end()) continue;
    if (!all && std::find(options.columns.begin(), options.columns.end(), columns[i].name) == options.columns.end()) continue;
    fields.push_back({columns[i].name, columns[i].type()});
  }
  Schema schema = Schema::rows(fields, std::max<size_t>(1, clocks.size()), options.aligned);
  for (size_t k = 0; k < clocks.size(); ++k) {
    const bool time = fits[clocks[k]].is_time;
    schema.set_clock(
        k, {time ? ClockUnit::kNs : options.clock_unit, ClockOrder::kLoose, time ? ClockDomain::kWall : ClockDomain::kUser});
  }
  return schema;
}

std::unique_ptr<RowSource> open_csv(const std::string& path, const Schema& schema, const SourceOptions& options) {
  UserFile file = UserFile::open(path);
  const int fd = file.fd();
  const uint64_t total = file.size();
  return std::make_unique<CsvSource>(std::move(file), fd, path, total, schema, options);
}

std::unique_ptr<RowSource> open_csv(int fd, const std::string& name, const Schema& schema, const SourceOptions& options) {
  return std::make_unique<CsvSource>(UserFile(), fd, name, 0, schema, options);
}

}  // namespace tidepool::feed
