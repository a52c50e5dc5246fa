#include "tidepool/services/supervisor/supervisor.h"

#include <gtest/gtest.h>

#include <deque>

#include "tidepool/base/log.h"
#include "tidepool/control/dispatch.h"
#include "tidepool/pool/epoch_files.h"
#include "tidepool/transport/test_media_driver.h"

namespace tidepool::supervisor {
namespace {

using transport::testing::poll_until;
using transport::testing::TestMediaDriver;

constexpr uint32_t kStream = 10000;
constexpr const char* kIpc = "aeron:ipc";

// Says what consumers and producers say, hears what supervisors answer, on the bare protocol.
class Peer {
 public:
  explicit Peer(const TestMediaDriver& media, const SupervisorConfig& config) : connection_(media.connect()) {
    in_ = connection_->add_subscription(config.control.channel, config.control.stream_id);
    control_ = connection_->add_publication(config.control.channel, config.control.stream_id);
    announce_ = connection_->add_publication(config.announce.channel, config.announce.stream_id);
    qos_ = connection_->add_publication(config.qos.channel, config.qos.stream_id);
    metadata_ = connection_->add_publication(config.metadata.channel, config.metadata.stream_id);
  }
  bool joined() {
    connection_->poll();
    return control_->connected() && announce_->connected() && qos_->connected() && metadata_->connected();
  }
  void say(const wire::ConsumerHello& m) { send(*control_, m); }
  void say(const wire::ConsumerConfig& m) { send(*control_, m); }
  void say(const wire::QosConsumer& m) { send(*qos_, m); }
  void say(const wire::QosProducer& m) { send(*qos_, m); }
  void say(const wire::ShmPoolAnnounce& m) { send(*announce_, m); }
  void say(const wire::DataSourceAnnounce& m) { send(*metadata_, m); }
  void poll() {
    connection_->poll();
    in_->poll([this](Bytes message, const transport::MessageInfo& info) { control::dispatch(message, info, *this, counts_); }, 100);
  }
  void on(const wire::ConsumerConfig& config, const transport::MessageInfo&) { configs.push_back(config); }
  std::deque<wire::ConsumerConfig> configs;

 private:
  template <typename Message>
  void send(transport::Publication& to, const Message& message) {
    const auto bytes = wire::encode_new(message);
    ASSERT_TRUE(poll_until([&] {
      poll();
      return to.send(bytes) == transport::SendResult::kOk;
    }));
  }
  std::shared_ptr<transport::Connection> connection_;
  std::shared_ptr<transport::Subscription> in_;
  std::shared_ptr<transport::Publication> control_, announce_, qos_, metadata_;
  control::DispatchCounts counts_;
};

class SupervisorTest : public ::testing::Test {
 protected:
  SupervisorTest() {
    config_.aeron_dir = media_.dir();
    config_.control = {kIpc, 1000};
    config_.announce = {kIpc, 1001};
    config_.metadata = {kIpc, 1300};
    config_.qos = {kIpc, 1200};
    config_.consumers.descriptor_ids = {{31000, 31001}};
    config_.consumers.control_ids = {{32000, 32001}};
    config_.consumers.per_consumer_enabled = true;
  }
  void start(SupervisorOptions options = {}) {
    supervisor_ = std::make_unique<Supervisor>(config_, clock_, std::move(options));
    peer_ = std::make_unique<Peer>(media_, config_);
    ASSERT_TRUE(poll_until([&] { return turn(), peer_->joined(); }));
  }
  void turn() {
    supervisor_->poll();
    peer_->poll();
  }
  static wire::ConsumerHello hello(uint32_t consumer_id, uint32_t stream_id = kStream) {
    wire::ConsumerHello out;
    out.stream_id = stream_id;
    out.consumer_id = consumer_id;
    return out;
  }
  static wire::ConsumerHello wish(uint32_t consumer_id, uint32_t descriptor_id, uint32_t control_id, uint32_t stream_id = kStream) {
    wire::ConsumerHello out = hello(consumer_id, stream_id);
    out.descriptor_channel = out.control_channel = kIpc;
    out.descriptor_stream_id = descriptor_id;
    out.control_stream_id = control_id;
    return out;
  }
  wire::ConsumerConfig answer_to(const wire::ConsumerHello& message) {
    peer_->configs.clear();
    peer_->say(message);
    EXPECT_TRUE(poll_until([&] { return turn(), !peer_->configs.empty(); }));
    return peer_->configs.empty() ? wire::ConsumerConfig{} : peer_->configs.front();
  }
  // All that was said has been handled: a hello that is answered comes behind it on the same stream.
  void flush(uint32_t probe_consumer = 4242) {
    static uint32_t rate = 0;
    wire::ConsumerHello probe = hello(probe_consumer, 77);
    probe.max_rate_hz = ++rate;  // another one each time
    peer_->say(probe);
    ASSERT_TRUE(poll_until([&] { return turn(), !peer_->configs.empty() && peer_->configs.back().stream_id == 77; }));
    peer_->configs.pop_back();
  }
  std::optional<ConsumerStatus> consumer(uint32_t id, uint32_t stream_id = kStream) {
    for (auto& status : supervisor_->consumers())
      if (status.consumer_id == id && status.stream_id == stream_id) return status;
    return std::nullopt;
  }
  std::optional<ProducerStatus> producer(uint32_t id) {
    for (auto& status : supervisor_->producers())
      if (status.producer_id == id) return status;
    return std::nullopt;
  }

  TestMediaDriver media_;
  ManualClock clock_{monotonic_ns()};
  SupervisorConfig config_;
  std::unique_ptr<Supervisor> supervisor_;
  std::unique_ptr<Peer> peer_;
};

TEST_F(SupervisorTest, AnswersAPlainHelloWithItsOwnWishes) {  // OP-14, W-72
  start();
  wire::ConsumerHello message = hello(7);
  message.mode = wire::Mode::rate_limited;
  const wire::ConsumerConfig config = answer_to(message);
  EXPECT_EQ(config.stream_id, kStream);
  EXPECT_EQ(config.consumer_id, 7u);
  EXPECT_TRUE(config.use_shm);
  EXPECT_EQ(config.mode, wire::Mode::rate_limited);
  EXPECT_EQ(config.descriptor_stream_id, 0u);
  EXPECT_EQ(config.descriptor_channel, "");
}

TEST_F(SupervisorTest, AnswersTheFirstHelloAndDifferentOnesOnly) {  // D-51
  start();
  const wire::ConsumerConfig assigned = answer_to(wish(7, 31001, 32000));
  peer_->configs.clear();
  peer_->say(wish(7, 31001, 32000));
  // The same, with the assignment echoed in place of the wish (wire.md 10).
  wire::ConsumerHello echo = wish(7, assigned.descriptor_stream_id, assigned.control_stream_id);
  peer_->say(echo);
  flush();
  EXPECT_TRUE(peer_->configs.empty());
  echo.max_rate_hz = 50;
  EXPECT_EQ(answer_to(echo).descriptor_stream_id, assigned.descriptor_stream_id);
}

TEST_F(SupervisorTest, AssignsEachIdOnceAndDeclinesWhenThereIsNone) {  // D-50
  start();
  const auto first = answer_to(wish(1, 31001, 5));       // in the range: granted as asked; 5 is not ours: the next free one
  const auto second = answer_to(wish(2, 31001, 32000));  // taken: the next free one
  const auto third = answer_to(wish(3, 31001, 32001));
  EXPECT_EQ(first.descriptor_stream_id, 31001u);
  EXPECT_EQ(first.descriptor_channel, kIpc);
  EXPECT_EQ(first.control_stream_id, 32000u);
  EXPECT_EQ(second.descriptor_stream_id, 31000u);
  EXPECT_EQ(second.control_stream_id, 32001u);
  EXPECT_EQ(third.descriptor_stream_id, 0u);
  EXPECT_EQ(third.descriptor_channel, "");
  EXPECT_EQ(third.control_stream_id, 0u);
  EXPECT_EQ(supervisor_->counts().planes_assigned, 4u);
  EXPECT_EQ(supervisor_->counts().planes_declined, 2u);
  // Given up by an empty request, it is there for the next one.
  EXPECT_EQ(answer_to(hello(1)).descriptor_stream_id, 0u);
  wire::ConsumerHello again = wish(3, 31001, 0);
  again.control_channel.clear();
  EXPECT_EQ(answer_to(again).descriptor_stream_id, 31001u);
}

TEST_F(SupervisorTest, KeepsEqualIdsOnTwoStreamsApart) {  // OP-14
  start();
  EXPECT_EQ(answer_to(wish(1, 31000, 32000, 100)).descriptor_stream_id, 31000u);
  EXPECT_EQ(answer_to(wish(1, 31000, 32000, 200)).descriptor_stream_id, 31001u);
  EXPECT_TRUE(consumer(1, 100));
  EXPECT_TRUE(consumer(1, 200));
}

TEST_F(SupervisorTest, DeclinesHalfPairsAndChannelsThatAreNone) {  // OP-15, W-11, W-70, W-71
  start();
  wire::ConsumerHello half = wish(1, 31000, 0);
  const auto first = answer_to(half);
  EXPECT_EQ(first.descriptor_stream_id, 31000u);  // the other plane is judged by itself
  EXPECT_EQ(first.control_stream_id, 0u);
  half = wish(2, 31001, 32000);
  half.descriptor_channel.clear();
  EXPECT_EQ(answer_to(half).descriptor_stream_id, 0u);
  wire::ConsumerHello strange = wish(3, 31001, 0x80000000);
  strange.descriptor_channel = "http://elsewhere";
  const auto third = answer_to(strange);
  EXPECT_EQ(third.descriptor_stream_id, 0u);
  EXPECT_EQ(third.control_stream_id, 0u);
  strange.descriptor_channel = "aeron-spy:aeron:ipc";
  EXPECT_EQ(answer_to(strange).descriptor_stream_id, 0u);
}

TEST_F(SupervisorTest, ForcesWhatPolicySays) {  // OP-14, D-51
  config_.consumers.force_no_shm = true;
  config_.consumers.force_mode = wire::Mode::stream;
  config_.consumers.payload_fallback_uri = "bridge://lab";
  config_.consumers.per_consumer_descriptor_channel = "aeron:udp?endpoint=localhost:4000";
  start();
  wire::ConsumerHello message = wish(1, 31000, 32000);
  message.mode = wire::Mode::rate_limited;
  const auto config = answer_to(message);
  EXPECT_FALSE(config.use_shm);
  EXPECT_EQ(config.mode, wire::Mode::stream);
  EXPECT_EQ(config.payload_fallback_uri, "bridge://lab");
  EXPECT_EQ(config.descriptor_channel, "aeron:udp?endpoint=localhost:4000");
}

TEST_F(SupervisorTest, TellsAConsumerOfAnotherLayoutNotToUseTheMemory) {  // wire.md 10
  start();
  wire::ConsumerHello message = hello(1);
  message.expected_layout_version = 9;
  EXPECT_FALSE(answer_to(message).use_shm);
  message = hello(2);
  message.supports_shm = false;
  EXPECT_FALSE(answer_to(message).use_shm);
}

TEST_F(SupervisorTest, OnlyNotesWhatIsAnsweredWhereADriverAnswersByItself) {  // D-51
  SupervisorOptions options;
  options.answers = false;
  start(options);
  peer_->say(wish(1, 31000, 32000));
  ASSERT_TRUE(poll_until([&] { return turn(), consumer(1).has_value(); }));
  wire::ConsumerConfig config;
  config.stream_id = kStream;
  config.consumer_id = 1;
  config.mode = wire::Mode::rate_limited;
  config.descriptor_channel = kIpc;
  config.descriptor_stream_id = 31007;
  peer_->say(config);
  ASSERT_TRUE(poll_until([&] { return turn(), consumer(1)->descriptor.stream_id == 31007; }));
  EXPECT_EQ(consumer(1)->mode, wire::Mode::rate_limited);
  EXPECT_EQ(peer_->configs.size(), 1u);  // the peer's own, come back
  EXPECT_EQ(supervisor_->counts().configs_sent, 0u);
}

TEST_F(SupervisorTest, ReportsASilentConsumerOnceFreesItsIdsAndForgetsItLater) {  // OP-16, OP-14
  start();
  answer_to(wish(1, 31000, 32000));
  clock_.advance_ns(6 * kNsPerSecond);
  turn();
  ASSERT_TRUE(consumer(1));
  EXPECT_TRUE(consumer(1)->stale);
  EXPECT_EQ(consumer(1)->descriptor, AssignedPlane{});
  EXPECT_EQ(supervisor_->counts().consumers_stale, 1u);
  EXPECT_EQ(answer_to(wish(2, 31000, 32000)).descriptor_stream_id, 31000u);
  clock_.advance_ns(2 * kNsPerSecond);
  turn();
  EXPECT_EQ(supervisor_->counts().consumers_stale, 1u);
  clock_.advance_ns(4 * kNsPerSecond);
  turn();
  EXPECT_FALSE(consumer(1));
  // Back again, it is a consumer like any other, and answered.
  answer_to(wish(2, 31000, 32000));
  EXPECT_EQ(answer_to(wish(1, 31000, 32000)).descriptor_stream_id, 31001u);
}

TEST_F(SupervisorTest, IsKeptAliveByQosAloneWhichAlsoMakesAConsumerKnown) {  // OP-14
  start();
  wire::QosConsumer qos;
  qos.stream_id = kStream;
  qos.consumer_id = 9;
  qos.epoch = 5;
  qos.drops_gap = 10;
  for (int i = 0; i < 4; ++i) {
    qos.last_seq_seen += 100;
    peer_->say(qos);
    ASSERT_TRUE(poll_until([&] { return turn(), consumer(9) && consumer(9)->last_seq == qos.last_seq_seen; }));
    clock_.advance_ns(4 * kNsPerSecond);
    turn();
    EXPECT_FALSE(consumer(9)->stale);
  }
}

TEST_F(SupervisorTest, SumsDropsOverCountersThatFallToZero) {  // W-86
  start();
  wire::QosConsumer qos;
  qos.stream_id = kStream;
  qos.consumer_id = 9;
  for (const uint64_t drops : {3, 5, 2}) {
    qos.drops_gap = drops;
    ++qos.last_seq_seen;
    peer_->say(qos);
    ASSERT_TRUE(poll_until([&] { return turn(), consumer(9) && consumer(9)->last_seq == qos.last_seq_seen; }));
  }
  EXPECT_EQ(consumer(9)->drops_gap, 7u);
}

TEST_F(SupervisorTest, SaysHowFarAConsumerIsBehindItsProducer) {  // operations.md 2
  start();
  wire::QosProducer ahead;
  ahead.stream_id = kStream;
  ahead.producer_id = 3;
  ahead.epoch = 5;
  ahead.current_seq = 120;
  peer_->say(ahead);
  wire::QosConsumer qos;
  qos.stream_id = kStream;
  qos.consumer_id = 9;
  qos.epoch = 5;
  qos.last_seq_seen = 100;
  peer_->say(qos);
  ASSERT_TRUE(poll_until([&] { return turn(), consumer(9) && consumer(9)->lag.has_value(); }));
  EXPECT_EQ(consumer(9)->lag, 20u);
}

TEST_F(SupervisorTest, TakesNoMoreConsumersThanItHasRoomFor) {  // config.md 3
  config_.consumers.consumer_capacity = 2;
  start();
  answer_to(hello(1));
  flush(2);  // the second one
  peer_->say(hello(3));
  ASSERT_TRUE(poll_until([&] { return turn(), supervisor_->counts().consumers_refused == 1; }));
  EXPECT_FALSE(consumer(3));
}

TEST_F(SupervisorTest, WatchesProducersByAnnounceMetadataAndQos) {  // OP-3, OP-14
  start();
  wire::ShmPoolAnnounce announce;
  announce.stream_id = kStream;
  announce.producer_id = 3;
  announce.epoch = 5;
  announce.header_nslots = 8;
  announce.header_region_uri = "shm:file?path=/dev/shm/nowhere/header.ring";
  announce.pools = {{1, 8, 64, "shm:file?path=/dev/shm/nowhere/1.pool"}};
  peer_->say(announce);
  wire::DataSourceAnnounce source;
  source.stream_id = kStream;
  source.producer_id = 3;
  source.name = "front";
  peer_->say(source);
  ASSERT_TRUE(poll_until([&] { return turn(), producer(3) && producer(3)->name == "front" && producer(3)->epoch == 5; }));
  EXPECT_FALSE(producer(3)->activity_age_ns);  // not to be opened: messages alone tell
  clock_.advance_ns(6 * kNsPerSecond);
  turn();
  EXPECT_TRUE(producer(3)->stale);
  EXPECT_EQ(supervisor_->counts().producers_stale, 1u);
  peer_->say(source);
  ASSERT_TRUE(poll_until([&] { return turn(), producer(3) && !producer(3)->stale; }));
  clock_.advance_ns(6 * kNsPerSecond);
  turn();
  clock_.advance_ns(6 * kNsPerSecond);
  turn();
  EXPECT_FALSE(producer(3));
}

TEST_F(SupervisorTest, BelievesTheMemoryThatAProducerIsDeadThoughItIsAnnounced) {  // OP-14, W-62
  transport::testing::TestDir base;
  config_.allowed_base_dirs = {base.path()};
  start();
  pool::StoreOptions store;
  store.base_dir = base.path();
  pool::EpochFiles files(store);
  pool::Geometry geometry;
  geometry.slot_count = 8;
  geometry.pools = {{1, 64}};
  const auto created = files.create(kStream, 5, geometry, clock_.monotonic_ns());
  created.map->touch_activity(clock_.monotonic_ns());
  const auto& regions = created.map->regions();
  wire::ShmPoolAnnounce announce;
  announce.stream_id = kStream;
  announce.producer_id = 3;
  announce.epoch = 5;
  announce.header_nslots = regions.header_nslots;
  announce.header_region_uri = regions.header_region_uri;
  announce.pools = regions.pools;
  for (int i = 0; i < 4; ++i) {  // announced on and on, by a driver that has not noticed
    peer_->say(announce);
    announce.announce_timestamp_ns = clock_.monotonic_ns();
    ASSERT_TRUE(poll_until([&] { return turn(), producer(3) && producer(3)->last_announce_ns == clock_.monotonic_ns(); }));
    EXPECT_TRUE(producer(3)->activity_age_ns);
    clock_.advance_ns(2 * kNsPerSecond);
    turn();
  }
  EXPECT_TRUE(poll_until([&] { return turn(), supervisor_->counts().producers_stale == 1; }));
}

TEST_F(SupervisorTest, OutlivesItsMediaDriver) {  // OP-1
  SupervisorOptions options;
  options.media_driver_timeout_ms = 500;
  start(options);
  answer_to(hello(1));
  media_.stop();
  ASSERT_TRUE(poll_until([&] { return supervisor_->poll(), !supervisor_->connected(); }));
  media_.start();
  ASSERT_TRUE(poll_until([&] {
    clock_.advance_ns(100 * kNsPerMs);
    supervisor_->poll();
    return supervisor_->connected();
  }));
  peer_ = std::make_unique<Peer>(media_, config_);
  ASSERT_TRUE(poll_until([&] { return turn(), peer_->joined(); }));
  EXPECT_EQ(answer_to(hello(1)).consumer_id, 1u);
}

}  // namespace
}  // namespace tidepool::supervisor
