#pragma once
// For tests of this layer: a driver that says what the test wants, right or wrong, and a foreign producer, over real Aeron
// and real shared memory. All on the test's one thread: the client is an invoker, and whoever waits polls everybody.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/client/client.h"
#include "tidepool/control/dispatch.h"
#include "tidepool/control/sender.h"
#include "tidepool/pool/epoch_files.h"
#include "tidepool/transport/test_media_driver.h"

namespace tidepool::client::testing {

inline constexpr const char* kChannel = "aeron:ipc?term-length=1m";
inline constexpr uint32_t kPeriodMs = 100;  // of announces and keepalives

// Grants every attach request a lease on the current epoch, announces it each period, answers detaches.
class ScriptedDriver {
 public:
  ScriptedDriver(const std::string& aeron_dir, const std::string& base_dir)
      : files({.base_dir = base_dir, .reserve = false}), connection(transport::Connection::open(transport::testing::connection_options(aeron_dir))) {
    in_ = connection->add_subscription(kChannel, 1000);
    qos_in_ = connection->add_subscription(kChannel, 1200);
    metadata_in_ = connection->add_subscription(kChannel, 1300);
    out = std::make_unique<control::Sender>(connection->add_publication(kChannel, 1000));
    bump();
  }

  void poll() {
    connection->poll();
    const auto sink = [&](Bytes message, const transport::MessageInfo& info) { control::dispatch(message, info, *this, counts_); };
    in_->poll(sink, 100);
    qos_in_->poll(sink, 100);
    metadata_in_->poll(sink, 100);
    const uint64_t now_ns = monotonic_ns();
    if (announcing && now_ns >= next_announce_ns_) {
      announce();
      next_announce_ns_ = now_ns + kPeriodMs * kNsPerMs;
    }
    if (refresh_activity) map->touch_activity(now_ns);
  }

  void bump() {
    auto created = files.create(stream_id, files.next_epoch(stream_id, epoch, monotonic_ns()), geometry, monotonic_ns());
    regions = created.regions;
    map = created.map;
    epoch = regions.epoch;
  }
  wire::ShmPoolAnnounce announcement() const {
    wire::ShmPoolAnnounce a;
    a.stream_id = stream_id;
    a.producer_id = producer_id;
    a.epoch = epoch;
    a.announce_timestamp_ns = monotonic_ns();
    a.header_nslots = regions.header_nslots;
    a.pools = regions.pools;
    a.header_region_uri = regions.header_region_uri;
    return a;
  }
  void announce() { (void)out->send(announcement()); }
  void revoke(uint64_t lease_id, uint32_t client_id, wire::Role role, wire::RevokeReason reason) {
    wire::ShmLeaseRevoked revoked;
    revoked.timestamp_ns = monotonic_ns();
    revoked.lease_id = lease_id;
    revoked.stream_id = stream_id;
    revoked.client_id = client_id;
    revoked.role = role;
    revoked.reason = reason;
    (void)out->send(revoked);
  }

  // ---- what it hears
  void on(const wire::ShmAttachRequest& request, const transport::MessageInfo&) {
    if (requests.empty() || requests.back() != request) requests.push_back(request);
    ++requests_heard;
    if (!answering) return;
    if (on_request) {
      on_request(request);
      return;
    }
    grant(request);
  }
  void grant(const wire::ShmAttachRequest& request) {
    if (const auto again = granted_.find(request.correlation_id); again != granted_.end()) {  // a repeat: the same lease (D-17)
      (void)out->owe(again->second);
      return;
    }
    if (request.role == static_cast<uint8_t>(wire::Role::producer)) {
      bump();
      producer_id = request.client_id;
    }
    announce();
    wire::ShmAttachResponse response;
    response.correlation_id = request.correlation_id;
    response.lease_id = ++last_lease_id;
    response.lease_expiry_timestamp_ns = monotonic_ns() + lease_ms * kNsPerMs;
    response.stream_id = stream_id;
    response.epoch = epoch;
    response.layout_version = 1;
    response.header_nslots = regions.header_nslots;
    response.header_slot_bytes = regions.header_slot_bytes;
    response.node_id = 1;
    response.pools = regions.pools;
    response.header_region_uri = regions.header_region_uri;
    granted_.emplace(request.correlation_id, response);
    (void)out->owe(response);
  }
  void refuse(const wire::ShmAttachRequest& request, wire::ResponseCode code, const std::string& text) {
    wire::ShmAttachResponse response;
    response.correlation_id = request.correlation_id;
    response.code = code;
    response.error_message = text;
    (void)out->owe(response);
  }
  void on(const wire::ShmDetachRequest& request, const transport::MessageInfo&) {
    detaches.push_back(request);
    (void)out->owe(wire::ShmDetachResponse{.correlation_id = request.correlation_id, .code = wire::ResponseCode::ok, .error_message = {}});
  }
  void on(const wire::ShmLeaseKeepalive& keepalive, const transport::MessageInfo&) { keepalives.push_back(keepalive); }
  void on(const wire::ShmPoolAnnounce&, const transport::MessageInfo& info) { foreign_announces += info.session_id != out->publication().session_id(); }
  void on(const wire::ConsumerHello& hello, const transport::MessageInfo&) { hellos.push_back(hello); }
  void on(const wire::QosProducer& qos, const transport::MessageInfo&) { producer_qos.push_back(qos); }
  void on(const wire::QosConsumer& qos, const transport::MessageInfo&) { consumer_qos.push_back(qos); }
  void on(const wire::DataSourceAnnounce& source, const transport::MessageInfo&) { sources.push_back(source); }
  void on(const wire::DataSourceMeta& meta, const transport::MessageInfo&) { metas.push_back(meta); }

  pool::EpochFiles files;
  std::shared_ptr<transport::Connection> connection;
  std::unique_ptr<control::Sender> out;
  uint32_t stream_id = 10000;
  pool::Geometry geometry{.slot_count = 8, .pools = {{.pool_id = 1, .stride_bytes = 256}, {.pool_id = 2, .stride_bytes = 4096}}};
  pool::EpochRegions regions;
  std::shared_ptr<pool::EpochMap> map;  // read-write
  uint64_t epoch = 0;
  uint32_t producer_id = 0;
  uint64_t last_lease_id = 1000;
  uint32_t lease_ms = 30'000;  // long: a busy machine shall not end leases by itself
  bool answering = true;
  bool announcing = true;
  bool refresh_activity = true;
  std::function<void(const wire::ShmAttachRequest&)> on_request;  // instead of granting

  std::vector<wire::ShmAttachRequest> requests;  // without repeats
  size_t requests_heard = 0;
  size_t foreign_announces = 0;  // of anybody but this driver
  std::vector<wire::ShmDetachRequest> detaches;
  std::vector<wire::ShmLeaseKeepalive> keepalives;
  std::vector<wire::ConsumerHello> hellos;
  std::vector<wire::QosProducer> producer_qos;
  std::vector<wire::QosConsumer> consumer_qos;
  std::vector<wire::DataSourceAnnounce> sources;
  std::vector<wire::DataSourceMeta> metas;

 private:
  std::shared_ptr<transport::Subscription> in_, qos_in_, metadata_in_;
  control::DispatchCounts counts_;
  std::map<int64_t, wire::ShmAttachResponse> granted_;
  uint64_t next_announce_ns_ = 0;
};

// Options of a client that meets nobody's environment. Time-outs that end a test only if something is wrong are long.
inline ClientOptions client_options(const std::string& aeron_dir, const std::string& base_dir) {
  ClientOptions options;
  options.aeron_dir = aeron_dir;
  options.control = {kChannel, 1000};
  options.announce = {kChannel, 1000};
  options.descriptor = {kChannel, 1100};
  options.qos = {kChannel, 1200};
  options.metadata = {kChannel, 1300};
  options.attach_timeout_ms = 30'000;
  options.attach_retry_interval_ms = 50;
  options.keepalive_interval_ms = kPeriodMs;
  options.announce_period_ms = kPeriodMs;
  options.reattach_backoff_min_ms = 10;
  options.reattach_backoff_max_ms = 100;
  options.map_policy.allowed_base_dirs = {base_dir};
  return options;
}

}  // namespace tidepool::client::testing
