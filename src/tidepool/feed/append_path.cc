#include "tidepool/feed/append_path.h"

#include <algorithm>
#include <cstdlib>

#include "tidepool/base/log.h"

namespace tidepool::feed {

void OneThread::misused(const char* what) noexcept {
  log(LogLevel::kError, "feed", "two threads use one handle at once, the second to ", what, ": a handle is for one thread; lock, or open one each");
  std::abort();
}

std::string_view append_status_name(AppendStatus status) noexcept {
  switch (status) {
    case AppendStatus::kOk: return "ok";
    case AppendStatus::kWrongSize: return "wrong size";
    case AppendStatus::kTooLarge: return "record too large";
    case AppendStatus::kClockBackwards: return "clock backwards";
    case AppendStatus::kNoSpace: return "no space";
    case AppendStatus::kNoShmSpace: return "no shared memory";
    case AppendStatus::kBackpressure: return "backpressure timeout";
    case AppendStatus::kFenced: return "fenced";
    case AppendStatus::kIoError: return "i/o error";
    case AppendStatus::kClosed: return "closed";
    case AppendStatus::kForked: return "forked";
    case AppendStatus::kClaimOpen: return "claim open";
    case AppendStatus::kHelperGone: return "helper gone";
    case AppendStatus::kUnknownBlob: return "unknown blob";
  }
  return "unknown";
}

void AppendPath::begin(const FeedInfo& feed, shm::Doorbell& bell, LivePage& live, const uint64_t (&highest)[kClocksMax]) noexcept {
  bell_ = &bell;
  live_ = &live;
  clocks_ = feed.schema.clocks();
  record_bytes_ = feed.schema.record_bytes();
  plain_row_bytes_ = record_bytes_;
  for (size_t k = 0; k < clocks_; ++k) strict_ |= feed.schema.clock(k).order == ClockOrder::kStrict ? 1u << k : 0;
  std::copy(std::begin(highest), std::end(highest), std::begin(highest_));
}

void AppendPath::adopt(const Chunk& chunk) noexcept {
  data_ = chunk.data;
  words_ = chunk.words;
  position_ = 0;
  reserved_ = chunk.reserved;
  waits_for_disk_ = chunk.waits_for_disk;
  look_at_limit();
  ordinal_ = chunk.ordinal;
  seq_ = chunk.first_seq;
  records_ = 0;
}

void AppendPath::look_at_limit() noexcept {
  limit_ = reserved_.load();
  short_limit_ = waits_for_disk_ ? 0 : limit_;
}

AppendPath::Entered AppendPath::enter(uint64_t bytes) noexcept {
  if (!gate_.enter()) return Entered::kShut;
  if (bytes <= limit_ - position_) return Entered::kInside;
  look_at_limit();  // the helper goes ahead of us
  if (bytes <= limit_ - position_) return Entered::kInside;
  gate_.leave();
  return Entered::kNoRoom;
}

void AppendPath::begin_noting() noexcept {
  std::copy(std::begin(highest_), std::end(highest_), std::begin(noted_.highest));
  for (size_t k = 0; k < clocks_; ++k) noted_.highest_in_chunk[k] = position_ == 0 ? 0 : words_.highest(k).peek();
}

bool AppendPath::note(const std::byte* clocks, bool first_in_chunk) noexcept {
  for (size_t k = 0; k < clocks_; ++k) {
    const auto clock = load<uint64_t>(clocks + 8 * k);
    if (clock >= noted_.highest[k]) [[likely]] {
      noted_.highest[k] = clock;
      noted_.highest_in_chunk[k] = clock;
      continue;
    }
    if ((strict_ >> k & 1) != 0) return false;
    live_->regressions(k).set(live_->regressions(k).peek() + 1);
    step_back_max_[k] = std::max(step_back_max_[k], noted_.highest[k] - clock);
    if (!first_in_chunk && clock < noted_.highest_in_chunk[k]) words_.unordered().set(words_.unordered().peek() | 1u << k);
    noted_.highest_in_chunk[k] = std::max(noted_.highest_in_chunk[k], clock);
  }
  return true;
}

bool AppendPath::note_rows(const std::byte* rows, uint64_t bytes) noexcept {
  begin_noting();
  for (uint64_t at = 0; at < bytes; at += record_bytes_) {
    if (note(rows + at, position_ == 0 && at == 0)) [[likely]] continue;
    gate_.leave();
    return false;
  }
  return true;
}

bool AppendPath::note_clocks(const uint64_t* clocks) noexcept {
  begin_noting();
  if (note(reinterpret_cast<const std::byte*>(clocks), position_ == 0)) return true;
  gate_.leave();
  return false;
}

uint64_t AppendPath::publish(uint64_t bytes, uint64_t records) noexcept {
  const uint64_t seq = seq_;
  position_ += bytes;
  seq_ += records;
  records_ += records;
  std::copy(std::begin(noted_.highest), std::end(noted_.highest), std::begin(highest_));
  if (record_bytes_ == 0) words_.records().set(records_);
  words_.committed().publish(position_);
  for (size_t k = 0; k < clocks_; ++k) words_.highest(k).set(noted_.highest_in_chunk[k]);
  words_.covered().publish(position_);
  bell_->ring_if_parked();
  gate_.leave();
  return seq;
}

}  // namespace tidepool::feed
