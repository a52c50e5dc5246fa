#include "tidepool/feed/filter.h"

#include <charconv>
#include <cstring>
#include <functional>
#include <optional>
#include <utility>

#include "tidepool/base/log.h"
#include "tidepool/feed/values.h"

namespace tidepool::feed {
namespace {

constexpr std::pair<std::string_view, Compare> kCompares[] = {  // the longer ones first
    {"==", Compare::kEqual}, {"!=", Compare::kNotEqual}, {"<=", Compare::kLessOrEqual}, {">=", Compare::kGreaterOrEqual},
    {"=", Compare::kEqual},  {"<", Compare::kLess},      {">", Compare::kGreater}};

std::string_view without_blanks(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Calls `take` with the comparison as a function object, so that loops over rows hold none.
template <typename Take>
void with_compare(Compare compare, Take&& take) {
  switch (compare) {
    case Compare::kEqual: return take(std::equal_to<>());
    case Compare::kNotEqual: return take(std::not_equal_to<>());
    case Compare::kLess: return take(std::less<>());
    case Compare::kLessOrEqual: return take(std::less_equal<>());
    case Compare::kGreater: return take(std::greater<>());
    case Compare::kGreaterOrEqual: return take(std::greater_equal<>());
  }
}

template <typename Stored, typename Value, typename Read>
void keep_if(const std::byte* at, size_t stride, std::vector<uint8_t>& keep, Compare compare, Value value, Read&& read) {
  with_compare(compare, [&](auto holds) {
    for (size_t i = 0; i < keep.size(); ++i)
      keep[i] &= static_cast<uint8_t>(holds(static_cast<Value>(read(load<Stored>(at + i * stride))), value));
  });
}

template <typename Stored, typename Value>
void keep_if(const std::byte* at, size_t stride, std::vector<uint8_t>& keep, Compare compare, Value value) {
  keep_if<Stored>(at, stride, keep, compare, value, [](Stored stored) { return stored; });
}

[[noreturn]] void refuse_value(const Field& field, std::string_view value) {
  throw FeedError(Fault::kUsage, "'", printable(value, 64), "' is no value of field ", field.name, " (", type_text(field), ")");
}

// A whole number of any size that 64 bits hold, with its sign.
struct Whole {
  bool negative = false;
  uint64_t positive = 0;  // !negative
  int64_t integer = 0;    // negative
};
std::optional<Whole> whole_of(std::string_view text) noexcept {
  Whole whole;
  whole.negative = text.starts_with('-');
  const char* end = text.data() + text.size();
  const auto [at, error] =
      whole.negative ? std::from_chars(text.data(), end, whole.integer) : std::from_chars(text.data(), end, whole.positive);
  if (error != std::errc() || at != end || text.empty()) return std::nullopt;
  return whole;
}

bool is_signed(Type type) noexcept {
  return type == Type::kInt8 || type == Type::kInt16 || type == Type::kInt32 || type == Type::kInt64;
}
bool is_float(Type type) noexcept { return type == Type::kFloat16 || type == Type::kFloat32 || type == Type::kFloat64; }

}  // namespace

Filter::Filter(const Schema& schema) : schema_(&schema) {}

Filter Filter::parse(const Schema& schema, const std::vector<std::string>& conditions) {
  Filter filter(schema);
  for (const std::string& text : conditions) {
    const size_t at = text.find_first_of("=!<>");
    std::optional<Compare> compare;
    std::string_view value;
    for (const auto& [sign, meaning] : kCompares) {
      if (at == std::string::npos || compare || text.compare(at, sign.size(), sign) != 0) continue;
      compare = meaning;
      value = without_blanks(std::string_view(text).substr(at + sign.size()));
    }
    std::string_view field = without_blanks(std::string_view(text).substr(0, at));
    if (!compare || field.empty()) {
      throw FeedError(Fault::kUsage, "'", printable(text, 100),
                      "' is no condition: expected a field, one of = != < <= > >=, and a value, such as \"price >= 101.25\"");
    }
    uint32_t element = 0;
    if (const auto open = field.find('['); open != std::string_view::npos && field.ends_with(']')) {
      const std::string_view digits = field.substr(open + 1, field.size() - open - 2);
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), element);
      if (error != std::errc() || end != digits.data() + digits.size() || digits.empty()) {
        throw FeedError(Fault::kUsage, "'", printable(field, 100), "': expected the number of an element in the brackets");
      }
      field = field.substr(0, open);
    }
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    filter.where(field, *compare, value, element);
  }
  return filter;
}

Filter& Filter::where(std::string_view name, Compare compare, std::string_view value, uint32_t element) {
  Condition condition{std::string(name), element, compare, std::string(value)};
  const Field field = select_fields(*schema_, {condition.field}).front();
  for (const ValueName& named : field.names) {
    if (named.name == value) condition.value = std::to_string(named.value);  // the number is the same in all versions
  }
  tests_.push_back(test_of(field, condition));
  conditions_.push_back(std::move(condition));
  return *this;
}

Filter& Filter::within(const TimeRange& time) {
  if (time.clock >= schema_->clocks())
    throw FeedError(Fault::kUsage, "there is no clock ", time.clock, ": there are ", schema_->clocks());
  Test test;
  test.clock = static_cast<int>(time.clock);
  test.offset = schema_->fields()[time.clock].offset;
  test.compare = Compare::kGreaterOrEqual;
  test.whole = time.from;
  if (time.from != 0) tests_.push_back(test);
  test.compare = Compare::kLess;
  test.whole = time.to;
  if (time.to != ~uint64_t{0}) tests_.push_back(test);
  if (time.to <= time.from && time.to != ~uint64_t{0}) nothing_ = true;
  times_.push_back(time);
  return *this;
}

Filter Filter::of_version(const Schema& schema) const {
  Filter other(schema);
  for (const TimeRange& time : times_) other.within(time);
  for (const Condition& condition : conditions_) {
    const Field* field = schema.field(condition.field);
    if (field == nullptr || !is_shown(*field)) {
      other.nothing_ = true;
      continue;
    }
    other.tests_.push_back(test_of(*field, condition));
    other.conditions_.push_back(condition);
  }
  return other;
}

Filter::Test Filter::test_of(const Field& field, const Condition& condition) const {
  Test test;
  test.type = field.type;
  test.compare = condition.compare;
  const bool texty = field.type == Type::kText || field.type == Type::kBytes || (field.type == Type::kChar && field.count > 1);
  if (condition.element >= (texty ? 1 : field.count)) {
    throw FeedError(Fault::kUsage, "field ", field.name, " (", type_text(field), ") has no element ", condition.element);
  }
  test.offset = field.offset + (texty ? 0 : condition.element * bytes_of(field.type));
  for (size_t k = 0; k < schema_->clocks(); ++k) {
    if (schema_->clock_name(k) == field.name) test.clock = static_cast<int>(k);
  }
  if (texty || field.type == Type::kChar || field.type == Type::kBool) {  // as the row would hold it
    Field alone = field;
    alone.offset = 0;
    if (!texty) alone.count = 1;
    std::vector<std::byte> stored(alone.bytes());
    if (const std::string wrong = parse_text(alone, condition.value, stored); !wrong.empty()) refuse_value(field, condition.value);
    test.whole = field.type == Type::kBool ? load<uint8_t>(stored.data()) : 0;
    if (field.type == Type::kBool) return test;
    test.as = Test::As::kBytes;
    test.length = alone.bytes();
    test.bytes.assign(reinterpret_cast<const char*>(stored.data()), stored.size());
    return test;
  }
  if (is_float(field.type)) {
    const char* end = condition.value.data() + condition.value.size();
    const auto [at, error] = std::from_chars(condition.value.data(), end, test.number);
    if (error != std::errc() || at != end || condition.value.empty()) refuse_value(field, condition.value);
    // As the field would hold it, so that what is shown as 0.1 equals 0.1.
    if (field.type == Type::kFloat32) test.number = static_cast<float>(test.number);
    if (field.type == Type::kFloat16) test.number = float_of_half(half_of_double(test.number));
    test.as = Test::As::kFloat;
    return test;
  }
  const std::optional<Whole> whole = whole_of(condition.value);
  if (!whole) refuse_value(field, condition.value);
  const auto constant = [&](bool above) {  // beyond all that the field can hold
    const bool holds = test.compare == Compare::kNotEqual ||
                       (above ? test.compare == Compare::kLess || test.compare == Compare::kLessOrEqual
                              : test.compare == Compare::kGreater || test.compare == Compare::kGreaterOrEqual);
    test.as = holds ? Test::As::kAlways : Test::As::kNever;
  };
  if (is_signed(field.type)) {
    test.as = Test::As::kSigned;
    test.integer = whole->negative ? whole->integer : static_cast<int64_t>(whole->positive);
    if (!whole->negative && whole->positive > static_cast<uint64_t>(INT64_MAX)) constant(true);
  } else {
    test.whole = whole->positive;
    if (whole->negative) constant(false);
  }
  return test;
}

bool Filter::may_pass(const ClockBounds (&clocks)[kClocksMax]) const noexcept {
  if (nothing_) return false;
  for (const Test& test : tests_) {
    if (test.as == Test::As::kNever) return false;
    if (test.clock < 0 || test.as != Test::As::kUnsigned) continue;
    const ClockBounds& bounds = clocks[test.clock];
    switch (test.compare) {
      case Compare::kEqual:
        if (test.whole < bounds.min || test.whole > bounds.max) return false;
        break;
      case Compare::kNotEqual:
        if (bounds.min == bounds.max && bounds.min == test.whole) return false;
        break;
      case Compare::kLess:
        if (bounds.min >= test.whole) return false;
        break;
      case Compare::kLessOrEqual:
        if (bounds.min > test.whole) return false;
        break;
      case Compare::kGreater:
        if (bounds.max <= test.whole) return false;
        break;
      case Compare::kGreaterOrEqual:
        if (bounds.max < test.whole) return false;
        break;
    }
  }
  return true;
}

void Filter::run(const Test& test, const std::byte* rows, size_t row_bytes, std::vector<uint8_t>& keep) {
  const std::byte* at = rows + test.offset;
  if (test.as == Test::As::kAlways) return;
  if (test.as == Test::As::kNever) return std::fill(keep.begin(), keep.end(), uint8_t{0});
  if (test.as == Test::As::kBytes) {
    with_compare(test.compare, [&](auto holds) {
      for (size_t i = 0; i < keep.size(); ++i)
        keep[i] &= static_cast<uint8_t>(holds(std::memcmp(at + i * row_bytes, test.bytes.data(), test.length), 0));
    });
    return;
  }
  switch (test.type) {
    case Type::kInt8: return keep_if<int8_t>(at, row_bytes, keep, test.compare, test.integer);
    case Type::kInt16: return keep_if<int16_t>(at, row_bytes, keep, test.compare, test.integer);
    case Type::kInt32: return keep_if<int32_t>(at, row_bytes, keep, test.compare, test.integer);
    case Type::kInt64: return keep_if<int64_t>(at, row_bytes, keep, test.compare, test.integer);
    case Type::kUint8: return keep_if<uint8_t>(at, row_bytes, keep, test.compare, test.whole);
    case Type::kUint16: return keep_if<uint16_t>(at, row_bytes, keep, test.compare, test.whole);
    case Type::kUint32: return keep_if<uint32_t>(at, row_bytes, keep, test.compare, test.whole);
    case Type::kUint64: return keep_if<uint64_t>(at, row_bytes, keep, test.compare, test.whole);
    case Type::kBool:
      return keep_if<uint8_t>(at, row_bytes, keep, test.compare, test.whole, [](uint8_t stored) { return stored != 0 ? 1 : 0; });
    case Type::kFloat16: return keep_if<uint16_t>(at, row_bytes, keep, test.compare, test.number, float_of_half);
    case Type::kFloat32: return keep_if<float>(at, row_bytes, keep, test.compare, test.number);
    case Type::kFloat64: return keep_if<double>(at, row_bytes, keep, test.compare, test.number);
    case Type::kPad:
    case Type::kChar:
    case Type::kBytes:
    case Type::kText: return;  // kBytes above
  }
}

void Filter::select(const std::byte* rows, size_t row_bytes, std::vector<uint8_t>& keep) const {
  std::fill(keep.begin(), keep.end(), static_cast<uint8_t>(nothing_ ? 0 : 1));
  if (nothing_) return;
  for (const Test& test : tests_) run(test, rows, row_bytes, keep);
}

bool Filter::passes(const Item& item) const {
  std::vector<uint8_t> keep(1);
  if (item.kind != Item::Kind::kFrame) {
    select(item.bytes.data(), item.bytes.size(), keep);
    return keep[0] != 0;
  }
  std::byte clocks[8 * kClocksMax];
  for (size_t k = 0; k < kClocksMax; ++k) store(clocks + 8 * k, item.frame.clocks[k]);
  select(clocks, sizeof clocks, keep);
  return keep[0] != 0;
}

}  // namespace tidepool::feed
