// A producer without a driver: it makes its epoch, announces it and steps aside for nobody but a rival (wire.md 1, 7.5, 9;
// W-14, W-15, W-31 to W-35, W-65, W-67, W-91).
#include <algorithm>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/client/session.h"

namespace tidepool::client {
namespace {

constexpr uint32_t kAgePeriods = 3;      // of announces: before an old epoch is removed (wire.md 9.6)
constexpr uint32_t kRivalPeriods = 5;    // of silence: before we produce where somebody else did
constexpr uint64_t kHighestRivalEpoch = uint64_t{1} << 63;
constexpr uint64_t kTryAgainNs = 10 * kNsPerMs;  // an announce that did not go out

// No waiting changes these.
bool is_for_good(Code code) { return code != Code::kRejected && code != Code::kUnavailable; }

}  // namespace

void ProducerSession::begin_alone(const Now& now) {
  if (now.monotonic_ns < rival_until_ns_) {
    attempt_failed(now, Error(Code::kRejected, "cannot produce ", stream_text(), ": ", rival_), false);
    return;
  }
  rival_until_ns_ = 0;
  try {
    if (role_.clock_domain != ClockDomain::kMonotonic) {
      if (const auto trouble = role_.clock_trouble())
        throw Error(Code::kUnsupported, "time stamps of CLOCK_REALTIME may not be announced (W-91): ", *trouble);
    }
    if (!own_)
      own_ = std::make_unique<OwnEpochs>(*role_.own_pools, wanted_stream_id(), kAgePeriods * role_.activity_interval_ns,
                                         role_.lock_memory);
    own_->make(now.monotonic_ns, now.realtime_ns, rival_epoch_);
  } catch (const Error& error) {
    attempt_failed(now, error.within("cannot produce ", stream_text()), is_for_good(error.code()));
    return;
  }
  set_phase(Phase::kAttaching, "making an epoch");
}

int ProducerSession::poll_alone(const Now& now) {
  if (own_->busy()) return 0;
  try {
    map_ = own_->take().map;
  } catch (const Error& error) {
    attempt_failed(now, error.within("cannot produce ", stream_text()), is_for_good(error.code()));
    return 1;
  }
  if (rival_until_ns_ != 0) {  // heard while the epoch was being made
    let_go_of_map();
    attempt_failed(now, Error(Code::kRejected, "cannot produce ", stream_text(), ": ", rival_), false);
    return 1;
  }
  hold_own_lease(map_->epoch(), now.monotonic_ns);
  own_epoch_ = map_->epoch();
  auto bell = shm::Doorbell::open(own_->stream_path());
  doorbell_ = bell ? std::make_shared<shm::Doorbell>(std::move(*bell)) : nullptr;
  highest_epoch_ = std::max(highest_epoch_, map_->epoch());
  mapped_stamp_ns_ = now.monotonic_ns;
  link().count_attach();
  link().count_mapping();
  port().tally.attaches.add(1);
  attached(now);
  next_announce_ns_ = 0;  // at once, now that all regions are complete (W-14, W-32)
  next_collect_ns_ = now.monotonic_ns + (kAgePeriods + 1) * role_.activity_interval_ns;
  publish();
  set_phase(Phase::kAttached, concat("made the epoch as producer ", client_id()));
  announce_own(now);
  succeeded();
  return 1;
}

uint64_t ProducerSession::clock_now(const Now& now) const noexcept {
  return role_.clock_domain == ClockDomain::kMonotonic ? now.monotonic_ns : now.realtime_ns;
}

int ProducerSession::announce_own(const Now& now) {
  const uint64_t t = now.monotonic_ns;
  if (own_->more_to_collect() && t >= next_collect_ns_ && !own_->busy()) {
    own_->collect(t, now.realtime_ns);
    next_collect_ns_ = t + (kAgePeriods + 1) * role_.activity_interval_ns;
  }
  if (t < next_announce_ns_) return 0;
  if (role_.clock_domain != ClockDomain::kMonotonic) {
    // W-91: while nobody keeps the clock, its time stamps are not vouched for.
    const auto trouble = role_.clock_trouble();
    if (trouble.value_or("") != clock_trouble_) {
      clock_trouble_ = trouble.value_or("");
      log(clock_trouble_.empty() ? LogLevel::kInfo : LogLevel::kWarn, "client", stream_text(),
          clock_trouble_.empty() ? " is announced again: the clock is synchronised"
                                 : concat(" is not announced for now (W-91): ", clock_trouble_));
      set_phase(Phase::kAttached,
                clock_trouble_.empty() ? std::string("announced again") : concat("not announced: ", clock_trouble_));
    }
    if (trouble) {
      next_announce_ns_ = t + role_.activity_interval_ns;
      return 0;
    }
  }
  const pool::EpochRegions& regions = map_->regions();
  wire::ShmPoolAnnounce announce;
  announce.stream_id = regions.stream_id;
  announce.producer_id = lease().client_id;
  announce.epoch = regions.epoch;
  announce.announce_timestamp_ns = clock_now(now);
  announce.clock_domain =
      role_.clock_domain == ClockDomain::kMonotonic ? wire::ClockDomain::monotonic : wire::ClockDomain::realtime_synced;
  announce.layout_version = regions.layout_version;
  announce.header_nslots = regions.header_nslots;
  announce.header_slot_bytes = regions.header_slot_bytes;
  announce.pools = regions.pools;
  announce.header_region_uri = regions.header_region_uri;
  const transport::SendResult sent = port().send(announce);
  if (sent == transport::SendResult::kTooLong) {
    log(LogLevel::kError, "client", "the announce of ", stream_text(),
        " is longer than the announce channel takes: raise its term-length or have fewer pools");
  }
  next_announce_ns_ = t + (sent == transport::SendResult::kOk || sent == transport::SendResult::kTooLong
                               ? role_.activity_interval_ns
                               : std::min(kTryAgainNs, role_.activity_interval_ns));
  return 1;
}

bool ProducerSession::stands_aside(const wire::ShmPoolAnnounce& announce, const Now& now) {
  if (announce.producer_id == client_id() && announce.epoch <= own_epoch_) return false;  // ours, coming back (W-94)
  rival_until_ns_ = now.monotonic_ns + kRivalPeriods * role_.activity_interval_ns;
  // W-65: who followed it ignores what is lower (W-57). Not to the end of the numbers, though, on a stranger's word.
  if (announce.epoch <= kHighestRivalEpoch) rival_epoch_ = std::max(rival_epoch_, announce.epoch);
  rival_ = concat("it is announced by producer ", announce.producer_id, " with epoch ", announce.epoch,
                  ", which is not ours: a stream has one producer (W-35), "
                  "stop that one or take another stream; it goes on by itself when that one has been silent for ",
                  duration_text(kRivalPeriods * role_.activity_interval_ns));
  return true;
}

void ProducerSession::overheard(const wire::ShmPoolAnnounce& announce, const Now& now) {
  // Who waits for the lock waits for its holder, whose announces these are.
  if (phase_ == Phase::kAttaching || rival_until_ns_ != 0) (void)stands_aside(announce, now);
}

}  // namespace tidepool::client
