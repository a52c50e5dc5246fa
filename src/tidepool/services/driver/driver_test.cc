// Attaching, seen from outside.
#include "tidepool/services/driver/driver.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "tidepool/base/process.h"
#include "tidepool/base/random.h"
#include "tidepool/pool/epoch_map.h"
#include "tidepool/services/driver/driver_impl.h"
#include "tidepool/services/driver/test_driver.h"
#include "tidepool/shm/region.h"
#include "tidepool/shm/test_support.h"
#include "tidepool/shm/uri.h"
#include "tidepool/transport/test_counters.h"

namespace tidepool::driver::driver_test {
namespace {

using namespace testing;

// ---- attach --------------------------------------------------------------------------------------------------------------

TEST_F(
    DriverTest,
    AnAttachedProducerGetsAllThatTheProtocolPromises) {  // D-1, D-3, D-7, D-9, D-11, D-19, D-20, D-29, D-33, D-36, D-43, D-44, D-45, W-32
  start();
  const auto r = request(11, 5, Role::producer);
  const auto response = ask(r);
  EXPECT_EQ(client_->story(), "announce(11,p5) attach(0)");
  EXPECT_EQ(response.correlation_id, r.correlation_id);
  EXPECT_EQ(response.code, ResponseCode::ok);
  ASSERT_TRUE(response.lease_id && response.epoch && response.stream_id && response.node_id && response.lease_expiry_timestamp_ns);
  EXPECT_NE(*response.lease_id, 0u);
  EXPECT_EQ(*response.lease_expiry_timestamp_ns, clock_.monotonic_ns() + 3 * kNsPerSecond);
  EXPECT_EQ(response.stream_id, 11u);
  EXPECT_EQ(response.layout_version, 1u);
  EXPECT_EQ(response.header_nslots, 8u);
  EXPECT_EQ(response.header_slot_bytes, 256u);
  EXPECT_EQ(response.node_id, 1u);
  EXPECT_EQ(response.error_message, "");
  ASSERT_EQ(response.pools.size(), 2u);
  EXPECT_EQ(response.pools[0].pool_id, 1);
  EXPECT_EQ(response.pools[0].nslots, 8u);
  EXPECT_EQ(response.pools[0].stride_bytes, 256u);
  EXPECT_EQ(response.pools[1].pool_id, 7);
  EXPECT_EQ(response.pools[1].stride_bytes, 1024u);

  const auto announce = client_->all<wire::ShmPoolAnnounce>().at(0);
  EXPECT_EQ(announce.producer_id, 5u);
  EXPECT_EQ(announce.clock_domain, wire::ClockDomain::monotonic);
  EXPECT_EQ(announce.announce_timestamp_ns, clock_.monotonic_ns());
  EXPECT_EQ(pool::EpochRegions::of(announce), pool::EpochRegions::of(response));

  const auto ring = superblock(response.header_region_uri);
  EXPECT_EQ(ring.magic, wire::kMagic);
  EXPECT_EQ(ring.epoch, *response.epoch);
  EXPECT_EQ(ring.stream_id, 11u);
  EXPECT_EQ(ring.region_type, wire::RegionType::header_ring);
  EXPECT_EQ(ring.pool_id, 0);
  EXPECT_EQ(ring.slot_bytes, 256u);
  EXPECT_EQ(ring.stride_bytes, 0u);
  EXPECT_EQ(ring.pid, static_cast<uint64_t>(::getpid()));
  const auto pool = superblock(response.pools[1].region_uri);
  EXPECT_EQ(pool.region_type, wire::RegionType::payload_pool);
  EXPECT_EQ(pool.pool_id, 7);
  EXPECT_EQ(pool.nslots, 8u);
  EXPECT_EQ(pool.slot_bytes, 1024u);  // Julia clients require it
  EXPECT_EQ(pool.stride_bytes, 1024u);

  shm::MapPolicy::Options policy;
  policy.allowed_base_dirs = {dir_.path()};
  const auto map = pool::EpochMap::open(pool::EpochRegions::of(response), shm::Access::kReadWrite, shm::MapPolicy(policy),
                                        {clock_.monotonic_ns(), 3 * kNsPerSecond});
  EXPECT_EQ(map->slot_count(), 8u);
}

TEST_F(DriverTest, FilesLieWhereTheyShouldWithTheirModesWhateverTheUmask) {  // D-34, D-37, R-23
  const mode_t before = ::umask(077);
  auto c = config();
  c.permissions_mode = 0640;
  start(c);
  const auto response = attach(10, 5, Role::producer);
  ::umask(before);
  const auto stream = namespace_path() / "10";
  const auto epoch = stream / std::to_string(*response.epoch);
  EXPECT_EQ(response.header_region_uri, "shm:file?path=" + (epoch / "header.ring").string());
  EXPECT_EQ(response.pools[0].region_uri, "shm:file?path=" + (epoch / "1.pool").string());
  const auto mode = [](const fs::path& path) {
    struct stat status{};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  };
  EXPECT_EQ(mode(epoch / "header.ring"), 0640u);
  EXPECT_EQ(mode(epoch / "1.pool"), 0640u);
  for (const auto& directory : {epoch, stream, namespace_path(), namespace_path().parent_path()})
    EXPECT_EQ(mode(directory), 0750u) << directory;
}

TEST_F(DriverTest, UrisAreCanonicalEvenIfTheBaseDirectoryIsReachedThroughALink) {  // D-34
  fs::create_directory(dir_.path() + "/real");
  fs::create_directory_symlink(dir_.path() + "/real", dir_.path() + "/link");
  auto c = config();
  c.base_dir = dir_.path() + "/link";
  start(c);
  const auto response = attach(10, 5, Role::producer);
  EXPECT_TRUE(response.header_region_uri.starts_with("shm:file?path=" + dir_.path() + "/real/")) << response.header_region_uri;
}

TEST_F(DriverTest, TheFirstConsumerGetsANewEpochAndTheNextTheSame) {  // D-32, D-43, D-45
  start();
  const auto first = attach(10, 5, Role::consumer);
  EXPECT_EQ(client_->story(), "announce(10,p0) attach(0)");
  const auto second = attach(10, 6, Role::consumer);
  EXPECT_EQ(client_->story(), "announce(10,p0) attach(0) announce(10,p0) attach(0)");
  EXPECT_EQ(first.epoch, second.epoch);
  EXPECT_EQ(first.header_region_uri, second.header_region_uri);
  EXPECT_NE(first.lease_id, second.lease_id);
  EXPECT_EQ(status(10).consumers, 2u);
}

TEST_F(DriverTest, AProducerAlwaysGetsANewEpoch) {  // D-31, D-32, D-44
  start();
  const auto consumer = attach(10, 5, Role::consumer);
  const auto producer = attach(10, 6, Role::producer);
  EXPECT_GT(*producer.epoch, *consumer.epoch);
  EXPECT_EQ(client_->all<wire::ShmPoolAnnounce>().back().producer_id, 6u);
  const auto late = attach(10, 7, Role::consumer);
  EXPECT_EQ(late.epoch, producer.epoch);
  EXPECT_EQ(client_->all<wire::ShmPoolAnnounce>().back().producer_id, 6u);
}

TEST_F(DriverTest, AVerbatimRepeatIsAnsweredWithTheSameLease) {  // D-17
  start();
  const auto r = request(10, 5, Role::producer);
  const auto first = ask(r);
  clock_.advance_ms(500);
  const auto again = ask(r);
  EXPECT_EQ(again.lease_id, first.lease_id);
  EXPECT_EQ(again.epoch, first.epoch);
  EXPECT_EQ(again.pools, first.pools);
  EXPECT_EQ(again.node_id, first.node_id);
  EXPECT_EQ(again.lease_expiry_timestamp_ns, first.lease_expiry_timestamp_ns);  // the current one: no keepalive came
  EXPECT_EQ(driver_->leases().size(), 1u);
  EXPECT_EQ(driver_->counts().epochs_created, 1u);
  EXPECT_EQ(client_->count<wire::ShmPoolAnnounce>(), 1u);
}

TEST_F(DriverTest, RepeatsWhileTheEpochIsBeingMadeGetOneAnswer) {  // D-17
  start();
  const auto r = request(10, 5, Role::producer);
  for (int i = 0; i < 3; ++i) client_->send(r);  // as the C client does every 200 ms
  ASSERT_TRUE(run_until([&] { return !answers(r.correlation_id).empty(); }));
  fence();
  EXPECT_EQ(client_->story(), "announce(10,p5) attach(0)");
  EXPECT_EQ(driver_->leases().size(), 1u);
}

TEST_F(DriverTest, ARepeatWithANewCorrelationIsRefusedAfterTheFirstIsGranted) {  // D-10, D-21
  start();
  const auto first = request(10, 5, Role::producer);
  const auto second = request(10, 5, Role::producer);  // as the Julia client does every second
  client_->send(first);
  client_->send(second);
  ASSERT_TRUE(run_until([&] { return !answers(second.correlation_id).empty(); }));
  ASSERT_EQ(answers(first.correlation_id).size(), 1u);
  EXPECT_EQ(client_->story(), "announce(10,p5) attach(0) attach(3)");
  EXPECT_EQ(answers(second.correlation_id)[0].error_message, "client_id already attached");
}

TEST_F(DriverTest, OneClientIdHasOneLeaseWhateverStreamAndRole) {  // D-10, D-21
  start();
  attach(10, 5, Role::producer);
  for (const uint32_t stream : {10u, 11u}) {
    for (const Role role : {Role::producer, Role::consumer}) {
      const auto refused = ask(request(stream, 5, role));
      EXPECT_EQ(refused.code, ResponseCode::rejected);
      EXPECT_EQ(refused.error_message, "client_id already attached");
    }
  }
}

TEST_F(DriverTest, ASecondProducerIsRefusedWhileTheFirstHoldsItsLease) {  // D-22
  start();
  attach(10, 5, Role::producer);
  const auto refused = ask(request(10, 6, Role::producer));
  EXPECT_EQ(refused.code, ResponseCode::rejected);
  EXPECT_EQ(refused.error_message, "producer already attached");
  EXPECT_EQ(driver_->counts().epochs_created, 1u);
}

TEST_F(DriverTest, TwoProducersThatRaceForAStreamGetOneLease) {  // D-22: the second waits for the first one's epoch
  start();
  const auto first = request(10, 5, Role::producer);
  const auto second = request(10, 6, Role::producer);
  client_->send(first);
  client_->send(second);
  ASSERT_TRUE(run_until([&] { return !answers(second.correlation_id).empty(); }));
  EXPECT_EQ(client_->story(), "announce(10,p5) attach(0) attach(3)");
  EXPECT_EQ(answers(second.correlation_id)[0].error_message, "producer already attached");
}

TEST_F(DriverTest, ARefusalHasAllFieldsNull) {  // D-9, D-12
  start();
  auto r = request(999, 5, Role::producer);
  r.correlation_id = -1;
  const auto refused = ask(r);
  wire::ShmAttachResponse bare;
  bare.correlation_id = -1;
  bare.code = ResponseCode::rejected;
  bare.error_message = "stream not provisioned";
  EXPECT_EQ(refused, bare);
}

TEST_F(DriverTest, TheRowsOfTheWireAreAnswered) {  // D-8, D-14, D-15, D-18
  start();
  const auto expect = [&](wire::ShmAttachRequest r, ResponseCode code, const char* text) {
    const auto refused = ask(r);
    EXPECT_EQ(refused.code, code);
    EXPECT_EQ(refused.error_message, text);
  };
  auto r = request(10, 5, Role::producer);
  r.role = 0;
  expect(r, ResponseCode::invalid_params, "invalid role");
  r = request(10, 0, Role::producer);
  expect(r, ResponseCode::invalid_params, "client_id must be non-zero");
  r = request(10, 5, Role::producer);
  r.publish_mode = 7;
  expect(r, ResponseCode::unsupported, "unsupported publish_mode");
  r = request(10, 5, Role::producer);
  r.require_hugepages = 255;
  expect(r, ResponseCode::invalid_params, "invalid hugepages policy");
  r = request(10, 5, Role::producer);
  r.expected_layout_version = 2;
  expect(r, ResponseCode::rejected, "layout version mismatch");
  r = request(10, 5, Role::producer);
  r.require_hugepages = static_cast<uint8_t>(wire::HugepagesPolicy::hugepages);
  expect(r, ResponseCode::rejected, "hugepages not available");
  EXPECT_TRUE(epochs_on_disk(10).empty());
  EXPECT_EQ(driver_->counts().epochs_created, 0u);
  r = request(10, 5, Role::producer);
  r.require_hugepages = static_cast<uint8_t>(wire::HugepagesPolicy::standard);
  EXPECT_EQ(ask(r).code, ResponseCode::ok);
}

TEST_F(DriverTest, ANewerVersionIsAnsweredAndAShorterBlockIsNot) {  // D-4, D-8: 5.2 rows 1 and 2
  start();
  const auto r = request(10, 5, Role::producer);
  auto newer = wire::encode_new(r);
  store<uint16_t>(newer.data() + 6, 2);
  client_->send_bytes(newer);
  ASSERT_TRUE(run_until([&] { return !answers(r.correlation_id).empty(); }));
  EXPECT_EQ(answers(r.correlation_id)[0].code, ResponseCode::unsupported);
  EXPECT_EQ(answers(r.correlation_id)[0].error_message, "unsupported driver schema version");

  const uint64_t malformed = driver_->counts().malformed;
  client_->heard.clear();
  auto nobodys = newer;  // newer, and cut before its correlation id ends: there is nobody to answer
  nobodys.resize(wire::kMessageHeaderBytes + 7);
  client_->send_bytes(nobodys);
  fence();
  EXPECT_TRUE(client_->heard.empty()) << client_->story();
  EXPECT_EQ(driver_->counts().malformed, malformed + 1);
  auto shorter = wire::encode_new(r);
  store<uint16_t>(shorter.data(), 26);
  client_->send_bytes(shorter);
  auto cut = wire::encode_new(r);
  cut.pop_back();
  client_->send_bytes(cut);
  fence();
  EXPECT_TRUE(client_->heard.empty()) << client_->story();
  EXPECT_EQ(driver_->counts().malformed, malformed + 3);
}

TEST_F(DriverTest, ALongerBlockIsServed) {  // D-4: surplus is skipped
  start();
  const auto r = request(10, 5, Role::consumer);
  auto longer = wire::encode_new(r);
  store<uint16_t>(longer.data(), 40);
  longer.resize(wire::kMessageHeaderBytes + 40);
  client_->send_bytes(longer);
  ASSERT_TRUE(run_until([&] { return !answers(r.correlation_id).empty(); }));
  EXPECT_EQ(answers(r.correlation_id)[0].code, ResponseCode::ok);
}

TEST_F(DriverTest, MessagesOfOthersAndNoiseChangeNothing) {  // D-2, D-4
  start();
  attach(10, 5, Role::producer);
  fence();
  client_->heard.clear();
  const uint64_t seed = random_u64();
  std::mt19937_64 random(seed);
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  for (int i = 0; i < 2'000; ++i) {
    std::vector<std::byte> noise(random() % 100);
    for (auto& byte : noise) byte = static_cast<std::byte>(random());
    if (noise.size() >= 8) {
      // Half of them look like ours, but are cut or too long for their fields.
      store<uint16_t>(noise.data() + 4, i % 2 == 0 ? 901 : 900);
      store<uint16_t>(noise.data() + 2, static_cast<uint16_t>(1 + random() % 9));
      store<uint16_t>(noise.data() + 6, 1);
      if (i % 3 == 0) store<uint16_t>(noise.data(), static_cast<uint16_t>(random() % 60));
    }
    while (client_->try_send(noise) != transport::SendResult::kOk) {
      driver_->poll();
      client_->poll();
    }
  }
  // A roll of the dice may be a whole request; it is answered like one and harms nobody.
  fence();
  EXPECT_EQ(status(10).producer_client_id, 5u);
  EXPECT_EQ(driver_->lifecycle(), Driver::Lifecycle::kRunning);
  EXPECT_GT(driver_->counts().malformed, 0u);
  EXPECT_EQ(driver_->counts().requests_failed, 0u);
  EXPECT_EQ(attach(11, 6, Role::consumer).code, ResponseCode::ok);
}

TEST_F(DriverTest, LongAnswersAreFragmented) {  // D-5
  auto c = config();
  Profile many{"many", {4, {}}};
  for (uint16_t id = 1; id <= 60; ++id) many.geometry.pools.push_back({id, 64});
  c.profiles.push_back(many);
  c.streams.push_back({"many", 12, "many"});
  start(c);
  const auto response = attach(12, 5, Role::producer);
  EXPECT_EQ(response.pools.size(), 60u);
  EXPECT_GT(wire::encoded_bytes(response), 1408u);
}

TEST_F(DriverTest, NodeIdsAreSmallStickyAndCoolDown) {  // D-16, D-29, D-30
  start();
  const auto first = attach(10, 5, Role::consumer);
  const auto second = attach(10, 6, Role::consumer);
  EXPECT_EQ(first.node_id, 1u);
  EXPECT_EQ(second.node_id, 2u);
  detach(detach_request(first, 5, Role::consumer));
  EXPECT_EQ(attach(10, 7, Role::consumer).node_id, 3u);  // 1 cools down for others
  EXPECT_EQ(attach(10, 5, Role::consumer).node_id, 1u);  // and not for its own
  auto wish = request(10, 8, Role::consumer);
  wish.desired_node_id = 2;
  const auto refused = ask(wish);
  EXPECT_EQ(refused.code, ResponseCode::rejected);
  EXPECT_EQ(refused.error_message, "desired node_id unavailable");
  wish = request(10, 8, Role::consumer);
  wish.desired_node_id = 77;
  EXPECT_EQ(ask(wish).node_id, 77u);
}

}  // namespace
}  // namespace tidepool::driver::driver_test
