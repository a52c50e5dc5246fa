#pragma once
// How many requests one source may have answered a second (DS-36): a bucket for each Aeron session. Thread safety: one thread.

#include <cstdint>
#include <map>

#include "tidepool/base/clock.h"

namespace tidepool::discovery {

class RequestRate {
 public:
  static constexpr size_t kMaxSources = 1024;  // beyond it the one not heard for longest starts anew

  explicit RequestRate(uint32_t per_second) : per_second_(per_second) {}  // 0: no limit

  bool allow(int32_t session_id, uint64_t now_ns) {
    if (per_second_ == 0) return true;
    const uint64_t cost_ns = kNsPerSecond / per_second_;
    auto found = sources_.find(session_id);
    if (found == sources_.end()) {
      if (sources_.size() >= kMaxSources) forget_oldest();
      found = sources_.emplace(session_id, Source{kNsPerSecond, now_ns}).first;
    }
    Source& source = found->second;
    const uint64_t passed_ns = now_ns > source.heard_ns ? now_ns - source.heard_ns : 0;
    source.heard_ns = now_ns;
    source.credit_ns = passed_ns >= kNsPerSecond - source.credit_ns ? kNsPerSecond : source.credit_ns + passed_ns;
    if (source.credit_ns < cost_ns) return false;
    source.credit_ns -= cost_ns;
    return true;
  }

 private:
  struct Source {
    uint64_t credit_ns;  // at most a second's worth
    uint64_t heard_ns;
  };
  void forget_oldest() {
    auto oldest = sources_.begin();
    for (auto at = sources_.begin(); at != sources_.end(); ++at) {
      if (at->second.heard_ns < oldest->second.heard_ns) oldest = at;
    }
    sources_.erase(oldest);
  }

  uint32_t per_second_;
  std::map<int32_t, Source> sources_;
};

}  // namespace tidepool::discovery
