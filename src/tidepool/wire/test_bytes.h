#pragma once
// Bytes in tests: hex dumps as the specification prints them, and buffers of exact length, so that AddressSanitizer sees
// a read one byte beyond.

#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/base/bytes.h"

namespace tidepool::wire::test {

// "28 00 04 00" or "28000400"; offsets such as "0010:" are skipped.
inline std::vector<std::byte> bytes_of_hex(std::string_view text) {
  std::vector<std::byte> out;
  std::string digits;
  const auto nibble = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  const auto flush = [&] {
    for (size_t i = 0; i + 1 < digits.size(); i += 2)
      out.push_back(static_cast<std::byte>(nibble(digits[i]) << 4 | nibble(digits[i + 1])));
    digits.clear();
  };
  for (const char c : text) {
    if (c == ':') {
      digits.clear();
    } else if (c == ' ' || c == '\n') {
      flush();
    } else {
      digits.push_back(c);
    }
  }
  flush();
  return out;
}

inline std::string hex_of(Bytes bytes) {
  std::string out;
  char pair[4];
  for (const std::byte b : bytes) {
    std::snprintf(pair, sizeof pair, "%02x", static_cast<unsigned>(b));
    out += pair;
  }
  return out;
}

// A copy whose last byte is the last of its allocation.
class ExactCopy {
 public:
  explicit ExactCopy(Bytes bytes) : size_(bytes.size()), data_(new std::byte[bytes.size()]) {
    if (size_ != 0) std::memcpy(data_.get(), bytes.data(), size_);
  }
  Bytes bytes() const noexcept { return {data_.get(), size_}; }

 private:
  size_t size_;
  std::unique_ptr<std::byte[]> data_;
};

}  // namespace tidepool::wire::test
