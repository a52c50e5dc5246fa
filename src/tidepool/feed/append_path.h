#pragma once
// What a writer does many million times a second: records into the chunk, and the words that say so. No system call (but to wake a
// parked reader), no lock, no fence, no allocation; a status, never an exception.
//
// Thread safety: one thread appends. Another thread of the process (one at a time: it holds the writer's mutex) may shut the gate,
// and may call adopt() behind the closed gate, or the appending thread may outside of it.

#include <cstdint>
#include <cstring>
#include <string_view>

#include "tidepool/feed/chunk.h"
#include "tidepool/feed/one_thread.h"
#include "tidepool/shm/doorbell.h"
#include "tidepool/shm/gate.h"

namespace tidepool::feed {

enum class AppendStatus : uint8_t {
  kOk,
  kWrongSize,       // not the size of a record, or not a multiple of it
  kTooLarge,        // never fits into a chunk: nothing was written (F-32)
  kClockBackwards,  // a strict clock: nothing was written
  kNoSpace,         // no chunk to go on with: disk full. Try again when there is space
  kNoShmSpace,      // no chunk to go on with: shared memory full
  kBackpressure,    // more waits for the disk than backlog_bytes, for longer than block_ns (F-56)
  kFenced,          // somebody else is the writer now: close
  kIoError,         // the disk lost data: nothing more is accepted
  kClosed,
  kForked,          // this is a child of the process that opened it
  kClaimOpen,       // commit or abort the claim first
  kHelperGone,      // the thread that works for the writer has ended (F-60): close
  kUnknownBlob,     // blob.h: no such column or codec, a column twice, or an empty payload
};
std::string_view append_status_name(AppendStatus status) noexcept;

struct Appended {
  AppendStatus status = AppendStatus::kOk;
  uint64_t seq = 0;  // of the first record, when kOk
  explicit operator bool() const noexcept { return status == AppendStatus::kOk; }
};

class AppendPath {
 public:
  // Before the first append. `bell` and `live` outlive this. `highest`: of each clock over all records that there are.
  void begin(const FeedInfo& feed, shm::Doorbell& bell, LivePage& live, const uint64_t (&highest)[kClocksMax]) noexcept;
  // A chunk as appends see it.
  struct Chunk {
    std::byte* data = nullptr;
    ChunkWords words;
    uint64_t ordinal = 0;
    uint64_t first_seq = 0;
    shm::PublishedWord reserved;  // how many bytes of it are there; it grows
    bool waits_for_disk = false;  // every append does: all go the long way
  };
  // From now on records go into this chunk, which holds none.
  void adopt(const Chunk& chunk) noexcept;

  // The common case: one row, whose clocks do not step back, into room that is there. False: nothing was done; the long way tells.
  // Inline, so that the copy of a row whose size the compiler knows is a few stores.
  [[gnu::always_inline]] bool try_append(const void* row, size_t bytes, uint64_t& seq) noexcept {
    TIDEPOOL_ONE_THREAD(one_thread_, "append");
    if (bytes != plain_row_bytes_ || !gate_.enter()) [[unlikely]] return false;
    const uint64_t at = position_;
    const uint64_t end = at + bytes;
    bool usual = end <= short_limit_;
    for (size_t k = 0; k < clocks_; ++k) usual &= load<uint64_t>(static_cast<const std::byte*>(row) + 8 * k) >= highest_[k];
    if (!usual) [[unlikely]] {
      gate_.leave();
      return false;
    }
    __builtin_prefetch(data_ + at + kAheadBytes, 1);  // for writing: within the mapping or not, it does no harm
    std::memcpy(data_ + at, row, bytes);
    position_ = end;
    words_.committed().publish(end);
    for (size_t k = 0; k < clocks_; ++k) {
      highest_[k] = load<uint64_t>(static_cast<const std::byte*>(row) + 8 * k);
      words_.highest(k).set(highest_[k]);
    }
    words_.covered().publish(end);
    bell_->ring_if_parked();
    gate_.leave();
    seq = seq_++;
    return true;
  }

  // ---- the long way ---------------------------------------------------------------------------------------------------------

  enum class Entered : uint8_t { kInside, kNoRoom, kShut };
  // Inside the gate with room for `bytes`; else outside.
  Entered enter(uint64_t bytes) noexcept;
  void leave() noexcept { gate_.leave(); }
  // Inside. The clocks of these rows, or of one frame, against those before them. False: a strict clock steps back; outside.
  bool note_rows(const std::byte* rows, uint64_t bytes) noexcept;
  bool note_clocks(const uint64_t* clocks) noexcept;
  // Inside, and what lies at position() was noted: it is records now. Outside after. The number of the first.
  uint64_t publish(uint64_t bytes, uint64_t records) noexcept;

  // A claim stays inside from enter() to publish() or leave(); no append passes meanwhile.
  void set_claimed(uint64_t bytes) noexcept {
    claimed_ = bytes;
    plain_row_bytes_ = bytes != 0 ? 0 : record_bytes_;
  }
  uint64_t claimed() const noexcept { return claimed_; }
  std::byte* place() const noexcept { return data_ + position_; }
  uint64_t position() const noexcept { return position_; }
  uint64_t next_seq() const noexcept { return seq_; }
  uint64_t ordinal() const noexcept { return ordinal_; }              // of the chunk; inside
  bool waits_for_disk() const noexcept { return waits_for_disk_; }  // inside
  shm::Gate& gate() noexcept { return gate_; }
  const shm::Gate& gate() const noexcept { return gate_; }
  OneThread& one_thread() noexcept { return one_thread_; }
  const uint64_t (&highest() const noexcept)[kClocksMax] { return highest_; }
  uint64_t step_back_max(size_t k) const noexcept { return step_back_max_[k]; }

 private:
  // The clocks of what is about to be published.
  struct Noted {
    uint64_t highest[kClocksMax] = {};           // over all records
    uint64_t highest_in_chunk[kClocksMax] = {};
  };
  static constexpr uint64_t kAheadBytes = 768;
  bool note(const std::byte* clocks, bool first_in_chunk) noexcept;
  void look_at_limit() noexcept;
  void begin_noting() noexcept;

  shm::Gate gate_;
  std::byte* data_ = nullptr;
  ChunkWords words_;
  uint64_t position_ = 0;
  uint64_t short_limit_ = 0;      // limit_, or 0: every append goes the long way
  uint64_t seq_ = 0;              // of the next record
  uint64_t highest_[kClocksMax] = {};
  size_t plain_row_bytes_ = 0;    // 0: a claim is open, or these are frames. The appending thread's alone, in and out of the gate
  size_t clocks_ = 1;
  shm::Doorbell* bell_ = nullptr;
  uint64_t limit_ = 0;            // what reserved_ was when it was looked at
  uint64_t ordinal_ = 0;
  bool waits_for_disk_ = false;
  uint64_t claimed_ = 0;
  uint64_t records_ = 0;          // frames in the chunk
  uint32_t record_bytes_ = 0;
  uint32_t strict_ = 0;
  shm::PublishedWord reserved_{static_cast<const std::byte*>(nullptr)};
  LivePage* live_ = nullptr;
  Noted noted_;
  uint64_t step_back_max_[kClocksMax] = {};
  OneThread one_thread_;  // there in all builds: programs and the library may be built differently
};

}  // namespace tidepool::feed
