#pragma once
// What happens to the feeds of a base, kept as a feed itself: `system.events` (F-137). A writer of it takes the events of any number of
// FeedWriters of its process. It never holds them up: what it cannot take is dropped and counted.
//
// Thread safety: take() from any thread.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "tidepool/feed/repair.h"
#include "tidepool/feed/retention.h"
#include "tidepool/feed/writer.h"

namespace tidepool::feed {

inline constexpr const char* kEventFeedName = "system.events";

// What is done to a feed by others than its writer, and what that finds. In a row's `kind` beside WriterEvent::Kind.
enum class CareEvent : uint8_t {
  kExpired = 64,      // chunk `ordinal` was let go by retention; text: why
  kQuarantined = 65,  // by a repair: a chunk was put aside, or a damaged or missing part noted; its records are a gap
  kRepaired = 66,     // any other step of a repair; text: which
  kDrained = 67,      // the persister of the base took what a dead writer left to disk
  kGap = 68,          // records were lost from first_seq on; text: how that was found
};
std::string_view event_name(CareEvent event) noexcept;  // "expired", "quarantined", ...
std::string_view event_kind_name(uint8_t kind) noexcept;  // of a row's kind; "unknown"

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
  uint8_t kind = 0;  // WriterEvent::Kind or CareEvent, named in the schema
  uint8_t zero[7] = {};
  char feed[128] = {};
  char text[128] = {};
};
Schema event_schema();

class EventFeed {
 public:
  // Make the feed if it is not there. Throws as FeedWriter::create().
  static EventFeed open(const std::string& base, const FeedOptions& options = default_options(), const WriterOptions& writer = {});
  // The same, for who has something else to do: what refuses it is kept as trouble(), and every event is dropped and counted (F-137).
  static EventFeed best_effort(const std::string& base);
  static FeedOptions default_options();  // small, durable within a second, kept for 30 days

  EventFeed(EventFeed&&) = default;
  EventFeed& operator=(EventFeed&&) = default;

  void take(const std::string& feed, const WriterEvent& event) noexcept;
  // What retention, a repair and a recovery did, an event for each chunk or step; of dry runs nothing.
  void take(const RetentionReport& report) noexcept;
  void take(const RepairReport& report) noexcept;
  void take(const std::string& feed, const RecoveryReport& report, uint64_t elapsed_ns) noexcept;
  // For WriterOptions::on_event of the writer of `feed`. This must live as long as that writer.
  std::function<void(const WriterEvent&)> taker(std::string feed);
  uint64_t dropped() const noexcept;
  const std::string& trouble() const noexcept { return trouble_; }  // why there is no feed to write to; empty: there is one
  void close();

 private:
  struct Inside {
    explicit Inside(std::optional<FeedWriter> opened) : writer(std::move(opened)) {}
    void take(const std::string& feed, const WriterEvent& event) noexcept;
    void put(EventRow& row, std::string_view feed, std::string_view text) noexcept;
    std::mutex mutex;  // a FeedWriter is for one thread
    std::optional<FeedWriter> writer;
    std::atomic<uint64_t> dropped{0};
  };
  explicit EventFeed(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
  void put(CareEvent kind, EventRow row, std::string_view feed, std::string_view text) noexcept;
  std::unique_ptr<Inside> inside_;
  std::string trouble_;
};

}  // namespace tidepool::feed
