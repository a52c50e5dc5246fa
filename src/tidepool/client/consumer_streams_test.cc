// A consumer's and a producer's sessions when streams of single consumers are asked for, given and taken away; the driver's
// and the other role's part is spoken by hand.
#include "tidepool/client/consumer_streams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tidepool/client/test_stage.h"

namespace tidepool::client::consumer_streams_test {
namespace {

using testing::FakePublication;
using testing::FakeSubscription;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kPeriodNs;
using testing::kStream;
using ::testing::SizeIs;
using testing::Stage;
using wire::ConsumerConfig;
using wire::ConsumerHello;

constexpr const char* kIpc = "aeron:ipc?term-length=1m";
constexpr uint64_t kMs = kNsPerMs;
constexpr Sender kOther{.session_id = 77, .us = false};

int32_t id_of(const std::shared_ptr<transport::Subscription>& subscription) {
  return subscription ? static_cast<const FakeSubscription&>(*subscription).at.stream_id : 0;
}
void give_publisher(const std::shared_ptr<transport::Subscription>& subscription, bool there = true) {
  static_cast<FakeSubscription&>(*subscription).has_publisher = there;
}

struct ConsumerStreamsTest : ::testing::Test {
  ConsumerStreamsTest() {
    stage.port.planes_are_real = true;
    stage.t += kMs;
  }
  void enter(const ConsumerOptions& options) {
    regions = stage.make_epoch(100 + stage.maps.size());
    session = stage.enter<ConsumerSession>(options);
    session->on(stage.grant(regions), stage.now());
    look();
    if (at.subscription) give_publisher(at.subscription);
    pass(200 * kMs);
  }
  void look() { at = session->handover()->take(generation); }
  void pass(uint64_t ns) {
    stage.pass(*session, ns);
    look();
  }
  void pass_announced(uint64_t ns, const pool::EpochRegions& current) {
    stage.pass_announced(*session, ns, current);
    look();
  }
  uint32_t consumer_id() const { return stage.port.all<wire::ShmAttachRequest>().back().client_id; }
  ConsumerHello hello() {
    stage.pass(*session, kNsPerSecond);
    look();
    return stage.port.all<ConsumerHello>().back();
  }
  ConsumerConfig config(const std::string& channel = {}, uint32_t id = 0) const {
    ConsumerConfig out;
    out.stream_id = kStream;
    out.consumer_id = consumer_id();
    out.descriptor_channel = channel;
    out.descriptor_stream_id = id;
    return out;
  }
  void hear(const ConsumerConfig& message) {
    session->hear(message, kOther, stage.now());
    pass(kMs);
  }
  State state() const { return session->handover()->state(); }

  Stage stage;
  pool::EpochRegions regions;
  std::unique_ptr<ConsumerSession> session;
  uint64_t generation = 0;
  Attachment at;
};

// ---- what a Hello says ---------------------------------------------------------------------------------------------------

TEST_F(ConsumerStreamsTest, AHelloOfNoWishesSaysSo) {  // W-68, W-7
  enter({});
  ConsumerHello expected;
  expected.stream_id = kStream;
  expected.consumer_id = consumer_id();
  expected.expected_layout_version = 1;
  EXPECT_EQ(hello(), expected) << "SHM, STREAM, rate 0, hints null, no request";
}

TEST_F(ConsumerStreamsTest, AHelloCarriesRequestsModeRateAndHints) {  // W-68, W-70, W-79
  ConsumerOptions options{
      .mode = wire::Mode::rate_limited, .max_rate_hz = 25, .own_descriptors = {kIpc, 31001}, .own_control = {kIpc, 32001}};
  options.on_progress = [](const ProgressView&) {};
  options.progress_interval_us = 500;
  options.progress_major_delta_units = 8;
  enter(options);
  const auto said = hello();
  EXPECT_TRUE(said.supports_shm);
  EXPECT_TRUE(said.supports_progress);
  EXPECT_EQ(said.mode, wire::Mode::rate_limited);
  EXPECT_EQ(said.max_rate_hz, 25u);
  EXPECT_EQ(said.progress_interval_us, 500u);
  EXPECT_EQ(said.progress_bytes_delta, 65536u);
  EXPECT_EQ(said.progress_major_delta_units, 8u);
  EXPECT_EQ(said.descriptor_channel, kIpc);
  EXPECT_EQ(said.descriptor_stream_id, 31001u);
  EXPECT_EQ(said.control_channel, kIpc);
  EXPECT_EQ(said.control_stream_id, 32001u);
}

TEST_F(ConsumerStreamsTest, RepeatsItsWishUntilItIsAssignedThenWhatIsAssigned) {  // W-68, W-72
  enter({.own_descriptors = {kIpc, 1}});
  EXPECT_EQ(hello().descriptor_stream_id, 1u);
  hear(config());
  EXPECT_EQ(hello().descriptor_stream_id, 1u) << "declined: still wanted";
  hear(config(kIpc, 31007));
  EXPECT_EQ(hello().descriptor_stream_id, 31007u);
  hear(config());
  EXPECT_EQ(hello().descriptor_stream_id, 1u);
}

TEST_F(ConsumerStreamsTest, BeginsWithItsWishAgainUnderANewLease) {  // W-72, D-58
  enter({.own_descriptors = {kIpc, 1}});
  hear(config(kIpc, 31007));
  session->on(stage.revoke(500, wire::Role::consumer, consumer_id()), stage.now());
  pass(200 * kMs);
  const auto next = stage.make_epoch(101);
  session->on(stage.grant(next, 501), stage.now());
  pass(10 * kMs);
  EXPECT_EQ(stage.port.all<ConsumerHello>().back().descriptor_stream_id, 1u);
  EXPECT_EQ(id_of(at.subscription), 1100) << "nothing is assigned: the shared stream";
  EXPECT_EQ(session->handover()->assigned_descriptors().stream_id, 0);
}

// ---- what a Config does --------------------------------------------------------------------------------------------------

TEST_F(ConsumerStreamsTest, OpensItsOwnStreamBeforeItLeavesTheShared) {  // W-72
  enter({.own_descriptors = {kIpc, 31001}});
  hear(config(kIpc, 31001));
  EXPECT_EQ(id_of(at.own), 31001);
  EXPECT_EQ(id_of(at.subscription), 1100) << "until somebody publishes on its own";
  EXPECT_EQ(session->handover()->assigned_descriptors().stream_id, 31001);
  pass(3 * kNsPerSecond);
  EXPECT_EQ(id_of(at.subscription), 1100);
  give_publisher(at.own);
  pass(90 * kMs);
  EXPECT_EQ(id_of(at.subscription), 1100);
  pass(100 * kMs);
  EXPECT_EQ(at.subscription, nullptr) << "its own alone";
  EXPECT_EQ(id_of(at.own), 31001);
}

TEST_F(ConsumerStreamsTest, GoesBackToTheSharedStreamWhenItsOwnIsTakenAway) {  // W-72
  enter({.own_descriptors = {kIpc, 31001}});
  hear(config(kIpc, 31001));
  const auto own = at.own;
  give_publisher(own);
  pass(200 * kMs);
  ASSERT_EQ(at.subscription, nullptr);
  hear(config());
  EXPECT_EQ(id_of(at.subscription), 1100);
  EXPECT_EQ(at.own, nullptr);
  EXPECT_EQ(at.leaving, own) << "read on until the shared one has a publisher";
  give_publisher(at.subscription);
  pass(200 * kMs);
  EXPECT_EQ(at.leaving, nullptr);
}

TEST_F(ConsumerStreamsTest, GoesBackToTheSharedStreamWhenNobodyPublishesOnItsOwn) {  // W-72
  enter({.own_descriptors = {kIpc, 31001}});
  hear(config(kIpc, 31001));
  give_publisher(at.own);
  pass(200 * kMs);
  ASSERT_EQ(at.subscription, nullptr);
  give_publisher(at.own, false);
  pass(50 * kMs);
  EXPECT_EQ(id_of(at.subscription), 1100);
  EXPECT_EQ(id_of(at.own), 31001) << "it may come back";
  give_publisher(at.subscription);
  give_publisher(at.own);
  pass(200 * kMs);
  EXPECT_EQ(at.subscription, nullptr);
}

TEST_F(ConsumerStreamsTest, TheLastConfigWins) {  // W-72
  enter({.own_descriptors = {kIpc, 31001}});
  session->hear(config(kIpc, 31001), kOther, stage.now());
  session->hear(config(kIpc, 31002), kOther, stage.now());
  pass(kMs);
  EXPECT_EQ(id_of(at.own), 31002);
  EXPECT_EQ(session->handover()->assigned_descriptors().stream_id, 31002);
  give_publisher(at.own);
  pass(2 * kNsPerSecond);
  EXPECT_EQ(at.leaving, nullptr);
  EXPECT_EQ(at.subscription, nullptr);
  hear(config(kIpc, 31001));
  EXPECT_EQ(id_of(at.own), 31001);
  EXPECT_EQ(id_of(at.leaving), 31002);
}

TEST_F(ConsumerStreamsTest, DoesNothingWhenAConfigRepeats) {  // W-72
  enter({.own_descriptors = {kIpc, 31001}});
  hear(config(kIpc, 31001));
  const size_t opened = stage.port.subscriptions.size();
  const uint64_t before = session->handover()->generation();
  for (int i = 0; i < 5; ++i) hear(config(kIpc, 31001));
  EXPECT_EQ(stage.port.subscriptions.size(), opened);
  EXPECT_EQ(session->handover()->generation(), before);
}

TEST_F(ConsumerStreamsTest, IgnoresAMalformedConfigAsAWhole) {  // W-70, W-72, W-11
  enter({.own_descriptors = {kIpc, 31001}});
  hear(config(kIpc, 31001));
  auto half = config(kIpc, 0);
  half.mode = wire::Mode::rate_limited;
  half.use_shm = false;
  auto other_half = config("", 31002);
  auto control_half = config(kIpc, 31003);
  control_half.control_stream_id = 5;
  for (const auto& bad : {half, other_half, control_half, config(kIpc, 0x80000000)}) {
    hear(bad);
    EXPECT_EQ(session->handover()->assigned_descriptors().stream_id, 31001);
    EXPECT_EQ(state(), State::kAttached);
  }
  stage.pass(*session, kNsPerSecond);
  EXPECT_EQ(stage.port.all<wire::QosConsumer>().back().mode, wire::Mode::stream);
}

TEST_F(ConsumerStreamsTest, IgnoresConfigsForOthers) {  // W-10
  enter({.own_descriptors = {kIpc, 31001}});
  auto other = config(kIpc, 31001);
  other.consumer_id += 1;
  hear(other);
  other = config(kIpc, 31001);
  other.stream_id += 1;
  hear(other);
  EXPECT_EQ(at.own, nullptr);
}

TEST_F(ConsumerStreamsTest, SubscribesOnlyWhereItsPolicyAllows) {  // W-71, wire.md 16
  enter({.own_descriptors = {kIpc, 31001}});
  hear(config("aeron:udp?endpoint=10.0.0.1:9", 31001));
  EXPECT_EQ(at.own, nullptr);
  hear(config("aeron:ipc", 1000));  // the control stream
  EXPECT_EQ(at.own, nullptr);
  hear(config("aeron:ipc", 1100));  // WX-12: what it has
  EXPECT_EQ(at.own, nullptr);
  EXPECT_EQ(id_of(at.subscription), 1100);
  stage.port.plane_error = "no such channel";
  hear(config(kIpc, 31001));
  EXPECT_EQ(at.own, nullptr) << "given up gracefully";
  EXPECT_EQ(id_of(at.subscription), 1100);
  EXPECT_EQ(state(), State::kAttached);
}

TEST_F(ConsumerStreamsTest, MayBeGivenTheChannelItAskedForWhateverItsPolicySays) {  // W-71
  const std::string udp = "aeron:udp?endpoint=127.0.0.1:9";
  enter({.own_descriptors = {udp, 31001}});
  hear(config(udp, 31009));
  EXPECT_EQ(id_of(at.own), 31009);
  hear(config("aeron:udp?endpoint=127.0.0.1:10", 31009));
  EXPECT_EQ(at.own, nullptr) << "another one it did not ask for";
}

TEST_F(ConsumerStreamsTest, HearsProgressOnItsOwnControlStreamAloneOnceSomebodyPublishesThere) {  // W-72, W-73
  ConsumerOptions options{.own_control = {kIpc, 32001}};
  options.on_progress = [](const ProgressView&) {};
  enter(options);
  EXPECT_EQ(id_of(at.progress), 1000) << "the shared control stream";
  auto assigned = config();
  assigned.control_channel = kIpc;
  assigned.control_stream_id = 32001;
  hear(assigned);
  EXPECT_EQ(id_of(at.progress), 1000);
  for (const auto& open : stage.port.subscriptions) {
    if (const auto there = open.lock(); there && there->at.stream_id == 32001) there->has_publisher = true;
  }
  pass(50 * kMs);
  EXPECT_EQ(id_of(at.progress), 32001);
  EXPECT_EQ(session->handover()->assigned_control().stream_id, 32001);
  hear(config());
  EXPECT_EQ(id_of(at.progress), 1000);
}

TEST_F(ConsumerStreamsTest, AdoptsTheModeItIsTold) {  // W-72, W-76
  enter({.max_rate_hz = 20});
  EXPECT_EQ(hello().max_rate_hz, 0u) << "STREAM has no rate (WX-27)";
  EXPECT_EQ(at.thin_interval_ns, 0u);
  auto limited = config();
  limited.mode = wire::Mode::rate_limited;
  hear(limited);
  EXPECT_EQ(at.thin_interval_ns, 50 * kMs) << "nobody caps the shared stream: it does so itself";
  stage.pass(*session, kNsPerSecond);
  EXPECT_EQ(stage.port.all<wire::QosConsumer>().back().mode, wire::Mode::rate_limited);
  hear(config());
  EXPECT_EQ(at.thin_interval_ns, 0u);
}

// ---- without shared memory -----------------------------------------------------------------------------------------------

TEST_F(ConsumerStreamsTest, UnmapsAndTellsTheUriWhenSharedMemoryIsForbidden) {  // W-77, W-72
  std::vector<StateChange> changes;
  ConsumerOptions options;
  options.on_state = [&](const StateChange& change) { changes.push_back(change); };
  enter(options);
  const auto mapped = at.map;
  auto forbidden = config();
  forbidden.use_shm = false;
  forbidden.payload_fallback_uri = "bridge://lab";
  hear(forbidden);
  EXPECT_EQ(at.map, nullptr);
  EXPECT_FALSE(mapped->alive());
  EXPECT_EQ(state(), State::kFallback);
  EXPECT_EQ(session->handover()->fallback_uri(), "bridge://lab");
  ASSERT_FALSE(changes.empty());
  EXPECT_EQ(changes.back().state, State::kFallback);
  EXPECT_EQ(changes.back().fallback_uri, "bridge://lab");
  pass_announced(3 * kNsPerSecond, regions);
  EXPECT_EQ(at.map, nullptr) << "no announce maps what is forbidden";
  EXPECT_EQ(stage.port.all<wire::QosConsumer>().back().epoch, 0u);
  forbidden.payload_fallback_uri = "aeron:udp?endpoint=h:1";
  hear(forbidden);
  EXPECT_EQ(changes.back().fallback_uri, "aeron:udp?endpoint=h:1");
  hear(config());
  EXPECT_EQ(state(), State::kRemapping);
  pass_announced(kNsPerSecond, regions);
  EXPECT_EQ(state(), State::kAttached);
  EXPECT_NE(at.map, nullptr);
  EXPECT_EQ(session->handover()->fallback_uri(), "");
}

TEST_F(ConsumerStreamsTest, SaysWhatIsMissingWhenThereIsNoWayToThePayload) {  // W-77
  enter({});
  auto forbidden = config();
  forbidden.use_shm = false;
  forbidden.payload_fallback_uri = "http://example.org/frames";  // no form that we know: absent
  hear(forbidden);
  EXPECT_EQ(state(), State::kUnreachable);
  EXPECT_THAT(session->handover()->why(), HasSubstr("forbidden by a ConsumerConfig; no payload fallback is known"));
  forbidden.payload_fallback_uri = "bridge://lab";
  hear(forbidden);
  EXPECT_EQ(state(), State::kFallback) << "it has gone on listening";
}

TEST_F(ConsumerStreamsTest, ItsOwnFallbackStandsWhereTheConfigHasNone) {  // W-77
  enter({.payload_fallback_uri = "bridge://mine"});
  auto forbidden = config();
  forbidden.use_shm = false;
  hear(forbidden);
  EXPECT_EQ(session->handover()->fallback_uri(), "bridge://mine");
}

TEST_F(ConsumerStreamsTest, MapsNothingWhenItIsToldToDoWithout) {  // W-77
  enter({.use_shm = false});
  EXPECT_EQ(at.map, nullptr);
  EXPECT_EQ(state(), State::kUnreachable);
  EXPECT_THAT(session->handover()->why(), HasSubstr("use_shm"));
  EXPECT_TRUE(session->handover()->decided()) << "attached all the same";
  EXPECT_FALSE(hello().supports_shm);
  auto answer = config();
  answer.use_shm = false;
  answer.payload_fallback_uri = "bridge://lab";
  hear(answer);
  EXPECT_EQ(state(), State::kFallback);
  pass_announced(2 * kNsPerSecond, regions);
  EXPECT_EQ(at.map, nullptr);
}

TEST_F(ConsumerStreamsTest, FallsBackWhenItCannotMapAndTriesAgainWithTheNextEpoch) {  // W-77, driver.md 15.4
  enter({.payload_fallback_uri = "bridge://mine"});
  auto broken = stage.make_epoch(101);
  broken.pools[0].stride_bytes = 64;  // not what the superblock says
  session->on(stage.announce(broken), 0, stage.now());
  look();
  EXPECT_EQ(state(), State::kFallback);
  EXPECT_EQ(at.map, nullptr);
  EXPECT_EQ(session->handover()->fallback_uri(), "bridge://mine");
  broken.pools[0].stride_bytes = 4096;
  pass_announced(2 * kNsPerSecond, broken);
  EXPECT_EQ(state(), State::kFallback) << "the same epoch is not tried again";
  const auto next = stage.make_epoch(102);
  pass_announced(kNsPerSecond, next);
  EXPECT_EQ(state(), State::kAttached);
  ASSERT_NE(at.map, nullptr);
  EXPECT_EQ(at.map->epoch(), 102u);
}

TEST_F(ConsumerStreamsTest, FallsBackAtOnceWhenWhatTheDriverGrantedDoesNotMap) {  // W-77, driver.md 15.4
  regions = stage.make_epoch(100);
  session = stage.enter<ConsumerSession>(ConsumerOptions{.payload_fallback_uri = "bridge://mine"});
  auto broken = regions;
  broken.header_region_uri = "shm:file?path=/nowhere/header.ring";
  session->on(stage.grant(broken), stage.now());
  EXPECT_EQ(state(), State::kFallback);
  EXPECT_TRUE(session->handover()->decided());
  EXPECT_FALSE(session->handover()->failure());
}

// ---- ids -----------------------------------------------------------------------------------------------------------------

TEST_F(ConsumerStreamsTest, DrawsAnotherIdWhenSomebodyElseGoesByIts) {  // W-69
  for (const bool by_qos : {false, true}) {
    SCOPED_TRACE(by_qos);
    enter({});
    const uint32_t mine = consumer_id();
    const auto meet = [&](uint32_t id, uint32_t stream, const Sender& from) {
      if (by_qos) {
        wire::QosConsumer qos;
        qos.stream_id = stream;
        qos.consumer_id = id;
        session->hear(qos, from, stage.now());
      } else {
        ConsumerHello said;
        said.stream_id = stream;
        said.consumer_id = id;
        session->hear(said, from, stage.now());
      }
    };
    meet(mine, kStream, {.session_id = 1, .us = true});
    meet(mine + 1, kStream, kOther);
    meet(mine, kStream + 1, kOther);
    EXPECT_EQ(state(), State::kAttached);
    meet(mine, kStream, kOther);
    EXPECT_EQ(state(), State::kBackoff);
    EXPECT_EQ(stage.port.all<wire::ShmDetachRequest>().back().client_id, mine) << "the old lease goes back";
    stage.pass(*session, 200 * kMs);
    EXPECT_NE(consumer_id(), mine);
  }
}

TEST_F(ConsumerStreamsTest, KeepsAConfiguredIdThoughSomebodyElseHasItToo) {  // W-69
  enter({.client_id = 42});
  ConsumerHello said;
  said.stream_id = kStream;
  said.consumer_id = 42;
  session->hear(said, kOther, stage.now());
  session->hear(said, kOther, stage.now());
  EXPECT_EQ(state(), State::kAttached);
}

// ---- the producer's session ----------------------------------------------------------------------------------------------

struct ProducerStreamsTest : ::testing::Test {
  void enter(const ProducerOptions& options) {
    stage.t += kMs;
    regions = stage.make_epoch(100);
    session = stage.enter<ProducerSession>(options);
    session->on(stage.grant(regions), stage.now());
    pass(kMs);
  }
  void pass(uint64_t ns) {
    stage.pass(*session, ns);
    at = session->handover()->take(generation);
  }
  ConsumerHello hello(uint32_t id, const std::string& channel, uint32_t stream) const {
    ConsumerHello out;
    out.stream_id = kStream;
    out.consumer_id = id;
    out.descriptor_channel = channel;
    out.descriptor_stream_id = stream;
    return out;
  }
  std::vector<int32_t> listeners() const {
    std::vector<int32_t> out;
    if (!at.audience) return out;
    for (const auto& listener : at.audience->descriptors)
      out.push_back(static_cast<const FakePublication&>(*listener.publication).at.stream_id);
    return out;
  }
  Stage stage;
  pool::EpochRegions regions;
  std::unique_ptr<ProducerSession> session;
  uint64_t generation = 0;
  Attachment at;
};

TEST_F(ProducerStreamsTest, HandsAnAnsweredConsumersStreamToItsPublisher) {  // D-67, W-70
  enter({});
  session->hear(hello(42, kIpc, 31001), kOther, stage.now());
  pass(950 * kMs);
  EXPECT_THAT(listeners(), IsEmpty());
  pass(150 * kMs);
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31001));
  ASSERT_THAT(stage.port.all<ConsumerConfig>(), SizeIs(1));
  EXPECT_EQ(session->handover()->streams.consumers.get(), 1u);
  EXPECT_EQ(session->handover()->streams.streams.get(), 1u);
}

TEST_F(ProducerStreamsTest, AdoptsWhatTheDriverAssigns) {  // W-74, D-67
  enter({});
  session->hear(hello(42, kIpc, 1), kOther, stage.now());
  ConsumerConfig given;
  given.stream_id = kStream;
  given.consumer_id = 42;
  given.descriptor_channel = kIpc;
  given.descriptor_stream_id = 31007;
  session->hear(given, kOther, stage.now());
  pass(2 * kNsPerSecond);
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31007));
  EXPECT_THAT(stage.port.all<ConsumerConfig>(), IsEmpty());
}

TEST_F(ProducerStreamsTest, LetsAConsumersStreamGoWithItsLease) {  // W-75, D-25
  enter({});
  session->hear(hello(42, kIpc, 31001), kOther, stage.now());
  pass(1100 * kMs);
  ASSERT_THAT(listeners(), SizeIs(1));
  session->on(stage.revoke(900, wire::Role::consumer, 41), stage.now());
  pass(kMs);
  EXPECT_THAT(listeners(), SizeIs(1)) << "another one's";
  session->on(stage.revoke(901, wire::Role::consumer, 42), stage.now());
  pass(kMs);
  EXPECT_THAT(listeners(), IsEmpty());
}

TEST_F(ProducerStreamsTest, LetsGoOfConsumersWhoseSessionLeftAndOfAllWithTheMediaDriver) {  // W-75
  enter({});
  session->hear(hello(42, kIpc, 31001), {.session_id = 5, .us = false}, stage.now());
  session->hear(hello(43, kIpc, 31002), {.session_id = 6, .us = false}, stage.now());
  pass(1100 * kMs);
  session->publisher_left(5);
  pass(kMs);
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31002));
  session->disconnected("gone");
  pass(kMs);
  EXPECT_EQ(at.audience, nullptr);
  EXPECT_TRUE(std::ranges::all_of(stage.port.publications, [](const auto& p) { return p.expired(); }))
      << "nothing of the old media driver is held";
}

TEST_F(ProducerStreamsTest, KeepsItsConsumersOverANewEpoch) {  // W-74, D-58
  enter({});
  session->hear(hello(42, kIpc, 31001), kOther, stage.now());
  pass(1100 * kMs);
  const auto client_id = stage.port.all<wire::ShmAttachRequest>().back().client_id;
  session->on(stage.revoke(500, wire::Role::producer, client_id), stage.now());
  pass(20 * kNsPerSecond);  // nobody is listened to meanwhile: that is nobody's silence
  session->on(stage.grant(stage.make_epoch(101), 501), stage.now());
  pass(kMs);
  EXPECT_THAT(listeners(), ::testing::ElementsAre(31001));
}

}  // namespace
}  // namespace tidepool::client::consumer_streams_test
