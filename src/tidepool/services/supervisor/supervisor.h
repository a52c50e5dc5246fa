#pragma once
// The supervisor: watches producers and consumers, answers ConsumerHello with policy, and reports who has gone (driver.md 13, 19;
// operations.md 8; docs/protocols/supervisor.md). It has no authority over leases, epochs or files (D-69).
//
// Thread safety: one thread polls and calls all else. Lifetime: holds nothing but its Aeron client and read-only mappings.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/base/agent.h"
#include "tidepool/base/clock.h"
#include "tidepool/services/supervisor/config.h"
#include "tidepool/wire/messages.h"

namespace tidepool::supervisor {

struct SupervisorOptions {
  // Answer hellos. False where a driver on the same control stream does so itself, which knows who holds a lease (D-51): then what
  // it answers is noted.
  bool answers = true;
  std::optional<uint64_t> media_driver_timeout_ms = {};  // 10 s: silent for this long is dead
};

struct SupervisorCounts {
  uint64_t configs_sent = 0;
  uint64_t configs_dropped = 0;    // nobody heard the control stream
  uint64_t hellos = 0;
  uint64_t planes_assigned = 0;    // per-consumer descriptor or control streams
  uint64_t planes_declined = 0;
  uint64_t consumers_refused = 0;  // table full (consumer_capacity)
  uint64_t id_collisions = 0;      // one consumer id of a stream from two Aeron sessions (W-69)
  uint64_t liveness_checks = 0;
  uint64_t consumers_stale = 0;
  uint64_t producers_stale = 0;
  uint64_t malformed = 0;
  uint64_t reconnects = 0;
};

struct AssignedPlane {
  std::string channel = {};
  uint32_t stream_id = 0;  // 0: none
  bool operator==(const AssignedPlane&) const = default;
};

struct ConsumerStatus {
  uint32_t stream_id = 0;
  uint32_t consumer_id = 0;
  uint64_t epoch = 0;
  wire::Mode mode = wire::Mode::stream;  // as answered
  bool use_shm = true;
  AssignedPlane descriptor, control;
  uint64_t last_seq = 0;
  uint64_t drops_gap = 0;      // summed over counter resets (W-86)
  uint64_t drops_late = 0;
  uint64_t last_hello_ns = 0;  // monotonic; 0: none
  uint64_t last_qos_ns = 0;
  std::optional<uint64_t> lag; // frames behind the producer, same epoch
  bool stale = false;
};

struct ProducerStatus {
  uint32_t stream_id = 0;
  uint32_t producer_id = 0;
  uint64_t epoch = 0;
  uint64_t current_seq = 0;
  std::string name;
  uint64_t last_announce_ns = 0;
  uint64_t last_qos_ns = 0;
  std::optional<uint64_t> activity_age_ns;  // from the superblock, where the memory is local
  bool stale = false;
};

class Supervisor final : public Agent {
 public:
  static constexpr size_t kMaxProducers = 4096;

  // Connects to the media driver. Throws Error kUnavailable, kInvalidArgument.
  explicit Supervisor(SupervisorConfig config, const Clock& clock = SystemClock::instance(), SupervisorOptions options = {});
  ~Supervisor() override;

  // One duty cycle. A media driver that dies is waited for, with all that was known kept to grow stale. Does not throw.
  int poll() override;
  std::string_view name() const noexcept override { return "supervisor"; }

  bool connected() const noexcept;
  const SupervisorCounts& counts() const noexcept;
  std::vector<ConsumerStatus> consumers() const;  // by stream, then id
  std::vector<ProducerStatus> producers() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidepool::supervisor
