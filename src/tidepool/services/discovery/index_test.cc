#include "tidepool/services/discovery/index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/services/discovery/test_discovery.h"

namespace tidepool::discovery {
namespace {

using testing::announce;
using testing::config;
using testing::driver_a;
using testing::driver_b;
using ::testing::ElementsAre;
using testing::source;

constexpr uint64_t kExpiryNs = 3 * kNsPerSecond;

struct IndexTest : ::testing::Test {
  Index index{config()};
  uint64_t t = 1'000 * kNsPerSecond;

  const Entry* entry(uint32_t stream_id, const std::string& instance = "lab-a") const {
    const auto found = index.entries().find({instance, stream_id});
    return found == index.entries().end() ? nullptr : &found->second;
  }
  bool live(uint32_t stream_id) const { return entry(stream_id) != nullptr && index.live(*entry(stream_id), t); }
};

TEST_F(IndexTest, TheSameStreamOfTwoDriversIsTwoStreams) {  // DS-3, DS-10
  EXPECT_EQ(index.heard(driver_a(), announce(10000, 5), t), Heard::kAccepted);
  EXPECT_EQ(index.heard(driver_b(), announce(10000, 3), t), Heard::kAccepted);
  ASSERT_EQ(index.entries().size(), 2u);
  EXPECT_EQ(entry(10000, "lab-a")->epoch, 5u);
  EXPECT_EQ(entry(10000, "lab-b")->epoch, 3u);
  EXPECT_EQ(entry(10000, "lab-a")->driver_control_stream_id, 1000u);
  EXPECT_EQ(entry(10000, "lab-b")->driver_control_stream_id, 2000u);
}

TEST_F(IndexTest, AHigherOrEqualEpochReplacesTheLayoutAndALowerOneDoesNot) {  // DS-13
  index.heard(driver_a(), announce(10000, 5, 9), t);
  t += kNsPerSecond;
  auto same = announce(10000, 5, 11);
  same.pools[0].stride_bytes = 8192;
  EXPECT_EQ(index.heard(driver_a(), same, t), Heard::kAccepted);
  EXPECT_EQ(entry(10000)->producer_id, 11u);
  EXPECT_EQ(entry(10000)->pools[0].stride_bytes, 8192u);
  EXPECT_EQ(entry(10000)->announced_ns, t);
  EXPECT_EQ(index.heard(driver_a(), announce(10000, 6, 12), t), Heard::kAccepted);
  EXPECT_EQ(entry(10000)->epoch, 6u);
  t += kNsPerSecond;
  EXPECT_EQ(index.heard(driver_a(), announce(10000, 5, 13), t), Heard::kOldEpoch);
  EXPECT_EQ(entry(10000)->producer_id, 12u);
  EXPECT_EQ(entry(10000)->announced_ns, t - kNsPerSecond) << "and its timer runs on";
}

TEST_F(IndexTest, AnExpiredEntryBlocksNoLowerEpoch) {  // DS-13
  index.heard(driver_a(), announce(10000, 500), t);
  t += kExpiryNs - 1;
  EXPECT_EQ(index.heard(driver_a(), announce(10000, 1), t), Heard::kOldEpoch);
  t += 1;
  EXPECT_EQ(index.heard(driver_a(), announce(10000, 1), t), Heard::kAccepted);
  EXPECT_EQ(entry(10000)->epoch, 1u);
  EXPECT_TRUE(live(10000));
}

TEST_F(IndexTest, ImplausibleAnnouncesChangeNothingNotEvenTheTimer) {  // DS-12
  index.heard(driver_a(), announce(10000), t);
  const uint64_t heard_ns = t;
  t += kNsPerSecond;
  const auto refuses = [&](auto&& spoil, Heard why = Heard::kGeometry) {
    wire::ShmPoolAnnounce bad = announce(10000, 6, 77);
    spoil(bad);
    EXPECT_EQ(index.heard(driver_a(), bad, t), why);
    EXPECT_EQ(entry(10000)->announced_ns, heard_ns);
    EXPECT_EQ(entry(10000)->epoch, 5u);
    EXPECT_EQ(entry(10000)->producer_id, 9u);
  };
  refuses([](auto& a) { a.stream_id = 0; }, Heard::kStreamZero);
  refuses([](auto& a) { a.header_slot_bytes = 128; });
  refuses([](auto& a) { a.header_nslots = 0; });
  refuses([](auto& a) { a.header_nslots = 0, a.pools[0].nslots = 0; });
  refuses([](auto& a) { a.pools.clear(); });
  refuses([](auto& a) { a.pools.push_back({2, 32, 4096, "shm:file?path=/dev/shm/t/2.pool"}); });
  refuses([](auto& a) { a.pools[0].region_uri.clear(); });
  refuses([](auto& a) { a.header_region_uri.clear(); });
  refuses([](auto& a) { a.pools.resize(17, a.pools[0]); }, Heard::kTooManyPools);
  EXPECT_EQ(index.entries().size(), 1u);
}

TEST_F(IndexTest, ANewAnnounceKeepsNameAndTags) {  // DS-14, DS-20
  DiscoveryConfig with_tags = config();
  with_tags.streams = {{"lab-a", 10000, 17, {"Left", "raw"}, true}};
  index = Index(with_tags);
  index.heard(driver_a(), announce(10000), t);
  index.heard(driver_a(), source(10000, "cam1"), t);
  index.heard(driver_a(), announce(10000, 6), t);
  EXPECT_EQ(entry(10000)->data_source_name, "cam1");
  EXPECT_THAT(entry(10000)->tags, ElementsAre("Left", "raw"));
  EXPECT_EQ(entry(10000)->data_source_id, 17u);
}

TEST_F(IndexTest, TheEpochOfMetadataIsNotBelieved) {  // DS-11: a bridged stream's metadata may carry a foreign one
  index.heard(driver_a(), announce(10000, 5), t);
  index.heard(driver_a(), source(10000, "cam1", 1'000'000), t);
  EXPECT_EQ(entry(10000)->epoch, 5u);
  EXPECT_EQ(index.heard(driver_a(), announce(10000, 6), t), Heard::kAccepted);
  index.heard(driver_a(), source(10001, "cam2", 9), t);
  EXPECT_FALSE(live(10001)) << "and it makes no stream";
  EXPECT_EQ(entry(10001)->epoch, 0u);
}

TEST_F(IndexTest, ANameThatComesFirstWaitsForTheAnnounceUnseen) {  // DS-17
  index.heard(driver_a(), source(10000, "cam1"), t);
  ASSERT_NE(entry(10000), nullptr);
  EXPECT_FALSE(live(10000));
  index.heard(driver_a(), announce(10000), t);
  EXPECT_TRUE(live(10000));
  EXPECT_EQ(entry(10000)->data_source_name, "cam1");
}

TEST_F(IndexTest, AnEntryExpiresExactlyAtTheLimitWhateverMetadataSays) {  // DS-15
  index.heard(driver_a(), announce(10000), t);
  t += kExpiryNs - 1;
  index.heard(driver_a(), source(10000, "cam1"), t);
  EXPECT_TRUE(live(10000));
  t += 1;
  EXPECT_FALSE(live(10000)) << "age >= limit";
  index.heard(driver_a(), source(10000, "cam1"), t);
  EXPECT_FALSE(live(10000));
  index.heard(driver_a(), announce(10000), t);
  EXPECT_TRUE(live(10000));
}

TEST_F(IndexTest, AnExpiryOfZeroIsNever) {  // DS-15
  DiscoveryConfig never = config();
  never.expiry_ns = 0;
  index = Index(never);
  index.heard(driver_a(), announce(10000), t);
  t += 1'000'000 * kNsPerSecond;
  EXPECT_TRUE(live(10000));
  EXPECT_EQ(index.forget(t), 0);
}

TEST_F(IndexTest, WhatExpiredLongAgoIsForgottenAndWhatLivesIsNot) {  // DS-16
  index.heard(driver_a(), announce(10000), t);
  index.heard(driver_a(), source(10001, "never announced"), t);
  const uint64_t end = t + 11 * kExpiryNs;
  for (; t < end; t += kNsPerSecond) {
    index.heard(driver_a(), announce(10002), t);
    index.forget(t);
    if (t < end - 10 * kExpiryNs) {
      EXPECT_NE(entry(10000), nullptr);
    }
  }
  EXPECT_EQ(entry(10000), nullptr);
  EXPECT_EQ(entry(10001), nullptr);
  EXPECT_TRUE(live(10002));
}

TEST_F(IndexTest, NamesAreKeptByteForByteAndLongOnesAreAbsent) {  // DS-18
  const std::string odd("c\xC3\xA9\0m ", 6);
  index.heard(driver_a(), source(10000, odd), t);
  EXPECT_EQ(entry(10000)->data_source_name, odd);
  index.heard(driver_a(), source(10000, std::string(256, 'n')), t);
  EXPECT_EQ(entry(10000)->data_source_name, std::string(256, 'n'));
  EXPECT_EQ(index.names_too_long(), 0u);
  index.heard(driver_a(), source(10000, std::string(257, 'n')), t);
  EXPECT_EQ(entry(10000)->data_source_name, "");
  EXPECT_EQ(index.names_too_long(), 1u);
}

TEST_F(IndexTest, ALiveStreamIsNeverForgottenForAnother) {  // DS-17, W-93
  for (uint32_t i = 1; i <= Index::kMaxNeverAnnounced + 50; ++i) index.heard(driver_b(), source(i, "name"), t + i);
  EXPECT_EQ(index.entries().size(), Index::kMaxNeverAnnounced);
  EXPECT_EQ(entry(50, "lab-b"), nullptr);
  EXPECT_NE(entry(51, "lab-b"), nullptr);
  t += kNsPerSecond;
  for (uint32_t i = 1; i <= Index::kMaxEntries; ++i) EXPECT_EQ(index.heard(driver_a(), announce(i), t), Heard::kAccepted) << i;
  EXPECT_EQ(index.entries().size(), Index::kMaxEntries);
  EXPECT_EQ(index.heard(driver_a(), announce(1'000'000), t), Heard::kFull);
  EXPECT_EQ(index.heard(driver_a(), announce(1), t), Heard::kAccepted);
  t += kExpiryNs;
  EXPECT_EQ(index.heard(driver_a(), announce(1'000'000), t), Heard::kAccepted) << "expired ones make way";
  EXPECT_EQ(index.entries().size(), Index::kMaxEntries);
}

}  // namespace
}  // namespace tidepool::discovery
