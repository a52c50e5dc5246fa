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

void ConsumerSession::open_planes() {
  if (role_.follow != Follow::kDescriptors) return;
  if (!subscription_ || subscription_->closed()) subscription_ = port().descriptor_subscription();
}

Attachment ConsumerSession::planes() const { return {.map = nullptr, .publication = nullptr, .subscription = subscription_, .doorbell = nullptr}; }

void ConsumerSession::attached(const Now& now) {
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
    set_phase(Phase::kRemapping, error.what());
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
  next_activity_ns_ = now.monotonic_ns + settings().announce_period_ns;
  const uint64_t activity = map_->activity_ns();
  const uint64_t limit = kStalePeriods * settings().announce_period_ns;
  if (activity != 0 && (activity >= now.monotonic_ns || now.monotonic_ns - activity <= limit)) return;
  unmap(concat("epoch ", map_->epoch(), " shows no activity for more than ", duration_text(limit)),
        {.min_epoch = map_->epoch(), .after_stamp_ns = 0, .deadline_ns = 0});
}

void ConsumerSession::send_hello() {
  wire::ConsumerHello hello;  // SHM, no progress, STREAM, no per-consumer request
  hello.stream_id = lease().stream_id;
  hello.consumer_id = lease().client_id;  // D-66
  hello.expected_layout_version = role_.expected_layout_version;
  port().send(hello);
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
  if (subscription_ && subscription_->closed()) {
    try {
      subscription_ = port().descriptor_subscription();
      publish();
      ++work;
    } catch (const Error& error) {
      port().tally.leases_lost.add(1);
      lose(now, concat("descriptors: ", error.what()), TellDriver::kDetach);
      return work + 1;
    }
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
                                  .mode = wire::Mode::stream});
    next_qos_ns_ = t + role_.qos_interval_ns;
    ++work;
  }
  return work;
}

}  // namespace tidepool::client
