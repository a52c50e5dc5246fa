#include "tidepool/pool/slot_words.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace tidepool::pool {
namespace {

struct Encoded {
  explicit Encoded(const wire::SlotHeader& header) {
    wire::encode_slot_header(header, bytes);
    std::memcpy(words, bytes, sizeof words);
  }
  std::byte bytes[wire::kSlotBytes];
  uint64_t words[kSlotWords];
};

wire::SlotHeader header_with(uint8_t ndims) {
  wire::SlotHeader header;
  header.tensor.ndims = ndims;
  for (size_t i = 0; i < ndims; ++i) header.tensor.dims[i] = header.tensor.strides[i] = std::numeric_limits<int32_t>::max();
  return header;
}

RC_GTEST_PROP(SlotWords, SayTheSameAsTheEncodedSlotHeader, (const uint32_t length, const uint32_t slot, const uint16_t pool,
                                                            const uint32_t offset, const uint64_t time, const uint32_t meta)) {  // W-39
  wire::SlotHeader header = header_with(2);
  header.values_len_bytes = length;
  header.payload_slot = slot;
  header.pool_id = pool;
  header.payload_offset = offset;
  header.timestamp_ns = time;
  header.meta_version = meta;
  const Encoded encoded(header);

  const FrameFields fields = unpack(encoded.words);
  RC_ASSERT(fields.values_len_bytes == length);
  RC_ASSERT(fields.payload_slot == slot);
  RC_ASSERT(fields.pool_id == pool);
  RC_ASSERT(fields.payload_offset == offset);
  RC_ASSERT(fields.timestamp_ns == time);
  RC_ASSERT(fields.meta_version == meta);

  uint64_t words[kSlotWords] = {};
  pack(fields, words);
  for (size_t i = 1; i < kLengthWord; ++i) RC_ASSERT(words[i] == encoded.words[i]);
  RC_ASSERT(encoded.words[kLengthWord] == uint64_t{wire::kTensorMessageBytes} << 32);
}

TEST(SlotWords, HoldThreeDimensionsInTheFirstTwoCacheLines) {
  for (uint8_t ndims = 1; ndims <= wire::kMaxDims; ++ndims) {
    const Encoded encoded(header_with(ndims));
    EXPECT_EQ(static_cast<uint8_t>(encoded.bytes[kNdimsByte]), ndims);
    const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
    EXPECT_EQ(std::all_of(encoded.bytes + 8 * kNearWords, std::end(encoded.bytes), is_zero), ndims <= kNearDims) << int{ndims};
    EXPECT_TRUE(std::all_of(encoded.bytes + 8 * kUsedWords, std::end(encoded.bytes), is_zero)) << int{ndims};
  }
}

TEST(SlotWords, JudgeNeitherPaddingNorFrameFieldsAsTensor) {
  Encoded a(header_with(8));
  Encoded b(header_with(8));
  b.words[1] = b.words[6] = 1;
  b.words[kLengthWord] |= 0xFFFFFFFF;
  b.words[kUsedWords] = 1;
  EXPECT_TRUE(same_tensor(a.words, b.words));
  EXPECT_TRUE(has_tensor_length(b.words));
  b.words[kLengthWord] ^= uint64_t{1} << 32;
  EXPECT_FALSE(has_tensor_length(b.words));
  for (size_t i = kTensorWord; i < kUsedWords; ++i) {
    Encoded c(header_with(8));
    c.words[i] ^= 1;
    EXPECT_FALSE(same_tensor(a.words, c.words)) << i;
  }
}

}  // namespace
}  // namespace tidepool::pool
