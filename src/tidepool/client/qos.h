#pragma once
// What others report of themselves on the QoS stream (wire.md 13.2), as values for an application: who produces, who listens,
// who lags, who loses.

#include <cstdint>
#include <optional>
#include <vector>

#include "tidepool/wire/messages.h"

namespace tidepool::client {

// Totals count from the first report that we heard; a peer that starts its counters anew does not set them back (W-86).
struct ProducerQos {
  uint32_t stream_id = 0;
  uint32_t producer_id = 0;
  uint64_t epoch = 0;
  uint64_t next_seq = 0;                  // the next one to be assigned, as reported
  std::optional<uint64_t> watermark = {};  // the producer's own meaning
  uint64_t frames = 0;                    // total
  uint64_t resets = 0;                    // of the producer's sequence: new epochs
  uint64_t reports = 0;
  uint64_t age_ns = 0;                    // of the last report
};

struct ConsumerQos {
  uint32_t stream_id = 0;
  uint32_t consumer_id = 0;
  uint64_t epoch = 0;                     // 0: not mapped
  uint64_t last_seq_seen = 0;
  wire::Mode mode = wire::Mode::unknown;
  uint64_t drops_gap = 0;                 // totals
  uint64_t drops_late = 0;
  uint64_t resets = 0;                    // of the consumer's counters: remaps, restarts
  // Frames that its producer had written and it had not seen, from both last reports: exact to what a producer writes in
  // one QoS interval. nullopt: no producer of that epoch reports.
  std::optional<uint64_t> lag_frames = {};
  uint64_t reports = 0;
  uint64_t age_ns = 0;
};

struct StreamQos {
  std::vector<ProducerQos> producers = {};  // by id
  std::vector<ConsumerQos> consumers = {};
};

}  // namespace tidepool::client
