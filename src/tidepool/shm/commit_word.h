#pragma once
// The first word of a slot (seq_commit): bit 0 is set only while the slot holds all of frame `word >> 1`.
//
// Thread safety: one producer calls begin() and commit(); any number of processes call load() and unchanged().
//
//   [publish]    commit() release            -> load() acquire             who sees the bit sees the frame
//   [overwrite]  fence after begin()'s mark  -> fence before unchanged()   who read newer bytes sees the word moved
//
// The word lives at an 8-aligned address of a shared mapping; the type adds nothing to it.

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tidepool::shm {

class CommitWord {
 public:
  static constexpr uint64_t writing(uint64_t seq) noexcept { return seq << 1; }
  static constexpr uint64_t committed(uint64_t seq) noexcept { return (seq << 1) | 1; }
  static constexpr bool is_committed(uint64_t word) noexcept { return (word & 1) != 0; }
  static constexpr uint64_t seq_of(uint64_t word) noexcept { return word >> 1; }

  // `at`: 8-aligned address of the word. A const pointer (a read-only mapping) gives a reader.
  explicit CommitWord(std::byte* at) noexcept : word_(reinterpret_cast<uint64_t*>(at)) {}
  explicit CommitWord(const std::byte* at) noexcept : word_(reinterpret_cast<uint64_t*>(const_cast<std::byte*>(at))) {}

  // Producer: the slot now belongs to `seq` and is being written (W-37).
  void begin(uint64_t seq) noexcept {
    ref().store(writing(seq), std::memory_order_release);  // W-37: release orders what came before the mark...
    std::atomic_thread_fence(std::memory_order_release);   // [overwrite] ...only this keeps payload stores below it
  }

  // Producer: everything of `seq` is in place. False when the word is no longer ours (W-41).
  [[nodiscard]] bool commit(uint64_t seq) noexcept {
    if (ref().load(std::memory_order_relaxed) != writing(seq)) return false;  // relaxed: our own mark, or W-41
    std::atomic_thread_fence(std::memory_order_release);                      // W-37
    ref().store(committed(seq), std::memory_order_release);                   // [publish] the frame's stores stay above it
    return true;
  }

  // Reader: see the word, and with its bit 0 all of the frame.
  uint64_t load() const noexcept { return ref().load(std::memory_order_acquire); }  // [publish]

  // Reader: nothing that was read since load() gave `seen` was overwritten meanwhile (W-42, W-45).
  [[nodiscard]] bool unchanged(uint64_t seen) const noexcept {
    std::atomic_thread_fence(std::memory_order_acquire);      // [overwrite] payload loads may not sink below this
    return ref().load(std::memory_order_relaxed) == seen;     // relaxed: the fence has ordered it
  }

 private:
  std::atomic_ref<uint64_t> ref() const noexcept { return std::atomic_ref<uint64_t>(*word_); }
  uint64_t* word_;  // a reader never stores through it, so a read-only mapping is never written
};
static_assert(std::atomic_ref<uint64_t>::is_always_lock_free);

}  // namespace tidepool::shm
