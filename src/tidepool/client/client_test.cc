// Client, Producer and Consumer against a scripted driver and foreign peers. With the real driver: tests/client/.
#include "tidepool/client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <thread>

#include "tidepool/base/error.h"
#include "tidepool/base/test_error.h"
#include "tidepool/client/test_peer.h"
#include "tidepool/shm/commit_word.h"

namespace tidepool::client {
namespace {

using pool::ClaimError;
using pool::CommitResult;
using testing::client_options;
using testing::kChannel;
using testing::kPeriodMs;
using testing::ScriptedDriver;
using ::testing::AllOf;
using ::testing::HasSubstr;
using transport::testing::poll_until;
using transport::testing::TestDir;
using transport::testing::TestMediaDriver;

wire::TensorHeader bytes_tensor(int32_t length) { return wire::contiguous(wire::DType::u8, std::vector<int32_t>{length}); }

// Bytes that tell which frame they belong to.
std::vector<std::byte> payload_of(uint64_t seq, size_t length = 64) {
  std::vector<std::byte> out(length);
  for (size_t i = 0; i < length; ++i) out[i] = static_cast<std::byte>(seq * 31 + i);
  return out;
}

struct ClientTest : ::testing::Test {
  ClientOptions options() {
    ClientOptions out = client_options(media.dir(), shm.path());
    out.invoker = true;
    out.keep_waiting = [this] {
      driver.poll();
      return true;
    };
    return out;
  }
  // Until `done`, with everybody at work.
  template <typename Done>
  [[nodiscard]] bool until(Done&& done) {
    return poll_until([&] {
      driver.poll();
      client.poll();
      return done();
    });
  }
  // Everybody works until the driver has heard something that was sent after now: whatever was said before has arrived.
  [[nodiscard]] bool settle() {
    const size_t heard = driver.keepalives.size();
    return until([&] { return driver.keepalives.size() >= heard + 2; });
  }

  // Leases go back while nothing else calls the driver.
  void TearDown() override { driver_at_work = at_work(); }
  std::jthread at_work() {
    return std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) driver.poll();
    });
  }
  template <typename Role>
  void let_go(std::optional<Role>& role) {
    const std::jthread working = at_work();
    role.reset();
  }

  TestMediaDriver media;
  TestDir shm;
  ScriptedDriver driver{media.dir(), shm.path()};
  std::jthread driver_at_work;
  Client client = Client::connect(options());
};

// A consumer, and the foreign producer that it listens to.
struct ConsumerTest : ClientTest {
  ConsumerTest() {
    descriptors = driver.connection->add_publication(kChannel, 1100);
    EXPECT_TRUE(until([&] { return descriptors->connected(); }));
    adopt_epoch();
  }
  void adopt_epoch() { writer.emplace(driver.map); }

  // A descriptor as somebody sends it.
  void describe(uint64_t seq, std::optional<uint64_t> epoch = {}, std::optional<uint32_t> stream_id = {}, uint64_t trace_id = 0) {
    wire::FrameDescriptor descriptor;
    descriptor.stream_id = stream_id.value_or(driver.stream_id);
    descriptor.epoch = epoch.value_or(driver.epoch);
    descriptor.seq = seq;
    descriptor.trace_id = trace_id;
    std::byte bytes[wire::FrameDescriptor::kBytes];
    ASSERT_EQ(wire::encode(descriptor, bytes), sizeof bytes);
    ASSERT_TRUE(poll_until([&] {
      driver.connection->poll();
      client.poll();
      return descriptors->send(bytes) == transport::SendResult::kOk;
    }));
  }
  uint64_t write(size_t length = 64) {
    const uint64_t seq = writer->next_seq();
    EXPECT_EQ(writer->offer(bytes_tensor(static_cast<int32_t>(length)), payload_of(seq, length)), ClaimError::kNone);
    return seq;
  }
  uint64_t write_and_describe() {
    const uint64_t seq = write();
    describe(seq);
    return seq;
  }
  // What the consumer says next that is not kEmpty.
  PollResult next() {
    PollResult result = PollResult::kEmpty;
    EXPECT_TRUE(until([&] { return (result = consumer.poll()) != PollResult::kEmpty; }));
    return result;
  }
  void expect_frame(uint64_t seq) {
    ASSERT_EQ(next(), PollResult::kFrame) << "waiting for frame " << seq;
    const auto& frame = consumer.frame();
    EXPECT_EQ(frame.seq(), seq);
    EXPECT_TRUE(std::ranges::equal(frame.bytes(), payload_of(seq, frame.bytes().size())));
    EXPECT_TRUE(frame.still_valid());
  }
  pool::DropCounts drops() const { return consumer.counters().drops; }

  std::shared_ptr<transport::Publication> descriptors;
  std::optional<pool::PoolWriter> writer;
  Consumer consumer = client.consumer({.hello_interval_ms = kPeriodMs, .qos_interval_ms = kPeriodMs});
};

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

// ---- consumer, by descriptors ----------------------------------------------------------------------------------------------

TEST_F(ConsumerTest, DeliversTheFramesThatDescriptorsName) {  // W-42, W-52
  for (uint64_t i = 0; i < 30; ++i) expect_frame(write_and_describe());
  EXPECT_EQ(consumer.counters().frames, 30u);
  EXPECT_EQ(consumer.counters().last_seq, 29u);
  EXPECT_EQ(drops().drops_gap + drops().drops_late, 0u);
  EXPECT_EQ(consumer.counters().remaps, 0u);
}

TEST_F(ConsumerTest, HandsTheTraceIdOn) {  // W-7
  const uint64_t seq = write();
  describe(seq, {}, {}, 4711);
  expect_frame(seq);
  EXPECT_EQ(consumer.frame().trace_id(), 4711u);
}

TEST_F(ConsumerTest, FindsAVersionThatTheDescriptorAloneCarries) {  // W-87: slot header and/or descriptor
  wire::FrameDescriptor descriptor;
  descriptor.stream_id = driver.stream_id;
  descriptor.epoch = driver.epoch;
  descriptor.seq = write();
  descriptor.meta_version = 6;
  std::byte bytes[wire::FrameDescriptor::kBytes];
  ASSERT_EQ(wire::encode(descriptor, bytes), sizeof bytes);
  ASSERT_TRUE(until([&] { return descriptors->send(bytes) == transport::SendResult::kOk; }));
  EXPECT_EQ(consumer.frame_meta_version(), std::nullopt) << "no frame yet";
  expect_frame(descriptor.seq);
  EXPECT_EQ(consumer.frame().meta_version(), std::nullopt);
  EXPECT_EQ(consumer.frame_meta_version(), 6u);
  const uint64_t other = writer->next_seq();
  ASSERT_EQ(writer->offer(bytes_tensor(64), payload_of(other), {.meta_version = 7}), ClaimError::kNone);
  describe(other);
  expect_frame(other);
  EXPECT_EQ(consumer.frame_meta_version(), 7u) << "the slot header's";
  expect_frame(write_and_describe());
  EXPECT_EQ(consumer.frame_meta_version(), std::nullopt);
}

TEST_F(ConsumerTest, TakesWhateverComesFirstAsItsBaseline) {  // W-83, W-36
  for (int i = 0; i < 5; ++i) write();
  describe(4);
  expect_frame(4);
  EXPECT_EQ(drops().drops_gap, 0u);
}

TEST_F(ConsumerTest, CountsNoFrameThatWasOverwrittenBeforeItCame) {  // W-83, W-82
  for (int i = 0; i < 20; ++i) write();  // eight slots: 12 to 19 are there
  std::optional<Consumer> late(client.consumer({.stream = "10000"}));
  describe(3);  // left in the log by readers who have gone
  describe(write());
  ASSERT_TRUE(until([&] { return late->poll() == PollResult::kFrame; }));
  EXPECT_EQ(late->frame().seq(), 20u);
  EXPECT_EQ(late->counters().drops.drops_gap + late->counters().drops.drops_late, 0u);
  // Who was there when it was overwritten has lost it.
  ASSERT_EQ(next(), PollResult::kDropped);
  EXPECT_EQ(drops().identity, 1u);
  let_go(late);
}

TEST_F(ConsumerTest, CountsAGapOnceTellsItAndThenDeliversTheFrame) {  // W-82, W-83
  expect_frame(write_and_describe());  // 0: a real sequence
  write();
  write();
  describe(write());  // 3
  ASSERT_EQ(next(), PollResult::kDropped);
  EXPECT_EQ(drops().drops_gap, 2u);
  expect_frame(3);
  EXPECT_EQ(drops().drops_gap, 2u);
  EXPECT_EQ(drops().drops_late, 0u);
}

TEST_F(ConsumerTest, CountsAFrameLostOnceThoughItCameBehindAGap) {  // W-82
  expect_frame(write_and_describe());
  describe(5);  // 1 to 4 never announced, and 5 never written
  ASSERT_EQ(next(), PollResult::kDropped);
  EXPECT_EQ(drops().drops_gap, 4u);
  ASSERT_EQ(next(), PollResult::kDropped);
  EXPECT_EQ(drops().drops_gap, 4u);
  EXPECT_EQ(drops().drops_late, 1u);
  EXPECT_EQ(consumer.counters().frames + drops().drops_gap + drops().drops_late, 6u) << "each of 0 to 5 once";
}

TEST_F(ConsumerTest, BeginsAnewBehindAGapThatIsTooLarge) {  // W-85, W-82
  expect_frame(write_and_describe());
  describe(258);  // 257 lost: more than 256
  ASSERT_EQ(next(), PollResult::kDropped);
  EXPECT_EQ(drops().drops_gap, 258u) << "1 to 258, the skipped one too";
  while (writer->next_seq() < 300) write();
  describe(299);
  expect_frame(299);
  EXPECT_EQ(drops().drops_gap, 258u) << "a new baseline";
}

TEST_F(ConsumerTest, CountsEachKindOfLateFrame) {  // W-84, W-44, W-43
  expect_frame(write_and_describe());
  pool::Claim open;
  ASSERT_EQ(writer->claim(bytes_tensor(8), open), ClaimError::kNone);
  describe(1);  // announced, and still being written
  ASSERT_EQ(next(), PollResult::kDropped);
  EXPECT_EQ(drops().uncommitted, 1u);
  ASSERT_EQ(writer->commit(open), CommitResult::kOk);

  for (int i = 0; i < 8; ++i) write();  // 2 to 9: slot 1 holds 9
  describe(2);
  expect_frame(2);
  for (int i = 0; i < 8; ++i) write();  // to 17
  describe(3);                          // its slot holds 11
  ASSERT_EQ(next(), PollResult::kDropped);
  EXPECT_EQ(drops().identity, 1u);

  std::byte bad{77};  // a tensor message of another schema in frame 12's slot
  std::memcpy(driver.map->mutable_slot(12 & 7) + 64, &bad, 1);
  describe(12);
  ASSERT_EQ(next(), PollResult::kDropped);  // the gap
  ASSERT_EQ(next(), PollResult::kDropped);  // the frame
  EXPECT_EQ(drops().header_invalid, 1u);
  uint16_t unknown_pool = 9;
  std::memcpy(driver.map->mutable_slot(13 & 7) + 16, &unknown_pool, 2);
  describe(13);
  ASSERT_EQ(next(), PollResult::kDropped);
  EXPECT_EQ(drops().payload_invalid, 1u);
  EXPECT_EQ(drops().drops_late, 4u);
  EXPECT_EQ(drops().drops_gap, 8u);
}

TEST_F(ConsumerTest, DropsADuplicateQuietly) {  // W-66
  expect_frame(write_and_describe());
  describe(0);
  expect_frame(write_and_describe());
  EXPECT_EQ(consumer.counters().frames, 2u);
  EXPECT_EQ(drops().drops_gap + drops().drops_late, 0u);
  EXPECT_EQ(consumer.counters().remaps, 0u);
}

TEST_F(ConsumerTest, MapsAnewWhenTheSequenceGoesBack) {  // W-66, W-59
  write();
  expect_frame(write_and_describe());
  const pool::FrameView held = consumer.frame();
  describe(0);
  ASSERT_EQ(next(), PollResult::kDetached);
  EXPECT_FALSE(held.still_valid()) << "what is in flight is void";
  ASSERT_TRUE(until([&] { return consumer.poll() == PollResult::kEmpty && consumer.counters().remaps == 1; }));
  expect_frame(write_and_describe());
  EXPECT_EQ(drops().drops_gap, 0u) << "tracking began anew";
}

TEST_F(ConsumerTest, IgnoresWhatIsNotForItsStream) {  // W-10, W-4, W-5, W-6
  expect_frame(write_and_describe());
  describe(7, driver.epoch, 10001);
  describe(7, driver.epoch + 1, 10001);
  std::byte bytes[wire::FrameDescriptor::kBytes];
  wire::FrameDescriptor newer;
  newer.stream_id = 10000;
  newer.epoch = driver.epoch;
  newer.seq = 7;
  (void)wire::encode(newer, bytes);
  bytes[6] = std::byte{2};  // version 2
  (void)descriptors->send(bytes);
  bytes[6] = std::byte{1};
  (void)descriptors->send(Bytes(bytes).first(47));  // one byte short
  (void)descriptors->send(Bytes(bytes).first(5));
  expect_frame(write_and_describe());
  EXPECT_EQ(drops().drops_gap + drops().drops_late, 0u);
  EXPECT_EQ(consumer.counters().epoch_mismatch, 0u);
}

TEST_F(ConsumerTest, DropsDescriptorsOfAnEpochThatHasPassed) {  // W-60
  expect_frame(write_and_describe());
  describe(1, driver.epoch - 1);
  expect_frame(write_and_describe());
  EXPECT_EQ(consumer.counters().epoch_mismatch, 1u);
  EXPECT_EQ(consumer.counters().remaps, 0u);
}

TEST_F(ConsumerTest, LetsItsEpochGoForADescriptorOfALaterOne) {  // W-60, W-61, W-59
  expect_frame(write_and_describe());
  driver.announcing = false;
  const uint64_t old_epoch = driver.epoch;
  driver.bump();
  adopt_epoch();
  write_and_describe();
  ASSERT_EQ(next(), PollResult::kDetached);
  EXPECT_EQ(consumer.counters().epoch_mismatch, 1u);
  describe(0, old_epoch);  // unmapped: shared memory is not touched
  ASSERT_TRUE(until([&] {
    EXPECT_EQ(consumer.poll(), PollResult::kDetached);
    return consumer.counters().unmapped == 1;
  }));
  driver.announcing = true;
  ASSERT_TRUE(until([&] { return consumer.epoch() == driver.epoch; }));
  expect_frame(write_and_describe());
  EXPECT_EQ(consumer.counters().remaps, 1u);
  EXPECT_EQ(drops().drops_gap, 0u) << "the first frame sets the baseline";
}

TEST_F(ConsumerTest, FollowsAnnouncedEpochsAndCountsOverAllOfThem) {  // W-57, W-59, R-04
  for (uint64_t epoch = 0; epoch < 4; ++epoch) {
    expect_frame(write_and_describe());
    write();
    describe(write());
    ASSERT_EQ(next(), PollResult::kDropped);
    expect_frame(2);
    driver.bump();
    adopt_epoch();
    driver.announce();
    ASSERT_TRUE(until([&] { return consumer.poll() == PollResult::kEmpty && consumer.epoch() == driver.epoch; }));
  }
  EXPECT_EQ(consumer.counters().remaps, 4u);
  EXPECT_EQ(drops().drops_gap, 4u);
  EXPECT_EQ(consumer.counters().frames, 8u);
}

TEST_F(ConsumerTest, KeepsTheMemoryOfAViewThatIsHeldOverAnEpochsEnd) {  // P-4
  expect_frame(write_and_describe());
  pool::FrameView held = consumer.frame();
  const uint64_t old_epoch = driver.epoch;
  driver.bump();
  driver.announce();
  ASSERT_TRUE(until([&] {
    (void)consumer.poll();
    return consumer.epoch() == driver.epoch;
  }));
  driver.files.remove(driver.stream_id, old_epoch);
  EXPECT_FALSE(held.still_valid());
  EXPECT_TRUE(std::ranges::equal(held.bytes(), payload_of(0))) << "readable all the same";
}

TEST_F(ConsumerTest, IsNotFooledByStaleAnnounces) {  // W-55, W-56, D-62
  expect_frame(write_and_describe());
  driver.announcing = false;
  const uint64_t epoch = driver.epoch;
  auto stale = driver.announcement();
  stale.epoch = epoch + 10;
  stale.announce_timestamp_ns -= 4 * kPeriodMs * kNsPerMs;  // older than three periods
  (void)driver.out->send(stale);
  auto before_our_time = driver.announcement();
  before_our_time.epoch = epoch + 11;
  before_our_time.announce_timestamp_ns = 1;
  before_our_time.clock_domain = wire::ClockDomain::realtime_synced;
  (void)driver.out->send(before_our_time);
  auto other_stream = driver.announcement();
  other_stream.stream_id = 10001;
  other_stream.epoch = epoch + 12;
  (void)driver.out->send(other_stream);
  driver.announcing = true;
  ASSERT_TRUE(settle());
  expect_frame(write_and_describe());
  EXPECT_EQ(consumer.epoch(), epoch);
  EXPECT_EQ(consumer.counters().remaps, 0u);
}

TEST_F(ConsumerTest, SaysHelloAndSendsQos) {  // W-68, W-86, D-66
  expect_frame(write_and_describe());
  describe(3);
  ASSERT_EQ(next(), PollResult::kDropped);
  ASSERT_TRUE(until([&] { return !driver.hellos.empty() && !driver.consumer_qos.empty() && driver.consumer_qos.back().drops_gap == 2; }));
  EXPECT_EQ(driver.hellos.back().consumer_id, driver.requests.back().client_id);
  EXPECT_EQ(driver.consumer_qos.back().epoch, driver.epoch);
  EXPECT_EQ(driver.consumer_qos.back().last_seq_seen, 3u);
}

TEST_F(ConsumerTest, WaitsWithoutADoorbellUntilTheTimeIsUp) {  // P-3
  const uint64_t start = monotonic_ns();
  EXPECT_EQ(consumer.wait(std::chrono::milliseconds(20)), PollResult::kEmpty);
  EXPECT_GE(monotonic_ns() - start, 20 * kNsPerMs);
  write_and_describe();
  ASSERT_TRUE(poll_until([&] { return consumer.wait(std::chrono::milliseconds(20)) == PollResult::kFrame; }));
  EXPECT_EQ(consumer.wait(std::chrono::nanoseconds(-1)), PollResult::kEmpty);
}

TEST_F(ConsumerTest, AttachesAgainWhenItsLeaseIsRevoked) {  // D-58
  expect_frame(write_and_describe());
  driver.revoke(driver.last_lease_id, driver.requests.back().client_id, wire::Role::consumer, wire::RevokeReason::expired);
  ASSERT_TRUE(until([&] { return consumer.poll() == PollResult::kDetached; }));
  EXPECT_EQ(consumer.epoch(), 0u);
  EXPECT_EQ(consumer.wait(std::chrono::milliseconds(1)), PollResult::kDetached);
  ASSERT_TRUE(until([&] { return consumer.poll() == PollResult::kEmpty; }));
  expect_frame(write_and_describe());
}

// ---- consumer, by the ring -------------------------------------------------------------------------------------------------

TEST_F(ConsumerTest, FollowsTheRingWithoutAnyMessage) {  // P-2
  for (int i = 0; i < 5; ++i) write();
  std::optional<Consumer> late(client.consumer({.follow = Follow::kRing, .start = pool::Start::kOldest}));
  for (uint64_t seq = 0; seq < 5; ++seq) {
    ASSERT_EQ(late->poll(), PollResult::kFrame);
    EXPECT_EQ(late->frame().seq(), seq);
    EXPECT_TRUE(std::ranges::equal(late->frame().bytes(), payload_of(seq)));
  }
  EXPECT_EQ(late->poll(), PollResult::kEmpty);
  std::optional<Consumer> latest(client.consumer({.follow = Follow::kRing}));
  EXPECT_EQ(latest->poll(), PollResult::kEmpty) << "what comes from now on";
  write();
  ASSERT_EQ(latest->poll(), PollResult::kFrame);
  EXPECT_EQ(latest->frame().seq(), 5u);
  let_go(latest);
  let_go(late);
}

TEST_F(ConsumerTest, ByTheRingCountsWhatItLostOverAllEpochs) {  // P-2, W-82
  std::optional<Consumer> ring(client.consumer({.follow = Follow::kRing, .start = pool::Start::kOldest}));
  write();
  ASSERT_EQ(ring->poll(), PollResult::kFrame);
  for (int i = 0; i < 20; ++i) write();  // 1 to 20 in eight slots
  ASSERT_EQ(ring->poll(), PollResult::kDropped);
  EXPECT_EQ(ring->counters().drops.drops_gap, 12u);
  ASSERT_EQ(ring->poll(), PollResult::kFrame);
  EXPECT_EQ(ring->frame().seq(), 13u);

  driver.bump();
  adopt_epoch();
  for (int i = 0; i < 3; ++i) write();
  driver.announce();
  ASSERT_TRUE(until([&] { return ring->poll() == PollResult::kFrame; }));
  EXPECT_EQ(ring->frame().epoch(), driver.epoch);
  EXPECT_EQ(ring->frame().seq(), 0u) << "all of a new epoch is news";
  EXPECT_EQ(ring->counters().drops.drops_gap, 12u);
  EXPECT_EQ(ring->counters().remaps, 1u);
  let_go(ring);
}

TEST_F(ConsumerTest, ByTheRingFindsItsWayPastAFrameThatWasNeverCommitted) {  // P-2
  std::optional<Consumer> ring(client.consumer({.follow = Follow::kRing, .start = pool::Start::kOldest}));
  write();
  ASSERT_EQ(ring->poll(), PollResult::kFrame);
  pool::Claim claim;
  ASSERT_EQ(writer->claim(bytes_tensor(8), claim), ClaimError::kNone);
  writer->abort(claim);
  write();
  ASSERT_TRUE(poll_until([&] { return ring->poll() == PollResult::kFrame; }));
  EXPECT_EQ(ring->frame().seq(), 2u);
  ASSERT_EQ(ring->counters().drops.drops_gap + ring->counters().drops.drops_late, 0u);
  EXPECT_EQ(ring->counters().drops.skipped, 1u);
  let_go(ring);
}

}  // namespace
}  // namespace tidepool::client
