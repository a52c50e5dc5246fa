#pragma once
// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78, as iSCSI, ext4 and LevelDB have it), by the processor where it can.

#include <cstddef>
#include <cstdint>

#include "tidepool/base/bytes.h"

namespace tidepool::feed {

// The checksum of what `crc` was computed over, followed by `bytes`; 0 is the checksum of nothing.
uint32_t crc32c(uint32_t crc, Bytes bytes) noexcept;
inline uint32_t crc32c(Bytes bytes) noexcept { return crc32c(0, bytes); }
// The same without the processor's instruction, for machines that lack it.
uint32_t crc32c_portable(uint32_t crc, Bytes bytes) noexcept;

}  // namespace tidepool::feed
