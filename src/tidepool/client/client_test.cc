// Client and Producer against a scripted driver and foreign peers. With the real driver: tests/client/.
#include "tidepool/client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <thread>

#include "tidepool/base/error.h"
#include "tidepool/base/test_error.h"
#include "tidepool/client/test_client.h"
#include "tidepool/shm/commit_word.h"

namespace tidepool::client::client_test {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;

// ---- connect ---------------------------------------------------------------------------------------------------------------

TEST(ConnectTest, SaysThatThereIsNoMediaDriverAndWhatToStart) {  // P-13
  const TestDir empty;
  ClientOptions options = client_options(empty.aeron(), empty.path());
  options.attach_timeout_ms = 50;
  const Error error = thrown_by([&] { Client::connect(options); });
  EXPECT_EQ(error.code(), Code::kUnavailable);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("cannot connect to Aeron within 50 ms"), HasSubstr(empty.aeron()), HasSubstr("tidepool media-driver")));
}

TEST(ConnectTest, WaitsForAMediaDriverThatComesLater) {  // P-13
  TestMediaDriver media;
  const TestDir shm;
  const std::string dir = media.dir();
  media.stop();
  ClientOptions options = client_options(dir, shm.path());
  options.wait = true;
  options.invoker = true;
  int asked = 0;
  options.keep_waiting = [&] {
    if (++asked == 3) media.start();
    return true;
  };
  EXPECT_NO_THROW(Client::connect(options));
  EXPECT_GE(asked, 3);
}

TEST(ConnectTest, StopsWaitingWhenItIsTold) {
  const TestDir empty;
  ClientOptions options = client_options(empty.aeron(), empty.path());
  options.wait = true;
  options.keep_waiting = [] { return false; };
  EXPECT_EQ(thrown_by([&] { Client::connect(options); }).code(), Code::kTimeout);
}

TEST(ConnectTest, NamesAChannelThatTheMediaDriverRefuses) {
  TestMediaDriver media;
  const TestDir shm;
  ClientOptions options = client_options(media.dir(), shm.path());
  options.control.channel = "aeron:nonsense";
  const Error error = thrown_by([&] { Client::connect(options); });
  EXPECT_EQ(error.code(), Code::kInvalidArgument) << "at once: waiting does not help";
  EXPECT_THAT(error.what(), HasSubstr("aeron:nonsense"));
}

TEST_F(ClientTest, SaysThatNoDriverAnswered) {  // D-56, P-13
  driver.answering = false;
  ClientOptions short_of_time = options();
  short_of_time.attach_timeout_ms = 100;
  Client other = Client::connect(short_of_time);
  const Error error = thrown_by([&] { (void)other.producer(); });
  EXPECT_EQ(error.code(), Code::kUnavailable);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("cannot attach to stream 10000: no driver answered within 100 ms\n"),
                                  HasSubstr("\n  control channel aeron:ipc?term-length=1m stream 1000, media driver in " + media.dir() + " is alive (heartbeat "),
                                  HasSubstr("\n  start one:  tidepool driver --config FILE")));
  driver.poll();
  EXPECT_GE(driver.requests_heard, 1u) << "it was asked, perhaps again and again";
  EXPECT_EQ(driver.requests.size(), 1u) << "with the same request";
}

TEST_F(ClientTest, StopsWaitingForADriverWhenItIsTold) {
  driver.answering = false;
  ClientOptions patient = options();
  patient.wait = true;
  patient.keep_waiting = [this] {
    driver.poll();
    return driver.requests.empty();
  };
  Client other = Client::connect(patient);
  EXPECT_EQ(thrown_by([&] { (void)other.producer(); }).code(), Code::kTimeout);
}

TEST_F(ClientTest, IsDrivenByItsOwnThreadOrByTheApplicationNotByBoth) {  // P-5
  ClientOptions own = options();
  own.invoker = false;
  Client other = Client::connect(own);
  EXPECT_THAT(thrown_by([&] { other.poll(); }).what(), HasSubstr("ClientOptions::invoker"));
  EXPECT_NO_THROW(client.poll());
}

TEST_F(ClientTest, MayGoBeforeItsProducersAndConsumers) {
  std::optional<Client> first(std::move(client));
  std::optional<Producer> producer(first->producer());
  client = Client::connect(options());
  first.reset();
  EXPECT_EQ(producer->state(), State::kAttached);
  const size_t before = driver.detaches.size();
  let_go(producer);  // drives the conductor itself, since it is an invoker's
  EXPECT_EQ(driver.detaches.size(), before + 1);
}

TEST_F(ClientTest, DrawsANewClientIdWhenItsOwnIsTaken) {  // D-10, D-56
  driver.on_request = [&](const wire::ShmAttachRequest& request) {
    if (driver.requests.size() == 1) {
      driver.refuse(request, wire::ResponseCode::rejected, "client_id already attached");
    } else {
      driver.grant(request);
    }
  };
  std::optional<Producer> producer(client.producer());
  EXPECT_NE(driver.requests.front().client_id, driver.requests.back().client_id);
  EXPECT_NE(driver.requests.front().correlation_id, driver.requests.back().correlation_id);
  let_go(producer);
}

TEST_F(ClientTest, HearsItsOwnMessagesAndThoseOfOthersUnmoved) {  // W-94, W-4, W-6, W-10
  std::optional<Producer> producer(client.producer());
  const uint64_t epoch = producer->epoch();
  driver.answering = false;  // it hears itself, too
  // Everything that travels on control, from somebody else, for somebody else; and things that nobody knows.
  (void)driver.out->send(wire::ShmAttachRequest{.correlation_id = 1, .stream_id = 10000, .client_id = 1, .role = 1, .expected_layout_version = 1, .publish_mode = 2, .require_hugepages = 0, .desired_node_id = std::nullopt});
  wire::ShmAttachResponse foreign;
  foreign.correlation_id = 2;
  foreign.code = wire::ResponseCode::rejected;
  foreign.error_message = "client_id already attached";
  (void)driver.out->send(foreign);
  driver.revoke(driver.last_lease_id + 1, driver.requests.back().client_id, wire::Role::producer, wire::RevokeReason::expired);
  (void)driver.out->send(wire::ShmDetachResponse{.correlation_id = 3, .code = wire::ResponseCode::ok, .error_message = {}});
  const std::string noise("\x01\x02\x03\x04\x05\x06\x07\x08garbage", 15);
  (void)driver.out->publication().send(std::as_bytes(std::span(noise)));
  (void)driver.out->publication().send(std::as_bytes(std::span(noise)).first(3));
  ASSERT_TRUE(settle());
  EXPECT_EQ(producer->state(), State::kAttached);
  EXPECT_EQ(producer->epoch(), epoch);
  driver.answering = true;
  let_go(producer);
}

// ---- names -----------------------------------------------------------------------------------------------------------------

TEST_F(ClientTest, FindsAStreamByTheNameThatItsProducerAnnounces) {  // P-11
  driver.stream_id = 10007;
  driver.bump();
  std::optional<Producer> producer(client.producer({.stream = "10007", .name = "cam1", .summary = "left", .attributes = {{"gain", "text/plain", "1.5"}}}));
  ClientOptions both = options();
  both.keep_waiting = [this] {
    driver.poll();
    client.poll();
    return true;
  };
  Client other = Client::connect(both);
  std::optional<Consumer> consumer(other.consumer({.stream = "cam1"}));
  EXPECT_EQ(consumer->stream_id(), 10007u);
  ASSERT_TRUE(until([&] { return !driver.metas.empty(); }));
  EXPECT_EQ(driver.sources.back().name, "cam1");
  EXPECT_EQ(driver.sources.back().summary, "left");
  EXPECT_EQ(driver.sources.back().producer_id, driver.requests.front().client_id);  // D-66
  EXPECT_EQ(driver.metas.back().attributes.at(0).key, "gain");
  let_go(consumer);
  let_go(producer);
}

TEST_F(ClientTest, SaysWhichNamesItHeardWhenOneIsUnknown) {  // P-11
  std::optional<Producer> producer(client.producer({.name = "cam1"}));
  ClientOptions both = options();
  both.attach_timeout_ms = 400;
  both.keep_waiting = [this] {
    driver.poll();
    client.poll();
    return true;
  };
  Client other = Client::connect(both);
  const Error error = thrown_by([&] { (void)other.consumer({.stream = "cam2"}); });
  EXPECT_EQ(error.code(), Code::kNotFound);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("no stream is called 'cam2'"), HasSubstr("stream 1300, names heard: cam1")));
  let_go(producer);
}

// ---- producer --------------------------------------------------------------------------------------------------------------

// A producer, and somebody who listens to its descriptors.
struct ProducerTest : ClientTest {
  ProducerTest() {
    descriptors_in = driver.connection->add_subscription(kChannel, 1100);
    producer.emplace(client.producer());
    EXPECT_TRUE(until([&] { return descriptors_in->image_count() > 0; }));  // until then descriptors go nowhere (W-53)
  }
  void on(const wire::FrameDescriptor& descriptor, const transport::MessageInfo&) { heard.push_back(descriptor); }
  bool hear(size_t count) {
    return until([&] {
      descriptors_in->poll([&](Bytes message, const transport::MessageInfo& info) { control::dispatch(message, info, *this, counts); }, 10);
      return heard.size() >= count;
    });
  }
  // Publish one frame of 64 bytes.
  CommitResult publish(const FrameInfo& info = {}) {
    auto claim = producer->claim(bytes_tensor(64));
    if (!claim) return CommitResult::kDetached;
    std::ranges::copy(payload_of(claim->seq()), claim->bytes().begin());
    return producer->commit(*claim, info);
  }

  std::shared_ptr<transport::Subscription> descriptors_in;
  control::DispatchCounts counts;
  std::vector<wire::FrameDescriptor> heard;
  std::optional<Producer> producer;
};

TEST_F(ProducerTest, SendsOneDescriptorForEachFrameAfterItsCommit) {  // W-52, W-36, W-54
  ASSERT_EQ(publish(), CommitResult::kOk);
  ASSERT_EQ(publish({.trace_id = 99}), CommitResult::kOk);
  ASSERT_TRUE(hear(2));
  for (uint64_t seq = 0; seq < 2; ++seq) {
    EXPECT_EQ(heard[seq].stream_id, 10000u);
    EXPECT_EQ(heard[seq].epoch, driver.epoch);
    EXPECT_EQ(heard[seq].seq, seq);
    EXPECT_EQ(heard[seq].timestamp_ns, std::nullopt) << "null unless wanted";
    EXPECT_EQ(heard[seq].meta_version, std::nullopt);
    const uint64_t word = shm::CommitWord(static_cast<const std::byte*>(driver.map->slot(static_cast<uint32_t>(seq)))).load();
    EXPECT_EQ(word, shm::CommitWord::committed(seq));
  }
  EXPECT_EQ(heard[0].trace_id, 0u);
  EXPECT_EQ(heard[1].trace_id, 99u);
  EXPECT_EQ(producer->counters().frames, 2u);
  EXPECT_EQ(producer->next_seq(), 2u);
}

TEST_F(ProducerTest, LeavesNoDescriptorForWhatWasNotCommitted) {  // W-52, W-41
  auto claim = producer->claim(bytes_tensor(64));
  ASSERT_TRUE(claim);
  producer->abort(*claim);
  EXPECT_EQ(producer->commit(*claim), CommitResult::kNotOpen);
  ASSERT_EQ(publish(), CommitResult::kOk);
  ASSERT_TRUE(hear(1));
  EXPECT_EQ(heard[0].seq, 1u) << "the aborted claim's sequence is skipped";
}

TEST_F(ProducerTest, StampsDescriptorsAndFramesWithWhatItsDataSourceSays) {  // W-54, W-87
  let_go(producer);
  producer.emplace(client.producer({.name = "cam1", .descriptor_timestamps = true}));
  const uint64_t before = monotonic_ns();
  ASSERT_EQ(publish({.timestamp_ns = 12345}), CommitResult::kOk);
  producer->set_data_source({.name = "cam1", .summary = "moved", .attributes = {}});
  ASSERT_EQ(publish(), CommitResult::kOk);
  ASSERT_TRUE(hear(2));
  EXPECT_GE(heard[0].timestamp_ns.value(), before) << "of emission, whatever the capture time";
  EXPECT_EQ(heard[0].meta_version, 1u);
  EXPECT_EQ(heard[1].meta_version, 2u);
  pool::PoolReader reader(driver.map);
  pool::FrameView view;
  ASSERT_EQ(reader.read(0, view), pool::ReadResult::kFrame);
  EXPECT_EQ(view.timestamp_ns(), 12345u);
  EXPECT_EQ(view.meta_version(), 1u);
  ASSERT_EQ(reader.read(1, view), pool::ReadResult::kFrame);
  EXPECT_EQ(view.meta_version(), 2u);
  EXPECT_GE(view.timestamp_ns().value(), before) << "capture time is filled by default";
}

TEST_F(ProducerTest, CountsDescriptorsThatNobodyTakesAndGoesOn) {  // W-53
  descriptors_in.reset();
  ASSERT_TRUE(until([&] {
    EXPECT_EQ(publish(), CommitResult::kOk);
    return producer->counters().descriptors_dropped > 0;
  }));
  const uint64_t seq = producer->next_seq();
  ASSERT_EQ(publish(), CommitResult::kOk);
  EXPECT_EQ(producer->next_seq(), seq + 1) << "the sequence is used";
  pool::PoolReader reader(driver.map);
  pool::FrameView view;
  EXPECT_EQ(reader.read(seq, view), pool::ReadResult::kFrame) << "and the frame is there";
  EXPECT_EQ(producer->counters().failed, 0u);
}

TEST_F(ProducerTest, SendsNoneWhenItWasToldSo) {
  let_go(producer);
  producer.emplace(client.producer({.send_descriptors = false}));
  ASSERT_EQ(publish(), CommitResult::kOk);
  EXPECT_EQ(producer->counters().descriptors_sent + producer->counters().descriptors_dropped, 0u);
  EXPECT_EQ(producer->counters().frames, 1u);
}

TEST_F(ProducerTest, SaysWhichStrideALargeFrameWouldNeed) {  // R-15, W-50
  const auto too_large = producer->claim({.shape = {5000}});
  EXPECT_EQ(too_large.error(), ClaimError::kTooLarge);
  EXPECT_EQ(too_large.needed_stride_bytes(), 8192u);
  EXPECT_EQ(producer->claim(bytes_tensor(8), 4097).needed_stride_bytes(), 8192u);
  EXPECT_EQ(producer->offer(bytes_tensor(5000), payload_of(0, 5000)), ClaimError::kTooLarge);
  EXPECT_EQ(producer->claim({.shape = {-1}}).error(), ClaimError::kInvalidTensor);
  EXPECT_EQ(producer->claim({.shape = {}}).error(), ClaimError::kInvalidTensor);
  EXPECT_EQ(producer->next_seq(), 0u) << "no sequence is used";
  EXPECT_EQ(producer->counters().failed, 5u);
  EXPECT_EQ(producer->claim({.shape = {4096}}).error(), ClaimError::kNone);
}

TEST_F(ProducerTest, CommitsInTheOrderOfItsClaims) {  // P-1
  auto first = producer->claim(bytes_tensor(8));
  auto second = producer->claim(bytes_tensor(8));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(producer->commit(*second), CommitResult::kOutOfOrder);
  EXPECT_EQ(producer->commit(*first), CommitResult::kOk);
  EXPECT_EQ(producer->commit(*second), CommitResult::kOk);
  ASSERT_TRUE(hear(2));
  EXPECT_EQ(heard[0].seq, 0u);
  EXPECT_EQ(heard[1].seq, 1u);
}

TEST_F(ProducerTest, OffersACopyInOneCall) {
  ASSERT_EQ(producer->offer({.shape = {64}}, payload_of(0), {.trace_id = 5}), ClaimError::kNone);
  ASSERT_TRUE(hear(1));
  EXPECT_EQ(heard[0].trace_id, 5u);
  pool::PoolReader reader(driver.map);
  pool::FrameView view;
  ASSERT_EQ(reader.read(0, view), pool::ReadResult::kFrame);
  EXPECT_TRUE(std::ranges::equal(view.bytes(), payload_of(0)));
}

TEST_F(ProducerTest, IgnoresARateLimitOnTheSharedStream) {  // W-76
  wire::ConsumerHello hello;
  hello.stream_id = 10000;
  hello.consumer_id = 4;
  hello.mode = wire::Mode::rate_limited;
  hello.max_rate_hz = 1;
  (void)driver.out->send(hello);
  ASSERT_TRUE(settle());
  for (int i = 0; i < 50; ++i) ASSERT_EQ(publish(), CommitResult::kOk);
  ASSERT_TRUE(hear(50));
}

TEST_F(ProducerTest, LeavesTheAnnouncingOfThePoolToTheDriver) {  // W-14, W-15
  ASSERT_EQ(publish(), CommitResult::kOk);
  ASSERT_TRUE(settle());
  EXPECT_EQ(driver.foreign_announces, 0u);
}

TEST_F(ProducerTest, IsUnmovedByARevocationThatIsNoneByTheTable) {  // D-63, W-9
  wire::ShmLeaseRevoked revoked;
  revoked.timestamp_ns = monotonic_ns();
  revoked.lease_id = driver.last_lease_id;
  revoked.stream_id = 10000;
  revoked.client_id = driver.producer_id;
  revoked.role = wire::Role::producer;
  revoked.reason = wire::RevokeReason::revoked;
  std::vector<std::byte> good(wire::encoded_bytes(revoked));
  ASSERT_EQ(wire::encode(revoked, good), good.size());
  const auto send_spoilt = [&](size_t at, uint8_t value) {
    auto bytes = good;
    bytes[at] = std::byte{value};
    ASSERT_EQ(driver.out->publication().send(bytes), transport::SendResult::kOk);
  };
  send_spoilt(6, 2);                                                                                          // version 2
  send_spoilt(8 + 24, 3);                                                                                     // role 3
  send_spoilt(8 + 25, 4);                                                                                     // reason 4
  ASSERT_EQ(driver.out->publication().send(Bytes(good).first(good.size() - 1)), transport::SendResult::kOk);  // one byte short
  ASSERT_TRUE(settle());
  EXPECT_EQ(producer->state(), State::kAttached);
  ASSERT_EQ(driver.out->publication().send(good), transport::SendResult::kOk);
  ASSERT_TRUE(until([&] { return producer->state() != State::kAttached; }));
}

TEST_F(ProducerTest, PublishesNothingIntoALostEpochAndGoesOnByItselfInTheNext) {  // D-58, P-4, W-36
  ASSERT_EQ(publish(), CommitResult::kOk);
  auto claim = producer->claim(bytes_tensor(64));
  ASSERT_TRUE(claim);
  const auto old_map = driver.map;
  const uint64_t old_epoch = driver.epoch;
  driver.revoke(driver.last_lease_id, driver.producer_id, wire::Role::producer, wire::RevokeReason::revoked);
  ASSERT_TRUE(until([&] { return !claim->alive(); }));

  std::ranges::fill(claim->bytes(), std::byte{9});  // still memory
  EXPECT_EQ(producer->commit(*claim), CommitResult::kDetached);
  EXPECT_FALSE(shm::CommitWord::is_committed(shm::CommitWord(static_cast<const std::byte*>(old_map->slot(1))).load()));

  ASSERT_TRUE(until([&] { return publish() == CommitResult::kOk; }));
  EXPECT_GT(producer->epoch(), old_epoch);
  ASSERT_TRUE(hear(2));
  EXPECT_EQ(heard[1].epoch, driver.epoch);
  EXPECT_EQ(heard[1].seq, 0u) << "from the beginning";
  EXPECT_EQ(producer->counters().attaches, 2u);
}

TEST_F(ProducerTest, CommitsNoClaimOfTheEpochBeforeIntoTheNext) {  // P-4
  auto claim = producer->claim(bytes_tensor(64));
  ASSERT_TRUE(claim);
  driver.revoke(driver.last_lease_id, driver.producer_id, wire::Role::producer, wire::RevokeReason::revoked);
  ASSERT_TRUE(until([&] { return publish() == CommitResult::kOk; }));
  EXPECT_EQ(producer->commit(*claim), CommitResult::kDetached);
  EXPECT_EQ(producer->commit(*claim), CommitResult::kNotOpen);
  auto another = producer->claim(bytes_tensor(64));
  ASSERT_TRUE(another);
  driver.revoke(driver.last_lease_id, driver.producer_id, wire::Role::producer, wire::RevokeReason::revoked);
  ASSERT_TRUE(until([&] { return !another->alive(); }));
  producer->abort(*another);
  EXPECT_FALSE(*another);
}

TEST_F(ProducerTest, WritesNothingPastTheEndOfItsLeaseThoughNobodyPolled) {  // D-57
  driver.lease_ms = 200;
  let_go(producer);
  producer.emplace(client.producer());
  const uint64_t epoch = producer->epoch();
  ASSERT_EQ(publish(), CommitResult::kOk);
  auto claim = producer->claim(bytes_tensor(64));
  ASSERT_TRUE(claim);
  ASSERT_TRUE(poll_until([&] {  // the application is busy elsewhere
    driver.poll();
    return producer->claim(bytes_tensor(8)).error() == ClaimError::kDetached;
  }));
  EXPECT_EQ(producer->commit(*claim), CommitResult::kDetached);
  driver.lease_ms = 30'000;
  ASSERT_TRUE(until([&] { return publish() == CommitResult::kOk; }));
  EXPECT_GT(producer->epoch(), epoch);
}

TEST_F(ProducerTest, LeavesAnEpochWhereSomebodyElseHasWritten) {  // W-35, W-40
  driver.on_request = [&](const wire::ShmAttachRequest& request) {
    driver.grant(request);
    if (driver.requests.size() == 2) {  // a frame of a stranger in the epoch that is ours
      pool::PoolWriter stranger(driver.map);
      EXPECT_EQ(stranger.offer(bytes_tensor(8), payload_of(0, 8)), ClaimError::kNone);
    }
  };
  driver.revoke(driver.last_lease_id, driver.producer_id, wire::Role::producer, wire::RevokeReason::revoked);
  ASSERT_TRUE(until([&] { return publish() == CommitResult::kOk; }));
  EXPECT_EQ(driver.requests.size(), 3u) << "the second one was left, the third is clean";
  EXPECT_EQ(producer->next_seq(), 1u);
}

TEST_F(ProducerTest, TellsItsGeometryAndState) {
  ASSERT_TRUE(producer->geometry());
  EXPECT_EQ(*producer->geometry(), driver.geometry);
  EXPECT_EQ(producer->state(), State::kAttached);
  EXPECT_THAT(producer->status_text(), HasSubstr("attached, stream 10000, epoch " + std::to_string(driver.epoch)));
}

TEST_F(ProducerTest, RefreshesItsActivityAndSendsQos) {  // W-62, W-86
  driver.refresh_activity = false;
  const uint64_t before = driver.map->activity_ns();
  ASSERT_EQ(publish(), CommitResult::kOk);
  ASSERT_TRUE(until([&] { return driver.map->activity_ns() > before && !driver.producer_qos.empty(); }));
  EXPECT_EQ(driver.producer_qos.back().producer_id, driver.producer_id);
  EXPECT_EQ(driver.producer_qos.back().epoch, driver.epoch);
}

}  // namespace
}  // namespace tidepool::client::client_test
