#pragma once
// What the discovery service counts.

#include <cstdint>

namespace tidepool::discovery {

struct ResponseCounts {
  uint64_t sent = 0;
  uint64_t expired = 0;      // nobody took them within the linger
  uint64_t refused = 0;      // too many waited already
  uint64_t failed = 0;       // the media driver refused the channel, or sending is an error
  uint64_t too_large = 0;    // sent as ERROR instead
  uint64_t evicted = 0;      // publications that made way for others, with what waited for them
  uint64_t idle_closed = 0;  // publications that nobody asked for any longer
};

struct ProviderCounts {
  uint64_t announces = 0;               // accepted
  uint64_t announces_ignored = 0;       // DS-12, DS-13, limits
  uint64_t metadata = 0;
  uint64_t names_too_long = 0;          // DS-18
  uint64_t requests = 0;                // answered, or their answer is on its way
  uint64_t requests_malformed = 0;      // of any plane: lengths or versions that cannot be
  uint64_t requests_without_channel = 0;  // DS-22
  uint64_t requests_bad_stream = 0;     // DS-6, DS-23
  uint64_t requests_refused = 0;        // DS-36: the response channel
  uint64_t requests_over_rate = 0;
  uint64_t answers[4] = {};             // by status; index 0 unused
  uint64_t forgotten = 0;               // entries
  uint64_t reconnects = 0;
  ResponseCounts responses;
};

}  // namespace tidepool::discovery
