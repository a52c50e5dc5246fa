#pragma once
// The marks of a feed once more, beside its registry (F-39): what is put together from chunks when a registry is lost has no marks, since
// a chunk's bytes do not say them. The same entries in the same kind of file, `marks.bin` (docs/formats/feed-registry.md). Private to
// feed/.
//
// Thread safety: the writer's persister; reading: anybody.

#include <optional>
#include <vector>

#include "tidepool/feed/registry.h"

namespace tidepool::feed {

inline constexpr const char* kMarksName = "marks.bin";
inline constexpr uint64_t kMarksMagic = 0x31534B52414D5054;  // "TPMARKS1"

class MarkLog {
 public:
  explicit MarkLog(const FeedInfo& feed, Files& files) : feed_(feed), files_(files) {}
  // Made with the first mark; a file that is none is begun anew. Marks below `floor` go when they are most of it. Throws.
  void append(const FeedRecord& mark, uint64_t floor);

 private:
  void open(uint64_t floor);
  const FeedInfo& feed_;
  Files& files_;
  std::optional<RegistryLog> log_;
};

// Those that check out; none where there is no such file.
std::vector<FeedRecord> stored_marks(const FeedInfo& feed, Files& files);

}  // namespace tidepool::feed
