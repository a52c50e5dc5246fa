#include "tidepool/cli/latencies.h"

#include <hdr/hdr_histogram.h>

#include <algorithm>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"

namespace tidepool::cli {
namespace {
constexpr uint64_t kHighestNs = 3600 * kNsPerSecond;
}

Latencies::Latencies() {
  if (::hdr_init(1, static_cast<int64_t>(kHighestNs), 3, &histogram_) != 0) throw Error(Code::kNoSpace, "no memory for a latency histogram");
}
Latencies::~Latencies() { ::hdr_close(histogram_); }

void Latencies::record(uint64_t ns) noexcept { ::hdr_record_value(histogram_, static_cast<int64_t>(std::clamp<uint64_t>(ns, 1, kHighestNs))); }
uint64_t Latencies::count() const noexcept { return static_cast<uint64_t>(histogram_->total_count); }
uint64_t Latencies::at_percentile(double percentile) const noexcept {
  return count() == 0 ? 0 : static_cast<uint64_t>(::hdr_value_at_percentile(histogram_, percentile));
}
uint64_t Latencies::max() const noexcept { return count() == 0 ? 0 : static_cast<uint64_t>(::hdr_max(histogram_)); }

}  // namespace tidepool::cli
