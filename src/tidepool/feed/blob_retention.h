#pragma once
// Retention of a feed together with the payloads of its rows (F-123): limits are the rows', and payload chunks go when no row that is
// kept refers to them, never before. Private to feed/.
//
// Thread safety: one thread.

#include <list>
#include <memory>

#include "tidepool/feed/retention.h"

namespace tidepool::feed {

class WholeRetention {
 public:
  // Throws what FeedRegistry::open() throws.
  WholeRetention(const FeedInfo& feed, const RetentionOptions& options);

  // Of a column's feed the limits are without meaning: it follows its rows.
  void run(const RetentionLimits& limits, RetentionReport& report);
  // What may go at all, oldest first; bytes with those of the payloads that would follow.
  std::vector<FeedRetention::Candidate> removable(RetentionReport& report);
  uint64_t kept_bytes();
  void expire_one(uint64_t ordinal, const std::string& why, RetentionReport& report);
  void compact();
  const FeedInfo& feed() const noexcept { return rows_.feed(); }

 private:
  void follow(const std::string& why, RetentionReport& report);
  uint64_t payload_bytes(uint64_t first_seq);

  RetentionOptions options_;
  FeedRetention rows_;
  std::list<FeedRetention> columns_;
  std::unique_ptr<FeedRetention> parent_;  // of a column's feed
  bool orphan_ = false;                    // of a column's feed: there are no such rows any more
};

// <base> of <base>/feeds/<name>.
std::string base_of(const FeedInfo& feed);

}  // namespace tidepool::feed
