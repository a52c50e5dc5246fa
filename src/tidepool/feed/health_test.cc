// How a feed is, told by one call; what happens to it, told as it happens; and readers that are called away, or called.

#include "tidepool/feed/health.h"

#include <poll.h>

#include <thread>

#include "tidepool/feed/event_feed.h"
#include "tidepool/feed/notifier.h"
#include "tidepool/feed/settings.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::expect_fault;
using test::row_of;

class Health : public test::FeedTest {
 protected:
  // This machine may be short of room, which is not what is asked here.
  static HealthLimits limits() {
    HealthLimits limits;
    limits.min_free_bytes = 0;
    limits.min_free_shm_bytes = 0;
    return limits;
  }
  FeedHealth look(const HealthLimits& asked = limits()) const { return check_feed(base(), "trades", asked); }
  static bool finds(const std::vector<HealthFinding>& findings, Grade grade, std::string_view check, std::string_view fragment) {
    return std::any_of(findings.begin(), findings.end(), [&](const HealthFinding& finding) {
      return finding.grade == grade && finding.check == check && finding.text.find(fragment) != std::string::npos;
    });
  }
};

class HealthOf : public Health {};
INSTANTIATE_TEST_SUITE_P(Storages, HealthOf, ::testing::Values(Storage::kTiered, Storage::kDurable, Storage::kMemory),
                         test::storage_test_name);

TEST_P(HealthOf, AFeedThatIsWrittenIsItsLiveState) {  // F-136, F-138, F-139, F-58
  auto writer = make(GetParam());
  EXPECT_EQ(look().grade(), Grade::kOk);
  append(writer, 0, 2500);
  if (GetParam() != Storage::kMemory) writer.sync();
  FeedHealth health;
  until([&] {
    health = look();
    return health.last_append_age_ns && health.counters.rotations == 2;
  });
  EXPECT_EQ(health.grade(), Grade::kOk) << health.findings.front().text;
  EXPECT_EQ(health.writer, WriterState::kActive);
  EXPECT_EQ(health.pid, static_cast<uint64_t>(::getpid()));
  EXPECT_EQ(health.epoch, 1u);
  EXPECT_LT(*health.heartbeat_age_ns, 30 * kNsPerSecond);
  EXPECT_EQ(health.committed_seq, 2500u);
  EXPECT_EQ(health.last_clocks[0], row_of(2499).time_ns);
  EXPECT_TRUE(health.live);
  EXPECT_EQ(health.live_capacity_bytes, 1024 * sizeof(test::Row));
  EXPECT_LE(health.live_first_seq, 2048u);
  EXPECT_GT(health.shm_bytes, 0u);
  EXPECT_TRUE(health.counters.known);
  if (GetParam() == Storage::kMemory) {
    EXPECT_EQ(health.lag_records, 0u) << "nothing waits for a disk";
  } else {
    EXPECT_EQ(health.lag_records, 0u);
    EXPECT_EQ(health.durable_seq, 2500u);
    EXPECT_GT(health.counters.syncs, 0u);
    EXPECT_GE(health.counters.sync_ns_total, health.counters.sync_ns_max);
    EXPECT_GT(health.disk_bytes, 0u);
  }
  writer.close();
  health = look();
  EXPECT_EQ(health.writer, WriterState::kClosed);
  EXPECT_EQ(health.pid, 0u);
  EXPECT_FALSE(health.live);
  EXPECT_FALSE(health.heartbeat_age_ns);
  EXPECT_FALSE(health.counters.known) << "zeros, and said to be";
  EXPECT_EQ(health.shm_bytes, 0u);
}

TEST_F(Health, TellsWhatWaitsForTheDisk) {  // F-65, F-62, F-136
  auto lazy = options(Storage::kTiered);
  lazy.sync = SyncMode::kInterval;
  lazy.sync_interval_ns = 3600 * kNsPerSecond;
  lazy.sync_bytes = uint64_t{1} << 40;
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), lazy);
  append(writer, 0, 10);
  writer.sync();
  append(writer, 10, 110);
  auto limits = Health::limits();
  limits.max_lag_ns = 1;
  const FeedHealth health = look(limits);
  EXPECT_EQ(health.lag_records, 100u);
  EXPECT_EQ(health.lag_bytes, 100 * sizeof(test::Row));
  ASSERT_TRUE(health.lag_ns);
  EXPECT_LT(*health.lag_ns, 60 * kNsPerSecond) << "since the last sync";
  EXPECT_TRUE(finds(health.findings, Grade::kBad, "lag", "100 records wait"));
  EXPECT_EQ(look().grade(), Grade::kOk);
}

TEST_F(Health, TellsOldRecordsCrashesLossesAndClocksThatWentBack) {  // F-136, F-40, X-15
  {
    auto schema = test::row_schema().set_clock(0, {.domain = ClockDomain::kWall});
    auto writer = FeedWriter::create(base(), "trades", schema, options(Storage::kTiered));
    auto row = row_of(0);
    row.time_ns = realtime_ns() - 100 * kNsPerSecond;
    ASSERT_TRUE(writer.append(row));
    --row.time_ns;
    ASSERT_TRUE(writer.append(row));
    auto limits = Health::limits();
    limits.max_age_ns = 50 * kNsPerSecond;
    const FeedHealth health = look(limits);
    EXPECT_TRUE(finds(health.findings, Grade::kBad, "age", "the newest record came 100"));
    EXPECT_TRUE(finds(health.findings, Grade::kWarning, "clocks", "time_ns went backwards 1 times"));
    EXPECT_EQ(health.counters.regressions[0], 1u);
    limits.max_age_ns = 1000 * kNsPerSecond;
    EXPECT_FALSE(finds(look(limits).findings, Grade::kBad, "age", ""));
  }
  test::Helper crash([&](const test::Helper& self) {
    auto writer = FeedWriter::open(base(), "trades");
    EXPECT_TRUE(writer.append(row_of(1)));
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(crash.wait_ready(), 0);
  crash.kill();
  const FeedHealth health = look();
  EXPECT_EQ(health.writer, WriterState::kCrashed);
  EXPECT_EQ(health.pid, 0u);
  EXPECT_TRUE(finds(health.findings, Grade::kWarning, "writer", "without closing"));
}

TEST_F(Health, OfABaseGoesOnPastAFeedThatCannotBeRead) {  // F-136, F-138, F-68, G-5
  make(Storage::kTiered);
  make(Storage::kTiered, "broken").close();
  ASSERT_EQ(::truncate((base() + "/feeds/broken/feed_registry.bin").c_str(), 100), 0);
  const auto before = names_in(base() + "/feeds/trades");
  BaseHealth health = check_base(base(), limits());
  ASSERT_EQ(health.feeds.size(), 2u);
  EXPECT_TRUE(finds(health.feeds[0].findings, Grade::kBad, "registry", "feed_registry.bin"));
  EXPECT_EQ(health.feeds[1].grade(), Grade::kOk);
  EXPECT_EQ(health.grade(), Grade::kBad);
  EXPECT_GT(health.disk.total_bytes, 0u);
  ASSERT_EQ(health.shm.size(), 1u);
  EXPECT_EQ(names_in(base() + "/feeds/trades"), before);
  // No room: on purpose.
  auto greedy = limits();
  greedy.min_free_bytes = ~uint64_t{0};
  EXPECT_TRUE(finds(check_base(base(), greedy).findings, Grade::kBad, "disk", "bytes free"));
  // Live objects of a feed that is gone.
  const std::string stray =
      concat(root.path(), "/tidepool-", hex(GlobalRegistry::open(base()).id()), "-", hex(random_id128()), "-1");
  make_directory(Files::system(), stray, 0700);
  health = check_base(base(), limits());
  EXPECT_EQ(health.shm_of_nobody, (std::vector<std::string>{stray}));
  expect_fault(Fault::kBaseNotFound, "nowhere", [&] { check_base(root / "nowhere"); });
  expect_fault(Fault::kFeedNotFound, "quotes", [&] { check_feed(base(), "quotes"); });

  const std::string text = prometheus_text(health);
  EXPECT_NE(text.find(concat("tidepool_feed_committed_seq{base=\"", base(), "\",feed=\"trades\"} 0\n")), std::string::npos) << text;
  EXPECT_NE(text.find("# TYPE tidepool_feed_lag_bytes gauge\n"), std::string::npos);
  EXPECT_NE(text.find(concat("tidepool_base_grade{base=\"", base(), "\"} 2\n")), std::string::npos);
}

TEST_F(Health, IsToldAsItHappens) {  // F-51, F-137, F-140
  std::mutex mutex;
  std::vector<WriterEvent> events;
  std::vector<uint64_t> durable;
  WriterOptions watched;
  watched.on_event = [&](const WriterEvent& event) {
    const std::scoped_lock lock(mutex);
    events.push_back(event);
    throw std::runtime_error("what a user's function throws is its own business");
  };
  watched.on_durable = [&](uint64_t seq) {
    const std::scoped_lock lock(mutex);
    durable.push_back(seq);
  };
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), options(Storage::kTiered), watched);
  append(writer, 0, 100);
  writer.sync();
  {
    const std::scoped_lock lock(mutex);
    ASSERT_FALSE(durable.empty());
    EXPECT_EQ(durable.back(), 100u);
  }
  append(writer, 100, 5000);
  const auto persisted = [&] {
    const std::scoped_lock lock(mutex);
    return std::count_if(events.begin(), events.end(),
                         [](const WriterEvent& event) { return event.kind == WriterEvent::Kind::kPersisted; });
  };
  until([&] { return persisted() == 4; });
  writer.close();
  EXPECT_GT(writer.health().callback_failures, 4u);
  EXPECT_EQ(events.front().kind, WriterEvent::Kind::kOpened);
  EXPECT_EQ(events.back().kind, WriterEvent::Kind::kClosed);
  EXPECT_EQ(events.back().end_seq, 5000u);
  EXPECT_TRUE(std::is_sorted(durable.begin(), durable.end()));
  EXPECT_EQ(durable.back(), 5000u);
  uint64_t next = 0;
  for (const WriterEvent& event : events) {
    EXPECT_EQ(event.epoch, 1u);
    if (event.kind != WriterEvent::Kind::kPersisted) continue;
    EXPECT_EQ(event.first_seq, next);
    next = event.end_seq;
    EXPECT_EQ(event.bytes, (event.end_seq - event.first_seq) * sizeof(test::Row));
  }
  EXPECT_EQ(next, 5000u);
}

TEST_F(Health, IsKeptAsAFeedOfItsOwn) {  // F-137
  auto events = EventFeed::open(base(), [&] {
    auto small = EventFeed::default_options();
    small.shm_root = root.path();
    return small;
  }());
  {
    WriterOptions watched;
    watched.on_event = events.taker("trades");
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), options(Storage::kTiered), watched);
    append(writer, 0, 3000);
  }
  events.close();
  auto reader = read({.from = At::oldest(), .stop_when_inactive = true}, kEventFeedName);
  std::vector<EventRow> rows;
  for (Item item = reader.next(); item.is_record(); item = reader.next()) rows.push_back(item.row<EventRow>());
  ASSERT_GT(rows.size(), 5u);
  EXPECT_STREQ(rows.front().feed, "trades");
  EXPECT_EQ(rows.back().kind, static_cast<uint8_t>(WriterEvent::Kind::kClosed));
  EXPECT_EQ(reader.feed().schema.field("kind")->names.at(3).name, "persisted");
  EXPECT_EQ(events.dropped(), 0u);
  // Closed, it takes nothing more, says so, and holds nobody up.
  events.take("trades", {.kind = WriterEvent::Kind::kRotated});
  EXPECT_EQ(events.dropped(), 1u);
}

class Called : public test::FeedTest {};

TEST_F(Called, AwayAReaderThatWaitsReturnsAtOnce) {  // F-81
  auto writer = make(Storage::kTiered);
  auto reader = read();
  std::thread other([&] { reader.cancel(); });
  EXPECT_EQ(reader.next(30 * kNsPerSecond).kind, Item::Kind::kCancelled);
  other.join();
  EXPECT_EQ(reader.next().kind, Item::Kind::kIdle) << "told once";
  append(writer, 0, 5);
  reader.cancel();
  EXPECT_EQ(reader.next(30 * kNsPerSecond).kind, Item::Kind::kCancelled) << "asked before it waited";
  expect_rows(reader, 0, 5);
  // The same without a doorbell: nobody ever wrote.
  create_feed(base(), "quiet", test::row_schema(), options(Storage::kTiered));
  auto quiet = read({}, "quiet");
  std::thread another([&] { quiet.cancel(); });
  EXPECT_EQ(quiet.next_batch(~uint64_t{0}, 30 * kNsPerSecond).kind, Item::Kind::kCancelled);
  another.join();
}

TEST_F(Called, AnEndWaitsForTheGraceTime) {  // F-84
  make(Storage::kTiered).close();
  auto at_once = read({.from = At::oldest(), .stop_when_inactive = true});
  EXPECT_EQ(at_once.next(kNsPerSecond).kind, Item::Kind::kEnded);
  auto patient = read({.from = At::oldest(), .stop_when_inactive = true, .grace_ns = 3600 * kNsPerSecond});
  EXPECT_EQ(patient.next(kNsPerMs).kind, Item::Kind::kIdle);
  EXPECT_EQ(patient.next().kind, Item::Kind::kIdle);
  auto writer = FeedWriter::open(base(), "trades");  // it came back within the time
  append(writer, 0, 3);
  expect_rows(patient, 0, 3);
  writer.close();
  auto brief = read({.from = At::sequence(3), .stop_when_inactive = true, .grace_ns = 100 * kNsPerMs});
  const uint64_t begin_ns = monotonic_ns();
  EXPECT_EQ(brief.next(30 * kNsPerSecond).kind, Item::Kind::kEnded);
  EXPECT_GE(monotonic_ns() - begin_ns, 100 * kNsPerMs);
}

TEST_F(Called, AFileDescriptorSaysWhenThereIsSomething) {  // F-81, rulings F-q
  auto writer = make(Storage::kTiered);
  auto reader = read();
  FeedNotifier notifier(base(), "trades");
  const auto readable = [&](int timeout_ms) {
    pollfd waiting{notifier.fd(), POLLIN, 0};
    return ::poll(&waiting, 1, timeout_ms) == 1;
  };
  EXPECT_FALSE(readable(0));
  notifier.arm(reader);
  EXPECT_FALSE(readable(20)) << "nothing has come";
  append(writer, 0, 3);
  EXPECT_TRUE(readable(30'000));
  expect_rows(reader, 0, 3);
  notifier.arm(reader);
  EXPECT_FALSE(readable(20)) << "all is read";
  append(writer, 3, 4);
  EXPECT_TRUE(readable(30'000));
  notifier.arm(reader);
  EXPECT_TRUE(readable(30'000)) << "record 3 is still to be read";
  expect_rows(reader, 3, 4);
  notifier.arm(reader);
  writer.close();
  auto next = FeedWriter::open(base(), "trades");
  append(next, 4, 5);
  EXPECT_TRUE(readable(30'000)) << "from another writer";
  next.close();
  expect_rows(reader, 4, 5);
  notifier.arm(reader);
  delete_feed(base(), "trades");
  EXPECT_TRUE(readable(30'000)) << "an event is something too";
  EXPECT_EQ(reader.next().kind, Item::Kind::kDeleted);
}

TEST_F(Called, AMemoryFeedWhoseRecordsAreGoneIsNotEmpty) {  // F-89
  auto reader_before = [&] {
    auto writer = make(Storage::kMemory);
    auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
    EXPECT_EQ(reader.read_range({}).size(), 0u) << "never written: empty is the truth";
    append(writer, 0, 10);
    EXPECT_EQ(reader.read_range({}).size(), 10 * sizeof(test::Row));
    expect_rows(reader, 0, 10);
    return reader;
  }();
  EXPECT_EQ(reader_before.next().kind, Item::Kind::kEnded) << "who had them all has no loss";
  auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
  expect_fault(Fault::kNoLiveData, "trades", [&] { reader.read_range({}); });
  expect_fault(Fault::kNoLiveData, "nobody writes it", [&] { static_cast<void>(reader.first_after(0)); });
  expect_fault(Fault::kNoLiveData, "gone", [&] { static_cast<void>(reader.next()); });
  auto follower = read();
  EXPECT_EQ(follower.next().kind, Item::Kind::kIdle) << "who waits for new ones waits";
  auto writer = FeedWriter::open(base(), "trades");
  append(writer, 10, 12);
  expect_rows(follower, 10, 12);
  EXPECT_EQ(reader.read_range({}).size(), 2 * sizeof(test::Row));
}

}  // namespace
}  // namespace tidepool::feed
