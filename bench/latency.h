#pragma once
// One-way latency: half of a round trip between two pinned processes.
//
//   ring, descriptors  from commit() to the consumer's poll() that returns the frame; the producer holds the next slot already, as
//                      an acquisition loop does that fills it: it is claimed while the frame is under way
//   ring-claim         from claim(), which reads the clock, through commit() to poll(), one after the other

#include <functional>
#include <string>
#include <vector>

#include "harness.h"
#include "peers.h"

namespace tidepool::bench {

using Progress = std::function<void(const std::string& what)>;

struct LatencyOptions {
  std::vector<uint64_t> sizes_bytes = {64, 4096, 65536, 640 * 1024, 8ull << 20};
  int windows = 21;             // pairs of windows a figure
  uint64_t window_ns = 50'000'000;
};
// All of them at each size, and Aeron IPC beside them; limit: cache-line ping-pong.
std::vector<Result> measure_latency(const LatencyOptions& options, const Progress& progress);

int run_latency_peer(const PeerOptions& options, ControlPage& page);

}  // namespace tidepool::bench
