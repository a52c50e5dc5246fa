// tidepool feed read beyond ranges: conditions, backwards, every Nth, the latest, paced; and what it is called.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>

#include "tidepool/cli/test_lab.h"
#include "tidepool/feed/writer.h"

namespace tidepool::cli::read_verb_test {
namespace {

using namespace test;
using nlohmann::json;
using testing::HasSubstr;

struct Tick {
  uint64_t time_ns;
  uint64_t number;
  uint8_t side;
};

class FeedReadVerb : public ::testing::Test {
 protected:
  void SetUp() override { fill("ticks", 1000); }
  std::string base() const { return directory_ / "base"; }
  feed::FeedOptions options() const {
    feed::FeedOptions options;
    options.chunk_bytes = 64 * 1024;
    options.shm_root = directory_.path();
    return options;
  }
  // 10 ms apart from one second on.
  void fill(const std::string& name, uint64_t rows) const {
    const feed::Schema schema = feed::Schema::rows({{"time_ns", "uint64"}, {"number", "uint64"}, {"side", "uint8{buy=1,sell=2}"}});
    auto writer = feed::FeedWriter::create(base(), name, schema, options());
    std::vector<std::byte> row(schema.record_bytes());
    for (uint64_t number = 0; number < rows; ++number) {
      store(row.data(), 1'000'000'000 + number * 10'000'000);
      store(row.data() + 8, number);
      store(row.data() + 16, static_cast<uint8_t>(1 + number % 2));
      ASSERT_TRUE(writer.append(Bytes(row)));
    }
  }
  Ran feed(std::vector<std::string> args) const {
    args.insert(args.begin(), "feed");
    args.insert(args.end(), {"--base", base()});
    return run(args);
  }
  // The numbers that `feed range` prints.
  std::vector<uint64_t> numbers(std::vector<std::string> args) const {
    args.insert(args.begin(), {"range", "ticks", "--format", "csv", "--no-header", "--columns", "number"});
    const Ran ran = feed(args);
    EXPECT_TRUE(ran.exit == 0 || ran.exit == 3) << ran.err;
    std::vector<uint64_t> out;
    for (size_t at = 0; at < ran.out.size(); at = ran.out.find('\n', at) + 1)
      out.push_back(std::strtoull(ran.out.c_str() + at, nullptr, 10));
    return out;
  }
  WithEnvironment log_{"TIDEPOOL_LOG", "error"}, feeds_{"TIDEPOOL_FEEDS", nullptr};
  TemporaryDirectory directory_;
};
using Numbers = std::vector<uint64_t>;

TEST_F(FeedReadVerb, RangeIsAnotherNameOfRead) {  // F-149
  const Ran range = feed({"range", "ticks", "--from", "2s", "--to", "2050ms"});
  EXPECT_EQ(range.exit, 0) << range.err;
  EXPECT_EQ(range.out, feed({"read", "ticks", "--from", "2s", "--to", "2050ms"}).out);
  EXPECT_EQ(numbers({"--from", "2s", "--to", "2050ms"}), (Numbers{100, 101, 102, 103, 104}));
  const Ran help = run({"feed", "range", "--help"});
  EXPECT_EQ(help.exit, 0);
  for (const char* flag : {"--reverse", "--every", "--where", "--pace", "--window", "--latest", "feed range"})
    EXPECT_THAT(help.out, HasSubstr(flag));
}

TEST_F(FeedReadVerb, ByConditionsBackwardsAndEveryNth) {  // F-103, F-16
  EXPECT_EQ(numbers({"--reverse", "--limit", "3"}), (Numbers{999, 998, 997}));
  EXPECT_EQ(numbers({"--every", "300"}), (Numbers{0, 300, 600, 900}));
  EXPECT_EQ(numbers({"--every", "2500ms", "--reverse"}), (Numbers{999, 749, 499, 249}));
  EXPECT_EQ(numbers({"--where", "number > 10", "--where", "side = sell", "--limit", "2"}), (Numbers{11, 13}));
  EXPECT_EQ(numbers({"--from", "2s", "--where", "side=buy", "--every", "400"}), (Numbers{100, 900}));
  EXPECT_EQ(numbers({"--where", "number > 5000"}), Numbers());
  EXPECT_EQ(feed({"read", "ticks", "--where", "number >= 990", "--count"}).out, "10\n");
  const json summary = feed({"read", "ticks", "--where", "time_ns = 2000000000", "--json"}).json();
  EXPECT_EQ(summary["records"], 1);
  EXPECT_EQ(summary["first_seq"], 100);
  EXPECT_EQ(summary["end_seq"], 101);
  EXPECT_EQ(summary["examined"], 1000) << "one block of 64 KiB holds them all";
  // .npy says its length first.
  const Ran npy = feed({"read", "ticks", "--where", "number < 7", "--reverse", "--format", "npy", "--columns", "number"});
  EXPECT_EQ(npy.exit, 0);
  EXPECT_THAT(npy.out, HasSubstr("(7,)"));
  for (const auto& [args, part] :
       std::vector<std::pair<std::vector<std::string>, const char*>>{{{"--where", "number"}, "is no condition"},
                                                                     {{"--where", "size > 1"}, "there is no field 'size'"},
                                                                     {{"--every", "0"}, "expected 1 or more"},
                                                                     {{"--every", "often"}, "--every"},
                                                                     {{"--pace", "-1"}, "--pace"}}) {
    std::vector<std::string> words = {"read", "ticks"};
    words.insert(words.end(), args.begin(), args.end());
    const Ran ran = feed(words);
    EXPECT_EQ(ran.exit, 2) << part;
    EXPECT_THAT(ran.err, HasSubstr(part));
    EXPECT_EQ(ran.out, "");
  }
}

TEST_F(FeedReadVerb, TheLatestSeconds) {  // F-101
  EXPECT_EQ(numbers({"--latest", "30ms"}), (Numbers{996, 997, 998, 999}));
  EXPECT_EQ(numbers({"--latest", "1h"}).size(), 1000u);
  EXPECT_EQ(feed({"read", "ticks", "--latest", "1s", "--last", "1"}).exit, 2);
}

TEST_F(FeedReadVerb, PacedByWindowsThatEndWithALineOfTheirOwn) {  // F-103
  const Ran ran = feed({"read", "ticks", "--to-seq", "12", "--pace", "0", "--window", "50", "--format", "jsonl"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  std::vector<uint64_t> in_windows;
  uint64_t records = 0;
  for (size_t at = 0; at < ran.out.size(); at = ran.out.find('\n', at) + 1) {
    const json line = json::parse(ran.out.substr(at, ran.out.find('\n', at) - at));
    if (!line.contains("event")) {
      ++records;
      continue;
    }
    EXPECT_EQ(line["event"], "window");
    EXPECT_EQ(line["from_ns"], 1'000'000'000 + in_windows.size() * 50'000'000);
    EXPECT_EQ(line["to_ns"].get<uint64_t>() - line["from_ns"].get<uint64_t>(), 50'000'000u);
    in_windows.push_back(line["records"]);
  }
  EXPECT_EQ(records, 12u);
  EXPECT_EQ(in_windows, (Numbers{5, 5, 2}));
  // At a pace that a test can wait for it gives the same.
  EXPECT_EQ(feed({"read", "ticks", "--to-seq", "12", "--pace", "1000", "--window", "50", "--format", "jsonl"}).out, ran.out);
  EXPECT_EQ(numbers({"--to-seq", "12", "--pace", "1e6"}).size(), 12u);
}

TEST_F(FeedReadVerb, APaceHoldsRecordsBackUntilASignal) {  // F-103, F-149
  Process slow(
      {"feed", "read", "ticks", "--base", base(), "--format", "csv", "--columns", "number", "--pace", "0.00001", "--json"});
  Process csv({"feed", "read", "ticks", "--base", base(), "--format", "csv", "--columns", "number", "--pace", "0.00001"});
  ASSERT_TRUE(eventually([&] { return csv.has_printed("0\n"); })) << csv.err();
  EXPECT_FALSE(csv.has_printed("1\n")) << "due in a quarter of an hour";
  EXPECT_EQ(csv.end(SIGINT).exit, 1) << "not all of it";
  slow.end(SIGINT);
}

TEST_F(FeedReadVerb, ABrokenPipeIsAQuietExit) {  // F-149
  fill("many", 60'000);
  for (const char* more : {"", "--where 'number >= 0'", "--reverse"}) {
    const std::string errors = directory_ / "errors";
    const std::string command =
        concat("'", TIDEPOOL_BINARY, "' feed read many --base '", base(), "' ", more, " 2>'", errors, "' | head -n 2");
    std::FILE* pipe = ::popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    char text[256];
    int lines = 0;
    while (std::fgets(text, sizeof text, pipe) != nullptr) ++lines;
    EXPECT_EQ(::pclose(pipe), 0);
    EXPECT_EQ(lines, 2) << more;
    EXPECT_EQ(read_file(errors), "") << more;
  }
}

TEST_F(FeedReadVerb, RemoteTargetsAreRefusedByEveryVerb) {  // F-149, F-88, F-141
  for (const char* verb : {"list", "info", "read", "range", "tail", "segments", "verify", "repair", "prune"}) {
    for (const char* target : {"lab:/data", "dw://lab:7447/data"}) {
      std::vector<std::string> words = {"feed", verb, "--base", target};
      if (std::string(verb) != "list") words.insert(words.begin() + 2, "ticks");
      const Ran ran = run(words);
      EXPECT_EQ(ran.exit, 2) << verb << ": " << ran.err;
      EXPECT_THAT(ran.err, HasSubstr("is on another host")) << verb;
      EXPECT_EQ(ran.out, "") << verb;
    }
  }
}

TEST_F(FeedReadVerb, ListAndInfoCountTheSameChunks) {  // F-21
  {
    auto again = feed::FeedWriter::open(base(), "ticks");
  }  // leaves a chunk that nothing came into
  const json listed = feed({"list", "--json"}).json()["feeds"][0];
  const json info = feed({"info", "ticks", "--json"}).json();
  EXPECT_EQ(listed["chunks_readable"], info["chunks_readable"]);
  EXPECT_EQ(listed["chunk_count"], info["chunk_count"]);
  EXPECT_GT(info["chunk_count"].get<uint64_t>(), info["chunks_readable"].get<uint64_t>());
  EXPECT_THAT(feed({"info", "ticks"}).out,
              HasSubstr(concat("1 chunk of ", info["chunk_count"].get<uint64_t>(), " that there were")));
}

TEST_F(FeedReadVerb, PeopleSeeNamesOfValuesAndProgramsTheNumbers) {  // F-16
  EXPECT_THAT(feed({"read", "ticks", "--last", "2", "--columns", "number,side", "--format", "text", "--no-header"}).out,
              testing::AllOf(HasSubstr("998         buy"), HasSubstr("999        sell")));
  EXPECT_EQ(feed({"read", "ticks", "--last", "1", "--columns", "side", "--format", "csv", "--no-header"}).out, "2\n");
}

TEST_F(FeedReadVerb, ARangeOfNothingSaysWhatThereIs) {  // F-150
  const Ran ran = feed({"read", "ticks", "--where", "number > 5000"});
  EXPECT_EQ(ran.exit, 3);
  EXPECT_THAT(ran.err, HasSubstr("feed ticks has records 0 to 1000"));
  EXPECT_EQ(feed({"read", "ticks", "--from-seq", "5", "--to-seq", "5", "--quiet"}).err, "");
}

TEST_F(FeedReadVerb, RecordsThatExpiredAreNoDamage) {  // F-104, F-92, X-14
  fill("long", 12'000);
  EXPECT_EQ(feed({"prune", "long", "--max-chunks", "1", "--grace", "0"}).exit, 0);
  const Ran ran = feed({"read", "long", "--from-seq", "0", "--json"});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.json()["error"]["fault"], "GAP");
  EXPECT_THAT(ran.err, HasSubstr("are expired"));
  EXPECT_EQ(feed({"read", "long", "--from-seq", "0", "--skip-damaged", "--count"}).exit, 0);
}

TEST_F(FeedReadVerb, AFullDiskIsNoFaultOfTheProgram) {  // F-150
  for (const char* verb : {"health", "list", "info"}) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> full(std::fopen("/dev/full", "w"), std::fclose), err(std::tmpfile(), std::fclose);
    std::setvbuf(full.get(), nullptr, _IONBF, 0);
    const std::string at = base();
    const char* argv[] = {"tidepool", "feed", verb, "--base", at.c_str(), "ticks"};
    EXPECT_EQ(run_command(verb == std::string_view("list") ? 5 : 6, argv, full.get(), err.get()), 1) << verb;
    EXPECT_THAT(content_of(err.get()), testing::StartsWith("tidepool: cannot write the results: No space left")) << verb;
  }
}

TEST_F(FeedReadVerb, NamesOfValuesAreInTheDefinition) {  // F-16, F-19
  EXPECT_THAT(feed({"info", "ticks"}).out, HasSubstr("uint8{buy=1,sell=2}"));
  const std::string text = feed({"info", "ticks", "--definition"}).out;
  const std::string path = directory_ / "ticks.json";
  write_file(path, text);
  EXPECT_EQ(feed({"create", "--config", path}).exit, 0) << "unchanged";
  EXPECT_EQ(feed({"delete", "ticks", "--yes"}).exit, 0);
  EXPECT_EQ(feed({"create", "--config", path}).exit, 0);
  EXPECT_EQ(feed({"info", "ticks", "--definition"}).out, text);
}

}  // namespace
}  // namespace tidepool::cli::read_verb_test
