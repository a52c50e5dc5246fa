#pragma once
// The two threads that work for a writer behind its appends: the helper (chunks made ahead, heartbeat) and the persister (index, disk).
// A writer has a crew of its own, or shares the one of its WriterGroup (F-60). Private to feed/.
//
// Thread safety: join() and leave() by any thread but the crew's own; wake() by any.

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tidepool/base/clock.h"

namespace tidepool::feed {

class Crew {
 public:
  // Whom it works for. A step is short, but for what the disk takes, and returns how long the next one may wait.
  class Member {
   public:
    virtual uint64_t help() = 0;
    virtual uint64_t persist() = 0;
    // A step threw std::exception: that is this member's trouble alone.
    virtual void step_failed(const std::string& why) noexcept = 0;
    // The thread is gone, whatever ended it: nothing goes on in the background any more.
    virtual void crew_gone(const std::string& why) noexcept = 0;

   protected:
    Member() = default;
    ~Member() = default;
  };

  Crew() = default;
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Throws FeedError when the threads cannot be started, or are gone.
  void join(Member& member);
  // No step of it is under way when this returns, and none comes after.
  void leave(Member& member) noexcept;
  void wake_helper() noexcept { helper_.wake(); }
  void wake_persister() noexcept { persister_.wake(); }
  size_t members() const;

 private:
  using Step = uint64_t (Member::*)();
  class Shift {
   public:
    explicit Shift(Step step) : step_(step) {}
    void start();
    void stop() noexcept;
    void join(Member& member);
    void leave(Member& member) noexcept;
    void wake() noexcept;
    size_t members() const;

   private:
    void run() noexcept;
    void work();
    uint64_t one(Member& member);
    Step step_;
    mutable std::mutex mutex_;  // guards what follows; not held during a step
    std::condition_variable wake_;
    std::condition_variable left_;
    std::vector<Member*> members_;
    Member* busy_ = nullptr;
    bool woken_ = false;
    bool stopping_ = false;
    std::string gone_;  // why the thread ended, if it did so by itself
    std::thread thread_;
    friend class Crew;
  };

  uint64_t pid_ = 0;  // that started them: a forked child has no such threads
  mutable std::mutex mutex_;  // guards started_
  bool started_ = false;
  Shift helper_{&Member::help};
  Shift persister_{&Member::persist};
};

}  // namespace tidepool::feed
