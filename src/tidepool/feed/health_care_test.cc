// Health of care: retention, quarantine, the daemon, clocks, held memory; metrics with their histograms; events of who cares for feeds.

#include <fcntl.h>

#include <set>

#include "tidepool/feed/event_feed.h"
#include "tidepool/feed/health.h"
#include "tidepool/feed/held_unlinked.h"
#include "tidepool/feed/latency_words.h"
#include "tidepool/feed/persistd.h"
#include "tidepool/feed/quarantine.h"
#include "tidepool/feed/repair.h"
#include "tidepool/feed/retention.h"
#include "tidepool/feed/settings.h"
#include "tidepool/feed/test_faulty_files.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace health_care_test {
namespace {

using test::row_of;

class HealthCareTest : public test::FeedTest {
 protected:
  HealthLimits roomy() const {
    HealthLimits limits;
    limits.min_free_bytes = 0;
    limits.min_free_shm_bytes = 0;
    return limits;
  }
  FeedOptions tiny(Storage storage = Storage::kTiered) const {
    auto small = options(storage);
    small.chunk_bytes = 4096;
    return small;
  }
  void fill(uint64_t rows, const std::string& name = "trades") {
    auto writer = FeedWriter::create(base(), name, test::row_schema(), tiny());
    append(writer, 0, rows);
    writer.close();
  }
  FeedHealth health(const std::string& name = "trades") { return check_feed(base(), name, roomy()); }
  static const HealthFinding* finding(const std::vector<HealthFinding>& all, std::string_view check) {
    for (const HealthFinding& one : all) {
      if (one.check == check) return &one;
    }
    return nullptr;
  }
  FeedOptions event_options() const {
    auto small = EventFeed::default_options();
    small.shm_root = root.path();
    return small;
  }
  std::vector<EventRow> events() {
    auto reader = read({.from = At::oldest(), .stop_when_inactive = true}, kEventFeedName);
    std::vector<EventRow> rows;
    for (Item item = reader.next(); item.is_record(); item = reader.next()) rows.push_back(item.row<EventRow>());
    return rows;
  }
  static std::multiset<std::string> kinds_of(const std::vector<EventRow>& rows) {
    std::multiset<std::string> kinds;
    for (const EventRow& row : rows) kinds.insert(std::string(event_kind_name(row.kind)));
    return kinds;
  }
};

TEST_F(HealthCareTest, TellsWhatRetentionShouldHaveLetGo) {  // F-136, F-131
  fill(2000);
  EXPECT_EQ(health().retention_backlog_chunks, 0u);
  EXPECT_TRUE(health().findings.empty());
  auto limited = tiny();
  limited.retention_bytes = 4 * 4096;
  change_feed(base(), "trades", limited);
  const FeedHealth late = health();
  EXPECT_GT(late.retention_backlog_chunks, 5u);
  EXPECT_EQ(late.retention_backlog_bytes, late.retention_backlog_chunks * 4096);
  ASSERT_NE(finding(late.findings, "retention"), nullptr);
  EXPECT_EQ(finding(late.findings, "retention")->grade, Grade::kWarning);
  EXPECT_EQ(read({}).first_seq(), 0u) << "looking lets nothing go (G-5)";
  prune_base(base(), {.run = {.grace_ns = 0}});
  EXPECT_EQ(health().retention_backlog_chunks, 0u);
  EXPECT_TRUE(health().findings.empty());
}

TEST_F(HealthCareTest, TellsWhatIsInQuarantineAndWhatIsNotedInItsPlace) {  // F-135, F-136, F-138
  fill(400);
  note_damage(Files::system(), base() + "/feeds/trades", "0000000000000001.data.chunk-block-0-128", {.feed = "trades", .by = "repair", .why = "a test"});
  note_damage(Files::system(), base(), "registry.bin.1", {.by = "repair", .why = "a test"});
  const BaseHealth noted = check_base(base(), roomy());
  EXPECT_EQ(noted.damage_notes, 1u);
  EXPECT_EQ(noted.feeds[0].damage_notes, 1u);
  EXPECT_EQ(noted.grade(), Grade::kWarning);
  ASSERT_NE(finding(noted.findings, "quarantine"), nullptr);
  ASSERT_NE(finding(noted.feeds[0].findings, "quarantine"), nullptr);
  // A chunk that was put aside is worse.
  const File file = File::open(Files::system(), base() + "/feeds/trades/" + chunk_name(2), O_RDWR);
  const std::byte zeros[64] = {};
  file.write(zeros, 0);
  EXPECT_FALSE(repair_base(base()).failed());
  const BaseHealth aside = check_base(base(), roomy());
  EXPECT_EQ(aside.feeds[0].quarantined, 1u);
  EXPECT_EQ(aside.grade(), Grade::kBad);
  EXPECT_NE(prometheus_text(aside).find("tidepool_feed_checksum_errors{base=\"" + base() + "\",feed=\"trades\"} 2"), std::string::npos)
      << prometheus_text(aside);
}

TEST_F(HealthCareTest, TellsOfTheDaemonThatServesTheBase) {  // F-136, F-63
  fill(10);
  EXPECT_FALSE(check_base(base(), roomy()).persistd.has_value());
  auto persister = Persistd::open(base(), {.retention_every_ns = 0});
  persister->poll();
  const BaseHealth served = check_base(base(), roomy());
  ASSERT_TRUE(served.persistd.has_value());
  EXPECT_EQ(served.persistd->feeds, 1u);
  EXPECT_EQ(served.grade(), Grade::kOk);
  EXPECT_NE(prometheus_text(served).find("tidepool_base_persistd_up{base=\"" + base() + "\"} 1"), std::string::npos);
  persister.reset();
  // One that holds its lock and whose heart stands: as a stopped process leaves it.
  test::Helper daemon([&](const test::Helper& self) {
    auto mine = Persistd::open(base(), {.retention_every_ns = 0});
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(daemon.wait_ready(), 0);
  ASSERT_EQ(::kill(daemon.pid(), SIGSTOP), 0);
  int status = 0;  // it beats until all of its threads have stopped
  ASSERT_EQ(::waitpid(daemon.pid(), &status, WUNTRACED), daemon.pid());
  ASSERT_TRUE(WIFSTOPPED(status));
  // A heart that stood still for long: set back, since nobody waits 5 s for that here.
  const File page = File::open(Files::system(), base() + "/persistd.bin", O_RDWR);
  const std::byte old[8] = {std::byte{1}};
  page.write(old, 128);
  const BaseHealth stands = check_base(base(), roomy());
  ASSERT_NE(finding(stands.findings, "persister"), nullptr);
  EXPECT_EQ(finding(stands.findings, "persister")->grade, Grade::kBad);
  ::kill(daemon.pid(), SIGCONT);
  daemon.kill();
}

TEST_F(HealthCareTest, LooksAtTheFeedsThatItIsAskedFor) {  // F-136
  fill(10);
  fill(10, "quotes");
  auto limits = roomy();
  limits.feeds = {"quotes", "nothing"};
  const BaseHealth some = check_base(base(), limits);
  ASSERT_EQ(some.feeds.size(), 1u);
  EXPECT_EQ(some.feeds[0].name, "quotes");
  ASSERT_NE(finding(some.findings, "registry"), nullptr);
  EXPECT_EQ(some.grade(), Grade::kBad);
}

TEST_F(HealthCareTest, HasHistogramsOfSyncsAndRotations) {  // F-138
  for (const uint64_t ns : {uint64_t{0}, uint64_t{1000}, uint64_t{1001}, uint64_t{4000}, uint64_t{16'000'000}, ~uint64_t{0}}) {
    const size_t bucket = latency_bucket(ns);
    EXPECT_LE(ns, latency_bound_ns(bucket));
    if (bucket > 0) {
      EXPECT_GT(ns, latency_bound_ns(bucket - 1));
    }
  }
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), tiny());
  append(writer, 0, 1000);
  writer.sync();
  const BaseHealth now = check_base(base(), roomy());
  const WriterCounters& counters = now.feeds[0].counters;
  ASSERT_TRUE(counters.known);
  EXPECT_EQ(counters.rotation_latency.count(), counters.rotations);
  EXPECT_GE(counters.rotations, 7u);
  EXPECT_GE(counters.sync_latency.count(), 7u);
  EXPECT_GT(counters.sync_latency.total_ns, 0u);
  const std::string text = prometheus_text(now);
  EXPECT_NE(text.find("# TYPE tidepool_feed_sync_latency_seconds histogram"), std::string::npos);
  EXPECT_NE(text.find(concat("tidepool_feed_rotation_latency_seconds_bucket{base=\"", base(), "\",feed=\"trades\",le=\"+Inf\"} ",
                             counters.rotation_latency.count())),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("le=\"1e-06\""), std::string::npos);
  const std::string lines = metrics_text(now);
  EXPECT_NE(lines.find("trades committed_seq 1000\n"), std::string::npos) << lines;
  EXPECT_NE(lines.find("trades sync_latency_seconds count "), std::string::npos);
  EXPECT_EQ(lines.find("unavailable"), std::string::npos);
  writer.close();
  // Without a page: zeros, and said so.
  const std::string gone = metrics_text(check_base(base(), roomy()));
  EXPECT_NE(gone.find("trades rotations 0 unavailable\n"), std::string::npos) << gone;
  EXPECT_NE(gone.find("trades sync_latency_seconds count 0 sum 0 unavailable\n"), std::string::npos) << gone;
  EXPECT_NE(gone.find("trades committed_seq 1000\n"), std::string::npos);
}

TEST_F(HealthCareTest, CountsWhatReadersHoldOfMemoryWithoutAName) {  // F-78, F-138
  create_feed(base(), "trades", test::row_schema(), tiny());
  test::Helper other([&](const test::Helper& self) {
    auto reader = read({.from = At::oldest()});
    until([&] { return reader.next().is_record(); });
    const auto hold = reader.hold();
    self.ready();
    self.sleep_for_ever();
  });
  auto writer = FeedWriter::open(base(), "trades");
  append(writer, 0, 10);
  EXPECT_EQ(health().held_unlinked_bytes, 0u);
  ASSERT_EQ(other.wait_ready(), 0);
  uint64_t next = 10;
  until([&] {
    append(writer, next, next + 200);
    next += 200;
    return health().held_unlinked_bytes > 0;
  });
  const FeedHealth held = health();
  EXPECT_EQ(held.held_unlinked_by, 1u);
  EXPECT_GE(held.held_unlinked_bytes, 4096u);
  EXPECT_NE(prometheus_text(check_base(base(), roomy())).find("tidepool_feed_held_unlinked_by{base=\"" + base() + "\",feed=\"trades\"} 1"),
            std::string::npos);
  other.kill();
  until([&] { return health().held_unlinked_bytes == 0; });

  std::vector<HeldUnlinked> found;
  add_held_unlinked("7f0000000000-7f0000002000 r--s 00000000 00:1b 47 /shm/tidepool-ab-cd-1/0000000000000001.data (deleted)\n"
                    "7f0000004000-7f0000005000 r--s 00002000 00:1b 47 /shm/tidepool-ab-cd-1/0000000000000001.data (deleted)\n"
                    "7f0000006000-7f0000007000 r--s 00000000 00:1b 48 /shm/tidepool-ab-cd-1/live\n"
                    "rubbish /shm/tidepool-ab-x (deleted)\n",
                    7, "/shm/tidepool-ab-", found);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].bytes, 0x3000u);
  EXPECT_EQ(found[0].directory, "/shm/tidepool-ab-cd-1");
}

// ---- events ------------------------------------------------------------------------------------------------------------------

TEST_F(HealthCareTest, EventsTellOfRetentionQuarantineAndRecovery) {  // F-137
  fill(1000);
  auto quiet = tiny();
  quiet.sync = SyncMode::kExplicit;
  create_feed(base(), "quotes", test::row_schema(), quiet);
  test::Helper writer([&](const test::Helper& self) {
    auto open = FeedWriter::open(base(), "quotes");
    append(open, 0, 100);
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(writer.wait_ready(), 0);
  writer.kill();
  {
    auto kept = EventFeed::open(base(), event_options());
    auto persister = Persistd::open(base(), {.retention_every_ns = 0, .events = &kept});
    persister->poll();
    persister.reset();
    auto limited = tiny();
    limited.retention_bytes = 3 * 4096;
    change_feed(base(), "trades", limited);
    auto pruner = Persistd::open(base(), {.retention = {.grace_ns = 0}, .events = &kept});
    pruner->poll();
    pruner.reset();
    const File file = File::open(Files::system(), base() + "/feeds/trades/" + chunk_name(7), O_RDWR);
    const std::byte zeros[64] = {};
    file.write(zeros, 0);
    kept.take(repair_base(base()));
    RecoveryReport lost;
    lost.loss = true;
    lost.next_seq = 77;
    kept.take("elsewhere", lost, 5);
    EXPECT_EQ(kept.dropped(), 0u);
    kept.close();
  }
  const auto rows = events();
  const auto kinds = kinds_of(rows);
  EXPECT_EQ(kinds.count("drained"), 1u);
  EXPECT_GE(kinds.count("expired"), 4u);
  EXPECT_EQ(kinds.count("quarantined"), 1u);
  EXPECT_EQ(kinds.count("gap"), 1u);
  for (const EventRow& row : rows) {
    const std::string kind(event_kind_name(row.kind));
    EXPECT_GT(row.wall_ns, 0u);
    if (kind == "drained") {
      EXPECT_STREQ(row.feed, "quotes");
      EXPECT_EQ(row.end_seq, 100u);
      EXPECT_GT(row.elapsed_ns, 0u);
    } else if (kind == "expired") {
      EXPECT_STREQ(row.feed, "trades");
      EXPECT_STREQ(row.text, "bytes");
      EXPECT_GT(row.end_seq, row.first_seq);
    } else if (kind == "quarantined") {
      EXPECT_EQ(row.first_seq, 6 * 128u);
    }
  }
  auto reader = read({.from = At::oldest()}, kEventFeedName);
  std::set<std::string> names;
  for (const auto& name : reader.feed().schema.field("kind")->names) names.insert(name.name);
  for (const char* name : {"rotated", "opened", "expired", "quarantined", "repaired", "drained", "gap"})
    EXPECT_TRUE(names.contains(name)) << name;
}

TEST_F(HealthCareTest, EventsThatNobodyTakesAreDroppedAndCounted) {  // F-137
  fill(1000);
  // Another process has the events: what is done is done all the same.
  auto other = EventFeed::open(base(), event_options());
  auto mine = EventFeed::best_effort(base());
  EXPECT_NE(mine.trouble().find("held by"), std::string::npos) << mine.trouble();
  RetentionReport report = prune_base(base(), {.run = {.grace_ns = 0}, .feed = "trades", .limits = {.chunks = 2}});
  mine.take(report);
  EXPECT_EQ(mine.dropped(), report.expired.size());
  EXPECT_GT(mine.dropped(), 3u);
  mine.close();
  other.close();
  // A full one: its writer has nowhere to go, and the writer that it tells of goes on.
  test::FaultyFiles files;
  auto full = EventFeed::open(base(), event_options(), {.files = &files});
  files.fail("reserve", root.path(), ENOSPC);
  files.fail("open", "system.events", ENOSPC);
  for (int i = 0; i < 20'000 && full.dropped() == 0; ++i) full.take(report);
  EXPECT_GT(full.dropped(), 0u);
  auto writer = FeedWriter::open(base(), "trades");
  append(writer, 1000, 1100);
  writer.close();
  files.fail("reserve", root.path(), 0);
  files.fail("open", "system.events", 0);
}

}  // namespace
}  // namespace health_care_test
}  // namespace tidepool::feed
