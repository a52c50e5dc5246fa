#pragma once
// Channels and Aeron stream ids that somebody else names: which of them are opened (W-70, W-71; wire.md 10, 16).

#include <cstdint>
#include <span>
#include <string>

#include "tidepool/client/client.h"

namespace tidepool::client {

// A channel and a stream id of a message, as a pair (W-70).
enum class Pair : uint8_t {
  kNone,      // neither: not asked for, not assigned
  kComplete,  // both
  kHalf,      // one of them, or an id that is none
};
Pair pair_of(const std::string& channel, uint32_t stream_id) noexcept;

// The two name one Aeron stream. On IPC the id alone does, whatever the other parameters of the channel say.
bool same_stream(const Endpoint& a, const Endpoint& b) noexcept;

// Why a complete pair is not opened; empty: it may be. `taken`: streams that serve others.
std::string refusal_of(const Endpoint& endpoint, const ConsumerStreamPolicy& policy, std::span<const Endpoint> taken);

// A payload fallback of a form that is known: aeron:... or bridge://ID (W-77).
bool is_known_fallback(const std::string& uri) noexcept;

}  // namespace tidepool::client
