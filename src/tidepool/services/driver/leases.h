#pragma once
// Who holds what (driver.md 6): the live leases and what is remembered of ended ones.
//
//   ATTACHED  keepalive            stays ATTACHED, expires later   all four identity fields match (D-23)
//   ATTACHED  detach               DETACHED  |
//   ATTACHED  now > expiry         EXPIRED   |  end(): exactly once, then a tombstone (D-25)
//   ATTACHED  the driver decides   REVOKED   |
//
// Thread safety: one thread.

#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tidepool/wire/messages.h"

namespace tidepool::driver {

// What a message may name: wire::Role as it is, since anything may arrive.
inline bool is_role(uint8_t role) noexcept { return role == uint8_t(wire::Role::producer) || role == uint8_t(wire::Role::consumer); }

// What a keepalive or a detach must say to mean a lease.
struct LeaseIdentity {
  uint64_t lease_id = 0;
  uint32_t stream_id = 0;
  uint32_t client_id = 0;
  wire::Role role = wire::Role::producer;
  bool operator==(const LeaseIdentity&) const = default;
};

struct Lease {
  LeaseIdentity identity;
  uint32_t requested_stream_id = 0;  // 0: the driver chose
  int64_t correlation_id = 0;        // of the request that made it
  uint32_t node_id = 0;
  uint64_t epoch = 0;                // granted
  uint64_t expiry_ns = 0;
  uint64_t superseded_ns = 0;        // when a later epoch was announced first; 0: none was
};

class Leases {
 public:
  static constexpr size_t kMaxLive = 65536;
  static constexpr size_t kMaxTombstones = 1024;
  static constexpr size_t kMaxAnsweredUnknown = 65536;

  // `first_lease_id`: the sequence starts there and counts up (D-20); see random_first_lease_id().
  explicit Leases(uint64_t first_lease_id) noexcept : next_lease_id_(first_lease_id) {}
  // Random, 63 bits, nonzero: ids of two driver lives do not meet.
  static uint64_t random_first_lease_id();

  bool full() const noexcept { return live_.size() >= kMaxLive; }
  size_t size() const noexcept { return live_.size(); }
  // `lease.identity.lease_id` is filled in. No lease of the same client is live.
  Lease& grant(Lease lease);

  Lease* find(uint64_t lease_id) noexcept;
  Lease* find_by_client(uint32_t client_id) noexcept;
  // The live lease that a message means; nullptr unless all four fields match (D-23, D-26).
  Lease* find(const LeaseIdentity& identity) noexcept;

  // Take it out of the live ones and remember why. `lease_id` is live.
  Lease end(uint64_t lease_id, wire::RevokeReason reason);
  // Forget all of them without a trace: nobody could be told (the media driver died).
  std::vector<Lease> drop_all();

  // Ids whose expiry is before `now_ns`, oldest expiry first; cheap while nothing can have expired (D-24).
  std::vector<uint64_t> expired(uint64_t now_ns);

  // How a lease ended, while that is remembered.
  std::optional<wire::RevokeReason> tombstone(const LeaseIdentity& identity) const noexcept;
  bool ended(uint64_t lease_id) const noexcept { return tombstones_.contains(lease_id); }

  // May a keepalive of this unknown lease be answered? Once for each id in a driver's life; never when the memory for
  // that is used up (D-28).
  bool answer_unknown(uint64_t lease_id);

  template <typename Visit>
  void for_each(Visit&& visit) {
    for (auto& [id, lease] : live_) visit(lease);
  }
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const auto& [id, lease] : live_) visit(lease);
  }

 private:
  struct Tombstone {
    LeaseIdentity identity;
    wire::RevokeReason reason;
  };

  uint64_t next_lease_id_;
  uint64_t nothing_expires_before_ns_ = 0;  // a lower bound: keepalives only move expiries on
  std::unordered_map<uint64_t, Lease> live_;
  std::unordered_map<uint32_t, uint64_t> by_client_;
  std::unordered_map<uint64_t, Tombstone> tombstones_;
  std::deque<uint64_t> tombstone_order_;
  std::unordered_set<uint64_t> answered_;
};

}  // namespace tidepool::driver
