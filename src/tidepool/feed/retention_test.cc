// Retention, pins, compaction, housekeeping by a writer: what goes, what stays, and who is told.

#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>

#include "tidepool/feed/pins.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/repair.h"
#include "tidepool/feed/retention.h"
#include "tidepool/feed/test_faulty_files.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::expect_fault;
using test::row_of;

constexpr uint64_t kChunkRows = 128;
constexpr uint64_t kHourNs = 3600 * kNsPerSecond;
constexpr uint64_t kChunkBytes = kChunkRows * sizeof(test::Row);

// Time as a test says it; the wall clock can be stepped.
class SteppedClock final : public tidepool::Clock {
 public:
  uint64_t monotonic_ns() const noexcept override { return mono_ns; }
  uint64_t realtime_ns() const noexcept override { return wall_ns; }
  void pass(uint64_t ns) noexcept {
    mono_ns += ns;
    wall_ns += ns;
  }
  uint64_t mono_ns = tidepool::monotonic_ns();
  uint64_t wall_ns = tidepool::realtime_ns();
};

class RetentionTest : public test::FeedTest {
 protected:
  // Ten chunks of 128 rows, closed.
  FeedInfo fill(const std::string& name = "trades", uint64_t rows = 10 * kChunkRows) {
    auto small = options(Storage::kTiered);
    small.chunk_bytes = kChunkBytes;
    auto writer = FeedWriter::create(base(), name, test::row_schema(), small);
    append(writer, 0, rows);
    writer.close();
    return find_feed(base(), name, Files::system());
  }
  RetentionReport run(const FeedInfo& feed, const RetentionLimits& limits, bool force = false, bool dry_run = false) {
    FeedRetention retention(feed, {.grace_ns = 0, .dry_run = dry_run, .force = force, .clock = &clock});
    RetentionReport report;
    retention.run(limits, report);
    return report;
  }
  static uint64_t expired_to(const RetentionReport& report) { return report.expired.empty() ? 0 : report.expired.back().end_seq; }
  size_t chunk_files(const std::string& name = "trades") const {
    size_t count = 0;
    for (const std::string& file : names_in(base() + "/feeds/" + name)) count += file.ends_with(".data") ? 1 : 0;
    return count;
  }
  void expect_from(uint64_t floor, uint64_t end = 10 * kChunkRows, const std::string& name = "trades") {
    auto reader = read({.from = At::oldest(), .stop_when_inactive = true}, name);
    EXPECT_EQ(reader.first_seq(), floor);
    expect_rows(reader, floor, end);
    EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
    auto late = read({.from = At::sequence(0)}, name);
    if (floor == 0) return;
    const Item gap = late.next();
    ASSERT_EQ(gap.kind, Item::Kind::kGap);
    EXPECT_EQ(gap.gap.cause, GapCause::kRetention);
    EXPECT_EQ(gap.gap.to, floor);
  }
  SteppedClock clock;
};

TEST_F(RetentionTest, ByBytesTheOldestGoAndTheNewestNever) {  // F-125, F-127, X-14
  const FeedInfo feed = fill();
  const RetentionReport planned = run(feed, {.bytes = 4 * kChunkBytes}, false, true);
  EXPECT_EQ(chunk_files(), 10u) << "a dry run removes nothing";
  const RetentionReport report = run(feed, {.bytes = 4 * kChunkBytes});
  ASSERT_EQ(report.expired.size(), 6u);
  ASSERT_EQ(planned.expired.size(), report.expired.size());
  for (size_t i = 0; i < report.expired.size(); ++i) {
    EXPECT_EQ(report.expired[i].ordinal, planned.expired[i].ordinal);
    EXPECT_EQ(report.expired[i].first_seq, i * kChunkRows);
    EXPECT_EQ(report.expired[i].why, "bytes");
  }
  EXPECT_EQ(report.removed.size(), 12u) << "chunks and indexes";
  EXPECT_EQ(chunk_files(), 4u);
  expect_from(6 * kChunkRows);
  EXPECT_TRUE(verify_base(base()).sound());
  EXPECT_TRUE(run(feed, {.bytes = 4 * kChunkBytes}).expired.empty());
  const RetentionReport rest = run(feed, {.bytes = 1});
  EXPECT_EQ(expired_to(rest), 9 * kChunkRows);
  ASSERT_FALSE(rest.warnings.empty()) << "its newest chunk alone is more";
  expect_from(9 * kChunkRows);
  EXPECT_TRUE(run(feed, {.chunks = 1}).expired.empty());
}

TEST_F(RetentionTest, TheEntryComesFirstAndTheFilesAfterATimeOfGrace) {  // F-128, X-14, X-23
  const FeedInfo feed = fill();
  auto attached = read({.from = At::oldest()});
  expect_rows(attached, 0, 10);
  FeedRetention retention(feed, {.clock = &clock});
  RetentionReport report;
  retention.run({.chunks = 2}, report);
  EXPECT_EQ(report.expired.size(), 8u);
  EXPECT_TRUE(report.removed.empty());
  EXPECT_EQ(report.waiting, 16u);
  EXPECT_GT(report.waiting_bytes, 8 * kChunkBytes);
  EXPECT_EQ(chunk_files(), 10u);
  EXPECT_TRUE(verify_base(base()).sound());
  expect_rows(attached, 10, kChunkRows);  // the chunk that it has stays readable to its end
  const Item gap = attached.next();
  ASSERT_EQ(gap.kind, Item::Kind::kGap);
  EXPECT_EQ(gap.gap.cause, GapCause::kRetention);
  EXPECT_EQ(gap.gap.to, 8 * kChunkRows);
  expect_rows(attached, 8 * kChunkRows, 10 * kChunkRows);
  clock.pass(59 * kNsPerSecond);
  report = {};
  retention.run({.chunks = 2}, report);
  EXPECT_TRUE(report.removed.empty());
  clock.wall_ns += 100 * kHourNs;  // a step of the wall clock is no time
  report = {};
  retention.run({.chunks = 2}, report);
  EXPECT_TRUE(report.removed.empty());
  clock.pass(2 * kNsPerSecond);
  report = {};
  retention.run({.chunks = 2}, report);
  EXPECT_EQ(report.removed.size(), 16u);
  EXPECT_EQ(chunk_files(), 2u);
  expect_from(8 * kChunkRows);
}

TEST_F(RetentionTest, RepairFinishesWhatAPruneLeft) {  // F-128, F-134
  const FeedInfo feed = fill();
  FeedRetention retention(feed, {.clock = &clock});
  RetentionReport report;
  retention.run({.chunks = 2}, report);
  EXPECT_TRUE(repair_base(base()).actions.empty()) << "within the time of grace";
  const RepairReport repaired = repair_base(base(), {.grace_ns = 0});
  EXPECT_EQ(repaired.actions.size(), 16u);
  EXPECT_EQ(chunk_files(), 2u);
}

TEST_F(RetentionTest, ByAgeRecordsAndSealMustBothBeOld) {  // F-126
  auto small = options(Storage::kTiered);
  small.chunk_bytes = kChunkBytes;
  Schema schema = test::row_schema();
  schema.set_clock(0, {ClockUnit::kNs, ClockOrder::kLoose, ClockDomain::kWall});
  {
    auto writer = FeedWriter::create(base(), "trades", schema, small);
    for (uint64_t number = 0; number < 10 * kChunkRows; ++number) {
      test::Row row = row_of(number);
      row.time_ns = clock.wall_ns - 10 * kHourNs + number / kChunkRows * kHourNs;  // a chunk an hour
      ASSERT_TRUE(writer.append(row));
    }
    writer.close();
  }
  const FeedInfo feed = find_feed(base(), "trades", Files::system());
  EXPECT_TRUE(run(feed, {.age_ns = 5 * kHourNs}).expired.empty()) << "sealed just now";
  clock.pass(2 * kHourNs);
  EXPECT_TRUE(run(feed, {.age_ns = 5 * kHourNs}).expired.empty()) << "sealed two hours ago";
  // Two hours after the seal: records 12, 11, 10, ... hours old; a limit of 1 h concerns those whose records are older, too.
  EXPECT_TRUE(run(feed, {.age_ns = 11 * kHourNs + kHourNs / 2}).expired.empty()) << "the seal is younger";
  const RetentionReport report = run(feed, {.age_ns = kHourNs}, true);
  EXPECT_EQ(expired_to(report), 9 * kChunkRows);
  EXPECT_EQ(report.expired.front().why, "age");
}

TEST_F(RetentionTest, AStepOfTheClockAloneRemovesNothing) {  // F-129, X-12
  const FeedInfo feed = fill();
  EXPECT_TRUE(run(feed, {.age_ns = 24 * kHourNs}).expired.empty());  // a run on this boot: what the next ones compare with
  clock.wall_ns += 1000 * kHourNs;
  RetentionReport report = run(feed, {.age_ns = 24 * kHourNs});
  EXPECT_TRUE(report.expired.empty());
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_NE(report.warnings[0].find("stepped"), std::string::npos) << report.warnings[0];
  clock.pass(30 * 60 * kNsPerSecond);
  EXPECT_TRUE(run(feed, {.age_ns = 24 * kHourNs}).expired.empty()) << "half an hour later";
  EXPECT_EQ(run(feed, {.age_ns = 24 * kHourNs, .bytes = 9 * kChunkBytes}).expired.size(), 1u) << "other limits hold all the same";
  clock.pass(31 * 60 * kNsPerSecond);
  EXPECT_EQ(expired_to(run(feed, {.age_ns = 24 * kHourNs})), 9 * kChunkRows) << "confirmed an hour later";
}

TEST_F(RetentionTest, AStepBackAndAnotherForwardAreNoConfirmation) {  // F-129, X-12
  const FeedInfo feed = fill();
  run(feed, {.age_ns = 24 * kHourNs});
  clock.wall_ns += 1000 * kHourNs;
  EXPECT_TRUE(run(feed, {.age_ns = 24 * kHourNs}).expired.empty());
  clock.wall_ns -= 1000 * kHourNs;  // the operator puts it right
  clock.pass(2 * kHourNs);
  EXPECT_TRUE(run(feed, {.age_ns = 24 * kHourNs}).expired.empty());
  clock.wall_ns += 2000 * kHourNs;
  EXPECT_TRUE(run(feed, {.age_ns = 24 * kHourNs}).expired.empty()) << "the hour begins again";
  EXPECT_EQ(expired_to(run(feed, {.age_ns = 24 * kHourNs}, true)), 9 * kChunkRows) << "by force";
}

TEST_F(RetentionTest, TimeThatReallyPassesNeedsNoConfirmation) {  // F-129
  const FeedInfo feed = fill();
  for (int hour = 0; hour < 23; ++hour) {
    EXPECT_TRUE(run(feed, {.age_ns = 24 * kHourNs}).expired.empty());
    clock.pass(kHourNs);
  }
  clock.pass(2 * kHourNs);
  EXPECT_EQ(expired_to(run(feed, {.age_ns = 24 * kHourNs})), 9 * kChunkRows);
}

TEST_F(RetentionTest, WhatHasNoTimeIsKeptAndTold) {  // F-126
  auto small = options(Storage::kTiered);
  small.chunk_bytes = kChunkBytes;
  {
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), small);
    for (uint64_t number = 0; number < 3 * kChunkRows; ++number) {
      test::Row row = row_of(number);
      row.time_ns = 0;
      ASSERT_TRUE(writer.append(row));
    }
    writer.close();
  }
  clock.pass(1000 * kHourNs);
  const RetentionReport report = run(find_feed(base(), "trades", Files::system()), {.age_ns = kHourNs}, true);
  EXPECT_TRUE(report.expired.empty());
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_NE(report.warnings[0].find("no time"), std::string::npos);
}

TEST_F(RetentionTest, APinHoldsUntilItsLimits) {  // F-130, F-127, F-85
  const FeedInfo feed = fill();
  pin_feed(base(), "trades",
           {.name = "replay",
            .seq = 3 * kChunkRows + 5,
            .created_wall_ns = clock.wall_ns,
            .expires_wall_ns = clock.wall_ns + 10 * kHourNs,
            .bytes_max = 5 * kChunkBytes});
  RetentionReport report = run(feed, {.chunks = 6});
  EXPECT_EQ(expired_to(report), 3 * kChunkRows);
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_NE(report.warnings[0].find("pin"), std::string::npos);
  expect_fault(Fault::kOutOfRange, "gone already", [&] { pin_feed(base(), "trades", {.name = "late", .seq = 5}); });
  expect_fault(Fault::kInvalidName, "name of a pin", [&] { pin_feed(base(), "trades", {.name = "../x", .seq = 1000}); });
  report = run(feed, {.chunks = 1});  // six more chunks: more than it may hold
  EXPECT_EQ(expired_to(report), 9 * kChunkRows);
  ASSERT_FALSE(report.warnings.empty());
  EXPECT_NE(report.warnings[0].find("broken"), std::string::npos) << report.warnings[0];
  std::vector<std::string> damaged;
  const auto pins = pins_of(feed, damaged);
  ASSERT_EQ(pins.size(), 1u);
  EXPECT_TRUE(pins[0].broken);
  EXPECT_NE(pins[0].why.find("its limit is"), std::string::npos);
  EXPECT_TRUE(unpin_feed(base(), "trades", "replay"));
  EXPECT_FALSE(unpin_feed(base(), "trades", "replay"));
  EXPECT_TRUE(verify_base(base()).sound());
}

TEST_F(RetentionTest, APinsTimeEndsAndADamagedPinHoldsEverything) {  // F-130
  const FeedInfo feed = fill();
  pin_feed(base(), "trades",
           {.name = "old", .seq = 0, .created_wall_ns = clock.wall_ns, .expires_wall_ns = clock.wall_ns + kHourNs});
  EXPECT_TRUE(run(feed, {.chunks = 6}).expired.empty());
  clock.pass(2 * kHourNs);
  EXPECT_EQ(run(feed, {.chunks = 6}).expired.size(), 4u);
  std::ofstream(base() + "/feeds/trades/pins/odd.pin") << "nonsense";
  const RetentionReport report = run(feed, {.chunks = 1});
  EXPECT_TRUE(report.expired.empty());
  ASSERT_FALSE(report.warnings.empty());
  EXPECT_NE(report.warnings[0].find("odd.pin"), std::string::npos);
}

// Whoever made it was killed, or the power failed: it says nothing about what is to be kept.
TEST_F(RetentionTest, APinThatWasNeverFinishedHoldsNothing) {  // F-130, X-1, X-2
  const FeedInfo feed = fill();
  const std::string left = base() + "/feeds/trades/pins/.tmp-mine.pin";
  pin_feed(base(), "trades", {.name = "mine", .seq = 3 * kChunkRows, .created_wall_ns = clock.wall_ns});
  std::ofstream(left) << "nonsense";
  std::ofstream(base() + "/feeds/trades/pins/" + chunk_name(999)) << "a stranger's, and no chunk there";
  std::vector<std::string> damaged;
  EXPECT_EQ(pins_of(feed, damaged).size(), 1u);
  EXPECT_TRUE(damaged.empty()) << damaged.front();
  const RetentionReport report = run(feed, {.chunks = 1});
  EXPECT_EQ(expired_to(report), 3 * kChunkRows) << "the finished one does";
  EXPECT_EQ(verify_base(base()).count(Severity::kRepairable), 1u);
  EXPECT_FALSE(repair_base(base()).failed());
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_TRUE(verify_base(base()).sound());
  EXPECT_TRUE(repair_base(base()).actions.empty()) << "a second repair has something to do";
  std::ofstream(left) << "nonsense";
  pin_feed(base(), "trades", {.name = "other", .seq = 4 * kChunkRows, .created_wall_ns = clock.wall_ns});
  EXPECT_FALSE(std::filesystem::exists(left)) << "the next who pins removes it";
}

TEST_F(RetentionTest, APinTakesTheRightToWrite) {  // F-130, X-21, rulings F-o
  if (::geteuid() == 0) {
    TIDEPOOL_IN_CHILD([&] {
      fill();
      ASSERT_EQ(::chmod(root.path().c_str(), 0755), 0);
      ASSERT_EQ(::chmod(base().c_str(), 0755), 0);
      ASSERT_EQ(::chmod((base() + "/feeds").c_str(), 0755), 0);
      ASSERT_EQ(::chmod((base() + "/feeds/trades").c_str(), 0755), 0);
      for (const std::string& path :
           {base() + "/registry.bin", base() + "/feeds/trades/schema.bin", base() + "/feeds/trades/feed_registry.bin"})
        ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
      ASSERT_EQ(::setegid(65534), 0);
      ASSERT_EQ(::seteuid(65534), 0);
      expect_fault(Fault::kPermission, "right to write", [&] { pin_feed(base(), "trades", {.name = "mine", .seq = 0}); });
      EXPECT_TRUE(verify_feed(base(), "trades", {.blocks = false}).count(Severity::kDamage) > 0)
          << "chunks that it may not read are told";
      ASSERT_EQ(::seteuid(0), 0);
      ASSERT_EQ(::setegid(0), 0);
    });
  } else {
    fill();
    ASSERT_EQ(::chmod((base() + "/feeds/trades").c_str(), 0550), 0);
    std::filesystem::remove(base() + "/feeds/trades/retention.lock");
    expect_fault(Fault::kPermission, "right to write", [&] { pin_feed(base(), "trades", {.name = "mine", .seq = 0}); });
    ASSERT_EQ(::chmod((base() + "/feeds/trades").c_str(), 0750), 0);
  }
}

TEST_F(RetentionTest, AQuotaAndFreeSpaceTakeTheOldestOfAllFeeds) {  // F-125, F-127
  fill("first");
  fill("second");
  PruneOptions quota;
  quota.run.grace_ns = 0;
  quota.quota_bytes = 12 * kChunkBytes;
  const RetentionReport report = prune_base(base(), quota);
  EXPECT_EQ(report.expired.size(), 8u);
  for (const ExpiredChunk& chunk : report.expired) EXPECT_EQ(chunk.feed, "first") << "sealed before those of the second";
  EXPECT_EQ(report.expired.front().why, "quota");
  PruneOptions space;
  space.min_free_bytes = 100 * kChunkBytes;
  space.free_bytes = [](const std::string&) { return 97 * kChunkBytes; };
  const RetentionReport freed = prune_base(base(), space);
  EXPECT_EQ(freed.expired.size(), 0u) << "the files of the eight are on their way";
  EXPECT_EQ(freed.removed.size(), 0u);
  space.run.grace_ns = 0;
  const RetentionReport more = prune_base(base(), space);
  EXPECT_EQ(more.removed.size(), 16u);
  ASSERT_EQ(more.expired.size(), 3u) << "the same number of free bytes is told, and nothing is on its way any more";
  EXPECT_EQ(more.expired[0].feed, "first");
  EXPECT_EQ(more.expired[1].feed, "second");
  space.min_free_bytes = 1000 * kChunkBytes;
  const RetentionReport all = prune_base(base(), space);
  ASSERT_FALSE(all.warnings.empty());
  EXPECT_NE(all.warnings.back().find("bytes more"), std::string::npos);
  expect_from(9 * kChunkRows, 10 * kChunkRows, "first");
  expect_from(9 * kChunkRows, 10 * kChunkRows, "second");
}

TEST_F(RetentionTest, TwoPrunesAtOnceAreOne) {  // F-125
  fill();
  const auto lock = lock_within(base(), "prune.lock", "the first", 0, Fault::kBusy);
  expect_fault(Fault::kBusy, "the first", [&] { prune_base(base()); });
  expect_fault(Fault::kBaseNotFound, "registry.bin", [&] { prune_base(root / "elsewhere"); });
  expect_fault(Fault::kFeedNotFound, "nothing", [&] { prune_base(base(), {.run = {.dry_run = true}, .feed = "nothing"}); });
}

TEST_F(RetentionTest, AWriterKeepsItsFeedWithinItsLimitsAndReadersOn) {  // F-125, F-128, F-131, F-95
  auto limited = options(Storage::kTiered);
  limited.chunk_bytes = kChunkBytes;
  limited.retention_bytes = 5 * kChunkBytes;
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), limited);
  auto reader = read({.from = At::oldest()});
  uint64_t next = 0;
  for (int round = 0; round < 10; ++round) {
    append(writer, next, next + 300);
    expect_rows(reader, next, next + 300);
    next += 300;
  }
  until([&] { return reader.first_seq() + 8 * kChunkRows > next; });
  EXPECT_GT(reader.first_seq(), 0u);
  EXPECT_TRUE(verify_base(base()).sound());
  writer.close();
  EXPECT_EQ(read().committed_seq(), next);
}

TEST_F(RetentionTest, ARegistryIsCompactedUnderItsReadersAndItsWriter) {  // F-27, F-95, F-26
  const FeedInfo feed = fill("trades", 40 * kChunkRows);
  auto writer = FeedWriter::open(base(), "trades");
  auto reader = read({.from = At::sequence(30 * kChunkRows)});
  expect_rows(reader, 30 * kChunkRows, 30 * kChunkRows + 5);
  run(feed, {.chunks = 5});
  const std::string path = base() + "/feeds/trades/feed_registry.bin";
  const auto before = std::filesystem::file_size(path);
  auto registry = FeedRegistry::open(feed, Files::system(), true);
  EXPECT_FALSE(registry.compact()) << "too little to be worth it";
  EXPECT_TRUE(registry.compact(10));
  EXPECT_LT(std::filesystem::file_size(path), before / 2);
  EXPECT_FALSE(registry.compact(10));
  expect_rows(reader, 30 * kChunkRows + 5, 31 * kChunkRows);  // what it has mapped
  EXPECT_EQ(reader.next().gap.to, 35 * kChunkRows);
  append(writer, 40 * kChunkRows, 43 * kChunkRows);  // onto the new generation
  expect_rows(reader, 35 * kChunkRows, 43 * kChunkRows);
  EXPECT_EQ(reader.chunks().front().state, ChunkState::kExpired) << "the last expired one stays, for its number and the floor";
  writer.close();
  expect_from(35 * kChunkRows, 43 * kChunkRows);
  EXPECT_TRUE(verify_base(base()).sound());
  auto again = FeedWriter::open(base(), "trades");
  EXPECT_EQ(again.recovery().next_seq, 43 * kChunkRows);
  EXPECT_GE(again.recovery().highest_ordinal, 43u);  // and the one that was prepared, if it was before the close
}

TEST_F(RetentionTest, ACompactionThatDiedIsHarmless) {  // F-27
  const FeedInfo feed = fill();
  auto reader = read({.from = At::oldest()});
  // Killed after the mark and before the new file had the name.
  RegistryLog::open(Files::system(), base() + "/feeds/trades/feed_registry.bin", kFeedMagic, kFeedEntryBytes, true)
      .set_mark(RegistryLog::Mark::kReplaced);
  expect_rows(reader, 0, 10 * kChunkRows);
  auto writer = FeedWriter::open(base(), "trades");
  append(writer, 10 * kChunkRows, 12 * kChunkRows);
  expect_rows(reader, 10 * kChunkRows, 12 * kChunkRows);
  writer.close();
  EXPECT_TRUE(verify_base(base()).sound()) << "the next entry has cleared the mark";
}

TEST_F(RetentionTest, ADiskThatFailsStopsBeforeTheFilesGo) {  // F-128, X-4, X-18, X-21
  const FeedInfo feed = fill();
  for (const auto& [call, err] : {std::pair("write", ENOSPC), std::pair("sync", EIO), std::pair("open", EACCES)}) {
    test::FaultyFiles files;
    RetentionReport report;
    files.fail(call, "feed_registry.bin", err);
    try {
      FeedRetention retention(feed, {.grace_ns = 0, .clock = &clock, .files = &files});
      retention.run({.chunks = 2}, report);
      ADD_FAILURE() << call;
    } catch (const FeedError& error) {
      EXPECT_EQ(error.fault(), err == ENOSPC ? Fault::kNoSpace : err == EIO ? Fault::kIo : Fault::kPermission) << error.what();
    }
    EXPECT_TRUE(report.removed.empty());
    EXPECT_EQ(chunk_files(), 10u) << call;
    EXPECT_TRUE(verify_base(base()).sound());
  }
  run(feed, {.chunks = 2});
  EXPECT_EQ(chunk_files(), 2u);
  expect_from(8 * kChunkRows);
}

}  // namespace
}  // namespace tidepool::feed
