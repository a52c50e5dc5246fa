#include "tidepool/client/endpoints.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/transport/channel_uri.h"
#include "tidepool/wire/messages.h"

namespace tidepool::client {
namespace {

constexpr uint32_t kMaxStreamId = 0x7FFFFFFF;

bool is_visible(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

// "ipc", "udp", ... of "aeron:udp?...": empty for what is no such channel.
std::string_view media_of(std::string_view channel) noexcept {
  constexpr std::string_view kScheme = "aeron:";
  if (!channel.starts_with(kScheme)) return {};
  channel.remove_prefix(kScheme.size());
  return channel.substr(0, channel.find('?'));
}

// The value of "?key=value|..."; nullopt: there is no such key.
std::optional<std::string_view> parameter_of(std::string_view channel, std::string_view key) noexcept {
  const size_t question = channel.find('?');
  if (question == std::string_view::npos) return std::nullopt;
  std::string_view rest = channel.substr(question + 1);
  for (;;) {
    const size_t end = std::min(rest.find('|'), rest.size());
    const std::string_view one = rest.substr(0, end);
    if (one.size() > key.size() && one.starts_with(key) && one[key.size()] == '=') return one.substr(key.size() + 1);
    if (end == rest.size()) return std::nullopt;
    rest.remove_prefix(end + 1);
  }
}

}  // namespace

Pair pair_of(const std::string& channel, uint32_t stream_id) noexcept {
  if (channel.empty() && stream_id == 0) return Pair::kNone;
  return !channel.empty() && stream_id != 0 && stream_id <= kMaxStreamId ? Pair::kComplete : Pair::kHalf;
}

bool same_stream(const Endpoint& a, const Endpoint& b) noexcept {
  if (a.stream_id != b.stream_id) return false;
  if (a.channel == b.channel) return true;
  const std::string_view media = media_of(a.channel);
  if (media.empty() || media != media_of(b.channel)) return false;
  return media == "ipc" || (parameter_of(a.channel, "endpoint") == parameter_of(b.channel, "endpoint") &&
                            parameter_of(a.channel, "control") == parameter_of(b.channel, "control"));
}

std::string refusal_of(const Endpoint& endpoint, const ConsumerStreamPolicy& policy, std::span<const Endpoint> taken) {
  if (endpoint.channel.size() > wire::kMaxUriBytes || !is_visible(endpoint.channel))
    return "the channel is too long or holds odd characters";
  const std::string_view media = media_of(endpoint.channel);
  if (media == "udp") {
    if (!policy.allow_udp) return "UDP channels are not allowed (consumer_streams.allow_udp)";
  } else if (media != "ipc") {
    return "the channel is neither aeron:ipc nor aeron:udp";
  }
  if (const auto text = parameter_of(endpoint.channel, "term-length")) {
    const auto bytes = transport::channel_size(*text);
    if (!bytes || *bytes > policy.max_term_length_bytes) {
      return concat("term-length is ", printable(std::string(*text), 32), ", at most ", policy.max_term_length_bytes,
                    " bytes are allowed");
    }
  }
  if (endpoint.stream_id < policy.min_stream_id || endpoint.stream_id > policy.max_stream_id) {
    return concat("stream id ", endpoint.stream_id, " is outside ", policy.min_stream_id, " to ", policy.max_stream_id);
  }
  for (const Endpoint& other : taken) {
    if (same_stream(endpoint, other)) return concat("stream ", endpoint.stream_id, " of ", other.channel, " serves others");
  }
  return {};
}

bool is_known_fallback(const std::string& uri) noexcept {
  constexpr std::string_view kAeron = "aeron:";
  constexpr std::string_view kBridge = "bridge://";
  if (uri.size() > wire::kMaxUriBytes || !is_visible(uri)) return false;
  return (uri.starts_with(kAeron) && uri.size() > kAeron.size()) || (uri.starts_with(kBridge) && uri.size() > kBridge.size());
}

}  // namespace tidepool::client
