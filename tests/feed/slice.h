#pragma once
// How much of a long test `./test` runs; TIDEPOOL_TEST_FULL=1 (--full) runs all of it.

#include <cstdlib>

namespace tidepool::feed::test {

// A sanitizer makes everything several times as slow: there a third of the slice does.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr int kSliceDivisor = 3;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr int kSliceDivisor = 3;
#else
inline constexpr int kSliceDivisor = 1;
#endif
#else
inline constexpr int kSliceDivisor = 1;
#endif

inline int rounds(int slice, int full) {
  return std::getenv("TIDEPOOL_TEST_FULL") != nullptr ? full : (slice + kSliceDivisor - 1) / kSliceDivisor;
}

}  // namespace tidepool::feed::test
