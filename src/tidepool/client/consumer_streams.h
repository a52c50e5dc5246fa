#pragma once
// A consumer's subscriptions, shared and its own: what it asks for, what it was given, and how it gets from one to the other
// without losing a frame (wire.md 10; docs/protocols/consumer-streams.md).
//
// Thread safety: the conductor's thread. Time comes in as an argument.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/client/client.h"
#include "tidepool/client/options.h"
#include "tidepool/transport/connection.h"
#include "tidepool/wire/messages.h"

namespace tidepool::client {

class Port;

class ConsumerStreams {
 public:
  // Both outlive this.
  ConsumerStreams(const RoleSettings& role, const Settings& settings, Port& port);

  // The subscriptions that an attach needs; those that are there and sound stay. Throws Error.
  void open();
  // All of them have gone with the media driver.
  void drop() noexcept;
  // A new lease: nothing is assigned, the wishes stand again.
  void forget_assignments(uint64_t now_ns);

  // What a Hello says about streams, mode and rate.
  void fill(wire::ConsumerHello& hello) const;

  enum class Applied : uint8_t {
    kMalformed,  // a half pair: no effect at all
    kUnchanged,
    kChanged,
  };
  // A Config for us (W-72). Subscriptions are opened before others are left.
  Applied apply(const wire::ConsumerConfig& config, uint64_t now_ns);

  // Follow publishers that came or went. True: what is listened to has changed. Throws Error when the shared stream cannot be
  // subscribed to.
  bool poll(uint64_t now_ns);

  // ---- what the application listens to ----
  const std::shared_ptr<transport::Subscription>& shared() const noexcept { return shared_; }
  const std::shared_ptr<transport::Subscription>& own() const noexcept { return own_; }
  const std::shared_ptr<transport::Subscription>& leaving() const noexcept { return leaving_; }  // an own one, read to its end
  const std::shared_ptr<transport::Subscription>& progress() const noexcept {
    return own_progress_live_ ? own_control_ : shared_control_;
  }

  wire::Mode mode() const noexcept { return mode_; }
  uint32_t max_rate_hz() const noexcept { return mode_ == wire::Mode::rate_limited ? role_.max_rate_hz : 0; }
  bool use_shm() const noexcept { return role_.use_shm && use_shm_; }
  // Empty: none is known.
  const std::string& fallback_uri() const noexcept {
    return config_fallback_.empty() ? role_.payload_fallback_uri : config_fallback_;
  }

  const Endpoint& descriptor_assigned() const noexcept { return descriptor_assigned_; }
  const Endpoint& control_assigned() const noexcept { return control_assigned_; }

 private:
  // What is listened to of an assignment; id 0: none. The channel that was wished for needs no leave of the policy.
  Endpoint judged(const std::string& channel, uint32_t stream_id, const Endpoint& shared, const Endpoint& wish,
                  std::string_view plane) const;
  bool assign_descriptors(const Endpoint& endpoint, uint64_t now_ns);
  bool assign_control(const Endpoint& endpoint);
  bool reads_descriptors() const noexcept { return role_.follow == Follow::kDescriptors; }
  bool wants_progress() const noexcept { return static_cast<bool>(role_.on_progress); }
  bool settled(const std::shared_ptr<transport::Subscription>& subscription, uint64_t& since_ns, uint64_t now_ns) const;

  const RoleSettings& role_;
  const Settings& settings_;
  Port& port_;

  Endpoint descriptor_assigned_, control_assigned_;  // id 0: none
  wire::Mode mode_;
  bool use_shm_ = true;
  std::string config_fallback_;

  std::shared_ptr<transport::Subscription> shared_, own_, leaving_;
  uint64_t shared_since_ns_ = 0, own_since_ns_ = 0;  // has had a publisher since; 0: has none
  uint64_t leave_by_ns_ = 0;
  std::shared_ptr<transport::Subscription> shared_control_, own_control_;
  bool own_progress_live_ = false;
};

}  // namespace tidepool::client
