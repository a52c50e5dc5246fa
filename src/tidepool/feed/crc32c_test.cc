#include "tidepool/feed/crc32c.h"

#include <gtest/gtest.h>

#include <random>
#include <string_view>
#include <vector>

namespace tidepool::feed {
namespace {

Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(Crc32cTest, IsTheChecksumOfTheCatalogues) {  // F-5
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xE3069283u);  // the check value that CRC catalogues print
  EXPECT_EQ(crc32c_portable(0, bytes_of("123456789")), 0xE3069283u);
  EXPECT_EQ(crc32c({}), 0u);
}

TEST(Crc32cTest, ContinuesWhereItWasCutAndAgreesWithTheTable) {
  std::mt19937_64 random(7);
  std::vector<std::byte> data(20'000);  // long enough for every number of lanes
  for (auto& byte : data) byte = static_cast<std::byte>(random());
  const uint32_t whole = crc32c(data);
  EXPECT_EQ(crc32c_portable(0, data), whole);
  for (size_t cut = 0; cut <= data.size(); cut += 131) {
    EXPECT_EQ(crc32c(crc32c(Bytes(data).first(cut)), Bytes(data).subspan(cut)), whole);
  }
}

}  // namespace
}  // namespace tidepool::feed
