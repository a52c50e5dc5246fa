#include "tidepool/base/random.h"

#include <gtest/gtest.h>

#include <set>

namespace tidepool {
namespace {

TEST(RandomTest, GivesIdsThatDoNotRepeatAndNeverMeanNone) {  // D-20, D-52, W-69
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(seen.insert(random_u64()).second);
    const uint32_t id = random_id();
    EXPECT_NE(id, 0u);
    EXPECT_NE(id, UINT32_MAX);
  }
}

}  // namespace
}  // namespace tidepool
