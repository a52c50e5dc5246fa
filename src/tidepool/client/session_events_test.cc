// What befalls a session that has its lease, what it sends meanwhile, and its end.
#include "tidepool/client/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tidepool/client/test_session.h"

namespace tidepool::client {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// ---- revocation, announces, silence, shutdown ------------------------------------------------------------------------------

TEST_F(ProducerSessionTest, IsStoppedByTheRevocationOfItsOwnLeaseAlone) {  // D-58
  auto other = stage.revoke(501, wire::Role::producer, client_id);
  session->on(other, stage.now());
  other.role = wire::Role::consumer;
  session->on(other, stage.now());
  auto half = stage.revoke(500, wire::Role::consumer, client_id);
  session->on(half, stage.now());
  EXPECT_EQ(link().state(), State::kAttached);

  auto held = map();
  auto own = stage.revoke(500, wire::Role::producer, client_id, wire::RevokeReason::revoked);
  own.error_message = "unknown lease";
  session->on(own, stage.now());
  EXPECT_EQ(link().state(), State::kBackoff);
  EXPECT_THAT(link().why(), HasSubstr("unknown lease"));
  EXPECT_FALSE(held->alive());
  EXPECT_EQ(stage.port.count<ShmDetachRequest>(), 0u) << "the driver has ended it itself";
}

TEST_F(ProducerSessionTest, ActsOnceOnARevocationThatComesTwice) {  // D-58
  const auto own = stage.revoke(500, wire::Role::producer, client_id);
  session->on(own, stage.now());
  stage.pass(*session, 200 * kNsPerMs);
  session->on(stage.grant(stage.make_epoch(101), 600), stage.now());
  ASSERT_EQ(link().state(), State::kAttached);
  session->on(own, stage.now());
  EXPECT_EQ(link().state(), State::kAttached);
  EXPECT_EQ(link().epoch(), 101u);
}

TEST_F(ProducerSessionTest, KeepsTheMemoryOfALostEpochAsLongAsSomebodyHoldsIt) {  // P-4
  pool::PoolWriter writer(attachment.map);
  pool::Claim claim;
  ASSERT_EQ(writer.claim(wire::contiguous(wire::DType::u8, std::vector<int32_t>{4096}), claim), pool::ClaimError::kNone);
  session->on(stage.revoke(500, wire::Role::producer, client_id), stage.now());
  stage.maps.clear();
  stage.files.remove(kStream, 100);
  session->close(stage.now());
  std::fill(claim.bytes().begin(), claim.bytes().end(), std::byte{7});  // a device that is not finished yet
  EXPECT_FALSE(claim.alive());
  EXPECT_EQ(writer.commit(claim), pool::CommitResult::kDetached);
}

TEST_F(ProducerSessionTest, StopsWhenALaterEpochIsAnnounced) {  // D-60
  const auto next = stage.make_epoch(101);
  session->on(stage.announce(next, 0), 0, stage.now());
  EXPECT_EQ(link().state(), State::kBackoff);
  EXPECT_THAT(link().why(), HasSubstr("superseded by 101"));
  EXPECT_EQ(map(), nullptr);
}

TEST_F(ProducerSessionTest, StopsWhenSomebodyElseIsAnnouncedAsTheProducerOfItsEpoch) {  // D-60, W-35
  auto of_before = stage.announce(regions, client_id + 1);
  of_before.announce_timestamp_ns = stage.t;  // not after our attach: says nothing
  session->on(of_before, 0, stage.now());
  stage.pass(*session, kPeriodNs);
  session->on(stage.announce(regions, client_id), 0, stage.now());
  EXPECT_EQ(link().state(), State::kAttached);
  session->on(stage.announce(regions, client_id + 1), 0, stage.now());
  EXPECT_EQ(link().state(), State::kBackoff);
}

TEST_F(ProducerSessionTest, IgnoresLowerEpochsAndOtherStreams) {  // D-62, W-57, W-10
  session->on(stage.announce(stage.make_epoch(99), 0), 0, stage.now());
  auto other = stage.announce(stage.make_epoch(200, kStream + 1), 0);
  session->on(other, 0, stage.now());
  EXPECT_EQ(link().state(), State::kAttached);
}

TEST_F(ProducerSessionTest, TakesSilenceForTheDriversDeathOnlyAfterAFirstAnnounce) {  // D-61
  stage.pass(*session, 30 * kPeriodNs);
  EXPECT_EQ(link().state(), State::kAttached) << "perhaps nobody announces where we listen";
  session->on(stage.announce(regions, client_id), 0, stage.now());
  stage.pass(*session, 5 * kPeriodNs);
  EXPECT_EQ(link().state(), State::kAttached);
  stage.pass(*session, 50 * kNsPerMs);
  EXPECT_EQ(link().state(), State::kBackoff);
  EXPECT_THAT(link().why(), HasSubstr("announced nothing for 5 s"));
}

TEST_F(ProducerSessionTest, HoldsNoSilenceAgainstTheDriverWhileItDidNotListenItself) {  // D-61
  session->on(stage.announce(regions, client_id), 0, stage.now());
  session->poll(stage.now());
  for (int i = 0; i < 10; ++i) {  // stopped for 2 s again and again: keepalives get through, announces are missed
    stage.t += 2 * kPeriodNs;
    session->poll(stage.now());
  }
  EXPECT_EQ(link().state(), State::kAttached);
}

TEST_F(ProducerSessionTest, IsStoppedByTheDriversShutdownAndFollowsOneWithLowerEpochs) {  // D-61, D-62
  session->on(stage.announce(regions, client_id), 0, stage.now());
  session->on(wire::ShmDriverShutdown{.timestamp_ns = stage.t, .reason = wire::ShutdownReason::admin, .error_message = "maintenance"}, stage.now());
  EXPECT_EQ(link().state(), State::kBackoff);
  EXPECT_THAT(link().why(), HasSubstr("maintenance"));
  stage.pass(*session, 200 * kNsPerMs);
  const auto lower = stage.make_epoch(50);
  session->on(stage.grant(lower, 1), stage.now());
  EXPECT_EQ(link().epoch(), 50u);
  stage.pass(*session, kPeriodNs);
  session->on(stage.announce(lower, client_id_of(stage.port)), 0, stage.now());
  stage.pass(*session, 4 * kPeriodNs);
  EXPECT_EQ(link().state(), State::kAttached);
}

TEST_F(ProducerSessionTest, DropsEverythingWithTheMediaDriverAndComesBackWithTheNext) {  // driver.md 14
  auto held = map();
  session->disconnected("the media driver is lost");
  EXPECT_EQ(link().state(), State::kConnecting);
  EXPECT_FALSE(held->alive());
  EXPECT_EQ(map(), nullptr);
  stage.pass(*session, 100 * kPeriodNs);
  EXPECT_EQ(stage.port.count<ShmAttachRequest>(), 1u);
  session->connected(stage.now());
  EXPECT_EQ(stage.port.count<ShmAttachRequest>(), 2u);
  session->on(stage.grant(stage.make_epoch(101)), stage.now());
  EXPECT_EQ(map()->epoch(), 101u);
  EXPECT_EQ(link().attaches(), 2u);
}

// ---- what a producer sends -------------------------------------------------------------------------------------------------

TEST_F(ProducerSessionTest, RefreshesTheActivityOfEveryRegionAtAnnounceCadence) {  // W-62, D-64
  const uint64_t attached_ns = stage.t;
  EXPECT_EQ(stage.maps[0]->activity_ns(), attached_ns);
  stage.pass(*session, 10 * kPeriodNs);
  EXPECT_EQ(stage.maps[0]->activity_ns(), attached_ns + 10 * kPeriodNs);
  stage.maps[0]->revalidate({.now_ns = stage.t, .max_age_ns = 1});  // pools too; nothing else was touched
  session->on(stage.revoke(500, wire::Role::producer, client_id), stage.now());
  stage.pass(*session, 2 * kPeriodNs);
  EXPECT_EQ(stage.maps[0]->activity_ns(), attached_ns + 10 * kPeriodNs) << "not ours any more";
}

TEST_F(ProducerSessionTest, SendsQosOnceASecond) {  // W-86
  link().producer.next_seq.set(12);
  stage.pass(*session, 5 * kPeriodNs);
  const auto sent = stage.port.all<wire::QosProducer>();
  ASSERT_EQ(sent.size(), 5u);
  EXPECT_EQ(sent[0], (wire::QosProducer{.stream_id = kStream, .producer_id = client_id, .epoch = 100, .current_seq = 12, .watermark = std::nullopt}));
}

TEST_F(ProducerSessionTest, AnnouncesNothingThatItWasNotGiven) {  // W-15: the driver announces the pool, too
  stage.pass(*session, 5 * kPeriodNs);
  EXPECT_EQ(stage.port.count<wire::DataSourceAnnounce>(), 0u);
  EXPECT_EQ(stage.port.count<wire::DataSourceMeta>(), 0u);
}

TEST_F(ProducerSessionTest, DescribesItsDataOnChangeAndOnceASecond) {  // W-87, wire.md 14
  session->set_data_source({.name = "cam1", .summary = "left", .attributes = {{"gain", "text/plain", "1.5"}}}, 1);
  session->poll(stage.now());
  ASSERT_GE(stage.port.messages.size(), 2u);
  const auto& announced = std::get<wire::DataSourceAnnounce>(*(stage.port.messages.end() - 2));
  const auto& meta = std::get<wire::DataSourceMeta>(*(stage.port.messages.end() - 1));
  EXPECT_EQ(announced, (wire::DataSourceAnnounce{.stream_id = kStream, .producer_id = client_id, .epoch = 100, .meta_version = 1, .name = "cam1", .summary = "left"}));
  EXPECT_EQ(meta.meta_version, 1u);
  EXPECT_EQ(meta.stream_id, kStream);
  EXPECT_EQ(meta.timestamp_ns, stage.t);
  ASSERT_EQ(meta.attributes.size(), 1u);
  EXPECT_EQ(meta.attributes[0].value, "1.5");
  stage.pass(*session, 3 * kPeriodNs);
  EXPECT_EQ(stage.port.count<wire::DataSourceMeta>(), 4u);
  session->set_data_source({.name = "cam1", .summary = "right", .attributes = {}}, 2);
  session->poll(stage.now());
  EXPECT_EQ(stage.port.count<wire::DataSourceMeta>(), 5u) << "at once";
  EXPECT_EQ(stage.port.all<wire::DataSourceAnnounce>().back().meta_version, 2u);
}

// ---- which epoch a consumer maps -------------------------------------------------------------------------------------------

TEST_F(ConsumerSessionTest, MapsReadOnly) {  // W-30
  EXPECT_FALSE(attachment.map->writable());
}

TEST_F(ConsumerSessionTest, KeepsItsMappingWhenItsOwnEpochIsAnnounced) {  // W-58
  const auto before = map();
  pass_announced(20 * kPeriodNs, regions);
  EXPECT_EQ(map(), before);
  EXPECT_TRUE(before->alive());
  EXPECT_EQ(link().mappings(), 1u);
}

TEST_F(ConsumerSessionTest, FollowsALaterEpochAtOnceAndLetsTheOldOneGo) {  // W-59, W-57, R-04
  const auto old = map();
  const auto next = stage.make_epoch(101);
  hear(stage.announce(next, 7));
  EXPECT_FALSE(old->alive());
  ASSERT_NE(map(), nullptr);
  EXPECT_EQ(map()->epoch(), 101u);
  EXPECT_EQ(link().state(), State::kAttached);
  EXPECT_EQ(link().epoch(), 101u);
  attachment = {};
  EXPECT_EQ(old.use_count(), 1) << "nobody but this test holds the old epoch's memory";
}

TEST_F(ConsumerSessionTest, IgnoresAnEpochThatHasPassed) {  // D-62, W-57
  const auto next = stage.make_epoch(101);
  hear(stage.announce(next));
  hear(stage.announce(regions));
  EXPECT_EQ(map()->epoch(), 101u);
}

TEST_F(ConsumerSessionTest, StaysUnmappedWhileAnAnnouncedEpochDoesNotMapAndTriesNotTooOften) {  // W-31, W-59, W-61
  auto bad = stage.make_epoch(101);
  auto announced = stage.announce(bad);
  announced.pools[0].stride_bytes = 8192;
  hear(announced);
  EXPECT_EQ(map(), nullptr) << "the old one is not kept either";
  EXPECT_EQ(link().state(), State::kRemapping);
  EXPECT_THAT(link().why(), HasSubstr("pool"));
  hear(stage.announce(bad));
  EXPECT_EQ(map(), nullptr) << "backoff: 100 ms at first";
  stage.pass(*session, 150 * kNsPerMs);
  hear(stage.announce(bad));
  ASSERT_NE(map(), nullptr);
  EXPECT_EQ(map()->epoch(), 101u);
}

TEST_F(ConsumerSessionTest, WaitsForALaterAnnounceWhenTheRegionsWereMadeAnew) {  // W-64, W-35
  // Somebody who rewrites files in place (WX-33): another pid in the superblocks.
  for (const auto* file : {"header.ring", "1.pool"}) {
    const std::string path = concat(stage.files.stream_path(kStream), "/100/", file);
    FILE* f = std::fopen(path.c_str(), "r+b");
    ASSERT_NE(f, nullptr);
    const uint64_t pid = 4242;
    std::fseek(f, 40, SEEK_SET);
    std::fwrite(&pid, sizeof pid, 1, f);
    std::fclose(f);
  }
  const auto first = stage.announce(regions);
  hear(first);
  EXPECT_EQ(map(), nullptr);
  EXPECT_EQ(link().state(), State::kRemapping);
  EXPECT_THAT(link().why(), HasSubstr("made anew"));
  hear(first);
  EXPECT_EQ(map(), nullptr) << "the same announce again is no later one";
  stage.pass(*session, kPeriodNs);
  hear(stage.announce(regions));
  EXPECT_NE(map(), nullptr);
}

TEST_F(ConsumerSessionTest, LetsGoOfAnEpochThatShowsNoActivityAndTakesItBackWhenItDoes) {  // W-63
  for (int i = 0; i < 5; ++i) {
    stage.pass(*session, kPeriodNs);
    hear(stage.announce(regions));
    EXPECT_NE(map(), nullptr) << i;
  }
  stage.pass(*session, kPeriodNs + kNsPerMs);
  EXPECT_EQ(map(), nullptr);
  EXPECT_EQ(link().state(), State::kRemapping);
  hear(stage.announce(regions));
  EXPECT_EQ(map(), nullptr) << "announced, but stale";
  stage.pass(*session, 4 * kPeriodNs);
  stage.maps[0]->touch_activity(stage.t);
  hear(stage.announce(regions));
  EXPECT_NE(map(), nullptr);
  EXPECT_EQ(link().state(), State::kAttached);
}

TEST_F(ConsumerSessionTest, AttachesAgainWhenItsEpochFallsSilentAndNobodyHasAnnouncedAnything) {  // W-63, D-61
  stage.pass(*session, 6 * kPeriodNs);
  EXPECT_EQ(map(), nullptr);
  EXPECT_EQ(link().state(), State::kRemapping);
  stage.pass(*session, 3 * kPeriodNs);
  EXPECT_EQ(link().state(), State::kBackoff) << "the driver of this lease may be gone, and its silence says nothing";
  EXPECT_EQ(stage.port.count<ShmDetachRequest>(), 1u);
}

TEST_F(ConsumerSessionTest, IsUnmovedByAProducersEndThatItsEpochHasAlreadyAnswered) {  // D-59
  stage.pass(*session, kPeriodNs);
  const auto revoked = stage.revoke(42, wire::Role::producer, 7);
  const auto next = stage.make_epoch(101);
  hear(stage.announce(next));  // the announce stream was quicker; both bear one time
  session->on(revoked, stage.now());
  EXPECT_NE(map(), nullptr);
  auto older = revoked;
  --older.timestamp_ns;
  session->on(older, stage.now());
  EXPECT_NE(map(), nullptr);
}

TEST_F(ConsumerSessionTest, WaitsForALaterEpochWhenTheProducersLeaseEnds) {  // D-59, W-59
  pass_announced(kPeriodNs, regions);
  const auto old = map();
  session->on(stage.revoke(42, wire::Role::producer, 7), stage.now());
  EXPECT_FALSE(old->alive());
  EXPECT_EQ(map(), nullptr);
  EXPECT_EQ(link().state(), State::kRemapping);
  hear(stage.announce(regions));
  EXPECT_EQ(map(), nullptr) << "strictly greater";
  hear(stage.announce(stage.make_epoch(101)));
  EXPECT_EQ(map()->epoch(), 101u);
}

TEST_F(ConsumerSessionTest, AttachesAgainWhenNoLaterEpochComesInThreePeriods) {  // D-59
  pass_announced(kPeriodNs, regions);
  session->on(stage.revoke(42, wire::Role::producer, 7), stage.now());
  stage.pass(*session, 3 * kPeriodNs - 50 * kNsPerMs);
  EXPECT_EQ(link().state(), State::kRemapping);
  stage.pass(*session, 50 * kNsPerMs);
  EXPECT_EQ(link().state(), State::kBackoff);
  EXPECT_EQ(stage.port.count<ShmDetachRequest>(), 1u);
}

TEST_F(ConsumerSessionTest, IgnoresTheEndOfLeasesThatDoNotConcernIt) {  // D-58
  pass_announced(kPeriodNs, regions);
  session->on(stage.revoke(42, wire::Role::consumer, 7), stage.now());
  auto elsewhere = stage.revoke(42, wire::Role::producer, 7);
  elsewhere.stream_id = kStream + 1;
  session->on(elsewhere, stage.now());
  EXPECT_NE(map(), nullptr);
}

TEST_F(ConsumerSessionTest, UnmapsWhenItsApplicationMetADescriptorOfALaterEpoch) {  // W-60
  link().ask_remap(100, RemapReason::kNewerEpoch);
  session->poll(stage.now());
  EXPECT_EQ(link().state(), State::kRemapping);
  hear(stage.announce(regions));
  EXPECT_EQ(map(), nullptr);
  hear(stage.announce(stage.make_epoch(101)));
  EXPECT_EQ(map()->epoch(), 101u);
  link().ask_remap(100, RemapReason::kNewerEpoch);  // said of the epoch before
  session->poll(stage.now());
  EXPECT_EQ(map()->epoch(), 101u);
}

TEST_F(ConsumerSessionTest, MapsTheSameEpochAgainAfterASequenceThatWentBack) {  // W-66
  const auto before = map();
  link().ask_remap(100, RemapReason::kSeqRegression);
  session->poll(stage.now());
  EXPECT_EQ(map(), nullptr);
  hear(stage.announce(regions));
  ASSERT_NE(map(), nullptr);
  EXPECT_NE(map(), before);
  EXPECT_EQ(link().mappings(), 2u);
}

// ---- what a consumer sends -------------------------------------------------------------------------------------------------

TEST_F(ConsumerSessionTest, SaysHelloAtStartOnceASecondAndAfterEachRemap) {  // W-68, D-66
  session->poll(stage.now());
  ASSERT_EQ(stage.port.count<wire::ConsumerHello>(), 1u);
  wire::ConsumerHello expected;
  expected.stream_id = kStream;
  expected.consumer_id = client_id;
  expected.expected_layout_version = 1;
  EXPECT_EQ(stage.port.all<wire::ConsumerHello>()[0], expected);
  pass_announced(4 * kPeriodNs, regions);
  EXPECT_EQ(stage.port.count<wire::ConsumerHello>(), 5u);
  hear(stage.announce(stage.make_epoch(101)));
  session->poll(stage.now());
  EXPECT_EQ(stage.port.count<wire::ConsumerHello>(), 6u);
}

TEST_F(ConsumerSessionTest, SendsQosOnceASecondWithEpochZeroWhileUnmapped) {  // W-86
  link().consumer.last_seq.set(11);
  link().consumer.drops_gap.set(3);
  link().consumer.drops_late.set(1);
  session->poll(stage.now());
  EXPECT_EQ(stage.port.all<wire::QosConsumer>().back(),
            (wire::QosConsumer{.stream_id = kStream, .consumer_id = client_id, .epoch = 100, .last_seq_seen = 11, .drops_gap = 3, .drops_late = 1, .mode = wire::Mode::stream}));
  link().ask_remap(100, RemapReason::kNewerEpoch);
  stage.pass(*session, kPeriodNs);
  EXPECT_EQ(stage.port.all<wire::QosConsumer>().back().epoch, 0u);
}

// ---- close ---------------------------------------------------------------------------------------------------------------

TEST_F(ProducerSessionTest, GivesItsLeaseBackOnClose) {  // D-65
  session->poll(stage.now());
  auto held = map();
  session->close(stage.now());
  EXPECT_FALSE(held->alive());
  EXPECT_EQ(map(), nullptr);
  ASSERT_EQ(stage.port.count<ShmDetachRequest>(), 1u);
  const auto sent = stage.port.all<ShmDetachRequest>()[0];
  EXPECT_EQ(sent.lease_id, 500u);
  EXPECT_EQ(sent.stream_id, kStream);
  EXPECT_EQ(sent.client_id, client_id);
  EXPECT_EQ(sent.role, 1);
  EXPECT_NE(sent.correlation_id, stage.port.all<ShmAttachRequest>()[0].correlation_id);

  session->on(wire::ShmDetachResponse{.correlation_id = sent.correlation_id + 1, .code = wire::ResponseCode::ok, .error_message = {}});
  EXPECT_FALSE(session->finished());
  const size_t keepalives = stage.port.count<ShmLeaseKeepalive>();
  session->on(wire::ShmDetachResponse{.correlation_id = sent.correlation_id, .code = wire::ResponseCode::rejected, .error_message = "lease not found"});
  EXPECT_TRUE(session->finished()) << "whatever the code";
  stage.pass(*session, 5 * kPeriodNs);
  EXPECT_EQ(stage.port.count<ShmLeaseKeepalive>(), keepalives);
  EXPECT_EQ(link().state(), State::kClosed);
}

TEST_F(ProducerSessionTest, WaitsNoLongerThanASecondForTheAnswer) {  // D-65
  session->close(stage.now());
  stage.pass(*session, 999 * kNsPerMs, kNsPerMs);
  EXPECT_FALSE(session->finished());
  stage.pass(*session, kNsPerMs, kNsPerMs);
  EXPECT_TRUE(session->finished());
  EXPECT_TRUE(link().finished());
}

TEST_F(ProducerSessionTest, RepeatsADetachThatDidNotGoOut) {  // D-65
  stage.port.result = transport::SendResult::kBackPressured;
  session->close(stage.now());
  stage.pass(*session, 100 * kNsPerMs);
  stage.port.result = transport::SendResult::kOk;
  stage.pass(*session, 100 * kNsPerMs);
  EXPECT_EQ(stage.port.count<ShmDetachRequest>(), 1u);
}

TEST_F(ProducerSessionTest, IsGoneAtOnceWhenItsMediaDriverDiesWhileClosing) {  // D-65
  session->close(stage.now());
  session->disconnected("gone");
  EXPECT_TRUE(session->finished());
}

TEST(CloseTest, NeedsNobodyWhenThereIsNoLease) {  // D-65
  Stage stage;
  const auto session = stage.enter<ConsumerSession>(ConsumerOptions{});
  session->close(stage.now());
  EXPECT_TRUE(session->finished());
  session->on(stage.grant(stage.make_epoch(100)), stage.now());
  EXPECT_TRUE(session->finished());
}

TEST(PlanesTest, AChannelThatCannotBeIsToldAtOnceAndATroubledMediaDriverIsWaitedFor) {  // P-13
  for (const Code code : {Code::kInvalidArgument, Code::kUnavailable}) {
    Stage stage;
    stage.port.plane_error = "add publication: refused";
    stage.port.plane_code = code;
    const auto session = stage.enter<ProducerSession>(ProducerOptions{});
    EXPECT_EQ(session->handover()->decided(), code == Code::kInvalidArgument);
    stage.port.plane_error.clear();
    stage.pass(*session, 200 * kNsPerMs);
    EXPECT_EQ(stage.port.count<ShmAttachRequest>(), code == Code::kInvalidArgument ? 0u : 1u);
  }
}

}  // namespace
}  // namespace tidepool::client
