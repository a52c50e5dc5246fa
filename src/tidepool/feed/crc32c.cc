#include "tidepool/feed/crc32c.h"

#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace tidepool::feed {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;

// table[k][b]: byte b followed by k zero bytes (slicing by eight).
constexpr auto kTable = [] {
  std::array<std::array<uint32_t, 256>, 8> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    table[0][byte] = crc;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) table[k][byte] = (table[k - 1][byte] >> 8) ^ table[0][table[k - 1][byte] & 0xFF];
  }
  return table;
}();

#if defined(__x86_64__)
// What a checksum's register becomes when that many zero bytes follow: image[k][b] of byte b at position k.
using Shift = std::array<std::array<uint32_t, 256>, 4>;
constexpr Shift shift_by(size_t zeros) {
  std::array<uint32_t, 32> image{};
  for (size_t bit = 0; bit < 32; ++bit) {
    uint32_t crc = uint32_t{1} << bit;
    for (size_t i = 0; i < zeros; ++i) crc = (crc >> 8) ^ kTable[0][crc & 0xFF];
    image[bit] = crc;
  }
  Shift shift{};
  for (size_t k = 0; k < 4; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      for (size_t bit = 0; bit < 8; ++bit) shift[k][byte] ^= (byte >> bit & 1) != 0 ? image[8 * k + bit] : 0;
    }
  }
  return shift;
}
constexpr size_t kLongLane = 2048;
constexpr size_t kShortLane = 256;
constexpr Shift kShiftLong = shift_by(kLongLane);
constexpr Shift kShiftShort = shift_by(kShortLane);

uint64_t shifted(const Shift& shift, uint64_t crc) noexcept {
  return shift[0][crc & 0xFF] ^ shift[1][crc >> 8 & 0xFF] ^ shift[2][crc >> 16 & 0xFF] ^ shift[3][crc >> 24 & 0xFF];
}

// Three lanes side by side: the instruction takes three cycles, and one can begin in each.
template <size_t Lane>
__attribute__((target("sse4.2"))) uint64_t three_lanes(uint64_t state, const std::byte*& at, size_t& left, const Shift& shift) noexcept {
  for (; left >= 3 * Lane; left -= 3 * Lane, at += 3 * Lane) {
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < Lane; i += 8) {
      state = _mm_crc32_u64(state, load<uint64_t>(at + i));
      second = _mm_crc32_u64(second, load<uint64_t>(at + Lane + i));
      third = _mm_crc32_u64(third, load<uint64_t>(at + 2 * Lane + i));
    }
    state = shifted(shift, shifted(shift, state) ^ second) ^ third;
  }
  return state;
}

__attribute__((target("sse4.2"))) uint32_t crc32c_hardware(uint32_t crc, Bytes bytes) noexcept {
  uint64_t state = static_cast<uint32_t>(~crc);
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  state = three_lanes<kLongLane>(state, at, left, kShiftLong);
  state = three_lanes<kShortLane>(state, at, left, kShiftShort);
  for (; left >= 8; left -= 8, at += 8) state = _mm_crc32_u64(state, load<uint64_t>(at));
  auto narrow = static_cast<uint32_t>(state);
  for (; left > 0; --left, ++at) narrow = _mm_crc32_u8(narrow, static_cast<uint8_t>(*at));
  return ~narrow;
}
#endif

}  // namespace

uint32_t crc32c_portable(uint32_t crc, Bytes bytes) noexcept {
  uint32_t state = ~crc;
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    const uint64_t word = load<uint64_t>(at) ^ state;
    state = 0;
    for (size_t k = 0; k < 8; ++k) state ^= kTable[7 - k][(word >> (8 * k)) & 0xFF];
  }
  for (; left > 0; --left, ++at) state = (state >> 8) ^ kTable[0][(state ^ static_cast<uint32_t>(*at)) & 0xFF];
  return ~state;
}

uint32_t crc32c(uint32_t crc, Bytes bytes) noexcept {
#if defined(__x86_64__)
  static const bool hardware = __builtin_cpu_supports("sse4.2") != 0;
  if (hardware) return crc32c_hardware(crc, bytes);
#endif
  return crc32c_portable(crc, bytes);
}

}  // namespace tidepool::feed
