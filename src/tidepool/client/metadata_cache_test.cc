#include "tidepool/client/metadata_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "tidepool/base/clock.h"

namespace tidepool::client::metadata_cache_test {
namespace {

using ::testing::ElementsAre;
using wire::Attribute;

constexpr uint32_t kStream = 10000;
constexpr int32_t kSession = 7;  // a publisher's
constexpr uint64_t kSilenceNs = 5 * kNsPerSecond;

wire::DataSourceAnnounce announce(uint64_t epoch, uint32_t version, const std::string& name = "cam1") {
  return {.stream_id = kStream, .producer_id = 77, .epoch = epoch, .meta_version = version, .name = name, .summary = ""};
}
wire::DataSourceMeta meta(uint32_t version, std::vector<Attribute> attributes) {
  return {.stream_id = kStream, .meta_version = version, .timestamp_ns = 5, .attributes = std::move(attributes)};
}
Attribute gain(const std::string& value) { return {"gain", "text/plain", value}; }

struct MetadataCacheTest : ::testing::Test {
  MetadataCache::Options options() {
    return {.stream_id = kStream,
            .max_bytes = 8192,
            .max_blob_bytes = 1024,
            .silence_ns = kSilenceNs,
            .on_change = [this](const auto& changed) { told.push_back(changed); }};
  }
  template <typename Message>
  void hear(const Message& message, int32_t session = kSession) {
    cache.heard(message, session, now_ns);
  }
  // What is known of the newest version, or "none".
  std::string newest_gain() const {
    const auto newest = cache.newest();
    if (!newest) return "none";
    const Attribute* found = newest->find("gain");
    return found != nullptr ? found->value : "no gain";
  }

  std::vector<std::shared_ptr<const Metadata>> told;
  MetadataCache cache{options()};
  uint64_t now_ns = 1'000 * kNsPerSecond;
};

TEST_F(MetadataCacheTest, HoldsAllThatIsSaidOfAVersion) {  // W-89
  EXPECT_EQ(cache.newest(), nullptr);
  hear(announce(3, 5));
  ASSERT_NE(cache.newest(), nullptr);
  EXPECT_TRUE(cache.newest()->described);
  EXPECT_FALSE(cache.newest()->attributed) << "the attributes are still to come";
  hear(meta(5, {gain("1.5"), {"lens", "application/json", "{}"}}));
  const auto held = cache.newest();
  EXPECT_EQ(held->version, 5u);
  EXPECT_EQ(held->epoch, 3u);
  EXPECT_EQ(held->producer_id, 77u);
  EXPECT_EQ(held->name, "cam1");
  EXPECT_EQ(held->timestamp_ns, 5u);
  EXPECT_TRUE(held->attributed);
  EXPECT_EQ(held->find("gain")->value, "1.5");
  EXPECT_EQ(held->find("nothing"), nullptr);
  EXPECT_EQ(told.size(), 2u);
}

TEST_F(MetadataCacheTest, KnowsAVersionFromAttributesAlone) {  // W-89: peers may announce on change only, before we were there
  hear(meta(0, {gain("1")}));
  EXPECT_EQ(newest_gain(), "1");
  EXPECT_EQ(cache.newest()->epoch, 0u) << "nobody has said";
  EXPECT_FALSE(cache.newest()->described);
  hear(announce(9, 0));
  EXPECT_EQ(newest_gain(), "1") << "the announce that we had missed";
  EXPECT_EQ(cache.newest()->epoch, 9u);
}

TEST_F(MetadataCacheTest, TellsNothingWhenTheSameIsSaidAgain) {  // W-89: producers repeat it each second
  hear(announce(3, 1));
  hear(meta(1, {gain("1")}));
  for (int i = 0; i < 10; ++i) {
    hear(announce(3, 1));
    hear(meta(1, {gain("1")}));
  }
  EXPECT_EQ(told.size(), 2u);
  EXPECT_EQ(cache.counters().changes, 2u);
  EXPECT_EQ(cache.counters().repeats, 20u);
}

TEST_F(MetadataCacheTest, LooksAFramesVersionUpThoughItIsNotTheNewest) {  // W-87, W-89
  hear(announce(3, 1));
  hear(meta(1, {gain("1")}));
  hear(announce(3, 2));
  hear(meta(2, {gain("2")}));
  EXPECT_EQ(newest_gain(), "2");
  EXPECT_EQ(cache.version(1)->find("gain")->value, "1");
  EXPECT_EQ(cache.of_frame(3, 1)->find("gain")->value, "1");
  EXPECT_EQ(cache.of_frame(3, 3), nullptr) << "not heard yet";
  EXPECT_EQ(cache.of_frame(4, 1), nullptr) << "version 1 of another epoch's producer";
  EXPECT_EQ(cache.version(3), nullptr);
}

TEST_F(MetadataCacheTest, IsAFullSetNotADelta) {  // W-89
  hear(meta(1, {gain("1"), {"lens", "text/plain", "wide"}}));
  hear(meta(2, {gain("2")}));
  EXPECT_EQ(cache.newest()->find("lens"), nullptr);
  EXPECT_NE(cache.version(1)->find("lens"), nullptr);
}

TEST_F(MetadataCacheTest, IgnoresOlderVersionsWithinAnEpoch) {  // W-89
  hear(announce(3, 5));
  hear(meta(5, {gain("5")}));
  hear(meta(4, {gain("4")}));
  hear(announce(3, 4, "old"));
  EXPECT_EQ(newest_gain(), "5");
  EXPECT_EQ(cache.version(4), nullptr);
  EXPECT_EQ(cache.newest()->name, "cam1");
  EXPECT_EQ(cache.counters().old, 2u);
}

TEST_F(MetadataCacheTest, IsClearedByAHigherEpoch) {  // W-89
  hear(announce(3, 5));
  hear(meta(5, {gain("5")}));
  hear(announce(4, 1));
  EXPECT_EQ(cache.version(5), nullptr);
  EXPECT_EQ(newest_gain(), "no gain") << "what the producer before said is nobody's any more";
  hear(meta(1, {gain("1")}));
  EXPECT_EQ(newest_gain(), "1") << "a lower version is no older one there";
}

TEST_F(MetadataCacheTest, ListensToNoProducerWhoseEpochHasPassed) {  // W-89, W-10
  hear(announce(4, 1));
  hear(meta(1, {gain("ours")}));
  // One who does not know yet that it was replaced: its attributes bear no epoch, so its announce speaks for them.
  hear(announce(3, 9), 8);
  hear(meta(9, {gain("theirs")}), 8);
  hear(wire::MetaBlobAnnounce{.stream_id = kStream, .meta_version = 9, .blob_type = 1, .total_len = 0, .checksum = 0}, 8);
  hear(wire::MetaBlobComplete{.stream_id = kStream, .meta_version = 9, .checksum = 0}, 8);
  EXPECT_EQ(newest_gain(), "ours");
  EXPECT_EQ(cache.counters().old, 3u);
  // It attaches anew and is heard again.
  hear(announce(5, 2), 8);
  hear(meta(2, {gain("new")}), 8);
  EXPECT_EQ(newest_gain(), "new");
}

TEST_F(MetadataCacheTest, FollowsASuccessorThatCountsFromBelowOnceTheOtherIsSilent) {  // W-89, D-62: as epochs are after a loss
  hear(announce(4, 8));
  hear(meta(8, {gain("8")}));
  now_ns += kSilenceNs;
  hear(announce(1, 1));
  EXPECT_EQ(newest_gain(), "8") << "just not silent for long enough";
  now_ns += 1;
  hear(announce(1, 1));
  hear(meta(1, {gain("1")}));
  EXPECT_EQ(newest_gain(), "1");
  EXPECT_EQ(cache.version(8), nullptr);
}

TEST_F(MetadataCacheTest, ForgetsNumbersThatWereNotTheProducers) {  // W-89
  hear(meta(9, {gain("whose?")}));
  hear(announce(4, 1));
  EXPECT_EQ(cache.version(9), nullptr);
  EXPECT_EQ(cache.newest()->version, 1u);
}

TEST_F(MetadataCacheTest, LetsTheLastOfARepeatedKeyWin) {  // W-88
  hear(meta(1, {gain("1"), {"lens", "text/plain", "wide"}, gain("2")}));
  EXPECT_THAT(cache.newest()->attributes, ElementsAre(Attribute{"lens", "text/plain", "wide"}, gain("2")));
}

TEST_F(MetadataCacheTest, KeepsUnknownKeysAndFormatsAsTheyAre) {  // W-88
  const std::string bytes("\0\xff\x80", 3);
  hear(meta(1, {{"x-nobody-knows", "sbe:999.1", bytes}, {"", "", ""}}));
  EXPECT_EQ(cache.newest()->find("x-nobody-knows")->value, bytes);
  EXPECT_EQ(cache.newest()->find("x-nobody-knows")->format, "sbe:999.1");
  EXPECT_NE(cache.newest()->find(""), nullptr);
}

TEST_F(MetadataCacheTest, IgnoresOtherStreams) {  // W-10
  auto elsewhere = announce(3, 1);
  elsewhere.stream_id = kStream + 1;
  hear(elsewhere);
  auto attributes = meta(1, {gain("1")});
  attributes.stream_id = kStream + 1;
  hear(attributes);
  hear(wire::MetaBlobAnnounce{.stream_id = kStream + 1, .meta_version = 1, .blob_type = 1, .total_len = 0, .checksum = 0});
  hear(wire::MetaBlobComplete{.stream_id = kStream + 1, .meta_version = 1, .checksum = 0});
  EXPECT_EQ(cache.newest(), nullptr);
  EXPECT_EQ(cache.counters().blobs.completed, 0u);
}

TEST_F(MetadataCacheTest, HoldsABoundedNumberOfVersionsTheNewest) {  // W-93
  for (uint32_t version = 1; version <= 100; ++version) hear(meta(version, {gain(std::to_string(version))}));
  EXPECT_EQ(newest_gain(), "100");
  EXPECT_NE(cache.version(100 - MetadataCache::kMaxVersions + 1), nullptr);
  EXPECT_EQ(cache.version(100 - MetadataCache::kMaxVersions), nullptr);
  EXPECT_EQ(cache.counters().forgotten, 100 - MetadataCache::kMaxVersions);
}

TEST_F(MetadataCacheTest, HoldsABoundedNumberOfBytes) {  // W-93
  hear(meta(1, {gain(std::string(5000, 'a'))}));
  hear(meta(2, {gain(std::string(5000, 'b'))}));
  EXPECT_EQ(cache.version(1), nullptr) << "both are more than 8192 bytes";
  EXPECT_NE(cache.version(2), nullptr);
  hear(meta(3, {gain(std::string(8192, 'c'))}));
  EXPECT_EQ(cache.version(3), nullptr) << "one that is more alone is not kept";
  EXPECT_NE(cache.version(2), nullptr) << "and costs nobody else his place";
  EXPECT_EQ(cache.counters().too_large, 1u);
  // What is said again of one version replaces it: sizes do not add up.
  for (int i = 0; i < 100; ++i) hear(meta(2, {gain(std::string(5000, static_cast<char>('a' + i % 20)))}));
  EXPECT_NE(cache.version(2), nullptr);
}

TEST_F(MetadataCacheTest, HandsOutWhatNobodyChangesAnyMore) {
  hear(meta(1, {gain("1")}));
  const auto held = cache.newest();
  hear(meta(1, {gain("2")}));
  hear(announce(5, 7));
  EXPECT_EQ(held->find("gain")->value, "1");
  EXPECT_TRUE(told.front()->attributed);
}

TEST_F(MetadataCacheTest, SurvivesAHandlerThatThrows) {
  auto angry = options();
  angry.on_change = [](const auto&) { throw std::runtime_error("no"); };
  MetadataCache other(angry);
  EXPECT_NO_THROW(other.heard(meta(1, {gain("1")}), kSession, now_ns));
  EXPECT_NE(other.newest(), nullptr);
}

TEST_F(MetadataCacheTest, PutsWholeBlobsWithTheirVersionByType) {  // W-90
  hear(announce(3, 1));
  const auto send = [&](uint32_t version, uint32_t type, const std::string& bytes) {
    hear(wire::MetaBlobAnnounce{
        .stream_id = kStream, .meta_version = version, .blob_type = type, .total_len = bytes.size(), .checksum = 0});
    hear(wire::MetaBlobChunk{.stream_id = kStream, .meta_version = version, .chunk_offset = 0, .bytes = bytes});
    hear(wire::MetaBlobComplete{.stream_id = kStream, .meta_version = version, .checksum = 0});
  };
  send(1, 20, "twenty");
  send(1, 3, "three");
  ASSERT_EQ(cache.newest()->blobs.size(), 2u);
  EXPECT_EQ(cache.newest()->blobs[0]->type, 3u);
  EXPECT_EQ(cache.newest()->blob(20)->bytes, "twenty");
  EXPECT_EQ(cache.newest()->blob(4), nullptr);
  EXPECT_EQ(cache.newest()->name, "cam1");
  send(1, 3, "three, anew");
  EXPECT_EQ(cache.newest()->blob(3)->bytes, "three, anew");
  EXPECT_EQ(cache.newest()->blobs.size(), 2u);
  hear(announce(4, 1));
  EXPECT_TRUE(cache.newest()->blobs.empty()) << "another epoch's";
}

TEST_F(MetadataCacheTest, BreaksABlobOfTheEpochBeforeOff) {  // W-89, W-90
  hear(announce(3, 1));
  hear(wire::MetaBlobAnnounce{.stream_id = kStream, .meta_version = 1, .blob_type = 1, .total_len = 2, .checksum = 0});
  hear(wire::MetaBlobChunk{.stream_id = kStream, .meta_version = 1, .chunk_offset = 0, .bytes = "a"});
  hear(announce(4, 1));
  hear(wire::MetaBlobChunk{.stream_id = kStream, .meta_version = 1, .chunk_offset = 1, .bytes = "b"});
  hear(wire::MetaBlobComplete{.stream_id = kStream, .meta_version = 1, .checksum = 0});
  EXPECT_TRUE(cache.newest()->blobs.empty());
  EXPECT_EQ(cache.counters().blobs.incomplete, 1u);
}

}  // namespace
}  // namespace tidepool::client::metadata_cache_test
