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
#include "tidepool/feed/served_feed.h"
#include "tidepool/shm/published_word.h"

namespace tidepool::feed {
namespace {

constexpr const char* kLockName = "persistd.lock";
constexpr const char* kPageName = "persistd.bin";
constexpr uint64_t kPersistdMagic = 0x3144535245505054;  // "TPPERSD1"
constexpr size_t kPageBytes = 4096;
constexpr size_t kHeartbeatAt = 128;
constexpr size_t kFeedsAt = 192;
constexpr size_t kDrainedFeedsAt = 200;
constexpr size_t kDrainedChunksAt = 208;
constexpr size_t kDrainedRecordsAt = 216;
constexpr size_t kFailuresAt = 224;
constexpr size_t kRewrittenAt = 232;
constexpr size_t kServedAt = 256;
constexpr size_t kServedChunksAt = 264;
constexpr size_t kServedRecordsAt = 272;
constexpr uint64_t kRetryMinNs = kNsPerSecond;
constexpr uint64_t kRetryMaxNs = 60 * kNsPerSecond;

bool is_held(const std::string& directory, const char* name) {
  return shm::FileLock::holder(shm::Directory::open(directory), name).has_value();
}

// Given up as empty, and whoever did so was killed before the file was gone, counts too.
bool is_unfinished(const FeedInfo& feed, const FeedRegistry& registry) {
  return std::any_of(registry.chunks().begin(), registry.chunks().end(), [&](const ChunkInfo& chunk) {
    if (chunk.state == ChunkState::kOpen || chunk.state == ChunkState::kSealed) return true;
    struct stat found{};
    return chunk.state == ChunkState::kAbandoned && ::lstat(concat(feed.directory, "/", chunk_name(chunk.ordinal)).c_str(), &found) == 0;
  });
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

// One living writer, and the thread that works for it.
class Persistd::Servant {
 public:
  Servant(Persistd& daemon, std::unique_ptr<ServedFeed> feed) : daemon_(daemon), feed_(std::move(feed)), thread_([this] { run(); }) {}
  ~Servant() {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  bool over() const {
    const std::scoped_lock lock(mutex_);
    return over_;
  }

 private:
  void run() noexcept {
    try {
      while (wait_ns_ != kOver && !wait()) wait_ns_ = round();
    } catch (const std::exception& error) {
      daemon_.failed(concat("feed ", feed_->feed().name, ": ", error.what()));
    }
    feed_.reset();  // its locks
    const std::scoped_lock lock(mutex_);
    over_ = true;
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, std::chrono::nanoseconds(wait_ns_), [&] { return stopping_; });
  }
  uint64_t round() {
    try {
      const ServedFeed::Did did = feed_->round();
      tell();
      retry_ns_ = 0;
      if (did == ServedFeed::Did::kOver) return kOver;
      return did == ServedFeed::Did::kWorked ? kNsPerMs : feed_->pause_ns();
    } catch (const FeedError& error) {
      if (retry_ns_ == 0) daemon_.failed(concat("feed ", feed_->feed().name, ": ", error.what()));
      retry_ns_ = std::clamp<uint64_t>(2 * retry_ns_, 10 * kNsPerMs, kNsPerSecond);
      return retry_ns_;
    }
  }
  void tell() {
    const uint64_t now[] = {feed_->chunks(), feed_->records(), feed_->rewritten()};
    const size_t at[] = {kServedChunksAt, kServedRecordsAt, kRewrittenAt};
    for (size_t i = 0; i < std::size(now); ++i) {
      if (now[i] != told_[i]) daemon_.count(at[i], now[i] - told_[i]);
      told_[i] = now[i];
    }
  }
  static constexpr uint64_t kOver = ~uint64_t{0};
  Persistd& daemon_;
  std::unique_ptr<ServedFeed> feed_;  // the thread's
  uint64_t wait_ns_ = 0;
  uint64_t retry_ns_ = 0;
  uint64_t told_[3] = {};
  mutable std::mutex mutex_;  // guards stopping_, over_
  std::condition_variable wake_;
  bool stopping_ = false;
  bool over_ = false;
  std::thread thread_;
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
  store(bytes.data(), kPersistdMagic);
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
  servants_.clear();
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
  const std::scoped_lock lock(mutex_);
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
  std::erase_if(servants_, [](const auto& entry) { return entry.second->over(); });
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
      failed(concat("feed ", name, ": ", error.what(), "; tried again in ", watch.retry_ns / kNsPerSecond, " s"));
    }
  }
  shm::PublishedWord(page_.data() + kFeedsAt).publish(feeds);
  shm::PublishedWord(page_.data() + kServedAt).publish(servants_.size());
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
  if (is_held(info.directory, kWriterLockName)) {
    serve(info);
    return false;
  }
  if (payloads_wait(info)) return false;
  const bool worked = drain(info, watch);
  watch.retry_at_ns = 0;
  if (worked) return true;  // looked at once more, and then it is in order
  watch.inode = found.st_ino;
  watch.bytes = static_cast<uint64_t>(found.st_size);
  watch.modified_ns = modified_ns;
  return false;
}

// A living writer that asks for it.
void Persistd::serve(const FeedInfo& info) {
  if (servants_.count(info.id) != 0) return;
  auto served = ServedFeed::attend(base_, info.name, options_.text, files_);
  if (!served) return;
  log(LogLevel::kInfo, "feed", "persistd: serves the writer of feed ", info.name);
  servants_[info.id] = std::make_unique<Servant>(*this, std::move(served));
}

void Persistd::failed(std::string why) {
  count(kFailuresAt, 1);
  log(LogLevel::kWarn, "feed", "persistd: ", why);
  const std::scoped_lock lock(mutex_);
  trouble_ = std::move(why);
}

std::string Persistd::trouble() const {
  const std::scoped_lock lock(mutex_);
  return trouble_;
}

// Its payloads are not all on disk: a row that is durable has a payload that is (F-122), so its rows wait, too.
bool Persistd::payloads_wait(const FeedInfo& info) const {
  const std::string lead = blob_feed_name(info.name, "");
  const auto& feeds = registry_->feeds();
  for (auto at = feeds.lower_bound(lead); at != feeds.end() && at->first.starts_with(lead); ++at) {
    if (at->second.deleting) continue;
    if (is_unfinished(at->second, FeedRegistry::open(at->second, files_, false))) return true;
  }
  return false;
}

bool Persistd::drain(const FeedInfo& info, Watch& watch) {
  if (!is_unfinished(info, FeedRegistry::open(info, files_, false))) return false;
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
    if (chunk.rewritten) count(kRewrittenAt, 1);
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
    failed(concat("retention: ", error.what()));
  }
}

namespace {
PersistdStatus status_of(const std::byte* page) {
  const auto word = [&](size_t at) { return shm::PublishedWord(page + at).load(); };
  return {load<uint64_t>(page + 48), load<uint64_t>(page + 56), word(kHeartbeatAt),      word(kFeedsAt),
          word(kDrainedFeedsAt),     word(kDrainedChunksAt),    word(kDrainedRecordsAt), word(kFailuresAt),
          word(kRewrittenAt),        word(kServedAt),           word(kServedChunksAt),   word(kServedRecordsAt)};
}
}  // namespace

PersistdStatus Persistd::status() const { return status_of(page_.data()); }

std::optional<PersistdStatus> persistd_of(const std::string& base, Files& files) {
  if (!is_held(base, kLockName)) return std::nullopt;
  const File file = File::open_if_there(files, concat(base, "/", kPageName), O_RDONLY);
  std::vector<std::byte> page(kPageBytes);
  if (!file || file.read(page, 0).size() != kPageBytes || load<uint64_t>(page.data()) != kPersistdMagic) return std::nullopt;
  if (crc32c(Bytes(page).first(124)) != load<uint32_t>(page.data() + 124) || load<Id>(page.data() + 32) != this_boot_id())
    return std::nullopt;
  return status_of(page.data());
}

}  // namespace tidepool::feed
