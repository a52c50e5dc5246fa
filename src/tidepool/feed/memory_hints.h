#pragma once
// What is asked of the machine for the memory of live chunks beyond having it: huge pages, not to be swapped out, pages touched ahead.
// Each is best effort: what is refused is told once, and done without (F-69). Private to feed/.
//
// Thread safety: any thread.

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "tidepool/feed/registry.h"

namespace tidepool::feed {

class MemoryHints {
 public:
  explicit MemoryHints(std::string feed) : feed_(std::move(feed)) {}
  // As `options` want it for this mapping of this file.
  void apply(const File& file, const FeedOptions& options, const Mapping& mapping) noexcept;
  void refused(std::string_view what, int err) noexcept;
  // "huge pages: Operation not supported; locked memory: ..."; empty: nothing was refused.
  std::string text() const;

 private:
  const std::string feed_;
  mutable std::mutex mutex_;  // guards refused_
  std::map<std::string, std::string, std::less<>> refused_;
};

}  // namespace tidepool::feed
