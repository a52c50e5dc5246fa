#include "tidepool/feed/notifier.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <system_error>

namespace tidepool::feed {
namespace {

constexpr uint64_t kLookNs = kNsPerSecond;

}  // namespace

FeedNotifier::FeedNotifier(const std::string& base, const std::string& name, Files& files)
    : watcher_(FeedReader::open(base, name, {.files = &files})), fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_ < 0) throw FeedError(Fault::kNoSpace, "an eventfd for feed ", name, errno_text());
  try {
    thread_ = std::thread([this] { watch(); });
  } catch (const std::system_error& error) {
    ::close(fd_);
    throw FeedError(Fault::kNoSpace, "a thread for feed ", name, ": ", error.what());
  }
}

FeedNotifier::~FeedNotifier() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  armed_.notify_all();
  watcher_.cancel();
  thread_.join();
  ::close(fd_);
}

void FeedNotifier::arm(const FeedReader& reader) {
  const std::scoped_lock lock(mutex_);
  uint64_t before = 0;
  static_cast<void>(::read(fd_, &before, sizeof before));  // nothing was said: EAGAIN
  wanted_ = reader.next_seq();
  asked_ = true;
  armed_.notify_all();
  watcher_.cancel();  // it may wait for an older number still
}

void FeedNotifier::watch() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!asked_) {
      armed_.wait(lock, [&] { return stopping_ || asked_; });
      continue;
    }
    const uint64_t wanted = wanted_;
    lock.unlock();
    bool something = true;  // whatever goes wrong is the reader's to find out
    try {
      // At a number that is not written yet it cannot stand: the end is as good, since the reader stands there.
      watcher_.seek(At::sequence(std::min(wanted, watcher_.committed_seq())));
      Item item = watcher_.next(kLookNs);
      while (item.kind == Item::Kind::kCancelled) item = watcher_.next(0);
      something = item.kind != Item::Kind::kIdle;
    } catch (const std::exception&) {
    }
    lock.lock();
    if (!something || !asked_ || wanted != wanted_) continue;  // armed anew meanwhile: look for that
    asked_ = false;
    const uint64_t one = 1;
    static_cast<void>(::write(fd_, &one, sizeof one));
  }
}

}  // namespace tidepool::feed
