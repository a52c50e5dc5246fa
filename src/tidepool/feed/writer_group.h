#pragma once
// Several feeds written by one process with two threads between them (F-60), where each would have two of its own. Their rounds, and so
// their syncs, come one after the other: a disk sees a few larger bursts. What befalls one feed does not stop the others; but a disk that
// is slow for one is slow for those behind it.
//
//   WriterGroup group;
//   auto trades = FeedWriter::open(base, "trades", {.group = &group});
//   auto quotes = FeedWriter::open(base, "quotes", {.group = &group});
//
// Thread safety: any thread. Lifetime: may end before its writers, which keep what they need of it.

#include <cstddef>
#include <memory>

#include "tidepool/feed/writer.h"

namespace tidepool::feed {

class Crew;

class WriterGroup {
 public:
  WriterGroup();
  ~WriterGroup();
  WriterGroup(const WriterGroup&) = delete;
  WriterGroup& operator=(const WriterGroup&) = delete;
  size_t writers() const;  // that are open

 private:
  friend class FeedWriter;
  std::shared_ptr<Crew> crew_;
};

}  // namespace tidepool::feed
