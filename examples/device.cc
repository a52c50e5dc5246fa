// A device that writes by itself: a frame grabber whose SDK wants to know its buffers beforehand, keeps some of them and gives
// each back when it is full. Here a thread plays the device.
//
//   device [STREAM [FRAMES]]      10000, for ever; makes its own pools: no tidepool driver needed
//   tidepool subscribe --stream 10000 --no-driver

#include <tidepool/client.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

namespace {

constexpr size_t kFrameBytes = 640 * 480 * 2;
constexpr size_t kQueued = 4;  // buffers that the device holds at any time

// What a vendor's SDK looks like: register memory, queue buffers, wait for the next full one.
class Grabber {
 public:
  void register_memory(void* base, size_t bytes) {  // an SDK would pin these pages for DMA
    base_ = static_cast<char*>(base);
    bytes_ = bytes;
  }
  void queue(void* buffer) {
    const std::lock_guard lock(mutex_);
    empty_.push_back(static_cast<char*>(buffer));
    changed_.notify_all();
  }
  void* wait() {  // nullptr: nothing came
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::milliseconds(100), [&] { return !full_.empty(); })) return nullptr;
    char* const buffer = full_.front();
    full_.pop_front();
    return buffer;
  }
  void forget_all() {  // stop, and give every buffer back: afterwards the device writes no more
    const std::lock_guard lock(mutex_);
    empty_.clear();
    full_.clear();
  }

 private:
  void run(const std::stop_token& stop) {
    for (int n = 0; !stop.stop_requested(); ++n) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      const std::lock_guard lock(mutex_);
      if (empty_.empty() || empty_.front() < base_ || empty_.front() >= base_ + bytes_) continue;
      std::memset(empty_.front(), n, kFrameBytes);
      full_.push_back(empty_.front());
      empty_.pop_front();
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<char*> empty_, full_;
  char* base_ = nullptr;
  size_t bytes_ = 0;
  std::jthread thread_{[this](const std::stop_token& stop) { run(stop); }};  // last: it uses the others
};

}  // namespace

int main(int argc, char** argv) try {
  const char* const stream = argc > 1 ? argv[1] : "10000";
  const uint64_t frames = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : UINT64_MAX;

  auto client = tidepool::Client::connect();
  auto camera = client.producer({.stream = stream, .name = "grabber", .own_pools = tidepool::OwnPools{.slot_count = 16}});
  std::optional<tidepool::SlotBuffers> buffers;  // keeps the memory that the device knows
  std::deque<tidepool::Claim> claims;            // lent to the device, oldest first
  Grabber grabber;                               // after them: it stops before they go

  for (uint64_t sent = 0; sent < frames;) {
    if (!buffers || !buffers->alive()) {  // at first, and after a loss: another epoch, other memory
      grabber.forget_all();
      claims.clear();
      buffers = camera.buffers();
      if (!buffers) {  // not attached at the moment: it comes back by itself
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        continue;
      }
      const auto& pool = buffers->pools().front();
      grabber.register_memory(pool.bytes.data(), pool.bytes.size());
    }
    while (claims.size() < kQueued) {
      auto claim = camera.claim({.shape = {480, 640}, .dtype = tidepool::DType::u16});
      if (!claim) break;
      grabber.queue(claim->bytes().data());
      claims.push_back(std::move(*claim));
    }
    if (claims.empty() || grabber.wait() == nullptr) continue;
    // A grabber fills its buffers in the order in which it got them, and that is the order in which claims are committed.
    if (camera.commit(claims.front()) == tidepool::CommitResult::kOk) ++sent;
    claims.pop_front();
  }
  grabber.forget_all();
} catch (const tidepool::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
