#include "tidepool/client/endpoints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace tidepool::client::endpoints_test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(EndpointsTest, APairIsNoneWholeOrHalf) {  // W-70, W-11
  EXPECT_EQ(pair_of("", 0), Pair::kNone);
  EXPECT_EQ(pair_of("aeron:ipc", 1), Pair::kComplete);
  EXPECT_EQ(pair_of("aeron:ipc", 0x7FFFFFFF), Pair::kComplete);
  EXPECT_EQ(pair_of("aeron:ipc", 0), Pair::kHalf);
  EXPECT_EQ(pair_of("", 5), Pair::kHalf);
  EXPECT_EQ(pair_of("aeron:ipc", 0x80000000), Pair::kHalf) << "no Aeron stream has that id";
}

TEST(EndpointsTest, KnowsOneStreamByTwoNames) {  // W-71
  EXPECT_TRUE(same_stream({"aeron:ipc", 7}, {"aeron:ipc?term-length=1m", 7})) << "on IPC the id alone tells them apart";
  EXPECT_FALSE(same_stream({"aeron:ipc", 7}, {"aeron:ipc", 8}));
  EXPECT_FALSE(same_stream({"aeron:ipc", 7}, {"aeron:udp?endpoint=localhost:7", 7}));
  EXPECT_TRUE(same_stream({"aeron:udp?endpoint=localhost:7", 7}, {"aeron:udp?mtu=1408|endpoint=localhost:7", 7}));
  EXPECT_FALSE(same_stream({"aeron:udp?endpoint=localhost:7", 7}, {"aeron:udp?endpoint=localhost:8", 7}));
}

TEST(EndpointsTest, OpensIpcWithinTheLimitsAndRefusesTheRest) {  // W-71, W-93
  const std::vector<Endpoint> taken = {{"aeron:ipc?term-length=4m", 1000}, {"aeron:ipc?term-length=4m", 1100}};
  ConsumerStreamPolicy policy;
  const auto why = [&](const std::string& channel, int32_t id) { return refusal_of({channel, id}, policy, taken); };
  EXPECT_THAT(why("aeron:ipc", 31001), IsEmpty());
  EXPECT_THAT(why("aeron:ipc?term-length=64k|alias=mine", 31001), IsEmpty());
  EXPECT_THAT(why("aeron:ipc", 1100), HasSubstr("serves others"));
  EXPECT_THAT(why("aeron:ipc?alias=x", 1000), HasSubstr("serves others"));
  EXPECT_THAT(why("aeron:ipc?term-length=1g", 31001), HasSubstr("term-length"));
  EXPECT_THAT(why("aeron:ipc?term-length=nonsense", 31001), HasSubstr("term-length"));
  EXPECT_THAT(why("aeron:udp?endpoint=10.0.0.1:9", 31001), HasSubstr("allow_udp"));
  for (const char* channel : {"aeron-spy:aeron:ipc", "ipc", "aeron:", "aeron:ipcx", "file:/etc/passwd", "AERON:IPC"}) {
    EXPECT_THAT(why(channel, 31001), HasSubstr("neither")) << channel;
  }
  EXPECT_THAT(why("aeron:ipc?alias=a b", 31001), HasSubstr("odd characters"));
  EXPECT_THAT(why(std::string("aeron:ipc?alias=\0x", 18), 31001), HasSubstr("odd characters"));
  EXPECT_THAT(why("aeron:ipc?alias=" + std::string(4090, 'x'), 31001), HasSubstr("too long"));
  policy.allow_udp = true;
  EXPECT_THAT(why("aeron:udp?endpoint=10.0.0.1:9", 31001), IsEmpty());
  policy.min_stream_id = 31000;
  policy.max_stream_id = 31999;
  EXPECT_THAT(why("aeron:ipc", 30999), HasSubstr("outside 31000 to 31999"));
  EXPECT_THAT(why("aeron:ipc", 32000), HasSubstr("outside"));
  EXPECT_THAT(why("aeron:ipc", 31999), IsEmpty());
}

TEST(EndpointsTest, KnowsTwoFormsOfFallback) {  // W-77
  EXPECT_TRUE(is_known_fallback("aeron:udp?endpoint=h:1"));
  EXPECT_TRUE(is_known_fallback("bridge://lab-7"));
  for (const char* uri : {"", "aeron:", "bridge://", "http://x", "bridge:/x", "shm:file?path=/x", "aeron:a b"})
    EXPECT_FALSE(is_known_fallback(uri)) << uri;
  EXPECT_FALSE(is_known_fallback("bridge://" + std::string(5000, 'x')));
}

}  // namespace
}  // namespace tidepool::client::endpoints_test
