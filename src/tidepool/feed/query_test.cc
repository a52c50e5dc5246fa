// Searches and ranges, over ordered and unordered clocks.

#include <random>

#include "tidepool/feed/stream_copy.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::Row;
using test::row_of;

class Query : public test::FeedTest {};
INSTANTIATE_TEST_SUITE_P(Storages, Query, ::testing::Values(Storage::kTiered, Storage::kDurable, Storage::kMemory), test::storage_test_name);

std::vector<Row> rows_in(const std::vector<std::byte>& bytes) {
  std::vector<Row> rows(bytes.size() / sizeof(Row));
  std::memcpy(rows.data(), bytes.data(), bytes.size());
  return rows;
}

TEST_P(Query, RangesAreHalfOpenAndComplete) {  // F-98, F-99, F-100
  auto wide = options(GetParam());
  wide.live_chunks = 20;
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), wide);
  append(writer, 0, 6000);
  auto reader = read();
  const auto rows = rows_in(reader.read_range({row_of(1000).time_ns, row_of(5000).time_ns}));
  ASSERT_EQ(rows.size(), 4000u);
  EXPECT_EQ(rows.front().number, 1000u);
  EXPECT_EQ(rows.back().number, 4999u);
  EXPECT_TRUE(reader.read_range({row_of(5000).time_ns, row_of(5000).time_ns}).empty());
  EXPECT_TRUE(reader.read_range({row_of(5000).time_ns, row_of(4000).time_ns}).empty());
  EXPECT_TRUE(reader.read_range({row_of(6000).time_ns, row_of(7000).time_ns}).empty());
  EXPECT_EQ(rows_in(reader.read_range({})).size(), 6000u);
  test::expect_fault(Fault::kResultTooLarge, "batches", [&] { reader.read_range({}, 1000); });
  // The same into memory of ours, which may be too small.
  std::vector<test::Row> into(4000);
  const TimeRange inner{row_of(1000).time_ns, row_of(5000).time_ns};
  EXPECT_EQ(reader.read_range_into(std::as_writable_bytes(std::span(into)), inner), 4000 * sizeof(test::Row));
  EXPECT_EQ(std::memcmp(into.data(), rows.data(), 4000 * sizeof(test::Row)), 0);
  test::expect_fault(Fault::kResultTooLarge, "batches", [&] { reader.read_range_into(std::as_writable_bytes(std::span(into).first(3999)), inner); });
  // The same in pieces of 100 at most.
  auto range = reader.range({row_of(1000).time_ns, row_of(5000).time_ns});
  uint64_t next = 1000;
  for (Batch piece; range.next(piece, 100);) {
    ASSERT_EQ(piece.first_seq, next);
    ASSERT_LE(piece.count, 100u);
    next += piece.count;
  }
  EXPECT_EQ(next, 5000u);
  // By number, and one column.
  auto by_number = reader.range_seq(2000, 2010);
  uint64_t count = 0;
  for (Batch piece; by_number.next(piece);) count += piece.count;
  EXPECT_EQ(count, 10u);
  const auto column = reader.read_column("value", {row_of(3000).time_ns, row_of(3100).time_ns});
  ASSERT_EQ(column.size(), 800u);
  EXPECT_EQ(load<double>(column.data() + 8 * 99), 3099.0 / 2);
  test::expect_fault(Fault::kUsage, "nothing", [&] { reader.read_column("nothing", {}); });
}

TEST_P(Query, ARangeKeepsItsEndWhileTheFeedGrows) {  // F-100
  auto writer = make(GetParam());
  append(writer, 0, 1500);
  auto reader = read();
  auto range = reader.range({});
  uint64_t count = 0;
  for (Batch piece; range.next(piece, 500);) {
    count += piece.count;
    append(writer, 1500 + count, 1500 + count);  // nothing
    if (writer.next_seq() < 1800) append(writer, writer.next_seq(), writer.next_seq() + 100);
  }
  EXPECT_EQ(count, 1500u);
}

// Against a plain list: clocks that go back and forth, equal ones, over chunk borders.
TEST_P(Query, FindsTheSameAsAPlainScanWhateverTheClocksDo) {  // F-35, F-37, F-101, X-11, F-87, F-40
  auto wide = options(GetParam());
  wide.live_chunks = 20;
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), wide);
  std::mt19937_64 random(42);
  std::vector<uint64_t> clocks;
  for (uint64_t number = 0; number < 5000; ++number) {
    Row row = row_of(number);
    // Ordered chunks, then disordered ones, then equal times.
    row.time_ns = number < 2000 ? 1000 + number : number < 4000 ? 1000 + number + random() % 500 - 250 : 6000;
    clocks.push_back(row.time_ns);
    ASSERT_TRUE(writer.append(row));
  }
  EXPECT_GT(writer.health().clock_regressions[0], 100u);
  if (GetParam() != Storage::kMemory) writer.sync();
  auto reader = read();
  for (uint64_t t = 900; t < 6100; t += 37) {
    std::optional<uint64_t> after;
    std::optional<uint64_t> before;
    for (uint64_t i = 0; i < clocks.size(); ++i) {
      if (!after && clocks[i] >= t) after = i;
      if (clocks[i] <= t) before = i;
    }
    ASSERT_EQ(reader.first_after(t), after) << t;
    ASSERT_EQ(reader.first_before(t), before) << t;
    ASSERT_EQ(reader.has_data_since(t), after.has_value()) << t;
    uint64_t expected = 0;
    for (const uint64_t clock : clocks) expected += clock >= t && clock < t + 300 ? 1 : 0;
    uint64_t found = 0;
    auto range = reader.range({t, t + 300});
    for (Batch piece; range.next(piece);) {
      for (uint64_t i = 0; i < piece.count; ++i) {
        const Row row = load<Row>(piece.rows.data() + i * sizeof(Row));
        ASSERT_TRUE(row.time_ns >= t && row.time_ns < t + 300);
        ++found;
      }
    }
    ASSERT_EQ(found, expected) << t;
  }
}

class QueryTest : public test::FeedTest {};

TEST_F(QueryTest, AStrictClockRefusesToGoBackAndNothingIsWritten) {  // X-11, F-15
  Schema schema = test::row_schema();
  schema.set_clock(0, {.order = ClockOrder::kStrict});
  auto writer = FeedWriter::create(base(), "trades", schema, options(Storage::kTiered));
  append(writer, 0, 10);
  EXPECT_EQ(writer.append(row_of(5)).status, AppendStatus::kClockBackwards);
  const Row batch[] = {row_of(10), row_of(11), row_of(3)};
  EXPECT_EQ(writer.append_batch(std::as_bytes(std::span(batch))).status, AppendStatus::kClockBackwards);
  append(writer, 10, 3000);
  EXPECT_EQ(writer.append(row_of(5)).status, AppendStatus::kClockBackwards) << "the chunks before count too";
  writer.close();
  auto again = FeedWriter::open(base(), "trades");
  EXPECT_EQ(again.append(row_of(5)).status, AppendStatus::kClockBackwards) << "and the tenures before";
  append(again, 3000, 3001);
}

TEST_F(QueryTest, SearchesByEachOfThreeClocks) {  // F-15, F-36
  const Schema schema = Schema::rows({{"a", "uint64"}, {"b", "uint64"}, {"c", "uint64"}, {"x", "float32[2]"}}, 3);
  auto writer = FeedWriter::create(base(), "three", schema, options(Storage::kTiered));
  for (uint64_t number = 0; number < 3000; ++number) {
    std::byte row[32] = {};
    store(row, number);
    store(row + 8, 10'000 - number);
    store(row + 16, number / 100);
    ASSERT_TRUE(writer.append(Bytes(row)));
  }
  auto reader = FeedReader::open(base(), "three");
  EXPECT_EQ(reader.first_after(2000, 0), 2000u);
  EXPECT_EQ(reader.first_before(8000, 1), 2999u);
  EXPECT_EQ(reader.first_after(10'000, 1), 0u);
  EXPECT_EQ(reader.first_after(10'001, 1), std::nullopt);
  EXPECT_EQ(reader.first_after(20, 2), 2000u);
  EXPECT_EQ(reader.feed().schema.clock_named("c"), 2u);
  test::expect_fault(Fault::kUsage, "a, b, c", [&] { static_cast<void>(reader.feed().schema.clock_named("d")); });
}

TEST_F(QueryTest, ReadsOfflineAfterTheWriterHasGone) {  // F-89, F-73, F-37
  {
    auto writer = make(Storage::kTiered);
    append(writer, 0, 10);
    ASSERT_TRUE(writer.rotate());
    EXPECT_FALSE(writer.rotate());
    append(writer, 10, 20);
    EXPECT_TRUE(writer.mark_segment_boundary("lunch"));
    EXPECT_FALSE(writer.mark_segment_boundary("lunch"));
    append(writer, 20, 30);
    writer.close();
  }
  make(Storage::kTiered).close();  // a tenure without a record
  auto reader = read();
  EXPECT_EQ(reader.first_after(row_of(15).time_ns), 15u);
  EXPECT_EQ(reader.committed_seq(), 30u);
  ASSERT_EQ(reader.segments().size(), 2u);  // F-59, F-111, F-113
  EXPECT_EQ(reader.segments()[0].end_seq, 20u);
  EXPECT_EQ(reader.segments()[0].reason, "lunch");
  EXPECT_EQ(reader.segments()[0].clocks[0].min, row_of(0).time_ns);
  EXPECT_EQ(reader.segments()[0].clocks[0].max, row_of(19).time_ns);
  EXPECT_EQ(reader.segments()[1].first_seq, 20u);
  EXPECT_EQ(reader.segments()[1].clocks[0].min, row_of(20).time_ns);
  EXPECT_EQ(reader.segments()[1].status, SegmentStatus::kClosed);
  EXPECT_EQ(reader.latest_chunk()->live, false);
  EXPECT_EQ(reader.epochs().size(), 2u);
}

TEST_F(QueryTest, BoundsItsMappingsWhateverTheFeedsSize) {  // F-97, X-24
  auto writer = make(Storage::kTiered);
  append(writer, 0, 40'000);
  writer.close();
  auto reader = read({.from = At::oldest(), .mapped_chunks_max = 3});
  expect_rows(reader, 0, 40'000);
  const std::string maps = shm::test::read_file("/proc/self/maps");
  size_t count = 0;
  for (size_t at = maps.find(".data"); at != std::string::npos; at = maps.find(".data", at + 1)) ++count;
  EXPECT_LE(count, 5u);
}

TEST(StreamCopy, CopiesEveryByteAndNoMore) {
  std::mt19937_64 random(11);
  std::vector<std::byte> from(8192), to(8192), expected(8192);
  for (std::byte& byte : from) byte = static_cast<std::byte>(random());
  for (int round = 0; round < 2000; ++round) {
    const size_t bytes = random() % (round % 2 == 0 ? 200 : 4000);
    const size_t at = random() % 200, begin = random() % 200;
    std::fill(to.begin(), to.end(), std::byte{0xEE});
    expected = to;
    std::memcpy(expected.data() + at, from.data() + begin, bytes);
    stream_copy(to.data() + at, from.data() + begin, bytes);
    ASSERT_EQ(to, expected) << bytes << " bytes from " << begin << " to " << at;
  }
}

}  // namespace
}  // namespace tidepool::feed
