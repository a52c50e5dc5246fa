#include "tidepool/client/own_epochs.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"

namespace tidepool::client {
namespace {

std::unique_ptr<pool::EpochFiles> open_files(const OwnPools& pools, bool lock_memory) {
  pool::StoreOptions store;
  store.base_dir = pools.base_dir;
  store.name_space = pools.name_space;
  store.file_mode = pools.permissions_mode;
  store.reserve = pools.prefault;
  store.use_hugepages = pools.hugepages;
  store.lock_memory = lock_memory;
  return std::make_unique<pool::EpochFiles>(std::move(store));
}

// Beside the stream's directory, which goes when its last epoch does.
std::string lock_name(uint32_t stream_id) { return concat("producer-", stream_id, ".lock"); }

}  // namespace

OwnEpochs::OwnEpochs(const OwnPools& pools, uint32_t stream_id, uint64_t min_age_ns, bool lock_memory)
    : pools_(pools), stream_id_(stream_id), min_age_ns_(min_age_ns), files_(open_files(pools, lock_memory)) {
  const shm::Directory& directory = files_->namespace_directory();
  // Where there is a driver, it is the only one that makes and removes files (wire.md 1).
  if (const auto driver = shm::FileLock::holder(directory, "driver.lock")) {
    throw Error(Code::kRejected, "namespace ", pools_.name_space, " below ", pools_.base_dir, " belongs to ",
                printable(driver->description(), 200),
                ": produce through that driver (without own pools), or name another namespace");
  }
  try {
    lock_ = shm::FileLock::acquire(directory, lock_name(stream_id), concat("producer of stream ", stream_id, " without a driver"));
  } catch (const Error& error) {
    if (error.code() != Code::kRejected) throw;
    throw Error(Code::kRejected, "stream ", stream_id, " has a producer: ", error.what(),
                ": a stream has one at a time, stop that one or take another stream");
  }
}

OwnEpochs::~OwnEpochs() {
  finish();
  done_.reset();
  if (!pools_.cleanup_on_exit) return;
  try {
    for (const uint64_t epoch : made_) files_->remove(stream_id_, epoch);
    files_->remove_stream(stream_id_);
  } catch (const std::exception& e) {
    log(LogLevel::kWarn, "client", "remove the epochs of stream ", stream_id_, ": ", e.what());
  }
}

bool OwnEpochs::busy() const { return job_.valid() && job_.wait_for(std::chrono::seconds(0)) != std::future_status::ready; }

void OwnEpochs::finish() {
  if (!job_.valid()) return;
  try {
    done_ = job_.get();
    more_to_collect_ = done_->more_to_collect;
  } catch (const std::exception& e) {
    done_ =
        Done{.created = std::nullopt, .failure = Error(Code::kInternal, "make an epoch of stream ", stream_id_, ": ", e.what())};
  }
}

void OwnEpochs::make(uint64_t now_ns, uint64_t now_realtime_ns, uint64_t above) {
  finish();
  done_.reset();
  above_ = above;
  job_ = std::async(std::launch::async, [this, now_ns, now_realtime_ns] { return work(true, now_ns, now_realtime_ns); });
}

void OwnEpochs::collect(uint64_t now_ns, uint64_t now_realtime_ns) {
  finish();
  job_ = std::async(std::launch::async, [this, now_ns, now_realtime_ns] { return work(false, now_ns, now_realtime_ns); });
}

pool::EpochFiles::Created OwnEpochs::take() {
  finish();
  std::optional<Done> done = std::exchange(done_, std::nullopt);
  if (!done) throw Error(Code::kInternal, "stream ", stream_id_, ": no epoch was being made");
  if (done->failure) throw *done->failure;
  return std::move(*done->created);
}

// On the job's thread.
OwnEpochs::Done OwnEpochs::work(bool make, uint64_t now_ns, uint64_t now_realtime_ns) {
  Done out;
  const pool::Geometry geometry{.slot_count = pools_.slot_count, .pools = pools_.pools};
  if (make) {
    try {
      const uint64_t epoch = files_->next_epoch(stream_id_, std::max(epoch_, above_), now_ns);  // W-65: above the directories of an earlier life, too
      try {
        out.created = files_->create(stream_id_, epoch, geometry, now_ns);
      } catch (const Error& error) {
        if (error.code() != Code::kNoSpace) throw;
        sweep(0, now_ns, now_realtime_ns);  // wire.md 9.6: once more with what old epochs took
        out.created = files_->create(stream_id_, epoch, geometry, now_ns);
      }
      epoch_ = epoch;
      made_.push_back(epoch);
    } catch (const Error& error) {
      out.failure = error;
      return out;
    }
  }
  try {
    sweep(min_age_ns_, now_ns, now_realtime_ns);
    out.more_to_collect = files_->epochs(stream_id_).size() > pools_.epochs_kept;
  } catch (const std::exception& e) {  // the epoch is whole all the same
    log(LogLevel::kWarn, "client", "collect old epochs of stream ", stream_id_, ": ", e.what());
  }
  return out;
}

void OwnEpochs::sweep(uint64_t min_age_ns, uint64_t now_ns, uint64_t now_realtime_ns) {
  pool::EpochFiles::CollectRules rules;
  rules.current_epoch = epoch_;
  rules.keep = pools_.epochs_kept;
  rules.min_age_ns = min_age_ns;
  rules.now_ns = now_ns;
  rules.now_realtime_ns = now_realtime_ns;
  for (const auto& gone : files_->collect(stream_id_, rules)) {
    std::erase(made_, gone.epoch);
    log(LogLevel::kInfo, "client", "removed ", gone.path, ", ", gone.bytes, " bytes: ", gone.why);
  }
}

}  // namespace tidepool::client
