#pragma once
// Reads frames of one mapped epoch: one slot by sequence (what a descriptor names), or by following the ring itself.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "tidepool/pool/frame_view.h"

namespace tidepool::pool {

// One attempt to read one frame (wire.md 8.2). Everything but kFrame and kDead is a late drop (W-84).
enum class ReadResult : uint8_t {
  kFrame,
  kUncommitted,     // being written, or never was
  kChanged,         // overwritten while it was read, or older than what the slot held before (W-49)
  kIdentity,        // the slot holds another frame
  kHeaderInvalid,   // header bytes break a rule (W-43)
  kPayloadInvalid,  // unknown pool, or longer than its stride
  kDead,            // the mapping was declared dead: nothing was read
};

// What readers count; each lost frame is in exactly one of drops_gap, drops_late (W-82).
struct DropCounts {
  uint64_t drops_gap = 0;        // sequences that were never looked at in time
  uint64_t drops_late = 0;       // sum of the causes below
  uint64_t uncommitted = 0;
  uint64_t changed = 0;
  uint64_t identity = 0;
  uint64_t header_invalid = 0;
  uint64_t payload_invalid = 0;
  uint64_t skipped = 0;          // aborted or skipped by the producer: no drop (rulings P-2)
  void count_late(ReadResult why) noexcept;
};

// Thread safety: one thread. No allocation, lock, syscall or exception.
class PoolReader {
 public:
  explicit PoolReader(std::shared_ptr<const EpochMap> map);

  // Read the frame `seq` into `view`. Never waits (W-44). On anything but kFrame `view` holds no frame afterwards.
  [[nodiscard]] ReadResult read(uint64_t seq, FrameView& view, uint64_t trace_id = 0) noexcept;

  // The sequence of the frame that has taken the slot of `seq` since, if one has and is committed.
  std::optional<uint64_t> successor_in_slot(uint64_t seq) const noexcept;

  // What a reader that is behind can still have.
  struct Remains {
    uint64_t oldest = 0;  // no later frame has taken its slot
    uint64_t newest = 0;  // of those that are committed
  };
  // If a later frame has taken the slot of `seq`: what remains. nullopt: none has. A search of as many steps as the number of slots
  // has bits; what a stranger wrote may make it wrong, and nothing else.
  std::optional<Remains> remains_if_overtaken(uint64_t seq) const noexcept;

  const EpochMap& map() const noexcept { return *map_; }
  const std::shared_ptr<const EpochMap>& shared_map() const noexcept { return map_; }

 private:
  friend class RingFollower;
  // Of a slot whose commit word was just loaded as `word`, which says that it holds a whole frame.
  ReadResult read_committed(uint64_t word, const std::byte* slot, uint32_t index, FrameView& view, uint64_t trace_id) noexcept;
  ReadResult judge(const uint64_t* words, uint32_t index, FrameView& view) noexcept;

  std::shared_ptr<const EpochMap> map_;
  std::vector<uint64_t> last_words_;         // by slot: the last word accepted there (W-49)
  const EpochMap::Pool* last_pool_ = nullptr;
  uint64_t tensor_image_ = 0;                // unique in the process for the two below; 0: they are not valid
  uint64_t tensor_words_[19] = {};           // of the last frame accepted: equal bytes need not be judged again
  wire::TensorHeader tensor_;                // what they mean
};

// Where a follower begins: at the oldest frame that is whole, or behind the newest one that is committed when it is
// made (that one is not delivered: kLatest means what comes from now on). In a ring with no frame yet both begin with the
// first one, whatever its sequence.
enum class Start : uint8_t { kLatest, kOldest };
// Where it goes on when the producer has lapped it.
enum class OnLap : uint8_t { kOldestValid, kSkipToLatest };

// Follows the header ring in shared memory, with no message at all (rulings P-2).
//
// What is counted (W-82, W-83): after the first frame found, every sequence that next_seq() passes is exactly one of: a
// frame delivered; drops_gap, overwritten before it was looked at (or passed over by kSkipToLatest); drops_late, there
// but spoilt while it was read, or malformed; skipped, known never to have been committed. A sequence whose slot has been
// used again since may have been one of the producer's skips too: in doubt it counts as lost.
//
// Relies on commits in the order of sequences (rulings P-1): an uncommitted slot behind a committed one stays so.
// Thread safety: one thread. No allocation, lock, syscall or exception but in the constructor.
class alignas(64) RingFollower {
 public:
  enum class Result : uint8_t {
    kEmpty,    // nothing new
    kFrame,
    kDropped,  // frames were lost (counted): poll again
    kDead,     // the mapping is dead
  };

  RingFollower(std::shared_ptr<const EpochMap> map, Start start, OnLap on_lap);

  // The next frame in order, if it is there. `look_ahead`: also find out whether later frames are committed though the
  // expected one is not (the producer skipped it); the caller asks for it when the doorbell rang, the activity moved or
  // its idle strategy says so, since it costs k more cache misses. Every 1024th empty poll in a row does it unasked.
  // `view` holds the frame on kFrame; on anything else it is left as it was or holds none.
  [[nodiscard]] Result poll(FrameView& view, bool look_ahead = false) noexcept;

  // Nothing newer than what was delivered is committed: may be parked on. One load, and one more for each claim that is
  // open or was aborted, or if the last frame was reached by a jump (then the next jump is expected to be as long).
  // A jump of another length is found by poll(view, true) alone: do that once before parking.
  bool empty() const noexcept;

  uint64_t next_seq() const noexcept { return next_seq_; }
  const DropCounts& drops() const noexcept { return drops_; }
  const std::shared_ptr<const EpochMap>& shared_map() const noexcept { return reader_.shared_map(); }

 private:
  void expect(uint64_t seq) noexcept;
  Result read_next(uint64_t word, FrameView& view) noexcept;
  Result not_next(uint64_t word, FrameView& view, bool look_ahead) noexcept;
  void find_near() noexcept;
  void catch_up() noexcept;
  uint64_t word_at(uint64_t seq) const noexcept;
  void snapshot() noexcept;
  bool is_candidate(uint32_t i, bool committed) const noexcept;
  uint64_t lost_before(uint64_t to) const noexcept;

  PoolReader reader_;
  const EpochMap* map_;
  // The expected frame: its slot and its word, ready to be compared.
  const std::byte* next_slot_ = nullptr;
  uint64_t next_word_ = 0;
  uint64_t next_seq_ = 0;
  bool has_baseline_ = false;     // a frame was found: sequences passed from here on are counted (W-83)
  OnLap on_lap_;
  uint32_t empty_polls_ = 0;
  uint64_t reach_;                // how far the next look-ahead looks
  uint64_t jump_ = 1;             // from the frame before the last one delivered to the last one
  uint64_t last_seq_ = 0;         // last one delivered
  uint64_t frames_since_lap_ = UINT64_MAX;
  uint64_t margin_ = 0;           // frames left to the producer after a lap
  std::vector<uint64_t> words_;   // snapshot() of all slots
  DropCounts drops_;
};

}  // namespace tidepool::pool
