#pragma once
// What a writer does for its feed between two rounds of its persister: retention as the feed says, and a registry that does not grow
// without end. Never stops the writer: what fails is logged and tried again. Private to feed/.
//
// Thread safety: one thread.

#include <optional>

#include "tidepool/feed/blob_retention.h"

namespace tidepool::feed {

class Housekeeper {
 public:
  Housekeeper(const FeedInfo& feed, const tidepool::Clock& clock, Files& files) : feed_(feed), clock_(clock), files_(files) {}
  // `finished`: how many chunks were finished so far, so there may be one to let go. Cheap when nothing is due.
  void poll(uint64_t finished) noexcept;

 private:
  void run(std::string& trouble);
  FeedInfo feed_;
  const tidepool::Clock& clock_;
  Files& files_;
  std::optional<WholeRetention> retention_;
  uint64_t done_ = 0;  // of those finished
  uint64_t due_ns_ = 0;  // whatever happens, then again
  std::string told_;  // what was logged last: not again and again
};

}  // namespace tidepool::feed
