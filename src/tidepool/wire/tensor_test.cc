#include "tidepool/wire/tensor.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

namespace tidepool::wire::tensor_test {
namespace {

constexpr int32_t kMaxI32 = std::numeric_limits<int32_t>::max();

TensorHeader tensor(DType dtype, std::vector<int32_t> dims, std::vector<int32_t> strides = {}, MajorOrder order = MajorOrder::row) {
  TensorHeader header;
  header.dtype = dtype;
  header.order = order;
  header.ndims = static_cast<uint8_t>(dims.size());
  std::copy(dims.begin(), dims.end(), header.dims.begin());
  std::copy(strides.begin(), strides.end(), header.strides.begin());
  return header;
}

std::vector<int32_t> strides_of(const TensorHeader& header) {
  return {header.strides.begin(), header.strides.begin() + header.ndims};
}

TEST(TensorTest, KnowsTheSizeOfEveryElementType) {  // W-46, wire.md 4
  for (const DType one : {DType::u8, DType::i8, DType::boolean, DType::bytes, DType::bit}) EXPECT_EQ(element_bytes(one), 1u);
  for (const DType two : {DType::u16, DType::i16}) EXPECT_EQ(element_bytes(two), 2u);
  for (const DType four : {DType::u32, DType::i32, DType::f32}) EXPECT_EQ(element_bytes(four), 4u);
  for (const DType eight : {DType::u64, DType::i64, DType::f64}) EXPECT_EQ(element_bytes(eight), 8u);
  for (const int none : {0, 12, 15, -1, -32768, 32767}) EXPECT_EQ(element_bytes(static_cast<DType>(none)), 0u) << none;
}

TEST(TensorTest, NamesEveryElementTypeAndReadsTheNameBack) {
  for (int value = 1; value <= 14; ++value) {
    const auto dtype = static_cast<DType>(value);
    if (value == 12) {
      EXPECT_EQ(name_of(dtype), "?");
      continue;
    }
    EXPECT_EQ(dtype_from_name(name_of(dtype)), dtype);
  }
  EXPECT_EQ(name_of(DType::u16), "u16");
  EXPECT_EQ(name_of(DType::f32), "f32");
  EXPECT_EQ(name_of(static_cast<DType>(99)), "?");
  EXPECT_EQ(dtype_from_name("unknown"), std::nullopt);
  EXPECT_EQ(dtype_from_name("U8"), std::nullopt);
  EXPECT_EQ(dtype_from_name(""), std::nullopt);
}

TEST(TensorTest, InfersRowMajorStridesFromTheLastDimension) {  // W-46
  TensorHeader header = tensor(DType::f32, {2, 3, 4});
  ASSERT_EQ(check_and_infer(header), TensorFault::kNone);
  EXPECT_EQ(strides_of(header), (std::vector<int32_t>{48, 16, 4}));
}

TEST(TensorTest, InfersColumnMajorStridesFromTheFirstDimension) {  // W-46
  TensorHeader header = tensor(DType::f32, {2, 3, 4}, {}, MajorOrder::column);
  ASSERT_EQ(check_and_infer(header), TensorFault::kNone);
  EXPECT_EQ(strides_of(header), (std::vector<int32_t>{4, 8, 24}));
}

TEST(TensorTest, InfersOnlyTheStridesThatAreMissing) {  // W-46: rows padded to 64 bytes, planes inferred from them
  TensorHeader header = tensor(DType::u16, {5, 3, 20}, {0, 64, 0});
  ASSERT_EQ(check_and_infer(header), TensorFault::kNone);
  EXPECT_EQ(strides_of(header), (std::vector<int32_t>{192, 64, 2}));
  EXPECT_FALSE(is_contiguous(header));
}

TEST(TensorTest, CountsADimensionOfZeroAsOneWhenInferring) {  // W-46: an empty tensor is legal
  TensorHeader header = tensor(DType::f64, {4, 0, 3});
  ASSERT_EQ(check_and_infer(header), TensorFault::kNone);
  EXPECT_EQ(strides_of(header), (std::vector<int32_t>{24, 24, 8}));
  EXPECT_EQ(extent_bytes(header), 0u);
  EXPECT_EQ(element_count(header), 0u);
}

TEST(TensorTest, RefusesAnInnermostStrideBelowTheElementSize) {  // W-46, WX-37
  TensorHeader row = tensor(DType::f32, {2, 3}, {12, 3});
  EXPECT_EQ(check_and_infer(row), TensorFault::kStride);
  TensorHeader column = tensor(DType::f32, {2, 3}, {3, 12}, MajorOrder::column);
  EXPECT_EQ(check_and_infer(column), TensorFault::kStride);
}

TEST(TensorTest, RefusesAStrideOneByteShortOfTheDimensionInsideIt) {  // W-46
  TensorHeader header = tensor(DType::f32, {2, 3}, {11, 4});
  EXPECT_EQ(check_and_infer(header), TensorFault::kStride);
  header = tensor(DType::f32, {2, 3}, {12, 4});
  EXPECT_EQ(check_and_infer(header), TensorFault::kNone);
  header = tensor(DType::f32, {3, 2}, {4, 11}, MajorOrder::column);
  EXPECT_EQ(check_and_infer(header), TensorFault::kStride);
}

TEST(TensorTest, RefusesAStrideInTheWrongOrder) {  // W-46: strides of a column-major tensor declared as row
  TensorHeader header = tensor(DType::u8, {4, 4}, {1, 4});
  EXPECT_EQ(check_and_infer(header), TensorFault::kStride);
}

TEST(TensorTest, RefusesNegativeDimensionsAndStrides) {  // W-46
  for (const int32_t negative : {-1, std::numeric_limits<int32_t>::min()}) {
    TensorHeader header = tensor(DType::u8, {negative, 4});
    EXPECT_EQ(check_and_infer(header), TensorFault::kNegative);
    header = tensor(DType::u8, {4, 4}, {4, negative});
    EXPECT_EQ(check_and_infer(header), TensorFault::kNegative);
  }
}

TEST(TensorTest, RefusesAnythingButOneToEightDimensions) {  // W-46
  TensorHeader header = tensor(DType::u8, {});
  EXPECT_EQ(check_and_infer(header), TensorFault::kNdims);
  for (const uint8_t ndims : {uint8_t{9}, uint8_t{255}}) {
    header.ndims = ndims;
    EXPECT_EQ(check_and_infer(header), TensorFault::kNdims);
  }
  header = tensor(DType::u8, {1, 1, 1, 1, 1, 1, 1, 2});
  EXPECT_EQ(check_and_infer(header), TensorFault::kNone);
}

TEST(TensorTest, RefusesUnknownTypesAndOrders) {  // W-43, W-46, W-9
  for (const int value : {0, 12, 15, -1}) {
    TensorHeader header = tensor(static_cast<DType>(value), {4});
    EXPECT_EQ(check_and_infer(header), TensorFault::kDtype) << value;
  }
  for (const int value : {0, 3, -1}) {
    TensorHeader header = tensor(DType::u8, {4}, {}, static_cast<MajorOrder>(value));
    EXPECT_EQ(check_and_infer(header), TensorFault::kOrder) << value;
  }
}

TEST(TensorTest, RefusesStridesBeyond31BitsInsteadOfWrapping) {  // W-46: 64-bit arithmetic
  TensorHeader header = tensor(DType::u8, {1, kMaxI32});
  EXPECT_EQ(check_and_infer(header), TensorFault::kNone);
  EXPECT_EQ(header.strides[0], kMaxI32);
  header = tensor(DType::u16, {1, 1 << 30});  // required: exactly 2^31
  EXPECT_EQ(check_and_infer(header), TensorFault::kStride);
  header = tensor(DType::f64, {kMaxI32, kMaxI32, kMaxI32, kMaxI32, kMaxI32, kMaxI32, kMaxI32, kMaxI32});
  EXPECT_EQ(check_and_infer(header), TensorFault::kStride);
}

TEST(TensorTest, AsksAProgressUnitForTheStrideOfItsRowsOrColumns) {  // W-46, WX-7
  const auto fault_of = [](ProgressUnit unit, uint32_t stride, std::vector<int32_t> dims) {
    TensorHeader header = tensor(DType::f32, std::move(dims));
    header.progress_unit = unit;
    header.progress_stride_bytes = stride;
    return check_and_infer(header);
  };
  EXPECT_EQ(fault_of(ProgressUnit::none, 0, {2, 3}), TensorFault::kNone);
  EXPECT_EQ(fault_of(ProgressUnit::none, 77, {2, 3}), TensorFault::kNone);  // no demand on it
  EXPECT_EQ(fault_of(ProgressUnit::rows, 12, {2, 3}), TensorFault::kNone);
  EXPECT_EQ(fault_of(ProgressUnit::rows, 4, {2, 3}), TensorFault::kProgressStride);
  EXPECT_EQ(fault_of(ProgressUnit::rows, 0, {2, 3}), TensorFault::kProgressStride);
  EXPECT_EQ(fault_of(ProgressUnit::columns, 4, {2, 3}), TensorFault::kNone);
  EXPECT_EQ(fault_of(ProgressUnit::columns, 12, {2, 3}), TensorFault::kProgressStride);
  EXPECT_EQ(fault_of(ProgressUnit::rows, 4, {6}), TensorFault::kNone);
  EXPECT_EQ(fault_of(ProgressUnit::columns, 0, {6}), TensorFault::kProgressStride);  // one dimension has no columns
  EXPECT_EQ(fault_of(ProgressUnit::columns, 4, {6}), TensorFault::kProgressStride);
  EXPECT_EQ(fault_of(static_cast<ProgressUnit>(3), 12, {2, 3}), TensorFault::kProgressUnit);
}

TEST(TensorTest, ClearsWhatAStrangerLeftBeyondTheLastDimension) {  // W-39: readers need not rely on it
  TensorHeader header = tensor(DType::u8, {2, 3, -7}, {0, 0, -9});
  header.ndims = 2;
  ASSERT_EQ(check_and_infer(header), TensorFault::kNone);
  EXPECT_EQ(header, contiguous(DType::u8, std::vector<int32_t>{2, 3}));
}

TEST(TensorTest, MeasuresFromTheFirstToOnePastTheLastElement) {  // W-47
  TensorHeader header = tensor(DType::u16, {3, 5}, {64, 4});
  ASSERT_EQ(check_and_infer(header), TensorFault::kNone);
  EXPECT_EQ(extent_bytes(header), 2u * 64 + 4 * 4 + 2);
  EXPECT_EQ(element_count(header), 15u);
  header = tensor(DType::u8, {kMaxI32, 1}, {kMaxI32, 1});  // beyond 32 bits: a typed view of it must be refused
  ASSERT_EQ(check_and_infer(header), TensorFault::kNone);
  EXPECT_EQ(extent_bytes(header), uint64_t{kMaxI32 - 1} * kMaxI32 + 1);
}

TEST(TensorTest, SaturatesOnBytesThatWereNeverChecked) {  // W-92: no overflow, whatever stands there
  TensorHeader header;
  header.dtype = DType::f64;
  header.ndims = 255;
  header.dims.fill(kMaxI32);
  header.strides.fill(-1);
  EXPECT_EQ(extent_bytes(header), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(element_count(header), std::numeric_limits<uint64_t>::max());
  EXPECT_FALSE(is_contiguous(header));
}

TEST(TensorTest, BuildsAContiguousTensorWithCompleteStrides) {
  const TensorHeader image = contiguous(DType::u16, std::vector<int32_t>{480, 640});
  EXPECT_EQ(image.ndims, 2);
  EXPECT_EQ(strides_of(image), (std::vector<int32_t>{1280, 2}));
  EXPECT_EQ(extent_bytes(image), 480u * 640 * 2);
  EXPECT_TRUE(is_contiguous(image));
  EXPECT_TRUE(is_contiguous(contiguous(DType::u16, std::vector<int32_t>{480, 640}, MajorOrder::column)));
}

TEST(TensorTest, RefusesToBuildWhatCannotBe) {
  TensorHeader none = contiguous(DType::u8, {});
  EXPECT_EQ(none.ndims, 0);
  EXPECT_EQ(check_and_infer(none), TensorFault::kNdims);
  const std::vector<int32_t> nine(9, 1);
  EXPECT_EQ(contiguous(DType::u8, nine).ndims, 0);
  TensorHeader negative = contiguous(DType::u8, std::vector<int32_t>{4, -1});
  EXPECT_EQ(check_and_infer(negative), TensorFault::kNegative);
  TensorHeader huge = contiguous(DType::f64, std::vector<int32_t>{4, kMaxI32});
  EXPECT_EQ(check_and_infer(huge), TensorFault::kStride);
}

TEST(TensorTest, HasATextForEveryFault) {
  std::set<std::string_view> texts;
  for (int fault = 0; fault <= static_cast<int>(TensorFault::kProgressStride); ++fault)
    texts.insert(text_of(static_cast<TensorFault>(fault)));
  EXPECT_EQ(texts.size(), static_cast<size_t>(TensorFault::kProgressStride) + 1);
  EXPECT_EQ(texts.count("?"), 0u);
}

// Dimensions and strides of a few steps, so that each of a tensor's addresses can be enumerated.
TensorHeader any_small_tensor() {
  TensorHeader header;
  header.dtype = static_cast<DType>(*rc::gen::inRange(1, 12));
  header.order = *rc::gen::element(MajorOrder::row, MajorOrder::column);
  header.ndims = *rc::gen::inRange<uint8_t>(1, 5);
  for (size_t i = 0; i < header.ndims; ++i) {
    header.dims[i] = *rc::gen::inRange(0, 5);
    header.strides[i] = *rc::gen::weightedOneOf<int32_t>({{2, rc::gen::just(0)}, {1, rc::gen::inRange(0, 600)}});
  }
  return header;
}

std::vector<uint64_t> addresses_of(const TensorHeader& header) {
  std::vector<uint64_t> addresses{0};
  for (size_t i = 0; i < header.ndims; ++i) {
    std::vector<uint64_t> next;
    for (const uint64_t base : addresses) {
      for (int32_t k = 0; k < header.dims[i]; ++k)
        next.push_back(base + static_cast<uint64_t>(k) * static_cast<uint64_t>(header.strides[i]));
    }
    addresses = std::move(next);
  }
  std::sort(addresses.begin(), addresses.end());
  return addresses;
}

RC_GTEST_PROP(TensorPropertyTest, NoTwoElementsOfAnAcceptedTensorOverlap, ()) {  // W-46, W-47
  TensorHeader header = any_small_tensor();
  if (check_and_infer(header) != TensorFault::kNone) return;
  const std::vector<uint64_t> addresses = addresses_of(header);
  RC_ASSERT(addresses.size() == element_count(header));
  for (size_t i = 1; i < addresses.size(); ++i) RC_ASSERT(addresses[i] - addresses[i - 1] >= element_bytes(header.dtype));
  RC_ASSERT(extent_bytes(header) == (addresses.empty() ? 0 : addresses.back() + element_bytes(header.dtype)));
  if (is_contiguous(header)) RC_ASSERT(extent_bytes(header) == element_count(header) * element_bytes(header.dtype));
}

RC_GTEST_PROP(TensorPropertyTest, CheckingTwiceChangesNothing, ()) {
  TensorHeader once = any_small_tensor();
  if (check_and_infer(once) != TensorFault::kNone) return;
  TensorHeader twice = once;
  RC_ASSERT(check_and_infer(twice) == TensorFault::kNone);
  RC_ASSERT(once == twice);
}

RC_GTEST_PROP(TensorPropertyTest, AColumnTensorIsTheMirrorOfARowTensor, ()) {  // W-46
  TensorHeader row = any_small_tensor();
  row.order = MajorOrder::row;
  TensorHeader column = row;
  column.order = MajorOrder::column;
  std::reverse(column.dims.begin(), column.dims.begin() + column.ndims);
  std::reverse(column.strides.begin(), column.strides.begin() + column.ndims);
  const TensorFault fault = check_and_infer(row);
  RC_ASSERT(check_and_infer(column) == fault);
  if (fault != TensorFault::kNone) return;
  std::reverse(column.strides.begin(), column.strides.begin() + column.ndims);
  RC_ASSERT(column.strides == row.strides);
}

}  // namespace
}  // namespace tidepool::wire::tensor_test
