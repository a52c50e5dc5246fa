// A session gets its lease and keeps it.
#include "tidepool/client/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tidepool/client/test_session.h"

namespace tidepool::client::session_test {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// ---- attach --------------------------------------------------------------------------------------------------------------

TEST(AttachTest, SendsTheRequestWithEveryFieldExplicit) {  // D-52, D-53, D-66
  Stage stage;
  const auto producer = stage.enter<ProducerSession>(ProducerOptions{});
  const auto consumer = stage.enter<ConsumerSession>(ConsumerOptions{});
  const auto requests = stage.port.all<ShmAttachRequest>();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].role, 1);
  EXPECT_EQ(requests[1].role, 2);
  EXPECT_EQ(requests[0].publish_mode, 2) << "producers: existing or create";
  EXPECT_EQ(requests[1].publish_mode, 1) << "consumers: require existing";
  for (const auto& request : requests) {
    EXPECT_EQ(request.stream_id, kStream);
    EXPECT_EQ(request.expected_layout_version, 1u);
    EXPECT_EQ(request.require_hugepages, 0);
    EXPECT_EQ(request.desired_node_id, std::nullopt);
    EXPECT_NE(request.client_id, 0u);
    EXPECT_NE(request.correlation_id, 0);
  }
  EXPECT_NE(requests[0].client_id, requests[1].client_id) << "one client id for each lease";
  EXPECT_NE(requests[0].correlation_id, requests[1].correlation_id);
  EXPECT_EQ(producer->handover()->state(), State::kAttaching);
}

TEST(AttachTest, RepeatsTheSameRequestWhileItWaits) {  // D-9, D-56, driver.md 15.1
  Stage stage;
  const auto session = stage.enter<ProducerSession>(ProducerOptions{});
  stage.pass(*session, 3'500 * kNsPerMs);
  const auto requests = stage.port.all<ShmAttachRequest>();
  ASSERT_EQ(requests.size(), 4u) << "at 0, 1, 2 and 3 s";
  for (const auto& request : requests) EXPECT_EQ(request, requests[0]);
}

TEST(AttachTest, TriesSoonAgainWhenTheRequestDoesNotGoOut) {  // D-56
  Stage stage;
  stage.port.result = transport::SendResult::kNotConnected;
  const auto session = stage.enter<ProducerSession>(ProducerOptions{});
  stage.pass(*session, 20 * kNsPerMs, kNsPerMs);
  EXPECT_EQ(stage.port.count<ShmAttachRequest>(), 0u);
  stage.port.result = transport::SendResult::kOk;
  stage.pass(*session, 2 * kNsPerMs, kNsPerMs);
  EXPECT_EQ(stage.port.count<ShmAttachRequest>(), 1u);
}

TEST(AttachTest, GivesTheFirstAttachUpInTimeAndSaysWhatToStart) {  // D-56, P-13
  Stage stage;
  const auto session = stage.enter<ProducerSession>(ProducerOptions{});
  stage.pass(*session, 4'999 * kNsPerMs);
  EXPECT_FALSE(session->handover()->decided());
  stage.pass(*session, kNsPerMs);
  ASSERT_TRUE(session->handover()->decided());
  const auto failure = session->handover()->failure();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->code(), Code::kUnavailable);
  EXPECT_STREQ(failure->what(),
               "cannot attach to stream 10000: no driver answered within 5 s\n"
               "  control channel aeron:ipc stream 1000\n"
               "  start one:  tidepool driver");
  EXPECT_TRUE(session->finished());
  EXPECT_TRUE(session->handover()->finished());
}

TEST(AttachTest, WaitsForEverWhenToldTo) {  // P-13
  Stage stage;
  const auto session = stage.enter<ProducerSession>(ProducerOptions{}, 0);
  stage.pass(*session, 600 * kNsPerSecond);
  EXPECT_FALSE(session->handover()->decided());
  session->on(stage.grant(stage.make_epoch(100)), stage.now());
  stage.pass(*session, 10 * kNsPerSecond);  // the last attempt may just have been given up: then the next
  if (session->handover()->state() != State::kAttached) session->on(stage.grant(stage.make_epoch(101)), stage.now());
  EXPECT_EQ(session->handover()->state(), State::kAttached);
  EXPECT_FALSE(session->handover()->failure());
}

TEST(AttachTest, BacksOffDoublingWithJitterAndNeverSpins) {  // D-56
  Stage stage;
  const auto session = stage.enter<ProducerSession>(ProducerOptions{}, 0);
  std::vector<uint64_t> pauses_ms;
  for (int i = 0; i < 12; ++i) {
    session->on(stage.refuse(wire::ResponseCode::rejected, "producer already attached"), stage.now());
    EXPECT_EQ(session->handover()->state(), State::kBackoff);
    const uint64_t from = stage.t;
    const size_t sent = stage.port.count<ShmAttachRequest>();
    while (stage.port.count<ShmAttachRequest>() == sent) stage.pass(*session, kNsPerMs, kNsPerMs);
    pauses_ms.push_back((stage.t - from) / kNsPerMs);
  }
  uint64_t limit_ms = 100;
  for (const uint64_t pause_ms : pauses_ms) {
    EXPECT_GE(pause_ms, limit_ms / 2);
    EXPECT_LE(pause_ms, limit_ms + 1);
    limit_ms = std::min<uint64_t>(limit_ms * 2, 3200);
  }
  EXPECT_GT(std::set<uint64_t>(pauses_ms.begin() + 5, pauses_ms.end()).size(), 1u) << "seven pauses of 1.6 to 3.2 s, no two alike: jitter";
  std::set<int64_t> correlation_ids;
  for (const auto& request : stage.port.all<ShmAttachRequest>()) correlation_ids.insert(request.correlation_id);
  EXPECT_EQ(correlation_ids.size(), 13u) << "a new attempt has a new correlation id";
}

TEST(AttachTest, DrawsANewClientIdOnExactlyThatTextAndNoOther) {  // D-10, D-56, W-69
  Stage stage;
  const auto session = stage.enter<ProducerSession>(ProducerOptions{}, 0);
  const uint32_t first = client_id_of(stage.port);
  for (const std::string text : {"client_id already attached.", "Client_id already attached", "producer already attached", ""}) {
    session->on(stage.refuse(wire::ResponseCode::rejected, text), stage.now());
    stage.pass(*session, 3'300 * kNsPerMs);
    EXPECT_EQ(client_id_of(stage.port), first) << text;
  }
  session->on(stage.refuse(wire::ResponseCode::internal_error, "client_id already attached"), stage.now());
  stage.pass(*session, 3'300 * kNsPerMs);
  EXPECT_EQ(client_id_of(stage.port), first) << "the code is REJECTED";
  session->on(stage.refuse(wire::ResponseCode::rejected, "client_id already attached"), stage.now());
  stage.pass(*session, 3'300 * kNsPerMs);
  EXPECT_NE(client_id_of(stage.port), first);
}

TEST(AttachTest, KeepsAConfiguredClientId) {  // D-56
  Stage stage;
  const auto session = stage.enter<ProducerSession>(ProducerOptions{.client_id = 77});
  EXPECT_EQ(client_id_of(stage.port), 77u);
  session->on(stage.refuse(wire::ResponseCode::rejected, "client_id already attached"), stage.now());
  stage.pass(*session, 200 * kNsPerMs);
  EXPECT_EQ(client_id_of(stage.port), 77u);
  stage.pass(*session, 5 * kNsPerSecond);
  ASSERT_TRUE(session->handover()->failure());
  EXPECT_THAT(session->handover()->failure()->what(), AllOf(HasSubstr("client_id already attached"), HasSubstr("choose another client_id")));
}

TEST(AttachTest, SaysWhyTheDriverRefused) {  // P-13, D-8
  Stage stage;
  const auto session = stage.enter<ProducerSession>(ProducerOptions{}, kNsPerSecond);
  for (int i = 0; i < 40 && !session->handover()->decided(); ++i) {
    if (session->handover()->state() == State::kAttaching) {
      session->on(stage.refuse(wire::ResponseCode::rejected, "producer already attached"), stage.now());
    }
    stage.pass(*session, 50 * kNsPerMs);
  }
  ASSERT_TRUE(session->handover()->failure());
  EXPECT_EQ(session->handover()->failure()->code(), Code::kRejected);
  EXPECT_THAT(session->handover()->failure()->what(),
              HasSubstr("cannot attach to stream 10000 as its producer: the driver refused (rejected): producer already attached\n  a stream has one"));
}

TEST(AttachTest, DoesNotWaitWhereWaitingChangesNothing) {
  struct Case {
    wire::ResponseCode code;
    const char* text;
    Code expected;
  };
  for (const auto& [code, text, expected] : {Case{wire::ResponseCode::rejected, "stream not provisioned", Code::kRejected},
                                             Case{wire::ResponseCode::invalid_params, "stream has no payload pools", Code::kRejected},
                                             Case{wire::ResponseCode::unsupported, "unsupported publish_mode", Code::kUnsupported}}) {
    Stage stage;
    const auto session = stage.enter<ConsumerSession>(ConsumerOptions{});
    session->on(stage.refuse(code, text), stage.now());
    ASSERT_TRUE(session->handover()->failure()) << text;
    EXPECT_EQ(session->handover()->failure()->code(), expected);
    EXPECT_THAT(session->handover()->failure()->what(), HasSubstr(text));
  }
}

TEST(AttachTest, MakesTheTextOfAStrangerPrintable) {  // W-93, driver.md 17
  Stage stage;
  const auto session = stage.enter<ConsumerSession>(ConsumerOptions{});
  session->on(stage.refuse(wire::ResponseCode::invalid_params, "no\x1b[2Jway\n"), stage.now());
  EXPECT_THAT(session->handover()->failure()->what(), HasSubstr("no\\x1b[2Jway\\x0a"));
}

TEST(AttachTest, IgnoresAnswersToOthersAndDuplicatesOfItsOwn) {  // D-9, D-55, W-94
  Stage stage;
  const auto session = stage.enter<ProducerSession>(ProducerOptions{});
  const auto regions = stage.make_epoch(100);
  auto foreign = stage.grant(regions);
  ++foreign.correlation_id;
  session->on(foreign, stage.now());
  EXPECT_EQ(session->handover()->state(), State::kAttaching);

  const auto granted = stage.grant(regions, 500);
  const auto refused = stage.refuse(wire::ResponseCode::rejected, "client_id already attached");
  session->on(granted, stage.now());
  ASSERT_EQ(session->handover()->state(), State::kAttached);
  session->on(granted, stage.now());
  session->on(refused, stage.now());
  EXPECT_EQ(session->handover()->state(), State::kAttached);
  EXPECT_EQ(session->handover()->attaches(), 1u);
  EXPECT_EQ(stage.port.count<ShmDetachRequest>(), 0u);
}

// An epoch may take longer to make than one attempt lasts. A new request would find our own client id taken when it is ready.
TEST(AttachTest, AsksAgainAsBeforeWhenNobodyAnswersAndTakesTheAnswerWhenItComes) {  // D-52, D-55, D-56, driver.md 5.4, 15.1
  Stage stage;
  const auto session = stage.enter<ProducerSession>(ProducerOptions{}, 0);
  const ShmAttachRequest first = stage.port.all<ShmAttachRequest>().back();
  stage.pass(*session, 30 * kNsPerSecond);  // several attempts of 5 s
  const auto requests = stage.port.all<ShmAttachRequest>();
  EXPECT_GT(requests.size(), 20u);
  for (const auto& request : requests) EXPECT_EQ(request, first);
  session->on(stage.grant(stage.make_epoch(100), 501), stage.now());
  EXPECT_EQ(session->handover()->state(), State::kAttached);
  EXPECT_EQ(stage.port.count<ShmDetachRequest>(), 0u);
}

TEST(AttachTest, TakesAnAnswerThatComesWhileItPauses) {  // D-55, D-56, driver.md 15.1
  Stage stage;
  const auto session = stage.enter<ProducerSession>(ProducerOptions{}, 0);
  while (session->handover()->state() != State::kBackoff) stage.pass(*session, kNsPerMs, kNsPerMs);
  session->on(stage.grant(stage.make_epoch(100), 501), stage.now());
  EXPECT_EQ(session->handover()->state(), State::kAttached);
  const size_t sent = stage.port.count<ShmAttachRequest>();
  stage.pass(*session, kNsPerSecond);
  EXPECT_EQ(stage.port.count<ShmAttachRequest>(), sent);
  EXPECT_EQ(stage.port.count<ShmDetachRequest>(), 0u);
}

TEST(AttachTest, HasIdsOfItsOwnForEachLeaseAndRequest) {  // D-52, W-69
  Stage stage;
  std::vector<std::unique_ptr<ConsumerSession>> sessions;
  for (int i = 0; i < 200; ++i) sessions.push_back(stage.enter<ConsumerSession>(ConsumerOptions{}));
  std::set<uint32_t> client_ids;
  std::set<int64_t> correlation_ids;
  for (const auto& request : stage.port.all<ShmAttachRequest>()) {
    client_ids.insert(request.client_id);
    correlation_ids.insert(request.correlation_id);
  }
  EXPECT_EQ(client_ids.size(), 200u);
  EXPECT_FALSE(client_ids.contains(0));
  EXPECT_EQ(correlation_ids.size(), 200u);
  EXPECT_FALSE(correlation_ids.contains(0));
  // Not counted from 1 in every process: another's answers are not taken for ours.
  EXPECT_FALSE(std::any_of(correlation_ids.begin(), correlation_ids.end(), [](int64_t id) { return id > 0 && id < 1'000'000; }));
}

TEST(AttachTest, GivesALeaseBackThatARepeatOfARefusedRequestWasGranted) {  // driver.md 15.1
  Stage stage;
  const auto session = stage.enter<ProducerSession>(ProducerOptions{}, 0);
  stage.pass(*session, 1'500 * kNsPerMs);
  ASSERT_EQ(stage.port.count<ShmAttachRequest>(), 2u);
  session->on(stage.refuse(wire::ResponseCode::rejected, "producer already attached"), stage.now());
  session->on(stage.grant(stage.make_epoch(100), 502), stage.now());  // the other producer left between the two
  ASSERT_EQ(stage.port.count<ShmDetachRequest>(), 1u);
  EXPECT_EQ(stage.port.all<ShmDetachRequest>()[0].lease_id, 502u);
}

TEST(AttachTest, ChecksEveryFieldOfAnAnswer) {  // D-54, D-11
  Stage stage;
  const auto session = stage.enter<ConsumerSession>(ConsumerOptions{});
  const auto good = stage.grant(stage.make_epoch(100));
  EXPECT_NO_THROW(check_response(good, wire::Role::consumer, kStream, stage.t));

  struct Case {
    const char* what;
    std::function<void(wire::ShmAttachResponse&)> spoil;
  };
  const Case cases[] = {
      {"leaseId", [](auto& r) { r.lease_id.reset(); }},
      {"leaseId", [](auto& r) { r.lease_id = 0; }},
      {"streamId", [](auto& r) { r.stream_id.reset(); }},
      {"streamId", [](auto& r) { r.stream_id = 0; }},
      {"streamId", [](auto& r) { r.stream_id = kStream + 1; }},
      {"epoch", [](auto& r) { r.epoch.reset(); }},
      {"epoch", [](auto& r) { r.epoch = 0; }},
      {"layoutVersion", [](auto& r) { r.layout_version.reset(); }},
      {"", [](auto& r) { r.layout_version = 2; }},
      {"headerNslots", [](auto& r) { r.header_nslots.reset(); }},
      {"", [](auto& r) { r.header_nslots = 6; }},
      {"", [](auto& r) { r.header_nslots = 0; }},
      {"headerSlotBytes", [](auto& r) { r.header_slot_bytes.reset(); }},
      {"", [](auto& r) { r.header_slot_bytes = 128; }},
      {"", [](auto& r) { r.pools.clear(); }},
      {"", [](auto& r) { r.pools[0].nslots = 16; }},
      {"", [](auto& r) { r.pools[0].stride_bytes = 100; }},
      {"", [](auto& r) { r.pools[0].stride_bytes = 0; }},
      {"", [](auto& r) { r.pools[0].region_uri.clear(); }},
      {"", [](auto& r) { r.pools.push_back(r.pools[0]); }},
      {"", [](auto& r) { r.header_region_uri.clear(); }},
      {"leaseExpiryTimestampNs", [&](auto& r) { r.lease_expiry_timestamp_ns = stage.t; }},
  };
  int index = 0;
  for (const auto& [what, spoil] : cases) {
    auto bad = good;
    spoil(bad);
    try {
      check_response(bad, wire::Role::consumer, kStream, stage.t);
      ADD_FAILURE() << "case " << index << " (" << what << ") was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kCorrupt) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(what));
    }
    ++index;
  }
  auto dynamic = good;
  dynamic.stream_id = kStream + 1;
  EXPECT_NO_THROW(check_response(dynamic, wire::Role::producer, kStream, stage.t)) << "a producer adopts what a dynamic driver gives";
  auto unlimited = good;
  unlimited.lease_expiry_timestamp_ns.reset();
  unlimited.node_id.reset();
  EXPECT_NO_THROW(check_response(unlimited, wire::Role::consumer, kStream, stage.t));
}

TEST(AttachTest, GivesTheLeaseBackWhenTheRegionsDoNotMap) {  // D-54, W-31
  Stage stage;
  const auto session = stage.enter<ProducerSession>(ProducerOptions{}, 0);
  auto regions = stage.make_epoch(100);
  regions.pools[0].stride_bytes = 8192;  // the file is too short for that
  session->on(stage.grant(regions, 503), stage.now());
  EXPECT_EQ(session->handover()->state(), State::kBackoff);
  ASSERT_EQ(stage.port.count<ShmDetachRequest>(), 1u);
  EXPECT_EQ(stage.port.all<ShmDetachRequest>()[0].lease_id, 503u);
  EXPECT_EQ(session->handover()->epoch(), 0u);
  stage.pass(*session, 200 * kNsPerMs);
  EXPECT_EQ(session->handover()->state(), State::kAttaching) << "and asks again";
  EXPECT_EQ(stage.port.count<ShmLeaseKeepalive>(), 0u);
}

TEST(AttachTest, SaysWhatMayNotBeMapped) {  // D-54, W-24
  Stage stage;
  transport::testing::TestDir elsewhere;
  stage.settings->policy = shm::MapPolicy({.allowed_base_dirs = {elsewhere.path()}});
  const auto session = stage.enter<ConsumerSession>(ConsumerOptions{});
  session->on(stage.grant(stage.make_epoch(100)), stage.now());
  ASSERT_TRUE(session->handover()->failure()) << "no waiting helps";
  EXPECT_EQ(session->handover()->failure()->code(), Code::kPermission);
  EXPECT_THAT(session->handover()->failure()->what(), AllOf(HasSubstr("cannot attach to stream 10000"), HasSubstr("allowed_base_dirs")));
}

TEST(AttachTest, AsksForTheStreamThatADynamicDriverGaveEverAfter) {  // driver.md 12
  Stage stage;
  const auto session = stage.enter<ProducerSession>(ProducerOptions{.stream = "0"});
  EXPECT_EQ(stage.port.all<ShmAttachRequest>().back().stream_id, 0u);
  session->on(stage.grant(stage.make_epoch(100, 20001), 500), stage.now());
  EXPECT_EQ(session->handover()->stream_id(), 20001u);
  session->disconnected("gone");
  session->connected(stage.now());
  EXPECT_EQ(stage.port.all<ShmAttachRequest>().back().stream_id, 20001u);
}

TEST(AttachTest, TellsTheHandlerEachStepAndSurvivesItsThrowing) {
  Stage stage;
  std::vector<State> seen;
  ProducerOptions options;
  options.on_state = [&](const StateChange& change) {
    seen.push_back(change.state);
    throw std::runtime_error("an application's mistake");
  };
  const auto session = stage.enter<ProducerSession>(options);
  session->on(stage.grant(stage.make_epoch(100)), stage.now());
  session->disconnected("gone");
  EXPECT_THAT(seen, ::testing::ElementsAre(State::kAttaching, State::kAttached, State::kConnecting));
}

// ---- keepalives ----------------------------------------------------------------------------------------------------------

TEST_F(ProducerSessionTest, SendsKeepalivesFromTheFirstMomentOn) {  // D-57
  session->poll(stage.now());
  ASSERT_EQ(stage.port.count<ShmLeaseKeepalive>(), 1u) << "at once";
  const auto first = stage.port.all<ShmLeaseKeepalive>()[0];
  EXPECT_EQ(first.lease_id, 500u);
  EXPECT_EQ(first.stream_id, kStream);
  EXPECT_EQ(first.client_id, client_id);
  EXPECT_EQ(first.role, 1);
  EXPECT_EQ(first.client_timestamp_ns, stage.t);
  stage.pass(*session, 10 * kPeriodNs);
  EXPECT_EQ(stage.port.count<ShmLeaseKeepalive>(), 11u);
  EXPECT_EQ(link().state(), State::kAttached);
}

TEST(KeepaliveTest, KeepsPaceWithALeaseThatLivesShorterThanOurInterval) {  // D-57, driver.md 15.3
  Stage stage;
  const auto session = stage.enter<ConsumerSession>(ConsumerOptions{});
  auto granted = stage.grant(stage.make_epoch(100));
  granted.lease_expiry_timestamp_ns = stage.t + 300 * kNsPerMs;
  session->on(granted, stage.now());
  stage.pass(*session, 3 * kNsPerSecond, 10 * kNsPerMs);
  EXPECT_EQ(session->handover()->state(), State::kAttached);
  EXPECT_GE(stage.port.count<ShmLeaseKeepalive>(), 29u);
}

TEST_F(ProducerSessionTest, LosesTheLeaseWhenNothingWentOutForItsLife) {  // D-57, P-4
  session->poll(stage.now());
  auto claimed_from = map();
  stage.t += 3 * kPeriodNs + 1;  // nobody polled
  session->poll(stage.now());
  EXPECT_EQ(link().state(), State::kBackoff);
  EXPECT_THAT(link().why(), HasSubstr("no keepalive went out for 3 s"));
  EXPECT_EQ(map(), nullptr);
  EXPECT_FALSE(claimed_from->alive()) << "and every claim and view of it says so";
  EXPECT_EQ(stage.port.count<ShmDetachRequest>(), 1u) << "the driver may still hold it in our name";
}

TEST_F(ProducerSessionTest, LetsTheApplicationKnowHowLongTheLeaseIsGood) {  // D-57
  session->poll(stage.now());
  EXPECT_EQ(link().lease_deadline_ns(), stage.t + 3 * kPeriodNs);
  stage.pass(*session, kPeriodNs);
  EXPECT_EQ(link().lease_deadline_ns(), stage.t + 3 * kPeriodNs);
}

TEST_F(ProducerSessionTest, RidesOutBackPressureForOneInterval) {  // D-57, driver.md 15.3
  session->poll(stage.now());
  stage.port.result = transport::SendResult::kBackPressured;
  stage.pass(*session, 1'900 * kNsPerMs);
  EXPECT_EQ(link().state(), State::kAttached);
  stage.port.result = transport::SendResult::kOk;
  stage.pass(*session, 50 * kNsPerMs);
  EXPECT_EQ(stage.port.count<ShmLeaseKeepalive>(), 2u);

  stage.port.result = transport::SendResult::kAdminAction;
  const uint64_t from = stage.t;
  while (link().state() == State::kAttached && stage.t < from + 10 * kPeriodNs) stage.pass(*session, 50 * kNsPerMs);
  EXPECT_EQ((stage.t - from) / kPeriodNs, 2u) << "one until the next is due, one of trying";
  EXPECT_THAT(link().why(), HasSubstr("admin action"));
}

TEST_F(ProducerSessionTest, TakesAKeepaliveThatCannotGoOutForALostLease) {  // D-57
  for (const auto result : {transport::SendResult::kNotConnected, transport::SendResult::kClosed, transport::SendResult::kError}) {
    stage.port.result = result;
    stage.t += kPeriodNs;
    session->poll(stage.now());
    EXPECT_EQ(link().state(), State::kBackoff) << transport::name_of(result);
    stage.port.result = transport::SendResult::kOk;
    stage.pass(*session, 300 * kNsPerMs);
    regions = stage.make_epoch(regions.epoch + 1);
    session->on(stage.grant(regions), stage.now());
    session->poll(stage.now());
    ASSERT_EQ(link().state(), State::kAttached);
  }
}

}  // namespace
}  // namespace tidepool::client::session_test
