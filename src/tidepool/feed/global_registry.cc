// The global registry: creating, finding and deleting feeds.

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/feed/blob_care.h"
#include "tidepool/feed/chunk.h"
#include "tidepool/feed/crc32c.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/remote_target.h"

namespace tidepool::feed {
namespace {

constexpr size_t kNameBytesMax = 128;
constexpr size_t kShmRootBytesMax = 120;
constexpr uint32_t kSchemaVersionsMax = 10'000;
constexpr size_t kNameAt = 136;
constexpr size_t kShmRootAt = 264;
constexpr size_t kDefinitionBaseAt = 384;  // zeros in the global log
constexpr size_t kShmModeAt = 400;

std::string octal(uint32_t mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%04o", mode);
  return text;
}

std::string parent_directory(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

Id feed_id_on_disk(const std::string& directory, Files& files) {
  return RegistryLog::open(files, concat(directory, "/", kFeedRegistryName), kFeedMagic, kFeedEntryBytes, false).identity().feed_id;
}

}  // namespace

void check_options(const Schema& schema, const FeedOptions& options) {
  const auto invalid = [](const auto&... parts) { throw FeedError(Fault::kInvalidSize, parts...); };
  if (options.live_chunks < 2 || options.live_chunks > 1024)
    invalid("live_chunks is ", options.live_chunks, ": expected 2 to 1024");
  if (options.chunk_bytes < 4096 || options.chunk_bytes > (uint64_t{1} << 40))
    invalid("chunk_bytes is ", options.chunk_bytes, ": expected 4096 to 2^40");
  if (options.block_bytes < 4096 || options.block_bytes > (1u << 26) || (options.block_bytes & (options.block_bytes - 1)) != 0) {
    invalid("block_bytes is ", options.block_bytes, ": expected a power of two from 4096 to 2^26");
  }
  if (schema.layout() == Layout::kRows && uint64_t{schema.record_bytes()} * 16 > options.chunk_bytes) {
    invalid("chunk_bytes is ", options.chunk_bytes, ": too small for 16 records of ", schema.record_bytes(), " bytes");
  }
  for (const uint32_t mode : {options.file_mode, options.live_mode()}) {
    if ((mode & ~0666u) == 0 && (mode & 0600u) == 0600) continue;
    throw FeedError(Fault::kUsage, "file_mode ", octal(options.file_mode), ", shm_mode ", octal(options.shm_mode),
                    ": expected the owner's right to read and write, and others' as you like, such as 0640");
  }
  if (options.shm_root.empty() || options.shm_root.front() != '/' || options.shm_root.size() > kShmRootBytesMax) {
    throw FeedError(Fault::kUsage, "shm_root '", printable(options.shm_root), "': expected an absolute path of at most ",
                    kShmRootBytesMax, " bytes");
  }
}

bool is_feed_name(std::string_view name) noexcept {
  const auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  if (name.empty() || name.size() > kNameBytesMax || !alnum(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) { return alnum(c) || c == '.' || c == '_' || c == '-'; });
}

std::vector<std::byte> encode_feed(const FeedInfo& feed) {
  std::vector<std::byte> bytes(kGlobalEntryBytes);  // head included, so that offsets are those of the page
  std::byte* at = bytes.data();
  const FeedOptions& options = feed.options;
  store(at + 24, feed.id);
  store(at + 40, static_cast<uint8_t>(options.storage));
  store(at + 41, static_cast<uint8_t>(feed.layout));
  store(at + 42, static_cast<uint8_t>(feed.clocks));
  store(at + 43, static_cast<uint8_t>(options.sync));
  store(at + 44, static_cast<uint32_t>((options.segments ? 1 : 0) | (options.prefault ? 2 : 0) | (options.huge_pages ? 16 : 0) |
                                       (options.lock_memory ? 32 : 0)) |
                     static_cast<uint32_t>(options.persister) << 2);
  store(at + 48, options.chunk_bytes);
  store(at + 56, options.block_bytes);
  store(at + 60, options.live_chunks);
  store(at + 64, options.sync_interval_ns);
  store(at + 72, options.sync_bytes);
  store(at + 80, options.chunk_age_ns);
  store(at + 88, options.retention_ns);
  store(at + 96, options.retention_bytes);
  store(at + 104, feed.schema_hash);
  store(at + 112, feed.record_bytes);
  store(at + 116, feed.schema_id);
  store(at + 120, options.backlog_bytes);
  store(at + 128, options.file_mode);
  store(at + 132, static_cast<uint16_t>(feed.name.size()));
  store(at + 134, static_cast<uint16_t>(options.shm_root.size()));
  std::memcpy(at + kNameAt, feed.name.data(), feed.name.size());
  std::memcpy(at + kShmRootAt, options.shm_root.data(), options.shm_root.size());
  store(at + kShmModeAt, options.shm_mode);
  return {bytes.begin() + kEntryHeadBytes, bytes.end()};
}

// Of an entry that nobody has looked at.
std::string_view name_in(Bytes entry) noexcept {
  const auto bytes = std::min<size_t>(load<uint16_t>(entry.data() + 132), kNameBytesMax);
  return {reinterpret_cast<const char*>(entry.data() + kNameAt), bytes};
}

// nullopt: an entry whose checksum is right and whose content is not; its name would become a path.
std::optional<FeedInfo> decode_feed(const RegistryLog::Entry& entry) {
  const std::byte* at = entry.bytes.data();
  const auto name_bytes = load<uint16_t>(at + 132);
  const auto root_bytes = load<uint16_t>(at + 134);
  if (name_bytes > kNameBytesMax || root_bytes > kShmRootBytesMax) return std::nullopt;
  FeedInfo feed;
  feed.name.assign(reinterpret_cast<const char*>(at + kNameAt), name_bytes);
  feed.options.shm_root.assign(reinterpret_cast<const char*>(at + kShmRootAt), root_bytes);
  if (!is_feed_name(feed.name)) return std::nullopt;
  feed.id = load<Id>(at + 24);
  FeedOptions& options = feed.options;
  options.storage = load<Storage>(at + 40);
  feed.layout = load<Layout>(at + 41);
  feed.clocks = load<uint8_t>(at + 42);
  options.sync = load<SyncMode>(at + 43);
  const auto flags = load<uint32_t>(at + 44);
  options.segments = (flags & 1) != 0;
  options.prefault = (flags & 2) != 0;
  options.persister = static_cast<Persister>(flags >> 2 & 3);
  options.huge_pages = (flags & 16) != 0;
  options.lock_memory = (flags & 32) != 0;
  options.chunk_bytes = load<uint64_t>(at + 48);
  options.block_bytes = load<uint32_t>(at + 56);
  options.live_chunks = load<uint32_t>(at + 60);
  options.sync_interval_ns = load<uint64_t>(at + 64);
  options.sync_bytes = load<uint64_t>(at + 72);
  options.chunk_age_ns = load<uint64_t>(at + 80);
  options.retention_ns = load<uint64_t>(at + 88);
  options.retention_bytes = load<uint64_t>(at + 96);
  feed.schema_hash = load<uint64_t>(at + 104);
  feed.record_bytes = load<uint32_t>(at + 112);
  feed.schema_id = std::max<uint32_t>(1, load<uint32_t>(at + 116));
  options.backlog_bytes = load<uint64_t>(at + 120);
  options.file_mode = load<uint32_t>(at + 128);
  options.shm_mode = load<uint32_t>(at + kShmModeAt);
  feed.created_wall_ns = entry.wall_ns;
  if (options.storage < Storage::kTiered || options.storage > Storage::kMemory || options.persister > Persister::kAny || feed.clocks < 1 || feed.clocks > kClocksMax)
    return std::nullopt;
  return feed;
}

void remove_tree(Files& files, const std::string& directory) {
  for (const std::string& name : names_in(directory)) {
    const std::string path = concat(directory, "/", name);
    struct stat found{};
    if (::lstat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode)) {
      remove_tree(files, path);
    } else {
      unlink_file(files, path);
    }
  }
  if (files.remove_directory(directory) != 0 && errno != ENOENT)
    throw FeedError(fault_of_errno(errno), "remove ", directory, errno_text());
}

std::string feeds_directory(const std::string& base) { return concat(base, "/feeds"); }

void settle_global(const std::string& base, Files& files) {
  RegistryLog::open(files, concat(base, "/", kRegistryName), kGlobalMagic, kGlobalEntryBytes, true).settle();
}

void write_global(const std::string& base, GlobalEntry type, const FeedInfo& feed, Files& files) {
  RegistryLog log = RegistryLog::open(files, concat(base, "/", kRegistryName), kGlobalMagic, kGlobalEntryBytes, true);
  log.settle();
  log.append(static_cast<uint16_t>(type), realtime_ns(), encode_feed(feed), true);
}

void write_definition(Files& files, const std::string& directory, const FeedInfo& feed) {
  std::vector<std::byte> bytes(kGlobalEntryBytes);
  const auto body = encode_feed(feed);
  std::memcpy(bytes.data() + kEntryHeadBytes, body.data(), body.size());
  store(bytes.data() + 4, static_cast<uint16_t>(GlobalEntry::kCreated));
  store(bytes.data() + 6, uint16_t{1});
  store(bytes.data() + 16, feed.created_wall_ns);
  store(bytes.data() + kDefinitionBaseAt, feed.base_id);
  store(bytes.data(), crc32c(Bytes(bytes).subspan(4)));
  write_file_atomically(files, directory, kDefinitionName, bytes, feed.options.file_mode);
}

std::optional<FeedInfo> read_definition(Files& files, const std::string& directory, std::string& why) {
  const File file = File::open_if_there(files, concat(directory, "/", kDefinitionName), O_RDONLY);
  std::vector<std::byte> bytes(kGlobalEntryBytes);
  if (!file) {
    why = "it is missing";
    return std::nullopt;
  }
  if (const uint64_t size = file.size(); size != kGlobalEntryBytes || file.read(bytes, 0).size() != bytes.size()) {
    why = concat("it has ", size, " bytes, ", kGlobalEntryBytes, " were expected");
    return std::nullopt;
  }
  if (const uint32_t crc = crc32c(Bytes(bytes).subspan(4)); crc != load<uint32_t>(bytes.data())) {
    why = "its checksum is wrong";
    return std::nullopt;
  }
  auto feed = decode_feed({load<uint16_t>(bytes.data() + 4), 0, load<uint64_t>(bytes.data() + 16), bytes});
  if (!feed) {
    why = "its content is no feed's";
    return std::nullopt;
  }
  feed->base_id = load<Id>(bytes.data() + kDefinitionBaseAt);
  feed->directory = directory;
  return feed;
}

void finish_delete(const std::string& base, const FeedInfo& feed, Files& files) {
  // A feed of that name made since has another id: its directory is not ours to remove.
  struct stat found{};
  if (::lstat(feed.directory.c_str(), &found) == 0) {
    bool ours = true;
    try {
      ours = feed_id_on_disk(feed.directory, files) == feed.id;
    } catch (const FeedError&) {  // without its registry it is what a delete left half-way
    }
    if (ours) {
      remove_tree(files, live_directory_path(feed));
      remove_tree(files, feed.directory);
      sync_directory(files, feeds_directory(base));
    }
  }
  write_global(base, GlobalEntry::kDeleted, feed, files);
}

std::string_view storage_name(Storage storage) noexcept {
  switch (storage) {
    case Storage::kTiered: return "tiered";
    case Storage::kDurable: return "durable";
    case Storage::kMemory: return "memory";
  }
  return "unknown";
}

Storage storage_named(std::string_view name) {
  for (const Storage storage : {Storage::kTiered, Storage::kDurable, Storage::kMemory}) {
    if (storage_name(storage) == name) return storage;
  }
  throw FeedError(Fault::kUsage, "storage '", printable(name), "': expected tiered, durable or memory");
}

void check_feed_name(std::string_view name) {
  if (is_feed_name(name)) return;
  throw FeedError(Fault::kInvalidName, "'", printable(name), "' is no name of a feed: 1 to ", kNameBytesMax,
                  " characters, the first a letter or digit, then letters, digits, '.', '_' and '-'");
}

GlobalRegistry GlobalRegistry::open(const std::string& base, Files& files, std::string_view only) {
  refuse_remote_target(base);
  GlobalRegistry registry;
  registry.base_ = base;
  registry.only_ = only;
  registry.files_ = &files;
  try {
    registry.log_ = RegistryLog::open(files, concat(base, "/", kRegistryName), kGlobalMagic, kGlobalEntryBytes, false);
  } catch (const FeedError& error) {
    if (!is_missing(error.fault())) throw;
    throw FeedError(Fault::kBaseNotFound, "there is no registry.bin in ", base,
                    ": is that the directory that the feeds were created in?");
  }
  registry.refresh();
  return registry;
}

void GlobalRegistry::refresh() {
  std::function<bool(Bytes)> passes_over;
  if (!only_.empty()) passes_over = [&](Bytes entry) { return name_in(entry) != only_; };
  log_.refresh({.entry = [&](const RegistryLog::Entry& entry) { take(entry); },
                .damaged =
                    [&](uint64_t position, std::string_view why) {
                      warnings_.push_back(concat(log_.path(), ": entry ", position, " is damaged (", why, ") and was skipped"));
                    },
                .passes_over = std::move(passes_over)});
}

void GlobalRegistry::take(const RegistryLog::Entry& entry) {
  auto feed = decode_feed(entry);
  const auto type = static_cast<GlobalEntry>(entry.type);
  if (!feed || type < GlobalEntry::kCreated || type > GlobalEntry::kDeleted) {
    warnings_.push_back(
        concat(log_.path(), ": entry ", entry.position, " has a content that this program does not know and was skipped"));
    return;
  }
  feed->base_id = id();
  feed->directory = concat(feeds_directory(base_), "/", feed->name);
  const auto known = feeds_.find(feed->name);
  const bool same = known != feeds_.end() && known->second.id == feed->id;
  switch (type) {
    case GlobalEntry::kCreated: feeds_.insert_or_assign(feed->name, *feed); break;
    case GlobalEntry::kChanged:
      if (!same) break;
      feed->created_wall_ns = known->second.created_wall_ns;
      known->second = *feed;
      break;
    case GlobalEntry::kDeleting:
      if (same) known->second.deleting = true;
      break;
    case GlobalEntry::kDeleted:
      if (same) feeds_.erase(known);
      break;
  }
}

const FeedInfo* GlobalRegistry::find(std::string_view name) const noexcept {
  const auto found = feeds_.find(name);
  return found == feeds_.end() ? nullptr : &found->second;
}

void create_base(const std::string& base, Files& files) {
  refuse_remote_target(base);
  if (base.empty()) throw FeedError(Fault::kUsage, "the base directory has no name");
  std::vector<std::string> made;  // and what holds their names
  for (size_t at = base.find('/', 1);; at = base.find('/', at + 1)) {
    const std::string path = base.substr(0, at);
    if (files.make_directory(path, 0750) == 0) {
      made.push_back(parent_directory(path));
    } else if (errno != EEXIST) {
      throw FeedError(fault_of_errno(errno), "make directory ", path, errno_text());
    }
    if (at == std::string::npos) break;
  }
  const shm::FileLock lock = lock_within(base, kRegistryLockName, "a change of the registry", kLockTimeoutNs, Fault::kRegistryBusy);
  if (!File::open_if_there(files, concat(base, "/", kRegistryName), O_RDONLY)) {
    // Without its directory's name a base is gone with the power, whatever of it was synced (F-64). The last one also when another
    // made it, who may have died right then.
    if (made.empty()) made.push_back(parent_directory(base));
    for (const std::string& parent : made) {
      if (files.sync_directory(parent) != 0 && errno != EACCES)
        throw FeedError(fault_of_errno(errno), "sync directory ", parent, errno_text());
    }
    RegistryLog::Identity identity{
        .magic = kGlobalMagic, .entry_bytes = kGlobalEntryBytes, .base_id = random_id128(), .created_wall_ns = realtime_ns()};
    write_file_atomically(files, base, kRegistryName, RegistryLog::empty(identity), 0640);
  }
  make_directory(files, feeds_directory(base), 0750);
  sync_directory(files, base);
}

bool create_feed(const std::string& base, const std::string& name, const Schema& schema, const FeedOptions& options, Files& files) {
  FeedInfo wanted;
  wanted.name = name;
  wanted.id = random_id128();
  wanted.schema = schema;
  wanted.options = options;
  return create_feed_as(base, wanted, files);
}

bool create_feed_as(const std::string& base, const FeedInfo& wanted, Files& files) {
  const std::string& name = wanted.name;
  const Schema& schema = wanted.schema;
  const FeedOptions& options = wanted.options;
  check_feed_name(name);
  check_options(schema, options);
  create_base(base, files);
  const shm::FileLock lock = lock_within(base, kRegistryLockName, "a change of the registry", kLockTimeoutNs, Fault::kRegistryBusy);
  settle_global(base, files);
  const GlobalRegistry registry = GlobalRegistry::open(base, files, name);
  FeedInfo feed;
  feed.name = name;
  feed.base_id = registry.id();
  feed.directory = concat(feeds_directory(base), "/", name);
  if (const FeedInfo* existing = registry.find(name); existing != nullptr) {
    if (existing->deleting) {
      finish_delete(base, *existing, files);
    } else {
      FeedInfo found;
      try {
        found = find_feed(base, name, files);
        FeedRegistry::open(found, files, false);
      } catch (const FeedError& error) {
        throw FeedError(Fault::kFeedDamaged, "feed ", name, " exists and cannot be opened: ", error.what());
      }
      auto differences = found.schema.differences(schema);
      if (found.options.storage != options.storage) {
        differences.push_back(
            concat("storage: ", storage_name(found.options.storage), " there, ", storage_name(options.storage), " here"));
      }
      if (differences.empty()) return false;
      std::string text;
      for (const std::string& line : differences) text += "\n  " + line;
      throw FeedError(Fault::kSchemaConflict, "feed ", name,
                      " exists with another definition (there: asked for now; here: the existing one):", text);
    }
  }
  feed.id = wanted.id;
  feed.schema_id = wanted.schema_id;
  feed.schema_hash = schema.hash();
  feed.record_bytes = schema.record_bytes();
  feed.clocks = static_cast<uint32_t>(schema.clocks());
  feed.layout = schema.layout();
  feed.options = options;

  // What a creator that died left behind: temporary directories, and one that was renamed but never registered and so is empty.
  for (const std::string& entry : names_in(feeds_directory(base))) {
    if (is_unfinished(entry)) remove_tree(files, concat(feeds_directory(base), "/", entry));
  }
  struct stat found{};
  if (::lstat(feed.directory.c_str(), &found) == 0) {
    for (const std::string& entry : names_in(feed.directory)) {
      if (ordinal_of(entry)) {
        throw FeedError(Fault::kFeedDamaged, feed.directory,
                        " holds chunks of a feed that the registry does not name: repair can adopt it, or move it away");
      }
    }
    remove_tree(files, feed.directory);
  }
  const std::string temporary = concat(feeds_directory(base), "/.tmp-", hex(feed.id));
  make_directory(files, temporary, directory_mode(options.file_mode));
  try {
    RegistryLog::Identity identity{.magic = kFeedMagic,
                                   .entry_bytes = kFeedEntryBytes,
                                   .base_id = feed.base_id,
                                   .feed_id = feed.id,
                                   .created_wall_ns = realtime_ns()};
    write_file_atomically(files, temporary, kFeedRegistryName, RegistryLog::empty(identity), options.file_mode);
    write_file_atomically(files, temporary, schema_file_name(feed.schema_id), schema.encode(), options.file_mode);
    feed.created_wall_ns = realtime_ns();
    write_definition(files, temporary, feed);
    rename_file(files, temporary, feed.directory);
    sync_directory(files, feeds_directory(base));
    write_global(base, GlobalEntry::kCreated, feed, files);
  } catch (const Error&) {
    try {
      remove_tree(files, temporary);
    } catch (const Error&) {  // the next create sweeps it
    }
    throw;
  }
  return true;
}

void write_changed(const std::string& base, const FeedInfo& feed, Files& files) {
  write_global(base, GlobalEntry::kChanged, feed, files);
  write_definition(files, feed.directory, feed);  // behind it: a repair rewrites one that is older
}

std::string schema_file_name(uint32_t schema_id) { return schema_id == 1 ? kSchemaName : concat("schema-", schema_id, ".bin"); }

bool FeedInfo::knows(uint32_t version_id, uint64_t hash) const noexcept {
  const Schema* known = version(version_id);
  return known != nullptr && known->hash() == hash;
}

void load_schemas(FeedInfo& feed, Files& files) {
  if (feed.schema_id > kSchemaVersionsMax) throw FeedError(Fault::kCorrupt, "feed ", feed.name, " claims to have ", feed.schema_id, " versions of its schema");
  feed.versions.clear();
  for (uint32_t id = 1; id <= feed.schema_id; ++id) {
    const bool newest = id == feed.schema_id;
    try {
      const File file = File::open(files, concat(feed.directory, "/", schema_file_name(id)), O_RDONLY);
      std::vector<std::byte> bytes(std::min<uint64_t>(file.size(), uint64_t{8} << 20));
      feed.versions.push_back(Schema::decode(file.read(bytes, 0)));
    } catch (const FeedError& error) {
      if (!is_missing(error.fault()) && error.fault() != Fault::kCorrupt) throw;
      try {
        feed.versions.push_back(schema_from_chunks(feed, files, id));  // F-17
      } catch (const FeedError&) {
        if (newest) throw;
        feed.versions.emplace_back();  // no chunk is of that version: nobody needs it
      }
    }
    const Schema& found = feed.versions.back();
    const bool follows = id == 1 || feed.versions[id - 2].fields().empty() || feed.versions[id - 2].forbidden_changes(found).empty();
    if ((newest && found.hash() != feed.schema_hash) || (!found.fields().empty() && !follows)) {
      throw FeedError(Fault::kSchemaMismatch, "the schema of feed ", feed.name, " is not the one that the registry names: ", feed.directory, "/", schema_file_name(id));
    }
  }
  feed.schema = feed.versions.back();
}

namespace {

bool delete_one_feed(const std::string& base, const std::string& name, bool missing_ok, Files& files) {
  check_feed_name(name);
  GlobalRegistry::open(base, files);  // before a lock file is made where there is no base
  const shm::FileLock lock = lock_within(base, kRegistryLockName, "a change of the registry", kLockTimeoutNs, Fault::kRegistryBusy);
  settle_global(base, files);
  const GlobalRegistry registry = GlobalRegistry::open(base, files);
  const FeedInfo* feed = registry.find(name);
  if (feed == nullptr) {
    if (missing_ok) return false;
    throw FeedError(Fault::kFeedNotFound, "there is no feed ", name, " in ", base);
  }
  struct stat found{};
  if (::lstat(feed->directory.c_str(), &found) == 0) {
    const shm::FileLock writer = lock_within(feed->directory, kWriterLockName, "delete", 0, Fault::kWriterBusy);
    const shm::FileLock persister = lock_within(feed->directory, kPersisterLockName, "delete", 0, Fault::kWriterBusy);
    if (!feed->deleting) write_global(base, GlobalEntry::kDeleting, *feed, files);
    // Attached readers look here: they learn that the feed is gone, not merely idle.
    try {
      RegistryLog::open(files, concat(feed->directory, "/", kFeedRegistryName), kFeedMagic, kFeedEntryBytes, true)
          .set_mark(RegistryLog::Mark::kGone);
    } catch (const FeedError&) {  // damaged: it goes all the same
    }
    finish_delete(base, *feed, files);
    return true;
  }
  finish_delete(base, *feed, files);
  return true;
}

}  // namespace

bool delete_feed(const std::string& base, const std::string& name, bool missing_ok, Files& files) {
  check_feed_name(name);
  // Its payloads go with it, and after it: a row that is there has its payload. What a killed delete leaves of them, the next
  // create or repair takes away.
  std::vector<std::string> columns;
  {
    const GlobalRegistry registry = GlobalRegistry::open(base, files);
    if (const FeedInfo* feed = registry.find(name); feed != nullptr) {
      for (const FeedInfo& column : blob_feeds_of(registry.feeds(), name, feed->id, files)) columns.push_back(column.name);
    }
  }
  const bool deleted = delete_one_feed(base, name, missing_ok, files);
  for (const std::string& column : columns) delete_one_feed(base, column, true, files);
  return deleted;
}

FeedInfo find_feed(const std::string& base, const std::string& name, Files& files) {
  check_feed_name(name);
  GlobalRegistry registry = GlobalRegistry::open(base, files, name);
  const FeedInfo* found = registry.find(name);
  if (found == nullptr) {
    registry = GlobalRegistry::open(base, files);  // what there is instead
    std::string known;
    for (const auto& [other, unused] : registry.feeds()) {
      if (known.size() > 200) {
        known += ", ...";
        break;
      }
      known += concat(known.empty() ? "" : ", ", other);
    }
    throw FeedError(Fault::kFeedNotFound, "there is no feed ", name, " in ", base,
                    known.empty() ? ", which has none" : concat("; there are: ", known),
                    registry.warnings().empty() ? "" : concat("; but ", registry.warnings().front()));
  }
  if (found->deleting) throw FeedError(Fault::kFeedDeleted, "feed ", name, " is being deleted");
  FeedInfo feed = *found;
  load_schemas(feed, files);
  return feed;
}

}  // namespace tidepool::feed
