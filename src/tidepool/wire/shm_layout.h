#pragma once
// The fixed layouts of shared memory: superblock, slot header, tensor header (wire.md 6; schema templates 50, 51, 52).
// Pages: docs/formats/shared-memory.md. All values are little-endian at byte offsets, without alignment (W-13).

#include <cstdint>
#include <optional>
#include <string_view>

#include "tidepool/base/bytes.h"
#include "tidepool/wire/tensor.h"

namespace tidepool::wire {

inline constexpr uint64_t kMagic = 0x544F504C53484D31;  // in memory: 31 4d 48 53 4c 50 4f 54
inline constexpr uint32_t kLayoutVersion = 1;           // next value: any change of slot, superblock or tensor layout
inline constexpr size_t kSuperblockBytes = 64;
inline constexpr size_t kSlotBytes = 256;
inline constexpr size_t kSlotBlockBytes = 60;
inline constexpr size_t kTensorMessageBytes = 192;  // message header 8 + tensor block 184
static_assert(kSlotBytes == kSlotBlockBytes + 4 + kTensorMessageBytes);

inline constexpr size_t kSuperblockActivityOffset = 56;
static_assert(kSuperblockActivityOffset % 8 == 0);

inline constexpr uint32_t kNull32 = 0xFFFFFFFF;
inline constexpr uint64_t kNull64 = 0xFFFFFFFFFFFFFFFF;

enum class RegionType : int16_t { header_ring = 1, payload_pool = 2 };

struct Superblock {
  uint64_t magic = kMagic;
  uint32_t layout_version = kLayoutVersion;
  uint64_t epoch = 0;
  uint32_t stream_id = 0;
  RegionType region_type = RegionType::header_ring;
  uint16_t pool_id = 0;
  uint32_t nslots = 0;
  uint32_t slot_bytes = 0;    // ring: 256; pool: the stride, not checked on read (W-18, W-19)
  uint32_t stride_bytes = 0;  // ring: 0; pool: the stride
  uint64_t pid = 0;
  uint64_t start_timestamp_ns = 0;
  uint64_t activity_timestamp_ns = 0;

  bool operator==(const Superblock&) const = default;
};

// Decode 64 bytes as they stand (a private copy, W-92). Nothing is judged here; see pool/epoch_map.h for the checks.
Superblock decode_superblock(const std::byte (&bytes)[kSuperblockBytes]) noexcept;
void encode_superblock(const Superblock& block, std::byte (&bytes)[kSuperblockBytes]) noexcept;

// A slot header without its commit word.
struct SlotHeader {
  uint32_t values_len_bytes = 0;
  uint32_t payload_slot = 0;
  uint16_t pool_id = 0;
  uint32_t payload_offset = 0;
  uint64_t timestamp_ns = kNull64;  // capture time; kNull64: unknown
  uint32_t meta_version = kNull32;  // kNull32: none
  TensorHeader tensor;

  bool operator==(const SlotHeader&) const = default;
};

// Why a copied slot header is refused (W-43); kNone: every rule of wire.md 8.2 step 5 that needs no mapping holds.
enum class SlotFault : uint8_t { kNone, kHeaderLength, kTensorMessage, kPayloadOffset, kTensor };
std::string_view text_of(SlotFault fault) noexcept;

// Decode a private copy of a slot (256 bytes, W-92) and check what can be checked without the mapping; tensor strides
// are inferred. Never throws.
SlotFault decode_slot_header(const std::byte (&slot)[kSlotBytes], SlotHeader& header) noexcept;
// Write all of bytes 8..255: pads zero, dims and strides beyond ndims zero, headerBytes length 192 (W-39). Bytes 0..7,
// the commit word, are set to 0 in `slot`, a private buffer.
void encode_slot_header(const SlotHeader& header, std::byte (&slot)[kSlotBytes]) noexcept;

}  // namespace tidepool::wire
