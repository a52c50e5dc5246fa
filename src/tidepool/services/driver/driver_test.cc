// The driver from outside: a bare protocol client on a real media driver, time standing still until told.
#include "tidepool/services/driver/driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <set>

#include "tidepool/base/process.h"
#include "tidepool/base/random.h"
#include "tidepool/pool/epoch_map.h"
#include "tidepool/services/driver/driver_impl.h"
#include "tidepool/services/driver/test_world.h"
#include "tidepool/shm/region.h"
#include "tidepool/shm/test_support.h"
#include "tidepool/shm/uri.h"
#include "tidepool/transport/test_counters.h"

namespace tidepool::driver {
namespace {

namespace fs = std::filesystem;
using testing::Heard;
using testing::LogCapture;
using testing::RawClient;
using testing::StillClock;
using transport::testing::poll_until;
using transport::testing::TestDir;
using transport::testing::TestMediaDriver;
using wire::PublishMode;
using wire::ResponseCode;
using wire::RevokeReason;
using wire::Role;

constexpr const char* kChannel = "aeron:ipc?term-length=128k";
constexpr uint32_t kPeriodMs = 1000;

class DriverTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { media_ = new TestMediaDriver; }
  static void TearDownTestSuite() {
    delete media_;
    media_ = nullptr;
  }

  DriverTest() : control_stream_(next_stream_ += 10) {}

  DriverConfig config() const {
    DriverConfig c;
    c.instance_id = "driver-under-test";
    c.aeron_dir = media_->dir();
    c.control_channel = kChannel;
    c.control_stream_id = control_stream_;
    c.base_dir = dir_.path();
    c.announce_period_ms = kPeriodMs;
    c.profiles = {{"small", {16, {{1, 4096}}}}, {"two", {8, {{1, 256}, {7, 1024}}}}};
    c.streams = {{"left", 10, "small"}, {"right", 11, "two"}};
    return c;
  }
  DriverConfig dynamic_config() const {
    auto c = config();
    c.allow_dynamic_streams = true;
    c.stream_id_range = {{20000, 20002}};
    return c;
  }

  void start(DriverConfig c) {
    driver_ = std::make_unique<Driver>(c, clock_);
    client_ = std::make_unique<RawClient>(c.aeron_dir, c.control_channel, c.control_stream_id, c.effective_announce_stream_id());
    client_->while_full = [this] {
      driver_->poll();
      client_->poll();
    };
    ASSERT_TRUE(poll_until([&] {
      driver_->poll();
      return driver_->connected();
    }));
  }
  void start() { start(config()); }

  // Let driver and client run until `done`.
  template <typename Done>
  [[nodiscard]] bool run_until(Done&& done) {
    return poll_until([&] {
      driver_->poll();
      client_->poll();
      return done();
    });
  }

  wire::ShmAttachRequest request(uint32_t stream_id, uint32_t client_id, Role role) {
    wire::ShmAttachRequest r;
    r.correlation_id = ++correlation_;
    r.stream_id = stream_id;
    r.client_id = client_id;
    r.role = static_cast<uint8_t>(role);
    r.publish_mode = static_cast<uint8_t>(PublishMode::existing_or_create);
    return r;
  }
  std::vector<wire::ShmAttachResponse> answers(int64_t correlation_id) const {
    std::vector<wire::ShmAttachResponse> out;
    for (auto& r : client_->all<wire::ShmAttachResponse>())
      if (r.correlation_id == correlation_id) out.push_back(std::move(r));
    return out;
  }
  wire::ShmAttachResponse ask(const wire::ShmAttachRequest& r) {
    const size_t before = answers(r.correlation_id).size();
    client_->send(r);
    EXPECT_TRUE(run_until([&] { return answers(r.correlation_id).size() > before; })) << client_->story();
    const auto all = answers(r.correlation_id);
    return all.empty() ? wire::ShmAttachResponse{} : all.back();
  }
  wire::ShmAttachResponse attach(uint32_t stream_id, uint32_t client_id, Role role) {
    auto response = ask(request(stream_id, client_id, role));
    EXPECT_EQ(response.code, ResponseCode::ok) << response.error_message;
    return response;
  }
  wire::ShmDetachResponse detach(const wire::ShmDetachRequest& r) {
    const auto of = [&] {
      std::vector<wire::ShmDetachResponse> out;
      for (auto& d : client_->all<wire::ShmDetachResponse>())
        if (d.correlation_id == r.correlation_id) out.push_back(d);
      return out;
    };
    const size_t before = of().size();
    client_->send(r);
    EXPECT_TRUE(run_until([&] { return of().size() > before; })) << client_->story();
    return of().empty() ? wire::ShmDetachResponse{} : of().back();
  }
  wire::ShmDetachRequest detach_request(const wire::ShmAttachResponse& lease, uint32_t client_id, Role role) {
    return {++correlation_, *lease.lease_id, *lease.stream_id, client_id, static_cast<uint8_t>(role)};
  }
  void keepalive(const wire::ShmAttachResponse& lease, uint32_t client_id, Role role) {
    client_->send(wire::ShmLeaseKeepalive{*lease.lease_id, *lease.stream_id, client_id, static_cast<uint8_t>(role), 0});
  }
  // Everything sent before has been read and answered when this returns (epochs being made apart): the log has one order.
  void fence() {
    auto r = request(10, 1, Role::consumer);
    r.role = 9;
    client_->send(r);
    ASSERT_TRUE(run_until([&] { return !answers(r.correlation_id).empty(); }));
    client_->heard.erase(std::remove_if(client_->heard.begin(), client_->heard.end(),
                                        [&](const Heard& one) {
                                          const auto* a = std::get_if<wire::ShmAttachResponse>(&one);
                                          return a != nullptr && a->correlation_id == r.correlation_id;
                                        }),
                         client_->heard.end());
  }
  StreamStatus status(uint32_t stream_id) const {
    for (const auto& s : driver_->streams())
      if (s.stream_id == stream_id) return s;
    return {};
  }

  fs::path namespace_path() const { return fs::path(dir_.path()) / ("tensorpool-" + sanitised_user_name()) / "default"; }
  std::vector<uint64_t> epochs_on_disk(uint32_t stream_id) const {
    std::vector<uint64_t> out;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(namespace_path() / std::to_string(stream_id), ignored))
      if (entry.is_directory()) out.push_back(std::stoull(entry.path().filename().string()));
    std::sort(out.begin(), out.end());
    return out;
  }
  static wire::Superblock superblock(const std::string& uri) {
    std::ifstream file(shm::Uri::parse(uri).path, std::ios::binary);
    std::byte bytes[wire::kSuperblockBytes] = {};
    file.read(reinterpret_cast<char*>(bytes), sizeof bytes);
    EXPECT_TRUE(file.good());
    return wire::decode_superblock(bytes);
  }

  static inline TestMediaDriver* media_ = nullptr;
  static inline int32_t next_stream_ = 1000;

  TestDir dir_;
  StillClock clock_;
  int32_t control_stream_;
  int64_t correlation_ = static_cast<int64_t>(random_u64() >> 8);
  std::unique_ptr<Driver> driver_;
  std::unique_ptr<RawClient> client_;
};

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

// ---- leases --------------------------------------------------------------------------------------------------------------

TEST_F(DriverTest, ALeaseWithoutKeepalivesExpiresAfterItsTime) {  // D-24, D-25, D-45
  start();
  const auto lease = attach(10, 5, Role::consumer);
  client_->heard.clear();
  clock_.advance_ms(3000);
  fence();
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 0u);  // at its time it still lives
  clock_.advance_ns(1);
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmLeaseRevoked>() > 0; }));
  const auto notice = client_->all<wire::ShmLeaseRevoked>().at(0);
  EXPECT_EQ(notice.lease_id, lease.lease_id);
  EXPECT_EQ(notice.stream_id, 10u);
  EXPECT_EQ(notice.client_id, 5u);
  EXPECT_EQ(notice.role, Role::consumer);
  EXPECT_EQ(notice.reason, RevokeReason::expired);
  EXPECT_EQ(notice.timestamp_ns, clock_.monotonic_ns());
  fence();
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 1u);
  EXPECT_EQ(driver_->counts().epochs_created, 1u);  // a consumer's end bumps nothing
  EXPECT_TRUE(driver_->leases().empty());
}

TEST_F(DriverTest, AProducersExpiryIsToldBeforeTheNewEpochIsAnnounced) {  // D-25, D-32, D-44, D-45
  start();
  const auto lease = attach(10, 5, Role::producer);
  client_->heard.clear();
  clock_.advance_ms(3001);
  ASSERT_TRUE(run_until([&] {
    const auto announces = client_->all<wire::ShmPoolAnnounce>();
    return !announces.empty() && announces.back().epoch > *lease.epoch;
  }));
  const auto notice = client_->all<wire::ShmLeaseRevoked>().at(0);
  EXPECT_EQ(notice.reason, RevokeReason::expired);
  const auto announce = client_->all<wire::ShmPoolAnnounce>().back();
  EXPECT_EQ(announce.producer_id, 0u);
  EXPECT_LE(notice.timestamp_ns, announce.announce_timestamp_ns);
  ASSERT_TRUE(std::holds_alternative<wire::ShmLeaseRevoked>(client_->heard.front()) ||
              std::get<wire::ShmPoolAnnounce>(client_->heard.front()).epoch == *lease.epoch)
      << client_->story();
  fence();
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 1u);
}

TEST_F(DriverTest, OnlyAKeepaliveWithAllFourFieldsExtendsALease) {  // D-23
  start();
  const auto lease = attach(10, 5, Role::consumer);
  const auto expiry = [&] { return driver_->leases().at(0).expiry_ns; };
  const uint64_t first_expiry = expiry();
  clock_.advance_ms(1000);
  const wire::ShmLeaseKeepalive right{*lease.lease_id, 10, 5, 2, 123};
  auto wrong = right;
  wrong.lease_id ^= 1;
  client_->send(wrong);
  wrong = right;
  wrong.stream_id = 11;
  client_->send(wrong);
  wrong = right;
  wrong.client_id = 6;
  client_->send(wrong);
  wrong = right;
  wrong.role = 1;
  client_->send(wrong);
  wrong = right;
  wrong.role = 9;
  client_->send(wrong);
  fence();
  EXPECT_EQ(expiry(), first_expiry);
  EXPECT_EQ(driver_->counts().keepalives_ignored, 5u);
  client_->send(right);
  fence();
  EXPECT_EQ(expiry(), clock_.monotonic_ns() + 3 * kNsPerSecond);
  EXPECT_EQ(driver_->counts().keepalives, 1u);
}

TEST_F(DriverTest, KeepalivesThatQueuedUpDuringAStallAreReadBeforeAnythingExpires) {  // D-24; scenario 12 of driver.md 21
  start();
  const auto healthy = attach(10, 5, Role::consumer);
  attach(10, 6, Role::consumer);  // says nothing any more
  keepalive(healthy, 5, Role::consumer);
  clock_.advance_ms(60'000);
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmLeaseRevoked>() > 0; }));
  fence();
  ASSERT_EQ(client_->count<wire::ShmLeaseRevoked>(), 1u);
  EXPECT_EQ(client_->all<wire::ShmLeaseRevoked>()[0].client_id, 6u);
  ASSERT_EQ(driver_->leases().size(), 1u);
  EXPECT_EQ(driver_->leases()[0].client_id, 5u);
}

TEST_F(DriverTest, ALargeEpochIsMadeBesideTheDutyCycle) {  // D-24, R-24: scenario 12
  auto c = config();
  c.profiles.push_back({"big", {64, {{1, 2 << 20}}}});
  c.streams.push_back({"big", 12, "big"});
  start(c);
  const auto healthy = attach(10, 5, Role::consumer);
  client_->heard.clear();
  const auto r = request(12, 6, Role::producer);
  client_->send(r);
  ASSERT_TRUE(poll_until([&] { return driver_->poll() > 0; }));
  // The request has been read, and nothing has been waited for.
  EXPECT_EQ(status(12).epoch, 0u);
  for (int i = 0; i < 20; ++i) {
    clock_.advance_ms(900);
    keepalive(healthy, 5, Role::consumer);
    driver_->poll();
  }
  ASSERT_TRUE(run_until([&] { return !answers(r.correlation_id).empty(); }));
  EXPECT_EQ(answers(r.correlation_id)[0].code, ResponseCode::ok);
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 0u);
  // What was stamped when making began is fresh when it is answered, and the lease runs from there.
  EXPECT_EQ(superblock(answers(r.correlation_id)[0].header_region_uri).activity_timestamp_ns, clock_.monotonic_ns());
  EXPECT_EQ(answers(r.correlation_id)[0].lease_expiry_timestamp_ns, clock_.monotonic_ns() + 3 * kNsPerSecond);
}

TEST_F(DriverTest, AnEpochThatOutlastsTheClientsPatienceIsMadeOnceAndAnswered) {  // D-17, D-32; driver.md 5.4
  auto c = config();
  c.profiles.push_back({"big", {64, {{1, 4 << 20}}}});
  c.streams.push_back({"big", 12, "big"});
  start(c);
  const auto r = request(12, 6, Role::producer);
  client_->send(r);
  ASSERT_TRUE(poll_until([&] { return driver_->poll() > 0; }));
  // The client asks again each second, beyond its attach time-out of 5 s, while the epoch is being made.
  for (int second = 0; second < 8; ++second) {
    client_->send(r);
    clock_.advance_ms(1000);
  }
  ASSERT_TRUE(run_until([&] { return !answers(r.correlation_id).empty(); }));
  fence();
  for (const auto& answer : answers(r.correlation_id)) {
    EXPECT_EQ(answer.code, ResponseCode::ok);
    EXPECT_EQ(answer.lease_id, answers(r.correlation_id)[0].lease_id);
    EXPECT_EQ(answer.epoch, answers(r.correlation_id)[0].epoch);
  }
  EXPECT_EQ(driver_->counts().epochs_created, 1u);
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 0u);
  ASSERT_EQ(driver_->leases().size(), 1u);
  EXPECT_EQ(driver_->leases()[0].expiry_ns, clock_.monotonic_ns() + 3 * kNsPerSecond);  // its life begins with the answer
}

TEST_F(DriverTest, AProducersDetachIsToldThenBumpedThenAnswered) {  // D-25, D-26, D-32, D-45
  start();
  const auto lease = attach(10, 5, Role::producer);
  client_->heard.clear();
  const auto answer = detach(detach_request(lease, 5, Role::producer));
  EXPECT_EQ(answer.code, ResponseCode::ok);
  EXPECT_EQ(client_->story(), "revoked(10,c5,1) announce(10,p0) detach(0)");
  EXPECT_GT(client_->all<wire::ShmPoolAnnounce>()[0].epoch, *lease.epoch);
  EXPECT_TRUE(driver_->leases().empty());
  const auto next = attach(10, 6, Role::producer);
  EXPECT_GT(*next.epoch, client_->all<wire::ShmPoolAnnounce>()[0].epoch);
}

TEST_F(DriverTest, AConsumersDetachIsToldAndAnswered) {  // D-25, D-26, D-45
  start();
  const auto lease = attach(10, 5, Role::consumer);
  client_->heard.clear();
  EXPECT_EQ(detach(detach_request(lease, 5, Role::consumer)).code, ResponseCode::ok);
  EXPECT_EQ(client_->story(), "revoked(10,c5,1) detach(0)");
  EXPECT_EQ(driver_->counts().epochs_created, 1u);
  EXPECT_EQ(status(10).consumers, 0u);
}

TEST_F(DriverTest, ARevokedLeaseIsToldWhyAndItsStreamGoesOn) {  // D-25, D-32, D-45; driver.md 6.2, 6.6
  start();
  const auto producer = attach(10, 5, Role::producer);
  const auto consumer = attach(10, 6, Role::consumer);
  client_->heard.clear();
  EXPECT_TRUE(driver_->revoke(*producer.lease_id, "maintenance"));
  EXPECT_FALSE(driver_->revoke(*producer.lease_id, "again"));
  EXPECT_FALSE(driver_->revoke(4711, "nobody"));
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmPoolAnnounce>() == 1; }));
  EXPECT_EQ(client_->story(), "revoked(10,c5,3) announce(10,p0)");
  EXPECT_EQ(client_->all<wire::ShmLeaseRevoked>()[0].error_message, "maintenance");
  EXPECT_GT(client_->all<wire::ShmPoolAnnounce>()[0].epoch, *producer.epoch);
  client_->heard.clear();
  EXPECT_TRUE(driver_->revoke(*consumer.lease_id, std::string(5000, 'x')));
  fence();
  EXPECT_EQ(client_->story(), "revoked(10,c6,3)");
  EXPECT_EQ(client_->all<wire::ShmLeaseRevoked>()[0].error_message.size(), wire::kMaxErrorMessageBytes);
  EXPECT_TRUE(driver_->leases().empty());
  EXPECT_EQ(attach(10, 5, Role::producer).code, ResponseCode::ok);  // nothing keeps it from coming back
}

TEST_F(DriverTest, DetachIsIdempotentAndNeedsAllFourFields) {  // D-26; scenario 8
  start();
  const auto lease = attach(10, 5, Role::consumer);
  const auto right = detach_request(lease, 5, Role::consumer);
  const auto refused = [&](wire::ShmDetachRequest r, ResponseCode code, const char* text) {
    r.correlation_id = ++correlation_;
    const auto answer = detach(r);
    EXPECT_EQ(answer.correlation_id, r.correlation_id);
    EXPECT_EQ(answer.code, code);
    EXPECT_EQ(answer.error_message, text);
  };
  auto wrong = right;
  wrong.lease_id ^= 1;
  refused(wrong, ResponseCode::rejected, "lease not found");
  wrong = right;
  wrong.stream_id = 11;
  refused(wrong, ResponseCode::rejected, "lease not found");
  wrong = right;
  wrong.client_id = 6;
  refused(wrong, ResponseCode::rejected, "lease not found");
  wrong = right;
  wrong.role = 1;
  refused(wrong, ResponseCode::rejected, "lease not found");
  wrong = right;
  wrong.role = 0;
  refused(wrong, ResponseCode::invalid_params, "invalid role");
  EXPECT_EQ(driver_->leases().size(), 1u);
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 0u);
  refused(right, ResponseCode::ok, "");
  refused(right, ResponseCode::ok, "");  // again
  wrong = right;
  wrong.client_id = 6;
  refused(wrong, ResponseCode::rejected, "lease not found");
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 1u);
}

TEST_F(DriverTest, ADetachAfterExpiryIsRefused) {  // D-26
  start();
  const auto lease = attach(10, 5, Role::consumer);
  clock_.advance_ms(3001);
  ASSERT_TRUE(run_until([&] { return client_->count<wire::ShmLeaseRevoked>() == 1; }));
  EXPECT_EQ(detach(detach_request(lease, 5, Role::consumer)).code, ResponseCode::rejected);
}

TEST_F(DriverTest, NoNoticeForAnOldLeaseFollowsANewLeaseOfTheSameClient) {  // D-27
  start();
  const auto first = attach(10, 5, Role::producer);
  client_->heard.clear();
  // Everything at once: detach, then attach again under the same client id.
  client_->send(detach_request(first, 5, Role::producer));
  const auto again = request(10, 5, Role::producer);
  client_->send(again);
  ASSERT_TRUE(run_until([&] { return !answers(again.correlation_id).empty(); }));
  fence();
  EXPECT_EQ(client_->story(), "revoked(10,c5,1) announce(10,p0) detach(0) announce(10,p5) attach(0)");
}

TEST_F(DriverTest, AKeepaliveOfAnUnknownLeaseIsToldOnce) {  // D-28
  start();
  const wire::ShmLeaseKeepalive stranger{424242, 10, 99, 1, 0};
  client_->send(stranger);
  client_->send(stranger);
  fence();
  ASSERT_EQ(client_->count<wire::ShmLeaseRevoked>(), 1u);
  const auto notice = client_->all<wire::ShmLeaseRevoked>()[0];
  EXPECT_EQ(notice.lease_id, 424242u);
  EXPECT_EQ(notice.stream_id, 10u);
  EXPECT_EQ(notice.client_id, 99u);
  EXPECT_EQ(notice.role, Role::producer);
  EXPECT_EQ(notice.reason, RevokeReason::revoked);
  EXPECT_EQ(notice.error_message, "unknown lease");
}

TEST_F(DriverTest, NoNoticeWhereItWouldBeWrong) {  // D-28
  start();
  const auto lease = attach(10, 5, Role::consumer);
  client_->send(wire::ShmLeaseKeepalive{424242, 12345, 99, 1, 0});  // not a stream of ours
  client_->send(wire::ShmLeaseKeepalive{424242, 10, 99, 7, 0});  // no role
  client_->send(wire::ShmLeaseKeepalive{0, 10, 99, 1, 0});  // no lease
  client_->send(wire::ShmLeaseKeepalive{wire::kNull64, 10, 99, 1, 0});
  client_->send(wire::ShmLeaseKeepalive{*lease.lease_id, 10, 99, 1, 0});  // a live lease, of somebody else
  fence();
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 0u);
  detach(detach_request(lease, 5, Role::consumer));
  keepalive(lease, 5, Role::consumer);  // it has been told
  fence();
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 1u);
}

TEST_F(DriverTest, TheUnknownLeaseNoticeCanBeSwitchedOff) {  // D-28
  auto c = config();
  c.notify_unknown_lease = false;
  start(c);
  client_->send(wire::ShmLeaseKeepalive{424242, 10, 99, 1, 0});
  fence();
  EXPECT_EQ(client_->count<wire::ShmLeaseRevoked>(), 0u);
}

TEST_F(DriverTest, AStepOfTheRealtimeClockMovesNothing) {  // D-7, D-24, D-40, D-41; driver.md 4
  start();
  const auto lease = attach(10, 5, Role::producer);
  for (int i = 0; i < 3; ++i) detach(detach_request(attach(11, 6, Role::producer), 6, Role::producer));
  const auto epochs = epochs_on_disk(11);
  for (const int64_t hours : {24, -48, 24}) {
    clock_.step_realtime_ns(hours * 3600 * static_cast<int64_t>(kNsPerSecond));
    clock_.advance_ms(900);
    keepalive(lease, 5, Role::producer);
    fence();
    EXPECT_EQ(driver_->leases().size(), 1u);
    EXPECT_EQ(driver_->leases()[0].expiry_ns, clock_.monotonic_ns() + 3 * kNsPerSecond);
    EXPECT_EQ(client_->all<wire::ShmPoolAnnounce>().back().clock_domain, wire::ClockDomain::monotonic);
    EXPECT_LE(client_->all<wire::ShmPoolAnnounce>().back().announce_timestamp_ns, clock_.monotonic_ns());
    EXPECT_EQ(epochs_on_disk(11), epochs);  // none became old by it
  }
}

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
  ASSERT_TRUE(run_until([&] { return value("DetachResponses") == 1 && value("AttachResponses") == 2; }));
  EXPECT_EQ(value("Keepalives"), 1);
  EXPECT_EQ(value("LeaseRevoked"), 1);
  EXPECT_GE(value("Announces"), 2);
  EXPECT_EQ(value("LeaseHsmUnhandled"), 1);
  EXPECT_EQ(value("AttachResponseDrops"), 0);
  EXPECT_GT(value("TotalDutyCycles"), 0);
  EXPECT_GT(value("TotalWorkDone"), 0);
  const auto all = transport::testing::counters_named(media_->dir(), name);
  ASSERT_EQ(all.size(), 9u);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].type_id, static_cast<int32_t>(32767u << 16 | (i + 1))) << all[i].label;
  EXPECT_EQ(all[0].key_id, 32767u);
}

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
