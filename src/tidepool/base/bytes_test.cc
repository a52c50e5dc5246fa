#include "tidepool/base/bytes.h"

#include <gtest/gtest.h>

#include <array>

namespace tidepool {
namespace {

TEST(BytesTest, AreLoadedAndStoredLittleEndianAtAnyAddress) {  // W-1, W-13
  std::array<std::byte, 16> bytes{};
  for (size_t at = 0; at <= 8; ++at) {
    bytes.fill(std::byte{0xEE});
    store<uint64_t>(bytes.data() + at, 0x0102030405060708);
    for (size_t i = 0; i < 8; ++i) EXPECT_EQ(bytes[at + i], static_cast<std::byte>(8 - i));
    EXPECT_EQ(load<uint64_t>(bytes.data() + at), 0x0102030405060708u);
    EXPECT_EQ(load<uint16_t>(bytes.data() + at), 0x0708u);
    EXPECT_EQ(load<int8_t>(bytes.data() + at), 8);
    for (size_t i = 0; i < bytes.size(); ++i) {
      const bool stored = i >= at && i < at + 8;
      EXPECT_TRUE(stored || bytes[i] == std::byte{0xEE}) << i;
    }
  }
}

}  // namespace
}  // namespace tidepool
