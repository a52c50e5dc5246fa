#pragma once
// A slot header as 8-byte words, as the hot path reads and writes it (wire.md 6.3): what changes from frame to frame is in
// words 1 to 4 and is composed in registers; the tensor header, words 7 to 18, is compared with or copied from the last
// one, so that a stream of equal shapes is neither encoded nor judged anew for each frame. wire/shm_layout.h defines the
// bytes; slot_words_test.cc holds this file against it.
//
//   word 0       seqCommit (shm::CommitWord)
//   words 1..4   valuesLenBytes, payloadSlot, poolId, payloadOffset (0), timestampNs, metaVersion; pad from byte 34
//   word 7       pad, then the length 192
//   words 8..18  message header and tensor block; the last stride ends at byte 147 in word 18
//   words 19..31 pad

#include <cstddef>
#include <cstdint>

#include "tidepool/base/bytes.h"
#include "tidepool/wire/shm_layout.h"

namespace tidepool::pool {

inline constexpr size_t kSlotWords = wire::kSlotBytes / 8;
inline constexpr size_t kLengthWord = 7;
inline constexpr size_t kTensorWord = 8;   // first word of the tensor message
inline constexpr size_t kUsedWords = 19;   // everything from here on is padding
// With up to 3 dimensions nothing that matters lies beyond the second cache line: the third stride ends at byte 127.
inline constexpr size_t kNearWords = 16;
inline constexpr uint8_t kNearDims = 3;
inline constexpr size_t kNdimsByte = 76;

// The part of a slot header that is another one for every frame.
struct FrameFields {
  uint32_t values_len_bytes = 0;
  uint32_t payload_slot = 0;
  uint16_t pool_id = 0;
  uint32_t payload_offset = 0;
  uint64_t timestamp_ns = 0;
  uint32_t meta_version = 0;
};

// words[1..4]
inline void pack(const FrameFields& fields, uint64_t* words) noexcept {
  words[1] = uint64_t{fields.values_len_bytes} | uint64_t{fields.payload_slot} << 32;
  words[2] = uint64_t{fields.pool_id} | uint64_t{fields.payload_offset} << 16 | fields.timestamp_ns << 48;
  words[3] = fields.timestamp_ns >> 16 | uint64_t{fields.meta_version} << 48;
  words[4] = uint64_t{fields.meta_version} >> 16;
}

inline FrameFields unpack(const uint64_t* words) noexcept {
  return {.values_len_bytes = static_cast<uint32_t>(words[1]),
          .payload_slot = static_cast<uint32_t>(words[1] >> 32),
          .pool_id = static_cast<uint16_t>(words[2]),
          .payload_offset = static_cast<uint32_t>(words[2] >> 16),
          .timestamp_ns = words[2] >> 48 | words[3] << 16,
          .meta_version = static_cast<uint32_t>(words[3] >> 48 | words[4] << 16)};
}

// The length field of word 7 is in its upper half; the lower half is padding, which nobody may judge.
inline bool has_tensor_length(const uint64_t* words) noexcept { return words[kLengthWord] >> 32 == wire::kTensorMessageBytes; }

// Words 8..18 of two slots say the same.
inline bool same_tensor(const uint64_t* a, const uint64_t* b) noexcept {
  uint64_t difference = 0;
#pragma GCC unroll 16
  for (size_t i = kTensorWord; i < kUsedWords; ++i) difference |= a[i] ^ b[i];
  return difference == 0;
}

}  // namespace tidepool::pool
