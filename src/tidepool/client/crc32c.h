#pragma once
// CRC32C (Castagnoli, reflected polynomial 0x82F63B78, as in iSCSI and in wire.md 14): crc32c("123456789") is 0xE3069283.

#include <cstdint>

#include "tidepool/base/bytes.h"

namespace tidepool::client {

// Of `bytes`, or of what `crc` is the checksum of and then `bytes`.
uint32_t crc32c(Bytes bytes, uint32_t crc = 0) noexcept;

}  // namespace tidepool::client
