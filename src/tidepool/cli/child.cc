#include "tidepool/cli/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"

namespace tidepool::cli {

Child Child::start(const std::vector<std::string>& args, const ChildOptions& options) {
  Child child;
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) throw Error(code_of_errno(errno), "pipe", errno_text());
  child.out_ = out[0];
  if (options.capture_errors) {
    // To memory of ours and not to a pipe: a full pipe that nobody reads would stop it.
    child.errors_ = ::memfd_create("child-errors", MFD_CLOEXEC);
    if (child.errors_ < 0) {
      const int err = errno;
      ::close(out[1]);
      throw Error(code_of_errno(err), "memfd_create", errno_text(err));
    }
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  if (child.errors_ >= 0) posix_spawn_file_actions_adddup2(&actions, child.errors_, 2);
  // SIGPIPE is ignored in this process (signals.h); a child that loses its reader shall end.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> argv;
  for (const auto& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  const int failed = ::posix_spawnp(&child.pid_, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  ::close(out[1]);
  if (failed != 0) {
    child.pid_ = -1;
    throw Error(Code::kNotFound, "run ", args[0], errno_text(failed));
  }
  ::fcntl(child.out_, F_SETPIPE_SZ, 1 << 20);  // fewer switches for a frame; the default works too
  return child;
}

Child::~Child() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    (void)wait();
  }
  if (out_ >= 0) ::close(out_);
  if (errors_ >= 0) ::close(errors_);
}

void Child::swap(Child& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(out_, other.out_);
  std::swap(errors_, other.errors_);
  std::swap(ended_, other.ended_);
  std::swap(buffer_, other.buffer_);
}

size_t Child::read_fully(void* to, size_t bytes) {
  size_t done = 0;
  while (done < bytes) {
    const ssize_t got = ::read(out_, static_cast<char*>(to) + done, bytes - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(code_of_errno(errno), "read from a child process", errno_text());
    if (got == 0) {
      ended_ = true;
      break;
    }
    done += static_cast<size_t>(got);
  }
  return done;
}

bool Child::read_line(std::string& line, int timeout_ms) {
  const uint64_t deadline_ns = timeout_ms < 0 ? UINT64_MAX : monotonic_ns() + static_cast<uint64_t>(timeout_ms) * kNsPerMs;
  for (;;) {
    if (const auto end = buffer_.find('\n'); end != std::string::npos) {
      line.assign(buffer_, 0, end);
      buffer_.erase(0, end + 1);
      return true;
    }
    if (ended_ || out_ < 0) return false;
    int wait_ms = -1;
    if (timeout_ms >= 0) {
      const uint64_t now = monotonic_ns();
      wait_ms = now >= deadline_ns ? 0 : static_cast<int>((deadline_ns - now) / kNsPerMs) + 1;
    }
    pollfd ready{out_, POLLIN, 0};
    const int found = ::poll(&ready, 1, wait_ms);
    if (found < 0 && errno != EINTR) throw Error(code_of_errno(errno), "poll a child process", errno_text());
    if (found == 0 && monotonic_ns() >= deadline_ns) return false;
    if (found <= 0) continue;
    char chunk[4096];
    const ssize_t got = ::read(out_, chunk, sizeof chunk);
    if (got > 0) buffer_.append(chunk, static_cast<size_t>(got));
    if (got == 0) ended_ = true;
  }
}

std::string Child::complaints() const {
  char buffer[600];
  const ssize_t got = errors_ >= 0 ? ::pread(errors_, buffer, sizeof buffer, 0) : 0;
  std::string text(buffer, got > 0 ? static_cast<size_t>(got) : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (char& c : text) {
    if (c == '\n') c = ';';
  }
  return printable(text, sizeof buffer);
}

void Child::signal(int number) noexcept {
  if (pid_ > 0) ::kill(pid_, number);
}

int Child::wait() noexcept {
  if (pid_ <= 0) return -1;
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace tidepool::cli
