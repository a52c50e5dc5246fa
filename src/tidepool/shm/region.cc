#include "tidepool/shm/region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/shm/open_file.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14; older kernels answer EINVAL
#endif

namespace tidepool::shm {
namespace {

constexpr long kHugetlbfsMagic = 0x958458F6;
constexpr long kTmpfsMagic = 0x01021994;
// Space is taken in steps, so that a signal (a profiler's timer) costs one step and not the whole reservation.
constexpr uint64_t kStepBytes = uint64_t{256} << 20;
constexpr uint64_t kNoLimit = UINT64_MAX;

// Free pages of one size, kept by the kernel for whoever maps first: those not yet promised to somebody.
uint64_t free_huge_bytes(uint64_t page_bytes) {
  const auto read = [&](const char* what) {
    std::ifstream file(concat("/sys/kernel/mm/hugepages/hugepages-", page_bytes / 1024, "kB/", what));
    uint64_t pages = 0;
    return file >> pages ? pages : 0;
  };
  const uint64_t free = read("free_hugepages");
  const uint64_t promised = read("resv_hugepages");
  return (free - std::min(free, promised)) * page_bytes;
}

FileSystem file_system_of_fd(int fd, const std::string& path) {
  struct statfs kind{};
  struct statvfs sizes{};
  if (::fstatfs(fd, &kind) != 0 || ::fstatvfs(fd, &sizes) != 0) {
    throw Error(code_of_errno(errno), "examine the file system of ", path, errno_text());
  }
  FileSystem out;
  out.hugetlbfs = static_cast<unsigned long>(kind.f_type) == static_cast<unsigned long>(kHugetlbfsMagic);
  out.tmpfs = kind.f_type == kTmpfsMagic;
  out.block_bytes = static_cast<uint64_t>(kind.f_bsize);
  // 0 blocks (or, on hugetlbfs, all ones): the mount has no limit of its own.
  const bool limited = sizes.f_blocks != 0 && sizes.f_blocks != static_cast<fsblkcnt_t>(-1);
  out.capacity_bytes = limited ? sizes.f_blocks * sizes.f_frsize : 0;
  out.free_bytes = limited ? sizes.f_bavail * sizes.f_frsize : kNoLimit;
  if (out.hugetlbfs) out.free_bytes = std::min(out.free_bytes, free_huge_bytes(out.block_bytes));
  return out;
}

std::string free_text(const FileSystem& fs) {
  if (fs.free_bytes == kNoLimit) return "free space is not limited by its mount";
  std::string out = concat(fs.free_bytes, " bytes are free");
  if (fs.capacity_bytes != 0) out += concat(" of ", fs.capacity_bytes);
  return out;
}

// Where the file system that holds `path` is mounted: the last directory upwards on the same device.
std::string mount_point_of(std::string path) {
  struct stat here{};
  path.resize(std::max<size_t>(path.rfind('/'), 1));
  if (::stat(path.c_str(), &here) != 0) return path;
  while (path.size() > 1) {
    const std::string parent = path.substr(0, std::max<size_t>(path.rfind('/'), 1));
    struct stat above{};
    if (::stat(parent.c_str(), &above) != 0 || above.st_dev != here.st_dev) break;
    path = parent;
  }
  return path;
}

// What to raise, in one clause.
std::string cure(const FileSystem& fs, const std::string& mount_point, int err) {
  if (fs.hugetlbfs) return "raise vm.nr_hugepages (sysctl), or ask for fewer header_nslots or smaller payload_pools";
  if (err == ENOMEM) {
    return "raise the memory limit of this container or cgroup (memory.max), or ask for fewer header_nslots or smaller "
           "payload_pools";
  }
  if (fs.tmpfs) {
    return concat("enlarge it (mount -o remount,size=... ", mount_point,
                  ", in a container --shm-size), or ask for fewer header_nslots or smaller payload_pools");
  }
  return "free some, or ask for fewer header_nslots or smaller payload_pools";
}

[[noreturn]] void throw_no_space(const std::string& path, uint64_t bytes, const FileSystem& fs, int err) {
  const std::string_view kind = fs.hugetlbfs ? "hugetlbfs" : fs.tmpfs ? "tmpfs" : "file system";
  const std::string mount_point = mount_point_of(path);
  throw Error(Code::kNoSpace, "create ", path, errno_text(err), ": it needs ", bytes, " bytes, ", free_text(fs), " on the ", kind,
              " ", mount_point, ": ", cure(fs, mount_point, err));
}

void lock_mapping(const std::byte* data, uint64_t bytes, const std::string& path) {
  if (::mlock(data, bytes) == 0) return;
  const int err = errno;
  throw Error(
      err == EPERM ? Code::kPermission : Code::kNoSpace, "mlock ", bytes, " bytes of ", path, errno_text(err),
      ": raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK= of a service, --ulimit memlock of a container) or switch mlock off");
}

// For file systems without fallocate: the blocks of zeros are written.
int write_zeros(int fd, uint64_t from, uint64_t bytes) {
  const std::vector<char> zeros(size_t{1} << 20);
  while (bytes > 0) {
    const auto n = ::pwrite(fd, zeros.data(), std::min<uint64_t>(zeros.size(), bytes), static_cast<off_t>(from));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n == 0 ? ENOSPC : errno;
    from += static_cast<uint64_t>(n);
    bytes -= static_cast<uint64_t>(n);
  }
  return 0;
}

// Allocate every block of [0, bytes): 0 or an errno.
int reserve(int fd, uint64_t bytes) {
  for (uint64_t at = 0; at < bytes;) {
    const uint64_t step = std::min(kStepBytes, bytes - at);
    if (::fallocate(fd, 0, static_cast<off_t>(at), static_cast<off_t>(step)) == 0) {
      at += step;
    } else if (errno == EOPNOTSUPP) {
      return write_zeros(fd, at, bytes - at);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

// Fault every page in, writable: 0 or an errno. The blocks are reserved, so touching cannot raise SIGBUS.
int prefault(std::byte* data, uint64_t bytes) {
  for (uint64_t at = 0; at < bytes;) {
    const uint64_t step = std::min(kStepBytes, bytes - at);
    if (::madvise(data + at, step, MADV_POPULATE_WRITE) == 0) {
      at += step;
    } else if (errno == EINVAL || errno == ENOSYS) {
      const auto page_bytes = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
      for (uint64_t page = at; page < bytes; page += page_bytes) {
        *static_cast<volatile std::byte*>(data + page) = std::byte{0};  // a new file of ours: it holds zeros already
      }
      return 0;
    } else if (errno != EINTR && errno != EAGAIN) {
      return errno;
    }
  }
  return 0;
}

bool is_within(std::string_view path, std::string_view base) noexcept {
  if (base == "/") return true;
  return path.starts_with(base) && (path.size() == base.size() || path[base.size()] == '/');
}

std::string octal(mode_t mode) {
  std::string out = "0";
  for (int shift = 6; shift >= 0; shift -= 3) out.push_back(static_cast<char>('0' + ((mode >> shift) & 7)));
  return out;
}

}  // namespace

std::string canonical_path(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> resolved(::realpath(path.c_str(), nullptr), &std::free);
  if (!resolved) throw Error(code_of_errno(errno), "resolve ", path, errno_text());
  return resolved.get();
}

FileSystem file_system_of(const std::string& directory) {
  const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) throw Error(code_of_errno(errno), "open directory ", directory, errno_text());
  return file_system_of_fd(fd.get(), directory);
}

MapPolicy::MapPolicy(Options options) : options_(std::move(options)) {
  for (const auto& dir : options_.allowed_base_dirs) {
    if (!dir.starts_with('/'))
      throw Error(Code::kInvalidArgument, "allowed_base_dirs: '", printable(dir), "' is not an absolute path");
    std::string canonical;
    try {
      canonical = canonical_path(dir);
    } catch (const Error& error) {
      throw Error(Code::kInvalidArgument, "allowed_base_dirs: ", error.what(), ": make the directory or take it off the list");
    }
    struct stat found{};
    if (::stat(canonical.c_str(), &found) != 0 || !S_ISDIR(found.st_mode)) {
      throw Error(Code::kInvalidArgument, "allowed_base_dirs: ", canonical, " is not a directory");
    }
    canonical_base_dirs_.push_back(std::move(canonical));
  }
}

bool MapPolicy::contains(std::string_view path) const noexcept {
  return std::any_of(canonical_base_dirs_.begin(), canonical_base_dirs_.end(),
                     [&](const auto& base) { return is_within(path, base); });
}

Region Region::open(const Uri& uri, Access access, uint64_t min_bytes, const MapPolicy& policy) {
  // The numbers are the steps of wire.md 7.3.
  if (uri.path.empty() || uri.path.front() != '/')
    throw Error(Code::kInvalidArgument, "open region '", printable(uri.path), "': not an absolute path");
  if (policy.canonical_base_dirs().empty()) {  // 1 (W-24)
    throw Error(Code::kPermission, "open region ", uri.path,
                ": allowed_base_dirs is empty, which allows nothing: name the directory of the pools in it");
  }
  Region region;
  region.path_ = canonical_path(uri.path);  // 2 (W-24)
  const std::string& path = region.path_;
  if (!policy.contains(path)) {
    std::string allowed;
    for (const auto& base : policy.canonical_base_dirs()) allowed += concat(allowed.empty() ? "" : ", ", base);
    throw Error(Code::kPermission, "open region ", path, ": it is outside allowed_base_dirs (", allowed, ")");
  }

  struct stat named{};
  if (::stat(path.c_str(), &named) != 0) throw Error(code_of_errno(errno), "examine region ", path, errno_text());
  if (!S_ISREG(named.st_mode)) throw Error(Code::kCorrupt, "open region ", path, ": it is not a regular file");  // 3 (W-25)

  struct stat announced{};
  if (::lstat(uri.path.c_str(), &announced) == 0 && S_ISLNK(announced.st_mode)) {  // 4 (W-26)
    throw Error(Code::kPermission, "open region ", uri.path,
                ": it is a symbolic link, which is never followed: announce the real path");
  }
  const Fd fd = open_without_links(path, access == Access::kReadOnly ? O_RDONLY : O_RDWR);
  if (!fd) {
    const int err = errno;
    if (err == ELOOP) throw Error(Code::kPermission, "open region ", path, ": a symbolic link has taken the place of a part of it");
    throw Error(code_of_errno(err), "open region ", path, access == Access::kReadOnly ? " to read" : " to write", errno_text(err));
  }

  struct stat opened{};
  if (::fstat(fd.get(), &opened) != 0) throw Error(code_of_errno(errno), "examine region ", path, errno_text());
  if (!S_ISREG(opened.st_mode) || opened.st_dev != named.st_dev || opened.st_ino != named.st_ino) {  // 5 (W-26)
    throw Error(Code::kCorrupt, "open region ", path, ": the file was replaced while it was opened: wait for the next announce");
  }

  const auto& options = policy.options();
  if ((opened.st_mode & options.forbidden_mode) != 0) {  // 6 (W-27)
    throw Error(Code::kPermission, "open region ", path, ": its mode ", octal(opened.st_mode), " has bits of ",
                octal(options.forbidden_mode), ", which are forbidden here: set permissions_mode of its driver, or allow them");
  }
  if (options.expected_uid && opened.st_uid != *options.expected_uid) {
    throw Error(Code::kPermission, "open region ", path, ": it belongs to user ", opened.st_uid, ", expected ",
                *options.expected_uid);
  }
  if (options.expected_gid && opened.st_gid != *options.expected_gid) {
    throw Error(Code::kPermission, "open region ", path, ": it belongs to group ", opened.st_gid, ", expected ",
                *options.expected_gid);
  }

  const auto fs = file_system_of_fd(fd.get(), path);
  if ((uri.require_hugepages || options.require_hugepages) && !fs.hugetlbfs) {  // 7 (W-28)
    throw Error(Code::kUnsupported, "open region ", path, ": hugepages are required and it is not on hugetlbfs");
  }

  const auto file_bytes = static_cast<uint64_t>(std::max<off_t>(opened.st_size, 0));
  if (file_bytes < min_bytes || file_bytes == 0) {  // 8 (W-29)
    throw Error(Code::kCorrupt, "open region ", path, ": it has ", file_bytes, " bytes, what is announced needs ",
                std::max<uint64_t>(min_bytes, 1));
  }

  // 9 (W-30). All of the file: hugetlbfs rounds sizes up, and a mapping costs address space alone.
  const int protection = access == Access::kReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
  void* mapped = ::mmap(nullptr, file_bytes, protection, MAP_SHARED, fd.get(), 0);
  if (mapped == MAP_FAILED) throw Error(code_of_errno(errno), "map region ", path, " (", file_bytes, " bytes)", errno_text());
  region.data_ = static_cast<std::byte*>(mapped);
  region.size_bytes_ = file_bytes;
  region.access_ = access;
  region.device_ = opened.st_dev;
  region.inode_ = opened.st_ino;
  if (options.lock_memory) lock_mapping(region.data_, region.size_bytes_, path);
  if (!fs.tmpfs && !fs.hugetlbfs) {
    log(LogLevel::kWarn, "shm", "region ", path, " is neither on tmpfs nor on hugetlbfs: expect the latency of a page cache");
  }
  return region;
}

Region::~Region() {
  if (data_ != nullptr) ::munmap(data_, size_bytes_);
}

void Region::swap(Region& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  std::swap(access_, other.access_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  std::swap(path_, other.path_);
}

bool Region::still_same_file() const noexcept {
  struct stat named{};
  return data_ != nullptr && ::lstat(path_.c_str(), &named) == 0 && S_ISREG(named.st_mode) && named.st_dev == device_ &&
         named.st_ino == inode_ && named.st_size >= 0 && static_cast<uint64_t>(named.st_size) >= size_bytes_;
}

RegionCreator::RegionCreator(int directory_fd, std::string directory_path, Options options)
    : directory_fd_(directory_fd), directory_path_(std::move(directory_path)), options_(options) {}

Region RegionCreator::create(const std::string& name, uint64_t bytes) {
  const std::string path = concat(directory_path_, directory_path_.ends_with('/') ? "" : "/", name);
  if (!is_component(name))
    throw Error(Code::kInvalidArgument, "create '", printable(name), "' in ", directory_path_, ": not the name of a single file");
  const auto fs = file_system_of_fd(directory_fd_, directory_path_);
  if (fs.hugetlbfs && bytes <= UINT64_MAX - fs.block_bytes) {  // D-38: other sizes cannot be made there
    bytes = (bytes + fs.block_bytes - 1) / fs.block_bytes * fs.block_bytes;
  }
  if (bytes == 0 || bytes > INT64_MAX)
    throw Error(Code::kInvalidArgument, "create ", path, ": ", bytes, " bytes is no size for a region");
  // Refused before anything is taken from the others that live on this memory. Who still runs into the wall (a race, a
  // cgroup) meets it in reserve().
  if (bytes > fs.free_bytes) throw_no_space(path, bytes, fs, ENOSPC);

  const Fd fd(::openat(directory_fd_, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) {
    if (errno == EEXIST)
      throw Error(Code::kRejected, "create ", path, ": it exists already, and regions are never used twice (W-33)");
    if (errno == ENOSPC) throw_no_space(path, bytes, fs, errno);
    throw Error(code_of_errno(errno), "create ", path, errno_text());
  }
  struct Undo {
    const RegionCreator& creator;
    const std::string& name;
    bool armed = true;
    ~Undo() {
      if (armed) ::unlinkat(creator.directory_fd_, name.c_str(), 0);
    }
  } undo{*this, name};

  if (::fchmod(fd.get(), options_.file_mode) != 0) throw Error(code_of_errno(errno), "set the mode of ", path, errno_text());
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
    if (errno == EFBIG || errno == EINVAL) throw Error(Code::kNoSpace, "size ", path, " to ", bytes, " bytes", errno_text());
    throw Error(code_of_errno(errno), "size ", path, " to ", bytes, " bytes", errno_text());
  }
  if (options_.reserve) {
    if (const int err = reserve(fd.get(), bytes); err != 0) {
      if (err != ENOSPC && err != ENOMEM && err != EDQUOT && err != EFBIG) {
        throw Error(code_of_errno(err), "reserve ", bytes, " bytes for ", path, errno_text(err));
      }
      throw_no_space(path, bytes, fs, err);
    }
  }

  void* mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (mapped == MAP_FAILED) {
    if (errno == ENOMEM && fs.hugetlbfs) throw_no_space(path, bytes, fs, errno);
    throw Error(code_of_errno(errno), "map ", path, " (", bytes, " bytes)", errno_text());
  }
  Region region;
  region.data_ = static_cast<std::byte*>(mapped);
  region.size_bytes_ = bytes;
  region.access_ = Access::kReadWrite;
  region.path_ = path;
  struct stat made{};
  if (::fstat(fd.get(), &made) != 0) throw Error(code_of_errno(errno), "examine ", path, errno_text());
  region.device_ = made.st_dev;
  region.inode_ = made.st_ino;
  if (options_.reserve && options_.prefault) {
    if (const int err = prefault(region.data_, bytes); err != 0)
      throw Error(code_of_errno(err), "touch the pages of ", path, errno_text(err));
  }
  if (options_.lock_memory) lock_mapping(region.data_, bytes, path);
  undo.armed = false;
  return region;
}

}  // namespace tidepool::shm
