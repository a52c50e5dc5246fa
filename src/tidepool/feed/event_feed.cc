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
  for (auto kind = static_cast<uint8_t>(CareEvent::kExpired); kind <= static_cast<uint8_t>(CareEvent::kGap); ++kind)
    kinds += concat(",", event_name(static_cast<CareEvent>(kind)), "=", kind);
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

EventFeed EventFeed::best_effort(const std::string& base) {
  try {
    return open(base);
  } catch (const std::exception& error) {
    EventFeed none(std::make_unique<Inside>(std::nullopt));
    none.trouble_ = error.what();
    return none;
  }
}

std::string_view event_name(CareEvent event) noexcept {
  switch (event) {
    case CareEvent::kExpired: return "expired";
    case CareEvent::kQuarantined: return "quarantined";
    case CareEvent::kRepaired: return "repaired";
    case CareEvent::kDrained: return "drained";
    case CareEvent::kGap: return "gap";
  }
  return "unknown";
}

std::string_view event_kind_name(uint8_t kind) noexcept {
  return kind >= static_cast<uint8_t>(CareEvent::kExpired) ? event_name(static_cast<CareEvent>(kind))
                                                           : event_name(static_cast<WriterEvent::Kind>(kind));
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
  put(row, feed, event.text);
}

void EventFeed::Inside::put(EventRow& row, std::string_view feed, std::string_view text) noexcept {
  std::memcpy(row.feed, feed.data(), std::min(feed.size(), sizeof row.feed));
  std::memcpy(row.text, text.data(), std::min(text.size(), sizeof row.text));
  try {
    const std::scoped_lock lock(mutex);
    if (writer && writer->append(row)) return;
  } catch (...) {  // of the mutex: as good as full
  }
  dropped.fetch_add(1);
}

void EventFeed::take(const std::string& feed, const WriterEvent& event) noexcept { inside_->take(feed, event); }

void EventFeed::put(CareEvent kind, EventRow row, std::string_view feed, std::string_view text) noexcept {
  row.kind = static_cast<uint8_t>(kind);
  row.wall_ns = realtime_ns();
  inside_->put(row, feed, text);
}

void EventFeed::take(const RetentionReport& report) noexcept {
  for (const ExpiredChunk& chunk : report.expired) {
    EventRow row;
    row.ordinal = chunk.ordinal;
    row.first_seq = chunk.first_seq;
    row.end_seq = chunk.end_seq;
    row.bytes = chunk.bytes;
    put(CareEvent::kExpired, row, chunk.feed, chunk.why);
  }
}

void EventFeed::take(const RepairReport& report) noexcept {
  for (const RepairAction& action : report.actions) {
    if (!action.done) continue;
    const std::string_view what = action.what;
    const bool aside = what.starts_with("quarantine-") || what == "mark-missing" || what == "note-damage";
    EventRow row;
    row.first_seq = action.first_seq;
    row.end_seq = action.end_seq;
    put(aside ? CareEvent::kQuarantined : CareEvent::kRepaired, row, action.feed, what);
  }
}

void EventFeed::take(const std::string& feed, const RecoveryReport& report, uint64_t elapsed_ns) noexcept {
  for (const ChunkRecovery& chunk : report.chunks) {
    EventRow row;
    row.epoch = report.epoch;
    row.ordinal = chunk.ordinal;
    row.first_seq = chunk.first_seq;
    row.end_seq = chunk.first_seq + chunk.count;
    row.elapsed_ns = elapsed_ns;
    put(CareEvent::kDrained, row, feed, chunk.remark);
  }
  if (!report.loss) return;
  EventRow row;
  row.epoch = report.epoch;
  row.first_seq = row.end_seq = report.next_seq;
  put(CareEvent::kGap, row, feed, "records that were not durable yet when the power failed");
}

std::function<void(const WriterEvent&)> EventFeed::taker(std::string feed) {
  return [inside = inside_.get(), name = std::move(feed)](const WriterEvent& event) { inside->take(name, event); };
}

uint64_t EventFeed::dropped() const noexcept { return inside_->dropped.load(); }

void EventFeed::close() {
  const std::scoped_lock lock(inside_->mutex);
  if (inside_->writer) inside_->writer->close();
}

}  // namespace tidepool::feed
