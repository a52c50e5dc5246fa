// Segments as what is stored: breaks, crashes, holes, retention; marks to begin at.

#include "tidepool/feed/segments.h"

#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::expect_fault;
using test::row_of;

class Segments : public test::FeedTest {
 protected:
  // What a writer that was killed leaves: its live objects, an open epoch, an open segment.
  void crash_after(uint64_t from, uint64_t to) const {
    test::Helper crash([&](const test::Helper& self) {
      auto writer = FeedWriter::open(base(), "trades");
      for (uint64_t number = from; number < to; ++number) EXPECT_TRUE(writer.append(row_of(number)));
      writer.sync();
      self.ready();
      self.sleep_for_ever();
    });
    ASSERT_EQ(crash.wait_ready(), 0);
    crash.kill();
  }
  static uint64_t time(uint64_t number) { return row_of(number).time_ns; }
};

TEST_F(Segments, TellWhatEachWriterCapturedAndWhy) {  // F-111, F-112, F-59, F-98
  if (shm::test::kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer refuses threads in a forked child of a process with threads";
  auto writer = make(Storage::kTiered);
  append(writer, 0, 1500);
  EXPECT_TRUE(writer.mark_segment_boundary("disconnected"));
  EXPECT_FALSE(writer.mark_segment_boundary("again")) << "nothing was captured since";
  append(writer, 1500, 1600);
  writer.close();
  crash_after(1600, 1700);
  FeedWriter::open(base(), "trades").close();
  auto last = FeedWriter::open(base(), "trades");
  append(last, 1700, 1710);
  last.sync();

  auto reader = read();
  const auto segments = stored_segments(reader);
  ASSERT_EQ(segments.size(), 4u);
  const struct {
    uint64_t first, end;
    SegmentStatus status;
    std::string_view reason;
  } expected[] = {{0, 1500, SegmentStatus::kClosed, "disconnected"},
                  {1500, 1600, SegmentStatus::kClosed, "writer closed"},
                  {1600, 1700, SegmentStatus::kCrashClosed, "writer ended without closing"},
                  {1700, 1710, SegmentStatus::kOpen, ""}};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(segments[i].first_seq, expected[i].first) << i;
    EXPECT_EQ(segments[i].end_seq, expected[i].end) << i;
    EXPECT_EQ(segments[i].status, expected[i].status) << i;
    EXPECT_EQ(segments[i].reason, expected[i].reason) << i;
    EXPECT_EQ(segments[i].clocks[0].min, time(expected[i].first)) << i;
    EXPECT_EQ(segments[i].clocks[0].max, time(expected[i].end - 1)) << i;
    EXPECT_NE(segments[i].id, 0u) << i;
    EXPECT_FALSE(segments[i].clipped) << i;
    EXPECT_GT(segments[i].opened_wall_ns, 0u) << i;
    EXPECT_EQ(segments[i].closed_wall_ns == 0, i == 3) << i;
  }
  EXPECT_TRUE(passes(segments[2], SegmentFilter::kUsable));
  EXPECT_FALSE(passes(segments[3], SegmentFilter::kUsable));
  EXPECT_TRUE(passes(segments[3], SegmentFilter::kUsable, true));
  EXPECT_EQ(segment_filter_named("crash_closed"), SegmentFilter::kCrashClosed);
  expect_fault(Fault::kUsage, "expected usable", [] { segment_filter_named("good"); });
}

TEST_F(Segments, HaveBoundsThatAreTheLeastAndTheGreatestWhateverTheOrder) {  // F-113, F-35, X-11
  auto writer = make(Storage::kTiered);
  append(writer, 0, 3);
  writer.mark_segment_boundary("first");
  auto late = row_of(900);
  for (const uint64_t time : {900u, 100u, 500u}) {
    late.time_ns = time;
    ASSERT_TRUE(writer.append(late));
  }
  writer.close();
  auto reader = read();
  const auto segments = stored_segments(reader);
  ASSERT_EQ(segments.size(), 2u);
  EXPECT_EQ(interval_of(segments[1], 0), (Interval{100, 901}));
  EXPECT_FALSE(segments[1].clocks[0].ordered);
  EXPECT_TRUE(segments[0].clocks[0].ordered);
}

TEST_F(Segments, SuggestARangeWithItsGaps) {  // F-115
  auto writer = make(Storage::kTiered);
  append(writer, 0, 100);
  writer.mark_segment_boundary("gap");
  append(writer, 100, 900);
  writer.mark_segment_boundary("gap");
  append(writer, 900, 910);
  writer.sync();
  auto reader = read();
  const auto segments = stored_segments(reader);
  const auto range = suggest_range(segments, 0);
  ASSERT_TRUE(range);
  EXPECT_EQ(range->whole, (Interval{time(0), time(909) + 1}));
  EXPECT_EQ(range->gaps, (std::vector<Interval>{{time(99) + 1, time(100)}, {time(899) + 1, time(900)}}));
  EXPECT_EQ(range->longest, (Interval{time(100), time(899) + 1}));
  // The range suggested is one that gives every record.
  EXPECT_EQ(reader.read_range({range->whole.from, range->whole.to}).size(), 910 * sizeof(test::Row));
  EXPECT_EQ(suggest_range(segments, 0, SegmentFilter::kUsable, false)->whole.to, time(899) + 1) << "without the open one";
  EXPECT_EQ(suggest_range(segments, 0, SegmentFilter::kCrashClosed, false), std::nullopt);
  EXPECT_EQ(suggest_range({}, 0), std::nullopt);
}

TEST_F(Segments, AreMadeFromChunksWhereTheRegistryTellsOfNone) {  // F-114
  auto silent = options(Storage::kTiered);
  silent.segments = false;
  {
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), silent);
    append(writer, 0, 2000);
  }
  {
    auto writer = FeedWriter::open(base(), "trades");
    append(writer, 2000, 2010);
  }
  auto reader = read();
  const auto segments = stored_segments(reader);
  ASSERT_EQ(segments.size(), 2u);
  EXPECT_EQ(segments[0].id, 0u);
  EXPECT_EQ(segments[0].end_seq, 2000u);
  EXPECT_EQ(segments[0].clocks[0].max, time(1999));
  EXPECT_EQ(segments[1].first_seq, 2000u);
  EXPECT_EQ(segments[1].epoch, 2u);
  EXPECT_EQ(segments[1].status, SegmentStatus::kClosed);
}

TEST_F(Segments, LoseWhatAQuarantinedChunkHeldAndTellOfIt) {  // F-112, F-113, F-135
  FeedInfo feed;
  {
    auto writer = make(Storage::kTiered);
    append(writer, 0, 3 * 1024);
    feed = writer.feed();
  }
  auto registry = FeedRegistry::open(feed, Files::system(), true);
  const ChunkInfo middle = registry.chunks().at(1);
  FeedRecord away;
  away.type = FeedEntry::kChunkQuarantined;
  away.epoch = middle.epoch;
  away.ordinal = middle.ordinal;
  away.tag = middle.tag;
  registry.append(away, true);

  auto reader = read();
  const auto segments = stored_segments(reader);
  ASSERT_EQ(segments.size(), 3u);
  EXPECT_EQ(segments[0].end_seq, 1024u);
  EXPECT_EQ(segments[0].clocks[0].max, time(1023));
  EXPECT_TRUE(segments[0].clipped);
  EXPECT_EQ(segments[1].status, SegmentStatus::kBroken);
  EXPECT_EQ(segments[1].first_seq, 1024u);
  EXPECT_EQ(segments[1].end_seq, 2048u);
  EXPECT_EQ(segments[2].first_seq, 2048u);
  EXPECT_EQ(segments[2].clocks[0].min, time(2048));
  EXPECT_EQ(suggest_range(segments, 0)->gaps, (std::vector<Interval>{{time(1023) + 1, time(2048)}}));
}

TEST_F(Segments, OfAMemoryFeedBeginWhereItsWindowDoes) {  // F-113
  auto writer = make(Storage::kMemory);
  append(writer, 0, 8 * 1024);
  auto reader = read();
  until([&] { return reader.first_seq() == 5 * 1024; });  // three live chunks, the last one full
  const auto segments = stored_segments(reader);
  ASSERT_EQ(segments.size(), 1u);
  EXPECT_EQ(segments[0].first_seq, 5 * 1024u);
  EXPECT_EQ(segments[0].end_seq, 8 * 1024u);
  EXPECT_EQ(segments[0].clocks[0].min, time(5 * 1024));
  EXPECT_TRUE(segments[0].clipped);
}

class Marks : public test::FeedTest {};
INSTANTIATE_TEST_SUITE_P(Storages, Marks, ::testing::Values(Storage::kTiered, Storage::kDurable, Storage::kMemory),
                         test::storage_test_name);

TEST_P(Marks, AreWhereAReaderMayBegin) {  // F-39, F-74
  auto writer = make(GetParam());
  append(writer, 0, 600);
  writer.mark(100, 7, "snapshot");
  writer.mark(500, 8);
  expect_fault(Fault::kOutOfRange, "600", [&] { writer.mark(600, 1); });
  auto reader = read({.from = At::mark(row_of(499).time_ns)});
  ASSERT_TRUE(reader.at_mark());
  EXPECT_EQ(reader.at_mark()->seq, 100u);
  EXPECT_EQ(reader.at_mark()->code, 7u);
  EXPECT_EQ(reader.at_mark()->text, "snapshot");
  EXPECT_EQ(reader.at_mark()->clocks[0], row_of(100).time_ns);
  expect_rows(reader, 100, 600);
  reader.seek(At::mark(row_of(500).time_ns));
  EXPECT_EQ(reader.at_mark()->seq, 500u);
  reader.seek(At::mark(row_of(50).time_ns));
  EXPECT_EQ(reader.at_mark(), std::nullopt) << "none so early: by time instead, and it says so";
  expect_rows(reader, 50, 600);
  ASSERT_EQ(reader.marks().size(), 2u);
}

class MarksTest : public test::FeedTest {};

TEST_F(MarksTest, OfRecordsThatExpiredGiveWayToTheEarliestThatIsKept) {  // F-39
  auto writer = make(Storage::kMemory);
  append(writer, 0, 1024);
  writer.mark(10, 1);
  append(writer, 1024, 6 * 1024);
  writer.mark(6000, 2);
  append(writer, 6 * 1024, 7 * 1024);
  auto reader = read();
  until([&] { return reader.first_seq() > 1024; });
  ASSERT_LE(reader.first_seq(), 6000u);
  reader.seek(At::mark(row_of(20).time_ns));
  ASSERT_TRUE(reader.at_mark());
  EXPECT_EQ(reader.at_mark()->seq, 6000u);
  expect_rows(reader, 6000, 7 * 1024);
}

TEST_F(MarksTest, OfRecordsThatWereLostAreGone) {  // F-39, X-2
  FeedInfo feed;
  {
    auto writer = make(Storage::kTiered);
    append(writer, 0, 100);
    writer.mark(20, 1);
    writer.mark(90, 2);
    feed = writer.feed();
  }
  auto registry = FeedRegistry::open(feed, Files::system(), true);
  FeedRecord epoch;
  epoch.type = FeedEntry::kEpochOpened;
  epoch.epoch = 2;
  epoch.first_seq = 50;  // as after a power cut that took the records from there on
  registry.append(epoch, true);
  auto reader = read();
  ASSERT_EQ(reader.marks().size(), 1u);
  EXPECT_EQ(reader.marks()[0].seq, 20u);
}

TEST_F(MarksTest, OfFramesAreFoundByTheirClock) {  // F-39
  auto writer = FeedWriter::create(base(), "frames", Schema::frames(), options(Storage::kTiered));
  for (uint64_t i = 0; i < 20; ++i) {
    FrameMeta meta;
    meta.clocks[0] = 1000 + i;
    ASSERT_TRUE(writer.append_frame(meta, {}, std::as_bytes(std::span("frame"))));
  }
  writer.mark(12, 3, "keyframe");
  auto reader = read({.from = At::mark(1015)}, "frames");
  EXPECT_EQ(reader.at_mark()->clocks[0], 1012u);
  EXPECT_EQ(reader.next().seq, 12u);
}

}  // namespace
}  // namespace tidepool::feed
