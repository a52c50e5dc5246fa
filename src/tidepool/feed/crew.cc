#include "tidepool/feed/crew.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "tidepool/base/log.h"
#include "tidepool/feed/fault.h"

namespace tidepool::feed {

Crew::~Crew() {
  const bool forked = pid_ != static_cast<uint64_t>(::getpid());
  for (Shift* shift : {&persister_, &helper_}) {
    if (!shift->thread_.joinable()) continue;
    if (forked) {
      shift->thread_.detach();  // it is the parent's
    } else {
      shift->stop();
    }
  }
}

void Crew::join(Member& member) {
  {
    const std::scoped_lock lock(mutex_);
    if (!started_) {
      pid_ = static_cast<uint64_t>(::getpid());
      try {
        helper_.start();
        persister_.start();
      } catch (const std::exception& error) {  // EAGAIN: too many threads
        helper_.stop();
        throw FeedError(Fault::kIo, "start the writer's threads: ", error.what());
      }
      started_ = true;
    }
  }
  helper_.join(member);
  try {
    persister_.join(member);
  } catch (const FeedError&) {
    helper_.leave(member);
    throw;
  }
}

void Crew::leave(Member& member) noexcept {
  helper_.leave(member);
  persister_.leave(member);
}

size_t Crew::members() const { return helper_.members(); }

// ---- one of the two ------------------------------------------------------------------------------------------------------------

void Crew::Shift::start() {
  thread_ = std::thread([this] { run(); });
}

void Crew::Shift::stop() noexcept {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Crew::Shift::join(Member& member) {
  {
    const std::scoped_lock lock(mutex_);
    if (!gone_.empty()) throw FeedError(Fault::kIo, "the writer group's thread has ended: ", gone_, ": make another group");
    members_.push_back(&member);
    woken_ = true;
  }
  wake_.notify_all();
}

void Crew::Shift::leave(Member& member) noexcept {
  std::unique_lock lock(mutex_);
  std::erase(members_, &member);
  left_.wait(lock, [&] { return busy_ != &member; });
}

void Crew::Shift::wake() noexcept {
  {
    const std::scoped_lock lock(mutex_);
    woken_ = true;
  }
  wake_.notify_all();
}

size_t Crew::Shift::members() const {
  const std::scoped_lock lock(mutex_);
  return members_.size();
}

// A step's std::exception is its member's trouble. What is none is nobody's that we know: the thread ends, and all are told.
void Crew::Shift::run() noexcept {
  std::string why = "an exception that is none of the library's";
  try {
    work();
    return;
  } catch (const std::exception& error) {
    why = error.what();
  } catch (...) {
  }
  log(LogLevel::kError, "feed", "a thread that works for writers has ended: ", why);
  std::unique_lock lock(mutex_);
  gone_ = why;
  for (size_t i = 0; i < members_.size(); ++i) {
    Member& member = *members_[i];
    busy_ = &member;
    lock.unlock();  // it takes its own lock, behind which it may wake us
    member.crew_gone(why);
    lock.lock();
    busy_ = nullptr;
    left_.notify_all();
  }
}

uint64_t Crew::Shift::one(Member& member) {
  try {
    return (member.*step_)();
  } catch (const std::exception& error) {
    member.step_failed(error.what());
    return kNsPerSecond;
  }
}

void Crew::Shift::work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    uint64_t wait_ns = kNsPerSecond;
    woken_ = false;
    for (size_t i = 0; i < members_.size() && !stopping_; ++i) {
      Member& member = *members_[i];
      busy_ = &member;
      lock.unlock();
      const uint64_t wanted_ns = one(member);
      lock.lock();
      busy_ = nullptr;
      left_.notify_all();
      wait_ns = std::min(wait_ns, wanted_ns);
    }
    if (wait_ns != 0 && !stopping_) wake_.wait_for(lock, std::chrono::nanoseconds(wait_ns), [&] { return woken_ || stopping_; });
  }
}

}  // namespace tidepool::feed
