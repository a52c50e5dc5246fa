#include "tidepool/services/discovery/answer.h"

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
using ::testing::IsEmpty;
using testing::request;
using testing::source;
using wire::DiscoveryStatus;

struct AnswerTest : ::testing::Test {
  AnswerTest() { fill(); }
  void fill(const DiscoveryConfig& with = lab()) {
    index = Index(with);
    index.heard(driver_b(), announce(10000, 3, 1), t);
    index.heard(driver_a(), announce(10001, 5, 2), t);
    index.heard(driver_a(), announce(10000, 5, 1), t);
    index.heard(driver_a(), source(10000, "cam1"), t);
    index.heard(driver_a(), source(10001, "cam2"), t);
    index.heard(driver_b(), source(10000, "cam1"), t);
  }
  static DiscoveryConfig lab() {
    DiscoveryConfig out = config();
    out.streams = {{"lab-a", 10000, 17, {"left", "raw"}, true}, {"lab-a", 10001, 0, {"Left"}, true}};
    return out;
  }
  wire::DiscoveryResponse ask(const wire::DiscoveryRequest& r) const { return answer(r, index, rules, t); }
  // "lab-a/10000 ...", in the order of the answer.
  std::vector<std::string> found(const wire::DiscoveryRequest& r) const {
    std::vector<std::string> out;
    for (const auto& result : ask(r).results) out.push_back(result.driver_instance_id + "/" + std::to_string(result.stream_id));
    return out;
  }
  template <typename Set>
  std::vector<std::string> found_with(Set&& set) const {
    wire::DiscoveryRequest r = request();
    set(r);
    return found(r);
  }

  Index index{config()};
  AnswerRules rules;
  uint64_t t = 1'000 * kNsPerSecond;
};

TEST_F(AnswerTest, WithoutFiltersAllStreamsComeByInstanceAndStream) {  // DS-26, DS-3
  EXPECT_THAT(found(request()), ElementsAre("lab-a/10000", "lab-a/10001", "lab-b/10000"));
}

TEST_F(AnswerTest, AResultIsWhatTheDriverAnnouncedAndWhatConfigurationSays) {  // DS-10, DS-19, DS-20, DS-27
  wire::DiscoveryRequest r = request(0x1122334455667788);
  r.stream_id = 10000;
  r.tags = {"left"};
  const auto response = ask(r);
  EXPECT_EQ(response.request_id, 0x1122334455667788u);
  EXPECT_EQ(response.status, DiscoveryStatus::ok);
  EXPECT_EQ(response.error_message, "");
  ASSERT_EQ(response.results.size(), 1u);
  wire::DiscoveryResult expected;
  expected.stream_id = 10000;
  expected.producer_id = 1;
  expected.epoch = 5;
  expected.layout_version = 1;
  expected.header_nslots = 64;
  expected.header_slot_bytes = 256;
  expected.max_dims = 8;
  expected.data_source_id = 17;
  expected.driver_control_stream_id = 1000;
  expected.pools = announce(10000).pools;
  expected.tags = {"left", "raw"};
  expected.header_region_uri = announce(10000).header_region_uri;
  expected.data_source_name = "cam1";
  expected.driver_instance_id = "lab-a";
  expected.driver_control_channel = "aeron:ipc?term-length=4m";
  EXPECT_EQ(response.results[0], expected);
}

TEST_F(AnswerTest, AnUnconfiguredStreamHasNoDataSourceIdAndNoTags) {  // DS-19, DS-20
  const auto response = ask(request());
  EXPECT_EQ(response.results.at(2).data_source_id, std::nullopt);
  EXPECT_THAT(response.results.at(2).tags, IsEmpty());
}

TEST_F(AnswerTest, EveryFilterThatIsGivenMustHold) {  // DS-24
  EXPECT_THAT(found_with([](auto& r) { r.stream_id = 10000; }), ElementsAre("lab-a/10000", "lab-b/10000"));
  EXPECT_THAT(found_with([](auto& r) { r.producer_id = 2; }), ElementsAre("lab-a/10001"));
  EXPECT_THAT(found_with([](auto& r) { r.data_source_id = 17; }), ElementsAre("lab-a/10000"));
  EXPECT_THAT(found_with([](auto& r) { r.data_source_id = 0; }), ElementsAre("lab-a/10001")) << "0 is a value";
  EXPECT_THAT(found_with([](auto& r) { r.stream_id = 0; }), IsEmpty());
  EXPECT_THAT(found_with([](auto& r) { r.data_source_name = "cam1"; }), ElementsAre("lab-a/10000", "lab-b/10000"));
  EXPECT_THAT(found_with([](auto& r) { r.data_source_name = "Cam1"; }), IsEmpty());
  EXPECT_THAT(found_with([](auto& r) { r.data_source_name = "cam"; }), IsEmpty());
  EXPECT_THAT(found_with([](auto& r) { r.data_source_name = std::string("cam1\0", 5); }), IsEmpty());
  EXPECT_THAT(found_with([](auto& r) { r.stream_id = 10001, r.data_source_name = "cam1"; }), IsEmpty());
}

TEST_F(AnswerTest, EveryTagMustBeThereWholeAndInItsCase) {  // DS-24, DS-25
  EXPECT_THAT(found_with([](auto& r) { r.tags = {"left"}; }), ElementsAre("lab-a/10000"));
  EXPECT_THAT(found_with([](auto& r) { r.tags = {"Left"}; }), ElementsAre("lab-a/10001"));
  EXPECT_THAT(found_with([](auto& r) { r.tags = {"raw", "left"}; }), ElementsAre("lab-a/10000"));
  EXPECT_THAT(found_with([](auto& r) { r.tags = {"raw", "lef"}; }), IsEmpty());
  EXPECT_THAT(found_with([](auto& r) { r.tags = {"left", "left"}; }), ElementsAre("lab-a/10000")) << "twice counts once";
  EXPECT_THAT(found_with([](auto& r) { r.tags = {"", "left"}; }), ElementsAre("lab-a/10000")) << "an empty one does not count";
  EXPECT_EQ(found_with([](auto& r) { r.tags = {"", ""}; }).size(), 3u);
}

TEST_F(AnswerTest, NothingIsOkWithoutResultsAsLongAsNothingIsHidden) {  // DS-28
  wire::DiscoveryRequest r = request();
  r.stream_id = 5;
  const auto response = ask(r);
  EXPECT_EQ(response.status, DiscoveryStatus::ok);
  EXPECT_THAT(response.results, IsEmpty());
  EXPECT_EQ(response.error_message, "");
}

TEST_F(AnswerTest, TheRequestIdComesBackEvenIfItIsZero) {  // DS-28
  EXPECT_EQ(ask(request(0)).request_id, 0u);
  EXPECT_EQ(ask(request(UINT64_MAX)).request_id, UINT64_MAX);
}

TEST_F(AnswerTest, ExpiredStreamsAndMereNamesAreNotReturned) {  // DS-15, DS-17
  index.heard(driver_b(), source(10009, "cam9"), t);
  t += 2 * kNsPerSecond;
  index.heard(driver_a(), announce(10001), t);
  t += kNsPerSecond;
  EXPECT_THAT(found(request()), ElementsAre("lab-a/10001"));
}

TEST_F(AnswerTest, MoreThanTheLimitIsAnErrorAndNotAShorterList) {  // DS-28
  rules.max_results = 3;
  EXPECT_EQ(ask(request()).results.size(), 3u);
  rules.max_results = 2;
  const auto response = ask(request());
  EXPECT_EQ(response.status, DiscoveryStatus::error);
  EXPECT_THAT(response.results, IsEmpty());
  EXPECT_EQ(response.error_message, "result limit exceeded");
}

TEST_F(AnswerTest, HiddenAndAbsentLookTheSame) {  // DS-28, DS-38
  DiscoveryConfig hiding = lab();
  hiding.streams[0].visible = false;
  fill(hiding);
  EXPECT_THAT(found(request()), ElementsAre("lab-a/10001", "lab-b/10000"));
  wire::DiscoveryRequest hidden = request();
  hidden.tags = {"left"};
  wire::DiscoveryRequest absent = request();
  absent.tags = {"none has this"};
  EXPECT_EQ(ask(hidden).status, DiscoveryStatus::not_found);
  EXPECT_EQ(ask(hidden), ask(absent));
}

TEST_F(AnswerTest, AHiddenStreamIsDeniedOnlyIfToldSo) {  // DS-28, DS-38
  DiscoveryConfig hiding = lab();
  hiding.streams[0].visible = false;
  fill(hiding);
  rules.deny_explicitly = true;
  wire::DiscoveryRequest hidden = request();
  hidden.tags = {"left"};
  EXPECT_EQ(ask(hidden), error_answer(1, "access denied"));
  wire::DiscoveryRequest absent = request();
  absent.stream_id = 5;
  EXPECT_EQ(ask(absent).status, DiscoveryStatus::not_found);
}

TEST_F(AnswerTest, TheClientIdOpensNothing) {  // DS-37
  DiscoveryConfig hiding = lab();
  hiding.streams[0].visible = false;
  fill(hiding);
  wire::DiscoveryRequest r = request();
  r.tags = {"left"};
  const auto refused = ask(r);
  for (const uint32_t client_id : {0u, 1u, 0xFFFFFFFFu}) {
    r.client_id = client_id;
    EXPECT_EQ(ask(r), refused);
  }
}

TEST_F(AnswerTest, NoStreamIsReturnedThatNobodyCouldAttachTo) {  // DS-27
  DriverEndpoint nowhere = driver_a();
  nowhere.instance_id = "nowhere";
  nowhere.control_stream_id = 0;
  index.heard(nowhere, announce(10007), t);
  nowhere = driver_a();
  nowhere.instance_id = "nowhere else";
  nowhere.control_channel.clear();
  index.heard(nowhere, announce(10007), t);
  wire::DiscoveryRequest r = request();
  r.stream_id = 10007;
  EXPECT_THAT(found(r), IsEmpty());
}

}  // namespace
}  // namespace tidepool::discovery
