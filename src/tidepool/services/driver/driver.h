#pragma once
// The driver: owner of region files, epochs and leases of its streams (driver.md; docs/protocols/driver.md). Decides; never
// touches payload.
//
// Thread safety: one thread polls and calls all else. Lifetime: the destructor sends the shutdown notice if shutdown() was not
// called. A thread of its own makes and removes epochs, so that poll() does not wait for gigabytes.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/base/agent.h"
#include "tidepool/base/clock.h"
#include "tidepool/services/driver/config.h"
#include "tidepool/wire/messages.h"

namespace tidepool::driver {

// What is no key of the configuration.
struct DriverOptions {
  std::optional<uint64_t> media_driver_timeout_ms = {};  // over policies.media_driver_timeout_ms
};

struct DriverCounts {
  uint64_t attach_responses[5] = {};   // by response code
  uint64_t detach_responses = 0;
  uint64_t keepalives = 0;             // accepted
  uint64_t keepalives_ignored = 0;     // no live lease matches
  uint64_t unknown_lease_notices = 0;
  uint64_t leases_revoked[4] = {};     // by reason; index 0 unused
  uint64_t leases_dropped = 0;         // with a lost media driver: nobody could be told
  uint64_t announces = 0;
  uint64_t consumer_configs = 0;       // answers to hellos
  uint64_t hellos_ignored = 0;         // of nobody who holds a consumer lease on that stream
  uint64_t epochs_created = 0;
  uint64_t epochs_failed = 0;
  uint64_t epochs_collected = 0;
  uint64_t bytes_provisioned = 0;
  uint64_t malformed = 0;              // messages of our schemas that contradict their tables, or of another version
  uint64_t foreign_responses = 0;      // attach responses of another driver on our control stream (D-68)
  uint64_t shutdown_requests_ignored = 0;
  uint64_t requests_refused = 0;       // unanswered: too much is owed already (D-6)
  uint64_t requests_failed = 0;        // serving them threw: out of memory, most likely
  uint64_t regions_damaged = 0;        // own regions that somebody cut, replaced or overwrote: rebuilt
  uint64_t reconnects = 0;             // to a media driver that came back
};

// What somebody who asks is shown.
struct LeaseStatus {
  uint64_t lease_id = 0;
  uint32_t stream_id = 0;
  uint32_t client_id = 0;
  wire::Role role = wire::Role::producer;
  uint32_t node_id = 0;
  uint64_t expiry_ns = 0;
  uint32_t descriptor_stream_id = 0;  // of its own; 0: the shared stream
  uint32_t control_stream_id = 0;
};
struct StreamStatus {
  uint32_t stream_id = 0;
  std::string profile;
  uint64_t epoch = 0;           // 0: not provisioned yet
  uint64_t bytes_per_epoch = 0;
  uint32_t producer_client_id = 0;
  uint32_t consumers = 0;
  bool dynamic = false;
};

class Driver final : public Agent {
 public:
  // Takes the namespace lock (rulings P-7), connects to the media driver, opens its planes, sweeps leftovers (P-8).
  // Throws Error: kInvalidArgument (every problem of the configuration), kRejected (another driver holds the namespace: its
  // pid and name), kUnavailable (no media driver), kNoSpace (one epoch of the static streams cannot fit the file system),
  // kPermission.
  explicit Driver(DriverConfig config, const Clock& clock = SystemClock::instance(), DriverOptions options = {});
  ~Driver() override;

  // One duty cycle (driver.md 4): clock, finished epochs, control until it is empty, expiry, announces, shutdown, sending. A
  // media driver that dies is waited for, with every lease dropped. Does not throw.
  int poll() override;
  std::string_view name() const noexcept override { return "driver"; }

  enum class Lifecycle : uint8_t { kRunning, kDraining, kStopped };
  Lifecycle lifecycle() const noexcept;
  // Is there a media driver at the moment?
  bool connected() const noexcept;
  // Begin draining; poll() goes on until kStopped. drain_now: send the notice in the next poll (a signal).
  void shutdown(wire::ShutdownReason reason, std::string text, bool drain_now);

  // End a lease (driver.md 6.2, REVOKED): its holder is told `text` and must attach again; nothing keeps it from doing so. False:
  // no such lease, or too much is owed already (ask again).
  bool revoke(uint64_t lease_id, std::string text);

  const DriverCounts& counts() const noexcept;
  size_t messages_owed() const noexcept;
  std::vector<LeaseStatus> leases() const;
  std::vector<StreamStatus> streams() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidepool::driver
