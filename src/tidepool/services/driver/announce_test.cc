#include "tidepool/services/driver/announce.h"

#include <gtest/gtest.h>

#include "tidepool/services/driver/test_world.h"

namespace tidepool::driver::announce_test {
namespace {

using testing::RawClient;
using transport::testing::poll_until;
using transport::testing::TestMediaDriver;

constexpr const char* kChannel = "aeron:ipc?term-length=64k";
constexpr uint64_t kPatienceNs = kNsPerSecond;

wire::ShmPoolAnnounce announce(uint32_t stream_id) {
  wire::ShmPoolAnnounce a;
  a.stream_id = stream_id;
  a.epoch = 1;
  a.header_nslots = 16;
  a.header_region_uri = "shm:file?path=/dev/shm/x";
  a.pools = {{1, 16, 64, "shm:file?path=/dev/shm/y"}};
  return a;
}
wire::ShmLeaseRevoked revoked(uint32_t client_id) {
  wire::ShmLeaseRevoked r;
  r.stream_id = 1;
  r.client_id = client_id;
  return r;
}

class OutboxTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { media_ = new TestMediaDriver; }
  static void TearDownTestSuite() {
    delete media_;
    media_ = nullptr;
  }
  OutboxTest() : control_stream_(next_ += 10), announce_stream_(control_stream_ + 1), connection_(media_->connect()) {}

  // The outbox joined by a subscriber on each plane.
  void open(bool one_plane) {
    announce_stream_ = one_plane ? control_stream_ : control_stream_ + 1;
    control_reader_ = connection_->add_subscription(kChannel, control_stream_);
    if (!one_plane) announce_reader_ = connection_->add_subscription(kChannel, announce_stream_);
    control_ = connection_->add_publication(kChannel, control_stream_);
    announce_ = one_plane ? control_ : connection_->add_publication(kChannel, announce_stream_);
    ASSERT_TRUE(poll_until([&] {
      connection_->poll();
      return control_->connected() && announce_->connected();
    }));
    outbox_ = std::make_unique<Outbox>(control_, announce_, kPatienceNs);
  }
  // Write until the stream takes no more, since its reader does not read.
  static void stop_up(transport::Publication& publication) {
    const std::vector<std::byte> filler(64);
    auto result = transport::SendResult::kOk;
    while (result == transport::SendResult::kOk || result == transport::SendResult::kAdminAction) result = publication.send(filler);
    ASSERT_EQ(result, transport::SendResult::kBackPressured);
  }
  // "a7" for an announce of stream 7, "r5" for a revocation of client 5.
  void read(transport::Subscription& reader) {
    const auto sink = [this](Bytes message, const transport::MessageInfo&) {
      wire::ShmPoolAnnounce a;
      wire::ShmLeaseRevoked r;
      if (wire::decode(message, a) == wire::DecodeStatus::kOk) heard_ += concat("a", a.stream_id, " ");
      if (wire::decode(message, r) == wire::DecodeStatus::kOk) heard_ += concat("r", r.client_id, " ");
    };
    while (reader.poll(sink, 1000) > 0) {
    }
  }

  static inline TestMediaDriver* media_ = nullptr;
  static inline int32_t next_ = 2000;
  int32_t control_stream_;
  int32_t announce_stream_;
  std::shared_ptr<transport::Connection> connection_;
  std::shared_ptr<transport::Subscription> control_reader_, announce_reader_;
  std::shared_ptr<transport::Publication> control_, announce_;
  std::unique_ptr<Outbox> outbox_;
  std::string heard_;
};

TEST_F(OutboxTest, OnOnePlaneEverythingLeavesInOrder) {  // D-45
  ASSERT_NO_FATAL_FAILURE(open(true));
  EXPECT_TRUE(outbox_->owe(revoked(1)));
  EXPECT_TRUE(outbox_->owe(announce(2)));
  EXPECT_TRUE(outbox_->owe(revoked(3)));
  EXPECT_EQ(outbox_->owed(), 3u);
  EXPECT_EQ(outbox_->flush(1), 3);
  EXPECT_EQ(outbox_->owed(), 0u);
  read(*control_reader_);
  EXPECT_EQ(heard_, "r1 a2 r3 ");
}

TEST_F(OutboxTest, NothingIsLostOrReorderedUnderBackPressure) {  // D-6, D-45
  ASSERT_NO_FATAL_FAILURE(open(true));
  ASSERT_NO_FATAL_FAILURE(stop_up(*control_));
  for (uint32_t i = 1; i <= 3; ++i) EXPECT_TRUE(outbox_->owe(revoked(i)));
  EXPECT_TRUE(outbox_->owe(announce(4)));
  EXPECT_EQ(outbox_->flush(1), 0);
  EXPECT_EQ(outbox_->owed(), 4u);
  EXPECT_FALSE(outbox_->announce_softly(announce(9)));  // a periodic one does not queue up
  ASSERT_TRUE(poll_until([&] {
    connection_->poll();
    read(*control_reader_);
    outbox_->flush(1);
    return outbox_->owed() == 0;
  }));
  read(*control_reader_);
  EXPECT_EQ(heard_, "r1 r2 r3 a4 ");
}

TEST_F(OutboxTest, AnAnnounceNeverOvertakesARevocationThatWaits) {  // D-6, D-45: though its own stream is free
  ASSERT_NO_FATAL_FAILURE(open(false));
  ASSERT_NO_FATAL_FAILURE(stop_up(*control_));
  EXPECT_TRUE(outbox_->owe(revoked(1)));
  EXPECT_TRUE(outbox_->owe(announce(2)));
  for (uint64_t now = 1; now < 100 * kPatienceNs; now += kPatienceNs) outbox_->flush(now);
  read(*announce_reader_);
  EXPECT_EQ(heard_, "");
  EXPECT_EQ(outbox_->owed(), 2u);
  ASSERT_TRUE(poll_until([&] {
    connection_->poll();
    read(*control_reader_);
    outbox_->flush(1);
    return outbox_->owed() == 0;
  }));
  read(*control_reader_);
  read(*announce_reader_);
  EXPECT_EQ(heard_, "r1 a2 ");
}

TEST_F(OutboxTest, AnAnswerWaitsForItsAnnounceButNotForEverForAStuckStream) {  // D-45, D-6
  ASSERT_NO_FATAL_FAILURE(open(false));
  ASSERT_NO_FATAL_FAILURE(stop_up(*announce_));
  EXPECT_TRUE(outbox_->owe(announce(1)));
  EXPECT_TRUE(outbox_->owe(revoked(2)));
  EXPECT_TRUE(outbox_->owe(announce(3)));
  outbox_->flush(kPatienceNs);
  outbox_->flush(2 * kPatienceNs - 1);
  read(*control_reader_);
  EXPECT_EQ(heard_, "");
  outbox_->flush(2 * kPatienceNs);
  read(*control_reader_);
  EXPECT_EQ(heard_, "r2 ");
  heard_.clear();
  ASSERT_TRUE(poll_until([&] {
    connection_->poll();
    read(*announce_reader_);
    outbox_->flush(2 * kPatienceNs);
    return outbox_->owed() == 0;
  }));
  read(*announce_reader_);
  EXPECT_EQ(heard_, "a1 a3 ");  // kept, in their own order
}

TEST_F(OutboxTest, TakesNoMoreThanItsLimit) {  // D-6
  ASSERT_NO_FATAL_FAILURE(open(false));
  ASSERT_NO_FATAL_FAILURE(stop_up(*control_));
  size_t taken = 0;
  while (outbox_->owe(revoked(1))) {
    ++taken;
    outbox_->flush(1);
  }
  EXPECT_EQ(taken, Outbox::kMaxOwed);
  EXPECT_EQ(outbox_->owed(), Outbox::kMaxOwed);
}

TEST_F(OutboxTest, WithoutSubscribersAnnouncesAreGoneAndNothingWaitsForThem) {  // D-43: soft state
  ASSERT_NO_FATAL_FAILURE(open(false));
  announce_reader_.reset();
  ASSERT_TRUE(poll_until([&] {
    connection_->poll();
    return !announce_->connected();
  }));
  EXPECT_TRUE(outbox_->owe(announce(1)));
  EXPECT_TRUE(outbox_->owe(revoked(2)));
  outbox_->flush(1);
  EXPECT_EQ(outbox_->owed(), 0u);
  EXPECT_TRUE(outbox_->announce_softly(announce(3)));
  read(*control_reader_);
  EXPECT_EQ(heard_, "r2 ");
}

TEST_F(OutboxTest, AMessageThatNoChannelTakesStopsNobody) {  // D-6: an eighth of a 64k term is 8 KiB
  ASSERT_NO_FATAL_FAILURE(open(true));
  auto large = announce(1);
  for (uint16_t id = 2; id < 200; ++id) large.pools.push_back({id, 16, 64, "shm:file?path=/dev/shm/" + std::string(50, 'x')});
  EXPECT_TRUE(outbox_->owe(large));
  EXPECT_TRUE(outbox_->owe(revoked(2)));
  EXPECT_TRUE(poll_until([&] {  // a log that is just being turned takes nothing the first time
    connection_->poll();
    outbox_->flush(1);
    return outbox_->owed() == 0;
  }));
  EXPECT_TRUE(poll_until([&] {
    connection_->poll();
    read(*control_reader_);
    return heard_ == "r2 ";
  })) << heard_;
}

TEST(AnnounceTest, SaysWhatTheStreamIs) {  // D-43, D-44
  Stream stream;
  stream.stream_id = 10;
  stream.epoch = 77;
  stream.regions = pool::EpochRegions{10, 77, 1, 16, 256, "shm:file?path=/a", {{1, 16, 64, "shm:file?path=/b"}}};
  const auto message = announce_of(stream, 5, 1234);
  EXPECT_EQ(message.producer_id, 5u);
  EXPECT_EQ(message.announce_timestamp_ns, 1234u);
  EXPECT_EQ(message.clock_domain, wire::ClockDomain::monotonic);
  EXPECT_EQ(pool::EpochRegions::of(message), stream.regions);
}

}  // namespace
}  // namespace tidepool::driver::announce_test
