#pragma once
// A process that dies at a step of its choice, and what it tells before.

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/feed/file_seam.h"
#include "tidepool/feed/registry.h"

namespace tidepool::feed::test {

// What a process that is to die tells the test, in memory that both share.
struct Told {
  static constexpr size_t kNamesMax = 2048;
  static constexpr size_t kNameBytes = 64;
  std::atomic<uint64_t> acknowledged{0};  // appends that returned
  std::atomic<uint64_t> pending{0};       // records of the append that is under way, all of which become visible or none
  std::atomic<uint64_t> durable{0};
  std::atomic<uint64_t> steps{0};
  std::atomic<bool> finished{false};  // it came to its end by itself
  // The names of its steps, if they were asked for.
  std::atomic<uint64_t> names{0};
  char name[kNamesMax][kNameBytes] = {};
};

class SharedTold {
 public:
  SharedTold() : told_(new(::mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Told) {}
  ~SharedTold() { ::munmap(told_, sizeof(Told)); }
  SharedTold(const SharedTold&) = delete;
  SharedTold& operator=(const SharedTold&) = delete;
  Told* operator->() const noexcept { return told_; }
  Told& operator*() const noexcept { return *told_; }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (uint64_t i = 0; i < std::min<uint64_t>(told_->names, Told::kNamesMax); ++i) all.emplace_back(told_->name[i]);
    return all;
  }

 private:
  Told* told_;
};

// When to die. Nothing: never.
struct Death {
  uint64_t step = 0;         // before the n-th operation that changes anything
  std::string name{};        // or before the operation of that name,
  uint64_t occurrence = 1;   // the n-th time
  bool tell_names = false;
};

// Its operations are the steps of whoever works through it. Each has a name that stays the same from run to run: the call, where, and
// the kind of file: "rename disk chunk.data", "sync disk feed_registry.bin", "create live chunk.data".
class MortalFiles : public SystemFiles {
 public:
  MortalFiles(Told& told, uint64_t last) : MortalFiles(told, Death{.step = last}) {}
  MortalFiles(Told& told, Death death)
      : told_(told), death_(std::move(death)), named_(death_.tell_names || !death_.name.empty()), left_(death_.occurrence) {}
  int open(const std::string& path, int flags, mode_t mode) noexcept override {
    if (flags != 0) step((flags & O_CREAT) != 0 ? "create" : "open", path);
    return SystemFiles::open(path, flags, mode);
  }
  ssize_t pwrite(int fd, const void* from, size_t bytes, uint64_t offset) noexcept override {
    if (is_last("write", fd) && bytes > 1) {  // half of it, and then the end
      SystemFiles::pwrite(fd, from, bytes / 2, offset);
      ::raise(SIGKILL);
    }
    return SystemFiles::pwrite(fd, from, bytes, offset);
  }
  int resize(int fd, uint64_t bytes) noexcept override { return step("resize", fd), SystemFiles::resize(fd, bytes); }
  int reserve(int fd, uint64_t offset, uint64_t bytes) noexcept override {
    return step("reserve", fd), SystemFiles::reserve(fd, offset, bytes);
  }
  int sync_data(int fd) noexcept override { return step("sync", fd), SystemFiles::sync_data(fd); }
  int sync_directory(const std::string& path) noexcept override {
    return step("sync directory", path), SystemFiles::sync_directory(path);
  }
  int rename(const std::string& from, const std::string& to) noexcept override {
    return step("rename", to), SystemFiles::rename(from, to);
  }
  int unlink(const std::string& path) noexcept override { return step("unlink", path), SystemFiles::unlink(path); }
  int make_directory(const std::string& path, mode_t mode) noexcept override {
    return step("make directory", path), SystemFiles::make_directory(path, mode);
  }
  int remove_directory(const std::string& path) noexcept override {
    return step("remove directory", path), SystemFiles::remove_directory(path);
  }
  void* map(int fd, size_t bytes, bool writable) noexcept override {
    return step(writable ? "map for writing" : "map", fd), SystemFiles::map(fd, bytes, writable);
  }

  // "disk chunk.data" of ".../feeds/trades/0000000000000001.data".
  static std::string kind_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    std::string name = path.substr(slash == std::string::npos ? 0 : slash + 1);
    std::string front;
    if (name.starts_with(".tmp-")) {
      front = ".tmp-";
      name = name.substr(5);
    }
    if (ordinal_of(name)) {
      name = name.ends_with(".idx") ? "chunk.idx" : "chunk.data";
    } else if (name.starts_with("spare-")) {
      name = "spare";
    } else if (name.size() == 32 && name.find_first_not_of("0123456789abcdef") == std::string::npos) {
      name = "feed";
    } else if (name.starts_with("tidepool-")) {
      name = "directory";
    }
    const bool live = path.rfind("/tidepool-") != std::string::npos && path.rfind("/tidepool-") != path.find("/tidepool-test-");
    return concat(live ? "live " : "disk ", front, name);
  }

 private:
  bool is_last(const char* call, int fd) noexcept {
    if (!named_) return told_.steps.fetch_add(1) + 1 == death_.step;
    char link[64];
    char path[4096];
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = ::readlink(link, path, sizeof path);
    return is_last(call, std::string(path, n > 0 ? static_cast<size_t>(n) : 0));
  }
  bool is_last(const char* call, const std::string& path) noexcept {
    const uint64_t step = told_.steps.fetch_add(1) + 1;
    if (!named_) return step == death_.step;
    const std::string name = concat(call, " ", kind_of(path));
    if (death_.tell_names) {
      const uint64_t at = told_.names.fetch_add(1);
      if (at < Told::kNamesMax) name.copy(told_.name[at], Told::kNameBytes - 1);
      return false;
    }
    return name == death_.name && left_.fetch_sub(1) == 1;
  }
  template <typename Where>
  void step(const char* call, const Where& where) noexcept {
    if (is_last(call, where)) ::raise(SIGKILL);
  }
  Told& told_;
  const Death death_;
  const bool named_;
  std::atomic<uint64_t> left_;
};

}  // namespace tidepool::feed::test
