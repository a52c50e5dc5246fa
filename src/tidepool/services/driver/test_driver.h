#pragma once
// The driver from outside: a bare protocol client on a real media driver, time standing still until told.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tidepool/base/process.h"
#include "tidepool/base/random.h"
#include "tidepool/services/driver/driver.h"
#include "tidepool/services/driver/test_world.h"
#include "tidepool/shm/uri.h"
#include "tidepool/wire/shm_layout.h"

namespace tidepool::driver::testing {

namespace fs = std::filesystem;
using transport::testing::poll_until;
using transport::testing::TestDir;
using transport::testing::TestMediaDriver;
using wire::PublishMode;
using wire::ResponseCode;
using wire::RevokeReason;
using wire::Role;

inline constexpr const char* kChannel = "aeron:ipc?term-length=128k";
inline constexpr uint32_t kPeriodMs = 1000;

class DriverTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { media_ = new TestMediaDriver; }
  static void TearDownTestSuite() {
    delete media_;
    media_ = nullptr;
  }

  DriverTest() : control_stream_(next_stream_ += 10) {}

  DriverConfig config() const {
    DriverConfig c;
    c.instance_id = "driver-under-test";
    c.aeron_dir = media_->dir();
    c.control_channel = kChannel;
    c.control_stream_id = control_stream_;
    c.base_dir = dir_.path();
    c.announce_period_ms = kPeriodMs;
    c.profiles = {{"small", {16, {{1, 4096}}}}, {"two", {8, {{1, 256}, {7, 1024}}}}};
    c.streams = {{"left", 10, "small"}, {"right", 11, "two"}};
    return c;
  }
  DriverConfig dynamic_config() const {
    auto c = config();
    c.allow_dynamic_streams = true;
    c.stream_id_range = {{20000, 20002}};
    return c;
  }

  void start(DriverConfig c) {
    driver_ = std::make_unique<Driver>(c, clock_);
    client_ = std::make_unique<RawClient>(c.aeron_dir, c.control_channel, c.control_stream_id, c.effective_announce_stream_id());
    client_->while_full = [this] {
      driver_->poll();
      client_->poll();
    };
    ASSERT_TRUE(poll_until([&] {
      driver_->poll();
      return driver_->connected();
    }));
  }
  void start() { start(config()); }

  // Let driver and client run until `done`.
  template <typename Done>
  [[nodiscard]] bool run_until(Done&& done) {
    return poll_until([&] {
      driver_->poll();
      client_->poll();
      return done();
    });
  }

  wire::ShmAttachRequest request(uint32_t stream_id, uint32_t client_id, Role role) {
    wire::ShmAttachRequest r;
    r.correlation_id = ++correlation_;
    r.stream_id = stream_id;
    r.client_id = client_id;
    r.role = static_cast<uint8_t>(role);
    r.publish_mode = static_cast<uint8_t>(PublishMode::existing_or_create);
    return r;
  }
  std::vector<wire::ShmAttachResponse> answers(int64_t correlation_id) const {
    std::vector<wire::ShmAttachResponse> out;
    for (auto& r : client_->all<wire::ShmAttachResponse>())
      if (r.correlation_id == correlation_id) out.push_back(std::move(r));
    return out;
  }
  wire::ShmAttachResponse ask(const wire::ShmAttachRequest& r) {
    const size_t before = answers(r.correlation_id).size();
    client_->send(r);
    EXPECT_TRUE(run_until([&] { return answers(r.correlation_id).size() > before; })) << client_->story();
    const auto all = answers(r.correlation_id);
    return all.empty() ? wire::ShmAttachResponse{} : all.back();
  }
  wire::ShmAttachResponse attach(uint32_t stream_id, uint32_t client_id, Role role) {
    auto response = ask(request(stream_id, client_id, role));
    EXPECT_EQ(response.code, ResponseCode::ok) << response.error_message;
    return response;
  }
  wire::ShmDetachResponse detach(const wire::ShmDetachRequest& r) {
    const auto of = [&] {
      std::vector<wire::ShmDetachResponse> out;
      for (auto& d : client_->all<wire::ShmDetachResponse>())
        if (d.correlation_id == r.correlation_id) out.push_back(d);
      return out;
    };
    const size_t before = of().size();
    client_->send(r);
    EXPECT_TRUE(run_until([&] { return of().size() > before; })) << client_->story();
    return of().empty() ? wire::ShmDetachResponse{} : of().back();
  }
  wire::ShmDetachRequest detach_request(const wire::ShmAttachResponse& lease, uint32_t client_id, Role role) {
    return {++correlation_, *lease.lease_id, *lease.stream_id, client_id, static_cast<uint8_t>(role)};
  }
  void keepalive(const wire::ShmAttachResponse& lease, uint32_t client_id, Role role) {
    client_->send(wire::ShmLeaseKeepalive{*lease.lease_id, *lease.stream_id, client_id, static_cast<uint8_t>(role), 0});
  }
  // Everything sent before has been read and answered when this returns (epochs being made apart): the log has one order.
  void fence() {
    auto r = request(10, 1, Role::consumer);
    r.role = 9;
    client_->send(r);
    ASSERT_TRUE(run_until([&] { return !answers(r.correlation_id).empty(); }));
    client_->heard.erase(std::remove_if(client_->heard.begin(), client_->heard.end(),
                                        [&](const Heard& one) {
                                          const auto* a = std::get_if<wire::ShmAttachResponse>(&one);
                                          return a != nullptr && a->correlation_id == r.correlation_id;
                                        }),
                         client_->heard.end());
  }
  StreamStatus status(uint32_t stream_id) const {
    for (const auto& s : driver_->streams())
      if (s.stream_id == stream_id) return s;
    return {};
  }

  fs::path namespace_path() const { return fs::path(dir_.path()) / ("tensorpool-" + sanitised_user_name()) / "default"; }
  std::vector<uint64_t> epochs_on_disk(uint32_t stream_id) const {
    std::vector<uint64_t> out;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(namespace_path() / std::to_string(stream_id), ignored))
      if (entry.is_directory()) out.push_back(std::stoull(entry.path().filename().string()));
    std::sort(out.begin(), out.end());
    return out;
  }
  static wire::Superblock superblock(const std::string& uri) {
    std::ifstream file(shm::Uri::parse(uri).path, std::ios::binary);
    std::byte bytes[wire::kSuperblockBytes] = {};
    file.read(reinterpret_cast<char*>(bytes), sizeof bytes);
    EXPECT_TRUE(file.good());
    return wire::decode_superblock(bytes);
  }

  static inline TestMediaDriver* media_ = nullptr;
  static inline int32_t next_stream_ = 1000;

  TestDir dir_;
  StillClock clock_;
  int32_t control_stream_;
  int64_t correlation_ = static_cast<int64_t>(random_u64() >> 8);
  std::unique_ptr<Driver> driver_;
  std::unique_ptr<RawClient> client_;
};

}  // namespace tidepool::driver::testing
