#include "tidepool/base/random.h"

#include <sys/random.h>

#include "tidepool/base/error.h"

namespace tidepool {

uint64_t random_u64() {
  uint64_t value = 0;
  ssize_t n = 0;
  do {
    n = ::getrandom(&value, sizeof value, 0);
  } while (n < 0 && errno == EINTR);
  if (n != static_cast<ssize_t>(sizeof value)) throw Error(Code::kInternal, "getrandom", errno_text());
  return value;
}

uint32_t random_id() {
  for (;;) {
    const auto id = static_cast<uint32_t>(random_u64());
    if (id != 0 && id != UINT32_MAX) return id;
  }
}

}  // namespace tidepool
