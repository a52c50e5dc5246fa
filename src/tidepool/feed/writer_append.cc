// The long way of an append: batches, frames, claims, and room to be made. Nothing here throws.

#include <algorithm>
#include <chrono>
#include <cstring>

#include "tidepool/feed/writer_impl.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kClaimBytesMax = uint64_t{1} << 40;  // no chunk is larger

}  // namespace

// Inside the gate with room for `bytes`, or why not.
AppendStatus FeedWriter::Impl::enter(uint64_t bytes) noexcept {
  if (path_.claimed() != 0) [[unlikely]] return forked() ? AppendStatus::kForked : AppendStatus::kClaimOpen;
  for (;;) {
    if (path_.enter(bytes) == AppendPath::Entered::kInside) [[likely]] return AppendStatus::kOk;
    if (const AppendStatus status = make_room(bytes); status != AppendStatus::kOk) return status;
  }
}

Appended FeedWriter::Impl::published(uint64_t bytes, uint64_t records) noexcept {
  const bool waits_for_disk = path_.waits_for_disk();  // inside: the chunk may be another one after
  const uint64_t seq = path_.publish(bytes, records);
  if (waits_for_disk) [[unlikely]] return make_durable(seq);
  return {AppendStatus::kOk, seq};
}

Appended FeedWriter::Impl::make_durable(uint64_t seq) noexcept {
  try {
    sync();
    return {AppendStatus::kOk, seq};
  } catch (const FeedError& error) {
    return {status_of(error.fault()), seq};
  } catch (...) {
    return {AppendStatus::kIoError, seq};
  }
}

Appended FeedWriter::Impl::append_rows(const std::byte* rows, uint64_t bytes) noexcept {
  TIDEPOOL_ONE_THREAD(path_.one_thread(), "append");
  if (!rows_ || bytes == 0 || bytes % record_bytes_ != 0) return {AppendStatus::kWrongSize};
  if (const AppendStatus status = enter(bytes); status != AppendStatus::kOk) return {status};
  if (!path_.note_rows(rows, bytes)) return {AppendStatus::kClockBackwards};
  std::memcpy(path_.place(), rows, bytes);
  return published(bytes, bytes / record_bytes_);
}

// ---- claims --------------------------------------------------------------------------------------------------------------------

Claim FeedWriter::Impl::claim(uint64_t bytes, uint64_t meta_at, uint64_t meta_bytes, uint64_t payload_at, uint64_t payload_bytes) noexcept {
  TIDEPOOL_ONE_THREAD(path_.one_thread(), "claim");
  Claim claim;
  claim.status = enter(bytes);
  if (!claim) return claim;
  path_.set_claimed(bytes);
  claim.seq = path_.next_seq();
  claim.meta = {path_.place() + meta_at, meta_bytes};
  claim.bytes = {path_.place() + payload_at, payload_bytes};
  claim.ordinal = path_.ordinal();
  claim.offset = path_.position() + payload_at;
  return claim;  // inside the gate until commit() or abort()
}

Claim FeedWriter::Impl::claim_rows(uint64_t rows) noexcept {
  Claim none;
  none.status = AppendStatus::kWrongSize;
  if (!rows_ || rows == 0) return none;
  none.status = AppendStatus::kTooLarge;
  if (rows > kClaimBytesMax / record_bytes_) return none;
  return claim(rows * record_bytes_, 0, 0, 0, rows * record_bytes_);
}

Claim FeedWriter::Impl::claim_frame(uint64_t meta_bytes, uint64_t payload_bytes) noexcept {
  Claim none;
  none.status = AppendStatus::kWrongSize;
  if (rows_ || meta_bytes > 0xFFFF) return none;
  const auto meta = static_cast<uint16_t>(meta_bytes);
  const uint64_t span = frame_span(meta, payload_bytes, align_log2_);
  none.status = AppendStatus::kTooLarge;
  if (span == 0) return none;
  return claim(span, kFrameHeadBytes, meta_bytes, frame_payload_offset(meta, align_log2_), payload_bytes);
}

Appended FeedWriter::Impl::commit_rows(const Claim& claim) noexcept {
  TIDEPOOL_ONE_THREAD(path_.one_thread(), "commit");
  const uint64_t bytes = path_.claimed();
  if (!rows_ || bytes == 0 || claim.seq != path_.next_seq() || claim.bytes.data() != path_.place()) return {AppendStatus::kClosed};
  path_.set_claimed(0);
  if (!path_.note_rows(path_.place(), bytes)) return {AppendStatus::kClockBackwards};
  return published(bytes, bytes / record_bytes_);
}

Appended FeedWriter::Impl::commit_frame(const Claim& claim, const FrameMeta& frame, uint64_t payload_bytes) noexcept {
  TIDEPOOL_ONE_THREAD(path_.one_thread(), "commit");
  if (rows_ || path_.claimed() == 0 || claim.seq != path_.next_seq() || payload_bytes > claim.bytes.size()) return {AppendStatus::kClosed};
  path_.set_claimed(0);
  if (!path_.note_clocks(frame.clocks)) return {AppendStatus::kClockBackwards};
  const auto meta_bytes = static_cast<uint16_t>(claim.meta.size());
  std::byte* at = path_.place();
  FrameHead head{frame_payload_offset(meta_bytes, align_log2_) + payload_bytes, claim.seq, {}, frame.stream_epoch, frame.stream_seq, frame.type, meta_bytes};
  for (size_t k = 0; k < feed_.schema.clocks(); ++k) head.clocks[k] = frame.clocks[k];
  encode(head, at);
  // What lies between head, payload and the next frame is zeros, whatever was there: another chunk's bytes, an aborted claim's.
  const uint64_t span = frame_span(meta_bytes, payload_bytes, align_log2_);
  const uint64_t payload_at = frame_payload_offset(meta_bytes, align_log2_);
  std::memset(at + kFrameHeadBytes + meta_bytes, 0, payload_at - kFrameHeadBytes - meta_bytes);
  std::memset(at + payload_at + payload_bytes, 0, span - payload_at - payload_bytes);
  return published(span, 1);
}

void FeedWriter::Impl::abort(const Claim& claim) noexcept {
  TIDEPOOL_ONE_THREAD(path_.one_thread(), "abort a claim");
  if (path_.claimed() == 0 || claim.seq != path_.next_seq()) return;
  path_.set_claimed(0);
  path_.leave();
}

Appended FeedWriter::Impl::append_frame(const FrameMeta& frame, Bytes meta, Bytes payload) noexcept {
  Claim room = claim_frame(meta.size(), payload.size());
  if (!room) return {room.status};
  if (!meta.empty()) std::memcpy(room.meta.data(), meta.data(), meta.size());
  if (!payload.empty()) std::memcpy(room.bytes.data(), payload.data(), payload.size());
  return commit_frame(room, frame, payload.size());
}

// ---- room ----------------------------------------------------------------------------------------------------------------------

// One step towards room for `bytes` in the current chunk; `done`: it is there. Throws.
AppendStatus FeedWriter::Impl::room_now(Lock& lock, uint64_t bytes, bool& done) {
  if (failure_ != AppendStatus::kOk) return failure_;
  const uint64_t capacity = current_->header.capacity;
  if (bytes > capacity) return AppendStatus::kTooLarge;
  if (bytes > capacity - path_.position()) {
    ensure_next(lock);
    // Sealed by age while we waited? Then there is room already.
    if (next_ && bytes > current_->header.capacity - path_.position()) rotate_locked();
    return AppendStatus::kOk;
  }
  const uint64_t end = path_.position() + bytes;
  if (current_->reserved().load() >= end) {
    done = true;
    return AppendStatus::kOk;
  }
  const auto chunk = current_;
  lock.unlock();
  maker_->reserve(*chunk, end);
  lock.lock();
  return AppendStatus::kOk;
}

AppendStatus FeedWriter::Impl::refused(AppendStatus status) noexcept {
  if (status != AppendStatus::kFenced) live_.refused().set(live_.refused().peek() + 1);
  return status;
}

// F-56, memory feeds: what we only keep for later goes first, then the oldest records. False: there are none. Throws.
bool FeedWriter::Impl::drop_oldest() {
  if (maker_->drop_spares() != 0) return true;
  const std::scoped_lock persisting(persist_mutex_);
  round(false);  // what is sealed can go, once its registry entry says so
  if (window_.empty()) return false;
  auto chunk = pop_window();
  const uint64_t first = chunk->first_seq;
  const uint64_t end = first + chunk->index.records();
  const uint64_t ordinal = chunk->header.ordinal;
  retire(std::move(chunk));
  live_.dropped().set(live_.dropped().peek() + end - first);
  happened({.kind = WriterEvent::Kind::kDropped, .ordinal = ordinal, .first_seq = first, .end_seq = end});
  return true;
}

// Not inside the gate: wait for, or make, room for `bytes` in the current chunk.
AppendStatus FeedWriter::Impl::make_room(uint64_t bytes) noexcept {
  if (forked()) return AppendStatus::kForked;
  try {
    Lock lock(mutex_);
    uint64_t deadline_ns = 0;
    for (bool done = false; !done;) {
      AppendStatus status = AppendStatus::kOk;
      try {
        status = room_now(lock, bytes, done);
        if (status != AppendStatus::kOk) return status;
        continue;
      } catch (const FeedError& error) {
        if (!lock.owns_lock()) lock.lock();
        status = status_of(error.fault());
        if (status == AppendStatus::kFenced) fail(status);
      }
      const uint64_t now_ns = monotonic_ns();
      if (deadline_ns == 0) {
        deadline_ns = now_ns + options_.block_ns;
        live_.waits().set(live_.waits().peek() + 1);
      }
      if (options_.when_full == WriterOptions::WhenFull::kDropOldest && status != AppendStatus::kFenced) {
        lock.unlock();
        const bool dropped = drop_oldest();
        lock.lock();
        if (dropped) continue;
      }
      if (now_ns >= deadline_ns) return refused(status);
      crew_->wake_persister();
      space_.wait_for(lock, std::chrono::nanoseconds(std::min<uint64_t>(deadline_ns - now_ns, 10 * kNsPerMs)));
      live_.wait_ns_total().set(live_.wait_ns_total().peek() + monotonic_ns() - now_ns);
    }
    return AppendStatus::kOk;
  } catch (...) {
    return AppendStatus::kIoError;
  }
}

}  // namespace tidepool::feed
