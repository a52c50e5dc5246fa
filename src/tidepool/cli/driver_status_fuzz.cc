// Any text as a driver's status file (docs/formats/driver-status.md). Held against each input: it is a status or has a reason, never both
// nor neither; every text of it is printable; a lease's numbers are the file's or 0.

#include "tidepool/cli/driver_status.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {
void require(bool holds) {
  if (!holds) std::abort();
}
void require_printable(std::string_view text) {
  require(std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; }));
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::string why;
  const auto status = tidepool::cli::parse_driver_status(text, why);
  require(status.has_value() == why.empty());
  require_printable(why);
  if (!status) return 0;
  require_printable(status->instance_id);
  require_printable(status->lifecycle);
  require_printable(status->aeron_dir);
  for (const auto& lease : status->leases) {
    require_printable(lease.role);
    require(lease.lease_id == 0 || text.find(std::to_string(lease.lease_id)) != std::string::npos);
    require(lease.stream_id == 0 || text.find(std::to_string(lease.stream_id)) != std::string::npos);
  }
  return 0;
}
