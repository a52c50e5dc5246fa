#include "tidepool/control/sender.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "tidepool/base/error.h"
#include "tidepool/control/dispatch.h"
#include "tidepool/transport/test_media_driver.h"

namespace {
thread_local uint64_t allocations = 0;  // of this thread: Aeron's are C's, and on other threads
}
// Not inlined: gcc would see malloc's memory meet a plain delete, and warn.
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace tidepool::control::sender_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using transport::MessageInfo;
using transport::SendResult;
using transport::testing::poll_until;

const std::string kChannel = "aeron:ipc?term-length=64k";

wire::ShmLeaseRevoked revoked(uint64_t lease_id) {
  wire::ShmLeaseRevoked message;
  message.lease_id = lease_id;
  message.error_message = "lease expired";
  return message;
}
wire::ShmPoolAnnounce announce(uint64_t epoch) {
  wire::ShmPoolAnnounce message;
  message.epoch = epoch;
  message.header_region_uri = "shm:file?path=/dev/shm/x/header.ring";
  return message;
}

// Numbers in the order in which they came.
struct Numbers {
  void on(const wire::ShmLeaseRevoked& message, const MessageInfo&) { got.push_back(message.lease_id); }
  void on(const wire::ShmPoolAnnounce& message, const MessageInfo&) { got.push_back(message.epoch); }
  void on(const wire::FrameDescriptor& message, const MessageInfo&) { got.push_back(message.seq); }
  void on(const wire::ShmAttachResponse& message, const MessageInfo&) {
    got.push_back(static_cast<uint64_t>(message.correlation_id));
  }
  std::vector<uint64_t> got;
};

class SenderTest : public ::testing::Test {
 protected:
  void subscribe() {
    subscription_ = connection_->add_subscription(kChannel, 7);  // tethered: one that stalls stops the publication
    ASSERT_TRUE(poll_until([&] {
      connection_->poll();
      return publication_->connected() && subscription_->connected();
    }));
  }
  int receive() {
    connection_->poll();
    return subscription_->poll([&](Bytes message, const MessageInfo& info) { dispatch(message, info, numbers_, counts_); }, 100);
  }
  // Soft messages until the stalled subscriber has stopped the log.
  void fill() {
    ASSERT_TRUE(poll_until([&] {
      connection_->poll();
      const SendResult result = sender_.send(announce(0));
      if (result == SendResult::kOk) ++filled_;
      return result == SendResult::kBackPressured;
    }));
  }

  transport::testing::TestMediaDriver media_driver_;
  std::shared_ptr<transport::Connection> connection_ = media_driver_.connect();
  std::shared_ptr<transport::Publication> publication_ = connection_->add_publication(kChannel, 7);
  std::shared_ptr<transport::Subscription> subscription_;
  Sender sender_{publication_};
  Numbers numbers_;
  DispatchCounts counts_;
  uint64_t filled_ = 0;
};

TEST_F(SenderTest, SendsSoftMessagesAndReusesItsBuffer) {
  subscribe();
  ASSERT_EQ(sender_.send(announce(1)), SendResult::kOk);
  const auto message = announce(2);
  const uint64_t before = allocations;
  ASSERT_EQ(sender_.send(message), SendResult::kOk);
  EXPECT_EQ(allocations, before);
  ASSERT_TRUE(poll_until([&] { return receive(), numbers_.got.size() == 2; }));
  EXPECT_THAT(numbers_.got, ::testing::ElementsAre(1, 2));
}

TEST_F(SenderTest, DropsSoftMessagesWhenNobodySubscribes) {
  EXPECT_EQ(sender_.send(announce(1)), SendResult::kNotConnected);
  EXPECT_EQ(sender_.owed(), 0u);
}

TEST_F(SenderTest, KeepsOwedMessagesInOrderOverBackPressure) {  // D-6, D-45
  subscribe();
  fill();
  std::vector<uint64_t> expected(filled_, 0);
  for (uint64_t i = 1; i <= 300; ++i) {
    // A revocation, and the announce that must follow it.
    ASSERT_TRUE(i % 2 == 1 ? sender_.owe(revoked(i)) : sender_.owe(announce(i)));
    expected.push_back(i);
  }
  EXPECT_EQ(sender_.owed(), 300u);
  EXPECT_EQ(sender_.send(announce(999)), SendResult::kBackPressured);  // soft ones wait behind them
  ASSERT_TRUE(poll_until([&] {
    receive();
    sender_.flush();
    return numbers_.got.size() >= expected.size();
  }));
  EXPECT_EQ(sender_.owed(), 0u);
  EXPECT_EQ(numbers_.got, expected);
  EXPECT_EQ(sender_.dropped(), 0u);
  ASSERT_TRUE(poll_until([&] { return receive(), sender_.send(announce(1'000)) == SendResult::kOk; }));
}

TEST_F(SenderTest, SendsOwedMessagesAtOnceWhenItCan) {  // D-6
  subscribe();
  ASSERT_TRUE(sender_.owe(revoked(1)));
  EXPECT_EQ(sender_.owed(), 0u);
  ASSERT_TRUE(poll_until([&] { return receive(), numbers_.got.size() == 1; }));
}

TEST_F(SenderTest, RefusesMoreThanItMayOweAndLosesNoneOfThose) {  // D-6, W-93
  subscribe();
  fill();
  for (uint64_t i = 1; i <= Sender::kMaxOwed; ++i) ASSERT_TRUE(sender_.owe(revoked(i))) << i;
  EXPECT_FALSE(sender_.owe(revoked(Sender::kMaxOwed + 1)));
  EXPECT_EQ(sender_.owed(), Sender::kMaxOwed);
  ASSERT_TRUE(poll_until([&] {
    receive();
    sender_.flush();
    return numbers_.got.size() == filled_ + Sender::kMaxOwed;
  }));
  for (uint64_t i = 1; i <= Sender::kMaxOwed; ++i) ASSERT_EQ(numbers_.got[filled_ + i - 1], i);
  EXPECT_TRUE(sender_.owe(revoked(0)));
}

TEST_F(SenderTest, BoundsTheBytesThatItOwes) {  // W-93
  subscribe();
  fill();
  wire::ShmAttachResponse big;
  big.pools.assign(2, {1, 8, 64, std::string(3'900, 'u')});
  ASSERT_LT(wire::encoded_bytes(big), publication_->max_message_bytes());
  size_t taken = 0;
  while (sender_.owe(big)) ASSERT_LT(++taken, Sender::kMaxOwed);
  EXPECT_EQ(taken, Sender::kMaxOwedBytes / wire::encoded_bytes(big));
  EXPECT_TRUE(sender_.owe(revoked(1)));  // a short one still fits
}

TEST_F(SenderTest, OwesNothingToNobody) {  // D-6: there is no receiver to order anything for
  EXPECT_TRUE(sender_.owe(revoked(1)));
  EXPECT_EQ(sender_.owed(), 0u);
  EXPECT_EQ(sender_.dropped(), 1u);

  subscribe();
  fill();
  ASSERT_TRUE(sender_.owe(revoked(2)));
  EXPECT_EQ(sender_.owed(), 1u);
  subscription_.reset();
  ASSERT_TRUE(poll_until([&] {
    connection_->poll();
    sender_.flush();
    return sender_.owed() == 0;
  }));
}

TEST_F(SenderTest, KeepsWhatItOwesWhenItsPublicationIsClosed) {  // D-6
  subscribe();
  fill();
  ASSERT_TRUE(sender_.owe(revoked(1)));
  media_driver_.stop();
  ASSERT_TRUE(poll_until([&] {
    connection_->poll();
    return sender_.closed();
  }));
  EXPECT_EQ(sender_.flush(), 0);
  EXPECT_EQ(sender_.owed(), 1u);
  EXPECT_EQ(sender_.send(announce(1)), SendResult::kClosed);
}

TEST_F(SenderTest, SendsMessagesOfManyFragments) {  // D-5, W-12
  subscribe();
  wire::ShmAttachResponse big;
  big.correlation_id = 42;
  big.pools.assign(2, {1, 8, 64, std::string(3'900, 'u')});
  ASSERT_GT(wire::encoded_bytes(big), publication_->max_payload_bytes());
  ASSERT_TRUE(sender_.owe(big));
  ASSERT_TRUE(poll_until([&] { return receive(), !numbers_.got.empty(); }));
  EXPECT_EQ(numbers_.got.front(), 42u);
}

TEST_F(SenderTest, RefusesWhatNoWaitingWouldCure) {  // D-6, D-12
  wire::ShmAttachResponse long_for_the_channel;
  long_for_the_channel.pools.assign(3, {1, 8, 64, std::string(3'900, 'u')});
  EXPECT_EQ(sender_.send(long_for_the_channel), SendResult::kTooLong);
  try {
    (void)sender_.owe(long_for_the_channel);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kInvalidArgument);
    EXPECT_THAT(e.what(), AllOf(HasSubstr("8192"), HasSubstr("term-length")));
  }
  auto beyond = announce(1);
  beyond.header_region_uri.assign(wire::kMaxUriBytes + 1, 'u');
  EXPECT_EQ(sender_.send(beyond), SendResult::kTooLong);
  EXPECT_THROW((void)sender_.owe(beyond), Error);
  EXPECT_EQ(sender_.owed(), 0u);
}

// ---- descriptors ---------------------------------------------------------------------------------------------------------

TEST_F(SenderTest, SendsDescriptorsInPlaceOfFortyEightBytesWithoutAllocating) {  // W-3, W-53, W-7
  subscribe();
  const wire::FrameDescriptor descriptor{
      .stream_id = 3, .epoch = 4, .seq = 5, .timestamp_ns = {}, .meta_version = 6, .trace_id = 0};
  DescriptorCounts counts;
  const uint64_t before = allocations;
  ASSERT_EQ(send_descriptor(*publication_, descriptor, counts), SendResult::kOk);
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(counts, DescriptorCounts{.sent = 1});
  size_t bytes = 0;
  wire::FrameDescriptor got;
  uint64_t while_receiving = 0;
  ASSERT_TRUE(poll_until([&] {
    connection_->poll();
    const uint64_t at_poll = allocations;
    const int fragments = subscription_->poll(
        [&](Bytes message, const MessageInfo&) {
          bytes = message.size();
          EXPECT_EQ(wire::decode(message, got), wire::DecodeStatus::kOk);
        },
        1);
    while_receiving += allocations - at_poll;
    return fragments == 1;
  }));
  EXPECT_EQ(while_receiving, 0u);
  EXPECT_EQ(bytes, 48u);
  EXPECT_EQ(got, descriptor);
}

TEST_F(SenderTest, DispatchesDescriptorsWithoutAllocating) {
  struct Counter {
    void on(const wire::FrameDescriptor&, const MessageInfo&) { ++got; }
    uint64_t got = 0;
  } counter;
  const auto bytes = wire::encode_new(wire::FrameDescriptor{});
  const uint64_t before = allocations;
  dispatch(bytes, {}, counter, counts_);
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(counter.got, 1u);
}

TEST_F(SenderTest, CountsEachDescriptorOnceByWhatBecameOfIt) {  // W-53
  DescriptorCounts counts;
  EXPECT_EQ(send_descriptor(*publication_, {}, counts), SendResult::kNotConnected);
  EXPECT_EQ(counts, DescriptorCounts{.not_connected = 1});
  subscribe();
  uint64_t tries = 1;
  ASSERT_TRUE(poll_until([&] {
    connection_->poll();
    ++tries;
    return send_descriptor(*publication_, {}, counts) == SendResult::kBackPressured;
  }));
  EXPECT_EQ(counts.back_pressured, 1u);
  EXPECT_GT(counts.sent, 0u);
  media_driver_.stop();
  ASSERT_TRUE(poll_until([&] {
    connection_->poll();
    return publication_->closed();
  }));
  ++tries;
  EXPECT_EQ(send_descriptor(*publication_, {}, counts), SendResult::kClosed);
  EXPECT_EQ(counts.closed, 1u);
  EXPECT_EQ(counts.sent + counts.not_connected + counts.back_pressured + counts.admin_action + counts.closed + counts.max_position +
                counts.errors,
            tries);
}

TEST_F(SenderTest, LosesNoDescriptorAtTheEndOfATerm) {  // W-53, P-6
  subscribe();
  DescriptorCounts counts;
  constexpr uint64_t kDescriptors = 5'000;  // several terms of 682
  uint64_t seq = 0;
  ASSERT_TRUE(poll_until([&] {
    wire::FrameDescriptor descriptor;
    descriptor.seq = seq;
    const SendResult result = send_descriptor(*publication_, descriptor, counts);
    EXPECT_NE(result, SendResult::kAdminAction);
    if (result == SendResult::kOk) ++seq;
    receive();
    return seq == kDescriptors;
  }));
  ASSERT_TRUE(poll_until([&] { return receive(), numbers_.got.size() == kDescriptors; }));
  for (uint64_t i = 0; i < kDescriptors; ++i) ASSERT_EQ(numbers_.got[i], i);
  EXPECT_EQ(counts.admin_action, 0u);
}

}  // namespace
}  // namespace tidepool::control::sender_test
