#include "tidepool/client/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"

namespace tidepool::client::options_test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Environment environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

template <typename Call>
std::string refusal(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    return error.what();
  }
  return "accepted";
}

TEST(OptionsTest, HaveTheDocumentedDefaults) {  // config.md 7.1
  const Settings s = resolve(ClientOptions{}, {});
  EXPECT_EQ(s.control.channel, "aeron:ipc?term-length=4m");
  EXPECT_EQ(s.control.stream_id, 1000);
  EXPECT_EQ(s.announce.channel, s.control.channel);
  EXPECT_EQ(s.announce.stream_id, 1000);
  EXPECT_EQ(s.descriptor.stream_id, 1100);
  EXPECT_EQ(s.qos.stream_id, 1200);
  EXPECT_EQ(s.metadata.stream_id, 1300);
  EXPECT_EQ(s.attach_timeout_ns, 5 * kNsPerSecond);
  EXPECT_EQ(s.attach_retry_ns, kNsPerSecond);
  EXPECT_EQ(s.keepalive_ns, kNsPerSecond);
  EXPECT_EQ(s.grace_intervals, 3u);
  EXPECT_EQ(s.backoff_min_ns, 100 * kNsPerMs);
  EXPECT_EQ(s.backoff_max_ns, 3'200 * kNsPerMs);
  EXPECT_EQ(s.announce_period_ns, kNsPerSecond);
  EXPECT_EQ(s.policy.options().forbidden_mode, 0007u);
  EXPECT_THAT(s.policy.options().allowed_base_dirs, ElementsAre("/dev/shm"));
  EXPECT_FALSE(s.aeron_dir.empty());
}

TEST(OptionsTest, TakeTheEnvironmentUnderTheOptionAndOverTheDefault) {  // P-12
  const auto env = environment({{"CLIENT_CONTROL_STREAM_ID", "2000"},
                                {"CLIENT_CONTROL_CHANNEL", "aeron:ipc?term-length=1m"},
                                {"CLIENT_ANNOUNCE_STREAM_ID", "1001"},
                                {"CLIENT_ATTACH_TIMEOUT_MS", "250"},
                                {"CLIENT_AERON_DIR", "/dev/shm/x"},
                                {"AERON_DIR", "/dev/shm/y"}});
  const Settings s = resolve(ClientOptions{}, env);
  EXPECT_EQ(s.control.stream_id, 2000);
  EXPECT_EQ(s.announce.stream_id, 1001);
  EXPECT_EQ(s.announce.channel, "aeron:ipc?term-length=1m") << "control's";
  EXPECT_EQ(s.qos.channel, "aeron:ipc?term-length=1m") << "control's";
  EXPECT_EQ(s.attach_timeout_ns, 250 * kNsPerMs);
  EXPECT_EQ(s.aeron_dir, "/dev/shm/x");

  ClientOptions options;
  options.control = {"aeron:ipc", 3000};
  options.attach_timeout_ms = 100;
  options.aeron_dir = "/dev/shm/z";
  const Settings explicit_ones = resolve(options, env);
  EXPECT_EQ(explicit_ones.control.stream_id, 3000);
  EXPECT_EQ(explicit_ones.control.channel, "aeron:ipc");
  EXPECT_EQ(explicit_ones.attach_timeout_ns, 100 * kNsPerMs);
  EXPECT_EQ(explicit_ones.aeron_dir, "/dev/shm/z");
  EXPECT_EQ(resolve(ClientOptions{}, environment({{"AERON_DIR", "/dev/shm/y"}})).aeron_dir, "/dev/shm/y");
}

TEST(OptionsTest, TakeAnEmptyVariableForNone) {  // config.md 1
  EXPECT_EQ(resolve(ClientOptions{}, environment({{"CLIENT_CONTROL_STREAM_ID", ""}})).control.stream_id, 1000);
}

TEST(OptionsTest, SayWhichVariableIsWrongAndWhatWasExpected) {  // CFG-1
  const auto said = [](const std::string& name, const std::string& value) {
    return refusal([&] { (void)resolve(ClientOptions{}, environment({{name, value}})); });
  };
  EXPECT_THAT(said("CLIENT_CONTROL_STREAM_ID", "ten"), AllOf(HasSubstr("CLIENT_CONTROL_STREAM_ID is 'ten'"), HasSubstr("1 to 2147483647")));
  EXPECT_THAT(said("CLIENT_CONTROL_STREAM_ID", "2147483648"), HasSubstr("CLIENT_CONTROL_STREAM_ID"));
  EXPECT_THAT(said("CLIENT_CONTROL_STREAM_ID", "1 "), HasSubstr("CLIENT_CONTROL_STREAM_ID"));
  EXPECT_THAT(said("CLIENT_KEEPALIVE_INTERVAL_MS", "0"), HasSubstr("CLIENT_KEEPALIVE_INTERVAL_MS"));
  EXPECT_THAT(said("CLIENT_CONTROL_CHANNEL", "udp://host"), HasSubstr("an Aeron channel"));
  EXPECT_THAT(said("CLIENT_ENFORCE_PERMISSIONS", "maybe"), HasSubstr("true, false, 1 or 0"));
  EXPECT_THAT(said("CLIENT_FORBIDDEN_MODE", "8"), HasSubstr("octal"));
  EXPECT_THAT(said("CLIENT_ALLOWED_BASE_DIRS", "/dev/shm:/no/such/directory"), HasSubstr("/no/such/directory"));
  EXPECT_THAT(said("CLIENT_REATTACH_BACKOFF_MIN_MS", "5000"), HasSubstr("reattach_backoff_max_ms is 3200"));
  ClientOptions zero;
  zero.attach_timeout_ms = 0;
  EXPECT_THAT(refusal([&] { (void)resolve(zero, {}); }), HasSubstr("ATTACH_TIMEOUT_MS"));
}

TEST(OptionsTest, SayWhatMayBeMapped) {  // W-24, W-27
  const Settings s = resolve(ClientOptions{}, environment({{"CLIENT_ALLOWED_BASE_DIRS", "/dev/shm:/tmp"},
                                                           {"CLIENT_FORBIDDEN_MODE", "077"},
                                                           {"CLIENT_EXPECTED_UID", "7"},
                                                           {"CLIENT_EXPECTED_GID", "8"}}));
  EXPECT_THAT(s.policy.options().allowed_base_dirs, ElementsAre("/dev/shm", "/tmp"));
  EXPECT_EQ(s.policy.options().forbidden_mode, 077u);
  EXPECT_EQ(s.policy.options().expected_uid, uid_t{7});
  EXPECT_EQ(s.policy.options().expected_gid, gid_t{8});
  EXPECT_EQ(resolve(ClientOptions{}, environment({{"CLIENT_ENFORCE_PERMISSIONS", "False"}})).policy.options().forbidden_mode, 0u);
}

TEST(OptionsTest, OfARoleTakeItsOwnEnvironment) {  // P-12, config.md 7.2, 7.3
  const Settings client = resolve(ClientOptions{}, {});
  const auto env = environment({{"PRODUCER_STREAM_ID", "10010"},
                                {"PRODUCER_PRODUCER_ID", "5"},
                                {"PRODUCER_PUBLISH_MODE", "require_existing"},
                                {"PRODUCER_REQUIRE_HUGEPAGES", "standard"},
                                {"PRODUCER_DESIRED_NODE_ID", "9"},
                                {"PRODUCER_QOS_INTERVAL_MS", "100"},
                                {"CONSUMER_STREAM_ID", "10020"},
                                {"CONSUMER_CONSUMER_ID", "6"},
                                {"CONSUMER_MAX_OUTSTANDING_SEQ_GAP", "0"},
                                {"CONSUMER_HELLO_INTERVAL_MS", "200"}});
  const RoleSettings producer = resolve(ProducerOptions{}, client, env);
  EXPECT_EQ(producer.stream, "10010");
  EXPECT_EQ(producer.client_id, 5u);
  EXPECT_EQ(producer.publish_mode, wire::PublishMode::require_existing);
  EXPECT_EQ(producer.hugepages, wire::HugepagesPolicy::standard);
  EXPECT_EQ(producer.desired_node_id, 9u);
  EXPECT_EQ(producer.qos_interval_ns, 100 * kNsPerMs);
  EXPECT_EQ(producer.activity_interval_ns, kNsPerSecond) << "the announce period";
  const RoleSettings consumer = resolve(ConsumerOptions{}, client, env);
  EXPECT_EQ(consumer.stream, "10020");
  EXPECT_EQ(consumer.client_id, 6u);
  EXPECT_EQ(consumer.max_outstanding_seq_gap, 0u);
  EXPECT_EQ(consumer.hello_interval_ns, 200 * kNsPerMs);
  EXPECT_EQ(consumer.freshness_ns, 3 * kNsPerSecond);
  EXPECT_EQ(resolve(ProducerOptions{.stream = "7"}, client, env).stream, "7");
}

TEST(OptionsTest, OfARoleAreRefusedBeforeAnybodyIsAsked) {
  const Settings client = resolve(ClientOptions{}, {});
  EXPECT_THAT(refusal([&] { (void)resolve(ProducerOptions{.stream = ""}, client, environment({})); }), HasSubstr("a number or a name"));
  EXPECT_THAT(refusal([&] { (void)resolve(ProducerOptions{.stream = "4294967295"}, client, {}); }), HasSubstr("a stream id"));
  EXPECT_THAT(refusal([&] { (void)resolve(ConsumerOptions{.stream = "0"}, client, {}); }), HasSubstr("only a producer"));
  EXPECT_THAT(refusal([&] { (void)resolve(ConsumerOptions{.expected_layout_version = 2}, client, {}); }), HasSubstr("expected_layout_version"));
  EXPECT_EQ(stream_number("10000"), 10000u);
  EXPECT_EQ(stream_number("cam1"), std::nullopt);
  EXPECT_EQ(stream_number("1st"), std::nullopt) << "a name may begin with a digit";
}

TEST(OptionsTest, TakeRequestsForStreamsOfOnesOwnWholeOrNotAtAll) {  // CFG-20, W-70
  const Settings client = resolve(ClientOptions{}, {});
  const auto said = [&](const Endpoint& endpoint) {
    return refusal([&] { (void)resolve(ConsumerOptions{.own_descriptors = endpoint}, client, {}); });
  };
  EXPECT_EQ(said({}), "accepted");
  EXPECT_EQ(said({"aeron:ipc", 31001}), "accepted");
  EXPECT_THAT(said({"aeron:ipc", 0}), HasSubstr("own_descriptors has channel aeron:ipc and no stream id"));
  EXPECT_THAT(said({"", 31001}), HasSubstr("own_descriptors has stream id 31001 and no channel"));
  EXPECT_THAT(said({"aeron:ipc", -1}), HasSubstr("1 to 2147483647"));
  EXPECT_THAT(said({"udp://host", 31001}), HasSubstr("an Aeron channel"));
  EXPECT_THAT(refusal([&] { (void)resolve(ConsumerOptions{.own_control = {"aeron:ipc", 0}}, client, {}); }),
              HasSubstr("own_control"));
  EXPECT_THAT(refusal([&] {
                (void)resolve(ConsumerOptions{.follow = Follow::kRing, .own_descriptors = {"aeron:ipc", 31001}}, client, {});
              }),
              HasSubstr("by the ring"));
  const auto env =
      environment({{"CONSUMER_REQUESTED_DESCRIPTOR_CHANNEL", "aeron:ipc"}, {"CONSUMER_REQUESTED_DESCRIPTOR_STREAM_ID", "31002"}});
  EXPECT_EQ(resolve(ConsumerOptions{}, client, env).own_descriptors.stream_id, 31002);
  EXPECT_THAT(
      refusal([&] { (void)resolve(ConsumerOptions{}, client, environment({{"CONSUMER_REQUESTED_CONTROL_STREAM_ID", "32001"}})); }),
      HasSubstr("own_control"));
}

TEST(OptionsTest, TakeModesRatesHintsAndFallbacksOrSayWhatIsWrong) {  // config.md 7.2, 7.3, W-77, W-79
  const Settings client = resolve(ClientOptions{}, {});
  const RoleSettings plain = resolve(ConsumerOptions{}, client, {});
  EXPECT_EQ(plain.mode, wire::Mode::stream);
  EXPECT_EQ(plain.max_rate_hz, 0u);
  EXPECT_TRUE(plain.use_shm);
  EXPECT_EQ(plain.progress_hints.interval_us, 250u);
  EXPECT_EQ(plain.progress_hints.bytes_delta, 65536u);
  EXPECT_EQ(plain.progress_hints.major_delta_units, 0u);
  const auto env = environment({{"CONSUMER_MODE", "rate_limited"},
                                {"CONSUMER_MAX_RATE_HZ", "25"},
                                {"CONSUMER_SUPPORTS_SHM", "false"},
                                {"CONSUMER_PAYLOAD_FALLBACK_URI", "bridge://lab"},
                                {"CONSUMER_PROGRESS_BYTES_DELTA", "1"},
                                {"PRODUCER_FOLLOW_CONSUMER_CONFIG", "false"},
                                {"PRODUCER_PROGRESS_INTERVAL_US", "1000"}});
  const RoleSettings consumer = resolve(ConsumerOptions{}, client, env);
  EXPECT_EQ(consumer.mode, wire::Mode::rate_limited);
  EXPECT_EQ(consumer.max_rate_hz, 25u);
  EXPECT_FALSE(consumer.use_shm);
  EXPECT_EQ(consumer.payload_fallback_uri, "bridge://lab");
  EXPECT_EQ(consumer.progress_hints.bytes_delta, 1u);
  const RoleSettings producer = resolve(ProducerOptions{}, client, env);
  EXPECT_FALSE(producer.follow_consumer_config);
  EXPECT_EQ(producer.progress_hints.interval_us, 1000u);
  EXPECT_TRUE(resolve(ProducerOptions{.follow_consumer_config = true}, client, env).follow_consumer_config);
  EXPECT_THAT(refusal([&] { (void)resolve(ConsumerOptions{.max_rate_hz = 65536}, client, {}); }),
              HasSubstr("0 (unlimited) to 65535"));
  EXPECT_THAT(refusal([&] { (void)resolve(ConsumerOptions{.payload_fallback_uri = "http://x"}, client, {}); }),
              HasSubstr("aeron:... or bridge://ID"));
  EXPECT_THAT(refusal([&] { (void)resolve(ConsumerOptions{}, client, environment({{"CONSUMER_MODE", "fast"}})); }),
              HasSubstr("stream, rate_limited"));
  EXPECT_THAT(refusal([&] { (void)resolve(ProducerOptions{.progress_interval_us = 0xFFFFFFFF}, client, {}); }),
              HasSubstr("4294967294"));
  EXPECT_THAT(
      refusal([&] { (void)resolve(ProducerOptions{.consumer_streams = {.min_stream_id = 9, .max_stream_id = 8}}, client, {}); }),
      HasSubstr("min_stream_id"));
}

TEST(OptionsTest, WriteTimesAsPeopleDo) {
  EXPECT_EQ(duration_text(5 * kNsPerSecond), "5 s");
  EXPECT_EQ(duration_text(250 * kNsPerMs), "250 ms");
}

}  // namespace
}  // namespace tidepool::client::options_test
