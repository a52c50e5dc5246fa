#pragma once
// For tests of this layer and of those above it: a media driver of one's own in a directory of one's own, with times short
// enough for a test and long enough for a busy machine, and waiting that is polling.

#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include "tidepool/base/clock.h"
#include "tidepool/transport/connection.h"
#include "tidepool/transport/media_driver.h"

namespace tidepool::transport::testing {

inline constexpr uint64_t kDeadlineNs = 30 * kNsPerSecond;

// A directory of this test alone, gone with the object.
class TestDir {
 public:
  explicit TestDir(const std::string& parent = "/dev/shm") {
    path_ = parent + "/tidepool-test-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp " + path_);
  }
  ~TestDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestDir(const TestDir&) = delete;
  TestDir& operator=(const TestDir&) = delete;
  const std::string& path() const noexcept { return path_; }
  std::string aeron() const { return path_ + "/aeron"; }

 private:
  std::string path_;
};

inline MediaDriverOptions driver_options(const std::string& dir) {
  MediaDriverOptions options;
  options.dir = dir;
  options.timer_interval_ms = 2;
  options.untethered_window_limit_ms = 20;
  options.untethered_resting_ms = 50;
  return options;
}

inline ConnectionOptions connection_options(const std::string& dir) {
  ConnectionOptions options;
  options.aeron_dir = dir;
  options.add_timeout_ms = 30'000;
  options.client_name = "test";
  return options;
}

// An embedded media driver in a directory of its own.
class TestMediaDriver {
 public:
  TestMediaDriver() { start(); }
  const std::string& dir() const noexcept { return driver_->dir(); }
  void stop() { driver_.reset(); }
  void start() { driver_ = std::make_unique<MediaDriver>(driver_options(directory_.aeron())); }
  std::shared_ptr<Connection> connect() const { return Connection::open(connection_options(directory_.aeron())); }

 private:
  TestDir directory_;
  std::unique_ptr<MediaDriver> driver_;
};

// Calls `work` until it says true; false after a generous deadline. `work` polls whatever must move.
template <typename Work>
[[nodiscard]] bool poll_until(Work&& work) {
  const uint64_t deadline_ns = monotonic_ns() + kDeadlineNs;
  while (!work()) {
    if (monotonic_ns() > deadline_ns) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace tidepool::transport::testing
