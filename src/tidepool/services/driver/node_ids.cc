#include "tidepool/services/driver/node_ids.h"

namespace tidepool::driver {

bool NodeIds::available(uint32_t node_id, uint32_t client_id, uint64_t now_ns) const noexcept {
  if (node_id == 0 || node_id > last_ || reserved_.contains(node_id)) return false;
  const auto at = nodes_.find(node_id);
  if (at == nodes_.end()) return true;
  if (at->second.live) return false;
  return at->second.client_id == client_id || now_ns >= at->second.free_at_ns;
}

std::optional<uint32_t> NodeIds::pick(uint32_t client_id, uint64_t now_ns) const {
  if (const auto last = last_of_client_.find(client_id);
      last != last_of_client_.end() && available(last->second, client_id, now_ns))
    return last->second;
  // The smallest one: known ids in order, and the gaps between them.
  auto known = nodes_.begin();
  for (uint64_t candidate = 1; candidate <= last_; ++candidate) {
    const auto id = static_cast<uint32_t>(candidate);
    const bool is_known = known != nodes_.end() && known->first == id;
    const bool free =
        !is_known || (!known->second.live && (known->second.client_id == client_id || now_ns >= known->second.free_at_ns));
    if (is_known) ++known;
    if (free && !reserved_.contains(id)) return id;
  }
  return std::nullopt;
}

void NodeIds::take(uint32_t node_id, uint32_t client_id) {
  reserved_.erase(node_id);
  auto& node = nodes_[node_id];
  if (node.client_id != client_id) {
    // Its former client loses its claim to be given it again.
    if (const auto old = last_of_client_.find(node.client_id); old != last_of_client_.end() && old->second == node_id)
      last_of_client_.erase(old);
    node.client_id = client_id;
  }
  if (node.released != 0) by_release_.erase(node.released);
  node.released = 0;
  node.live = true;
  last_of_client_[client_id] = node_id;
}

void NodeIds::release(uint32_t node_id, uint64_t now_ns) {
  const auto at = nodes_.find(node_id);
  if (at == nodes_.end() || !at->second.live) return;
  at->second.live = false;
  at->second.free_at_ns = now_ns + cooldown_ns_;
  at->second.released = ++releases_;
  by_release_[at->second.released] = node_id;
  if (by_release_.size() > kMaxRemembered) forget_oldest();
}

void NodeIds::forget_oldest() {
  const auto oldest = by_release_.begin();
  const auto at = nodes_.find(oldest->second);
  if (const auto last = last_of_client_.find(at->second.client_id); last != last_of_client_.end() && last->second == at->first)
    last_of_client_.erase(last);
  nodes_.erase(at);
  by_release_.erase(oldest);
}

}  // namespace tidepool::driver
