#include "tidepool/client/announces.h"

#include "tidepool/base/error.h"
#include "tidepool/pool/geometry.h"

namespace tidepool::client {

std::string_view name_of(AnnounceVerdict verdict) noexcept {
  switch (verdict) {
    case AnnounceVerdict::kAccepted: return "accepted";
    case AnnounceVerdict::kOtherStream: return "another stream";
    case AnnounceVerdict::kGeometry: return "layout or geometry not usable";
    case AnnounceVerdict::kClock: return "no time stamp";
    case AnnounceVerdict::kStale: return "stale";
    case AnnounceVerdict::kBeforeJoin: return "older than its publisher's image";
    case AnnounceVerdict::kOldEpoch: return "an epoch that has passed";
  }
  return "?";
}

AnnounceVerdict judge(const wire::ShmPoolAnnounce& announce, const AnnounceRules& rules, uint64_t joined_ns, uint64_t now_ns,
                      uint64_t now_realtime_ns) {
  if (announce.stream_id != rules.stream_id) return AnnounceVerdict::kOtherStream;  // 1 (W-10)

  if (rules.expected_layout_version != 0 && announce.layout_version != rules.expected_layout_version) return AnnounceVerdict::kGeometry;  // 2
  if (announce.epoch == 0 || announce.epoch == wire::kNull64) return AnnounceVerdict::kGeometry;
  try {
    pool::EpochRegions::of(announce).check();  // 2, 3
  } catch (const Error&) {
    return AnnounceVerdict::kGeometry;
  }

  if (announce.announce_timestamp_ns == 0) return AnnounceVerdict::kClock;  // 4
  const bool monotonic = announce.clock_domain == wire::ClockDomain::monotonic;
  const uint64_t now = monotonic ? now_ns : now_realtime_ns;
  // 5: a stamp ahead of now counts as fresh.
  if (now > announce.announce_timestamp_ns && now - announce.announce_timestamp_ns > rules.freshness_ns) return AnnounceVerdict::kStale;
  if (monotonic && announce.announce_timestamp_ns < joined_ns) return AnnounceVerdict::kBeforeJoin;  // 6 (W-56)
  if (announce.epoch < rules.highest_epoch) return AnnounceVerdict::kOldEpoch;                       // 7 (W-57, D-62)
  return AnnounceVerdict::kAccepted;
}

}  // namespace tidepool::client
