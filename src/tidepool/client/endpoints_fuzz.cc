// Any text as a channel or a fallback that another's message names (W-71, W-77). Held against each input, whose first four bytes are the
// stream id:
// - what is opened is printable, of a medium that is allowed, its id in the range, and serves nobody else;
// - what is refused has a reason, one printable line;
// - a stream is the same as itself, and two are the same whichever comes first;
// - a fallback that is known is printable and of one of the two forms.

#include "tidepool/client/endpoints.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

using namespace tidepool;
using client::Endpoint;

void require(bool holds, const char* invariant) {
  if (holds) return;
  std::fprintf(stderr, "endpoints_fuzz: broken: %s\n", invariant);
  std::abort();
}
bool is_visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

void check_endpoint(const Endpoint& endpoint, bool allow_udp) {
  const std::array<Endpoint, 2> taken = {Endpoint{"aeron:ipc?term-length=4m", 1000}, Endpoint{"aeron:udp?endpoint=h:1", 1000}};
  client::ConsumerStreamPolicy policy;
  policy.allow_udp = allow_udp;
  const std::string why = client::refusal_of(endpoint, policy, taken);
  require(std::all_of(why.begin(), why.end(), [](char c) { return c >= 0x20 && c < 0x7F; }), "a reason is one printable line");
  for (const Endpoint& other : taken)
    require(client::same_stream(endpoint, other) == client::same_stream(other, endpoint), "being one stream is mutual");
  require(client::same_stream(endpoint, endpoint), "a stream is itself");
  if (!why.empty()) return;
  require(is_visible(endpoint.channel), "what is opened is printable");
  require(endpoint.channel.starts_with("aeron:ipc") || (allow_udp && endpoint.channel.starts_with("aeron:udp")),
          "what is opened is of a medium that is allowed");
  require(endpoint.stream_id >= policy.min_stream_id && endpoint.stream_id <= policy.max_stream_id, "its id is in the range");
  for (const Endpoint& other : taken) require(!client::same_stream(endpoint, other), "it serves nobody else");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  uint32_t id = 0;
  std::memcpy(&id, data, std::min(size, sizeof id));
  const std::string text(reinterpret_cast<const char*>(data) + std::min(size, sizeof id), size - std::min(size, sizeof id));
  const client::Pair pair = client::pair_of(text, id);
  require((pair == client::Pair::kNone) == (text.empty() && id == 0), "none is neither");
  require((pair == client::Pair::kComplete) == (!text.empty() && id != 0 && id <= 0x7FFFFFFF), "whole is both");
  for (const bool allow_udp : {false, true}) check_endpoint({text, static_cast<int32_t>(id)}, allow_udp);
  if (client::is_known_fallback(text)) {
    require(is_visible(text), "a fallback is printable");
    require(text.starts_with("aeron:") || text.starts_with("bridge://"), "a fallback has one of two forms");
  }
  return 0;
}
