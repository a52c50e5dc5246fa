#pragma once
// A FeedReader reads one feed: history from disk, then what is live from shared memory, as one sequence in which every record
// comes once and every loss is told (G-2). It needs the right to read and nothing else, takes no lock and changes nothing (G-4).
//
// Thread safety: one thread a reader; readers are independent of each other.
// Lifetime: what an Item or Batch points to may be read until the next call; hold() keeps it for longer, even after the reader,
// the chunk's name and the writer are gone (F-78, F-93).
//
// A file that a stranger truncates under a mapping raises SIGBUS, which a library must not catch (rulings F-i): open, attach and
// verify read by pread, records are read in place.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/feed/checkpoint.h"
#include "tidepool/feed/chunk.h"
#include "tidepool/feed/held.h"

namespace tidepool::feed {

// Where to begin.
struct At {
  enum class Kind : uint8_t { kLatest, kLast, kOldest, kTime, kSequence, kCheckpoint, kMark };
  Kind kind = Kind::kLatest;
  uint64_t value = 0;
  size_t clock = 0;
  Checkpoint saved{};

  static At latest() { return {}; }                                              // what is committed from now on
  static At last(uint64_t records) { return {Kind::kLast, records}; }            // and that many before
  static At oldest() { return {Kind::kOldest}; }
  static At time(uint64_t t, size_t clock = 0) { return {Kind::kTime, t, clock}; }  // the first record whose clock is t or later
  static At sequence(uint64_t seq) { return {Kind::kSequence, seq}; }
  // The latest marked record whose clock is t or earlier; without one, time(t). FeedReader::at_mark() tells which it was (F-39).
  static At mark(uint64_t t, size_t clock = 0) { return {Kind::kMark, t, clock}; }
  static At checkpoint(const Checkpoint& saved) { return {Kind::kCheckpoint, 0, 0, saved}; }
};

struct ReaderOptions {
  At from = At::latest();
  bool stop_when_inactive = false;               // kEnded once all is read and nobody writes; else wait for the next writer
  uint64_t grace_ns = 0;                         // ... and nobody has come for this long: writers that restart are no end (F-84)
  bool verify = true;                            // checksums of a disk block when it is first touched
  uint64_t stalled_after_ns = 5 * kNsPerSecond;  // heartbeat and records that stand still for this long: kStalled
  size_t mapped_chunks_max = 8;                  // bounded, whatever the feed's size
  // next() throws FeedError kGap instead of giving kGap or kDiverged, and stands where it stood: seek() to go on (F-92, X-14).
  bool gaps_throw = false;
  uint64_t held_bytes_warn = uint64_t{256} << 20;  // shared memory that only this reader keeps from being free: then warnings() says so (F-78)
  Files* files = &Files::system();
};

enum class GapCause : uint8_t {
  kRetention,   // expired before it was read
  kLiveWindow,  // of a memory feed, overtaken
  kDamaged,     // on disk, and its checksum is wrong or its end is missing
  kMissing,     // the registry knows it, the file is gone
};

struct Gap {
  uint64_t from = 0;  // first record that cannot be read
  uint64_t to = 0;    // first one after
  GapCause cause = GapCause::kRetention;
  std::string text;
};

// For who cannot go on without those records: DAMAGED where they should be readable, GAP where they are gone as configured.
FeedError gap_error(const FeedInfo& feed, const Gap& gap, std::string_view advice = {});

// What a read gives: a closed set (rulings F-o).
struct Item {
  enum class Kind : uint8_t {
    kRow,
    kFrame,
    kGap,       // gap says which records are missing; reading goes on behind it
    kIdle,      // nothing new in the time given
    kStalled,   // the writer holds its lock (or it cannot be asked) and stands still; told once, then kIdle until it moves
    kDiverged,  // gap: records that were read, lost by a power cut, and whose numbers are written anew; reading goes on with those
    kEnded,     // all is read, nobody writes (only with stop_when_inactive)
    kReplaced,  // another feed has the name now; nothing follows
    kDeleted,   // nothing follows (F-11)
    kCancelled, // cancel() was called; told once, then reading goes on
  };
  Kind kind = Kind::kIdle;
  uint64_t seq = 0;    // kRow, kFrame
  Bytes bytes;         // the row, or the frame's payload
  Bytes meta;          // a frame's opaque header
  FrameHead frame;     // kFrame
  Gap gap;             // kGap, kDiverged
  uint32_t schema_id = 1;  // kRow: the version of the schema that it was written by: feed().version(schema_id) (F-18)

  bool is_record() const noexcept { return kind == Kind::kRow || kind == Kind::kFrame; }
  uint64_t clock(size_t k) const noexcept { return kind == Kind::kFrame ? frame.clocks[k] : load<uint64_t>(bytes.data() + 8 * k); }
  // A copy of the row; its size must be the record's.
  template <typename Row>
    requires std::is_trivially_copyable_v<Row>
  Row row() const {
    if (bytes.size() != sizeof(Row)) throw FeedError(Fault::kUsage, "a row has ", bytes.size(), " bytes, the type asked for ", sizeof(Row));
    return load<Row>(bytes.data());
  }
};

// Rows that lie side by side in one chunk; or another outcome, as of Item.
struct Batch {
  Item::Kind kind = Item::Kind::kIdle;  // kRow: rows
  uint64_t first_seq = 0;
  uint64_t count = 0;
  Bytes rows;
  Gap gap;
  uint32_t schema_id = 1;  // of all of them
};

// What read_available() found: rows side by side, frames (their heads: read(first_seq)) and events, in their order.
struct Available {
  std::vector<Batch> pieces;
  uint64_t records = 0;
  std::vector<std::shared_ptr<const void>> hold;  // keeps what the pieces point into
};

// What next(), next_batch() and read_available() told so far (F-92).
struct ReaderCounters {
  uint64_t gaps = 0;
  uint64_t missed = 0;  // records in them
  uint64_t missed_by[4] = {};  // of each GapCause
  uint64_t diverged = 0;       // how often
};

inline constexpr uint64_t kResultBytesMax = uint64_t{1} << 30;  // of a range as one copy (F-99)

// kUnknown: its lock cannot be asked, by permission or by the file system, and nothing else proves that it lives or has ended: never
// taken for free (F-43).
enum class WriterState : uint8_t { kNever, kActive, kStalled, kClosed, kCrashed, kUnknown };
std::string_view writer_state_name(WriterState state) noexcept;

// Half-open, as all ranges are (F-98).
struct TimeRange {
  uint64_t from = 0;
  uint64_t to = ~uint64_t{0};  // this value: no end, so that a clock may have it, too (F-15)
  size_t clock = 0;
};

// Records side by side in one chunk, and between which values their clocks lie: known without looking at them, else 0 and the maximum.
struct Stretch {
  uint64_t from = 0;
  uint64_t to = 0;
  ClockBounds clocks[kClocksMax];
};

struct LatestChunk {
  uint64_t ordinal = 0;
  uint64_t first_seq = 0;
  uint64_t capacity_bytes = 0;
  std::string path;    // of the shared-memory object, or of the file
  bool live = false;
};

class FeedReader {
 private:
  class Impl;

 public:
  // Reading a memory feed whose records are gone with their writer is an error, kNoLiveData, not an empty success: of queries always,
  // of next() where it would say kEnded (F-89).
  //
  // Find the feed by name, through the global registry alone. Throws FeedError kBaseNotFound, kFeedNotFound, kPermission,
  // kCorrupt, kUnsupportedVersion; kOutOfRange, kUsage for a beginning that cannot be.
  static FeedReader open(const std::string& base, const std::string& name, const ReaderOptions& options = {});

  FeedReader(FeedReader&&) noexcept;
  FeedReader& operator=(FeedReader&&) noexcept;
  ~FeedReader();

  const FeedInfo& feed() const noexcept;

  // Go elsewhere, at any time, also from live to history and back (F-83).
  void seek(const At& at);
  // After seek(At::mark()): the mark that it stands at; if the one asked for has expired, the earliest that is kept. nullopt: there
  // was none, and it stands where At::time() does.
  const std::optional<MarkInfo>& at_mark() const noexcept;
  // The next record or event. Waits up to `timeout_ns` parked, not spinning; 0 looks once. Throws FeedError only for what the
  // machine refuses (files, mappings, permission).
  [[nodiscard]] Item next(uint64_t timeout_ns = 0);
  // Up to `max_rows` rows at once, without a copy (rows feeds).
  [[nodiscard]] Batch next_batch(uint64_t max_rows = ~uint64_t{0}, uint64_t timeout_ns = 0);
  // What came since the last call, at once, up to `records_max` records over as many chunks as it takes: nothing is passed over, however
  // far behind it is (F-90).
  [[nodiscard]] Available read_available(uint64_t records_max = ~uint64_t{0});
  // Keeps the memory that the last Item, Batch or Slice points into.
  std::shared_ptr<const void> hold() const;

  // Memory that is mapped through this reader, by itself or by what hold() gave out (F-78); the ledger counts on when it is gone (F-93).
  HeldMemory held() const;
  std::shared_ptr<const HeldLedger> held_ledger() const noexcept;
  ReaderCounters counters() const noexcept;

  // From any thread: a next() that waits, or else the one that comes, gives kCancelled at once (F-81).
  void cancel() noexcept;

  uint64_t next_seq() const noexcept;  // of the record that next() would give
  Checkpoint checkpoint() const;

  // ---- queries: none of them moves next() ----------------------------------------------------------------------------------

  // Number of the first record, in order, whose clock is t or later; of the last whose clock is t or earlier. nullopt: none.
  std::optional<uint64_t> first_after(uint64_t t, size_t clock = 0);
  std::optional<uint64_t> first_before(uint64_t t, size_t clock = 0);
  // The highest value of a clock over the records that are kept; nullopt: there are none.
  std::optional<uint64_t> last_timestamp(size_t clock = 0);
  // The record of that number. kGap when it cannot be had; throws kOutOfRange when it was never committed.
  Item read(uint64_t seq);

  // All records of a range, in order, in pieces without a copy: rows side by side that all belong to it. The end is fixed when
  // it is made (F-100); gaps come as pieces of their own.
  class Range {
   public:
    // False at the end. Throws FeedError kUsage for pieces of 0 rows.
    bool next(Batch& piece, uint64_t max_rows = ~uint64_t{0});

   private:
    friend class FeedReader;
    Impl* impl_ = nullptr;
    uint64_t seq_ = 0;
    uint64_t end_seq_ = 0;
    bool by_time_ = false;
    TimeRange time_;
  };
  Range range(const TimeRange& time);
  Range range_seq(uint64_t from, uint64_t to);
  // The range of what is no older than this before the newest (last_timestamp()); an empty one when there is nothing.
  TimeRange latest(uint64_t span_ns, size_t clock = 0);
  // The same as one copy; throws kResultTooLarge above `bytes_max`, kCorrupt at a gap (F-104), kUsage for rows of several versions of
  // the schema (projection.h makes one of them).
  std::vector<std::byte> read_range(const TimeRange& time, uint64_t bytes_max = kResultBytesMax);
  // The same into memory of the caller's; bytes written. Throws as read_range() does, kResultTooLarge when they do not fit.
  uint64_t read_range_into(MutableBytes to, const TimeRange& time);
  // One field of all rows of the range, side by side (F-99).
  std::vector<std::byte> read_column(std::string_view field, const TimeRange& time, uint64_t bytes_max = kResultBytesMax);

  // What is known of the records around that one (F-103): of its chunk by the registry, of its block by the chunk's index. nullopt: it
  // is in no chunk that can be read.
  std::optional<Stretch> chunk_around(uint64_t seq);
  std::optional<Stretch> block_around(uint64_t seq);

  // From shared memory in O(1), from the registry when nobody writes (F-86, F-87).
  std::optional<LatestChunk> latest_chunk();
  bool has_data_since(uint64_t t, size_t clock = 0);

  uint64_t first_seq();      // the oldest record that is kept
  uint64_t committed_seq();  // one past the newest
  uint64_t durable_seq();    // everything below survives a power cut, as far as this reader can know
  WriterState writer_state();
  const std::vector<SegmentInfo>& segments();
  const std::vector<LossInfo>& losses();
  const std::vector<MarkInfo>& marks();
  const std::vector<ChunkInfo>& chunks();
  const std::vector<EpochInfo>& epochs();
  const std::vector<std::string>& warnings();

 private:
  explicit FeedReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidepool::feed
