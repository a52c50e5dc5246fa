// .npy arrays and raw rows as rows of a feed.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "tidepool/base/log.h"
#include "tidepool/feed/fault.h"
#include "tidepool/feed/import_columns.h"
#include "tidepool/feed/user_file.h"
#include "tidepool/feed/values.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kHeaderBytesMax = uint64_t{1} << 20;

NpyLayout layout_of(const UserFile& file) {
  std::vector<std::byte> beginning(static_cast<size_t>(std::min<uint64_t>(file.size(), kHeaderBytesMax)));
  return parse_npy(file.read_at(beginning, 0), file.size(), file.path());
}

std::string column_name(const NpyField& field) { return field.name.empty() ? "value" : field.name; }

std::vector<std::string> column_names(const NpyLayout& layout) {
  std::vector<std::string> out;
  for (const NpyField& field : layout.fields) out.push_back(column_name(field));
  return out;
}

bool is_whole(Type type) noexcept {
  return type == Type::kInt8 || type == Type::kUint8 || type == Type::kInt16 || type == Type::kUint16 || type == Type::kInt32 ||
         type == Type::kUint32 || type == Type::kInt64 || type == Type::kUint64;
}

// UCS-4, padded with zeros, as UTF-8; false: no character has that number.
bool to_utf8(Bytes from, std::string& out) {
  for (size_t i = 0; i + 4 <= from.size(); i += 4) {
    const auto c = load<uint32_t>(from.data() + i);
    if (c == 0) break;
    if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return false;
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else if (c < 0x800) {
      out += static_cast<char>(0xC0 | c >> 6);
      out += static_cast<char>(0x80 | (c & 63));
    } else if (c < 0x10000) {
      out += static_cast<char>(0xE0 | c >> 12);
      out += static_cast<char>(0x80 | (c >> 6 & 63));
      out += static_cast<char>(0x80 | (c & 63));
    } else {
      out += static_cast<char>(0xF0 | c >> 18);
      out += static_cast<char>(0x80 | (c >> 12 & 63));
      out += static_cast<char>(0x80 | (c >> 6 & 63));
      out += static_cast<char>(0x80 | (c & 63));
    }
  }
  return true;
}

class NpySource final : public RowSource {
 public:
  NpySource(const std::string& path, const Schema& schema, const SourceOptions& options)
      : file_(UserFile::open(path)), schema_(schema), options_(options), layout_(layout_of(file_)) {
    map_ = map_columns(column_names(layout_), true, schema_, options_, path);
    for (const NpyField& from : layout_.fields) {
      as_read_.push_back({column_name(from), from.type, from.count, 0, {}, {}, {}});
    }
  }

  const Schema& schema() const override { return schema_; }
  uint64_t bytes_done() const override { return layout_.data_offset + row_ * layout_.element_bytes; }
  uint64_t bytes_total() const override { return layout_.data_offset + layout_.count * layout_.element_bytes; }

  bool read(std::vector<std::byte>& rows, std::vector<uint64_t>& places, uint64_t max_rows,
            const std::function<void(Rejected)>& reject) override {
    const uint64_t count = std::min(max_rows, layout_.count - row_);
    if (count == 0) return row_ < layout_.count;
    std::vector<std::byte> elements(static_cast<size_t>(count * layout_.element_bytes));
    if (file_.read_at(elements, bytes_done()).size() != elements.size()) {
      throw FeedError(Fault::kCorrupt, file_.path(), ": the file has become shorter while it was read");
    }
    for (uint64_t i = 0; i < count; ++i, ++row_) {
      const size_t at = rows.size();
      rows.resize(at + schema_.record_bytes());
      std::string why =
          fill(MutableBytes(rows).subspan(at), MutableBytes(elements).subspan(i * layout_.element_bytes, layout_.element_bytes));
      if (why.empty()) {
        places.push_back(row_);
      } else {
        rows.resize(at);
        reject({row_, std::move(why)});
      }
    }
    return row_ < layout_.count;
  }

 private:
  std::string fill(MutableBytes row, MutableBytes element) {
    if (map_.row_clock >= 0) store(row.data(), row_);
    for (size_t c = 0; c < layout_.fields.size(); ++c) {
      if (map_.field_of[c] < 0) continue;
      const auto index = static_cast<size_t>(map_.field_of[c]);
      const NpyField& from = layout_.fields[c];
      const MutableBytes bytes = element.subspan(from.offset, from.bytes);
      if (from.swapped) swap(from, bytes);
      std::string why = index < schema_.clocks() ? put_clock(index, c, bytes, row) : put(schema_.fields()[index], c, bytes, row);
      if (!why.empty()) return concat(schema_.fields()[index].name, ": ", why);
    }
    return {};
  }
  static void swap(const NpyField& from, MutableBytes bytes) {
    const size_t size = from.utf32 ? 4 : bytes_of(from.type);
    for (size_t at = 0; at + size <= bytes.size(); at += size) {
      std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.begin() + static_cast<std::ptrdiff_t>(at + size));
    }
  }
  std::string put_clock(size_t k, size_t c, Bytes bytes, MutableBytes row) const {
    const NpyField& from = layout_.fields[c];
    if (!is_whole(from.type) || from.count != 1) return concat("a clock is a whole number or a time, not ", name_of(from.type));
    std::string text;
    append_text(text, as_read_[c], bytes);
    if (from.is_time && load<int64_t>(bytes.data()) == INT64_MIN) return "not a time (NaT)";
    std::string why;
    const auto value = parse_clock(text, from.is_time ? from.time_unit : options_.clock_unit, schema_.clock(k).unit, why);
    if (value) store(row.data() + 8 * k, *value);
    return why;
  }
  std::string put(const Field& field, size_t c, Bytes bytes, MutableBytes row) const {
    const NpyField& from = layout_.fields[c];
    if (from.utf32) {
      std::string text;
      return to_utf8(bytes, text) ? parse_text(field, text, row) : std::string("no Unicode text");
    }
    if (from.type == field.type && from.bytes == field.bytes()) {
      std::copy(bytes.begin(), bytes.end(), row.begin() + field.offset);
      return {};
    }
    std::string text;
    append_text(text, as_read_[c], bytes);
    return parse_text(field, text, row);
  }

  UserFile file_;
  Schema schema_;
  SourceOptions options_;
  NpyLayout layout_;
  ColumnMap map_;
  std::vector<Field> as_read_;  // each column by itself
  uint64_t row_ = 0;
};

class RawSource final : public RowSource {
 public:
  RawSource(UserFile file, int fd, std::string name, const Schema& schema, std::function<bool(int)> may_read)
      : file_(std::move(file)), fd_(fd), name_(std::move(name)), schema_(schema), may_read_(std::move(may_read)) {
    if (schema.layout() != Layout::kRows) throw FeedError(Fault::kUsage, "a feed of frames takes no raw rows");
  }
  const Schema& schema() const override { return schema_; }
  uint64_t bytes_done() const override { return done_; }
  uint64_t bytes_total() const override { return file_ ? file_.size() : 0; }

  bool read(std::vector<std::byte>& rows, std::vector<uint64_t>& places, uint64_t max_rows,
            const std::function<void(Rejected)>& reject) override {
    const size_t size = schema_.record_bytes();
    const size_t at = rows.size();
    const auto wanted = static_cast<size_t>(max_rows * size);
    rows.resize(at + wanted);
    std::copy(rest_.begin(), rest_.end(), rows.begin() + static_cast<std::ptrdiff_t>(at));
    size_t have = rest_.size();
    bool more = true;
    // At least one row; what a pipe has beyond it is taken as it comes.
    while (more && have < size) {
      if (may_read_ && !may_read_(fd_)) more = false;
      const size_t got = !more ? 0 : read_some(fd_, name_, MutableBytes(rows).subspan(at + have, wanted - have));
      more = got > 0;
      have += got;
      done_ += got;
    }
    const size_t whole = have / size * size;
    rest_.assign(rows.begin() + static_cast<std::ptrdiff_t>(at + whole), rows.begin() + static_cast<std::ptrdiff_t>(at + have));
    rows.resize(at + whole);
    for (size_t i = 0; i < whole / size; ++i) places.push_back(row_++);
    if (!more && !rest_.empty()) {
      reject({row_, concat("the last row has ", rest_.size(), " of ", size, " bytes")});
      rest_.clear();
    }
    return more;
  }

 private:
  UserFile file_;
  int fd_;
  std::string name_;
  Schema schema_;
  std::function<bool(int)> may_read_;
  std::vector<std::byte> rest_;
  uint64_t done_ = 0;
  uint64_t row_ = 0;
};

}  // namespace

Schema npy_schema(const std::string& path, const SourceOptions& options) {
  const UserFile file = UserFile::open(path);
  const NpyLayout layout = layout_of(file);
  std::vector<ClockFit> fits;
  for (const NpyField& field : layout.fields)
    fits.push_back({column_name(field), is_whole(field.type) && field.count == 1, field.is_time});
  const std::vector<size_t> clocks = choose_clocks(fits, options, path);
  std::vector<FieldText> fields;
  if (clocks.empty()) fields.push_back({std::string(kRowClockName), "uint64"});
  for (const size_t clock : clocks) fields.push_back({fits[clock].name, "uint64"});
  for (size_t i = 0; i < layout.fields.size(); ++i) {
    const NpyField& from = layout.fields[i];
    if (std::find(clocks.begin(), clocks.end(), i) != clocks.end()) continue;
    if (!options.columns.empty() &&
        std::find(options.columns.begin(), options.columns.end(), fits[i].name) == options.columns.end())
      continue;
    fields.push_back({fits[i].name, type_text({fits[i].name, from.type, from.count, 0, {}, {}, {}})});
  }
  Schema schema = Schema::rows(fields, std::max<size_t>(1, clocks.size()), options.aligned);
  for (size_t k = 0; k < clocks.size(); ++k) {
    const NpyField& from = layout.fields[clocks[k]];
    schema.set_clock(k, {from.is_time ? from.time_unit : options.clock_unit, ClockOrder::kLoose,
                         from.is_time ? ClockDomain::kWall : ClockDomain::kUser});
  }
  return schema;
}

std::unique_ptr<RowSource> open_npy(const std::string& path, const Schema& schema, const SourceOptions& options) {
  return std::make_unique<NpySource>(path, schema, options);
}

std::unique_ptr<RowSource> open_raw(const std::string& path, const Schema& schema) {
  UserFile file = UserFile::open(path);
  const int fd = file.fd();
  return std::make_unique<RawSource>(std::move(file), fd, path, schema, nullptr);
}

std::unique_ptr<RowSource> open_raw(int fd, const std::string& name, const Schema& schema, std::function<bool(int fd)> may_read) {
  return std::make_unique<RawSource>(UserFile(), fd, name, schema, std::move(may_read));
}

}  // namespace tidepool::feed
