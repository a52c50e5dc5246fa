#pragma once
// Correlation ids of this process: random start, counting, never 0 (D-52).

#include <cstdint>

namespace tidepool::client {

// Thread safety: any.
int64_t next_correlation_id();

}  // namespace tidepool::client
