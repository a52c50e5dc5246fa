#include "tidepool/base/clock.h"

namespace tidepool {

const SystemClock& SystemClock::instance() noexcept {
  static const SystemClock clock;
  return clock;
}

}  // namespace tidepool
