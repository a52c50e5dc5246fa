#pragma once
// A deployment of real processes through the built binary, in a directory of its own: media driver, driver, publishers, subscribers,
// and the operator's commands beside them. Nothing of the developer's environment reaches it.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/process.h"
#include "tidepool/cli/test_command.h"
#include "tidepool/shm/open_file.h"

#ifndef TIDEPOOL_BINARY  // the build names it; this header compiles alone, too
#define TIDEPOOL_BINARY "tidepool"
#endif

namespace tidepool::cli::test {

// Polls until `done` or a generous deadline.
inline bool eventually(const std::function<bool()>& done) {
  const uint64_t deadline_ns = monotonic_ns() + 30 * kNsPerSecond;
  while (!done()) {
    if (monotonic_ns() > deadline_ns) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

// One `tidepool ...`, with its output in files. Killed and reaped on destruction, if it still runs.
class Process {
 public:
  using Variables = std::vector<std::pair<std::string, std::string>>;

  explicit Process(const std::vector<std::string>& args, const Variables& variables = {}, bool with_stdin = false) {
    int in[2] = {-1, -1};
    if (with_stdin && ::pipe2(in, O_CLOEXEC) != 0) throw Error(Code::kInternal, "pipe2", errno_text());
    in_ = shm::Fd(in[1]);
    const shm::Fd in_end(in[0]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (with_stdin) {
      posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    } else {
      posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    }
    posix_spawn_file_actions_adddup2(&actions, ::fileno(out_.get()), 1);
    posix_spawn_file_actions_adddup2(&actions, ::fileno(err_.get()), 2);
    std::vector<std::string> environment = {"TIDEPOOL_LOG=warn"};
    static constexpr std::string_view kOurs[] = {"AERON_",  "CLIENT_", "PRODUCER_", "CONSUMER_",
                                                 "DRIVER_", "SHM_",    "POLICIES_", "TIDEPOOL_LOG="};
    for (char** at = environ; *at != nullptr; ++at) {
      if (std::none_of(std::begin(kOurs), std::end(kOurs),
                       [&](std::string_view ours) { return std::string_view(*at).starts_with(ours); }))
        environment.emplace_back(*at);
    }
    for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
    std::vector<char*> argv = {const_cast<char*>(TIDEPOOL_BINARY)}, envp;
    for (const auto& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
    for (auto& variable : environment) envp.push_back(variable.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    if (const int failed = ::posix_spawn(&pid_, TIDEPOOL_BINARY, &actions, nullptr, argv.data(), envp.data()); failed != 0) {
      throw Error(Code::kInternal, "run ", TIDEPOOL_BINARY, errno_text(failed));
    }
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Process() {
    signal(SIGKILL);
    reap();
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const noexcept { return pid_; }
  void signal(int number) const noexcept {
    if (pid_ > 0) ::kill(pid_, number);
  }
  void kill() {
    signal(SIGKILL);
    reap();
  }
  void write_stdin(const std::string& bytes) const {
    EXPECT_EQ(::write(in_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  void close_stdin() { in_ = shm::Fd(); }

  std::string out() const { return content(out_.get()); }
  std::string err() const { return content(err_.get()); }
  bool has_printed(const std::string& part) const { return out().find(part) != std::string::npos; }
  // It printed `part`, or ended.
  bool wait_for_out(const std::string& part) {
    return eventually([&] { return has_printed(part) || ended(); }) && has_printed(part);
  }
  bool ended() {
    if (pid_ <= 0) return true;
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
    note(status);
    return true;
  }
  // Its end, which must come by itself.
  Ran wait() {
    if (!eventually([&] { return ended(); })) {
      ADD_FAILURE() << "it does not end\nstdout: " << out() << "\nstderr: " << err();
      kill();
    }
    Ran ran;
    ran.exit = exit_;
    ran.out = out();
    ran.err = err();
    return ran;
  }
  Ran end(int number) {
    signal(number);
    return wait();
  }

 private:
  static std::string content(std::FILE* file) {  // the child moves the offset: pread
    std::string text;
    char chunk[4096];
    for (ssize_t got; (got = ::pread(::fileno(file), chunk, sizeof chunk, static_cast<off_t>(text.size()))) > 0;)
      text.append(chunk, static_cast<size_t>(got));
    return text;
  }
  void note(int status) {
    pid_ = -1;
    exit_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  void reap() {
    int status = 0;
    while (pid_ > 0 && ::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    if (pid_ > 0) note(status);
  }

  std::unique_ptr<std::FILE, int (*)(std::FILE*)> out_{std::tmpfile(), std::fclose}, err_{std::tmpfile(), std::fclose};
  shm::Fd in_;
  pid_t pid_ = -1;
  int exit_ = -1;
};

inline Ran run_process(const std::vector<std::string>& args, const Process::Variables& variables = {}) {
  return Process(args, variables).wait();
}

// A directory with a configuration of one small stream, 10000, called cam1: 64 slots of 4096 bytes.
class Lab {
 public:
  static constexpr uint32_t kStream = 10000;

  explicit Lab(const std::string& more = "") {
    write_file(config(), "[driver]\ninstance_id = \"lab\"\naeron_dir = \"" + aeron_dir() + "\"\n[shm]\nbase_dir = \"" + dir() +
                             "\"\nnamespace = \"lab\"\n[profiles.small]\nheader_nslots = 64\npayload_pools = [{ pool_id = 1, "
                             "stride_bytes = 4096 }]\n"
                             "[streams.cam1]\nstream_id = 10000\nprofile = \"small\"\n" +
                             more);
  }

  const std::string& dir() const { return directory_.path(); }
  std::string operator/(const std::string& name) const { return directory_ / name; }
  std::string config() const { return directory_ / "lab.toml"; }
  std::string aeron_dir() const { return directory_ / "aeron"; }
  std::string stream_dir() const { return concat(dir(), "/tensorpool-", sanitised_user_name(), "/lab/", kStream); }

  // The driver with a media driver in it.
  std::unique_ptr<Process> start_driver() const {
    auto driver = std::make_unique<Process>(std::vector<std::string>{"driver", "--config", config(), "--embedded", "--json"});
    EXPECT_TRUE(driver->wait_for_out("\"event\":\"ready\"")) << driver->err();
    return driver;
  }
  // A verb with the lab's configuration.
  std::vector<std::string> with_config(std::vector<std::string> args) const {
    args.insert(args.end(), {"--config", config()});
    return args;
  }
  std::unique_ptr<Process> start(const std::vector<std::string>& args, bool with_stdin = false) const {
    return std::make_unique<Process>(with_config(args), Process::Variables{}, with_stdin);
  }
  Ran run(const std::vector<std::string>& args) const { return run_process(with_config(args)); }
  // A producer that goes on until it is told to end, with frames in memory already.
  std::unique_ptr<Process> start_publisher(std::vector<std::string> more = {"--pattern", "check", "--shape", "32,32", "--rate",
                                                                            "200"}) const {
    std::vector<std::string> args = {"publish", "--stream", "10000", "--json"};
    args.insert(args.end(), more.begin(), more.end());
    auto publisher = start(args);
    EXPECT_TRUE(eventually([&] { return newest_seq() >= 3 || publisher->ended(); })) << publisher->err();
    EXPECT_FALSE(publisher->ended()) << publisher->err();
    return publisher;
  }
  // Of the stream's newest epoch, -1 without a frame: by `inspect`, so that tests need not guess how long something takes.
  int64_t newest_seq() const {
    const Ran ran = test::run({"inspect", stream_dir(), "--slots", "1", "--json"});
    if (ran.exit != 0) return -1;
    const auto slots = ran.json()["header"]["slots"];
    return slots.empty() || slots[0]["state"] != "committed" ? -1 : slots[0]["seq"].get<int64_t>();
  }

 private:
  TemporaryDirectory directory_;
};

// "tidepool: ..." alone, or with indented lines.
inline void expect_one_clear_error(const Ran& ran, std::string_view fragment) {
  EXPECT_NE(ran.err.find("tidepool: "), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find(fragment), std::string::npos) << "'" << fragment << "' is not in: " << ran.err;
}

}  // namespace tidepool::cli::test
