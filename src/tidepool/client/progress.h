#pragma once
// Progress of frames that are being filled (wire.md 11): what a producer sends, and what a consumer believes.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "tidepool/client/audience.h"
#include "tidepool/client/client.h"
#include "tidepool/client/progress_view.h"
#include "tidepool/pool/pool_writer.h"

namespace tidepool::client {

// What one consumer offers in its Hello.
struct ProgressOffer {
  std::optional<uint32_t> interval_us;
  std::optional<uint32_t> bytes_delta;
  std::optional<uint32_t> major_units;
};
// The smallest of each that anybody offers, none below the producer's floor; defaults where nobody offers (W-79).
ProgressPolicy aggregate(std::span<const ProgressOffer> offers, const ProgressPolicy& floor) noexcept;

// Of all frames of one stream: at most so many PROGRESS a second (wire.md 11.1).
inline constexpr uint64_t kMaxProgressHz = 2000;

// The producer's side of one epoch. Thread safety: the thread that uses the writer. No allocation but in the constructor.
class ProgressReporter {
 public:
  explicit ProgressReporter(uint32_t slot_count) : slot_mask_(slot_count - 1), open_(slot_count) {}

  // What one report of `claim` comes to; sends it. The claim is open and alive, somebody is listening.
  ProgressResult report(const Audience& audience, pool::PoolWriter& writer, pool::Claim& claim, uint64_t bytes_filled,
                        const pool::FrameInfo& info, uint64_t now_ns) noexcept;
  // What the early header of `claim` says, if it is out: the commit has to say the same (wire.md 11.3).
  const pool::FrameInfo* early_info(const pool::Claim& claim) const noexcept;
  // After the descriptor of `seq`: COMPLETE, if STARTED went out (W-78, W-38).
  void committed(const Audience* audience, const pool::EpochMap& map, uint64_t seq, uint64_t values_len_bytes) noexcept;

  bool used() const noexcept { return used_; }  // something was reported in this epoch
  uint64_t sent() const noexcept { return sent_; }        // messages that at least one stream took
  uint64_t dropped() const noexcept { return dropped_; }  // that none did

 private:
  struct Open {
    uint64_t tag = 0;  // seq + 1 of the claim that this is about; 0: none
    uint64_t bytes = 0;        // as last reported
    uint64_t sent_bytes = 0;
    uint64_t sent_ns = 0;
    bool started = false;      // STARTED went out
    pool::FrameInfo info;
  };
  bool send(const Audience& audience, const pool::EpochMap& map, uint64_t seq, uint64_t bytes, wire::ProgressState state) noexcept;
  bool may_send(uint64_t now_ns) noexcept;

  const uint64_t slot_mask_;
  std::vector<Open> open_;  // by slot
  bool used_ = false;
  uint64_t sent_ = 0, dropped_ = 0;
  uint64_t budget_ns_ = 0;       // of PROGRESS over all frames: each costs a second / kMaxProgressHz
  uint64_t last_refill_ns_ = 0;
};

// The consumer's side of one epoch. Thread safety: the consumer's thread. No allocation but in the constructor.
class ProgressTracker {
 public:
  enum class Verdict : uint8_t {
    kTell,
    kOther,      // another stream's or epoch's
    kState,      // UNKNOWN (W-9)
    kRegressed,  // behind what was told already, or the same again
    kSlot,       // the slot has gone to another frame
    kBounds,     // more bytes than the payload has
  };

  explicit ProgressTracker(std::shared_ptr<const pool::EpochMap> map);
  // W-80, W-81. On kTell `view` is filled.
  [[nodiscard]] Verdict judge(const wire::FrameProgress& progress, ProgressView& view) noexcept;

 private:
  struct Told {
    uint64_t tag = 0;  // seq + 1; 0: nothing yet
    uint64_t bytes = 0;
    wire::ProgressState state = wire::ProgressState::unknown;
  };
  bool read_header(uint64_t seq, ProgressView& view, bool& ours) noexcept;

  std::shared_ptr<const pool::EpochMap> map_;
  std::vector<Told> told_;  // by slot
};

}  // namespace tidepool::client
