#pragma once
// The names of an epoch's files (wire.md 7.1): what is created, and all that is ever deleted (D-40).

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "tidepool/shm/directory.h"

namespace tidepool::pool {

inline constexpr std::string_view kHeaderRingName = "header.ring";
inline constexpr std::string_view kPoolSuffix = ".pool";
inline constexpr std::string_view kDoorbellName = "doorbell";
// Beside the streams, in the namespace's directory:
inline constexpr std::string_view kDriverLockName = "driver.lock";      // rulings P-7
inline constexpr std::string_view kDriverStatusName = "driver.status";  // docs/formats/driver-status.md
inline constexpr std::string_view kDriverStatusNewName = "driver.status.new";

inline std::string pool_file_name(uint16_t pool_id) { return std::to_string(pool_id).append(kPoolSuffix); }

inline bool is_region_name(std::string_view name) noexcept {
  if (name == kHeaderRingName) return true;
  if (!name.ends_with(kPoolSuffix)) return false;
  name.remove_suffix(kPoolSuffix.size());
  return !name.empty() && name.size() <= 5 && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Delete the region files of an epoch, then its directory, relative to the open `stream`. Throws Error.
void remove_epoch_directory(const shm::Directory& stream, const std::string& epoch);

}  // namespace tidepool::pool
