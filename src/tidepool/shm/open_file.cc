#include "tidepool/shm/open_file.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

namespace tidepool::shm {
namespace {

constexpr int kAlways = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;

// The next component of `path`, taken off its front; empty at the end.
std::string_view take_component(std::string_view& path) noexcept {
  while (!path.empty() && path.front() == '/') path.remove_prefix(1);
  const auto component = path.substr(0, path.find('/'));
  path.remove_prefix(component.size());
  return component;
}

bool is_walkable(std::string_view path) noexcept {
  if (path.empty() || path.front() != '/') return false;
  for (auto component = take_component(path); !component.empty(); component = take_component(path)) {
    if (!is_component(component)) return false;
  }
  return true;
}

Fd open_by_components(std::string_view path, int flags) noexcept {
  Fd at(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  auto component = take_component(path);
  if (component.empty()) return Fd(::open("/", flags));
  while (at) {
    char name[NAME_MAX + 1];
    if (component.size() > NAME_MAX) {
      errno = ENAMETOOLONG;
      return Fd();
    }
    std::memcpy(name, component.data(), component.size());
    name[component.size()] = '\0';
    component = take_component(path);
    const bool last = component.empty();
    Fd next(::openat(at.get(), name, last ? flags : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next && errno == ENOTDIR) {
      // O_DIRECTORY meets a link before O_NOFOLLOW does: tell it apart, as openat2 would.
      struct stat found{};
      const bool link = ::fstatat(at.get(), name, &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(found.st_mode);
      errno = link ? ELOOP : ENOTDIR;
    }
    if (last) return next;
    at = std::move(next);
  }
  return at;
}

}  // namespace

Fd::~Fd() {
  if (fd_ < 0) return;
  const int saved = errno;
  ::close(fd_);
  errno = saved;
}

bool is_component(std::string_view name) noexcept {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

Fd open_without_links(std::string_view path, int flags, Walk walk) noexcept {
  if (!is_walkable(path)) {
    errno = EINVAL;
    return Fd();
  }
  flags |= kAlways;
  if (walk == Walk::kKernel && path.size() < PATH_MAX) {
    char name[PATH_MAX];
    std::memcpy(name, path.data(), path.size());
    name[path.size()] = '\0';
    open_how how{};
    how.flags = static_cast<unsigned>(flags);
    how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    Fd fd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, name, &how, sizeof how)));
    // ENOSYS: older kernels. EPERM: seccomp filters that do not know the call answer so; a true EPERM comes again below.
    if (fd || (errno != ENOSYS && errno != EPERM)) return fd;
  }
  return open_by_components(path, flags);
}

}  // namespace tidepool::shm
