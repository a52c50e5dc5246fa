#include "tidepool/wire/shm_layout.h"

#include <tidepool_sbe_pool/MessageHeader.h>
#include <tidepool_sbe_pool/ShmRegionSuperblock.h>
#include <tidepool_sbe_pool/SlotHeader.h>
#include <tidepool_sbe_pool/TensorHeader.h>

#include <algorithm>
#include <cstring>

#include "tidepool/wire/messages.h"

namespace tidepool::wire {

namespace {

namespace codec = tidepool::sbe::pool;

// docs/formats/shared-memory.md
static_assert(codec::ShmRegionSuperblock::SBE_BLOCK_LENGTH == kSuperblockBytes);
static_assert(codec::ShmRegionSuperblock::activityTimestampNsEncodingOffset() == kSuperblockActivityOffset);
static_assert(codec::SlotHeader::SBE_BLOCK_LENGTH == kSlotBlockBytes);
static_assert(codec::SlotHeader::seqCommitEncodingOffset() == 0);
static_assert(codec::TensorHeader::SBE_BLOCK_LENGTH == kTensorMessageBytes - kMessageHeaderBytes);
static_assert(codec::TensorHeader::maxDims() == kMaxDims);
static_assert(sizeof(TensorHeader::dims) == codec::TensorHeader::dimsEncodingLength());
static_assert(sizeof(TensorHeader::strides) == codec::TensorHeader::stridesEncodingLength());

constexpr size_t kTensorMessageOffset = kSlotBlockBytes + 4;
constexpr size_t kTensorOffset = kTensorMessageOffset + kMessageHeaderBytes;

// Codecs take char* for reading and writing alike; one that decodes only reads.
char* chars(const std::byte* bytes) noexcept { return const_cast<char*>(reinterpret_cast<const char*>(bytes)); }

bool is_tensor_message(const std::byte* bytes) noexcept {
  const codec::MessageHeader header(chars(bytes), 0, kMessageHeaderBytes, kSchemaVersion);
  return header.blockLength() == codec::TensorHeader::SBE_BLOCK_LENGTH &&
         header.templateId() == codec::TensorHeader::SBE_TEMPLATE_ID && header.schemaId() == kPoolSchemaId &&
         header.version() == kSchemaVersion;
}

}  // namespace

Superblock decode_superblock(const std::byte (&bytes)[kSuperblockBytes]) noexcept {
  const codec::ShmRegionSuperblock raw(chars(bytes), kSuperblockBytes);
  Superblock block;
  block.magic = raw.magic();
  block.layout_version = raw.layoutVersion();
  block.epoch = raw.epoch();
  block.stream_id = raw.streamId();
  block.region_type = static_cast<RegionType>(raw.regionTypeRaw());
  block.pool_id = raw.poolId();
  block.nslots = raw.nslots();
  block.slot_bytes = raw.slotBytes();
  block.stride_bytes = raw.strideBytes();
  block.pid = raw.pid();
  block.start_timestamp_ns = raw.startTimestampNs();
  block.activity_timestamp_ns = raw.activityTimestampNs();
  return block;
}

void encode_superblock(const Superblock& block, std::byte (&bytes)[kSuperblockBytes]) noexcept {
  codec::ShmRegionSuperblock raw(chars(bytes), kSuperblockBytes);
  raw.magic(block.magic)
      .layoutVersion(block.layout_version)
      .epoch(block.epoch)
      .streamId(block.stream_id)
      .regionType(static_cast<codec::RegionType::Value>(block.region_type))
      .poolId(block.pool_id)
      .nslots(block.nslots)
      .slotBytes(block.slot_bytes)
      .strideBytes(block.stride_bytes)
      .pid(block.pid)
      .startTimestampNs(block.start_timestamp_ns)
      .activityTimestampNs(block.activity_timestamp_ns);
}

std::string_view text_of(SlotFault fault) noexcept {
  switch (fault) {
    case SlotFault::kNone: return "none";
    case SlotFault::kHeaderLength: return "length of the tensor header is not 192";
    case SlotFault::kTensorMessage: return "tensor header is not message 52 of schema 900, version 1";
    case SlotFault::kPayloadOffset: return "payload offset is not 0";
    case SlotFault::kTensor: return "tensor header breaks its rules";
  }
  return "?";
}

SlotFault decode_slot_header(const std::byte (&slot)[kSlotBytes], SlotHeader& header) noexcept {
  const codec::SlotHeader raw(chars(slot), kSlotBytes);
  if (raw.headerBytesLength() != kTensorMessageBytes) return SlotFault::kHeaderLength;
  if (!is_tensor_message(slot + kTensorMessageOffset)) return SlotFault::kTensorMessage;
  if (raw.payloadOffset() != 0) return SlotFault::kPayloadOffset;
  header.values_len_bytes = raw.valuesLenBytes();
  header.payload_slot = raw.payloadSlot();
  header.pool_id = raw.poolId();
  header.payload_offset = 0;
  header.timestamp_ns = raw.timestampNs();
  header.meta_version = raw.metaVersion();

  const codec::TensorHeader tensor(chars(slot), kTensorOffset, kSlotBytes, codec::TensorHeader::SBE_BLOCK_LENGTH, kSchemaVersion);
  header.tensor.dtype = static_cast<DType>(tensor.dtypeRaw());
  header.tensor.order = static_cast<MajorOrder>(tensor.majorOrderRaw());
  header.tensor.ndims = tensor.ndims();
  header.tensor.progress_unit = static_cast<ProgressUnit>(tensor.progressUnitRaw());
  header.tensor.progress_stride_bytes = tensor.progressStrideBytes();
  std::memcpy(header.tensor.dims.data(), tensor.dims(), sizeof header.tensor.dims);
  std::memcpy(header.tensor.strides.data(), tensor.strides(), sizeof header.tensor.strides);
  return check_and_infer(header.tensor) == TensorFault::kNone ? SlotFault::kNone : SlotFault::kTensor;
}

void encode_slot_header(const SlotHeader& header, std::byte (&slot)[kSlotBytes]) noexcept {
  std::memset(slot, 0, sizeof slot);  // commit word, pads, dims and strides beyond ndims (W-39)
  codec::SlotHeader raw(chars(slot), kSlotBytes);
  raw.valuesLenBytes(header.values_len_bytes)
      .payloadSlot(header.payload_slot)
      .poolId(header.pool_id)
      .payloadOffset(header.payload_offset)
      .timestampNs(header.timestamp_ns)
      .metaVersion(header.meta_version);
  store(slot + kSlotBlockBytes, static_cast<uint32_t>(kTensorMessageBytes));

  const TensorHeader& from = header.tensor;
  codec::TensorHeader tensor;
  tensor.wrapAndApplyHeader(chars(slot), kTensorMessageOffset, kSlotBytes);
  tensor.dtype(static_cast<codec::Dtype::Value>(from.dtype))
      .majorOrder(static_cast<codec::MajorOrder::Value>(from.order))
      .ndims(from.ndims)
      .progressUnit(static_cast<codec::ProgressUnit::Value>(from.progress_unit))
      .progressStrideBytes(from.progress_unit == ProgressUnit::none ? 0 : from.progress_stride_bytes);
  const size_t used = std::min<size_t>(from.ndims, kMaxDims) * sizeof(int32_t);
  std::memcpy(tensor.dims(), from.dims.data(), used);
  std::memcpy(tensor.strides(), from.strides.data(), used);
}

}  // namespace tidepool::wire
