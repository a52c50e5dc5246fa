#pragma once
// What test frames hold. `check` and `mix` can be judged by whoever reads them; `ramp` and `noise` are to look at.
//
// check (for strangers: any language recomputes it):
//   bytes 0..7   seq, little-endian
//   bytes 8..15  its complement
//   byte i >= 16 (seq + i) mod 256
//   A payload shorter than 16 bytes holds as many of these as it has room for. Bytes repeat every 256 frames, so tearing
//   between frames whose sequences differ by a multiple of 256 is visible in the first 16 bytes only (rulings P-17).
//
// mix (for torture): every 8-byte little-endian word is a 64-bit mix of run, epoch, sequence and word index.
//   A run is one producer process: 32 random bits below their own complement.
//   word 0      run XOR mix64(epoch, seq)       so a reader, who knows epoch and seq, gets the run back and sees by its
//                                               halves that it is one
//   word w >= 1 mix64(run, epoch, seq, w)
//   The last bytes of a payload that is no multiple of 8 are the first bytes of the next word. At least 8 bytes.
//   Within an epoch the run must not change: there is one producer to an epoch (D-22, D-32).
//
// Thread safety: functions are pure; a MixJudge belongs to one thread. All of them run near the speed of memory.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tidepool/base/bytes.h"
#include "tidepool/wire/tensor.h"

namespace tidepool::cli {

enum class Pattern : uint8_t { kCheck, kMix, kRamp, kNoise };
std::optional<Pattern> pattern_from_name(std::string_view name) noexcept;

// Offset of the first byte that is not as it should be.
using Mismatch = std::optional<size_t>;

void fill_check(MutableBytes payload, uint64_t seq) noexcept;
[[nodiscard]] Mismatch find_check_mismatch(Bytes payload, uint64_t seq) noexcept;

inline constexpr size_t kMixMinBytes = 8;
// A run from 32 random bits.
uint64_t mix_run(uint32_t random) noexcept;
void fill_mix(MutableBytes payload, uint64_t run, uint64_t epoch, uint64_t seq) noexcept;

// Judges mix frames of one stream, and remembers which run an epoch belongs to.
class MixJudge {
 public:
  [[nodiscard]] Mismatch find_mismatch(Bytes payload, uint64_t epoch, uint64_t seq);

 private:
  uint64_t epoch_ = 0;
  uint64_t run_ = 0;  // of epoch_; 0: none seen yet (never a run: its halves are complements)
};

// A gradient that moves by one step a frame: value = row + column + frame (+ 85 for each further channel), wrapping in the
// element's range; floating point runs from 0 to 1.
void fill_ramp(MutableBytes payload, const wire::TensorHeader& tensor, uint64_t frame) noexcept;

// The same bytes for the same seed and frame; floating point is uniform in [0, 1), booleans are 0 or 1.
void fill_noise(MutableBytes payload, wire::DType dtype, uint64_t seed, uint64_t frame) noexcept;

}  // namespace tidepool::cli
