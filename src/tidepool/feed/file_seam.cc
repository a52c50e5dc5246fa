#include "tidepool/feed/file_seam.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <memory>

#include "tidepool/feed/fault.h"

namespace tidepool::feed {

namespace {

// What /proc/self/mountinfo says of that device: another file system than tmpfs has nothing to say, and its advice is taken.
bool gives_huge_pages(dev_t device) noexcept {
  try {
    std::ifstream forced("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
    std::string line;
    if (std::getline(forced, line) && line.find("[force]") != std::string::npos) return true;
    std::ifstream mounts("/proc/self/mountinfo");
    const std::string number = concat(" ", major(device), ":", minor(device), " ");
    while (std::getline(mounts, line)) {
      const auto kind = line.find(" - ");
      if (line.find(number) == std::string::npos || kind == std::string::npos) continue;
      if (line.compare(kind, 9, " - tmpfs ") != 0) return true;
      const auto huge = line.find("huge=", kind);
      return huge != std::string::npos && line.compare(huge, 10, "huge=never") != 0;
    }
  } catch (...) {  // not to be told
  }
  return false;
}

}  // namespace

Files& Files::system() noexcept {
  static SystemFiles files;
  return files;
}

int SystemFiles::open(const std::string& path, int flags, mode_t mode) noexcept {
  return ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode);
}
int SystemFiles::close(int fd) noexcept { return ::close(fd); }
int SystemFiles::stat_fd(int fd, struct stat& found) noexcept { return ::fstat(fd, &found); }
ssize_t SystemFiles::pread(int fd, void* to, size_t bytes, uint64_t offset) noexcept {
  return ::pread(fd, to, bytes, static_cast<off_t>(offset));
}
ssize_t SystemFiles::pwrite(int fd, const void* from, size_t bytes, uint64_t offset) noexcept {
  return ::pwrite(fd, from, bytes, static_cast<off_t>(offset));
}
int SystemFiles::resize(int fd, uint64_t bytes) noexcept { return ::ftruncate(fd, static_cast<off_t>(bytes)); }
int SystemFiles::reserve(int fd, uint64_t offset, uint64_t bytes) noexcept {
  int result = 0;
  do result = ::fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  while (result != 0 && errno == EINTR);
  return result;
}
int SystemFiles::sync_data(int fd) noexcept { return ::fdatasync(fd); }
int SystemFiles::sync_directory(const std::string& path) noexcept {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  const int result = ::fsync(fd);
  const int saved = errno;
  ::close(fd);
  errno = saved;
  return result;
}
int SystemFiles::rename(const std::string& from, const std::string& to) noexcept { return ::rename(from.c_str(), to.c_str()); }
int SystemFiles::unlink(const std::string& path) noexcept { return ::unlink(path.c_str()); }
int SystemFiles::make_directory(const std::string& path, mode_t mode) noexcept { return ::mkdir(path.c_str(), mode); }
int SystemFiles::remove_directory(const std::string& path) noexcept { return ::rmdir(path.c_str()); }
void* SystemFiles::map(int fd, size_t bytes, bool writable) noexcept {
  void* at = ::mmap(nullptr, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  return at == MAP_FAILED ? nullptr : at;
}
int SystemFiles::unmap(void* at, size_t bytes) noexcept { return ::munmap(at, bytes); }

int SystemFiles::populate(void* at, size_t bytes) noexcept {
#ifdef MADV_POPULATE_WRITE
  const auto begin = page_floor(reinterpret_cast<uintptr_t>(at), static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE)));
  const auto end = reinterpret_cast<uintptr_t>(at) + bytes;
  return ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_WRITE);
#else
  static_cast<void>(at);
  static_cast<void>(bytes);
  errno = EINVAL;
  return -1;
#endif
}
int SystemFiles::advise_huge(int fd, void* at, size_t bytes) noexcept {
  if (::madvise(at, bytes, MADV_HUGEPAGE) != 0) return -1;
  // A tmpfs takes the advice and gives none, unless it was mounted so.
  struct stat found {};
  if (::fstat(fd, &found) != 0) return -1;
  if (gives_huge_pages(found.st_dev)) return 0;
  errno = EOPNOTSUPP;
  return -1;
}
int SystemFiles::lock_memory(void* at, size_t bytes) noexcept {
#ifdef SYS_mlock2
  return static_cast<int>(::syscall(SYS_mlock2, at, bytes, 1));  // MLOCK_ONFAULT: those that are there, and others as they come
#else
  return ::mlock(at, bytes);
#endif
}
uint32_t SystemFiles::file_system(const std::string& path) noexcept {
  struct statfs found {};
  return ::statfs(path.c_str(), &found) == 0 ? static_cast<uint32_t>(found.f_type) : 0;
}
int SystemFiles::lease(int fd, bool take) noexcept {
  if (!take) return ::fcntl(fd, F_SETLEASE, F_UNLCK);
  // Who opens the file meanwhile makes the kernel send a signal to who holds the lease: by default one that ends the process. So:
  // one that is ignored by default, to this thread.
  const f_owner_ex owner{F_OWNER_TID, static_cast<pid_t>(::syscall(SYS_gettid))};
  if (::fcntl(fd, F_SETOWN_EX, &owner) != 0 || ::fcntl(fd, F_SETSIG, SIGURG) != 0) return -1;
  return ::fcntl(fd, F_SETLEASE, F_WRLCK);
}
size_t SystemFiles::direct_alignment(int fd) noexcept {
#ifdef STATX_DIOALIGN
  struct statx found {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &found) == 0 && (found.stx_mask & STATX_DIOALIGN) != 0) {
    return std::max(found.stx_dio_mem_align, found.stx_dio_offset_align);  // zeros: not possible
  }
#endif
  static_cast<void>(fd);
  return 4096;  // before Linux 6.1 nobody tells; it is what all but a few file systems are content with
}

File File::open(Files& files, const std::string& path, int flags, mode_t mode, bool shared_memory) {
  File file;
  file.fd_ = files.open(path, flags, mode);
  file.files_ = &files;
  file.path_ = path;
  file.shared_memory_ = shared_memory;
  file.adopt(flags);
  return file;
}

File File::open_if_there(Files& files, const std::string& path, int flags) {
  File file;
  file.fd_ = files.open(path, flags, 0);
  if (file.fd_ < 0 && (errno == ENOENT || errno == EWOULDBLOCK)) return {};
  file.files_ = &files;
  file.path_ = path;
  file.adopt(flags);
  return file;
}

void File::adopt(int flags) {
  if (fd_ < 0) fail((flags & O_CREAT) != 0 ? "create " : (flags & O_ACCMODE) == O_RDONLY ? "open for reading " : "open for writing ");
  struct stat found {};
  if (files_->stat_fd(fd_, found) != 0) fail("examine ");
  if (!S_ISREG(found.st_mode)) throw FeedError(Fault::kCorrupt, path_, " is not a regular file: remove it");
}

File::~File() {
  if (fd_ < 0) return;
  const int saved = errno;
  files_->close(fd_);
  errno = saved;
}

void File::fail(const char* doing) const {
  throw FeedError(fault_of_errno(errno, shared_memory_), doing, path_, errno_text());
}

struct stat File::stat() const {
  struct stat found {};
  if (files_->stat_fd(fd_, found) != 0) fail("examine ");
  return found;
}

uint64_t File::size() const { return static_cast<uint64_t>(stat().st_size); }

MutableBytes File::read(MutableBytes to, uint64_t offset) const {
  size_t done = 0;
  while (done < to.size()) {
    const ssize_t n = files_->pread(fd_, to.data() + done, to.size() - done, offset + done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("read ");
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return to.first(done);
}

void File::write(Bytes from, uint64_t offset) const {
  size_t done = 0;
  while (done < from.size()) {
    const ssize_t n = files_->pwrite(fd_, from.data() + done, from.size() - done, offset + done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("write ");
    if (n == 0) {
      errno = ENOSPC;
      fail("write ");
    }
    done += static_cast<size_t>(n);
  }
}

void File::resize(uint64_t bytes) const {
  if (files_->resize(fd_, bytes) != 0) fail("resize ");
}

void File::reserve(uint64_t offset, uint64_t bytes) const {
  if (files_->reserve(fd_, offset, bytes) != 0) fail("reserve space in ");
}

void File::sync() const {
  if (files_->sync_data(fd_) != 0) fail("sync ");
}

Mapping Mapping::of(const File& file, uint64_t bytes, bool writable) {
  Mapping mapping;
  mapping.files_ = &file.files();
  mapping.data_ = static_cast<std::byte*>(file.files().map(file.fd(), bytes, writable));
  mapping.bytes_ = bytes;
  if (mapping.data_ == nullptr) throw FeedError(fault_of_errno(errno), "map ", bytes, " bytes of ", file.path(), errno_text());
  return mapping;
}

Mapping::~Mapping() {
  if (data_ != nullptr) files_->unmap(data_, bytes_);
}

void make_directory(Files& files, const std::string& path, mode_t mode) {
  if (files.make_directory(path, mode) != 0 && errno != EEXIST) {
    throw FeedError(fault_of_errno(errno), "make directory ", path, errno_text());
  }
}

void make_durable_directory(Files& files, const std::string& parent, const std::string& name, mode_t mode) {
  make_directory(files, concat(parent, "/", name), mode);
  sync_directory(files, parent);
}

void sync_directory(Files& files, const std::string& path) {
  if (files.sync_directory(path) != 0) throw FeedError(fault_of_errno(errno), "sync directory ", path, errno_text());
}

void rename_file(Files& files, const std::string& from, const std::string& to) {
  if (files.rename(from, to) != 0) throw FeedError(fault_of_errno(errno), "rename ", from, " to ", to, errno_text());
}

bool unlink_file(Files& files, const std::string& path) {
  if (files.unlink(path) == 0) return true;
  if (errno == ENOENT) return false;
  throw FeedError(fault_of_errno(errno), "remove ", path, errno_text());
}

std::vector<std::string> names_in(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (!stream) {
    if (errno == ENOENT) return {};
    throw FeedError(fault_of_errno(errno), "list ", directory, errno_text());
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

void write_file_atomically(Files& files, const std::string& directory, const std::string& name, Bytes content, mode_t mode) {
  const std::string temporary = concat(directory, "/.tmp-", name);
  {
    const File file = File::open(files, temporary, O_RDWR | O_CREAT | O_TRUNC, mode);
    file.write(content, 0);
    file.sync();
  }
  rename_file(files, temporary, concat(directory, "/", name));
  sync_directory(files, directory);
}

void write_cache_file(Files& files, const std::string& directory, const std::string& name, Bytes content, mode_t mode) {
  const std::string temporary = concat(directory, "/.tmp-", name);
  {
    const File file = File::open(files, temporary, O_RDWR | O_CREAT | O_TRUNC, mode);
    file.write(content, 0);
    file.sync();
  }
  rename_file(files, temporary, concat(directory, "/", name));
}

}  // namespace tidepool::feed
