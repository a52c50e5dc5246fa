#pragma once
// From a request to its answer (discovery.md 5.2): filters, visibility, limits. Pure.

#include <cstdint>
#include <string>

#include "tidepool/services/discovery/index.h"
#include "tidepool/wire/messages.h"

namespace tidepool::discovery {

inline constexpr const char* kLimitText = "result limit exceeded";
inline constexpr const char* kTooLargeText = "response too large";
inline constexpr const char* kDeniedText = "access denied";
inline constexpr const char* kStreamZeroText = "response_stream_id must be non-zero";

struct AnswerRules {
  uint32_t max_results = 1000;
  bool deny_explicitly = false;  // a hidden match is told, as ERROR, instead of looking absent (DS-38)
};

// All filters hold that the request supplies (DS-24, DS-25).
bool matches(const wire::DiscoveryRequest& request, const EntryKey& key, const Entry& entry);

// The status table of DS-28, but for what only shows when it is sent.
wire::DiscoveryResponse answer(const wire::DiscoveryRequest& request, const Index& index, const AnswerRules& rules,
                               uint64_t now_ns);

// ERROR with an empty group of results.
wire::DiscoveryResponse error_answer(uint64_t request_id, std::string text);

}  // namespace tidepool::discovery
