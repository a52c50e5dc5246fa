// What the world does to a driver, and streams that are made on request.
#include "tidepool/services/driver/driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

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

// ---- what the world does ---------------------------------------------------------------------------------------------------

TEST_F(DriverTest, WithoutAMediaDriverItSaysSo) {  // P-13
  auto c = config();
  c.aeron_dir = dir_.path() + "/no-aeron";
  try {
    Driver driver(c, clock_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kUnavailable) << error.what();
    EXPECT_THAT(error.what(), ::testing::HasSubstr(c.aeron_dir));
  }
}

TEST_F(DriverTest, ABadConfigurationIsRefusedWhole) {  // CFG-1, D-48
  auto c = config();
  c.stream_id_range = {{5, 20}};
  c.permissions_mode = 0666;
  try {
    Driver driver(c, clock_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("driver.stream_id_range"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("shm.permissions_mode"));
  }
  EXPECT_TRUE(fs::is_empty(dir_.path()));
}

TEST_F(DriverTest, StreamsThatNoFileSystemHoldsAreRefusedAtTheStart) {  // P-9, R-06, R-24, CFG-4
  auto c = config();
  c.profiles.push_back({"vast", {1 << 30, {{1, 1 << 30}}}});
  c.streams.push_back({"vast", 12, "vast"});
  try {
    Driver driver(c, clock_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kNoSpace);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("streams.vast"));
  }
}

TEST_F(DriverTest, AUserDirectoryThatIsALinkIsRefused) {  // D-34, R-23
  fs::create_directory(dir_.path() + "/elsewhere");
  fs::create_directory_symlink(dir_.path() + "/elsewhere", dir_.path() + "/tensorpool-" + sanitised_user_name());
  try {
    Driver driver(config(), clock_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kPermission) << error.what();
  }
  EXPECT_TRUE(fs::is_empty(dir_.path() + "/elsewhere"));
}

TEST_F(DriverTest, TheBaseDirectoryIsMadeIfItsParentIsThere) {  // CFG-10
  auto c = config();
  c.base_dir = dir_.path() + "/new";
  start(c);
  EXPECT_EQ(attach(10, 5, Role::producer).code, ResponseCode::ok);
}

TEST_F(DriverTest, WhatAStreamWillTakeIsSaidBeforeItIsTaken) {  // P-9, R-06
  LogCapture log;
  start();
  attach(10, 5, Role::producer);
  const uint64_t bytes = pool::Geometry{16, {{1, 4096}}}.total_bytes();
  EXPECT_TRUE(log.has(concat("stream 10: a new epoch by profile small takes ", bytes, " bytes"))) << log.all();
  EXPECT_EQ(status(10).bytes_per_epoch, bytes);
  EXPECT_EQ(driver_->counts().bytes_provisioned, bytes);
}

TEST_F(DriverTest, AStrideThatIsNoPowerOfTwoIsServedIfAllowed) {  // CFG-9
  auto c = config();
  c.profiles.push_back({"odd", {8, {{1, 192}}}});
  c.streams.push_back({"odd", 12, "odd"});
  EXPECT_THROW(Driver(c, clock_), Error);
  c.require_power_of_two_stride = false;
  start(c);
  EXPECT_EQ(attach(12, 5, Role::producer).pools.at(0).stride_bytes, 192u);
}

TEST_F(DriverTest, WithoutPrefaultingTheEpochsAreServedToo) {  // D-35
  auto c = config();
  c.prefault_shm = false;
  start(c);
  EXPECT_EQ(attach(10, 5, Role::producer).code, ResponseCode::ok);
}

class SmallFileSystemTest : public DriverTest {
 protected:
  void mount_tmpfs(const char* size) {
    if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: mounting a small tmpfs needs root";
    point_ = dir_.path() + "/small";
    fs::create_directory(point_);
    if (::mount("tmpfs", point_.c_str(), "tmpfs", 0, concat("size=", size).c_str()) != 0) {
      const auto why = errno_text();
      point_.clear();
      GTEST_SKIP() << "SKIPPED: no tmpfs can be mounted here" << why;
    }
  }
  void TearDown() override {
    driver_.reset();
    if (!point_.empty()) ::umount2(point_.c_str(), MNT_DETACH);
  }
  void fill(uint64_t leave_bytes) {
    const auto space = fs::space(point_);
    std::ofstream file(point_ + "/filler", std::ios::binary);
    file << std::string(space.free - leave_bytes, 'x');
  }
  std::vector<std::string> contents() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(point_)) out.push_back(entry.path().string().substr(point_.size()));
    std::sort(out.begin(), out.end());
    return out;
  }
  std::string point_;
};

TEST_F(SmallFileSystemTest, AnEpochThatDoesNotFitLeavesNothingBehind) {  // D-35, D-8, R-24
  ASSERT_NO_FATAL_FAILURE(mount_tmpfs("1m"));
  if (point_.empty()) return;
  auto c = config();
  c.base_dir = point_;
  start(c);
  fill(16384);
  const auto before = contents();
  for (const Role role : {Role::producer, Role::consumer}) {
    const auto refused = ask(request(10, 5, role));
    EXPECT_EQ(refused.code, ResponseCode::internal_error);
    EXPECT_TRUE(refused.error_message.starts_with("shm creation failed: ")) << refused.error_message;
    EXPECT_THAT(refused.error_message, ::testing::HasSubstr("bytes"));
    EXPECT_EQ(contents(), before);
  }
  EXPECT_TRUE(driver_->leases().empty());
  EXPECT_EQ(client_->count<wire::ShmPoolAnnounce>(), 0u);
  EXPECT_EQ(driver_->counts().epochs_failed, 2u);
  fs::remove(point_ + "/filler");
  EXPECT_EQ(attach(10, 5, Role::producer).node_id, 1u);  // nothing was used up
}

TEST_F(SmallFileSystemTest, ShortageCollectsOldEpochsWhateverTheirAgeAndTriesAgain) {  // D-35, D-40
  ASSERT_NO_FATAL_FAILURE(mount_tmpfs("400k"));  // room for four epochs of stream 10
  if (point_.empty()) return;
  auto c = config();
  c.base_dir = point_;
  start(c);
  for (int i = 0; i < 20; ++i) {
    const auto lease = attach(10, 5, Role::producer);
    ASSERT_EQ(detach(detach_request(lease, 5, Role::producer)).code, ResponseCode::ok);
    ASSERT_NE(status(10).epoch, 0u);
  }
  EXPECT_GT(driver_->counts().epochs_collected, 30u);
}

TEST_F(SmallFileSystemTest, AStreamWhoseNextEpochDoesNotFitIsDownUntilTheNextAttach) {  // driver.md 6.6; D-25, D-43
  ASSERT_NO_FATAL_FAILURE(mount_tmpfs("1m"));
  if (point_.empty()) return;
  auto c = config();
  c.base_dir = point_;
  start(c);
  const auto lease = attach(10, 5, Role::producer);
  fill(16384);
  client_->heard.clear();
  EXPECT_EQ(detach(detach_request(lease, 5, Role::producer)).code, ResponseCode::ok);
  EXPECT_EQ(client_->story(), "revoked(10,c5,1) detach(0)");
  EXPECT_EQ(status(10).epoch, 0u);
  clock_.advance_ms(5 * kPeriodMs);
  fence();
  EXPECT_EQ(client_->count<wire::ShmPoolAnnounce>(), 0u);
  fs::remove(point_ + "/filler");
  EXPECT_GT(*attach(10, 6, Role::consumer).epoch, *lease.epoch);
}

TEST_F(SmallFileSystemTest, ARepeatForAStreamThatWentDownIsNoGrantWithoutRegions) {  // D-11, D-17
  ASSERT_NO_FATAL_FAILURE(mount_tmpfs("1m"));
  if (point_.empty()) return;
  auto c = config();
  c.base_dir = point_;
  start(c);
  const auto r = request(10, 5, Role::consumer);
  ASSERT_EQ(ask(r).code, ResponseCode::ok);
  const auto producer = attach(10, 6, Role::producer);
  fill(16384);
  detach(detach_request(producer, 6, Role::producer));
  ASSERT_EQ(status(10).epoch, 0u);
  EXPECT_EQ(ask(r).code, ResponseCode::internal_error);
  EXPECT_EQ(driver_->leases().size(), 1u);  // and the lease stays what it was
}

class HugepagesTest : public SmallFileSystemTest {};

TEST_F(HugepagesTest, OnHugetlbfsHugepagesAreGivenAndStandardPagesAreNot) {  // D-15, D-38
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: mounting hugetlbfs needs root";
  const shm::test::ReservedHugepages reserved(16);  // four epochs of two regions
  point_ = dir_.path() + "/huge";
  fs::create_directory(point_);
  if (::mount("none", point_.c_str(), "hugetlbfs", 0, nullptr) != 0) {
    const auto why = errno_text();
    point_.clear();
    GTEST_SKIP() << "SKIPPED: no hugetlbfs can be mounted here" << why;
  }
  auto c = config();
  c.base_dir = point_;
  c.require_hugepages = true;
  start(c);
  auto r = request(10, 5, Role::producer);
  r.require_hugepages = static_cast<uint8_t>(wire::HugepagesPolicy::standard);
  const auto refused = ask(r);
  EXPECT_EQ(refused.code, ResponseCode::rejected);
  EXPECT_EQ(refused.error_message, "standard pages requested");
  for (const auto pages : {wire::HugepagesPolicy::hugepages, wire::HugepagesPolicy::unspecified}) {
    r = request(10, 5, Role::producer);
    r.require_hugepages = static_cast<uint8_t>(pages);
    const auto answer = ask(r);
    if (answer.code != ResponseCode::ok) {
      EXPECT_EQ(answer.code, ResponseCode::internal_error);  // never another kind of page instead
      EXPECT_TRUE(answer.error_message.starts_with("shm creation failed: ")) << answer.error_message;
      GTEST_SKIP() << "SKIPPED in part: no huge pages are reserved here (vm.nr_hugepages)";
    }
    EXPECT_TRUE(answer.header_region_uri.ends_with("|require_hugepages=true")) << answer.header_region_uri;
    shm::MapPolicy::Options policy;
    policy.allowed_base_dirs = {point_};
    const auto map = pool::EpochMap::open(pool::EpochRegions::of(answer), shm::Access::kReadWrite, shm::MapPolicy(policy), {});
    EXPECT_EQ(fs::file_size(shm::Uri::parse(answer.header_region_uri).path) % shm::file_system_of(point_).block_bytes, 0u);
    detach(detach_request(answer, 5, Role::producer));
  }
}

TEST_F(DriverTest, DamagedRegionsAreMadeAnewAndTheirProducerIsTold) {  // R-03, D-25, D-32
  start();
  const auto lease = attach(10, 5, Role::producer);
  client_->heard.clear();
  fs::resize_file(shm::Uri::parse(lease.pools[0].region_uri).path, 100);  // a stranger's doing
  clock_.advance_ms(kPeriodMs);
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmPoolAnnounce>() > 0; }));
  EXPECT_EQ(client_->story(), "revoked(10,c5,3) announce(10,p0)");
  EXPECT_GT(client_->all<wire::ShmPoolAnnounce>()[0].epoch, *lease.epoch);
  EXPECT_EQ(client_->all<wire::ShmLeaseRevoked>()[0].error_message, "regions damaged");
  EXPECT_EQ(driver_->counts().regions_damaged, 1u);

  client_->heard.clear();
  fs::remove(shm::Uri::parse(attach(11, 6, Role::consumer).header_region_uri).path);
  client_->heard.clear();
  clock_.advance_ms(kPeriodMs);
  ASSERT_TRUE(run_until([&] { return client_->all<wire::ShmPoolAnnounce>().size() >= 2; }));
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 0u);  // a consumer follows the announce
  EXPECT_EQ(driver_->counts().regions_damaged, 2u);
}

TEST(DriverReconnectTest, AMediaDriverThatDiesCostsAllLeasesAndNothingElse) {  // driver.md 14; D-32, D-28; rulings "Tests"
  LogCapture log;
  TestMediaDriver media;
  TestDir dir;
  StillClock clock;
  DriverConfig c;
  c.aeron_dir = media.dir();
  c.control_channel = kChannel;
  c.base_dir = dir.path();
  c.profiles = {{"small", {16, {{1, 4096}}}}};
  c.streams = {{"left", 10, "small"}};
  Driver driver(c, clock, {.media_driver_timeout_ms = 1'000});
  const auto run = [&](RawClient& client, auto&& done) {
    return poll_until([&] {
      driver.poll();
      client.poll();
      return done();
    });
  };
  wire::ShmAttachRequest r;
  r.correlation_id = 1;
  r.stream_id = 10;
  r.client_id = 5;
  r.role = 1;
  r.publish_mode = 1;
  wire::ShmAttachResponse before;
  {
    RawClient client(c.aeron_dir, kChannel, 1000, 1000);
    client.send(r);
    ASSERT_TRUE(run(client, [&] { return client.count<wire::ShmAttachResponse>() == 1; }));
    before = client.all<wire::ShmAttachResponse>()[0];
    ASSERT_EQ(before.code, ResponseCode::ok);
  }
  media.stop();
  ASSERT_TRUE(poll_until([&] {
    driver.poll();
    return !driver.connected();
  }));
  EXPECT_TRUE(driver.leases().empty());
  EXPECT_EQ(driver.counts().leases_dropped, 1u);
  EXPECT_EQ(driver.streams().at(0).epoch, 0u);
  for (int i = 0; i < 100; ++i) {  // nobody there: it waits, and does not throw
    clock.advance_ms(50);
    EXPECT_NO_THROW(driver.poll());
  }
  EXPECT_FALSE(driver.connected());
  EXPECT_LE(log.count("no connection yet"), 8u);  // 100 ms doubling to 3.2 s within 5 s

  media.start();
  ASSERT_TRUE(poll_until([&] {
    clock.advance_ms(10);
    driver.poll();
    return driver.connected();
  }));
  EXPECT_EQ(driver.counts().reconnects, 1u);
  RawClient client(c.aeron_dir, kChannel, 1000, 1000);
  // Who survived it all with its lease is told.
  client.send(wire::ShmLeaseKeepalive{*before.lease_id, 10, 5, 1, 0});
  ASSERT_TRUE(run(client, [&] { return client.count<wire::ShmLeaseRevoked>() == 1; }));
  r.correlation_id = 2;
  client.send(r);
  ASSERT_TRUE(run(client, [&] { return client.count<wire::ShmAttachResponse>() == 1; }));
  const auto after = client.all<wire::ShmAttachResponse>()[0];
  ASSERT_EQ(after.code, ResponseCode::ok) << after.error_message;
  EXPECT_GT(*after.epoch, *before.epoch);
  EXPECT_NE(after.lease_id, before.lease_id);
}

// ---- dynamic streams ---------------------------------------------------------------------------------------------------------

TEST_F(DriverTest, DynamicStreamsComeFromTheRange) {  // D-13, D-19, D-49; scenario 3
  start(dynamic_config());
  auto missing = request(20001, 5, Role::consumer);
  missing.publish_mode = 255;
  EXPECT_EQ(ask(missing).error_message, "stream not provisioned");
  EXPECT_EQ(ask(request(19999, 5, Role::consumer)).error_message, "stream_id outside dynamic range");
  EXPECT_EQ(driver_->streams().size(), 2u);
  EXPECT_EQ(attach(20001, 5, Role::consumer).stream_id, 20001u);
  EXPECT_EQ(attach(0, 6, Role::producer).stream_id, 20000u);
  const auto third = request(0, 7, Role::producer);
  EXPECT_EQ(ask(third).stream_id, 20002u);
  const auto repeated = ask(third);  // verbatim, and the stream asked for was 0
  EXPECT_EQ(repeated.code, ResponseCode::ok);
  EXPECT_EQ(repeated.stream_id, 20002u);
  const auto none = ask(request(0, 8, Role::producer));
  EXPECT_EQ(none.code, ResponseCode::invalid_params);
  EXPECT_EQ(none.error_message, "stream_id_range exhausted");
  // Once there, it exists for REQUIRE_EXISTING too.
  auto existing = request(20000, 9, Role::consumer);
  existing.publish_mode = static_cast<uint8_t>(PublishMode::require_existing);
  EXPECT_EQ(ask(existing).code, ResponseCode::ok);
  EXPECT_TRUE(status(20000).dynamic);
}

TEST_F(DriverTest, RequestsForAnyIdThatRaceGetDifferentOnes) {  // D-49
  start(dynamic_config());
  const auto a = request(0, 5, Role::producer);
  const auto b = request(0, 6, Role::producer);
  client_->send(a);
  client_->send(b);
  ASSERT_TRUE(run_until([&] { return !answers(a.correlation_id).empty() && !answers(b.correlation_id).empty(); }));
  EXPECT_EQ((std::set<uint32_t>{*answers(a.correlation_id)[0].stream_id, *answers(b.correlation_id)[0].stream_id}),
            (std::set<uint32_t>{20000, 20001}));
}

TEST_F(DriverTest, AnUnusedDynamicStreamIsForgottenAfterItsTimeWithItsFiles) {  // driver.md 12; D-31
  auto c = dynamic_config();
  c.dynamic_stream_linger_ms = 5'000;
  start(c);
  const auto lease = attach(20001, 5, Role::consumer);
  detach(detach_request(attach(10, 6, Role::consumer), 6, Role::consumer));
  clock_.advance_ms(2'000);
  keepalive(lease, 5, Role::consumer);
  fence();
  detach(detach_request(lease, 5, Role::consumer));
  clock_.advance_ms(4'999);
  fence();
  EXPECT_EQ(status(20001).stream_id, 20001u);
  clock_.advance_ms(1);
  ASSERT_TRUE(run_until([&] { return status(20001).stream_id == 0 && !fs::exists(namespace_path() / "20001"); }));
  EXPECT_EQ(status(10).stream_id, 10u);  // static streams never go
  EXPECT_GT(*attach(20001, 5, Role::consumer).epoch, *lease.epoch);
}

TEST_F(DriverTest, AUsedDynamicStreamIsNotForgotten) {  // driver.md 12
  auto c = dynamic_config();
  c.dynamic_stream_linger_ms = 1'000;
  start(c);
  const auto lease = attach(20001, 5, Role::consumer);
  for (int i = 0; i < 20; ++i) {
    clock_.advance_ms(1'000);
    keepalive(lease, 5, Role::consumer);
    fence();
  }
  EXPECT_EQ(status(20001).consumers, 1u);
}

}  // namespace
}  // namespace tidepool::driver
