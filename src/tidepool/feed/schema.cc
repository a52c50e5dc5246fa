#include "tidepool/feed/schema.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>

#include "tidepool/base/log.h"
#include "tidepool/feed/crc32c.h"
#include "tidepool/feed/fault.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kSchemaMagic = 0x314D454843535054;  // "TPSCHEM1"
constexpr uint16_t kVersion = 1;
constexpr size_t kHeadBytes = 80;
constexpr size_t kFieldHeadBytes = 20;
constexpr size_t kDescriptionBytesMax = 1024;
constexpr size_t kUnitBytesMax = 64;
constexpr size_t kValueNameBytesMax = 64;
constexpr size_t kMoreBytesMax = 0xFFFF;
// What follows a field's description: items of {tag u16, length u16, bytes}; unknown tags are skipped.
enum class More : uint16_t { kUnit = 1, kValueName = 2 };

struct TypeInfo {
  Type type;
  uint32_t bytes;
  std::string_view name;
  std::string_view alias;
};
constexpr TypeInfo kTypes[] = {
    {Type::kPad, 1, "_", ""},          {Type::kChar, 1, "char", ""},       {Type::kBool, 1, "bool", ""},
    {Type::kInt8, 1, "int8", "i8"},    {Type::kUint8, 1, "uint8", "u8"},   {Type::kInt16, 2, "int16", "i16"},
    {Type::kUint16, 2, "uint16", "u16"}, {Type::kFloat16, 2, "float16", "f16"}, {Type::kInt32, 4, "int32", "i32"},
    {Type::kUint32, 4, "uint32", "u32"}, {Type::kFloat32, 4, "float32", "f32"}, {Type::kInt64, 8, "int64", "i64"},
    {Type::kUint64, 8, "uint64", "u64"}, {Type::kFloat64, 8, "float64", "f64"}, {Type::kBytes, 1, "bytes", ""},
    {Type::kText, 1, "text", ""},
};

const TypeInfo* info_of(Type type) noexcept {
  const auto index = static_cast<size_t>(type);
  return index < std::size(kTypes) ? &kTypes[index] : nullptr;
}

template <typename... Parts>
[[noreturn]] void invalid(const Parts&... parts) {
  throw FeedError(Fault::kInvalidSchema, parts...);
}

std::optional<uint32_t> number(std::string_view text) noexcept {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// "buy=1,sell=2"
std::vector<ValueName> parse_names(const std::string& field, std::string_view list) {
  std::vector<ValueName> names;
  while (!list.empty()) {
    const auto comma = list.find(',');
    std::string_view one = list.substr(0, comma);
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    const auto trim = [](std::string_view t) {
      while (t.starts_with(' ')) t.remove_prefix(1);
      while (t.ends_with(' ')) t.remove_suffix(1);
      return t;
    };
    const auto equals = one.find('=');
    const std::string_view name = trim(one.substr(0, equals));
    const std::string_view digits = equals == std::string_view::npos ? std::string_view() : trim(one.substr(equals + 1));
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (name.empty() || name.size() > kValueNameBytesMax || digits.empty() || error != std::errc() || end != digits.data() + digits.size()) {
      invalid("field '", printable(field), "': '", printable(one), "' is not name=number");
    }
    for (const ValueName& other : names) {
      if (other.name == name || other.value == value) invalid("field '", printable(field), "': '", printable(one), "' names what is named already");
    }
    names.push_back({value, std::string(name)});
  }
  if (names.empty()) invalid("field '", printable(field), "': an enum without a value");
  return names;
}

// Only integers have names, and only of values that they can hold.
void check_names(const Field& field) {
  for (const ValueName& value : field.names) {
    bool fits = false;
    switch (field.type) {
      case Type::kInt8: fits = value.value >= -128 && value.value <= 127; break;
      case Type::kUint8: fits = value.value >= 0 && value.value <= 255; break;
      case Type::kInt16: fits = value.value >= -32768 && value.value <= 32767; break;
      case Type::kUint16: fits = value.value >= 0 && value.value <= 65535; break;
      case Type::kInt32: fits = value.value >= INT32_MIN && value.value <= INT32_MAX; break;
      case Type::kUint32: fits = value.value >= 0 && value.value <= UINT32_MAX; break;
      case Type::kInt64: fits = true; break;
      case Type::kUint64: fits = value.value >= 0; break;
      default: invalid("field '", printable(field.name), "': only integers can have names for values, ", name_of(field.type), " cannot");
    }
    if (!fits) invalid("field '", printable(field.name), "': ", name_of(field.type), " cannot be ", value.value, " ('", printable(value.name), "')");
  }
}

Field parse(const FieldText& written) {
  std::string_view text = written.type;
  Field field;
  field.name = written.name;
  if (const auto open = text.find('{'); open != std::string_view::npos && text.ends_with('}')) {
    field.names = parse_names(written.name, text.substr(open + 1, text.size() - open - 2));
    text = text.substr(0, open);
  }
  const auto sized = [&](std::string_view digits, Type type) {
    const auto count = number(digits);
    if (!count || *count == 0 || *count > kRecordBytesMax) invalid("field '", printable(written.name), "': '", printable(text), "' has no usable length");
    field.type = type;
    field.count = *count;
    check_names(field);
    return field;
  };
  if (text.starts_with("bytes")) return sized(text.substr(5), Type::kBytes);
  if (text.starts_with("_")) return sized(text.substr(1), Type::kPad);
  std::string_view base = text;
  std::string_view count;
  if (const auto open = text.find('['); open != std::string_view::npos && text.ends_with(']')) {
    base = text.substr(0, open);
    count = text.substr(open + 1, text.size() - open - 2);
  }
  if (base == "text" || base == "fixedstr") return sized(count, Type::kText);
  if (base == "byte") base = "uint8";
  for (const TypeInfo& info : kTypes) {
    if (info.type == Type::kPad || info.type == Type::kBytes || info.type == Type::kText) continue;
    if (base != info.name && (info.alias.empty() || base != info.alias)) continue;
    field.type = info.type;
    check_names(field);
    return text.find('[') == std::string_view::npos ? field : sized(count, info.type);
  }
  invalid("field '", printable(written.name), "': unknown type '", printable(text),
          "'; there are char, bool, int8..int64, uint8..uint64, float16, float32, float64, T[N], text[N], bytesN, integers with names such as uint8{buy=1,sell=2}, and _N for padding");
}

void check_name(const std::string& name) {
  if (name.empty() || name.size() > kFieldNameBytesMax) invalid("a field name has 1 to ", kFieldNameBytesMax, " bytes, '", printable(name), "' does not");
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) invalid("field name '", printable(name), "' holds a control character");
  }
}

uint64_t fnv(uint64_t hash, Bytes bytes) noexcept {
  for (const std::byte byte : bytes) hash = (hash ^ static_cast<uint64_t>(byte)) * 0x100000001B3;
  return hash;
}

template <typename T>
void put(std::vector<std::byte>& out, T value) {
  const auto* at = reinterpret_cast<const std::byte*>(&value);
  out.insert(out.end(), at, at + sizeof value);
}

void put(std::vector<std::byte>& out, std::string_view text) {
  const auto* at = reinterpret_cast<const std::byte*>(text.data());
  out.insert(out.end(), at, at + text.size());
}

std::vector<std::byte> encode_more(const Field& field) {
  std::vector<std::byte> out;
  if (!field.unit.empty()) {
    put(out, static_cast<uint16_t>(More::kUnit));
    put(out, static_cast<uint16_t>(field.unit.size()));
    put(out, std::string_view(field.unit));
  }
  for (const ValueName& value : field.names) {
    put(out, static_cast<uint16_t>(More::kValueName));
    put(out, static_cast<uint16_t>(8 + value.name.size()));
    put(out, value.value);
    put(out, std::string_view(value.name));
  }
  if (out.size() > kMoreBytesMax) invalid("field '", printable(field.name), "': the names of its values take more than ", kMoreBytesMax, " bytes");
  return out;
}

// False: cut off.
bool decode_more(Bytes more, Field& field) {
  while (!more.empty()) {
    if (more.size() < 4) return false;
    const auto tag = static_cast<More>(load<uint16_t>(more.data()));
    const auto length = load<uint16_t>(more.data() + 2);
    if (length > more.size() - 4) return false;
    const std::byte* at = more.data() + 4;
    const auto text = [&](size_t from) { return std::string(reinterpret_cast<const char*>(at + from), length - from); };
    if (tag == More::kUnit) field.unit = text(0);
    if (tag == More::kValueName) {
      if (length < 8) return false;
      field.names.push_back({load<int64_t>(at), text(8)});
    }
    more = more.subspan(4u + length);
  }
  return true;
}

}  // namespace

uint32_t bytes_of(Type type) noexcept {
  const TypeInfo* info = info_of(type);
  return info == nullptr ? 0 : info->bytes;
}

std::string_view name_of(Type type) noexcept {
  const TypeInfo* info = info_of(type);
  return info == nullptr ? "unknown" : info->name;
}

Schema Schema::rows(const std::vector<FieldText>& fields, size_t clocks, bool aligned) {
  if (clocks < 1 || clocks > kClocksMax) invalid("a feed has 1 to 3 clocks, not ", clocks);
  if (fields.size() < clocks) invalid("fewer fields (", fields.size(), ") than clocks (", clocks, ")");
  Schema schema;
  schema.clocks_ = clocks;
  schema.aligned_ = aligned;
  for (const FieldText& text : fields) schema.add(text);
  schema.set_record_bytes();
  return schema;
}

void Schema::add(const FieldText& text) {
  if (fields_.size() >= kFieldsMax) invalid("more than ", kFieldsMax, " fields");
  Field field = parse(text);
  check_name(field.name);
  if (field.type != Type::kPad && this->field(field.name) != nullptr) invalid("two fields are called '", printable(field.name), "'");
  if (fields_.size() < clocks_ && (field.type != Type::kUint64 || field.count != 1)) {
    invalid("clock '", printable(field.name), "' must be uint64, not '", printable(text.type), "'");
  }
  if (uint64_t{field.count} * bytes_of(field.type) > kRecordBytesMax) invalid("field '", printable(field.name), "' is larger than ", kRecordBytesMax, " bytes");
  uint64_t at = fields_.empty() ? 0 : uint64_t{fields_.back().offset} + fields_.back().bytes();
  if (aligned_ && field.type != Type::kPad) {
    const uint64_t own = std::min<uint64_t>(bytes_of(field.type), 8);
    at = (at + own - 1) / own * own;
  }
  if (at + field.bytes() > kRecordBytesMax) invalid("the record is larger than ", kRecordBytesMax, " bytes at field '", printable(field.name), "'");
  field.offset = static_cast<uint32_t>(at);
  fields_.push_back(std::move(field));
}

void Schema::set_record_bytes() {
  uint64_t end = uint64_t{fields_.back().offset} + fields_.back().bytes();
  uint64_t align = 1;
  if (aligned_) {
    for (const Field& field : fields_) {
      if (field.type != Type::kPad) align = std::max<uint64_t>(align, std::min<uint64_t>(bytes_of(field.type), 8));
    }
  }
  end = (end + align - 1) / align * align;
  record_bytes_ = static_cast<uint32_t>(end);
}

Schema Schema::with(const std::vector<FieldText>& more) const {
  if (layout_ != Layout::kRows) invalid("frames have no fields to add to");
  Schema schema = *this;
  for (const FieldText& text : more) schema.add(text);
  schema.set_record_bytes();
  return schema;
}

std::vector<std::string> Schema::forbidden_changes(const Schema& later) const {
  std::vector<std::string> lines;
  if (layout_ != Layout::kRows || later.layout_ != Layout::kRows) return {"only rows have versions"};
  if (clocks_ != later.clocks_) lines.push_back(concat("clocks: ", clocks_, " now, ", later.clocks_, " then"));
  if (aligned_ != later.aligned_) lines.push_back("alignment of fields");
  for (size_t k = 0; k < std::min(clocks_, later.clocks_); ++k) {
    if (!(clock_[k] == later.clock_[k])) lines.push_back(concat("clock ", fields_[k].name, ": another unit, order or domain"));
  }
  for (size_t i = 0; i < fields_.size(); ++i) {
    const Field& now = fields_[i];
    if (i >= later.fields_.size() || later.fields_[i].name != now.name) {
      lines.push_back(concat("field ", now.name, ": removed or moved"));
      continue;
    }
    const Field& then = later.fields_[i];
    if (then.type != now.type || then.count != now.count || then.offset != now.offset) lines.push_back(concat("field ", now.name, ": another type or place"));
    if (then.unit != now.unit) lines.push_back(concat("field ", now.name, ": another unit"));
    for (const ValueName& value : now.names) {
      if (std::find(then.names.begin(), then.names.end(), value) == then.names.end()) lines.push_back(concat("field ", now.name, ": ", value.value, " is no longer '", value.name, "'"));
    }
  }
  return lines;
}

Schema Schema::frames(const std::vector<std::string>& clock_names, uint32_t payload_align) {
  if (clock_names.empty() || clock_names.size() > kClocksMax) invalid("a feed has 1 to 3 clocks, not ", clock_names.size());
  if (!std::has_single_bit(payload_align) || payload_align < 64 || payload_align > 4096) {
    invalid("payloads are aligned to a power of two from 64 to 4096, not to ", payload_align);
  }
  Schema schema;
  schema.layout_ = Layout::kFrames;
  schema.clocks_ = clock_names.size();
  schema.payload_align_ = payload_align;
  for (const std::string& name : clock_names) {
    check_name(name);
    if (schema.field(name) != nullptr) invalid("two clocks are called '", printable(name), "'");
    schema.fields_.push_back({name, Type::kUint64, 1, static_cast<uint32_t>(schema.fields_.size() * 8), {}, {}, {}});
  }
  return schema;
}

Schema schema_of_members(const std::vector<std::pair<FieldText, size_t>>& members, size_t row_bytes, size_t clocks) {
  std::vector<FieldText> fields;
  size_t at = 0;
  const auto pad_to = [&](size_t offset) {
    if (offset > at) fields.push_back({concat("pad", at), concat("_", offset - at)});
    at = offset;
  };
  for (const auto& [text, offset] : members) {
    if (offset < at) invalid("member '", printable(text.name), "' is listed after one that lies behind it in the struct");
    pad_to(offset);
    fields.push_back(text);
    at += parse(text).bytes();
  }
  pad_to(row_bytes);
  return Schema::rows(fields, clocks);
}

size_t Schema::clock_named(std::string_view name) const {
  std::string known;
  for (size_t k = 0; k < clocks_; ++k) {
    if (fields_[k].name == name) return k;
    known += concat(k == 0 ? "" : ", ", fields_[k].name);
  }
  throw FeedError(Fault::kUsage, "there is no clock '", printable(name), "'; the clocks are ", known);
}

Schema& Schema::set_clock(size_t k, Clock clock) {
  if (k >= clocks_) invalid("there is no clock ", k, "; there are ", clocks_);
  clock_[k] = clock;
  return *this;
}

Field& Schema::must_have(std::string_view name) {
  for (Field& field : fields_) {
    if (field.name == name) return field;
  }
  invalid("there is no field '", printable(name), "'");
}

Schema& Schema::describe(std::string_view name, std::string description) {
  if (description.size() > kDescriptionBytesMax) invalid("the description of '", printable(name), "' is longer than ", kDescriptionBytesMax, " bytes");
  must_have(name).description = std::move(description);
  return *this;
}

Schema& Schema::set_unit(std::string_view name, std::string unit) {
  if (unit.size() > kUnitBytesMax) invalid("the unit of '", printable(name), "' is longer than ", kUnitBytesMax, " bytes");
  must_have(name).unit = std::move(unit);
  return *this;
}

const Field* Schema::field(std::string_view name) const noexcept {
  for (const Field& field : fields_) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

uint64_t Schema::hash() const noexcept {
  uint64_t hash = 0xCBF29CE484222325;
  const auto add = [&](auto value) { hash = fnv(hash, std::as_bytes(std::span(&value, 1))); };
  add(static_cast<uint8_t>(layout_));
  add(static_cast<uint8_t>(clocks_));
  add(record_bytes_);
  add(payload_align_);
  for (size_t k = 0; k < clocks_; ++k) {
    add(static_cast<uint8_t>(clock_[k].unit));
    add(static_cast<uint8_t>(clock_[k].order));
    add(static_cast<uint8_t>(clock_[k].domain));
  }
  for (const Field& field : fields_) {
    add(static_cast<uint8_t>(field.type));
    add(field.count);
    add(field.offset);
    add(static_cast<uint16_t>(field.name.size()));
    hash = fnv(hash, std::as_bytes(std::span(field.name)));
  }
  return hash;
}

std::vector<std::byte> Schema::encode() const {
  std::vector<std::byte> out;
  put(out, kSchemaMagic);
  put(out, kVersion);
  put(out, static_cast<uint16_t>(fields_.size()));
  put(out, record_bytes_);
  put(out, static_cast<uint8_t>(layout_));
  put(out, static_cast<uint8_t>(clocks_));
  put(out, static_cast<uint8_t>(aligned_ ? 1 : 0));
  put(out, static_cast<uint8_t>(std::countr_zero(payload_align_)));
  put(out, uint32_t{0});  // the length, below
  put(out, hash());
  for (const Clock& clock : clock_) {
    put(out, static_cast<uint8_t>(clock.unit));
    put(out, static_cast<uint8_t>(clock.order));
    put(out, static_cast<uint8_t>(clock.domain));
    out.resize(out.size() + 13);
  }
  for (const Field& field : fields_) {
    put(out, static_cast<uint8_t>(field.type));
    put(out, uint8_t{0});
    put(out, static_cast<uint16_t>(field.name.size()));
    put(out, field.count);
    put(out, field.offset);
    put(out, field.bytes());
    put(out, static_cast<uint16_t>(field.description.size()));
    const auto more = encode_more(field);
    put(out, static_cast<uint16_t>(more.size()));
    put(out, std::string_view(field.name));
    put(out, std::string_view(field.description));
    out.insert(out.end(), more.begin(), more.end());
  }
  store(out.data() + 20, static_cast<uint32_t>(out.size() + 4));
  put(out, crc32c(out));
  return out;
}

Schema Schema::decode(Bytes block) {
  const auto corrupt = [](std::string_view what) -> FeedError { return FeedError(Fault::kCorrupt, "schema block: ", what); };
  if (block.size() < kHeadBytes + 4) throw corrupt("shorter than its head");
  if (load<uint64_t>(block.data()) != kSchemaMagic) throw corrupt("no magic");
  if (load<uint16_t>(block.data() + 8) != kVersion) throw FeedError(Fault::kUnsupportedVersion, "schema block of version ", load<uint16_t>(block.data() + 8), ", this program knows 1");
  const auto bytes = load<uint32_t>(block.data() + 20);
  if (bytes < kHeadBytes + 4 || bytes > block.size()) throw corrupt("cut off");
  block = block.first(bytes);
  if (crc32c(block.first(bytes - 4)) != load<uint32_t>(block.data() + bytes - 4)) throw corrupt("checksum");
  Schema schema;
  const auto count = load<uint16_t>(block.data() + 10);
  schema.record_bytes_ = load<uint32_t>(block.data() + 12);
  schema.layout_ = static_cast<Layout>(block[16]);
  schema.clocks_ = static_cast<size_t>(block[17]);
  schema.aligned_ = block[18] != std::byte{0};
  const auto shift = static_cast<uint32_t>(block[19]);
  if (shift > 12 || shift < 6) throw corrupt("payload alignment");
  schema.payload_align_ = 1u << shift;
  if (schema.layout_ != Layout::kRows && schema.layout_ != Layout::kFrames) throw corrupt("unknown layout");
  if (schema.clocks_ < 1 || schema.clocks_ > kClocksMax || count < schema.clocks_ || count > kFieldsMax) throw corrupt("number of clocks or fields");
  for (size_t k = 0; k < kClocksMax; ++k) {
    const std::byte* at = block.data() + 32 + 16 * k;
    schema.clock_[k] = {static_cast<ClockUnit>(at[0]), static_cast<ClockOrder>(at[1]), static_cast<ClockDomain>(at[2])};
    if (schema.clock_[k].unit > ClockUnit::kS || schema.clock_[k].order > ClockOrder::kStrict || schema.clock_[k].domain > ClockDomain::kMonotonic) throw corrupt("clock");
  }
  size_t at = kHeadBytes;
  uint64_t end = 0;
  for (size_t i = 0; i < count; ++i) {
    if (at + kFieldHeadBytes > bytes - 4) throw corrupt("field table");
    const std::byte* head = block.data() + at;
    Field field;
    field.type = static_cast<Type>(head[0]);
    const auto name_bytes = load<uint16_t>(head + 2);
    field.count = load<uint32_t>(head + 4);
    field.offset = load<uint32_t>(head + 8);
    const auto text_bytes = load<uint16_t>(head + 16);
    const auto more_bytes = load<uint16_t>(head + 18);
    at += kFieldHeadBytes;
    if (at + name_bytes + text_bytes + more_bytes > bytes - 4) throw corrupt("field name");
    field.name.assign(reinterpret_cast<const char*>(block.data() + at), name_bytes);
    field.description.assign(reinterpret_cast<const char*>(block.data() + at + name_bytes), text_bytes);
    if (!decode_more({block.data() + at + name_bytes + text_bytes, more_bytes}, field)) throw corrupt("field names");
    at += size_t{name_bytes} + text_bytes + more_bytes;
    const uint64_t field_bytes = uint64_t{bytes_of(field.type)} * field.count;
    // A type of a later minor version still has a length: it can be copied, not decoded (F-16).
    const uint64_t stated = load<uint32_t>(head + 12);
    if (bytes_of(field.type) != 0 && field_bytes != stated) throw corrupt("field length");
    if (field.offset < end || field.offset + stated > std::max<uint64_t>(schema.record_bytes_, schema.layout_ == Layout::kFrames ? 24 : 0)) throw corrupt("field offset");
    if (i < schema.clocks_ && (field.type != Type::kUint64 || field.count != 1 || field.offset != 8 * i)) throw corrupt("clock field");
    end = field.offset + stated;
    schema.fields_.push_back(std::move(field));
  }
  if (schema.layout_ == Layout::kRows && (schema.record_bytes_ == 0 || schema.record_bytes_ > kRecordBytesMax)) throw corrupt("record size");
  if (at != bytes - 4) throw corrupt("bytes after the last field");
  return schema;
}

std::vector<std::string> Schema::differences(const Schema& other) const {
  std::vector<std::string> lines;
  const auto differ = [&](std::string_view what, const auto& here, const auto& there) {
    if (here != there) lines.push_back(concat(what, ": ", here, " here, ", there, " there"));
  };
  differ("layout (1 rows, 2 frames)", static_cast<int>(layout_), static_cast<int>(other.layout_));
  differ("clocks", clocks_, other.clocks_);
  differ("record bytes", record_bytes_, other.record_bytes_);
  differ("payload alignment", payload_align_, other.payload_align_);
  for (size_t k = 0; k < std::min(clocks_, other.clocks_); ++k) {
    if (!(clock_[k] == other.clock_[k])) lines.push_back(concat("clock ", fields_[k].name, ": another unit, order or domain"));
  }
  const auto shown = [](const Field& field) { return concat(name_of(field.type), field.count == 1 ? "" : concat("[", field.count, "]"), " at ", field.offset); };
  for (size_t i = 0; i < std::max(fields_.size(), other.fields_.size()); ++i) {
    if (i >= fields_.size()) {
      lines.push_back(concat("field ", other.fields_[i].name, ": only there"));
    } else if (i >= other.fields_.size()) {
      lines.push_back(concat("field ", fields_[i].name, ": only here"));
    } else if (fields_[i].name != other.fields_[i].name) {
      lines.push_back(concat("field ", i, ": ", fields_[i].name, " here, ", other.fields_[i].name, " there"));
    } else {
      differ(concat("field ", fields_[i].name), shown(fields_[i]), shown(other.fields_[i]));
      differ(concat("unit of field ", fields_[i].name), fields_[i].unit, other.fields_[i].unit);
      if (fields_[i].names != other.fields_[i].names) lines.push_back(concat("field ", fields_[i].name, ": other names for its values"));
    }
  }
  return lines;
}

}  // namespace tidepool::feed
