// tidepool feed verify, repair, prune, persistd, pin and unpin, each through the command line.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tidepool/cli/test_command.h"
#include "tidepool/feed/reader.h"
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

TEST_F(FeedCareCommandTest, EachHasHelpWithExamples) {  // F-150
  for (const char* verb : {"verify", "repair", "prune", "persistd", "pin", "unpin"}) {
    const Ran ran = run({"feed", verb, "--help"});
    EXPECT_EQ(ran.exit, 0) << verb;
    EXPECT_THAT(ran.out, HasSubstr("Examples:")) << verb;
    EXPECT_THAT(ran.out, HasSubstr("--json")) << verb;
    EXPECT_THAT(ran.out, HasSubstr("Exit:")) << verb;
  }
}

}  // namespace
}  // namespace tidepool::cli
