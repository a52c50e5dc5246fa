#pragma once
// The discovery service: hears the announces of drivers, answers who has which stream (discovery.md; docs/protocols/discovery.md).
// Decides nothing about streams: it maps nothing, grants nothing, speaks for no driver (DS-1, DS-2).
//
// Thread safety: one thread polls and calls all else.

#include <cstdint>
#include <memory>
#include <string_view>

#include "tidepool/base/agent.h"
#include "tidepool/base/clock.h"
#include "tidepool/services/discovery/config.h"
#include "tidepool/services/discovery/counts.h"

namespace tidepool::discovery {

class Provider final : public Agent {
 public:
  // Connects to the media driver and opens its planes. Throws Error: kInvalidArgument (every problem of the configuration, a channel
  // that Aeron refuses), kUnavailable (no media driver).
  explicit Provider(DiscoveryConfig config, const Clock& clock = SystemClock::instance());
  ~Provider() override;

  // One duty cycle (DS-32): announces, metadata, requests, waiting answers, expiry. Does not throw; a media driver that dies is
  // waited for.
  int poll() override;
  std::string_view name() const noexcept override { return "discovery"; }

  bool connected() const noexcept;
  ProviderCounts counts() const;
  // Live and visible, in the order of answers.
  size_t live_streams() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidepool::discovery
