#pragma once
// Remembers who reported what on the QoS stream (W-86). Producers are told apart by (stream, producer id), consumers by
// (stream, consumer id), as supervisors do (wire.md 13.2).
//
// Thread safety: any. Bounded (W-93): beyond kMaxPeers of a kind the one not heard for longest goes.

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "tidepool/client/qos.h"

namespace tidepool::client {

class QosMonitor {
 public:
  static constexpr size_t kMaxPeers = 4096;

  void heard(const wire::QosProducer& report, uint64_t now_ns);
  void heard(const wire::QosConsumer& report, uint64_t now_ns);

  // Who reported on `stream_id` within the last `max_age_ns` before `now_ns`.
  StreamQos of_stream(uint32_t stream_id, uint64_t now_ns, uint64_t max_age_ns) const;

 private:
  using Id = std::pair<uint32_t, uint32_t>;  // stream, peer
  struct Producer {
    ProducerQos qos;
    uint64_t heard_ns = 0;
  };
  struct Consumer {
    ConsumerQos qos;
    uint64_t reported_gap = 0, reported_late = 0;  // the last report's own counters
    uint64_t heard_ns = 0;
  };

  mutable std::mutex mutex_;
  std::map<Id, Producer> producers_;  // GUARDED_BY(mutex_)
  std::map<Id, Consumer> consumers_;  // GUARDED_BY(mutex_)
};

}  // namespace tidepool::client
