// tidepool discovery as scripts see it. With drivers, a producer and the real service: tests/discovery/.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>

#include "tidepool/cli/client_flags.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/test_command.h"
#include "tidepool/cli/toml_file.h"
#include "tidepool/services/discovery/provider.h"
#include "tidepool/transport/test_media_driver.h"

namespace tidepool::cli::discovery_command_test {
namespace {

using namespace test;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class DiscoveryCommandTest : public ::testing::Test {
 protected:
  TemporaryDirectory directory_;
  WithEnvironment log_{"TIDEPOOL_LOG", "error"}, aeron_{"AERON_DIR", nullptr}, client_{"CLIENT_AERON_DIR", nullptr},
      driver_{"DRIVER_AERON_DIR", nullptr};
  std::string config_ = directory_ / "lab.toml";

  void write_config(const std::string& more) {
    write_file(
        config_,
        "[shm]\nbase_dir = \"" + directory_.path() +
            "\"\n[driver]\ninstance_id = \"lab\"\ncontrol_stream_id = 1500\n[profiles.small]\nheader_nslots = 8\n"
            "payload_pools = [{ pool_id = 1, stride_bytes = 4096 }]\n[streams.cam1]\nstream_id = 10000\nprofile = \"small\"\n" +
            more);
  }
};

TEST_F(DiscoveryCommandTest, BothVerbsHaveHelpWithExamplesAndExitCodes) {  // issue 4
  for (const std::string verb : {"serve", "query"}) {
    const Ran ran = run({"discovery", verb, "--help"});
    EXPECT_EQ(ran.exit, 0);
    EXPECT_THAT(ran.out, AllOf(HasSubstr("Examples:"), HasSubstr("tidepool discovery " + verb), HasSubstr("--json"),
                               HasSubstr("Exit codes: 0"), HasSubstr("--discovery-stream")));
  }
  EXPECT_EQ(run({"discovery"}).exit, 2);
  EXPECT_EQ(run({"discovery", "ask"}).exit, 2);
  EXPECT_EQ(run({"discovery", "query", "--stream-id", "x"}).exit, 2);
}

TEST_F(DiscoveryCommandTest, ABadKeyIsNamedWithFileLineAndWhatWasExpected) {  // CFG-17, CFG-1
  write_config("[discovery]\nstream_id = 0\nrequest_channel = \"ipc\"\nmax_results = \"all\"\n");
  const Ran ran = run({"discovery", "serve", "--config", config_});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, AllOf(StartsWith("tidepool: the configuration cannot be used:"),
                             HasSubstr(config_ + ":13: discovery.stream_id is 0: expected 1 to 2147483647"),
                             HasSubstr(config_ + ":15: discovery.max_results is a value of type string: expected an integer")));
  EXPECT_EQ(run({"discovery", "serve", "--config", directory_ / "nowhere.toml"}).exit, 1);
}

TEST_F(DiscoveryCommandTest, CheckShowsWhatIsInForceAndWhereItIsFrom) {  // CFG-17, CFG-21, P-12
  write_config("[discovery]\nmax_results = 5\n[[discovery.streams]]\nstream_id = 10000\ntags = [\"left\"]\n");
  const WithEnvironment expiry("DISCOVERY_EXPIRY_NS", "77");
  const Ran ran = run(
      {"discovery", "serve", "--config", config_, "--check", "--json", "--discovery-stream", "7100", "--announce-stream", "1501"});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  const auto json = ran.json();
  EXPECT_EQ(json["request"]["stream_id"], 7100);
  EXPECT_EQ(json["max_results"], 5);
  EXPECT_EQ(json["expiry_ns"], 77);
  EXPECT_EQ(json["endpoints"][0]["driver_instance_id"], "lab");
  EXPECT_EQ(json["endpoints"][0]["announce"]["stream_id"], 1501);
  EXPECT_EQ(json["endpoints"][0]["driver_control_stream_id"], 1500);
  EXPECT_EQ(json["streams"][0]["tags"][0], "left");
  EXPECT_EQ(json["origins"]["discovery.request_stream_id"], "--discovery-stream");
  EXPECT_EQ(json["origins"]["discovery.expiry_ns"], "environment DISCOVERY_EXPIRY_NS");
  EXPECT_EQ(json["origins"]["discovery.max_results"], config_ + ":13");
  const Ran text = run({"discovery", "serve", "--check", "--instance-id", "alone"});
  EXPECT_EQ(text.exit, 0);
  EXPECT_THAT(text.out, AllOf(HasSubstr("requests   aeron:ipc?term-length=1m stream 7000"),
                              HasSubstr("driver     alone: attach at aeron:ipc?term-length=4m stream 1000")));
}

TEST_F(DiscoveryCommandTest, FlagsOfOneDriverDoNotFitARegistry) {  // CFG-17
  write_file(config_, "[discovery_registry]\nstream_id = 7000\n");
  EXPECT_EQ(run({"discovery", "serve", "--config", config_, "--announce-stream", "5"}).exit, 2);
  EXPECT_THAT(run({"discovery", "serve", "--config", config_}).err, HasSubstr("discovery_registry has no endpoints"));
}

TEST_F(DiscoveryCommandTest, WithoutAMediaDriverBothFailWithOneError) {
  for (const std::string verb : {"serve", "query"}) {
    const Ran ran = run({"discovery", verb, "--aeron-dir", directory_ / "aeron", "--json"});
    EXPECT_EQ(ran.exit, 1);
    EXPECT_EQ(ran.json()["error"]["code"], "unavailable") << verb;
    EXPECT_THAT(ran.err, HasSubstr(directory_ / "aeron"));
  }
}

TEST_F(DiscoveryCommandTest, TheExitCodeTellsFoundNothingFailedAndRefused) {  // DS-28, DS-38, DS-39
  transport::testing::TestMediaDriver media;
  discovery::DiscoveryConfig config;
  config.aeron_dir = media.dir();
  config.expiry_ns = 0;
  config.endpoints = {
      {"lab", {"aeron:ipc?term-length=64k", 1001}, {"aeron:ipc?term-length=64k", 1001}, "aeron:ipc?term-length=4m", 1000}};
  config.streams = {{"lab", 10002, {}, {}, false}};
  config.deny_explicitly = true;
  discovery::Provider provider(config);
  const auto connection = media.connect();
  const auto announces = connection->add_publication("aeron:ipc?term-length=64k", 1001);
  const auto say = [&](const auto& message) {
    const auto bytes = wire::encode_new(message);
    ASSERT_TRUE(transport::testing::poll_until([&] {
      provider.poll();
      return announces->send(bytes) == transport::SendResult::kOk;
    }));
  };
  wire::ShmPoolAnnounce announce;
  announce.epoch = 5;
  announce.header_nslots = 8;
  announce.pools = {{1, 8, 4096, "shm:file?path=/dev/shm/t/1.pool"}};
  announce.header_region_uri = "shm:file?path=/dev/shm/t/header.ring";
  for (const uint32_t id : {10001u, 10002u}) {
    announce.stream_id = id;
    say(announce);
  }
  wire::DataSourceAnnounce source;
  source.stream_id = 10001;
  source.name = std::string("cam\x1b[31m\xff", 9);  // a stranger's text
  say(source);
  ASSERT_TRUE(transport::testing::poll_until([&] {
    provider.poll();
    return provider.counts().metadata == 1;
  }));
  std::atomic<bool> done{false};
  std::thread service([&] {
    while (!done) provider.poll();
  });
  const std::vector<std::string> common = {"discovery", "query", "--aeron-dir", media.dir(), "--timeout-ms", "30000"};
  const auto query = [&](std::vector<std::string> more) {
    more.insert(more.begin(), common.begin(), common.end());
    return run(more);
  };

  const Ran found = query({"--stream-id", "10001", "--json"});
  EXPECT_EQ(found.exit, 0) << found.err;
  const auto json = found.json();
  EXPECT_EQ(json["status"], "OK");
  EXPECT_EQ(json["error"], "");
  EXPECT_TRUE(json["request_id"].is_number_unsigned());
  EXPECT_EQ(json["results"][0]["driver_instance_id"], "lab");
  EXPECT_EQ(json["results"][0]["pools"][0]["region_uri"], "shm:file?path=/dev/shm/t/1.pool");
  EXPECT_EQ(found.out.find('\x1b'), std::string::npos) << "control characters are escaped";
  const Ran text = query({"--stream-id", "10001"});
  EXPECT_EQ(text.exit, 0);
  EXPECT_THAT(text.out,
              AllOf(HasSubstr("stream 10001"), HasSubstr("of driver lab, attach at aeron:ipc?term-length=4m stream 1000")));
  EXPECT_EQ(text.out.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.out.find('\xff'), std::string::npos);

  const Ran nothing = query({"no such name"});
  EXPECT_EQ(nothing.exit, 3);
  EXPECT_THAT(nothing.err, HasSubstr("no stream matches"));
  EXPECT_EQ(query({"no such name", "--json"}).json()["status"], "NOT_FOUND");

  const Ran refused = query({"--stream-id", "10002", "--json"});
  EXPECT_EQ(refused.exit, 1);
  EXPECT_EQ(refused.json()["status"], "ERROR");
  EXPECT_EQ(refused.json()["error"], "access denied");
  EXPECT_THAT(refused.err, HasSubstr("discovery refused: access denied"));
  done = true;
  service.join();
}

TEST_F(DiscoveryCommandTest, ClientsAskWhereTheFilesServiceListens) {  // P-12, CFG-17
  const auto environment = [](std::map<std::string, std::string> variables) {
    return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      return found == variables.end() ? std::nullopt : std::optional(found->second);
    };
  };
  const ConfigValue file = parse_toml(
      "[discovery]\nchannel = \"aeron:ipc?alias=d\"\nrequest_stream_id = 7100\n[client]\ndiscovery_response_stream_id = "
      "7104\ndiscovery_timeout_ms = 70\n",
      "lab.toml");
  const auto options = discovery_options({}, file, environment({}));
  EXPECT_EQ(options.request.channel, "aeron:ipc?alias=d");
  EXPECT_EQ(options.request.stream_id, 7100);
  EXPECT_EQ(options.response.stream_id, 7104);
  EXPECT_EQ(options.timeout_ms, 70u);
  const auto client = client_options({}, file, environment({{"CLIENT_DISCOVERY_STREAM_ID", "9"}}));
  EXPECT_EQ(client.discovery.stream_id, 0) << "the environment's: the library reads it";
  EXPECT_EQ(client.discovery.channel, "aeron:ipc?alias=d");
  EXPECT_EQ(client_options({}, parse_toml("[client]\ndiscovery_stream_id = 0\n[discovery]\nstream_id = 7100\n", "lab.toml"),
                           environment({}))
                .discovery.stream_id,
            client::kDiscoveryOff);
  PlaneFlags flags;
  flags.discovery.stream_id = 7200;
  EXPECT_EQ(discovery_options(flags, file, environment({{"CLIENT_DISCOVERY_STREAM_ID", "9"}})).request.stream_id, 7200);
}

}  // namespace
}  // namespace tidepool::cli::discovery_command_test
