#pragma once
// What the records of a feed are made of: one to three clocks first, then fields, packed or aligned (F-13..F-16). A schema never
// changes once a feed exists; its hash is in every chunk, and its bytes too (docs/formats/feed-chunk.md, "Schema block").

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tidepool/base/bytes.h"

namespace tidepool::feed {

inline constexpr size_t kClocksMax = 3;
inline constexpr size_t kFieldsMax = 4096;
inline constexpr size_t kFieldNameBytesMax = 255;
inline constexpr uint32_t kRecordBytesMax = 1u << 30;

// Numbers are the file's.
enum class Type : uint8_t {
  kPad = 0,
  kChar = 1,
  kBool = 2,
  kInt8 = 3,
  kUint8 = 4,
  kInt16 = 5,
  kUint16 = 6,
  kFloat16 = 7,
  kInt32 = 8,
  kUint32 = 9,
  kFloat32 = 10,
  kInt64 = 11,
  kUint64 = 12,
  kFloat64 = 13,
  kBytes = 14,
  kText = 15,  // UTF-8, padded with zeros
};
uint32_t bytes_of(Type type) noexcept;  // of one element; 1 for kPad, kBytes and kText, whose count is their length; 0: unknown
std::string_view name_of(Type type) noexcept;

enum class Layout : uint8_t { kRows = 1, kFrames = 2 };
enum class ClockUnit : uint8_t { kNs = 0, kUs = 1, kMs = 2, kS = 3 };
enum class ClockOrder : uint8_t { kLoose = 0, kStrict = 1 };
enum class ClockDomain : uint8_t { kUser = 0, kWall = 1, kMonotonic = 2 };  // F-n: "from 10:42" needs a wall clock

struct Clock {
  ClockUnit unit = ClockUnit::kNs;
  ClockOrder order = ClockOrder::kLoose;
  ClockDomain domain = ClockDomain::kUser;
  bool operator==(const Clock&) const = default;
};

// What one value of an enum is called.
struct ValueName {
  int64_t value = 0;
  std::string name;
  bool operator==(const ValueName&) const = default;
};

struct Field {
  std::string name;
  Type type = Type::kUint64;
  uint32_t count = 1;       // elements of an array; the length of kPad, kBytes, kText
  uint32_t offset = 0;      // in the record
  std::string description;  // free text
  std::string unit;         // "m/s"; free text too
  std::vector<ValueName> names;  // an enum: an integer whose values have names. Who knows nothing of them reads the integer
  uint32_t bytes() const noexcept { return bytes_of(type) * count; }
  bool operator==(const Field&) const = default;
};

// A field as people write it: name and type text, "uint64", "f32", "bytes16", "_4", "float32[3]", "text[12]",
// and an integer with names for values, "uint8{buy=1,sell=2}".
struct FieldText {
  std::string name;
  std::string type;
};

class Schema {
 public:
  // Rows of `fields`, of which the first `clocks` are the clocks. Throws FeedError kInvalidSchema naming the field.
  static Schema rows(const std::vector<FieldText>& fields, size_t clocks = 1, bool aligned = false);
  // Frames of any size, led by the named clocks; payloads start at multiples of `payload_align` (64..4096).
  static Schema frames(const std::vector<std::string>& clock_names = {"time_ns"}, uint32_t payload_align = 64);
  // From the bytes of a schema block; throws FeedError kCorrupt, or kUnsupportedVersion.
  static Schema decode(Bytes block);

  Layout layout() const noexcept { return layout_; }
  size_t clocks() const noexcept { return clocks_; }
  const Clock& clock(size_t k) const noexcept { return clock_[k]; }
  const std::string& clock_name(size_t k) const noexcept { return fields_[k].name; }
  // The clock of that name; throws FeedError kUsage, listing those that there are (F-36).
  size_t clock_named(std::string_view name) const;
  // Before the feed is created.
  Schema& set_clock(size_t k, Clock clock);
  Schema& describe(std::string_view field, std::string description);
  Schema& set_unit(std::string_view field, std::string unit);
  // This one with more fields behind its own, which stay where they are (F-18).
  Schema with(const std::vector<FieldText>& more) const;
  // Why records of `later` cannot be a later version of these, a line each: only fields behind the last one, and names of new
  // enum values, may be added (F-18). Empty: they can.
  std::vector<std::string> forbidden_changes(const Schema& later) const;

  bool aligned() const noexcept { return aligned_; }
  uint32_t record_bytes() const noexcept { return record_bytes_; }  // 0: frames
  uint32_t payload_align() const noexcept { return payload_align_; }
  const std::vector<Field>& fields() const noexcept { return fields_; }
  const Field* field(std::string_view name) const noexcept;
  uint64_t hash() const noexcept;  // of layout, clocks and fields, not of descriptions, units and names of values
  std::vector<std::byte> encode() const;
  bool operator==(const Schema&) const = default;
  // What is different, a line each: "field price: float64 here, float32 there" (F-6). Empty when equal.
  std::vector<std::string> differences(const Schema& other) const;

 private:
  void add(const FieldText& text);
  void set_record_bytes();
  Field& must_have(std::string_view name);
  Layout layout_ = Layout::kRows;
  bool aligned_ = false;
  size_t clocks_ = 1;
  uint32_t record_bytes_ = 0;
  uint32_t payload_align_ = 64;
  std::array<Clock, kClocksMax> clock_{};
  std::vector<Field> fields_;
};

// The schema of a C++ struct, its members in order, checked against where the compiler puts them:
//   struct Trade { uint64_t time_ns; double price; };
//   const Schema schema = schema_of<Trade>({{"time_ns", &Trade::time_ns}, {"price", &Trade::price}});
template <typename Row>
struct Member {
  std::string name;
  std::string type;
  size_t offset;

  template <typename T>
  static std::string type_text() {
    using E = std::remove_all_extents_t<T>;
    static_assert(std::is_arithmetic_v<E> || std::is_same_v<E, std::byte>, "a field is a number, a char, a bool, bytes or an array of them");
    const std::string count = std::is_array_v<T> ? std::to_string(sizeof(T) / sizeof(E)) : std::string();
    if constexpr (std::is_same_v<E, std::byte>) return "bytes" + (count.empty() ? std::string("1") : count);
    const std::string suffix = count.empty() ? std::string() : "[" + count + "]";
    if constexpr (std::is_same_v<E, bool>) return "bool" + suffix;
    if constexpr (std::is_same_v<E, char>) return (count.empty() ? std::string("char") : "text" + suffix);
    if constexpr (std::is_floating_point_v<E>) return "float" + std::to_string(sizeof(E) * 8) + suffix;
    return (std::is_signed_v<E> ? "int" : "uint") + std::to_string(sizeof(E) * 8) + suffix;
  }
  template <typename T>
  Member(std::string field_name, T Row::* member) : name(std::move(field_name)), type(type_text<T>()) {
    static_assert(std::is_standard_layout_v<Row> && std::is_trivially_copyable_v<Row>, "a row is plain memory");
    alignas(Row) static constexpr std::byte kPlace[sizeof(Row)] = {};
    const Row& row = *reinterpret_cast<const Row*>(kPlace);
    offset = static_cast<size_t>(reinterpret_cast<const std::byte*>(&(row.*member)) - kPlace);
  }
};
Schema schema_of_members(const std::vector<std::pair<FieldText, size_t>>& members, size_t row_bytes, size_t clocks);
template <typename Row>
Schema schema_of(const std::vector<Member<Row>>& members, size_t clocks = 1) {
  std::vector<std::pair<FieldText, size_t>> plain;
  for (const auto& member : members) plain.push_back({{member.name, member.type}, member.offset});
  return schema_of_members(plain, sizeof(Row), clocks);
}

}  // namespace tidepool::feed
