#pragma once
// For tests of this layer: a client and a scripted driver, all on the test's one thread.

#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <vector>

#include "tidepool/client/test_peer.h"

namespace tidepool::client::testing {

using pool::ClaimError;
using pool::CommitResult;
using transport::testing::poll_until;
using transport::testing::TestDir;
using transport::testing::TestMediaDriver;

inline wire::TensorHeader bytes_tensor(int32_t length) { return wire::contiguous(wire::DType::u8, std::vector<int32_t>{length}); }

// Bytes that tell which frame they belong to.
inline std::vector<std::byte> payload_of(uint64_t seq, size_t length = 64) {
  std::vector<std::byte> out(length);
  for (size_t i = 0; i < length; ++i) out[i] = static_cast<std::byte>(seq * 31 + i);
  return out;
}

struct ClientTest : ::testing::Test {
  ClientOptions options() {
    ClientOptions out = client_options(media.dir(), shm.path());
    out.invoker = true;
    out.keep_waiting = [this] {
      driver.poll();
      return true;
    };
    return out;
  }
  // Until `done`, with everybody at work.
  template <typename Done>
  [[nodiscard]] bool until(Done&& done) {
    return poll_until([&] {
      driver.poll();
      client.poll();
      return done();
    });
  }
  // Everybody works until the driver has heard something that was sent after now: whatever was said before has arrived.
  [[nodiscard]] bool settle() {
    const size_t heard = driver.keepalives.size();
    return until([&] { return driver.keepalives.size() >= heard + 2; });
  }

  // Leases go back while nothing else calls the driver.
  void TearDown() override { driver_at_work = at_work(); }
  std::jthread at_work() {
    return std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) driver.poll();
    });
  }
  template <typename Role>
  void let_go(std::optional<Role>& role) {
    const std::jthread working = at_work();
    role.reset();
  }

  TestMediaDriver media;
  TestDir shm;
  ScriptedDriver driver{media.dir(), shm.path()};
  std::jthread driver_at_work;
  Client client = Client::connect(options());
};

}  // namespace tidepool::client::testing
