// Leases, seen from outside.
#include "tidepool/services/driver/driver.h"

#include <gtest/gtest.h>

#include "tidepool/base/process.h"
#include "tidepool/base/random.h"
#include "tidepool/pool/epoch_map.h"
#include "tidepool/services/driver/driver_impl.h"
#include "tidepool/services/driver/test_driver.h"
#include "tidepool/shm/region.h"
#include "tidepool/shm/test_support.h"
#include "tidepool/shm/uri.h"
#include "tidepool/transport/test_counters.h"

namespace tidepool::driver {
namespace {

using namespace testing;

// ---- leases --------------------------------------------------------------------------------------------------------------

TEST_F(DriverTest, ALeaseWithoutKeepalivesExpiresAfterItsTime) {  // D-24, D-25, D-45
  start();
  const auto lease = attach(10, 5, Role::consumer);
  client_->heard.clear();
  clock_.advance_ms(3000);
  fence();
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 0u);  // at its time it still lives
  clock_.advance_ns(1);
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmLeaseRevoked>() > 0; }));
  const auto notice = client_->all<wire::ShmLeaseRevoked>().at(0);
  EXPECT_EQ(notice.lease_id, lease.lease_id);
  EXPECT_EQ(notice.stream_id, 10u);
  EXPECT_EQ(notice.client_id, 5u);
  EXPECT_EQ(notice.role, Role::consumer);
  EXPECT_EQ(notice.reason, RevokeReason::expired);
  EXPECT_EQ(notice.timestamp_ns, clock_.monotonic_ns());
  fence();
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 1u);
  EXPECT_EQ(driver_->counts().epochs_created, 1u);  // a consumer's end bumps nothing
  EXPECT_TRUE(driver_->leases().empty());
}

TEST_F(DriverTest, AProducersExpiryIsToldBeforeTheNewEpochIsAnnounced) {  // D-25, D-32, D-44, D-45
  start();
  const auto lease = attach(10, 5, Role::producer);
  client_->heard.clear();
  clock_.advance_ms(3001);
  ASSERT_TRUE(run_until([&] {
    const auto announces = client_->all<wire::ShmPoolAnnounce>();
    return !announces.empty() && announces.back().epoch > *lease.epoch;
  }));
  const auto notice = client_->all<wire::ShmLeaseRevoked>().at(0);
  EXPECT_EQ(notice.reason, RevokeReason::expired);
  const auto announce = client_->all<wire::ShmPoolAnnounce>().back();
  EXPECT_EQ(announce.producer_id, 0u);
  EXPECT_LE(notice.timestamp_ns, announce.announce_timestamp_ns);
  ASSERT_TRUE(std::holds_alternative<wire::ShmLeaseRevoked>(client_->heard.front()) ||
              std::get<wire::ShmPoolAnnounce>(client_->heard.front()).epoch == *lease.epoch)
      << client_->story();
  fence();
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 1u);
}

TEST_F(DriverTest, OnlyAKeepaliveWithAllFourFieldsExtendsALease) {  // D-23
  start();
  const auto lease = attach(10, 5, Role::consumer);
  const auto expiry = [&] { return driver_->leases().at(0).expiry_ns; };
  const uint64_t first_expiry = expiry();
  clock_.advance_ms(1000);
  const wire::ShmLeaseKeepalive right{*lease.lease_id, 10, 5, 2, 123};
  auto wrong = right;
  wrong.lease_id ^= 1;
  client_->send(wrong);
  wrong = right;
  wrong.stream_id = 11;
  client_->send(wrong);
  wrong = right;
  wrong.client_id = 6;
  client_->send(wrong);
  wrong = right;
  wrong.role = 1;
  client_->send(wrong);
  wrong = right;
  wrong.role = 9;
  client_->send(wrong);
  fence();
  EXPECT_EQ(expiry(), first_expiry);
  EXPECT_EQ(driver_->counts().keepalives_ignored, 5u);
  client_->send(right);
  fence();
  EXPECT_EQ(expiry(), clock_.monotonic_ns() + 3 * kNsPerSecond);
  EXPECT_EQ(driver_->counts().keepalives, 1u);
}

TEST_F(DriverTest, KeepalivesThatQueuedUpDuringAStallAreReadBeforeAnythingExpires) {  // D-24; scenario 12 of driver.md 21
  start();
  const auto healthy = attach(10, 5, Role::consumer);
  attach(10, 6, Role::consumer);  // says nothing any more
  keepalive(healthy, 5, Role::consumer);
  clock_.advance_ms(60'000);
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmLeaseRevoked>() > 0; }));
  fence();
  ASSERT_EQ(client_->count<wire::ShmLeaseRevoked>(), 1u);
  EXPECT_EQ(client_->all<wire::ShmLeaseRevoked>()[0].client_id, 6u);
  ASSERT_EQ(driver_->leases().size(), 1u);
  EXPECT_EQ(driver_->leases()[0].client_id, 5u);
}

TEST_F(DriverTest, ALargeEpochIsMadeBesideTheDutyCycle) {  // D-24, R-24: scenario 12
  auto c = config();
  c.profiles.push_back({"big", {64, {{1, 2 << 20}}}});
  c.streams.push_back({"big", 12, "big"});
  start(c);
  const auto healthy = attach(10, 5, Role::consumer);
  client_->heard.clear();
  const auto r = request(12, 6, Role::producer);
  client_->send(r);
  ASSERT_TRUE(poll_until([&] { return driver_->poll() > 0; }));
  // The request has been read, and nothing has been waited for.
  EXPECT_EQ(status(12).epoch, 0u);
  for (int i = 0; i < 20; ++i) {
    clock_.advance_ms(900);
    keepalive(healthy, 5, Role::consumer);
    driver_->poll();
  }
  ASSERT_TRUE(run_until([&] { return !answers(r.correlation_id).empty(); }));
  EXPECT_EQ(answers(r.correlation_id)[0].code, ResponseCode::ok);
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 0u);
  // What was stamped when making began is fresh when it is answered, and the lease runs from there.
  EXPECT_EQ(superblock(answers(r.correlation_id)[0].header_region_uri).activity_timestamp_ns, clock_.monotonic_ns());
  EXPECT_EQ(answers(r.correlation_id)[0].lease_expiry_timestamp_ns, clock_.monotonic_ns() + 3 * kNsPerSecond);
}

TEST_F(DriverTest, AnEpochThatOutlastsTheClientsPatienceIsMadeOnceAndAnswered) {  // D-17, D-32; driver.md 5.4
  auto c = config();
  c.profiles.push_back({"big", {64, {{1, 4 << 20}}}});
  c.streams.push_back({"big", 12, "big"});
  start(c);
  const auto r = request(12, 6, Role::producer);
  client_->send(r);
  ASSERT_TRUE(poll_until([&] { return driver_->poll() > 0; }));
  // The client asks again each second, beyond its attach time-out of 5 s, while the epoch is being made.
  for (int second = 0; second < 8; ++second) {
    client_->send(r);
    clock_.advance_ms(1000);
  }
  ASSERT_TRUE(run_until([&] { return !answers(r.correlation_id).empty(); }));
  fence();
  for (const auto& answer : answers(r.correlation_id)) {
    EXPECT_EQ(answer.code, ResponseCode::ok);
    EXPECT_EQ(answer.lease_id, answers(r.correlation_id)[0].lease_id);
    EXPECT_EQ(answer.epoch, answers(r.correlation_id)[0].epoch);
  }
  EXPECT_EQ(driver_->counts().epochs_created, 1u);
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 0u);
  ASSERT_EQ(driver_->leases().size(), 1u);
  EXPECT_EQ(driver_->leases()[0].expiry_ns, clock_.monotonic_ns() + 3 * kNsPerSecond);  // its life begins with the answer
}

TEST_F(DriverTest, AProducersDetachIsToldThenBumpedThenAnswered) {  // D-25, D-26, D-32, D-45
  start();
  const auto lease = attach(10, 5, Role::producer);
  client_->heard.clear();
  const auto answer = detach(detach_request(lease, 5, Role::producer));
  EXPECT_EQ(answer.code, ResponseCode::ok);
  EXPECT_EQ(client_->story(), "revoked(10,c5,1) announce(10,p0) detach(0)");
  EXPECT_GT(client_->all<wire::ShmPoolAnnounce>()[0].epoch, *lease.epoch);
  EXPECT_TRUE(driver_->leases().empty());
  const auto next = attach(10, 6, Role::producer);
  EXPECT_GT(*next.epoch, client_->all<wire::ShmPoolAnnounce>()[0].epoch);
}

TEST_F(DriverTest, AConsumersDetachIsToldAndAnswered) {  // D-25, D-26, D-45
  start();
  const auto lease = attach(10, 5, Role::consumer);
  client_->heard.clear();
  EXPECT_EQ(detach(detach_request(lease, 5, Role::consumer)).code, ResponseCode::ok);
  EXPECT_EQ(client_->story(), "revoked(10,c5,1) detach(0)");
  EXPECT_EQ(driver_->counts().epochs_created, 1u);
  EXPECT_EQ(status(10).consumers, 0u);
}

TEST_F(DriverTest, ARevokedLeaseIsToldWhyAndItsStreamGoesOn) {  // D-25, D-32, D-45; driver.md 6.2, 6.6
  start();
  const auto producer = attach(10, 5, Role::producer);
  const auto consumer = attach(10, 6, Role::consumer);
  client_->heard.clear();
  EXPECT_TRUE(driver_->revoke(*producer.lease_id, "maintenance"));
  EXPECT_FALSE(driver_->revoke(*producer.lease_id, "again"));
  EXPECT_FALSE(driver_->revoke(4711, "nobody"));
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmPoolAnnounce>() == 1; }));
  EXPECT_EQ(client_->story(), "revoked(10,c5,3) announce(10,p0)");
  EXPECT_EQ(client_->all<wire::ShmLeaseRevoked>()[0].error_message, "maintenance");
  EXPECT_GT(client_->all<wire::ShmPoolAnnounce>()[0].epoch, *producer.epoch);
  client_->heard.clear();
  EXPECT_TRUE(driver_->revoke(*consumer.lease_id, std::string(5000, 'x')));
  fence();
  EXPECT_EQ(client_->story(), "revoked(10,c6,3)");
  EXPECT_EQ(client_->all<wire::ShmLeaseRevoked>()[0].error_message.size(), wire::kMaxErrorMessageBytes);
  EXPECT_TRUE(driver_->leases().empty());
  EXPECT_EQ(attach(10, 5, Role::producer).code, ResponseCode::ok);  // nothing keeps it from coming back
}

TEST_F(DriverTest, DetachIsIdempotentAndNeedsAllFourFields) {  // D-26; scenario 8
  start();
  const auto lease = attach(10, 5, Role::consumer);
  const auto right = detach_request(lease, 5, Role::consumer);
  const auto refused = [&](wire::ShmDetachRequest r, ResponseCode code, const char* text) {
    r.correlation_id = ++correlation_;
    const auto answer = detach(r);
    EXPECT_EQ(answer.correlation_id, r.correlation_id);
    EXPECT_EQ(answer.code, code);
    EXPECT_EQ(answer.error_message, text);
  };
  auto wrong = right;
  wrong.lease_id ^= 1;
  refused(wrong, ResponseCode::rejected, "lease not found");
  wrong = right;
  wrong.stream_id = 11;
  refused(wrong, ResponseCode::rejected, "lease not found");
  wrong = right;
  wrong.client_id = 6;
  refused(wrong, ResponseCode::rejected, "lease not found");
  wrong = right;
  wrong.role = 1;
  refused(wrong, ResponseCode::rejected, "lease not found");
  wrong = right;
  wrong.role = 0;
  refused(wrong, ResponseCode::invalid_params, "invalid role");
  EXPECT_EQ(driver_->leases().size(), 1u);
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 0u);
  refused(right, ResponseCode::ok, "");
  refused(right, ResponseCode::ok, "");  // again
  wrong = right;
  wrong.client_id = 6;
  refused(wrong, ResponseCode::rejected, "lease not found");
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 1u);
}

TEST_F(DriverTest, ADetachAfterExpiryIsRefused) {  // D-26
  start();
  const auto lease = attach(10, 5, Role::consumer);
  clock_.advance_ms(3001);
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmLeaseRevoked>() == 1; }));
  EXPECT_EQ(detach(detach_request(lease, 5, Role::consumer)).code, ResponseCode::rejected);
}

TEST_F(DriverTest, NoNoticeForAnOldLeaseFollowsANewLeaseOfTheSameClient) {  // D-27
  start();
  const auto first = attach(10, 5, Role::producer);
  client_->heard.clear();
  // Everything at once: detach, then attach again under the same client id.
  client_->send(detach_request(first, 5, Role::producer));
  const auto again = request(10, 5, Role::producer);
  client_->send(again);
  ASSERT_TRUE(run_until([&] { return !answers(again.correlation_id).empty(); }));
  fence();
  EXPECT_EQ(client_->story(), "revoked(10,c5,1) announce(10,p0) detach(0) announce(10,p5) attach(0)");
}

TEST_F(DriverTest, AKeepaliveOfAnUnknownLeaseIsToldOnce) {  // D-28
  start();
  const wire::ShmLeaseKeepalive stranger{424242, 10, 99, 1, 0};
  client_->send(stranger);
  client_->send(stranger);
  fence();
  ASSERT_EQ(client_->count<wire::ShmLeaseRevoked>(), 1u);
  const auto notice = client_->all<wire::ShmLeaseRevoked>()[0];
  EXPECT_EQ(notice.lease_id, 424242u);
  EXPECT_EQ(notice.stream_id, 10u);
  EXPECT_EQ(notice.client_id, 99u);
  EXPECT_EQ(notice.role, Role::producer);
  EXPECT_EQ(notice.reason, RevokeReason::revoked);
  EXPECT_EQ(notice.error_message, "unknown lease");
}

TEST_F(DriverTest, NoNoticeWhereItWouldBeWrong) {  // D-28
  start();
  const auto lease = attach(10, 5, Role::consumer);
  client_->send(wire::ShmLeaseKeepalive{424242, 12345, 99, 1, 0});  // not a stream of ours
  client_->send(wire::ShmLeaseKeepalive{424242, 10, 99, 7, 0});  // no role
  client_->send(wire::ShmLeaseKeepalive{0, 10, 99, 1, 0});  // no lease
  client_->send(wire::ShmLeaseKeepalive{wire::kNull64, 10, 99, 1, 0});
  client_->send(wire::ShmLeaseKeepalive{*lease.lease_id, 10, 99, 1, 0});  // a live lease, of somebody else
  fence();
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 0u);
  detach(detach_request(lease, 5, Role::consumer));
  keepalive(lease, 5, Role::consumer);  // it has been told
  fence();
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 1u);
}

TEST_F(DriverTest, TheUnknownLeaseNoticeCanBeSwitchedOff) {  // D-28
  auto c = config();
  c.notify_unknown_lease = false;
  start(c);
  client_->send(wire::ShmLeaseKeepalive{424242, 10, 99, 1, 0});
  fence();
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 0u);
}

TEST_F(DriverTest, AStepOfTheRealtimeClockMovesNothing) {  // D-7, D-24, D-40, D-41; driver.md 4
  start();
  const auto lease = attach(10, 5, Role::producer);
  for (int i = 0; i < 3; ++i) detach(detach_request(attach(11, 6, Role::producer), 6, Role::producer));
  const auto epochs = epochs_on_disk(11);
  for (const int64_t hours : {24, -48, 24}) {
    clock_.step_realtime_ns(hours * 3600 * static_cast<int64_t>(kNsPerSecond));
    clock_.advance_ms(900);
    keepalive(lease, 5, Role::producer);
    fence();
    EXPECT_EQ(driver_->leases().size(), 1u);
    EXPECT_EQ(driver_->leases()[0].expiry_ns, clock_.monotonic_ns() + 3 * kNsPerSecond);
    EXPECT_EQ(client_->all<wire::ShmPoolAnnounce>().back().clock_domain, wire::ClockDomain::monotonic);
    EXPECT_LE(client_->all<wire::ShmPoolAnnounce>().back().announce_timestamp_ns, clock_.monotonic_ns());
    EXPECT_EQ(epochs_on_disk(11), epochs);  // none became old by it
  }
}

}  // namespace
}  // namespace tidepool::driver
