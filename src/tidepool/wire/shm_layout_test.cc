#include "tidepool/wire/shm_layout.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include "tidepool/wire/test_bytes.h"

namespace tidepool::wire::shm_layout_test {
namespace {

using SuperblockBytes = std::byte[kSuperblockBytes];
using SlotBytes = std::byte[kSlotBytes];

// wire.md 17.1
constexpr std::string_view kRingSuperblockHex = R"(
0000: 31 4d 48 53 4c 50 4f 54 01 00 00 00 07 00 00 00
0010: 00 00 00 00 10 27 00 00 01 00 00 00 08 00 00 00
0020: 00 01 00 00 00 00 00 00 92 10 00 00 00 00 00 00
0030: 00 ca 9a 3b 00 00 00 00 00 94 35 77 00 00 00 00)";
// wire.md 17.2
constexpr std::string_view kPoolSuperblockHex = R"(
0000: 31 4d 48 53 4c 50 4f 54 01 00 00 00 07 00 00 00
0010: 00 00 00 00 10 27 00 00 02 00 01 00 08 00 00 00
0020: 00 10 00 00 00 10 00 00 92 10 00 00 00 00 00 00
0030: 00 ca 9a 3b 00 00 00 00 00 94 35 77 00 00 00 00)";
// wire.md 17.5, its first half; the second is zero
constexpr std::string_view kSlotHex = R"(
0000: 17 00 00 00 00 00 00 00 18 00 00 00 03 00 00 00
0010: 01 00 00 00 00 00 00 5e d0 b2 00 00 00 00 05 00
0020: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
0030: 00 00 00 00 00 00 00 00 00 00 00 00 c0 00 00 00
0040: b8 00 34 00 84 03 01 00 09 00 01 00 02 00 00 00
0050: 00 00 00 02 00 00 00 03 00 00 00 00 00 00 00 00
0060: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
0070: 00 00 00 0c 00 00 00 04 00 00 00 00 00 00 00 00)";

Superblock ring_superblock() {
  Superblock block;
  block.epoch = 7;
  block.stream_id = 10000;
  block.region_type = RegionType::header_ring;
  block.nslots = 8;
  block.slot_bytes = 256;
  block.pid = 4242;
  block.start_timestamp_ns = 1'000'000'000;
  block.activity_timestamp_ns = 2'000'000'000;
  return block;
}

Superblock pool_superblock() {
  Superblock block = ring_superblock();
  block.region_type = RegionType::payload_pool;
  block.pool_id = 1;
  block.slot_bytes = 4096;
  block.stride_bytes = 4096;
  return block;
}

SlotHeader golden_slot() {
  SlotHeader header;
  header.values_len_bytes = 24;
  header.payload_slot = 3;
  header.pool_id = 1;
  header.timestamp_ns = 3'000'000'000;
  header.meta_version = 5;
  header.tensor = contiguous(DType::f32, std::vector<int32_t>{2, 3});
  return header;
}

void fill_golden_slot(SlotBytes& to) {
  std::vector<std::byte> from = test::bytes_of_hex(kSlotHex);
  from.resize(kSlotBytes);
  std::copy(from.begin(), from.end(), to);
}

TEST(SuperblockTest, MatchesTheGoldenBytes) {  // W-1, W-18, wire.md 17.1, 17.2
  for (const auto& [hex, block] :
       {std::pair{kRingSuperblockHex, ring_superblock()}, std::pair{kPoolSuperblockHex, pool_superblock()}}) {
    SuperblockBytes bytes;
    std::fill(std::begin(bytes), std::end(bytes), std::byte{0xEE});
    encode_superblock(block, bytes);
    EXPECT_EQ(test::hex_of(bytes), test::hex_of(test::bytes_of_hex(hex)));
    EXPECT_EQ(decode_superblock(bytes), block);
  }
}

TEST(SuperblockTest, StoresTheMagicAsALittleEndianNumber) {  // W-1, WX-1: not the ASCII spelling
  SuperblockBytes bytes;
  encode_superblock(ring_superblock(), bytes);
  EXPECT_EQ(test::hex_of(Bytes(bytes).first(8)), "314d48534c504f54");
}

TEST(SuperblockTest, JudgesNothing) {  // W-19 is the reader's; unknown values arrive as they are
  SuperblockBytes bytes;
  std::fill(std::begin(bytes), std::end(bytes), std::byte{0xFF});
  const Superblock block = decode_superblock(bytes);
  EXPECT_EQ(block.magic, kNull64);
  EXPECT_EQ(static_cast<int16_t>(block.region_type), -1);
  EXPECT_EQ(block.slot_bytes, kNull32);  // what one known peer writes into its pools (WX-3)
  EXPECT_EQ(block.activity_timestamp_ns, kNull64);
}

TEST(SuperblockTest, SitsOnAnyAddress) {  // W-13
  std::array<std::byte, kSuperblockBytes + 8> memory{};
  for (size_t shift = 0; shift < 8; ++shift) {
    auto& at = *reinterpret_cast<SuperblockBytes*>(memory.data() + shift);
    encode_superblock(pool_superblock(), at);
    EXPECT_EQ(decode_superblock(at), pool_superblock());
  }
}

RC_GTEST_PROP(SuperblockPropertyTest, EveryByteIsMeaningAndComesBack, (const std::array<uint8_t, kSuperblockBytes>& raw)) {
  SuperblockBytes bytes;
  std::memcpy(bytes, raw.data(), sizeof bytes);
  SuperblockBytes again;
  encode_superblock(decode_superblock(bytes), again);
  RC_ASSERT(std::equal(std::begin(bytes), std::end(bytes), std::begin(again)));
}

TEST(SlotHeaderTest, MatchesTheGoldenBytes) {  // W-2, W-39, wire.md 17.5
  SlotBytes golden;
  fill_golden_slot(golden);
  SlotHeader header;
  ASSERT_EQ(decode_slot_header(golden, header), SlotFault::kNone);
  EXPECT_EQ(header, golden_slot());

  SlotBytes bytes;
  encode_slot_header(golden_slot(), bytes);
  EXPECT_EQ(test::hex_of(Bytes(bytes).first(8)), "0000000000000000");  // the commit word is not this function's
  EXPECT_EQ(test::hex_of(Bytes(bytes).subspan(8)), test::hex_of(Bytes(golden).subspan(8)));
}

TEST(SlotHeaderTest, OverwritesEveryByteWhateverStoodThere) {  // W-39
  SlotHeader header = golden_slot();
  header.tensor.dims[5] = 77;  // beyond ndims: must not reach the slot
  header.tensor.strides[7] = 78;
  header.tensor.progress_stride_bytes = 79;  // with unit NONE 0 is written
  SlotBytes clean;
  std::fill(std::begin(clean), std::end(clean), std::byte{0});
  SlotBytes dirty;
  std::fill(std::begin(dirty), std::end(dirty), std::byte{0xFF});
  encode_slot_header(header, clean);
  encode_slot_header(header, dirty);
  EXPECT_EQ(test::hex_of(clean), test::hex_of(dirty));
  SlotBytes expected;
  encode_slot_header(golden_slot(), expected);
  EXPECT_EQ(test::hex_of(clean), test::hex_of(expected));
}

TEST(SlotHeaderTest, WritesTheTensorsOwnMessageHeaderAndLength) {  // W-2, W-39: slot header without one, tensor header with one
  SlotBytes bytes;
  encode_slot_header(SlotHeader{}, bytes);
  EXPECT_EQ(load<uint32_t>(bytes + 60), 192u);
  EXPECT_EQ(load<uint16_t>(bytes + 64), 184u);
  EXPECT_EQ(load<uint16_t>(bytes + 66), 52u);
  EXPECT_EQ(load<uint16_t>(bytes + 68), 900u);
  EXPECT_EQ(load<uint16_t>(bytes + 70), 1u);
}

TEST(SlotHeaderTest, IgnoresPadding) {  // wire.md 6.3, 6.4, WX-6
  SlotBytes bytes;
  fill_golden_slot(bytes);
  std::fill(bytes + 34, bytes + 60, std::byte{0xA5});
  bytes[77] = std::byte{0xA5};
  std::fill(bytes + 147, bytes + 256, std::byte{0xA5});
  SlotHeader header;
  ASSERT_EQ(decode_slot_header(bytes, header), SlotFault::kNone);
  EXPECT_EQ(header, golden_slot());
}

TEST(SlotHeaderTest, IgnoresTheCommitWord) {  // it belongs to shm::CommitWord
  SlotBytes bytes;
  fill_golden_slot(bytes);
  store(bytes, uint64_t{0xFFFFFFFFFFFFFFFF});
  SlotHeader header;
  EXPECT_EQ(decode_slot_header(bytes, header), SlotFault::kNone);
}

TEST(SlotHeaderTest, RefusesAHeaderLengthOtherThan192) {  // W-43
  for (const uint32_t length : {0u, 191u, 193u, 0xFFFFFFFFu}) {
    SlotBytes bytes;
    fill_golden_slot(bytes);
    store(bytes + 60, length);
    SlotHeader header;
    EXPECT_EQ(decode_slot_header(bytes, header), SlotFault::kHeaderLength) << length;
  }
}

TEST(SlotHeaderTest, RefusesATensorMessageOfAnotherBlockTemplateSchemaOrVersion) {  // W-43
  for (const size_t field : {64u, 66u, 68u, 70u}) {
    for (const int step : {-1, 1}) {
      SlotBytes bytes;
      fill_golden_slot(bytes);
      store(bytes + field, static_cast<uint16_t>(load<uint16_t>(bytes + field) + step));
      SlotHeader header;
      EXPECT_EQ(decode_slot_header(bytes, header), SlotFault::kTensorMessage) << field;
    }
  }
}

TEST(SlotHeaderTest, RefusesAPayloadOffset) {  // W-43
  SlotBytes bytes;
  fill_golden_slot(bytes);
  store(bytes + 18, uint32_t{1});
  SlotHeader header;
  EXPECT_EQ(decode_slot_header(bytes, header), SlotFault::kPayloadOffset);
}

TEST(SlotHeaderTest, RefusesATensorThatBreaksItsRules) {  // W-43, W-46, W-9
  struct Change {
    size_t offset;
    int64_t value;
    size_t bytes;
  };
  for (const Change& change : {Change{72, 0, 2}, Change{72, 12, 2}, Change{72, 15, 2}, Change{72, -1, 2},   // dtype
                               Change{74, 0, 2}, Change{74, 3, 2},                                          // order
                               Change{76, 0, 1}, Change{76, 9, 1}, Change{76, 255, 1},                      // ndims
                               Change{78, 3, 1}, Change{78, 255, 1}, Change{78, 1, 1}, Change{78, 2, 1},    // progress unit
                               Change{83, -1, 4}, Change{87, -1, 4},                                        // dims
                               Change{115, 11, 4}, Change{115, -1, 4}, Change{119, 3, 4}}) {                // strides
    SlotBytes bytes;
    fill_golden_slot(bytes);
    std::memcpy(bytes + change.offset, &change.value, change.bytes);
    SlotHeader header;
    EXPECT_EQ(decode_slot_header(bytes, header), SlotFault::kTensor) << change.offset << " " << change.value;
  }
}

TEST(SlotHeaderTest, InfersStridesThatWereLeftOut) {  // W-46: stride 0 means contiguous
  SlotBytes bytes;
  fill_golden_slot(bytes);
  std::fill(bytes + 115, bytes + 147, std::byte{0});
  SlotHeader header;
  ASSERT_EQ(decode_slot_header(bytes, header), SlotFault::kNone);
  EXPECT_EQ(header, golden_slot());
}

TEST(SlotHeaderTest, AcceptsAFrameWithoutPayload) {  // W-48
  SlotHeader empty = golden_slot();
  empty.values_len_bytes = 0;
  SlotBytes bytes;
  encode_slot_header(empty, bytes);
  SlotHeader header;
  ASSERT_EQ(decode_slot_header(bytes, header), SlotFault::kNone);
  EXPECT_EQ(header, empty);
}

TEST(SlotHeaderTest, KeepsTimeAndMetadataThatAreNotKnownAsNull) {  // W-7, W-54, W-87
  SlotHeader unknown = golden_slot();
  unknown.timestamp_ns = kNull64;
  unknown.meta_version = kNull32;
  SlotBytes bytes;
  encode_slot_header(unknown, bytes);
  EXPECT_EQ(test::hex_of(Bytes(bytes).subspan(22, 12)), "ffffffffffffffffffffffff");
  SlotHeader header;
  ASSERT_EQ(decode_slot_header(bytes, header), SlotFault::kNone);
  EXPECT_EQ(header, unknown);
}

TEST(SlotHeaderTest, SitsOnAnyAddress) {  // W-13
  std::array<std::byte, kSlotBytes + 8> memory{};
  for (size_t shift = 0; shift < 8; ++shift) {
    auto& at = *reinterpret_cast<SlotBytes*>(memory.data() + shift);
    encode_slot_header(golden_slot(), at);
    SlotHeader header;
    ASSERT_EQ(decode_slot_header(at, header), SlotFault::kNone);
    EXPECT_EQ(header, golden_slot());
  }
}

TEST(SlotHeaderTest, HasATextForEveryFault) {
  std::set<std::string_view> texts;
  for (int fault = 0; fault <= static_cast<int>(SlotFault::kTensor); ++fault) texts.insert(text_of(static_cast<SlotFault>(fault)));
  EXPECT_EQ(texts.size(), static_cast<size_t>(SlotFault::kTensor) + 1);
  EXPECT_EQ(texts.count("?"), 0u);
}

RC_GTEST_PROP(SlotHeaderPropertyTest, WhatIsWrittenIsRead, ()) {  // W-39, W-43, W-46
  SlotHeader header;
  header.values_len_bytes = *rc::gen::arbitrary<uint32_t>();
  header.payload_slot = *rc::gen::arbitrary<uint32_t>();
  header.pool_id = *rc::gen::arbitrary<uint16_t>();
  header.timestamp_ns = *rc::gen::arbitrary<uint64_t>();
  header.meta_version = *rc::gen::arbitrary<uint32_t>();
  const auto dims = *rc::gen::container<std::vector<int32_t>>(*rc::gen::inRange<size_t>(1, 9), rc::gen::inRange<int32_t>(0, 12));
  header.tensor = contiguous(*rc::gen::element(DType::u8, DType::i16, DType::f32, DType::f64, DType::bit), dims,
                             *rc::gen::element(MajorOrder::row, MajorOrder::column));
  header.tensor.progress_unit = *rc::gen::element(ProgressUnit::none, ProgressUnit::rows);
  header.tensor.progress_stride_bytes =
      header.tensor.progress_unit == ProgressUnit::rows ? static_cast<uint32_t>(header.tensor.strides[0]) : 0;
  SlotBytes bytes;
  encode_slot_header(header, bytes);
  SlotHeader again;
  RC_ASSERT(decode_slot_header(bytes, again) == SlotFault::kNone);
  RC_ASSERT(again == header);
}

// Torn or hostile: any bytes, but with the constants in place often enough to reach the tensor.
RC_GTEST_PROP(SlotHeaderPropertyTest, AnyBytesAreRefusedOrSound, (const std::array<uint8_t, kSlotBytes>& raw)) {  // W-92
  SlotBytes bytes;
  std::memcpy(bytes, raw.data(), sizeof bytes);
  if (*rc::gen::inRange(0, 4) != 0) {
    SlotBytes golden;
    fill_golden_slot(golden);
    std::copy(golden + 60, golden + 72, bytes + 60);
    store(bytes + 18, uint32_t{0});
    bytes[72] &= std::byte{0x0F};
    bytes[73] = std::byte{0};
    bytes[74] &= std::byte{0x03};
    bytes[75] = std::byte{0};
    bytes[76] &= std::byte{0x07};
    bytes[78] &= std::byte{0x03};
  }
  SlotHeader header;
  if (decode_slot_header(bytes, header) != SlotFault::kNone) return;
  RC_ASSERT(header.tensor.ndims >= 1 && header.tensor.ndims <= kMaxDims);
  RC_ASSERT(element_bytes(header.tensor.dtype) > 0);
  for (size_t i = 0; i < header.tensor.ndims; ++i) RC_ASSERT(header.tensor.dims[i] >= 0 && header.tensor.strides[i] > 0);
  SlotBytes again;
  encode_slot_header(header, again);
  SlotHeader twice;
  RC_ASSERT(decode_slot_header(again, twice) == SlotFault::kNone);
  if (header.tensor.progress_unit == ProgressUnit::none) header.tensor.progress_stride_bytes = 0;
  RC_ASSERT(twice == header);
}

}  // namespace
}  // namespace tidepool::wire::shm_layout_test
