#include "tidepool/feed/values.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tidepool/feed/iso_time.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::expect_fault;

std::string text_of(const Schema& schema, Bytes row, std::string_view field) { return RowView(schema, row).as_text(field); }
std::string json_of(const Schema& schema, Bytes row, std::string_view field, bool unsigned_text = false) {
  std::string out;
  append_json(out, *schema.field(field), row, unsigned_text);
  return out;
}

TEST(ValuesTest, EveryTypeComesBackFromItsText) {  // F-13, F-46, F-102
  const Schema schema = Schema::rows({{"t", "u64"},
                                      {"c", "char"},
                                      {"b", "bool"},
                                      {"i8", "i8"},
                                      {"u8", "u8"},
                                      {"i16", "i16"},
                                      {"u16", "u16"},
                                      {"f16", "f16"},
                                      {"i32", "i32"},
                                      {"u32", "u32"},
                                      {"f32", "f32"},
                                      {"i64", "i64"},
                                      {"f64", "f64"},
                                      {"raw", "bytes3"},
                                      {"pad", "_5"},
                                      {"s", "text[6]"},
                                      {"a", "i16[3]"},
                                      {"cs", "char[4]"}});
  const std::vector<std::string> texts = {"18446744073709551615",
                                          "x",
                                          "true",
                                          "-128",
                                          "255",
                                          "-32768",
                                          "65535",
                                          "-0.5",
                                          "-2147483648",
                                          "4294967295",
                                          "0.1",
                                          "-9223372036854775808",
                                          "1e-300",
                                          "00ff7f",
                                          "h\xC3\xA9llo",
                                          "-1 0 32767",
                                          "ab"};
  RowBuilder row(schema);
  row.set_all(texts);
  std::vector<std::string> back;
  for (const Field& field : select_fields(schema, {})) back.push_back(text_of(schema, row.bytes(), field.name));
  EXPECT_EQ(back, texts);
  EXPECT_EQ(json_of(schema, row.bytes(), "t"), "18446744073709551615");
  EXPECT_EQ(json_of(schema, row.bytes(), "t", true), "\"18446744073709551615\"");
  EXPECT_EQ(json_of(schema, row.bytes(), "u8", true), "255");
  EXPECT_EQ(json_of(schema, row.bytes(), "b"), "true");
  EXPECT_EQ(json_of(schema, row.bytes(), "a"), "[-1,0,32767]");
  EXPECT_EQ(json_of(schema, row.bytes(), "raw"), "\"00ff7f\"");
  EXPECT_EQ(json_of(schema, row.bytes(), "s"), "\"h\xC3\xA9llo\"");
  EXPECT_EQ(json_of(schema, row.bytes(), "c"), "\"x\"");
}

TEST(ValuesTest, ATypeIsWrittenSoThatItMakesTheSameFieldAgain) {  // F-13, F-16, F-19
  const Schema schema = Schema::rows({{"t", "uint64"},
                                      {"side", "uint8{buy=1,sell=2}"},
                                      {"level", "int16[3]{low=-1,none=0,high=1}"},
                                      {"x", "float32[2]"},
                                      {"id", "bytes16"},
                                      {"name", "text[12]"},
                                      {"gap", "_4"},
                                      {"c", "char"}});
  std::vector<FieldText> texts;
  for (const Field& field : schema.fields()) texts.push_back({field.name, type_text(field)});
  EXPECT_EQ(texts[1].type, "uint8{buy=1,sell=2}");
  EXPECT_EQ(texts[2].type, "int16[3]{low=-1,none=0,high=1}");
  EXPECT_TRUE(Schema::rows(texts) == schema);
}

TEST(ValuesTest, PaddingIsNeverShownWhateverItIsCalled) {  // F-14, F-102
  const Schema schema = Schema::rows({{"t", "u64"}, {"price", "_4"}, {"size", "u8"}});
  ASSERT_EQ(select_fields(schema, {}).size(), 2u);
  expect_fault(Fault::kUsage, "there is no field 'price'; the fields are t, size", [&] { select_fields(schema, {"price"}); });
}

TEST(ValuesTest, RefusesWhatDoesNotFitAndLeavesTheRowAsItWas) {  // F-46
  const Schema schema = Schema::rows({{"t", "u64"},
                                      {"small", "u8"},
                                      {"name", "text[3]"},
                                      {"three", "f32[3]"},
                                      {"half", "f16"},
                                      {"raw", "bytes2"},
                                      {"flag", "bool"}});
  RowBuilder row(schema);
  row.set_all({"5", "7", "ab", "1 2 3", "1.5", "beef", "false"});
  const std::vector<std::byte> before(row.bytes().begin(), row.bytes().end());
  const std::pair<const char*, const char*> wrong[] = {{"small", "256"},
                                                       {"small", "-1"},
                                                       {"small", "1.5"},
                                                       {"small", ""},
                                                       {"small", "7x"},
                                                       {"name", "abcd"},
                                                       {"name", "\xFF"},
                                                       {"three", "1 2"},
                                                       {"three", "1 2 3 4"},
                                                       {"three", "1 2 x"},
                                                       {"half", "1e6"},
                                                       {"half", "abc"},
                                                       {"raw", "bee"},
                                                       {"raw", "beeg"},
                                                       {"flag", "2"},
                                                       {"t", "-1"},
                                                       {"t", "18446744073709551616"}};
  for (const auto& [field, text] : wrong) expect_fault(Fault::kUsage, field, [&] { row.set(field, text); });
  expect_fault(Fault::kUsage, "256 does not fit uint8", [&] { row.set("small", 256); });
  expect_fault(Fault::kUsage, "-1 does not fit uint64", [&] { row.set("t", -1); });
  expect_fault(Fault::kUsage, "small", [&] { row.set("small", 1.5); });
  expect_fault(Fault::kUsage, "there is no element 3", [&] { row.set("three", 1.0, 3); });
  expect_fault(Fault::kUsage, "name", [&] { row.set("name", 1.0); });
  expect_fault(Fault::kUsage, "the fields are t, small", [&] { row.set("nothing", 1); });
  expect_fault(Fault::kUsage, "2 values for 7 fields", [&] { row.set_all({"1", "2"}); });
  expect_fault(Fault::kUsage, "small", [&] { row.set_all({"9", "999", "zz", "1 2 3", "1.5", "beef", "false"}); });
  EXPECT_TRUE(std::equal(before.begin(), before.end(), row.bytes().begin()));
  expect_fault(Fault::kUsage, "frames has no rows", [] { RowBuilder rows(Schema::frames()); });
}

TEST(ValuesTest, RowsAreFilledByNameAndReadAsNumbers) {  // F-46
  const Schema schema =
      Schema::rows({{"t", "u64"}, {"price", "f64"}, {"size", "i32"}, {"xyz", "f32[3]"}, {"half", "f16"}, {"flag", "bool"}});
  RowBuilder row(schema);
  row.set("t", uint64_t{5}).set("price", 10.25).set("size", -3).set("xyz", 2.5, 1).set("half", 0.5).set("flag", 1);
  const RowView view(schema, row.bytes());
  EXPECT_EQ(view.as_uint64("t"), 5u);
  EXPECT_EQ(view.as_double("price"), 10.25);
  EXPECT_EQ(view.as_int64("size"), -3);
  EXPECT_EQ(view.as_double("xyz", 1), 2.5);
  EXPECT_EQ(view.as_double("xyz", 0), 0);
  EXPECT_EQ(view.as_double("half"), 0.5);
  EXPECT_EQ(view.as_uint64("flag"), 1u);
  expect_fault(Fault::kUsage, "does not fit uint64", [&] { (void)view.as_uint64("size"); });
  expect_fault(Fault::kUsage, "does not fit int64", [&] { (void)view.as_int64("price"); });
  row.clear();
  EXPECT_EQ(view.as_int64("size"), 0);
}

TEST(ValuesTest, TextThatIsNoUtf8IsKeptAsBytes) {  // F-102
  const Schema schema = Schema::rows({{"t", "u64"}, {"s", "text[4]"}});
  std::vector<std::byte> row(schema.record_bytes());
  row[8] = std::byte{0xFF};
  row[9] = std::byte{'"'};
  EXPECT_EQ(json_of(schema, row, "s"), "{\"bytes\":\"ff22\"}");
  EXPECT_EQ(text_of(schema, row, "s"), "\xFF\"");
  for (const char* bad : {"\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\x80", "\xC3"})
    EXPECT_FALSE(is_utf8(bad));
  EXPECT_TRUE(is_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x8C\x8A"));
}

TEST(ValuesTest, NotANumberAndInfinityHaveATextAndAreNoJsonNumbers) {  // F-102
  const Schema schema = Schema::rows({{"t", "u64"}, {"x", "f64"}, {"y", "f32"}});
  RowBuilder row(schema);
  row.set("x", "nan").set("y", "-inf");
  EXPECT_EQ(text_of(schema, row.bytes(), "x"), "nan");
  EXPECT_EQ(text_of(schema, row.bytes(), "y"), "-inf");
  EXPECT_EQ(json_of(schema, row.bytes(), "x"), "\"nan\"");
  EXPECT_EQ(json_of(schema, row.bytes(), "y"), "\"-inf\"");
}

TEST(ValuesTest, EveryHalfComesBackAndDoublesAreRoundedToTheNearest) {  // F-13
  for (uint32_t half = 0; half < 65536; ++half) {
    const float value = float_of_half(static_cast<uint16_t>(half));
    if (std::isnan(value)) {
      EXPECT_TRUE((half & 0x7C00) == 0x7C00 && (half & 0x3FF) != 0) << half;
      EXPECT_TRUE(std::isnan(float_of_half(half_of_double(value))));
    } else {
      ASSERT_EQ(half_of_double(value), half);
    }
  }
  EXPECT_EQ(half_of_double(65504), 0x7BFF);
  EXPECT_EQ(half_of_double(65519.9), 0x7BFF);
  EXPECT_EQ(half_of_double(65520), 0x7C00);
  EXPECT_EQ(half_of_double(1e300), 0x7C00);
  EXPECT_EQ(half_of_double(std::ldexp(1.0, -25)), 0);  // a tie goes to the even one
  EXPECT_EQ(half_of_double(std::ldexp(1.1, -25)), 1);
  EXPECT_EQ(half_of_double(std::ldexp(1.0, -26)), 0);
  EXPECT_EQ(half_of_double(1 + std::ldexp(1.0, -11)), 0x3C00);
  EXPECT_EQ(half_of_double(1 + std::ldexp(3.0, -11)), 0x3C02);
  EXPECT_EQ(half_of_double(-0.0), 0x8000);
}

TEST(ValuesTest, ClocksAreConvertedOrRefusedNeverWrappedAround) {  // F-15
  EXPECT_EQ(convert_clock(5, ClockUnit::kS, ClockUnit::kNs), 5'000'000'000u);
  EXPECT_EQ(convert_clock(5'999, ClockUnit::kNs, ClockUnit::kUs), 5u);
  EXPECT_EQ(convert_clock(5'001, ClockUnit::kNs, ClockUnit::kUs, Rounding::kUp), 6u);
  EXPECT_EQ(convert_clock(5'000, ClockUnit::kNs, ClockUnit::kUs, Rounding::kUp), 5u);
  EXPECT_EQ(convert_clock(~uint64_t{0}, ClockUnit::kMs, ClockUnit::kMs), ~uint64_t{0});
  EXPECT_EQ(convert_clock(~uint64_t{0}, ClockUnit::kNs, ClockUnit::kS, Rounding::kUp), 18'446'744'074u);
  EXPECT_EQ(convert_clock(~uint64_t{0}, ClockUnit::kUs, ClockUnit::kNs), std::nullopt);
  EXPECT_EQ(convert_clock(~uint64_t{0} / 1000, ClockUnit::kUs, ClockUnit::kNs), ~uint64_t{0} / 1000 * 1000);
  EXPECT_EQ(convert_clock(~uint64_t{0} / 1000 + 1, ClockUnit::kUs, ClockUnit::kNs), std::nullopt);
  expect_fault(Fault::kOutOfRange, "18446744073709551615 s does not fit 64 bits of ns",
               [] { convert_clock_or_throw(~uint64_t{0}, ClockUnit::kS, ClockUnit::kNs); });
  EXPECT_EQ(unit_named("ms"), ClockUnit::kMs);
  expect_fault(Fault::kUsage, "expected one of ns, us, ms, s", [] { unit_named("minutes"); });
}

TEST(ValuesTest, DatesAreThoseOfTheCalendar) {  // F-152
  const auto ns = [](std::string_view text) -> std::optional<uint64_t> {
    const auto civil = parse_iso_time(text);
    return civil ? utc_ns(*civil) : std::nullopt;
  };
  EXPECT_EQ(ns("2013-01-01T10:00:00Z"), 1'357'034'400'000'000'000u);
  EXPECT_EQ(ns("2013-01-01 10:00"), 1'357'034'400'000'000'000u);
  EXPECT_EQ(ns("2013-01-01T10:00:00.000000001+01:00"), 1'357'030'800'000'000'001u);
  EXPECT_EQ(ns("2012-02-29"), 1'330'473'600'000'000'000u);
  EXPECT_EQ(ns("1970-01-01T00:00:00Z"), 0u);
  for (const char* bad : {"2013-02-29", "2013-13-01", "2013-1-1", "2013-01-01T24:00", "2013-01-01T10",
                          "2013-01-01T10:00:00.1234567890", "2013-01-01T10:00:00 UTC", "1969-12-31", "2600-01-01", "x", ""}) {
    EXPECT_EQ(ns(bad), std::nullopt) << bad;
  }
  for (const uint64_t value : {uint64_t{0}, uint64_t{1'357'034'400'000'000'000}, uint64_t{951'782'400'123'456'789}, ~uint64_t{0}})
    EXPECT_EQ(ns(iso_utc(value)), value) << iso_utc(value);
  EXPECT_EQ(iso_utc(1'357'034'400'500'000'000), "2013-01-01T10:00:00.5Z");
}

}  // namespace
}  // namespace tidepool::feed
