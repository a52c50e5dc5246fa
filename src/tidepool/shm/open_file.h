#pragma once
// Files opened without following a symbolic link in any component (W-26, D-34). Private to shm: nobody else opens
// files of shared memory by path.

#include <string_view>
#include <utility>

namespace tidepool::shm {

// A file descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();  // keeps errno

  int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

enum class Walk {
  kKernel,      // openat2 with RESOLVE_NO_SYMLINKS: Linux 5.6; what it refuses as unknown goes on with kComponents
  kComponents,  // one openat(O_NOFOLLOW) for each component, from "/"
};

// Open the absolute, canonical `path` with `flags` (O_CLOEXEC, O_NOFOLLOW and O_NONBLOCK are added, so that a FIFO put in
// place of the file does not hang us). Creates nothing. On failure the Fd is empty and errno says why: ELOOP for a link in
// any place, EINVAL for a path that is relative or holds "." or "..".
Fd open_without_links(std::string_view path, int flags, Walk walk = Walk::kKernel) noexcept;

// `name` is one component of a path: not empty, no '/', no NUL, neither "." nor "..".
bool is_component(std::string_view name) noexcept;

}  // namespace tidepool::shm
