#include "tidepool/client/descriptor_feed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "tidepool/transport/test_media_driver.h"

namespace tidepool::client::descriptor_feed_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using transport::testing::poll_until;
using transport::testing::TestMediaDriver;

constexpr const char* kChannel = "aeron:ipc?term-length=1m";

// A producer's streams and a consumer's subscriptions to them, as many as a test wants.
struct DescriptorFeedTest : ::testing::Test {
  struct Stream {
    std::shared_ptr<transport::Publication> out;
    std::shared_ptr<transport::Subscription> in;
  };
  Stream open(int32_t id) {
    Stream stream{connection->add_publication(kChannel, id), connection->add_subscription(kChannel, id)};
    EXPECT_TRUE(poll_until([&] {
      connection->poll();
      return stream.out->connected() && stream.in->connected();
    }));
    return stream;
  }
  void send(const Stream& stream, uint64_t seq, uint64_t epoch = 7) {
    wire::FrameDescriptor descriptor;
    descriptor.stream_id = 10000;
    descriptor.epoch = epoch;
    descriptor.seq = seq;
    std::byte bytes[wire::FrameDescriptor::kBytes];
    wire::encode(descriptor, bytes);
    ASSERT_TRUE(poll_until([&] { return stream.out->send(bytes) == transport::SendResult::kOk; }));
  }
  void send_all(const Stream& stream, std::initializer_list<uint64_t> seqs) {
    for (const uint64_t seq : seqs) send(stream, seq);
  }
  void listen(const std::shared_ptr<transport::Subscription>& shared, const std::shared_ptr<transport::Subscription>& own = {},
              const std::shared_ptr<transport::Subscription>& leaving = {}) {
    feed.take(shared, own, leaving);
  }
  // All that is told now, as a consumer would take it; what it knows already is not told twice.
  std::vector<uint64_t> told() {
    std::vector<uint64_t> out;
    DescriptorFeed::Heard heard;
    while (feed.next(heard, last, [&](const wire::FrameDescriptor& d) { return screen(d); }) == DescriptorFeed::Next::kHeard) {
      if (last && heard.descriptor.seq <= *last) {
        regressed |= !feed.switching();
        continue;
      }
      if (last && !heard.fresh) gaps += heard.descriptor.seq - *last - 1;
      feed.moved_on();
      last = heard.descriptor.seq;
      out.push_back(heard.descriptor.seq);
    }
    return out;
  }
  static DescriptorFeed::Screen screen(const wire::FrameDescriptor& descriptor) {
    if (descriptor.stream_id != 10000) return DescriptorFeed::Screen::kSkip;
    return descriptor.epoch == 7  ? DescriptorFeed::Screen::kTake
           : descriptor.epoch < 7 ? DescriptorFeed::Screen::kSkip
                                  : DescriptorFeed::Screen::kStop;
  }

  TestMediaDriver media;
  std::shared_ptr<transport::Connection> connection = media.connect();
  DescriptorFeed feed;
  std::optional<uint64_t> last;
  uint64_t gaps = 0;
  bool regressed = false;
};

TEST_F(DescriptorFeedTest, OneStreamIsToldAsItComes) {  // W-52
  const auto shared = open(1100);
  EXPECT_THAT(told(), IsEmpty());
  listen(shared.in);
  send_all(shared, {0, 1, 5});
  EXPECT_THAT(told(), ElementsAre(0, 1, 5));
  EXPECT_EQ(gaps, 3u);
  EXPECT_FALSE(feed.switching());
}

TEST_F(DescriptorFeedTest, FromTheSharedStreamToItsOwnEachFrameIsToldOnceAndNoGapIsFalse) {  // W-72, W-66, W-83
  const auto shared = open(1100);
  listen(shared.in);
  send_all(shared, {0, 1, 2});
  EXPECT_THAT(told(), ElementsAre(0, 1, 2));
  const auto own = open(31001);
  listen(shared.in, own.in);
  EXPECT_TRUE(feed.switching());
  send_all(shared, {3, 4});  // the producer has not opened it yet
  send(shared, 5);
  send(own, 5);
  send(shared, 6);
  send(own, 6);
  EXPECT_THAT(told(), ElementsAre(3, 4, 5, 6));
  listen(nullptr, own.in);  // the shared one is left: read to its end, then its own alone
  send(shared, 7);
  send(own, 7);
  send(own, 8);
  EXPECT_THAT(told(), ElementsAre(7, 8));
  EXPECT_FALSE(feed.switching());
  send(shared, 9);
  EXPECT_THAT(told(), IsEmpty()) << "its own alone now";
  send(own, 9);
  EXPECT_THAT(told(), ElementsAre(9));
  EXPECT_EQ(gaps, 0u);
  EXPECT_FALSE(regressed);
}

TEST_F(DescriptorFeedTest, WhatItsOwnStreamIsBehindIsNoRegressionAfterTheSwitch) {  // W-66
  const auto shared = open(1100);
  const auto own = open(31001);
  listen(shared.in);
  for (uint64_t seq = 0; seq < 20; ++seq) send(shared, seq);
  EXPECT_EQ(told().size(), 20u);
  listen(nullptr, own.in);  // a consumer that slept over the time between
  for (uint64_t seq = 10; seq < 22; ++seq) send(own, seq);
  EXPECT_THAT(told(), ElementsAre(20, 21));
  EXPECT_FALSE(regressed);
  EXPECT_EQ(gaps, 0u);
  send(own, 3);
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_TRUE(regressed) << "the switch is over: from here on a lower sequence means what it says";
}

TEST_F(DescriptorFeedTest, BackFromACappedStreamTheFramesItHadLeftOutAreNoGap) {  // W-72, W-83, W-76
  const auto shared = open(1100);
  const auto own = open(31001);
  listen(nullptr, own.in);
  send_all(own, {0, 10, 20});
  EXPECT_THAT(told(), ElementsAre(0, 10, 20));
  EXPECT_EQ(gaps, 18u) << "on its own stream they are counted, as the protocol wants";
  listen(shared.in, nullptr, own.in);
  send_all(shared, {27, 28, 29, 30});
  send(own, 30);
  send(shared, 31);
  EXPECT_THAT(told(), ElementsAre(27, 28, 29, 30, 31));
  EXPECT_EQ(gaps, 18u);
  listen(shared.in);
  send(shared, 33);
  EXPECT_THAT(told(), ElementsAre(33));
  EXPECT_EQ(gaps, 19u) << "a gap of the shared stream is one";
}

TEST_F(DescriptorFeedTest, AStreamThatIsLeftIsReadToItsEnd) {  // W-72
  const auto first = open(31001);
  const auto second = open(31002);
  listen(nullptr, first.in);
  send_all(first, {0, 1, 2, 3});
  listen(nullptr, second.in);
  send_all(second, {4, 5});
  EXPECT_THAT(told(), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_EQ(gaps, 0u);
}

TEST_F(DescriptorFeedTest, TheEndOfAnEpochVoidsWhatWasHeard) {  // W-59
  const auto shared = open(1100);
  const auto own = open(31001);
  listen(shared.in);
  send(shared, 0);
  EXPECT_THAT(told(), ElementsAre(0));
  listen(shared.in, own.in);
  send(shared, 5);
  send(own, 7);
  DescriptorFeed::Heard heard;
  ASSERT_EQ(feed.next(heard, last, screen), DescriptorFeed::Next::kHeard);  // 7 is heard too, and waits
  feed.end_epoch();
  last.reset();
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(DescriptorFeedTest, StopsAtADescriptorOfALaterEpochOnAnyStream) {  // W-60
  const auto shared = open(1100);
  const auto own = open(31001);
  listen(shared.in, own.in);
  send(own, 0, 6);
  send(own, 0, 8);
  DescriptorFeed::Heard heard;
  EXPECT_EQ(feed.next(heard, last, screen), DescriptorFeed::Next::kStopped);
}

TEST_F(DescriptorFeedTest, SwitchedFasterThanReadItKeepsTheNewest) {  // W-93, W-72
  std::vector<Stream> streams;
  for (int32_t id = 0; id < 12; ++id) {
    streams.push_back(open(32001 + id));
    listen(nullptr, streams.back().in);
    send(streams.back(), static_cast<uint64_t>(id));
  }
  const auto frames = told();
  ASSERT_FALSE(frames.empty());
  EXPECT_EQ(frames.back(), 11u);
  EXPECT_TRUE(std::ranges::is_sorted(frames));
  send(streams.back(), 12);
  EXPECT_THAT(told(), ElementsAre(12));
}

// Any order of switching, publishing and reading: in order, each once, and none lost that was sent while a stream was read.
TEST_F(DescriptorFeedTest, LosesAndDoublesNothingHoweverStreamsAreSwitched) {  // W-72, W-82
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto shared = open(1100);
  const std::vector<Stream> owns = {open(31001), open(31002)};
  listen(shared.in);
  uint64_t next = 0;
  int own = -1;                // what the producer also sends to
  bool to_shared = true;       // what the consumer listens to
  std::vector<uint64_t> all;
  const auto read = [&] { std::ranges::copy(told(), std::back_inserter(all)); };
  for (int step = 0; step < 400; ++step) {
    switch (random() % 6) {
      case 0:  // assigned: the consumer first listens to both
        read();
        own = static_cast<int>(random() % 2);
        listen(shared.in, owns[static_cast<size_t>(own)].in);
        to_shared = true;
        break;
      case 1:  // settled
        if (own >= 0) {
          listen(nullptr, owns[static_cast<size_t>(own)].in);
          to_shared = false;
        }
        break;
      case 2:  // declined: both again, then the shared one
        if (own >= 0) {
          listen(shared.in, nullptr, owns[static_cast<size_t>(own)].in);
          own = -1;
          to_shared = true;
        }
        break;
      case 3: read(); break;
      default:
        for (uint32_t i = random() % 5; i > 0; --i) {
          send(shared, next);
          if (own >= 0) send(owns[static_cast<size_t>(own)], next);
          ++next;
        }
    }
  }
  listen(to_shared ? shared.in : nullptr, own >= 0 ? owns[static_cast<size_t>(own)].in : nullptr);
  read();
  ASSERT_EQ(all.size(), next);
  for (uint64_t seq = 0; seq < next; ++seq) ASSERT_EQ(all[seq], seq);
  EXPECT_EQ(gaps, 0u);
}

}  // namespace
}  // namespace tidepool::client::descriptor_feed_test
