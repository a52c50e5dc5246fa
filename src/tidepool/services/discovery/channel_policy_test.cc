#include "tidepool/services/discovery/channel_policy.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tidepool/services/discovery/request_rate.h"

namespace tidepool::discovery {
namespace {

const std::vector<std::string> kIpc = {"aeron:ipc"};
const std::vector<std::string> kLab = {"aeron:udp?endpoint=192.168.7."};

TEST(ChannelPolicyTest, OrdinaryChannelsOfTheAllowedMediumPass) {  // DS-36
  for (const char* channel :
       {"aeron:ipc", "aeron:ipc?term-length=1m", "aeron:ipc?term-length=64k|alias=x", "aeron:ipc?tether=false|term-length=16m"}) {
    EXPECT_EQ(judge_channel(channel, kIpc), ChannelVerdict::kAllowed) << channel;
  }
  EXPECT_EQ(judge_channel("aeron:udp?endpoint=192.168.7.3:40000", kLab), ChannelVerdict::kAllowed);
  EXPECT_EQ(judge_channel("aeron:udp?endpoint=localhost:1|mtu=1408", {"aeron:udp"}), ChannelVerdict::kAllowed);
}

TEST(ChannelPolicyTest, OtherMediaAndAddressesAreRefused) {  // DS-36
  EXPECT_EQ(judge_channel("aeron:udp?endpoint=10.0.0.1:40000", kIpc), ChannelVerdict::kNotListed);
  EXPECT_EQ(judge_channel("aeron:ipc", kLab), ChannelVerdict::kNotListed);
  EXPECT_EQ(judge_channel("aeron:udp?endpoint=192.168.70.1:1", kLab), ChannelVerdict::kNotListed);
  EXPECT_EQ(judge_channel("aeron:udp?mtu=1408|endpoint=192.168.7.1:1", kLab), ChannelVerdict::kNotListed) << "a prefix is a prefix";
  EXPECT_EQ(judge_channel("aeron:ipc", {}), ChannelVerdict::kNotListed);
}

TEST(ChannelPolicyTest, SpiesAndWhatIsNoChannelAreRefused) {  // DS-36
  for (const std::string channel : {"aeron-spy:aeron:ipc", "aeron-spy:aeron:udp?endpoint=localhost:1", "aeron:ipcx", "aeron:",
                                    "ipc", "file:///etc/passwd", "aeron:ipc?", "aeron:ipc?x", "aeron:ipc?=1", "aeron:ipc?a=1|a=2",
                                    "aeron:ipc?a=b c", "aeron:ipc\n", "aeron:ipc?a=\xff", "aeron:udp", "aeron:udp?mtu=1"}) {
    EXPECT_EQ(judge_channel(channel, {"aeron", "ipc", "file"}), ChannelVerdict::kNoChannel) << channel;
  }
  EXPECT_EQ(judge_channel(std::string("aeron:ipc\0", 10), kIpc), ChannelVerdict::kNoChannel);
}

TEST(ChannelPolicyTest, LengthAndEmptinessHaveTheirOwnVerdict) {  // DS-22, DS-36
  EXPECT_EQ(judge_channel("", kIpc), ChannelVerdict::kEmpty);
  const std::string longest = "aeron:ipc?alias=" + std::string(kMaxResponseChannelBytes - 16, 'x');
  EXPECT_EQ(judge_channel(longest, kIpc), ChannelVerdict::kAllowed);
  EXPECT_EQ(judge_channel(longest + "x", kIpc), ChannelVerdict::kTooLong);
}

TEST(ChannelPolicyTest, ParametersThatReachIntoOtherStreamsAreRefused) {  // DS-36
  for (const char* key : {"session-id", "init-term-id", "term-id", "term-offset", "tags", "spies-simulate-connection"}) {
    EXPECT_EQ(judge_channel("aeron:ipc?alias=x|" + std::string(key) + "=1", kIpc), ChannelVerdict::kParameter) << key;
  }
}

TEST(ChannelPolicyTest, LongTermsAreRefused) {  // DS-36: a publication takes three times its term of shared memory
  for (const char* term : {"16777217", "17m", "1g", "64M", "18446744073709551615", "99999999999999999999", "1x", "-1"}) {
    EXPECT_EQ(judge_channel("aeron:ipc?term-length=" + std::string(term), kIpc), ChannelVerdict::kTermTooLong) << term;
  }
  EXPECT_EQ(judge_channel("aeron:ipc?term-length=16777216", kIpc), ChannelVerdict::kAllowed);
}

TEST(RequestRateTest, ASourceHasItsBucketAndNobodyElses) {  // DS-36
  RequestRate rate(10);
  uint64_t t = 5 * kNsPerSecond;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(rate.allow(1, 7, t)) << i;
  EXPECT_FALSE(rate.allow(1, 7, t));
  EXPECT_TRUE(rate.allow(1, 8, t)) << "another client of a shared session";
  EXPECT_TRUE(rate.allow(2, 7, t)) << "another session";
  t += kNsPerSecond / 10;
  EXPECT_TRUE(rate.allow(1, 7, t));
  EXPECT_FALSE(rate.allow(1, 7, t));
  t += 100 * kNsPerSecond;
  int allowed = 0;
  while (rate.allow(1, 7, t)) ++allowed;
  EXPECT_EQ(allowed, 10) << "silence saves up no more than a second's worth";
}

TEST(RequestRateTest, WhoChangesHisNameMeetsTheLimitOfAll) {  // DS-36, DS-37
  RequestRate rate(10);
  const uint64_t t = 5 * kNsPerSecond;
  int allowed = 0;
  for (uint32_t client_id = 0; client_id < 1000; ++client_id) allowed += rate.allow(1, client_id, t);
  EXPECT_EQ(allowed, 100);
  EXPECT_TRUE(rate.allow(2, 5, t + kNsPerSecond));
}

TEST(RequestRateTest, ZeroIsNoLimitAndSourcesAreBounded) {  // DS-36
  RequestRate none(0);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(none.allow(1, 7, 5));
  RequestRate one(1);
  uint64_t t = kNsPerSecond;
  for (int i = 0; i < 1200; ++i) EXPECT_TRUE(one.allow(i, 7, t += kNsPerSecond / 5));
  EXPECT_FALSE(one.allow(1199, 7, t)) << "the newest are remembered";
}

}  // namespace
}  // namespace tidepool::discovery
