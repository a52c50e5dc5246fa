#include "tidepool/services/driver/leases.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <utility>

#include "tidepool/base/random.h"

namespace tidepool::driver {

uint64_t Leases::random_first_lease_id() {
  // 63 bits: counting up from there never reaches all ones, the null.
  const uint64_t id = random_u64() >> 1;
  return id == 0 ? 1 : id;
}

Lease& Leases::grant(Lease lease) {
  assert(!by_client_.contains(lease.identity.client_id));
  lease.identity.lease_id = next_lease_id_++;
  const uint64_t id = lease.identity.lease_id;
  by_client_[lease.identity.client_id] = id;
  nothing_expires_before_ns_ = live_.empty() ? lease.expiry_ns : std::min(nothing_expires_before_ns_, lease.expiry_ns);
  return live_.emplace(id, lease).first->second;
}

Lease* Leases::find(uint64_t lease_id) noexcept {
  const auto at = live_.find(lease_id);
  return at == live_.end() ? nullptr : &at->second;
}

Lease* Leases::find_by_client(uint32_t client_id) noexcept {
  const auto at = by_client_.find(client_id);
  return at == by_client_.end() ? nullptr : find(at->second);
}

Lease* Leases::find(const LeaseIdentity& identity) noexcept {
  Lease* lease = find(identity.lease_id);
  return lease != nullptr && lease->identity == identity ? lease : nullptr;
}

Lease Leases::end(uint64_t lease_id, wire::RevokeReason reason) {
  const auto at = live_.find(lease_id);
  assert(at != live_.end());
  const Lease lease = at->second;
  live_.erase(at);
  by_client_.erase(lease.identity.client_id);
  tombstones_[lease_id] = {lease.identity, reason};
  tombstone_order_.push_back(lease_id);
  if (tombstone_order_.size() > kMaxTombstones) {
    tombstones_.erase(tombstone_order_.front());
    tombstone_order_.pop_front();
  }
  return lease;
}

std::vector<Lease> Leases::drop_all() {
  std::vector<Lease> dropped;
  for (const auto& [id, lease] : live_) dropped.push_back(lease);
  live_.clear();
  by_client_.clear();
  return dropped;
}

std::vector<uint64_t> Leases::expired(uint64_t now_ns) {
  if (live_.empty() || now_ns <= nothing_expires_before_ns_) return {};
  std::vector<std::pair<uint64_t, uint64_t>> due;
  uint64_t earliest = std::numeric_limits<uint64_t>::max();
  for (const auto& [id, lease] : live_) {
    earliest = std::min(earliest, lease.expiry_ns);
    if (now_ns > lease.expiry_ns) due.emplace_back(lease.expiry_ns, id);
  }
  nothing_expires_before_ns_ = earliest;
  std::sort(due.begin(), due.end());
  std::vector<uint64_t> ids;
  for (const auto& [expiry, id] : due) ids.push_back(id);
  return ids;
}

std::optional<wire::RevokeReason> Leases::tombstone(const LeaseIdentity& identity) const noexcept {
  const auto at = tombstones_.find(identity.lease_id);
  if (at == tombstones_.end() || at->second.identity != identity) return std::nullopt;
  return at->second.reason;
}

bool Leases::answer_unknown(uint64_t lease_id) {
  if (answered_.size() >= kMaxAnsweredUnknown) return false;
  return answered_.insert(lease_id).second;
}

}  // namespace tidepool::driver
