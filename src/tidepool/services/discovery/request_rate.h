#pragma once
// How many requests a source may have answered a second, and all sources together (DS-36). Thread safety: one thread.
//
// A source is an Aeron session and the client id within it: on IPC all clients share one session. A client id proves nothing
// (DS-37), so whoever changes his meets the limit of all.

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "tidepool/base/clock.h"

namespace tidepool::discovery {

class RequestRate {
 public:
  static constexpr size_t kMaxSources = 1024;  // beyond it the one not heard for longest starts anew
  static constexpr uint64_t kAllSources = 10;  // times what one may

  explicit RequestRate(uint32_t per_second) : per_second_(per_second) {}  // 0: no limit

  bool allow(int32_t session_id, uint32_t client_id, uint64_t now_ns) {
    if (per_second_ == 0) return true;
    const std::pair key{session_id, client_id};
    auto found = sources_.find(key);
    if (found == sources_.end()) {
      if (sources_.size() >= kMaxSources) forget_oldest();
      found = sources_.emplace(key, Bucket{kNsPerSecond, now_ns}).first;
    }
    if (all_.heard_ns == 0) all_ = {kNsPerSecond, now_ns};
    return found->second.take(per_second_, now_ns) && all_.take(per_second_ * kAllSources, now_ns);
  }

 private:
  struct Bucket {
    uint64_t credit_ns = 0;  // at most a second's worth
    uint64_t heard_ns = 0;

    bool take(uint64_t per_second, uint64_t now_ns) {
      const uint64_t passed_ns = now_ns > heard_ns ? now_ns - heard_ns : 0;
      heard_ns = std::max(heard_ns, now_ns);
      credit_ns = passed_ns >= kNsPerSecond - credit_ns ? kNsPerSecond : credit_ns + passed_ns;
      const uint64_t cost_ns = std::max<uint64_t>(1, kNsPerSecond / per_second);
      if (credit_ns < cost_ns) return false;
      credit_ns -= cost_ns;
      return true;
    }
  };
  void forget_oldest() {
    sources_.erase(std::min_element(sources_.begin(), sources_.end(),
                                    [](const auto& a, const auto& b) { return a.second.heard_ns < b.second.heard_ns; }));
  }

  uint32_t per_second_;
  std::map<std::pair<int32_t, uint32_t>, Bucket> sources_;
  Bucket all_;
};

}  // namespace tidepool::discovery
