#include "tidepool/services/driver/epochs.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "tidepool/base/error.h"

namespace tidepool::driver {
namespace {
bool contains(const std::vector<uint64_t>& list, uint64_t epoch) {
  return std::find(list.begin(), list.end(), epoch) != list.end();
}
}  // namespace

EpochMaker::EpochMaker(std::unique_ptr<pool::EpochFiles> files, CollectPolicy policy)
    : files_(std::move(files)), policy_(policy), thread_([this] { run(); }) {
  ::pthread_setname_np(thread_.native_handle(), "tp-epochs");
}

EpochMaker::~EpochMaker() { stop(false); }

void EpochMaker::submit(EpochJob job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

std::optional<EpochResult> EpochMaker::take() {
  const std::lock_guard lock(mutex_);
  if (results_.empty()) return std::nullopt;
  auto result = std::move(results_.front());
  results_.pop_front();
  return result;
}

void EpochMaker::run() {
  for (;;) {
    EpochJob job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job.retired.reset();
    if (job.kind == EpochJob::Kind::kRelease) continue;
    EpochResult result = work(job);
    const std::lock_guard lock(mutex_);
    results_.push_back(std::move(result));
  }
}

EpochResult EpochMaker::work(const EpochJob& job) {
  EpochResult result;
  result.kind = job.kind;
  result.ticket = job.ticket;
  result.stream_id = job.stream_id;
  try {
    switch (job.kind) {
      case EpochJob::Kind::kCreate: create(job, result); break;
      case EpochJob::Kind::kCollect: collect(job, job.current_epoch, false, result); break;
      case EpochJob::Kind::kForget: forget(job.stream_id); break;
      case EpochJob::Kind::kRelease: break;
    }
  } catch (const std::exception& error) {
    result.failure = error.what();
  }
  return result;
}

void EpochMaker::create(const EpochJob& job, EpochResult& result) {
  result.epoch = files_->next_epoch(job.stream_id, job.previous_epoch, job.now_ns);
  try {
    result.created = files_->create(job.stream_id, result.epoch, job.geometry, job.now_ns);
  } catch (const Error& error) {
    // D-35: on shortage collect whatever its age, once more, then give up with nothing left behind.
    if (error.code() != Code::kNoSpace) throw;
    collect(job, job.current_epoch, true, result);
    if (result.collected.empty()) throw;
    result.created = files_->create(job.stream_id, result.epoch, job.geometry, job.now_ns);
  }
  made_[job.stream_id].insert(result.epoch);
  try {
    collect(job, result.epoch, false, result);
  } catch (const std::exception& error) {
    result.failure = error.what();  // the epoch is whole all the same
  }
}

void EpochMaker::collect(const EpochJob& job, uint64_t current_epoch, bool short_of_space, EpochResult& result) {
  if (!policy_.enabled || policy_.keep == 0) return;
  pool::EpochFiles::CollectRules rules;
  rules.current_epoch = current_epoch;
  rules.keep = policy_.keep;
  rules.min_age_ns = short_of_space ? 0 : policy_.min_age_ns;
  rules.now_ns = job.now_ns;
  rules.now_realtime_ns = job.now_realtime_ns;
  rules.in_use = [&](uint64_t epoch) {
    return contains(job.in_use.leased, epoch) || (!short_of_space && contains(job.in_use.young, epoch));
  };
  auto collected = files_->collect(job.stream_id, rules);
  if (const auto made = made_.find(job.stream_id); made != made_.end())
    for (const auto& gone : collected) made->second.erase(gone.epoch);
  std::move(collected.begin(), collected.end(), std::back_inserter(result.collected));
  result.more_to_collect = files_->epochs(job.stream_id).size() > policy_.keep;
}

void EpochMaker::forget(uint32_t stream_id) {
  const auto made = made_.find(stream_id);
  if (made == made_.end()) return;
  while (!made->second.empty()) {
    files_->remove(stream_id, *made->second.begin());
    made->second.erase(made->second.begin());
  }
  made_.erase(made);
  files_->remove_stream(stream_id);  // with its doorbell, unless another driver life left an epoch there
}

std::string EpochMaker::stop(bool remove_made) {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  std::string failures;
  if (remove_made) {
    while (!made_.empty()) {
      const uint32_t stream_id = made_.begin()->first;
      try {
        forget(stream_id);
      } catch (const std::exception& error) {
        failures += concat(failures.empty() ? "" : "; ", "stream ", stream_id, ": ", error.what());
        made_.erase(stream_id);
      }
    }
  }
  return failures;
}

}  // namespace tidepool::driver
