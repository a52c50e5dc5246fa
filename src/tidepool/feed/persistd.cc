#include "tidepool/feed/persistd.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>

#include "tidepool/base/log.h"
#include "tidepool/base/process.h"
#include "tidepool/feed/blob_care.h"
#include "tidepool/feed/crc32c.h"
#include "tidepool/feed/recovery.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/shm/published_word.h"

namespace tidepool::feed {
namespace {

constexpr const char* kLockName = "persistd.lock";
constexpr const char* kPageName = "persistd.bin";
constexpr uint64_t kMagic = 0x3144535245505054;  // "TPPERSD1"
constexpr size_t kPageBytes = 4096;
constexpr size_t kHeartbeatAt = 128;
constexpr size_t kFeedsAt = 192;
constexpr size_t kDrainedFeedsAt = 200;
constexpr size_t kDrainedChunksAt = 208;
constexpr size_t kDrainedRecordsAt = 216;
constexpr size_t kFailuresAt = 224;
constexpr uint64_t kRetryMinNs = kNsPerSecond;
constexpr uint64_t kRetryMaxNs = 60 * kNsPerSecond;

bool is_held(const std::string& directory, const char* name) {
  return shm::FileLock::holder(shm::Directory::open(directory), name).has_value();
}

bool is_unfinished(const ChunkInfo& chunk) noexcept {
  return chunk.state == ChunkState::kOpen || chunk.state == ChunkState::kSealed;
}

}  // namespace

// A feed is looked at again when its registry has changed since it was found in order.
struct Persistd::Watch {
  uint64_t inode = 0;
  uint64_t bytes = 0;
  uint64_t modified_ns = 0;
  uint64_t retry_at_ns = 0;
  uint64_t retry_ns = 0;
};

std::unique_ptr<Persistd> Persistd::open(const std::string& base, const PersistdOptions& options) {
  return std::unique_ptr<Persistd>(new Persistd(base, options));
}

Persistd::Persistd(const std::string& base, const PersistdOptions& options)
    : base_(base), options_(options), files_(*options.files) {
  registry_ =
      std::make_unique<GlobalRegistry>(GlobalRegistry::open(base, files_));  // before a lock file is made where there is no base
  lock_ = lock_within(base, kLockName, options.text, 0, Fault::kBusy);
  std::vector<std::byte> bytes(kPageBytes);
  const ProcessId self = this_process();
  store(bytes.data(), kMagic);
  store(bytes.data() + 8, kMajor);
  store(bytes.data() + 16, registry_->id());
  store(bytes.data() + 32, this_boot_id());
  store(bytes.data() + 48, self.pid);
  store(bytes.data() + 56, self.start_ticks);
  store(bytes.data() + 124, crc32c(Bytes(bytes).first(124)));
  store(bytes.data() + kHeartbeatAt, monotonic_ns());
  write_file_atomically(files_, base, kPageName, bytes, 0640);
  page_ = Mapping::of(File::open(files_, concat(base, "/", kPageName), O_RDWR), kPageBytes, true);
  prune_at_ns_ = monotonic_ns();
  heart_ = std::thread([this] { beat(); });
}

Persistd::~Persistd() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (heart_.joinable()) heart_.join();
  files_.unlink(concat(base_, "/", kPageName));
}

void Persistd::beat() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    shm::PublishedWord(page_.data() + kHeartbeatAt).publish(monotonic_ns());
    wake_.wait_for(lock, std::chrono::milliseconds(100));
  }
}

void Persistd::count(size_t at, uint64_t more) {
  shm::PublishedWord word(page_.data() + at);
  word.publish(word.peek() + more);
}

bool Persistd::poll() {
  // Repair may have put another registry in its place.
  struct stat found{};
  if (::stat(concat(base_, "/", kRegistryName).c_str(), &found) == 0 && found.st_ino != registry_inode_) {
    registry_ = std::make_unique<GlobalRegistry>(GlobalRegistry::open(base_, files_));
    registry_inode_ = found.st_ino;
  }
  registry_->refresh();
  std::erase_if(watches_, [&](const auto& entry) {
    return std::none_of(registry_->feeds().begin(), registry_->feeds().end(),
                        [&](const auto& feed) { return feed.second.id == entry.first; });
  });
  bool worked = false;
  uint64_t feeds = 0;
  for (const FeedInfo* feed : payloads_first(registry_->feeds())) {
    const FeedInfo& info = *feed;
    const std::string& name = info.name;
    if (info.deleting || info.options.storage == Storage::kMemory) continue;
    ++feeds;
    Watch& watch = watches_[info.id];
    try {
      worked |= look(info, watch);
      if (watch.retry_ns != 0 && watch.retry_at_ns == 0) watch.retry_ns = 0;
    } catch (const Error& error) {
      const auto* fault = dynamic_cast<const FeedError*>(&error);
      if (error.code() == Code::kNotFound ||
          (fault != nullptr && (fault->fault() == Fault::kFeedReplaced || fault->fault() == Fault::kBusy))) {
        continue;  // it went between two looks, or somebody else is at it
      }
      watch.retry_ns = std::clamp(2 * watch.retry_ns, kRetryMinNs, kRetryMaxNs);
      watch.retry_at_ns = monotonic_ns() + watch.retry_ns;
      trouble_ = concat("feed ", name, ": ", error.what());
      count(kFailuresAt, 1);
      log(LogLevel::kWarn, "feed", "persistd: ", trouble_, "; tried again in ", watch.retry_ns / kNsPerSecond, " s");
    }
  }
  shm::PublishedWord(page_.data() + kFeedsAt).publish(feeds);
  prune();
  return worked;
}

bool Persistd::look(const FeedInfo& info, Watch& watch) {
  const uint64_t now_ns = monotonic_ns();
  if (watch.retry_at_ns > now_ns) return false;
  struct stat found{};
  if (::stat(concat(info.directory, "/", kFeedRegistryName).c_str(), &found) != 0) return false;  // repair's business
  const auto modified_ns =
      static_cast<uint64_t>(found.st_mtim.tv_sec) * kNsPerSecond + static_cast<uint64_t>(found.st_mtim.tv_nsec);
  if (watch.inode == found.st_ino && watch.bytes == static_cast<uint64_t>(found.st_size) && watch.modified_ns == modified_ns)
    return false;
  if (is_held(info.directory, kWriterLockName) || payloads_wait(info)) return false;
  const bool worked = drain(info, watch);
  watch.retry_at_ns = 0;
  if (worked) return true;  // looked at once more, and then it is in order
  watch.inode = found.st_ino;
  watch.bytes = static_cast<uint64_t>(found.st_size);
  watch.modified_ns = modified_ns;
  return false;
}

// Its payloads are not all on disk: a row that is durable has a payload that is (F-122), so its rows wait, too.
bool Persistd::payloads_wait(const FeedInfo& info) const {
  const std::string lead = blob_feed_name(info.name, "");
  const auto& feeds = registry_->feeds();
  for (auto at = feeds.lower_bound(lead); at != feeds.end() && at->first.starts_with(lead); ++at) {
    if (at->second.deleting) continue;
    const FeedRegistry column = FeedRegistry::open(at->second, files_, false);
    if (std::any_of(column.chunks().begin(), column.chunks().end(), is_unfinished)) return true;
  }
  return false;
}

bool Persistd::drain(const FeedInfo& info, Watch& watch) {
  {
    const FeedRegistry registry = FeedRegistry::open(info, files_, false);
    if (std::none_of(registry.chunks().begin(), registry.chunks().end(), is_unfinished)) return false;
  }
  const FeedInfo feed = find_feed(base_, info.name, files_);
  // Behind this lock no writer begins its recovery; one that lives has its own lock (F-63). So: ours first, then the look.
  const shm::FileLock lock = lock_within(feed.directory, kPersisterLockName, options_.text, 0, Fault::kBusy);
  if (is_held(feed.directory, kWriterLockName) || payloads_wait(feed)) return true;
  FeedRegistry registry = FeedRegistry::open(feed, files_, true);
  registry.settle();
  registry.refresh();
  const uint64_t begin_ns = monotonic_ns();
  const RecoveryReport report = recover_feed(feed, registry, files_);
  if (options_.events != nullptr) options_.events->take(feed.name, report, monotonic_ns() - begin_ns);
  for (const ChunkRecovery& chunk : report.chunks) {
    count(kDrainedChunksAt, 1);
    count(kDrainedRecordsAt, chunk.count);
  }
  count(kDrainedFeedsAt, 1);
  for (const std::string& remark : report.remarks) log(LogLevel::kWarn, "feed", "persistd: feed ", feed.name, ": ", remark);
  log(LogLevel::kInfo, "feed", "persistd: feed ", feed.name, ": what a dead writer left is on disk, up to record ",
      report.next_seq);
  watch.retry_ns = 0;
  return true;
}

void Persistd::prune() {
  const uint64_t now_ns = monotonic_ns();
  if (options_.retention_every_ns == 0 || now_ns < prune_at_ns_) return;
  prune_at_ns_ = now_ns + options_.retention_every_ns;
  try {
    PruneOptions prune;
    prune.run = options_.retention;
    const RetentionReport report = prune_base(base_, prune);
    if (options_.events != nullptr) options_.events->take(report);
    for (const std::string& warning : report.warnings) log(LogLevel::kWarn, "feed", "persistd: ", warning);
    if (report.waiting != 0 || !report.expired.empty())
      prune_at_ns_ = std::min(prune_at_ns_, now_ns + options_.retention.grace_ns + kNsPerSecond);
  } catch (const FeedError& error) {
    if (error.fault() == Fault::kBusy) return;  // somebody prunes it just now
    trouble_ = error.what();
    count(kFailuresAt, 1);
    log(LogLevel::kWarn, "feed", "persistd: retention: ", error.what());
  }
}

namespace {
PersistdStatus status_of(const std::byte* page) {
  const auto word = [&](size_t at) { return shm::PublishedWord(page + at).load(); };
  return {load<uint64_t>(page + 48), load<uint64_t>(page + 56), word(kHeartbeatAt),      word(kFeedsAt),
          word(kDrainedFeedsAt),     word(kDrainedChunksAt),    word(kDrainedRecordsAt), word(kFailuresAt)};
}
}  // namespace

PersistdStatus Persistd::status() const { return status_of(page_.data()); }

std::optional<PersistdStatus> persistd_of(const std::string& base, Files& files) {
  if (!is_held(base, kLockName)) return std::nullopt;
  const File file = File::open_if_there(files, concat(base, "/", kPageName), O_RDONLY);
  std::vector<std::byte> page(kPageBytes);
  if (!file || file.read(page, 0).size() != kPageBytes || load<uint64_t>(page.data()) != kMagic) return std::nullopt;
  if (crc32c(Bytes(page).first(124)) != load<uint32_t>(page.data() + 124) || load<Id>(page.data() + 32) != this_boot_id())
    return std::nullopt;
  return status_of(page.data());
}

}  // namespace tidepool::feed
