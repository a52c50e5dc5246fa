#include "feed_lab.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"

namespace tidepool::bench {
namespace {

constexpr uint64_t kPatienceNs = 60 * kNsPerSecond;
constexpr uint64_t kWindowSegments = 4;  // that stay in memory, as a feed's do

std::string make_directory(const std::string& parent) {
  std::string path = parent + "/tidepool-feed-bench-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) throw Error(code_of_errno(errno), "make a directory in ", parent, errno_text(), ": is it there and writable?");
  return path;
}

Task task_of(uint64_t word) { return static_cast<Task>(word & 0xff); }

void populate(std::byte* at, uint64_t bytes) {
#ifdef MADV_POPULATE_WRITE
  if (::madvise(at, bytes, MADV_POPULATE_WRITE) == 0) return;
#endif
  for (uint64_t i = 0; i < bytes; i += 4096) static_cast<volatile std::byte*>(at)[i] = std::byte{0};
}

}  // namespace

feed::Schema feed_row_schema() {
  return feed::Schema::rows({{"time", "uint64"}, {"number", "uint64"}, {"rest", "uint64[6]"}});
}

FeedLab::FeedLab(const FeedBenchOptions& options) : disk_(make_directory(options.directory)), shm_(make_directory(options.shm_root)) {}

FeedLab::~FeedLab() {
  std::error_code error;
  std::filesystem::remove_all(disk_, error);
  std::filesystem::remove_all(shm_, error);
}

feed::FeedOptions FeedLab::feed_options(feed::Storage storage) const {
  feed::FeedOptions options;
  options.storage = storage;
  options.shm_root = shm_;
  return options;
}

void FeedLab::need_disk(uint64_t bytes) const {
  struct statvfs found {};
  if (::statvfs(disk_.c_str(), &found) != 0) throw Error(code_of_errno(errno), "examine ", disk_, errno_text());
  const uint64_t free = uint64_t{found.f_bavail} * found.f_frsize;
  if (free < bytes + (uint64_t{1} << 30)) {
    throw Error(Code::kNoSpace, disk_, " has ", free >> 20, " MiB free, the measurement takes ", bytes >> 20, ": use --windows or --dir");
  }
}

// ---- the other process -------------------------------------------------------------------------------------------------------

Other::Other(const std::function<void(FeedPage&)>& body) {
  void* page = ::mmap(nullptr, sizeof(FeedPage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) throw Error(code_of_errno(errno), "map a page", errno_text());
  page_ = static_cast<FeedPage*>(page);  // zero bytes are valid atomics holding 0
  pid_ = ::fork();
  if (pid_ < 0) throw Error(code_of_errno(errno), "start another process", errno_text());
  if (pid_ != 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  int status = 0;
  try {
    body(*page_);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "the other process of a measurement: %s\n", error.what());
    status = 1;
  }
  ::_exit(status);
}

Other::~Other() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::munmap(page_, sizeof(FeedPage));
}

void Other::check() {
  if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) {
    pid_ = 0;
    throw Error(Code::kInternal, "the other process of a measurement ended");
  }
}

void Other::task(Task task) {
  const uint64_t word = static_cast<uint64_t>(task) | (++generation_ << 8);
  page_->task.word.store(word, std::memory_order_release);  // [task]
  const uint64_t give_up = monotonic_ns() + kPatienceNs;
  for (uint64_t spins = 1; page_->ack.word.load(std::memory_order_acquire) != word; ++spins) {  // [task]
    if (spins % 1024 != 0) continue;
    std::this_thread::yield();
    check();
    if (monotonic_ns() > give_up) throw Error(Code::kTimeout, "the other process of a measurement does not answer");
  }
}

void Other::wait_for(const Line& line, uint64_t value) {
  const uint64_t give_up = monotonic_ns() + kPatienceNs;
  while (line.word.load(std::memory_order_acquire) < value) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    check();
    if (monotonic_ns() > give_up) throw Error(Code::kTimeout, "the follower stands at ", line.word.load(), " of ", value);
  }
}

Task Tasks::now() noexcept {
  const uint64_t word = page_.task.word.load(std::memory_order_acquire);  // [task]
  if (word != obeyed_) {
    obeyed_ = word;
    page_.ack.word.store(word, std::memory_order_release);  // [task]
  }
  return task_of(word);
}

// ---- plain things ------------------------------------------------------------------------------------------------------------

Pinned::Pinned(size_t which) {
  CPU_ZERO(&before_);
  ::sched_getaffinity(0, sizeof before_, &before_);
  if (const auto cpus = usable_cpus(); cpus.size() > 1) pin_to(cpus[which % cpus.size()]);
}

Pinned::~Pinned() { ::sched_setaffinity(0, sizeof before_, &before_); }

Memory::Memory(const std::string& path, uint64_t bytes, bool create) : bytes_(bytes) {
  int fd = -1;
  if (!path.empty()) {
    fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0), 0600);
    if (fd < 0) throw Error(code_of_errno(errno), "open ", path, errno_text());
    if (create && ::ftruncate(fd, static_cast<off_t>(bytes)) != 0) throw Error(code_of_errno(errno), "size ", path, errno_text());
  }
  void* at = ::mmap(nullptr, bytes, create ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
  if (fd >= 0) ::close(fd);
  if (at == MAP_FAILED) throw Error(code_of_errno(errno), "map ", bytes, " bytes", errno_text());
  data_ = static_cast<std::byte*>(at);
  if (create) populate(data_, bytes_);
}

Memory::~Memory() { ::munmap(data_, bytes_); }

PlainFile::PlainFile(const std::string& path) : path_(path), fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_DIRECT, 0600)) {
  if (fd_ < 0) fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd_ < 0) throw Error(code_of_errno(errno), "open ", path, errno_text());
}

PlainFile::~PlainFile() { ::close(fd_); }

void PlainFile::write(const std::byte* from, uint64_t bytes, uint64_t offset) {
  while (bytes > 0) {
    const ssize_t n = ::pwrite(fd_, from, bytes, static_cast<off_t>(offset));
    if (n <= 0) throw Error(code_of_errno(errno), "write ", path_, errno_text());
    from += n;
    offset += static_cast<uint64_t>(n);
    bytes -= static_cast<uint64_t>(n);
  }
}

void PlainFile::sync() {
  if (::fdatasync(fd_) != 0) throw Error(code_of_errno(errno), "sync ", path_, errno_text());
}

// ---- the plain pipeline --------------------------------------------------------------------------------------------------------

struct PlainPipeline::Segment {
  std::atomic<Memory*> memory{nullptr};
};

constexpr uint64_t kSegmentsMax = 1 << 16;

PlainPipeline::PlainPipeline(const FeedLab& lab, FeedPage& page)
    : shm_(lab.shm()), disk_(lab.disk()), page_(page), segments_(std::make_unique<Segment[]>(kSegmentsMax)) {
  helper_ = std::thread([this] { help(); });
  persister_ = std::thread([this] { persist(); });
}

PlainPipeline::~PlainPipeline() {
  stop_ = true;
  helper_.join();
  persister_.join();
  for (uint64_t i = 0; i < made_; ++i) {
    if (Memory* memory = segments_[i].memory.load()) {
      delete memory;
      ::unlink(path(i).c_str());
    }
  }
}

std::string PlainPipeline::path(uint64_t segment) const { return concat(shm_, "/segment-", segment); }

void PlainPipeline::help() {
  while (!stop_) {
    const uint64_t made = made_.load();
    const uint64_t current = page_.committed.word.load(std::memory_order_relaxed) / kSegmentBytes;
    if (made >= current + 2 || made == kSegmentsMax) {
      std::this_thread::sleep_for(std::chrono::microseconds(500));
      continue;
    }
    segments_[made].memory = new Memory(path(made), kSegmentBytes, true);
    made_.store(made + 1, std::memory_order_release);
  }
}

void PlainPipeline::persist() {
  std::unique_ptr<PlainFile> file;
  uint64_t done = 0;
  while (!stop_) {
    const uint64_t committed = page_.committed.word.load(std::memory_order_acquire);
    const uint64_t end = std::min(committed, (done / kSegmentBytes + 1) * kSegmentBytes) / 4096 * 4096;
    if (end < done + (1 << 20) && end % kSegmentBytes != 0) {
      std::this_thread::sleep_for(std::chrono::microseconds(500));
      continue;
    }
    if (end == done) continue;
    const uint64_t segment = done / kSegmentBytes;
    if (!file) file = std::make_unique<PlainFile>(concat(disk_, "/segment-", segment));
    const uint64_t step = std::min<uint64_t>(end - done, 4 << 20);
    file->write(segments_[segment].memory.load()->data() + done % kSegmentBytes, step, done % kSegmentBytes);
    done += step;
    if (done % kSegmentBytes == 0) {
      file->sync();
      file.reset();
      if (segment >= kWindowSegments) {
        delete segments_[segment - kWindowSegments].memory.exchange(nullptr);
        ::unlink(path(segment - kWindowSegments).c_str());
      }
    }
    persisted_.store(done, std::memory_order_release);
  }
}

double PlainPipeline::run(uint64_t bytes, Other& other) {
  bytes = bytes / kSegmentBytes * kSegmentBytes;
  const uint64_t start = monotonic_ns();
  FeedRow row{};
  const auto breathe = [] { std::this_thread::sleep_for(std::chrono::microseconds(200)); };
  for (const uint64_t end = written_ + bytes; written_ < end;) {
    const uint64_t segment = written_ / kSegmentBytes;
    while (made_.load(std::memory_order_acquire) <= segment) breathe();
    while (written_ > persisted_.load(std::memory_order_acquire) + 2 * kSegmentBytes) breathe();
    std::byte* at = segments_[segment].memory.load()->data();
    for (uint64_t i = 0; i < kSegmentBytes; i += sizeof row) {
      row.time = ++row.number;
      std::memcpy(at + i, &row, sizeof row);
      page_.committed.word.store(written_ + i + sizeof row, std::memory_order_release);
    }
    written_ += kSegmentBytes;
  }
  while (persisted_.load(std::memory_order_acquire) < written_) breathe();
  other.wait_for(page_.plain_seen, written_);
  return static_cast<double>(bytes / sizeof row) * 1e9 / static_cast<double>(monotonic_ns() - start);
}

void PlainPipeline::follow(const std::string& shm, FeedPage& page, Tasks& tasks) {
  uint64_t done = page.plain_seen.word.load(std::memory_order_relaxed);
  std::unique_ptr<Memory> memory;
  uint64_t sum = 0;
  while (tasks.now() == Task::kPipeline) {
    const uint64_t committed = page.committed.word.load(std::memory_order_acquire);
    if (committed == done) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      continue;
    }
    if (done % kSegmentBytes == 0) memory = nullptr;
    if (!memory) memory = std::make_unique<Memory>(concat(shm, "/segment-", done / kSegmentBytes), kSegmentBytes, false);
    const uint64_t end = std::min(committed, (done / kSegmentBytes + 1) * kSegmentBytes);
    const std::byte* at = memory->data();
    for (; done < end; done += sizeof(FeedRow)) sum += load<uint64_t>(at + done % kSegmentBytes + 8);
    page.sum.word.store(sum, std::memory_order_relaxed);  // relaxed: so that the loop is not optimised away
    page.plain_seen.word.store(done, std::memory_order_release);
  }
}

}  // namespace tidepool::bench
