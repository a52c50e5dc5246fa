#pragma once
// `tidepool demo`: a real video through the whole frame path, with a producer killed half-way, judged by an independent
// decode. demo.cc runs and judges; demo_peer.cc is the producer and the consumers, processes of their own.

#include <cstdint>
#include <string>
#include <vector>

namespace tidepool::cli {

struct Context;

inline constexpr uint32_t kDemoStream = 10000;
// Short, so that a killed producer's lease ends in 0.6 s instead of 3.
inline constexpr uint32_t kDemoKeepaliveMs = 200;
inline constexpr uint32_t kDemoAnnounceMs = 200;

// What a consumer writes down of each frame; the judge reads the file of them.
struct DemoRecord {
  uint64_t epoch = 0;
  uint64_t seq = 0;
  uint64_t trace_id = 0;    // source frame number + 1; 0 without a descriptor
  uint64_t latency_ns = 0;  // commit to sight
  uint64_t bytes = 0;
  uint32_t crc32 = 0;       // of the payload as read in place
  uint32_t pad = 0;
};

struct DemoPeerOptions {
  std::string role;         // "producer" or "consumer"
  std::string world_dir;
  // producer
  std::string video;
  uint64_t first_frame = 0;  // counted over all loops of the video
  uint64_t loop_frames = 0;  // frames in one loop
  uint64_t frames = 0;
  double rate_hz = 0;
  // consumer
  std::string name;
  std::string follow;       // "descriptors" or "ring"
  uint32_t slow_ms = 0;     // sleep after each frame
  uint32_t previews = 0;    // pictures to save, spread over `frames`
};
// Returns its exit code. Producer, on stdout: "attached EPOCH FIRST", "sent N" now and then, "done N". Consumer: "ready",
// then after SIGTERM "done FRAMES GAP LATE SKIPPED REMAPS".
int run_demo_peer(const DemoPeerOptions& options);

struct DemoOptions {
  std::string video;
  uint64_t frames = 3000;
  double rate_hz = 400;
  std::string save_preview;  // PNG
};

struct DemoConsumerResult {
  std::string name;
  std::string follow;
  uint64_t frames = 0;
  uint64_t verified = 0;
  uint64_t bad = 0;
  uint64_t drops_gap = 0;
  uint64_t drops_late = 0;
  uint64_t skipped = 0;
  uint64_t unseen = 0;       // neither seen nor counted: before it was attached, or left in the killed producer's epoch
  uint64_t first_seq = 0;
  uint64_t last_seq = 0;
  uint64_t remaps = 0;
  uint64_t p50_ns = 0, p99_ns = 0, p999_ns = 0;
  double gib_per_s = 0;
};
struct DemoResult {
  bool ok = false;
  std::vector<std::string> faults;  // why not
  std::string video;
  uint64_t source_frames = 0;
  uint64_t frame_bytes = 0;
  uint64_t frames_sent = 0;
  uint64_t frames_distinct = 0;
  uint64_t killed_after = 0;        // frames sent when the producer was killed
  uint64_t takeover_ms = 0;         // from the kill to the next producer's first frame
  double seconds = 0;
  std::vector<DemoConsumerResult> consumers;
};
// Throws Error when it cannot be set up at all.
DemoResult run_demo(const DemoOptions& options, const Context& context);

}  // namespace tidepool::cli
