// Metadata, blobs, quality of service, counters and slot buffers between real clients over a real media driver, with a producer
// that makes its own pools and consumers that follow announces: no driver takes part.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/process.h"
#include "tidepool/base/test_error.h"
#include "tidepool/client/test_peer.h"

namespace tidepool::client::metadata_test {
namespace {

using namespace std::chrono_literals;
using pool::ClaimError;
using pool::CommitResult;
using ::testing::AllOf;
using testing::client_options;
using ::testing::HasSubstr;
using testing::kChannel;
using testing::kPeriodMs;
using transport::testing::poll_until;
using transport::testing::TestDir;
using transport::testing::TestMediaDriver;

const wire::TensorHeader kFrame = wire::contiguous(wire::DType::u8, std::vector<int32_t>{64});

struct NoDriverTest : ::testing::Test {
  Client connect() const { return Client::connect(client_options(media.dir(), shm.path())); }
  ProducerOptions producing(const std::string& stream = "10000") const {
    ProducerOptions out;
    out.stream = stream;
    out.own_pools = OwnPools{.slot_count = 8,
                             .pools = {{.pool_id = 1, .stride_bytes = 256}, {.pool_id = 2, .stride_bytes = 4096}},
                             .base_dir = shm.path()};
    out.qos_interval_ms = kPeriodMs;
    return out;
  }
  ConsumerOptions consuming(const std::string& stream = "10000") const {
    ConsumerOptions out;
    out.stream = stream;
    out.announce_only = true;
    out.hello_interval_ms = kPeriodMs;
    out.qos_interval_ms = kPeriodMs;
    return out;
  }
  // Publishes now and then until the consumer sees a frame of the producer's epoch.
  [[nodiscard]] static bool meet(Producer& producer, Consumer& consumer) {
    return poll_until([&] {
      (void)publish(producer);
      return consumer.wait(2ms) == PollResult::kFrame && consumer.frame().epoch() == producer.epoch();
    });
  }
  static CommitResult publish(Producer& producer) {
    auto claim = producer.claim(kFrame);
    if (!claim) return CommitResult::kDetached;
    std::memset(claim->bytes().data(), static_cast<int>(claim->seq()), claim->bytes().size());
    return producer.commit(*claim);
  }
  std::string namespace_path() const { return concat(shm.path(), "/tensorpool-", sanitised_user_name(), "/default"); }

  TestMediaDriver media;
  TestDir shm;
};

// ---- without a driver ------------------------------------------------------------------------------------------------------

TEST_F(NoDriverTest, FramesArriveWhoeverComesFirst) {  // W-14, W-15, W-22, W-55, P-13
  for (const Follow follow : {Follow::kDescriptors, Follow::kRing}) {
    for (const bool consumer_first : {false, true}) {
      ConsumerOptions options = consuming();
      options.follow = follow;
      std::optional<Client> one(connect()), other(connect());
      std::optional<Consumer> consumer;
      std::jthread waiting;
      if (consumer_first) waiting = std::jthread([&] { consumer.emplace(other->consumer(options)); });
      Producer producer = one->producer(producing());
      if (consumer_first) {
        waiting.join();
      } else {
        consumer.emplace(other->consumer(options));
      }
      ASSERT_TRUE(meet(producer, *consumer)) << consumer->status_text();
      EXPECT_EQ(consumer->frame().bytes()[5], static_cast<std::byte>(consumer->frame().seq()));
      EXPECT_EQ(one->counters().attach_requests + other->counters().attach_requests, 0u) << "nobody was asked";
    }
  }
}

TEST_F(NoDriverTest, AConsumerFollowsItsProducersLives) {  // W-59, W-65, W-67, P-8
  Client client = connect();
  Client producing_client = connect();
  std::optional<Producer> producer(producing_client.producer(producing()));
  Consumer consumer = client.consumer(consuming());
  uint64_t epoch = 0;
  for (int life = 0; life < 4; ++life) {
    if (!producer) producer.emplace(producing_client.producer(producing()));
    EXPECT_GT(producer->epoch(), epoch);
    EXPECT_EQ(producer->next_seq(), 0u);
    epoch = producer->epoch();
    ASSERT_TRUE(meet(*producer, consumer)) << consumer.status_text();
    producer.reset();
  }
  EXPECT_GE(consumer.counters().remaps, 3u);
  EXPECT_FALSE(std::filesystem::exists(namespace_path() + "/10000")) << "who ends in order leaves nothing";
}

TEST_F(NoDriverTest, AProducerCollectsWhatItsCrashedForerunnersLeft) {  // W-67, P-8
  pool::EpochFiles files({.base_dir = shm.path(), .reserve = false});
  const pool::Geometry geometry{.slot_count = 8, .pools = {{.pool_id = 1, .stride_bytes = 256}}};
  for (uint64_t epoch = 1; epoch <= 4; ++epoch) (void)files.create(10000, epoch, geometry, monotonic_ns());
  (void)files.create(10001, 1, geometry, monotonic_ns());
  Client client = connect();
  Producer producer = client.producer(producing());
  ASSERT_TRUE(poll_until([&] { return files.epochs(10000).size() == 2; })) << "kept: the newest two";
  EXPECT_EQ(files.epochs(10000), (std::vector<uint64_t>{4, producer.epoch()}));
  EXPECT_EQ(files.epochs(10001).size(), 1u) << "another stream's are none of its business";
}

TEST_F(NoDriverTest, ASecondProducerIsRefusedAndWelcomeWhenTheFirstHasGone) {  // W-35
  Client client = connect();
  std::optional<Producer> first(client.producer(producing()));
  ClientOptions hasty = client_options(media.dir(), shm.path());
  hasty.attach_timeout_ms = 200;
  Client other = Client::connect(hasty);
  const Error error = thrown_by([&] { (void)other.producer(producing()); });
  EXPECT_EQ(error.code(), Code::kRejected);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("cannot produce stream 10000: stream 10000 has a producer"),
                                  HasSubstr("stop that one or take another stream")));
  EXPECT_EQ(publish(*first), CommitResult::kOk);
  first.reset();
  Producer second = connect().producer(producing());
  EXPECT_EQ(publish(second), CommitResult::kOk);
}

TEST_F(NoDriverTest, AnnouncesGoToAStreamOfTheirOwnWhereThereIsOne) {  // W-14, W-22
  ClientOptions split = client_options(media.dir(), shm.path());
  split.announce = {kChannel, 1001};
  Client client = Client::connect(split);
  Producer producer = client.producer(producing());
  Consumer consumer = client.consumer(consuming());
  ASSERT_TRUE(meet(producer, consumer));
}

TEST_F(NoDriverTest, AllPlanesMayShareOneStream) {  // W-10, W-94, W-90: each message is heard once
  ClientOptions shared = client_options(media.dir(), shm.path());
  shared.announce = shared.descriptor = shared.qos = shared.metadata = shared.control;
  Client one = Client::connect(shared), other = Client::connect(shared);
  ProducerOptions options = producing();
  options.name = "cam1";
  options.blobs = {std::make_shared<const Blob>(Blob{.type = 1, .bytes = std::string(100'000, 'x')})};
  options.blob_repeat_ms = 200;
  Producer producer = one.producer(options);
  ConsumerOptions listening = consuming();
  listening.max_blob_bytes = 1 << 20;
  Consumer consumer = other.consumer(listening);
  other.watch_qos();
  ASSERT_TRUE(meet(producer, consumer));
  ASSERT_TRUE(poll_until([&] {
    (void)consumer.poll();
    return consumer.metadata() && consumer.metadata()->blob(1) && !other.qos(10000).producers.empty();
  }));
  EXPECT_EQ(consumer.metadata_counters().blobs.overlaps, 0u);
}

TEST_F(NoDriverTest, AProducerAndItsConsumersComeBackWithTheMediaDriver) {  // driver.md 14, W-65
  ClientOptions options = client_options(media.dir(), shm.path());
  options.media_driver_timeout_ms = 1000;
  std::mutex mutex;
  std::vector<State> states;
  ConsumerOptions following = consuming();
  following.on_state = [&](const StateChange& change) {
    const std::lock_guard lock(mutex);
    states.push_back(change.state);
  };
  Client one = Client::connect(options), other = Client::connect(options);
  Producer producer = one.producer(producing());
  Consumer consumer = other.consumer(following);
  ASSERT_TRUE(meet(producer, consumer));
  const uint64_t epoch = producer.epoch();
  media.stop();
  ASSERT_TRUE(poll_until([&] { return producer.state() == State::kConnecting && consumer.state() == State::kConnecting; }));
  EXPECT_EQ(producer.claim(kFrame).error(), ClaimError::kDetached);
  ASSERT_TRUE(poll_until([&] { return other.counters().failed_reconnects >= 2; })) << "it tries again and again";
  media.start();
  ASSERT_TRUE(meet(producer, consumer)) << producer.status_text() << "; " << consumer.status_text();
  EXPECT_GT(producer.epoch(), epoch);
  for (const Client* client : {&one, &other}) {
    EXPECT_EQ(client->counters().media_driver_losses, 1u);
    EXPECT_EQ(client->counters().reconnects, 1u);
  }
  EXPECT_EQ(one.counters().attaches, 2u);
  const std::lock_guard lock(mutex);
  const auto lost = std::find(states.begin(), states.end(), State::kConnecting);
  ASSERT_NE(lost, states.end()) << "the application was told";
  EXPECT_NE(std::find(lost, states.end(), State::kAttached), states.end()) << "and of its return";
}

// ---- metadata --------------------------------------------------------------------------------------------------------------

TEST_F(NoDriverTest, AFrameLeadsToWhatItsProducerSaidOfIt) {  // W-87, W-89, W-88
  Client one = connect(), other = connect();
  ProducerOptions options = producing();
  options.name = "cam1";
  options.summary = "left";
  options.attributes = {{"gain", "text/plain", "1.5"}, {"x-odd", "sbe:999.1", std::string("\0\1", 2)}};
  Producer producer = one.producer(options);
  EXPECT_EQ(producer.meta_version(), 1u);
  Consumer consumer = other.consumer(consuming());
  EXPECT_EQ(consumer.frame_metadata(), nullptr);
  ASSERT_TRUE(meet(producer, consumer));
  ASSERT_TRUE(poll_until([&] { return consumer.metadata() && consumer.metadata()->attributed && consumer.metadata()->described; }))
      << "a latecomer learns it within a period";
  ASSERT_NE(consumer.frame_metadata(), nullptr);
  EXPECT_EQ(consumer.frame_metadata()->name, "cam1");
  EXPECT_EQ(consumer.frame_metadata()->summary, "left");
  EXPECT_EQ(consumer.frame_metadata()->find("gain")->value, "1.5");
  EXPECT_EQ(consumer.frame_metadata()->find("x-odd")->value, std::string("\0\1", 2));

  // Frames of the old version are still in the ring when the new one is told.
  while (consumer.poll() == PollResult::kFrame) {
  }
  ASSERT_EQ(publish(producer), CommitResult::kOk);
  producer.set_data_source({.name = "cam1", .summary = "left", .attributes = {{"gain", "text/plain", "3"}}, .blobs = {}});
  ASSERT_EQ(publish(producer), CommitResult::kOk);
  ASSERT_TRUE(poll_until([&] { return consumer.metadata(2) && consumer.metadata(2)->attributed; }));
  ASSERT_TRUE(poll_until([&] { return consumer.poll() == PollResult::kFrame; }));
  EXPECT_EQ(consumer.frame_meta_version(), 1u);
  EXPECT_EQ(consumer.frame_metadata()->find("gain")->value, "1.5");
  ASSERT_TRUE(poll_until([&] { return consumer.poll() == PollResult::kFrame; }));
  EXPECT_EQ(consumer.frame_meta_version(), 2u);
  EXPECT_EQ(consumer.frame_metadata()->find("gain")->value, "3");
  EXPECT_EQ(consumer.frame_metadata()->find("x-odd"), nullptr) << "the full set, not what changed";
  EXPECT_EQ(consumer.metadata(7), nullptr);
}

TEST_F(NoDriverTest, AChangeIsToldByCallback) {  // W-87
  std::mutex mutex;
  std::vector<std::shared_ptr<const Metadata>> told;
  Client one = connect(), other = connect();
  Producer producer = one.producer(producing());
  EXPECT_EQ(producer.meta_version(), 0u);
  ConsumerOptions options = consuming();
  options.on_metadata = [&](const std::shared_ptr<const Metadata>& metadata) {
    const std::lock_guard lock(mutex);
    told.push_back(metadata);
  };
  Consumer consumer = other.consumer(options);
  producer.set_data_source({.name = "cam1"});
  const auto last = [&] {
    const std::lock_guard lock(mutex);
    return told.empty() ? nullptr : told.back();
  };
  ASSERT_TRUE(poll_until([&] { return last() && last()->attributed && last()->name == "cam1"; }));
  EXPECT_EQ(last()->version, 1u);
  EXPECT_EQ(last(), consumer.metadata());
}

TEST_F(NoDriverTest, AProducerThatSaysNothingHasNoMetadata) {  // W-87
  Client one = connect(), other = connect();
  Producer producer = one.producer(producing());
  Consumer consumer = other.consumer(consuming());
  ASSERT_TRUE(meet(producer, consumer));
  EXPECT_EQ(consumer.frame_meta_version(), std::nullopt);
  EXPECT_EQ(consumer.frame_metadata(), nullptr);
  EXPECT_EQ(consumer.metadata(), nullptr);
  ConsumerOptions deaf = consuming();
  deaf.metadata = false;
  EXPECT_EQ(other.consumer(deaf).metadata(), nullptr);
}

TEST_F(NoDriverTest, ADataSourceThatNoMessageCanCarryIsRefused) {  // wire.md 14, W-93
  Client client = connect();
  Producer producer = client.producer(producing());
  const auto error_of = [&](const DataSource& source) {
    return std::string(thrown_by([&] { producer.set_data_source(source); }).what());
  };
  EXPECT_THAT(error_of({.attributes = {{"gain", "text/plain", "1"}, {"gain", "text/plain", "2"}}}),
              HasSubstr("attribute key is 'gain': expected each key once"));
  EXPECT_THAT(error_of({.name = std::string(wire::kMaxNameBytes + 1, 'n')}), HasSubstr("name"));
  EXPECT_THAT(error_of({.attributes = {{"k", "f", std::string(wire::kMaxAttributeBytes + 1, 'v')}}}),
              HasSubstr("attributes.value"));
  const auto blob = std::make_shared<const Blob>(Blob{.type = 3});
  EXPECT_THAT(error_of({.blobs = {blob, blob}}), HasSubstr("blob type is '3'"));
  EXPECT_THAT(error_of({.blobs = {nullptr}}), HasSubstr("nullptr"));
  EXPECT_EQ(producer.meta_version(), 0u) << "no version was used";
  ProducerOptions options = producing("10001");
  options.blobs = {blob, blob};
  EXPECT_THAT(thrown_by([&] { (void)client.producer(options); }).what(), HasSubstr("blob type is '3'"));
}

TEST_F(NoDriverTest, BlobsArriveWholeAlsoForLatecomers) {  // W-90
  Client one = connect(), other = connect();
  std::string bytes(3 << 20, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 2654435761u >> 24);
  ProducerOptions options = producing();
  options.blobs = {std::make_shared<const Blob>(Blob{.type = 1, .bytes = bytes}),
                   std::make_shared<const Blob>(Blob{.type = 2, .bytes = {}})};
  options.blob_repeat_ms = 100;
  Producer producer = one.producer(options);
  for (int i = 0; i < 2; ++i) {
    ConsumerOptions listening = consuming();
    listening.max_blob_bytes = 4 << 20;
    Consumer consumer = other.consumer(listening);
    ASSERT_TRUE(poll_until([&] {
      const auto metadata = consumer.metadata();
      return metadata && metadata->blob(1) && metadata->blob(2);
    })) << consumer.metadata_counters().blobs.discarded();
    EXPECT_EQ(consumer.metadata()->version, 1u);
    EXPECT_TRUE(consumer.metadata()->blob(1)->bytes == bytes);
    EXPECT_EQ(consumer.metadata()->blob(2)->bytes, "");
    ASSERT_TRUE(poll_until([&] { return consumer.metadata_counters().blobs.repeated > 0; }));
    EXPECT_EQ(consumer.metadata_counters().blobs.completed, 2u) << "not kept twice";
  }
}

TEST_F(NoDriverTest, BlobsAreIgnoredUnlessTheyAreWanted) {  // W-90, W-93, WX-9
  Client one = connect(), other = connect();
  ProducerOptions options = producing();
  options.blobs = {std::make_shared<const Blob>(Blob{.type = 1, .bytes = std::string(2000, 'x')})};
  options.blob_repeat_ms = 50;
  Producer producer = one.producer(options);
  Consumer plain = other.consumer(consuming());
  ConsumerOptions narrow = consuming();
  narrow.max_blob_bytes = 1999;
  Consumer small = other.consumer(narrow);
  ASSERT_TRUE(poll_until([&] { return small.metadata_counters().blobs.too_large > 1; }));
  EXPECT_EQ(small.metadata()->blob(1), nullptr);
  EXPECT_EQ(plain.metadata_counters().blobs.completed + plain.metadata_counters().blobs.orphans, 0u);
  EXPECT_TRUE(plain.metadata()->blobs.empty());
}

// ---- quality of service ----------------------------------------------------------------------------------------------------

TEST_F(NoDriverTest, WhoProducesAndWhoLagsIsToldByQos) {  // W-86
  Client one = connect(), other = connect(), watching = connect();
  watching.watch_qos();
  Producer producer = one.producer(producing());
  Consumer attentive = other.consumer(consuming());
  Consumer lagging = other.consumer(consuming());
  ASSERT_TRUE(meet(producer, attentive) && meet(producer, lagging));
  ASSERT_TRUE(poll_until([&] { return watching.qos(10000).consumers.size() == 2 && watching.qos(10000).producers.size() == 1; }));
  const uint64_t seen = lagging.counters().last_seq;
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(publish(producer), CommitResult::kOk);
    ASSERT_TRUE(
        poll_until([&] { return attentive.counters().last_seq + 1 == producer.next_seq() || (void(attentive.poll()), false); }));
  }
  // Both sides' reports have caught up with what they did.
  ASSERT_TRUE(poll_until([&] {
    const StreamQos qos = watching.qos(10000);
    return qos.producers[0].next_seq == producer.next_seq() &&
           std::count_if(qos.consumers.begin(), qos.consumers.end(), [](const ConsumerQos& c) { return c.lag_frames == 0u; }) ==
               1 &&
           std::count_if(qos.consumers.begin(), qos.consumers.end(), [&](const ConsumerQos& c) {
             return c.last_seq_seen == seen && c.lag_frames == producer.next_seq() - seen - 1;
           }) == 1;
  }));
  EXPECT_GE(watching.qos(10000).producers[0].frames, 20u);
  // It reads on and finds what it lost; the loss is in its next reports.
  ASSERT_TRUE(poll_until([&] {
    while (lagging.poll() != PollResult::kEmpty) {
    }
    const StreamQos qos = watching.qos(10000);
    return std::any_of(qos.consumers.begin(), qos.consumers.end(),
                       [](const ConsumerQos& c) { return c.drops_gap + c.drops_late > 0; });
  }));
  EXPECT_TRUE(watching.qos(10001).producers.empty());
  EXPECT_TRUE(one.qos(10000).producers.empty()) << "who did not ask listens to nothing";
}

// ---- device SDKs -----------------------------------------------------------------------------------------------------------

TEST_F(NoDriverTest, ADeviceMayFillRegisteredSlotsAndCommitLater) {  // W-41, P-1, P-4, issue 4
  Client one = connect(), other = connect();
  Producer producer = one.producer(producing());
  ConsumerOptions options = consuming();
  options.follow = Follow::kRing;
  Consumer consumer = other.consumer(options);
  ASSERT_TRUE(meet(producer, consumer));
  while (consumer.poll() == PollResult::kFrame) {
  }
  const auto buffers = producer.buffers();
  ASSERT_TRUE(buffers && buffers->alive());
  EXPECT_EQ(buffers->epoch(), producer.epoch());
  ASSERT_EQ(buffers->pools().size(), 2u);
  EXPECT_EQ(buffers->pools()[1].stride_bytes, 4096u);
  EXPECT_EQ(buffers->pools()[1].bytes.size(), 8u * 4096);

  // The device holds three slots at any time; they are committed in the order of their claims, as they come back.
  const wire::TensorHeader picture = wire::contiguous(wire::DType::u8, std::vector<int32_t>{1000});  // of the second pool
  std::vector<pool::Claim> queue;
  std::vector<uint32_t> uses(8, 0);
  for (int frame = 0; frame < 40; ++frame) {
    while (queue.size() < 3) {
      auto claim = producer.claim(picture);
      ASSERT_TRUE(claim);
      const auto place = buffers->place_of(*claim);
      ASSERT_TRUE(place);
      EXPECT_EQ(place->pool, 1u);
      EXPECT_EQ(place->slot, claim->seq() % 8);
      EXPECT_EQ(buffers->pools()[1].slot(place->slot).data(), claim->bytes().data()) << "one of the registered addresses";
      ++uses[place->slot];
      queue.push_back(std::move(*claim));
    }
    EXPECT_EQ(consumer.poll(), PollResult::kEmpty) << "claimed is not committed";
    if (frame % 10 == 3) {  // the later one comes back first: it has to wait
      EXPECT_EQ(producer.commit(queue[1]), CommitResult::kOutOfOrder);
      EXPECT_TRUE(queue[1]) << "and is kept";
    }
    // The device writes by the registered address alone.
    const auto place = *buffers->place_of(queue.front());
    std::memset(buffers->pools()[place.pool].slot(place.slot).data(), frame, 1000);
    const uint64_t seq = queue.front().seq();
    ASSERT_EQ(producer.commit(queue.front()), CommitResult::kOk);
    queue.erase(queue.begin());
    ASSERT_EQ(consumer.wait(30s), PollResult::kFrame);
    EXPECT_EQ(consumer.frame().seq(), seq);
    ASSERT_EQ(consumer.frame().bytes().size(), 1000u);
    EXPECT_EQ(consumer.frame().bytes()[999], static_cast<std::byte>(frame));
  }
  for (const uint32_t use : uses) EXPECT_GE(use, 5u) << "slots are handed out again and again";
  queue.clear();
  EXPECT_FALSE(buffers->place_of(pool::Claim()));
}

TEST_F(NoDriverTest, RegisteredSlotsStayMemoryAfterTheirEpochIsLost) {  // P-4
  ClientOptions options = client_options(media.dir(), shm.path());
  options.media_driver_timeout_ms = 1000;
  Client client = Client::connect(options);
  std::optional<Producer> producer(client.producer(producing()));
  std::optional<SlotBuffers> buffers = producer->buffers();
  ASSERT_TRUE(buffers);
  auto claim = producer->claim(kFrame);
  ASSERT_TRUE(claim);
  media.stop();
  ASSERT_TRUE(poll_until([&] { return !buffers->alive(); }));
  EXPECT_FALSE(producer->buffers()) << "none while detached";
  EXPECT_EQ(producer->commit(*claim), CommitResult::kDetached);
  media.start();
  ASSERT_TRUE(poll_until([&] { return publish(*producer) == CommitResult::kOk; }));
  std::memset(buffers->pools()[0].bytes.data(), 9, buffers->pools()[0].bytes.size());  // a device that did not hear of it
  const auto next = producer->buffers();
  ASSERT_TRUE(next);
  EXPECT_NE(next->epoch(), buffers->epoch());
  auto another = producer->claim(kFrame);
  ASSERT_TRUE(another);
  EXPECT_FALSE(buffers->place_of(*another)) << "the next epoch's slots are other ones";
  EXPECT_TRUE(next->place_of(*another));
  producer.reset();
  EXPECT_EQ(buffers->pools()[0].bytes[0], std::byte{9});
}

}  // namespace
}  // namespace tidepool::client::metadata_test
