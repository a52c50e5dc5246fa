#pragma once
// The other processes of a benchmark: this same binary, started again as `tidepool bench-peer`, told what to do through a
// shared page.

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tidepool::bench {

enum class Command : uint64_t { kIdle = 0, kLimit, kRing, kRingClaim, kDescriptors, kAeron, kFollow, kQuit };
constexpr Command command_of(uint64_t word) { return static_cast<Command>(word & 0xff); }

inline constexpr size_t kMaxPeers = 64;

// One writer a line.
struct alignas(64) Line {
  std::atomic<uint64_t> word{0};
  std::atomic<uint64_t> more[7] = {};
};
static_assert(sizeof(Line) == 64);

// The page: leader and peers map it shared. Every word has one writer.
//   [command] leader's command release -> peer's load acquire; the peer's ack release -> leader's load acquire
struct ControlPage {
  Line command;          // leader: Command | generation << 8
  Line ping, pong;       // the limit: leader writes ping, peer answers in pong
  Line ack[kMaxPeers];   // peer: the command word that it now obeys
  Line stats[kMaxPeers]; // peer: frames, lost, detached
};

struct PeerOptions {
  std::string world_dir;
  std::string role;      // "latency" or "consumer"
  uint32_t index = 0;
  int cpu = -1;          // pin to it; -1: do not
  bool sleep = false;    // consumer: sleep between polls instead of spinning
};
// What `tidepool bench-peer` runs. Returns its exit code.
int run_peer(const PeerOptions& options);

inline constexpr uint32_t kRingToPeer = 10001, kRingToLeader = 10002, kDescriptorsToPeer = 10003, kDescriptorsToLeader = 10004;
inline constexpr uint32_t kThroughputStream = 10010;
inline constexpr int32_t kAeronToPeer = 2001, kAeronToLeader = 2002;
inline constexpr uint32_t kBenchLeaseMs = 10'000;  // keepalive interval: a peer stopped for seconds keeps its lease

// The leader's side: makes the page, starts and ends peers.
class Peers {
 public:
  explicit Peers(const std::string& world_dir);
  ~Peers();
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;

  void start(const PeerOptions& options);         // returns when the peer has attached
  void command(Command command);                  // returns when every running peer obeys
  void check();                                   // throws Error if a peer is gone
  void stop_process(uint32_t index);              // SIGSTOP
  void continue_process(uint32_t index);
  void quit();
  ControlPage& page() noexcept { return *page_; }
  size_t count() const noexcept { return pids_.size(); }

 private:
  ControlPage* page_ = nullptr;
  std::string world_dir_;
  std::vector<pid_t> pids_;
  std::vector<bool> stopped_;
  uint64_t generation_ = 0;
};

}  // namespace tidepool::bench
