// The driver ends, comes back, and cleans up.
#include "tidepool/services/driver/driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

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

// ---- shutdown ----------------------------------------------------------------------------------------------------------------

TEST_F(DriverTest, DrainsForAWhileThenSaysGoodbye) {  // D-46, D-43, P-14
  start();
  const auto lease = attach(10, 5, Role::producer);
  client_->heard.clear();
  driver_->shutdown(wire::ShutdownReason::error, "no more memory", false);
  EXPECT_EQ(driver_->lifecycle(), Driver::Lifecycle::kDraining);
  const auto refused = ask(request(10, 6, Role::consumer));
  EXPECT_EQ(refused.code, ResponseCode::rejected);
  EXPECT_EQ(refused.error_message, "driver draining");
  EXPECT_EQ(client_->story(), "announce(10,p5) attach(3)");
  clock_.advance_ms(1000);
  keepalive(lease, 5, Role::producer);
  fence();
  EXPECT_EQ(driver_->counts().keepalives, 1u);
  EXPECT_EQ(detach(detach_request(lease, 5, Role::producer)).code, ResponseCode::ok);  // works as usual
  client_->heard.clear();
  clock_.advance_ms(999);
  for (int i = 0; i < 10; ++i) driver_->poll();
  EXPECT_EQ(driver_->lifecycle(), Driver::Lifecycle::kDraining);
  clock_.advance_ms(1);
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmDriverShutdown>() > 0; }));
  EXPECT_EQ(driver_->lifecycle(), Driver::Lifecycle::kStopped);
  const auto notice = client_->all<wire::ShmDriverShutdown>().at(0);
  EXPECT_EQ(notice.reason, wire::ShutdownReason::error);
  EXPECT_EQ(notice.error_message, "no more memory");
  EXPECT_EQ(notice.timestamp_ns, clock_.monotonic_ns());
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 0u);
  EXPECT_EQ(driver_->poll(), 0);
}

TEST_F(DriverTest, ASignalNeedNotWaitForTheDrain) {  // D-46
  start();
  attach(10, 5, Role::producer);
  client_->heard.clear();
  driver_->shutdown(wire::ShutdownReason::normal, "", true);
  ASSERT_TRUE(run_until([&] { return driver_->lifecycle() == Driver::Lifecycle::kStopped; }));
  ASSERT_TRUE(poll_until([&] {
    client_->poll();
    return client_->count<wire::ShmDriverShutdown>() == 1;
  }));
  EXPECT_EQ(client_->story(), "announce(10,p5) shutdown");  // and no revocation for the lease (rulings P-14)
  EXPECT_TRUE(driver_->leases().empty());
}

TEST_F(DriverTest, TheDestructorSaysGoodbye) {  // D-46
  start();
  driver_.reset();
  ASSERT_TRUE(poll_until([&] {
    client_->poll();
    return client_->count<wire::ShmDriverShutdown>() == 1;
  }));
}

TEST_F(DriverTest, AttachRequestsThatWaitForAnEpochAreRefusedAtTheEnd) {  // D-46, D-6
  start();
  const auto r = request(10, 5, Role::producer);
  client_->send(r);
  ASSERT_TRUE(poll_until([&] { return driver_->poll() > 0; }));  // read; its epoch is being made
  driver_->shutdown(wire::ShutdownReason::normal, "", true);
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmDriverShutdown>() == 1; }));
  // It got an answer, one way or the other, before the notice.
  ASSERT_EQ(answers(r.correlation_id).size(), 1u);
  EXPECT_TRUE(std::holds_alternative<wire::ShmDriverShutdown>(client_->heard.back())) << client_->story();
}

TEST_F(DriverTest, AShutdownRequestWithTheTokenEndsTheDriverWithItsWords) {  // D-47, D-46
  LogCapture log;
  auto c = config();
  c.shutdown_token = "open-sesame";
  start(c);
  for (const char* wrong : {"", "open-sesam", "open-sesame!", "Open-sesame", "open-sesameopen-sesame"}) {
    client_->send(wire::ShmDriverShutdownRequest{++correlation_, wire::ShutdownReason::admin, wrong, "go away"});
    fence();
    EXPECT_EQ(driver_->lifecycle(), Driver::Lifecycle::kRunning) << wrong;
  }
  EXPECT_TRUE(client_->heard.empty()) << client_->story();
  EXPECT_EQ(driver_->counts().shutdown_requests_ignored, 5u);
  client_->send(wire::ShmDriverShutdownRequest{++correlation_, wire::ShutdownReason::admin, "open-sesame", "lunch \x1b[31mbreak"});
  ASSERT_TRUE(run_until([&] { return driver_->lifecycle() == Driver::Lifecycle::kDraining; }));
  // A second one while draining changes nothing.
  client_->send(wire::ShmDriverShutdownRequest{++correlation_, wire::ShutdownReason::error, "open-sesame", "again"});
  fence();
  clock_.advance_ms(c.shutdown_timeout_ms);
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmDriverShutdown>() == 1; }));
  EXPECT_EQ(client_->all<wire::ShmDriverShutdown>()[0].reason, wire::ShutdownReason::admin);
  EXPECT_EQ(client_->all<wire::ShmDriverShutdown>()[0].error_message, "lunch \x1b[31mbreak");
  EXPECT_FALSE(log.has("sesame")) << log.all();
  EXPECT_FALSE(log.has("\x1b")) << log.all();
  EXPECT_TRUE(log.has("lunch \\x1b[31mbreak")) << log.all();
}

TEST_F(DriverTest, WithoutATokenNobodyShutsTheDriverDown) {  // D-47
  start();
  for (const char* token : {"", "x"})
    client_->send(wire::ShmDriverShutdownRequest{++correlation_, wire::ShutdownReason::admin, token, ""});
  fence();
  EXPECT_EQ(driver_->lifecycle(), Driver::Lifecycle::kRunning);
  EXPECT_EQ(driver_->counts().shutdown_requests_ignored, 2u);
}

TEST_F(DriverTest, FilesStayAtShutdownUnlessTheyAreToGo) {  // driver.md 11
  start();
  attach(10, 5, Role::producer);
  driver_.reset();
  EXPECT_EQ(epochs_on_disk(10).size(), 1u);

  auto c = config();
  c.cleanup_shm_on_exit = true;
  start(c);
  attach(10, 5, Role::producer);
  attach(11, 6, Role::consumer);
  EXPECT_EQ(epochs_on_disk(10).size(), 2u);
  driver_.reset();
  EXPECT_EQ(epochs_on_disk(10).size(), 1u);  // the other life's
  EXPECT_FALSE(fs::exists(namespace_path() / "11"));
}

// ---- restart, sweep, collection ----------------------------------------------------------------------------------------------

TEST_F(DriverTest, ARestartedDriverContinuesWithHigherEpochsAndOtherLeases) {  // D-20, D-28, D-31, D-32, D-42; scenario 5
  start();
  const auto before = attach(10, 5, Role::producer);
  driver_.reset();
  const auto held = superblock(before.header_region_uri);
  start();
  fence();
  EXPECT_EQ(driver_->counts().announces, 0u);  // none before a new epoch is made
  EXPECT_EQ(status(10).epoch, 0u);
  keepalive(before, 5, Role::producer);
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmLeaseRevoked>() == 1; }));
  const auto after = attach(10, 5, Role::consumer);
  EXPECT_GT(*after.epoch, *before.epoch);
  EXPECT_NE(after.lease_id, before.lease_id);
  EXPECT_EQ(superblock(before.header_region_uri), held);  // the old epoch's files are left alone
}

TEST_F(DriverTest, ANewDriverDoesNotAnswerWhatItsPredecessorWasAsked) {  // D-20, D-47, D-68
  auto c = config();
  c.shutdown_token = "token";
  start(c);
  RawClient slow(media_->dir(), kChannel, control_stream_, control_stream_);  // holds the log's past open for who joins
  attach(10, 5, Role::producer);
  client_->send(wire::ShmDriverShutdownRequest{1, wire::ShutdownReason::admin, "token", ""});
  ASSERT_TRUE(run_until([&] { return driver_->lifecycle() == Driver::Lifecycle::kDraining; }));
  driver_.reset();
  start(c);
  fence();
  EXPECT_EQ(driver_->lifecycle(), Driver::Lifecycle::kRunning);
  EXPECT_TRUE(driver_->leases().empty());
  EXPECT_EQ(driver_->counts().attach_responses[0], 0u);
  EXPECT_EQ(driver_->counts().foreign_responses, 0u);
}

TEST_F(DriverTest, EpochsStayAboveADirectoryOfAnEarlierBoot) {  // D-31: the monotonic clock began anew
  const uint64_t old_epoch = clock_.monotonic_ns() + 1'000'000 * kNsPerSecond;
  fs::create_directories(namespace_path() / "10" / std::to_string(old_epoch));
  fs::permissions(dir_.path() + "/tensorpool-" + sanitised_user_name(), fs::perms::owner_all);
  fs::permissions(namespace_path(), fs::perms::owner_all);
  fs::permissions(namespace_path() / "10", fs::perms::owner_all);
  start();
  EXPECT_EQ(attach(10, 5, Role::producer).epoch, old_epoch + 1);
}

TEST_F(DriverTest, AStartSweepsWhatDeadDriversLeft) {  // P-8, R-02, R-25
  start();
  for (int i = 0; i < 4; ++i) detach(detach_request(attach(10, 5, Role::producer), 5, Role::producer));
  ASSERT_EQ(epochs_on_disk(10).size(), 8u);
  const auto newest = epochs_on_disk(10);
  driver_.reset();
  clock_.advance_ms(60'000);
  start();
  EXPECT_EQ(epochs_on_disk(10), std::vector<uint64_t>(newest.end() - 2, newest.end()));
  EXPECT_EQ(driver_->counts().epochs_collected, 6u);
}

TEST_F(DriverTest, LeftoversTooYoungAtTheStartAreSweptLater) {  // P-8
  start();
  for (int i = 0; i < 4; ++i) detach(detach_request(attach(10, 5, Role::producer), 5, Role::producer));
  driver_.reset();
  auto c = config();
  c.streams = {{"right", 11, "two"}};  // nobody's any more
  start(c);
  EXPECT_EQ(epochs_on_disk(10).size(), 8u);
  clock_.advance_ms(60'000);
  ASSERT_TRUE(run_until([&] { return epochs_on_disk(10).size() == 2; }));
}

TEST_F(DriverTest, AStartSweepsTheNamespacesThatNoDriverHolds) {  // P-8, R-02, R-25
  const auto path = [&](const char* name_space) {
    return fs::path(dir_.path()) / ("tensorpool-" + sanitised_user_name()) / name_space / "10";
  };
  const auto epochs_of = [&](const char* name_space) {
    size_t n = 0;
    for (const auto& entry : fs::directory_iterator(path(name_space))) n += entry.is_directory();
    return n;
  };
  const auto fill = [&](const char* name_space) {
    auto c = config();
    c.name_space = name_space;
    start(c);
    for (int i = 0; i < 4; ++i) detach(detach_request(attach(10, 5, Role::producer), 5, Role::producer));
  };
  fill("dead");
  fill("foreign");
  driver_.reset();
  fs::remove(path("foreign").parent_path() / "driver.lock");  // as a driver of somebody else's make leaves it
  fill("alive");
  std::unique_ptr<Driver> alive = std::move(driver_);
  clock_.advance_ms(60'000);
  auto c = config();
  c.control_stream_id = control_stream_ + 5;
  start(c);
  EXPECT_EQ(epochs_of("dead"), 2u);
  EXPECT_EQ(epochs_of("alive"), 8u);  // its own driver's business
  EXPECT_EQ(epochs_of("foreign"), 8u);
  EXPECT_EQ(driver_->counts().epochs_collected, 6u);
  EXPECT_TRUE(fs::exists(path("dead").parent_path() / "driver.lock"));
}

TEST_F(DriverTest, WhatLiesWhereAStreamShouldKeepsNobodyElseFromBeingServed) {  // D-34, D-40, P-8, R-02
  start();
  driver_.reset();
  std::ofstream(namespace_path() / "10") << "a file";
  fs::create_directory(dir_.path() + "/elsewhere");
  fs::create_directory_symlink(dir_.path() + "/elsewhere", namespace_path() / "12");
  fs::create_directory(namespace_path() / "13");
  std::ofstream(namespace_path() / "13" / "notes.txt") << "somebody's";
  LogCapture log;
  start();
  EXPECT_EQ(attach(11, 5, Role::producer).code, ResponseCode::ok);
  const auto refused = ask(request(10, 6, Role::producer));
  EXPECT_EQ(refused.code, ResponseCode::internal_error);
  EXPECT_TRUE(refused.error_message.starts_with("shm creation failed: ")) << refused.error_message;
  EXPECT_TRUE(log.has("sweep of stream 10")) << log.all();
  EXPECT_TRUE(fs::is_empty(dir_.path() + "/elsewhere"));
  EXPECT_TRUE(fs::exists(namespace_path() / "13" / "notes.txt"));
  fs::remove(namespace_path() / "10");
  EXPECT_EQ(attach(10, 6, Role::producer).code, ResponseCode::ok);
}

TEST_F(DriverTest, TheSweepCanBeSwitchedOff) {  // P-8
  start();
  for (int i = 0; i < 4; ++i) detach(detach_request(attach(10, 5, Role::producer), 5, Role::producer));
  driver_.reset();
  clock_.advance_ms(60'000);
  auto c = config();
  c.epoch_gc_on_startup = false;
  start(c);
  EXPECT_EQ(epochs_on_disk(10).size(), 8u);
}

TEST_F(DriverTest, OldEpochsGoWhenTheyAreOldEnoughAndTheNewestStay) {  // D-40; scenario 10
  start();
  for (int i = 0; i < 20; ++i) detach(detach_request(attach(10, 5, Role::producer), 5, Role::producer));
  EXPECT_EQ(epochs_on_disk(10).size(), 40u);  // none is old enough yet
  const auto current = attach(10, 6, Role::consumer);
  clock_.advance_ms(60'000);
  keepalive(current, 6, Role::consumer);
  ASSERT_TRUE(run_until([&] { return epochs_on_disk(10).size() == 2; }));
  EXPECT_EQ(epochs_on_disk(10).back(), *current.epoch);
  ASSERT_TRUE(run_until([&] { return driver_->counts().epochs_collected == 38; }));
}

TEST_F(DriverTest, AnEpochThatAConsumerWasGivenStaysUntilItHadTimeToMoveOn) {  // D-40
  auto c = config();
  c.epoch_gc_keep = 1;
  start(c);
  const auto consumer = attach(10, 5, Role::consumer);
  clock_.advance_ms(2'000);
  keepalive(consumer, 5, Role::consumer);
  fence();
  clock_.advance_ms(60'000);  // its epoch is old by any measure, and its lease lives
  keepalive(consumer, 5, Role::consumer);
  const auto producer = attach(10, 6, Role::producer);
  EXPECT_EQ(epochs_on_disk(10), (std::vector<uint64_t>{*consumer.epoch, *producer.epoch}));
  clock_.advance_ms(60'000);
  keepalive(consumer, 5, Role::consumer);
  keepalive(producer, 6, Role::producer);
  ASSERT_TRUE(run_until([&] { return epochs_on_disk(10) == std::vector<uint64_t>{*producer.epoch}; }));
}

TEST_F(DriverTest, WithoutCollectionEverythingStays) {  // D-40
  for (const bool by_switch : {true, false}) {
    auto c = config();
    c.name_space = by_switch ? "off" : "zero";
    if (by_switch) {
      c.epoch_gc_enabled = false;
    } else {
      c.epoch_gc_keep = 0;
    }
    start(c);
    for (int i = 0; i < 3; ++i) detach(detach_request(attach(10, 5, Role::producer), 5, Role::producer));
    clock_.advance_ms(60'000);
    attach(10, 5, Role::producer);
    fence();
    EXPECT_EQ(driver_->counts().epochs_collected, 0u);
    driver_.reset();
  }
}

TEST_F(DriverTest, ASecondDriverIsRefusedAndToldWhoHoldsTheNamespace) {  // P-7, R-25, D-68
  start();
  auto c = config();
  c.control_stream_id = control_stream_ + 1;
  c.instance_id = "intruder";
  try {
    Driver second(c, clock_);
    FAIL() << "two drivers on one namespace";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kRejected);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("driver-under-test"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr(std::to_string(::getpid())));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("shm.namespace"));
  }
  c.name_space = "other";
  {
    Driver beside(c, clock_);
  }
  driver_.reset();
  c.name_space = "default";
  Driver successor(c, clock_);
}

}  // namespace
}  // namespace tidepool::driver
