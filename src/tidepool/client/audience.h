#pragma once
// Who wants more of a producer than the shared streams carry: what the conductor's side (ConsumerDesk) hands to the thread that
// publishes. Immutable: replaced as a whole, so that a frame pays no lock for it.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "tidepool/transport/connection.h"

namespace tidepool::client {

// How often the progress of a frame is told (W-79).
struct ProgressPolicy {
  uint64_t interval_ns = 250'000;
  uint64_t bytes_delta = 65536;
  uint32_t major_units = 0;  // 0: no such step
  bool operator==(const ProgressPolicy&) const = default;
};

struct Audience {
  struct Listener {
    uint32_t consumer_id = 0;
    std::shared_ptr<transport::Publication> publication;
    uint64_t min_interval_ns = 0;  // 0: every frame (W-76)
  };
  std::vector<Listener> descriptors;  // besides the shared stream
  // Progress goes to all of these; the shared control stream is the first one. Empty: nobody wants it.
  std::vector<std::shared_ptr<transport::Publication>> progress;
  ProgressPolicy progress_policy;
};

}  // namespace tidepool::client
