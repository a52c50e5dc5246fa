#include "tidepool/feed/schema.h"

#include <gtest/gtest.h>

#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::expect_fault;

TEST(SchemaTest, IsOfTheDocumentedBytes) {  // F-17, docs/formats/feed-chunk.md
  constexpr uint8_t kBytes[] = {
      0x54, 0x50, 0x53, 0x43, 0x48, 0x45, 0x4d, 0x31, 0x01, 0x00, 0x02, 0x00, 0x10, 0x00, 0x00, 0x00, 0x01, 0x01, 0x00, 0x06,
      0x88, 0x00, 0x00, 0x00, 0x6e, 0xae, 0xe8, 0x62, 0x42, 0x04, 0x21, 0x23, 0,    0,    0,    0,    0,    0,    0,    0,
      0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
      0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
      0x0c, 0x00, 0x07, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
      0x74, 0x69, 0x6d, 0x65, 0x5f, 0x6e, 0x73, 0x0d, 0x00, 0x05, 0x00, 0x01, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x08,
      0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x70, 0x72, 0x69, 0x63, 0x65, 0x7c, 0x12, 0x4d, 0x48};
  const auto encoded = Schema::rows({{"time_ns", "uint64"}, {"price", "float64"}}).encode();
  ASSERT_EQ(encoded.size(), sizeof kBytes);
  EXPECT_EQ(std::memcmp(encoded.data(), kBytes, sizeof kBytes), 0);
}

TEST(SchemaTest, KnowsEveryTypeAndAliasWithItsSize) {  // F-13, F-16
  const Schema schema = Schema::rows({{"t", "u64"},     {"a", "char"},   {"b", "bool"},   {"c", "i8"},  {"d", "byte"},       {"e", "int16"},
                                      {"f", "u16"},     {"g", "f16"},    {"h", "int32"},  {"i", "u32"}, {"j", "float32"},    {"k", "i64"},
                                      {"l", "float64"}, {"m", "bytes5"}, {"n", "_3"},     {"o", "text[7]"}, {"p", "int16[4]"}});
  const uint32_t offsets[] = {0, 8, 9, 10, 11, 12, 14, 16, 18, 22, 26, 30, 38, 46, 51, 54, 61};
  for (size_t i = 0; i < schema.fields().size(); ++i) EXPECT_EQ(schema.fields()[i].offset, offsets[i]) << schema.fields()[i].name;
  EXPECT_EQ(schema.record_bytes(), 69u);
  EXPECT_EQ(Schema::decode(schema.encode()), schema);
}

TEST(SchemaTest, AlignsWhenAsked) {  // F-14
  const Schema schema = Schema::rows({{"t", "u64"}, {"a", "u8"}, {"b", "f64"}, {"c", "u16"}}, 1, true);
  EXPECT_EQ(schema.field("b")->offset, 16u);
  EXPECT_EQ(schema.field("c")->offset, 24u);
  EXPECT_EQ(schema.record_bytes(), 32u);
}

TEST(SchemaTest, RefusesWhatIsNoSchemaNamingTheField) {  // F-13, F-14, F-15
  const auto refused = [](const std::vector<FieldText>& fields, std::string_view fragment, size_t clocks = 1) {
    expect_fault(Fault::kInvalidSchema, fragment, [&] { Schema::rows(fields, clocks); });
  };
  refused({}, "fewer fields");
  refused({{"t", "u64"}}, "fewer fields", 2);
  refused({{"t", "u64"}}, "1 to 3", 4);
  refused({{"t", "u64"}, {"x", "bytes0"}}, "'x'");
  refused({{"t", "u64"}, {"x", "_0"}}, "'x'");
  refused({{"t", "u64"}, {"x", "float128"}}, "float128");
  refused({{"t", "u64"}, {"x", "u8[0]"}}, "'x'");
  refused({{"t", "u64"}, {"x", "u8[99999999999]"}}, "'x'");
  refused({{"t", "f64"}}, "clock 't'");
  refused({{"t", "u64"}, {"t", "u8"}}, "two fields");
  refused({{"t", "u64"}, {"", "u8"}}, "field name");
  refused({{"t", "u64"}, {"x", "f64[200000000]"}}, "larger");
}

TEST(SchemaTest, AnyDamageToItsBytesIsNoticed) {  // F-17, X-9
  const auto encoded = test::row_schema().encode();
  for (size_t at = 0; at < encoded.size(); ++at) {
    auto changed = encoded;
    changed[at] ^= std::byte{1};
    EXPECT_THROW(Schema::decode(changed), FeedError) << at;
    EXPECT_THROW(Schema::decode(Bytes(encoded).first(at)), FeedError) << at;
  }
}

TEST(SchemaTest, OfAStructIsWhereTheCompilerPutsItsMembers) {  // F-102
  struct Odd {
    uint64_t t;
    uint8_t flag;
    double value;
    char name[6];
  };
  const Schema schema = schema_of<Odd>({{"t", &Odd::t}, {"flag", &Odd::flag}, {"value", &Odd::value}, {"name", &Odd::name}});
  EXPECT_EQ(schema.record_bytes(), sizeof(Odd));
  EXPECT_EQ(schema.field("value")->offset, offsetof(Odd, value));
  EXPECT_EQ(schema.field("name")->type, Type::kText);
  expect_fault(Fault::kInvalidSchema, "behind", [&] { schema_of<Odd>({{"t", &Odd::t}, {"value", &Odd::value}, {"flag", &Odd::flag}}); });
}

class SizesTest : public test::FeedTest {};

TEST_F(SizesTest, ThatCannotBeAreRefusedAndNothingIsMade) {  // F-20
  const auto refused = [&](auto&& change, std::string_view fragment) {
    auto changed = options(Storage::kTiered);
    change(changed);
    expect_fault(Fault::kInvalidSize, fragment, [&] { create_feed(base(), "trades", test::row_schema(), changed); });
    EXPECT_FALSE(std::filesystem::exists(base()));
  };
  refused([](FeedOptions& o) { o.live_chunks = 1; }, "live_chunks");
  refused([](FeedOptions& o) { o.chunk_bytes = 100; }, "chunk_bytes");
  refused([](FeedOptions& o) { o.chunk_bytes = ~uint64_t{0}; }, "chunk_bytes");
  refused([](FeedOptions& o) { o.block_bytes = 5000; }, "block_bytes");
}

}  // namespace
}  // namespace tidepool::feed
