#pragma once
// For tests of this layer: a session on a stage, with a driver's part spoken by hand, real epochs in a directory of the
// test's own and a clock that moves only when told.

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/client/session.h"
#include "tidepool/pool/epoch_files.h"
#include "tidepool/transport/test_media_driver.h"

namespace tidepool::client::testing {

using Sent = std::variant<wire::ShmAttachRequest, wire::ShmDetachRequest, wire::ShmLeaseKeepalive, wire::ConsumerHello, wire::ConsumerConfig,
                          wire::QosConsumer, wire::QosProducer, wire::DataSourceAnnounce, wire::DataSourceMeta, wire::MetaBlobAnnounce,
                          wire::MetaBlobChunk, wire::MetaBlobComplete, wire::ShmPoolAnnounce>;

// Stand for Aeron's, where a session only holds them: nothing may be sent to or polled from them.
struct FakePublication final : transport::Publication {
  explicit FakePublication(Endpoint to) : at(std::move(to)) {}
  Endpoint at;
};
struct FakeSubscription final : transport::Subscription {
  explicit FakeSubscription(Endpoint to) : at(std::move(to)) {}
  Endpoint at;
  bool has_publisher = false;
};

// Keeps what a session sends.
class FakePort final : public Port {
 public:
  transport::SendResult send(const wire::ShmAttachRequest& message) override { return keep(message); }
  transport::SendResult send(const wire::ShmDetachRequest& message) override { return keep(message); }
  transport::SendResult send(const wire::ShmLeaseKeepalive& message) override { return keep(message); }
  transport::SendResult send(const wire::ConsumerHello& message) override { return keep(message); }
  transport::SendResult send(const wire::QosConsumer& message) override { return keep(message); }
  transport::SendResult send(const wire::QosProducer& message) override { return keep(message); }
  transport::SendResult send(const wire::DataSourceAnnounce& message) override { return keep(message); }
  transport::SendResult send(const wire::DataSourceMeta& message) override { return keep(message); }
  transport::SendResult send(const wire::MetaBlobAnnounce& message) override { return keep(message); }
  transport::SendResult send(const wire::MetaBlobChunk& message) override { return keep(message); }
  transport::SendResult send(const wire::MetaBlobComplete& message) override { return keep(message); }
  transport::SendResult send(const wire::ShmPoolAnnounce& message) override { return keep(message); }
  size_t metadata_message_bytes() override { return max_message_bytes; }
  std::shared_ptr<transport::Publication> descriptor_publication(const std::shared_ptr<transport::Publication>&) override {
    if (!plane_error.empty()) throw Error(plane_code, plane_error);
    return nullptr;
  }
  std::shared_ptr<transport::Subscription> descriptor_subscription() override {
    if (!plane_error.empty()) throw Error(plane_code, plane_error);
    return planes_are_real ? open({"shared", 1100}) : nullptr;
  }
  transport::SendResult send(const wire::ConsumerConfig& message) override { return keep(message); }
  std::shared_ptr<transport::Publication> publication(const Endpoint& endpoint) override {
    if (!plane_error.empty()) throw Error(plane_code, plane_error);
    auto made = std::make_shared<FakePublication>(endpoint);
    publications.push_back(made);
    return made;
  }
  std::shared_ptr<transport::Publication> control_publication() override { return control; }
  std::shared_ptr<transport::Subscription> subscription(const Endpoint& endpoint) override {
    if (!plane_error.empty()) throw Error(plane_code, plane_error);
    return open(endpoint);
  }
  bool usable(const transport::Subscription&) const override { return true; }
  bool connected(const transport::Subscription& subscription) const override { return static_cast<const FakeSubscription&>(subscription).has_publisher; }
  std::string surroundings() override { return "control channel aeron:ipc stream 1000\n  start one:  tidepool driver"; }

  // All messages of one kind, oldest first.
  template <typename Message>
  std::vector<Message> all() const {
    std::vector<Message> out;
    for (const Sent& sent : messages) {
      if (const auto* message = std::get_if<Message>(&sent)) out.push_back(*message);
    }
    return out;
  }
  template <typename Message>
  size_t count() const {
    return all<Message>().size();
  }

  transport::SendResult result = transport::SendResult::kOk;  // of every send; only what is kOk is kept
  size_t max_message_bytes = 128 * 1024;
  std::string plane_error;                                    // of opening a plane
  Code plane_code = Code::kUnavailable;
  std::vector<Sent> messages;

  bool planes_are_real = false;  // the shared descriptors are a FakeSubscription, too
  std::shared_ptr<FakePublication> control = std::make_shared<FakePublication>(Endpoint{"control", 1000});
  std::vector<std::weak_ptr<FakePublication>> publications;    // for single consumers, in the order of opening
  std::vector<std::weak_ptr<FakeSubscription>> subscriptions;  // likewise, and the shared ones

 private:
  std::shared_ptr<transport::Subscription> open(const Endpoint& endpoint) {
    auto made = std::make_shared<FakeSubscription>(endpoint);
    subscriptions.push_back(made);
    return made;
  }
  template <typename Message>
  transport::SendResult keep(const Message& message) {
    if (result == transport::SendResult::kOk) messages.emplace_back(message);
    return result;
  }
};

inline constexpr uint32_t kStream = 10000;
inline constexpr uint64_t kPeriodNs = kNsPerSecond;  // of announces and keepalives: the defaults

class Stage {
 public:
  Stage() : files({.base_dir = directory.path(), .reserve = false}) {
    ClientOptions options;
    options.aeron_dir = directory.path();
    options.map_policy.allowed_base_dirs = {directory.path()};
    settings = std::make_unique<Settings>(resolve(options, {}));
  }

  Now now() const { return {.monotonic_ns = t, .realtime_ns = 1'700'000'000 * kNsPerSecond + t}; }

  // A session that has been told to attach. `limit_ns` 0: the first attach may take for ever.
  template <typename SessionType, typename Options>
  std::unique_ptr<SessionType> enter(const Options& options, uint64_t limit_ns = 5 * kNsPerSecond) {
    const RoleSettings role = resolve(options, *settings, {});
    auto session = std::make_unique<SessionType>(role, stream_number(role.stream).value(), *settings, port, std::make_shared<Handover>(),
                                                 limit_ns == 0 ? 0 : t + limit_ns);
    session->connected(now());
    return session;
  }

  // A complete epoch in memory.
  pool::EpochRegions make_epoch(uint64_t epoch, uint32_t stream_id = kStream) {
    auto created = files.create(stream_id, epoch, {.slot_count = 8, .pools = {{.pool_id = 1, .stride_bytes = 4096}}}, t);
    maps.push_back(created.map);
    return created.regions;
  }

  // The driver's OK to the newest request.
  wire::ShmAttachResponse grant(const pool::EpochRegions& regions, uint64_t lease_id = 500) const {
    const auto requests = port.all<wire::ShmAttachRequest>();
    wire::ShmAttachResponse out;
    out.correlation_id = requests.empty() ? 0 : requests.back().correlation_id;
    out.lease_id = lease_id;
    out.lease_expiry_timestamp_ns = t + 3 * kPeriodNs;
    out.stream_id = regions.stream_id;
    out.epoch = regions.epoch;
    out.layout_version = regions.layout_version;
    out.header_nslots = regions.header_nslots;
    out.header_slot_bytes = regions.header_slot_bytes;
    out.node_id = 1;
    out.pools = regions.pools;
    out.header_region_uri = regions.header_region_uri;
    return out;
  }
  wire::ShmAttachResponse refuse(wire::ResponseCode code, const std::string& text) const {
    wire::ShmAttachResponse out;
    out.correlation_id = port.all<wire::ShmAttachRequest>().back().correlation_id;
    out.code = code;
    out.error_message = text;
    return out;
  }
  wire::ShmPoolAnnounce announce(const pool::EpochRegions& regions, uint32_t producer_id = 0) const {
    wire::ShmPoolAnnounce out;
    out.stream_id = regions.stream_id;
    out.producer_id = producer_id;
    out.epoch = regions.epoch;
    out.announce_timestamp_ns = t;
    out.layout_version = regions.layout_version;
    out.header_nslots = regions.header_nslots;
    out.header_slot_bytes = regions.header_slot_bytes;
    out.pools = regions.pools;
    out.header_region_uri = regions.header_region_uri;
    return out;
  }
  wire::ShmLeaseRevoked revoke(uint64_t lease_id, wire::Role role, uint32_t client_id, wire::RevokeReason reason = wire::RevokeReason::expired) const {
    wire::ShmLeaseRevoked out;
    out.timestamp_ns = t;
    out.lease_id = lease_id;
    out.stream_id = kStream;
    out.client_id = client_id;
    out.role = role;
    out.reason = reason;
    return out;
  }

  // Time passes; the session's duty cycle runs in steps, as long as it lasts.
  void pass(Session& session, uint64_t ns, uint64_t step_ns = 50 * kNsPerMs) {
    for (const uint64_t end = t + ns; t < end;) {
      t += std::min(step_ns, end - t);
      session.poll(now());
    }
  }

  // The same, with the driver announcing `current`, and every epoch kept fresh.
  void pass_announced(ConsumerSession& session, uint64_t ns, const pool::EpochRegions& current) {
    for (const uint64_t end = t + ns; t < end;) {
      pass(session, std::min(kPeriodNs / 2, end - t));
      for (auto& made : maps) made->touch_activity(t);
      session.on(announce(current), 0, now());
    }
  }

  transport::testing::TestDir directory;
  pool::EpochFiles files;
  FakePort port;
  std::unique_ptr<Settings> settings;
  std::vector<std::shared_ptr<pool::EpochMap>> maps;  // as the driver has them
  uint64_t t = 1'000 * kNsPerSecond;
};

}  // namespace tidepool::client::testing
