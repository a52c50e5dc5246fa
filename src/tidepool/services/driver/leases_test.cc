#include "tidepool/services/driver/leases.h"

#include <gtest/gtest.h>

#include <set>

namespace tidepool::driver::leases_test {
namespace {

using wire::RevokeReason;
using wire::Role;

Lease lease_of(uint32_t client_id, uint64_t expiry_ns, uint32_t stream_id = 10, Role role = Role::consumer) {
  Lease lease;
  lease.identity = {0, stream_id, client_id, role};
  lease.expiry_ns = expiry_ns;
  return lease;
}

TEST(LeasesTest, IdsCountUpFromARandomStartThatIsNeverNull) {  // D-20
  std::set<uint64_t> starts;
  for (int i = 0; i < 64; ++i) {
    const uint64_t first = Leases::random_first_lease_id();
    EXPECT_NE(first, 0u);
    EXPECT_LT(first, uint64_t{1} << 63);
    starts.insert(first);
  }
  EXPECT_EQ(starts.size(), 64u);

  Leases leases(41);
  EXPECT_EQ(leases.grant(lease_of(1, 100)).identity.lease_id, 41u);
  leases.end(41, RevokeReason::detached);
  EXPECT_EQ(leases.grant(lease_of(1, 100)).identity.lease_id, 42u);  // never used again
}

TEST(LeasesTest, AreFoundByAllFourFieldsAndByNoFewer) {  // D-23, D-26
  Leases leases(7);
  const auto identity = leases.grant(lease_of(1, 100)).identity;
  EXPECT_NE(leases.find(identity), nullptr);
  auto wrong = identity;
  wrong.lease_id = 8;
  EXPECT_EQ(leases.find(wrong), nullptr);
  wrong = identity;
  wrong.stream_id = 11;
  EXPECT_EQ(leases.find(wrong), nullptr);
  wrong = identity;
  wrong.client_id = 2;
  EXPECT_EQ(leases.find(wrong), nullptr);
  wrong = identity;
  wrong.role = Role::producer;
  EXPECT_EQ(leases.find(wrong), nullptr);
}

TEST(LeasesTest, AClientIsKnownWhileItsLeaseLives) {  // D-21
  Leases leases(1);
  leases.grant(lease_of(5, 100));
  ASSERT_NE(leases.find_by_client(5), nullptr);
  EXPECT_EQ(leases.find_by_client(6), nullptr);
  leases.end(1, RevokeReason::expired);
  EXPECT_EQ(leases.find_by_client(5), nullptr);
}

TEST(LeasesTest, ExpireAfterTheirTimeAndNotAtIt) {  // D-24
  Leases leases(1);
  leases.grant(lease_of(1, 100));
  EXPECT_TRUE(leases.expired(100).empty());
  EXPECT_EQ(leases.expired(101), std::vector<uint64_t>{1});
}

TEST(LeasesTest, ExpireOldestFirst) {  // D-24
  Leases leases(1);
  leases.grant(lease_of(1, 300));
  leases.grant(lease_of(2, 100));
  leases.grant(lease_of(3, 200));
  EXPECT_EQ(leases.expired(250), (std::vector<uint64_t>{2, 3}));
}

TEST(LeasesTest, AKeepaliveMovesTheExpiryOn) {  // D-23
  Leases leases(1);
  leases.grant(lease_of(1, 100));
  EXPECT_TRUE(leases.expired(50).empty());
  leases.find(1)->expiry_ns = 500;
  EXPECT_TRUE(leases.expired(101).empty());
  EXPECT_TRUE(leases.expired(500).empty());
  EXPECT_EQ(leases.expired(501), std::vector<uint64_t>{1});
}

TEST(LeasesTest, ANewLeaseThatExpiresSoonerIsSeenInTime) {  // D-24: the lower bound must follow it
  Leases leases(1);
  leases.grant(lease_of(1, 1'000));
  EXPECT_TRUE(leases.expired(10).empty());
  leases.grant(lease_of(2, 100));
  EXPECT_EQ(leases.expired(101), std::vector<uint64_t>{2});
  leases.end(1, RevokeReason::detached);
  leases.end(2, RevokeReason::detached);
  leases.grant(lease_of(3, 50));
  EXPECT_EQ(leases.expired(51), std::vector<uint64_t>{3});
}

TEST(LeasesTest, TombstonesTellHowALeaseOfThisIdentityEnded) {  // D-26
  Leases leases(1);
  const auto identity = leases.grant(lease_of(1, 100)).identity;
  EXPECT_EQ(leases.tombstone(identity), std::nullopt);
  leases.end(1, RevokeReason::detached);
  EXPECT_EQ(leases.tombstone(identity), RevokeReason::detached);
  auto other = identity;
  other.client_id = 2;
  EXPECT_EQ(leases.tombstone(other), std::nullopt);
  EXPECT_TRUE(leases.ended(1));
}

TEST(LeasesTest, KeepABoundedNumberOfTombstonesTheNewestOnes) {  // D-28, W-93
  Leases leases(1);
  for (uint32_t i = 1; i <= Leases::kMaxTombstones + 1; ++i) {
    leases.grant(lease_of(i, 100));
    leases.end(i, RevokeReason::expired);
  }
  EXPECT_FALSE(leases.ended(1));
  EXPECT_TRUE(leases.ended(2));
  EXPECT_TRUE(leases.ended(Leases::kMaxTombstones + 1));
}

TEST(LeasesTest, DroppedLeasesLeaveNoTombstone) {  // D-28: who survived a media driver may still be told
  Leases leases(1);
  leases.grant(lease_of(1, 100));
  EXPECT_EQ(leases.drop_all().size(), 1u);
  EXPECT_FALSE(leases.ended(1));
  EXPECT_EQ(leases.size(), 0u);
  EXPECT_EQ(leases.find_by_client(1), nullptr);
}

TEST(LeasesTest, AnUnknownLeaseIsAnsweredOnceAndNoMoreThanFitTheMemory) {  // D-28
  Leases leases(1);
  EXPECT_TRUE(leases.answer_unknown(99));
  EXPECT_FALSE(leases.answer_unknown(99));
  for (uint64_t i = 1; i < Leases::kMaxAnsweredUnknown; ++i) EXPECT_TRUE(leases.answer_unknown(1'000 + i));
  EXPECT_FALSE(leases.answer_unknown(5));
}

}  // namespace
}  // namespace tidepool::driver::leases_test
