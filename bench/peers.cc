#include "peers.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "harness.h"
#include "latency.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/cli/world.h"
#include "tidepool/client/client.h"

namespace tidepool::bench {
namespace {

constexpr uint64_t kAttachLimitNs = 30 * kNsPerSecond;

ControlPage* map_page(const std::string& world_dir, bool create) {
  const std::string path = world_dir + "/bench.page";
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0), 0600);
  if (fd < 0) throw Error(code_of_errno(errno), "open ", path, errno_text());
  if (create && ::ftruncate(fd, sizeof(ControlPage)) != 0) throw Error(code_of_errno(errno), "size ", path, errno_text());
  void* page = ::mmap(nullptr, sizeof(ControlPage), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (page == MAP_FAILED) throw Error(code_of_errno(errno), "map ", path, errno_text());
  return static_cast<ControlPage*>(page);  // zero bytes are valid atomics holding 0
}

int run_consumer_peer(const PeerOptions& options, ControlPage& page) {
  auto client = client::Client::connect(cli::World::client_options(options.world_dir, kBenchLeaseMs, 1000));
  client::ConsumerOptions consumer_options;
  consumer_options.stream = std::to_string(kThroughputStream);
  consumer_options.max_outstanding_seq_gap = 0;
  auto consumer = client.consumer(consumer_options);
  if (options.cpu >= 0) pin_to(options.cpu);
  Line& stats = page.stats[options.index];
  uint64_t obeyed = ~uint64_t{0};
  for (;;) {
    const uint64_t word = page.command.word.load(std::memory_order_acquire);  // [command]
    if (word != obeyed) {
      obeyed = word;
      page.ack[options.index].word.store(word + 1, std::memory_order_release);  // [command]
      if (command_of(word) == Command::kQuit) return 0;
    }
    int seen = 0;
    for (; seen < 4096; ++seen) {
      if (consumer.poll() == client::PollResult::kEmpty) break;
    }
    const auto counters = consumer.counters();
    stats.word.store(counters.frames, std::memory_order_relaxed);  // relaxed: figures alone, read when the window is over
    stats.more[0].store(counters.drops.drops_gap + counters.drops.drops_late, std::memory_order_relaxed);
    if (seen == 0 && options.sleep) std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
}

}  // namespace

int run_peer(const PeerOptions& options) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (options.index >= kMaxPeers) throw Error(Code::kInvalidArgument, "bench-peer --index ", options.index, ": expected less than ", kMaxPeers);
  ControlPage* page = map_page(options.world_dir, false);
  if (options.role == "latency") return run_latency_peer(options, *page);
  if (options.role == "consumer") return run_consumer_peer(options, *page);
  throw Error(Code::kInvalidArgument, "bench-peer --role ", options.role, ": expected latency or consumer");
}

Peers::Peers(const std::string& world_dir) : page_(map_page(world_dir, true)), world_dir_(world_dir) {}

Peers::~Peers() {
  for (size_t i = 0; i < pids_.size(); ++i) {
    ::kill(pids_[i], SIGKILL);
    ::waitpid(pids_[i], nullptr, 0);
  }
  ::munmap(page_, sizeof(ControlPage));
}

void Peers::start(const PeerOptions& options) {
  const std::string index = std::to_string(options.index);
  const std::string cpu = std::to_string(options.cpu);
  std::vector<const char*> args = {"tidepool", "bench-peer", "--world", world_dir_.c_str(), "--role", options.role.c_str(),
                                   "--index", index.c_str(), "--cpu", cpu.c_str()};
  if (options.sleep) args.push_back("--sleep");
  args.push_back(nullptr);
  pid_t pid = 0;
  const int err = ::posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, const_cast<char* const*>(args.data()), environ);
  if (err != 0) throw Error(Code::kInternal, "start a benchmark peer", errno_text(err));
  pids_.push_back(pid);
  stopped_.push_back(false);
  const uint64_t give_up = monotonic_ns() + kAttachLimitNs;
  while (page_->ack[options.index].word.load(std::memory_order_acquire) == 0) {  // [command]
    check();
    if (monotonic_ns() > give_up) throw Error(Code::kTimeout, "benchmark peer ", options.index, " did not attach within 30 s");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void Peers::command(Command command) {
  const uint64_t word = static_cast<uint64_t>(command) | (++generation_ << 8);
  page_->command.word.store(word, std::memory_order_release);  // [command]
  for (size_t i = 0; i < pids_.size(); ++i) {
    uint64_t spins = 0;
    while (!stopped_[i] && page_->ack[i].word.load(std::memory_order_acquire) != word + 1) {  // [command]
      if (++spins % 1024 == 0) {
        std::this_thread::yield();
        if (spins % (1024 * 64) == 0) check();
      }
    }
  }
}

void Peers::check() {
  for (size_t i = 0; i < pids_.size(); ++i) {
    int status = 0;
    if (::waitpid(pids_[i], &status, WNOHANG) == pids_[i]) {
      pids_.erase(pids_.begin() + static_cast<std::ptrdiff_t>(i));
      throw Error(Code::kInternal, "benchmark peer ", i, WIFSIGNALED(status) ? " was killed by signal " : " exited with ",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
  }
}

void Peers::stop_process(uint32_t index) {
  ::kill(pids_.at(index), SIGSTOP);
  stopped_[index] = true;
}

void Peers::continue_process(uint32_t index) {
  ::kill(pids_.at(index), SIGCONT);
  stopped_[index] = false;
}

void Peers::quit() {
  command(Command::kQuit);
  for (const pid_t pid : pids_) ::waitpid(pid, nullptr, 0);
  pids_.clear();
  stopped_.clear();
}

}  // namespace tidepool::bench
