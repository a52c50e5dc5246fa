// What the driver says and hears: announces, hellos, counters, and all of it under back pressure.
#include "tidepool/services/driver/driver.h"

#include <gtest/gtest.h>

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

// ---- announces -------------------------------------------------------------------------------------------------------------

TEST_F(DriverTest, EachProvisionedStreamIsAnnouncedOnceAPeriodAndNoOther) {  // D-43
  start();
  detach(detach_request(attach(10, 5, Role::consumer), 5, Role::consumer));
  client_->heard.clear();
  for (int step = 0; step < 30; ++step) {
    clock_.advance_ms(100);
    driver_->poll();
  }
  fence();
  EXPECT_EQ(client_->story(), "announce(10,p0) announce(10,p0) announce(10,p0)");  // stream 11 has no epoch
  const auto announces = client_->all<wire::ShmPoolAnnounce>();
  EXPECT_EQ(announces[1].announce_timestamp_ns - announces[0].announce_timestamp_ns, kNsPerSecond);
}

TEST_F(DriverTest, TheDriverKeepsTheActivityFreshUntilAProducerDoes) {  // D-41, R-01
  start();
  const auto activity = [&](const wire::ShmAttachResponse& r) {
    EXPECT_EQ(superblock(r.header_region_uri).activity_timestamp_ns, superblock(r.pools[0].region_uri).activity_timestamp_ns);
    return superblock(r.header_region_uri).activity_timestamp_ns;
  };
  const auto consumer = attach(10, 5, Role::consumer);
  for (int i = 0; i < 3; ++i) {
    clock_.advance_ms(kPeriodMs);
    keepalive(consumer, 5, Role::consumer);
    fence();
    EXPECT_EQ(activity(consumer), clock_.monotonic_ns());
  }
  const auto producer = attach(10, 6, Role::producer);
  const uint64_t at_attach = clock_.monotonic_ns();
  for (int i = 0; i < 3; ++i) {
    clock_.advance_ms(kPeriodMs);
    keepalive(consumer, 5, Role::consumer);
    keepalive(producer, 6, Role::producer);
    fence();
    EXPECT_EQ(activity(producer), at_attach);  // the producer's business now
  }
}

TEST_F(DriverTest, AnnouncesGoToTheirOwnStreamIfThereIsOne) {  // D-1, D-43, D-45
  auto c = config();
  c.announce_stream_id = control_stream_ + 1;
  start(c);
  const auto lease = attach(10, 5, Role::producer);
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmPoolAnnounce>() == 1; }));
  detach(detach_request(lease, 5, Role::producer));
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmPoolAnnounce>() == 2; }));
  const auto announces = client_->all<wire::ShmPoolAnnounce>();
  EXPECT_EQ(announces[0].producer_id, 5u);
  EXPECT_EQ(announces[1].producer_id, 0u);
  EXPECT_LE(client_->all<wire::ShmLeaseRevoked>().at(0).timestamp_ns, announces[1].announce_timestamp_ns);
}

TEST_F(DriverTest, AttachResponsesOfAnotherDriverAreCountedAndLogged) {  // D-68, D-2
  LogCapture log;
  start();
  attach(10, 5, Role::producer);  // our own come back, too
  fence();
  EXPECT_EQ(driver_->counts().foreign_responses, 0u);
  wire::ShmAttachResponse foreign;
  foreign.correlation_id = 4711;
  foreign.code = ResponseCode::rejected;
  client_->send(foreign);
  fence();
  EXPECT_EQ(driver_->counts().foreign_responses, 1u);
  EXPECT_EQ(log.count("another driver answers attach requests"), 1u);
  foreign.correlation_id = answers(correlation_).empty() ? 1 : correlation_;
  for (int i = 0; i < 5; ++i) client_->send(foreign);
  fence();
  EXPECT_EQ(driver_->counts().foreign_responses, 6u);
  EXPECT_EQ(log.count("another driver answers attach requests"), 1u);  // once a second is enough
}

TEST_F(DriverTest, StaticStreamsAreAnnouncedBeforeAnybodyAttachesIfPolicySaysSo) {  // D-43, D-32, driver.md 4
  auto c = config();
  c.provision_at_start = true;
  start(c);
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmPoolAnnounce>() >= 2; }));
  EXPECT_EQ(client_->story(), "announce(10,p0) announce(11,p0)");
  for (const auto& announce : client_->all<wire::ShmPoolAnnounce>()) {
    EXPECT_EQ(announce.epoch, status(announce.stream_id).epoch);
    EXPECT_EQ(superblock(announce.header_region_uri).epoch, announce.epoch);
  }
  const auto consumer = attach(10, 5, Role::consumer);
  EXPECT_EQ(consumer.epoch, status(10).epoch);
  EXPECT_EQ(driver_->counts().epochs_created, 2u) << "it is given what is there";
}

// ---- back pressure -----------------------------------------------------------------------------------------------------------

TEST_F(DriverTest, WhatIsOwedSurvivesBackPressureInOrder) {  // D-6, D-9
  start();
  RawClient stalled(media_->dir(), kChannel, control_stream_, control_stream_);
  // A subscriber that does not read stops everybody on an IPC stream, the driver too.
  std::vector<int64_t> asked;
  bool full = false;
  while (!full && asked.size() < 5'000) {
    auto r = request(10, 5, Role::consumer);
    r.role = 9;
    const auto bytes = wire::encode_new(r);
    auto result = client_->try_send(bytes);
    if (result == transport::SendResult::kAdminAction) result = client_->try_send(bytes);
    if (result == transport::SendResult::kOk) {
      asked.push_back(r.correlation_id);
    } else {
      ASSERT_EQ(result, transport::SendResult::kBackPressured);
      full = true;
    }
  }
  ASSERT_TRUE(full);
  ASSERT_TRUE(poll_until([&] {
    driver_->poll();
    client_->poll();
    return driver_->counts().attach_responses[2] == asked.size();
  }));
  EXPECT_GT(driver_->messages_owed(), 0u);
  ASSERT_TRUE(run_until([&] {
    stalled.poll();
    return client_->count<wire::ShmAttachResponse>() == asked.size() && stalled.count<wire::ShmAttachResponse>() == asked.size();
  }));
  EXPECT_EQ(driver_->messages_owed(), 0u);
  std::vector<int64_t> heard;
  for (const auto& r : client_->all<wire::ShmAttachResponse>()) heard.push_back(r.correlation_id);
  EXPECT_EQ(heard, asked);
}

TEST_F(DriverTest, BeyondItsLimitOfOwedMessagesTheDriverTakesNoNewWork) {  // D-6
  auto c = config();
  c.control_channel = "aeron:ipc?term-length=4m";
  start(c);
  auto stalled = std::make_unique<RawClient>(media_->dir(), c.control_channel, control_stream_, control_stream_);
  const size_t limit = Outbox::kMaxOwed;
  // Fill the log with requests, then let the driver read them: there is no room for the answers.
  size_t asked = 0;
  auto r = request(10, 5, Role::consumer);
  r.role = 9;
  const auto bytes = wire::encode_new(r);
  for (;;) {
    const auto result = client_->try_send(bytes);
    if (result == transport::SendResult::kOk) {
      ++asked;
    } else if (result == transport::SendResult::kBackPressured) {
      break;
    }
  }
  ASSERT_GT(asked, 2 * limit);
  ASSERT_TRUE(poll_until([&] {
    driver_->poll();
    client_->poll();
    return driver_->counts().attach_responses[2] + driver_->counts().requests_refused == asked;
  }));
  EXPECT_LE(driver_->messages_owed(), limit);
  EXPECT_GT(driver_->counts().requests_refused, 0u);
  // What was taken on is answered, all of it.
  ASSERT_TRUE(run_until([&] {
    stalled->poll();
    return client_->count<wire::ShmAttachResponse>() == driver_->counts().attach_responses[2];
  }));
  EXPECT_EQ(driver_->messages_owed(), 0u);
}

// ---- hellos ------------------------------------------------------------------------------------------------------------------

TEST_F(DriverTest, AHelloIsAnsweredForALiveConsumerLeaseAloneAndOnce) {  // D-50, D-51; scenario 7
  auto c = config();
  c.descriptor_stream_id_range = {{31000, 31001}};
  c.control_stream_id_range = {{32000, 32001}};
  start(c);
  const auto consumer = attach(10, 5, Role::consumer);
  attach(10, 6, Role::producer);
  client_->heard.clear();
  const auto hello = [&](uint32_t stream_id, uint32_t consumer_id, uint32_t descriptor_id) {
    wire::ConsumerHello h;
    h.stream_id = stream_id;
    h.consumer_id = consumer_id;
    h.descriptor_stream_id = descriptor_id;
    h.descriptor_channel = kChannel;
    h.control_stream_id = 32001;
    h.control_channel = kChannel;
    client_->send(h);
  };
  hello(10, 99, 31000);  // nobody's
  hello(10, 6, 31000);  // a producer's
  hello(11, 5, 31000);  // of another stream
  fence();
  EXPECT_EQ(client_->story(), "");
  EXPECT_EQ(driver_->counts().hellos_ignored, 3u);
  for (int i = 0; i < 3; ++i) hello(10, 5, 31001);
  fence();
  EXPECT_EQ(client_->story(), "config(10,c5,31001,32001)");
  EXPECT_EQ(client_->all<wire::ConsumerConfig>()[0].descriptor_channel, kChannel);
  EXPECT_EQ(driver_->counts().consumer_configs, 1u);
  const auto held = driver_->leases();
  const auto mine = std::find_if(held.begin(), held.end(), [](const auto& lease) { return lease.client_id == 5; });
  ASSERT_NE(mine, held.end());
  EXPECT_EQ(mine->descriptor_stream_id, 31001u);
  EXPECT_EQ(mine->control_stream_id, 32001u);

  // The ids are held while the lease lives, and free after it, whatever ended it.
  attach(10, 7, Role::consumer);
  attach(10, 8, Role::consumer);
  client_->heard.clear();
  hello(10, 7, 31001);
  hello(10, 8, 31001);
  fence();
  EXPECT_EQ(client_->story(), "config(10,c7,31000,32000) config(10,c8,0,0)");  // none is left: declined
  detach(detach_request(consumer, 5, Role::consumer));
  attach(10, 9, Role::consumer);
  client_->heard.clear();
  hello(10, 5, 31001);
  hello(10, 9, 31001);
  fence();
  EXPECT_EQ(client_->story(), "config(10,c9,31001,32001)");  // and nothing for a lease that has ended
  clock_.advance_ms(3001);
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmLeaseRevoked>() >= 4; }));
  attach(10, 5, Role::consumer);
  client_->heard.clear();
  hello(10, 5, 31000);
  fence();
  EXPECT_EQ(client_->count<wire::ConsumerConfig>(), 1u);
  EXPECT_EQ(client_->all<wire::ConsumerConfig>().at(0).descriptor_stream_id, 31000u);
}

TEST_F(DriverTest, AnswersToHellosAreOwed) {  // D-51, D-6
  auto c = config();
  c.descriptor_stream_id_range = {{31000, 31001}};
  start(c);
  attach(10, 5, Role::consumer);
  RawClient stalled(media_->dir(), kChannel, control_stream_, control_stream_);  // who does not read stops everybody
  wire::ConsumerHello h;
  h.stream_id = 10;
  h.consumer_id = 5;
  h.descriptor_stream_id = 31001;
  h.descriptor_channel = kChannel;
  client_->send(h);
  wire::ShmDetachRequest filler;  // has no answer but a refusal
  filler.role = 9;
  for (bool full = false; !full;) {
    const auto result = client_->try_send(wire::encode_new(filler));
    full = result == transport::SendResult::kBackPressured;
  }
  ASSERT_TRUE(poll_until([&] {
    driver_->poll();
    client_->poll();
    return driver_->counts().consumer_configs == 1 && driver_->messages_owed() > 0;
  }));
  ASSERT_TRUE(run_until([&] {
    stalled.poll();
    return client_->count<wire::ConsumerConfig>() == 1 && driver_->messages_owed() == 0;
  }));
}

TEST_F(DriverTest, TheSupervisorsPolicyTouchesNoLeaseNoEpochAndNoFile) {  // D-69
  auto c = config();
  c.consumers.force_no_shm = true;
  c.consumers.force_mode = wire::Mode::rate_limited;
  start(c);
  const auto lease = attach(10, 5, Role::consumer);
  const auto epochs = epochs_on_disk(10);
  const auto before = driver_->leases();
  const auto held = superblock(lease.header_region_uri);
  client_->heard.clear();
  wire::ConsumerHello h;
  h.stream_id = 10;
  h.consumer_id = 5;
  client_->send(h);
  fence();
  EXPECT_EQ(client_->story(), "config(10,c5,0,0)");
  EXPECT_FALSE(client_->all<wire::ConsumerConfig>()[0].use_shm);
  EXPECT_EQ(client_->all<wire::ConsumerConfig>()[0].mode, wire::Mode::rate_limited);
  EXPECT_EQ(epochs_on_disk(10), epochs);
  EXPECT_EQ(superblock(lease.header_region_uri), held);
  ASSERT_EQ(driver_->leases().size(), 1u);
  EXPECT_EQ(driver_->leases()[0].expiry_ns, before[0].expiry_ns);  // a hello is no keepalive
}

// ---- counters ----------------------------------------------------------------------------------------------------------------

TEST_F(DriverTest, WhatItCountsShowsInTheMediaDriversCounters) {  // operations.md 3, driver.md 20
  auto c = config();
  c.instance_id = concat("counted-", control_stream_);
  start(c);
  const auto lease = attach(10, 5, Role::producer);
  keepalive(lease, 5, Role::producer);
  client_->send(wire::ShmLeaseKeepalive{4711, 12345, 9, 1, 0});
  detach(detach_request(lease, 5, Role::producer));
  ask(request(999, 5, Role::producer));
  const std::string name = concat("Driver instance=", c.instance_id);
  const auto value = [&](const char* label) { return transport::testing::counter_value(media_->dir(), name, label); };
  // The media driver makes counters one by one: the last may come when the first already count.
  ASSERT_TRUE(run_until([&] {
    return value("DetachResponses") == 1 && value("AttachResponses") == 2 && value("LeaseHsmUnhandled") == 1 && value("Announces") >= 2;
  }));
  EXPECT_EQ(value("Keepalives"), 1);
  EXPECT_EQ(value("LeaseRevoked"), 1);
  EXPECT_EQ(value("AttachResponseDrops"), 0);
  EXPECT_GT(value("TotalDutyCycles"), 0);
  EXPECT_GT(value("TotalWorkDone"), 0);
  const auto all = transport::testing::counters_named(media_->dir(), name);
  ASSERT_EQ(all.size(), 9u);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].type_id, static_cast<int32_t>(32767u << 16 | (i + 1))) << all[i].label;
  EXPECT_EQ(all[0].key_id, 32767u);
}

}  // namespace
}  // namespace tidepool::driver
