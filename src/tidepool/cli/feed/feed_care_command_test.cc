// tidepool feed verify, repair, prune, persistd, pin and unpin, each through the command line.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tidepool/cli/progress.h"
#include "tidepool/cli/test_command.h"
#include "tidepool/feed/blob.h"
#include "tidepool/feed/event_feed.h"
#include "tidepool/feed/reader.h"
#include "tidepool/feed/settings.h"
#include "tidepool/feed/writer.h"

namespace tidepool::cli {
namespace {

using namespace test;
using nlohmann::json;
using testing::HasSubstr;

class FeedCareCommandTest : public ::testing::Test {
 protected:
  WithEnvironment log_{"TIDEPOOL_LOG", "error"}, feeds_{"TIDEPOOL_FEEDS", nullptr};
  TemporaryDirectory directory_;

  std::string base() const { return directory_ / "base"; }
  Ran feed(const std::string& verb, std::vector<std::string> args = {}) const {
    args.insert(args.begin(), {"feed", verb, "--base", base()});
    return run(args);
  }
  json good(const std::string& verb, std::vector<std::string> args = {}) const {
    args.push_back("--json");
    const Ran ran = feed(verb, std::move(args));
    EXPECT_EQ(ran.exit, 0) << ran.err << ran.out;
    return ran.json();
  }
  feed::FeedOptions options() const {
    feed::FeedOptions small;
    small.chunk_bytes = 4096;
    small.block_bytes = 4096;
    small.live_chunks = 2;
    small.shm_root = directory_.path();
    return small;
  }
  static feed::Schema schema() { return feed::Schema::rows({{"time_ns", "u64"}, {"number", "u64"}, {"a", "u64"}, {"b", "u64"}}); }
  static void append(feed::FeedWriter& writer, uint64_t from, uint64_t to) {
    for (uint64_t number = from; number < to; ++number) {
      const uint64_t row[4] = {1000 + number, number, 0, 0};
      ASSERT_TRUE(writer.append(row));
    }
  }
  // Eight chunks of 128 rows, closed.
  void fill() const {
    auto writer = feed::FeedWriter::create(base(), "trades", schema(), options());
    append(writer, 0, 1024);
    writer.close();
  }
  std::string chunk(uint64_t ordinal) const { return base() + "/feeds/trades/" + feed::chunk_name(ordinal); }
};

TEST_F(FeedCareCommandTest, VerifyNamesTheDamageAndRepairPutsItRight) {  // F-133, F-134, F-149, F-150
  fill();
  json report = good("verify");
  EXPECT_TRUE(report["sound"]);
  EXPECT_EQ(report["records"], 1024);
  EXPECT_THAT(feed("verify").out, HasSubstr("sound"));
  std::filesystem::remove(base() + "/feeds/trades/" + feed::index_name(2));
  std::filesystem::resize_file(chunk(3), 8192 + 2000);
  Ran ran = feed("verify", {"trades", "--json"});
  EXPECT_EQ(ran.exit, 4);
  report = ran.json();
  EXPECT_FALSE(report["sound"]);
  EXPECT_EQ(report["repairable"], 1);
  ASSERT_EQ(report["damage"], 1);
  for (const json& finding : report["findings"]) {
    if (finding["severity"] != "damage") continue;
    EXPECT_EQ(finding["what"], "chunk-footer");
    EXPECT_EQ(finding["path"], chunk(3));
    EXPECT_EQ(finding["end_seq"], 384);
  }
  EXPECT_THAT(feed("verify").out, HasSubstr("damage chunk-footer"));
  report = good("repair", {"trades", "--dry-run"});
  EXPECT_EQ(report["actions"].size(), 2u);
  EXPECT_FALSE(report["actions"][0]["done"]);
  EXPECT_EQ(feed("verify").exit, 4) << "a dry run changes nothing";
  ran = feed("repair", {"--all", "--json"});
  EXPECT_EQ(ran.exit, 4) << "damage stays that nothing can undo";
  EXPECT_TRUE(ran.json()["actions"][0]["done"]);
  EXPECT_FALSE(ran.json()["left"].empty());
  EXPECT_EQ(feed("repair").exit, 2) << "which?";
  EXPECT_EQ(feed("repair", {"nothing"}).exit, 1);
  EXPECT_EQ(run({"feed", "verify", "--base", directory_ / "elsewhere"}).exit, 1);
  EXPECT_FALSE(std::filesystem::exists(directory_ / "elsewhere"));
}

TEST_F(FeedCareCommandTest, RepairSkipsAFeedThatIsWritten) {  // F-132
  auto writer = feed::FeedWriter::create(base(), "trades", schema(), options());
  const Ran ran = feed("repair", {"trades", "--json"});
  EXPECT_EQ(ran.exit, 1);
  ASSERT_EQ(ran.json()["skipped"].size(), 1u);
  EXPECT_EQ(good("repair", {"--all"})["skipped"].size(), 1u);
}

TEST_F(FeedCareCommandTest, PruneSaysWhatItDoesAndPinsHoldIt) {  // F-125, F-130
  fill();
  json planned = good("prune", {"--max-chunks", "3", "--dry-run"});
  EXPECT_EQ(planned["expired"].size(), 5u);
  EXPECT_TRUE(std::filesystem::exists(chunk(1)));
  json pin = good("pin", {"trades", "audit", "--seq", "256", "--for", "30d", "--max-bytes", "1GiB"})["pin"];
  EXPECT_EQ(pin["seq"], 256);
  EXPECT_EQ(pin["max_bytes"], 1 << 30);
  EXPECT_GT(pin["expires_ns"], pin["created_ns"]);
  EXPECT_EQ(good("pin", {"trades"})["pins"].size(), 1u);
  EXPECT_THAT(feed("pin", {"trades"}).out, HasSubstr("audit from record 256"));
  json done = good("prune", {"trades", "--max-chunks", "3", "--grace", "0"});
  EXPECT_EQ(done["expired"].size(), 2u);
  EXPECT_EQ(done["removed"].size(), 4u);
  EXPECT_EQ(done["warnings"].size(), 1u);
  EXPECT_EQ(good("unpin", {"trades", "audit"})["removed"], true);
  EXPECT_EQ(feed("unpin", {"trades", "audit"}).exit, 3);
  EXPECT_EQ(feed("unpin", {"trades", "audit", "--missing-ok"}).exit, 0);
  done = good("prune", {"--max-bytes", "8KiB", "--grace", "0.01s", "--wait"});
  EXPECT_EQ(done["expired"].size(), 4u);
  EXPECT_EQ(done["waiting"], 0);
  EXPECT_EQ(feed("pin", {"trades", "late", "--seq", "5"}).exit, 1) << "gone already";
  EXPECT_EQ(feed("pin", {"trades", "late", "--checkpoint", "nobody", "--checkpoints", directory_.path()}).exit, 2);
  EXPECT_EQ(feed("prune", {"--max-age", "soon"}).exit, 2);
  EXPECT_TRUE(good("verify")["sound"]);
}

TEST_F(FeedCareCommandTest, PersistdTakesWhatADeadWriterLeftToDisk) {  // F-63, F-67
  feed::create_feed(base(), "trades", schema(), options());
  shm::test::Helper crash([&](const shm::test::Helper& self) {
    auto writer = feed::FeedWriter::open(base(), "trades");
    append(writer, 0, 500);
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(crash.wait_ready(), 0);
  crash.kill();
  const json done = good("persistd", {"--once"});
  EXPECT_EQ(done["drained_feeds"], 1);
  EXPECT_EQ(done["failures"], 0);
  EXPECT_EQ(feed::FeedReader::open(base(), "trades").durable_seq(), 500u);
  const auto lock = feed::lock_within(base(), "persistd.lock", "another one", 0, feed::Fault::kBusy);
  const Ran busy = feed("persistd", {"--once"});
  EXPECT_EQ(busy.exit, 1);
  EXPECT_THAT(busy.err, HasSubstr("another one"));
}

TEST_F(FeedCareCommandTest, ABackupIsABaseAndItsChunksAreAdopted) {  // F-153, F-149
  fill();
  const std::string copy = directory_ / "copy", there = directory_ / "there";
  const json first = good("backup", {copy});
  EXPECT_EQ(first["feeds"], 1);
  EXPECT_EQ(first["sound"], true);
  EXPECT_EQ(first["records"], 1024);
  const json again = good("backup", {copy, "trades"});
  EXPECT_EQ(again["kept"], 8);
  EXPECT_THAT(feed("backup", {copy}).out, HasSubstr("sound"));
  EXPECT_EQ(feed::FeedReader::open(copy, "trades").committed_seq(), 1024u);
  EXPECT_EQ(feed("backup", {base() + "/inside"}).exit, 2);
  EXPECT_EQ(feed("backup", {copy, "nothing"}).exit, 1);
  EXPECT_EQ(feed("backup").exit, 2);

  const auto adopt = [&](std::vector<std::string> args) {
    args.insert(args.begin(), {"feed", "adopt", "--base", there, "--shm-root", directory_.path(), "history", "--json"});
    return run(args);
  };
  const auto file = [&](uint64_t ordinal) { return copy + "/feeds/trades/" + feed::chunk_name(ordinal); };
  EXPECT_EQ(adopt({file(1), "--dry-run"}).json()["adopted"], 1);
  EXPECT_FALSE(std::filesystem::exists(there));
  Ran ran = adopt({file(1), file(2)});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.json()["created"], true);
  EXPECT_EQ(ran.json()["chunks"][1]["end_seq"], 256);
  ran = adopt({file(2), file(3)});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.json()["refused"], 1);
  EXPECT_EQ(ran.json()["adopted"], 1);
  std::filesystem::resize_file(file(4), 8192 + 100);
  ran = adopt({file(4)});
  EXPECT_EQ(ran.exit, 4);
  EXPECT_EQ(ran.json()["chunks"][0]["outcome"], "quarantined");
  EXPECT_EQ(feed::FeedReader::open(there, "history").committed_seq(), 384u);
  EXPECT_EQ(adopt({directory_ / "nothing.data"}).exit, 1);
}

TEST_F(FeedCareCommandTest, LimitsBelowNothingAreTypingErrors) {  // F-149
  for (const auto& [verb, arguments] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"prune", {"--quota", "-5"}}, {"prune", {"--max-bytes", "-5KiB"}}, {"prune", {"--max-age", "-5d"}}, {"pin", {"trades", "z", "--for", "-5d"}}}) {
    EXPECT_EQ(feed(verb, arguments).exit, 2) << verb << " " << arguments.back();
  }
}

TEST_F(FeedCareCommandTest, PruneOffersUnitsAndInstallsNothing) {  // F-131
  const Ran units = feed("prune", {"trades", "--max-age", "30d", "--quota", "1GiB", "--print-systemd"});
  EXPECT_EQ(units.exit, 0) << units.err;
  EXPECT_THAT(units.out, HasSubstr("[Timer]\nOnCalendar=*:0/15\nPersistent=true"));
  EXPECT_THAT(units.out, HasSubstr("feed prune --base " + base() + " --quiet trades --max-age 2592000s --quota 1073741824\n"));
  EXPECT_THAT(units.out, HasSubstr("Nothing was installed"));
  EXPECT_FALSE(std::filesystem::exists(base())) << "nothing is made either";
  const Ran cron = run({"feed", "prune", "--base", directory_ / "a base of 5 %", "--print-cron"});
  EXPECT_THAT(cron.out, HasSubstr("*/15 * * * * /"));
  EXPECT_THAT(cron.out, HasSubstr("a base of 5 \\%'"));
  const json parts = good("prune", {"--print-cron"});
  EXPECT_EQ(parts["installed"], false);
  EXPECT_THAT(parts["command"].get<std::string>(), HasSubstr("feed prune --base"));
  EXPECT_EQ(feed("prune", {"--print-cron", "--print-systemd"}).exit, 2);
}

TEST_F(FeedCareCommandTest, HealthGivesMetricsAndFailsWhereItCannotLook) {  // F-136, F-138
  fill();
  const std::vector<std::string> roomy = {"--min-free-gb", "0", "--min-free-shm-gb", "0"};
  const auto health = [&](std::vector<std::string> more) {
    more.insert(more.end(), roomy.begin(), roomy.end());
    return feed("health", more);
  };
  const json report = health({"--json"}).json();
  EXPECT_EQ(report["health"], "healthy");
  std::vector<std::string> names;
  for (const json& check : report["checks"]) names.push_back(check["check"]);
  EXPECT_THAT(names, testing::IsSupersetOf({"registry", "disk space", "shared memory", "persister", "quarantine", "feed trades"}));
  EXPECT_THAT(health({"-v"}).out, HasSubstr("GB free"));
  EXPECT_THAT(health({"--prometheus"}).out, HasSubstr("# TYPE tidepool_feed_sync_latency_seconds histogram"));
  EXPECT_THAT(health({"--metrics"}).out, HasSubstr("trades committed_seq 1024"));
  EXPECT_THAT(health({"--metrics"}).out, HasSubstr("unavailable"));
  Ran ran = health({"nothing", "--json"});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.json()["health"], "unhealthy");
  ran = run({"feed", "health", "--base", directory_ / "nowhere", "--json"});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_EQ(ran.json()["health"], "failed");
  EXPECT_EQ(ran.json()["checks"][0]["status"], "failed");
  // Something that retention should have taken: a warning, and healthy all the same.
  auto limited = options();
  limited.retention_bytes = 4096;
  feed::change_feed(base(), "trades", limited);
  ran = health({"trades"});
  EXPECT_EQ(ran.exit, 0);
  EXPECT_THAT(ran.out, HasSubstr("warning  feed trades: retention: "));
}

TEST_F(FeedCareCommandTest, WhatIsDoneIsKeptAsEventsOrCounted) {  // F-137
  fill();
  auto small = feed::EventFeed::default_options();
  small.shm_root = directory_.path();
  feed::EventFeed::open(base(), small).close();
  json done = good("prune", {"trades", "--max-chunks", "5", "--grace", "0", "--events"});
  EXPECT_EQ(done["expired"].size(), 3u);
  EXPECT_EQ(done["events_dropped"], 0);
  EXPECT_EQ(feed::FeedReader::open(base(), feed::kEventFeedName).committed_seq(), 3u);
  const auto busy = feed::lock_within(base() + "/feeds/system.events", "writer.lock", "another one", 0, feed::Fault::kBusy);
  done = good("prune", {"trades", "--max-chunks", "4", "--grace", "0", "--events"});
  EXPECT_EQ(done["expired"].size(), 1u);
  EXPECT_EQ(done["events_dropped"], 1);
  EXPECT_EQ(good("persistd", {"--once", "--events"})["events_dropped"], 0);
}

TEST_F(FeedCareCommandTest, AnExportWithPayloadsTellsOfTheBadOnesAlone) {  // F-123, F-151
  auto made = options();
  made.chunk_bytes = 16384;
  const std::vector<std::string> named = {"shots", "--field", "time_ns:u64", "--field", "number:u64", "--field", "a:u64", "--field", "b:u64",
                                          "--blob", "image", "--chunk-size", "16384", "--shm-root", directory_.path()};
  good("create", named);
  EXPECT_EQ(good("create", named)["unchanged"], 1);
  feed::delete_feed(base(), "shots");
  feed::create_blob_feed(base(), "shots", schema(), {.columns = {"image"}, .chunk_bytes = 16384}, made);
  {
    auto writer = feed::BlobWriter::open(base(), "shots");
    for (uint64_t number = 0; number < 40; ++number) {
      const uint64_t row[4] = {1000 + number, number, 0, 0};
      const std::string text = "{\"n\": " + std::to_string(number) + "}" + std::string(1000, ' ');
      const feed::BlobPart parts[] = {{0, std::as_bytes(std::span(text)), feed::BlobCodec::kJson}};
      ASSERT_TRUE(writer.append(row, number % 10 == 9 ? std::span<const feed::BlobPart>() : parts));
    }
    writer.close();
  }
  const std::string out = directory_ / "shots.csv", payloads = directory_ / "payloads";
  json done = good("export", {"shots", out, "--blobs", payloads});
  EXPECT_EQ(done["records"], 40);
  EXPECT_EQ(done["payloads"], 36);
  EXPECT_EQ(shm::test::read_file(payloads + "/image/7.json").substr(0, 8), "{\"n\": 7}");
  EXPECT_FALSE(std::filesystem::exists(payloads + "/image/9.json")) << "a row without a payload";
  EXPECT_EQ(feed("export", {"shots", directory_ / "again.csv", "--blobs", payloads}).exit, 2) << "it is not empty";
  std::filesystem::remove(base() + "/feeds/shots.blob.image/" + feed::chunk_name(2));
  const Ran ran = feed("export", {"shots", directory_ / "rest.csv", "--blobs", directory_ / "rest", "--json"});
  EXPECT_EQ(ran.exit, 4);
  done = ran.json();
  EXPECT_EQ(done["records"], 40) << "all rows, though some payloads are gone";
  EXPECT_GT(done["payloads"], 10);
  EXPECT_EQ(done["payloads"].get<size_t>() + done["bad_payloads"].size(), 36u);
  EXPECT_THAT(done["bad_payloads"][0]["why"].get<std::string>(), HasSubstr("shots.blob.image"));
  EXPECT_EQ(feed("export", {"trades", out, "--blobs", payloads}).exit, 1);
}

TEST_F(FeedCareCommandTest, AnExportHasRowsOfEveryVersionOfTheSchema) {  // F-18, F-151
  fill();
  feed::evolve_feed(base(), "trades", schema().with({{"c", "u32"}}));
  {
    auto writer = feed::FeedWriter::open(base(), "trades");
    std::vector<std::byte> row(36);
    store(row.data(), uint64_t{5000});
    store(row.data() + 32, uint32_t{77});
    ASSERT_TRUE(writer.append(Bytes(row)));
    writer.close();
  }
  const std::string out = directory_ / "all.csv";
  EXPECT_EQ(good("export", {"trades", out})["records"], 1025);
  const std::string text = shm::test::read_file(out);
  EXPECT_THAT(text, HasSubstr("\n1000,0,0,0,0\n"));
  EXPECT_THAT(text, HasSubstr("\n2023,1023,0,0,0\n5000,0,0,0,77\n"));
}

TEST_F(FeedCareCommandTest, LongWorkHasABar) {  // F-149
  EXPECT_EQ(progress_bar(0, 0), "");
  EXPECT_EQ(progress_bar(0, 10), "[....................]   0 % ");
  EXPECT_EQ(progress_bar(5, 10), "[##########..........]  50 % ");
  EXPECT_EQ(progress_bar(99, 10), "[####################] 100 % ");
}

TEST_F(FeedCareCommandTest, EachHasHelpWithExamples) {  // F-150
  for (const char* verb : {"verify", "repair", "prune", "persistd", "backup", "adopt", "health", "export", "import", "pin", "unpin"}) {
    const Ran ran = run({"feed", verb, "--help"});
    EXPECT_EQ(ran.exit, 0) << verb;
    EXPECT_THAT(ran.out, HasSubstr("Examples:")) << verb;
    EXPECT_THAT(ran.out, HasSubstr("--json")) << verb;
    EXPECT_THAT(ran.out, HasSubstr("Exit:")) << verb;
  }
}

}  // namespace
}  // namespace tidepool::cli
