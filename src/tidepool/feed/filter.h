#pragma once
// Conditions on the fields of records: which are wanted (F-103). All rows of a block are looked at at once, field by field, and a
// block whose clocks cannot hold a wanted record is not looked at at all.
//
// Thread safety: const calls from any thread.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/feed/reader.h"

namespace tidepool::feed {

enum class Compare : uint8_t { kEqual, kNotEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual };

class Filter {
 public:
  // Everything passes. `schema`: of the rows; of frames, their clocks are the fields.
  explicit Filter(const Schema& schema);
  // All of these must hold: "price >= 101.25", "side = buy" (the name of a value), "levels[2] != 0", "symbol = \"ES Z6\"". Numbers are
  // compared as numbers, whatever their types, text and bytes (hexadecimal digits) byte by byte. Throws FeedError kUsage: no such
  // field, no comparison, or not a value of that field.
  static Filter parse(const Schema& schema, const std::vector<std::string>& conditions);

  Filter& where(std::string_view field, Compare compare, std::string_view value, uint32_t element = 0);
  Filter& within(const TimeRange& time);  // throws FeedError kUsage: no such clock

  // The same conditions on rows of another version of the schema (F-18). What a version does not have fulfils no condition.
  Filter of_version(const Schema& schema) const;

  bool passes_all() const noexcept { return tests_.empty() && !nothing_; }
  // False: no record whose clocks lie within these bounds passes.
  bool may_pass(const ClockBounds (&clocks)[kClocksMax]) const noexcept;
  // keep[i]: row i passes. `rows` holds keep.size() rows of `row_bytes`, which is the schema's. Allocates nothing once `keep` is as long.
  void select(const std::byte* rows, size_t row_bytes, std::vector<uint8_t>& keep) const;
  bool passes(const Item& item) const;  // a row, or a frame

 private:
  struct Test {
    enum class As : uint8_t { kUnsigned, kSigned, kFloat, kBytes, kAlways, kNever };
    As as = As::kUnsigned;
    Type type = Type::kUint64;
    Compare compare = Compare::kEqual;
    int clock = -1;  // which it is of
    uint32_t offset = 0;
    uint32_t length = 0;  // kBytes
    uint64_t whole = 0;
    int64_t integer = 0;
    double number = 0;
    std::string bytes;
  };
  struct Condition {  // as it was asked for, to ask it of another version
    std::string field;
    uint32_t element = 0;
    Compare compare = Compare::kEqual;
    std::string value;
  };
  Test test_of(const Field& field, const Condition& condition) const;
  static void run(const Test& test, const std::byte* rows, size_t row_bytes, std::vector<uint8_t>& keep);
  const Schema* schema_;
  std::vector<Condition> conditions_;
  std::vector<TimeRange> times_;
  std::vector<Test> tests_;
  bool nothing_ = false;
};

}  // namespace tidepool::feed
