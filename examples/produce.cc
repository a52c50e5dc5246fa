// A camera without a camera: 640 x 480 pixels of 16 bits, a hundred times a second.
//
//   tidepool driver --config examples/driver.toml --embedded     (in another terminal)
//   produce [STREAM [FRAMES]]                                    10000, for ever

#include <tidepool/client.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

int main(int argc, char** argv) try {
  const char* const stream = argc > 1 ? argv[1] : "10000";
  const uint64_t frames = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : UINT64_MAX;

  auto client = tidepool::Client::connect();
  auto camera = client.producer({.stream = stream, .name = "example camera"});
  for (uint64_t n = 0; n < frames;) {
    auto claim = camera.claim({.shape = {480, 640}, .dtype = tidepool::DType::u16});
    if (claim) {
      for (size_t i = 0; i < claim->bytes().size(); i += 2) {  // a moving gradient, written straight into shared memory
        const auto pixel = static_cast<uint16_t>(i / 2 + n * 640);
        std::memcpy(claim->bytes().data() + i, &pixel, sizeof pixel);
      }
      if (camera.commit(*claim) == tidepool::CommitResult::kOk) ++n;
    } else if (claim.error() == tidepool::ClaimError::kTooLarge) {
      std::fprintf(stderr, "stream %s has no pool for this picture: it needs a stride of %llu bytes\n", stream,
                   static_cast<unsigned long long>(claim.needed_stride_bytes()));
      return 1;
    }  // else not attached at the moment: it comes back by itself
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
} catch (const tidepool::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
