#pragma once
// Child processes: ffmpeg, and this same binary in another role.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tidepool::cli {

struct ChildOptions {
  bool capture_errors = false;  // stderr into memory of ours (complaints()), else shared with this process
};

// A started process whose stdout is read through a pipe. Killed and reaped on destruction, if it still runs.
// Thread safety: one thread.
class Child {
 public:
  // args[0]: a program on PATH, or kSelf. stdin is /dev/null. Throws Error kNotFound naming it.
  static constexpr char kSelf[] = "/proc/self/exe";
  static Child start(const std::vector<std::string>& args, const ChildOptions& options = {});

  Child() = default;
  Child(Child&& other) noexcept { swap(other); }
  Child& operator=(Child&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Child();

  pid_t pid() const noexcept { return pid_; }
  bool started() const noexcept { return pid_ > 0; }

  // Exactly `bytes`, or fewer at the end of its output. Throws Error on a read error.
  size_t read_fully(void* to, size_t bytes);
  // The next line of its output without the newline; false when none came within `timeout_ms` or its output ended
  // (ended() then tells which). -1 waits for ever.
  bool read_line(std::string& line, int timeout_ms = -1);
  bool ended() const noexcept { return ended_; }

  // The first few lines that it wrote to stderr, on one line (capture_errors).
  std::string complaints() const;

  void signal(int number) noexcept;
  // Wait for its end. Its exit code, or 128 + the signal's number.
  int wait() noexcept;

 private:
  void swap(Child& other) noexcept;
  pid_t pid_ = -1;
  int out_ = -1;
  int errors_ = -1;
  bool ended_ = false;
  std::string buffer_;
};

}  // namespace tidepool::cli
