#pragma once
// What a FeedReader is made of. Private to feed/. By responsibility: reader_chunks.cc knows which chunks there are and attaches them,
// reader_follow.cc goes from record to record, reader_query.cc finds and ranges, reader.cc is the handle.

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/feed/attached_chunk.h"
#include "tidepool/feed/reader.h"
#include "tidepool/shm/doorbell.h"

namespace tidepool::feed {

class FeedReader::Impl {
 public:
  using Chunk = std::shared_ptr<AttachedChunk>;

  Impl(const std::string& base, const std::string& name, const ReaderOptions& options);
  const FeedInfo& feed() const noexcept { return feed_; }

  void seek(const At& at);
  Item next(uint64_t timeout_ns);
  Batch next_batch(uint64_t max_rows, uint64_t timeout_ns);
  void breathe() noexcept;
  std::shared_ptr<const void> hold() const { return held_; }
  Available read_available(uint64_t records_max);  // reader_available.cc
  const std::shared_ptr<HeldLedger>& ledger() const noexcept { return ledger_; }
  const ReaderCounters& counters() const noexcept { return counters_; }
  const std::vector<std::string>& warnings();
  uint64_t next_seq() const noexcept { return next_seq_; }
  const std::optional<MarkInfo>& at_mark() const noexcept { return at_mark_; }
  void cancel() noexcept;

  Checkpoint checkpoint() const;

  // reader_query.cc
  std::optional<uint64_t> first_after(uint64_t t, size_t k);
  std::optional<uint64_t> first_before(uint64_t t, size_t k);
  std::optional<uint64_t> last_timestamp(size_t k);
  uint64_t latest_from(uint64_t newest, uint64_t span_ns, size_t k) const;
  Item read(uint64_t seq);
  bool range_next(Range& range, Batch& piece, uint64_t max_rows);
  void prepare_range(Range& range);
  std::optional<LatestChunk> latest_chunk();
  std::optional<Stretch> chunk_around(uint64_t seq);  // reader_blocks.cc, as the next
  std::optional<Stretch> block_around(uint64_t seq);
  bool has_data_since(uint64_t t, size_t k);
  uint64_t first_seq();
  uint64_t committed_seq();
  uint64_t durable_seq();
  WriterState writer_state();
  FeedRegistry& registry();

 private:
  struct Place {
    enum class Kind : uint8_t { kHere, kGap, kNothingYet } kind = Kind::kNothingYet;
    Chunk chunk;
    uint64_t end_seq = 0;  // kHere: what the registry promises of this chunk, once it is settled
    Gap gap;
  };

  void seek_time(const At& at);
  void seek_mark(const At& at);
  void check_clock(size_t k) const;
  std::optional<uint64_t> find_after(uint64_t t, size_t k);

  // what is there: reader_chunks.cc
  void refresh();
  void learn();
  void learn_versions();
  void check_live_data();
  AttachedChunk::Outcome attach(const ChunkInfo& info, Chunk& chunk);
  Chunk must_attach(const ChunkInfo& info);
  Chunk newest_open();
  GapCause cause_below_floor() const noexcept { return feed_.options.storage == Storage::kMemory ? GapCause::kLiveWindow : GapCause::kRetention; }

  Place locate(uint64_t seq);
  Place locate_in(const ChunkInfo& info, uint64_t seq);
  Place locate_in_open(uint64_t seq, uint64_t& next_first, bool& vanished);
  const ChunkInfo* quarantined(uint64_t seq) const noexcept;

  // the follower: reader_follow.cc
  void give(Item& item, const Chunk& chunk, uint64_t index);
  void damaged(Item& item, AttachedChunk& chunk, uint64_t index, uint64_t bad_until);
  uint64_t whole_rows(AttachedChunk& chunk, uint64_t index, uint64_t count);
  bool stand(Item& item);
  bool diverged(Item& item);
  void told(Item::Kind kind, const Gap& gap);
  bool next_row(Item& item);
  bool nothing_new() const noexcept;
  void try_next(Item& item);
  void try_batch(Batch& batch, Item& event, uint64_t max_rows);
  template <typename Try>
  void wait(uint64_t timeout_ns, Try&& look, Item& event);
  bool told_to_stop(Item& item);
  bool something_new();
  WriterState look_at_writer();
  bool gap_piece(Range& range, Batch& piece, const Gap& gap);

  ReaderOptions options_;
  Files& files_;
  std::string base_;
  FeedInfo feed_;
  FeedRegistry registry_;
  std::vector<size_t> settled_;               // of registry_.chunks(): readable, their records known, in order
  std::vector<size_t> open_;                  // those still written, or left by a writer that died
  std::vector<uint64_t> highest_[kClocksMax]; // running maximum over settled_
  uint64_t floor_ = 0;                        // the first record that is kept
  uint64_t settled_end_ = 0;                  // one past the last record of all chunks whose records are known
  std::optional<LivePage> live_;
  std::string live_directory_;
  std::optional<shm::Doorbell> bell_;
  std::list<Chunk> cache_;                    // mapped, latest used first
  Chunk here_;
  Chunk newest_;
  Chunk held_;
  std::shared_ptr<HeldLedger> ledger_ = std::make_shared<HeldLedger>();
  ReaderCounters counters_;
  std::optional<uint64_t> thrown_at_;  // a gap that was thrown, and counted
  uint64_t epoch_before_ = 0;          // it diverged: the cursor's epoch until then
  std::vector<std::string> warnings_;
  uint64_t promised_end_ = 0;
  uint64_t next_seq_ = 0;
  uint64_t cursor_epoch_ = 0;
  uint64_t last_epoch_ = 0;
  uint64_t last_clocks_[kClocksMax] = {};
  std::optional<At> pending_time_;
  std::optional<MarkInfo> at_mark_;
  std::optional<Item::Kind> gone_;
  bool stalled_told_ = false;
  bool gave_any_ = false;
  uint32_t rich_looks_ = 0;  // without an empty one between them; see breathe()
  uint64_t inactive_since_ns_ = 0;
  uint64_t settings_seen_ = 0;
  // Shared with who cancels.
  struct Stop {
    std::atomic<bool> asked{false};
    bool maybe() const noexcept { return asked.load(std::memory_order_relaxed); }  // what it guards is itself
    std::mutex mutex;
    std::string live_directory;
  };
  std::unique_ptr<Stop> stop_ = std::make_unique<Stop>();
  uint64_t looked_around_ns_ = 0;
  uint64_t beat_seen_ns_ = 0;
  uint64_t committed_seen_ = 0;
  uint64_t moved_ns_ = 0;
};

}  // namespace tidepool::feed
