#pragma once
// What a verb has done, written to the feed system.events: best effort, whatever that feed says (F-137).

#include <cstdint>
#include <string>

#include "tidepool/base/log.h"
#include "tidepool/cli/command.h"
#include "tidepool/feed/event_feed.h"

namespace tidepool::cli {

// Events that could not be written.
template <typename Report>
uint64_t tell_events(const Context& context, const std::string& base, bool wanted, const Report& report) {
  if (!wanted) return 0;
  feed::EventFeed events = feed::EventFeed::best_effort(base);
  events.take(report);
  if (!events.trouble().empty()) print_error(context.err, concat("events are dropped and counted: ", events.trouble()));
  try {
    events.close();
  } catch (const feed::FeedError& error) {
    print_error(context.err, concat("events: ", error.what()));
  }
  return events.dropped();
}

}  // namespace tidepool::cli
