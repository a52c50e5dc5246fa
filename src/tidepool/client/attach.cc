// How a lease begins: request, answers, backoff (driver.md 15.1, 15.2, 16).
#include <algorithm>
#include <atomic>
#include <bit>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/base/random.h"
#include "tidepool/client/correlation.h"
#include "tidepool/client/session.h"

namespace tidepool::client {
namespace {

// D-10, D-56: this text, exactly, asks for another client id.
constexpr std::string_view kClientIdTaken = "client_id already attached";

// Refusals that no waiting changes, as our driver and the peers' word them; any other may pass (a lease that runs out, a
// driver that comes back).
bool is_for_good(const wire::ShmAttachResponse& response) {
  if (response.code == wire::ResponseCode::unsupported || response.code == wire::ResponseCode::invalid_params) return true;
  if (response.code != wire::ResponseCode::rejected) return false;
  static constexpr std::string_view kTexts[] = {"stream not provisioned", "layout version mismatch", "stream_id outside dynamic range",
                                                "hugepages not available", "standard pages requested"};
  return std::find(std::begin(kTexts), std::end(kTexts), response.error_message) != std::end(kTexts);
}

std::string advice_for(const wire::ShmAttachResponse& response, wire::Role role) {
  const std::string_view text = response.error_message;
  if (text == "producer already attached") {
    return "\n  a stream has one producer at a time: stop the other one, or take another stream; a killed one's lease runs out by itself";
  }
  if (text == kClientIdTaken) return "\n  choose another client_id, or 0 for a random one";
  if (text == "stream not provisioned") {
    return concat("\n  name it under [streams.NAME] in the driver's configuration, or let the driver create streams (policies.allow_dynamic_streams",
                  role == wire::Role::consumer ? ", publish_mode existing_or_create)" : ")");
  }
  return {};
}

[[noreturn]] void wrong(std::string_view field, const std::string& found, std::string_view expected) {
  throw Error(Code::kCorrupt, "the driver's answer has ", field, " ", found, ": expected ", expected);
}

}  // namespace

int64_t next_correlation_id() {
  static std::atomic<uint64_t> next{random_u64()};
  for (;;) {
    const uint64_t id = next.fetch_add(1, std::memory_order_relaxed);  // relaxed: unique, no data with it
    if (id != 0) return std::bit_cast<int64_t>(id);
  }
}

pool::EpochRegions check_response(const wire::ShmAttachResponse& response, wire::Role role, uint32_t wanted_stream_id, uint64_t now_ns) {
  const auto present = [](const auto& field, std::string_view name) {
    if (!field) wrong(name, "null", "a value");
  };
  present(response.lease_id, "leaseId");
  present(response.stream_id, "streamId");
  present(response.epoch, "epoch");
  present(response.layout_version, "layoutVersion");
  present(response.header_nslots, "headerNslots");
  present(response.header_slot_bytes, "headerSlotBytes");
  if (*response.lease_id == 0) wrong("leaseId", "0", "a lease");
  if (*response.epoch == 0) wrong("epoch", "0", "an epoch");
  if (*response.stream_id == 0) wrong("streamId", "0", "a stream");
  // A producer adopts the id that a dynamic driver gave it; a consumer wanted that stream and no other (driver.md 12).
  if (role == wire::Role::consumer && *response.stream_id != wanted_stream_id) {
    wrong("streamId", std::to_string(*response.stream_id), std::to_string(wanted_stream_id));
  }
  if (response.lease_expiry_timestamp_ns && *response.lease_expiry_timestamp_ns <= now_ns) {
    wrong("leaseExpiryTimestampNs", std::to_string(*response.lease_expiry_timestamp_ns),
          concat("a time after now, ", now_ns, " (CLOCK_MONOTONIC of this host)"));
  }
  pool::EpochRegions regions = pool::EpochRegions::of(response);
  regions.check();
  return regions;
}

Error Session::no_answer() const {
  return Error(Code::kUnavailable, "cannot attach to ", stream_text(), ": no driver answered within ", duration_text(settings_.attach_timeout_ns), "\n  ",
               port_.surroundings());
}

void Session::begin_attach(const Now& now) {
  try {
    open_planes();
  } catch (const Error& error) {
    attempt_failed(now, error.within("cannot attach to ", stream_text()), error.code() == Code::kInvalidArgument);
    return;
  }
  if (client_id_ == 0) client_id_ = random_id();
  if (role_.alone()) {
    begin_alone(now);
    return;
  }
  // A request that nobody has answered is asked again as it was: the driver may be making the epoch all the while, and a new
  // one would find our own name taken when it is ready, give that lease back and have another epoch made, in circles.
  if (!request_out_ || correlation_client_id_ != client_id_) {
    abandon_request();
    correlation_client_id_ = client_id_;
    correlation_id_ = next_correlation_id();
  }
  attempt_started_ns_ = now.monotonic_ns;
  attempt_deadline_ns_ = now.monotonic_ns + settings_.attach_timeout_ns;
  set_phase(Phase::kAttaching, "asking the driver");
  publish();  // a consumer's descriptors can be drained from now on
  send_attach_request(now);
}

void Session::send_attach_request(const Now& now) {
  // D-53, driver.md 16.2. The same request with the same correlation id each time, so that the driver knows a repeat (5.4).
  const transport::SendResult sent = port_.send(wire::ShmAttachRequest{.correlation_id = correlation_id_,
                                                                       .stream_id = wanted_stream_id_,
                                                                       .client_id = client_id_,
                                                                       .role = static_cast<uint8_t>(role_.role),
                                                                       .expected_layout_version = role_.expected_layout_version,
                                                                       .publish_mode = static_cast<uint8_t>(role_.publish_mode),
                                                                       .require_hugepages = static_cast<uint8_t>(role_.hugepages),
                                                                       .desired_node_id = role_.desired_node_id});
  if (sent == transport::SendResult::kOk) {
    port_.tally.attach_requests.add(1);
    if (request_out_) port_.tally.attach_repeats.add(1);
    request_out_ = true;
  }
  // Not taken (our own subscription may not be connected yet): soon again.
  next_send_ns_ = now.monotonic_ns + (sent == transport::SendResult::kOk ? settings_.attach_retry_ns : std::min(settings_.attach_retry_ns, kNsPerMs));
}

void Session::on(const wire::ShmAttachResponse& response, const Now& now) {
  const bool waiting = phase_ == Phase::kAttaching || (phase_ == Phase::kBackoff && request_out_);
  if (!waiting || response.correlation_id != correlation_id_) {
    answer_abandoned(response);  // a duplicate of what we have (D-55), somebody else's, or too late
    return;
  }
  if (response.code != wire::ResponseCode::ok) {
    refused(response, now);
    return;
  }
  try {
    accept(response, now);
  } catch (const Error& error) {
    port_.tally.unusable.add(1);
    // D-54: fail closed, give the lease back, try again. What the file system or the policy forbids stays forbidden.
    let_go_of_map();
    lease_.reset();
    if (response.lease_id) {
      send_detach({.lease_id = *response.lease_id, .stream_id = response.stream_id.value_or(wanted_stream_id_), .client_id = client_id_},
                  next_correlation_id());
    }
    const bool for_good = error.code() == Code::kPermission || error.code() == Code::kUnsupported || error.code() == Code::kInvalidArgument;
    attempt_failed(now, error.within("cannot attach to ", stream_text()), for_good);
  }
}

void Session::refused(const wire::ShmAttachResponse& response, const Now& now) {
  switch (response.code) {
    case wire::ResponseCode::unsupported: port_.tally.refused_unsupported.add(1); break;
    case wire::ResponseCode::invalid_params: port_.tally.refused_invalid_params.add(1); break;
    case wire::ResponseCode::internal_error: port_.tally.refused_internal_error.add(1); break;
    default: port_.tally.refused_rejected.add(1); break;
  }
  const bool draw_again = response.code == wire::ResponseCode::rejected && response.error_message == kClientIdTaken && role_.client_id == 0;
  if (draw_again) client_id_ = 0;  // D-56
  const std::string text = response.error_message.empty() ? std::string("without a reason") : printable(response.error_message, wire::kMaxErrorMessageBytes);
  const Code code = response.code == wire::ResponseCode::internal_error ? Code::kInternal
                    : response.code == wire::ResponseCode::unsupported  ? Code::kUnsupported
                                                                        : Code::kRejected;
  attempt_failed(now,
                 Error(code, "cannot attach to ", stream_text(), " as ", role_.role == wire::Role::producer ? "its producer" : "a consumer",
                       ": the driver refused (", wire::name_of(response.code), "): ", text, advice_for(response, role_.role)),
                 is_for_good(response));
}

void Session::accept(const wire::ShmAttachResponse& response, const Now& now) {
  const uint64_t t = now.monotonic_ns;
  const pool::EpochRegions regions = check_response(response, role_.role, wanted_stream_id_, t);
  if (role_.expected_layout_version != 0 && regions.layout_version != role_.expected_layout_version) {
    wrong("layoutVersion", std::to_string(regions.layout_version), std::to_string(role_.expected_layout_version));
  }
  map_granted(regions);

  Lease lease{.lease_id = *response.lease_id,
              .stream_id = *response.stream_id,
              .client_id = client_id_,
              .epoch = *response.epoch,
              .attached_ns = t,
              .node_id = response.node_id.value_or(0)};
  // The expiry tells the driver's interval times grace; without one our own are all there is (config.md 7.1).
  lease.grace_ns = response.lease_expiry_timestamp_ns ? *response.lease_expiry_timestamp_ns - t : settings_.keepalive_ns * settings_.grace_intervals;
  lease.interval_ns = std::max<uint64_t>(1, std::min(settings_.keepalive_ns, lease.grace_ns / 3));
  lease.next_keepalive_ns = t;  // the first one at once (15.3)
  lease.deadline_ns = t + lease.grace_ns;
  lease_ = lease;
  request_out_ = false;
  wanted_stream_id_ = lease.stream_id;  // what a dynamic driver gave is asked for from now on
  handover_->set_lease_deadline(lease.deadline_ns);

  if (map_) doorbell_ = open_doorbell(*map_, policy_);
  highest_epoch_ = std::max(highest_epoch_, lease.epoch);
  // The request was sent after any revocation that the granted epoch has already answered.
  mapped_stamp_ns_ = attempt_started_ns_;
  handover_->count_attach();
  if (map_) handover_->count_mapping();
  port_.tally.attaches.add(1);
  attached(now);
  publish();
  if (map_) {
    set_phase(Phase::kAttached, concat("attached as client ", client_id_));
  } else {
    say_why_unmapped();
  }
  succeeded();
}

void Session::map_granted(const pool::EpochRegions& regions) {
  map_ = open_map(regions, {});  // W-63: one window of grace right after an attach
}

std::shared_ptr<shm::Doorbell> open_doorbell(const pool::EpochMap& map, const shm::MapPolicy& policy) {
  // <stream dir>/<epoch>/<pool>: the one path that is derived, since the doorbell is our own extension (rulings P-3).
  std::string path = map.pools().front().region.path();
  for (int up = 0; up < 2; ++up) path.resize(std::min(path.rfind('/'), path.size()));
  if (path.empty() || !policy.contains(path)) return nullptr;
  auto opened = shm::Doorbell::open(path);
  return opened ? std::make_shared<shm::Doorbell>(std::move(*opened)) : nullptr;
}

std::shared_ptr<pool::EpochMap> Session::open_map(const pool::EpochRegions& regions, const pool::Freshness& freshness) const {
  const auto access = role_.role == wire::Role::producer ? shm::Access::kReadWrite : shm::Access::kReadOnly;  // W-30
  return pool::EpochMap::open(regions, access, policy_, freshness);
}

void Session::attempt_failed(const Now& now, Error error, bool for_good) {
  abandon_request();
  if (!decided_) {
    if (for_good) {
      give_up(std::move(error));
      return;
    }
    last_error_ = std::move(error);
    back_off(now, last_error_->what());
  } else {
    back_off(now, error.what());
  }
}

void Session::unanswered(const Now& now) {
  if (!decided_) last_error_ = no_answer();
  back_off(now, no_answer().what());
}

void Session::give_up(Error error) {
  decided_ = true;
  handover_->set_outcome(std::move(error));
  finish();
}

void Session::back_off(const Now& now, const std::string& why) {
  port_.tally.backoffs.add(1);
  // D-56: doubling, with jitter over its upper half, so that the clients of a lost driver do not come back in step.
  backoff_ns_ = std::clamp(backoff_ns_ * 2, settings_.backoff_min_ns, settings_.backoff_max_ns);
  const uint64_t half = backoff_ns_ / 2;
  backoff_until_ns_ = now.monotonic_ns + half + random_u64() % (half + 1);
  if (!last_error_ && !decided_) last_error_ = Error(Code::kUnavailable, why);
  set_phase(Phase::kBackoff, why.substr(0, why.find('\n')));
}

void Session::abandon_request() {
  if (!request_out_) return;
  // Answered ones too: the driver may still grant a repeat that is on its way.
  abandoned_[abandoned_next_++ % abandoned_.size()] = {correlation_id_, correlation_client_id_};
  request_out_ = false;
}

void Session::answer_abandoned(const wire::ShmAttachResponse& response) {
  // An OK for a request we gave up on made a lease that nobody keeps: give it back (driver.md 15.1).
  if (response.code != wire::ResponseCode::ok || !response.lease_id || !response.stream_id) return;
  const auto found = std::find_if(abandoned_.begin(), abandoned_.end(),
                                  [&](const Abandoned& a) { return a.correlation_id != 0 && a.correlation_id == response.correlation_id; });
  if (found == abandoned_.end()) return;
  send_detach({.lease_id = *response.lease_id, .stream_id = *response.stream_id, .client_id = found->client_id}, next_correlation_id());
  *found = {};
}

}  // namespace tidepool::client
