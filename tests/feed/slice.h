#pragma once
// How much of a long test `./test` runs; TIDEPOOL_TEST_FULL=1 (--full) runs all of it.

#include <cstdlib>

#include "tidepool/shm/test_support.h"

namespace tidepool::feed::test {

// A sanitizer makes everything several times as slow: there a third of the slice does.
inline constexpr int kSliceDivisor = shm::test::kSanitized ? 3 : 1;

inline int rounds(int slice, int full) {
  return std::getenv("TIDEPOOL_TEST_FULL") != nullptr ? full : (slice + kSliceDivisor - 1) / kSliceDivisor;
}

}  // namespace tidepool::feed::test
