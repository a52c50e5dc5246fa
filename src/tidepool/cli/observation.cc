#include "tidepool/cli/observation.h"

#include "tidepool/base/clock.h"

namespace tidepool::cli {

using transport::MessageInfo;

ObservedStream* Observation::stream(uint32_t stream_id) {
  const auto at = streams.find(stream_id);
  if (at != streams.end()) return &at->second;
  return streams.size() < kMaxStreams ? &streams[stream_id] : nullptr;
}

ObservedConsumer* Observation::consumer(uint32_t stream_id, uint32_t consumer_id) {
  ObservedStream* const of = stream(stream_id);
  if (of == nullptr || (!of->consumers.contains(consumer_id) && of->consumers.size() >= kMaxConsumers)) return nullptr;
  return &of->consumers[consumer_id];
}

// Two senders may announce (D-62): the highest epoch counts.
void Observation::on(const wire::ShmPoolAnnounce& message, const MessageInfo& info) {
  ObservedStream* const of = stream(message.stream_id);
  if (of == nullptr || (of->announce && message.epoch < of->announce->epoch)) return;
  of->announce = message;
  of->announce_session = info.session_id;
  of->announce_ns = monotonic_ns();
}

void Observation::on(const wire::DataSourceAnnounce& message, const MessageInfo&) {
  if (ObservedStream* const of = stream(message.stream_id); of != nullptr) of->source = message;
}

void Observation::on(const wire::QosProducer& message, const MessageInfo&) {
  ObservedStream* const of = stream(message.stream_id);
  if (of == nullptr) return;
  const uint64_t now_ns = monotonic_ns();
  if (!of->producer || of->producer->epoch != message.epoch || message.current_seq < of->first_seq) {
    of->first_seq = message.current_seq;
    of->first_ns = now_ns;
  }
  of->producer = message;
  of->producer_ns = now_ns;
}

void Observation::on(const wire::QosConsumer& message, const MessageInfo&) {
  ObservedConsumer* const of = consumer(message.stream_id, message.consumer_id);
  if (of == nullptr) return;
  of->qos = message;
  of->reported = true;
  of->heard_ns = monotonic_ns();
}

void Observation::on(const wire::ConsumerHello& message, const MessageInfo&) {
  ObservedConsumer* const of = consumer(message.stream_id, message.consumer_id);
  if (of == nullptr) return;
  if (!of->reported) of->qos.mode = message.mode;
  of->heard_ns = monotonic_ns();
}

void Observation::on(const wire::ShmAttachRequest& message, const MessageInfo&) {
  if (asked_.size() < kMaxLeases) asked_.insert_or_assign(message.correlation_id, message);
}

void Observation::on(const wire::ShmAttachResponse& message, const MessageInfo&) {
  const auto asked = asked_.find(message.correlation_id);
  if (asked == asked_.end()) return;
  if (message.code == wire::ResponseCode::ok && message.lease_id && leases.size() < kMaxLeases) {
    ObservedLease& lease = leases[*message.lease_id];
    lease.lease_id = *message.lease_id;
    lease.stream_id = message.stream_id.value_or(asked->second.stream_id);
    lease.client_id = asked->second.client_id;
    lease.role = asked->second.role;
    lease.node_id = message.node_id;
    lease.epoch = message.epoch;
    lease.heard_ns = monotonic_ns();
  }
  asked_.erase(asked);
}

void Observation::on(const wire::ShmLeaseKeepalive& message, const MessageInfo&) {
  if (!leases.contains(message.lease_id) && leases.size() >= kMaxLeases) return;
  ObservedLease& lease = leases[message.lease_id];
  lease.lease_id = message.lease_id;
  lease.stream_id = message.stream_id;
  lease.client_id = message.client_id;
  lease.role = message.role;
  ++lease.keepalives;
  lease.heard_ns = monotonic_ns();
}

void Observation::on(const wire::ShmLeaseRevoked& message, const MessageInfo&) { leases.erase(message.lease_id); }

void Observation::on(const wire::ShmDriverShutdown&, const MessageInfo&) {
  ++shutdowns;
  leases.clear();  // the notice ends all of them (driver.md 11)
}

}  // namespace tidepool::cli
