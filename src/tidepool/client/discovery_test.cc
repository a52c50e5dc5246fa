// Asking discovery: against a service that says what the test wants, right or wrong, over real Aeron. With the real service:
// tests/discovery/.
#include "tidepool/client/discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tidepool/base/error.h"
#include "tidepool/base/test_error.h"
#include "tidepool/client/options.h"
#include "tidepool/client/test_peer.h"

namespace tidepool::client::discovery_test {
namespace {

using ::testing::AllOf;
using testing::client_options;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kChannel;
using testing::ScriptedDriver;
using ::testing::SizeIs;
using transport::testing::poll_until;
using transport::testing::TestDir;
using transport::testing::TestMediaDriver;
using wire::DiscoveryStatus;

constexpr int32_t kRequests = 7000;
constexpr int32_t kAnswers = 7004;

wire::DiscoveryResult result(uint32_t stream_id, const std::string& instance = "lab", uint64_t epoch = 5) {
  wire::DiscoveryResult out;
  out.stream_id = stream_id;
  out.epoch = epoch;
  out.layout_version = 1;
  out.header_nslots = 64;
  out.driver_control_stream_id = 1000;
  out.pools = {{1, 64, 4096, "shm:file?path=/dev/shm/t/1.pool"}};
  out.header_region_uri = "shm:file?path=/dev/shm/t/header.ring";
  out.data_source_name = "cam1";
  out.driver_instance_id = instance;
  out.driver_control_channel = kChannel;
  return out;
}

// ---- what an answer is worth -----------------------------------------------------------------------------------------------

std::vector<std::string> kept(std::vector<wire::DiscoveryResult> results) {
  wire::DiscoveryResponse response;
  response.results = std::move(results);
  std::vector<std::string> out;
  for (const auto& stream : judge(response).streams) {
    out.push_back(stream.driver_instance_id + "/" + std::to_string(stream.stream_id) + "@" + std::to_string(stream.epoch));
  }
  return out;
}

TEST(DiscoveryJudgeTest, ABadResultIsLeftOutAndTheOthersAreKept) {  // DS-35
  const auto spoiled = [](auto&& spoil) {
    wire::DiscoveryResult bad = result(2);
    spoil(bad);
    return kept({result(1), bad, result(3)});
  };
  const std::vector<std::string> others = {"lab/1@5", "lab/3@5"};
  EXPECT_EQ(spoiled([](auto& r) { r.driver_control_channel.clear(); }), others);
  EXPECT_EQ(spoiled([](auto& r) { r.driver_control_channel = "aeron-spy:aeron:ipc"; }), others);
  EXPECT_EQ(spoiled([](auto& r) { r.driver_control_stream_id = 0; }), others);
  EXPECT_EQ(spoiled([](auto& r) { r.driver_control_stream_id = 0x80000000; }), others);
  EXPECT_EQ(spoiled([](auto& r) { r.header_slot_bytes = 128; }), others);
  EXPECT_EQ(spoiled([](auto& r) { r.max_dims = 9; }), others);
  EXPECT_EQ(spoiled([](auto& r) { r.pools.clear(); }), others);
  EXPECT_EQ(spoiled([](auto& r) { r.pools[0].nslots = 32; }), others);
  EXPECT_EQ(spoiled([](auto& r) { r.pools[0].region_uri.clear(); }), others);
  EXPECT_EQ(spoiled([](auto& r) { r.header_region_uri.clear(); }), others);
  wire::DiscoveryResponse response;
  response.results = {result(1)};
  response.results[0].pools.clear();
  EXPECT_EQ(judge(response).discarded, 1u);
}

TEST(DiscoveryJudgeTest, OfOneStreamOfOneDriverTheHighestEpochIsKept) {  // DS-35, DS-3
  EXPECT_THAT(kept({result(1, "a", 5), result(1, "a", 7), result(1, "a", 7), result(1, "a", 6), result(1, "b", 1)}),
              ElementsAre("a/1@7", "b/1@1"));
}

TEST(DiscoveryJudgeTest, AnythingButOkHasNoResults) {  // DS-34
  for (const DiscoveryStatus status : {DiscoveryStatus::not_found, DiscoveryStatus::error}) {
    wire::DiscoveryResponse response;
    response.status = status;
    response.results = {result(1)};
    response.error_message = "why";
    const DiscoveryAnswer answer = judge(response);
    EXPECT_THAT(answer.streams, IsEmpty());
    EXPECT_EQ(answer.status, status);
    EXPECT_EQ(answer.error_message, "why");
  }
}

// ---- settings --------------------------------------------------------------------------------------------------------------

DiscoverySettings settings_of(const ClientOptions& options, std::map<std::string, std::string> variables = {}) {
  return resolve(options,
                 [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
                   const auto found = variables.find(name);
                   return found == variables.end() ? std::nullopt : std::optional(found->second);
                 })
      .discovery;
}

TEST(DiscoverySettingsTest, DefaultToTheConventionalEndpoints) {  // P-11, DS-42, config.md 7.1
  const DiscoverySettings s = settings_of({});
  EXPECT_EQ(s.request.channel, "aeron:ipc?term-length=1m");
  EXPECT_EQ(s.request.stream_id, 7000);
  EXPECT_EQ(s.response.channel, "aeron:ipc?term-length=1m");
  EXPECT_EQ(s.response.stream_id, 7004) << "7001 is by convention a stream of announces";
  EXPECT_EQ(s.timeout_ns, 5 * kNsPerSecond);
  EXPECT_EQ(s.retry_ns, kNsPerSecond);
}

TEST(DiscoverySettingsTest, FollowOptionsThenEnvironment) {  // P-12
  ClientOptions options;
  options.discovery = {"aeron:ipc?alias=x", 7};
  const std::map<std::string, std::string> variables = {{"CLIENT_DISCOVERY_STREAM_ID", "8"},
                                                        {"CLIENT_DISCOVERY_RESPONSE_STREAM_ID", "9"},
                                                        {"CLIENT_DISCOVERY_TIMEOUT_MS", "70"},
                                                        {"CLIENT_DISCOVERY_RETRY_INTERVAL_MS", "20"}};
  const DiscoverySettings s = settings_of(options, variables);
  EXPECT_EQ(s.request.channel, "aeron:ipc?alias=x");
  EXPECT_EQ(s.request.stream_id, 7);
  EXPECT_EQ(s.response.channel, "aeron:ipc?alias=x");
  EXPECT_EQ(s.response.stream_id, 9);
  EXPECT_EQ(s.timeout_ns, 70 * kNsPerMs);
  EXPECT_EQ(s.retry_ns, 20 * kNsPerMs);
  EXPECT_EQ(settings_of({}, variables).request.stream_id, 8);
}

TEST(DiscoverySettingsTest, MayBeSwitchedOffAndNeedAnAddressOverUdp) {  // config.md 7.1, DS-33
  EXPECT_EQ(settings_of({}, {{"CLIENT_DISCOVERY_STREAM_ID", "0"}}).request.stream_id, 0);
  ClientOptions off;
  off.discovery.stream_id = kDiscoveryOff;
  EXPECT_EQ(settings_of(off).request.stream_id, 0);
  ClientOptions udp;
  udp.discovery.channel = "aeron:udp?endpoint=somewhere:1";
  EXPECT_EQ(settings_of(udp).response.channel, "") << "the service's own address cannot be ours";
  EXPECT_THAT(thrown_by([] { DiscoveryClient({.request = {"aeron:udp?endpoint=somewhere:1", 7000}}); }).what(),
              HasSubstr("no discovery response channel: answers to a request on aeron:udp?endpoint=somewhere:1"));
  EXPECT_THAT(thrown_by([] { (void)settings_of({}, {{"CLIENT_DISCOVERY_CHANNEL", "ipc"}}); }).what(),
              HasSubstr("CLIENT_DISCOVERY_CHANNEL is 'ipc': expected an Aeron channel"));
  EXPECT_THAT(thrown_by([] { (void)settings_of({}, {{"CLIENT_DISCOVERY_STREAM_ID", "2147483648"}}); }).what(),
              HasSubstr("0 to 2147483647"));
}

// ---- with a service that says what the test wants --------------------------------------------------------------------------

class ScriptedService {
 public:
  explicit ScriptedService(const TestMediaDriver& media) : connection_(media.connect()) {
    in_ = connection_->add_subscription(kChannel, kRequests);
    out_ = std::make_unique<control::Sender>(connection_->add_publication(kChannel, kAnswers));
  }
  void poll() {
    connection_->poll();
    in_->poll([&](Bytes message, const transport::MessageInfo& info) { control::dispatch(message, info, *this, counts_); }, 10);
    out_->flush();
  }
  void on(const wire::DiscoveryRequest& request, const transport::MessageInfo&) {
    requests.push_back(request);
    if (on_request) on_request(request);
  }
  void answer(uint64_t request_id, std::vector<wire::DiscoveryResult> results, DiscoveryStatus status = DiscoveryStatus::ok,
              const std::string& text = {}) {
    wire::DiscoveryResponse response;
    response.request_id = request_id;
    response.status = status;
    response.results = std::move(results);
    response.error_message = text;
    EXPECT_TRUE(poll_until([&] {
      connection_->poll();
      return out_->send(response) == transport::SendResult::kOk;
    }));
  }

  std::vector<wire::DiscoveryRequest> requests;
  std::function<void(const wire::DiscoveryRequest&)> on_request;

 private:
  std::shared_ptr<transport::Connection> connection_;
  std::shared_ptr<transport::Subscription> in_;
  std::unique_ptr<control::Sender> out_;
  control::DispatchCounts counts_;
};

struct DiscoveryClientTest : ::testing::Test {
  DiscoveryOptions options() {
    DiscoveryOptions out;
    out.aeron_dir = media.dir();
    out.request = {kChannel, kRequests};
    out.response = {kChannel, kAnswers};
    out.timeout_ms = 30'000;
    out.retry_interval_ms = 30'000;
    out.keep_waiting = [this] {
      service.poll();
      return true;
    };
    return out;
  }
  // One poll of everybody at a time until there is an answer.
  std::optional<DiscoveryAnswer> wait(DiscoveryClient& client) {
    std::optional<DiscoveryAnswer> answer;
    EXPECT_TRUE(poll_until([&] {
      service.poll();
      answer = client.poll();
      return answer.has_value();
    }));
    return answer;
  }
  [[nodiscard]] bool requested(DiscoveryClient& client, size_t count) {
    return poll_until([&] {
      service.poll();
      EXPECT_FALSE(client.poll());
      return service.requests.size() >= count;
    });
  }

  TestMediaDriver media;
  ScriptedService service{media};
};

TEST_F(DiscoveryClientTest, AsksForWhatItIsGivenAndReturnsEveryResult) {  // DS-24, DS-33
  DiscoveryClient client(options());
  service.on_request = [&](const wire::DiscoveryRequest& request) {
    service.answer(request.request_id, {result(10000, "a"), result(10000, "b"), result(10001, "a")});
  };
  const DiscoveryAnswer answer =
      client.query({.stream_id = 10000, .producer_id = 0, .data_source_id = 5, .name = "cam1", .tags = {"left", "raw"}});
  ASSERT_THAT(service.requests, SizeIs(1));
  const wire::DiscoveryRequest& request = service.requests[0];
  EXPECT_EQ(request.stream_id, 10000u);
  EXPECT_EQ(request.producer_id, 0u);
  EXPECT_EQ(request.data_source_id, 5u);
  EXPECT_EQ(request.data_source_name, "cam1");
  EXPECT_THAT(request.tags, ElementsAre("left", "raw"));
  EXPECT_EQ(request.response_channel, kChannel);
  EXPECT_EQ(request.response_stream_id, static_cast<uint32_t>(kAnswers));
  EXPECT_EQ(request.client_id, client.client_id());
  EXPECT_EQ(request.request_id, (uint64_t{client.client_id()} << 32) + 1);
  ASSERT_THAT(answer.streams, SizeIs(3));
  EXPECT_EQ(answer.streams[0].driver_instance_id, "a");
  EXPECT_EQ(answer.streams[0].driver_control.channel, kChannel);
  EXPECT_EQ(answer.streams[0].driver_control.stream_id, 1000);
  EXPECT_EQ(answer.streams[0].data_source_name, "cam1");
  EXPECT_EQ(answer.streams[2].driver_instance_id, "b");
}

TEST_F(DiscoveryClientTest, AsksAgainWithAnotherIdAndDropsLateAnswers) {  // DS-42, DS-34
  DiscoveryOptions impatient = options();
  impatient.retry_interval_ms = 1;
  DiscoveryClient client(impatient);
  client.start({});
  ASSERT_TRUE(requested(client, 3));
  std::set<uint64_t> ids;
  for (const auto& request : service.requests) ids.insert(request.request_id);
  EXPECT_EQ(ids.size(), service.requests.size()) << "a new one each time";
  EXPECT_EQ(*ids.begin(), (uint64_t{client.client_id()} << 32) + 1);
  // Only the newest question is answered, and asked no more.
  DiscoveryClient patient(options());
  // Of the impatient one's questions some may be in the log still.
  const auto asked = [&] {
    std::vector<uint64_t> out;
    for (const auto& request : service.requests)
      if (request.client_id == patient.client_id()) out.push_back(request.request_id);
    return out;
  };
  const auto asked_times = [&](size_t times) {
    return poll_until([&] {
      service.poll();
      EXPECT_FALSE(patient.poll());
      return asked().size() >= times;
    });
  };
  patient.start({});
  ASSERT_TRUE(asked_times(1));
  patient.start({.name = "cam1"});
  ASSERT_TRUE(asked_times(2));
  service.answer(asked()[0], {result(1)});
  service.answer(asked()[1], {result(2)});
  const auto answer = wait(patient);
  ASSERT_TRUE(answer);
  ASSERT_THAT(answer->streams, SizeIs(1));
  EXPECT_EQ(answer->streams[0].stream_id, 2u);
}

TEST_F(DiscoveryClientTest, ListensToNobodyElsesAnswers) {  // DS-33, DS-34: on a shared response stream everybody hears everything
  DiscoveryClient one(options());
  DiscoveryClient two(options());
  EXPECT_NE(one.client_id(), two.client_id());
  one.start({});
  two.start({});
  ASSERT_TRUE(poll_until([&] {
    service.poll();
    EXPECT_FALSE(one.poll());
    EXPECT_FALSE(two.poll());
    return service.requests.size() == 2;
  }));
  for (const auto& request : service.requests) {
    service.answer(0, {result(99)});
    service.answer(request.request_id + 1, {result(99)});
    service.answer(request.request_id, {result(request.client_id == one.client_id() ? 1 : 2)});
  }
  EXPECT_EQ(wait(one)->streams.at(0).stream_id, 1u);
  EXPECT_EQ(wait(two)->streams.at(0).stream_id, 2u);
}

TEST_F(DiscoveryClientTest, NothingAndNotFoundAreAnswersAndAnErrorHasItsText) {  // DS-34
  DiscoveryClient client(options());
  service.on_request = [&](const wire::DiscoveryRequest& request) { service.answer(request.request_id, {}); };
  EXPECT_THAT(client.query({}).streams, IsEmpty());
  service.on_request = [&](const wire::DiscoveryRequest& request) {
    service.answer(request.request_id, {}, DiscoveryStatus::not_found, "hidden");
  };
  EXPECT_EQ(client.query({}).status, DiscoveryStatus::not_found);
  service.on_request = [&](const wire::DiscoveryRequest& request) {
    service.answer(request.request_id, {}, DiscoveryStatus::error, "result limit exceeded");
  };
  const DiscoveryAnswer answer = client.query({});
  EXPECT_EQ(answer.status, DiscoveryStatus::error);
  EXPECT_EQ(answer.error_message, "result limit exceeded");
}

TEST_F(DiscoveryClientTest, SaysWhereNobodyAnswered) {  // DS-42
  DiscoveryOptions impatient = options();
  impatient.timeout_ms = 50;
  impatient.retry_interval_ms = 10;
  DiscoveryClient client(impatient);
  const Error error = thrown_by([&] { (void)client.query({}); });
  EXPECT_EQ(error.code(), Code::kTimeout);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("no discovery service answered within 50 ms"), HasSubstr("stream 7000"),
                                  HasSubstr("tidepool discovery serve")));
  DiscoveryOptions elsewhere = options();
  elsewhere.timeout_ms = 50;
  elsewhere.request.stream_id = 7009;
  DiscoveryClient alone(elsewhere);
  EXPECT_THAT(thrown_by([&] { (void)alone.query({}); }).what(), HasSubstr("stream 7009, where nobody listens"));
}

TEST_F(DiscoveryClientTest, StopsWaitingWhenToldTo) {
  DiscoveryOptions told = options();
  int asked = 0;
  told.keep_waiting = [&] { return ++asked < 5; };
  DiscoveryClient client(told);
  EXPECT_THAT(thrown_by([&] { (void)client.query({}); }).what(), HasSubstr("stopped waiting for an answer"));
}

// ---- by name ---------------------------------------------------------------------------------------------------------------

// A client that is driven by the test, a driver on another control stream than the client's, and a service that knows of it.
struct ConnectByNameTest : ::testing::Test {
  ConnectByNameTest() {
    driver.stream_id = 10007;
    driver.bump();
    service.on_request = [this](const wire::DiscoveryRequest& request) {
      service.answer(request.request_id, answers_for(request));
    };
    answers_for = [](const wire::DiscoveryRequest& request) {
      return request.data_source_name == "cam1" ? std::vector{result(10007)} : std::vector<wire::DiscoveryResult>{};
    };
  }
  ClientOptions options() {
    ClientOptions out = client_options(media.dir(), shm.path());
    out.discovery = {kChannel, kRequests};
    out.discovery_response = {kChannel, kAnswers};
    out.discovery_timeout_ms = 30'000;
    out.discovery_retry_interval_ms = 20;
    out.invoker = true;
    out.keep_waiting = [this] {
      driver.poll();
      service.poll();
      return true;
    };
    return out;
  }
  std::jthread at_work() {
    return std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) driver.poll();
    });
  }

  TestMediaDriver media;
  TestDir shm;
  ScriptedDriver driver{media.dir(), shm.path()};  // control stream 1000
  ScriptedService service{media};
  std::function<std::vector<wire::DiscoveryResult>(const wire::DiscoveryRequest&)> answers_for;
};

TEST_F(ConnectByNameTest, TakesTheNumberFromDiscoveryWhenNobodyAnnouncesTheName) {  // P-11, DS-41
  Client client = Client::connect(options());
  std::optional<Producer> producer(client.producer({.stream = "cam1"}));
  EXPECT_EQ(producer->stream_id(), 10007u);
  EXPECT_EQ(producer->epoch(), driver.epoch) << "the driver's, whatever the answer says";
  const std::jthread working = at_work();
  producer.reset();
}

TEST_F(ConnectByNameTest, AsksUntilTheServiceKnowsTheName) {  // P-11, DS-42
  int asked = 0;
  answers_for = [&](const wire::DiscoveryRequest&) {
    return ++asked < 3 ? std::vector<wire::DiscoveryResult>{} : std::vector{result(10007)};
  };
  Client client = Client::connect(options());
  std::optional<Consumer> consumer(client.consumer({.stream = "cam1"}));
  EXPECT_EQ(consumer->stream_id(), 10007u);
  const std::jthread working = at_work();
  consumer.reset();
}

TEST_F(ConnectByNameTest, AttachesAtTheDriverThatTheAnswerNames) {  // P-11, DS-1, DS-41
  ClientOptions elsewhere = options();
  elsewhere.control = {kChannel, 1600};  // where no driver listens
  elsewhere.announce = {};
  Client client = Client::connect(elsewhere);
  std::optional<Producer> producer(client.producer({.stream = "cam1", .name = "again"}));
  EXPECT_EQ(producer->stream_id(), 10007u);
  EXPECT_EQ(producer->state(), State::kAttached);
  EXPECT_TRUE(poll_until([&] {  // its lease is kept by the same Client::poll()
    driver.poll();
    client.poll();
    return driver.keepalives.size() >= 3 && !driver.sources.empty();
  }));
  EXPECT_EQ(driver.sources.back().name, "again") << "metadata goes where this client's metadata goes";
  const std::jthread working = at_work();
  producer.reset();
}

TEST_F(ConnectByNameTest, AnAnnouncedNameGoesBeforeAnAnsweredOne) {  // P-11
  Client client = Client::connect(options());
  std::optional<Producer> producer(client.producer({.stream = "10007", .name = "cam1"}));
  answers_for = [](const wire::DiscoveryRequest&) { return std::vector{result(10099)}; };
  ClientOptions both = options();
  both.announce_period_ms = 2000;  // time enough for the name to be heard
  both.keep_waiting = [&] {
    driver.poll();
    service.poll();
    client.poll();
    return true;
  };
  Client other = Client::connect(both);
  std::optional<Consumer> consumer(other.consumer({.stream = "cam1"}));
  EXPECT_EQ(consumer->stream_id(), 10007u);
  const std::jthread working = at_work();
  consumer.reset();
  producer.reset();
}

TEST_F(ConnectByNameTest, TwoDriversWithOneNameAreNotChosenBetween) {  // P-11, DS-3
  answers_for = [](const wire::DiscoveryRequest&) {
    wire::DiscoveryResult other = result(10007, "lab-b");
    other.driver_control_stream_id = 2000;
    return std::vector{result(10007, "lab-a"), other};
  };
  Client client = Client::connect(options());
  const Error error = thrown_by([&] { (void)client.consumer({.stream = "cam1"}); });
  EXPECT_EQ(error.code(), Code::kInvalidArgument);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("stream 10007 of driver lab-a"), HasSubstr("stream 10007 of driver lab-b")));
}

TEST_F(ConnectByNameTest, AnAnswerThatLeadsNowhereIsAskedForOnceMore) {  // DS-41
  driver.on_request = [&](const wire::ShmAttachRequest& request) {
    if (request.stream_id == 10007) {
      driver.grant(request);
    } else {
      driver.refuse(request, wire::ResponseCode::rejected, "stream not provisioned");
    }
  };
  answers_for = [&](const wire::DiscoveryRequest&) { return std::vector{result(driver.requests.empty() ? 10098 : 10007)}; };
  Client client = Client::connect(options());
  std::optional<Consumer> consumer(client.consumer({.stream = "cam1"}));
  EXPECT_EQ(consumer->stream_id(), 10007u);
  {
    const std::jthread working = at_work();
    consumer.reset();
  }
  answers_for = [](const wire::DiscoveryRequest&) { return std::vector{result(10098)}; };
  EXPECT_THAT(thrown_by([&] { (void)client.consumer({.stream = "cam1"}); }).what(), HasSubstr("stream not provisioned"))
      << "the same answer is not tried again";
}

TEST_F(ConnectByNameTest, SaysWhatDiscoverySaidWhenThereIsNoSuchStream) {  // P-11
  ClientOptions impatient = options();
  impatient.attach_timeout_ms = 300;
  {
    Client client = Client::connect(impatient);
    const Error error = thrown_by([&] { (void)client.consumer({.stream = "cam2"}); });
    EXPECT_EQ(error.code(), Code::kNotFound);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("no stream is called 'cam2'"), HasSubstr("discovery: knows no stream of that name")));
  }
  impatient.discovery.stream_id = kDiscoveryOff;
  Client client = Client::connect(impatient);
  EXPECT_THAT(thrown_by([&] { (void)client.consumer({.stream = "cam2"}); }).what(), HasSubstr("discovery: switched off"));
}

}  // namespace
}  // namespace tidepool::client::discovery_test
