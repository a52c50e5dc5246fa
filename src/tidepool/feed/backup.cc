#include "tidepool/feed/backup.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/feed/blob_care.h"
#include "tidepool/feed/log_scan.h"
#include "tidepool/feed/registry_parts.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kCopyStepBytes = uint64_t{1} << 20;
constexpr int kBackupAttempts = 10;

bool is_there(const std::string& path) {
  struct stat found{};
  return ::lstat(path.c_str(), &found) == 0;
}

class Backup {
 public:
  Backup(const std::string& base, const std::string& to, const BackupOptions& options)
      : base_(base), to_(to), options_(options), files_(*options.files) {}

  BackupReport run() {
    const GlobalRegistry registry = GlobalRegistry::open(base_, files_);
    for (const std::string& name : options_.feeds) {
      check_feed_name(name);
      if (registry.find(name) == nullptr) throw FeedError(Fault::kFeedNotFound, "there is no feed ", name, " in ", base_);
    }
    begin(registry.id());
    // Of the rest of the base its registry says nothing: a copy of some feeds is the base of these.
    std::vector<FeedInfo> feeds;
    for (const auto& [name, feed] : registry.feeds()) {
      if (!feed.deleting && wanted(feed, registry.feeds())) feeds.push_back(feed);
    }
    std::stable_partition(feeds.begin(), feeds.end(), [](const FeedInfo& feed) { return !may_be_blob_feed(feed.name); });
    for (const FeedInfo& feed : feeds) one(feed);
    write_registry(registry.id(), feeds);
    return std::move(report_);
  }

 private:
  bool wanted(const FeedInfo& feed, const FeedsByName& feeds) const {
    const auto asked = [&](const std::string& name) {
      return std::find(options_.feeds.begin(), options_.feeds.end(), name) != options_.feeds.end();
    };
    if (options_.feeds.empty() || asked(feed.name)) return true;
    if (!may_be_blob_feed(feed.name)) return false;
    const auto loaded = with_schema(feed, files_);
    const auto owner = loaded ? blob_owner(*loaded) : std::nullopt;
    return owner && asked(owner->feed) && parent_in(feeds, *owner) != nullptr;
  }

  // The directory is new, or a copy of this base.
  void begin(const Id& base_id) {
    std::error_code error;
    const auto inside = std::filesystem::weakly_canonical(to_, error).string();
    const auto outside = std::filesystem::weakly_canonical(base_, error).string();
    if (inside == outside || inside.starts_with(outside + "/"))
      throw FeedError(Fault::kUsage, to_, " lies in the base itself: a copy belongs elsewhere");
    if (is_there(concat(to_, "/", kRegistryName))) {
      if (GlobalRegistry::open(to_, files_).id() != base_id)
        throw FeedError(Fault::kUsage, to_, " holds another base than ", base_, ": name a directory that is new, or an earlier copy");
    } else if (!names_in(to_).empty() && !is_there(concat(to_, "/feeds"))) {
      throw FeedError(Fault::kUsage, to_, " holds something that is no copy of a base: name a directory that is new");
    }
    for (const std::string& name : names_in(feeds_directory(to_))) {  // of a copy that was interrupted, too
      std::string why;
      if (const auto feed = read_definition(files_, concat(feeds_directory(to_), "/", name), why); feed && feed->base_id != base_id)
        throw FeedError(Fault::kUsage, to_, " holds feed ", name, " of another base than ", base_, ": name a directory that is new");
    }
    for (size_t at = to_.find('/', 1); at != std::string::npos; at = to_.find('/', at + 1))
      make_directory(files_, to_.substr(0, at), 0750);
    make_directory(files_, to_, 0750);
    make_directory(files_, feeds_directory(to_), 0750);
  }

  void one(const FeedInfo& feed) {
    ++report_.feeds;
    for (int attempt = 0; attempt < kBackupAttempts; ++attempt) {
      if (look(feed)) return;  // else retention took a chunk meanwhile: its registry says so by now
    }
    throw FeedError(Fault::kBusy, "feed ", feed.name, ": retention takes chunks faster than they can be copied to ", to_);
  }

  // False: something of it was taken away meanwhile.
  bool look(const FeedInfo& feed) {
    const std::string to = concat(feeds_directory(to_), "/", feed.name);
    make_directory(files_, to, 0750);
    for (const std::string& name : names_in(feed.directory)) {
      if (name == kDefinitionName || name.starts_with("schema")) copy_small(feed, name);
    }
    const LogScan scan = scan_log(files_, concat(feed.directory, "/", kFeedRegistryName), kFeedMagic, kFeedEntryBytes);
    if (!scan.problem.empty()) throw FeedError(scan.fault, scan.problem, ": repair it first");
    const FeedRegistry lists = FeedRegistry::of_records(feed, records_of(scan));
    std::vector<std::byte> log = scan.bytes;
    if (scan.count > scan.slots) RegistryLog::set_count(log, scan.slots);  // it grew while it was read
    write_file_atomically(files_, to, kFeedRegistryName, log, feed.options.file_mode);
    ++report_.files;
    report_.bytes += scan.bytes.size();
    // The newest first: records become durable in their order, so what is copied later holds all that comes before what was copied
    // earlier, and the copy ends at one record instead of missing some in between.
    for (auto chunk = lists.chunks().rbegin(); chunk != lists.chunks().rend(); ++chunk) {
      if (chunk->readable() && !copy_chunk(feed, *chunk)) return false;
    }
    for (const std::string& name : names_in(to)) {
      const auto ordinal = ordinal_of(name);
      const ChunkInfo* chunk = ordinal ? lists.chunk(*ordinal) : nullptr;
      if (!ordinal || (chunk != nullptr && chunk->readable())) continue;
      unlink_file(files_, concat(to, "/", name));
      ++report_.removed;
    }
    sync_directory(files_, to);
    return true;
  }

  void copy_small(const FeedInfo& feed, const std::string& name) {
    const File from = File::open(files_, concat(feed.directory, "/", name), O_RDONLY);
    std::vector<std::byte> bytes(std::min<uint64_t>(from.size(), uint64_t{64} << 20));
    bytes.resize(from.read(bytes, 0).size());
    write_file_atomically(files_, concat(feeds_directory(to_), "/", feed.name), name, bytes, feed.options.file_mode);
    ++report_.files;
    report_.bytes += bytes.size();
  }

  // The copy has it, whole: a chunk that is complete never changes (F-29).
  bool has_whole(const ChunkInfo& chunk, const std::string& path, uint64_t bytes) const {
    const File file = File::open_if_there(files_, path, O_RDONLY);
    if (!file || file.size() != bytes) return false;
    try {
      const DiskChunk disk = examine_chunk(file, false);
      return disk.footer && disk.header.created_wall_ns == chunk.tag && disk.header.ordinal == chunk.ordinal;
    } catch (const FeedError&) {
      return false;
    }
  }

  static bool is_whole(const File& file) {
    try {
      return examine_chunk(file, false).footer.has_value();
    } catch (const FeedError&) {
      return false;
    }
  }

  bool copy_chunk(const FeedInfo& feed, const ChunkInfo& chunk) {
    const std::string to = concat(feeds_directory(to_), "/", feed.name);
    const std::string from_path = concat(feed.directory, "/", chunk_name(chunk.ordinal));
    const File from = File::open_if_there(files_, from_path, O_RDONLY);
    // One that was begun a moment ago, or lives in memory alone, has no file yet; of a complete one it was taken away.
    if (!from) return chunk.state != ChunkState::kPersisted;
    if (has_whole(chunk, concat(to, "/", chunk_name(chunk.ordinal)), from.size())) {
      ++report_.kept;
    } else {
      // One that was completed meanwhile has a head from before and a footer from after: now it holds still.
      bool whole = false;
      do {
        whole = is_whole(from);
        copy(from, to, chunk_name(chunk.ordinal), feed.options.file_mode);
      } while (!whole && is_whole(File::open(files_, concat(to, "/", chunk_name(chunk.ordinal)), O_RDONLY)));
      if (options_.progress) options_.progress({feed.name, report_.files, report_.bytes});
    }
    const File index = File::open_if_there(files_, concat(feed.directory, "/", index_name(chunk.ordinal)), O_RDONLY);
    if (index && !is_there(concat(to, "/", index_name(chunk.ordinal)))) copy(index, to, index_name(chunk.ordinal), feed.options.file_mode);
    return true;
  }

  // From the beginning on: the head says how far the data reach, and those do not change (docs/formats/feed-chunk.md). Zeros stay
  // holes: a chunk that is being written is as large as it may become.
  void copy(const File& from, const std::string& directory, const std::string& name, mode_t mode) {
    const std::string temporary = concat(directory, "/.tmp-", name);
    const File to = File::open(files_, temporary, O_RDWR | O_CREAT | O_TRUNC, mode);
    std::vector<std::byte> window(kCopyStepBytes);
    uint64_t at = 0;
    for (;;) {
      const auto got = from.read(window, at);
      if (got.empty()) break;
      if (std::any_of(got.begin(), got.end(), [](std::byte byte) { return byte != std::byte{0}; })) {
        to.write(got, at);
        report_.bytes += got.size();
      }
      at += got.size();
    }
    to.resize(at);
    to.sync();
    rename_file(files_, temporary, concat(directory, "/", name));
    ++report_.files;
  }

  // Last, so that what it names is there. What an earlier copy held besides stays named.
  void write_registry(const Id& base_id, const std::vector<FeedInfo>& feeds) {
    FeedsByName all;
    if (is_there(concat(to_, "/", kRegistryName))) all = GlobalRegistry::open(to_, files_).feeds();
    if (options_.feeds.empty()) {
      for (const auto& [name, feed] : all) {
        if (std::none_of(feeds.begin(), feeds.end(), [&](const FeedInfo& now) { return now.id == feed.id; }))
          report_.remarks.push_back(concat("feed ", name, " is not in the base any more: its copy stays"));
      }
    }
    for (const FeedInfo& feed : feeds) all.insert_or_assign(feed.name, feed);
    const RegistryLog::Identity identity{.magic = kGlobalMagic,
                                         .entry_bytes = kGlobalEntryBytes,
                                         .base_id = base_id,
                                         .generation = realtime_ns(),
                                         .created_wall_ns = realtime_ns()};
    std::vector<std::byte> bytes = RegistryLog::empty(identity);
    uint64_t position = 0;
    for (const auto& [name, feed] : all) {
      const auto entry = RegistryLog::entry(identity, static_cast<uint16_t>(GlobalEntry::kCreated), position++, feed.created_wall_ns,
                                            encode_feed(feed));
      bytes.insert(bytes.end(), entry.begin(), entry.end());
    }
    RegistryLog::set_count(bytes, position);
    write_file_atomically(files_, to_, kRegistryName, bytes, 0640);
    sync_directory(files_, to_);
  }

  const std::string base_;
  const std::string to_;
  const BackupOptions& options_;
  Files& files_;
  BackupReport report_;
};

}  // namespace

BackupReport backup_base(const std::string& base, const std::string& to, const BackupOptions& options) {
  return Backup(base, to, options).run();
}

}  // namespace tidepool::feed
