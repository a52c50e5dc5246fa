// What a consumer's session does besides holding its lease: which epoch is mapped, and who is told that we are there
// (wire.md 9, 10; driver.md 15.4).
#include <algorithm>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/client/session.h"

namespace tidepool::client {
namespace {

constexpr uint32_t kFreshPeriods = 3;  // for mapping, and to wait for an announced epoch
constexpr uint32_t kStalePeriods = 5;  // before an established mapping is torn down (W-63)

}  // namespace

ConsumerSession::ConsumerSession(RoleSettings role, uint32_t stream_id, const Settings& settings, Port& port,
                                 std::shared_ptr<Handover> handover, uint64_t first_deadline_ns)
    : Session(std::move(role), stream_id, settings, port, std::move(handover), first_deadline_ns) {
  if (!role_.metadata) return;
  metadata_ = std::make_shared<MetadataCache>(MetadataCache::Options{.stream_id = stream_id,
                                                                     .max_bytes = role_.max_metadata_bytes,
                                                                     .max_blob_bytes = role_.max_blob_bytes,
                                                                     .silence_ns = kStalePeriods * settings.announce_period_ns,
                                                                     .on_change = role_.on_metadata});
}

void ConsumerSession::open_planes() { streams_.open(); }

Attachment ConsumerSession::planes() const {
  const uint32_t hz = streams_.max_rate_hz();
  return {.subscription = streams_.shared(),
          .own = streams_.own(),
          .leaving = streams_.leaving(),
          .progress = streams_.progress(),
          .thin_interval_ns = hz != 0 ? kNsPerSecond / hz : 0};
}

void ConsumerSession::drop_planes() {
  streams_.drop();
  configs_.clear();
}

void ConsumerSession::attached(const Now& now) {
  streams_.forget_assignments(now.monotonic_ns);
  link().set_assigned({}, {});
  configs_.clear();
  next_hello_ns_ = now.monotonic_ns;
  next_qos_ns_ = now.monotonic_ns;
  next_activity_ns_ = now.monotonic_ns + kFreshPeriods * settings().announce_period_ns;  // W-63: one window of grace
  map_backoff_ns_ = 0;
  next_map_ns_ = 0;
}

pool::Freshness ConsumerSession::freshness(const Now& now, uint32_t periods) const {
  return {.now_ns = now.monotonic_ns, .max_age_ns = periods * settings().announce_period_ns};
}

void ConsumerSession::announced(const wire::ShmPoolAnnounce& announce, const Now& now) {
  if (!streams_.use_shm()) return;  // W-77: nothing is mapped until a Config allows it again
  if (map_ && announce.epoch == map_->epoch()) {
    // W-58: look again at what we have; never map it anew.
    const bool grace = now.monotonic_ns < lease().attached_ns + kFreshPeriods * settings().announce_period_ns;
    try {
      map_->revalidate(grace ? pool::Freshness{} : freshness(now, kStalePeriods));
    } catch (const Error& error) {
      // W-63: stale content is distrusted until it is fresh again. W-64: a change waits for a later announce.
      const bool stale = error.code() == Code::kUnavailable;
      unmap(error.what(), {.min_epoch = announce.epoch, .after_stamp_ns = stale ? 0 : announce.announce_timestamp_ns, .deadline_ns = 0});
    }
    return;
  }
  if (map_ && announce.epoch > map_->epoch()) {
    unmap(concat("epoch ", announce.epoch, " is announced"), {.min_epoch = announce.epoch, .after_stamp_ns = 0, .deadline_ns = 0});
  }
  if (!map_) map_announced(announce, now);
}

void ConsumerSession::map_announced(const wire::ShmPoolAnnounce& announce, const Now& now) {
  if (announce.epoch < awaited_.min_epoch || announce.announce_timestamp_ns <= awaited_.after_stamp_ns || now.monotonic_ns < next_map_ns_) return;
  try {
    map_ = open_map(pool::EpochRegions::of(announce), freshness(now, kFreshPeriods));
  } catch (const Error& error) {
    // wire.md 9.1: again at a later announce, not at every one.
    map_backoff_ns_ = std::clamp(map_backoff_ns_ * 2, settings().backoff_min_ns, settings().backoff_max_ns);
    next_map_ns_ = now.monotonic_ns + map_backoff_ns_;
    if (undecided()) map_error_ = error;
    log(LogLevel::kWarn, "client", "cannot map epoch ", announce.epoch, " of ", stream_text(), ": ", error.what());
    if (error.code() != Code::kUnavailable && !streams_.fallback_uri().empty()) {  // stale content alone passes by itself
      awaited_ = {.min_epoch = announce.epoch + 1, .after_stamp_ns = 0, .deadline_ns = 0};
      unmapped_because_ = error.what();
      go_without_shm(unmapped_because_);
    } else {
      set_phase(Phase::kRemapping, error.what());
    }
    return;
  }
  doorbell_ = open_doorbell(*map_, policy_);
  const bool our_clock = announce.clock_domain == wire::ClockDomain::monotonic;
  mapped_stamp_ns_ = our_clock ? announce.announce_timestamp_ns : now.monotonic_ns;
  map_backoff_ns_ = 0;
  next_map_ns_ = 0;
  next_activity_ns_ = now.monotonic_ns + settings().announce_period_ns;
  next_hello_ns_ = now.monotonic_ns;  // W-68: after every remap
  link().count_mapping();
  publish();
  set_phase(Phase::kAttached, concat("mapped the announced epoch, producer ", announce.producer_id));
  if (lease().own) succeeded();
}

void ConsumerSession::unmap(const std::string& why, const Awaited& awaited) {
  // W-59: what is in flight is void; nothing is accepted until the next mapping.
  let_go_of_map();
  awaited_ = awaited;
  publish();
  set_phase(Phase::kRemapping, why);
}

void ConsumerSession::producer_revoked(const wire::ShmLeaseRevoked& revoked, const Now& now) {
  // D-59. Stamps are equal when the driver did both in one duty cycle: then the epoch that we have already answers it.
  if (!map_ || revoked.timestamp_ns <= mapped_stamp_ns_) return;
  unmap(concat("the producer's lease ended: ", wire::name_of(revoked.reason)),
        {.min_epoch = map_->epoch() + 1, .after_stamp_ns = 0, .deadline_ns = now.monotonic_ns + kFreshPeriods * settings().announce_period_ns});
}

void ConsumerSession::check_activity(const Now& now) {
  // Announces may be rare or absent: what they would make us look at is looked at each period all the same.
  next_activity_ns_ = now.monotonic_ns + settings().announce_period_ns;
  try {
    map_->revalidate(freshness(now, kStalePeriods));
  } catch (const Error& error) {
    const bool stale = error.code() == Code::kUnavailable;  // W-63; else W-64: what is announced from now on counts
    // A driver that has announced nothing since the attach may have died before it did: asking again tells (D-61 counts from a first one).
    const bool unheard = !lease().own && lease().last_announce_ns == 0;
    unmap(error.what(), {.min_epoch = map_->epoch(),
                         .after_stamp_ns = stale ? 0 : now.monotonic_ns,
                         .deadline_ns = unheard ? now.monotonic_ns + kFreshPeriods * settings().announce_period_ns : 0});
  }
}

void ConsumerSession::send_hello() {
  wire::ConsumerHello hello;
  hello.stream_id = lease().stream_id;
  hello.consumer_id = lease().client_id;  // D-66
  hello.expected_layout_version = role_.expected_layout_version;
  streams_.fill(hello);
  port().send(hello);
}

// ---- without shared memory (W-77) ------------------------------------------------------------------------------------------

void ConsumerSession::map_granted(const pool::EpochRegions& regions) {
  unmapped_because_.clear();
  if (!role_.use_shm) return;
  try {
    Session::map_granted(regions);
  } catch (const Error& error) {
    if (role_.payload_fallback_uri.empty()) throw;
    log(LogLevel::kWarn, "client", "cannot map epoch ", regions.epoch, " of ", stream_text(), ": ", error.what());
    unmapped_because_ = error.what();
    awaited_ = {.min_epoch = regions.epoch + 1, .after_stamp_ns = 0, .deadline_ns = 0};
  }
}

void ConsumerSession::say_why_unmapped() {
  go_without_shm(!unmapped_because_.empty() ? unmapped_because_ : "shared memory is switched off (use_shm)");
}

void ConsumerSession::go_without_shm(const std::string& why) {
  let_go_of_map();
  publish();
  if (!streams_.fallback_uri().empty()) {
    set_phase(Phase::kFallback, concat(why, "; the payload is at ", printable(streams_.fallback_uri(), 256)));
  } else {
    set_phase(Phase::kUnreachable,
              concat(why, "; no payload fallback is known: set payload_fallback_uri, here, at the producer or at the driver"));
  }
}

// ---- what others say (wire.md 10) ------------------------------------------------------------------------------------------

void ConsumerSession::hear(const wire::ConsumerHello& hello, const Sender& from, const Now& now) {
  somebody_is(hello.stream_id, hello.consumer_id, from, now);
}
void ConsumerSession::hear(const wire::QosConsumer& qos, const Sender& from, const Now& now) {
  somebody_is(qos.stream_id, qos.consumer_id, from, now);
}

void ConsumerSession::somebody_is(uint32_t stream_id, uint32_t consumer_id, const Sender& from, const Now& now) {
  if (from.us || !has_lease() || phase_ == Phase::kDetaching || stream_id != lease().stream_id || consumer_id != lease().client_id)
    return;
  if (change_client_id(now, concat("somebody else goes by our consumer id ", consumer_id)) || std::exchange(said_collision_, true))
    return;
  log(LogLevel::kWarn, "client", "somebody else is consumer ", consumer_id, " of ", stream_text(),
      " too: what is meant for one will reach both; give one of them another client_id, or 0 for a random one");
}

void ConsumerSession::hear(const wire::ConsumerConfig& config, const Sender&, const Now&) {
  constexpr size_t kMaxConfigs = 64;
  if (!has_lease() || config.stream_id != lease().stream_id || config.consumer_id != lease().client_id) return;
  if (configs_.size() == kMaxConfigs) configs_.erase(configs_.begin());  // the last one counts
  configs_.push_back(config);
}

void ConsumerSession::apply(const wire::ConsumerConfig& config, const Now& now) {
  const bool used_shm = streams_.use_shm();
  if (streams_.apply(config, now.monotonic_ns) != ConsumerStreams::Applied::kChanged) return;
  link().set_assigned(streams_.descriptor_assigned(), streams_.control_assigned());
  if (!streams_.use_shm()) {
    go_without_shm(role_.use_shm ? "shared memory is forbidden by a ConsumerConfig" : "shared memory is switched off (use_shm)");
  } else if (!used_shm) {
    awaited_ = {};
    publish();
    set_phase(Phase::kRemapping, "a ConsumerConfig allows shared memory again");
  } else if (phase_ == Phase::kFallback || phase_ == Phase::kUnreachable) {
    go_without_shm(unmapped_because_);  // where the payload is may have changed
  } else {
    publish();
  }
}

int ConsumerSession::poll_attached(const Now& now) {
  const uint64_t t = now.monotonic_ns;
  int work = 0;
  if (const auto wish = link().take_remap(); wish && map_ && map_->epoch() == wish->first) {
    const bool newer = wish->second == RemapReason::kNewerEpoch;
    unmap(newer ? "a descriptor of a later epoch came" : "the sequence went back within the epoch",
          {.min_epoch = map_->epoch() + (newer ? 1 : 0), .after_stamp_ns = 0, .deadline_ns = t + kFreshPeriods * settings().announce_period_ns});
    ++work;
  }
  if (lease().own) forget_the_silent(now);
  if (!map_ && awaited_.deadline_ns != 0 && t >= awaited_.deadline_ns) {
    port().tally.leases_lost.add(1);
    lose(now, concat("no new epoch was announced for ", duration_text(kFreshPeriods * settings().announce_period_ns)), TellDriver::kDetach);
    return work + 1;
  }
  for (const wire::ConsumerConfig& config : std::exchange(configs_, {})) {
    apply(config, now);
    ++work;
  }
  try {
    if (streams_.poll(t)) {
      publish();
      ++work;
    }
  } catch (const Error& error) {
    port().tally.leases_lost.add(1);
    lose(now, concat("descriptors: ", error.what()), TellDriver::kDetach);
    return work + 1;
  }
  if (map_ && t >= next_activity_ns_) check_activity(now);
  if (t >= next_hello_ns_) {  // W-68
    send_hello();
    next_hello_ns_ = t + role_.hello_interval_ns;
    ++work;
  }
  if (t >= next_qos_ns_) {  // W-86
    const ConsumerCells& seen = link().consumer;
    port().send(wire::QosConsumer{.stream_id = lease().stream_id,
                                  .consumer_id = lease().client_id,
                                  .epoch = map_ ? map_->epoch() : 0,
                                  .last_seq_seen = seen.last_seq.get(),
                                  .drops_gap = seen.drops_gap.get(),
                                  .drops_late = seen.drops_late.get(),
                                  .mode = streams_.mode()});
    next_qos_ns_ = t + role_.qos_interval_ns;
    ++work;
  }
  return work;
}

}  // namespace tidepool::client
