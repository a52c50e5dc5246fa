#pragma once
// What care of feeds knows of payloads beside rows (blob.h): whose they are, and whether each reference of a row finds its payload.
// Reads by pread alone (rulings F-i). Private to feed/.
//
// Thread safety: functions without state.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/feed/blob.h"
#include "tidepool/feed/index.h"

namespace tidepool::feed {

using FeedsByName = std::map<std::string, FeedInfo, std::less<>>;

// Whose payloads a feed holds, as it says itself. nullopt: it holds none. The feed's schema must be loaded.
struct BlobOwner {
  std::string feed_id;  // 32 hex digits
  std::string feed;     // the name that it has, or had
  std::string column;
};
std::optional<BlobOwner> blob_owner(const FeedInfo& blobs);
// In the description of the first clock of a column's feed: one of another life of the name is another's.
std::string blob_owner_text(const Id& feed_id, std::string_view column);
bool is_column_of(const FeedInfo& blobs, const Id& feed_id, std::string_view column);

// The name is one that a column's feed may have; nothing is looked at.
bool may_be_blob_feed(std::string_view name) noexcept;
// Feeds of columns before the others: payloads are cared for before the rows that refer to them (F-122).
std::vector<const FeedInfo*> payloads_first(const FeedsByName& feeds);
// With its schemas loaded, from file or chunk; nullopt when there is no such thing any more.
std::optional<FeedInfo> with_schema(const FeedInfo& feed, Files& files);
// The columns' feeds of feed `id`, their schemas loaded. One that cannot be read is not among them.
std::vector<FeedInfo> blob_feeds_of(const FeedsByName& feeds, std::string_view name, const Id& id, Files& files);
// The feed that `owner` names is there, and is the same.
const FeedInfo* parent_in(const FeedsByName& feeds, const BlobOwner& owner);

// An entry for each payload of a chunk's file, from its index or else the chunk itself. Empty: neither can be read.
std::vector<IndexEntry> payloads_of(const FeedInfo& blobs, const ChunkInfo& chunk, Files& files);
// Number of the row that the last payload of a chunk belongs to; nullopt: it cannot be known.
std::optional<uint64_t> last_row_of(const FeedInfo& blobs, const ChunkInfo& chunk, Files& files);

// A reference that does not find what it names.
struct BadReference {
  uint64_t row = 0;
  std::string column;
  std::string path;      // of the payload's chunk
  uint64_t ordinal = 0;
  bool missing = false;  // else: damaged
  std::string expected;
  std::string found;
};
struct ReferenceCheck {
  uint64_t rows = 0;
  uint64_t blobs = 0;
  uint64_t bytes = 0;
  uint64_t bad = 0;
  std::map<std::string, uint64_t> orphans;  // by column: payloads that no row refers to
};
// Every reference of every row that is on disk. `columns`: as blob_feeds_of() gives them. `settled`: nobody writes, so a payload
// behind the last row is nobody's.
ReferenceCheck check_references(const FeedInfo& rows, const std::vector<FeedInfo>& columns, bool settled, Files& files,
                                const std::function<void(const BadReference&)>& bad);

}  // namespace tidepool::feed
