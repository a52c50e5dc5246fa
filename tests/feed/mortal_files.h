#pragma once
// A process that dies at a step of its choice, and what it tells before.

#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <new>
#include <string>

#include "tidepool/feed/file_seam.h"

namespace tidepool::feed::test {

// What the writer tells the test, in memory that both share.
struct Told {
  std::atomic<uint64_t> acknowledged{0};  // appends that returned
  std::atomic<uint64_t> durable{0};
  std::atomic<uint64_t> steps{0};
};

class SharedTold {
 public:
  SharedTold() : told_(new(::mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Told) {}
  ~SharedTold() { ::munmap(told_, sizeof(Told)); }
  Told* operator->() const noexcept { return told_; }
  Told& operator*() const noexcept { return *told_; }

 private:
  Told* told_;
};

// Dies before its n-th operation that changes anything.
class MortalFiles : public SystemFiles {
 public:
  MortalFiles(Told& told, uint64_t last) : told_(told), last_(last) {}
  int open(const std::string& path, int flags, mode_t mode) noexcept override {
    if (flags != 0) step();
    return SystemFiles::open(path, flags, mode);
  }
  ssize_t pwrite(int fd, const void* from, size_t bytes, uint64_t offset) noexcept override {
    if (step_is_last() && bytes > 1) {  // half of it, and then the end
      SystemFiles::pwrite(fd, from, bytes / 2, offset);
      ::raise(SIGKILL);
    }
    return SystemFiles::pwrite(fd, from, bytes, offset);
  }
  int resize(int fd, uint64_t bytes) noexcept override { return step(), SystemFiles::resize(fd, bytes); }
  int reserve(int fd, uint64_t offset, uint64_t bytes) noexcept override { return step(), SystemFiles::reserve(fd, offset, bytes); }
  int sync_data(int fd) noexcept override { return step(), SystemFiles::sync_data(fd); }
  int sync_directory(const std::string& path) noexcept override { return step(), SystemFiles::sync_directory(path); }
  int rename(const std::string& from, const std::string& to) noexcept override { return step(), SystemFiles::rename(from, to); }
  int unlink(const std::string& path) noexcept override { return step(), SystemFiles::unlink(path); }
  int make_directory(const std::string& path, mode_t mode) noexcept override {
    return step(), SystemFiles::make_directory(path, mode);
  }
  int remove_directory(const std::string& path) noexcept override { return step(), SystemFiles::remove_directory(path); }
  void* map(int fd, size_t bytes, bool writable) noexcept override { return step(), SystemFiles::map(fd, bytes, writable); }

 private:
  bool step_is_last() noexcept { return told_.steps.fetch_add(1) + 1 == last_; }
  void step() noexcept {
    if (step_is_last()) ::raise(SIGKILL);
  }
  Told& told_;
  uint64_t last_;
};

}  // namespace tidepool::feed::test
