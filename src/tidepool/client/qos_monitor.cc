#include "tidepool/client/qos_monitor.h"

#include <algorithm>

namespace tidepool::client {
namespace {

// The entry of `id`; `fresh` if it was made for it.
template <typename Map, typename Id>
auto& entry_of(Map& peers, const Id& id, bool& fresh) {
  const auto found = peers.find(id);
  fresh = found == peers.end();
  if (!fresh) return found->second;
  if (peers.size() >= QosMonitor::kMaxPeers) {
    peers.erase(std::min_element(peers.begin(), peers.end(),
                                 [](const auto& a, const auto& b) { return a.second.heard_ns < b.second.heard_ns; }));
  }
  return peers[id];
}

// What a cumulative counter rose by: lower than before is a counter that began anew (W-86).
uint64_t rise(uint64_t before, uint64_t now) noexcept { return now >= before ? now - before : now; }

}  // namespace

void QosMonitor::heard(const wire::QosProducer& report, uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  bool fresh = false;
  Producer& peer = entry_of(producers_, std::pair(report.stream_id, report.producer_id), fresh);
  ProducerQos& qos = peer.qos;
  if (!fresh) {
    // Sequences begin anew with each epoch (W-36), even where the number happens to be higher.
    const bool anew = report.epoch != qos.epoch || report.current_seq < qos.next_seq;
    qos.resets += anew ? 1 : 0;
    qos.frames += anew ? report.current_seq : report.current_seq - qos.next_seq;
  }
  qos.stream_id = report.stream_id;
  qos.producer_id = report.producer_id;
  qos.epoch = report.epoch;
  qos.next_seq = report.current_seq;
  // WX-38: a peer leaves it unset, which reads as 0.
  qos.watermark = report.watermark && *report.watermark != 0 ? std::optional<uint64_t>(*report.watermark) : std::nullopt;
  ++qos.reports;
  peer.heard_ns = now_ns;
}

void QosMonitor::heard(const wire::QosConsumer& report, uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  bool fresh = false;
  Consumer& peer = entry_of(consumers_, std::pair(report.stream_id, report.consumer_id), fresh);
  ConsumerQos& qos = peer.qos;
  if (!fresh) {
    qos.resets += report.drops_gap < peer.reported_gap || report.drops_late < peer.reported_late ? 1 : 0;
    qos.drops_gap += rise(peer.reported_gap, report.drops_gap);
    qos.drops_late += rise(peer.reported_late, report.drops_late);
  }
  peer.reported_gap = report.drops_gap;
  peer.reported_late = report.drops_late;
  qos.stream_id = report.stream_id;
  qos.consumer_id = report.consumer_id;
  qos.epoch = report.epoch;
  qos.last_seq_seen = report.last_seq_seen;
  qos.mode = report.mode;
  ++qos.reports;
  peer.heard_ns = now_ns;
}

StreamQos QosMonitor::of_stream(uint32_t stream_id, uint64_t now_ns, uint64_t max_age_ns) const {
  StreamQos out;
  const auto age = [&](uint64_t heard_ns) { return now_ns > heard_ns ? now_ns - heard_ns : 0; };
  const std::lock_guard lock(mutex_);
  for (auto peer = producers_.lower_bound({stream_id, 0}); peer != producers_.end() && peer->first.first == stream_id; ++peer) {
    if (age(peer->second.heard_ns) > max_age_ns) continue;
    out.producers.push_back(peer->second.qos);
    out.producers.back().age_ns = age(peer->second.heard_ns);
  }
  for (auto peer = consumers_.lower_bound({stream_id, 0}); peer != consumers_.end() && peer->first.first == stream_id; ++peer) {
    if (age(peer->second.heard_ns) > max_age_ns) continue;
    ConsumerQos qos = peer->second.qos;
    qos.age_ns = age(peer->second.heard_ns);
    const auto producer =
        std::find_if(out.producers.begin(), out.producers.end(), [&](const ProducerQos& p) { return p.epoch == qos.epoch; });
    if (qos.epoch != 0 && producer != out.producers.end()) {
      // A consumer's report may be newer than its producer's.
      qos.lag_frames = producer->next_seq > qos.last_seq_seen ? producer->next_seq - qos.last_seq_seen - 1 : 0;
    }
    out.consumers.push_back(qos);
  }
  return out;
}

}  // namespace tidepool::client
