// A lease's life after it was granted: keepalives, events, loss, detach (driver.md 15.3 to 15.6). attach.cc has its beginning.
#include "tidepool/client/session.h"

#include <algorithm>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/client/correlation.h"

namespace tidepool::client {
namespace {

constexpr uint64_t kDetachTimeoutNs = kNsPerSecond;  // D-65
constexpr uint64_t kSilentPeriods = 5;               // of announces: the driver is lost (D-61)

}  // namespace

Session::Session(RoleSettings role, uint32_t stream_id, const Settings& settings, Port& port, std::shared_ptr<Handover> handover,
                 uint64_t first_deadline_ns)
    : role_(std::move(role)),
      settings_(settings),
      port_(port),
      handover_(std::move(handover)),
      first_deadline_ns_(first_deadline_ns),
      wanted_stream_id_(stream_id),
      client_id_(role_.client_id) {
  auto options = settings_.policy.options();
  options.lock_memory = role_.lock_memory;
  policy_ = shm::MapPolicy(std::move(options));
  set_phase(Phase::kConnecting, "waiting for a media driver");
}

Session::~Session() { let_go_of_map(); }

std::string Session::stream_text() const { return concat("stream ", lease_ ? lease_->stream_id : wanted_stream_id_); }

void Session::set_phase(Phase phase, const std::string& why) {
  phase_ = phase;
  State state = State::kClosed;
  switch (phase) {
    case Phase::kConnecting: state = State::kConnecting; break;
    case Phase::kAttaching: state = State::kAttaching; break;
    case Phase::kAttached: state = State::kAttached; break;
    case Phase::kRemapping: state = State::kRemapping; break;
    case Phase::kFallback: state = State::kFallback; break;
    case Phase::kUnreachable: state = State::kUnreachable; break;
    case Phase::kBackoff: state = State::kBackoff; break;
    case Phase::kDetaching:
    case Phase::kClosed: state = State::kClosed; break;
  }
  const uint64_t epoch = map_ ? map_->epoch() : 0;
  const uint32_t stream_id = lease_ ? lease_->stream_id : wanted_stream_id_;
  const std::string fallback = phase == Phase::kFallback ? fallback_uri() : std::string();
  const bool changed = handover_->state() != state || handover_->epoch() != epoch || handover_->fallback_uri() != fallback;
  handover_->set_state(state, epoch, stream_id, why, fallback);
  log(LogLevel::kDebug, "client", wire::name_of(role_.role), " of stream ", stream_id, ": ", name_of(state), ", epoch ", epoch, ": ", why);
  if (!changed || !role_.on_state) return;
  try {
    role_.on_state({state, stream_id, epoch, why, fallback});
  } catch (const std::exception& e) {
    log(LogLevel::kError, "client", "on_state of stream ", stream_id, " threw: ", e.what());
  } catch (...) {
    log(LogLevel::kError, "client", "on_state of stream ", stream_id, " threw");
  }
}

void Session::publish() {
  Attachment next = planes();
  next.map = map_;
  next.doorbell = doorbell_;
  handover_->publish(std::move(next));
}

void Session::let_go_of_map() noexcept {
  if (map_) map_->mark_dead();
  map_.reset();
  doorbell_.reset();
}

void Session::connected(const Now& now) {
  if (phase_ == Phase::kConnecting) begin_attach(now);
}

void Session::disconnected(const std::string& why) {
  if (phase_ == Phase::kClosed) return;
  let_go_of_map();
  lease_.reset();
  highest_epoch_ = 0;
  request_out_ = false;
  abandoned_.fill({});  // answers to them went with the media driver
  drop_planes();
  publish();
  if (phase_ == Phase::kDetaching) {
    finish();
  } else {
    set_phase(Phase::kConnecting, why);
  }
}

int Session::poll(const Now& now) {
  const uint64_t gap_ns = last_poll_ns_ == 0 ? 0 : now.monotonic_ns - last_poll_ns_;
  last_poll_ns_ = now.monotonic_ns;
  // We were not listening for so long (a stopped process, an invoker that was not polled): silence begins anew.
  if (lease_ && lease_->last_announce_ns != 0 && gap_ns > settings_.announce_period_ns) lease_->last_announce_ns = now.monotonic_ns;

  const uint64_t t = now.monotonic_ns;
  const bool too_late = !decided_ && first_deadline_ns_ != 0 && t >= first_deadline_ns_;
  switch (phase_) {
    case Phase::kConnecting:
      if (too_late) give_up(last_error_ ? *last_error_ : Error(Code::kUnavailable, "cannot attach to ", stream_text(), ": ", handover_->why()));
      return 0;
    case Phase::kAttaching:
      if (role_.alone()) return poll_alone(now);
      if (too_late) {
        port_.tally.unanswered.add(1);
        give_up(last_error_ ? *last_error_ : no_answer());
      } else if (t >= attempt_deadline_ns_) {
        port_.tally.unanswered.add(1);
        unanswered(now);
      } else if (t >= next_send_ns_) {
        send_attach_request(now);
        return 1;
      }
      return 0;
    case Phase::kBackoff:
      if (too_late) {
        give_up(*last_error_);
      } else if (t >= backoff_until_ns_) {
        begin_attach(now);
        return 1;
      }
      return 0;
    case Phase::kAttached:
    case Phase::kRemapping:
    case Phase::kFallback:
    case Phase::kUnreachable:
      if (lease_->own) {
        if (!too_late) return poll_attached(now);
        give_up(nothing_came());
        return 1;
      }
      if (!keep_alive(now)) return 1;
      if (lease_->last_announce_ns != 0 && t - lease_->last_announce_ns > kSilentPeriods * settings_.announce_period_ns) {
        highest_epoch_ = 0;  // a driver with lower epochs may be followed (driver.md 23, 9)
        port_.tally.driver_losses.add(1);
        lose(now, concat("the driver has announced nothing for ", duration_text(kSilentPeriods * settings_.announce_period_ns), ": taken for dead"),
             TellDriver::kDetach);
        return 1;
      }
      return poll_attached(now);
    case Phase::kDetaching:
      if (!detach_sent_) send_detach(*lease_, detach_correlation_id_);
      if (t >= detach_deadline_ns_) finish();
      return 0;
    case Phase::kClosed: return 0;
  }
  return 0;
}

bool Session::keep_alive(const Now& now) {
  const uint64_t t = now.monotonic_ns;
  Lease& lease = *lease_;
  if (t > lease.deadline_ns) {
    port_.tally.leases_lost.add(1);
    lose(now, concat("no keepalive went out for ", duration_text(lease.grace_ns), ", the life of the lease"), TellDriver::kDetach);
    return false;
  }
  if (t < lease.next_keepalive_ns) return true;
  const transport::SendResult sent = port_.send(wire::ShmLeaseKeepalive{.lease_id = lease.lease_id,
                                                                        .stream_id = lease.stream_id,
                                                                        .client_id = lease.client_id,
                                                                        .role = static_cast<uint8_t>(role_.role),
                                                                        .client_timestamp_ns = t});
  switch (sent) {
    case transport::SendResult::kOk:
      lease.failing_since_ns = 0;
      lease.next_keepalive_ns = t + lease.interval_ns;
      lease.deadline_ns = t + lease.grace_ns;
      handover_->set_lease_deadline(lease.deadline_ns);
      return true;
    case transport::SendResult::kBackPressured:
    case transport::SendResult::kAdminAction:
      if (lease.failing_since_ns == 0) lease.failing_since_ns = t;
      if (t - lease.failing_since_ns <= lease.interval_ns) return true;  // again in the next poll
      break;
    default: break;
  }
  port_.tally.leases_lost.add(1);
  lose(now, concat("a keepalive could not be sent: ", transport::name_of(sent)), TellDriver::kDetach);
  return false;
}

void Session::lose(const Now& now, const std::string& why, TellDriver tell) {
  let_go_of_map();
  if (lease_ && tell == TellDriver::kDetach) send_detach(*lease_, next_correlation_id());  // best effort: it may hold our name
  lease_.reset();
  publish();
  back_off(now, why);
}

bool Session::change_client_id(const Now& now, const std::string& why) {
  if (role_.client_id != 0 || !lease_) return false;
  client_id_ = 0;  // drawn anew by the next attach
  lose(now, why, TellDriver::kDetach);
  return true;
}

void Session::send_detach(const Lease& lease, int64_t correlation_id) {
  if (lease.own) return;
  detach_sent_ = port_.send(wire::ShmDetachRequest{.correlation_id = correlation_id,
                                                   .lease_id = lease.lease_id,
                                                   .stream_id = lease.stream_id,
                                                   .client_id = lease.client_id,
                                                   .role = static_cast<uint8_t>(role_.role)}) == transport::SendResult::kOk;
}

void Session::close(const Now& now) {
  if (phase_ == Phase::kDetaching || phase_ == Phase::kClosed) return;
  let_go_of_map();  // nothing more is published from here on (driver.md 15.6)
  publish();
  if (!lease_ || lease_->own) {
    finish();  // an answer that is still to come makes a lease that expires by itself
    return;
  }
  detach_correlation_id_ = next_correlation_id();
  detach_deadline_ns_ = now.monotonic_ns + kDetachTimeoutNs;
  set_phase(Phase::kDetaching, "closing");
  send_detach(*lease_, detach_correlation_id_);
}

void Session::hold_own_lease(uint64_t epoch, uint64_t attached_ns) {
  Lease lease;
  lease.stream_id = wanted_stream_id_;
  lease.client_id = client_id_;
  lease.epoch = epoch;
  lease.attached_ns = attached_ns;
  lease.own = true;
  lease_ = lease;
  handover_->set_lease_deadline(0);
}

Error Session::nothing_came() const {
  return last_error_ ? *last_error_ : Error(Code::kUnavailable, "cannot attach to ", stream_text(), ": ", handover_->why());
}

void Session::succeeded() {
  backoff_ns_ = 0;
  if (decided_) return;
  decided_ = true;
  handover_->set_outcome(std::nullopt);
}

void Session::finish() {
  let_go_of_map();
  lease_.reset();
  drop_planes();
  end_alone();
  handover_->publish({});
  set_phase(Phase::kClosed, "closed");
  handover_->set_finished();
}

void Session::on(const wire::ShmDetachResponse& response) {
  // Whatever its code: the lease is not ours any more (driver.md 15.4).
  if (phase_ == Phase::kDetaching && response.correlation_id == detach_correlation_id_) finish();
}

void Session::on(const wire::ShmLeaseRevoked& revoked, const Now& now) {
  if (!lease_ || phase_ == Phase::kDetaching) return;
  if (!lease_->own && revoked.lease_id == lease_->lease_id) {  // D-58: by lease id alone, and once: it is forgotten now
    if (revoked.stream_id != lease_->stream_id || revoked.client_id != lease_->client_id || revoked.role != role_.role) return;
    port_.tally.leases_revoked.add(1);
    lose(now,
         concat("the driver ended the lease: ", wire::name_of(revoked.reason), revoked.error_message.empty() ? "" : ": ",
                printable(revoked.error_message)),
         TellDriver::kNo);
  } else if (revoked.role == wire::Role::producer && revoked.stream_id == lease_->stream_id) {
    producer_revoked(revoked, now);
  } else if (revoked.role == wire::Role::consumer && revoked.stream_id == lease_->stream_id) {
    consumer_revoked(revoked);
  }
}

void Session::on(const wire::ShmDriverShutdown& shutdown, const Now& now) {
  if (!lease_ || phase_ == Phase::kDetaching) return;
  if (lease_->own && role_.role == wire::Role::producer) return;  // not our driver: it made nothing of ours
  highest_epoch_ = 0;
  port_.tally.driver_losses.add(1);
  lose(now, concat("the driver has shut down", shutdown.error_message.empty() ? "" : ": ", printable(shutdown.error_message)), TellDriver::kNo);
}

void Session::on(const wire::ShmPoolAnnounce& announce, uint64_t joined_ns, const Now& now) {
  const AnnounceRules rules{.stream_id = lease_ ? lease_->stream_id : wanted_stream_id_,
                            .expected_layout_version = role_.expected_layout_version,
                            .freshness_ns = role_.freshness_ns != 0 ? role_.freshness_ns : 3 * settings_.announce_period_ns,
                            .highest_epoch = highest_epoch_};
  const AnnounceVerdict verdict = judge(announce, rules, joined_ns, now.monotonic_ns, now.realtime_ns);
  if (verdict == AnnounceVerdict::kOtherStream) return;
  if (verdict != AnnounceVerdict::kAccepted) {
    refused_ = verdict;
    log(LogLevel::kDebug, "client", "announce of ", stream_text(), " epoch ", announce.epoch, " ignored: ", name_of(verdict));
    return;
  }
  if (!lease_ && role_.alone() && phase_ != Phase::kClosed) overheard(announce, now);
  if (!lease_ || phase_ == Phase::kDetaching) return;
  highest_epoch_ = std::max(highest_epoch_, announce.epoch);
  lease_->last_announce_ns = now.monotonic_ns;
  announced(announce, now);
}

}  // namespace tidepool::client
