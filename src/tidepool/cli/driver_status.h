#pragma once
// The status file of a driver of ours (docs/formats/driver-status.md), read as a stranger's: nothing in it is trusted further than to be
// shown.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tidepool::cli {

struct ToldLease {
  uint64_t lease_id = 0;
  uint32_t stream_id = 0;
  uint32_t client_id = 0;
  std::string role;
  uint32_t node_id = 0;
  uint64_t epoch = 0;
  uint64_t expiry_ns = 0;  // CLOCK_MONOTONIC
};

struct DriverStatus {
  uint64_t pid = 0;
  std::string instance_id;
  std::string lifecycle;
  bool media_driver = false;
  uint64_t written_ns = 0;  // CLOCK_MONOTONIC
  std::string aeron_dir;
  uint64_t control_stream_id = 0;
  uint64_t lease_lifetime_ns = 0;
  uint64_t leases_total = 0;  // more than `leases` when there are very many
  std::vector<ToldLease> leases;
};

inline constexpr size_t kMaxStatusBytes = 16u << 20;

// nullopt with `why`: no file, a link, another owner than the directory's, longer than kMaxStatusBytes, or not what its page says.
std::optional<DriverStatus> read_driver_status(const std::string& namespace_path, std::string& why);
// The same for text at hand.
std::optional<DriverStatus> parse_driver_status(const std::string& text, std::string& why);

}  // namespace tidepool::cli
