#pragma once
// Directories of shared memory: made, walked and removed relative to open descriptors, never through a symbolic link
// (driver.md 8.6, 17; W-26, D-34).

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::shm {

// An open directory. Move only; closed on destruction.
class Directory {
 public:
  // Open an existing directory, following no link in its last component. Throws Error.
  static Directory open(const std::string& path);
  // Open or make `name` below this one with `mode` (set explicitly). Throws Error kPermission if it is a link, not a
  // directory, or (owned_by_us) belongs to another user or is writable by others.
  Directory make(std::string_view name, mode_t mode, bool owned_by_us = true) const;
  // Open an existing child. Throws Error kNotFound, kPermission.
  Directory child(std::string_view name) const;
  bool has(std::string_view name) const noexcept;

  Directory() = default;
  Directory(Directory&& other) noexcept;
  Directory& operator=(Directory&& other) noexcept;
  ~Directory();

  int fd() const noexcept { return fd_; }
  const std::string& path() const noexcept { return path_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

  // Names of the entries, without "." and "..", sorted. Throws Error.
  std::vector<std::string> entries() const;
  // Entries whose whole name is a decimal number, ascending.
  std::vector<uint64_t> numbered_entries() const;
  uint64_t modified_realtime_ns() const noexcept;

  // Unlink a file / remove an empty directory below this one. False if it was not there; throws Error otherwise.
  bool unlink_file(std::string_view name) const;
  bool remove_directory(std::string_view name) const;

 private:
  Directory(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_ = -1;
  std::string path_;
};

}  // namespace tidepool::shm
