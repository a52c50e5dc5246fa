#pragma once
// Random ids (client ids, correlation ids, lease ids) from the kernel. Never on a hot path.

#include <cstdint>

namespace tidepool {

uint64_t random_u64();
// Never 0 and never 0xFFFFFFFF, the two values that mean "none" in the protocol.
uint32_t random_id();

}  // namespace tidepool
