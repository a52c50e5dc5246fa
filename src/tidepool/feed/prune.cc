// Retention of all feeds of a base, with the limits that concern them together.

#include <sys/statvfs.h>

#include <algorithm>
#include <list>

#include "tidepool/feed/blob_care.h"
#include "tidepool/feed/blob_retention.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/retention.h"

namespace tidepool::feed {
namespace {

constexpr const char* kPruneLockName = "prune.lock";

uint64_t free_bytes_of(const std::string& directory) {
  struct statvfs found{};
  if (::statvfs(directory.c_str(), &found) != 0) throw FeedError(fault_of_errno(errno), "free space of ", directory, errno_text());
  return uint64_t{found.f_bavail} * found.f_frsize;
}

class Prune {
 public:
  Prune(const std::string& base, const PruneOptions& options) : base_(base), options_(options) {}

  RetentionReport run() {
    const GlobalRegistry registry = GlobalRegistry::open(base_, *options_.run.files);
    if (!options_.feed.empty() && registry.find(options_.feed) == nullptr)
      throw FeedError(Fault::kFeedNotFound, "there is no feed ", options_.feed, " in ", base_);
    for (const auto& [name, info] : registry.feeds()) {
      if (info.deleting || info.options.storage == Storage::kMemory || (!options_.feed.empty() && name != options_.feed)) continue;
      if (options_.progress) options_.progress(name, report_);
      one(name, registry);
    }
    uint64_t going = report_.waiting_bytes;  // their files stay for their time of grace, and then free their space
    for (const ExpiredChunk& chunk : report_.expired) going += chunk.bytes;
    if (options_.quota_bytes != 0) {
      uint64_t total = 0;
      for (WholeRetention& feed : feeds_) total += feed.kept_bytes();
      if (options_.run.dry_run) total -= std::min(total, going - report_.waiting_bytes);
      until_enough("quota", total > options_.quota_bytes ? total - options_.quota_bytes : 0);
    }
    if (options_.min_free_bytes != 0) {
      const uint64_t free = (options_.free_bytes ? options_.free_bytes(base_) : free_bytes_of(base_)) + going;
      until_enough("free space", free < options_.min_free_bytes ? options_.min_free_bytes - free : 0);
    }
    return std::move(report_);
  }

 private:
  // A feed that cannot be looked after does not stop the others.
  void one(const std::string& name, const GlobalRegistry& registry) {
    try {
      const FeedInfo feed = find_feed(base_, name, *options_.run.files);
      // Payloads go with their rows, unless they are asked for alone.
      if (const auto owner = blob_owner(feed); owner && options_.feed.empty() && parent_in(registry.feeds(), *owner) != nullptr) return;
      RetentionLimits limits{feed.options.retention_ns, feed.options.retention_bytes, 0};
      if (options_.limits.age_ns != 0) limits.age_ns = options_.limits.age_ns;
      if (options_.limits.bytes != 0) limits.bytes = options_.limits.bytes;
      if (options_.limits.chunks != 0) limits.chunks = options_.limits.chunks;
      feeds_.emplace_back(feed, options_.run);
      feeds_.back().run(limits, report_);
    } catch (const FeedError& error) {
      report_.warnings.push_back(concat("feed ", name, ": ", error.what()));
    }
  }

  // The oldest chunk of all feeds, again and again, until `missing` bytes will be free.
  void until_enough(const std::string& why, uint64_t missing) {
    struct Queue {
      WholeRetention* feed;
      std::vector<FeedRetention::Candidate> chunks;
      size_t next = 0;
    };
    std::vector<Queue> queues;
    for (WholeRetention& feed : feeds_) {
      if (missing == 0) return;
      Queue queue{&feed, feed.removable(report_)};
      std::erase_if(queue.chunks, [&](const auto& chunk) {
        return std::any_of(report_.expired.begin(), report_.expired.end(),
                           [&](const ExpiredChunk& e) { return e.feed == feed.feed().name && e.ordinal == chunk.ordinal; });
      });
      queues.push_back(std::move(queue));
    }
    while (missing != 0) {
      Queue* oldest = nullptr;
      for (Queue& queue : queues) {
        if (queue.next == queue.chunks.size()) continue;
        if (oldest == nullptr || queue.chunks[queue.next].sealed_wall_ns < oldest->chunks[oldest->next].sealed_wall_ns)
          oldest = &queue;
      }
      if (oldest == nullptr) break;
      const auto chunk = oldest->chunks[oldest->next++];
      try {
        oldest->feed->expire_one(chunk.ordinal, why, report_);
        missing -= std::min(missing, chunk.bytes);
      } catch (const FeedError& error) {
        report_.warnings.push_back(concat("feed ", oldest->feed->feed().name, ": ", error.what()));
        oldest->next = oldest->chunks.size();
      }
    }
    if (missing != 0)
      report_.warnings.push_back(concat(
          why, ": ", missing, " bytes more should go, and nothing more may: the rest is pinned, not durable, or the newest"));
  }

  const std::string base_;
  const PruneOptions& options_;
  std::list<WholeRetention> feeds_;
  RetentionReport report_;
};

}  // namespace

RetentionReport prune_base(const std::string& base, const PruneOptions& options) {
  GlobalRegistry::open(base, *options.run.files);  // before a lock file is made where there is no base
  shm::FileLock lock;
  if (!options.run.dry_run) lock = lock_within(base, kPruneLockName, "prune", 0, Fault::kBusy);
  return Prune(base, options).run();
}

}  // namespace tidepool::feed
