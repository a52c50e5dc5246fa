#include "tidepool/client/consumer_streams.h"

#include <algorithm>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/client/endpoints.h"
#include "tidepool/client/session.h"

namespace tidepool::client {
namespace {

// A publisher that was seen for so long has seen us too, so that its frames arrive.
constexpr uint64_t kSwitchSettleNs = 100 * kNsPerMs;
constexpr uint64_t kLeaveNs = kNsPerSecond;

}  // namespace

ConsumerStreams::ConsumerStreams(const RoleSettings& role, const Settings& settings, Port& port)
    : role_(role), settings_(settings), port_(port), mode_(role.mode) {}

void ConsumerStreams::open() {
  if (reads_descriptors() && !own_ && (!shared_ || !port_.usable(*shared_))) shared_ = port_.descriptor_subscription();
  if (wants_progress() && (!shared_control_ || !port_.usable(*shared_control_)))
    shared_control_ = port_.subscription(settings_.control);
}

void ConsumerStreams::drop() noexcept {
  shared_.reset();
  own_.reset();
  leaving_.reset();
  shared_control_.reset();
  own_control_.reset();
  descriptor_assigned_ = control_assigned_ = {};
  shared_since_ns_ = own_since_ns_ = leave_by_ns_ = 0;
  own_progress_live_ = false;
}

void ConsumerStreams::forget_assignments(uint64_t now_ns) {
  assign_descriptors({}, now_ns);
  assign_control({});
  mode_ = role_.mode;
  use_shm_ = true;
  config_fallback_.clear();
}

void ConsumerStreams::fill(wire::ConsumerHello& hello) const {
  hello.supports_shm = role_.use_shm;
  hello.mode = role_.mode;
  // WX-27: 0 in STREAM, since a peer caps whenever it is not.
  hello.max_rate_hz = role_.mode == wire::Mode::rate_limited || mode_ == wire::Mode::rate_limited ? role_.max_rate_hz : 0;
  hello.supports_progress = wants_progress();
  if (hello.supports_progress) {
    hello.progress_interval_us = role_.progress_hints.interval_us;
    hello.progress_bytes_delta = role_.progress_hints.bytes_delta;
    hello.progress_major_delta_units = role_.progress_hints.major_delta_units;
  }
  // The assigned pair instead of the wish (wire.md 10).
  const Endpoint& descriptor = descriptor_assigned_.stream_id != 0 ? descriptor_assigned_ : role_.own_descriptors;
  if (reads_descriptors() && descriptor.stream_id != 0) {
    hello.descriptor_channel = descriptor.channel;
    hello.descriptor_stream_id = static_cast<uint32_t>(descriptor.stream_id);
  }
  const Endpoint& control = control_assigned_.stream_id != 0 ? control_assigned_ : role_.own_control;
  if (control.stream_id != 0) {
    hello.control_channel = control.channel;
    hello.control_stream_id = static_cast<uint32_t>(control.stream_id);
  }
}

Endpoint ConsumerStreams::judged(const std::string& channel, uint32_t stream_id, const Endpoint& shared, const Endpoint& wish,
                                 std::string_view plane) const {
  const Endpoint endpoint{channel, static_cast<int32_t>(stream_id)};
  if (stream_id == 0 || same_stream(endpoint, shared)) return {};  // WX-12
  const Endpoint planes[] = {settings_.control, settings_.announce, settings_.descriptor, settings_.qos, settings_.metadata};
  ConsumerStreamPolicy policy = role_.consumer_streams;
  if (channel == wish.channel) {
    policy.allow_udp = true;
    policy.max_term_length_bytes = UINT64_MAX;
  }
  const std::string why = refusal_of(endpoint, policy, planes);
  if (why.empty()) return endpoint;
  log(LogLevel::kWarn, "client", "a ConsumerConfig assigns ", plane, " on ", printable(channel, 128), " stream ", stream_id,
      ", which is not listened to: ", why);
  return {};
}

ConsumerStreams::Applied ConsumerStreams::apply(const wire::ConsumerConfig& config, uint64_t now_ns) {
  if (pair_of(config.descriptor_channel, config.descriptor_stream_id) == Pair::kHalf ||
      pair_of(config.control_channel, config.control_stream_id) == Pair::kHalf) {
    log(LogLevel::kDebug, "client", "a ConsumerConfig has a half pair: ignored");
    return Applied::kMalformed;
  }
  bool changed = false;
  if (reads_descriptors()) {
    changed |= assign_descriptors(
        judged(config.descriptor_channel, config.descriptor_stream_id, settings_.descriptor, role_.own_descriptors, "descriptors"),
        now_ns);
  }
  changed |=
      assign_control(judged(config.control_channel, config.control_stream_id, settings_.control, role_.own_control, "progress"));
  changed |= std::exchange(mode_, config.mode) != config.mode;
  changed |= std::exchange(use_shm_, config.use_shm) != config.use_shm;
  std::string fallback = config.payload_fallback_uri;
  if (!fallback.empty() && !is_known_fallback(fallback)) {
    log(LogLevel::kWarn, "client", "the payload fallback ", printable(fallback, 128),
        " is neither aeron: nor bridge://: taken as absent");  // W-77
    fallback.clear();
  }
  changed |= std::exchange(config_fallback_, fallback) != fallback;
  return changed ? Applied::kChanged : Applied::kUnchanged;
}

bool ConsumerStreams::assign_descriptors(const Endpoint& endpoint, uint64_t now_ns) {
  if (endpoint == descriptor_assigned_) return false;  // Configs repeat
  std::shared_ptr<transport::Subscription> next;
  try {
    // W-72: the new one before the old one is left. The shared one bridges the time until the new one has a publisher.
    if (endpoint.stream_id != 0) next = port_.subscription(endpoint);
    if (!shared_) {
      shared_ = port_.descriptor_subscription();
      shared_since_ns_ = 0;
    }
  } catch (const Error& error) {
    log(LogLevel::kWarn, "client", "descriptors stay where they are: ", error.what());
    return false;
  }
  descriptor_assigned_ = endpoint;
  if (own_) {
    leaving_ = std::move(own_);
    leave_by_ns_ = now_ns + kLeaveNs;
  }
  own_ = std::move(next);
  own_since_ns_ = 0;
  return true;
}

bool ConsumerStreams::assign_control(const Endpoint& endpoint) {
  if (endpoint == control_assigned_) return false;
  if (wants_progress()) {
    try {
      own_control_ = endpoint.stream_id != 0 ? port_.subscription(endpoint) : nullptr;
    } catch (const Error& error) {
      log(LogLevel::kWarn, "client", "progress stays where it is: ", error.what());
      return false;
    }
    own_progress_live_ = false;  // until it has a publisher
  }
  control_assigned_ = endpoint;
  return true;
}

bool ConsumerStreams::settled(const std::shared_ptr<transport::Subscription>& subscription, uint64_t& since_ns,
                              uint64_t now_ns) const {
  if (!subscription || !port_.connected(*subscription)) {
    since_ns = 0;
    return false;
  }
  if (since_ns == 0) since_ns = now_ns;
  return now_ns - since_ns >= kSwitchSettleNs;
}

bool ConsumerStreams::poll(uint64_t now_ns) {
  bool changed = false;
  if (shared_ && !port_.usable(*shared_)) {
    shared_ = port_.descriptor_subscription();
    shared_since_ns_ = 0;
    changed = true;
  }
  if (own_ || leaving_) {
    const bool shared_settled = settled(shared_, shared_since_ns_, now_ns);
    const bool own_settled = settled(own_, own_since_ns_, now_ns);
    if (leaving_ && ((own_ ? own_settled : shared_settled) || now_ns >= leave_by_ns_)) {
      leaving_.reset();
      changed = true;
    }
    if (own_ && own_since_ns_ == 0 && !shared_) {  // its publisher has gone
      log(LogLevel::kInfo, "client", "nobody publishes on ", descriptor_assigned_.channel, " stream ",
          descriptor_assigned_.stream_id, " any more: back to the shared descriptors");
      shared_ = port_.descriptor_subscription();
      shared_since_ns_ = 0;
      changed = true;
    } else if (own_settled && shared_) {
      shared_.reset();
      changed = true;
    }
  }
  const bool live = own_control_ && port_.connected(*own_control_);
  if (std::exchange(own_progress_live_, live) != live) changed = true;
  return changed;
}

}  // namespace tidepool::client
