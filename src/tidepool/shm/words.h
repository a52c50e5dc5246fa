#pragma once
// Words of shared memory that are touched by several processes but are no commit word.
//
// ActivityWord: a superblock's activity timestamp (offset 56): one writer stores, anyone loads (W-62).
// MagicWord: the superblock's first word, stored last (W-32).
//   [ready]  MagicWord::publish() release -> MagicWord::load() acquire   who sees the magic sees the superblock
// copy_words(): header bytes that may be overwritten while they are copied: relaxed atomic 8-byte words (style S-19),
//   so that the copy is a defined race; CommitWord decides whether it counts.

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tidepool::shm {

class ActivityWord {
 public:
  explicit ActivityWord(std::byte* at) noexcept : word_(reinterpret_cast<uint64_t*>(at)) {}
  explicit ActivityWord(const std::byte* at) noexcept : word_(reinterpret_cast<uint64_t*>(const_cast<std::byte*>(at))) {}
  void touch(uint64_t now_ns) noexcept {
    std::atomic_ref<uint64_t>(*word_).store(now_ns, std::memory_order_relaxed);  // relaxed: a time alone, no data with it
  }
  uint64_t load() const noexcept { return std::atomic_ref<uint64_t>(*word_).load(std::memory_order_relaxed); }

 private:
  uint64_t* word_;
};

class MagicWord {
 public:
  explicit MagicWord(std::byte* at) noexcept : word_(reinterpret_cast<uint64_t*>(at)) {}
  explicit MagicWord(const std::byte* at) noexcept : word_(reinterpret_cast<uint64_t*>(const_cast<std::byte*>(at))) {}
  void publish(uint64_t magic) noexcept {
    std::atomic_ref<uint64_t>(*word_).store(magic, std::memory_order_release);  // [ready]
  }
  uint64_t load() const noexcept { return std::atomic_ref<uint64_t>(*word_).load(std::memory_order_acquire); }  // [ready]

 private:
  uint64_t* word_;
};

// Copy `word_count` 8-byte words from shared memory (8-aligned) into private memory (any alignment).
inline void copy_words(std::byte* to, const std::byte* from, size_t word_count) noexcept {
  auto* words = reinterpret_cast<uint64_t*>(const_cast<std::byte*>(from));
#pragma GCC unroll 16  // counts are constants: no loop is left
  for (size_t i = 0; i < word_count; ++i) {
    const uint64_t word = std::atomic_ref<uint64_t>(words[i]).load(std::memory_order_relaxed);
    __builtin_memcpy(to + i * sizeof word, &word, sizeof word);
  }
}

// The other way: a slot header written while readers may copy it. relaxed: CommitWord orders it.
inline void store_words(std::byte* to, const std::byte* from, size_t word_count) noexcept {
  auto* words = reinterpret_cast<uint64_t*>(to);
#pragma GCC unroll 16
  for (size_t i = 0; i < word_count; ++i) {
    uint64_t word;
    __builtin_memcpy(&word, from + i * sizeof word, sizeof word);
    std::atomic_ref<uint64_t>(words[i]).store(word, std::memory_order_relaxed);
  }
}

// store_words(), but cache lines (8 words, `to` 64-aligned or a multiple of 8 words from it) that hold these very words
// already are left alone: a store would take the line away from every reader only to write what is there. What counts is what
// is read now, never what was written once, so the words are as given afterwards, whoever wrote them (W-39).
inline void store_changed_lines(std::byte* to, const std::byte* from, size_t word_count) noexcept {
  constexpr size_t kLineWords = 8;
  auto* words = reinterpret_cast<uint64_t*>(to);
  for (size_t first = 0; first < word_count; first += kLineWords) {
    const size_t count = word_count - first < kLineWords ? word_count - first : kLineWords;
    uint64_t difference = 0;
    for (size_t i = first; i < first + count; ++i) {
      uint64_t word;
      __builtin_memcpy(&word, from + i * sizeof word, sizeof word);
      difference |= word ^ std::atomic_ref<uint64_t>(words[i]).load(std::memory_order_relaxed);
    }
    if (difference != 0) store_words(to + first * sizeof(uint64_t), from + first * sizeof(uint64_t), count);
  }
}

}  // namespace tidepool::shm
