// Records by conditions, backwards, every Nth, at their own pace: against a plain list each time.

#include "tidepool/feed/walk.h"

#include <algorithm>
#include <random>

#include "tidepool/feed/pacer.h"
#include "tidepool/feed/settings.h"
#include "tidepool/feed/test_support.h"
#include "tidepool/feed/values.h"

namespace tidepool::feed::walk_test {
namespace {

using test::expect_fault;
using test::Row;
using test::row_of;

class Walks : public test::FeedTest {
 protected:
  struct Seen {
    std::vector<uint64_t> seqs;
    std::vector<Gap> gaps;
    uint64_t examined = 0;
  };
  static Seen all(FeedReader& reader, const WalkOptions& options) {
    Seen seen;
    Walk walk(reader, options);
    for (Item item; walk.next(item);) {
      if (item.kind == Item::Kind::kGap) {
        seen.gaps.push_back(item.gap);
        continue;
      }
      seen.seqs.push_back(item.seq);
    }
    seen.examined = walk.examined();
    return seen;
  }
  static std::vector<uint64_t> from_to(uint64_t from, uint64_t to) {
    std::vector<uint64_t> seqs;
    for (uint64_t seq = from; seq < to; ++seq) seqs.push_back(seq);
    return seqs;
  }
};

// All kinds of query over clocks that do what they like, on disk and live.
class WalkOver : public test::FeedTest {};
INSTANTIATE_TEST_SUITE_P(Storages, WalkOver, ::testing::Values(Storage::kTiered, Storage::kDurable, Storage::kMemory),
                         test::storage_test_name);

TEST_P(WalkOver, GivesTheSameAsAPlainScanForwardsAndBackwards) {  // F-103, F-98, F-35, F-37
  auto wide = options(GetParam());
  wide.live_chunks = 20;
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), wide);
  std::mt19937_64 random(7);
  std::vector<Row> rows;
  for (uint64_t number = 0; number < 5500; ++number) {
    Row row = row_of(number);
    row.time_ns = number < 2000 ? 1000 + number : 1000 + number + random() % 700 - 350;
    rows.push_back(row);
    ASSERT_TRUE(writer.append(row));
  }
  auto reader = read();
  for (int round = 0; round < 60; ++round) {
    WalkOptions walk;
    walk.reverse = random() % 2 == 0;
    walk.every = random() % 3 == 0 ? 1 + random() % 50 : 1;
    walk.step = random() % 4 == 0 ? random() % 200 : 0;
    walk.range.by_time = random() % 2 == 0;
    walk.range.time = {900 + random() % 6000, 900 + random() % 6000, 0};
    walk.range.from_seq = random() % 5500;
    walk.range.to_seq = random() % 7000;
    const double least = static_cast<double>(random() % 2500);
    const bool conditional = random() % 2 == 0;
    if (conditional) walk.where = {concat("value >= ", least), "number != 3000"};
    std::vector<uint64_t> expected;
    uint64_t wanted = 0, given_time = 0;
    const uint64_t low = walk.range.by_time ? 0 : std::min<uint64_t>(walk.range.from_seq, 5500);
    const uint64_t high = std::max<uint64_t>(low, walk.range.by_time ? 5500 : std::min<uint64_t>(walk.range.to_seq, 5500));
    for (uint64_t i = 0; i < high - low; ++i) {
      const uint64_t seq = walk.reverse ? high - 1 - i : low + i;
      const Row& row = rows[seq];
      if (walk.range.by_time && (row.time_ns < walk.range.time.from || row.time_ns >= walk.range.time.to)) continue;
      if (conditional && (row.value < least || row.number == 3000)) continue;
      // Without any condition the numbers are counted, else the records that are wanted; a step that is too short passes over one.
      if (wanted > 0) {
        --wanted;
        continue;
      }
      const bool counts = conditional || walk.range.by_time;
      const uint64_t apart =
          walk.reverse ? given_time - std::min(given_time, row.time_ns) : row.time_ns - std::min(given_time, row.time_ns);
      if (walk.step > 0 && !expected.empty() && apart < walk.step) {
        wanted = counts ? 0 : walk.every - 1;
        continue;
      }
      given_time = row.time_ns;
      expected.push_back(seq);
      wanted = walk.every - 1;
    }
    Walk walked(reader, walk);
    std::vector<uint64_t> seen;
    for (Item item; walked.next(item);) {
      ASSERT_EQ(item.kind, Item::Kind::kRow) << item.gap.text;
      ASSERT_EQ(std::memcmp(item.bytes.data(), &rows[item.seq], sizeof(Row)), 0);
      seen.push_back(item.seq);
    }
    ASSERT_EQ(seen, expected) << "round " << round << (walk.reverse ? " reverse" : "") << " every " << walk.every << " step "
                              << walk.step << (walk.range.by_time ? " by time" : " by number")
                              << (conditional ? " with conditions" : "");
  }
}

TEST_F(Walks, PassOverChunksAndBlocksWhoseClocksHoldNothing) {  // F-103, F-33, F-35
  auto writer = make(Storage::kTiered);
  append(writer, 0, 20'000);
  writer.close();
  auto reader = read();
  WalkOptions one;
  one.where = {concat("time_ns = ", row_of(12'345).time_ns)};
  const Seen found = all(reader, one);
  EXPECT_EQ(found.seqs, (std::vector<uint64_t>{12'345}));
  EXPECT_LE(found.examined, 128u) << "one block of 4096 bytes";
  one.reverse = true;
  EXPECT_EQ(all(reader, one).seqs, found.seqs);
  // Every 5000th: four blocks of 128 rows.
  WalkOptions seldom;
  seldom.every = 5000;
  const Seen few = all(reader, seldom);
  EXPECT_EQ(few.seqs, (std::vector<uint64_t>{0, 5000, 10'000, 15'000}));
  EXPECT_LE(few.examined, 4u * 128);
  // A condition on what has no bounds looks at all of them.
  WalkOptions value;
  value.where = {"number = 12345"};
  EXPECT_EQ(all(reader, value).examined, 20'000u);
  // Without index files the blocks are unknown and the chunks are not.
  for (const std::string& name : names_in(base() + "/feeds/trades")) {
    if (name.ends_with(".idx")) std::filesystem::remove(base() + "/feeds/trades/" + name);
  }
  auto without = read();
  const Seen again = all(without, one);
  EXPECT_EQ(again.seqs, found.seqs);
  EXPECT_LE(again.examined, 1024u);
}

TEST_F(Walks, UseTheLiveIndexAndLookAtWhatIsBehindIt) {  // F-33, F-103
  auto wide = options(Storage::kTiered);
  wide.chunk_bytes = 8192 * sizeof(Row);
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), wide);
  append(writer, 0, 5000);
  writer.sync();
  auto reader = read();
  WalkOptions one;
  one.where = {concat("time_ns = ", row_of(300).time_ns)};
  until([&] { return all(reader, one).examined <= 1024; });  // the helper writes the index behind the data
  EXPECT_EQ(all(reader, one).seqs, (std::vector<uint64_t>{300}));
  append(writer, 5000, 5050);
  one.where = {concat("time_ns = ", row_of(5049).time_ns)};
  EXPECT_EQ(all(reader, one).seqs, (std::vector<uint64_t>{5049}));
}

TEST_F(Walks, TellGapsInTheirPlaceInBothDirections) {  // F-103, F-104, X-9, X-14, X-23
  {
    auto writer = make(Storage::kTiered);
    append(writer, 0, 5000);
    writer.close();
  }
  const std::string directory = base() + "/feeds/trades/";
  std::filesystem::remove(directory + chunk_name(2));  // 1024 to 2048
  std::string content = shm::test::read_file(directory + chunk_name(4));  // 3072 to 4096
  content[ChunkHeader::decode(std::as_bytes(std::span(content)), "").data_offset + 4096 + 5] ^= 1;  // rows 128 to 256 of it
  shm::test::write_file(directory + chunk_name(4), content);
  for (const bool reverse : {false, true}) {
    auto reader = read();
    WalkOptions options;
    options.reverse = reverse;
    Seen seen = all(reader, options);
    if (reverse) {
      std::reverse(seen.seqs.begin(), seen.seqs.end());
      std::reverse(seen.gaps.begin(), seen.gaps.end());
    }
    std::vector<uint64_t> expected = from_to(0, 5000);
    std::erase_if(expected, [](uint64_t seq) { return (seq >= 1024 && seq < 2048) || (seq >= 3200 && seq < 3328); });
    EXPECT_EQ(seen.seqs, expected);
    ASSERT_EQ(seen.gaps.size(), 2u);
    EXPECT_EQ(seen.gaps[0].from, 1024u);
    EXPECT_EQ(seen.gaps[0].to, 2048u);
    EXPECT_EQ(seen.gaps[0].cause, GapCause::kMissing);
    EXPECT_EQ(seen.gaps[1].from, 3200u);
    EXPECT_EQ(seen.gaps[1].to, 3328u);
    EXPECT_EQ(seen.gaps[1].cause, GapCause::kDamaged);
    // What the clocks exclude need not be read, and is no gap.
    options.where = {concat("time_ns >= ", row_of(4096).time_ns)};
    EXPECT_TRUE(all(reader, options).gaps.empty());
  }
}

TEST_F(Walks, OfAMemoryFeedTellWhatIsBelowItsWindow) {  // F-103, X-13, X-14
  auto writer = make(Storage::kMemory);
  append(writer, 0, 10'000);
  auto reader = read();
  until([&] { return reader.first_seq() >= 7 * 1024; });  // three chunks of ten
  const uint64_t floor = reader.first_seq();
  for (const bool reverse : {false, true}) {
    WalkOptions options;
    options.reverse = reverse;
    options.range.from_seq = 100;
    options.range.to_seq = 9000;
    const Seen seen = all(reader, options);
    EXPECT_EQ(seen.seqs.size(), 9000 - floor);
    ASSERT_EQ(seen.gaps.size(), 1u);
    EXPECT_EQ(seen.gaps[0].from, 100u);
    EXPECT_EQ(seen.gaps[0].to, floor);
  }
}

TEST_F(Walks, OfFramesGoByTheirClocks) {  // F-103, F-119
  auto writer = FeedWriter::create(base(), "cam", Schema::frames({"time_ns", "wall_ns"}), options(Storage::kTiered));
  for (uint64_t seq = 0; seq < 300; ++seq) {
    FrameMeta meta;
    meta.clocks[0] = 100 + seq;
    meta.clocks[1] = 5000 - seq;
    ASSERT_TRUE(writer.append_frame(meta, {}, std::as_bytes(std::span(&seq, 1))));
  }
  auto reader = FeedReader::open(base(), "cam");
  WalkOptions options;
  options.where = {"wall_ns > 4800", "time_ns >= 150"};
  options.reverse = true;
  options.every = 10;
  Walk walk(reader, options);
  uint64_t next = 199;
  for (Item item; walk.next(item); next -= 10) {
    ASSERT_EQ(item.kind, Item::Kind::kFrame);
    ASSERT_EQ(item.seq, next);
    ASSERT_EQ(load<uint64_t>(item.bytes.data()), next);
  }
  EXPECT_EQ(next, 49u);
}

TEST_F(Walks, LookAtRowsOfOlderVersionsOfTheSchema) {  // F-103, F-18
  Schema schema = Schema::rows({{"time_ns", "uint64"}, {"side", "uint8{buy=1,sell=2}"}});
  create_feed(base(), "orders", schema, options(Storage::kTiered));
  {
    auto writer = FeedWriter::open(base(), "orders");
    for (uint64_t i = 0; i < 10; ++i) {
      std::byte row[9] = {};
      store(row, i);
      store(row + 8, static_cast<uint8_t>(1 + i % 2));
      ASSERT_TRUE(writer.append(Bytes(row)));
    }
  }
  evolve_feed(base(), "orders", schema.with({{"size", "int32"}}));
  auto writer = FeedWriter::open(base(), "orders");
  for (uint64_t i = 10; i < 20; ++i) {
    std::byte row[13] = {};
    store(row, i);
    store(row + 8, static_cast<uint8_t>(1 + i % 2));
    store(row + 9, static_cast<int32_t>(i) - 15);
    ASSERT_TRUE(writer.append(Bytes(row)));
  }
  auto reader = FeedReader::open(base(), "orders");
  EXPECT_EQ(all(reader, {.where = {"side = sell"}}).seqs, (std::vector<uint64_t>{1, 3, 5, 7, 9, 11, 13, 15, 17, 19}));
  EXPECT_EQ(all(reader, {.where = {"size < 0", "side = buy"}}).seqs, (std::vector<uint64_t>{10, 12, 14}))
      << "an older row has no size";
}

TEST_F(Walks, RefuseWhatHasNoMeaning) {  // F-103, G-6
  auto writer = make(Storage::kTiered);
  append(writer, 0, 3);
  auto reader = read();
  expect_fault(Fault::kUsage, "every 0th", [&] { Walk(reader, {.every = 0}); });
  expect_fault(Fault::kUsage, "no clock 1", [&] { Walk(reader, {.range = {.time = {0, 5, 1}}}); });
  const std::pair<const char*, const char*> cases[] = {{"number", "is no condition"},
                                                       {"= 3", "is no condition"},
                                                       {"weight = 3", "the fields are time_ns, number"},
                                                       {"number = many", "no value of field number (uint64)"},
                                                       {"number = 1.5", "no value"},
                                                       {"value > ", "no value"},
                                                       {"number[1] = 2", "no element 1"},
                                                       {"number[x] = 2", "number of an element"}};
  for (const auto& [text, part] : cases) {
    expect_fault(Fault::kUsage, part, [&] { Walk(reader, {.where = {text}}); });
  }
}

TEST(FilterTest, ComparesEveryTypeAsWhatItIs) {  // F-103, F-13, F-16
  const Schema schema = Schema::rows({{"t", "uint64"},
                                      {"c", "char"},
                                      {"b", "bool"},
                                      {"i8", "int8"},
                                      {"u16", "uint16"},
                                      {"i64", "int64"},
                                      {"f16", "float16"},
                                      {"f32", "float32"},
                                      {"f64", "float64"},
                                      {"name", "text[4]"},
                                      {"id", "bytes2"},
                                      {"x", "int16[3]"},
                                      {"e", "uint8{on=1,off=2}"}});
  RowBuilder row(schema);
  row.set_all({"7", "A", "true", "-3", "65535", "-9000000000", "0.1", "0.1", "nan", "ES", "00ff", "1 -2 3", "2"});
  const auto holds = [&](const std::string& condition) {
    std::vector<uint8_t> keep(1);
    Filter::parse(schema, {condition}).select(row.bytes().data(), schema.record_bytes(), keep);
    return keep[0] != 0;
  };
  for (const char* yes : {"t = 7",
                          "t==7",
                          "t != 8",
                          "c = A",
                          "c < B",
                          "b = true",
                          "b != 0",
                          "i8 = -3",
                          "i8 > -4",
                          "i8 < 200",
                          "i8 > -1000",
                          "u16 <= 65535",
                          "u16 < 65536",
                          "u16 > -1",
                          "u16 != -1",
                          "i64 < 0",
                          "i64 >= -9000000000",
                          "i64 < 18446744073709551615",
                          "f16 = 0.1",
                          "f32 = 0.1",
                          "f32 < 0.11",
                          "f64 != 1",
                          "name = ES",
                          "name = \"ES\"",
                          "name < F",
                          "id = 00ff",
                          "id > 00fe",
                          "x = 1",
                          "x[1] = -2",
                          "x[2] >= 3",
                          "e = off",
                          "e = 2",
                          "e != on"}) {
    EXPECT_TRUE(holds(yes)) << yes;
  }
  for (const char* no :
       {"t = 8", "t < 7", "c = B", "b = false", "i8 > 200", "i8 = 300", "u16 < -1", "u16 = 65536", "i64 > 18446744073709551615",
        "f32 > 0.1", "f64 = 1", "f64 < 1", "f64 >= 1", "name = E", "id != 00ff", "x[1] > 0", "e = on"}) {
    EXPECT_FALSE(holds(no)) << no;
  }
}

TEST(PacerTest, IsRealTimeTimesAFactorFromTheFirstRecordOn) {  // F-103
  ManualClock clock(1'000'000);
  Pacer pacer({.factor = 4, .clock = &clock});
  EXPECT_EQ(pacer.due(50'000).at_ns, 1'000'000u);
  EXPECT_EQ(pacer.due(54'000).at_ns, 1'001'000u);
  EXPECT_EQ(pacer.due(40'000).at_ns, 1'000'000u) << "a clock that went back: at once";
  EXPECT_EQ(pacer.due(58'000).at_ns, 1'002'000u);
  EXPECT_FALSE(pacer.wait(1'002'000, 0));
  clock.advance_ns(2'000);
  EXPECT_TRUE(pacer.wait(1'002'000, 0));
  pacer.restart();
  EXPECT_EQ(pacer.due(900'000).at_ns, 1'002'000u);
  EXPECT_LE(pacer.due(~uint64_t{0}).at_ns, uint64_t{1} << 63) << "far away, and no overflow";
  Pacer back({.factor = 1, .reverse = true, .clock = &clock});
  EXPECT_EQ(back.due(900).at_ns, 1'002'000u);
  EXPECT_EQ(back.due(400).at_ns, 1'002'500u);
  Pacer never({.factor = 0, .clock = &clock});
  EXPECT_EQ(never.due(5).at_ns, 0u);
  EXPECT_TRUE(never.wait(never.due(1'000'000).at_ns, 0));
  for (const double wrong : {-1.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    expect_fault(Fault::kUsage, "a pace of", [&] { Pacer({.factor = wrong}); });
  }
}

TEST(PacerTest, GivesAWindowTogetherWhenItIsOver) {  // F-103
  ManualClock clock(1'000'000);
  Pacer pacer({.factor = 2, .window_ns = 100, .clock = &clock});
  const auto expect = [&](uint64_t time_ns, uint64_t window, bool begins, uint64_t at_ns) {
    const Pacer::Due due = pacer.due(time_ns);
    EXPECT_EQ(due.window, window) << time_ns;
    EXPECT_EQ(due.begins, begins) << time_ns;
    EXPECT_EQ(due.at_ns, 1'000'000 + at_ns) << time_ns;
  };
  expect(1'030, 10, true, 50);
  expect(1'099, 10, false, 50);
  expect(1'100, 11, true, 100);
  expect(1'040, 11, false, 100);  // late: with those that come now
  expect(1'500, 15, true, 300);
  Pacer back({.factor = 1, .window_ns = 100, .reverse = true, .clock = &clock});
  EXPECT_EQ(back.due(1'030).at_ns, 1'000'100u);
  EXPECT_EQ(back.due(1'000).begins, false);
  EXPECT_EQ(back.due(999).at_ns, 1'000'200u);
}

TEST_F(Walks, AMergeIsReplayedAtItsPace) {  // F-103
  for (const char* name : {"a", "b"}) {
    auto writer = make(Storage::kTiered, name);
    append(writer, 0, 30);  // 10 ns apart, from 1,000,000 on
  }
  ManualClock clock;
  PacedReader paced(MergedReader::open_window({{"", base(), "a", {}}, {"", base(), "b", {}}}, {0, 2'000'000}),
                    {.factor = 0.5, .window_ns = 100, .clock = &clock});
  EXPECT_EQ(paced.next().merged.item.kind, Item::Kind::kIdle) << "the first window is not over";
  uint64_t records = 0, windows = 0, idle = 0;
  for (;;) {
    const PacedItem next = paced.next();
    if (next.merged.item.kind == Item::Kind::kEnded && next.merged.feed == 2) break;
    if (next.merged.item.kind == Item::Kind::kIdle) {
      clock.advance_ns(200);  // a window at half the pace
      ++idle;
    }
    if (!next.merged.item.is_record()) continue;
    ASSERT_EQ(next.merged.item.seq, records / 2);
    ASSERT_EQ(next.window, next.merged.time_ns / 100);
    windows += next.begins ? 1 : 0;
    ++records;
  }
  EXPECT_EQ(records, 60u);
  EXPECT_EQ(windows, 3u);
  EXPECT_EQ(idle, 3u) << "each window was waited for once";
}

}  // namespace
}  // namespace tidepool::feed::walk_test
