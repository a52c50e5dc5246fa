#pragma once
// The persister of a base: takes what dead writers left in shared memory to disk, at once and not only when the next writer comes, so
// that a power cut finds it there (F-63, F-67); does it for living writers whose feed wants that (FeedOptions::persister), each with a
// thread of its own; and prunes, every 15 minutes (F-131).
//
// One a base, by a held lock; a second is refused and told who the first is. It never stops because writers are away. Killed at any
// point it leaves what it found: the next one, the next writer or repair goes on. A feed that fails does not stop the others.
//
// Thread safety: one thread polls.

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "tidepool/feed/event_feed.h"
#include "tidepool/feed/retention.h"

namespace tidepool::feed {

struct PersistdOptions {
  uint64_t retention_every_ns = 900 * kNsPerSecond;  // 0: no retention
  RetentionOptions retention{};
  std::string text = "tidepool feed persistd";  // what others read who find the base served
  Files* files = &Files::system();
  EventFeed* events = nullptr;  // told of what is drained and expired; must live as long as the Persistd (F-137)
};

// What it has done, and does; in <base>/persistd.bin for anybody to read.
struct PersistdStatus {
  uint64_t pid = 0;
  uint64_t start_ticks = 0;
  uint64_t heartbeat_ns = 0;  // CLOCK_MONOTONIC; beats every 100 ms
  uint64_t feeds = 0;  // that it looks at
  uint64_t drained_feeds = 0;
  uint64_t drained_chunks = 0;
  uint64_t drained_records = 0;
  uint64_t failures = 0;
  uint64_t rewritten = 0;  // files on disk that were not what memory held (F-64)
  uint64_t served = 0;     // living writers, now
  uint64_t served_chunks = 0;
  uint64_t served_records = 0;
};

class Persistd {
 public:
  // Throws FeedError kBaseNotFound, kBusy naming who serves it, kPermission.
  static std::unique_ptr<Persistd> open(const std::string& base, const PersistdOptions& options = {});
  ~Persistd();
  Persistd(const Persistd&) = delete;
  Persistd& operator=(const Persistd&) = delete;

  // Look at every feed once. True: something of a dead writer was taken to disk. Living writers are served between the calls as well.
  bool poll();
  PersistdStatus status() const;
  std::string trouble() const;  // the last failure; empty: none

 private:
  struct Watch;
  class Servant;
  Persistd(const std::string& base, const PersistdOptions& options);
  bool look(const FeedInfo& info, Watch& watch);
  bool payloads_wait(const FeedInfo& info) const;
  void serve(const FeedInfo& info);
  bool drain(const FeedInfo& info, Watch& watch);
  void failed(std::string why);
  void prune();
  void beat();
  void count(size_t at, uint64_t more);

  std::string base_;
  PersistdOptions options_;
  Files& files_;
  shm::FileLock lock_;
  Mapping page_;
  std::unique_ptr<GlobalRegistry> registry_;
  uint64_t registry_inode_ = 0;
  std::map<Id, Watch> watches_;
  std::map<Id, std::unique_ptr<Servant>> servants_;
  uint64_t prune_at_ns_ = 0;
  mutable std::mutex mutex_;  // guards trouble_, the counters and stopping_
  std::string trouble_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread heart_;
};

// nullopt: nobody serves the base now.
std::optional<PersistdStatus> persistd_of(const std::string& base, Files& files = Files::system());

}  // namespace tidepool::feed
