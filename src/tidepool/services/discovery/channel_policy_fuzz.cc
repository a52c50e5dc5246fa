// Any text as the response channel of a request (DS-36), and as a channel of a configuration. Held against each input:
// - what is allowed is printable, short, no spy, without fault, under an allowed prefix, and gives no parameter of others' streams
//   and no long term; a prefix taken from the list takes the permission with it;
// - a channel without fault agrees with itself, and the clash of two is the same whichever comes first;
// - a parameter that is set is there, and setting it again changes nothing.

#include "tidepool/services/discovery/channel_policy.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tidepool/transport/channel_uri.h"
#include "tidepool/transport/connection.h"

namespace {

using namespace tidepool;
using discovery::ChannelVerdict;

void require(bool holds, const char* invariant) {
  if (holds) return;
  std::fprintf(stderr, "channel_policy_fuzz: broken: %s\n", invariant);
  std::abort();
}

void check_allowed(std::string_view channel) {
  require(channel.size() <= discovery::kMaxResponseChannelBytes, "what is allowed is short");
  require(channel.starts_with("aeron:ipc") || channel.starts_with("aeron:udp"), "what is allowed is of Aeron's two media, and no spy");
  require(transport::channel_fault(channel).empty(), "what is allowed has no fault");
  require(std::all_of(channel.begin(), channel.end(), [](char c) { return c > 0x20 && c < 0x7F; }), "what is allowed is printable");
  for (const char* key : {"session-id=", "init-term-id=", "term-id=", "term-offset=", "tags=", "spies-simulate-connection="}) {
    const std::string_view parameters = channel.substr(std::min(channel.find('?'), channel.size()));
    require(!parameters.starts_with("?" + std::string(key)) && parameters.find("|" + std::string(key)) == std::string_view::npos,
            "what is allowed leaves others' streams alone");
  }
}

void check_configured(const std::string& channel, const std::string& other) {
  require(transport::channel_clash(channel, channel).empty(), "a channel agrees with itself");
  require(transport::channel_clash(channel, other) == transport::channel_clash(other, channel), "a clash is mutual");
  if (!transport::channel_fault(channel).empty()) return;
  const std::string once = transport::with_parameter(channel, "tether", "false");
  require(once.find("tether=") != std::string::npos, "a parameter that is set is there");
  require(transport::channel_fault(once).empty(), "a parameter that is set makes no fault");
  require(transport::with_parameter(once, "tether", "false") == once, "setting it again changes nothing");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const ChannelVerdict verdict = discovery::judge_channel(text, {"aeron:ipc", "aeron:udp"});
  require(text.empty() == (verdict == ChannelVerdict::kEmpty), "an empty one is told as such");
  require(!discovery::name_of(verdict).empty(), "a verdict has a name");
  if (verdict == ChannelVerdict::kAllowed) {
    check_allowed(text);
    require(discovery::judge_channel(text, {}) == ChannelVerdict::kNotListed, "without a list nothing is allowed");
  }
  const size_t line = std::min(text.find('\n'), text.size());  // two channels, a line each
  check_configured(text.substr(0, line), text.substr(std::min(line + 1, text.size())));
  return 0;
}
