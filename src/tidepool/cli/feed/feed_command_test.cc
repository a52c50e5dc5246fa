// The verbs of `tidepool feed`, each through the command line.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tidepool/cli/feed/definition.h"
#include "tidepool/cli/feed/time_text.h"
#include "tidepool/cli/test_lab.h"
#include "tidepool/feed/reader.h"

namespace tidepool::cli {
namespace {

using namespace test;
using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class FeedCommandTest : public ::testing::Test {
 protected:
  WithEnvironment log_{"TIDEPOOL_LOG", "error"}, feeds_{"TIDEPOOL_FEEDS", nullptr};
  TemporaryDirectory directory_;

  std::string base() const { return directory_ / "base"; }
  std::string file(const std::string& name, const std::string& content) const {
    write_file(directory_ / name, content);
    return directory_ / name;
  }
  // `tidepool feed VERB --base BASE ...`
  std::vector<std::string> words(std::vector<std::string> args) const {
    std::vector<std::string> out = {"feed", args.at(0), "--base", base()};
    out.insert(out.end(), args.begin() + 1, args.end());
    return out;
  }
  Ran feed(std::vector<std::string> args) const { return run(words(std::move(args))); }
  Ran good(std::vector<std::string> args) const {
    Ran ran = feed(std::move(args));
    EXPECT_EQ(ran.exit, 0) << ran.err;
    return ran;
  }
  json good_json(std::vector<std::string> args) const {
    args.push_back("--json");
    return good(std::move(args)).json();
  }
  void create(const std::string& name = "trades", const std::string& chunk_size = "64KiB") const {
    good({"create", name, "--field", "ts:uint64:unit=us:domain=wall", "--field", "seen:u64:unit=s", "--field", "price:f64",
          "--clocks", "2", "--shm-root", directory_.path(), "--chunk-size", chunk_size});
  }
  // 20 rows: ts 1,000,000 apart from 2013-01-01T10:00:00Z on, seen counts down from 1000 seconds.
  void fill(const std::string& name = "trades") const {
    std::string csv = "ts,seen,price\n";
    for (int i = 0; i < 20; ++i) csv += concat(1'357'034'400'000'000 + i * 1'000'000, ",", (1000 - i) * 1'000'000, ",", i, ".5\n");
    good({"import", name, file("rows.csv", csv), "--clock-unit", "us"});
  }
  static std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> out;
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      out.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    return out;
  }
};

TEST_F(FeedCommandTest, EveryVerbHasHelpWithExamplesAndItsExitCodes) {  // F-149, F-150
  const Ran group = run({"feed", "--help"});
  EXPECT_EQ(group.exit, 0);
  for (const char* verb : {"create", "list", "info", "inspect", "tail", "read", "write", "import", "export", "health", "delete"}) {
    EXPECT_THAT(group.out, HasSubstr(concat("\n  ", verb)));
    const Ran help = run({"feed", verb, "--help"});
    EXPECT_EQ(help.exit, 0);
    for (const std::string& part : {std::string("Examples:\n  "), std::string("Exit: 0"), std::string("--json")})
      EXPECT_THAT(help.out, HasSubstr(part)) << verb;
  }
}

TEST_F(FeedCommandTest, WhatCannotBeUnderstoodIsAUsageErrorThatSaysWhatToType) {  // F-149
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"feed", "lost"}, "did you mean feed list?"},
      {{"feed", "read", "x"}, "--base is required"},
      {{"feed", "read", "x", "--base", base(), "--format", "xml"}, "expected text, csv, jsonl, npy or raw"},
      {{"feed", "read", "x", "--base", base(), "--ts-fmt", "Mars/Olympus"}, "expected epoch, local, utc or a time zone"},
      {{"feed", "create", "x", "--base", base()}, "--field time_ns:uint64"},
      {{"feed", "create", "x", "--base", base(), "--field", "ts"}, "expected NAME:TYPE"},
      {{"feed", "create", "z", "--base", base(), "--field", "ts:uint64", "--field", "a:foo"}, "foo"},
      {{"feed", "delete", "x", "--base", base()}, "--yes"},
      {{"feed", "import", "x", "a.parquet", "--base", base()}, "--format is missing"}};
  create("y");
  create("x");
  for (const auto& [args, part] : cases) {
    const Ran ran = run(args);
    EXPECT_EQ(ran.exit, 2) << part;
    EXPECT_THAT(ran.err, HasSubstr(part));
    EXPECT_EQ(ran.out, "");
  }
}

TEST_F(FeedCommandTest, ReadingCommandsOnNothingSayThatNothingIsThereAndMakeNothing) {  // F-1, F-150, G-5, G-6
  for (const auto& args : std::vector<std::vector<std::string>>{{"list"},
                                                                {"info", "x"},
                                                                {"read", "x"},
                                                                {"tail", "x"},
                                                                {"write", "x"},
                                                                {"export", "x", directory_ / "out.csv"},
                                                                {"health"},
                                                                {"delete", "x", "--yes"}}) {
    std::vector<std::string> with_json = args;
    with_json.push_back("--json");
    const Ran ran = feed(with_json);
    EXPECT_EQ(ran.exit, args[0] == "health" ? 2 : 1) << args[0];
    if (args[0] == "health") continue;  // a check that could not be made is its result
    EXPECT_EQ(ran.json()["error"]["fault"], "BASE_NOT_FOUND") << args[0];
  }
  EXPECT_FALSE(std::filesystem::exists(base()));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "out.csv"));
  create();
  const Ran missing = feed({"read", "other", "--json"});
  EXPECT_EQ(missing.json()["error"]["fault"], "FEED_NOT_FOUND");
  EXPECT_THAT(missing.err, HasSubstr("there are: trades"));
}

TEST_F(FeedCommandTest, CreateIsIdempotentAndTellsAConflictFieldByField) {  // F-6, F-19
  create();
  const std::vector<std::string> again = {
      "create",    "trades",   "--field", "ts:uint64:unit=us:domain=wall", "--field", "seen:u64:unit=s", "--field",
      "price:f64", "--clocks", "2"};
  EXPECT_EQ(good_json(again)["unchanged"], 1);
  for (const bool check : {false, true}) {
    std::vector<std::string> other = {"create",  "trades",  "--field", "ts:uint64:unit=us:domain=wall", "--field", "price:f32",
                                      "--field", "size:u8", "--json"};
    if (check) other.push_back("--check");
    const Ran ran = feed(other);
    EXPECT_EQ(ran.exit, 1);
    const json one = ran.json()["feeds"][0];
    EXPECT_EQ(one["status"], "conflict");
    EXPECT_EQ(one["fault"], "SCHEMA_CONFLICT");
    EXPECT_GE(one["differences"].size(), 3u);
    EXPECT_THAT(ran.err, HasSubstr("clocks: 2 here, 1 there"));
  }
}

TEST_F(FeedCommandTest, CheckSaysWhatWouldHappenAndMakesNothing) {  // F-6, F-7, G-5
  const json report = good_json({"create", "x", "--field", "t:u64", "--check"});
  EXPECT_EQ(report["feeds"][0]["status"], "would create");
  EXPECT_FALSE(std::filesystem::exists(base()));
  EXPECT_EQ(feed({"create", "x", "--field", "t:u64", "--chunk-size", "1", "--check"}).exit, 2);
}

TEST(FeedDefinitionTest, KnowsUpstreamsKeysWithTheirDefaults) {  // F-19, F-20
  const auto one = [](const std::string& more) {
    return parse_definitions(
               R"({"feed_name": "x", "fields": [["t", "uint64"], {"name": "v", "type": "f32", "description": "volts"}])" + more +
                   "}",
               "x.json")
        .at(0);
  };
  const FeedDefinition plain = one("");
  EXPECT_EQ(plain.options, feed::FeedOptions{});
  EXPECT_EQ(plain.schema.fields()[1].description, "volts");
  EXPECT_EQ(plain.options.chunk_bytes, uint64_t{64} << 20);
  EXPECT_TRUE(plain.options.segments && plain.options.prefault);
  EXPECT_EQ(one(R"(, "mode": "UF", "persist": false)").options.storage, feed::Storage::kMemory);
  EXPECT_EQ(one(R"(, "storage": "chunk")").options.storage, feed::Storage::kDurable);
  EXPECT_EQ(one(R"(, "uses_ring": false)").options.storage, feed::Storage::kDurable);
  EXPECT_EQ(one(R"(, "storage": "ring", "persist": true)").options.storage, feed::Storage::kTiered);
  EXPECT_EQ(one(R"(, "storage": "memory")").options.storage, feed::Storage::kMemory);
  const FeedDefinition sized = one(
      R"(, "chunk_size_mb": 8, "ring_size_mb": 64, "retention_hours": 1.5, "max_chunk_age_s": 60, "sync": "none", "segment_tracking": false, "prefault_ring": false, "retention_bytes": 7)");
  EXPECT_EQ(sized.options.chunk_bytes, uint64_t{8} << 20);
  EXPECT_EQ(sized.options.live_chunks, 8u);
  EXPECT_EQ(sized.options.retention_ns, 5'400 * kNsPerSecond);
  EXPECT_EQ(sized.options.chunk_age_ns, 60 * kNsPerSecond);
  EXPECT_EQ(sized.options.sync, feed::SyncMode::kNone);
  EXPECT_EQ(sized.options.retention_bytes, 7u);
  EXPECT_FALSE(sized.options.segments || sized.options.prefault);
  const FeedDefinition memory = one(R"(, "huge_pages": true, "lock_memory": true, "file_mode": "0600", "shm_mode": "0644")");  // F-69, F-154
  EXPECT_TRUE(memory.options.huge_pages && memory.options.lock_memory);
  EXPECT_EQ(memory.options.file_mode, 0600u);
  EXPECT_EQ(memory.options.shm_mode, 0644u);
  EXPECT_THROW(one(R"(, "file_mode": "rw-r-----")"), Error);
  EXPECT_EQ(one(R"(, "chunk_size_bytes": 65536, "live_chunks": 3)").options.live_chunks, 3u);
  const FeedDefinition aligned =
      parse_definitions(
          R"({"feed_name": "x", "aligned": true, "clock_level": 2, "fields": [["t", "u64"], {"name": "u", "type": "u64", "unit": "ms", "order": "strict"}, ["a", "u8"], ["_", "_3"], ["b", "i32"]]})",
          "x")
          .at(0);
  EXPECT_EQ(aligned.schema.clock(1).unit, feed::ClockUnit::kMs);
  EXPECT_EQ(aligned.schema.clock(1).order, feed::ClockOrder::kStrict);
  EXPECT_EQ(aligned.schema.field("b")->offset, 20u);
  EXPECT_EQ(
      parse_definitions(R"({"feeds": [{"feed_name": "a", "fields": [["t", "u64"]]}, {"feed_name": "b", "mode": "frames"}]})", "x")
          .size(),
      2u);
  EXPECT_EQ(parse_definitions(R"([{"feed_name": "a", "fields": [["t", "u64"]]}])", "x").size(), 1u);
}

TEST(FeedDefinitionTest, RefusesWhatMakesNoSenseNamingTheFeedAndTheKey) {  // F-13, F-14, F-15, F-19, F-20
  const std::pair<const char*, const char*> cases[] = {
      {R"({"feed_name": "x", "fields": [["t", "u64"]], "chunk_sise_mb": 1})", "feed x: chunk_sise_mb: no such key"},
      {R"({"feed_name": "x", "fields": [["t", "u64"]], "storage": "ring", "uses_ring": false})", "contradicts uses_ring"},
      {R"({"feed_name": "x", "fields": [["t", "u64"]], "storage": "memory", "persist": true})", "contradicts persist"},
      {R"({"feed_name": "x", "fields": [["t", "u64"]], "persist": false, "storage": "chunk"})", "would hold nothing"},
      {R"({"feed_name": "x", "fields": [["t", "u64"]], "storage": "tape"})", "expected tiered, durable or memory"},
      {R"({"feed_name": "x", "fields": [["t", "u64"]], "live_chunks": 1})", "INVALID_SIZE"},
      {R"({"feed_name": "x", "fields": [["t", "u64"]], "chunk_size_bytes": 4096, "chunk_size_mb": 1})",
       "contradicts chunk_size_mb"},
      {R"({"feed_name": "x", "fields": [["t", "u64"], ["v", "bytes8000000"]]})", "too small for 16 records"},
      {R"({"feed_name": "x", "fields": [["t", "u32"]]})", "must be uint64"},
      {R"({"feed_name": "x", "fields": [["t", "u64"], ["t", "u8"]]})", "two fields are called 't'"},
      {R"({"feed_name": "x", "fields": [["t", "u64"], ["v", "u7"]]})", "unknown type 'u7'"},
      {R"({"feed_name": "x", "fields": [["t", "u64"], {"name": "v", "type": "u8", "unit": "ms"}]})", "is no clock"},
      {R"({"feed_name": "x", "fields": [["t", "u64"]], "clock_level": 2})", "fewer fields (1) than clocks (2)"},
      {R"({"feed_name": "x", "fields": [["t", "u64"]], "retention_hours": -1})", "retention_hours: expected a number"},
      {R"({"feed_name": "../x", "fields": [["t", "u64"]]})", "INVALID_NAME"},
      {R"({"fields": [["t", "u64"]]})", "definition 1: feed_name: is missing"},
      {R"({"feed_name": "x"})", "fields: is missing"},
      {R"([{"feed_name": "x", "fields": [["t", "u64"]]}, {"feed_name": "x", "fields": [["t", "u64"]]}])", "defined twice"},
      {R"({"feeds": [], "other": 1})", "nothing else"},
      {R"({"feed_name": )", "not JSON"}};
  for (const auto& [text, part] : cases) {
    try {
      parse_definitions(text, "d.json");
      ADD_FAILURE() << "taken: " << text;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(part));
      EXPECT_THAT(error.what(), HasSubstr("d.json"));
    }
  }
}

TEST_F(FeedCommandTest, ADefinitionMakesTheSameFeedAgain) {  // F-19
  create();
  const std::string text = good({"info", "trades", "--definition"}).out;
  good({"delete", "trades", "--yes"});
  EXPECT_EQ(good_json({"create", "--config", file("d.json", text)})["created"], 1);
  EXPECT_EQ(good({"info", "trades", "--definition"}).out, text);
}

TEST_F(FeedCommandTest, RangesByEachClockNumberOrCountAreHalfOpen) {  // F-36, F-74, F-98, F-99
  create();
  fill();
  const auto prices = [&](std::vector<std::string> args) {
    args.insert(args.begin(), {"read", "trades", "--format", "csv", "--no-header", "--columns", "price"});
    return lines_of(feed(args).out);
  };
  using Lines = std::vector<std::string>;
  EXPECT_EQ(prices({"--from", "2013-01-01T10:00:03Z", "--to", "2013-01-01T10:00:05Z"}), (Lines{"3.5", "4.5"}));
  EXPECT_EQ(prices({"--from", "1357034403s", "--to", "1357034404000001us"}), (Lines{"3.5", "4.5"}));
  EXPECT_EQ(prices({"--from", "1357034418000000"}), (Lines{"18.5", "19.5"}));
  EXPECT_EQ(prices({"--clock", "seen", "--from", "998", "--to", "1000"}), (Lines{"1.5", "2.5"}));
  EXPECT_EQ(prices({"--from-seq", "5", "--to-seq", "7"}), (Lines{"5.5", "6.5"}));
  EXPECT_EQ(prices({"--last", "1"}), (Lines{"19.5"}));
  EXPECT_EQ(prices({"--from-seq", "5", "--limit", "1"}), (Lines{"5.5"}));
  EXPECT_EQ(feed({"read", "trades", "--from", "2", "--to", "1"}).exit, 3);
  EXPECT_EQ(feed({"read", "trades", "--from", "-5"}).exit, 2);
  EXPECT_EQ(feed({"read", "trades", "--from", "1", "--last", "1"}).exit, 2);
  EXPECT_THAT(feed({"read", "trades", "--clock", "when", "--from", "1"}).err, HasSubstr("the clocks are ts, seen"));
  EXPECT_THAT(feed({"read", "trades", "--from-seq", "21", "--json"}).json()["error"]["fault"], "OUT_OF_RANGE");
  EXPECT_EQ(good({"read", "trades", "--count"}).out, "20\n");
  const Ran lines = good({"read", "trades", "--last", "2", "--ts-fmt", "utc", "--json"});
  EXPECT_EQ(json::parse(lines_of(lines.out)[0]),
            json::parse(R"({"seq": 18, "ts": "2013-01-01T10:00:18Z", "seen": "1970-01-01T00:16:22Z", "price": 18.5})"));
  EXPECT_EQ(lines.json(), json::parse(R"({"records": 2, "first_seq": 18, "end_seq": 20, "interrupted": false, "gaps": []})"));
}

TEST(TimeFormatTest, ReadsAndWritesTimesAsPeopleDo) {  // F-15, F-98, F-149
  const WithEnvironment zone("TZ", "UTC");
  const feed::Clock wall_us{feed::ClockUnit::kUs, feed::ClockOrder::kLoose, feed::ClockDomain::kWall},
      monotonic{feed::ClockUnit::kNs, feed::ClockOrder::kLoose, feed::ClockDomain::kMonotonic};
  const TimeFormat utc = TimeFormat::parse("utc");
  EXPECT_EQ(utc.parse_time("2013-01-01", wall_us, "--from"), 1'356'998'400'000'000u);
  EXPECT_EQ(utc.parse_time("1500ns", wall_us, "--from"), 2u);  // rounded up: what is at 1 us lies before it
  EXPECT_EQ(utc.parse_time("1.5ms", wall_us, "--from"), 1500u);
  EXPECT_EQ(utc.parse_time("18446744073709551615", wall_us, "--from"), ~uint64_t{0});
  const uint64_t now_us = realtime_ns() / 1000;
  EXPECT_GE(utc.parse_time("now-1h", wall_us, "--from"), now_us - 3'600'000'000);
  EXPECT_LT(utc.parse_time("now-1h", wall_us, "--from"), now_us - 3'500'000'000);
  EXPECT_EQ(utc.parse_time("10:42", wall_us, "--from") % 86'400'000'000, 38'520'000'000u);
  for (const char* bad : {"-1", "soon", "now-", "now-x", "99999999999999999999", "1e5", "2013-02-30", ""})
    EXPECT_THROW(utc.parse_time(bad, wall_us, "--from"), UsageError) << bad;
  EXPECT_THROW(utc.parse_time("2013-01-01", monotonic, "--from"), UsageError);
  EXPECT_EQ(utc.text(1'357'034'400'500'000, wall_us), "2013-01-01T10:00:00.5Z");
  EXPECT_EQ(utc.text(5, monotonic), "5");
  EXPECT_EQ(TimeFormat().text(5, wall_us), "5");
  EXPECT_EQ(parse_duration_ns("1.5h", "--for"), 5'400 * kNsPerSecond);
  EXPECT_THROW(parse_duration_ns("soon", "--for"), UsageError);
  if (!std::filesystem::exists("/usr/share/zoneinfo/America/New_York")) GTEST_SKIP() << "no time zone database here";
  const TimeFormat new_york = TimeFormat::parse("America/New_York");
  EXPECT_EQ(new_york.text(1'357'034'400'000'000, wall_us), "2013-01-01T05:00:00-05:00");
  EXPECT_EQ(new_york.parse_time("2013-07-01T05:00", wall_us, "--from"), 1'372'669'200'000'000u);
}

TEST_F(FeedCommandTest, WriteTakesRowsFromAPipeAsTheyComeAndTailShowsThem) {  // F-46, F-82, F-149, F-152
  create();
  const Process tail(words({"tail", "trades", "--follow", "--format", "csv", "--columns", "seen,price", "--count", "3"}));
  Process writer(words({"write", "trades", "--clock-unit", "us", "--json"}), {}, true);
  writer.write_stdin("ts,seen,price\n1,1,1.5\n");
  ASSERT_TRUE(eventually([&] { return tail.has_printed("\n0,1.5\n"); })) << tail.err() << writer.err();  // 1 us is 0 s
  writer.write_stdin("2,2000000,2.5\nno time,1,1\n3,3");
  ASSERT_TRUE(eventually([&] { return tail.has_printed("2,2.5\n"); }));
  writer.write_stdin("000000,3.5\n");
  writer.close_stdin();
  const Ran wrote = writer.wait();
  EXPECT_EQ(wrote.exit, 4);  // a row was refused
  EXPECT_EQ(wrote.json()["records"], 3);
  EXPECT_EQ(wrote.json()["rejects"][0]["place"], 4);
  EXPECT_TRUE(eventually([&] { return tail.has_printed("3,3.5\n"); }));
}

TEST_F(FeedCommandTest, SignalsEndWriteAndTailInOrder) {  // F-149, F-54
  create();
  Process writer(words({"write", "trades", "--clock-unit", "us", "--json"}), {}, true);
  writer.write_stdin("ts,seen,price\n1,1,1.5\n");
  ASSERT_TRUE(eventually([&] { return good_json({"info", "trades"})["records"] == 1; }));
  EXPECT_EQ(good_json({"info", "trades"})["state"], "active");
  const Ran busy = feed({"delete", "trades", "--yes", "--json"});
  EXPECT_EQ(busy.exit, 1);
  EXPECT_EQ(busy.json()["error"]["fault"], "WRITER_BUSY");
  Process tail(words({"tail", "trades", "--follow", "--oldest", "--json"}));
  ASSERT_TRUE(tail.wait_for_out("\"price\":1.5"));
  const Ran tailed = tail.end(SIGINT);
  EXPECT_EQ(tailed.exit, 0);
  EXPECT_EQ(tailed.json()["records"], 1);
  EXPECT_EQ(writer.end(SIGINT).json()["records"], 1);
  const json info = good_json({"info", "trades"});
  EXPECT_EQ(info["state"], "closed");
  EXPECT_EQ(info["durable_seq"], 1);
}

TEST_F(FeedCommandTest, TailGoesOnFromItsCheckpoint) {  // F-85
  const WithEnvironment state("XDG_STATE_HOME", directory_.path().c_str());
  create();
  fill();
  EXPECT_EQ(
      lines_of(
          good({"tail", "trades", "--format", "csv", "--no-header", "--columns", "price", "-n", "2", "--checkpoint", "night"}).out)
          .size(),
      2u);
  EXPECT_EQ(feed({"tail", "trades", "--checkpoint", "night"}).exit, 3);
  fill();
  EXPECT_EQ(good_json({"tail", "trades", "--checkpoint", "night"})["records"], 20);
}

TEST_F(FeedCommandTest, ExportWritesOverNothingAndImportTakesItBack) {  // F-12, F-151, F-152
  create();
  fill();
  const std::string out = directory_ / "out.csv";
  EXPECT_EQ(good_json({"export", "trades", out})["records"], 20);
  EXPECT_EQ(feed({"export", "trades", out}).exit, 1);
  good({"export", "trades", out, "--force"});
  EXPECT_EQ(json::parse(read_file(out + ".meta.json"))["records"], 20);
  create("copy");
  EXPECT_EQ(good_json({"import", "copy", out, "--clock-unit", "us"})["records"], 20);
  EXPECT_EQ(feed({"read", "copy", "--from-seq", "0", "--format", "raw"}).out.size(), 20u * 24);
  for (const bool check : {false, true}) {
    std::vector<std::string> words{"import", "copy", out, "--clock", "price", "--json"};
    if (check) words.push_back("--check");
    const Ran other_clock = feed(words);
    EXPECT_EQ(other_clock.exit, 1);
    EXPECT_EQ(other_clock.json()["error"]["fault"], "SCHEMA_CONFLICT");
    EXPECT_THAT(other_clock.err, HasSubstr("its clocks are ts, seen"));
  }
  EXPECT_EQ(good_json({"import", "copy", out, "--clock-unit", "us", "--check"})["exists"], true);
  const json check = good_json({"import", "new", out, "--clock", "ts", "--check"});
  EXPECT_EQ(check["exists"], false);
  EXPECT_EQ(feed({"info", "new"}).exit, 1);
  EXPECT_EQ(good_json({"import", "new", out, "--clock", "ts", "--chunk-size", "64KiB", "--shm-root", directory_.path()})["created"],
            true);
}

TEST_F(FeedCommandTest, DamageIsSaidBeforeAnythingIsPrintedOrSkippedWhenAsked) {  // F-104, F-150
  create("trades", "4096");
  fill();
  fill();
  const json info = good_json({"info", "trades", "--chunks"});
  ASSERT_EQ(info["records"], 40);
  char name[40];
  std::snprintf(name, sizeof name, "%016llx.data", info["chunks"][0]["ordinal"].get<unsigned long long>());
  std::filesystem::remove(info["directory"].get<std::string>() + "/" + name);
  const Ran ran = feed({"read", "trades", "--format", "csv"});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, HasSubstr("DAMAGED: records 0 to 20"));
  const Ran skipped = feed({"read", "trades", "--skip-damaged", "--json"});
  EXPECT_EQ(skipped.exit, 0);
  EXPECT_EQ(skipped.json()["records"], 20);
  EXPECT_EQ(skipped.json()["gaps"][0]["to"], 20);
  EXPECT_EQ(feed({"export", "trades", directory_ / "x.csv"}).exit, 1);
  EXPECT_FALSE(std::filesystem::exists(directory_ / "x.csv"));
  const json health = feed({"health", "--json", "--min-free-gb", "0", "--min-free-shm-gb", "0"}).json();
  EXPECT_EQ(health["health"], "unhealthy");
}

TEST_F(FeedCommandTest, HealthHasItsOwnExitCodes) {  // F-136
  create();
  fill();
  const std::vector<std::string> roomy = {"--min-free-gb", "0", "--min-free-shm-gb", "0"};
  const auto health = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"health", "--json"});
    more.insert(more.end(), roomy.begin(), roomy.end());
    return feed(more);
  };
  EXPECT_EQ(health({}).exit, 0);
  EXPECT_EQ(health({"--max-age-seconds", "60"}).exit, 1);  // of 2013
  EXPECT_EQ(health({"nothing"}).exit, 1);
  EXPECT_EQ(feed({"health", "--min-free-gb", "1e9"}).exit, 1);
  EXPECT_EQ(run({"feed", "health", "--base", directory_ / "nowhere"}).exit, 2);  // its space cannot be asked for
}

TEST_F(FeedCommandTest, InspectShowsEveryKindOfFileAndTellsDamage) {  // F-149
  create();
  fill();
  const std::string feed_directory = good_json({"info", "trades"})["directory"];
  std::vector<std::string> args = {"feed", "inspect", base() + "/registry.bin", "--verify", "--json"};
  std::string chunk;
  for (const auto& entry : std::filesystem::directory_iterator(feed_directory)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".data")) chunk = entry.path();
    if (name.ends_with(".bin") || name.ends_with(".data") || name.ends_with(".idx")) args.push_back(entry.path());
  }
  const Ran ran = run(args);
  EXPECT_EQ(ran.exit, 0) << ran.out;
  std::vector<std::string> kinds;
  const json report = ran.json();
  for (const json& one : report["files"]) {
    kinds.push_back(one["kind"]);
    if (one["kind"] == "chunk") {
      EXPECT_EQ(one["footer"]["count"], 20);
      EXPECT_EQ(one["verified_records"], 20);
      EXPECT_EQ(one["schema"]["fields"].size(), 3u);
    }
    if (one["kind"] == "index") {
      EXPECT_EQ(one["entries"][0]["count"], 20);
    }
    if (one["kind"] == "registry of a base") {
      EXPECT_EQ(one["entries"][0]["feed"], "trades");
    }
    if (one["kind"] == "registry of a feed") {
      EXPECT_EQ(one["entries"][0]["type"], "epoch opened");
    }
  }
  EXPECT_THAT(kinds, testing::UnorderedElementsAre("registry of a base", "registry of a feed", "definition", "chunk", "index", "schema"));
  // A flipped bit of the data, and a file that is none.
  std::string bytes = read_file(chunk);
  const uint64_t data_offset = feed::ChunkHeader::decode(std::as_bytes(std::span(bytes)).first(4096), chunk).data_offset;
  bytes[data_offset + 9] = static_cast<char>(bytes[data_offset + 9] ^ 1);
  const std::string damaged = file("damaged.data", bytes);
  const Ran told = run({"feed", "inspect", damaged, file("x", "hello"), "--verify", "--json"});
  EXPECT_EQ(told.exit, 4);
  EXPECT_FALSE(told.json()["files"][0]["damage"].empty()) << told.out;
  EXPECT_EQ(told.json()["files"][1]["kind"], "unknown");
  EXPECT_EQ(run({"feed", "inspect", directory_ / "nothing"}).exit, 1);
}

TEST_F(FeedCommandTest, DeleteForgetsAFeedAndMissingOnesAreToldOrFine) {  // F-11, F-149
  create("a");
  create("b");
  EXPECT_EQ(good_json({"delete", "a", "--yes"})["deleted"], json::parse(R"(["a"])"));
  EXPECT_EQ(feed({"delete", "a", "--yes"}).exit, 1);
  const json both = good_json({"delete", "a", "b", "--yes", "--missing-ok"});
  EXPECT_EQ(both["deleted"], json::parse(R"(["b"])"));
  EXPECT_EQ(both["missing"], json::parse(R"(["a"])"));
  EXPECT_EQ(feed({"delete", "../b", "--yes", "--json"}).json()["error"]["fault"], "INVALID_NAME");
  EXPECT_EQ(good_json({"list"})["feeds"].size(), 0u);
}

}  // namespace
}  // namespace tidepool::cli
