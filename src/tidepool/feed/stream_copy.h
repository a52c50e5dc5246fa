#pragma once
// A copy that is larger than the caches: past them, so that the destination's lines are not read before they are written over, which is a
// third of all that memcpy moves as long as a single call is below its own threshold. Private to feed/.

#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace tidepool::feed {

// A piece of so many bytes leaves little of it in a cache.
inline constexpr size_t kStreamFromBytes = size_t{8} << 20;

inline void stream_copy(std::byte* to, const std::byte* from, size_t bytes) noexcept {
#if defined(__SSE2__)
  constexpr size_t kLine = 64;
  const size_t head = -reinterpret_cast<uintptr_t>(to) % kLine;
  if (bytes >= head + kLine) {
    std::memcpy(to, from, head);
    size_t at = head;
    for (; at + kLine <= bytes; at += kLine) {
      __builtin_prefetch(from + at + 8 * kLine);
      __m128i part[4];
      for (size_t i = 0; i < 4; ++i) part[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + at) + i);
      for (size_t i = 0; i < 4; ++i) _mm_stream_si128(reinterpret_cast<__m128i*>(to + at) + i, part[i]);
    }
    _mm_sfence();  // before whatever the caller tells others of it
    to += at, from += at, bytes -= at;
  }
#endif
  std::memcpy(to, from, bytes);
}

}  // namespace tidepool::feed
