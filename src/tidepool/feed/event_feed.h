#pragma once
// What happens to the feeds of a base, kept as a feed itself: `system.events` (F-137). A writer of it takes the events of any number of
// FeedWriters of its process. It never holds them up: what it cannot take is dropped and counted.
//
// Thread safety: take() from any thread.

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "tidepool/feed/writer.h"

namespace tidepool::feed {

inline constexpr const char* kEventFeedName = "system.events";

// One event, as the feed holds it.
struct EventRow {
  uint64_t wall_ns = 0;
  uint64_t epoch = 0;
  uint64_t ordinal = 0;
  uint64_t first_seq = 0;
  uint64_t end_seq = 0;
  uint64_t bytes = 0;
  uint64_t backlog_bytes = 0;
  uint64_t elapsed_ns = 0;
  uint8_t kind = 0;  // WriterEvent::Kind, named in the schema
  uint8_t zero[7] = {};
  char feed[128] = {};
  char text[128] = {};
};
Schema event_schema();

class EventFeed {
 public:
  // Make the feed if it is not there. Throws as FeedWriter::create().
  static EventFeed open(const std::string& base, const FeedOptions& options = default_options(), const WriterOptions& writer = {});
  static FeedOptions default_options();  // small, durable within a second, kept for 30 days

  EventFeed(EventFeed&&) = default;
  EventFeed& operator=(EventFeed&&) = default;

  void take(const std::string& feed, const WriterEvent& event) noexcept;
  // For WriterOptions::on_event of the writer of `feed`. This must live as long as that writer.
  std::function<void(const WriterEvent&)> taker(std::string feed);
  uint64_t dropped() const noexcept;
  void close();

 private:
  struct Inside {
    explicit Inside(FeedWriter opened) : writer(std::move(opened)) {}
    void take(const std::string& feed, const WriterEvent& event) noexcept;
    std::mutex mutex;  // a FeedWriter is for one thread
    FeedWriter writer;
    std::atomic<uint64_t> dropped{0};
  };
  explicit EventFeed(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
  std::unique_ptr<Inside> inside_;
};

}  // namespace tidepool::feed
