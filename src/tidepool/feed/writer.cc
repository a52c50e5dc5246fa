#include "tidepool/feed/writer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "tidepool/base/log.h"
#include "tidepool/base/process.h"
#include "tidepool/feed/blob.h"
#include "tidepool/feed/housekeeper.h"
#include "tidepool/feed/index.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/shm_use.h"
#include "tidepool/shm/directory.h"
#include "tidepool/shm/doorbell.h"
#include "tidepool/shm/gate.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kReserveStepBytes = uint64_t{1} << 20;
constexpr uint64_t kHeartbeatNs = 100 * kNsPerMs;
constexpr uint64_t kFoldStepBytes = uint64_t{1} << 20;
constexpr uint64_t kClaimBytesMax = uint64_t{1} << 40;  // no chunk is larger

// One chunk while this writer has it. Who guards what: `reserved` Impl::reserve_mutex_; `sealed` and `first_nonempty_ns`
// Impl::mutex_; what lies below the line Impl::persist_mutex_; the rest is set before the chunk is shared.
struct LiveChunk {
  FeedOptions options;  // in force when it was prepared (F-10)
  ChunkHeader header;
  uint64_t first_seq = 0;
  Activation activation;
  std::string data_path;   // of the live object; empty when there is none any more
  std::string index_path;
  File data_file;          // tiered, memory: the shared-memory object
  Mapping data_mapping;
  Mapping words_mapping;   // durable: the words alone
  std::byte* data = nullptr;
  ChunkWords words;
  uint64_t reserved = 0;
  bool sealed = false;
  uint64_t first_nonempty_ns = 0;
  // ----
  std::optional<ChunkFile> disk;
  std::optional<LiveIndex> live_index;
  IndexBuilder index;
  bool index_started = false;
  bool activation_written = false;
  uint64_t last_sync_ns = 0;

  uint64_t count() const noexcept {
    return header.layout == Layout::kRows ? words.committed().load() / header.record_bytes : (words.committed().load(), words.records().load());
  }
};

void refuse_network_file_systems(const std::string& directory) {
  struct statfs found {};
  if (::statfs(directory.c_str(), &found) != 0) return;
  switch (static_cast<uint32_t>(found.f_type)) {
    case 0x6969:       // NFS
    case 0x517B:       // SMB
    case 0xFF534D42:   // CIFS
    case 0xFE534D42:   // SMB2
    case 0x01021997:   // 9p
    case 0x00C36400:   // Ceph
      throw FeedError(Fault::kUnsupportedFs, directory, " is on a network file system, where mappings of a growing file are not to be relied on: write to a local disk");
    default: break;
  }
}

void populate(std::byte* at, uint64_t bytes) noexcept {
#ifdef MADV_POPULATE_WRITE
  const auto page = reinterpret_cast<uintptr_t>(at) & ~uintptr_t{4095};
  const auto end = reinterpret_cast<uintptr_t>(at) + bytes;
  ::madvise(reinterpret_cast<void*>(page), end - page, MADV_POPULATE_WRITE);  // refused before Linux 5.14: pages fault in one by one
#else
  static_cast<void>(at);
  static_cast<void>(bytes);
#endif
}

AppendStatus status_of(Fault fault) noexcept {
  switch (fault) {
    case Fault::kNoSpace: return AppendStatus::kNoSpace;
    case Fault::kNoShmSpace: return AppendStatus::kNoShmSpace;
    case Fault::kBackpressure: return AppendStatus::kBackpressure;
    case Fault::kFenced:
    case Fault::kFeedDeleted:
    case Fault::kFeedReplaced: return AppendStatus::kFenced;
    default: return AppendStatus::kIoError;
  }
}

}  // namespace

std::string_view append_status_name(AppendStatus status) noexcept {
  switch (status) {
    case AppendStatus::kOk: return "ok";
    case AppendStatus::kWrongSize: return "wrong size";
    case AppendStatus::kTooLarge: return "record too large";
    case AppendStatus::kClockBackwards: return "clock backwards";
    case AppendStatus::kNoSpace: return "no space";
    case AppendStatus::kNoShmSpace: return "no shared memory";
    case AppendStatus::kBackpressure: return "backpressure";
    case AppendStatus::kFenced: return "fenced";
    case AppendStatus::kIoError: return "i/o error";
    case AppendStatus::kClosed: return "closed";
    case AppendStatus::kForked: return "forked";
    case AppendStatus::kClaimOpen: return "claim open";
    case AppendStatus::kUnknownBlob: return "unknown blob";
  }
  return "unknown";
}

std::string_view event_name(WriterEvent::Kind kind) noexcept {
  switch (kind) {
    case WriterEvent::Kind::kOpened: return "opened";
    case WriterEvent::Kind::kRotated: return "rotated";
    case WriterEvent::Kind::kSynced: return "synced";
    case WriterEvent::Kind::kPersisted: return "persisted";
    case WriterEvent::Kind::kRetired: return "retired";
    case WriterEvent::Kind::kTrouble: return "trouble";
    case WriterEvent::Kind::kFenced: return "fenced";
    case WriterEvent::Kind::kClosed: return "closed";
  }
  return "unknown";
}

class FeedWriter::Impl {
 public:
  Impl(const std::string& base, const std::string& name, const WriterOptions& options)
      : options_(options), files_(*options.files), base_(base), feed_(find_feed(base, name, files_)) {
    if (!options.blobs_are_written && has_blob_feeds(base, feed_, files_)) {
      throw FeedError(Fault::kUsage, "feed ", name, " has blobs: write it with BlobWriter, which keeps them together with their rows");
    }
    refuse_network_file_systems(feed_.directory);
    lock_ = lock_within(feed_.directory, "writer.lock", options.text, options.wait_for_lock_ns, Fault::kWriterBusy);
    const FeedInfo locked = find_feed(base, name, files_);  // settings and schema may have changed since we looked
    if (locked.id == feed_.id) feed_ = locked;
    // What a daemon is just taking to disk for a dead writer it finishes first (F-63).
    const auto persister = lock_within(feed_.directory, kPersisterLockName, options.text, 30 * kNsPerSecond, Fault::kWriterBusy);
    registry_ = FeedRegistry::open(feed_, files_, true);  // after the lock: of another feed, if it was replaced meanwhile
    registry_.settle();
    registry_.refresh();
    recovery_ = recover_feed(feed_, registry_, files_);
    registry_.refresh();
    settings_ = feed_.options;
    settings_seen_ = registry_.settings_changes();
    epoch_ = recovery_.epoch;
    next_ordinal_ = recovery_.highest_ordinal + 1;
    segment_first_ = recovery_.next_seq;
    for (const SegmentInfo& segment : registry_.segments()) segment_id_ = std::max(segment_id_, segment.id);
    std::copy(std::begin(recovery_.highest), std::end(recovery_.highest), std::begin(hot_.highest_before));
    hot_.any_before = recovery_.any_records;
    clocks_ = feed_.schema.clocks();
    rows_ = feed_.schema.layout() == Layout::kRows;
    record_bytes_ = feed_.schema.record_bytes();
    align_log2_ = static_cast<uint8_t>(__builtin_ctz(feed_.schema.payload_align()));
    schema_block_ = feed_.schema.encode();
    for (size_t k = 0; k < clocks_; ++k) strict_ |= feed_.schema.clock(k).order == ClockOrder::kStrict ? 1u << k : 0;

    FeedRecord opened = entry(FeedEntry::kEpochOpened);
    opened.first_seq = recovery_.next_seq;
    opened.boot_id = this_boot_id();
    const ProcessId self = this_process();
    opened.pid = self.pid;
    opened.start_ticks = self.start_ticks;
    opened.text = options.text;
    registry_.append(opened, true);
    make_live_directory();
    live_ = LivePage::create(files_, live_directory_, feed_, epoch_, feed_.options.file_mode);
    live_.durable_seq().set(recovery_.next_seq);
    live_.floor_seq().set(registry_.floor_seq());
    for (size_t k = 0; k < clocks_; ++k) live_.highest_before(k).set(hot_.highest_before[k]);
    current_ = prepare();  // throws: the epoch stays used, what was prepared is swept by the next writer
    activate(*current_, recovery_.next_seq);
    adopt();
    publish_latest();
    opened_ = true;
    for (const ChunkRecovery& chunk : recovery_.chunks) live_.recovered().set(live_.recovered().peek() + chunk.count);
    happened({.kind = WriterEvent::Kind::kOpened, .first_seq = recovery_.next_seq, .end_seq = recovery_.next_seq, .text = recovery_.loss ? "records were lost" : recovery_.clean ? "" : "recovered"});
    helper_ = std::thread([this] { help(); });
    persister_ = std::thread([this] { persist(); });
  }

  ~Impl() {
    if (!opened_) return;
    try {
      close();
    } catch (const Error& error) {
      log(LogLevel::kError, "feed", "close feed ", feed_.name, ": ", error.what());
    }
  }

  // ---- the append path --------------------------------------------------------------------------------------------------

  Appended append_rows(const std::byte* rows, uint64_t bytes) noexcept {
    if (!rows_ || bytes == 0 || bytes % record_bytes_ != 0) return {AppendStatus::kWrongSize};
    if (const AppendStatus status = enter(bytes); status != AppendStatus::kOk) return {status};
    for (uint64_t at = 0; at < bytes; at += record_bytes_) {
      if (!note_clocks(rows + at)) return {roll_back()};
    }
    std::memcpy(hot_.data + hot_.position, rows, bytes);
    return publish(bytes, bytes / record_bytes_);
  }

  Claim claim(uint64_t bytes, uint64_t meta_at, uint64_t meta_bytes, uint64_t payload_at, uint64_t payload_bytes) noexcept {
    Claim claim;
    claim.status = enter(bytes);
    if (!claim) return claim;
    std::byte* at = hot_.data + hot_.position;
    hot_.claimed = bytes;
    claim.seq = hot_.seq;
    claim.meta = {at + meta_at, meta_bytes};
    claim.bytes = {at + payload_at, payload_bytes};
    claim.ordinal = hot_.ordinal;
    claim.offset = hot_.position + payload_at;
    return claim;  // inside the gate until commit() or abort()
  }

  Appended commit_rows(const Claim& claim) noexcept {
    if (!rows_ || hot_.claimed == 0 || claim.seq != hot_.seq || claim.bytes.data() != hot_.data + hot_.position) return {AppendStatus::kClosed};
    const uint64_t bytes = hot_.claimed;
    for (uint64_t at = 0; at < bytes; at += record_bytes_) {
      if (!note_clocks(hot_.data + hot_.position + at)) {
        hot_.claimed = 0;
        return {roll_back()};
      }
    }
    hot_.claimed = 0;
    return publish(bytes, bytes / record_bytes_);
  }

  Appended commit_frame(const Claim& claim, const FrameMeta& frame, uint64_t payload_bytes) noexcept {
    if (rows_ || hot_.claimed == 0 || claim.seq != hot_.seq || payload_bytes > claim.bytes.size()) return {AppendStatus::kClosed};
    hot_.claimed = 0;
    const auto meta_bytes = static_cast<uint16_t>(claim.meta.size());
    std::byte* at = hot_.data + hot_.position;
    std::byte clocks[8 * kClocksMax];
    std::memcpy(clocks, frame.clocks, sizeof clocks);
    if (!note_clocks(clocks)) return {roll_back()};
    FrameHead head{frame_payload_offset(meta_bytes, align_log2_) + payload_bytes, hot_.seq, {}, frame.stream_epoch, frame.stream_seq, frame.type, meta_bytes};
    for (size_t k = 0; k < clocks_; ++k) head.clocks[k] = frame.clocks[k];
    encode(head, at);
    // What lies between head, payload and the next frame is zeros: a fresh page's, or made so where a claim was aborted.
    const uint64_t span = frame_span(meta_bytes, payload_bytes, align_log2_);
    const uint64_t payload_at = frame_payload_offset(meta_bytes, align_log2_);
    std::memset(at + kFrameHeadBytes + meta_bytes, 0, payload_at - kFrameHeadBytes - meta_bytes);
    std::memset(at + payload_at + payload_bytes, 0, span - payload_at - payload_bytes);
    return publish(span, 1);
  }

  void abort(const Claim& claim) noexcept {
    if (hot_.claimed == 0 || claim.seq != hot_.seq) return;
    hot_.claimed = 0;
    gate_.leave();
  }

  Appended append_frame(const FrameMeta& frame, Bytes meta, Bytes payload) noexcept {
    Claim room = claim_frame(meta.size(), payload.size());
    if (!room) return {room.status};
    if (!meta.empty()) std::memcpy(room.meta.data(), meta.data(), meta.size());
    if (!payload.empty()) std::memcpy(room.bytes.data(), payload.data(), payload.size());
    return commit_frame(room, frame, payload.size());
  }

  Claim claim_frame(uint64_t meta_bytes, uint64_t payload_bytes) noexcept {
    Claim none;
    none.status = AppendStatus::kWrongSize;
    if (rows_ || meta_bytes > 0xFFFF) return none;
    const auto meta = static_cast<uint16_t>(meta_bytes);
    const uint64_t span = frame_span(meta, payload_bytes, align_log2_);
    none.status = AppendStatus::kTooLarge;
    if (span == 0) return none;
    return claim(span, kFrameHeadBytes, meta_bytes, frame_payload_offset(meta, align_log2_), payload_bytes);
  }

  Claim claim_rows(uint64_t rows) noexcept {
    Claim none;
    none.status = AppendStatus::kWrongSize;
    if (!rows_ || rows == 0) return none;
    none.status = AppendStatus::kTooLarge;
    if (rows > kClaimBytesMax / record_bytes_) return none;
    return claim(rows * record_bytes_, 0, 0, 0, rows * record_bytes_);
  }

  // ---- everything else ----------------------------------------------------------------------------------------------------

  void sync() {
    require_open();
    if (feed_.options.storage == Storage::kMemory) throw FeedError(Fault::kUsage, "feed ", feed_.name, " lives in memory: there is nothing to make durable");
    const std::scoped_lock persisting(persist_mutex_);
    round(true);
  }

  bool wait_durable(uint64_t seq, uint64_t timeout_ns) {
    std::unique_lock lock(mutex_);
    space_.wait_for(lock, std::chrono::nanoseconds(timeout_ns), [&] { return durable_seq() > seq || failure_ != AppendStatus::kOk; });
    return durable_seq() > seq;
  }

  uint64_t durable_seq() const noexcept { return feed_.options.storage == Storage::kMemory ? 0 : live_.durable_seq().load(); }

  uint64_t next_seq() const noexcept {
    const std::scoped_lock lock(mutex_);
    return current_ ? current_->first_seq + current_->count() : closed_at_;
  }

  WriterHealth health() const {
    WriterHealth health;
    const std::scoped_lock lock(mutex_);
    health.committed_seq = current_ ? current_->first_seq + current_->count() : closed_at_;
    health.durable_seq = durable_seq();
    for (const auto& chunk : queue_) health.backlog_bytes += chunk->words.committed().load();
    health.rotations = rotations_;
    for (size_t k = 0; k < clocks_; ++k) {
      health.clock_regressions[k] = live_.regressions(k).peek();
      health.clock_step_back_max[k] = step_back_max_[k];
    }
    health.callback_failures = callback_failures_.load();
    health.trouble = trouble_.empty() ? room_trouble_ : trouble_;
    return health;
  }

  bool rotate() {
    require_open();
    if (hot_.claimed != 0) throw FeedError(Fault::kUsage, "rotate: a claim is open");
    std::unique_lock lock(mutex_);
    if (current_->words.committed().load() == 0) return false;
    ensure_next(lock);
    if (!next_ || current_->words.committed().load() == 0) return false;  // closed, or sealed by age meanwhile
    rotate_locked();
    return true;
  }

  bool mark_segment_boundary(const std::string& reason) {
    require_open();
    if (hot_.claimed != 0) throw FeedError(Fault::kUsage, "mark a segment: a claim is open");
    const std::scoped_lock persisting(persist_mutex_);
    round(false);
    return close_segment(SegmentStatus::kClosed, reason);
  }

  void mark(uint64_t seq, uint32_t code, const std::string& text) {
    require_open();
    const std::scoped_lock persisting(persist_mutex_);
    round(false);  // finds the frames' places, and the registry names the chunk
    FeedRecord record = entry(FeedEntry::kMark);
    record.first_seq = seq;
    record.value = code;
    record.text = text;
    std::deque<std::shared_ptr<LiveChunk>> chunks = window_;
    {
      const std::scoped_lock lock(mutex_);
      chunks.insert(chunks.end(), queue_.begin(), queue_.end());
      chunks.push_back(current_);
    }
    for (const auto& chunk : chunks) {
      if (!chunk->index_started || seq < chunk->first_seq || seq - chunk->first_seq >= chunk->index.records()) continue;
      const uint64_t at = seq - chunk->first_seq;
      const std::byte* clocks = rows_ ? chunk->data + at * record_bytes_ : chunk->data + chunk->index.entries()[at].offset + 16;
      record.ordinal = chunk->header.ordinal;
      for (size_t k = 0; k < clocks_; ++k) record.clocks[k].min = record.clocks[k].max = load<uint64_t>(clocks + 8 * k);
      return put(record, false);
    }
    throw FeedError(Fault::kOutOfRange, "mark record ", seq, " of feed ", feed_.name, ": it is not one of those in memory, which end at ", next_seq());
  }

  void close() {
    if (gate_.forked()) return;
    {
      const std::scoped_lock lock(mutex_);
      if (closed_) return;
      closed_ = true;
      stopping_ = true;
      if (failure_ == AppendStatus::kOk) failure_ = AppendStatus::kClosed;
      gate_.shut();
    }
    wake_.notify_all();
    space_.notify_all();
    if (helper_.joinable()) helper_.join();
    if (persister_.joinable()) persister_.join();
    if (fenced()) {  // whoever has the feed now has its live objects too
      lock_ = {};
      return;
    }
    const std::scoped_lock persisting(persist_mutex_);
    std::shared_ptr<LiveChunk> empty[2];
    {
      const std::scoped_lock lock(mutex_);
      closed_at_ = current_->first_seq + current_->count();
      if (current_->words.committed().load() != 0) {
        seal(*current_);
        queue_.push_back(current_);
      } else {
        empty[0] = current_;
      }
      empty[1] = next_;
      next_ = nullptr;
    }
    std::string why;
    const uint64_t deadline_ns = monotonic_ns() + options_.close_timeout_ns;
    for (bool first = true; first || (!queue_.empty() && monotonic_ns() < deadline_ns); first = false) {
      try {
        round(true);
        why.clear();
      } catch (const FeedError& error) {
        why = error.what();
        if (error.fault() == Fault::kIo) break;  // a second sync that succeeds would prove nothing
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    }
    {
      const std::scoped_lock lock(mutex_);
      current_ = nullptr;
    }
    if (!queue_.empty()) {
      lock_ = {};
      throw FeedError(why.empty() ? Fault::kIo : Fault::kNoSpace, "feed ", feed_.name, ": records ", durable_seq(), " to ", closed_at_,
                      " are not on disk", why.empty() ? " yet" : ": ", why, "; they stay in ", live_directory_, " for the next writer");
    }
    for (const auto& chunk : empty) {
      if (chunk) abandon(*chunk);
    }
    close_segment(SegmentStatus::kClosed, "writer closed");
    FeedRecord end = entry(FeedEntry::kEpochClosed);
    end.first_seq = closed_at_;
    if (feed_.options.storage == Storage::kMemory) {
      while (!window_.empty()) retire(*pop_window());
    }
    {
      const std::scoped_lock lock(registry_mutex_);
      registry_.append(end, true);
    }
    live_.state().publish(static_cast<uint32_t>(LivePage::State::kClosed));
    bell_->ring_if_parked();
    for (const auto& chunk : window_) unlink_live(*chunk);
    window_.clear();
    for (const char* name : {LivePage::kName, "doorbell"}) unlink_file(files_, concat(live_directory_, "/", name));
    files_.remove_directory(live_directory_);  // stays if a stranger put something there
    lock_ = {};
    happened({.kind = WriterEvent::Kind::kClosed, .end_seq = closed_at_});
  }

  const FeedInfo& feed() const noexcept { return feed_; }
  bool forked() const noexcept { return gate_.forked(); }
  const RecoveryReport& recovery() const noexcept { return recovery_; }
  uint64_t epoch() const noexcept { return epoch_; }

 private:
  // What the appending thread works with. Another thread touches it only behind the closed gate.
  struct Hot {
    std::byte* data = nullptr;
    ChunkWords words;
    uint64_t position = 0;
    uint64_t limit = 0;      // reserved and within the chunk
    uint64_t seq = 0;        // of the next record
    uint64_t records = 0;    // in the chunk
    uint64_t claimed = 0;
    uint64_t ordinal = 0;
    bool every_commit = false;  // returns when it is durable
    uint64_t highest[kClocksMax] = {};         // in this chunk
    uint64_t highest_before[kClocksMax] = {};  // in all before
    bool any_before = false;
    // What a batch that is refused half-way must give back.
    uint64_t rejected_highest[kClocksMax] = {};
  };

  // Inside the gate with room for `bytes`, or why not.
  AppendStatus enter(uint64_t bytes) noexcept {
    if (hot_.claimed != 0) [[unlikely]] return gate_.forked() ? AppendStatus::kForked : AppendStatus::kClaimOpen;
    for (;;) {
      if (gate_.enter()) [[likely]] {
        if (bytes <= hot_.limit - hot_.position) [[likely]] {
          if (strict_ != 0) std::copy(std::begin(hot_.highest), std::end(hot_.highest), std::begin(hot_.rejected_highest));
          first_in_batch_ = hot_.records == 0;
          return AppendStatus::kOk;
        }
        gate_.leave();
      }
      if (const AppendStatus status = make_room(bytes); status != AppendStatus::kOk) return status;
    }
  }

  // The clocks of the next record against those before it. False: refused.
  bool note_clocks(const std::byte* clocks) noexcept {
    const bool first_in_chunk = first_in_batch_;
    first_in_batch_ = false;
    for (size_t k = 0; k < clocks_; ++k) {
      const auto clock = load<uint64_t>(clocks + 8 * k);
      if (first_in_chunk ? (hot_.any_before && clock < hot_.highest_before[k]) : (clock < hot_.highest[k] || (hot_.any_before && clock < hot_.highest_before[k])))
          [[unlikely]] {
        if ((strict_ >> k & 1) != 0) return false;
        step_back(k, clock, first_in_chunk);
      }
      if (first_in_chunk || clock > hot_.highest[k]) hot_.highest[k] = clock;
    }
    return true;
  }

  void step_back(size_t k, uint64_t clock, bool first_in_chunk) noexcept {
    const uint64_t highest = std::max(first_in_chunk ? 0 : hot_.highest[k], hot_.any_before ? hot_.highest_before[k] : 0);
    live_.regressions(k).set(live_.regressions(k).peek() + 1);
    step_back_max_[k] = std::max(step_back_max_[k], highest - clock);
    if (!first_in_chunk && clock < hot_.highest[k]) hot_.words.unordered().set(hot_.words.unordered().peek() | 1u << k);
  }

  AppendStatus roll_back() noexcept {
    std::copy(std::begin(hot_.rejected_highest), std::end(hot_.rejected_highest), std::begin(hot_.highest));
    gate_.leave();
    return AppendStatus::kClockBackwards;
  }

  // The bytes at the position are records: say so to everybody.
  Appended publish(uint64_t bytes, uint64_t records) noexcept {
    const uint64_t seq = hot_.seq;
    hot_.position += bytes;
    hot_.seq += records;
    hot_.records += records;
    if (!rows_) hot_.words.records().set(hot_.records);
    hot_.words.committed().publish(hot_.position);
    for (size_t k = 0; k < clocks_; ++k) hot_.words.highest(k).set(hot_.highest[k]);
    hot_.words.covered().publish(hot_.position);
    bell_->ring_if_parked();
    gate_.leave();
    if (hot_.every_commit) [[unlikely]] return make_durable(seq);
    return {AppendStatus::kOk, seq};
  }

  Appended make_durable(uint64_t seq) noexcept {
    try {
      sync();
      return {AppendStatus::kOk, seq};
    } catch (const FeedError& error) {
      return {status_of(error.fault()), seq};
    } catch (...) {
      return {AppendStatus::kIoError, seq};
    }
  }

  // Not inside the gate: wait for, or make, room for `bytes` in the current chunk.
  AppendStatus make_room(uint64_t bytes) noexcept {
    if (gate_.forked()) return AppendStatus::kForked;
    try {
      std::unique_lock lock(mutex_);
      uint64_t deadline_ns = 0;
      for (;;) {
        if (failure_ != AppendStatus::kOk) return failure_;
        if (bytes > current_->header.capacity) return AppendStatus::kTooLarge;
        AppendStatus status = AppendStatus::kOk;
        try {
          if (bytes > current_->header.capacity - hot_.position) {
            ensure_next(lock);
            if (next_ && bytes > current_->header.capacity - hot_.position) rotate_locked();
          } else {
            reserve(*current_, hot_.position + bytes);
            adopt_limit();
            return AppendStatus::kOk;
          }
          continue;
        } catch (const FeedError& error) {
          status = status_of(error.fault());
          if (status == AppendStatus::kFenced) fail(status);
        }
        const uint64_t now_ns = monotonic_ns();
        if (deadline_ns == 0) {
          deadline_ns = now_ns + options_.block_ns;
          live_.waits().set(live_.waits().peek() + 1);
        }
        if (now_ns >= deadline_ns) return status;
        wake_.notify_all();
        space_.wait_for(lock, std::chrono::nanoseconds(std::min<uint64_t>(deadline_ns - now_ns, 10 * kNsPerMs)));
        live_.wait_ns_total().set(live_.wait_ns_total().peek() + monotonic_ns() - now_ns);
      }
    } catch (...) {
      return AppendStatus::kIoError;
    }
  }

  void require_open() const {
    if (gate_.forked()) throw FeedError(Fault::kUsage, "feed ", feed_.name, " was opened by the parent of this process: open it again");
    const std::scoped_lock lock(mutex_);
    if (failure_ == AppendStatus::kOk) return;
    throw FeedError(failure_ == AppendStatus::kFenced ? Fault::kFenced : failure_ == AppendStatus::kClosed ? Fault::kUsage : Fault::kIo, "the writer of feed ",
                    feed_.name, " is ", append_status_name(failure_), trouble_.empty() ? "" : ": ", trouble_);
  }

  bool fenced() const {
    const std::scoped_lock lock(mutex_);
    return failure_ == AppendStatus::kFenced || fenced_;
  }

  void fail(AppendStatus status) noexcept {  // mutex_ held
    if (status == AppendStatus::kFenced) fenced_ = true;
    if (failure_ == AppendStatus::kOk) failure_ = status;
    gate_.shut();
    space_.notify_all();
  }

  FeedRecord entry(FeedEntry type) const {
    FeedRecord record;
    record.type = type;
    record.epoch = epoch_;
    record.monotonic_ns = monotonic_ns();
    return record;
  }

  FeedRecord entry_of(FeedEntry type, const LiveChunk& chunk) const {
    FeedRecord record = entry(type);
    record.ordinal = chunk.header.ordinal;
    record.tag = chunk.header.created_wall_ns;
    record.in_memory = true;
    record.on_disk = feed_.options.storage != Storage::kMemory;
    return record;
  }

  void put(const FeedRecord& record, bool durable) {
    const std::scoped_lock lock(registry_mutex_);
    registry_.append(record, durable);
  }

  void make_live_directory() {
    live_directory_ = live_directory_path(feed_);
    const mode_t mode = 0700 | ((feed_.options.file_mode & 0040) != 0 ? 0050 : 0) | ((feed_.options.file_mode & 0004) != 0 ? 0005 : 0);
    make_directory(files_, live_directory_, mode);
    if (!trusted_live_directory(feed_)) {
      throw FeedError(Fault::kPermission, live_directory_, " belongs to a stranger: remove it, or give the feed another shm_root");
    }
    shm::Doorbell::register_producer();
    // Who may read the feed may park at its doorbell, which takes the right to write there.
    const mode_t bell_mode = 0600 | ((feed_.options.file_mode & 0040) != 0 ? 0060 : 0) | ((feed_.options.file_mode & 0004) != 0 ? 0006 : 0);
    shm::Doorbell::create(shm::Directory::open(live_directory_), bell_mode);
    bell_ = shm::Doorbell::open(live_directory_);
    if (!bell_) throw FeedError(Fault::kPermission, live_directory_, "/doorbell cannot be opened");
  }

  // ---- chunks -----------------------------------------------------------------------------------------------------------

  // A new chunk, registered, not yet the one that is appended to. No lock held; throws.
  std::shared_ptr<LiveChunk> prepare() {
    {
      const std::scoped_lock lock(registry_mutex_);
      registry_.refresh();
      if (!registry_.epochs().empty() && registry_.epochs().back().epoch > epoch_) {
        throw FeedError(Fault::kFenced, "epoch ", registry_.epochs().back().epoch, " of feed ", feed_.name, " has begun, ours was ", epoch_);
      }
    }
    auto chunk = std::make_shared<LiveChunk>();
    ChunkHeader& header = chunk->header;
    FeedInfo planned = feed_;
    planned.options = settings();
    chunk->options = planned.options;
    header = ChunkHeader::plan(planned, planned.options.chunk_bytes);
    header.ordinal = next_ordinal_++;
    header.epoch = epoch_;
    header.created_wall_ns = realtime_ns();
    header.created_monotonic_ns = monotonic_ns();
    header.boot_id = this_boot_id();
    chunk->data_path = concat(live_directory_, "/", chunk_name(header.ordinal));
    chunk->index_path = concat(live_directory_, "/", index_name(header.ordinal));
    const auto constant = header.encode();
    const bool durable = feed_.options.storage == Storage::kDurable;
    check_shm_cap(feed_, durable ? kChunkPageBytes : header.file_bytes(), options_.base_shm_bytes_max);
    try {
      chunk->data_file = File::open(files_, chunk->data_path, O_RDWR | O_CREAT | O_EXCL, chunk->options.file_mode, true);
      const uint64_t live_bytes = durable ? kChunkPageBytes : header.file_bytes();
      const uint64_t head_bytes = durable ? kChunkPageBytes : header.data_offset;
      chunk->data_file.reserve(0, head_bytes);
      chunk->data_file.resize(live_bytes);
      chunk->words_mapping = Mapping::of(chunk->data_file, live_bytes, true);
      std::memcpy(chunk->words_mapping.data(), constant.data(), constant.size());
      if (durable) {
        chunk->disk = ChunkFile::create(files_, feed_.directory, header, schema_block_, chunk->options.file_mode, true);
        chunk->data_mapping = Mapping::of(chunk->disk->file(), header.file_bytes(), true);
        chunk->data = chunk->data_mapping.data() + header.data_offset;
      } else {
        std::memcpy(chunk->words_mapping.data() + header.schema_offset, schema_block_.data(), schema_block_.size());
        chunk->data = chunk->words_mapping.data() + header.data_offset;
      }
      chunk->words = ChunkWords(chunk->words_mapping.data());
      reserve(*chunk, chunk->options.prefault ? header.capacity : std::min(header.capacity, kReserveStepBytes));
      // Synced before any of its records can be said to be durable: else a power cut could leave them where no reader looks.
      put(entry_of(FeedEntry::kChunkOpened, *chunk), feed_.options.storage != Storage::kMemory);
    } catch (const FeedError&) {
      files_.unlink(chunk->data_path);
      if (chunk->disk) files_.unlink(concat(feed_.directory, "/", chunk_name(header.ordinal)));
      throw;
    }
    return chunk;
  }

  // Space that is really there for the first `end` bytes of data, and some ahead. Throws, with what was there before.
  void reserve(LiveChunk& chunk, uint64_t end) {
    const std::scoped_lock lock(reserve_mutex_);
    if (end <= chunk.reserved) return;
    const uint64_t target = std::min(chunk.header.capacity, (end + kReserveStepBytes - 1) / kReserveStepBytes * kReserveStepBytes);
    const File& file = feed_.options.storage == Storage::kDurable ? chunk.disk->file() : chunk.data_file;
    file.reserve(chunk.header.data_offset + chunk.reserved, target - chunk.reserved);
    if (chunk.options.prefault) populate(chunk.data + chunk.reserved, target - chunk.reserved);
    chunk.reserved = target;
  }

  void activate(LiveChunk& chunk, uint64_t first_seq) noexcept {
    chunk.first_seq = first_seq;
    chunk.activation = {first_seq, realtime_ns()};
    const auto bytes = encode(chunk.activation, chunk.header);
    std::memcpy(chunk.words_mapping.data() + kActivationAt, bytes.data(), bytes.size());
    chunk.words.state().publish(static_cast<uint32_t>(WordState::kActive));  // F-c: from here on it is valid
  }

  void seal(LiveChunk& chunk) noexcept {
    chunk.sealed = true;
    chunk.words.state().publish(static_cast<uint32_t>(WordState::kSealed));  // after its last commit: a reader who sees it drains
  }

  // mutex_ held by `lock`: there is a next chunk, or why there is none is thrown.
  void ensure_next(std::unique_lock<std::mutex>& lock) {
    while (preparing_) space_.wait(lock);
    if (next_ || stopping_) return;
    uint64_t waiting = 0;
    for (const auto& chunk : queue_) waiting += chunk->header.capacity;
    if (feed_.options.storage != Storage::kMemory && waiting != 0 && waiting + current_->header.capacity > current_->options.backlog_bytes) {
      if (out_of_space_) throw FeedError(Fault::kNoSpace, trouble_);
      throw FeedError(Fault::kBackpressure, waiting, " bytes wait for the disk");
    }
    preparing_ = true;
    lock.unlock();
    std::shared_ptr<LiveChunk> made;
    std::exception_ptr failure;
    try {
      made = prepare();
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    preparing_ = false;
    next_ = made;
    space_.notify_all();
    if (!failure) return room_trouble_.clear();
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      room_trouble_ = error.what();
      throw;
    }
  }

  // mutex_ held, nobody inside the gate: the next chunk becomes the current one. Nothing here can fail.
  void rotate_locked() noexcept {
    auto old = current_;
    activate(*next_, old->first_seq + old->count());
    for (size_t k = 0; k < clocks_; ++k) {
      hot_.highest_before[k] = hot_.any_before ? std::max(hot_.highest_before[k], hot_.highest[k]) : hot_.highest[k];
      live_.highest_before(k).set(hot_.highest_before[k]);
    }
    hot_.any_before = true;
    seal(*old);
    current_ = std::move(next_);
    next_ = nullptr;
    queue_.push_back(old);
    ++rotations_;
    live_.rotations().set(rotations_);
    publish_latest();
    adopt();
    wake_.notify_all();
    bell_->ring_if_parked();
  }

  void publish_latest() noexcept {
    live_.publish_latest({current_->header.ordinal, current_->first_seq, current_->header.capacity, current_->header.created_wall_ns});
  }

  void adopt() noexcept {
    hot_.data = current_->data;
    hot_.words = current_->words;
    hot_.position = current_->words.committed().peek();
    hot_.records = 0;
    hot_.seq = current_->first_seq;
    hot_.ordinal = current_->header.ordinal;
    hot_.every_commit = current_->options.sync == SyncMode::kEveryCommit && feed_.options.storage != Storage::kMemory;
    std::fill(std::begin(hot_.highest), std::end(hot_.highest), 0);
    adopt_limit();
  }

  void adopt_limit() noexcept {
    const std::scoped_lock lock(reserve_mutex_);
    hot_.limit = std::min(current_->header.capacity, current_->reserved);
  }

  void unlink_live(LiveChunk& chunk) {
    unlink_file(files_, chunk.data_path);
    unlink_file(files_, chunk.index_path);
  }

  void abandon(LiveChunk& chunk) {
    chunk.words.state().publish(static_cast<uint32_t>(WordState::kAbandoned));
    put(entry_of(FeedEntry::kChunkAbandoned, chunk), false);
    unlink_live(chunk);
    unlink_file(files_, concat(feed_.directory, "/", chunk_name(chunk.header.ordinal)));
  }

  // ---- the persister: persist_mutex_ held in all of these ------------------------------------------------------------------

  // Take what is committed: into the index, and to disk. `force`: and make it durable. Throws for the disk's reasons.
  bool round(bool force) {
    std::vector<std::shared_ptr<LiveChunk>> chunks;
    {
      const std::scoped_lock lock(mutex_);
      chunks.assign(queue_.begin(), queue_.end());
      if (current_ && (chunks.empty() || chunks.back() != current_)) chunks.push_back(current_);
    }
    bool worked = false;
    try {
      for (const auto& chunk : chunks) {
        const bool sealed = chunk->words.state().load() == static_cast<uint32_t>(WordState::kSealed);  // before the word below
        const uint64_t end = chunk->words.committed().load();
        if (end == 0) continue;
        worked |= chunk->index.position() < end || !chunk->index_started;
        take(*chunk, end, force);
        if (sealed) {
          finish(*chunk);
          worked = true;
        }
      }
      const std::scoped_lock lock(mutex_);
      trouble_.clear();
      out_of_space_ = false;
    } catch (const FeedError& error) {
      const std::scoped_lock lock(mutex_);
      trouble_ = error.what();
      out_of_space_ = error.fault() == Fault::kNoSpace;
      if (error.fault() == Fault::kIo || error.fault() == Fault::kCorrupt) fail(AppendStatus::kIoError);
      throw;
    }
    return worked;
  }

  void take(LiveChunk& chunk, uint64_t end, bool force) {
    if (!chunk.index_started) {
      chunk.index = IndexBuilder(chunk.header, chunk.first_seq);
      cached("live index", [&] { chunk.live_index = LiveIndex::create(files_, chunk.index_path, chunk.header, chunk.first_seq, feed_.options.file_mode); });
      chunk.index_started = true;
      chunk.last_sync_ns = options_.clock->monotonic_ns();
    }
    if (chunk.options.segments) open_segment();
    const bool on_disk = feed_.options.storage != Storage::kMemory;
    const bool in_place = feed_.options.storage == Storage::kDurable;
    if (on_disk && !chunk.disk) chunk.disk = ChunkFile::create(files_, feed_.directory, chunk.header, schema_block_, chunk.options.file_mode, false);
    if (on_disk && !chunk.activation_written) {
      chunk.disk->activate(chunk.activation);
      chunk.activation_written = true;
    }
    while (chunk.index.position() < end || (on_disk && chunk.disk->checked_end() < chunk.index.position())) {
      uint64_t step = end;
      if (rows_) step = std::min(end, (chunk.index.position() + std::max<uint64_t>(kFoldStepBytes, record_bytes_)) / record_bytes_ * record_bytes_);
      if (!chunk.index.fold(chunk.data, step)) throw FeedError(Fault::kCorrupt, "chunk ", chunk.header.ordinal, ": a frame changed after it was committed");
      if (on_disk) chunk.disk->take(chunk.data, chunk.index.position(), in_place);
    }
    if (chunk.live_index) cached("live index", [&] { chunk.live_index->add(chunk.index); });
    if (!on_disk) return;
    const uint64_t now_ns = options_.clock->monotonic_ns();
    const uint64_t unsynced = chunk.disk->checked_end() - chunk.disk->durable_end();
    const bool due = chunk.options.sync == SyncMode::kInterval && (now_ns - chunk.last_sync_ns >= chunk.options.sync_interval_ns || unsynced >= chunk.options.sync_bytes);
    if (unsynced == 0) {
      chunk.last_sync_ns = now_ns;
    } else if (force || due) {
      timed_sync([&] { chunk.disk->sync(chunk.index.records()); });
      chunk.last_sync_ns = now_ns;
      say_durable(chunk);
    }
  }

  // An index is a cache: what cannot be written is done without (F-34).
  template <typename Write>
  void cached(std::string_view what, Write&& write) {
    try {
      write();
    } catch (const FeedError& error) {
      log(LogLevel::kWarn, "feed", "feed ", feed_.name, ": no ", what, ": ", error.what());
    }
  }

  // What the records refer to first (F-122), then they.
  template <typename Sync>
  void timed_sync(Sync&& sync) {
    if (options_.before_sync) options_.before_sync();
    const uint64_t begin_ns = monotonic_ns();
    sync();
    const uint64_t took_ns = monotonic_ns() - begin_ns;
    live_.syncs().set(live_.syncs().peek() + 1);
    live_.sync_ns_total().set(live_.sync_ns_total().peek() + took_ns);
    live_.sync_ns_max().set(std::max(live_.sync_ns_max().peek(), took_ns));
  }

  void say_durable(LiveChunk& chunk) {
    chunk.words.durable().publish(chunk.disk->durable_end());
    const uint64_t durable = chunk.first_seq + chunk.index.records();
    {
      const std::scoped_lock lock(mutex_);
      live_.durable_seq().publish(durable);
      space_.notify_all();
    }
    if (options_.on_durable) call([&] { options_.on_durable(durable); });
    happened({.kind = WriterEvent::Kind::kSynced, .ordinal = chunk.header.ordinal, .first_seq = chunk.first_seq, .end_seq = durable});
  }

  // Whatever a user's function does, the data path goes on (F-137, F-140).
  template <typename Function>
  void call(Function&& function) noexcept {
    try {
      function();
    } catch (...) {
      callback_failures_.fetch_add(1);
    }
  }

  void happened(WriterEvent event) {  // mutex_ not held
    if (!options_.on_event) return;
    event.epoch = epoch_;
    event.wall_ns = realtime_ns();
    call([&] { options_.on_event(event); });
  }

  void finish(LiveChunk& chunk) {
    ChunkSummary summary = chunk.index.summary();
    summary.sealed_wall_ns = realtime_ns();
    FeedRecord sealed = entry_of(FeedEntry::kChunkSealed, chunk);
    sealed.first_seq = summary.first_seq;
    sealed.count = summary.count;
    sealed.bytes = summary.bytes;
    std::copy(std::begin(summary.clocks), std::end(summary.clocks), std::begin(sealed.clocks));
    const uint64_t begin_ns = monotonic_ns();
    if (chunk.disk) {
      timed_sync([&] { chunk.disk->seal(summary); });
      say_durable(chunk);
      cached("index", [&] {
        write_file_atomically(files_, feed_.directory, index_name(chunk.header.ordinal),
                              encode_index(chunk.header, summary.first_seq, chunk.index.entries()), feed_.options.file_mode);
      });
      put(sealed, false);
      sealed.type = FeedEntry::kChunkPersisted;
      put(sealed, true);
    } else {
      put(sealed, false);
    }
    gather_segment_bounds(chunk);
    ++finished_;
    uint64_t backlog = 0;
    {
      const std::scoped_lock lock(mutex_);
      const auto at = std::find_if(queue_.begin(), queue_.end(), [&](const auto& queued) { return queued.get() == &chunk; });
      window_.push_back(*at);
      queue_.erase(at);
      for (const auto& queued : queue_) backlog += queued->words.committed().load();
      space_.notify_all();
    }
    happened({.kind = WriterEvent::Kind::kPersisted, .ordinal = chunk.header.ordinal, .first_seq = summary.first_seq, .end_seq = summary.end_seq(), .bytes = summary.bytes,
              .backlog_bytes = backlog, .elapsed_ns = monotonic_ns() - begin_ns});
    while (window_.size() + 1 > chunk.options.live_chunks) retire(*pop_window());
  }

  std::shared_ptr<LiveChunk> pop_window() {
    auto chunk = window_.front();
    window_.pop_front();
    return chunk;
  }

  // Out of the live window: the name goes; who has it mapped keeps it (F-78).
  void retire(LiveChunk& chunk) {
    if (feed_.options.storage == Storage::kMemory) {
      FeedRecord expired = entry_of(FeedEntry::kChunkExpired, chunk);
      expired.first_seq = chunk.first_seq;
      expired.count = chunk.index.records();
      put(expired, false);
      live_.floor_seq().publish(chunk.first_seq + chunk.index.records());
    }
    unlink_live(chunk);
    happened({.kind = WriterEvent::Kind::kRetired, .ordinal = chunk.header.ordinal, .first_seq = chunk.first_seq, .end_seq = chunk.first_seq + chunk.index.records()});
  }

  void open_segment() {
    if (segment_open_) return;
    FeedRecord opened = entry(FeedEntry::kSegmentOpened);
    opened.ordinal = segment_id_ + 1;
    opened.first_seq = segment_first_;
    put(opened, false);
    ++segment_id_;
    segment_open_ = true;
  }

  void gather_segment_bounds(LiveChunk& chunk) {
    for (size_t k = 0; k < clocks_; ++k) {
      const ClockBounds& fresh = chunk.index.since_mark(k);
      if (fresh.min > fresh.max) continue;
      ClockBounds& bounds = segment_bounds_[k];
      bounds.ordered = bounds.ordered && fresh.ordered && (bounds.min > bounds.max || fresh.min >= bounds.max);
      bounds.min = std::min(bounds.min, fresh.min);
      bounds.max = std::max(bounds.max, fresh.max);
    }
    chunk.index.mark();
    segment_end_ = chunk.first_seq + chunk.index.records();
  }

  bool close_segment(SegmentStatus status, const std::string& reason) {
    std::shared_ptr<LiveChunk> now;
    {
      const std::scoped_lock lock(mutex_);
      now = current_;
    }
    if (now && now->index_started) gather_segment_bounds(*now);
    if (!segment_open_) return false;
    const uint64_t end = std::max(segment_end_, segment_first_);
    if (end == segment_first_) return false;
    FeedRecord closed = entry(FeedEntry::kSegmentClosed);
    closed.ordinal = segment_id_;
    closed.first_seq = segment_first_;
    closed.count = end - segment_first_;
    closed.value = static_cast<uint64_t>(status);
    std::copy(std::begin(segment_bounds_), std::end(segment_bounds_), std::begin(closed.clocks));
    closed.text = reason;
    put(closed, false);
    segment_open_ = false;
    segment_first_ = end;
    for (ClockBounds& bounds : segment_bounds_) bounds = {};
    return true;
  }

  // ---- threads ----------------------------------------------------------------------------------------------------------

  void persist() {
    while (true) {
      bool worked = false;
      uint64_t finished = 0;
      try {
        const std::scoped_lock persisting(persist_mutex_);
        worked = round(false);
        finished = finished_;
      } catch (const FeedError& error) {
        log(LogLevel::kWarn, "feed", "feed ", feed_.name, ": ", error.what());
        happened({.kind = WriterEvent::Kind::kTrouble, .text = error.what()});
      } catch (const std::exception& error) {
        const std::scoped_lock lock(mutex_);
        trouble_ = error.what();
        fail(AppendStatus::kIoError);
      }
      housekeeper_.poll(finished);
      std::unique_lock lock(mutex_);
      if (stopping_) return;
      if (failure_ == AppendStatus::kIoError) {
        wake_.wait(lock, [&] { return stopping_; });
        return;
      }
      wake_.wait_for(lock, std::chrono::milliseconds(worked ? 1 : 10));
    }
  }

  // Prepares the next chunk, keeps space reserved ahead, beats the heart, seals by age, notices that it was fenced.
  void help() {
    uint64_t beat_ns = 0;
    std::shared_ptr<LiveChunk> seen;  // and how far, at the last look
    uint64_t seen_end = 0;
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (!next_ && failure_ == AppendStatus::kOk) {
        try {
          ensure_next(lock);
        } catch (const FeedError& error) {
          if (error.fault() == Fault::kFenced || error.fault() == Fault::kFeedDeleted || error.fault() == Fault::kFeedReplaced) fail(AppendStatus::kFenced);
        } catch (const std::exception&) {  // room_trouble_ has it; tried again
        }
      }
      auto chunk = current_;
      const uint64_t committed = chunk->words.committed().load();
      lock.unlock();
      try {
        if (!chunk->options.prefault) reserve(*chunk, std::min(chunk->header.capacity, committed + 4 * kReserveStepBytes));
      } catch (const FeedError&) {  // the append that needs it says so
      }
      const uint64_t now_ns = monotonic_ns();
      if (committed != 0 && (chunk != seen || committed != seen_end)) live_.last_append_ns().publish(now_ns);
      if (chunk != seen && seen) happened({.kind = WriterEvent::Kind::kRotated, .ordinal = chunk->header.ordinal, .first_seq = chunk->first_seq, .end_seq = chunk->first_seq});
      seen = chunk;
      seen_end = committed;
      if (now_ns - beat_ns >= kHeartbeatNs) {
        beat_ns = now_ns;
        live_.heartbeat_ns().publish(now_ns);
        look_for_successor();
        drop_outdated();
      }
      lock.lock();
      if (stopping_) break;
      seal_by_age();
      wake_.wait_for(lock, std::chrono::milliseconds(5));
    }
  }

  void look_for_successor() {
    bool gone = false;
    try {
      const std::scoped_lock lock(registry_mutex_);
      registry_.refresh();
      gone = !registry_.epochs().empty() && registry_.epochs().back().epoch > epoch_;
    } catch (const FeedError& error) {
      gone = error.fault() == Fault::kFeedReplaced || error.fault() == Fault::kFeedDeleted;
    }
    if (!gone) return;
    {
      const std::scoped_lock lock(mutex_);
      if (failure_ == AppendStatus::kFenced) return;
      fail(AppendStatus::kFenced);
    }
    happened({.kind = WriterEvent::Kind::kFenced});
  }

  // The settings for the next chunk (F-10). By who prepares.
  const FeedOptions& settings() {
    const std::scoped_lock lock(registry_mutex_);
    if (registry_.settings_changes() != settings_seen_) {
      const FeedInfo now = find_feed(base_, feed_.name, files_);
      if (now.id == feed_.id) settings_ = now.options;
      settings_seen_ = registry_.settings_changes();
    }
    return settings_;
  }

  // A chunk that was prepared for settings that have changed since is not begun.
  void drop_outdated() {
    {
      const std::scoped_lock lock(registry_mutex_);
      if (registry_.settings_changes() == settings_seen_) return;
    }
    std::shared_ptr<LiveChunk> outdated;
    {
      const std::scoped_lock lock(mutex_);
      if (preparing_ || stopping_) return;
      outdated = std::exchange(next_, nullptr);
    }
    if (!outdated) return;
    try {
      abandon(*outdated);
    } catch (const FeedError& error) {  // the next writer's recovery removes it
      log(LogLevel::kWarn, "feed", "feed ", feed_.name, ": ", error.what());
    }
  }

  void seal_by_age() {  // mutex_ held
    if (current_->options.chunk_age_ns == 0 || !next_ || failure_ != AppendStatus::kOk || current_->words.committed().load() == 0) return;
    const uint64_t now_ns = options_.clock->monotonic_ns();
    if (current_->first_nonempty_ns == 0) current_->first_nonempty_ns = now_ns;
    if (now_ns - current_->first_nonempty_ns < current_->options.chunk_age_ns) return;
    if (!gate_.close()) return;  // an append is under way: next time (F-d)
    rotate_locked();
    gate_.open();
  }

  WriterOptions options_;
  Files& files_;
  std::string base_;
  FeedInfo feed_;
  shm::FileLock lock_;
  RecoveryReport recovery_;
  uint64_t epoch_ = 0;
  std::string live_directory_;
  LivePage live_;
  std::optional<shm::Doorbell> bell_;
  std::vector<std::byte> schema_block_;
  bool opened_ = false;

  // For the appending thread.
  shm::Gate gate_;
  Hot hot_;
  size_t clocks_ = 1;
  uint32_t record_bytes_ = 0;
  uint8_t align_log2_ = 6;
  uint32_t strict_ = 0;
  bool rows_ = true;
  bool first_in_batch_ = false;
  uint64_t step_back_max_[kClocksMax] = {};

  std::mutex reserve_mutex_;   // taken last
  std::mutex registry_mutex_;  // guards registry_
  FeedRegistry registry_;
  FeedOptions settings_;       // for the next chunk
  uint64_t settings_seen_ = 0;
  std::atomic<uint64_t> callback_failures_{0};

  mutable std::mutex mutex_;   // guards what follows; never held while a file is written
  std::condition_variable wake_;   // for the threads
  std::condition_variable space_;  // for who waits for room or durability
  std::shared_ptr<LiveChunk> current_;
  std::shared_ptr<LiveChunk> next_;
  std::deque<std::shared_ptr<LiveChunk>> queue_;  // sealed, not yet finished, oldest first
  bool preparing_ = false;
  bool stopping_ = false;
  bool closed_ = false;
  bool fenced_ = false;
  bool out_of_space_ = false;
  AppendStatus failure_ = AppendStatus::kOk;
  std::string trouble_;       // of taking records to disk
  std::string room_trouble_;  // of making the next chunk
  uint64_t rotations_ = 0;
  uint64_t closed_at_ = 0;
  uint64_t next_ordinal_ = 1;  // by who prepares

  std::mutex persist_mutex_;  // taken first; guards what follows
  std::deque<std::shared_ptr<LiveChunk>> window_;  // finished, still in shared memory
  uint64_t finished_ = 0;                          // chunks
  uint64_t segment_id_ = 0;
  uint64_t segment_first_ = 0;
  uint64_t segment_end_ = 0;
  bool segment_open_ = false;
  ClockBounds segment_bounds_[kClocksMax];

  Housekeeper housekeeper_{feed_, *options_.clock, files_};  // the persister's
  std::thread helper_;
  std::thread persister_;
};

void FeedWriter::Closer::operator()(Impl* impl) const noexcept {
  if (impl->forked()) return;
  delete impl;
}

FeedWriter::FeedWriter(std::unique_ptr<Impl, Closer> impl) : impl_(std::move(impl)) {}
FeedWriter::FeedWriter(FeedWriter&&) noexcept = default;
FeedWriter& FeedWriter::operator=(FeedWriter&&) noexcept = default;
FeedWriter::~FeedWriter() = default;

FeedWriter FeedWriter::open(const std::string& base, const std::string& name, const WriterOptions& options) {
  try {
    return FeedWriter(std::unique_ptr<Impl, Closer>(new Impl(base, name, options)));
  } catch (const FeedError&) {
    throw;
  } catch (const Error& error) {  // from the layers below
    throw FeedError(error.code() == Code::kPermission ? Fault::kPermission : error.code() == Code::kNoSpace ? Fault::kNoShmSpace : Fault::kIo, error.what());
  }
}

FeedWriter FeedWriter::create(const std::string& base, const std::string& name, const Schema& schema, const FeedOptions& feed_options, const WriterOptions& options) {
  create_feed(base, name, schema, feed_options, *options.files);
  return open(base, name, options);
}

const FeedInfo& FeedWriter::feed() const noexcept { return impl_->feed(); }
const RecoveryReport& FeedWriter::recovery() const noexcept { return impl_->recovery(); }
uint64_t FeedWriter::epoch() const noexcept { return impl_->epoch(); }
Appended FeedWriter::append(Bytes row) noexcept {
  return row.size() == impl_->feed().record_bytes ? impl_->append_rows(row.data(), row.size()) : Appended{AppendStatus::kWrongSize};
}
Appended FeedWriter::append_batch(Bytes rows) noexcept { return impl_->append_rows(rows.data(), rows.size()); }
Appended FeedWriter::append_frame(const FrameMeta& frame, Bytes meta, Bytes payload) noexcept { return impl_->append_frame(frame, meta, payload); }
Claim FeedWriter::claim(uint64_t rows) noexcept { return impl_->claim_rows(rows); }
Claim FeedWriter::claim_frame(uint16_t meta_bytes, uint64_t payload_bytes) noexcept { return impl_->claim_frame(meta_bytes, payload_bytes); }
Appended FeedWriter::commit(const Claim& claim) noexcept { return impl_->commit_rows(claim); }
Appended FeedWriter::commit(const Claim& claim, const FrameMeta& frame, uint64_t payload_bytes) noexcept { return impl_->commit_frame(claim, frame, payload_bytes); }
void FeedWriter::abort(const Claim& claim) noexcept { impl_->abort(claim); }
void FeedWriter::sync() { impl_->sync(); }
bool FeedWriter::wait_durable(uint64_t seq, uint64_t timeout_ns) { return impl_->wait_durable(seq, timeout_ns); }
uint64_t FeedWriter::durable_seq() const noexcept { return impl_->durable_seq(); }
uint64_t FeedWriter::next_seq() const noexcept { return impl_->next_seq(); }
WriterHealth FeedWriter::health() const { return impl_->health(); }
bool FeedWriter::rotate() { return impl_->rotate(); }
bool FeedWriter::mark_segment_boundary(const std::string& reason) { return impl_->mark_segment_boundary(reason); }
void FeedWriter::mark(uint64_t seq, uint32_t code, const std::string& text) { impl_->mark(seq, code, text); }
void FeedWriter::close() { impl_->close(); }

}  // namespace tidepool::feed
