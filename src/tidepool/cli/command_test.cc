// The command line as scripts see it: exit codes, streams, one line for each error, one JSON object at the end.

#include "tidepool/cli/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "tidepool/cli/driver_settings.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/test_command.h"
#include "tidepool/cli/text.h"

namespace tidepool::cli::command_test {
namespace {

using namespace test;
using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

// Nothing of the developer's own environment reaches a test.
class CommandTest : public ::testing::Test {
 protected:
  TemporaryDirectory directory_;
  WithEnvironment log_{"TIDEPOOL_LOG", "error"}, aeron_{"AERON_DIR", nullptr}, client_{"CLIENT_AERON_DIR", nullptr}, driver_{"DRIVER_AERON_DIR", nullptr};
  std::string nowhere_ = directory_ / "aeron";
  std::string config_ = directory_ / "lab.toml";

  void write_config(const std::string& more = "") {
    write_file(config_, "[shm]\nbase_dir = \"" + directory_.path() +
                            "\"\n[profiles.small]\nheader_nslots = 8\npayload_pools = [{ pool_id = 1, stride_bytes = 4096 }]\n"
                            "[streams.cam1]\nstream_id = 10000\nprofile = \"small\"\n" +
                            more);
  }
};

// "tidepool: ..." and, if anything, indented lines: what a user reads and a script matches.
void expect_one_error(const Ran& ran) {
  EXPECT_THAT(ran.err, StartsWith("tidepool: "));
  size_t at = 0;
  for (size_t line = 0; at < ran.err.size(); ++line) {
    const size_t end = ran.err.find('\n', at);
    ASSERT_NE(end, std::string::npos) << "no newline at the end: " << ran.err;
    if (line > 0) {
      EXPECT_EQ(ran.err.substr(at, 2), "  ") << ran.err;
    }
    at = end + 1;
  }
}

TEST_F(CommandTest, WithoutAVerbShowsWhatThereIs) {
  const Ran ran = run({});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, AllOf(HasSubstr("publish"), HasSubstr("subscribe"), HasSubstr("doctor")));
}

TEST_F(CommandTest, EveryVerbHasHelpWithExamples) {  // issue 3, item 4
  EXPECT_EQ(run({"--help"}).exit, 0);
  for (const std::string verb : {"up", "driver", "supervisor", "media-driver", "discovery", "publish", "subscribe", "feed", "inspect", "streams", "leases", "listen", "gc", "config", "demo", "bench", "doctor", "version"}) {
    const Ran ran = run({verb, "--help"});
    EXPECT_EQ(ran.exit, 0) << verb;
    EXPECT_EQ(ran.err, "") << verb;
    EXPECT_THAT(ran.out, AllOf(HasSubstr("Examples:"), HasSubstr("tidepool " + verb), HasSubstr("--json"))) << verb;
    EXPECT_THAT(run({"--help"}).out, HasSubstr(verb));
  }
}

TEST_F(CommandTest, EveryCommandThatTalksAeronTakesEveryPlane) {  // issue 3 item 4, P-12
  for (const std::string verb : {"driver", "publish", "subscribe", "streams", "leases", "listen"}) {
    const std::string help = run({verb, "--help"}).out;
    EXPECT_THAT(help, HasSubstr("--aeron-dir"));
    for (const std::string plane : {"control", "announce", "descriptor", "qos", "metadata"}) {
      EXPECT_THAT(help, AllOf(HasSubstr("--" + plane + "-channel"), HasSubstr("--" + plane + "-stream"))) << verb;
    }
  }
}

TEST_F(CommandTest, ExitCode2IsForCommandLinesThatMakeNoSense) {  // rulings, command line
  const std::vector<std::vector<std::string>> lines = {
      {"publsh"},
      {"publish"},
      {"publish", "--pattern", "check", "--stdin"},
      {"publish", "--pattern", "plaid"},
      {"publish", "--pattern", "check", "--shape", "480x"},
      {"publish", "--pattern", "check", "--shape", "1,2,3,4,5,6,7,8,9"},
      {"publish", "--pattern", "check", "--shape", "65536,65536"},
      {"publish", "--pattern", "check", "--dtype", "u7"},
      {"publish", "--pattern", "mix", "--shape", "7"},
      {"publish", "--pattern", "check", "--rate", "-1"},
      {"publish", "--pattern", "check", "--frames", "0"},
      {"publish", "--pattern", "check", "--loop"},
      {"publish", "--pattern", "check", "--frames-along-first-axis"},
      {"publish", "--pattern", "check", "--control-stream", "0"},
      {"publish", "--pattern", "check", "--control-stream", "2147483648"},
      {"publish", "--pattern", "check", "--whatever"},
      {"publish", "--stdin", "--shape", "0,4"},
      {"publish", "--pattern", "check", "--pools", "4096"},
      {"publish", "--pattern", "check", "--no-driver", "--pools", "4096,x"},
      {"publish", "--pattern", "check", "--no-driver", "--pools", "4096,,64"},
      {"publish", "--pattern", "check", "--no-driver", "--pools", "32"},
      {"publish", "--pattern", "check", "--no-driver", "--slots", "0"},
      {"publish", "--pattern", "check", "--no-driver", "--clock", "sundial"},
      {"subscribe", "--follow", "leader"},
      {"subscribe", "--from", "oldest"},
      {"subscribe", "--verify", "ramp"},
      {"subscribe", "--for", "0"},
      {"subscribe", "--own-stream", "aeron:ipc"},
      {"subscribe", "--own-stream", "31001", "--follow", "ring"},
      {"subscribe", "--own-control", "32001"},
      {"subscribe", "--max-rate", "0"},
      {"subscribe", "--for", "nan"},
      {"publish", "--pattern", "check", "--rate", "nan"},
      {"subscribe", "--log", "loud"},
      {"inspect"},
      {"driver"},
      {"doctor", "extra"},
  };
  for (const auto& line : lines) {
    const Ran ran = run(line);
    EXPECT_EQ(ran.exit, 2) << testing::PrintToString(line) << "\n" << ran.err;
    EXPECT_EQ(ran.out, "") << testing::PrintToString(line);
    expect_one_error(ran);
    EXPECT_THAT(ran.err, HasSubstr("--help")) << "says where to read";
  }
}

TEST_F(CommandTest, SuggestsTheVerbThatWasMeant) {
  EXPECT_THAT(run({"subscibe"}).err, HasSubstr("did you mean subscribe?"));
  EXPECT_THAT(run({"mediadriver"}).err, HasSubstr("did you mean media-driver?"));
  EXPECT_THAT(run({"demo-per"}).err, testing::Not(HasSubstr("demo-peer")));  // not a command for people
}

TEST_F(CommandTest, RefusesALogLevelThatIsNone) {
  const WithEnvironment wrong("TIDEPOOL_LOG", "9");
  const Ran ran = run({"version"});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_THAT(ran.err, HasSubstr("environment TIDEPOOL_LOG is '9': expected error, warn, info, debug or trace"));
  EXPECT_EQ(run({"version", "--log", "info"}).exit, 0);  // the flag goes over it
}

TEST_F(CommandTest, VersionSaysWhatItIs) {
  EXPECT_THAT(run({"version"}).out, MatchesRegex("tidepool [0-9.]+ \\(commit [^)]+\\)\n(.|\n)*"));
  const auto json = run({"version", "--json"}).json();
  EXPECT_TRUE(json["version"].is_string());
  EXPECT_TRUE(json["commit"].is_string());
  EXPECT_TRUE(json["libraries"]["aeron"].is_string());
  EXPECT_EQ(run({"--version"}).out, "tidepool " + json["version"].get<std::string>() + "\n");
}

TEST_F(CommandTest, WithoutAMediaDriverPublishAndSubscribeFailWithOneError) {  // issue 3: bad input; P-13
  for (const auto& line : std::vector<std::vector<std::string>>{{"publish", "--pattern", "check"}, {"subscribe"}}) {
    auto args = line;
    args.insert(args.end(), {"--aeron-dir", nowhere_, "--attach-timeout-ms", "50"});
    const Ran ran = run(args);
    EXPECT_EQ(ran.exit, 1);
    EXPECT_EQ(ran.out, "");
    expect_one_error(ran);
    EXPECT_THAT(ran.err, HasSubstr(nowhere_));
    args.push_back("--json");
    const auto json = run(args).json();
    EXPECT_EQ(json["error"]["code"], "unavailable");
    EXPECT_THAT(json["error"]["message"].get<std::string>(), HasSubstr(nowhere_));
  }
}

TEST_F(CommandTest, ASignalEndsAWaitForEverWithASummary) {  // P-13; issue 3 item 4: SIGINT and SIGTERM end a command in order
  std::atomic<bool> done{false};
  std::thread signaller([&] {
    while (!done) {
      request_stop();  // again and again: the command forgets earlier ones when it begins
      std::this_thread::yield();
    }
  });
  const Ran ran = run({"subscribe", "--wait", "--aeron-dir", nowhere_, "--json"});
  done = true;
  signaller.join();
  clear_stop();
  EXPECT_EQ(ran.exit, 3) << ran.err;
  const auto json = ran.json();
  EXPECT_EQ(json["frames"], 0);
  EXPECT_TRUE(json["first_seq"].is_null());
  EXPECT_TRUE(json["latency_ns"].is_null());
}

TEST_F(CommandTest, WaitingForEverIsBoundedByFor) {
  const Ran ran = run({"subscribe", "--wait", "--for", "0.05", "--aeron-dir", nowhere_, "--json"});
  EXPECT_EQ(ran.exit, 3) << ran.err;
  EXPECT_EQ(ran.json()["frames"], 0);
  EXPECT_THAT(ran.err, HasSubstr("no frame arrived in the time given"));
}

TEST_F(CommandTest, DriverNamesWhatIsWrongWithItsFile) {  // CFG-1
  const Ran missing = run({"driver", "--config", directory_ / "nowhere.toml"});
  EXPECT_EQ(missing.exit, 1);
  expect_one_error(missing);
  EXPECT_THAT(missing.err, HasSubstr("nowhere.toml"));
  write_config("[policies]\nannounce_period_ms = 1\nlease_expiry_grace_intervals = 0\n");
  const Ran wrong = run({"driver", "--config", config_});
  EXPECT_EQ(wrong.exit, 1);
  expect_one_error(wrong);
  EXPECT_THAT(wrong.err, AllOf(HasSubstr(config_ + ":10: policies.announce_period_ms"), HasSubstr(config_ + ":11: policies.lease_expiry_grace_intervals")));
}

TEST_F(CommandTest, DriverWithoutAMediaDriverFailsWithOneError) {
  write_config();
  const Ran ran = run({"driver", "--config", config_, "--aeron-dir", nowhere_});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.out, "");
  expect_one_error(ran);
  EXPECT_THAT(ran.err, HasSubstr(nowhere_));
}

TEST_F(CommandTest, DriverCheckPrintsEachValueWithItsOrigin) {  // CFG-21, P-12
  write_config("[driver]\ncontrol_stream_id = 1500\nqos_stream_id = 1700\n[policies]\nshutdown_token = \"secret\"\n");
  const WithEnvironment control("DRIVER_CONTROL_STREAM_ID", "1501"), qos("DRIVER_QOS_STREAM_ID", "1701");
  const Ran ran = run({"driver", "--config", config_, "--check", "--control-stream", "1502", "--json"});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  const auto values = ran.json()["values"];
  EXPECT_EQ(values["driver.control_stream_id"]["value"], "1502");
  EXPECT_EQ(values["driver.control_stream_id"]["origin"], "--control-stream");
  EXPECT_EQ(values["driver.qos_stream_id"]["value"], "1701");
  EXPECT_EQ(values["driver.qos_stream_id"]["origin"], "environment DRIVER_QOS_STREAM_ID");
  EXPECT_EQ(values["shm.base_dir"]["origin"], config_ + ":2");
  EXPECT_EQ(values["policies.announce_period_ms"]["origin"], "default");
  EXPECT_EQ(ran.json()["streams"]["cam1"]["stream_id"], 10000);
  EXPECT_EQ(ran.out.find("secret"), std::string::npos);
  EXPECT_EQ(run({"driver", "--config", config_, "--check"}).out.find("secret"), std::string::npos);
}

TEST_F(CommandTest, TheExampleOfTheDriverIsOneThatWorks) {
  const Ran example = run({"driver", "--example"});
  ASSERT_EQ(example.exit, 0);
  write_file(config_, example.out);
  const WithEnvironment level("TIDEPOOL_LOG", "warn");
  const Ran checked = run({"driver", "--config", config_, "--check"});
  EXPECT_EQ(checked.exit, 0);
  EXPECT_EQ(checked.err, "") << "no warnings either";
  EXPECT_THAT(checked.out, HasSubstr("streams.cam1: stream 10000, profile camera"));
}

TEST_F(CommandTest, PublishSaysWhatIsWrongWithItsSource) {
  const auto fails = [&](std::vector<std::string> args, std::string_view fragment) {
    args.insert(args.begin(), "publish");
    const Ran ran = run(args);
    EXPECT_EQ(ran.exit, 1) << ran.err;
    expect_one_error(ran);
    EXPECT_THAT(ran.err, HasSubstr(fragment));
  };
  fails({"--npy", directory_ / "nowhere.npy"}, "nowhere.npy");
  write_file(directory_ / "text.npy", "hello");
  fails({"--npy", directory_ / "text.npy"}, "not an .npy file");
  fails({"--pattern", "check", "--config", directory_ / "nowhere.toml"}, "nowhere.toml");
  const WithEnvironment no_path("PATH", directory_.path().c_str()), no_ffmpeg("TIDEPOOL_FFMPEG", nullptr);
  fails({"--video", directory_ / "a.mp4"}, "ffmpeg");
}

TEST_F(CommandTest, SubscribeSaysWhyItCannotSave) {
  const Ran ran = run({"subscribe", "--save", directory_ / "no/where", "--aeron-dir", nowhere_});
  EXPECT_EQ(ran.exit, 1);
  expect_one_error(ran);
  EXPECT_THAT(ran.err, HasSubstr("no/where"));
}

TEST_F(CommandTest, ResultsThatNobodyCanReadAreAFailure) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> full(std::fopen("/dev/full", "w"), std::fclose), err(std::tmpfile(), std::fclose);
  const char* argv[] = {"tidepool", "version"};
  EXPECT_EQ(run_command(2, argv, full.get(), err.get()), 1);
  EXPECT_THAT(content_of(err.get()), AllOf(StartsWith("tidepool: cannot write the results"), HasSubstr("No space left")));
}

TEST_F(CommandTest, ErrorsOfSeveralLinesAreIndented) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> err(std::tmpfile(), std::fclose);
  print_error(err.get(), "first\n    second\nthird");
  EXPECT_EQ(content_of(err.get()), "tidepool: first\n  second\n  third\n");
}

TEST(TextTest, NumbersAreForPeople) {
  EXPECT_EQ(format_bytes(0), "0 bytes");
  EXPECT_EQ(format_bytes(1023), "1023 bytes");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes((uint64_t{1} << 20) - 1), "1.0 MiB");
  EXPECT_EQ(format_bytes(UINT64_MAX), "16.0 EiB");
  EXPECT_EQ(format_rate(1 << 20, 0.5), "2.0 MiB/s");
  EXPECT_EQ(format_rate(1, 0), "-");
  EXPECT_EQ(format_ns(999), "999 ns");
  EXPECT_EQ(format_ns(1'500), "1.5 us");
  EXPECT_EQ(format_ns(2'000'000'000), "2.0 s");
  EXPECT_EQ(format_ns(UINT64_MAX), "5124095.6 h");
  EXPECT_EQ(format_count(1, "frame"), "1 frame");
  EXPECT_EQ(format_count(0, "frame"), "0 frames");
}

TEST(TextTest, ShapesAreRead) {
  EXPECT_EQ(parse_shape("480,640,3"), (std::vector<int32_t>{480, 640, 3}));
  EXPECT_EQ(parse_shape("480x640"), (std::vector<int32_t>{480, 640}));
  EXPECT_EQ(parse_shape("0"), std::vector<int32_t>{0});
  for (const char* wrong : {"", ",", "1,", ",1", "1,,2", "-1", "2147483648", "1.5", "a", "1 2", "1,2,3,4,5,6,7,8,9"}) EXPECT_THROW(parse_shape(wrong), UsageError) << wrong;
  const int32_t dims[] = {480, 640};
  EXPECT_EQ(format_shape(dims, 2), "480,640");
}

}  // namespace
}  // namespace tidepool::cli::command_test
