#pragma once
// Every operation of feed/ on files goes through one Files object, so that a test can make the disk full, slow, unreadable or
// lying at any step (style S-26). The calls are POSIX's: they return -1 (nullptr for map) and set errno.
//
// Thread safety: SystemFiles is stateless. An implementation for tests guards itself: writer threads share it.

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tidepool/base/bytes.h"

#ifndef __linux__
#error "feeds need Linux: open-file-description locks, leases, fallocate, memory that processes share (F-154)"
#endif

namespace tidepool::feed {

static_assert(sizeof(void*) == 8 && sizeof(off_t) == 8, "feeds need a 64-bit platform (F-154)");

// The page that an address lies in; no file's layout depends on how large pages are (4 to 64 KiB).
constexpr uintptr_t page_floor(uintptr_t at, uintptr_t page_bytes) noexcept { return at & ~(page_bytes - 1); }

class Files {
 public:
  virtual ~Files() = default;
  virtual int open(const std::string& path, int flags, mode_t mode) noexcept = 0;
  virtual int close(int fd) noexcept = 0;
  virtual int stat_fd(int fd, struct stat& found) noexcept = 0;
  virtual ssize_t pread(int fd, void* to, size_t bytes, uint64_t offset) noexcept = 0;
  virtual ssize_t pwrite(int fd, const void* from, size_t bytes, uint64_t offset) noexcept = 0;
  virtual int resize(int fd, uint64_t bytes) noexcept = 0;
  virtual int reserve(int fd, uint64_t offset, uint64_t bytes) noexcept = 0;  // fallocate without changing the size
  virtual int sync_data(int fd) noexcept = 0;
  virtual int sync_directory(const std::string& path) noexcept = 0;
  virtual int rename(const std::string& from, const std::string& to) noexcept = 0;
  virtual int unlink(const std::string& path) noexcept = 0;
  virtual int make_directory(const std::string& path, mode_t mode) noexcept = 0;
  virtual int remove_directory(const std::string& path) noexcept = 0;
  virtual void* map(int fd, size_t bytes, bool writable) noexcept = 0;
  virtual int unmap(void* at, size_t bytes) noexcept = 0;
  // Touch the pages of a writable mapping, so that no store to them waits; -1 where that is refused or there is no space.
  virtual int populate(void* at, size_t bytes) noexcept = 0;
  // Ask for huge pages for a mapping of that file; -1 where they are refused or switched off (F-69).
  virtual int advise_huge(int fd, void* at, size_t bytes) noexcept = 0;
  // Keep the pages of a mapping in memory, as they come; -1 where that is refused.
  virtual int lock_memory(void* at, size_t bytes) noexcept = 0;
  // What statfs says of the file system that `path` is on; 0: cannot be told.
  virtual uint32_t file_system(const std::string& path) noexcept = 0;
  // Take (or give back) a file for ourselves: refused unless this is its only open description and only this one's mappings are
  // left. While it holds, everybody else's open() fails with EWOULDBLOCK.
  virtual int lease(int fd, bool take) noexcept = 0;
  // What offset, length and memory of reads and writes past the page cache (O_DIRECT) must be multiples of; 0: not possible.
  virtual size_t direct_alignment(int fd) noexcept = 0;

  // How much memory this process, and those that share its control group, may still take; `group` says where the limit stands. All
  // ones: no limit, or nobody knows. Shared memory counts, and past the limit the kernel kills, whatever room /dev/shm has.
  virtual uint64_t memory_left(std::string& group) noexcept;

  static Files& system() noexcept;
};

class SystemFiles : public Files {
 public:
  int open(const std::string& path, int flags, mode_t mode) noexcept override;  // adds O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK
  int close(int fd) noexcept override;
  int stat_fd(int fd, struct stat& found) noexcept override;
  ssize_t pread(int fd, void* to, size_t bytes, uint64_t offset) noexcept override;
  ssize_t pwrite(int fd, const void* from, size_t bytes, uint64_t offset) noexcept override;
  int resize(int fd, uint64_t bytes) noexcept override;
  int reserve(int fd, uint64_t offset, uint64_t bytes) noexcept override;
  int sync_data(int fd) noexcept override;
  int sync_directory(const std::string& path) noexcept override;
  int rename(const std::string& from, const std::string& to) noexcept override;
  int unlink(const std::string& path) noexcept override;
  int make_directory(const std::string& path, mode_t mode) noexcept override;
  int remove_directory(const std::string& path) noexcept override;
  void* map(int fd, size_t bytes, bool writable) noexcept override;
  int unmap(void* at, size_t bytes) noexcept override;
  int populate(void* at, size_t bytes) noexcept override;
  int advise_huge(int fd, void* at, size_t bytes) noexcept override;
  int lock_memory(void* at, size_t bytes) noexcept override;
  uint32_t file_system(const std::string& path) noexcept override;
  int lease(int fd, bool take) noexcept override;
  size_t direct_alignment(int fd) noexcept override;
};

// An open file that closes itself, with its path for messages. Move only.
class File {
 public:
  File() = default;
  // Throws FeedError naming the path and what was wanted; kFileNotFound for ENOENT.
  static File open(Files& files, const std::string& path, int flags, mode_t mode = 0, bool shared_memory = false);
  // An empty File when there is none, or one that is just being taken away; throws for everything else.
  static File open_if_there(Files& files, const std::string& path, int flags);
  File(File&& other) noexcept { swap(other); }
  File& operator=(File&& other) noexcept {
    swap(other);
    return *this;
  }
  ~File();
  explicit operator bool() const noexcept { return fd_ >= 0; }

  int fd() const noexcept { return fd_; }
  Files& files() const noexcept { return *files_; }
  const std::string& path() const noexcept { return path_; }
  void renamed(const std::string& path) { path_ = path; }
  uint64_t size() const;  // throws
  struct stat stat() const;
  // As much as is there, up to `to`; throws for errors. The part that was read.
  MutableBytes read(MutableBytes to, uint64_t offset) const;
  // All of it, or throws.
  void write(Bytes from, uint64_t offset) const;
  void resize(uint64_t bytes) const;
  void reserve(uint64_t offset, uint64_t bytes) const;
  void sync() const;

 private:
  void swap(File& other) noexcept {
    std::swap(files_, other.files_);
    std::swap(fd_, other.fd_);
    std::swap(path_, other.path_);
    std::swap(shared_memory_, other.shared_memory_);
  }
  [[noreturn]] void fail(const char* doing) const;
  void adopt(int flags);  // after files_->open()
  Files* files_ = nullptr;
  int fd_ = -1;
  std::string path_;
  bool shared_memory_ = false;
};

// A mapping of the first bytes of a file. Move only.
class Mapping {
 public:
  Mapping() = default;
  static Mapping of(const File& file, uint64_t bytes, bool writable);  // throws
  Mapping(Mapping&& other) noexcept { swap(other); }
  Mapping& operator=(Mapping&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Mapping();
  std::byte* data() const noexcept { return data_; }
  uint64_t size() const noexcept { return bytes_; }
  explicit operator bool() const noexcept { return data_ != nullptr; }

 private:
  void swap(Mapping& other) noexcept {
    std::swap(files_, other.files_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  Files* files_ = nullptr;
  std::byte* data_ = nullptr;
  uint64_t bytes_ = 0;
};

void make_directory(Files& files, const std::string& path, mode_t mode);  // throws; an existing directory is fine
// The same below one that is there, for what must outlive a power cut: its name is synced, too, whoever made it.
void make_durable_directory(Files& files, const std::string& parent, const std::string& name, mode_t mode);
void sync_directory(Files& files, const std::string& path);               // throws
void rename_file(Files& files, const std::string& from, const std::string& to);
bool unlink_file(Files& files, const std::string& path);  // false: it was not there; throws otherwise
// Names below a directory, sorted; empty when there is none. Throws for other reasons.
std::vector<std::string> names_in(const std::string& directory);
// A name of what somebody has not finished, or never will (docs/formats/feed-registry.md): nobody reads it.
inline bool is_unfinished(std::string_view name) noexcept { return name.starts_with(".tmp-"); }
// Write, sync, rename into place, sync the directory: the file is there whole, or not at all.
void write_file_atomically(Files& files, const std::string& directory, const std::string& name, Bytes content, mode_t mode);
// The same but for the directory, for what can be made again: after a power cut it may not be there.
void write_cache_file(Files& files, const std::string& directory, const std::string& name, Bytes content, mode_t mode);

}  // namespace tidepool::feed
