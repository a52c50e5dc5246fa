#pragma once
// Makes, collects and removes epochs on a thread of its own, one job after the other, so that reserving and touching
// gigabytes never holds the driver's duty cycle up (driver.md 4). It alone uses the files; the driver asks and is told.
//
// Thread safety: submit(), take(), stop() from the driver's thread.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tidepool/pool/epoch_files.h"

namespace tidepool::driver {

// When old epochs of a stream go (driver.md 8.6).
struct CollectPolicy {
  bool enabled = true;  // and keep is not 0
  uint32_t keep = 2;
  uint64_t min_age_ns = 0;
};

// What of a stream may not be collected now.
struct EpochsInUse {
  std::vector<uint64_t> leased;  // a live lease refers to it
  std::vector<uint64_t> young;   // superseded less than the minimum age ago: spared unless space is short
};

struct EpochJob {
  enum class Kind : uint8_t {
    kCreate,   // a new epoch; then collect
    kCollect,  // old epochs
    kForget,   // everything that this process made of the stream
    kRelease,  // nothing but let go of `retired`
  };
  Kind kind = Kind::kCreate;
  uint64_t ticket = 0;
  uint32_t stream_id = 0;
  uint64_t current_epoch = 0;   // kCollect: never removed; 0: none
  uint64_t previous_epoch = 0;  // kCreate: the new one is above it
  pool::Geometry geometry;
  EpochsInUse in_use;
  uint64_t now_ns = 0;
  uint64_t now_realtime_ns = 0;
  std::shared_ptr<pool::EpochMap> retired;  // unmapped there: that takes time, too
};

struct EpochResult {
  EpochJob::Kind kind = EpochJob::Kind::kCreate;
  uint64_t ticket = 0;
  uint32_t stream_id = 0;
  uint64_t epoch = 0;                                // kCreate: the number that was tried, 0 if not even that
  std::optional<pool::EpochFiles::Created> created;  // kCreate: nullopt: `failure` says why
  std::string failure;                               // of any kind
  std::vector<pool::EpochFiles::Collected> collected;
  bool more_to_collect = false;                      // more than `keep` are left: look again later
};

class EpochMaker {
 public:
  EpochMaker(std::unique_ptr<pool::EpochFiles> files, CollectPolicy policy);
  ~EpochMaker();
  EpochMaker(const EpochMaker&) = delete;
  EpochMaker& operator=(const EpochMaker&) = delete;

  void submit(EpochJob job);
  // A finished job, in the order of submission.
  std::optional<EpochResult> take();
  // Finish the job at hand, drop the others, end the thread. With `remove_made`: unlink all that this process made and that
  // is still there (policies.cleanup_shm_on_exit). Returns what could not be removed, as text.
  std::string stop(bool remove_made);

 private:
  void run();
  EpochResult work(const EpochJob& job);
  void create(const EpochJob& job, EpochResult& result);
  void collect(const EpochJob& job, uint64_t current_epoch, bool short_of_space, EpochResult& result);
  void forget(uint32_t stream_id);

  std::unique_ptr<pool::EpochFiles> files_;  // used by the thread alone, and by stop() after it
  const CollectPolicy policy_;
  std::map<uint32_t, std::set<uint64_t>> made_;  // as files_: epochs of this process that are still there

  std::mutex mutex_;  // GUARDED: jobs_, results_, stopping_
  std::condition_variable wake_;
  std::deque<EpochJob> jobs_;
  std::deque<EpochResult> results_;
  bool stopping_ = false;
  std::thread thread_;  // last: starts when all else is there
};

}  // namespace tidepool::driver
