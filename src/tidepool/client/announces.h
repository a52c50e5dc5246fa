#pragma once
// Which announces count (wire.md 9.2), and since when each publisher has been heard (W-56).

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tidepool/wire/messages.h"

namespace tidepool::client {

// When each publisher's image became available on one subscription, by Aeron session. Thread safety: one thread.
class ImageJoins {
 public:
  void joined(int32_t session_id, uint64_t now_ns) { joined_ns_.insert_or_assign(session_id, now_ns); }
  void left(int32_t session_id) {
    joined_ns_.erase(session_id);
    left_.push_back(session_id);
  }
  // Who has left since the last call.
  std::vector<int32_t> take_left() { return std::exchange(left_, {}); }
  // 0 for an image that was never reported: nothing is held against it.
  uint64_t joined_ns(int32_t session_id) const {
    const auto found = joined_ns_.find(session_id);
    return found == joined_ns_.end() ? 0 : found->second;
  }

 private:
  std::unordered_map<int32_t, uint64_t> joined_ns_;
  std::vector<int32_t> left_;
};

// What one stream's announces are held against.
struct AnnounceRules {
  uint32_t stream_id = 0;
  uint32_t expected_layout_version = 0;  // 0: any that we implement
  uint64_t freshness_ns = 0;
  uint64_t highest_epoch = 0;            // seen so far (W-57)
};

// The outcome, in the order of the checks: the first that fails names it.
enum class AnnounceVerdict : uint8_t {
  kAccepted,
  kOtherStream,
  kGeometry,     // layout version, sizes, pools, URIs; epoch 0 or null
  kClock,        // timestamp 0 (the domain is checked by the decoder)
  kStale,        // older than the freshness window
  kBeforeJoin,   // stamped before its publisher's image was there: old log content
  kOldEpoch,     // below the highest seen
};
std::string_view name_of(AnnounceVerdict verdict) noexcept;

// `joined_ns`: when this publisher's image became available, CLOCK_MONOTONIC. Now in both clocks, for both domains (WX-16).
AnnounceVerdict judge(const wire::ShmPoolAnnounce& announce, const AnnounceRules& rules, uint64_t joined_ns, uint64_t now_ns,
                      uint64_t now_realtime_ns);

}  // namespace tidepool::client
