#pragma once
// What feeds cost: append, latency, scan, seek, frames; each beside what the machine, or the plainest loop, gives in the same run.
//
//   feed/append/tiered/burst       rows a second, row by row, into memory that was prepared, while another process follows
//   feed/append/tiered/sustained   the same for as long as the disk takes part: until all of it is durable and followed
//   feed/append/durable, memory    sustained, in the two other storage modes
//   feed/latency/spin, park        from append() to the other process' next() that returns the row
//   feed/scan/buffer, column       a range copied out; one column summed in place
//   feed/seek/1e8                  the first row at or after a time among 1e8 rows in 1,000 chunks
//   feed/open/1000chunks           a reader of that feed, opened; with feed/seek
//   feed/frames/1MiB               frames of 1 MiB until they are durable

#include <functional>
#include <string>
#include <vector>

#include "harness.h"
#include "latency.h"

namespace tidepool::bench {

struct FeedBenchOptions {
  std::string directory = "/var/tmp";       // on the disk that is to be measured; a directory of ours is made in it, and removed
  std::string shm_root = "/dev/shm";
  int windows = 9;                          // pairs of windows a figure
  uint64_t burst_rows = 1'000'000;          // a window of feed/append/tiered/burst
  uint64_t sustained_bytes = 1ull << 30;    // a window of what the disk takes part in
  uint64_t latency_window_ns = 50'000'000;
  uint64_t scan_bytes = 256ull << 20;
  uint64_t seek_rows = 100'000'000;
  uint64_t seek_chunks = 1000;
};

// Those whose name begins with one of `wanted`, or all. Throws Error.
std::vector<Result> measure_feeds(const FeedBenchOptions& options, const std::vector<std::string>& wanted, const Progress& progress);

}  // namespace tidepool::bench
