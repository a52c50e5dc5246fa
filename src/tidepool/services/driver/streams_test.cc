#include "tidepool/services/driver/streams.h"

#include <gtest/gtest.h>

namespace tidepool::driver::streams_test {
namespace {

DriverConfig config_with(std::vector<IdRange> ranges) {
  DriverConfig config;
  config.stream_id_range = std::move(ranges);
  config.streams = {{"left", 10, "small"}};
  return config;
}

TEST(StreamsTest, ConfiguredOnesAreThereWithoutAnEpoch) {  // D-43: epoch 0 is never announced
  const Streams streams(config_with({}));
  ASSERT_NE(streams.find(10), nullptr);
  EXPECT_EQ(streams.find(10)->epoch, 0u);
  EXPECT_FALSE(streams.find(10)->dynamic);
  EXPECT_EQ(streams.find(11), nullptr);
  EXPECT_FALSE(streams.has_ranges());
  EXPECT_EQ(streams.next_free_id(), std::nullopt);
}

TEST(StreamsTest, IdsAreGivenInTurnAcrossAllRangesAndThenFromTheStart) {  // D-49
  Streams streams(config_with({{20, 21}, {30, 30}}));
  std::vector<uint32_t> given;
  for (int i = 0; i < 3; ++i) {
    const auto id = streams.next_free_id();
    ASSERT_TRUE(id);
    streams.add_dynamic(*id, "small");
    streams.given(*id);
    given.push_back(*id);
  }
  EXPECT_EQ(given, (std::vector<uint32_t>{20, 21, 30}));
  EXPECT_EQ(streams.next_free_id(), std::nullopt);
  streams.erase(20);
  streams.erase(21);
  EXPECT_EQ(streams.next_free_id(), 20u);  // after 30 it begins anew
  streams.add_dynamic(20, "small");
  streams.given(20);
  EXPECT_EQ(streams.next_free_id(), 21u);
}

TEST(StreamsTest, AnIdThatIsNotTakenIsNotUsedUp) {  // D-8
  const Streams streams(config_with({{20, 29}}));
  EXPECT_EQ(streams.next_free_id(), 20u);
  EXPECT_EQ(streams.next_free_id(), 20u);
}

TEST(StreamsTest, TheLastIdOfTheNumberRangeEndsNothing) {  // D-49: 2^32 - 2
  Streams streams(config_with({{0xFFFFFFFD, 0xFFFFFFFE}}));
  streams.add_dynamic(0xFFFFFFFD, "small");
  streams.given(0xFFFFFFFD);
  EXPECT_EQ(streams.next_free_id(), 0xFFFFFFFE);
  streams.add_dynamic(0xFFFFFFFE, "small");
  streams.given(0xFFFFFFFE);
  EXPECT_EQ(streams.next_free_id(), std::nullopt);
}

TEST(StreamsTest, AForgottenStreamComesBackAboveItsEpochs) {  // D-31
  Streams streams(config_with({{20, 29}}));
  streams.add_dynamic(20, "small").highest_epoch = 500;
  streams.erase(20);
  EXPECT_EQ(streams.add_dynamic(20, "small").highest_epoch, 500u);
}

}  // namespace
}  // namespace tidepool::driver::streams_test
