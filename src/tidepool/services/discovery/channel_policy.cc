#include "tidepool/services/discovery/channel_policy.h"

#include <algorithm>

#include "tidepool/transport/channel_uri.h"

namespace tidepool::discovery {
namespace {

// These name or place somebody else's stream, or change how others see it.
constexpr std::string_view kRefused[] = {"session-id",  "init-term-id", "term-id",
                                         "term-offset", "tags",         "spies-simulate-connection"};

}  // namespace

std::string_view name_of(ChannelVerdict verdict) noexcept {
  switch (verdict) {
    case ChannelVerdict::kAllowed: return "allowed";
    case ChannelVerdict::kEmpty: return "empty";
    case ChannelVerdict::kTooLong: return "too long";
    case ChannelVerdict::kNoChannel: return "no Aeron channel to publish on";
    case ChannelVerdict::kNotListed: return "not among the allowed prefixes";
    case ChannelVerdict::kParameter: return "has a parameter that is not allowed";
    case ChannelVerdict::kTermTooLong: return "has too long a term";
  }
  return "?";
}

ChannelVerdict judge_channel(std::string_view channel, const std::vector<std::string>& allowed_prefixes) {
  if (channel.empty()) return ChannelVerdict::kEmpty;
  if (channel.size() > kMaxResponseChannelBytes) return ChannelVerdict::kTooLong;
  if (!channel.starts_with("aeron:") || !transport::channel_fault(channel).empty()) return ChannelVerdict::kNoChannel;
  if (std::none_of(allowed_prefixes.begin(), allowed_prefixes.end(),
                   [&](const std::string& prefix) { return channel.starts_with(prefix); })) {
    return ChannelVerdict::kNotListed;
  }
  const size_t question = channel.find('?');
  std::string_view rest = question == std::string_view::npos ? std::string_view{} : channel.substr(question + 1);
  while (!rest.empty()) {
    const size_t bar = std::min(rest.find('|'), rest.size());
    const std::string_view pair = rest.substr(0, bar);
    const std::string_view key = pair.substr(0, pair.find('='));
    if (std::find(std::begin(kRefused), std::end(kRefused), key) != std::end(kRefused)) return ChannelVerdict::kParameter;
    if (key == "term-length") {
      // What Aeron reads otherwise it refuses by itself, but nothing here may be taken for small.
      const auto bytes = transport::channel_size(pair.substr(key.size() + 1));
      if (!bytes || *bytes > kMaxResponseTermBytes) return ChannelVerdict::kTermTooLong;
    }
    rest.remove_prefix(std::min(bar + 1, rest.size()));
  }
  return ChannelVerdict::kAllowed;
}

}  // namespace tidepool::discovery
