#pragma once
// A disk that is full, broken or forbidden where a test says so.

#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <string>

#include "tidepool/feed/file_seam.h"

namespace tidepool::feed::test {

// A file system that fails where it is told to.
class FaultyFiles : public SystemFiles {
 public:
  // Calls of that kind whose path (or that of the file) holds `fragment` fail with `err`, from now on or never again (0).
  void fail(const std::string& call, const std::string& fragment, int err) {
    const std::scoped_lock lock(mutex_);
    rules_[call] = {fragment, err};
  }
  int failures() const { return failures_; }

  int open(const std::string& path, int flags, mode_t mode) noexcept override {
    if (refuse("open", path)) return -1;
    const int fd = SystemFiles::open(path, flags, mode);
    const std::scoped_lock lock(mutex_);
    if (fd >= 0) paths_[fd] = path;
    return fd;
  }
  ssize_t pread(int fd, void* to, size_t bytes, uint64_t offset) noexcept override {
    return refuse("read", path_of(fd)) ? -1 : SystemFiles::pread(fd, to, bytes, offset);
  }
  ssize_t pwrite(int fd, const void* from, size_t bytes, uint64_t offset) noexcept override {
    return refuse("write", path_of(fd)) ? -1 : SystemFiles::pwrite(fd, from, bytes, offset);
  }
  int reserve(int fd, uint64_t offset, uint64_t bytes) noexcept override {
    return refuse("reserve", path_of(fd)) ? -1 : SystemFiles::reserve(fd, offset, bytes);
  }
  int sync_data(int fd) noexcept override { return refuse("sync", path_of(fd)) ? -1 : SystemFiles::sync_data(fd); }
  int unlink(const std::string& path) noexcept override { return refuse("unlink", path) ? -1 : SystemFiles::unlink(path); }
  int make_directory(const std::string& path, mode_t mode) noexcept override {
    return refuse("mkdir", path) ? -1 : SystemFiles::make_directory(path, mode);
  }
  int rename(const std::string& from, const std::string& to) noexcept override {
    return refuse("rename", to) ? -1 : SystemFiles::rename(from, to);
  }
  void* map(int fd, size_t bytes, bool writable) noexcept override {
    return refuse("map", path_of(fd)) ? nullptr : SystemFiles::map(fd, bytes, writable);
  }

 private:
  struct Rule {
    std::string fragment;
    int err = 0;
  };
  std::string path_of(int fd) {
    const std::scoped_lock lock(mutex_);
    return paths_[fd];
  }
  bool refuse(const std::string& call, const std::string& path) {
    const std::scoped_lock lock(mutex_);
    const auto rule = rules_.find(call);
    if (rule == rules_.end() || rule->second.err == 0 || path.find(rule->second.fragment) == std::string::npos) return false;
    ++failures_;
    errno = rule->second.err;
    return true;
  }
  std::mutex mutex_;
  std::map<std::string, Rule> rules_;
  std::map<int, std::string> paths_;
  std::atomic<int> failures_{0};
};

}  // namespace tidepool::feed::test
