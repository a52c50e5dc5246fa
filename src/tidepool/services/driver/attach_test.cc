// The rows of driver.md 5.2, each tripped alone, and each pair in its order (D-8).
#include "tidepool/services/driver/attach.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace tidepool::driver::attach_test {
namespace {

using wire::HugepagesPolicy;
using wire::PublishMode;
using wire::ResponseCode;
using wire::Role;
using Kind = AttachVerdict::Kind;

// A driver's state and a request that is granted as it stands; tests then spoil one or the other.
struct World {
  DriverConfig config;
  bool running = true;
  bool on_hugetlbfs = false;
  Leases leases{1000};
  std::unique_ptr<Streams> streams;
  NodeIds nodes{1'000};
  std::unordered_set<uint32_t> attaching;
  uint64_t now_ns = 10'000;
  wire::ShmAttachRequest request;

  World() {
    config.profiles = {{"small", {64, {{1, 4096}}}}, {"bare", {64, {}}}};
    config.streams = {{"left", 10, "small"}, {"right", 11, "small"}, {"bare", 12, "bare"}, {"lost", 13, "nowhere"}};
    config.allow_dynamic_streams = true;
    config.stream_id_range = {{200, 201}};
    rebuild();
    request.correlation_id = 77;
    request.stream_id = 10;
    request.client_id = 5;
    request.role = uint8_t(Role::producer);
    request.expected_layout_version = 1;
    request.publish_mode = uint8_t(PublishMode::existing_or_create);
  }
  void rebuild() { streams = std::make_unique<Streams>(config); }

  AttachVerdict judge() {
    return judge_attach(request, {config, running, on_hugetlbfs, leases, *streams, nodes, attaching, now_ns});
  }
  Lease& hold(uint32_t stream_id, uint32_t client_id, Role role, int64_t correlation_id) {
    Lease lease;
    lease.identity = {0, stream_id, client_id, role};
    lease.requested_stream_id = stream_id;
    lease.correlation_id = correlation_id;
    lease.expiry_ns = now_ns + 1'000;
    Lease& granted = leases.grant(lease);
    if (role == Role::producer) streams->find(stream_id)->producer_lease = granted.identity.lease_id;
    return granted;
  }
};

void expect_refused(World& world, ResponseCode code, std::string_view text) {
  const auto verdict = world.judge();
  EXPECT_EQ(verdict.kind, Kind::kRefuse);
  EXPECT_EQ(verdict.code, code);
  EXPECT_EQ(verdict.text, text);
}

TEST(AttachTest, GrantsAProducerANewEpoch) {  // D-8, D-32
  World world;
  const auto verdict = world.judge();
  ASSERT_EQ(verdict.kind, Kind::kGrant);
  EXPECT_EQ(verdict.stream_id, 10u);
  EXPECT_EQ(verdict.role, Role::producer);
  EXPECT_TRUE(verdict.needs_epoch);
  EXPECT_FALSE(verdict.new_stream);
  EXPECT_EQ(verdict.node_id, 1u);
  EXPECT_EQ(verdict.profile->name, "small");
  world.streams->find(10)->epoch = 9;
  EXPECT_TRUE(world.judge().needs_epoch);  // always, for a producer
}

TEST(AttachTest, GrantsAConsumerTheEpochThereIsAndMakesOneOnlyIfThereIsNone) {  // D-32
  World world;
  world.request.role = uint8_t(Role::consumer);
  EXPECT_TRUE(world.judge().needs_epoch);
  world.streams->find(10)->epoch = 9;
  EXPECT_FALSE(world.judge().needs_epoch);
}

// The rows that refuse, in the order of the table. Each spoils only what its own row looks at.
struct Row {
  int number;
  ResponseCode code;
  std::string text;
  std::function<void(World&)> spoil;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all = {
      {3, ResponseCode::rejected, "driver draining", [](World& w) { w.running = false; }},
      {4, ResponseCode::invalid_params, "invalid role", [](World& w) { w.request.role = 3; }},
      {5, ResponseCode::invalid_params, "client_id must be non-zero", [](World& w) { w.request.client_id = 0; }},
      {6, ResponseCode::unsupported, "unsupported publish_mode", [](World& w) { w.request.publish_mode = 3; }},
      {7, ResponseCode::invalid_params, "invalid hugepages policy", [](World& w) { w.request.require_hugepages = 3; }},
      {9, ResponseCode::rejected, "client_id already attached",
       [](World& w) {
         if (w.request.client_id != 0) w.hold(11, w.request.client_id, Role::consumer, 1);
       }},
      {10, ResponseCode::rejected, "layout version mismatch", [](World& w) { w.request.expected_layout_version = 2; }},
  };
  return all;
}

TEST(AttachTest, RefusesEachRowWithItsCodeAndText) {  // D-8, D-10, D-14
  for (const auto& row : rows()) {
    SCOPED_TRACE(row.number);
    World world;
    row.spoil(world);
    expect_refused(world, row.code, row.text);
  }
}

TEST(AttachTest, TheEarlierRowWinsOverEachLaterOne) {  // D-8
  for (size_t first = 0; first < rows().size(); ++first) {
    for (size_t second = first + 1; second < rows().size(); ++second) {
      SCOPED_TRACE(::testing::Message() << "rows " << rows()[first].number << " and " << rows()[second].number);
      World world;
      rows()[second].spoil(world);  // the later one first, so that the earlier may undo nothing
      rows()[first].spoil(world);
      expect_refused(world, rows()[first].code, rows()[first].text);
    }
  }
}

TEST(AttachTest, Row8RepeatsTheLeaseOfAVerbatimRequest) {  // D-17
  World world;
  const Lease& lease = world.hold(10, 5, Role::producer, 77);
  const auto verdict = world.judge();
  ASSERT_EQ(verdict.kind, Kind::kRepeat);
  EXPECT_EQ(verdict.lease, &lease);
}

TEST(AttachTest, Row9MeetsARequestThatDiffersInAnyPart) {  // D-10, D-17, D-21
  const std::vector<std::function<void(World&)>> differences = {
      [](World& w) { w.request.correlation_id = 78; },
      [](World& w) { w.request.role = uint8_t(Role::consumer); },
      [](World& w) { w.request.stream_id = 11; },
      [](World& w) { w.request.stream_id = 0; },
  };
  for (const auto& differ : differences) {
    World world;
    world.hold(10, 5, Role::producer, 77);
    differ(world);
    expect_refused(world, ResponseCode::rejected, "client_id already attached");
  }
}

TEST(AttachTest, Row8ComparesTheStreamThatWasAskedForNotTheOneGiven) {  // D-17, D-19
  World world;
  world.request.stream_id = 0;
  Lease& lease = world.hold(10, 5, Role::producer, 77);
  lease.requested_stream_id = 0;
  EXPECT_EQ(world.judge().kind, Kind::kRepeat);
}

TEST(AttachTest, Row10TakesZeroOneAndNullAsLayoutVersions) {  // D-14
  for (const uint32_t version : {0u, 1u, 0xFFFFFFFFu}) {
    World world;
    world.request.expected_layout_version = version;
    EXPECT_EQ(world.judge().kind, Kind::kGrant) << version;
  }
}

TEST(AttachTest, Row11RefusesAnUnknownStreamUnlessBothSidesAllowIt) {  // D-13, D-8
  for (const uint8_t mode : {uint8_t(PublishMode::require_existing), uint8_t{255}}) {
    World world;
    world.request.stream_id = 200;
    world.request.publish_mode = mode;
    expect_refused(world, ResponseCode::rejected, "stream not provisioned");
  }
  World world;
  world.config.allow_dynamic_streams = false;
  world.request.stream_id = 200;
  expect_refused(world, ResponseCode::rejected, "stream not provisioned");
  world.request.stream_id = 0;
  expect_refused(world, ResponseCode::rejected, "stream not provisioned");
}

TEST(AttachTest, AConfiguredStreamCountsAsExistingWhateverTheMode) {  // D-13
  for (const uint8_t mode : {1, 2, 255}) {
    World world;
    world.request.publish_mode = mode;
    EXPECT_EQ(world.judge().kind, Kind::kGrant);
  }
}

TEST(AttachTest, Row12NeedsARange) {  // D-49
  World world;
  world.config.stream_id_range.clear();
  world.rebuild();
  for (const uint32_t id : {0u, 200u, 999u}) {
    world.request.stream_id = id;
    expect_refused(world, ResponseCode::invalid_params, "stream_id_range not configured");
  }
}

TEST(AttachTest, Row13RefusesAnIdOutsideTheRanges) {  // D-49
  World world;
  for (const uint32_t id : {199u, 202u, 0xFFFFFFFFu}) {
    world.request.stream_id = id;
    expect_refused(world, ResponseCode::rejected, "stream_id outside dynamic range");
  }
}

TEST(AttachTest, Row14RefusesWhenEveryIdIsInUse) {  // D-49
  World world;
  world.streams->add_dynamic(200, "small");
  world.streams->add_dynamic(201, "small");
  world.request.stream_id = 0;
  expect_refused(world, ResponseCode::invalid_params, "stream_id_range exhausted");
}

TEST(AttachTest, GrantsDynamicIdsAsAskedOrTheNextFreeOne) {  // D-19, D-49
  World world;
  world.request.stream_id = 201;
  auto verdict = world.judge();
  ASSERT_EQ(verdict.kind, Kind::kGrant);
  EXPECT_EQ(verdict.stream_id, 201u);
  EXPECT_TRUE(verdict.new_stream);
  EXPECT_TRUE(verdict.needs_epoch);
  EXPECT_EQ(verdict.profile->name, "small");  // the first
  world.request.stream_id = 0;
  verdict = world.judge();
  ASSERT_EQ(verdict.kind, Kind::kGrant);
  EXPECT_EQ(verdict.stream_id, 200u);
  EXPECT_EQ(world.streams->find(200), nullptr);  // nothing was added by judging
}

TEST(AttachTest, Row15MissesTheProfile) {  // D-8
  World world;
  world.request.stream_id = 13;
  expect_refused(world, ResponseCode::invalid_params, "profile not found");
  world.request.stream_id = 200;
  world.config.default_profile = "gone";
  expect_refused(world, ResponseCode::invalid_params, "profile not found");
}

TEST(AttachTest, Row16MissesThePools) {  // D-18
  World world;
  world.request.stream_id = 12;
  expect_refused(world, ResponseCode::invalid_params, "stream has no payload pools");
  world.streams->find(12)->busy = true;  // ahead of waiting
  expect_refused(world, ResponseCode::invalid_params, "stream has no payload pools");
}

TEST(AttachTest, Row17AdmitsOneProducerOnly) {  // D-22
  World world;
  world.hold(10, 6, Role::producer, 1);
  expect_refused(world, ResponseCode::rejected, "producer already attached");
  world.request.role = uint8_t(Role::consumer);
  EXPECT_EQ(world.judge().kind, Kind::kGrant);
}

TEST(AttachTest, Rows18And19HoldThePagePolicyAgainstTheFileSystem) {  // D-15
  struct Case {
    HugepagesPolicy asked;
    bool by_default, huge;
    std::string_view refusal;
  };
  for (const auto& c : std::initializer_list<Case>{{HugepagesPolicy::unspecified, false, false, ""},
                                                   {HugepagesPolicy::unspecified, false, true, ""},
                                                   {HugepagesPolicy::unspecified, true, false, "hugepages not available"},
                                                   {HugepagesPolicy::unspecified, true, true, ""},
                                                   {HugepagesPolicy::hugepages, false, false, "hugepages not available"},
                                                   {HugepagesPolicy::hugepages, false, true, ""},
                                                   {HugepagesPolicy::standard, true, false, ""},
                                                   {HugepagesPolicy::standard, false, true, "standard pages requested"}}) {
    World world;
    world.request.require_hugepages = uint8_t(c.asked);
    world.config.require_hugepages = c.by_default;
    world.on_hugetlbfs = c.huge;
    if (c.refusal.empty()) {
      EXPECT_EQ(world.judge().kind, Kind::kGrant);
    } else {
      expect_refused(world, ResponseCode::rejected, c.refusal);
    }
  }
}

TEST(AttachTest, Row20RefusesANodeIdThatIsTakenOrCoolingAndNeverSubstitutes) {  // D-16
  World world;
  world.nodes.take(9, 6);
  world.request.desired_node_id = 9;
  expect_refused(world, ResponseCode::rejected, "desired node_id unavailable");
  world.nodes.release(9, world.now_ns);
  expect_refused(world, ResponseCode::rejected, "desired node_id unavailable");
  world.now_ns += 1'000;
  const auto verdict = world.judge();
  ASSERT_EQ(verdict.kind, Kind::kGrant);
  EXPECT_EQ(verdict.node_id, 9u);
}

TEST(AttachTest, ADesiredNodeIdOfZeroOrNullIsNoWish) {  // D-16
  for (const auto& wish : {std::optional<uint32_t>{}, std::optional<uint32_t>{0}}) {
    World world;
    world.request.desired_node_id = wish;
    EXPECT_EQ(world.judge().node_id, 1u);
  }
}

TEST(AttachTest, Row21RunsOutOfNodeIds) {  // D-29
  World world;
  world.nodes = NodeIds(0, 1);
  world.nodes.take(1, 6);
  expect_refused(world, ResponseCode::internal_error, "node_id allocation failed");
}

TEST(AttachTest, Row23RunsOutOfLeases) {  // D-8
  World world;
  for (uint32_t i = 0; i < Leases::kMaxLive; ++i) world.hold(11, 1'000 + i, Role::consumer, 1);
  expect_refused(world, ResponseCode::internal_error, "lease allocation failed");
}

TEST(AttachTest, RowsAboutTheStreamComeInOrder) {  // D-8: 17 before 18 before 20
  World world;
  world.hold(10, 6, Role::producer, 1);
  world.request.require_hugepages = uint8_t(HugepagesPolicy::hugepages);
  world.nodes.take(9, 6);
  world.request.desired_node_id = 9;
  expect_refused(world, ResponseCode::rejected, "producer already attached");
  world.streams->find(10)->producer_lease = 0;
  expect_refused(world, ResponseCode::rejected, "hugepages not available");
  world.request.require_hugepages = 0;
  expect_refused(world, ResponseCode::rejected, "desired node_id unavailable");
}

TEST(AttachTest, WaitsForAnEpochOfItsStreamOrForItsOwnEarlierRequest) {  // D-8: judged again when that is done
  World world;
  world.streams->find(10)->busy = true;
  EXPECT_EQ(world.judge().kind, Kind::kWait);
  world.request.stream_id = 11;
  EXPECT_EQ(world.judge().kind, Kind::kGrant);
  world.attaching.insert(5);
  EXPECT_EQ(world.judge().kind, Kind::kWait);
  world.request.role = 9;  // what is wrong by itself does not wait
  EXPECT_EQ(world.judge().kind, Kind::kRefuse);
}

}  // namespace
}  // namespace tidepool::driver::attach_test
