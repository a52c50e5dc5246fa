#pragma once
// Which response channels a request may name (DS-36): text of a stranger that Aeron would be handed.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::discovery {

inline constexpr size_t kMaxResponseChannelBytes = 1024;
inline constexpr uint64_t kMaxResponseTermBytes = 16u << 20;  // ours: a publication takes three times that of shared memory

enum class ChannelVerdict : uint8_t {
  kAllowed,
  kEmpty,         // DS-22
  kTooLong,
  kNoChannel,     // not aeron:ipc or aeron:udp as it should be; aeron-spy
  kNotListed,     // begins with none of the allowed prefixes
  kParameter,     // a parameter that reaches into other streams
  kTermTooLong,
};
std::string_view name_of(ChannelVerdict verdict) noexcept;

ChannelVerdict judge_channel(std::string_view channel, const std::vector<std::string>& allowed_prefixes);

}  // namespace tidepool::discovery
