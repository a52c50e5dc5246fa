#include "tidepool/shm/gate.h"

#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <new>

#include "tidepool/base/error.h"

namespace tidepool::shm {
namespace {
constexpr size_t kPageBytes = 4096;
}

Gate::Gate() : pid_(static_cast<uint64_t>(::getpid())) {
  void* page = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) throw Error(Code::kNoSpace, "map a page", errno_text());
  ::madvise(page, kPageBytes, MADV_WIPEONFORK);  // refused before Linux 4.14: forked() still tells
  go_ = new (page) std::atomic<uint32_t>(1);
  fenced_ = ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

Gate::~Gate() { ::munmap(go_, kPageBytes); }

bool Gate::close() noexcept {
  go_->store(0, std::memory_order_release);
  if (fenced_) ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);  // [gate]
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (inside_.load(std::memory_order_acquire) == 0) return true;  // [pass]
  open();
  return false;
}

bool Gate::forked() const noexcept { return static_cast<uint64_t>(::getpid()) != pid_; }

}  // namespace tidepool::shm
