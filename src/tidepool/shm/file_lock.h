#pragma once
// A kernel lock on a file that dies with its process and names its holder (rulings P-7, R-25).

#include <cstdint>
#include <optional>
#include <string>

#include "tidepool/shm/directory.h"

namespace tidepool::shm {

// Who holds a lock: written into the lock file by the holder. A pid alone proves nothing; the kernel lock does. The
// record is text, one "key value" a line (pid, start_ticks, pid_namespace, text), read as a hint and never trusted.
struct LockOwner {
  uint64_t pid = 0;            // 0: the holder has left no record
  uint64_t start_ticks = 0;    // with the pid, which process that was (base/process.h)
  uint64_t pid_namespace = 0;  // inode of the PID namespace that the pid is counted in
  std::string text;            // what the holder says it is: "driver lab-a"

  // "driver lab-a (pid 41, running since 2026-03-01 10:00:00)", or what else can be said: a holder in another PID namespace,
  // or one that is gone while a child of it keeps the lock.
  std::string description() const;
};

// Holds an exclusive open-file-description lock for its lifetime: the kernel drops it when the last process that shares the
// descriptor ends, which a forked child does. Thread safety: one thread.
class FileLock {
 public:
  // Take the lock on `name` in `directory` (created with mode 0660 & ~umask if missing). Throws Error kRejected, naming
  // the holder (pid, what it is, since when it runs), when somebody has it.
  static FileLock acquire(const Directory& directory, const std::string& name, const std::string& owner_text);
  // Whether somebody holds it now, without taking it. nullopt: free or no such file. Throws Error kPermission when it
  // may not be looked at.
  static std::optional<LockOwner> holder(const Directory& directory, const std::string& name);

  FileLock() = default;
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();  // releases; leaves the file (removing it would race with the next holder)
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  FileLock(int fd, uint64_t pid) noexcept : fd_(fd), pid_(pid) {}
  int fd_ = -1;
  uint64_t pid_ = 0;  // who took it: a forked copy of this object only closes, it does not release
};

}  // namespace tidepool::shm
