#pragma once
// What registries, repair and retention share of the files of a base. Private to feed/.

#include <optional>
#include <string>
#include <vector>

#include "tidepool/feed/registry.h"

namespace tidepool::feed {

inline constexpr const char* kRegistryName = "registry.bin";
inline constexpr const char* kRegistryLockName = "registry.lock";
inline constexpr const char* kFeedRegistryName = "feed_registry.bin";
inline constexpr const char* kSchemaName = "schema.bin";
inline constexpr const char* kDefinitionName =
    "definition.bin";  // the feed's global entry once more, so that registry.bin can be rebuilt
inline constexpr const char* kQuarantineName = "quarantine";
inline constexpr const char* kPinsName = "pins";
inline constexpr const char* kWriterLockName = "writer.lock";
inline constexpr const char* kAppendLockName = "append.lock";
inline constexpr const char* kPersisterLockName = "persister.lock";  // held while somebody takes what a dead writer left to disk
inline constexpr const char* kRetentionLockName = "retention.lock";
inline constexpr uint64_t kLockTimeoutNs = 2'000'000'000;

enum class GlobalEntry : uint16_t { kCreated = 1, kChanged = 2, kDeleting = 3, kDeleted = 4 };

// The global entry of a feed, its body; and back: nullopt for an entry whose content is not a feed's, its name would become a path.
std::vector<std::byte> encode_feed(const FeedInfo& feed);
std::optional<FeedInfo> decode_feed(const RegistryLog::Entry& entry);

// create_feed() with name, id, schema, number of that version and options as `wanted` says: a feed that was elsewhere before.
bool create_feed_as(const std::string& base, const FeedInfo& wanted, Files& files);

bool is_feed_name(std::string_view name) noexcept;
std::string feeds_directory(const std::string& base);
// A directory with all it holds; none is fine. Links are removed, never followed.
void remove_tree(Files& files, const std::string& directory);

// Under registry.lock. First of all: what somebody wrote whole and died before he counted it is taken in, so that what is decided now
// is decided knowing it (F-3).
void settle_global(const std::string& base, Files& files);
void write_global(const std::string& base, GlobalEntry type, const FeedInfo& feed, Files& files);
void finish_delete(const std::string& base, const FeedInfo& feed, Files& files);

// <directory>/definition.bin. read_definition: nullopt when it is missing or damaged (`why` says so).
void write_definition(Files& files, const std::string& directory, const FeedInfo& feed);
std::optional<FeedInfo> read_definition(Files& files, const std::string& directory, std::string& why);

// A new file of these entries in place of the feed's registry, under its append lock (the caller's). `identity` names a generation
// that no open handle has: whoever has the old one mapped goes over to it (F-27).
void replace_feed_registry(Files& files, const std::string& directory, RegistryLog::Identity identity,
                           const std::vector<FeedRecord>& records, uint32_t mode);

}  // namespace tidepool::feed
