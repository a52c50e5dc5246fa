#pragma once
// What a frame's bytes mean: element type, order, dimensions, strides (wire.md 4, 6.4). Public; no SBE in here.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>

namespace tidepool::wire {

inline constexpr size_t kMaxDims = 8;

enum class DType : int16_t {
  unknown = 0,
  u8 = 1,
  i8 = 2,
  u16 = 3,
  i16 = 4,
  u32 = 5,
  i32 = 6,
  u64 = 7,
  i64 = 8,
  f32 = 9,
  f64 = 10,
  boolean = 11,
  bytes = 13,
  bit = 14,  // 12 is unassigned
};
enum class MajorOrder : int16_t { unknown = 0, row = 1, column = 2 };
enum class ProgressUnit : uint8_t { none = 0, rows = 1, columns = 2 };

// Size of one element in bytes: 1, 2, 4 or 8; 0 for a value outside the enumeration or unknown.
size_t element_bytes(DType dtype) noexcept;
// "u8", "f32", ... as on the command line and in JSON; "?" for a value outside the enumeration.
std::string_view name_of(DType dtype) noexcept;
std::optional<DType> dtype_from_name(std::string_view name) noexcept;

// Shape and element type as a producer states them. `strides` are bytes per step; 0 means contiguous.
struct TensorHeader {
  DType dtype = DType::u8;
  MajorOrder order = MajorOrder::row;
  uint8_t ndims = 0;  // 1..8
  ProgressUnit progress_unit = ProgressUnit::none;
  uint32_t progress_stride_bytes = 0;
  std::array<int32_t, kMaxDims> dims{};     // entries at and beyond ndims are 0
  std::array<int32_t, kMaxDims> strides{};  // likewise

  bool operator==(const TensorHeader&) const = default;
};

// Why a tensor header is refused (W-43, W-46).
enum class TensorFault : uint8_t {
  kNone,
  kDtype,
  kOrder,
  kNdims,
  kNegative,
  kStride,
  kProgressUnit,
  kProgressStride,
};
std::string_view text_of(TensorFault fault) noexcept;

// Check `header` by wire.md 6.4 and fill strides of 0 by inference, in 64-bit arithmetic. On kNone `header.strides` is
// complete (a stride that does not fit 31 bits is kStride). Never throws; safe on any bytes.
TensorFault check_and_infer(TensorHeader& header) noexcept;

// Bytes from the first to one past the last element (0 if any dimension is 0). Call after check_and_infer().
uint64_t extent_bytes(const TensorHeader& header) noexcept;
// Product of the dimensions (saturating).
uint64_t element_count(const TensorHeader& header) noexcept;
// Strides are exactly the inferred ones: the elements fill the extent without holes.
bool is_contiguous(const TensorHeader& header) noexcept;

// A contiguous tensor: {480, 640}, DType::u16. ndims 0 (invalid) if there are none or more than 8 dimensions.
TensorHeader contiguous(DType dtype, std::span<const int32_t> dims, MajorOrder order = MajorOrder::row) noexcept;

}  // namespace tidepool::wire
