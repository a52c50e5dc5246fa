// Common windows of several feeds, of one base or two, and what is in them.

#include "tidepool/feed/dataset.h"

#include <random>

#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::expect_fault;

struct Tick {
  uint64_t time;
  uint64_t value;
};

class DatasetTest : public test::FeedTest {
 protected:
  Schema schema(Clock clock = {}) const {
    auto schema = schema_of<Tick>({{"time", &Tick::time}, {"value", &Tick::value}});
    return schema.set_clock(0, clock);
  }
  // A feed with a tick for each number in [from, to) of every span, a break between them.
  void capture(const std::string& at_base, const std::string& name, const std::vector<std::pair<uint64_t, uint64_t>>& spans,
               Clock clock = {}) const {
    auto writer = FeedWriter::create(at_base, name, schema(clock), options(Storage::kTiered));
    for (const auto& [from, to] : spans) {
      for (uint64_t time = from; time < to; ++time) ASSERT_TRUE(writer.append(Tick{time, time * 3}));
      writer.mark_segment_boundary("break");
    }
  }
  FeedRef ref(const std::string& name, const std::string& clock = {}) const { return {"", base(), name, clock}; }
};

TEST_F(DatasetTest, IsWhereAllFeedsWereCaptured) {  // F-116
  capture(base(), "a", {{0, 100}, {150, 300}, {400, 500}});
  capture(base(), "b", {{50, 200}, {250, 420}});
  const auto dataset = find_dataset({ref("a"), ref("b")});
  EXPECT_EQ(dataset.windows, (std::vector<Interval>{{50, 100}, {150, 200}, {250, 300}, {400, 420}}));
  EXPECT_EQ(dataset.longest(), (Interval{50, 100})) << "the first of the longest";
  EXPECT_EQ(find_dataset({ref("a"), ref("b")}, {.min_duration_ns = 21}).windows.size(), 3u);
  EXPECT_TRUE(find_dataset({ref("a"), ref("b")}, {.min_duration_ns = 51}).windows.empty());
  EXPECT_EQ(find_dataset({ref("a")}).windows, find_dataset({ref("a"), ref("a")}).windows);
}

TEST_F(DatasetTest, JoinsSegmentsThatTouch) {  // F-116: touching means end == next start
  capture(base(), "a", {{0, 10}, {10, 20}, {21, 30}});
  EXPECT_EQ(find_dataset({ref("a")}).windows, (std::vector<Interval>{{0, 20}, {21, 30}}));
}

TEST_F(DatasetTest, MayLeaveOutWhatIsStillBeingCaptured) {  // F-116
  capture(base(), "a", {{0, 10}});
  auto writer = FeedWriter::open(base(), "a");
  for (uint64_t time = 20; time < 30; ++time) ASSERT_TRUE(writer.append(Tick{time, 0}));
  writer.sync();
  EXPECT_EQ(find_dataset({ref("a")}).windows, (std::vector<Interval>{{0, 10}, {20, 30}}));
  EXPECT_EQ(find_dataset({ref("a")}, {.include_open = false}).windows, (std::vector<Interval>{{0, 10}}));
}

TEST_F(DatasetTest, ComparesClocksOfDifferentUnits) {  // F-15, F-116
  capture(base(), "us", {{10, 20}}, {.unit = ClockUnit::kUs});
  capture(base(), "ns", {{15'500, 15'600}});
  const auto dataset = find_dataset({ref("us"), ref("ns")});
  EXPECT_EQ(dataset.feeds[0].usable, (std::vector<Interval>{{10'000, 20'000}}));
  ASSERT_EQ(dataset.windows, (std::vector<Interval>{{15'500, 15'600}}));
  // A record of 15 us lies before the window, one of 16 behind it.
  const auto content = window_content(dataset, dataset.windows[0], true);
  EXPECT_EQ(content[0].records, 0u);
  EXPECT_EQ(content[1].records, 100u);
  EXPECT_EQ(raw_range({15'000, 16'001}, ClockUnit::kUs, 0).from, 15u);
  EXPECT_EQ(raw_range({15'000, 16'001}, ClockUnit::kUs, 0).to, 17u);

  capture(base(), "far", {{~uint64_t{0} / 2, ~uint64_t{0} / 2 + 5}}, {.unit = ClockUnit::kS});
  expect_fault(Fault::kOutOfRange, "feed far", [&] { find_dataset({ref("us"), ref("far")}); });
  capture(base(), "wall", {{0, 10}}, {.domain = ClockDomain::kWall});
  capture(base(), "monotonic", {{0, 10}}, {.domain = ClockDomain::kMonotonic});
  expect_fault(Fault::kUsage, "wall clock", [&] { find_dataset({ref("monotonic"), ref("wall")}); });
}

TEST_F(DatasetTest, TakesFeedsOfSeveralBases) {  // F-116, F-118
  const std::string other = root / "other";
  capture(base(), "a", {{0, 100}});
  capture(other, "a", {{60, 200}});
  const std::vector<FeedSource> sources = {parse_source("here=" + base()), parse_source("there=" + other)};
  const auto here = parse_feed_ref("here:a", sources);
  const auto there = parse_feed_ref("there:a@time", sources);
  EXPECT_EQ(there.base, other);
  EXPECT_EQ(there.clock, "time");
  EXPECT_EQ(there.text(), "there:a");
  const auto dataset = find_dataset({here, there});
  EXPECT_EQ(dataset.windows, (std::vector<Interval>{{60, 100}}));
  EXPECT_NE(dataset.feeds[0].feed_id, dataset.feeds[1].feed_id);

  EXPECT_EQ(parse_feed_ref("a", {sources[0]}).base, base()) << "one source needs no alias";
  expect_fault(Fault::kUsage, "which source", [&] { parse_feed_ref("a", sources); });
  expect_fault(Fault::kUsage, "there are here, there", [&] { parse_feed_ref("nowhere:a", sources); });
  expect_fault(Fault::kUsage, "alias=path", [&] { parse_source("here"); });
  expect_fault(Fault::kUsage, "an alias holds", [&] { parse_source("a:b=/x"); });
  expect_fault(Fault::kInvalidName, "../a", [&] { parse_feed_ref("here:../a", sources); });
  expect_fault(Fault::kFeedNotFound, "feed b", [&] { find_dataset({here, parse_feed_ref("there:b", sources)}); });
  expect_fault(Fault::kUsage, "no feed", [&] { find_dataset({}); });
}

TEST_F(DatasetTest, KnowsItsContentAgain) {  // F-118
  capture(base(), "a", {{0, 3000}});
  capture(base(), "b", {{1000, 5000}});
  const auto dataset = find_dataset({ref("a"), ref("b")});
  ASSERT_EQ(dataset.windows, (std::vector<Interval>{{1000, 3000}}));
  const auto then = window_content(dataset, dataset.windows[0], true);
  EXPECT_EQ(then[0].first_seq, 1000u);
  EXPECT_EQ(then[0].end_seq, 3000u);
  EXPECT_EQ(then[1].first_seq, 0u);
  EXPECT_EQ(then[1].records, 2000u);
  EXPECT_EQ(then[1].bytes, 2000 * sizeof(Tick));
  EXPECT_EQ(then[0].crc, then[1].crc) << "the same ticks lie in both";
  EXPECT_TRUE(content_differences(then, window_content(dataset, dataset.windows[0], true)).empty());

  // What is appended later belongs to no window of the past; what a chunk loses does.
  std::string chunk = base() + "/feeds/b/" + chunk_name(1);
  ASSERT_EQ(::unlink(chunk.c_str()), 0);
  const auto now = window_content(dataset, dataset.windows[0], true);
  const auto lines = content_differences(then, now);
  ASSERT_FALSE(lines.empty());
  EXPECT_NE(lines.front().find("feed b"), std::string::npos) << lines.front();
  EXPECT_EQ(now[0], then[0]);

  delete_feed(base(), "a");
  capture(base(), "a", {{0, 10}});
  expect_fault(Fault::kFeedReplaced, "feed a", [&] { window_content(dataset, dataset.windows[0], true); });
}

TEST(Intervals, IntersectAsPointByPointDoes) {  // F-116
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::vector<Interval>> lists(1 + random() % 4);
    std::vector<int> in(201, 0);
    for (auto& list : lists) {
      std::vector<Interval> raw;
      for (size_t i = random() % 6; i > 0; --i) {
        const uint64_t from = random() % 200;
        raw.push_back({from, std::min<uint64_t>(200, from + random() % 60)});
      }
      list = merged(raw);
      for (uint64_t t = 0; t <= 200; ++t) {
        in[t] += std::any_of(list.begin(), list.end(), [&](const Interval& i) { return i.from <= t && t < i.to; }) ? 1 : 0;
      }
    }
    const auto both = intersection(lists);
    for (uint64_t t = 0; t <= 200; ++t) {
      const bool inside = std::any_of(both.begin(), both.end(), [&](const Interval& i) { return i.from <= t && t < i.to; });
      ASSERT_EQ(inside, in[t] == static_cast<int>(lists.size())) << "round " << round << " at " << t;
    }
  }
}

TEST(Splits, AreTrainingThenValidation) {  // F-117
  const auto split = split_window({100, 200});
  ASSERT_TRUE(split);
  EXPECT_EQ(split->train, (std::vector<Interval>{{100, 180}}));
  EXPECT_EQ(split->validation, (Interval{180, 200}));
  EXPECT_EQ(split_window({0, 2}, 0.01)->train[0], (Interval{0, 1})) << "at least 1";
  EXPECT_EQ(split_window({0, 3}, 0.99)->train[0], (Interval{0, 2})) << "at most all but 1";
  EXPECT_EQ(split_window({0, 1}), std::nullopt);
  EXPECT_EQ(split_window({5, 5}), std::nullopt);
  EXPECT_EQ(split_window({100, 200}, 0.5, 10)->validation, (Interval{160, 200}));
  EXPECT_EQ(split_window({100, 200}, 0.5, 50), std::nullopt) << "the embargo leaves nothing";
  for (const double ratio : {0.0, 1.0, -1.0, 2.0, std::nan("")})
    expect_fault(Fault::kUsage, "ratio", [&] { split_window({0, 10}, ratio); });
  EXPECT_EQ(split_window({0, ~uint64_t{0}}, 0.5)->train[0].to, ~uint64_t{0} / 2);
}

TEST(Splits, OfKFoldsCoverTheWindowOnce) {  // F-117
  const Interval window{10, 113};
  const auto folds = k_folds(window, 4, 5);
  ASSERT_EQ(folds.size(), 4u);
  uint64_t at = window.from;
  for (const Split& fold : folds) {
    EXPECT_EQ(fold.validation.from, at);
    at = fold.validation.to;
    for (const Interval& train : fold.train) {
      EXPECT_TRUE(train.to + 5 <= fold.validation.from || train.from >= fold.validation.to + 5);
    }
  }
  EXPECT_EQ(at, window.to);
  EXPECT_EQ(folds[1].train.size(), 2u);
  expect_fault(Fault::kUsage, "folds", [&] { k_folds(window, 1); });
  EXPECT_TRUE(k_folds({0, 3}, 4).empty());
}

TEST(Splits, OfAWalkForwardTrainOnThePastOnly) {  // F-117
  const auto walk = walk_forward({0, 100}, 4, 30, 2);
  ASSERT_EQ(walk.size(), 4u);
  for (size_t i = 0; i < walk.size(); ++i) {
    EXPECT_EQ(walk[i].validation, (Interval{20 * (i + 1), 20 * (i + 2)}));
    ASSERT_EQ(walk[i].train.size(), 1u);
    EXPECT_EQ(walk[i].train[0].to, walk[i].validation.from - 2);
    EXPECT_LE(walk[i].train[0].duration(), 30u);
  }
  EXPECT_EQ(walk_forward({0, 100}, 4)[3].train[0], (Interval{0, 80}));
}

}  // namespace
}  // namespace tidepool::feed
