#pragma once
// What can go wrong with a feed, by name. Every Error of this layer carries one, so that programs act on it and people search
// for it; base/error.h's Code stays the coarse kind.

#include <cstdint>
#include <string_view>

#include "tidepool/base/error.h"

namespace tidepool::feed {

enum class Fault : uint8_t {
  kBaseNotFound,       // no registry there: wrong directory, or nothing was ever created
  kFeedNotFound,       // the registry does not name it
  kFileNotFound,       // a file that was named, or that should be there
  kInvalidName,        // F-8
  kInvalidSchema,      // F-13..F-16
  kInvalidSize,        // F-20
  kSchemaConflict,     // F-6, F-18: the feed exists and is another one
  kSchemaMismatch,     // F-17: the schema that is there is not the one that the registry names
  kImmutable,          // F-10
  kWriterBusy,         // somebody writes it
  kFenced,             // we wrote it, and lost that right
  kRegistryBusy,       // F-4
  kNoSpace,            // disk
  kNoShmSpace,         // shared memory, or its control group
  kIo,
  kPermission,
  kUnsupportedVersion,
  kUnsupportedFs,      // F-70
  kCorrupt,
  kFeedReplaced,
  kFeedDeleted,        // F-11
  kFeedDamaged,        // F-6: creating what is there and broken
  kOutOfRange,         // F-38
  kGap,                // F-92: records that cannot be had, for who wants that to be an error
  kRecordTooLarge,     // F-32
  kResultTooLarge,     // F-99
  kNoLiveData,         // F-89
  kBackpressure,       // F-56
  kNoPersister,        // F-63: nobody takes the records to disk
  kBusy,               // somebody else does this maintenance now
  kUsage,              // a combination that has no meaning
};

// "FEED_NOT_FOUND", ...: the names of the requirements.
std::string_view fault_name(Fault fault) noexcept;
Code code_of(Fault fault) noexcept;

class FeedError : public Error {
 public:
  template <typename... Parts>
  explicit FeedError(Fault fault, const Parts&... parts) : Error(code_of(fault), fault_name(fault), ": ", parts...), fault_(fault) {}
  Fault fault() const noexcept { return fault_; }

 private:
  Fault fault_;
};

constexpr bool is_missing(Fault fault) noexcept { return fault == Fault::kFeedNotFound || fault == Fault::kFileNotFound; }

// The fault that fits an errno met on a file of a feed.
Fault fault_of_errno(int err, bool shared_memory = false) noexcept;

}  // namespace tidepool::feed
