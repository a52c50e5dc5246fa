#pragma once
// A FeedWriter appends to one feed. While it lives nobody else can. docs/protocols/feed.md tells its states.
//
// Thread safety: one thread appends, claims, commits, syncs and closes. Two threads of its own prepare chunks and take records to
// disk. durable_seq(), next_seq() and health() may be called from any thread.
// Lifetime: the destructor closes, without waiting longer than close_timeout_ns. A forked child's copy refuses every call.
//
// Append path: no system call (but to wake a parked reader), no lock, no fence, no allocation; a status, never an exception.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "tidepool/base/clock.h"
#include "tidepool/feed/append_path.h"
#include "tidepool/feed/recovery.h"

namespace tidepool::feed {

class WriterGroup;

// What happened in the background, as it happens.
struct WriterEvent {
  enum class Kind : uint8_t {
    kOpened,     // first_seq: of the first record; text: what recovery did
    kRotated,    // chunk `ordinal` begins at first_seq
    kSynced,     // records below end_seq are durable
    kPersisted,  // chunk `ordinal`, records first_seq to end_seq, is complete on disk
    kRetired,    // it left shared memory
    kTrouble,    // text: the disk or shared memory refuses; tried again
    kFenced,     // somebody else is the writer now
    kClosed,
    kRewritten,  // chunk `ordinal`: its file on disk was not what memory says, and was written again (F-64)
    kDropped,    // records first_seq to end_seq were given up for room (F-56)
  };
  Kind kind = Kind::kOpened;
  uint64_t epoch = 0;
  uint64_t ordinal = 0;
  uint64_t first_seq = 0;
  uint64_t end_seq = 0;
  uint64_t bytes = 0;          // that were taken to disk
  uint64_t backlog_bytes = 0;  // that wait for it behind this
  uint64_t elapsed_ns = 0;     // it took
  uint64_t wall_ns = 0;
  std::string text{};
};
std::string_view event_name(WriterEvent::Kind kind) noexcept;

struct WriterOptions {
  uint64_t wait_for_lock_ns = 0;                        // wait that long for another writer to end
  uint64_t block_ns = kNsPerSecond;                     // how long an append may wait for room before it says why there is none
  uint64_t close_timeout_ns = 30 * kNsPerSecond;
  uint64_t persister_wait_ns = 5 * kNsPerSecond;        // for the daemon, where the feed wants one (F-63)
  // What an append does that finds no room: the disk, or shared memory, is full, or the persister is far behind (F-56).
  enum class WhenFull : uint8_t {
    kBlock,       // wait up to block_ns for it, asleep; then say why there is none
    kFail,        // say so at once
    kDropOldest,  // memory feeds: give up the oldest records that are kept, for readers a gap; when there are none: as kBlock
  };
  WhenFull when_full = WhenFull::kBlock;
  // What a full disk means (F-57): appends go on, with no gap, when there is space again; or the writer has failed for good.
  enum class WhenDiskFull : uint8_t { kRetry, kFail };
  WhenDiskFull when_disk_full = WhenDiskFull::kRetry;
  WriterGroup* group = nullptr;                         // writer_group.h: whose threads work for this writer (F-60)
  std::string text = "feed writer";                     // what others read who find the feed busy
  const tidepool::Clock* clock = &SystemClock::instance();
  Files* files = &Files::system();
  // Called by the writer's threads, maybe by two at once, which wait for it: be short, do not call the writer; what it throws is
  // swallowed and counted (WriterHealth::callback_failures).
  std::function<void(uint64_t durable_seq)> on_durable{};    // everything below is durable now (F-51)
  std::function<void(const WriterEvent& event)> on_event{};  // (F-137)
  // For blob.h: before records are made durable, what they refer to must be; what it throws is a failure of the disk.
  std::function<void()> before_sync{};
  uint64_t base_shm_bytes_max = 0;                      // shared memory of all feeds of the base together; 0: no cap (F-68)
  bool allow_network_fs = false;                        // write on NFS and the like all the same (F-70)
  bool blobs_are_written = false;                       // by a BlobWriter: others may not write a feed with blobs
};

// What a frame is told apart by. Its clocks lead; the stream's own numbers ride along (rulings F-n).
struct FrameMeta {
  uint64_t clocks[kClocksMax] = {};
  uint64_t stream_epoch = 0;
  uint64_t stream_seq = 0;
  uint16_t type = 0;
};

// Room for one record, a batch of rows, or a frame, in the chunk itself. Filled in place, then committed or aborted.
struct Claim {
  AppendStatus status = AppendStatus::kClosed;
  uint64_t seq = 0;
  MutableBytes bytes;  // rows, or a frame's payload
  MutableBytes meta;   // a frame's opaque header
  uint64_t ordinal = 0;  // of the chunk that it lies in
  uint64_t offset = 0;   // of `bytes` in the chunk's data area
  explicit operator bool() const noexcept { return status == AppendStatus::kOk; }
};

struct WriterHealth {
  uint64_t committed_seq = 0;  // next to be written
  uint64_t durable_seq = 0;    // everything below survives a power cut
  uint64_t backlog_bytes = 0;
  uint64_t prepared_bytes = 0;  // room that appends need not wait for
  uint64_t rotations = 0;
  uint64_t refused = 0;           // appends for which there was no room in time: not written (F-56)
  uint64_t dropped_records = 0;   // given up by kDropOldest
  uint64_t deadlines_missed = 0;  // times that records were durable later than the feed's sync_interval (F-62)
  bool served_by_daemon = false;  // F-63
  uint64_t clock_regressions[kClocksMax] = {};
  uint64_t clock_step_back_max[kClocksMax] = {};
  uint64_t callback_failures = 0;  // of on_durable and on_event
  std::string memory_refused;  // huge pages, locked memory, touching ahead: what was asked for and is done without (F-69)
  std::string trouble;         // the last failure of the background work; empty: none, or over
};

class FeedWriter {
 public:
  // Open an existing feed. Throws FeedError: kFeedNotFound, kWriterBusy naming the holder, kNoSpace, kNoShmSpace, kPermission,
  // kCorrupt, kUnsupportedVersion, kUnsupportedFs.
  static FeedWriter open(const std::string& base, const std::string& name, const WriterOptions& options = {});
  // Make it if it is not there (create_feed()), and open it.
  static FeedWriter create(const std::string& base, const std::string& name, const Schema& schema, const FeedOptions& feed_options = {},
                           const WriterOptions& options = {});

  FeedWriter(FeedWriter&&) noexcept;
  FeedWriter& operator=(FeedWriter&&) noexcept;
  ~FeedWriter();

  const FeedInfo& feed() const noexcept;
  const RecoveryReport& recovery() const noexcept;  // what was found and done at open
  uint64_t epoch() const noexcept;

  // One row, as stored: clocks first.
  [[nodiscard]] Appended append(Bytes row) noexcept;
  template <typename Row>
    requires std::is_trivially_copyable_v<Row> && (!std::is_convertible_v<const Row&, Bytes>)
  [[nodiscard]] Appended append(const Row& row) noexcept {
    uint64_t seq = 0;
    if (path_->try_append(&row, sizeof row, seq)) [[likely]] return {AppendStatus::kOk, seq};
    return append(std::as_bytes(std::span(&row, 1)));
  }
  // Rows back to back: in one chunk, visible all at once or not at all.
  [[nodiscard]] Appended append_batch(Bytes rows) noexcept;
  // One frame.
  [[nodiscard]] Appended append_frame(const FrameMeta& frame, Bytes meta, Bytes payload) noexcept;

  // Room for `rows` rows, or for a frame of up to `payload_bytes`. One claim at a time.
  [[nodiscard]] Claim claim(uint64_t rows = 1) noexcept;
  [[nodiscard]] Claim claim_frame(uint16_t meta_bytes, uint64_t payload_bytes) noexcept;
  [[nodiscard]] Appended commit(const Claim& claim) noexcept;
  [[nodiscard]] Appended commit(const Claim& claim, const FrameMeta& frame, uint64_t payload_bytes) noexcept;
  void abort(const Claim& claim) noexcept;

  // Everything appended so far is durable when this returns. Throws FeedError kIo, kNoSpace. Memory feeds: kUsage.
  void sync();
  bool wait_durable(uint64_t seq, uint64_t timeout_ns);
  // Everything below was synced (memory feeds: 0).
  uint64_t durable_seq() const noexcept;
  uint64_t next_seq() const noexcept;
  WriterHealth health() const;

  // Seal the chunk now; false: it is empty. Throws FeedError.
  bool rotate();
  // The records so far are a segment of their own; the next one begins another. False: no record since the last one (F-59).
  bool mark_segment_boundary(const std::string& reason);
  // Flag a record, for At::mark(): a snapshot or keyframe that reading may begin at (F-39). It must have been committed, and lie in
  // a chunk that is still in shared memory; throws FeedError kOutOfRange otherwise. A write to a file: not for every record.
  void mark(uint64_t seq, uint32_t code, const std::string& text = {});

  // Seal, make durable, tell readers that it ended, remove live objects, release the lock. Throws FeedError naming the records
  // that are not durable if that fails or takes longer than close_timeout_ns: the live objects then stay for the next writer.
  void close();

 private:
  class Impl;
  struct Closer {
    void operator()(Impl* impl) const noexcept;  // a forked child's copy is left alone: its threads are the parent's
  };
  explicit FeedWriter(std::unique_ptr<Impl, Closer> impl);
  std::unique_ptr<Impl, Closer> impl_;
  AppendPath* path_ = nullptr;  // of *impl_
};

}  // namespace tidepool::feed
