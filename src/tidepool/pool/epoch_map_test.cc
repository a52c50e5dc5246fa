#include "tidepool/pool/epoch_map.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>

#include "tidepool/pool/test_support.h"

namespace tidepool::pool {
namespace {

using namespace test;

class EpochMapTest : public ::testing::Test {
 protected:
  Store store_;
  EpochFiles::Created epoch_ = store_.create({.slot_count = 8, .pools = {{1, 4096}, {5, 64}}});
  const EpochRegions& regions_ = epoch_.regions;

  std::byte* ring() { return epoch_.map->mutable_slot(0) - wire::kSuperblockBytes; }
  std::byte* pool(size_t i) { return epoch_.map->pools()[i].mutable_slots - wire::kSuperblockBytes; }
  std::string path(std::string_view file) const { return concat(store_.files.stream_path(kStream), "/7/", file); }
  // A store past all checks of what is constant, so that a region can be spoilt and mended.
  struct Change {
    std::byte* at;
    uint64_t before;
    explicit Change(std::byte* where) : at(where), before(load<uint64_t>(where)) {}
    ~Change() { poke(at, before); }
  };
};

bool is_mapped(const std::string& path) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with(path)) return true;
  }
  return false;
}

TEST_F(EpochMapTest, MapsWhatWasAnnounced) {  // W-31, W-30, W-16
  const auto map = store_.open(regions_);
  EXPECT_EQ(map->stream_id(), kStream);
  EXPECT_EQ(map->epoch(), 7u);
  EXPECT_EQ(map->slot_count(), 8u);
  EXPECT_EQ(map->slot_mask(), 7u);
  EXPECT_EQ(map->regions(), regions_);
  EXPECT_EQ(map->largest_stride_bytes(), 4096u);
  EXPECT_EQ(map->creator_pid(), static_cast<uint64_t>(::getpid()));
  EXPECT_TRUE(map->alive());
  ASSERT_NE(map->pool(5), nullptr);
  EXPECT_EQ(map->pool(5)->stride_bytes, 64u);
  EXPECT_EQ(map->pool(2), nullptr);
  EXPECT_FALSE(map->writable());
  EXPECT_EQ(map->pool(5)->mutable_slots, nullptr);
  const auto writable = store_.open(regions_, shm::Access::kReadWrite);
  EXPECT_TRUE(writable->writable());
  poke<uint64_t>(writable->pool(5)->mutable_slots + 7 * 64, 42);
  EXPECT_EQ(load<uint64_t>(map->pool(5)->slots + 7 * 64), 42u);
}

struct FieldCase {
  const char* name;
  size_t offset;
  bool pool;
};

class SuperblockField : public EpochMapTest, public ::testing::WithParamInterface<FieldCase> {};

TEST_P(SuperblockField, ThatContradictsTheAnnounceRefusesTheEpoch) {  // W-19, W-18, R-03, R-46
  const auto mapped = store_.open(regions_);
  std::byte* const region = GetParam().pool ? pool(1) : ring();
  const char* const name = GetParam().pool ? "pool 5" : "header ring";
  for (const uint8_t flip : {0x01, 0x80}) {
    const Change change(region + GetParam().offset / 8 * 8);
    auto* const byte = region + GetParam().offset;
    *byte ^= std::byte{flip};
    for (const auto& attempt : {std::function<void()>([&] { store_.open(regions_); }), std::function<void()>([&] { mapped->revalidate({}); })}) {
      const Error error = error_of(attempt);
      EXPECT_EQ(error.code(), Code::kCorrupt);
      const std::string text = error.what();
      EXPECT_NE(text.find(name), std::string::npos) << text;
      EXPECT_NE(text.find(GetParam().name), std::string::npos) << text;
      EXPECT_NE(text.find("epoch 7 of stream 10000"), std::string::npos) << text;
    }
  }
  EXPECT_NO_THROW(store_.open(regions_));
}

INSTANTIATE_TEST_SUITE_P(EpochMap, SuperblockField,
                         ::testing::Values(FieldCase{"magic", 0, false}, FieldCase{"layout version", 8, false}, FieldCase{"epoch", 12, false},
                                           FieldCase{"epoch", 19, false}, FieldCase{"stream id", 20, false}, FieldCase{"region type", 24, false},
                                           FieldCase{"pool id", 26, false}, FieldCase{"slot count", 28, false}, FieldCase{"slot bytes", 32, false},
                                           FieldCase{"magic", 7, true}, FieldCase{"layout version", 11, true}, FieldCase{"epoch", 12, true},
                                           FieldCase{"stream id", 23, true}, FieldCase{"region type", 25, true}, FieldCase{"pool id", 26, true},
                                           FieldCase{"slot count", 31, true}, FieldCase{"stride bytes", 36, true}),
                         [](const auto& field) { return concat(field.param.pool ? "Pool" : "Ring", "Byte", field.param.offset); });

TEST_F(EpochMapTest, DoesNotJudgeThePoolsSlotBytesNorTheRingsStride) {  // W-19, WX-3, WX-4
  poke<uint32_t>(pool(0) + 32, 0xFFFFFFFF);
  poke<uint32_t>(ring() + 36, 4096);
  EXPECT_NO_THROW(store_.open(regions_)->revalidate({}));
}

TEST_F(EpochMapTest, RefusesAnAnnounceThatContradictsTheFiles) {  // W-19, W-29
  const auto refused = [&](Code code, std::string_view text, auto&& change) {
    EpochRegions regions = regions_;
    change(regions);
    expect_error(code, text, [&] { store_.open(regions); });
  };
  refused(Code::kCorrupt, "epoch is 7", [](EpochRegions& r) { r.epoch = 8; });
  refused(Code::kCorrupt, "stream id is 10000", [](EpochRegions& r) { r.stream_id = 1; });
  refused(Code::kCorrupt, "slot count is 8", [](EpochRegions& r) {
    r.header_nslots = 4;
    for (auto& pool : r.pools) pool.nslots = 4;
  });
  refused(Code::kCorrupt, "header ring", [](EpochRegions& r) {  // the file would be too short for it
    r.header_nslots = 1 << 20;
    for (auto& pool : r.pools) pool.nslots = 1 << 20;
  });
  refused(Code::kCorrupt, "stride bytes is 4096", [](EpochRegions& r) { r.pools[0].stride_bytes = 2048; });
  refused(Code::kCorrupt, "pool 1", [](EpochRegions& r) { r.pools[0].stride_bytes = 1 << 20; });
  refused(Code::kCorrupt, "pool id is 5", [](EpochRegions& r) { r.pools[1].pool_id = 6; });
  refused(Code::kCorrupt, "region type is 2", [](EpochRegions& r) { r.header_region_uri = r.pools[0].region_uri; });
  refused(Code::kCorrupt, "header slots of 512", [](EpochRegions& r) { r.header_slot_bytes = 512; });
  refused(Code::kInvalidArgument, "header ring", [](EpochRegions& r) { r.header_region_uri = "shm:memfd?path=/x"; });
  refused(Code::kNotFound, "pool 5", [](EpochRegions& r) { r.pools[1].region_uri += "x"; });
}

TEST_F(EpochMapTest, RefusesARegionThatWasCutShortByOneByte) {  // W-29, R-03
  const auto mapped = store_.open(regions_);
  for (const char* const file : {"header.ring", "1.pool", "5.pool"}) {
    const auto size = std::filesystem::file_size(path(file));
    ASSERT_EQ(::truncate(path(file).c_str(), static_cast<off_t>(size - 1)), 0);
    expect_error(Code::kCorrupt, file, [&] { store_.open(regions_); });
    expect_error(Code::kCorrupt, "cut short", [&] { mapped->revalidate({}); });
    ASSERT_EQ(::truncate(path(file).c_str(), static_cast<off_t>(size)), 0);
  }
  ASSERT_EQ(::truncate(path("1.pool").c_str(), 32), 0);  // not even a superblock
  expect_error(Code::kCorrupt, "1.pool", [&] { store_.open(regions_); });
}

TEST_F(EpochMapTest, AcceptsALargerFile) {  // wire.md 6.1: hugetlbfs rounds up
  ASSERT_EQ(::truncate(path("5.pool").c_str(), 1 << 20), 0);
  EXPECT_NO_THROW(store_.open(regions_));
}

TEST_F(EpochMapTest, MapsAllRegionsOrNone) {  // W-31
  epoch_.map.reset();
  ASSERT_EQ(::truncate(path("5.pool").c_str(), 64), 0);  // the last one to be opened
  expect_error(Code::kCorrupt, "5.pool", [&] { store_.open(regions_); });
  EXPECT_FALSE(is_mapped(path("header.ring")));
  EXPECT_FALSE(is_mapped(path("1.pool")));
  ASSERT_EQ(::truncate(path("5.pool").c_str(), 64 + 8 * 64), 0);
  const auto map = store_.open(regions_);  // what was cut reads as zero now, but the superblock is there
  EXPECT_TRUE(is_mapped(path("1.pool")));
}

TEST_F(EpochMapTest, MapsOnlyWhatThePolicyAllows) {  // W-24, W-27
  shm::MapPolicy::Options elsewhere;
  elsewhere.allowed_base_dirs = {"/proc"};
  expect_error(Code::kPermission, "header.ring", [&] { EpochMap::open(regions_, shm::Access::kReadOnly, shm::MapPolicy(elsewhere), {}); });
  ASSERT_EQ(::chmod(path("1.pool").c_str(), 0664), 0);
  expect_error(Code::kPermission, "1.pool", [&] { store_.open(regions_); });
  shm::MapPolicy::Options lenient;
  lenient.allowed_base_dirs = {store_.base.path()};
  lenient.forbidden_mode = 0;
  EXPECT_NO_THROW(EpochMap::open(regions_, shm::Access::kReadOnly, shm::MapPolicy(lenient), {}));
}

TEST_F(EpochMapTest, RefusesStaleActivityInAnyRegion) {  // W-63
  constexpr uint64_t kNow = 100 * kNsPerSecond;
  constexpr Freshness kFresh{.now_ns = kNow, .max_age_ns = 3 * kNsPerSecond};
  epoch_.map->touch_activity(kNow - 3 * kNsPerSecond);  // just about
  const auto map = store_.open(regions_, shm::Access::kReadOnly, kFresh);
  EXPECT_NO_THROW(map->revalidate(kFresh));
  const std::pair<std::byte*, const char*> regions[] = {{ring(), "header ring"}, {pool(0), "pool 1"}, {pool(1), "pool 5"}};
  for (const auto& [region, name] : regions) {
    for (const uint64_t activity : {kNow - 3 * kNsPerSecond - 1, uint64_t{0}}) {
      const Change change(region + wire::kSuperblockActivityOffset);
      poke(region + wire::kSuperblockActivityOffset, activity);
      expect_error(Code::kUnavailable, name, [&] { store_.open(regions_, shm::Access::kReadOnly, kFresh); });
      expect_error(Code::kUnavailable, name, [&] { map->revalidate(kFresh); });
      EXPECT_NO_THROW(store_.open(regions_));  // the check is off: the grace after an attach
    }
    const Change change(region + wire::kSuperblockActivityOffset);
    poke(region + wire::kSuperblockActivityOffset, kNow + kNsPerSecond);  // stamped after our look at the clock
    EXPECT_NO_THROW(store_.open(regions_, shm::Access::kReadOnly, kFresh));
  }
}

TEST_F(EpochMapTest, RefreshesTheActivityOfEveryRegion) {  // W-62
  const auto reader = store_.open(regions_);
  epoch_.map->touch_activity(4711);
  EXPECT_EQ(reader->activity_ns(), 4711u);
  for (const std::byte* region : {ring(), pool(0), pool(1)}) EXPECT_EQ(load<uint64_t>(region + wire::kSuperblockActivityOffset), 4711u);
  reader->touch_activity(1);  // read-only: nothing happens, least of all a fault
  EXPECT_EQ(reader->activity_ns(), 4711u);
}

TEST_F(EpochMapTest, NoticesThatARegionWasMadeAnewInPlace) {  // W-64, R-01
  const auto map = store_.open(regions_);
  EXPECT_NO_THROW(map->revalidate({}));
  for (std::byte* region : {ring(), pool(0), pool(1)}) {
    for (const size_t offset : {size_t{40}, size_t{48}}) {
      const Change change(region + offset);
      poke(region + offset, change.before + 1);
      expect_error(Code::kCorrupt, "made anew", [&] { map->revalidate({}); });
    }
  }
  EXPECT_NO_THROW(map->revalidate({}));
}

TEST_F(EpochMapTest, NoticesThatAFileWasReplaced) {  // W-58, W-33
  const auto map = store_.open(regions_);
  std::filesystem::copy_file(path("5.pool"), path("copy"));
  ASSERT_EQ(std::rename(path("copy").c_str(), path("5.pool").c_str()), 0);
  expect_error(Code::kCorrupt, "replaced", [&] { map->revalidate({}); });
  ASSERT_EQ(::unlink(path("5.pool").c_str()), 0);
  expect_error(Code::kCorrupt, "replaced", [&] { map->revalidate({}); });
}

TEST_F(EpochMapTest, IsDeadOnceItIsToldSo) {  // P-4, W-59
  const auto map = store_.open(regions_);
  map->mark_dead();
  EXPECT_FALSE(map->alive());
  EXPECT_EQ(load<uint64_t>(map->slot(0)), 0u);  // still mapped
}

}  // namespace
}  // namespace tidepool::pool
