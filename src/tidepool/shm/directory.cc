#include "tidepool/shm/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/shm/open_file.h"

namespace tidepool::shm {
namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

// ELOOP or ENOTDIR: a link or something else stands where a directory should be. Nobody of ours puts it there.
[[noreturn]] void throw_open_error(const std::string& path, int err) {
  if (err == ELOOP || err == ENOTDIR) {
    struct stat found{};
    const bool link = ::lstat(path.c_str(), &found) == 0 && S_ISLNK(found.st_mode);
    throw Error(Code::kPermission, "open directory ", path, ": it is ", link ? "a symbolic link" : "not a directory",
                ", which is never followed here: remove it, or configure the real directory");
  }
  throw Error(code_of_errno(err), "open directory ", path, errno_text(err));
}

std::string below(const std::string& path, std::string_view name) {
  return path.ends_with('/') ? concat(path, name) : concat(path, "/", name);
}

std::string component(const std::string& path, std::string_view name) {
  if (!is_component(name)) {
    throw Error(Code::kInvalidArgument, "'", printable(name), "' below ", path, " is not the name of a single file or directory");
  }
  return std::string(name);
}

}  // namespace

Directory Directory::open(const std::string& path) {
  Fd fd(::open(path.c_str(), kDirectoryFlags));
  if (!fd) throw_open_error(path, errno);
  return Directory(fd.release(), path);
}

Directory Directory::make(std::string_view name, mode_t mode, bool owned_by_us) const {
  const std::string entry = component(path_, name);
  const std::string path = below(path_, name);
  // Made closed, then opened up by fchmod: a umask neither widens nor narrows what was asked for (D-37).
  const bool made = ::mkdirat(fd_, entry.c_str(), mode & 0700) == 0;
  if (!made && errno != EEXIST) throw Error(code_of_errno(errno), "make directory ", path, errno_text());
  Fd fd(::openat(fd_, entry.c_str(), kDirectoryFlags));
  if (!fd) throw_open_error(path, errno);
  if (made || owned_by_us) {
    struct stat found{};
    if (::fstat(fd.get(), &found) != 0) throw Error(code_of_errno(errno), "examine directory ", path, errno_text());
    if (found.st_uid != ::geteuid()) {
      throw Error(Code::kPermission, "directory ", path, " belongs to user ", found.st_uid, ", not to us (user ", ::geteuid(),
                  "): remove it, or configure another base directory or namespace");
    }
    if (!made && (found.st_mode & S_IWOTH) != 0) {
      throw Error(Code::kPermission, "directory ", path, " is writable by others: chmod o-w it, or configure another one");
    }
  }
  if (made && ::fchmod(fd.get(), mode) != 0) throw Error(code_of_errno(errno), "set the mode of directory ", path, errno_text());
  return Directory(fd.release(), path);
}

Directory Directory::child(std::string_view name) const {
  const std::string entry = component(path_, name);
  Fd fd(::openat(fd_, entry.c_str(), kDirectoryFlags));
  if (!fd) throw_open_error(below(path_, name), errno);
  return Directory(fd.release(), below(path_, name));
}

bool Directory::has(std::string_view name) const noexcept {
  struct stat found{};
  if (!is_component(name) || name.size() > NAME_MAX) return false;
  char entry[NAME_MAX + 1];
  *std::copy(name.begin(), name.end(), entry) = '\0';
  return ::fstatat(fd_, entry, &found, AT_SYMLINK_NOFOLLOW) == 0;
}

Directory::Directory(Directory&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

Directory& Directory::operator=(Directory&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

Directory::~Directory() {
  if (fd_ >= 0) ::close(fd_);
}

std::vector<std::string> Directory::entries() const {
  // A descriptor of its own: readdir moves an offset that duplicates would share.
  Fd fd(::openat(fd_, ".", kDirectoryFlags));
  if (!fd) throw Error(code_of_errno(errno), "list directory ", path_, errno_text());
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd.get()), &::closedir);
  if (!stream) throw Error(code_of_errno(errno), "list directory ", path_, errno_text());
  fd.release();  // closedir closes it

  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) throw Error(code_of_errno(errno), "list directory ", path_, errno_text());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<uint64_t> Directory::numbered_entries() const {
  std::vector<uint64_t> numbers;
  for (const auto& name : entries()) {
    if (name.front() == '0' && name.size() > 1) continue;  // "007" is not how anybody writes 7: it would not be found again
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size()) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

uint64_t Directory::modified_realtime_ns() const noexcept {
  struct stat found{};
  if (::fstat(fd_, &found) != 0 || found.st_mtim.tv_sec < 0) return 0;
  return static_cast<uint64_t>(found.st_mtim.tv_sec) * kNsPerSecond + static_cast<uint64_t>(found.st_mtim.tv_nsec);
}

bool Directory::unlink_file(std::string_view name) const {
  const std::string entry = component(path_, name);
  if (::unlinkat(fd_, entry.c_str(), 0) == 0) return true;
  if (errno == ENOENT) return false;
  throw Error(code_of_errno(errno), "remove ", below(path_, name), errno_text());
}

bool Directory::remove_directory(std::string_view name) const {
  const std::string entry = component(path_, name);
  if (::unlinkat(fd_, entry.c_str(), AT_REMOVEDIR) == 0) return true;
  if (errno == ENOENT) return false;
  throw Error(code_of_errno(errno), "remove directory ", below(path_, name), errno_text());
}

}  // namespace tidepool::shm
