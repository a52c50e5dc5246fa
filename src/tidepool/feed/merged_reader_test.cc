// Several feeds as one, in the order of a clock: the same order every time, and nothing lost without a word.

#include "tidepool/feed/merged_reader.h"

#include <algorithm>
#include <random>
#include <thread>
#include <tuple>

#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::expect_fault;

struct MergedTick {
  uint64_t time;
  uint64_t value;
};

class Merge : public test::FeedTest {
 protected:
  FeedWriter make_ticks(const std::string& name, Clock clock = {}, Storage storage = Storage::kTiered) const {
    return FeedWriter::create(base(), name, schema_of<MergedTick>({{"time", &MergedTick::time}, {"value", &MergedTick::value}}).set_clock(0, clock),
                              options(storage));
  }
  FeedRef ref(const std::string& name) const { return {"", base(), name, {}}; }
  // feed, time, number of each record until the end
  struct Seen {
    size_t feed;
    uint64_t time_ns;
    uint64_t seq;
    bool operator==(const Seen&) const = default;
  };
  static std::vector<Seen> all(MergedReader& merged, std::vector<MergedItem>* events = nullptr) {
    std::vector<Seen> seen;
    for (;;) {
      MergedItem next = merged.next(30 * kNsPerSecond);
      if (next.item.is_record()) {
        seen.push_back({next.feed, next.time_ns, next.item.seq});
        if (next.item.kind == Item::Kind::kRow) {
          EXPECT_EQ(next.item.row<MergedTick>().value, next.item.seq + 1000 * next.feed);
        }
        continue;
      }
      if (events != nullptr) events->push_back(next);
      if (next.feed == merged.feeds()) {
        EXPECT_EQ(next.item.kind, Item::Kind::kEnded);
        return seen;
      }
    }
  }
};

TEST_F(Merge, GivesAllRecordsInTheOrderOfTimeThenFeedThenNumber) {  // F-103
  std::mt19937_64 random(11);
  std::vector<Seen> expected;
  for (size_t feed = 0; feed < 3; ++feed) {
    auto writer = make_ticks(concat("f", feed));
    uint64_t time = 1000;
    for (uint64_t seq = 0; seq < 5000; ++seq) {
      time += random() % 3;  // often equal, within a feed and across
      ASSERT_TRUE(writer.append(MergedTick{time, seq + 1000 * feed}));
      if (time >= 1500 && time < 4500) expected.push_back({feed, time, seq});
    }
  }
  std::sort(expected.begin(), expected.end(),
            [](const Seen& a, const Seen& b) { return std::tie(a.time_ns, a.feed, a.seq) < std::tie(b.time_ns, b.feed, b.seq); });
  auto merged = MergedReader::open_window({ref("f0"), ref("f1"), ref("f2")}, {1500, 4500});
  std::vector<MergedItem> events;
  const auto seen = all(merged, &events);
  EXPECT_EQ(seen.size(), expected.size());
  EXPECT_TRUE(seen == expected);
  EXPECT_EQ(events.size(), 4u) << "the end of each, then of all";
  EXPECT_EQ(merged.late(), 0u);
  EXPECT_EQ(merged.next().item.kind, Item::Kind::kEnded) << "and stays ended";
}

TEST_F(Merge, MixesRowsAndFramesAndUnits) {  // F-103, F-15
  {
    auto rows = make_ticks("rows", {.unit = ClockUnit::kUs});
    for (uint64_t seq = 0; seq < 10; ++seq) ASSERT_TRUE(rows.append(MergedTick{seq, seq}));
    auto frames = FeedWriter::create(base(), "frames", Schema::frames(), options(Storage::kTiered));
    for (uint64_t seq = 0; seq < 10; ++seq) {
      FrameMeta meta;
      meta.clocks[0] = seq * 1000 + 500;
      meta.stream_seq = seq;
      ASSERT_TRUE(frames.append_frame(meta, {}, std::as_bytes(std::span("payload"))));
    }
  }
  auto merged = MergedReader::open_window({ref("rows"), ref("frames")}, {0, 1'000'000});
  for (uint64_t seq = 0; seq < 10; ++seq) {
    const MergedItem row = merged.next();
    ASSERT_EQ(row.item.kind, Item::Kind::kRow);
    EXPECT_EQ(row.time_ns, seq * 1000);
    MergedItem frame = merged.next();
    if (frame.item.kind == Item::Kind::kEnded) frame = merged.next();  // of the rows: what befalls a feed is told when it is met
    ASSERT_EQ(frame.item.kind, Item::Kind::kFrame);
    EXPECT_EQ(frame.time_ns, seq * 1000 + 500);
    EXPECT_EQ(frame.item.frame.stream_seq, seq);
    EXPECT_EQ(frame.item.bytes.size(), sizeof "payload");
  }
}

TEST_F(Merge, FollowsWritersAndWaitsForTheSlowest) {  // F-103, F-82
  auto a = make_ticks("a");
  auto b = make_ticks("b");
  auto merged = MergedReader::follow({ref("a"), ref("b")});
  ASSERT_TRUE(a.append(MergedTick{10, 0}));
  ASSERT_TRUE(a.append(MergedTick{20, 1}));
  EXPECT_EQ(merged.next().item.kind, Item::Kind::kIdle) << "b may still have an earlier one";
  std::thread later([&] {
    EXPECT_TRUE(b.append(MergedTick{15, 1000}));
    EXPECT_TRUE(b.append(MergedTick{25, 1001}));
  });
  std::vector<uint64_t> times;
  for (int i = 0; i < 3; ++i) {
    const MergedItem next = merged.next(30 * kNsPerSecond);
    ASSERT_TRUE(next.item.is_record());
    times.push_back(next.time_ns);
  }
  later.join();
  EXPECT_EQ(times, (std::vector<uint64_t>{10, 15, 20}));
  EXPECT_EQ(merged.next().item.kind, Item::Kind::kIdle);
}

TEST_F(Merge, LosesPatienceWithASilentFeedAndMarksWhatComesLate) {  // F-103
  auto a = make_ticks("a");
  auto b = make_ticks("b");
  MergeOptions options;
  options.patience_ns = kNsPerMs;
  auto merged = MergedReader::follow({ref("a"), ref("b")}, options);
  ASSERT_TRUE(a.append(MergedTick{10, 0}));
  ASSERT_TRUE(a.append(MergedTick{20, 1}));
  const MergedItem first = merged.next(30 * kNsPerSecond);
  ASSERT_TRUE(first.item.is_record());
  EXPECT_EQ(first.time_ns, 10u);
  EXPECT_EQ(merged.next(30 * kNsPerSecond).time_ns, 20u);
  ASSERT_TRUE(b.append(MergedTick{15, 1000}));
  const MergedItem late = merged.next(30 * kNsPerSecond);
  ASSERT_TRUE(late.item.is_record());
  EXPECT_EQ(late.feed, 1u);
  EXPECT_TRUE(late.late);
  EXPECT_EQ(merged.late(), 1u);
  EXPECT_EQ(merged.next(kNsPerMs).item.kind, Item::Kind::kIdle);
}

TEST_F(Merge, ReordersWithinAWindowAndNoFurther) {  // F-103, X-11
  {
    auto writer = make_ticks("loose");
    uint64_t seq = 0;
    for (const uint64_t time : {100u, 130u, 110u, 120u, 200u, 150u, 300u, 90u}) ASSERT_TRUE(writer.append(MergedTick{time, seq++}));
  }
  MergeOptions options;
  options.reorder_ns = 40;
  auto merged = MergedReader::open_window({ref("loose")}, {0, 1000}, options);
  std::vector<uint64_t> times;
  for (const Seen& seen : all(merged)) times.push_back(seen.time_ns);
  EXPECT_EQ(times, (std::vector<uint64_t>{100, 110, 120, 130, 150, 200, 90, 300})) << "200 waited for 150; 90 came too late";
  EXPECT_EQ(merged.late(), 1u);
  // As many as are allowed to wait, and no more.
  options.reorder_ns = 1000;
  options.reorder_records_max = 2;
  auto narrow = MergedReader::open_window({ref("loose")}, {0, 1000}, options);
  EXPECT_EQ(all(narrow).size(), 8u);
  options.reorder_records_max = 0;
  expect_fault(Fault::kUsage, "reorder_records_max", [&] { MergedReader::open_window({ref("loose")}, {0, 1}, options); });
}

TEST_F(Merge, TellsTheGapsOfEachFeedInTheirPlace) {  // F-103, F-104, X-9
  make_ticks("whole");
  {
    auto whole = FeedWriter::open(base(), "whole");
    auto holed = make_ticks("holed");
    for (uint64_t seq = 0; seq < 6000; ++seq) {
      ASSERT_TRUE(whole.append(MergedTick{seq, seq}));
      ASSERT_TRUE(holed.append(MergedTick{seq, seq + 1000}));
    }
  }
  ASSERT_EQ(::unlink((base() + "/feeds/holed/" + chunk_name(2)).c_str()), 0);
  MergeOptions options;
  options.reorder_ns = 100;
  auto merged = MergedReader::open_window({ref("whole"), ref("holed")}, {0, 6000}, options);
  std::vector<MergedItem> events;
  const auto seen = all(merged, &events);
  EXPECT_EQ(seen.size(), 12'000u - 2048);
  ASSERT_GE(events.size(), 3u);
  EXPECT_EQ(events[0].feed, 1u);
  EXPECT_EQ(events[0].item.kind, Item::Kind::kGap);
  EXPECT_EQ(events[0].item.gap.from, 2048u);
  EXPECT_EQ(events[0].item.gap.to, 4096u);
  EXPECT_EQ(merged.late(), 0u);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end(), [](const Seen& a, const Seen& b) { return a.time_ns < b.time_ns; }));
}

TEST_F(Merge, HoldsTheDataOfADatasetWindow) {  // F-116, F-103
  for (const std::string name : {"a", "b"}) {
    auto writer = make_ticks(name);
    const uint64_t feed = name == "a" ? 0 : 1;
    for (uint64_t seq = 0; seq < 300; ++seq) ASSERT_TRUE(writer.append(MergedTick{100 * feed + seq, seq + 1000 * feed}));
  }
  const auto dataset = find_dataset({ref("a"), ref("b")});
  ASSERT_EQ(dataset.windows, (std::vector<Interval>{{100, 300}}));
  auto merged = MergedReader::open_window({ref("a"), ref("b")}, dataset.windows[0]);
  EXPECT_EQ(all(merged).size(), 400u);
}

TEST_F(Merge, RefusesClocksThatCannotBeCompared) {  // F-15, F-103
  make_ticks("wall", {.domain = ClockDomain::kWall});
  make_ticks("monotonic", {.domain = ClockDomain::kMonotonic});
  expect_fault(Fault::kUsage, "monotonic one", [&] { MergedReader::follow({ref("monotonic"), ref("wall")}); });
  expect_fault(Fault::kUsage, "no feed", [&] { MergedReader::follow({}); });
  expect_fault(Fault::kFeedNotFound, "feed c", [&] { MergedReader::follow({ref("c")}); });
}

}  // namespace
}  // namespace tidepool::feed
