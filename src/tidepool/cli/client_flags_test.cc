#include "tidepool/cli/client_flags.h"

#include <gtest/gtest.h>

#include <map>

#include "tidepool/cli/test_command.h"
#include "tidepool/cli/toml_file.h"

namespace tidepool::cli::client_flags_test {
namespace {

using namespace test;
using Variables = std::map<std::string, std::string>;

client::Environment environment(Variables variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

ConfigValue lab(const std::string& text) { return parse_toml(text, "lab.toml"); }

TEST(ClientFlagsTest, PutsFlagsOverEnvironmentOverFile) {  // P-12
  const ConfigValue file = lab(
      "[client]\n"
      "aeron_dir = \"/file\"\n"
      "control_channel = \"aeron:ipc?alias=file\"\n"
      "control_stream_id = 1500\n"
      "descriptor_stream_id = 1600\n"
      "qos_stream_id = 1700\n"
      "attach_timeout_ms = 700\n");
  ClientFlags flags;
  flags.planes.control.stream_id = 9;
  const auto options = client_options(flags, file, environment({{"CLIENT_DESCRIPTOR_STREAM_ID", "1601"}, {"CLIENT_QOS_STREAM_ID", ""}}));
  EXPECT_EQ(options.control.stream_id, 9);                            // the flag
  EXPECT_EQ(options.control.channel, "aeron:ipc?alias=file");         // the file
  EXPECT_EQ(options.descriptor.stream_id, 0);                         // the environment's: the library reads it
  EXPECT_EQ(options.qos.stream_id, 1700);                             // set but empty is unset (config.md 1)
  EXPECT_EQ(options.metadata.stream_id, 0);                           // the default
  EXPECT_EQ(options.aeron_dir, "/file");
  EXPECT_EQ(options.attach_timeout_ms, 700u);
  EXPECT_EQ(client_options(flags, file, environment({{"AERON_DIR", "/environment"}})).aeron_dir, "");
  flags.planes.aeron_dir = "/flag";
  flags.attach_timeout_ms = 50;
  EXPECT_EQ(client_options(flags, file, environment({{"AERON_DIR", "/environment"}})).aeron_dir, "/flag");
  EXPECT_EQ(client_options(flags, file, environment({{"CLIENT_ATTACH_TIMEOUT_MS", "1"}})).attach_timeout_ms, 50u);
}

TEST(ClientFlagsTest, AsksWhereTheDriverOfTheSameFileListens) {  // config.md 7.1: the announce stream must match the driver's
  const ConfigValue file = lab(
      "[driver]\n"
      "aeron_dir = \"/lab\"\n"
      "control_stream_id = 1500\n"
      "announce_stream_id = 1501\n"
      "qos_channel = \"aeron:ipc?alias=qos\"\n"
      "[shm]\n"
      "base_dir = \"/mnt/pools\"\n"
      "[client]\n"
      "announce_stream_id = 1502\n");
  const auto options = client_options({}, file, environment({}));
  EXPECT_EQ(options.aeron_dir, "/lab");
  EXPECT_EQ(options.control.stream_id, 1500);
  EXPECT_EQ(options.announce.stream_id, 1502);
  EXPECT_EQ(options.qos.channel, "aeron:ipc?alias=qos");
  EXPECT_EQ(options.map_policy.allowed_base_dirs, std::vector<std::string>{"/mnt/pools"});
  EXPECT_EQ(client_options({}, file, environment({{"CLIENT_CONTROL_STREAM_ID", "3"}})).control.stream_id, 0);
  const auto narrowed = client_options({}, lab("[shm]\nbase_dir = \"/mnt\"\nallowed_base_dirs = [\"/a\", \"/b\"]\n"), environment({}));
  EXPECT_EQ(narrowed.map_policy.allowed_base_dirs, (std::vector<std::string>{"/a", "/b"}));
}

TEST(ClientFlagsTest, ReadsWhatMayBeMapped) {  // config.md 7.1
  const auto options = client_options(
      {}, lab("[client]\nallowed_base_dirs = [\"/x\"]\nforbidden_mode = \"077\"\nexpected_uid = 0\nexpected_gid = 5\n"), environment({}));
  EXPECT_EQ(options.map_policy.allowed_base_dirs, std::vector<std::string>{"/x"});
  EXPECT_EQ(options.map_policy.forbidden_mode, 0077u);
  EXPECT_EQ(options.map_policy.expected_uid, uid_t{0});
  EXPECT_EQ(options.map_policy.expected_gid, gid_t{5});
  EXPECT_EQ(client_options({}, lab("[client]\nenforce_permissions = false\n"), environment({})).map_policy.forbidden_mode, 0u);
}

TEST(ClientFlagsTest, ReadsTheRolesTables) {  // config.md 7.2, 7.3
  const ConfigValue file = lab(
      "[producer]\nstream_id = 10001\nproducer_id = 77\npublish_mode = \"require_existing\"\nrequire_hugepages = \"standard\"\ndesired_node_id = 3\n"
      "[consumer]\nstream_id = 10002\nmax_outstanding_seq_gap = 0\nannounce_freshness_ms = 4000\nexpected_layout_version = 0\n");
  const auto producer = producer_options("", file, environment({}));
  EXPECT_EQ(producer.stream, "10001");
  EXPECT_EQ(producer.client_id, 77u);
  EXPECT_EQ(producer.publish_mode, wire::PublishMode::require_existing);
  EXPECT_EQ(producer.hugepages, wire::HugepagesPolicy::standard);
  EXPECT_EQ(producer.desired_node_id, 3u);
  EXPECT_EQ(producer_options("20", file, environment({})).stream, "20");
  EXPECT_EQ(producer_options("", file, environment({{"PRODUCER_STREAM_ID", "4"}})).stream, "10000");  // left to the library
  const auto consumer = consumer_options("", file, environment({{"CONSUMER_CONSUMER_ID", "5"}}));
  EXPECT_EQ(consumer.stream, "10002");
  EXPECT_EQ(consumer.max_outstanding_seq_gap, 0u);
  EXPECT_EQ(consumer.announce_freshness_ms, 4000u);
  EXPECT_EQ(consumer.expected_layout_version, 0u);
}

TEST(ClientFlagsTest, ReadsWhatAConsumerAsksForAndAProducerOffers) {  // config.md 7.2, 7.3, CFG-20
  const ConfigValue file =
      lab("[producer]\nfollow_consumer_config = false\nprogress_interval_us = 500\nprogress_bytes_delta = 0\n"
          "[consumer]\nmode = \"rate_limited\"\nmax_rate_hz = 25\nsupports_shm = false\npayload_fallback_uri = \"bridge://lab\"\n"
          "requested_descriptor_channel = \"aeron:ipc\"\nrequested_descriptor_stream_id = 31001\nrequested_control_stream_id = 0\n"
          "progress_major_delta_units = 4\n");
  const auto producer = producer_options("", file, environment({}));
  EXPECT_EQ(producer.follow_consumer_config, false);
  EXPECT_EQ(producer.progress_interval_us, 500u);
  EXPECT_EQ(producer.progress_bytes_delta, 0u);
  const auto consumer = consumer_options("", file, environment({}));
  EXPECT_EQ(consumer.mode, wire::Mode::rate_limited);
  EXPECT_EQ(consumer.max_rate_hz, 25u);
  EXPECT_FALSE(consumer.use_shm);
  EXPECT_EQ(consumer.payload_fallback_uri, "bridge://lab");
  EXPECT_EQ(consumer.own_descriptors.channel, "aeron:ipc");
  EXPECT_EQ(consumer.own_descriptors.stream_id, 31001);
  EXPECT_EQ(consumer.own_control.stream_id, 0);
  EXPECT_EQ(consumer.progress_major_delta_units, 4u);
  expect_error(Code::kInvalidArgument,
               "lab.toml:2: consumer.requested_control_stream_id is set and consumer.requested_control_channel is not",
               [&] { (void)consumer_options("", lab("[consumer]\nrequested_control_stream_id = 32001\n"), environment({})); });
  expect_error(Code::kInvalidArgument,
               "lab.toml:2: consumer.requested_descriptor_channel is set and consumer.requested_descriptor_stream_id is not", [&] {
                 (void)consumer_options("", lab("[consumer]\nrequested_descriptor_channel = \"aeron:ipc\"\n"), environment({}));
               });
}

TEST(ClientFlagsTest, ReadsAStreamOfOnesOwn) {  // CFG-20
  const auto own = parse_endpoint("--own-stream", "31001", "aeron:ipc");
  EXPECT_EQ(own.channel, "aeron:ipc");
  EXPECT_EQ(own.stream_id, 31001);
  const auto elsewhere = parse_endpoint("--own-stream", "aeron:udp?endpoint=host:40456:7", "aeron:ipc");
  EXPECT_EQ(elsewhere.channel, "aeron:udp?endpoint=host:40456");
  EXPECT_EQ(elsewhere.stream_id, 7);
  for (const char* text : {"", "0", "-1", "aeron:ipc", "aeron:ipc:", "2147483648", "7x", "aeron:ipc: 7"}) {
    EXPECT_THROW((void)parse_endpoint("--own-stream", text, "aeron:ipc"), UsageError) << text;
  }
}

TEST(ClientFlagsTest, FindsStreamsByTheirNamesInTheFile) {  // P-11
  const ConfigValue file = lab("[streams.cam1]\nstream_id = 10000\n[streams.\"a.b\"]\nstream_id = 7\n[streams.bad]\nstream_id = \"x\"\n");
  EXPECT_EQ(stream_of("cam1", file), "10000");
  EXPECT_EQ(stream_of("a.b", file), "7");
  EXPECT_EQ(stream_of("10005", file), "10005");
  EXPECT_EQ(stream_of("elsewhere", file), "elsewhere");  // for the client to ask about
  EXPECT_EQ(stream_of("cam1", ConfigValue()), "cam1");
  expect_error(Code::kInvalidArgument, "lab.toml:5", [&] { stream_of("bad", file); });
}

TEST(ClientFlagsTest, NamesFileAndLineOfAValueThatMakesNoSense) {  // CFG-1
  const auto refuses = [&](std::string_view fragment, const std::string& text) {
    expect_error(Code::kInvalidArgument, fragment, [&] {
      const ConfigValue file = lab(text);
      (void)client_options({}, file, environment({}));
      (void)producer_options("", file, environment({}));
      (void)consumer_options("", file, environment({}));
    });
  };
  refuses("lab.toml:2: client.control_stream_id is 'x': expected a number from 1 to 2147483647", "[client]\ncontrol_stream_id = \"x\"\n");
  refuses("is 2147483648", "[client]\ncontrol_stream_id = 2147483648\n");
  refuses("is -1", "[client]\nattach_timeout_ms = -1\n");
  refuses("lab.toml:2: client.control_channel is 5: expected a string", "[client]\ncontrol_channel = 5\n");
  refuses("expected an array of strings", "[client]\nallowed_base_dirs = \"/dev/shm\"\n");
  refuses("expected an array of strings", "[client]\nallowed_base_dirs = [1]\n");
  refuses("octal", "[client]\nforbidden_mode = \"8\"\n");
  refuses("expected true or false", "[client]\nenforce_permissions = 1\n");
  refuses("expected existing_or_create, require_existing", "[producer]\npublish_mode = \"both\"\n");
  refuses("client is a value of type array: expected a table", "[[client]]\na = 1\n");
}

}  // namespace
}  // namespace tidepool::cli::client_flags_test
