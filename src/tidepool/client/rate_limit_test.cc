// A consumer's own rate limit (W-76), against a foreign producer whose times are as the test says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <vector>

#include "tidepool/client/client.h"
#include "tidepool/client/test_client.h"

namespace tidepool::client::rate_limit_test {
namespace {

using testing::ClientTest;
using ::testing::ElementsAre;
using testing::kChannel;

constexpr uint64_t kMs = kNsPerMs;

struct RateLimitTest : ClientTest {
  void consume(Follow follow) {
    consumer.emplace(client.consumer({.follow = follow, .mode = wire::Mode::rate_limited, .max_rate_hz = 20}));
    descriptors = driver.connection->add_publication(kChannel, 1100);
    writer.emplace(driver.map);
    if (follow == Follow::kDescriptors) {
      ASSERT_TRUE(until([&] { return descriptors->connected(); }));
    }
    (void)consumer->poll();
  }
  // One frame; times in ms, if it has any.
  void write(std::optional<uint64_t> slot_ms, std::optional<uint64_t> descriptor_ms) {
    const uint64_t seq = writer->next_seq();
    const auto tensor = wire::contiguous(wire::DType::u8, std::vector<int32_t>{8});
    ASSERT_EQ(writer->offer(tensor, std::vector<std::byte>(8), {.timestamp_ns = slot_ms ? *slot_ms * kMs : wire::kNull64}),
              pool::ClaimError::kNone);
    wire::FrameDescriptor descriptor;
    descriptor.stream_id = driver.stream_id;
    descriptor.epoch = driver.epoch;
    descriptor.seq = seq;
    if (descriptor_ms) descriptor.timestamp_ns = *descriptor_ms * kMs;
    std::byte bytes[wire::FrameDescriptor::kBytes];
    wire::encode(descriptor, bytes);
    if (consumer_follows_descriptors) {
      ASSERT_TRUE(until([&] { return descriptors->send(bytes) == transport::SendResult::kOk; }));
    }
    last = seq;
  }
  // Frames told until the last one written was looked at.
  std::vector<uint64_t> told() {
    std::vector<uint64_t> out;
    EXPECT_TRUE(until([&] {
      if (consumer->poll() == PollResult::kFrame) out.push_back(consumer->frame().seq());
      return consumer->counters().last_seq == last && consumer->poll() == PollResult::kEmpty;
    }));
    return out;
  }
  void TearDown() override {
    let_go(consumer);
    ClientTest::TearDown();
  }

  std::optional<Consumer> consumer;
  std::shared_ptr<transport::Publication> descriptors;
  std::optional<pool::PoolWriter> writer;
  bool consumer_follows_descriptors = true;
  uint64_t last = 0;
};

TEST_F(RateLimitTest, GoesByTheDescriptorsTime) {  // W-76
  consume(Follow::kDescriptors);
  for (const uint64_t ms : {1000, 1049, 1050, 1051, 1101, 20, 69, 70}) write(5000, ms);  // 20 ms: a clock that went back
  EXPECT_THAT(told(), ElementsAre(0, 2, 4, 5, 7));
  const auto counters = consumer->counters();
  EXPECT_EQ(counters.rate_skipped, 3u);
  EXPECT_EQ(counters.frames, 5u);
  EXPECT_EQ(counters.drops.drops_gap + counters.drops.drops_late, 0u) << "what is passed over is no drop";
  EXPECT_EQ(counters.last_seq, 7u) << "and was seen";
}

TEST_F(RateLimitTest, ElseByTheSlotsTime) {  // W-76
  consume(Follow::kDescriptors);
  for (const uint64_t ms : {1000, 1049, 1050, 1099, 1100}) write(ms, std::nullopt);
  EXPECT_THAT(told(), ElementsAre(0, 2, 4));
  EXPECT_EQ(consumer->counters().rate_skipped, 2u);
}

TEST_F(RateLimitTest, ElseByItsOwnClock) {  // W-76
  consume(Follow::kDescriptors);
  const uint64_t begin_ns = monotonic_ns();
  size_t frames = 0;
  uint64_t written = 0;
  while (frames < 4) {
    write(std::nullopt, std::nullopt);
    ++written;
    frames += told().size();
  }
  EXPECT_GE(monotonic_ns() - begin_ns, 150 * kMs) << "four frames, three times 50 ms between them";
  EXPECT_EQ(consumer->counters().rate_skipped + frames, written);
}

TEST_F(RateLimitTest, HoldsByTheRingAsWell) {  // W-76, P-2
  consumer_follows_descriptors = false;
  consume(Follow::kRing);
  for (const uint64_t ms : {1000, 1049, 1050, 1051, 1101}) write(ms, std::nullopt);
  EXPECT_THAT(told(), ElementsAre(0, 2, 4));
  EXPECT_EQ(consumer->counters().rate_skipped, 2u);
}

}  // namespace
}  // namespace tidepool::client::rate_limit_test
