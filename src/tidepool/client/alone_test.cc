// Producers that make their own pools and consumers that follow announces: nobody is asked for a lease.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <optional>

#include "tidepool/base/test_error.h"
#include "tidepool/client/session.h"
#include "tidepool/client/test_stage.h"
#include "tidepool/shm/file_lock.h"

namespace tidepool::client::alone_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kPeriodNs;
using testing::kStream;
using testing::Stage;
using transport::testing::poll_until;
using transport::testing::TestDir;
using wire::ShmPoolAnnounce;

// ---- a producer ------------------------------------------------------------------------------------------------------------

struct OwnPoolsTest : ::testing::Test {
  ProducerOptions options() const {
    ProducerOptions out;
    out.client_id = 77;
    out.own_pools = OwnPools{.slot_count = 8,
                             .pools = {{.pool_id = 1, .stride_bytes = 4096}, {.pool_id = 2, .stride_bytes = 65536}},
                             .base_dir = stage.directory.path(),
                             .prefault = false};
    return out;
  }
  RoleSettings role() const { return resolve(options(), *stage.settings, {}); }
  // As Stage::enter(), for settings that were touched.
  std::unique_ptr<ProducerSession> enter(RoleSettings settings, uint64_t limit_ns = 5 * kNsPerSecond) {
    auto out = std::make_unique<ProducerSession>(std::move(settings), kStream, *stage.settings, stage.port,
                                                 std::make_shared<Handover>(), stage.t + limit_ns);
    out->connected(stage.now());
    return out;
  }
  // An epoch is made on a thread of its own: time stands still meanwhile.
  [[nodiscard]] bool settle(ProducerSession& of) {
    return poll_until([&] {
      of.poll(stage.now());
      return of.handover()->state() != State::kAttaching;
    });
  }
  void begin() {
    session = enter(role());
    ASSERT_TRUE(settle(*session));
    ASSERT_EQ(link().state(), State::kAttached) << link().why();
  }
  Handover& link() { return *session->handover(); }
  std::shared_ptr<pool::EpochMap> map() {
    uint64_t generation = 0;
    return link().take(generation).map;
  }
  std::vector<ShmPoolAnnounce> announces() const { return stage.port.all<ShmPoolAnnounce>(); }
  std::vector<uint64_t> epochs() const { return stage.files.epochs(kStream); }
  ShmPoolAnnounce foreign(uint64_t epoch, uint32_t producer_id = 5) const {
    pool::EpochRegions regions = map_regions;
    regions.epoch = epoch;
    return stage.announce(regions, producer_id);
  }

  Stage stage;
  pool::EpochRegions map_regions{
      .stream_id = kStream,
      .epoch = 1,
      .header_nslots = 8,
      .header_region_uri = "shm:file?path=/x/header.ring",
      .pools = {{.pool_id = 1, .nslots = 8, .stride_bytes = 64, .region_uri = "shm:file?path=/x/1.pool"}}};
  std::unique_ptr<ProducerSession> session;
};

TEST_F(OwnPoolsTest, AreMadeWholeAndThenAnnouncedAtOnceAndOnceASecond) {  // W-14, W-15, W-32, W-22, W-65
  begin();
  ASSERT_EQ(announces().size(), 1u) << "at once";
  const ShmPoolAnnounce first = announces()[0];
  EXPECT_EQ(first.stream_id, kStream);
  EXPECT_EQ(first.producer_id, 77u);
  EXPECT_GE(first.epoch, stage.t) << "above any epoch of an earlier run of the machine";
  EXPECT_EQ(first.announce_timestamp_ns, stage.t);
  EXPECT_EQ(first.clock_domain, wire::ClockDomain::monotonic);
  EXPECT_EQ(first.layout_version, 1u);
  EXPECT_EQ(first.header_nslots, 8u);
  ASSERT_EQ(first.pools.size(), 2u);
  EXPECT_EQ(first.pools[1].stride_bytes, 65536u);
  EXPECT_EQ(first.header_region_uri, concat("shm:file?path=", stage.files.stream_path(kStream), "/", first.epoch, "/header.ring"));
  // What was announced is complete: it maps as a stranger would map it.
  const auto opened = pool::EpochMap::open(pool::EpochRegions::of(first), shm::Access::kReadOnly, stage.settings->policy,
                                           {.now_ns = stage.t, .max_age_ns = 1});
  EXPECT_EQ(opened->creator_pid(), static_cast<uint64_t>(::getpid()));
  stage.pass(*session, 5 * kPeriodNs);
  EXPECT_EQ(announces().size(), 6u);
  EXPECT_EQ(announces().back().epoch, first.epoch);
  EXPECT_EQ(announces().back().announce_timestamp_ns, stage.t);
  EXPECT_EQ(stage.port.count<wire::ShmAttachRequest>(), 0u) << "nobody was asked";
  EXPECT_EQ(stage.port.count<wire::ShmLeaseKeepalive>(), 0u);
}

TEST_F(OwnPoolsTest, AreAnnouncedAsSoonAsTheStreamTakesIt) {  // W-14
  stage.port.result = transport::SendResult::kNotConnected;
  begin();
  EXPECT_THAT(announces(), IsEmpty());
  stage.pass(*session, 20 * kNsPerMs, 5 * kNsPerMs);
  stage.port.result = transport::SendResult::kOk;
  stage.pass(*session, 20 * kNsPerMs, 5 * kNsPerMs);
  EXPECT_EQ(announces().size(), 1u) << "not a period later";
}

TEST_F(OwnPoolsTest, AreWrittenAsAnyOther) {  // W-36, W-62, W-86
  begin();
  pool::PoolWriter writer(map());
  EXPECT_EQ(writer.next_seq(), 0u);
  const uint64_t begun_ns = stage.t;
  EXPECT_EQ(map()->activity_ns(), begun_ns);
  stage.pass(*session, 3 * kPeriodNs);
  EXPECT_EQ(map()->activity_ns(), begun_ns + 3 * kPeriodNs);
  EXPECT_EQ(stage.port.all<wire::QosProducer>().back().producer_id, 77u);
  EXPECT_EQ(stage.port.all<wire::QosProducer>().back().epoch, map()->epoch());
  EXPECT_EQ(link().lease_deadline_ns(), 0u) << "no lease runs out";
  uint64_t generation = 0;
  EXPECT_NE(link().take(generation).doorbell, nullptr) << "made with the stream (rulings P-3)";
}

TEST_F(OwnPoolsTest, HaveOneMaker) {  // W-35, W-33
  begin();
  RoleSettings second_role = role();
  second_role.client_id = 78;
  auto second = enter(std::move(second_role));
  EXPECT_EQ(second->handover()->state(), State::kBackoff);
  EXPECT_THAT(second->handover()->why(),
              AllOf(HasSubstr("stream 10000 has a producer"), HasSubstr("producer of stream 10000 without a driver (pid ")));
  // In time it gives up and says so.
  stage.pass(*second, 6 * kPeriodNs);
  ASSERT_TRUE(second->handover()->failure());
  EXPECT_EQ(second->handover()->failure()->code(), Code::kRejected);
  EXPECT_EQ(epochs().size(), 1u);
  // Or finds the first one gone.
  RoleSettings third_role = role();
  third_role.client_id = 79;
  auto third = enter(std::move(third_role));
  session->close(stage.now());
  stage.pass(*third, kPeriodNs);
  ASSERT_TRUE(settle(*third));
  EXPECT_EQ(third->handover()->state(), State::kAttached);
}

TEST_F(OwnPoolsTest, AreNotMadeWhereADriverMakesThem) {  // W-15, P-7
  const auto driver = shm::FileLock::acquire(stage.files.namespace_directory(), "driver.lock", "driver lab-a");
  session = enter(role());
  stage.pass(*session, 6 * kPeriodNs);
  ASSERT_TRUE(link().failure());
  EXPECT_EQ(link().failure()->code(), Code::kRejected);
  EXPECT_THAT(link().failure()->what(), AllOf(HasSubstr("cannot produce stream 10000: namespace default below"),
                                              HasSubstr("driver lab-a (pid "), HasSubstr("produce through that driver")));
  EXPECT_THAT(epochs(), IsEmpty());
}

TEST_F(OwnPoolsTest, BeginAHigherEpochWithEachLife) {  // W-65, W-33
  RoleSettings kept = role();
  kept.own_pools->cleanup_on_exit = false;  // as a crash would leave it
  uint64_t before = 0;
  for (int life = 0; life < 3; ++life) {
    auto one = enter(kept);
    ASSERT_TRUE(settle(*one));
    ASSERT_EQ(one->handover()->state(), State::kAttached) << one->handover()->why();
    EXPECT_GT(one->handover()->epoch(), before) << "though the clock stands still";
    before = one->handover()->epoch();
    one->close(stage.now());
    EXPECT_TRUE(one->finished());
  }
  EXPECT_EQ(epochs().back(), before);
}

TEST_F(OwnPoolsTest, GoWithTheirProducer) {  // P-8
  begin();
  auto held = map();
  session->close(stage.now());
  EXPECT_TRUE(session->finished()) << "nobody needs to answer";
  EXPECT_FALSE(held->alive());
  EXPECT_FALSE(std::filesystem::exists(stage.files.stream_path(kStream)));
  EXPECT_EQ(stage.port.count<wire::ShmDetachRequest>(), 0u);
  EXPECT_EQ(held->mutable_slot(0)[8], std::byte{0}) << "who still holds them reads memory (rulings P-4)";
}

TEST_F(OwnPoolsTest, AreMadeAnewWithANewMediaDriver) {  // W-65, driver.md 14
  begin();
  const auto old = map();
  session->disconnected("gone");
  EXPECT_FALSE(old->alive());
  EXPECT_EQ(link().state(), State::kConnecting);
  const size_t before = announces().size();
  session->connected(stage.now());
  ASSERT_TRUE(settle(*session));
  EXPECT_GT(map()->epoch(), old->epoch());
  EXPECT_EQ(announces().size(), before + 1) << "at once (W-14)";
}

TEST_F(OwnPoolsTest, AreLeftWhereSomebodyElseHasWritten) {  // W-35, W-40
  begin();
  const uint64_t epoch = map()->epoch();
  link().ask_remap(epoch, RemapReason::kUnusable);
  session->poll(stage.now());
  EXPECT_EQ(link().state(), State::kBackoff);
  stage.pass(*session, kPeriodNs);
  ASSERT_TRUE(settle(*session));
  EXPECT_GT(map()->epoch(), epoch);
}

TEST_F(OwnPoolsTest, AreUnmovedByTheirOwnAnnounces) {  // W-94
  begin();
  const auto before = map();
  for (int i = 0; i < 5; ++i) {
    stage.pass(*session, kPeriodNs);
    session->on(announces().back(), 0, stage.now());
  }
  session->on(foreign(1), 0, stage.now());  // an epoch that has passed
  EXPECT_EQ(map(), before);
}

TEST_F(OwnPoolsTest, YieldToSomebodyElseWhoIsAnnouncedAboveThemUntilHeIsSilent) {  // W-35, W-57, W-65
  begin();
  const auto before = map();
  const size_t announced = announces().size();
  const uint64_t rival_epoch = before->epoch() + 1000 * kNsPerSecond;  // higher than the clock will be
  session->on(foreign(rival_epoch), 0, stage.now());
  EXPECT_FALSE(before->alive()) << "two writers are an error: one must stop";
  EXPECT_EQ(link().state(), State::kBackoff);
  EXPECT_THAT(link().why(), AllOf(HasSubstr("announced by producer 5"), HasSubstr("a stream has one producer")));
  for (int i = 0; i < 10; ++i) {
    stage.pass(*session, kPeriodNs);
    session->on(foreign(rival_epoch), 0, stage.now());
  }
  EXPECT_EQ(announces().size(), announced) << "no fight for the higher number";
  // The other one is silent for five periods.
  stage.pass(*session, 9 * kPeriodNs);
  ASSERT_TRUE(settle(*session));
  stage.pass(*session, 4 * kPeriodNs);
  ASSERT_TRUE(settle(*session));
  EXPECT_EQ(link().state(), State::kAttached) << link().why();
  ASSERT_NE(map(), nullptr);
  EXPECT_GT(map()->epoch(), rival_epoch) << "who followed the other one ignores what is lower";
}

TEST_F(OwnPoolsTest, TakeAnotherProducerOfTheirEpochForARival) {  // W-35
  begin();
  session->on(foreign(map()->epoch(), 5), 0, stage.now());
  EXPECT_EQ(link().state(), State::kBackoff);
}

TEST_F(OwnPoolsTest, AreNoneOfADriversBusiness) {  // W-15
  begin();
  session->on(wire::ShmDriverShutdown{.timestamp_ns = stage.t, .reason = wire::ShutdownReason::normal, .error_message = {}},
              stage.now());
  session->on(stage.revoke(0, wire::Role::producer, 77), stage.now());  // 0 is no lease
  stage.pass(*session, 20 * kPeriodNs);                                   // no driver is missed
  EXPECT_EQ(link().state(), State::kAttached);
  EXPECT_EQ(stage.port.tally.driver_losses.get(), 0u);
}

TEST_F(OwnPoolsTest, ThatDoNotFitAreRefusedWithWhatIsNeeded) {  // W-32, D-35
  RoleSettings large = role();
  large.own_pools->slot_count = 1u << 20;
  large.own_pools->pools = {{.pool_id = 1, .stride_bytes = 1u << 30}};
  session = enter(std::move(large));
  ASSERT_TRUE(settle(*session));
  ASSERT_TRUE(link().failure()) << "at once: waiting changes nothing";
  EXPECT_EQ(link().failure()->code(), Code::kNoSpace);
  EXPECT_THAT(link().failure()->what(), AllOf(HasSubstr("cannot produce stream 10000"), HasSubstr("bytes, ")));
  EXPECT_THAT(epochs(), IsEmpty()) << "nothing is left behind";
}

TEST_F(OwnPoolsTest, AreLockedInMemoryIfToldSo) {  // config.md 7.2: mlock
  const auto locked_kib = [] {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmLck:")) return std::stoull(line.substr(6));
    }
    return 0ull;
  };
  alignas(4096) static std::array<std::byte, 4096> page;
  ASSERT_EQ(::mlock(page.data(), page.size()), 0) << "an ordinary process may lock 8 MiB";
  const auto before = locked_kib();
  ASSERT_EQ(::munlock(page.data(), page.size()), 0);
  if (before == 0) GTEST_SKIP() << "a sanitizer stands in for mlock and does nothing";
  session = enter(resolve(options(), *stage.settings, [](const std::string& name) {
    return name == "PRODUCER_MLOCK" ? std::optional<std::string>("true") : std::nullopt;
  }));
  ASSERT_TRUE(settle(*session));
  ASSERT_EQ(link().state(), State::kAttached) << link().why();
  EXPECT_GE(locked_kib(), 8 * (4 + 64)) << "of both pools";
}

TEST_F(OwnPoolsTest, AreNotMadeBelowADirectoryThatIsNotThere) {
  RoleSettings nowhere = role();
  nowhere.own_pools->base_dir = stage.directory.path() + "/nowhere";
  session = enter(std::move(nowhere));
  ASSERT_TRUE(link().failure());
  EXPECT_THAT(link().failure()->what(), HasSubstr("/nowhere"));
}

// ---- its clock -------------------------------------------------------------------------------------------------------------

struct RealtimeTest : OwnPoolsTest {
  RoleSettings realtime() {
    RoleSettings out = role();
    out.clock_domain = ClockDomain::kRealtimeSynced;
    out.clock_trouble = [this] { return trouble; };
    return out;
  }
  std::optional<std::string> trouble;
};

TEST_F(RealtimeTest, IsAnnouncedWhileTheHostsClockIsDisciplined) {  // W-91
  session = enter(realtime());
  ASSERT_TRUE(settle(*session));
  ASSERT_EQ(announces().size(), 1u);
  EXPECT_EQ(announces()[0].clock_domain, wire::ClockDomain::realtime_synced);
  EXPECT_EQ(announces()[0].announce_timestamp_ns, stage.now().realtime_ns);
  session->set_data_source({.name = "cam1"}, 1);
  session->poll(stage.now());
  EXPECT_EQ(stage.port.all<wire::DataSourceMeta>().back().timestamp_ns, stage.now().realtime_ns) << "the frames' clock";
  EXPECT_EQ(map()->activity_ns(), stage.t) << "superblocks keep CLOCK_MONOTONIC always";
}

TEST_F(RealtimeTest, IsRefusedAtOnceWhereTheClockIsNot) {  // W-91
  trouble = "nobody keeps it";
  session = enter(realtime());
  ASSERT_TRUE(link().failure());
  EXPECT_EQ(link().failure()->code(), Code::kUnsupported);
  EXPECT_THAT(link().failure()->what(), AllOf(HasSubstr("W-91"), HasSubstr("nobody keeps it")));
  EXPECT_THAT(announces(), IsEmpty());
}

TEST_F(RealtimeTest, IsNotAnnouncedWhileTheClockIsNotDisciplined) {  // W-91
  session = enter(realtime());
  ASSERT_TRUE(settle(*session));
  trouble = "the time server is gone";
  stage.pass(*session, 5 * kPeriodNs);
  EXPECT_EQ(announces().size(), 1u);
  EXPECT_EQ(link().state(), State::kAttached) << "frames go on; nobody is told that their times mean something";
  EXPECT_THAT(link().why(), HasSubstr("the time server is gone"));
  trouble.reset();
  stage.pass(*session, 2 * kPeriodNs);
  EXPECT_GE(announces().size(), 2u);
}

TEST(OwnPoolsOptionsTest, AreCheckedBeforeAnythingIsTouched) {  // W-16, W-20, W-91, CFG-1
  const Stage stage;
  const auto error_of = [&](const ProducerOptions& options) {
    return std::string(thrown_by([&] { (void)resolve(options, *stage.settings, {}); }).what());
  };
  ProducerOptions options;
  options.own_pools = OwnPools{};
  EXPECT_EQ(error_of(options), "nothing was thrown");
  options.own_pools->slot_count = 48;
  EXPECT_THAT(error_of(options), HasSubstr("power of two"));
  options.own_pools = OwnPools{.pools = {{.pool_id = 1, .stride_bytes = 100}}};
  EXPECT_THAT(error_of(options), HasSubstr("stride"));
  options.own_pools = OwnPools{.pools = {}};
  EXPECT_THAT(error_of(options), HasSubstr("pool"));
  options.own_pools = OwnPools{};
  options.stream = "cam1";
  EXPECT_THAT(error_of(options), HasSubstr("without a driver nobody gives a producer its number"));
  options.stream = "0";
  EXPECT_THAT(error_of(options), HasSubstr("stream is '0'"));
  ProducerOptions with_driver;
  with_driver.clock_domain = ClockDomain::kRealtimeSynced;
  EXPECT_THAT(error_of(with_driver), HasSubstr("it is the driver that announces"));
}

TEST(OwnPoolsOptionsTest, TakeTheEnvironment) {  // P-12, config.md 7.2
  const Stage stage;
  const Environment environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "PRODUCER_NSLOTS") return "16";
    if (name == "PRODUCER_SHM_NAMESPACE") return "lab";
    if (name == "PRODUCER_SHM_BASE_DIR") return "/dev/shm/x";
    return std::nullopt;
  };
  ProducerOptions options;
  options.own_pools = OwnPools{};
  const RoleSettings role = resolve(options, *stage.settings, environment);
  EXPECT_EQ(role.own_pools->slot_count, 16u);
  EXPECT_EQ(role.own_pools->name_space, "lab");
  EXPECT_EQ(role.own_pools->base_dir, "/dev/shm/x");
  options.own_pools->slot_count = 32;
  EXPECT_EQ(resolve(options, *stage.settings, environment).own_pools->slot_count, 32u) << "the option goes over it";
}

// ---- a consumer ------------------------------------------------------------------------------------------------------------

struct AnnounceOnlyTest : ::testing::Test {
  AnnounceOnlyTest() {
    stage.t += kNsPerMs;
    regions = stage.make_epoch(100);
  }
  void begin(uint64_t limit_ns = 5 * kNsPerSecond) {
    ConsumerOptions options;
    options.client_id = 42;
    options.announce_only = true;
    session = stage.enter<ConsumerSession>(options, limit_ns);
  }
  void begin_mapped() {
    begin();
    hear(stage.announce(regions));
    ASSERT_NE(map(), nullptr);
  }
  Handover& link() { return *session->handover(); }
  std::shared_ptr<pool::EpochMap> map() {
    uint64_t generation = 0;
    return link().take(generation).map;
  }
  void hear(const ShmPoolAnnounce& announce, uint64_t joined_ns = 0) { session->on(announce, joined_ns, stage.now()); }
  void pass_announced(uint64_t ns, const pool::EpochRegions& current) { stage.pass_announced(*session, ns, current); }

  Stage stage;
  pool::EpochRegions regions;
  std::unique_ptr<ConsumerSession> session;
};

TEST_F(AnnounceOnlyTest, MapsWhatIsAnnouncedAndAsksNobody) {  // W-55, W-30, W-22
  begin();
  EXPECT_EQ(link().state(), State::kRemapping);
  EXPECT_FALSE(link().decided());
  hear(stage.announce(regions, 9));
  ASSERT_NE(map(), nullptr);
  EXPECT_FALSE(map()->writable());
  EXPECT_EQ(link().state(), State::kAttached);
  EXPECT_EQ(link().epoch(), 100u);
  EXPECT_TRUE(link().decided());
  EXPECT_FALSE(link().failure());
  pass_announced(20 * kPeriodNs, regions);
  EXPECT_EQ(link().state(), State::kAttached);
  EXPECT_EQ(stage.port.count<wire::ShmAttachRequest>(), 0u);
  EXPECT_EQ(stage.port.count<wire::ShmLeaseKeepalive>(), 0u);
  session->close(stage.now());
  EXPECT_TRUE(session->finished());
  EXPECT_EQ(stage.port.count<wire::ShmDetachRequest>(), 0u);
}

TEST_F(AnnounceOnlyTest, GoesByTheAnnouncedPathsWhateverTheyAreCalled) {  // W-21, W-22: names carry no meaning for readers
  const std::string made = concat(stage.files.stream_path(kStream), "/100"), moved = stage.directory.path() + "/some.where";
  std::filesystem::rename(made, moved);
  std::filesystem::rename(moved + "/header.ring", moved + "/1.pool~");
  std::filesystem::rename(moved + "/1.pool", moved + "/header.ring");
  auto announce = stage.announce(regions);
  begin();
  hear(announce);
  EXPECT_EQ(map(), nullptr) << "nothing is where it says, and nobody goes looking for it";
  announce.header_region_uri = "shm:file?path=" + moved + "/1.pool~";
  announce.pools[0].region_uri = "shm:file?path=" + moved + "/header.ring";
  stage.pass(*session, 200 * kNsPerMs);
  hear(announce);
  ASSERT_NE(map(), nullptr) << link().why();
  EXPECT_EQ(map()->pools()[0].region.path(), moved + "/header.ring");
}

TEST_F(AnnounceOnlyTest, SaysHelloAndSendsQosFromTheStart) {  // W-68, W-86
  begin();
  session->poll(stage.now());
  ASSERT_EQ(stage.port.count<wire::ConsumerHello>(), 1u) << "mapped or not";
  EXPECT_EQ(stage.port.all<wire::ConsumerHello>()[0].consumer_id, 42u);
  EXPECT_EQ(stage.port.all<wire::QosConsumer>().back().epoch, 0u);
  hear(stage.announce(regions));
  session->poll(stage.now());
  EXPECT_EQ(stage.port.count<wire::ConsumerHello>(), 2u);
  stage.pass(*session, kPeriodNs);
  EXPECT_EQ(stage.port.all<wire::QosConsumer>().back().epoch, 100u);
}

TEST_F(AnnounceOnlyTest, TakesNoAnnounceThatIsStaleOrOlderThanItsPublishersImage) {  // W-55, W-56
  begin();
  const auto old = stage.announce(regions);
  stage.t += 4 * kPeriodNs;
  stage.maps[0]->touch_activity(stage.t);
  hear(old);
  EXPECT_EQ(map(), nullptr);
  const auto before_join = stage.announce(regions);
  hear(before_join, stage.t + 1);
  EXPECT_EQ(map(), nullptr) << "log content from before that publisher was there";
  hear(before_join, stage.t);
  EXPECT_NE(map(), nullptr) << "its image came in that very moment";
}

TEST_F(AnnounceOnlyTest, TakesASynchronisedClockByThatClockAndNoJoinTime) {  // W-56, WX-16
  begin();
  auto announce = stage.announce(regions);
  announce.clock_domain = wire::ClockDomain::realtime_synced;
  hear(announce);
  EXPECT_EQ(map(), nullptr) << "a monotonic time is an old one there";
  announce.announce_timestamp_ns = stage.now().realtime_ns;
  hear(announce, stage.t + kNsPerSecond);
  EXPECT_NE(map(), nullptr) << "times of two clocks are not compared";
}

TEST_F(AnnounceOnlyTest, KeepsItsMappingAndFollowsHigherEpochs) {  // W-57, W-58, W-59
  begin_mapped();
  const auto first = map();
  pass_announced(5 * kPeriodNs, regions);
  EXPECT_EQ(map(), first) << "looked at again, not mapped again";
  EXPECT_EQ(link().mappings(), 1u);
  const auto next = stage.make_epoch(101);
  hear(stage.announce(next));
  EXPECT_FALSE(first->alive());
  EXPECT_EQ(map()->epoch(), 101u);
  hear(stage.announce(regions));
  EXPECT_EQ(map()->epoch(), 101u);
}

TEST_F(AnnounceOnlyTest, TakesNoEpochThatShowsNoActivity) {  // W-63: nobody has just made it for us, so there is no grace
  begin();
  stage.t += 4 * kPeriodNs;
  hear(stage.announce(regions));
  EXPECT_EQ(map(), nullptr);
  EXPECT_THAT(link().why(), HasSubstr("activity"));
  stage.maps[0]->touch_activity(stage.t);
  stage.pass(*session, 200 * kNsPerMs);  // it does not try at every announce
  hear(stage.announce(regions));
  ASSERT_NE(map(), nullptr);
  stage.pass(*session, 6 * kPeriodNs);
  EXPECT_EQ(map(), nullptr) << "and lets go of one that has stopped showing it";
  EXPECT_EQ(link().state(), State::kRemapping);
}

TEST_F(AnnounceOnlyTest, WaitsForALaterAnnounceWhenAnotherProcessHasMadeTheRegionsAnew) {  // W-64
  begin_mapped();
  for (const auto* file : {"header.ring", "1.pool"}) {
    FILE* f = std::fopen(concat(stage.files.stream_path(kStream), "/100/", file).c_str(), "r+b");
    ASSERT_NE(f, nullptr);
    const uint64_t pid = 4242;
    std::fseek(f, 40, SEEK_SET);
    std::fwrite(&pid, sizeof pid, 1, f);
    std::fclose(f);
  }
  const auto first = stage.announce(regions);
  hear(first);
  EXPECT_EQ(map(), nullptr);
  hear(first);
  EXPECT_EQ(map(), nullptr);
  stage.pass(*session, kPeriodNs);
  hear(stage.announce(regions));
  EXPECT_NE(map(), nullptr);
}

TEST_F(AnnounceOnlyTest, FollowsASuccessorThatCountsFromBelowOnceTheOtherIsSilent) {  // W-57, D-62
  begin_mapped();
  const auto below = stage.make_epoch(7);
  hear(stage.announce(below));
  EXPECT_EQ(map()->epoch(), 100u);
  stage.pass(*session, 12 * kPeriodNs);
  EXPECT_EQ(map(), nullptr) << "its activity has stopped";
  stage.maps[1]->touch_activity(stage.t);
  hear(stage.announce(below));
  ASSERT_NE(map(), nullptr) << link().why();
  EXPECT_EQ(map()->epoch(), 7u);
}

TEST_F(AnnounceOnlyTest, LetsGoWhenADriverEndsTheStream) {  // W-59, D-59, D-61
  begin_mapped();
  stage.t += kPeriodNs;
  session->on(stage.revoke(9, wire::Role::producer, 9), stage.now());
  EXPECT_EQ(map(), nullptr);
  hear(stage.announce(regions));
  EXPECT_EQ(map(), nullptr) << "a later epoch it must be";
  hear(stage.announce(stage.make_epoch(101)));
  ASSERT_NE(map(), nullptr);
  session->on(wire::ShmDriverShutdown{.timestamp_ns = stage.t, .reason = wire::ShutdownReason::normal, .error_message = {}},
              stage.now());
  EXPECT_EQ(map(), nullptr);
  stage.pass(*session, kPeriodNs);
  hear(stage.announce(stage.make_epoch(50)));
  ASSERT_NE(map(), nullptr) << "the next driver's, whatever its number";
}

TEST_F(AnnounceOnlyTest, SurvivesTheMediaDriver) {  // driver.md 14
  begin_mapped();
  session->disconnected("gone");
  EXPECT_EQ(map(), nullptr);
  EXPECT_EQ(link().state(), State::kConnecting);
  session->connected(stage.now());
  EXPECT_EQ(link().state(), State::kRemapping);
  hear(stage.announce(regions));
  EXPECT_NE(map(), nullptr);
}

TEST_F(AnnounceOnlyTest, SaysThatNothingWasAnnounced) {  // P-13
  begin();
  stage.pass(*session, 5 * kPeriodNs);
  ASSERT_TRUE(link().failure());
  EXPECT_EQ(link().failure()->code(), Code::kUnavailable);
  EXPECT_THAT(link().failure()->what(), AllOf(HasSubstr("cannot follow stream 10000: nothing usable was announced within 5 s"),
                                              HasSubstr("stream 1000"), HasSubstr("--wait")));
  EXPECT_TRUE(session->finished());
}

TEST_F(AnnounceOnlyTest, SaysWhyWhatWasAnnouncedWasNotUsed) {  // P-13, W-24
  begin();
  auto stale = stage.announce(regions);
  stale.announce_timestamp_ns -= 4 * kPeriodNs;
  hear(stale);
  stage.pass(*session, 5 * kPeriodNs);
  EXPECT_THAT(link().failure()->what(), HasSubstr("one was heard and not used: stale"));
  begin();
  auto elsewhere = stage.announce(regions);
  elsewhere.header_region_uri = "shm:file?path=/etc/passwd";
  hear(elsewhere);
  stage.pass(*session, 5 * kPeriodNs);
  EXPECT_THAT(link().failure()->what(), AllOf(HasSubstr("cannot map stream 10000 within 5 s"), HasSubstr("allowed_base_dirs")));
}

TEST_F(AnnounceOnlyTest, WaitsForEverWhenToldTo) {  // P-13
  begin(0);
  stage.pass(*session, 1000 * kPeriodNs, kPeriodNs);
  EXPECT_FALSE(link().decided());
  stage.maps[0]->touch_activity(stage.t);
  hear(stage.announce(regions));
  EXPECT_NE(map(), nullptr);
}

}  // namespace
}  // namespace tidepool::client::alone_test
