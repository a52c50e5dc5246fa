#pragma once
// What a FeedWriter is made of. Private to feed/. By responsibility: writer.cc opens and closes, writer_append.cc is the long way of
// an append, writer_chunks.cc prepares and rotates (the helper's thread), writer_persist.cc takes records to disk (the persister's),
// writer_served.cc is what changes when a daemon does that (F-63), writer_compare.cc reads what was taken there back.
//
// Locks, in the order in which they are taken: persist_mutex_, mutex_, registry_mutex_.

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tidepool/base/log.h"
#include "tidepool/feed/crew.h"
#include "tidepool/feed/housekeeper.h"
#include "tidepool/feed/live_chunk.h"
#include "tidepool/feed/mark_log.h"
#include "tidepool/feed/segment_log.h"
#include "tidepool/feed/writer.h"

namespace tidepool::feed {

AppendStatus status_of(Fault fault) noexcept;

class FeedWriter::Impl final : private Crew::Member {
 public:
  Impl(const std::string& base, const std::string& name, const WriterOptions& options);
  ~Impl();

  // writer_append.cc
  Appended append_rows(const std::byte* rows, uint64_t bytes) noexcept;
  Appended append_frame(const FrameMeta& frame, Bytes meta, Bytes payload) noexcept;
  Claim claim_rows(uint64_t rows) noexcept;
  Claim claim_frame(uint64_t meta_bytes, uint64_t payload_bytes) noexcept;
  Appended commit_rows(const Claim& claim) noexcept;
  Appended commit_frame(const Claim& claim, const FrameMeta& frame, uint64_t payload_bytes) noexcept;
  void abort(const Claim& claim) noexcept;

  // writer_persist.cc
  void sync();
  bool wait_durable(uint64_t seq, uint64_t timeout_ns);
  uint64_t durable_seq() const noexcept { return stored_ ? live_.durable_seq().load() : 0; }
  bool mark_segment_boundary(const std::string& reason);
  void mark(uint64_t seq, uint32_t code, const std::string& text);

  // writer_chunks.cc
  bool rotate();

  uint64_t next_seq() const noexcept;
  WriterHealth health() const;
  void close();
  const FeedInfo& feed() const noexcept { return feed_; }
  AppendPath& path() noexcept { return path_; }
  bool forked() const noexcept { return path_.gate().forked(); }
  const RecoveryReport& recovery() const noexcept { return recovery_; }
  uint64_t epoch() const noexcept { return epoch_; }

 private:
  using Lock = std::unique_lock<std::mutex>;

  // ---- writer.cc
  void open_epoch(const std::string& text);
  void make_live_directory();
  void require_open() const;
  bool fenced() const;
  void fail(AppendStatus status) noexcept;  // mutex_ held
  FeedRecord entry(FeedEntry type) const;
  FeedRecord entry_of(FeedEntry type, const LiveChunk& chunk) const;
  void put(const FeedRecord& record, bool durable);
  void happened(WriterEvent event);  // mutex_ not held
  // Whatever a user's function does, the data path goes on (F-137, F-140).
  template <typename Function>
  void call(Function&& function) noexcept {
    try {
      function();
    } catch (...) {
      callback_failures_.fetch_add(1);
    }
  }
  bool drain(std::string& why);
  void tell_the_end(std::span<const std::shared_ptr<LiveChunk>> empty);
  void leave_nothing_behind(std::span<const std::shared_ptr<LiveChunk>> empty);

  // ---- writer_append.cc
  AppendStatus enter(uint64_t bytes) noexcept;
  AppendStatus make_room(uint64_t bytes) noexcept;
  AppendStatus room_now(Lock& lock, uint64_t bytes, bool& done);
  AppendStatus refused(AppendStatus status) noexcept;
  bool drop_oldest();
  Claim claim(uint64_t bytes, uint64_t meta_at, uint64_t meta_bytes, uint64_t payload_at, uint64_t payload_bytes) noexcept;
  Appended published(uint64_t bytes, uint64_t records) noexcept;
  Appended make_durable(uint64_t seq) noexcept;

  // ---- writer_chunks.cc
  std::shared_ptr<LiveChunk> prepare();
  void ensure_next(Lock& lock);
  void activate(LiveChunk& chunk, uint64_t first_seq) noexcept;
  void seal(LiveChunk& chunk) noexcept;
  void rotate_locked() noexcept;
  void publish_latest() noexcept;
  void adopt() noexcept;
  void abandon(LiveChunk& chunk);
  uint64_t help() override;
  void beat(uint64_t now_ns);
  bool reserve_ahead(Lock& lock);
  struct Seen {  // of the current chunk, by the helper
    uint64_t ordinal = 0;
    uint64_t end = 0;
  };
  void watch(Lock& lock, Seen& seen);
  const FeedOptions& settings();
  void drop_outdated();
  void look_for_successor();
  void look_at_deadline(uint64_t now_ns);
  void seal_by_age();

  // ---- writer_persist.cc: persist_mutex_ held in all of these
  uint64_t persist() override;
  uint64_t round(bool force);
  void round_failed(const FeedError& error);
  void take(LiveChunk& chunk, uint64_t end, bool force);
  void start(LiveChunk& chunk);
  bool sync_is_due(const LiveChunk& chunk, uint64_t now_ns) const noexcept;
  void say_durable(LiveChunk& chunk);
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
    live_.sync_latency().add(took_ns);
  }
  bool finish(LiveChunk& chunk);
  FeedRecord sealed_entry(const LiveChunk& chunk, const ChunkSummary& summary) const;
  void seal_on_disk(LiveChunk& chunk, const ChunkSummary& summary);
  void to_window(LiveChunk& chunk, const ChunkSummary& summary, uint64_t began_ns);
  void retire(std::shared_ptr<LiveChunk> chunk);
  std::shared_ptr<LiveChunk> pop_window();
  // writer_compare.cc (F-28): one step; false: nothing is left to compare.
  bool compare_copies();
  void compare(LiveChunk& chunk);
  bool same_on_disk(const LiveChunk& chunk, uint64_t to) const;
  bool source_is_good(const LiveChunk& chunk) const;
  void copy_again(LiveChunk& chunk);
  // An index is a cache: what cannot be written is done without (F-34).
  template <typename Write>
  void cached(std::string_view what, Write&& write) {
    try {
      write();
    } catch (const FeedError& error) {
      log(LogLevel::kWarn, "feed", "feed ", feed_.name, ": no ", what, ": ", error.what());
    }
  }

  // ---- writer_served.cc
  bool ours() const noexcept { return stored_ && !served_; }  // it is us who take records to disk
  bool wants_daemon() const noexcept;
  void begin_persisting();
  bool wait_for_daemon();
  void hand_over_requested() noexcept;
  bool persisted_by_daemon(const LiveChunk& chunk);
  void look_at_daemon();
  void take_over();
  void continue_file(LiveChunk& chunk);
  void sync_by_daemon();
  void tell_durable();

  // ---- of the crew
  void step_failed(const std::string& why) noexcept override;
  void crew_gone(const std::string& why) noexcept override;

  WriterOptions options_;
  Files& files_;
  std::string base_;
  FeedInfo feed_;
  bool rows_ = true;
  bool stored_ = true;          // on disk in the end
  uint32_t record_bytes_ = 0;
  uint8_t align_log2_ = 6;
  std::vector<std::byte> schema_block_;
  shm::FileLock lock_;
  RecoveryReport recovery_;
  uint64_t epoch_ = 0;
  std::string live_directory_;
  LivePage live_;
  std::optional<shm::Doorbell> bell_;
  bool opened_ = false;

  AppendPath path_;             // the appending thread's
  std::optional<ChunkMaker> maker_;

  std::mutex registry_mutex_;   // guards registry_
  FeedRegistry registry_;
  FeedOptions settings_;        // for the next chunk
  uint64_t settings_seen_ = 0;
  std::atomic<uint64_t> callback_failures_{0};

  mutable std::mutex mutex_;    // guards what follows; never held while a file is written or memory is made
  std::condition_variable space_;        // for who waits for room or durability
  std::shared_ptr<LiveChunk> current_;
  std::shared_ptr<LiveChunk> next_;
  std::deque<std::shared_ptr<LiveChunk>> queue_;  // sealed, not yet finished, oldest first
  bool preparing_ = false;
  bool stopping_ = false;
  bool closed_ = false;
  bool fenced_ = false;
  bool out_of_space_ = false;
  AppendStatus failure_ = AppendStatus::kOk;
  std::string trouble_;         // of taking records to disk
  std::string room_trouble_;    // of making the next chunk
  uint64_t rotations_ = 0;
  uint64_t closed_at_ = 0;
  uint64_t next_ordinal_ = 1;   // by who prepares

  std::mutex persist_mutex_;    // guards what follows
  std::deque<std::shared_ptr<LiveChunk>> window_;  // finished, still in shared memory
  uint64_t finished_ = 0;                          // chunks
  SegmentLog segments_;
  MarkLog marks_{feed_, files_};
  shm::FileLock persister_lock_;                   // ours as long as we take the records to disk
  bool served_ = false;                            // a daemon does
  uint64_t daemon_looked_ns_ = 0;
  uint64_t told_durable_ = 0;

  struct Watch {  // the helper's
    uint64_t beat_ns = 0;
    uint64_t rotated_ns = 0;
    uint64_t rotations = 0;
    Seen seen;
    uint64_t due_seq = 0;  // F-62: records below it were there at due_since_ns
    uint64_t due_since_ns = 0;
    bool late = false;
  } watch_;
  Housekeeper housekeeper_{feed_, *options_.clock, files_};  // the persister's
  std::shared_ptr<Crew> crew_;
};

}  // namespace tidepool::feed
