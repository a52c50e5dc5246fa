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

constexpr uint64_t kMagic = 0x314D454843535054;  // "TPSCHEM1"
constexpr uint16_t kVersion = 1;
constexpr size_t kHeadBytes = 80;
constexpr size_t kFieldHeadBytes = 20;

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

Field parse(const FieldText& written) {
  const std::string_view text = written.type;
  Field field;
  field.name = written.name;
  const auto sized = [&](std::string_view digits, Type type) {
    const auto count = number(digits);
    if (!count || *count == 0 || *count > kRecordBytesMax) invalid("field '", printable(written.name), "': '", printable(text), "' has no usable length");
    field.type = type;
    field.count = *count;
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
    return text.find('[') == std::string_view::npos ? field : sized(count, info.type);
  }
  invalid("field '", printable(written.name), "': unknown type '", printable(text),
          "'; there are char, bool, int8..int64, uint8..uint64, float16, float32, float64, T[N], text[N], bytesN, and _N for padding");
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
  if (fields.size() > kFieldsMax) invalid("more than ", kFieldsMax, " fields");
  Schema schema;
  schema.clocks_ = clocks;
  schema.aligned_ = aligned;
  uint64_t at = 0;
  uint64_t align = 1;
  for (const FieldText& text : fields) {
    Field field = parse(text);
    check_name(field.name);
    if (field.type != Type::kPad && schema.field(field.name) != nullptr) invalid("two fields are called '", printable(field.name), "'");
    if (schema.fields_.size() < clocks && (field.type != Type::kUint64 || field.count != 1)) {
      invalid("clock '", printable(field.name), "' must be uint64, not '", printable(text.type), "'");
    }
    if (uint64_t{field.count} * bytes_of(field.type) > kRecordBytesMax) invalid("field '", printable(field.name), "' is larger than ", kRecordBytesMax, " bytes");
    if (aligned && field.type != Type::kPad) {
      const uint64_t own = std::min<uint64_t>(bytes_of(field.type), 8);
      align = std::max(align, own);
      at = (at + own - 1) / own * own;
    }
    field.offset = static_cast<uint32_t>(at);
    at += field.bytes();
    if (at > kRecordBytesMax) invalid("the record is larger than ", kRecordBytesMax, " bytes at field '", printable(field.name), "'");
    schema.fields_.push_back(std::move(field));
  }
  if (aligned) at = (at + align - 1) / align * align;
  schema.record_bytes_ = static_cast<uint32_t>(at);
  return schema;
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
    schema.fields_.push_back({name, Type::kUint64, 1, static_cast<uint32_t>(schema.fields_.size() * 8), {}});
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

Schema& Schema::describe(std::string_view name, std::string description) {
  if (description.size() > 1024) invalid("the description of '", printable(name), "' is longer than 1024 bytes");
  for (Field& field : fields_) {
    if (field.name == name) {
      field.description = std::move(description);
      return *this;
    }
  }
  invalid("there is no field '", printable(name), "'");
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
  put(out, kMagic);
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
    put(out, uint16_t{0});
    put(out, std::string_view(field.name));
    put(out, std::string_view(field.description));
  }
  store(out.data() + 20, static_cast<uint32_t>(out.size() + 4));
  put(out, crc32c(out));
  return out;
}

Schema Schema::decode(Bytes block) {
  const auto corrupt = [](std::string_view what) -> FeedError { return FeedError(Fault::kCorrupt, "schema block: ", what); };
  if (block.size() < kHeadBytes + 4) throw corrupt("shorter than its head");
  if (load<uint64_t>(block.data()) != kMagic) throw corrupt("no magic");
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
    at += kFieldHeadBytes;
    if (at + name_bytes + text_bytes > bytes - 4) throw corrupt("field name");
    field.name.assign(reinterpret_cast<const char*>(block.data() + at), name_bytes);
    field.description.assign(reinterpret_cast<const char*>(block.data() + at + name_bytes), text_bytes);
    at += name_bytes + text_bytes;
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
    }
  }
  return lines;
}

}  // namespace tidepool::feed
