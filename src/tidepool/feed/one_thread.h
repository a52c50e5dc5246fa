#pragma once
// Detects, in builds without NDEBUG, that two threads use a handle at once that is one thread's (F-55): says so and aborts. In other
// builds nothing is checked, and nothing is paid.

#include <atomic>
#include <cstdint>

namespace tidepool::feed {

class OneThread {
 public:
  class Use {
   public:
    // Within a call of the same thread: nothing more is checked.
    Use(OneThread& handle, const char* what) noexcept : handle_(handle) {
      const uintptr_t self = me();
      uintptr_t found = 0;  // relaxed: only who owns it matters, not what that thread did
      if (handle_.user_.load(std::memory_order_relaxed) == self) return;
      if (!handle_.user_.compare_exchange_strong(found, self, std::memory_order_acquire, std::memory_order_relaxed)) misused(what);
      outermost_ = true;
    }
    ~Use() {
      if (outermost_) handle_.user_.store(0, std::memory_order_release);  // pairs with the exchange above, of the next user
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    OneThread& handle_;
    bool outermost_ = false;
  };

 private:
  static uintptr_t me() noexcept {
    static thread_local char mark;
    return reinterpret_cast<uintptr_t>(&mark);
  }
  [[noreturn]] static void misused(const char* what) noexcept;  // append_path.cc
  std::atomic<uintptr_t> user_{0};
};

}  // namespace tidepool::feed

#ifdef NDEBUG
#define TIDEPOOL_ONE_THREAD(handle, what) static_cast<void>(0)
#else
#define TIDEPOOL_ONE_THREAD(handle, what) const ::tidepool::feed::OneThread::Use one_thread_use((handle), (what))
#endif
