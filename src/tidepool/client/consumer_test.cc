// Consumers against a scripted driver and a foreign producer, by descriptors and by the ring. With the real driver: tests/client/.
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

namespace tidepool::client {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;

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

TEST_F(ConsumerTest, TellsALagOnceAndGoesOnWithWhatIsStillThere) {  // W-82, W-84, W-44
  expect_frame(write_and_describe());
  for (int i = 0; i < 100; ++i) write_and_describe();  // 1 to 100; eight slots hold 93 to 100
  EXPECT_EQ(consumer.poll(), PollResult::kDropped);
  EXPECT_EQ(drops().drops_late, 92u);
  EXPECT_EQ(drops().identity, 92u);
  EXPECT_EQ(drops().drops_gap, 0u);
  for (uint64_t seq = 93; seq <= 100; ++seq) {
    ASSERT_EQ(consumer.poll(), PollResult::kFrame);
    EXPECT_EQ(consumer.frame().seq(), seq);
    EXPECT_TRUE(std::ranges::equal(consumer.frame().bytes(), payload_of(seq)));
  }
  EXPECT_EQ(consumer.poll(), PollResult::kEmpty);
  EXPECT_EQ(drops().drops_late, 92u);
}

TEST_F(ConsumerTest, GetsFramesByOnePollACycleHoweverFarItLags) {  // W-82, W-84, W-44
  expect_frame(write_and_describe());
  uint64_t frames = 1;
  PollResult before = PollResult::kFrame;
  for (int cycle = 0; cycle < 60; ++cycle) {
    for (int i = 0; i < 20; ++i) write_and_describe();  // two rings and a half
    const PollResult result = consumer.poll();
    ASSERT_TRUE(result == PollResult::kFrame || result == PollResult::kDropped);
    ASSERT_FALSE(result == PollResult::kDropped && before == PollResult::kDropped) << "cycle " << cycle;
    if (result == PollResult::kFrame) {
      ++frames;
      EXPECT_GT(consumer.frame().seq() + 8, writer->next_seq() - 1) << "one of those that are there";
      EXPECT_TRUE(consumer.frame().still_valid());
    }
    before = result;
  }
  EXPECT_GE(frames, 30u);
  for (PollResult result = before; result != PollResult::kEmpty;) {
    result = consumer.poll();
    frames += result == PollResult::kFrame;
  }
  EXPECT_EQ(frames, consumer.counters().frames);
  EXPECT_EQ(frames + drops().drops_late + drops().drops_gap, writer->next_seq()) << "each frame once";
}

TEST_F(ConsumerTest, SkipsToTheLatestIfItIsToldTo) {  // W-82
  std::optional<Consumer> hasty(client.consumer({.stream = "10000", .on_lap = pool::OnLap::kSkipToLatest}));
  write_and_describe();
  ASSERT_TRUE(until([&] { return hasty->poll() == PollResult::kFrame; }));
  for (int i = 0; i < 50; ++i) write_and_describe();
  EXPECT_EQ(hasty->poll(), PollResult::kDropped);
  EXPECT_EQ(hasty->poll(), PollResult::kFrame);
  EXPECT_EQ(hasty->frame().seq(), 50u);
  EXPECT_EQ(hasty->counters().drops.drops_late, 49u);
  EXPECT_EQ(hasty->poll(), PollResult::kEmpty);
  let_go(hasty);
}

TEST_F(ConsumerTest, CountsGapsAmongWhatItPassesOverAsGaps) {  // W-82, W-83
  expect_frame(write_and_describe());
  for (int i = 1; i <= 40; ++i) i % 2 == 0 ? write_and_describe() : write();  // every second one is announced
  EXPECT_EQ(consumer.poll(), PollResult::kDropped) << "the gap before 2";
  EXPECT_EQ(consumer.poll(), PollResult::kDropped) << "2 was overwritten, and all before 34";
  EXPECT_EQ(drops().drops_late, 16u);  // 2, 4, ... 32
  EXPECT_EQ(drops().drops_gap, 16u);   // 1, 3, ... 31
  uint64_t frames = 1;
  for (PollResult result; (result = consumer.poll()) != PollResult::kEmpty;) frames += result == PollResult::kFrame;
  EXPECT_EQ(frames, 5u);
  EXPECT_EQ(frames + drops().drops_late + drops().drops_gap, 41u) << "each frame once";
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
