#pragma once
// Little-endian, alignment-safe loads and stores (W-1, W-13). Wire and shared-memory fields sit on any address.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace tidepool {

// W-1: every layout of ours is little-endian and read in place, so a big-endian host cannot even build this.
static_assert(std::endian::native == std::endian::little, "tidepool runs on little-endian hosts only (W-1)");

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

template <typename T>
  requires std::is_trivially_copyable_v<T>
T load(const void* at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <typename T>
  requires std::is_trivially_copyable_v<T>
void store(void* at, T value) noexcept {
  std::memcpy(at, &value, sizeof value);
}

}  // namespace tidepool
