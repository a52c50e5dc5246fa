#include "tidepool/shm/doorbell.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <ctime>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/shm/open_file.h"
#include "tidepool/shm/region.h"
#include "tidepool/shm/words.h"

namespace tidepool::shm {
namespace {

constexpr const char* kName = "doorbell";
constexpr uint32_t kVersion = 1;
constexpr size_t kVersionAt = 8;
constexpr size_t kRingsAt = 64;         // a cache line of its own: rung by the producer
constexpr uint64_t kRecheckNs = kNsPerMs;

std::atomic_ref<uint32_t> rings_of(std::byte* page) noexcept {
  return std::atomic_ref(*reinterpret_cast<uint32_t*>(page + kRingsAt));
}
std::atomic_ref<uint64_t> parked_until_at(std::byte* at) noexcept { return std::atomic_ref(*reinterpret_cast<uint64_t*>(at)); }

// Not FUTEX_PRIVATE: the word is shared between processes.
long futex(std::byte* page, int op, uint32_t value, const timespec* deadline) noexcept {
  return ::syscall(SYS_futex, page + kRingsAt, op, value, deadline, nullptr, FUTEX_BITSET_MATCH_ANY);
}

struct Mapping {
  std::byte* page = nullptr;
  size_t bytes = 0;
};

// The mapped page if `fd` is a whole doorbell, else nothing: the file may be anybody's work.
Mapping map_if_whole(int fd) noexcept {
  struct stat found{};
  if (::fstat(fd, &found) != 0 || !S_ISREG(found.st_mode) || found.st_size < static_cast<off_t>(kDoorbellBytes)) return {};
  // Larger on hugetlbfs alone, where a mapping is a whole huge page; else the rest is of no interest.
  const size_t bytes = static_cast<size_t>(found.st_blksize) > kDoorbellBytes && found.st_size % found.st_blksize == 0
                           ? static_cast<size_t>(found.st_blksize)
                           : kDoorbellBytes;
  void* mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) return {};
  auto* page = static_cast<std::byte*>(mapped);
  const bool magic = MagicWord(static_cast<const std::byte*>(page)).load() == kDoorbellMagic;
  if (magic && load<uint32_t>(page + kVersionAt) == kVersion) return {page, bytes};
  ::munmap(mapped, bytes);
  return {};
}

}  // namespace

void Doorbell::create(const Directory& stream_directory, mode_t mode) {
  const std::string path = concat(stream_directory.path(), "/", kName);
  {
    const Fd fd(::openat(stream_directory.fd(), kName, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat found{};
    if (fd && ::fstat(fd.get(), &found) == 0 && found.st_uid == ::geteuid()) {
      if (const Mapping mapping = map_if_whole(fd.get()); mapping.page != nullptr) {
        ::munmap(mapping.page, mapping.bytes);
        if (::fchmod(fd.get(), mode) != 0) throw Error(code_of_errno(errno), "set the mode of ", path, errno_text());
        return;
      }
    }
  }
  // What is damaged, foreign, a link or left half made by a crash goes. Who has it mapped keeps a dead page, whose waits end
  // at their deadlines.
  stream_directory.unlink_file(kName);
  Region region = RegionCreator(stream_directory.fd(), stream_directory.path(), {.file_mode = mode}).create(kName, kDoorbellBytes);
  store(region.mutable_data() + kVersionAt, kVersion);
  MagicWord(region.mutable_data()).publish(kDoorbellMagic);  // [ready]
}

std::optional<Doorbell> Doorbell::open(const std::string& stream_directory) noexcept {
  char path[PATH_MAX];
  constexpr std::string_view kTail = "/doorbell";
  if (stream_directory.size() + kTail.size() >= sizeof path) return std::nullopt;
  const auto* end = std::copy(kTail.begin(), kTail.end(), std::copy(stream_directory.begin(), stream_directory.end(), path));
  const Fd fd = open_without_links({path, static_cast<size_t>(end - path)}, O_RDWR);
  if (!fd) return std::nullopt;
  const Mapping mapping = map_if_whole(fd.get());
  if (mapping.page == nullptr) return std::nullopt;
  return Doorbell(mapping.page, mapping.bytes);
}

Doorbell::Doorbell(Doorbell&& other) noexcept
    : page_(std::exchange(other.page_, nullptr)), mapped_bytes_(other.mapped_bytes_), fenced_(other.fenced_) {}

Doorbell& Doorbell::operator=(Doorbell&& other) noexcept {
  std::swap(page_, other.page_);
  std::swap(mapped_bytes_, other.mapped_bytes_);
  std::swap(fenced_, other.fenced_);
  return *this;
}

Doorbell::~Doorbell() {
  if (page_ != nullptr) ::munmap(page_, mapped_bytes_);
}

void Doorbell::register_producer() noexcept {
  if (::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) != 0) return;
  registered_.store(true, std::memory_order_relaxed);  // relaxed: the registration is the kernel's and is in force already
}

bool Doorbell::ring() noexcept {
  parked_until_at(page_ + kParkedUntilAt).exchange(0, std::memory_order_acq_rel);  // [ring] first the mark...
  rings_of(page_).fetch_add(1, std::memory_order_release);                         // [ring] ...then the ring
  futex(page_, FUTEX_WAKE, INT_MAX, nullptr);
  return true;
}

uint32_t Doorbell::announce_parking(uint64_t deadline_ns) noexcept {
  const uint32_t seen = rings_of(page_).load(std::memory_order_acquire);  // [ring] before the mark is raised
  auto parked_until = parked_until_at(page_ + kParkedUntilAt);
  uint64_t marked = parked_until.load(std::memory_order_relaxed);  // relaxed: the exchange below checks and orders it
  // A later deadline of somebody else serves us as well: it is cleared by a ring alone.
  while (marked < deadline_ns &&
         !parked_until.compare_exchange_weak(marked, deadline_ns, std::memory_order_acq_rel, std::memory_order_relaxed)) {
  }
  // [park] A full fence here and on every registered producer.
  fenced_ = ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
  std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with the fence of producers that are not registered
  return seen;
}

Doorbell::Waited Doorbell::wait(uint32_t seen, uint64_t deadline_ns) noexcept {
  const uint64_t now_ns = monotonic_ns();
  if (now_ns >= deadline_ns) return Waited::kTimeout;
  const uint64_t until_ns = fenced_ ? deadline_ns : std::min(deadline_ns, now_ns + kRecheckNs);
  const timespec until{static_cast<time_t>(until_ns / kNsPerSecond), static_cast<long>(until_ns % kNsPerSecond)};
  futex(page_, FUTEX_WAIT_BITSET, seen, &until);  // its result is a hint like the rest: the words below decide
  if (rings_of(page_).load(std::memory_order_acquire) != seen) return Waited::kRung;  // [ring]
  return monotonic_ns() >= deadline_ns ? Waited::kTimeout : Waited::kLookAgain;
}

}  // namespace tidepool::shm
