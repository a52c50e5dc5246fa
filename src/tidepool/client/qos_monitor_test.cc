#include "tidepool/client/qos_monitor.h"

#include <gtest/gtest.h>

#include "tidepool/base/clock.h"

namespace tidepool::client::qos_monitor_test {
namespace {

constexpr uint32_t kStream = 10000;
constexpr uint64_t kForEver = UINT64_MAX;

struct QosMonitorTest : ::testing::Test {
  void produce(uint64_t epoch, uint64_t next_seq, uint32_t id = 77) {
    monitor.heard(
        wire::QosProducer{
            .stream_id = kStream, .producer_id = id, .epoch = epoch, .current_seq = next_seq, .watermark = std::nullopt},
        now_ns);
  }
  void consume(uint64_t epoch, uint64_t last_seq, uint64_t gap = 0, uint64_t late = 0, uint32_t id = 42) {
    monitor.heard(wire::QosConsumer{.stream_id = kStream,
                                    .consumer_id = id,
                                    .epoch = epoch,
                                    .last_seq_seen = last_seq,
                                    .drops_gap = gap,
                                    .drops_late = late,
                                    .mode = wire::Mode::stream},
                  now_ns);
  }
  StreamQos look(uint64_t max_age_ns = kForEver) const { return monitor.of_stream(kStream, now_ns, max_age_ns); }

  QosMonitor monitor;
  uint64_t now_ns = 1'000 * kNsPerSecond;
};

TEST_F(QosMonitorTest, TellsWhoProducesAndWhoConsumes) {  // W-86
  produce(7, 12);
  consume(7, 11, 3, 1);
  now_ns += 250;
  const StreamQos qos = look();
  ASSERT_EQ(qos.producers.size(), 1u);
  EXPECT_EQ(qos.producers[0].producer_id, 77u);
  EXPECT_EQ(qos.producers[0].epoch, 7u);
  EXPECT_EQ(qos.producers[0].next_seq, 12u);
  EXPECT_EQ(qos.producers[0].age_ns, 250u);
  EXPECT_EQ(qos.producers[0].watermark, std::nullopt);
  ASSERT_EQ(qos.consumers.size(), 1u);
  EXPECT_EQ(qos.consumers[0].consumer_id, 42u);
  EXPECT_EQ(qos.consumers[0].last_seq_seen, 11u);
  EXPECT_EQ(qos.consumers[0].mode, wire::Mode::stream);
  EXPECT_TRUE(monitor.of_stream(kStream + 1, now_ns, kForEver).producers.empty());
}

TEST_F(QosMonitorTest, CountsLossesFromTheFirstReportOnAndOverResets) {  // W-86: a peer zeroes its counters at a remap
  consume(7, 0, 100, 10);
  EXPECT_EQ(look().consumers[0].drops_gap, 0u) << "before we listened";
  consume(7, 5, 103, 11);
  EXPECT_EQ(look().consumers[0].drops_gap, 3u);
  EXPECT_EQ(look().consumers[0].drops_late, 1u);
  consume(8, 0, 2, 0);  // lower than before: it began anew
  EXPECT_EQ(look().consumers[0].drops_gap, 5u);
  EXPECT_EQ(look().consumers[0].drops_late, 1u);
  EXPECT_EQ(look().consumers[0].resets, 1u);
  consume(8, 0, 2, 0);
  EXPECT_EQ(look().consumers[0].drops_gap, 5u);
  EXPECT_EQ(look().consumers[0].reports, 4u);
}

TEST_F(QosMonitorTest, CountsFramesOverEpochs) {  // W-86, W-36
  produce(7, 10);
  produce(7, 15);
  EXPECT_EQ(look().producers[0].frames, 5u);
  produce(8, 100);  // higher than before, and anew all the same
  EXPECT_EQ(look().producers[0].frames, 105u);
  EXPECT_EQ(look().producers[0].resets, 1u);
  produce(8, 2);  // one that restarts within its epoch, as some do (WX-33)
  EXPECT_EQ(look().producers[0].frames, 107u);
  EXPECT_EQ(look().producers[0].resets, 2u);
}

TEST_F(QosMonitorTest, ReckonsTheLagOfEachConsumer) {  // W-86
  produce(7, 12);
  consume(7, 11, 0, 0, 1);  // has seen all
  consume(7, 4, 0, 0, 2);
  consume(7, 20, 0, 0, 3);  // reports later than its producer
  consume(6, 4, 0, 0, 4);   // of an epoch that nobody produces
  consume(0, 0, 0, 0, 5);   // not mapped
  consume(7, UINT64_MAX, 0, 0, 6);
  const auto consumers = look().consumers;
  EXPECT_EQ(consumers[0].lag_frames, 0u);
  EXPECT_EQ(consumers[1].lag_frames, 7u);
  EXPECT_EQ(consumers[2].lag_frames, 0u);
  EXPECT_EQ(consumers[3].lag_frames, std::nullopt);
  EXPECT_EQ(consumers[4].lag_frames, std::nullopt);
  EXPECT_EQ(consumers[5].lag_frames, 0u);
}

TEST_F(QosMonitorTest, LeavesOutWhoIsSilent) {  // W-86
  produce(7, 1);
  consume(7, 0);
  now_ns += kNsPerSecond;
  produce(7, 2);
  EXPECT_EQ(look(kNsPerSecond).consumers.size(), 1u);
  now_ns += 1;
  EXPECT_TRUE(look(kNsPerSecond).consumers.empty());
  EXPECT_EQ(look(kNsPerSecond).producers.size(), 1u);
}

TEST_F(QosMonitorTest, TakesAWatermarkOfZeroForNone) {  // WX-38
  monitor.heard(wire::QosProducer{.stream_id = kStream, .producer_id = 1, .epoch = 7, .current_seq = 1, .watermark = 0}, now_ns);
  EXPECT_EQ(look().producers[0].watermark, std::nullopt);
  monitor.heard(wire::QosProducer{.stream_id = kStream, .producer_id = 1, .epoch = 7, .current_seq = 1, .watermark = 9}, now_ns);
  EXPECT_EQ(look().producers[0].watermark, 9u);
}

TEST_F(QosMonitorTest, KeepsAModeThatItDoesNotKnow) {  // W-9
  monitor.heard(wire::QosConsumer{.stream_id = kStream, .consumer_id = 1, .mode = wire::Mode::unknown}, now_ns);
  EXPECT_EQ(look().consumers[0].mode, wire::Mode::unknown);
}

TEST_F(QosMonitorTest, HoldsABoundedNumberOfPeers) {  // W-93
  for (uint32_t id = 1; id <= QosMonitor::kMaxPeers + 10; ++id) {
    ++now_ns;
    produce(7, 1, id);
    consume(7, 1, 0, 0, id);
  }
  const StreamQos qos = look();
  EXPECT_EQ(qos.producers.size(), QosMonitor::kMaxPeers);
  EXPECT_EQ(qos.consumers.size(), QosMonitor::kMaxPeers);
  EXPECT_EQ(qos.producers.front().producer_id, 11u) << "the ones not heard for longest went";
}

}  // namespace
}  // namespace tidepool::client::qos_monitor_test
