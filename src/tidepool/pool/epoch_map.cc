#include "tidepool/pool/epoch_map.h"

#include <algorithm>

#include "tidepool/base/error.h"
#include "tidepool/shm/uri.h"

namespace tidepool::pool {

namespace {

// What one region's superblock must say (wire.md 7.4).
struct Expected {
  std::string region;  // "header ring", "pool 3": for messages
  uint32_t stream_id = 0;
  uint64_t epoch = 0;
  wire::RegionType type = wire::RegionType::header_ring;
  uint16_t pool_id = 0;
  uint32_t nslots = 0;
  uint32_t stride_bytes = 0;  // pools only
};

Expected expected_ring(const EpochRegions& regions) {
  return {.region = "header ring",
          .stream_id = regions.stream_id,
          .epoch = regions.epoch,
          .type = wire::RegionType::header_ring,
          .pool_id = 0,
          .nslots = regions.header_nslots,
          .stride_bytes = 0};
}

Expected expected_pool(const EpochRegions& regions, const wire::PoolEntry& pool) {
  return {.region = concat("pool ", pool.pool_id),
          .stream_id = regions.stream_id,
          .epoch = regions.epoch,
          .type = wire::RegionType::payload_pool,
          .pool_id = pool.pool_id,
          .nslots = pool.nslots,
          .stride_bytes = pool.stride_bytes};
}

// The private copy of a superblock that all judging is done on (W-92).
wire::Superblock copy_superblock(const std::byte* region) noexcept {
  std::byte bytes[wire::kSuperblockBytes];
  (void)shm::MagicWord(region).load();  // [ready] orders the copy after the creator's stores; judged from the copy
  shm::copy_words(bytes, region, sizeof bytes / 8);
  return wire::decode_superblock(bytes);
}

void check_activity(const Expected& expected, uint64_t activity_ns, const Freshness& freshness) {
  if (freshness.max_age_ns == 0) return;
  if (activity_ns == 0) throw Error(Code::kUnavailable, expected.region, " was never active: is its producer or driver running?");
  if (activity_ns >= freshness.now_ns) return;
  if (const uint64_t age_ns = freshness.now_ns - activity_ns; age_ns > freshness.max_age_ns) {
    throw Error(Code::kUnavailable, expected.region, " is stale: last activity ", age_ns / 1'000'000, " ms ago, limit ",
                freshness.max_age_ns / 1'000'000, " ms: is its producer or driver running?");
  }
}

template <typename T>
void check_field(const Expected& expected, std::string_view field, T found, T announced) {
  if (found == announced) return;
  throw Error(Code::kCorrupt, expected.region, ": ", field, " is ", found, ", announced is ", announced);
}

// W-19: slotBytes of a pool and strideBytes of the ring are not looked at.
EpochMap::Creator check_superblock(const Expected& expected, const std::byte* region, const Freshness& freshness) {
  const wire::Superblock found = copy_superblock(region);
  if (found.magic != wire::kMagic) throw Error(Code::kCorrupt, expected.region, ": no superblock (magic ", found.magic, ")");
  check_field(expected, "layout version", found.layout_version, wire::kLayoutVersion);
  check_field(expected, "epoch", found.epoch, expected.epoch);
  check_field(expected, "stream id", found.stream_id, expected.stream_id);
  check_field(expected, "region type", static_cast<int>(found.region_type), static_cast<int>(expected.type));
  check_field(expected, "pool id", found.pool_id, expected.pool_id);
  check_field(expected, "slot count", found.nslots, expected.nslots);
  if (expected.type == wire::RegionType::header_ring) {
    check_field(expected, "slot bytes", found.slot_bytes, static_cast<uint32_t>(wire::kSlotBytes));
  } else {
    check_field(expected, "stride bytes", found.stride_bytes, expected.stride_bytes);
  }
  check_activity(expected, found.activity_timestamp_ns, freshness);
  return {.pid = found.pid, .start_timestamp_ns = found.start_timestamp_ns};
}

struct Opened {
  shm::Region region;
  EpochMap::Creator creator;
};

Opened open_region(const Expected& expected, const std::string& uri, uint64_t min_bytes, shm::Access access, const shm::MapPolicy& policy,
                   const Freshness& freshness) {
  Opened opened;
  try {
    opened.region = shm::Region::open(shm::Uri::parse(uri), access, min_bytes, policy);
  } catch (const Error& error) {
    throw error.within(expected.region);
  }
  opened.creator = check_superblock(expected, opened.region.data(), freshness);
  return opened;
}

void check_creator(const Expected& expected, const EpochMap::Creator& found, const EpochMap::Creator& mapped) {
  if (found == mapped) return;
  throw Error(Code::kCorrupt, expected.region, ": made anew by process ", found.pid, " (start time ", found.start_timestamp_ns,
              "), mapped was that of process ", mapped.pid, " (start time ", mapped.start_timestamp_ns, ")");
}

void check_file(const Expected& expected, const shm::Region& region) {
  if (!region.still_same_file()) throw Error(Code::kCorrupt, expected.region, ": ", region.path(), " was replaced or cut short");
}

}  // namespace

std::shared_ptr<EpochMap> EpochMap::open(const EpochRegions& regions, shm::Access access, const shm::MapPolicy& policy,
                                         const Freshness& freshness) {
  std::shared_ptr<EpochMap> map(new EpochMap);
  try {
    regions.check();
    map->regions_ = regions;
    const Geometry geometry = regions.geometry();
    // A throw on the way unmaps what is mapped already: all or none (W-31).
    Opened ring = open_region(expected_ring(regions), regions.header_region_uri, geometry.header_bytes(), access, policy, freshness);
    map->header_ = std::move(ring.region);
    map->creator_ = ring.creator;
    map->pools_.reserve(regions.pools.size());
    for (size_t i = 0; i < regions.pools.size(); ++i) {
      const wire::PoolEntry& entry = regions.pools[i];
      Opened pool =
          open_region(expected_pool(regions, entry), entry.region_uri, geometry.pool_bytes(geometry.pools[i]), access, policy, freshness);
      map->pools_.push_back({.pool_id = entry.pool_id,
                             .stride_bytes = entry.stride_bytes,
                             .region = std::move(pool.region),
                             .slots = nullptr,
                             .mutable_slots = nullptr,
                             .creator = pool.creator});
    }
  } catch (const Error& error) {
    throw error.within("map epoch ", regions.epoch, " of stream ", regions.stream_id);
  }
  map->adopt();
  return map;
}

void EpochMap::adopt() noexcept {
  slot_mask_ = regions_.header_nslots - 1;
  slots_ = header_.data() + wire::kSuperblockBytes;
  mutable_slots_ = header_.mutable_data() == nullptr ? nullptr : header_.mutable_data() + wire::kSuperblockBytes;
  for (Pool& pool : pools_) {
    pool.slots = pool.region.data() + wire::kSuperblockBytes;
    pool.mutable_slots = pool.region.mutable_data() == nullptr ? nullptr : pool.region.mutable_data() + wire::kSuperblockBytes;
  }
}

const EpochMap::Pool* EpochMap::pool(uint16_t pool_id) const noexcept {
  const auto found = std::find_if(pools_.begin(), pools_.end(), [&](const Pool& pool) { return pool.pool_id == pool_id; });
  return found == pools_.end() ? nullptr : &*found;
}

uint32_t EpochMap::largest_stride_bytes() const noexcept {
  uint32_t largest = 0;
  for (const Pool& pool : pools_) largest = std::max(largest, pool.stride_bytes);
  return largest;
}

uint64_t EpochMap::activity_ns() const noexcept { return shm::ActivityWord(header_.data() + wire::kSuperblockActivityOffset).load(); }

void EpochMap::touch_activity(uint64_t now_ns) noexcept {
  if (header_.mutable_data() == nullptr) return;
  shm::ActivityWord(header_.mutable_data() + wire::kSuperblockActivityOffset).touch(now_ns);
  for (Pool& pool : pools_) {
    std::byte* const block = pool.region.mutable_data();
    if (block != nullptr) shm::ActivityWord(block + wire::kSuperblockActivityOffset).touch(now_ns);
  }
}

void EpochMap::revalidate(const Freshness& freshness) const {
  try {
    const Expected ring = expected_ring(regions_);
    check_file(ring, header_);
    check_creator(ring, check_superblock(ring, header_.data(), freshness), creator_);
    for (size_t i = 0; i < pools_.size(); ++i) {
      const Expected pool = expected_pool(regions_, regions_.pools[i]);
      check_file(pool, pools_[i].region);
      check_creator(pool, check_superblock(pool, pools_[i].region.data(), freshness), pools_[i].creator);
    }
  } catch (const Error& error) {
    throw error.within("mapped epoch ", regions_.epoch, " of stream ", regions_.stream_id);
  }
}

}  // namespace tidepool::pool
