#include "tidepool/pool/geometry.h"

#include <bit>
#include <limits>
#include <set>

#include "tidepool/base/error.h"

namespace tidepool::pool {

namespace {

constexpr uint32_t kMaxSlotCount = uint32_t{1} << 31;  // wire.md 16
constexpr uint16_t kMaxPoolId = 65534;                 // rulings P-14
constexpr uint32_t kMinStrideBytes = 64;

bool is_readable_stride(uint32_t stride_bytes) noexcept {  // W-20
  return stride_bytes >= kMinStrideBytes && stride_bytes % kMinStrideBytes == 0;
}

}  // namespace

void Geometry::check(bool power_of_two_strides) const {
  if (!std::has_single_bit(slot_count) || slot_count > kMaxSlotCount) {
    throw Error(Code::kInvalidArgument, "slot count is ", slot_count, ": expected a power of two from 1 to 2147483648");
  }
  if (pools.empty()) throw Error(Code::kInvalidArgument, "no payload pool: a stream needs at least one");
  if (pools.size() > wire::kMaxPoolsPerMessage) {
    throw Error(Code::kInvalidArgument, pools.size(), " payload pools: at most ", wire::kMaxPoolsPerMessage);
  }
  std::set<uint16_t> ids;
  for (const PoolClass& pool : pools) {
    if (pool.pool_id < 1 || pool.pool_id > kMaxPoolId) {
      throw Error(Code::kInvalidArgument, "pool id is ", pool.pool_id, ": expected 1 to ", kMaxPoolId);
    }
    if (!ids.insert(pool.pool_id).second) {
      throw Error(Code::kInvalidArgument, "pool id ", pool.pool_id, " occurs twice: give each pool its own");
    }
    if (!is_readable_stride(pool.stride_bytes) || (power_of_two_strides && !std::has_single_bit(pool.stride_bytes))) {
      throw Error(Code::kInvalidArgument, "stride of pool ", pool.pool_id, " is ", pool.stride_bytes, " bytes: expected ",
                  power_of_two_strides ? "a power of two from 64" : "a multiple of 64");
    }
  }
}

uint64_t Geometry::total_bytes() const noexcept {
  uint64_t total = header_bytes();
  for (const PoolClass& pool : pools) {
    if (__builtin_add_overflow(total, pool_bytes(pool), &total)) return std::numeric_limits<uint64_t>::max();
  }
  return total;
}

EpochRegions EpochRegions::of(const wire::ShmPoolAnnounce& announce) {
  return {.stream_id = announce.stream_id,
          .epoch = announce.epoch,
          .layout_version = announce.layout_version,
          .header_nslots = announce.header_nslots,
          .header_slot_bytes = announce.header_slot_bytes,
          .header_region_uri = announce.header_region_uri,
          .pools = announce.pools};
}

EpochRegions EpochRegions::of(const wire::ShmAttachResponse& response) {
  return {.stream_id = response.stream_id.value_or(0),
          .epoch = response.epoch.value_or(0),
          .layout_version = response.layout_version.value_or(0),
          .header_nslots = response.header_nslots.value_or(0),
          .header_slot_bytes = response.header_slot_bytes.value_or(0),
          .header_region_uri = response.header_region_uri,
          .pools = response.pools};
}

Geometry EpochRegions::geometry() const {
  Geometry geometry{.slot_count = header_nslots, .pools = {}};
  geometry.pools.reserve(pools.size());
  for (const wire::PoolEntry& pool : pools) geometry.pools.push_back({.pool_id = pool.pool_id, .stride_bytes = pool.stride_bytes});
  return geometry;
}

void EpochRegions::check() const {
  if (layout_version != wire::kLayoutVersion) {
    throw Error(Code::kCorrupt, "layout version ", layout_version, " announced: this build reads version ", wire::kLayoutVersion);
  }
  if (header_slot_bytes != wire::kSlotBytes) {
    throw Error(Code::kCorrupt, "header slots of ", header_slot_bytes, " bytes announced: expected ", wire::kSlotBytes);
  }
  if (!std::has_single_bit(header_nslots) || header_nslots > kMaxSlotCount) {
    throw Error(Code::kCorrupt, header_nslots, " header slots announced: expected a power of two up to 2147483648");
  }
  if (header_region_uri.empty()) throw Error(Code::kCorrupt, "the header ring was announced without a URI");
  if (pools.empty()) throw Error(Code::kCorrupt, "no payload pool announced: expected at least one");
  std::set<uint16_t> ids;
  for (const wire::PoolEntry& pool : pools) {
    if (!ids.insert(pool.pool_id).second) throw Error(Code::kCorrupt, "pool id ", pool.pool_id, " announced twice");
    if (pool.nslots != header_nslots) {
      throw Error(Code::kCorrupt, "pool ", pool.pool_id, " announced with ", pool.nslots, " slots: the header ring has ", header_nslots);
    }
    if (!is_readable_stride(pool.stride_bytes)) {
      throw Error(Code::kCorrupt, "pool ", pool.pool_id, " announced with a stride of ", pool.stride_bytes,
                  " bytes: expected a multiple of 64");
    }
    if (pool.region_uri.empty()) throw Error(Code::kCorrupt, "pool ", pool.pool_id, " was announced without a URI");
  }
}

}  // namespace tidepool::pool
