#pragma once
// What the bytes of a row mean: fields as text, as JSON and as numbers, by the schema that they were written with (F-13..F-16,
// F-46, F-102). Nothing here touches files.
//
// Thread safety: everything is stateless or belongs to one thread.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tidepool/base/bytes.h"
#include "tidepool/feed/registry.h"
#include "tidepool/feed/schema.h"

namespace tidepool::feed {

// ---- names ------------------------------------------------------------------------------------------------------------------

// As a definition says it: "uint64", "float32[3]", "bytes16", "text[12]", "_4", "uint8{buy=1,sell=2}": what a
// schema is made of again.
std::string type_text(const Field& field);
std::string_view unit_name(ClockUnit unit) noexcept;        // "ns", "us", "ms", "s"
std::string_view order_name(ClockOrder order) noexcept;     // "loose", "strict"
std::string_view domain_name(ClockDomain domain) noexcept;  // "user", "wall", "monotonic"
std::string_view sync_name(SyncMode sync) noexcept;         // "interval", "none", "every_commit", "explicit"
// The reverse; throw FeedError kUsage with the names that there are.
ClockUnit unit_named(std::string_view name);
ClockOrder order_named(std::string_view name);
ClockDomain domain_named(std::string_view name);
SyncMode sync_named(std::string_view name);

// ---- clocks -----------------------------------------------------------------------------------------------------------------

uint64_t ns_per(ClockUnit unit) noexcept;
enum class Rounding : uint8_t { kDown, kUp };
// A time in another unit; nullopt when it does not fit 64 bits (F-15: never wrapped around). kUp is what a half-open range needs:
// `clock >= t` is the same question in a coarser unit only if t is rounded up.
std::optional<uint64_t> convert_clock(uint64_t value, ClockUnit from, ClockUnit to, Rounding rounding = Rounding::kDown) noexcept;
// The same; throws FeedError kOutOfRange naming the value and both units.
uint64_t convert_clock_or_throw(uint64_t value, ClockUnit from, ClockUnit to, Rounding rounding = Rounding::kDown);

// ---- half precision ---------------------------------------------------------------------------------------------------------

float float_of_half(uint16_t half) noexcept;
uint16_t half_of_double(double value) noexcept;  // to nearest, ties to even; too large: infinity

// ---- one field of a row -----------------------------------------------------------------------------------------------------

// Whether a field is shown at all: padding is not, whatever it is called (F-14).
inline bool is_shown(const Field& field) noexcept { return field.type != Type::kPad; }
// The fields of that name, in that order; all that are shown if `names` is empty. Throws FeedError kUsage, listing those there are.
std::vector<Field> select_fields(const Schema& schema, const std::vector<std::string>& names);

// The field as text: numbers so that they read back the same, bytes as hexadecimal digits, text up to its first zero, arrays as
// elements separated by blanks.
void append_text(std::string& out, const Field& field, Bytes row);
// The field as a JSON value. Text that is no UTF-8 becomes {"bytes":"hex"}, so that nothing is lost (F-102).
void append_json(std::string& out, const Field& field, Bytes row, bool unsigned_text = false);
void append_json_string(std::string& out, std::string_view text);
bool is_utf8(std::string_view text) noexcept;

// Put what `text` says into the row; "" or what is wrong with it ("'x' is no float64"), and then the row is as it was.
std::string parse_text(const Field& field, std::string_view text, MutableBytes row);

// ---- rows by field names (F-46) ---------------------------------------------------------------------------------------------

// One row, filled by field names or in schema order; bytes() goes to FeedWriter::append(). What is not set is zero.
class RowBuilder {
 public:
  explicit RowBuilder(const Schema& schema);
  // Throw FeedError kUsage: no such field, or a value that does not fit it exactly.
  RowBuilder& set(std::string_view field, uint64_t value, uint32_t element = 0);
  RowBuilder& set(std::string_view field, int64_t value, uint32_t element = 0);
  RowBuilder& set(std::string_view field, int value, uint32_t element = 0) {
    return set(field, static_cast<int64_t>(value), element);
  }
  RowBuilder& set(std::string_view field, double value, uint32_t element = 0);
  RowBuilder& set(std::string_view field, std::string_view text);  // text and bytes as they are; other fields by parse_text()
  RowBuilder& set(std::string_view field, const char* text) { return set(field, std::string_view(text)); }
  // All fields that are shown, in schema order, as texts.
  RowBuilder& set_all(const std::vector<std::string>& texts);
  void clear();
  Bytes bytes() const noexcept { return row_; }

 private:
  const Field& field(std::string_view name) const;
  const Schema* schema_;
  std::vector<std::byte> row_;
};

// One row's fields as numbers.
class RowView {
 public:
  RowView(const Schema& schema, Bytes row) : schema_(&schema), row_(row) {}
  // Throw FeedError kUsage: no such field or element, not a number, or one that the type asked for cannot hold.
  uint64_t as_uint64(std::string_view field, uint32_t element = 0) const;
  int64_t as_int64(std::string_view field, uint32_t element = 0) const;
  double as_double(std::string_view field, uint32_t element = 0) const;
  std::string as_text(std::string_view field) const;

 private:
  const Field& field(std::string_view name) const;
  const Schema* schema_;
  Bytes row_;
};

}  // namespace tidepool::feed
