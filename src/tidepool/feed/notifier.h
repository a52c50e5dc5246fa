#pragma once
// A file descriptor that becomes readable when a reader has something to read, for epoll, poll and asyncio (rulings F-q):
//
//   FeedReader reader = FeedReader::open(base, "trades");
//   FeedNotifier notifier(base, "trades");
//   for (;;) {
//     for (Item item = reader.next(); item.kind != Item::Kind::kIdle; item = reader.next()) use(item);
//     notifier.arm(reader);           // from here on: readable at the next record or event
//     wait_for(notifier.fd());        // poll(), or asyncio's add_reader()
//   }
//
// It costs a thread, which parks as a reader does; the writer pays nothing for it.
// Thread safety: arm() from one thread. Lifetime: independent of the reader.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "tidepool/feed/reader.h"

namespace tidepool::feed {

class FeedNotifier {
 public:
  // Throws as FeedReader::open(); kNoSpace when there is no descriptor or thread to be had.
  FeedNotifier(const std::string& base, const std::string& name, Files& files = Files::system());
  ~FeedNotifier();
  FeedNotifier(const FeedNotifier&) = delete;
  FeedNotifier& operator=(const FeedNotifier&) = delete;

  int fd() const noexcept { return fd_; }
  // Not readable any more, until the reader's next() would give something but kIdle: at once, if it has come already.
  void arm(const FeedReader& reader);

 private:
  void watch();
  FeedReader watcher_;  // the thread's, but for cancel()
  int fd_ = -1;
  std::mutex mutex_;    // guards what follows
  std::condition_variable armed_;
  uint64_t wanted_ = 0;
  bool asked_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tidepool::feed
