#pragma once
// Client and driver together, over a media driver and shared memory of the test's own.

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tidepool/base/agent.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/process.h"
#include "tidepool/client.h"
#include "tidepool/services/driver/driver.h"
#include "tidepool/transport/test_media_driver.h"

namespace tidepool::driver_lab {

using namespace std::chrono_literals;
using transport::testing::poll_until;
using transport::testing::TestDir;

inline constexpr const char* kChannel = "aeron:ipc?term-length=1m";
inline constexpr uint32_t kStream = 10000;
inline constexpr uint32_t kSlots = 64;
// Leases live 5 s here and silence is long, so that a busy machine ends none of them; tests about the end say otherwise.
inline constexpr uint32_t kPeriodMs = 250;
inline constexpr uint64_t kMediaDriverTimeoutMs = 2'000;

// A driver on a thread of its own, which may be frozen as a crash would.
class DriverAtWork {
 public:
  template <typename Look>
  auto locked(Look&& look) {
    const std::lock_guard lock(mutex_);
    return look(driver_);
  }
  explicit DriverAtWork(const driver::DriverConfig& config)
      : driver_(config, SystemClock::instance(), {.media_driver_timeout_ms = kMediaDriverTimeoutMs}), thread_([this](const std::stop_token& stop) {
          Idler idler(Idle::kBackoff);
          while (!stop.stop_requested()) idler.idle(frozen_ ? 0 : locked([](driver::Driver& d) { return d.poll(); }));
        }) {}
  void freeze() { frozen_ = true; }
 private:
  std::mutex mutex_;
  driver::Driver driver_;
  std::atomic<bool> frozen_{false};
  std::jthread thread_;
};

class Lab {
 public:
  explicit Lab(bool start = true) {
    if (!start) return;
    start_media_driver();
    start_driver();
  }
  ~Lab() {
    driver.reset();
    media.reset();
  }
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  void start_media_driver() { media = std::make_unique<transport::MediaDriver>(transport::testing::driver_options(directory.aeron())); }
  driver::DriverConfig config(const std::string& name_space = "default") const {
    driver::DriverConfig out;
    out.aeron_dir = directory.aeron();
    out.control_channel = kChannel;
    out.qos_channel = kChannel;
    out.base_dir = directory.path();
    out.name_space = name_space;
    out.announce_period_ms = kPeriodMs;
    out.lease_keepalive_interval_ms = kPeriodMs;
    out.lease_expiry_grace_intervals = 20;
    out.node_id_reuse_cooldown_ms = 0;
    out.epoch_gc_min_age_ns = 1;
    out.prefault_shm = false;
    out.shutdown_timeout_ms = 1;
    out.profiles = {{"small", {.slot_count = kSlots, .pools = {{.pool_id = 1, .stride_bytes = 1024}, {.pool_id = 2, .stride_bytes = 65536}}}}};
    out.streams = {{"cam1", kStream, "small"}, {"cam2", kStream + 1, "small"}};
    return out;
  }
  void start_driver() { driver = std::make_unique<DriverAtWork>(config()); }

  client::ClientOptions options() const {
    client::ClientOptions out;
    out.aeron_dir = directory.aeron();
    out.control = {kChannel, 1000};
    out.announce = {kChannel, 1000};
    out.descriptor = {kChannel, 1100};
    out.qos = {kChannel, 1200};
    out.metadata = {kChannel, 1300};
    out.attach_timeout_ms = 30'000;
    out.attach_retry_interval_ms = 50;
    out.keepalive_interval_ms = kPeriodMs;
    out.announce_period_ms = kPeriodMs;
    out.reattach_backoff_min_ms = 20;
    out.reattach_backoff_max_ms = 100;
    out.media_driver_timeout_ms = kMediaDriverTimeoutMs;
    out.map_policy.allowed_base_dirs = {directory.path()};
    return out;
  }
  Client connect() const { return Client::connect(options()); }
  // A driver that ends a silent lease after 300 ms, and a client that is silent unless the test polls it.
  Client connect_undriven() {
    driver::DriverConfig short_leases = config();
    short_leases.lease_keepalive_interval_ms = 100;
    short_leases.lease_expiry_grace_intervals = 3;
    driver = std::make_unique<DriverAtWork>(short_leases);
    client::ClientOptions undriven = options();
    undriven.invoker = true;
    return Client::connect(undriven);
  }
  [[nodiscard]] bool ends_all_leases() {
    return poll_until([this] { return driver->locked([](auto& d) { return d.leases().empty(); }); });
  }
  std::string stream_path(const std::string& name_space = "default") const {
    return concat(directory.path(), "/tensorpool-", sanitised_user_name(), "/", name_space, "/", kStream);
  }

  TestDir directory;
  std::unique_ptr<transport::MediaDriver> media;
  std::unique_ptr<DriverAtWork> driver;
};

// Every 8 bytes tell frame and place.
inline void fill(MutableBytes to, uint64_t seq) {
  for (size_t at = 0; at + 8 <= to.size(); at += 8) {
    const uint64_t word = seq * 0x9E3779B97F4A7C15u + at;
    std::memcpy(to.data() + at, &word, sizeof word);
  }
}
inline ::testing::AssertionResult holds(Bytes bytes, uint64_t seq) {
  for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    if (word != seq * 0x9E3779B97F4A7C15u + at) return ::testing::AssertionFailure() << "frame " << seq << " differs at byte " << at;
  }
  return ::testing::AssertionSuccess();
}

inline const wire::TensorHeader kFrame = wire::contiguous(DType::u16, std::vector<int32_t>{16, 16});

inline CommitResult publish(Producer& producer) {
  auto claim = producer.claim(kFrame);
  if (!claim) return CommitResult::kDetached;
  fill(claim->bytes(), claim->seq());
  return producer.commit(*claim);
}

// Publishes now and then until the consumer sees a frame of the producer's epoch. True when it did.
inline bool meet(Producer& producer, Consumer& consumer) {
  return poll_until([&] {
    (void)publish(producer);
    return consumer.wait(2ms) == PollResult::kFrame && consumer.frame().epoch() == producer.epoch();
  });
}

// Takes everything that is there.
inline void drain(Consumer& consumer) {
  for (auto result = consumer.poll(); result == PollResult::kFrame || result == PollResult::kDropped; result = consumer.poll()) {
  }
}

class BothWays : public ::testing::TestWithParam<Follow> {
 protected:
  ConsumerOptions following() const { return {.follow = GetParam()}; }
};

}  // namespace tidepool::driver_lab
