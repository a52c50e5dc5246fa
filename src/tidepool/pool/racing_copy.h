#pragma once
// Copies of payload between private memory and a slot that the other side may be writing or reading at the same time.
//
// By the letter of the language a plain copy out of (or into) memory that another process writes is a data race (S-19).
// It is made harmless by the commit word: what a reader copied counts only if CommitWord::unchanged() says afterwards
// that no writer has begun on the slot since, and the fences [overwrite] in shm/commit_word.h order the copy against
// both of its loads. A torn copy is thrown away unlooked at. What the compiler may still do to a plain copy (reorder its
// parts, load a byte twice, use wider loads) changes only which torn bytes are thrown away: nothing branches on them.
// Payloads are copied by memcpy, since word-wise atomic copies reach a fraction of its speed at sizes that matter.
// ThreadSanitizer cannot know all this. Instead of a suppression, which would hide real races in the same frames, builds
// with it copy by relaxed atomic words, so that everything around the copy is still checked.

#include <cstddef>
#include <cstring>

#include "tidepool/shm/words.h"

namespace tidepool::pool {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kCopyByWords = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool kCopyByWords = true;
#else
inline constexpr bool kCopyByWords = false;
#endif
#else
inline constexpr bool kCopyByWords = false;
#endif

// `from` is a payload slot: 64-aligned, and its stride a multiple of 8, so that the last word may be read whole.
inline void copy_from_slot(std::byte* to, const std::byte* from, size_t bytes) noexcept {
  if constexpr (kCopyByWords) {
    shm::copy_words(to, from, bytes / 8);
    if (const size_t rest = bytes % 8; rest != 0) {
      std::byte last[8];
      shm::copy_words(last, from + (bytes - rest), 1);
      std::memcpy(to + (bytes - rest), last, rest);
    }
  } else {
    std::memcpy(to, from, bytes);
  }
}

inline void copy_to_slot(std::byte* to, const std::byte* from, size_t bytes) noexcept {
  if constexpr (kCopyByWords) {
    shm::store_words(to, from, bytes / 8);
    if (const size_t rest = bytes % 8; rest != 0) {
      std::byte last[8] = {};
      std::memcpy(last, from + (bytes - rest), rest);
      shm::store_words(to + (bytes - rest), last, 1);
    }
  } else {
    std::memcpy(to, from, bytes);
  }
}

}  // namespace tidepool::pool
