// tidepool feed segments and datasets, run in the test's own process on feeds that the library wrote.

#include "tidepool/cli/test_command.h"
#include "tidepool/feed/writer.h"

namespace tidepool::cli {
namespace {

using test::run;

struct Tick {
  uint64_t time_ns;
  uint64_t value;
};

class FeedDataVerbs : public ::testing::Test {
 protected:
  std::string base(const std::string& name = "base") const { return root / name; }
  void capture(const std::string& at_base, const std::string& name, const std::vector<std::pair<uint64_t, uint64_t>>& spans) const {
    auto schema = feed::schema_of<Tick>({{"time_ns", &Tick::time_ns}, {"value", &Tick::value}});
    schema.set_clock(0, {.domain = feed::ClockDomain::kWall});
    feed::FeedOptions options;
    options.chunk_bytes = 65536;
    options.shm_root = root.path();
    auto writer = feed::FeedWriter::create(at_base, name, schema, options);
    for (const auto& [from, to] : spans) {
      for (uint64_t time = from; time < to; ++time) ASSERT_TRUE(writer.append(Tick{time, time}));
      writer.mark_segment_boundary("disconnected");
    }
  }
  test::TemporaryDirectory root;
};

TEST_F(FeedDataVerbs, SegmentsAreListedWithTheRangeToRead) {  // F-111, F-112, F-115, F-149
  capture(base(), "trades", {{100, 200}, {250, 400}});
  const auto ran = run({"feed", "segments", "trades", "--base", base(), "--suggest-range", "--json"});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  const auto json = ran.json();
  ASSERT_EQ(json["segments"].size(), 2u);
  EXPECT_EQ(json["segments"][0]["status"], "closed");
  EXPECT_EQ(json["segments"][0]["reason"], "disconnected");
  EXPECT_EQ(json["segments"][1]["records"], 150);
  EXPECT_EQ(json["segments"][1]["clocks"][0]["max"], 399);
  EXPECT_EQ(json["suggested_range"]["from"], 100);
  EXPECT_EQ(json["suggested_range"]["to"], 400);
  EXPECT_EQ(json["suggested_range"]["gaps"][0]["from"], 200);
  const auto text = run({"feed", "segments", "trades", "--base", base(), "--ts-fmt", "utc", "--suggest-range"});
  EXPECT_NE(text.out.find("1970-01-01T00:00:00.0000001Z"), std::string::npos) << text.out;
  EXPECT_EQ(run({"feed", "segments", "trades", "--base", base(), "--status", "broken", "--suggest-range"}).exit, 3);
  EXPECT_EQ(run({"feed", "segments", "trades", "--base", base(), "--status", "good"}).exit, 2);
  EXPECT_EQ(run({"feed", "segments", "trades", "--base", base(), "--ts-fmt", "Mars"}).exit, 2);
  EXPECT_EQ(run({"feed", "segments", "quotes", "--base", base()}).exit, 1);
}

TEST_F(FeedDataVerbs, DatasetsAreFoundWrittenAndFoundAgain) {  // F-116, F-117, F-118, F-149, F-150
  capture(base("one"), "trades", {{100, 200}, {250, 400}});
  capture(base("two"), "quotes", {{150, 390}});
  const std::string file = root / "windows.json";
  const std::vector<std::string> sources = {"--source", "a=" + base("one"), "--source", "b=" + base("two")};
  auto command = std::vector<std::string>{"feed", "datasets",    "a:trades", "b:quotes@time_ns", "--out",
                                          file,   "--checksums", "--json",   "--folds",          "2"};
  command.insert(command.end(), sources.begin(), sources.end());
  const auto ran = run(command);
  ASSERT_EQ(ran.exit, 0) << ran.err;
  const auto json = ran.json();
  EXPECT_EQ(json["format_version"], 1);
  EXPECT_EQ(json["mode"], "multi_source");
  EXPECT_EQ(json["sources"]["a"], base("one"));
  ASSERT_EQ(json["intervals"].size(), 2u);
  EXPECT_EQ(json["intervals"][0]["start_ns"], 150);
  EXPECT_EQ(json["intervals"][0]["end_ns"], 200);
  EXPECT_EQ(json["intervals"][1]["content"][1]["records"], 140);
  EXPECT_EQ(json["recommended"]["train"][0]["end_ns"], 250 + 112);
  EXPECT_EQ(json["recommended"]["validation"]["start_ns"], 250 + 112);
  EXPECT_EQ(json["folds"].size(), 2u);
  const auto written = nlohmann::json::parse(test::read_file(file));
  EXPECT_EQ(written["intervals"], json["intervals"]);

  const auto same = run({"feed", "datasets", "--verify", file, "--json"});
  EXPECT_EQ(same.exit, 0) << same.err;
  EXPECT_TRUE(same.json()["same"]);
  ASSERT_EQ(::unlink((base("two") + "/feeds/quotes/" + feed::chunk_name(1)).c_str()), 0);
  const auto other = run({"feed", "datasets", "--verify", file, "--json"});
  EXPECT_EQ(other.exit, 4) << other.out << other.err;
  EXPECT_FALSE(other.json()["differences"].empty());
}

TEST_F(FeedDataVerbs, DatasetsThatCannotBeAreRefused) {  // F-116, F-117, F-118
  capture(base(), "a", {{0, 10}});
  capture(base(), "b", {{20, 30}});
  EXPECT_EQ(run({"feed", "datasets", "a", "b", "--base", base()}).exit, 3) << "no time in common";
  EXPECT_EQ(run({"feed", "datasets", "a", "--base", base(), "--train-ratio", "1.5"}).exit, 2);
  EXPECT_EQ(run({"feed", "datasets", "x:a", "--base", base()}).exit, 2);
  EXPECT_EQ(run({"feed", "datasets", "--base", base()}).exit, 2);
  EXPECT_EQ(run({"feed", "datasets", "a", "c", "--base", base()}).exit, 1);
  const std::string file = root / "no.json";
  EXPECT_EQ(run({"feed", "datasets", "--verify", file}).exit, 1);
  test::write_file(file, "{\"format_version\": 7}");
  EXPECT_NE(run({"feed", "datasets", "--verify", file}).err.find("format_version 7"), std::string::npos);
  test::write_file(file, "{\"format_version\": 1, \"base_path\": 3}");
  EXPECT_NE(run({"feed", "datasets", "--verify", file}).err.find("is no manifest"), std::string::npos);
}

}  // namespace
}  // namespace tidepool::cli
