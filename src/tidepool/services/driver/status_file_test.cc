// What a driver tells tools of itself: whole at any moment, current, gone with the driver (decision 0009).

#include "tidepool/services/driver/status_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tidepool/base/process.h"
#include "tidepool/pool/epoch_names.h"
#include "tidepool/services/driver/test_world.h"
#include "tidepool/shm/test_support.h"

namespace tidepool::driver::status_file_test {
namespace {

using Json = nlohmann::json;
using shm::test::mode_of;
using shm::test::read_file;
using shm::test::TemporaryDirectory;
using testing::LogCapture;
using testing::RawClient;
using testing::StillClock;
using transport::testing::poll_until;

TEST(StatusFileTest, IsWrittenOnChangeAndOncePerPeriodAndNoMoreOftenThanThat) {
  const TemporaryDirectory directory;
  StatusFile file(shm::Directory::open(directory.path()), 0640);
  int asked = 0;
  const auto text = [&] { return concat("text ", ++asked); };
  const std::string path = directory / pool::kDriverStatusName;
  uint64_t now = 1'000 * kNsPerSecond;
  file.update(now, 1, text);
  EXPECT_EQ(read_file(path), "text 1");
  EXPECT_EQ(mode_of(path), 0640u);
  file.update(now += StatusFile::kMinPeriodNs, 1, text);
  EXPECT_EQ(asked, 1) << "nothing has changed";
  file.update(now += 1, 2, text);
  EXPECT_EQ(read_file(path), "text 2");
  file.update(now + 1, 3, text);
  EXPECT_EQ(asked, 2) << "too soon";
  file.update(now += StatusFile::kMinPeriodNs, 3, text);
  EXPECT_EQ(asked, 3);
  file.update(now += StatusFile::kPeriodNs, 3, text);
  EXPECT_EQ(asked, 4) << "proof of life";
  file.remove();
  EXPECT_TRUE(directory.directory().entries().empty());
}

TEST(StatusFileTest, ReplacesWhatAKilledDriverLeftAndFollowsNoLink) {  // R-01, W-26
  const TemporaryDirectory directory;
  const std::string victim = directory / "victim";
  shm::test::write_file(victim, "precious");
  std::filesystem::create_symlink(victim, directory / pool::kDriverStatusNewName);
  std::filesystem::create_symlink(victim, directory / pool::kDriverStatusName);
  StatusFile file(shm::Directory::open(directory.path()), 0660);
  file.update(1, 1, [] { return std::string("mine"); });
  EXPECT_EQ(read_file(victim), "precious");
  EXPECT_FALSE(std::filesystem::is_symlink(directory / pool::kDriverStatusName));
  EXPECT_EQ(read_file(directory / pool::kDriverStatusName), "mine");
}

TEST(StatusFileTest, SaysOnceThatItCannotBeWrittenAndTriesAgain) {
  const TemporaryDirectory directory;
  const std::string path = directory / pool::kDriverStatusName;
  std::filesystem::create_directories(path + "/in/the/way");
  StatusFile file(shm::Directory::open(directory.path()), 0660);
  const LogCapture log;
  uint64_t now = 1;
  for (int i = 0; i < 3; ++i) file.update(now += StatusFile::kPeriodNs, 1, [] { return std::string("mine"); });
  EXPECT_EQ(log.count("will have to listen"), 1u);
  std::filesystem::remove_all(path);
  file.update(now += StatusFile::kPeriodNs, 1, [] { return std::string("mine"); });
  EXPECT_EQ(read_file(path), "mine");
}

TEST(StatusFileTest, TellsWhoHoldsWhichLeaseUntilItEndsAndGoesWithTheDriver) {  // operations.md 12: driver status, leases
  const transport::testing::TestMediaDriver media;
  const TemporaryDirectory base;
  StillClock clock;
  DriverConfig config;
  config.instance_id = "lab \"a\"";
  config.aeron_dir = media.dir();
  config.base_dir = base.path();
  config.profiles.push_back({"small", {8, {{1, 4096}}}});
  config.streams.push_back({"cam1", 10000, "small"});
  auto driver = std::make_unique<Driver>(config, clock);
  RawClient client(media.dir(), config.control_channel, 1000, 1000);
  const auto run_until = [&](const std::function<bool()>& done) {
    return poll_until([&] {
      driver->poll();
      client.poll();
      return done();
    });
  };
  const std::string path = concat(base.path(), "/tensorpool-", sanitised_user_name(), "/default/driver.status");
  const auto status = [&] { return Json::parse(read_file(path)); };

  ASSERT_TRUE(run_until([&] { return driver->connected() && std::filesystem::exists(path); }));
  EXPECT_EQ(status()["format"], "tidepool driver status");
  EXPECT_EQ(status()["version"], 1);
  EXPECT_EQ(status()["instance_id"], "lab \"a\"");
  EXPECT_EQ(status()["pid"], ::getpid());
  EXPECT_EQ(status()["leases"], Json::array());

  wire::ShmAttachRequest request;
  request.correlation_id = 5;
  request.stream_id = 10000;
  request.client_id = 77;
  request.role = static_cast<uint8_t>(wire::Role::producer);
  client.send(request);
  ASSERT_TRUE(run_until([&] { return client.count<wire::ShmAttachResponse>() == 1; }));
  const auto answer = client.all<wire::ShmAttachResponse>().front();
  clock.advance_ns(StatusFile::kMinPeriodNs);
  ASSERT_TRUE(run_until([&] { return status()["leases"].size() == 1; }));
  const Json lease = status()["leases"][0];
  EXPECT_EQ(lease["lease_id"], answer.lease_id.value());
  EXPECT_EQ(lease["stream_id"], 10000);
  EXPECT_EQ(lease["client_id"], 77);
  EXPECT_EQ(lease["role"], "producer");
  EXPECT_EQ(lease["node_id"], answer.node_id.value());
  EXPECT_EQ(lease["epoch"], answer.epoch.value());
  EXPECT_EQ(lease["expiry_ns"], answer.lease_expiry_timestamp_ns.value());
  EXPECT_EQ(status()["streams"][0]["producer_client_id"], 77);
  EXPECT_EQ(status()["counts"]["attach_responses"]["ok"], 1);

  clock.advance_ms(3001);  // no keepalive: D-24
  ASSERT_TRUE(run_until([&] { return client.count<wire::ShmLeaseRevoked>() == 1; }));
  clock.advance_ns(StatusFile::kMinPeriodNs);
  ASSERT_TRUE(run_until([&] { return status()["leases"].empty(); }));
  EXPECT_EQ(status()["counts"]["leases_revoked"]["expired"], 1);

  driver.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace tidepool::driver::status_file_test
