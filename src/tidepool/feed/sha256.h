#pragma once
// SHA-256 (FIPS 180-4) of exported files, so that anybody's sha256sum can check them. Not for records: those have CRC-32C.

#include <array>
#include <cstdint>
#include <string>

#include "tidepool/base/bytes.h"

namespace tidepool::feed {

// Thread safety: one thread.
class Sha256 {
 public:
  void add(Bytes bytes) noexcept;
  // Of all that was added, as 64 hexadecimal digits. The object may go on afterwards.
  std::string hex() const;

 private:
  void block(const std::byte* at) noexcept;
  std::array<uint32_t, 8> state_{0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};
  std::array<std::byte, 64> pending_{};
  size_t pending_bytes_ = 0;
  uint64_t total_bytes_ = 0;
};

}  // namespace tidepool::feed
