#pragma once
// The epochs of a producer that runs without a driver: directories, the lock against a second maker, files made and old ones
// removed on a thread of their own, so that touching gigabytes holds no keepalive up (W-31 to W-33, W-65, W-67).
//
// Thread safety: one thread.

#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/base/error.h"
#include "tidepool/client/client.h"
#include "tidepool/pool/epoch_files.h"
#include "tidepool/shm/file_lock.h"

namespace tidepool::client {

class OwnEpochs {
 public:
  // Opens or makes the directories and takes the lock. Throws Error: kRejected when another producer or a driver holds it,
  // naming the holder; what EpochFiles throws. `min_age_ns`: of old epochs before they are removed. `lock_memory`: mlock what
  // is made (PRODUCER_MLOCK).
  OwnEpochs(const OwnPools& pools, uint32_t stream_id, uint64_t min_age_ns, bool lock_memory);
  // Removes what was made (cleanup_on_exit), then lets go of the lock.
  ~OwnEpochs();
  OwnEpochs(const OwnEpochs&) = delete;
  OwnEpochs& operator=(const OwnEpochs&) = delete;

  // Begin to make an epoch above every earlier one and above `above`, then to remove old ones. Call when not busy().
  void make(uint64_t now_ns, uint64_t now_realtime_ns, uint64_t above = 0);
  // Begin to remove old epochs of this stream, as wire.md 9.6 allows.
  void collect(uint64_t now_ns, uint64_t now_realtime_ns);
  bool busy() const;  // what was begun is not done yet

  // Of a make() that is done. Throws Error why there is none.
  pool::EpochFiles::Created take();
  // Old epochs are left that were too young (after a job that is done).
  bool more_to_collect() const noexcept { return more_to_collect_; }

  std::string stream_path() const { return files_->stream_path(stream_id_); }

 private:
  struct Done {
    std::optional<pool::EpochFiles::Created> created;
    std::optional<Error> failure;
    bool more_to_collect = false;
  };
  Done work(bool make, uint64_t now_ns, uint64_t now_realtime_ns);
  void sweep(uint64_t min_age_ns, uint64_t now_ns, uint64_t now_realtime_ns);
  void finish();

  const OwnPools pools_;
  const uint32_t stream_id_;
  const uint64_t min_age_ns_;
  std::unique_ptr<pool::EpochFiles> files_;  // used by the job while busy()
  shm::FileLock lock_;
  uint64_t above_ = 0;                       // of make(); the job's while busy()
  uint64_t epoch_ = 0;                       // the newest that we made; the job's while busy()
  std::vector<uint64_t> made_;               // and is there still; the job's while busy()
  bool more_to_collect_ = false;
  std::future<Done> job_;
  std::optional<Done> done_;
};

}  // namespace tidepool::client
