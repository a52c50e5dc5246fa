#include "tidepool/feed/remote_target.h"

#include "tidepool/base/log.h"
#include "tidepool/feed/fault.h"

namespace tidepool::feed {

bool is_remote_target(std::string_view base) noexcept {
  const size_t colon = base.find(':');
  if (colon == std::string_view::npos || colon == 0 || base.find('/') != colon + 1)
    return false;  // ./a:/b has its first slash before
  return true;
}

void refuse_remote_target(std::string_view base) {
  if (!is_remote_target(base)) return;
  throw FeedError(Fault::kUsage, "'", printable(base, 100),
                  "' is on another host, and feeds are read on their own only, so far: give a local directory (one "
                  "whose name has a colon as ./NAME), or mount or export it");
}

}  // namespace tidepool::feed
