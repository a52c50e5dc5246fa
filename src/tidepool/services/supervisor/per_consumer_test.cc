#include "tidepool/services/supervisor/per_consumer.h"

#include <gtest/gtest.h>

namespace tidepool::supervisor {
namespace {

constexpr const char* kChannel = "aeron:ipc?term-length=64k";

ConsumerPolicy with_ranges(std::vector<IdRange> descriptors, std::vector<IdRange> control) {
  ConsumerPolicy policy;
  policy.descriptor_ids = std::move(descriptors);
  policy.control_ids = std::move(control);
  return policy;
}
// As a driver has it.
PerConsumer make(const ConsumerPolicy& policy) { return PerConsumer(policy, PlainHello::kIgnored); }

wire::ConsumerHello hello(uint32_t consumer_id, uint32_t descriptor_id, uint32_t control_id = 0) {
  wire::ConsumerHello h;
  h.stream_id = 10;
  h.consumer_id = consumer_id;
  h.descriptor_stream_id = descriptor_id;
  if (descriptor_id != 0) h.descriptor_channel = kChannel;
  h.control_stream_id = control_id;
  if (control_id != 0) h.control_channel = kChannel;
  return h;
}

TEST(PerConsumerTest, GivesTheIdAskedForIfItIsFreeElseTheNextOne) {  // D-50, driver.md 13 rule 3
  PerConsumer streams = make(with_ranges({{31000, 31002}}, {{32000, 32000}}));
  const auto first = streams.heard(1, hello(5, 31001, 7));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->stream_id, 10u);
  EXPECT_EQ(first->consumer_id, 5u);
  EXPECT_EQ(first->descriptor_stream_id, 31001u);
  EXPECT_EQ(first->descriptor_channel, kChannel);
  EXPECT_EQ(first->control_stream_id, 32000u);  // the nonzero id in a hello is a token
  EXPECT_EQ(first->control_channel, kChannel);
  EXPECT_TRUE(first->use_shm);
  EXPECT_EQ(first->mode, wire::Mode::stream);
  EXPECT_EQ(streams.heard(2, hello(6, 31001))->descriptor_stream_id, 31000u);  // taken: the next free one
  EXPECT_EQ(streams.heard(3, hello(7, 9))->descriptor_stream_id, 31002u);
  const auto none = streams.heard(4, hello(8, 31000));
  ASSERT_TRUE(none);
  EXPECT_EQ(none->descriptor_stream_id, 0u);
  EXPECT_EQ(none->descriptor_channel, "");
}

TEST(PerConsumerTest, TakesIdsBackWithTheLeaseAndLetsThemRest) {  // D-50
  PerConsumer streams = make(with_ranges({{31000, 31002}}, {{32000, 32001}}));
  EXPECT_EQ(streams.heard(1, hello(5, 1, 1))->descriptor_stream_id, 31000u);
  streams.forget(1);
  streams.forget(1);
  EXPECT_EQ(streams.known(), 0u);
  EXPECT_EQ(streams.assigned(1).control_stream_id, 0u);
  EXPECT_EQ(streams.heard(2, hello(5, 1))->descriptor_stream_id, 31001u);  // not the one that was just given up
  EXPECT_EQ(streams.heard(3, hello(6, 1))->descriptor_stream_id, 31002u);
  EXPECT_EQ(streams.heard(4, hello(7, 1))->descriptor_stream_id, 31000u);  // now it must
  EXPECT_EQ(streams.heard(5, hello(8, 1))->descriptor_stream_id, 0u);
  streams.forget(3);
  EXPECT_EQ(streams.heard(6, hello(9, 31002))->descriptor_stream_id, 31002u);  // asked for by name
  streams.forget_all();
  EXPECT_EQ(streams.heard(7, hello(5, 31001))->descriptor_stream_id, 31001u);
}

TEST(PerConsumerTest, AnswersAHelloOnceAndAgainOnlyOnChange) {  // D-51, driver.md 13 rule 7
  PerConsumer streams = make(with_ranges({{31000, 31009}}, {}));
  auto h = hello(5, 31003);
  ASSERT_TRUE(streams.heard(1, h));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(streams.heard(1, h));
  h.max_rate_hz = 30;  // it says something else now
  ASSERT_TRUE(streams.heard(1, h));
  EXPECT_FALSE(streams.heard(1, h));
  h.mode = wire::Mode::rate_limited;
  const auto other_mode = streams.heard(1, h);
  ASSERT_TRUE(other_mode);
  EXPECT_EQ(other_mode->mode, wire::Mode::rate_limited);
  EXPECT_EQ(other_mode->descriptor_stream_id, 31003u);  // and keeps what it has
  // A wish that was not met: the consumer repeats what it was given, which asks for nothing new.
  auto wish = hello(6, 31003);
  const auto given = streams.heard(2, wish);
  ASSERT_TRUE(given);
  EXPECT_EQ(given->descriptor_stream_id, 31000u);
  wish.descriptor_stream_id = given->descriptor_stream_id;
  EXPECT_FALSE(streams.heard(2, wish));
  // It asks no longer: told once, and its id is free.
  const auto without = hello(6, 0);
  const auto released = streams.heard(2, without);
  ASSERT_TRUE(released);
  EXPECT_EQ(released->descriptor_stream_id, 0u);
  EXPECT_FALSE(streams.heard(2, without));
  EXPECT_EQ(streams.heard(3, hello(7, 31000))->descriptor_stream_id, 31000u);
}

TEST(PerConsumerTest, HasNothingToSayToWhoAsksForNothing) {  // D-51
  PerConsumer streams = make(with_ranges({{31000, 31009}}, {{32000, 32009}}));
  EXPECT_FALSE(streams.heard(1, hello(5, 0)));
  EXPECT_EQ(streams.known(), 0u);
}

TEST(PerConsumerTest, DeclinesHalfPairsAndChannelsThatAreNone) {  // D-50, W-70, W-71; driver.md 13 rules 1 and 4
  PerConsumer streams = make(with_ranges({{31000, 31009}}, {{32000, 32009}}));
  const auto declined = [&](wire::ConsumerHello h, uint64_t lease) {
    const auto answer = streams.heard(lease, h);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->descriptor_stream_id, 0u);
    EXPECT_EQ(answer->descriptor_channel, "");
    EXPECT_EQ(answer->control_stream_id, 32000u);  // the other half is judged by itself
    streams.forget_all();
  };
  uint64_t lease = 1;
  auto h = hello(5, 0, 32000);
  h.descriptor_channel = kChannel;
  declined(h, lease++);
  h = hello(5, 31000, 32000);
  h.descriptor_channel = "";
  declined(h, lease++);
  for (const char* channel :
       {"ipc", "aeron:tcp?endpoint=h:1", "aeron-spy:aeron:udp?endpoint=h:1", "aeron:udp", "aeron:ipc?x", "file:/x"}) {
    h = hello(5, 31000, 32000);
    h.descriptor_channel = channel;
    declined(h, lease++);
  }
  h = hello(5, 0x80000000u, 32000);  // no Aeron stream id
  declined(h, lease++);
}

TEST(PerConsumerTest, DeclinesWithoutARange) {  // D-50, driver.md 13 rule 4
  PerConsumer streams = make(with_ranges({}, {}));
  const auto answer = streams.heard(1, hello(5, 31000, 32000));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->descriptor_stream_id, 0u);
  EXPECT_EQ(answer->descriptor_channel, "");
  EXPECT_EQ(answer->control_stream_id, 0u);
  EXPECT_EQ(answer->control_channel, "");
  EXPECT_FALSE(streams.heard(1, hello(5, 31000, 32000)));

  auto off = with_ranges({{31000, 31009}}, {});
  off.per_consumer_enabled = false;
  PerConsumer disabled = make(off);
  EXPECT_EQ(disabled.heard(1, hello(5, 31000))->descriptor_stream_id, 0u);
}

TEST(PerConsumerTest, SaysWhatTheSupervisorsPolicyIs) {  // D-69, driver.md 13 rule 5, 19
  auto config = with_ranges({{33000, 33000}}, {{32000, 32009}});
  config.force_mode = wire::Mode::rate_limited;
  config.payload_fallback_uri = "bridge://b1";
  config.per_consumer_descriptor_channel = "aeron:ipc?term-length=1m";
  PerConsumer streams = make(config);
  const auto forced = streams.heard(1, hello(5, 0));  // unasked: a policy is to be told
  ASSERT_TRUE(forced);
  EXPECT_EQ(forced->mode, wire::Mode::rate_limited);
  EXPECT_EQ(forced->payload_fallback_uri, "bridge://b1");
  EXPECT_TRUE(forced->use_shm);
  const auto given = streams.heard(2, hello(6, 31000, 32001));
  ASSERT_TRUE(given);
  EXPECT_EQ(given->descriptor_stream_id, 33000u);
  EXPECT_EQ(given->descriptor_channel, "aeron:ipc?term-length=1m");
  EXPECT_EQ(given->control_stream_id, 32001u);
  EXPECT_EQ(given->control_channel, kChannel);

  config.force_no_shm = true;
  EXPECT_FALSE(make(config).heard(1, hello(5, 0))->use_shm);
}

TEST(PerConsumerTest, SendsWhoCannotMapOurLayoutAround) {  // driver.md 13 rule 5, wire.md 10
  PerConsumer streams = make(with_ranges({}, {}));
  auto h = hello(5, 0);
  h.supports_shm = false;
  ASSERT_TRUE(streams.heard(1, h));
  EXPECT_FALSE(streams
                   .heard(2,
                          [&] {
                            h.consumer_id = 6;
                            return h;
                          }())
                   ->use_shm);
  h = hello(7, 0);
  h.expected_layout_version = 2;
  EXPECT_FALSE(streams.heard(3, h)->use_shm);
  h = hello(8, 0);
  h.expected_layout_version = 1;
  EXPECT_FALSE(streams.heard(4, h));
}

TEST(PerConsumerTest, AnswersNoMoreConsumersThanItMayRemember) {  // D-50, W-93
  auto config = with_ranges({{31000, 31009}}, {});
  config.consumer_capacity = 2;
  PerConsumer streams = make(config);
  EXPECT_TRUE(streams.heard(1, hello(5, 1)));
  EXPECT_TRUE(streams.heard(2, hello(6, 1)));
  EXPECT_FALSE(streams.heard(3, hello(7, 1)));
  EXPECT_EQ(streams.counts().beyond_capacity, 1u);
  EXPECT_EQ(streams.known(), 2u);
  streams.forget(1);
  EXPECT_TRUE(streams.heard(3, hello(7, 1)));
}

TEST(PerConsumerTest, AnswersAPlainFirstHelloWhereItIsToldTo) {  // D-51, OP-14
  PerConsumer streams(with_ranges({{31000, 31009}}, {}), PlainHello::kAnswered);
  const auto first = streams.heard(1, hello(5, 0));
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->use_shm);
  EXPECT_FALSE(streams.heard(1, hello(5, 0)));
}

TEST(PerConsumerTest, AnswersAgainWithTheSameIdsWhereAnAnswerMayBeLost) {  // D-51, D-50
  PerConsumer streams = make(with_ranges({{31000, 31009}}, {{32000, 32009}}));
  const auto first = streams.heard(1, hello(5, 31003, 32003));
  ASSERT_TRUE(first);
  streams.answer_again(1);
  streams.answer_again(99);  // who is unknown is no matter
  EXPECT_EQ(streams.heard(1, hello(5, 31003, 32003)), first);
  EXPECT_FALSE(streams.heard(1, hello(5, 31003, 32003)));
  streams.answer_all_again();
  EXPECT_EQ(streams.heard(1, hello(5, 31003, 32003)), first);
  EXPECT_EQ(streams.counts().assigned, 2u);
}

TEST(PerConsumerTest, TakesTheEchoOfOnePlaneForNothingNew) {  // D-51, driver.md 13: repeats the assigned ids in later hellos
  PerConsumer streams = make(with_ranges({{31000, 31009}}, {}));
  const auto first = streams.heard(1, hello(5, 7, 9));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->descriptor_stream_id, 31000u);
  EXPECT_EQ(first->control_stream_id, 0u);
  EXPECT_EQ(streams.counts().declined, 1u);
  EXPECT_FALSE(streams.heard(1, hello(5, 31000, 9))) << "it goes on asking for what was declined";
  EXPECT_FALSE(streams.heard(1, hello(5, 31000))) << "or gives that up";
}

TEST(PerConsumerTest, RangesMayBeSeveral) {  // D-50
  PerConsumer streams = make(with_ranges({{31000, 31000}, {31100, 31101}}, {}));
  std::vector<uint32_t> given;
  for (uint64_t lease = 1; lease <= 4; ++lease)
    given.push_back(streams.heard(lease, hello(static_cast<uint32_t>(lease), 1))->descriptor_stream_id);
  EXPECT_EQ(given, (std::vector<uint32_t>{31000, 31100, 31101, 0}));
}

}  // namespace
}  // namespace tidepool::supervisor
