#include "tidepool/services/discovery/index.h"

#include <algorithm>

#include "tidepool/base/clock.h"

namespace tidepool::discovery {
namespace {

uint64_t age_ns(uint64_t since_ns, uint64_t now_ns) { return now_ns > since_ns ? now_ns - since_ns : 0; }

// DS-12, but for the limits of ours.
bool plausible(const wire::ShmPoolAnnounce& announce) {
  return announce.header_slot_bytes == wire::kSlotBytes && announce.header_nslots != 0 && !announce.pools.empty() &&
         !announce.header_region_uri.empty() &&
         std::all_of(announce.pools.begin(), announce.pools.end(), [&](const wire::PoolEntry& pool) {
           return pool.nslots == announce.header_nslots && !pool.region_uri.empty();
         });
}

}  // namespace

Index::Index(const DiscoveryConfig& config) : expiry_ns_(config.effective_expiry_ns()), max_pools_(config.max_pools_per_entry) {
  for (const ConfiguredStream& stream : config.streams) {
    configured_.insert_or_assign(EntryKey{stream.instance_id, stream.stream_id}, stream);
    if (!stream.visible) hides_streams_ = true;
  }
}

bool Index::live(const Entry& entry, uint64_t now_ns) const noexcept {
  return entry.announced && (expiry_ns_ == 0 || age_ns(entry.announced_ns, now_ns) < expiry_ns_);
}

Heard Index::heard(const DriverEndpoint& from, const wire::ShmPoolAnnounce& announce, uint64_t now_ns) {
  if (announce.stream_id == 0) return Heard::kStreamZero;
  if (!plausible(announce)) return Heard::kGeometry;
  if (announce.pools.size() > max_pools_) return Heard::kTooManyPools;
  const auto known = entries_.find(EntryKey{from.instance_id, announce.stream_id});
  // An expired entry never blocks a restarted driver's lower epoch.
  if (known != entries_.end() && announce.epoch < known->second.epoch && live(known->second, now_ns)) return Heard::kOldEpoch;
  Entry* entry = known != entries_.end() ? &known->second : find_or_make(from, announce.stream_id, now_ns);
  if (entry == nullptr) return Heard::kFull;
  if (!entry->announced) {
    entry->announced = true;
    --never_announced_;
  }
  entry->announced_ns = now_ns;
  entry->producer_id = announce.producer_id;
  entry->epoch = announce.epoch;
  entry->layout_version = announce.layout_version;
  entry->header_nslots = announce.header_nslots;
  entry->header_region_uri = announce.header_region_uri;
  entry->pools = announce.pools;  // name and tags stay (DS-14)
  return Heard::kAccepted;
}

Heard Index::heard(const DriverEndpoint& from, const wire::DataSourceAnnounce& announce, uint64_t now_ns) {
  if (announce.stream_id == 0) return Heard::kStreamZero;
  const auto known = entries_.find(EntryKey{from.instance_id, announce.stream_id});
  Entry* entry = known != entries_.end() ? &known->second : find_or_make(from, announce.stream_id, now_ns);
  if (entry == nullptr) return Heard::kFull;
  entry->metadata_ns = now_ns;  // its epoch and producer id are not ours to believe (DS-11)
  if (announce.name.size() > kMaxNameBytes) {
    entry->data_source_name.clear();
    ++names_too_long_;
  } else {
    entry->data_source_name = announce.name;
  }
  return Heard::kAccepted;
}

Entry* Index::find_or_make(const DriverEndpoint& from, uint32_t stream_id, uint64_t now_ns) {
  if (never_announced_ >= kMaxNeverAnnounced && !make_room(now_ns, true)) return nullptr;
  if (entries_.size() >= kMaxEntries && !make_room(now_ns, false)) return nullptr;
  const EntryKey key{from.instance_id, stream_id};
  Entry& entry = entries_[key];
  ++never_announced_;
  entry.metadata_ns = now_ns;
  entry.driver_control_channel = from.control_channel;
  entry.driver_control_stream_id = from.control_stream_id;
  if (const auto configured = configured_.find(key); configured != configured_.end()) {
    entry.data_source_id = configured->second.data_source_id;
    entry.tags = configured->second.tags;
    entry.visible = configured->second.visible;
  }
  return &entry;
}

bool Index::make_room(uint64_t now_ns, bool for_metadata) {
  auto oldest = entries_.end();
  uint64_t oldest_ns = UINT64_MAX;
  for (auto at = entries_.begin(); at != entries_.end(); ++at) {
    const Entry& entry = at->second;
    if (for_metadata ? entry.announced : live(entry, now_ns)) continue;
    const uint64_t heard_ns = entry.announced ? entry.announced_ns : entry.metadata_ns;
    if (heard_ns < oldest_ns) {
      oldest_ns = heard_ns;
      oldest = at;
    }
  }
  if (oldest == entries_.end()) return false;
  if (!oldest->second.announced) --never_announced_;
  entries_.erase(oldest);
  return true;
}

int Index::forget(uint64_t now_ns) {
  if (expiry_ns_ == 0 || now_ns < next_forget_ns_) return 0;
  next_forget_ns_ = now_ns + expiry_ns_;  // often enough: an entry goes between three and four expiries after its last announce
  // A little longer than it is live: a driver that stalls keeps its names. A name alone is repeated each announce period, too.
  const uint64_t keep_ns = expiry_ns_ > UINT64_MAX / 3 ? UINT64_MAX : 3 * expiry_ns_;
  const size_t before = entries_.size();
  std::erase_if(entries_, [&](const auto& item) {
    const Entry& entry = item.second;
    if (age_ns(entry.announced ? entry.announced_ns : entry.metadata_ns, now_ns) < keep_ns) return false;
    if (!entry.announced) --never_announced_;
    return true;
  });
  return static_cast<int>(before - entries_.size());
}

}  // namespace tidepool::discovery
