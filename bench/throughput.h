#pragma once
// What publishing costs the producer: copy-in and claim-commit, with consumers that follow, one of them stopped.

#include <vector>

#include "harness.h"
#include "latency.h"

namespace tidepool::bench {

struct ThroughputOptions {
  std::vector<uint64_t> sizes_bytes = {64, 4096, 65536, 640 * 1024, 8ull << 20};
  int windows = 21;
  uint64_t window_ns = 50'000'000;
  int stopped_pairs = 7;
  uint64_t stopped_window_ns = 400'000'000;  // longer than the untethered window limit (rulings P-6)
};
std::vector<Result> measure_throughput(const ThroughputOptions& options, const Progress& progress);

}  // namespace tidepool::bench
