#include "tidepool/client/consumer_desk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tidepool/base/clock.h"
#include "tidepool/client/test_stage.h"

namespace tidepool::client::consumer_desk_test {
namespace {

using ::testing::AllOf;
using testing::FakePort;
using testing::FakePublication;
using ::testing::Field;
using ::testing::IsEmpty;
using testing::kStream;
using ::testing::SizeIs;
using wire::ConsumerConfig;
using wire::ConsumerHello;

constexpr uint64_t kMs = kNsPerMs;
constexpr const char* kIpc = "aeron:ipc?term-length=1m";

ConsumerDesk::Rules rules() {
  ConsumerDesk::Rules out;
  out.shared_control = {kIpc, 1000};
  out.shared_descriptor = {kIpc, 1100};
  out.shared = {out.shared_control, out.shared_descriptor, {kIpc, 1200}, {kIpc, 1300}};
  out.stale_ns = 5 * kNsPerSecond;
  out.answer_after_ns = kNsPerSecond;
  return out;
}

ConsumerHello hello(uint32_t consumer_id, const std::string& channel = {}, uint32_t id = 0) {
  ConsumerHello out;
  out.stream_id = kStream;
  out.consumer_id = consumer_id;
  out.descriptor_channel = channel;
  out.descriptor_stream_id = id;
  return out;
}

ConsumerConfig config(uint32_t consumer_id, const std::string& channel = {}, uint32_t id = 0) {
  ConsumerConfig out;
  out.stream_id = kStream;
  out.consumer_id = consumer_id;
  out.descriptor_channel = channel;
  out.descriptor_stream_id = id;
  return out;
}

struct ConsumerDeskTest : ::testing::Test {
  void SetUp() override { make(rules()); }
  void make(ConsumerDesk::Rules with) { desk = std::make_unique<ConsumerDesk>(std::move(with), static_cast<DeskPort&>(port)); }
  void hear(const ConsumerHello& message, int32_t session_id = 1) { desk->on(message, session_id, kStream, t); }
  void hear(const ConsumerConfig& message, bool own = false) { desk->on(message, own, kStream, t); }
  void pass(uint64_t ns, uint64_t step_ns = 50 * kMs) {
    for (const uint64_t end = t + ns; t < end;) {
      t += std::min(step_ns, end - t);
      desk->poll(kStream, t);
      // Aeron gives us our own back.
      for (const auto all = port.all<ConsumerConfig>(); looped < all.size(); ++looped) hear(all[looped], true);
    }
  }
  // Said again every 250 ms, as long as it lasts.
  void keep_saying(const ConsumerHello& message, uint64_t ns) {
    for (const uint64_t end = t + ns; t < end;) {
      hear(message);
      pass(std::min(250 * kMs, end - t));
    }
  }
  std::vector<ConsumerConfig> configs() const { return port.all<ConsumerConfig>(); }
  // Ids of the descriptor streams that a frame goes to besides the shared one.
  std::vector<int32_t> listeners() {
    std::vector<int32_t> out;
    for (const auto& listener : desk->audience()->descriptors)
      out.push_back(static_cast<const FakePublication&>(*listener.publication).at.stream_id);
    return out;
  }
  std::vector<int32_t> progress_streams() {
    std::vector<int32_t> out;
    for (const auto& publication : desk->audience()->progress)
      out.push_back(static_cast<const FakePublication&>(*publication).at.stream_id);
    return out;
  }
  std::unique_ptr<ConsumerDesk> desk;
  FakePort port;
  uint64_t t = 1000 * kNsPerSecond;
  size_t looped = 0;
};

TEST_F(ConsumerDeskTest, LeavesTheAnsweringToTheDriverForASecondThenAnswersItself) {  // D-67, W-70
  hear(hello(42, kIpc, 31001));
  pass(950 * kMs);
  EXPECT_THAT(configs(), IsEmpty());
  EXPECT_THAT(listeners(), IsEmpty());
  pass(100 * kMs);
  ASSERT_THAT(configs(), SizeIs(1));
  EXPECT_EQ(configs()[0], config(42, kIpc, 31001)) << "the pair that was asked for, SHM and mode as the Hello had them";
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31001));
  keep_saying(hello(42, kIpc, 31001), 4 * kNsPerSecond);
  EXPECT_THAT(configs(), SizeIs(1)) << "once: peers subscribe anew with each";
}

TEST_F(ConsumerDeskTest, FollowsTheDriversAnswerAndKeepsItsOwnMouthShut) {  // D-67, W-74
  hear(hello(42, kIpc, 1));
  pass(10 * kMs);
  hear(config(42, kIpc, 31007));
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31007));
  EXPECT_TRUE(desk->take_changed());
  hear(config(42, kIpc, 31007));
  EXPECT_FALSE(desk->take_changed()) << "Configs repeat";
  keep_saying(hello(42, kIpc, 31007), 3 * kNsPerSecond);  // as assigned
  keep_saying(hello(42, kIpc, 1), 3 * kNsPerSecond);      // a peer that goes on wishing
  EXPECT_THAT(configs(), IsEmpty()) << "that wish was answered";
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31007));
  keep_saying(hello(42, kIpc, 2), 3 * kNsPerSecond);  // another wish, which nobody answers
  EXPECT_THAT(configs(), SizeIs(1));
  EXPECT_THAT(listeners(), ::testing::ElementsAre(2));
}

TEST_F(ConsumerDeskTest, TakesTheDriversDeclineForAnAnswer) {  // D-67, W-74
  hear(hello(42, kIpc, 31001));
  hear(config(42));
  keep_saying(hello(42, kIpc, 31001), 3 * kNsPerSecond);
  EXPECT_THAT(configs(), IsEmpty());
  EXPECT_THAT(listeners(), IsEmpty());
  hear(config(42, kIpc, 31001));  // policy has changed
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31001));
  hear(config(42));
  EXPECT_THAT(listeners(), IsEmpty());
}

TEST_F(ConsumerDeskTest, EndsWhereTheLastConfigSaysWhoeverSentIt) {  // W-72, W-74
  hear(hello(42, kIpc, 31001));
  pass(1050 * kMs);
  ASSERT_THAT(configs(), SizeIs(1));
  hear(config(42, kIpc, 31500));  // a slow driver's
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31500));
  hear(configs()[0], true);       // ours came later in the log: the consumer has it so, too
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31001));
}

TEST_F(ConsumerDeskTest, AnswersAWishThatCameWhileItsAnswerToTheLastOneWasOnItsWay) {  // W-70, W-74
  hear(hello(42, kIpc, 31001));
  t += 1050 * kMs;
  desk->poll(kStream, t);
  ASSERT_THAT(configs(), SizeIs(1));
  hear(hello(42, kIpc, 31002));    // in the log before ours
  hear(configs()[looped++], true);
  pass(1050 * kMs);
  ASSERT_THAT(configs(), SizeIs(2));
  EXPECT_EQ(configs()[1], config(42, kIpc, 31002));
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31002));
}

TEST_F(ConsumerDeskTest, AnswersAtOnceWithoutADriver) {  // W-70, driver.md 13
  auto alone = rules();
  alone.answer_after_ns = 0;
  make(alone);
  hear(hello(42, kIpc, 31001));
  desk->poll(kStream, t);
  EXPECT_THAT(configs(), SizeIs(1));
}

TEST_F(ConsumerDeskTest, ToldNotToFollowAnswersAtOnceAndIgnoresOthers) {  // D-67, follow_consumer_config
  auto alone = rules();
  alone.follow_others = false;
  make(alone);
  hear(config(42, kIpc, 31007));
  EXPECT_THAT(listeners(), IsEmpty());
  hear(hello(42, kIpc, 31001));
  desk->poll(kStream, t);
  EXPECT_THAT(configs(), SizeIs(1));
  hear(config(42, kIpc, 31007));
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31001));
}

TEST_F(ConsumerDeskTest, DeclinesHalfPairsAndKeepsTheRestOfTheHello) {  // W-70, W-11, WX-10
  auto half = hello(1, kIpc, 0);
  half.supports_progress = true;
  half.control_channel = kIpc;
  half.control_stream_id = 32001;
  hear(half);
  auto other_half = hello(2, "", 31002);
  hear(other_half);
  hear(hello(3, kIpc, 0x80000000));
  pass(1050 * kMs);
  ASSERT_THAT(configs(), SizeIs(3));
  EXPECT_THAT(configs()[0],
              AllOf(Field(&ConsumerConfig::descriptor_channel, ""), Field(&ConsumerConfig::descriptor_stream_id, 0u),
                    Field(&ConsumerConfig::control_channel, kIpc), Field(&ConsumerConfig::control_stream_id, 32001u)));
  EXPECT_EQ(configs()[1], config(2));
  EXPECT_EQ(configs()[2], config(3));
  EXPECT_THAT(listeners(), IsEmpty());
  EXPECT_THAT(progress_streams(), ::testing::ElementsAre(1000, 32001)) << "what else the Hello said counts";
}

TEST_F(ConsumerDeskTest, DeclinesWhatPolicyForbids) {  // W-71, W-93
  auto narrow = rules();
  narrow.policy.max_streams = 2;
  make(narrow);
  hear(hello(1, "aeron:udp?endpoint=10.0.0.1:7", 31001));
  hear(hello(2, "aeron:ipc", 1100));  // the shared descriptors by another name
  hear(hello(3, kIpc, 31003));
  hear(hello(4, "aeron:ipc", 31003));  // another consumer's
  hear(hello(5, kIpc, 31005));
  hear(hello(6, kIpc, 31006));  // one too many
  pass(1050 * kMs);
  ASSERT_THAT(configs(), SizeIs(6));
  for (const uint32_t id : {1, 2, 4, 6}) EXPECT_EQ(configs()[id - 1], config(id));
  EXPECT_EQ(configs()[2], config(3, kIpc, 31003));
  EXPECT_EQ(configs()[4], config(5, kIpc, 31005));
  EXPECT_EQ(desk->stream_count(), 2u);
}

TEST_F(ConsumerDeskTest, DeclinesWhatCannotBeOpenedAndDoesNotTryAgainUntilAskedForAnother) {  // W-71
  port.plane_error = "no such channel";
  hear(hello(1, kIpc, 31001));
  pass(1050 * kMs);
  ASSERT_THAT(configs(), SizeIs(1));
  EXPECT_EQ(configs()[0], config(1));
  port.plane_error.clear();
  keep_saying(hello(1, kIpc, 31001), 3 * kNsPerSecond);
  EXPECT_THAT(port.publications, IsEmpty());
  keep_saying(hello(1, kIpc, 31002), 2 * kNsPerSecond);
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31002));
}

TEST_F(ConsumerDeskTest, SendsItsAnswerUntilItIsTaken) {  // W-70
  hear(hello(1, kIpc, 31001));
  port.result = transport::SendResult::kBackPressured;
  pass(1500 * kMs);
  EXPECT_THAT(configs(), IsEmpty());
  port.result = transport::SendResult::kOk;
  pass(50 * kMs);
  EXPECT_THAT(configs(), SizeIs(1));
}

TEST_F(ConsumerDeskTest, TellsAConsumerThatCameBackUnderItsOldId) {  // W-70, W-72
  hear(hello(1, kIpc, 31001), 7);
  pass(1050 * kMs);
  ASSERT_THAT(configs(), SizeIs(1));
  hear(hello(1, kIpc, 31001), 8);  // another Aeron session: it has not heard the first
  pass(1050 * kMs);
  EXPECT_THAT(configs(), SizeIs(2));
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31001));
}

TEST_F(ConsumerDeskTest, TellsTheModeAnewWhenTheHelloHasAnother) {  // W-72, W-76
  hear(hello(1, kIpc, 31001));
  pass(1050 * kMs);
  ASSERT_THAT(configs(), SizeIs(1));
  auto slower = hello(1, kIpc, 31001);
  slower.mode = wire::Mode::rate_limited;
  slower.max_rate_hz = 50;
  hear(slower);
  pass(100 * kMs);
  ASSERT_THAT(configs(), SizeIs(2));
  EXPECT_EQ(configs()[1].mode, wire::Mode::rate_limited) << "our first said STREAM, which it would go on by";
  EXPECT_EQ(desk->audience()->descriptors.at(0).min_interval_ns, 20 * kMs);
}

TEST_F(ConsumerDeskTest, ClosesWhatIsNotWantedAnyMore) {  // W-70: no request
  hear(hello(1, kIpc, 31001));
  pass(1050 * kMs);
  ASSERT_FALSE(port.publications.at(0).expired());
  hear(hello(1));
  EXPECT_THAT(listeners(), IsEmpty());
  EXPECT_TRUE(port.publications.at(0).expired());
}

TEST_F(ConsumerDeskTest, ForgetsAConsumerOfWhomNothingIsHeard) {  // W-75
  auto wants = hello(1, kIpc, 31001);
  wants.supports_progress = true;
  hear(wants);
  pass(1050 * kMs);
  wire::QosConsumer qos;
  qos.stream_id = kStream;
  qos.consumer_id = 1;
  qos.epoch = 99;  // any epoch: some peers' Hello comes but once
  for (int i = 0; i < 10; ++i) {
    pass(kNsPerSecond);
    desk->on(qos, kStream, t);
  }
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31001));
  qos.stream_id = kStream + 1;  // of another stream: no life here (W-10)
  for (int i = 0; i < 6; ++i) {
    pass(kNsPerSecond);
    desk->on(qos, kStream, t);
  }
  EXPECT_EQ(desk->consumer_count(), 0u);
  EXPECT_THAT(listeners(), IsEmpty());
  EXPECT_THAT(progress_streams(), IsEmpty()) << "its hints are forgotten, too";
  EXPECT_TRUE(port.publications.at(0).expired());
}

TEST_F(ConsumerDeskTest, ForgetsAtOnceWhoLeftOrLostItsLease) {  // W-75
  hear(hello(1, kIpc, 31001), 7);
  hear(hello(2, kIpc, 31002), 8);
  pass(1050 * kMs);
  desk->left(7);
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31002));
  desk->ended(2);
  EXPECT_THAT(listeners(), IsEmpty());
}

TEST_F(ConsumerDeskTest, CapsTheStreamsOfRateLimitedConsumersOnly) {  // W-76
  const auto ask = [&](uint32_t id, wire::Mode mode, uint32_t hz) {
    auto wish = hello(id, kIpc, 31000 + id);
    wish.mode = mode;
    wish.max_rate_hz = hz;
    hear(wish);
  };
  ask(1, wire::Mode::rate_limited, 50);
  ask(2, wire::Mode::rate_limited, 0);
  ask(3, wire::Mode::stream, 50);
  pass(1050 * kMs);
  const auto& listeners = desk->audience()->descriptors;
  ASSERT_THAT(listeners, SizeIs(3));
  EXPECT_EQ(listeners[0].min_interval_ns, 20 * kMs);
  EXPECT_EQ(listeners[1].min_interval_ns, 0u) << "0 is unlimited";
  EXPECT_EQ(listeners[2].min_interval_ns, 0u) << "no cap in STREAM";
  auto forced = config(3, kIpc, 31003);
  forced.mode = wire::Mode::rate_limited;
  hear(forced);
  EXPECT_EQ(desk->audience()->descriptors[2].min_interval_ns, 20 * kMs) << "a supervisor's mode goes over the Hello's";
}

TEST_F(ConsumerDeskTest, SendsOneCopyToAStreamThatADriverGaveToTwo) {  // W-74
  auto slow = hello(1, kIpc, 31001);
  slow.mode = wire::Mode::rate_limited;
  slow.max_rate_hz = 10;
  hear(slow);
  hear(hello(2, kIpc, 31001));
  auto limited = config(1, kIpc, 31001);
  limited.mode = wire::Mode::rate_limited;
  hear(limited);
  hear(config(2, kIpc, 31001));
  ASSERT_THAT(desk->audience()->descriptors, SizeIs(1));
  EXPECT_EQ(desk->audience()->descriptors[0].min_interval_ns, 0u) << "at the rate of the faster one";
}

TEST_F(ConsumerDeskTest, TakesTheSharedStreamAsAnAssignmentForNone) {  // W-74, WX-12
  hear(hello(1, kIpc, 31001));
  hear(config(1, "aeron:ipc", 1100));
  EXPECT_THAT(listeners(), IsEmpty());
  pass(2 * kNsPerSecond);
  EXPECT_THAT(configs(), IsEmpty()) << "it is an answer all the same";
}

TEST_F(ConsumerDeskTest, IgnoresConfigsThatAreMalformedOrNotForItsStream) {  // W-70, W-10, W-71
  hear(hello(1, kIpc, 31001));
  hear(config(1, kIpc, 31001));
  hear(config(1, kIpc, 0));
  hear(config(1, "", 31002));
  auto other = config(1, kIpc, 31002);
  other.stream_id = kStream + 1;
  hear(other);
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31001));
  hear(config(1, "aeron:udp?endpoint=10.0.0.1:7", 31001));
  EXPECT_THAT(listeners(), IsEmpty()) << "an assignment that policy forbids is not opened";
  keep_saying(hello(1, "aeron:udp?endpoint=10.0.0.1:7", 31001), 3 * kNsPerSecond);
  EXPECT_THAT(configs(), IsEmpty()) << "nor contradicted: that would only flap";
  auto elsewhere = hello(9, kIpc, 31009);
  elsewhere.stream_id = kStream + 1;
  hear(elsewhere);
  EXPECT_EQ(desk->consumer_count(), 1u);
}

TEST_F(ConsumerDeskTest, SendsThoseWithoutSharedMemoryToTheFallback) {  // W-77, D-67
  auto with_uri = rules();
  with_uri.fallback_uri = "bridge://lab";
  make(with_uri);
  auto no_shm = hello(1);
  no_shm.supports_shm = false;
  hear(no_shm);
  auto other_layout = hello(2);
  other_layout.expected_layout_version = 2;
  hear(other_layout);
  hear(hello(3));
  keep_saying(no_shm, 2 * kNsPerSecond);
  ASSERT_THAT(configs(), SizeIs(2));
  for (const auto& sent : configs()) {
    EXPECT_FALSE(sent.use_shm);
    EXPECT_EQ(sent.payload_fallback_uri, "bridge://lab");
  }
}

TEST_F(ConsumerDeskTest, WantsProgressOnlyWhileSomebodyLivesWhoSupportsIt) {  // W-78, W-79, W-73
  hear(hello(1, kIpc, 31001));
  pass(1050 * kMs);
  EXPECT_THAT(progress_streams(), IsEmpty());
  auto wants = hello(2);
  wants.supports_progress = true;
  wants.progress_interval_us = 1000;
  wants.progress_bytes_delta = 100'000;
  hear(wants, 9);
  EXPECT_THAT(progress_streams(), ::testing::ElementsAre(1000)) << "the shared control stream";
  EXPECT_EQ(desk->audience()->progress_policy, (ProgressPolicy{1'000'000, 100'000, 0}));
  desk->left(9);
  EXPECT_THAT(progress_streams(), IsEmpty());
}

TEST_F(ConsumerDeskTest, HoldsNoMoreConsumersThanItsLimit) {  // W-93
  for (uint32_t id = 1; id <= ConsumerDesk::kMaxConsumers + 10; ++id) hear(hello(id));
  EXPECT_EQ(desk->consumer_count(), ConsumerDesk::kMaxConsumers);
}

TEST_F(ConsumerDeskTest, ReplacesPublicationsThatAreUsedUp) {  // W-53
  hear(hello(1, kIpc, 31001));
  pass(1050 * kMs);
  const auto before = desk->audience()->descriptors.at(0).publication;
  desk->renew_publications();
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31001));
  EXPECT_NE(desk->audience()->descriptors.at(0).publication, before);
}

}  // namespace
}  // namespace tidepool::client::consumer_desk_test
