#include "tidepool/shm/file_lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <ctime>
#include <string_view>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/base/process.h"
#include "tidepool/shm/open_file.h"

namespace tidepool::shm {
namespace {

constexpr size_t kRecordBytesMax = 1024;
constexpr size_t kTextBytesMax = 256;

uint64_t this_pid_namespace() noexcept {
  struct stat found{};
  return ::stat("/proc/self/ns/pid", &found) == 0 ? found.st_ino : 0;
}

struct flock whole_file(short type) noexcept {
  struct flock lock{};  // l_pid stays 0, as the OFD calls demand
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

std::string record_of(const LockOwner& owner) {
  return concat("pid ", owner.pid, "\nstart_ticks ", owner.start_ticks, "\npid_namespace ", owner.pid_namespace, "\ntext ",
                printable(owner.text, kTextBytesMax), "\n");
}

LockOwner parse_record(std::string_view record) {
  LockOwner owner;
  while (!record.empty()) {
    const auto line = record.substr(0, record.find('\n'));
    record.remove_prefix(std::min(record.size(), line.size() + 1));
    const auto blank = line.find(' ');
    if (blank == std::string_view::npos) continue;
    const auto key = line.substr(0, blank);
    const auto value = line.substr(blank + 1);
    const auto number = [&](uint64_t& to) {
      uint64_t parsed = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
      if (error == std::errc() && end == value.data() + value.size()) to = parsed;
    };
    if (key == "pid") number(owner.pid);
    if (key == "start_ticks") number(owner.start_ticks);
    if (key == "pid_namespace") number(owner.pid_namespace);
    if (key == "text") owner.text = printable(value, kTextBytesMax);
  }
  return owner;
}

LockOwner read_record(int fd) {
  char buffer[kRecordBytesMax];
  const auto n = ::pread(fd, buffer, sizeof buffer, 0);
  return parse_record({buffer, n > 0 ? static_cast<size_t>(n) : 0});
}

bool is_running(const LockOwner& owner) noexcept {
  return owner.pid != 0 && owner.start_ticks != 0 && process_start_ticks(owner.pid) == owner.start_ticks;
}

// A holder writes its record right after it took the lock: whoever looks in between sees the one before, or none.
LockOwner read_settled_record(int fd) {
  LockOwner owner = read_record(fd);
  for (int attempt = 0; attempt < 5 && !is_running(owner); ++attempt) {
    const timespec pause{0, 2'000'000};
    ::nanosleep(&pause, nullptr);
    owner = read_record(fd);
  }
  return owner;
}

std::string local_time_of_ticks(uint64_t start_ticks) {
  const auto ticks_per_second = static_cast<uint64_t>(::sysconf(_SC_CLK_TCK));
  const uint64_t booted_ns = realtime_ns() - clock_ns(CLOCK_BOOTTIME);
  const auto started = static_cast<time_t>(booted_ns / kNsPerSecond + start_ticks / ticks_per_second);
  tm parts{};
  char text[64];
  if (::localtime_r(&started, &parts) == nullptr || std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts) == 0)
    return "an unknown time";
  return text;
}

Fd open_lock_file(const Directory& directory, const std::string& name, int flags) {
  if (!is_component(name)) {
    throw Error(Code::kInvalidArgument, "lock '", printable(name), "' in ", directory.path(), ": not the name of a single file");
  }
  const std::string path = concat(directory.path(), "/", name);
  Fd fd(::openat(directory.fd(), name.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0660));
  if (!fd && errno == ENOENT && (flags & O_CREAT) == 0) return fd;
  if (!fd && errno == ELOOP)
    throw Error(Code::kPermission, "lock ", path, ": it is a symbolic link, which is never followed: remove it");
  if (!fd) throw Error(code_of_errno(errno), "lock ", path, errno_text());
  struct stat found{};
  if (::fstat(fd.get(), &found) != 0) throw Error(code_of_errno(errno), "lock ", path, errno_text());
  if (!S_ISREG(found.st_mode)) throw Error(Code::kPermission, "lock ", path, ": it is not a regular file: remove it");
  return fd;
}

}  // namespace

std::string LockOwner::description() const {
  const std::string who = text.empty() ? "a process that does not say what it is" : text;
  if (pid == 0) return concat(who, " (it left no record of its pid)");
  if (pid_namespace != this_pid_namespace()) return concat(who, " (pid ", pid, " of another container or PID namespace)");
  if (is_running(*this)) return concat(who, " (pid ", pid, ", running since ", local_time_of_ticks(start_ticks), ")");
  return concat(who, " (pid ", pid, " has ended, a child of it still holds the lock: end that child)");
}

FileLock FileLock::acquire(const Directory& directory, const std::string& name, const std::string& owner_text) {
  Fd fd = open_lock_file(directory, name, O_RDWR | O_CREAT);
  const std::string path = concat(directory.path(), "/", name);
  auto lock = whole_file(F_WRLCK);
  if (::fcntl(fd.get(), F_OFD_SETLK, &lock) != 0) {
    if (errno != EAGAIN && errno != EACCES) throw Error(code_of_errno(errno), "lock ", path, errno_text());
    throw Error(Code::kRejected, path, " is held by ", read_settled_record(fd.get()).description());
  }
  const ProcessId self = this_process();
  const std::string record = record_of({self.pid, self.start_ticks, this_pid_namespace(), owner_text});
  // The record is a courtesy: without room for it (ENOSPC) the lock holds all the same.
  if (::ftruncate(fd.get(), 0) != 0 || ::pwrite(fd.get(), record.data(), record.size(), 0) != static_cast<ssize_t>(record.size())) {
    log(LogLevel::kWarn, "shm", "lock ", path, ": cannot say who holds it", errno_text());
  }
  return FileLock(fd.release(), self.pid);
}

std::optional<LockOwner> FileLock::holder(const Directory& directory, const std::string& name) {
  const Fd fd = open_lock_file(directory, name, O_RDONLY);
  if (!fd) return std::nullopt;
  auto lock = whole_file(F_WRLCK);
  if (::fcntl(fd.get(), F_OFD_GETLK, &lock) != 0) {
    throw Error(code_of_errno(errno), "look at the lock ", directory.path(), "/", name, errno_text());
  }
  if (lock.l_type == F_UNLCK) return std::nullopt;
  return read_settled_record(fd.get());
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)), pid_(other.pid_) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  if (this == &other) return *this;
  const FileLock released(std::move(*this));  // now, and not when `other` ends
  fd_ = std::exchange(other.fd_, -1);
  pid_ = other.pid_;
  return *this;
}

FileLock::~FileLock() {
  if (fd_ < 0) return;
  if (pid_ == static_cast<uint64_t>(::getpid())) {
    // In this order, and explicitly: a child of ours that shares the descriptor must not keep what we gave up.
    if (::ftruncate(fd_, 0) != 0) { /* the record is a hint alone */
    }
    auto unlock = whole_file(F_UNLCK);
    ::fcntl(fd_, F_OFD_SETLK, &unlock);
  }
  ::close(fd_);
}

}  // namespace tidepool::shm
