#include "tidepool/client/announces.h"

#include <gtest/gtest.h>

#include <functional>

#include "tidepool/base/clock.h"

namespace tidepool::client::announces_test {
namespace {

constexpr uint64_t kNowNs = 1'000 * kNsPerSecond;
constexpr uint64_t kRealNowNs = 1'700'000'000 * kNsPerSecond;
constexpr AnnounceRules kRules{.stream_id = 10000, .expected_layout_version = 1, .freshness_ns = 3 * kNsPerSecond, .highest_epoch = 7};

wire::ShmPoolAnnounce good() {
  wire::ShmPoolAnnounce announce;
  announce.stream_id = 10000;
  announce.producer_id = 77;
  announce.epoch = 7;
  announce.announce_timestamp_ns = kNowNs;
  announce.header_nslots = 8;
  announce.pools = {{.pool_id = 1, .nslots = 8, .stride_bytes = 4096, .region_uri = "shm:file?path=/dev/shm/a/1.pool"}};
  announce.header_region_uri = "shm:file?path=/dev/shm/a/header.ring";
  return announce;
}

AnnounceVerdict judged(const wire::ShmPoolAnnounce& announce, uint64_t joined_ns = 0, const AnnounceRules& rules = kRules) {
  return judge(announce, rules, joined_ns, kNowNs, kRealNowNs);
}

TEST(AnnounceTest, IsAcceptedWhenItIsOursWholeFreshAndNotOfThePast) {  // W-55
  EXPECT_EQ(judged(good()), AnnounceVerdict::kAccepted);
}

TEST(AnnounceTest, IsRefusedForTheFirstRuleThatItBreaks) {  // W-55, W-10, W-57
  struct Case {
    AnnounceVerdict expected;
    std::function<void(wire::ShmPoolAnnounce&)> spoil;
  };
  const Case cases[] = {
      {AnnounceVerdict::kOtherStream, [](auto& a) { a.stream_id = 10001; }},
      {AnnounceVerdict::kGeometry, [](auto& a) { a.layout_version = 2; }},
      {AnnounceVerdict::kGeometry, [](auto& a) { a.layout_version = 0; }},
      {AnnounceVerdict::kGeometry, [](auto& a) { a.header_slot_bytes = 255; }},
      {AnnounceVerdict::kGeometry, [](auto& a) { a.header_nslots = a.pools[0].nslots = 12; }},
      {AnnounceVerdict::kGeometry, [](auto& a) { a.header_nslots = a.pools[0].nslots = 0; }},
      {AnnounceVerdict::kGeometry, [](auto& a) { a.pools.clear(); }},
      {AnnounceVerdict::kGeometry, [](auto& a) { a.pools[0].nslots = 16; }},
      {AnnounceVerdict::kGeometry, [](auto& a) { a.pools.push_back(a.pools[0]); }},
      {AnnounceVerdict::kGeometry, [](auto& a) { a.pools[0].stride_bytes = 63; }},
      {AnnounceVerdict::kGeometry, [](auto& a) { a.pools[0].region_uri.clear(); }},
      {AnnounceVerdict::kGeometry, [](auto& a) { a.header_region_uri.clear(); }},
      {AnnounceVerdict::kGeometry, [](auto& a) { a.epoch = 0; }},
      {AnnounceVerdict::kGeometry, [](auto& a) { a.epoch = wire::kNull64; }},
      {AnnounceVerdict::kClock, [](auto& a) { a.announce_timestamp_ns = 0; }},
      {AnnounceVerdict::kStale, [](auto& a) { a.announce_timestamp_ns = kNowNs - 3 * kNsPerSecond - 1; }},
      {AnnounceVerdict::kOldEpoch, [](auto& a) { a.epoch = 6; }},
  };
  int index = 0;
  for (const auto& [expected, spoil] : cases) {
    auto announce = good();
    spoil(announce);
    EXPECT_EQ(judged(announce), expected) << "case " << index << ": " << name_of(judged(announce));
    ++index;
  }
}

TEST(AnnounceTest, OnTheEdgeOfTheFreshnessWindowOrAheadOfNowIsFresh) {  // W-55
  auto announce = good();
  announce.announce_timestamp_ns = kNowNs - 3 * kNsPerSecond;
  EXPECT_EQ(judged(announce), AnnounceVerdict::kAccepted);
  announce.announce_timestamp_ns = kNowNs + 1'000 * kNsPerSecond;
  EXPECT_EQ(judged(announce), AnnounceVerdict::kAccepted);
}

TEST(AnnounceTest, StampedBeforeItsPublishersImageWasThereIsOldLogContent) {  // W-56
  auto announce = good();
  EXPECT_EQ(judged(announce, kNowNs), AnnounceVerdict::kAccepted);
  EXPECT_EQ(judged(announce, kNowNs + 1), AnnounceVerdict::kBeforeJoin);
}

TEST(AnnounceTest, OfSyncedRealTimeIsHeldAgainstRealTimeAndAgainstNoJoinTime) {  // W-56, WX-16
  auto announce = good();
  announce.clock_domain = wire::ClockDomain::realtime_synced;
  EXPECT_EQ(judged(announce), AnnounceVerdict::kStale) << "monotonic seconds are 1970 in that clock";
  announce.announce_timestamp_ns = kRealNowNs - kNsPerSecond;
  EXPECT_EQ(judged(announce, kRealNowNs), AnnounceVerdict::kAccepted) << "the join time is of the other clock";
}

TEST(AnnounceTest, OfAnyLayoutThatWeKnowIsAcceptedWithoutAnExpectation) {  // W-55
  AnnounceRules any = kRules;
  any.expected_layout_version = 0;
  EXPECT_EQ(judged(good(), 0, any), AnnounceVerdict::kAccepted);
  auto announce = good();
  announce.layout_version = 2;
  EXPECT_EQ(judged(announce, 0, any), AnnounceVerdict::kGeometry);
}

TEST(ImageJoinsTest, KeepsATimeForEachPublisherWhichAnotherDoesNotMove) {  // W-56
  ImageJoins joins;
  joins.joined(5, 100);
  joins.joined(6, 200);
  EXPECT_EQ(joins.joined_ns(5), 100u);
  EXPECT_EQ(joins.joined_ns(6), 200u);
  EXPECT_EQ(joins.joined_ns(7), 0u);
  joins.joined(5, 300);  // the image came back
  EXPECT_EQ(joins.joined_ns(5), 300u);
  joins.left(5);
  EXPECT_EQ(joins.joined_ns(5), 0u);
}

}  // namespace
}  // namespace tidepool::client::announces_test
