#pragma once
// Pins: what keeps retention from records that somebody still needs (F-130). A pin is a file in <feed>/pins/, so setting one takes
// the right to write there; reading takes none of this (rulings F-o). It holds up to a time and up to so many bytes; beyond that it
// is broken, and says so.
//
// Thread safety: functions without state; a change is made under the feed's retention lock.

#include <cstdint>
#include <string>
#include <vector>

#include "tidepool/feed/registry.h"

namespace tidepool::feed {

struct Pin {
  static constexpr size_t kBytes = 512;
  std::string name{};  // as of feeds (F-8)
  uint64_t seq = 0;  // this record and all after it are kept
  uint64_t created_wall_ns = 0;
  uint64_t expires_wall_ns = 0;  // 0: never
  uint64_t bytes_max = 0;  // of records that retention would otherwise remove; 0: any
  bool broken = false;  // holds nothing any more
  std::string why{};  // it broke
};

// Set one, or move it. Throws FeedError kPermission naming the directory, kOutOfRange below the oldest record that is kept.
void pin_feed(const std::string& base, const std::string& feed, const Pin& pin, Files& files = Files::system());
// False: there was none of that name.
bool unpin_feed(const std::string& base, const std::string& feed, const std::string& name, Files& files = Files::system());
// All of a feed, broken ones too, by name; `damaged`: files there that are no pins.
std::vector<Pin> pins_of(const FeedInfo& feed, std::vector<std::string>& damaged, Files& files = Files::system());

// Under the retention lock: what those who died while they wrote a pin left there is removed.
void sweep_pins(const FeedInfo& feed, Files& files);
// The same, and the pin.
void write_pin(const FeedInfo& feed, const Pin& pin, Files& files);

}  // namespace tidepool::feed
