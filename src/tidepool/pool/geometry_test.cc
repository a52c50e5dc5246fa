#include "tidepool/pool/geometry.h"

#include <gtest/gtest.h>

#include <limits>

#include "tidepool/pool/test_support.h"

namespace tidepool::pool {
namespace {

using test::expect_error;

Geometry good() { return {.slot_count = 8, .pools = {{1, 4096}, {2, 65536}}}; }

TEST(Geometry, AcceptsPowersOfTwo) {  // W-16, W-20
  EXPECT_NO_THROW(good().check(true));
  EXPECT_NO_THROW((Geometry{.slot_count = 1, .pools = {{65534, 64}}}.check(true)));
  EXPECT_NO_THROW((Geometry{.slot_count = uint32_t{1} << 31, .pools = {{1, uint32_t{1} << 31}}}.check(true)));
}

TEST(Geometry, RefusesWhatBreaksARuleAndNamesIt) {  // W-16, W-20, P-14
  const auto refused = [](std::string_view name, auto&& change) {
    Geometry geometry = good();
    change(geometry);
    expect_error(Code::kInvalidArgument, name, [&] { geometry.check(true); });
  };
  refused("slot count is 0", [](Geometry& g) { g.slot_count = 0; });
  refused("slot count is 12", [](Geometry& g) { g.slot_count = 12; });
  refused("at least one", [](Geometry& g) { g.pools.clear(); });
  refused("at most", [](Geometry& g) { g.pools.resize(wire::kMaxPoolsPerMessage + 1); });
  refused("pool id is 0", [](Geometry& g) { g.pools[0].pool_id = 0; });
  refused("pool id is 65535", [](Geometry& g) { g.pools[0].pool_id = 65535; });
  refused("pool id 2 occurs twice", [](Geometry& g) { g.pools[0].pool_id = 2; });
  refused("stride of pool 1 is 0", [](Geometry& g) { g.pools[0].stride_bytes = 0; });
  refused("stride of pool 1 is 32", [](Geometry& g) { g.pools[0].stride_bytes = 32; });
  refused("stride of pool 1 is 4100", [](Geometry& g) { g.pools[0].stride_bytes = 4100; });
  refused("stride of pool 1 is 192", [](Geometry& g) { g.pools[0].stride_bytes = 192; });
}

TEST(Geometry, LetsReadersTakeAnyMultipleOf64) {  // W-20
  Geometry geometry = good();
  geometry.pools[0].stride_bytes = 192;
  EXPECT_NO_THROW(geometry.check(false));
  geometry.pools[0].stride_bytes = 100;
  EXPECT_THROW(geometry.check(false), Error);
}

TEST(Geometry, ComputesSizesIn64Bits) {  // W-17
  EXPECT_EQ(good().header_bytes(), 64u + 8 * 256);
  EXPECT_EQ(good().pool_bytes({1, 4096}), 64u + 8 * 4096);
  EXPECT_EQ(good().total_bytes(), 64u + 8 * 256 + 64 + 8 * 4096 + 64 + 8 * 65536);
  const Geometry large{.slot_count = uint32_t{1} << 31, .pools = {{1, uint32_t{1} << 31}}};
  EXPECT_EQ(large.pool_bytes(large.pools[0]), (uint64_t{1} << 62) + 64);
  Geometry too_large = large;
  too_large.pools.assign(8, {1, uint32_t{1} << 31});
  EXPECT_EQ(too_large.total_bytes(), std::numeric_limits<uint64_t>::max());
}

EpochRegions announced() {
  return {.stream_id = 10000,
          .epoch = 7,
          .layout_version = 1,
          .header_nslots = 8,
          .header_slot_bytes = 256,
          .header_region_uri = "shm:file?path=/x/header.ring",
          .pools = {{1, 8, 4096, "shm:file?path=/x/1.pool"}, {0, 8, 192, "shm:file?path=/x/0.pool"}}};
}

TEST(EpochRegions, AcceptsPoolIdZeroAndAnyMultipleOf64) {  // W-20, P-14
  EXPECT_NO_THROW(announced().check());
  EXPECT_EQ(announced().geometry(), (Geometry{.slot_count = 8, .pools = {{1, 4096}, {0, 192}}}));
}

TEST(EpochRegions, RefusesAnAnnounceThatContradictsItself) {  // W-55, W-16, R-46
  const auto refused = [](std::string_view name, auto&& change) {
    EpochRegions regions = announced();
    change(regions);
    expect_error(Code::kCorrupt, name, [&] { regions.check(); });
  };
  refused("layout version 2", [](EpochRegions& r) { r.layout_version = 2; });
  refused("header slots of 128", [](EpochRegions& r) { r.header_slot_bytes = 128; });
  refused("0 header slots", [](EpochRegions& r) { r.header_nslots = 0; });
  refused("9 header slots", [](EpochRegions& r) { r.header_nslots = 9; });
  refused("header ring was announced without a URI", [](EpochRegions& r) { r.header_region_uri.clear(); });
  refused("no payload pool", [](EpochRegions& r) { r.pools.clear(); });
  refused("pool id 1 announced twice", [](EpochRegions& r) { r.pools[1].pool_id = 1; });
  refused("pool 1 announced with 16 slots", [](EpochRegions& r) { r.pools[0].nslots = 16; });
  refused("stride of 0", [](EpochRegions& r) { r.pools[0].stride_bytes = 0; });
  refused("stride of 100", [](EpochRegions& r) { r.pools[0].stride_bytes = 100; });
  refused("pool 0 was announced without a URI", [](EpochRegions& r) { r.pools[1].region_uri.clear(); });
}

TEST(EpochRegions, AreTakenFromAnnounceAndAttachResponseAlike) {
  const EpochRegions regions = announced();
  wire::ShmPoolAnnounce announce;
  announce.stream_id = regions.stream_id;
  announce.epoch = regions.epoch;
  announce.header_nslots = regions.header_nslots;
  announce.header_region_uri = regions.header_region_uri;
  announce.pools = regions.pools;
  EXPECT_EQ(EpochRegions::of(announce), regions);
  wire::ShmAttachResponse response;
  response.stream_id = regions.stream_id;
  response.epoch = regions.epoch;
  response.layout_version = 1;
  response.header_nslots = regions.header_nslots;
  response.header_slot_bytes = 256;
  response.header_region_uri = regions.header_region_uri;
  response.pools = regions.pools;
  EXPECT_EQ(EpochRegions::of(response), regions);
}

}  // namespace
}  // namespace tidepool::pool
