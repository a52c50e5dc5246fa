#include "tidepool/feed/event_feed.h"

#include <algorithm>
#include <cstring>

#include "tidepool/feed/settings.h"

namespace tidepool::feed {

Schema event_schema() {
  std::string kinds;
  for (uint8_t kind = 0; kind <= static_cast<uint8_t>(WriterEvent::Kind::kDropped); ++kind) {
    kinds += concat(kind == 0 ? "" : ",", event_name(static_cast<WriterEvent::Kind>(kind)), "=", kind);
  }
  auto schema = Schema::rows({{"wall_ns", "uint64"},
                              {"epoch", "uint64"},
                              {"ordinal", "uint64"},
                              {"first_seq", "uint64"},
                              {"end_seq", "uint64"},
                              {"bytes", "uint64"},
                              {"backlog_bytes", "uint64"},
                              {"elapsed_ns", "uint64"},
                              {"kind", concat("uint8{", kinds, "}")},
                              {"zero", "_7"},
                              {"feed", "text[128]"},
                              {"text", "text[128]"}});
  static_assert(sizeof(EventRow) == 328);
  return schema.set_clock(0, {.domain = ClockDomain::kWall});
}

FeedOptions EventFeed::default_options() {
  FeedOptions options;
  options.chunk_bytes = uint64_t{1} << 20;
  options.live_chunks = 2;
  options.prefault = false;
  options.chunk_age_ns = 24 * 3600 * kNsPerSecond;
  options.retention_ns = 30 * options.chunk_age_ns;
  return options;
}

EventFeed EventFeed::open(const std::string& base, const FeedOptions& options, const WriterOptions& writer) {
  WriterOptions mine = writer;
  mine.block_ns = 0;  // no room: the event is dropped
  mine.on_event = nullptr;
  try {
    create_feed(base, kEventFeedName, event_schema(), options, *mine.files);
  } catch (const FeedError& error) {
    if (error.fault() != Fault::kSchemaConflict) throw;
    evolve_feed(base, kEventFeedName, event_schema(), *mine.files);  // made when there were fewer kinds of events
  }
  return EventFeed(std::make_unique<Inside>(FeedWriter::open(base, kEventFeedName, mine)));
}

void EventFeed::Inside::take(const std::string& feed, const WriterEvent& event) noexcept {
  EventRow row;
  row.wall_ns = event.wall_ns;
  row.epoch = event.epoch;
  row.ordinal = event.ordinal;
  row.first_seq = event.first_seq;
  row.end_seq = event.end_seq;
  row.bytes = event.bytes;
  row.backlog_bytes = event.backlog_bytes;
  row.elapsed_ns = event.elapsed_ns;
  row.kind = static_cast<uint8_t>(event.kind);
  std::memcpy(row.feed, feed.data(), std::min(feed.size(), sizeof row.feed));
  std::memcpy(row.text, event.text.data(), std::min(event.text.size(), sizeof row.text));
  try {
    const std::scoped_lock lock(mutex);
    if (writer.append(row)) return;
  } catch (...) {  // of the mutex: as good as full
  }
  dropped.fetch_add(1);
}

void EventFeed::take(const std::string& feed, const WriterEvent& event) noexcept { inside_->take(feed, event); }

std::function<void(const WriterEvent&)> EventFeed::taker(std::string feed) {
  return [inside = inside_.get(), name = std::move(feed)](const WriterEvent& event) { inside->take(name, event); };
}

uint64_t EventFeed::dropped() const noexcept { return inside_->dropped.load(); }

void EventFeed::close() {
  const std::scoped_lock lock(inside_->mutex);
  inside_->writer.close();
}

}  // namespace tidepool::feed
