#pragma once
// Words by which one process tells many how far it has come: one writer stores, anyone loads, nobody exchanges.
//
// Thread safety: one writer per word, any number of readers, read-only mappings included.
//   [publish]  PublishedWord::publish() release -> load() acquire      who sees the number sees all that was stored before it
//   [latest]   LatestSlots: two copies and a version; the writer fills the copy that nobody is told to read, then publishes the
//              version. A reader whose version moved on by two may have read a copy being overwritten, and looks again. A writer
//              killed in between leaves the old copy in force (no odd/even lock that would stay odd).

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tidepool::shm {

// An 8-byte (or, for states and flags, 4-byte) word at an aligned address of a shared mapping.
template <typename T>
class Published {
 public:
  explicit Published(std::byte* at) noexcept : word_(reinterpret_cast<T*>(at)) {}
  explicit Published(const std::byte* at) noexcept : word_(reinterpret_cast<T*>(const_cast<std::byte*>(at))) {}

  void publish(T value) noexcept { ref().store(value, std::memory_order_release); }  // [publish]
  T load() const noexcept { return ref().load(std::memory_order_acquire); }          // [publish]
  // Stored before a publish() of another word, which orders it; or a lone number that carries nothing with it.
  void set(T value) noexcept { ref().store(value, std::memory_order_relaxed); }
  T peek() const noexcept { return ref().load(std::memory_order_relaxed); }

 private:
  std::atomic_ref<T> ref() const noexcept { return std::atomic_ref<T>(*word_); }
  T* word_;  // a reader never stores through it
  static_assert(std::atomic_ref<T>::is_always_lock_free);
};
using PublishedWord = Published<uint64_t>;
using PublishedFlag = Published<uint32_t>;

// A small tuple that is replaced now and then and must never be seen mixed: 2 x Words words, then the version.
template <size_t Words>
class LatestSlots {
 public:
  static constexpr size_t kBytes = (2 * Words + 1) * sizeof(uint64_t);
  explicit LatestSlots(std::byte* at) noexcept : at_(at) {}
  explicit LatestSlots(const std::byte* at) noexcept : at_(const_cast<std::byte*>(at)) {}

  void publish(const uint64_t (&values)[Words]) noexcept {
    const uint64_t next = version().peek() + 1;
    std::atomic_thread_fence(std::memory_order_release);  // [latest] the last version stays above the words of this copy
    for (size_t i = 0; i < Words; ++i) word(next & 1, i).set(values[i]);
    version().publish(next);  // [latest]
  }
  // False: nothing was ever published, or it was replaced again and again while we looked.
  bool read(uint64_t (&values)[Words]) const noexcept {
    for (int attempt = 0; attempt < 64; ++attempt) {
      const uint64_t seen = version().load();  // [latest]
      if (seen == 0) return false;
      for (size_t i = 0; i < Words; ++i) values[i] = word(seen & 1, i).peek();
      std::atomic_thread_fence(std::memory_order_acquire);  // [latest] the loads above stay above the look below
      if (version().peek() - seen < 1) return true;
    }
    return false;
  }

 private:
  PublishedWord version() const noexcept { return PublishedWord(at_ + 2 * Words * sizeof(uint64_t)); }
  PublishedWord word(uint64_t copy, size_t i) const noexcept { return PublishedWord(at_ + (copy * Words + i) * sizeof(uint64_t)); }
  std::byte* at_;
};

}  // namespace tidepool::shm
