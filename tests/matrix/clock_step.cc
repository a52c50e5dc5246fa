// LD_PRELOAD: CLOCK_REALTIME runs ahead or behind by what the file of TIDEPOOL_TEST_CLOCK_STEP says (8 bytes, nanoseconds), from the
// moment it says so: an operator who sets the clock, for the processes of one test.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace {

// relaxed: a number alone
std::atomic<const std::atomic<int64_t>*> offset{nullptr};

const std::atomic<int64_t>* mapped_offset() noexcept {
  static const std::atomic<int64_t> none{0};
  const char* path = ::getenv("TIDEPOOL_TEST_CLOCK_STEP");
  const int fd = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return &none;
  void* at = ::mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  ::close(fd);
  return at == MAP_FAILED ? &none : static_cast<const std::atomic<int64_t>*>(at);
}

}  // namespace

extern "C" int clock_gettime(clockid_t id, timespec* to) {
  // The kernel itself: dlsym() allocates, and a sanitizer's allocator asks for the time.
  const int result = static_cast<int>(::syscall(SYS_clock_gettime, id, to));
  if (result != 0 || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)) return result;
  auto step = offset.load(std::memory_order_relaxed);
  if (step == nullptr) {
    step = mapped_offset();
    offset.store(step, std::memory_order_relaxed);
  }
  const int64_t ns = to->tv_sec * 1'000'000'000 + to->tv_nsec + step->load(std::memory_order_relaxed);
  to->tv_sec = ns / 1'000'000'000;
  to->tv_nsec = ns % 1'000'000'000;
  return 0;
}
