#pragma once
// A gate that one thread passes many million times a second, and that another thread of the process may close.
//
// Thread safety: one thread calls enter() and leave(); another (one at a time: the caller holds a mutex) close() and open().
//   [gate]  enter() stores `inside`, then loads `go`; close() stores `go`, then issues a membarrier, then loads `inside`.
//           The membarrier is the fence that enter() does not pay for: either the passer sees the gate closed, or the closer
//           sees the passer inside. Where the kernel refuses membarriers, enter() pays for a fence.
//   [pass]  leave() release -> close() acquire   what the passer did inside is seen by who closed the gate behind it
// `go` lies in a page that reads as zeros in a forked child: there the gate is closed for ever.

#include <atomic>
#include <cstdint>

namespace tidepool::shm {

class Gate {
 public:
  Gate();  // open. Throws Error kNoSpace
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  bool enter() noexcept {
    inside_.store(1, std::memory_order_relaxed);  // relaxed: ordered by [gate]
    if (fenced_) {
      std::atomic_signal_fence(std::memory_order_seq_cst);  // [gate] the compiler keeps the order, the membarrier does the rest
    } else {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    }
    if (go_->load(std::memory_order_acquire) == 1) return true;
    leave();
    return false;
  }
  void leave() noexcept { inside_.store(0, std::memory_order_release); }  // [pass]

  // Close it; true when nobody is inside and nobody will be before open(). False: somebody is; the gate is open again.
  bool close() noexcept;
  // Close it for good or for now, whoever is inside: the next enter() fails.
  void shut() noexcept { go_->store(0, std::memory_order_release); }
  void open() noexcept { go_->store(1, std::memory_order_release); }
  bool forked() const noexcept;  // this is a child of the process that made the gate

 private:
  std::atomic<uint32_t>* go_ = nullptr;
  std::atomic<uint32_t> inside_{0};
  bool fenced_ = false;
  uint64_t pid_ = 0;
};

}  // namespace tidepool::shm
