// A consumer without a lease: what it maps, it knows from announces alone (wire.md 9; W-55 to W-64). It begins unmapped and
// follows from there as one with a lease does.
#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/client/session.h"

namespace tidepool::client {
namespace {

constexpr uint32_t kSilentPeriods = 5;  // of announces: whoever announced is gone

}  // namespace

void ConsumerSession::begin_alone(const Now& now) {
  hold_own_lease(0, 0);  // no grace for stale activity: nobody has just made anything for us (W-63)
  awaited_ = {};
  attached(now);
  publish();  // descriptors can be drained from now on (W-61)
  set_phase(Phase::kRemapping, "waiting for an announce");
}

Error ConsumerSession::nothing_came() const {
  const std::string within = duration_text(settings().attach_timeout_ns);
  if (map_error_) return map_error_->within("cannot map ", stream_text(), " within ", within);
  const std::string refused = refused_ ? concat("; one was heard and not used: ", name_of(*refused_)) : std::string();
  return Error(Code::kUnavailable, "cannot follow ", stream_text(), ": nothing usable was announced within ", within, refused,
               "\n  announce channel ", settings().announce.channel, " stream ", settings().announce.stream_id,
               " and control stream ", settings().control.stream_id, ", media driver in ", settings().aeron_dir,
               "\n  start its producer or driver, or wait for ever:  --wait");
}

void ConsumerSession::forget_the_silent(const Now& now) {
  // As after the loss of a driver (D-62): a successor may count its epochs from below.
  if (map_ || lease().last_announce_ns == 0 ||
      now.monotonic_ns - lease().last_announce_ns <= kSilentPeriods * settings().announce_period_ns)
    return;
  lease().last_announce_ns = 0;
  highest_epoch_ = 0;
  awaited_.min_epoch = 0;
}

}  // namespace tidepool::client
