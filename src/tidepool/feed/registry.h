#pragma once
// The two registries. The global one (registry.bin of a base) names every feed; a feed's own (feed_registry.bin) lists its
// epochs, chunks, segments and losses in one order. Both are enough to find everything, and both can be rebuilt from the chunks.
//
//   <base>/registry.bin, registry.lock
//   <base>/feeds/<name>/feed_registry.bin, schema.bin, writer.lock, append.lock, <ordinal>.data, <ordinal>.idx
//   <shared memory>/tidepool-<base id>-<feed id>-<inode of the feed's directory>/live, doorbell, <ordinal>.data, <ordinal>.idx

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/feed/fault.h"
#include "tidepool/feed/registry_log.h"
#include "tidepool/feed/schema.h"
#include "tidepool/shm/file_lock.h"

namespace tidepool::feed {

enum class Storage : uint8_t {
  kTiered = 1,   // live chunks in shared memory, written out to disk by a persister; readers find both
  kDurable = 2,  // live chunks are mapped files: one copy less, and appends that may wait for the disk
  kMemory = 3,   // a window of chunks in shared memory, gone with the machine's
};
std::string_view storage_name(Storage storage) noexcept;
// "tiered", "durable", "memory"; throws FeedError kUsage.
Storage storage_named(std::string_view name);

enum class SyncMode : uint8_t {
  kInterval = 0,     // durable within sync_interval_ns or sync_bytes, whichever comes first
  kNone = 1,         // written out as it comes, synced only when a chunk is sealed
  kEveryCommit = 2,  // a commit returns when it is durable
  kExplicit = 3,     // by sync() and when a chunk is sealed
};

// Who takes records to disk while the feed is written (F-63).
enum class Persister : uint8_t {
  kWriter = 0,  // a thread of the writer
  kDaemon = 1,  // `tidepool feed persistd`; without one the writer does not open (NO_PERSISTER)
  kAny = 2,     // the daemon if there is one, else the writer; it takes over when the daemon dies
};
std::string_view persister_name(Persister persister) noexcept;
// "writer", "daemon", "any"; throws FeedError kUsage.
Persister persister_named(std::string_view name);

// What may differ from feed to feed. Everything but `storage` can be changed later, from the next chunk on (F-10).
struct FeedOptions {
  Storage storage = Storage::kTiered;
  uint64_t chunk_bytes = uint64_t{64} << 20;      // of records; at least 16 of them, or one largest frame
  uint32_t live_chunks = 4;                       // newest chunks that stay in shared memory, the one being written included; >= 2
  SyncMode sync = SyncMode::kInterval;
  uint64_t sync_interval_ns = 1'000'000'000;      // what a power cut may cost
  uint64_t sync_bytes = uint64_t{8} << 20;
  uint64_t chunk_age_ns = 0;                      // seal a chunk that is older, even an idle one; 0: never (F-48)
  uint64_t retention_ns = 0;                      // 0: keep
  uint64_t retention_bytes = 0;                   // 0: keep
  uint64_t backlog_bytes = uint64_t{1} << 30;     // shared memory that waits for the disk before appends are held back (F-56)
  uint32_t block_bytes = 64 * 1024;               // unit of checksums and of the index
  uint32_t file_mode = 0640;                      // of files and, if shm_mode is 0, of live objects; the umask narrows both (F-154)
  uint32_t shm_mode = 0;
  bool segments = true;
  bool prefault = true;                           // touch pages before the writer comes to them
  bool huge_pages = false;                        // ask for huge pages for live chunks; where refused, without (F-69)
  bool lock_memory = false;                       // keep live chunks from being swapped out; where refused, without (F-69)
  std::string shm_root = "/dev/shm";              // where live objects go (F-68)
  Persister persister = Persister::kWriter;       // not of memory feeds, nor of rows with blobs: their writer does it
  uint32_t live_mode() const noexcept { return shm_mode != 0 ? shm_mode : file_mode; }
  bool operator==(const FeedOptions&) const = default;
};

struct FeedInfo {
  std::string name;
  Id base_id{};
  Id id{};
  Schema schema;           // the newest version; filled when the feed is opened. The global registry holds its hash
  uint64_t schema_hash = 0;
  uint32_t schema_id = 1;  // which version that is, from 1 (F-18)
  std::vector<Schema> versions;  // all of them, filled when the feed is opened; version i + 1 at i
  uint32_t record_bytes = 0;
  uint32_t clocks = 1;
  Layout layout = Layout::kRows;
  FeedOptions options;
  uint64_t created_wall_ns = 0;
  bool deleting = false;
  std::string directory;   // <base>/feeds/<name>

  // That version; nullptr: unknown. Before the versions are loaded only the newest is known.
  const Schema* version(uint32_t version_id) const noexcept {
    if (versions.empty()) return version_id == schema_id && schema.hash() == schema_hash ? &schema : nullptr;
    return version_id >= 1 && version_id <= versions.size() ? &versions[version_id - 1] : nullptr;
  }
  // A chunk of that version and hash can be one of this feed's.
  bool knows(uint32_t version_id, uint64_t hash) const noexcept;
};

// Throws FeedError kInvalidName unless `name` is 1 to 128 bytes of [A-Za-z0-9][A-Za-z0-9._-]* (F-8).
void check_feed_name(std::string_view name);

// Of a directory whose files have that mode: who may read them may look into it.
constexpr mode_t directory_mode(uint32_t file_mode) noexcept {
  return 0700 | ((file_mode & 0040) != 0 ? 0050 : 0) | ((file_mode & 0004) != 0 ? 0005 : 0);
}

// Throws FeedError kInvalidSize unless a feed of this schema can have these options (F-20). Nothing is looked at.
void check_options(const Schema& schema, const FeedOptions& options);

// Read-only view of a base. Creates nothing (G-5). Thread safety: one thread.
class GlobalRegistry {
 public:
  // Throws FeedError kBaseNotFound, kCorrupt, kUnsupportedVersion, kPermission. With `only`, of all feeds it knows that one alone,
  // which is found ten times as fast among 100,000 (F-9); warnings about others are not given.
  static GlobalRegistry open(const std::string& base, Files& files = Files::system(), std::string_view only = {});

  const Id& id() const noexcept { return log_.identity().base_id; }
  const std::string& base() const noexcept { return base_; }
  void refresh();
  // The feed of that name; nullptr: none, or deleted.
  const FeedInfo* find(std::string_view name) const noexcept;
  const std::map<std::string, FeedInfo, std::less<>>& feeds() const noexcept { return feeds_; }
  // What was skipped: damaged or unknown entries, a line each.
  const std::vector<std::string>& warnings() const noexcept { return warnings_; }

 private:
  void take(const RegistryLog::Entry& entry);
  std::string base_;
  std::string only_;
  Files* files_ = nullptr;
  RegistryLog log_;
  std::map<std::string, FeedInfo, std::less<>> feeds_;
  std::vector<std::string> warnings_;
};

// Make a base where there is none (its directory too), or find the one that is there. Throws.
void create_base(const std::string& base, Files& files = Files::system());

// Make a feed, whole or not at all (F-7); the base is made if need be. False: a feed of that name and definition is there
// already (F-6). Throws FeedError kSchemaConflict with the differences, kInvalidName, kInvalidSchema, kInvalidSize, kNoSpace, ...
bool create_feed(const std::string& base, const std::string& name, const Schema& schema, const FeedOptions& options = {},
                 Files& files = Files::system());
// Remove a feed: refused while somebody writes it. False: there was none (throws kFeedNotFound unless missing_ok) (F-11).
bool delete_feed(const std::string& base, const std::string& name, bool missing_ok = false, Files& files = Files::system());

// ---- a feed's own registry -------------------------------------------------------------------------------------------------

enum class FeedEntry : uint16_t {
  kEpochOpened = 1,
  kEpochClosed = 2,
  kChunkOpened = 3,  // prepared: it counts once its own header says that it is active (F-c)
  kChunkSealed = 4,
  kChunkPersisted = 5,
  kChunkExpired = 6,
  kChunkAbandoned = 7,
  kChunkQuarantined = 8,
  kSegmentOpened = 9,
  kSegmentClosed = 10,
  kMark = 11,
  kSettingsChanged = 13,  // the global registry has other settings, or another version of the schema, from now on
  kLoss = 12,  // records that were committed and are gone: first_seq, count (all ones: unknown)
};

// A kind that this program knows; others are skipped with a warning (F-24).
constexpr bool is_known(FeedEntry type) noexcept { return type >= FeedEntry::kEpochOpened && type <= FeedEntry::kSettingsChanged; }

enum class ChunkState : uint8_t { kOpen, kSealed, kPersisted, kExpired, kAbandoned, kQuarantined };
enum class SegmentStatus : uint8_t { kOpen = 0, kClosed = 1, kCrashClosed = 2, kInvalidEmpty = 3, kBroken = 4 };

inline constexpr uint64_t kUnknownCount = ~uint64_t{0};

struct ClockBounds {
  uint64_t min = ~uint64_t{0};
  uint64_t max = 0;
  bool ordered = true;
  bool operator==(const ClockBounds&) const = default;
};

// One entry of a feed's registry, as it is stored (docs/formats/feed-registry.md).
struct FeedRecord {
  FeedEntry type = FeedEntry::kEpochOpened;
  uint64_t wall_ns = 0;
  uint64_t epoch = 0;
  uint64_t ordinal = 0;
  uint64_t first_seq = 0;
  uint64_t count = 0;
  uint64_t bytes = 0;
  ClockBounds clocks[kClocksMax];
  bool in_memory = false;
  bool on_disk = false;
  uint32_t schema_id = 1;
  uint64_t tag = 0;       // of a chunk: when it was created; a file of another making is not it
  uint64_t value = 0;     // of segments and marks: status or code
  uint64_t monotonic_ns = 0;
  Id boot_id{};
  uint64_t pid = 0;
  uint64_t start_ticks = 0;
  std::string text;       // why; at most 56 bytes
};
std::vector<std::byte> encode(const FeedRecord& record);
FeedRecord decode_feed_record(const RegistryLog::Entry& entry);

struct ChunkInfo {
  uint64_t ordinal = 0;
  uint64_t epoch = 0;
  ChunkState state = ChunkState::kOpen;
  uint64_t first_seq = 0;  // from kSealed on; before, the chunk's header knows
  uint64_t count = 0;
  uint64_t bytes = 0;
  ClockBounds clocks[kClocksMax];
  bool in_memory = false;
  bool on_disk = false;
  uint64_t tag = 0;
  uint64_t sealed_wall_ns = 0;
  uint64_t end_seq() const noexcept { return first_seq + count; }
  bool readable() const noexcept { return state == ChunkState::kOpen || state == ChunkState::kSealed || state == ChunkState::kPersisted; }
  bool settled() const noexcept { return state != ChunkState::kOpen; }
};

struct EpochInfo {
  uint64_t epoch = 0;
  uint64_t first_seq = 0;
  uint64_t opened_wall_ns = 0;
  uint64_t end_seq = kUnknownCount;  // of a closed one
  bool closed = false;
};

struct SegmentInfo {
  uint64_t id = 0;
  uint64_t epoch = 0;
  uint64_t first_seq = 0;
  uint64_t end_seq = 0;
  SegmentStatus status = SegmentStatus::kOpen;
  ClockBounds clocks[kClocksMax];
  uint64_t opened_wall_ns = 0;
  uint64_t closed_wall_ns = 0;
  std::string reason;
  bool usable() const noexcept { return status == SegmentStatus::kClosed || status == SegmentStatus::kCrashClosed; }
};

// A record that the writer flagged: a snapshot, a keyframe (F-39).
struct MarkInfo {
  uint64_t seq = 0;
  uint64_t epoch = 0;
  uint64_t code = 0;
  uint64_t clocks[kClocksMax] = {};  // of the record
  uint64_t wall_ns = 0;              // when it was marked
  std::string text;
};

struct LossInfo {
  uint64_t epoch = 0;
  uint64_t first_seq = 0;
  uint64_t count = kUnknownCount;
  std::string reason;
};

// A feed's registry as lists, kept up to date at a cost proportional to what is new (F-80). Thread safety: one thread.
class FeedRegistry {
 public:
  static FeedRegistry open(const FeedInfo& feed, Files& files, bool writable);
  // The lists that these entries make, without a file: what a registry would say. append() and refresh() are not for it.
  static FeedRegistry of_records(const FeedInfo& feed, const std::vector<FeedRecord>& records);

  bool has_news() const noexcept { return log_.has_news(); }
  // True if anything was new. Opens the newer generation of a superseded log. Throws FeedError kFeedReplaced or kFeedDeleted when
  // another feed, or none, lies there.
  bool refresh();
  const std::vector<ChunkInfo>& chunks() const noexcept { return chunks_; }  // by ordinal
  const ChunkInfo* chunk(uint64_t ordinal) const noexcept;
  // The first chunk after `ordinal` that may hold records; nullptr: none yet.
  const ChunkInfo* next_readable(uint64_t ordinal) const noexcept;
  const std::vector<EpochInfo>& epochs() const noexcept { return epochs_; }
  const std::vector<SegmentInfo>& segments() const noexcept { return segments_; }
  const std::vector<LossInfo>& losses() const noexcept { return losses_; }
  uint64_t settings_changes() const noexcept { return settings_changes_; }  // how often the feed's settings were changed (F-10)
  const std::vector<MarkInfo>& marks() const noexcept { return marks_; }  // by record; of records that were lost there is none
  // The first record that is kept: everything below is expired (all of it when there is no chunk).
  uint64_t floor_seq() const noexcept;
  const std::vector<std::string>& warnings() const noexcept { return warnings_; }
  // Positions of entries that cannot follow from those before them and were ignored (F-23): repair takes them out.
  const std::vector<uint64_t>& impossible() const noexcept { return impossible_; }

  // Under the feed's append lock, which this takes for the call (2 s at most). Throws.
  void append(const FeedRecord& record, bool sync);
  void settle();
  // Forget what no reader or writer needs any more, when that is most of it (F-27): the file is replaced by one of the next
  // generation, and whoever has the old one goes over to it. False: there was little to forget.
  bool compact(uint64_t entries_min = 4096);

 private:
  void follow();
  void take(const RegistryLog::Entry& entry);
  void take_mark(const FeedRecord& record);
  ChunkInfo& chunk_slot(uint64_t ordinal);
  std::string directory_;
  Id feed_id_{};
  Files* files_ = nullptr;
  bool writable_ = false;
  RegistryLog log_;
  std::vector<ChunkInfo> chunks_;
  std::vector<EpochInfo> epochs_;
  std::vector<SegmentInfo> segments_;
  std::vector<LossInfo> losses_;
  std::vector<MarkInfo> marks_;
  uint64_t settings_changes_ = 0;
  std::vector<std::string> warnings_;
  std::vector<uint64_t> impossible_;
};

// The lock `name` in `directory`, waiting `timeout_ns` for it; throws FeedError of `fault`, naming the holder.
shm::FileLock lock_within(const std::string& directory, const std::string& name, const std::string& who, uint64_t timeout_ns, Fault fault);

// For settings.h. Under registry.lock: what `feed` says now is what holds.
void write_changed(const std::string& base, const FeedInfo& feed, Files& files);
std::string schema_file_name(uint32_t schema_id);  // "schema.bin", "schema-2.bin", ...
// Schemas 1 to feed.schema_id into `versions`, the last into `schema`. Throws FeedError kSchemaMismatch, kCorrupt.
void load_schemas(FeedInfo& feed, Files& files);

// A feed with its schema, found by name through the global registry alone. Throws kFeedNotFound, kFeedDeleted, ...
FeedInfo find_feed(const std::string& base, const std::string& name, Files& files);
std::string chunk_name(uint64_t ordinal);  // "0000000000000001.data"
std::string index_name(uint64_t ordinal);
// The ordinal that a name of either kind says; nullopt for other names.
std::optional<uint64_t> ordinal_of(std::string_view file_name) noexcept;

}  // namespace tidepool::feed
