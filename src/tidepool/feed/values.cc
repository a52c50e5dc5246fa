#include "tidepool/feed/values.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <concepts>
#include <limits>

#include "tidepool/base/log.h"
#include "tidepool/feed/fault.h"

namespace tidepool::feed {
namespace {

template <typename Enum, size_t N>
Enum named(std::string_view what, std::string_view name, const std::pair<std::string_view, Enum> (&known)[N]) {
  std::string list;
  for (const auto& [text, value] : known) {
    if (text == name) return value;
    list += concat(list.empty() ? "" : ", ", text);
  }
  throw FeedError(Fault::kUsage, what, " '", printable(name, 64), "': expected one of ", list);
}

template <typename Enum, size_t N>
std::string_view name_in(Enum value, const std::pair<std::string_view, Enum> (&known)[N]) noexcept {
  for (const auto& [text, one] : known) {
    if (one == value) return text;
  }
  return "unknown";
}

constexpr std::pair<std::string_view, ClockUnit> kUnits[] = {
    {"ns", ClockUnit::kNs}, {"us", ClockUnit::kUs}, {"ms", ClockUnit::kMs}, {"s", ClockUnit::kS}};
constexpr std::pair<std::string_view, ClockOrder> kOrders[] = {{"loose", ClockOrder::kLoose}, {"strict", ClockOrder::kStrict}};
constexpr std::pair<std::string_view, ClockDomain> kDomains[] = {
    {"user", ClockDomain::kUser}, {"wall", ClockDomain::kWall}, {"monotonic", ClockDomain::kMonotonic}};
constexpr std::pair<std::string_view, SyncMode> kSyncs[] = {{"interval", SyncMode::kInterval},
                                                            {"none", SyncMode::kNone},
                                                            {"every_commit", SyncMode::kEveryCommit},
                                                            {"explicit", SyncMode::kExplicit}};

constexpr std::pair<std::string_view, Persister> kPersisters[] = {
    {"writer", Persister::kWriter}, {"daemon", Persister::kDaemon}, {"any", Persister::kAny}};

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_texty(const Field& field) noexcept { return field.type == Type::kText || (field.type == Type::kChar && field.count > 1); }

Bytes bytes_in(const Field& field, Bytes row) {
  if (row.size() < uint64_t{field.offset} + field.bytes()) {
    throw FeedError(Fault::kUsage, "a row of ", row.size(), " bytes has no field ", field.name, " at ", field.offset);
  }
  return row.subspan(field.offset, field.bytes());
}

// What a text field says: kText up to its first zero, char[N] without the zeros at its end.
std::string_view text_in(const Field& field, Bytes row) {
  const Bytes bytes = bytes_in(field, row);
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (field.type == Type::kText) return text.substr(0, text.find('\0'));
  const size_t last = text.find_last_not_of('\0');
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

constexpr char kHex[] = "0123456789abcdef";

void append_hex(std::string& out, Bytes bytes) {
  for (const std::byte byte : bytes) {
    out += kHex[static_cast<uint8_t>(byte) >> 4];
    out += kHex[static_cast<uint8_t>(byte) & 15];
  }
}

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

template <typename Number>
void append_number(std::string& out, Number value) {
  char digits[64];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, end);
}

// Calls `take` with the element as what it is: bool, uint64_t, int64_t, float or double. False: not a number.
template <typename Take>
bool with_number(Type type, const std::byte* at, Take&& take) {
  switch (type) {
    case Type::kBool: take(load<uint8_t>(at) != 0); return true;
    case Type::kInt8: take(int64_t{load<int8_t>(at)}); return true;
    case Type::kUint8: take(uint64_t{load<uint8_t>(at)}); return true;
    case Type::kInt16: take(int64_t{load<int16_t>(at)}); return true;
    case Type::kUint16: take(uint64_t{load<uint16_t>(at)}); return true;
    case Type::kInt32: take(int64_t{load<int32_t>(at)}); return true;
    case Type::kUint32: take(uint64_t{load<uint32_t>(at)}); return true;
    case Type::kInt64: take(load<int64_t>(at)); return true;
    case Type::kUint64: take(load<uint64_t>(at)); return true;
    case Type::kFloat16: take(float_of_half(load<uint16_t>(at))); return true;
    case Type::kFloat32: take(load<float>(at)); return true;
    case Type::kFloat64: take(load<double>(at)); return true;
    case Type::kPad:
    case Type::kChar:
    case Type::kBytes:
    case Type::kText: break;
  }
  return false;
}

void append_element_text(std::string& out, Type type, const std::byte* at) {
  if (type == Type::kChar) {
    const auto c = load<unsigned char>(at);
    if (c >= 0x20 && c < 0x7F) {
      out += static_cast<char>(c);
    } else if (c != 0) {
      out += "0x";
      append_hex(out, Bytes(at, 1));
    }
    return;
  }
  with_number(type, at, [&](auto value) {
    if constexpr (std::is_same_v<decltype(value), bool>) {
      out += value ? "true" : "false";
    } else if constexpr (std::is_floating_point_v<decltype(value)>) {
      if (std::isnan(value)) {
        out += "nan";
      } else if (std::isinf(value)) {
        out += value < 0 ? "-inf" : "inf";
      } else {
        append_number(out, value);
      }
    } else {
      append_number(out, value);
    }
  });
}

void append_element_json(std::string& out, Type type, const std::byte* at, bool unsigned_text) {
  if (type == Type::kChar) {
    std::string text;
    append_element_text(text, type, at);
    return append_json_string(out, text);
  }
  with_number(type, at, [&](auto value) {
    constexpr bool kFloat = std::is_floating_point_v<decltype(value)>;
    bool quoted = false;
    if constexpr (kFloat) quoted = !std::isfinite(value);
    if constexpr (std::is_same_v<decltype(value), uint64_t>) quoted = unsigned_text && value > (uint64_t{1} << 53);
    if constexpr (std::is_same_v<decltype(value), int64_t>) {
      quoted = unsigned_text && (value > (int64_t{1} << 53) || value < -(int64_t{1} << 53));
    }
    if (quoted) out += '"';
    append_element_text(out, type, at);
    if (quoted) out += '"';
  });
}

template <typename Number>
std::string parse_number(std::string_view text, Type type, std::byte* to) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) return concat("'", printable(text, 40), "' does not fit ", name_of(type));
  if (error != std::errc() || end != text.data() + text.size() || text.empty())
    return concat("'", printable(text, 40), "' is no ", name_of(type));
  store(to, value);
  return {};
}

std::string parse_bool(std::string_view text, std::byte* to) {
  for (const std::string_view yes : {"true", "True", "TRUE", "1", "t", "yes"}) {
    if (text == yes) return store(to, uint8_t{1}), std::string();
  }
  for (const std::string_view no : {"false", "False", "FALSE", "0", "f", "no"}) {
    if (text == no) return store(to, uint8_t{0}), std::string();
  }
  return concat("'", printable(text, 40), "' is no bool");
}

std::string parse_char(std::string_view text, std::byte* to) {
  if (text.empty()) return store(to, char{0}), std::string();
  if (text.size() == 1) return store(to, text[0]), std::string();
  if (text.size() == 4 && text.starts_with("0x") && hex_digit(text[2]) >= 0 && hex_digit(text[3]) >= 0) {
    return store(to, static_cast<uint8_t>(hex_digit(text[2]) * 16 + hex_digit(text[3]))), std::string();
  }
  return concat("'", printable(text, 40), "' is no single char");
}

std::string parse_element(Type type, std::string_view text, std::byte* to) {
  switch (type) {
    case Type::kChar: return parse_char(text, to);
    case Type::kBool: return parse_bool(text, to);
    case Type::kInt8: return parse_number<int8_t>(text, type, to);
    case Type::kUint8: return parse_number<uint8_t>(text, type, to);
    case Type::kInt16: return parse_number<int16_t>(text, type, to);
    case Type::kUint16: return parse_number<uint16_t>(text, type, to);
    case Type::kInt32: return parse_number<int32_t>(text, type, to);
    case Type::kUint32: return parse_number<uint32_t>(text, type, to);
    case Type::kInt64: return parse_number<int64_t>(text, type, to);
    case Type::kUint64: return parse_number<uint64_t>(text, type, to);
    case Type::kFloat32: return parse_number<float>(text, type, to);
    case Type::kFloat64: return parse_number<double>(text, type, to);
    case Type::kFloat16: {
      std::byte wide[sizeof(double)];
      std::string wrong = parse_number<double>(text, type, wide);
      if (!wrong.empty()) return wrong;
      const auto value = load<double>(wide);
      const uint16_t half = half_of_double(value);
      if (std::isfinite(value) && (half & 0x7FFF) == 0x7C00) return concat("'", printable(text, 40), "' does not fit float16");
      store(to, half);
      return {};
    }
    case Type::kPad:
    case Type::kBytes:
    case Type::kText: break;
  }
  return "not a value of one element";
}

std::string parse_bytes(const Field& field, std::string_view text, MutableBytes to) {
  if (text.size() != size_t{2} * field.count) return concat(text.size(), " hexadecimal digits, expected ", 2 * field.count);
  std::vector<std::byte> bytes(field.count);
  for (size_t i = 0; i < bytes.size(); ++i) {
    const int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return concat("'", printable(text, 40), "' is not hexadecimal");
    bytes[i] = static_cast<std::byte>(high * 16 + low);
  }
  std::copy(bytes.begin(), bytes.end(), to.begin());
  return {};
}

std::string parse_into_text(const Field& field, std::string_view text, MutableBytes to) {
  if (text.size() > field.bytes())
    return concat("'", printable(text, 40), "' has ", text.size(), " bytes, the field ", field.bytes());
  if (field.type == Type::kText && !is_utf8(text)) return concat("'", printable(text, 40), "' is not UTF-8");
  if (text.find('\0') != std::string_view::npos) return "a zero byte in a text";
  std::fill(to.begin(), to.end(), std::byte{0});
  std::copy_n(reinterpret_cast<const std::byte*>(text.data()), text.size(), to.begin());
  return {};
}

// An integer or a floating-point number into an element, only if it is still the same value there; "" or what is wrong.
template <typename Value>
std::string put_number(Type type, Value value, std::byte* to) {
  const auto refuse = [&] { return concat(value, " does not fit ", name_of(type)); };
  const auto whole = [&]<typename Target>(Target) {
    if constexpr (std::is_integral_v<Value>) {
      if (!std::in_range<Target>(value)) return refuse();
    } else {
      // 2^digits is exact as a double and the first value that does not fit.
      const double above = std::ldexp(1.0, std::numeric_limits<Target>::digits);
      const double least = std::is_signed_v<Target> ? -above : 0.0;
      if (!(value >= least && value < above) || std::trunc(value) != value) return refuse();
    }
    store(to, static_cast<Target>(value));
    return std::string();
  };
  switch (type) {
    case Type::kBool:
      return value == Value(0) || value == Value(1) ? (store(to, static_cast<uint8_t>(value)), std::string()) : refuse();
    case Type::kInt8: return whole(int8_t{});
    case Type::kUint8: return whole(uint8_t{});
    case Type::kInt16: return whole(int16_t{});
    case Type::kUint16: return whole(uint16_t{});
    case Type::kInt32: return whole(int32_t{});
    case Type::kUint32: return whole(uint32_t{});
    case Type::kInt64: return whole(int64_t{});
    case Type::kUint64: return whole(uint64_t{});
    case Type::kFloat16: return store(to, half_of_double(static_cast<double>(value))), std::string();
    case Type::kFloat32: return store(to, static_cast<float>(value)), std::string();
    case Type::kFloat64: return store(to, static_cast<double>(value)), std::string();
    case Type::kPad:
    case Type::kChar:
    case Type::kBytes:
    case Type::kText: break;
  }
  return concat("a number does not fit ", name_of(type));
}

std::string known_fields(const Schema& schema) {
  std::string known;
  for (const Field& field : schema.fields()) {
    if (!is_shown(field)) continue;
    if (known.size() > 400) return known + ", ...";
    known += concat(known.empty() ? "" : ", ", field.name);
  }
  return known;
}

const Field& shown_field(const Schema& schema, std::string_view name) {
  const Field* field = schema.field(name);
  if (field == nullptr || !is_shown(*field)) {
    throw FeedError(Fault::kUsage, "there is no field '", printable(name, 64), "'; the fields are ", known_fields(schema));
  }
  return *field;
}

[[noreturn]] void bad_value(const Field& field, std::string_view why) {
  throw FeedError(Fault::kUsage, "field ", field.name, " (", type_text(field), "): ", why);
}

}  // namespace

// ---- names ------------------------------------------------------------------------------------------------------------------

std::string type_text(const Field& field) {
  if (field.type == Type::kPad) return concat("_", field.count);
  if (field.type == Type::kBytes) return concat("bytes", field.count);
  if (field.type == Type::kText) return concat("text[", field.count, "]");
  std::string text = field.count == 1 ? std::string(name_of(field.type)) : concat(name_of(field.type), "[", field.count, "]");
  for (size_t i = 0; i < field.names.size(); ++i) text += concat(i == 0 ? "{" : ",", field.names[i].name, "=", field.names[i].value);
  if (!field.names.empty()) text += "}";
  return text;
}

std::string_view unit_name(ClockUnit unit) noexcept { return name_in(unit, kUnits); }
std::string_view order_name(ClockOrder order) noexcept { return name_in(order, kOrders); }
std::string_view domain_name(ClockDomain domain) noexcept { return name_in(domain, kDomains); }
std::string_view persister_name(Persister persister) noexcept { return name_in(persister, kPersisters); }
std::string_view sync_name(SyncMode sync) noexcept { return name_in(sync, kSyncs); }
ClockUnit unit_named(std::string_view name) { return named("clock unit", name, kUnits); }
ClockOrder order_named(std::string_view name) { return named("clock order", name, kOrders); }
ClockDomain domain_named(std::string_view name) { return named("clock domain", name, kDomains); }
Persister persister_named(std::string_view name) { return named("persister", name, kPersisters); }
SyncMode sync_named(std::string_view name) { return named("sync policy", name, kSyncs); }

// ---- clocks -----------------------------------------------------------------------------------------------------------------

uint64_t ns_per(ClockUnit unit) noexcept {
  switch (unit) {
    case ClockUnit::kNs: return 1;
    case ClockUnit::kUs: return 1'000;
    case ClockUnit::kMs: return 1'000'000;
    case ClockUnit::kS: return 1'000'000'000;
  }
  return 1;
}

std::optional<uint64_t> convert_clock(uint64_t value, ClockUnit from, ClockUnit to, Rounding rounding) noexcept {
  const uint64_t from_ns = ns_per(from), to_ns = ns_per(to);
  if (from_ns >= to_ns) {
    uint64_t out = 0;
    if (__builtin_mul_overflow(value, from_ns / to_ns, &out)) return std::nullopt;
    return out;
  }
  const uint64_t factor = to_ns / from_ns;
  return value / factor + (rounding == Rounding::kUp && value % factor != 0 ? 1 : 0);
}

uint64_t convert_clock_or_throw(uint64_t value, ClockUnit from, ClockUnit to, Rounding rounding) {
  if (const auto out = convert_clock(value, from, to, rounding)) return *out;
  throw FeedError(Fault::kOutOfRange, "the time ", value, " ", unit_name(from), " does not fit 64 bits of ", unit_name(to));
}

// ---- half precision ---------------------------------------------------------------------------------------------------------

float float_of_half(uint16_t half) noexcept {
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t exponent = half >> 10 & 31;
  const uint32_t mantissa = half & 0x3FF;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | mantissa << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
  return sign != 0 ? -magnitude : magnitude;
}

uint16_t half_of_double(double value) noexcept {
  const auto bits = std::bit_cast<uint64_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 48 & 0x8000);
  const int exponent = static_cast<int>(bits >> 52 & 0x7FF) - 1023;
  const uint64_t mantissa = bits & ((uint64_t{1} << 52) - 1);
  if (exponent == 1024) return static_cast<uint16_t>(sign | 0x7C00 | (mantissa != 0 ? 0x200 : 0));
  if (exponent > 15) return sign | 0x7C00;
  if (exponent < -25) return sign;
  const uint64_t whole = mantissa | uint64_t{1} << 52;
  const int shift = exponent >= -14 ? 42 : 28 - exponent;  // below 2^-14 there is no hidden bit, and fewer are kept
  uint64_t kept = whole >> shift;
  const uint64_t rest = whole & ((uint64_t{1} << shift) - 1);
  const uint64_t tie = uint64_t{1} << (shift - 1);
  if (rest > tie || (rest == tie && (kept & 1) != 0)) ++kept;
  // A carry out of the mantissa becomes the next exponent, as it should.
  const uint64_t magnitude = exponent >= -14 ? (static_cast<uint64_t>(exponent + 14) << 10) + kept : kept;
  return static_cast<uint16_t>(sign | magnitude);
}

// ---- one field of a row -----------------------------------------------------------------------------------------------------

std::vector<Field> select_fields(const Schema& schema, const std::vector<std::string>& names) {
  std::vector<Field> out;
  for (const std::string& name : names) out.push_back(shown_field(schema, name));
  if (!names.empty()) return out;
  std::copy_if(schema.fields().begin(), schema.fields().end(), std::back_inserter(out), is_shown);
  return out;
}

bool is_utf8(std::string_view text) noexcept {
  for (size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const size_t more = lead < 0x80                   ? 0
                        : lead >= 0xC2 && lead < 0xE0 ? 1
                        : lead >= 0xE0 && lead < 0xF0 ? 2
                        : lead >= 0xF0 && lead < 0xF5 ? 3
                                                      : 9;
    if (more == 9 || at + more >= text.size()) return false;
    for (size_t i = 1; i <= more; ++i) {
      if ((static_cast<unsigned char>(text[at + i]) & 0xC0) != 0x80) return false;
    }
    const auto second = more > 0 ? static_cast<unsigned char>(text[at + 1]) : 0;
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) || (lead == 0xF0 && second < 0x90) ||
        (lead == 0xF4 && second > 0x8F))
      return false;
    at += more + 1;
  }
  return true;
}

void append_text(std::string& out, const Field& field, Bytes row) {
  if (is_texty(field)) {
    out += text_in(field, row);
    return;
  }
  const Bytes bytes = bytes_in(field, row);
  if (field.type == Type::kBytes || field.type == Type::kPad) return append_hex(out, bytes);
  const uint32_t element = bytes_of(field.type);
  for (uint32_t i = 0; i < field.count; ++i) {
    if (i > 0) out += ' ';
    append_element_text(out, field.type, bytes.data() + size_t{i} * element);
  }
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_json(std::string& out, const Field& field, Bytes row, bool unsigned_text) {
  if (is_texty(field)) {
    const std::string_view text = text_in(field, row);
    if (is_utf8(text)) return append_json_string(out, text);
    out += "{\"bytes\":\"";
    append_hex(out, std::as_bytes(std::span(text)));
    out += "\"}";
    return;
  }
  const Bytes bytes = bytes_in(field, row);
  if (field.type == Type::kBytes || field.type == Type::kPad) {
    out += '"';
    append_hex(out, bytes);
    out += '"';
    return;
  }
  const uint32_t element = bytes_of(field.type);
  if (field.count == 1) return append_element_json(out, field.type, bytes.data(), unsigned_text);
  out += '[';
  for (uint32_t i = 0; i < field.count; ++i) {
    if (i > 0) out += ',';
    append_element_json(out, field.type, bytes.data() + size_t{i} * element, unsigned_text);
  }
  out += ']';
}

std::string parse_text(const Field& field, std::string_view text, MutableBytes row) {
  bytes_in(field, row);
  const MutableBytes to = row.subspan(field.offset, field.bytes());
  if (is_texty(field)) return parse_into_text(field, text, to);
  if (field.type == Type::kChar) return parse_char(text, to.data());
  text = trimmed(text);
  if (field.type == Type::kBytes) return parse_bytes(field, text, to);
  if (field.type == Type::kPad) return "padding holds no value";
  if (field.count == 1) return parse_element(field.type, text, to.data());
  std::vector<std::byte> elements(to.size());
  const uint32_t element = bytes_of(field.type);
  uint32_t found = 0;
  for (; !text.empty(); ++found) {
    const size_t end = std::min(text.find(' '), text.size());
    if (found == field.count) return concat("more than ", field.count, " elements");
    std::string wrong = parse_element(field.type, text.substr(0, end), elements.data() + size_t{found} * element);
    if (!wrong.empty()) return wrong;
    text = trimmed(text.substr(end));
  }
  if (found != field.count) return concat(found, " elements, expected ", field.count);
  std::copy(elements.begin(), elements.end(), to.begin());
  return {};
}

// ---- rows by field names ----------------------------------------------------------------------------------------------------

RowBuilder::RowBuilder(const Schema& schema) : schema_(&schema), row_(schema.record_bytes()) {
  if (schema.layout() != Layout::kRows) throw FeedError(Fault::kUsage, "a feed of frames has no rows to fill by field");
}

const Field& RowBuilder::field(std::string_view name) const { return shown_field(*schema_, name); }
void RowBuilder::clear() { std::fill(row_.begin(), row_.end(), std::byte{0}); }

namespace {

template <typename Value>
void set_element(const Field& field, std::vector<std::byte>& row, Value value, uint32_t element) {
  if (element >= field.count) bad_value(field, concat("there is no element ", element));
  const std::string wrong = put_number(field.type, value, row.data() + field.offset + size_t{element} * bytes_of(field.type));
  if (!wrong.empty()) bad_value(field, wrong);
}

}  // namespace

RowBuilder& RowBuilder::set(std::string_view name, uint64_t value, uint32_t element) {
  set_element(field(name), row_, value, element);
  return *this;
}

RowBuilder& RowBuilder::set(std::string_view name, int64_t value, uint32_t element) {
  set_element(field(name), row_, value, element);
  return *this;
}

RowBuilder& RowBuilder::set(std::string_view name, double value, uint32_t element) {
  set_element(field(name), row_, value, element);
  return *this;
}

RowBuilder& RowBuilder::set(std::string_view name, std::string_view text) {
  const Field& target = field(name);
  const std::string wrong = parse_text(target, text, row_);
  if (!wrong.empty()) bad_value(target, wrong);
  return *this;
}

RowBuilder& RowBuilder::set_all(const std::vector<std::string>& texts) {
  const std::vector<Field> fields = select_fields(*schema_, {});
  if (texts.size() != fields.size()) throw FeedError(Fault::kUsage, texts.size(), " values for ", fields.size(), " fields");
  std::vector<std::byte> before = row_;
  for (size_t i = 0; i < fields.size(); ++i) {
    const std::string wrong = parse_text(fields[i], texts[i], row_);
    if (wrong.empty()) continue;
    row_ = std::move(before);
    bad_value(fields[i], wrong);
  }
  return *this;
}

const Field& RowView::field(std::string_view name) const { return shown_field(*schema_, name); }

namespace {

template <typename Target>
Target number_of(const Field& field, Bytes row, uint32_t element) {
  if (element >= field.count) bad_value(field, concat("there is no element ", element));
  Target out{};
  bool fits = true;
  const bool number =
      with_number(field.type, bytes_in(field, row).data() + size_t{element} * bytes_of(field.type), [&](auto value) {
        using Value = decltype(value);
        if constexpr (std::is_floating_point_v<Target>) {
          out = static_cast<Target>(value);
        } else if constexpr (std::is_same_v<Value, bool>) {
          out = value ? 1 : 0;
        } else {
          std::byte whole[8];
          fits = put_number(std::is_signed_v<Target> ? Type::kInt64 : Type::kUint64, value, whole).empty();
          if (fits) out = load<Target>(whole);
        }
      });
  if (!number) bad_value(field, "it is no number");
  if (!fits) bad_value(field, concat("its value does not fit ", std::is_signed_v<Target> ? "int64" : "uint64"));
  return out;
}

}  // namespace

uint64_t RowView::as_uint64(std::string_view name, uint32_t element) const { return number_of<uint64_t>(field(name), row_, element); }
int64_t RowView::as_int64(std::string_view name, uint32_t element) const { return number_of<int64_t>(field(name), row_, element); }
double RowView::as_double(std::string_view name, uint32_t element) const { return number_of<double>(field(name), row_, element); }
std::string RowView::as_text(std::string_view name) const {
  std::string out;
  append_text(out, field(name), row_);
  return out;
}

}  // namespace tidepool::feed
