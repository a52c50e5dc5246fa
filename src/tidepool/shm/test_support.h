#pragma once
// What the tests of this folder share: temporary directories, and bodies that run in a process of their own, where they may
// lose rights, mount file systems or be refused system calls.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/shm/directory.h"

namespace tidepool::shm::test {

inline constexpr uint64_t kDeadlineNs = 30 * kNsPerSecond;

// A new directory, canonical, removed with all it holds.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::string& parent = "/dev/shm") : path_(parent + "/tidepool-test-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) throw Error(Code::kInternal, "mkdtemp ", path_, errno_text());
    directory_ = Directory::open(path_);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const Directory& directory() const noexcept { return directory_; }
  const std::string& path() const noexcept { return path_; }
  std::string operator/(std::string_view name) const { return concat(path_, "/", name); }

 private:
  std::string path_;
  Directory directory_;
};

inline void write_file(const std::string& path, std::string_view content, mode_t mode = 0660) {
  std::ofstream(path, std::ios::binary) << content;
  ASSERT_EQ(::chmod(path.c_str(), mode), 0) << path;
}

inline std::string read_file(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return std::move(content).str();
}

inline mode_t mode_of(const std::string& path) {
  struct stat found{};
  return ::lstat(path.c_str(), &found) == 0 ? found.st_mode & 07777 : mode_t(-1);
}

// The Error that `body` throws; fails the test when it throws none.
inline Error error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "expected an Error, nothing was thrown";
  return Error(Code::kInternal, "nothing was thrown");
}

inline void expect_error(Code code, std::string_view fragment, const std::function<void()>& body) {
  const Error error = error_of(body);
  EXPECT_EQ(code_name(error.code()), code_name(code)) << error.what();
  EXPECT_NE(std::string_view(error.what()).find(fragment), std::string_view::npos)
      << "'" << fragment << "' is not in: " << error.what();
}

// What this is built with: some of it takes thirty times as long, and some tests are of what a sanitizer does not let happen.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true, kAddressSanitizer = false;
#elif defined(__SANITIZE_ADDRESS__)
inline constexpr bool kThreadSanitizer = false, kAddressSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true, kAddressSanitizer = false;
#else
inline constexpr bool kThreadSanitizer = false, kAddressSanitizer = __has_feature(address_sanitizer);
#endif
#else
inline constexpr bool kThreadSanitizer = false, kAddressSanitizer = false;
#endif
inline constexpr bool kSanitized = kThreadSanitizer || kAddressSanitizer;

// A child has the locks of its parent's threads and not the threads. Under ThreadSanitizer, whose runtime locks at every allocation, it
// may therefore wait for ever, unless the parent had no thread but ThreadSanitizer's own.
inline bool may_fork() {
  return !kThreadSanitizer ||
         std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator()) <= 2;
}

enum class ChildOutcome { kPassed, kFailed, kSkipped };

// Run `body` in a forked child: its EXPECTs are printed there and counted here.
inline ChildOutcome in_child(const std::function<void()>& body) {
  if (!may_fork()) {
    std::puts("SKIPPED: a child of a process with threads may hang in ThreadSanitizer's own locks");
    return ChildOutcome::kSkipped;
  }
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    try {
      body();
    } catch (const std::exception& error) {
      ADD_FAILURE() << "threw: " << error.what();
    }
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : ::testing::Test::IsSkipped() ? 77 : 0);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) return ChildOutcome::kPassed;
  if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 77) return ChildOutcome::kSkipped;
  ADD_FAILURE() << "the child failed, status " << status;
  return ChildOutcome::kFailed;
}

// A forked process that runs `body`, says ready() from within it, and lives until it is killed or `body` returns.
class Helper {
 public:
  explicit Helper(const std::function<void(const Helper&)>& body) {
    if (!may_fork()) throw Error(Code::kInternal, "ThreadSanitizer: make the helper before the first thread");
    if (::pipe2(pipe_, O_CLOEXEC) != 0) throw Error(Code::kInternal, "pipe2", errno_text());
    std::fflush(nullptr);
    pid_ = ::fork();
    if (pid_ != 0) {
      ::close(std::exchange(pipe_[1], -1));
      return;
    }
    try {
      body(*this);
    } catch (const std::exception& error) {
      ADD_FAILURE() << "threw: " << error.what();
    }
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  ~Helper() {
    kill();
    ::close(pipe_[0]);
  }
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;

  // In the helper: tell a number to who waits for it.
  void ready(int value = 0) const { static_cast<void>(::write(pipe_[1], &value, sizeof value) + 1); }
  [[noreturn]] void sleep_for_ever() const {
    for (;;) ::pause();
  }
  // In the parent: the next number told; -1 when the helper ended without one.
  int wait_ready() const {
    int value = 0;
    ssize_t n = 0;
    do n = ::read(pipe_[0], &value, sizeof value);
    while (n < 0 && errno == EINTR);
    return n == sizeof value ? value : -1;
  }
  pid_t pid() const noexcept { return pid_; }
  void kill() { stop(SIGKILL); }
  // True if it came to its end by itself, without a failure.
  bool join() { return stop(0) == 0; }

 private:
  int stop(int signal) {
    if (pid_ <= 0) return -1;
    if (signal != 0) ::kill(pid_, signal);
    int status = -1;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }
  int pipe_[2] = {-1, -1};
  pid_t pid_ = -1;
};

// The last statement of a test that lives in a child: passes on its skip.
#define TIDEPOOL_IN_CHILD(...)                                                                         \
  do {                                                                                                 \
    if (::tidepool::shm::test::in_child(__VA_ARGS__) == ::tidepool::shm::test::ChildOutcome::kSkipped) \
      GTEST_SKIP() << "skipped in its child: see the reason above";                                    \
  } while (false)

// From here on system call `number` fails with `err` in this process (if `argument` is given: only when that argument has
// that value). False where seccomp is not allowed. Call in a child alone.
struct Argument {
  unsigned index;
  uint32_t value;
};
inline bool refuse_syscall(long number, int err, std::optional<Argument> argument = {}) {
  const auto refuse = SECCOMP_RET_ERRNO | (static_cast<uint32_t>(err) & SECCOMP_RET_DATA);
  const auto argument_at = static_cast<uint32_t>(offsetof(seccomp_data, args) + 8 * (argument ? argument->index : 0));
  const uint8_t when_other = argument ? 1 : 0;
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument_at),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, argument ? argument->value : 0, 0, when_other),
      BPF_STMT(BPF_RET | BPF_K, refuse),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{sizeof filter / sizeof filter[0], filter};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// Mount a file system that vanishes with this process (a mount namespace of its own). False where that is not allowed: as
// root it is, and mostly without, through a user namespace. Call in a child alone.
inline bool mount_private(const char* type, const std::string& at, const char* options) {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(CLONE_NEWNS) != 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/uid_map") << concat(uid, " ", uid, " 1");
    std::ofstream("/proc/self/gid_map") << concat(gid, " ", gid, " 1");
  }
  return ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 && ::mount("none", at.c_str(), type, 0, options) == 0;
}

// Huge pages for one test, where it may have some reserved (vm.nr_hugepages, as root), given back at its end: without them what
// is true on hugetlbfs alone would be proven nowhere. What was reserved already is left alone. Several tests at once add up.
class ReservedHugepages {
 public:
  explicit ReservedHugepages(long pages) { change(pages); }
  ~ReservedHugepages() { change(-added_); }
  ReservedHugepages(const ReservedHugepages&) = delete;
  ReservedHugepages& operator=(const ReservedHugepages&) = delete;

 private:
  static constexpr const char* kPath = "/proc/sys/vm/nr_hugepages";
  static long count() {
    long pages = 0;
    std::ifstream(kPath) >> pages;
    return pages;
  }
  void change(long by) {
    if (by == 0 || owner_ != ::getpid()) return;
    const int fd = ::open(kPath, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ::flock(fd, LOCK_EX);  // among tests
    const long before = count();
    std::ofstream(kPath) << before + by;
    added_ += count() - before;  // the kernel gives what it has
    ::close(fd);
  }
  long added_ = 0;
  pid_t owner_ = ::getpid();
};

}  // namespace tidepool::shm::test
