// Looks at frames where they lie, without a copy, and prints a line for each.
//
//   consume [STREAM [FRAMES]]      10000, for ever

#include <tidepool/client.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) try {
  const char* const stream = argc > 1 ? argv[1] : "10000";
  const uint64_t frames = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : UINT64_MAX;

  auto client = tidepool::Client::connect();
  auto view = client.consumer({.stream = stream, .follow = tidepool::Follow::kRing});
  for (uint64_t seen = 0; seen < frames;) {
    if (view.wait(std::chrono::milliseconds(100)) != tidepool::PollResult::kFrame) continue;  // nothing, a loss, or a new producer
    const tidepool::FrameView& frame = view.frame();
    double sum = 0;
    for (const uint16_t pixel : frame.as<uint16_t>()) sum += pixel;
    if (!frame.still_valid()) continue;  // overwritten while we looked: what was summed up is not one picture
    const auto drops = view.counters().drops;
    std::printf("frame %llu: %zu bytes, mean %.1f, %llu lost so far\n", static_cast<unsigned long long>(frame.seq()), frame.bytes().size(),
                frame.bytes().empty() ? 0.0 : sum / static_cast<double>(frame.bytes().size() / 2),
                static_cast<unsigned long long>(drops.drops_gap + drops.drops_late));
    ++seen;
  }
} catch (const tidepool::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
