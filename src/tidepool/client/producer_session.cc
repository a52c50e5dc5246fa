// What a producer's session does besides holding its lease: activity, QoS, metadata (W-62, W-86, wire.md 14).
#include <algorithm>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/client/session.h"

namespace tidepool::client {

void ProducerSession::open_planes() {
  if (role_.send_descriptors) publication_ = port().descriptor_publication(nullptr);
}

Attachment ProducerSession::planes() const { return {.publication = publication_, .audience = audience_}; }

void ProducerSession::drop_planes() {
  publication_.reset();
  desk_.clear();  // consumers that come back say hello again
  audience_.reset();
  configs_.clear();
}

void ProducerSession::attached(const Now& now) {
  shm::Doorbell::register_producer();  // parkers' membarriers reach us (rulings P-3)
  map_->touch_activity(now.monotonic_ns);
  desk_.resume(now.monotonic_ns);
  configs_.clear();
  next_activity_ns_ = now.monotonic_ns + role_.activity_interval_ns;
  next_qos_ns_ = now.monotonic_ns;
  next_metadata_ns_ = now.monotonic_ns;
  blobs_.restart();
}

void ProducerSession::announced(const wire::ShmPoolAnnounce& announce, const Now& now) {
  if (lease().own) {
    if (stands_aside(announce, now)) {
      port().tally.leases_lost.add(1);
      lose(now, rival_, TellDriver::kNo);
    }
    return;
  }
  // D-60. An announce of our own epoch under our own id is what we hope to hear.
  if (announce.epoch > lease().epoch) {
    port().tally.leases_lost.add(1);
    lose(now, concat("epoch ", lease().epoch, " is superseded by ", announce.epoch), TellDriver::kDetach);
  } else if (announce.epoch == lease().epoch && announce.producer_id != lease().client_id && announce.announce_timestamp_ns > lease().attached_ns) {
    port().tally.leases_lost.add(1);
    lose(now, concat("client ", announce.producer_id, " is announced as the producer of our epoch ", lease().epoch), TellDriver::kDetach);
  }
}

ConsumerDesk::Rules ProducerSession::desk_rules() const {
  constexpr uint64_t kStaleIntervals = 5;  // W-75
  const Settings& s = settings();
  return {.policy = role_.consumer_streams,
          .shared = {s.control, s.announce, s.descriptor, s.qos, s.metadata},
          .shared_descriptor = s.descriptor,
          .shared_control = s.control,
          .stale_ns = kStaleIntervals * std::max(role_.qos_interval_ns, kNsPerSecond),
          .answer_after_ns = role_.alone() ? 0 : role_.answer_hellos_after_ns,  // D-67 leaves a driver time to answer first
          .follow_others = role_.follow_consumer_config,
          .descriptors = role_.send_descriptors,
          .fallback_uri = role_.payload_fallback_uri,
          .progress_floor = {.interval_ns = uint64_t{role_.progress_hints.interval_us} * 1000,
                             .bytes_delta = role_.progress_hints.bytes_delta,
                             .major_units = role_.progress_hints.major_delta_units}};
}

void ProducerSession::hear(const wire::ConsumerHello& hello, const Sender& from, const Now& now) {
  if (has_lease()) desk_.on(hello, from.session_id, lease().stream_id, now.monotonic_ns);
}

void ProducerSession::hear(const wire::QosConsumer& qos, const Sender&, const Now& now) {
  if (has_lease()) desk_.on(qos, lease().stream_id, now.monotonic_ns);
}

void ProducerSession::hear(const wire::ConsumerConfig& config, const Sender& from, const Now&) {
  if (has_lease() && config.stream_id == lease().stream_id && configs_.size() < ConsumerDesk::kMaxConsumers)
    configs_.emplace_back(config, from.us);
}

// Whoever asks for more than the shared streams (docs/protocols/consumer-streams.md).
int ProducerSession::serve_consumers(const Now& now) {
  int work = static_cast<int>(configs_.size());
  for (const auto& [config, own] : std::exchange(configs_, {})) desk_.on(config, own, lease().stream_id, now.monotonic_ns);
  if (link().take_streams_spent()) desk_.renew_publications();
  work += desk_.poll(lease().stream_id, now.monotonic_ns);
  if (desk_.take_changed()) {
    audience_ = desk_.audience();
    link().streams.consumers.set(desk_.consumer_count());
    link().streams.streams.set(desk_.stream_count());
    publish();
    ++work;
  }
  link().streams.configs_sent.set(desk_.answers());
  return work;
}

int ProducerSession::poll_attached(const Now& now) {
  const uint64_t t = now.monotonic_ns;
  int work = serve_consumers(now);
  if (const auto wish = link().take_remap(); wish && wish->first == lease().epoch) {
    port().tally.leases_lost.add(1);
    lose(now, concat("epoch ", lease().epoch, " holds frames of another writer"), TellDriver::kDetach);  // W-35
    return 1;
  }
  if (link().take_publication_spent() && publication_) {
    try {
      publication_ = port().descriptor_publication(publication_);
      publish();
      ++work;
    } catch (const Error& error) {
      log(LogLevel::kWarn, "client", "no new descriptor publication for ", stream_text(), ": ", error.what());
    }
  }
  if (t >= next_activity_ns_) {  // W-62
    map_->touch_activity(t);
    next_activity_ns_ = t + role_.activity_interval_ns;
    ++work;
  }
  if (t >= next_qos_ns_) {  // W-86
    port().send(wire::QosProducer{.stream_id = lease().stream_id,
                                  .producer_id = lease().client_id,
                                  .epoch = lease().epoch,
                                  .current_seq = link().producer.next_seq.get(),
                                  .watermark = std::nullopt});
    next_qos_ns_ = t + role_.qos_interval_ns;
    ++work;
  }
  if (meta_version_ != 0 && t >= next_metadata_ns_) work += send_metadata(now);
  work += blobs_.step(port(), lease().stream_id, t);
  if (lease().own) work += announce_own(now);
  return work;
}

void ProducerSession::set_data_source(DataSource source, uint32_t meta_version) {
  role_.source = std::move(source);
  meta_version_ = meta_version;
  blobs_.set(role_.source.blobs, meta_version, role_.blob_repeat_ns);
  next_metadata_ns_ = 0;  // at once
}

int ProducerSession::send_metadata(const Now& now) {
  // The announce first, then the attributes under the same version (wire.md 14).
  port().send(wire::DataSourceAnnounce{.stream_id = lease().stream_id,
                                       .producer_id = lease().client_id,
                                       .epoch = lease().epoch,
                                       .meta_version = meta_version_,
                                       .name = role_.source.name,
                                       .summary = role_.source.summary});
  port().send(wire::DataSourceMeta{.stream_id = lease().stream_id,
                                   .meta_version = meta_version_,
                                   .timestamp_ns = clock_now(now),
                                   .attributes = role_.source.attributes});
  next_metadata_ns_ = now.monotonic_ns + role_.activity_interval_ns;
  return 2;
}

}  // namespace tidepool::client
