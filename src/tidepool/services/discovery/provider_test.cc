// The service as others meet it: over real Aeron, driven by the test's one thread, with a clock that moves only when told.
#include "tidepool/services/discovery/provider.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/control/dispatch.h"
#include "tidepool/services/discovery/responses.h"
#include "tidepool/services/discovery/test_discovery.h"
#include "tidepool/transport/test_media_driver.h"
#include "tidepool/transport/test_udp.h"

namespace tidepool::discovery {
namespace {

using testing::announce;
using testing::config;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kChannel;
using testing::request;
using ::testing::SizeIs;
using testing::source;
using transport::testing::free_udp_port;
using transport::testing::poll_until;
using transport::testing::TestMediaDriver;
using wire::DiscoveryStatus;

struct ProviderTest : ::testing::Test {
  // Everything from `with` on; the raw peer's planes connected to it.
  void serve(DiscoveryConfig with = config()) {
    with.aeron_dir = media.dir();
    with.media_driver_timeout_ms = 2'000;
    provider.emplace(with, clock);
    join();
  }
  void join() {
    connection = media.connect();
    announces_a = connection->add_publication(kChannel, 1001);
    announces_b = connection->add_publication(kChannel, 2001);
    metadata_a = connection->add_publication(kChannel, 1300);
    requests = connection->add_publication(kChannel, 7000);
    listen();
    ASSERT_TRUE(until(
        [&] { return announces_a->connected() && announces_b->connected() && metadata_a->connected() && requests->connected(); }));
  }
  void listen(const std::string& channel = kChannel, int32_t stream_id = 7004) {
    in = connection->add_subscription(channel, stream_id);
  }

  void on(const wire::DiscoveryResponse& message, const transport::MessageInfo&) { heard.push_back(message); }
  void poll() {
    connection->poll();
    provider->poll();
    if (in)
      in->poll([&](Bytes message, const transport::MessageInfo& info) { control::dispatch(message, info, *this, counts); }, 10);
  }
  template <typename Done>
  [[nodiscard]] bool until(Done&& done) {
    return poll_until([&] {
      poll();
      return done();
    });
  }
  void send_bytes(transport::Publication& to, const std::vector<std::byte>& bytes) {
    ASSERT_TRUE(until([&] { return to.send(bytes) == transport::SendResult::kOk; }));
  }
  template <typename Message>
  void send(transport::Publication& to, const Message& message) {
    send_bytes(to, wire::encode_new(message));
  }
  // A request that everybody may make, and its answer: whatever was sent before has been dealt with.
  wire::DiscoveryResponse ask(wire::DiscoveryRequest r = request()) {
    r.request_id = ++last_id;
    send(*requests, r);
    const wire::DiscoveryResponse* mine = nullptr;
    EXPECT_TRUE(until([&] {
      for (const auto& response : heard) {
        if (response.request_id == last_id) mine = &response;
      }
      return mine != nullptr;
    }));
    return mine != nullptr ? *mine : wire::DiscoveryResponse{};
  }
  void announce_streams(uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) send(*announces_a, announce(10000 + i));
    ASSERT_TRUE(until([&] { return provider->counts().announces >= count; }));
  }

  TestMediaDriver media;
  ManualClock clock;
  std::optional<Provider> provider;
  std::shared_ptr<transport::Connection> connection;
  std::shared_ptr<transport::Publication> announces_a, announces_b, metadata_a, requests;
  std::shared_ptr<transport::Subscription> in;
  std::vector<wire::DiscoveryResponse> heard;
  control::DispatchCounts counts;
  uint64_t last_id = 1'000'000;
};

TEST_F(ProviderTest, AnswersWhereTheRequestSaysWithWhatDriversAnnounce) {  // DS-5, DS-10, DS-18, DS-28
  serve();
  send(*announces_a, announce(10000));
  send(*metadata_a, source(10000, "cam1"));
  send(*announces_b, announce(10000, 3));
  ASSERT_TRUE(until([&] { return provider->counts().announces == 2 && provider->counts().metadata == 1; }));
  const auto response = ask();
  EXPECT_EQ(response.status, DiscoveryStatus::ok);
  ASSERT_THAT(response.results, SizeIs(2));
  EXPECT_EQ(response.results[0].driver_instance_id, "lab-a");
  EXPECT_EQ(response.results[0].data_source_name, "cam1");
  EXPECT_EQ(response.results[0].driver_control_stream_id, 1000u);
  EXPECT_EQ(response.results[1].driver_instance_id, "lab-b");
  EXPECT_EQ(response.results[1].data_source_name, "");
  EXPECT_EQ(response.results[1].epoch, 3u);
  EXPECT_EQ(response.results[1].driver_control_stream_id, 2000u);
  EXPECT_EQ(provider->live_streams(), 2u);
}

TEST_F(ProviderTest, UnderstandsBothDialectsOfRequests) {  // DS-8, DS-40
  serve();
  announce_streams(1);
  auto asked = request(41);
  std::vector<std::byte> bytes = wire::encode_new(asked);
  store(bytes.data() + wire::kMessageHeaderBytes + 32, uint16_t{4});  // tags that count their length word
  bytes.resize(bytes.size() - 4);                                       // and no name
  send_bytes(*requests, bytes);
  ASSERT_TRUE(until([&] { return heard.size() == 1; }));
  EXPECT_EQ(heard[0].request_id, 41u);
  EXPECT_THAT(heard[0].results, SizeIs(1));
}

TEST_F(ProviderTest, SkipsAndCountsWhatIsNoRequestOfThisVersion) {  // DS-4, DS-29
  serve();
  const std::vector<std::byte> good = wire::encode_new(request());
  const auto with = [&](size_t at, uint16_t value) {
    std::vector<std::byte> bytes = good;
    store(bytes.data() + at, value);
    return bytes;
  };
  send_bytes(*requests, with(6, 2));        // version
  send_bytes(*requests, with(6, 0));
  send_bytes(*requests, with(0, 31));       // block length
  send_bytes(*requests, with(0, 33));
  send_bytes(*requests, with(8 + 34, 60));  // more tags than there are
  send_bytes(*requests, with(4, 904));      // foreign: not counted as ours
  send_bytes(*requests, with(2, 99));
  send_bytes(*requests, {good.begin(), good.begin() + 7});
  send_bytes(*requests, {good.begin(), good.end() - 6});
  send(*requests, wire::DiscoveryResponse{});  // an answer on a shared stream (DS-4)
  EXPECT_EQ(ask().status, DiscoveryStatus::ok);
  EXPECT_THAT(heard, SizeIs(1));
  EXPECT_EQ(provider->counts().requests_malformed, 6u);
  EXPECT_EQ(provider->counts().requests, 1u);
}

TEST_F(ProviderTest, SpeaksForNoDriver) {  // DS-1, DS-2
  serve();
  auto control = connection->add_subscription(kChannel, 7000);  // where we ask, and where it would have to answer
  std::vector<uint16_t> templates;
  wire::ShmAttachRequest attach;
  attach.stream_id = 10000;
  attach.client_id = 5;
  attach.role = 2;
  send(*requests, attach);
  send(*requests, wire::ShmDetachRequest{});
  send(*requests, wire::ShmLeaseKeepalive{});
  ask();
  control->poll([&](Bytes message, const transport::MessageInfo&) { templates.push_back(wire::read_header(message)->schema_id); },
                100);
  EXPECT_THAT(templates, ElementsAre(901, 901, 901, 910)) << "our own messages, and no other";
}

TEST_F(ProviderTest, AnswersNobodyWithoutAChannel) {  // DS-22
  DiscoveryConfig with = config();
  with.answer_on_stream_zero = true;
  serve(with);
  wire::DiscoveryRequest r = request(7);
  r.response_channel.clear();
  send(*requests, r);
  r.response_stream_id = 0;
  send(*requests, r);
  ask();
  EXPECT_THAT(heard, SizeIs(1));
  EXPECT_EQ(provider->counts().requests_without_channel, 2u);
}

TEST_F(ProviderTest, DropsStreamIdsThatAeronDoesNotHave) {  // DS-6, DS-23
  serve();
  for (const uint32_t id : {0u, 0x80000000u, 0xFFFFFFFFu}) {
    wire::DiscoveryRequest r = request(7);
    r.response_stream_id = id;
    send(*requests, r);
  }
  ask();
  EXPECT_THAT(heard, SizeIs(1));
  EXPECT_EQ(provider->counts().requests_bad_stream, 3u);
  wire::DiscoveryRequest highest = request(8);
  highest.response_stream_id = 0x7FFFFFFF;
  listen(kChannel, 0x7FFFFFFF);
  send(*requests, highest);
  ASSERT_TRUE(until([&] { return heard.size() == 2; }));
}

TEST_F(ProviderTest, AnswersOnStreamZeroOnlyIfToldSo) {  // DS-23
  DiscoveryConfig with = config();
  with.answer_on_stream_zero = true;
  serve(with);
  listen(kChannel, 0);
  wire::DiscoveryRequest r = request(7);
  r.response_stream_id = 0;
  send(*requests, r);
  ASSERT_TRUE(until([&] { return heard.size() == 1; }));
  EXPECT_EQ(heard[0].status, DiscoveryStatus::error);
  EXPECT_EQ(heard[0].request_id, 7u);
  EXPECT_EQ(heard[0].error_message, "response_stream_id must be non-zero");
}

TEST_F(ProviderTest, OpensNoHostileChannel) {  // DS-36
  serve();
  const std::vector<std::string> hostile = {"aeron:udp?endpoint=192.0.2.1:9",
                                            "aeron-spy:aeron:ipc",
                                            "aeron:ipc?session-id=1",
                                            "aeron:ipc?term-length=1g",
                                            "nonsense",
                                            std::string(1025, 'a'),
                                            std::string("aeron:ipc\0", 10)};
  for (const std::string& channel : hostile) {
    wire::DiscoveryRequest r = request(7);
    r.response_channel = channel;
    send(*requests, r);
  }
  EXPECT_EQ(ask().status, DiscoveryStatus::ok);
  EXPECT_EQ(provider->counts().requests_refused, hostile.size());
  EXPECT_EQ(provider->counts().requests, 1u);
  EXPECT_EQ(provider->counts().responses.sent, 1u);
  EXPECT_EQ(provider->counts().responses.failed, 0u) << "Aeron was not even asked";
}

TEST_F(ProviderTest, LogsStrangersSeldomAndPrintably) {  // DS-39
  std::vector<std::string> lines;
  serve();
  set_log_sink([&](LogLevel, std::string_view role, std::string_view text) { lines.push_back(concat(role, ": ", text)); },
               LogLevel::kTrace);
  wire::DiscoveryRequest r = request(7);
  r.response_channel = "evil\x1b[2J\xff";
  for (int i = 0; i < 20; ++i) send(*requests, r);
  ASSERT_TRUE(until([&] { return provider->counts().requests_refused == 20; }));
  EXPECT_THAT(lines, SizeIs(1)) << "one line a second, whoever asks however often";
  clock.advance_ns(kNsPerSecond);
  send(*requests, r);
  ASSERT_TRUE(until([&] { return provider->counts().requests_refused == 21; }));
  set_log_sink({}, LogLevel::kInfo);
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_THAT(lines[0], HasSubstr("the response channel evil"));
  EXPECT_THAT(lines[1], HasSubstr("19 such lines unsaid"));
  for (const std::string& line : lines) {
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
    EXPECT_EQ(line.find('\xff'), std::string::npos);
  }
}

TEST_F(ProviderTest, GoesOnWhenAeronRefusesAChannel) {  // DS-31, DS-36
  serve();
  ask();  // a publication with terms of 64 KiB is there
  wire::DiscoveryRequest r = request(7);
  r.response_channel = "aeron:ipc?term-length=128k";  // which the media driver refuses beside it
  send(*requests, r);
  ASSERT_TRUE(until([&] { return provider->counts().responses.failed == 1; }));
  EXPECT_EQ(ask().status, DiscoveryStatus::ok);
}

TEST_F(ProviderTest, AnAnswerWaitsForItsSubscriber) {  // DS-31: one client asks once and waits
  serve();
  announce_streams(1);
  in.reset();
  send(*requests, request(7));
  ASSERT_TRUE(until([&] { return provider->counts().requests == 1; }));
  for (int i = 0; i < 1000; ++i) poll();
  clock.advance_ns(999 * kNsPerMs);
  listen();
  ASSERT_TRUE(until([&] { return heard.size() == 1; }));
  EXPECT_THAT(heard[0].results, SizeIs(1));
  EXPECT_EQ(provider->counts().responses.expired, 0u);
}

TEST_F(ProviderTest, AnAnswerThatNobodyTakesIsDroppedAfterTheLinger) {  // DS-31
  serve();
  in.reset();
  send(*requests, request(7));
  ASSERT_TRUE(until([&] { return provider->counts().requests == 1; }));
  clock.advance_ns(kNsPerSecond);
  ASSERT_TRUE(until([&] { return provider->counts().responses.expired == 1; }));
  listen();
  EXPECT_EQ(ask().status, DiscoveryStatus::ok);
  EXPECT_THAT(heard, SizeIs(1)) << "the first one is gone";
}

TEST_F(ProviderTest, ALingerOfZeroIsOneTry) {  // DS-31
  DiscoveryConfig with = config();
  with.response_linger_ms = 0;
  with.max_requests_per_second = 0;
  serve(with);
  send(*requests, request(7));  // its publication is new: nobody is connected to it yet, perhaps
  ASSERT_TRUE(until([&] { return provider->counts().responses.expired + provider->counts().responses.sent == 1; }));
  ASSERT_TRUE(until([&] { return in->connected(); }));
  heard.clear();
  EXPECT_EQ(ask().status, DiscoveryStatus::ok) << "that one had somebody to go to";
  in.reset();
  const uint64_t expired = provider->counts().responses.expired;
  ASSERT_TRUE(until([&] {
    send(*requests, request(8));
    return provider->counts().responses.expired > expired;
  }));
}

TEST_F(ProviderTest, BackPressureLosesNothing) {  // DS-31
  DiscoveryConfig with = config();
  with.max_requests_per_second = 0;
  serve(with);
  announce_streams(20);
  auto stalled = std::exchange(in, nullptr);  // subscribed, and not reading: the log of 64 KiB fills
  constexpr size_t kRequests = 60;
  for (size_t i = 1; i <= kRequests; ++i) send(*requests, request(i));
  ASSERT_TRUE(until([&] { return provider->counts().requests == kRequests; }));
  for (int i = 0; i < 1000; ++i) poll();
  EXPECT_LT(provider->counts().responses.sent, kRequests) << "more than the log holds";
  in = stalled;
  ASSERT_TRUE(until([&] { return heard.size() == kRequests; }));
  for (size_t i = 0; i < kRequests; ++i) EXPECT_EQ(heard[i].request_id, i + 1);
}

TEST_F(ProviderTest, WhatWaitsIsBounded) {  // DS-36, DS-31
  DiscoveryConfig with = config();
  with.max_requests_per_second = 0;
  serve(with);
  in.reset();
  for (size_t i = 1; i <= Responses::kMaxWaiting + 20; ++i) send(*requests, request(i));
  ASSERT_TRUE(until([&] { return provider->counts().requests == Responses::kMaxWaiting + 20; }));
  EXPECT_EQ(provider->counts().responses.refused, 20u);
}

TEST_F(ProviderTest, AnswersOfManyFragmentsArriveWhole) {  // DS-30
  serve();
  announce_streams(40);
  const auto response = ask();
  EXPECT_GT(wire::encoded_bytes(response), 4096u);
  ASSERT_THAT(response.results, SizeIs(40));
  EXPECT_EQ(response.results[39].stream_id, 10039u);
}

TEST_F(ProviderTest, AnswersOverUdpToAddressesThatAreListed) {  // DS-5, DS-30, DS-36
  DiscoveryConfig with = config();
  with.allowed_response_channels = {"aeron:ipc", "aeron:udp?endpoint=127.0.0.1:"};
  serve(with);
  announce_streams(40);
  wire::DiscoveryRequest r = request();
  r.response_channel = concat("aeron:udp?endpoint=127.0.0.1:", free_udp_port(), "|term-length=1m");
  listen(r.response_channel);
  EXPECT_THAT(ask(r).results, SizeIs(40)) << "of many datagrams";
  r.response_channel = "aeron:udp?endpoint=localhost:1";
  send(*requests, r);
  ASSERT_TRUE(until([&] { return provider->counts().requests_refused == 1; }));
}

TEST_F(ProviderTest, AnAnswerBeyondItsPublicationSaysSo) {  // DS-28, DS-30: an eighth of 64 KiB
  serve();
  announce_streams(70);
  const auto response = ask();
  EXPECT_EQ(response.status, DiscoveryStatus::error);
  EXPECT_EQ(response.error_message, "response too large");
  EXPECT_THAT(response.results, IsEmpty());
  wire::DiscoveryRequest r = request(7);
  r.response_channel = "aeron:ipc?term-length=1m";
  r.response_stream_id = 7005;
  listen("aeron:ipc?term-length=1m", 7005);
  EXPECT_THAT(ask(r).results, SizeIs(70));
}

TEST_F(ProviderTest, PublicationsAreBoundedAndTheOldestGoes) {  // DS-36
  DiscoveryConfig with = config();
  with.max_response_publications = 2;
  serve(with);
  for (uint32_t id = 7010; id < 7015; ++id) {
    listen(kChannel, static_cast<int32_t>(id));
    wire::DiscoveryRequest r = request();
    r.response_stream_id = id;
    EXPECT_EQ(ask(r).status, DiscoveryStatus::ok);
    clock.advance_ns(1);
  }
  EXPECT_EQ(provider->counts().responses.evicted, 3u);
  EXPECT_EQ(provider->counts().responses.sent, 5u);
}

TEST_F(ProviderTest, IdlePublicationsAreClosed) {  // DS-36
  serve();
  ask();
  clock.advance_ns(60 * kNsPerSecond - 1);
  for (int i = 0; i < 100; ++i) poll();
  EXPECT_EQ(provider->counts().responses.idle_closed, 0u);
  clock.advance_ns(1);
  ASSERT_TRUE(until([&] { return provider->counts().responses.idle_closed == 1; }));
  ASSERT_TRUE(until([&] { return !in->connected(); })) << "its subscriber sees it go";
  EXPECT_EQ(ask().status, DiscoveryStatus::ok);
}

TEST_F(ProviderTest, ASourceThatAsksTooOftenIsDropped) {  // DS-36
  DiscoveryConfig with = config();
  with.max_requests_per_second = 3;
  serve(with);
  for (uint64_t i = 1; i <= 10; ++i) send(*requests, request(i));
  ASSERT_TRUE(until([&] { return provider->counts().requests_over_rate == 7; }));
  ASSERT_TRUE(until([&] { return heard.size() == 3; }));
  wire::DiscoveryRequest other = request();
  other.client_id = 8;  // on IPC all clients share one Aeron session: the client id tells them apart, as far as it can be believed
  EXPECT_EQ(ask(other).status, DiscoveryStatus::ok);
  clock.advance_ns(kNsPerSecond);
  EXPECT_EQ(ask().status, DiscoveryStatus::ok);
}

TEST_F(ProviderTest, AnnouncesOfACycleAreKnownToItsRequests) {  // DS-32
  serve();
  ask();  // everything is connected, the answer's publication too
  ASSERT_EQ(requests->send(wire::encode_new(request(7))), transport::SendResult::kOk);
  ASSERT_EQ(announces_a->send(wire::encode_new(announce(10000))), transport::SendResult::kOk);
  ASSERT_EQ(metadata_a->send(wire::encode_new(source(10000, "cam1"))), transport::SendResult::kOk);
  provider->poll();  // once
  heard.clear();
  ASSERT_TRUE(poll_until([&] {
    in->poll([&](Bytes message, const transport::MessageInfo& info) { control::dispatch(message, info, *this, counts); }, 10);
    return !heard.empty();
  }));
  ASSERT_THAT(heard[0].results, SizeIs(1));
  EXPECT_EQ(heard[0].results[0].data_source_name, "cam1");
}

TEST_F(ProviderTest, AfterAStallAnnouncesAreHeardBeforeRequestsAreAnswered) {  // DS-15, DS-32
  serve();
  announce_streams(1);
  ask();
  clock.advance_ns(10 * kNsPerSecond);  // the stall; meanwhile the driver announced, on a stream that it shares
  const std::vector<std::byte> other = wire::encode_new(wire::ShmLeaseKeepalive{});
  for (int i = 0; i < 200; ++i) ASSERT_EQ(announces_a->send(other), transport::SendResult::kOk);
  ASSERT_EQ(announces_a->send(wire::encode_new(announce(10000))), transport::SendResult::kOk);
  EXPECT_THAT(ask().results, SizeIs(1));
}

TEST_F(ProviderTest, OneCycleTakesTenRequests) {  // DS-32
  DiscoveryConfig with = config();
  with.max_requests_per_second = 0;
  serve(with);
  ask();
  for (uint64_t i = 0; i < 25; ++i) ASSERT_EQ(requests->send(wire::encode_new(request(i))), transport::SendResult::kOk);
  const uint64_t before = provider->counts().requests;
  provider->poll();
  EXPECT_EQ(provider->counts().requests, before + 10);
  provider->poll();
  EXPECT_EQ(provider->counts().requests, before + 20);
}

TEST_F(ProviderTest, StreamsExpireWhateverMetadataSays) {  // DS-15, DS-16
  serve();
  announce_streams(1);
  clock.advance_ns(3 * kNsPerSecond - 1);
  EXPECT_THAT(ask().results, SizeIs(1));
  send(*metadata_a, source(10000, "cam1"));
  wire::DataSourceMeta meta;
  meta.stream_id = 10000;
  send(*metadata_a, meta);
  clock.advance_ns(1);
  EXPECT_THAT(ask().results, IsEmpty());
  EXPECT_EQ(provider->live_streams(), 0u);
  clock.advance_ns(27 * kNsPerSecond);
  ASSERT_TRUE(until([&] { return provider->counts().forgotten == 1; }));
}

TEST_F(ProviderTest, AllPlanesMayBeOneStream) {  // DS-4, DS-5: announces, names, requests and answers
  DiscoveryConfig with = config();
  with.endpoints.resize(1);
  with.endpoints[0].announce = with.endpoints[0].metadata = with.request = {kChannel, 1000};
  with.aeron_dir = media.dir();
  provider.emplace(with, clock);
  connection = media.connect();
  requests = connection->add_publication(kChannel, 1000);
  listen(kChannel, 1000);
  ASSERT_TRUE(until([&] { return requests->connected(); }));
  send(*requests, announce(10000));
  send(*requests, source(10000, "cam1"));
  wire::DiscoveryRequest r = request();
  r.response_stream_id = 1000;
  const auto response = ask(r);
  ASSERT_THAT(response.results, SizeIs(1));
  EXPECT_EQ(response.results[0].data_source_name, "cam1");
}

TEST_F(ProviderTest, ComesBackWithItsMediaDriver) {  // DS-32
  serve();
  announce_streams(1);
  ask();
  in.reset();
  announces_a = announces_b = metadata_a = requests = nullptr;
  connection.reset();
  media.stop();
  ASSERT_TRUE(poll_until([&] {
    provider->poll();
    return !provider->connected();
  }));
  media.start();
  ASSERT_TRUE(poll_until([&] {
    provider->poll();
    clock.advance_ns(kNsPerMs);  // its pauses are by this clock
    return provider->connected();
  }));
  EXPECT_EQ(provider->counts().reconnects, 1u);
  join();
  send(*announces_a, announce(10001));
  ASSERT_TRUE(until([&] { return provider->counts().announces == 2; }));
  EXPECT_EQ(ask().status, DiscoveryStatus::ok);
  EXPECT_EQ(provider->counts().responses.sent, 2u) << "of both lives";
}

TEST_F(ProviderTest, RefusesAConfigurationThatCannotBe) {  // CFG-17, CFG-1
  DiscoveryConfig with = config();
  with.aeron_dir = media.dir();
  with.endpoints[1].announce = with.endpoints[0].announce;
  with.endpoints[1].instance_id = "lab-a";
  try {
    Provider refused(with, clock);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("driver_instance_id is \"lab-a\" again"));
    EXPECT_THAT(error.what(), HasSubstr("expected each driver to be heard on an endpoint of its own"));
  }
}

}  // namespace
}  // namespace tidepool::discovery
