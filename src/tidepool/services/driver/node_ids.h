#pragma once
// Which node id a lease gets (driver.md 7): unique among live leases, small ones first, the same client's previous one
// again, nobody else's before the cooldown is over.
//
// Thread safety: one thread. Memory: live leases, and at most kMaxRemembered released ids.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

namespace tidepool::driver {

class NodeIds {
 public:
  static constexpr uint32_t kLast = 0xFFFFFFFE;  // 0 and all ones are never given (D-29)
  static constexpr size_t kMaxRemembered = 4096;

  explicit NodeIds(uint64_t cooldown_ns, uint32_t last = kLast) noexcept : cooldown_ns_(cooldown_ns), last_(last) {}

  // `desired` may be had by `client_id` now (D-16).
  bool available(uint32_t node_id, uint32_t client_id, uint64_t now_ns) const noexcept;
  // The id that `client_id` should get now: its last one if that is free, else the smallest (D-30). nullopt: none is left.
  // Changes nothing.
  std::optional<uint32_t> pick(uint32_t client_id, uint64_t now_ns) const;

  // Keep an id from others while an attach is under way, without a trace if it fails.
  void reserve(uint32_t node_id) { reserved_.insert(node_id); }
  void unreserve(uint32_t node_id) noexcept { reserved_.erase(node_id); }
  // A lease holds it from now on. The id was reserved or picked.
  void take(uint32_t node_id, uint32_t client_id);
  void release(uint32_t node_id, uint64_t now_ns);

 private:
  struct Node {
    uint32_t client_id = 0;  // holder, or the last one
    bool live = false;
    uint64_t free_at_ns = 0;  // for others than client_id
    uint64_t released = 0;    // order of release, the key in by_release_
  };
  void forget_oldest();

  uint64_t cooldown_ns_;
  uint32_t last_;
  std::map<uint32_t, Node> nodes_;  // live or remembered
  std::unordered_map<uint32_t, uint32_t> last_of_client_;
  std::map<uint64_t, uint32_t> by_release_;
  std::set<uint32_t> reserved_;
  uint64_t releases_ = 0;
};

}  // namespace tidepool::driver
