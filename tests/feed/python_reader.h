#pragma once
// The independent reader (feed_reader.py) as one process for all the looks of a test program, since to start Python takes longer than
// most of them. Started at the first look, ends with the program.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"

namespace tidepool::feed::test {

class PythonReader {
 public:
  static PythonReader& instance() {
    static std::unique_ptr<PythonReader> reader;
    if (reader && reader->owner_ != ::getpid()) static_cast<void>(reader.release());  // a forked child gets its own
    if (!reader) reader.reset(new PythonReader());
    return *reader;
  }
  // What it prints for these arguments: a line of JSON. A check that fails when it does not answer.
  void ask(const std::vector<std::string>& arguments, std::string& answer) {
    std::string line;
    for (const std::string& argument : arguments) line += concat(line.empty() ? "" : "\t", argument);
    line += '\n';
    ASSERT_EQ(::write(to_, line.data(), line.size()), static_cast<ssize_t>(line.size())) << errno_text();
    ++asked_;
    const uint64_t deadline_ns = monotonic_ns() + 120 * kNsPerSecond;
    for (answer.clear(); !answer.ends_with('\n');) {
      ASSERT_LT(monotonic_ns(), deadline_ns) << "the Python reader does not answer: " << line;
      pollfd waiting{from_, POLLIN, 0};
      if (::poll(&waiting, 1, 1000) <= 0) continue;
      char buffer[65536];
      const ssize_t n = ::read(from_, buffer, sizeof buffer);
      ASSERT_GT(n, 0) << "the Python reader is gone: " << line;
      answer.append(buffer, static_cast<size_t>(n));
    }
  }
  uint64_t asked() const noexcept { return asked_; }

  ~PythonReader() {
    ::close(to_);
    ::close(from_);
    ::kill(pid_, SIGKILL);  // a child that lives may keep its input open
    ::waitpid(pid_, nullptr, 0);
  }
  PythonReader(const PythonReader&) = delete;
  PythonReader& operator=(const PythonReader&) = delete;

 private:
  PythonReader() {
    int down[2];
    int up[2];
    if (::pipe2(down, O_CLOEXEC) != 0 || ::pipe2(up, O_CLOEXEC) != 0) throw Error(Code::kInternal, "pipe2", errno_text());
    std::fflush(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(down[0], STDIN_FILENO);
      ::dup2(up[1], STDOUT_FILENO);
      ::execl(TIDEPOOL_PYTHON, TIDEPOOL_PYTHON, TIDEPOOL_FEED_READER, "--serve", nullptr);
      ::_exit(127);
    }
    ::close(down[0]);
    ::close(up[1]);
    to_ = down[1];
    from_ = up[0];
  }
  pid_t owner_ = ::getpid();
  pid_t pid_ = -1;
  int to_ = -1;
  int from_ = -1;
  uint64_t asked_ = 0;
};

}  // namespace tidepool::feed::test
