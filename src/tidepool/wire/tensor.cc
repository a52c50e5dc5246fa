#include "tidepool/wire/tensor.h"

#include <algorithm>
#include <limits>

namespace tidepool::wire {

namespace {

constexpr uint64_t kMaxStride = std::numeric_limits<int32_t>::max();

// Fill strides of 0 and check the given ones, from the innermost dimension outwards: the last one of a ROW tensor, the
// first one of a COLUMN tensor (wire.md 6.4). A dimension of 0 counts as 1, so that an empty tensor has strides too.
TensorFault infer_strides(TensorHeader& header) noexcept {
  const int last = header.ndims - 1;
  const bool row = header.order == MajorOrder::row;
  uint64_t required = element_bytes(header.dtype);
  for (int step = 0; step <= last; ++step) {
    const auto i = static_cast<size_t>(row ? last - step : step);
    uint64_t stride = static_cast<uint64_t>(header.strides[i]);
    if (stride == 0) stride = required;
    if (stride < required || stride > kMaxStride) return TensorFault::kStride;
    header.strides[i] = static_cast<int32_t>(stride);
    required = stride * static_cast<uint64_t>(std::max(header.dims[i], 1));  // < 2^31 * 2^31
  }
  return TensorFault::kNone;
}

TensorFault check_progress(const TensorHeader& header) noexcept {
  switch (header.progress_unit) {
    case ProgressUnit::none: return TensorFault::kNone;  // its stride is then meaningless
    case ProgressUnit::rows:
      return header.progress_stride_bytes == static_cast<uint32_t>(header.strides[0]) ? TensorFault::kNone
                                                                                      : TensorFault::kProgressStride;
    case ProgressUnit::columns:
      return header.ndims >= 2 && header.progress_stride_bytes == static_cast<uint32_t>(header.strides[1])
                 ? TensorFault::kNone
                 : TensorFault::kProgressStride;
  }
  return TensorFault::kProgressUnit;
}

}  // namespace

size_t element_bytes(DType dtype) noexcept {
  switch (dtype) {
    case DType::u8:
    case DType::i8:
    case DType::boolean:
    case DType::bytes:
    case DType::bit: return 1;
    case DType::u16:
    case DType::i16: return 2;
    case DType::u32:
    case DType::i32:
    case DType::f32: return 4;
    case DType::u64:
    case DType::i64:
    case DType::f64: return 8;
    case DType::unknown: break;
  }
  return 0;
}

namespace {
struct NamedDType {
  std::string_view name;
  DType dtype;
};
constexpr NamedDType kDTypeNames[] = {
    {"unknown", DType::unknown}, {"u8", DType::u8},        {"i8", DType::i8},       {"u16", DType::u16}, {"i16", DType::i16},
    {"u32", DType::u32},         {"i32", DType::i32},      {"u64", DType::u64},     {"i64", DType::i64}, {"f32", DType::f32},
    {"f64", DType::f64},         {"bool", DType::boolean}, {"bytes", DType::bytes}, {"bit", DType::bit},
};
}  // namespace

std::string_view name_of(DType dtype) noexcept {
  for (const NamedDType& named : kDTypeNames) {
    if (named.dtype == dtype) return named.name;
  }
  return "?";
}

std::optional<DType> dtype_from_name(std::string_view name) noexcept {
  for (const NamedDType& named : kDTypeNames) {
    if (named.name == name && named.dtype != DType::unknown) return named.dtype;
  }
  return std::nullopt;
}

std::string_view text_of(TensorFault fault) noexcept {
  switch (fault) {
    case TensorFault::kNone: return "none";
    case TensorFault::kDtype: return "unknown element type";
    case TensorFault::kOrder: return "order is neither row nor column";
    case TensorFault::kNdims: return "number of dimensions is not 1 to 8";
    case TensorFault::kNegative: return "negative dimension or stride";
    case TensorFault::kStride: return "stride overlaps the dimension inside it or exceeds 31 bits";
    case TensorFault::kProgressUnit: return "unknown progress unit";
    case TensorFault::kProgressStride: return "progress stride is not the stride of its rows or columns";
  }
  return "?";
}

TensorFault check_and_infer(TensorHeader& header) noexcept {
  if (element_bytes(header.dtype) == 0) return TensorFault::kDtype;
  if (header.order != MajorOrder::row && header.order != MajorOrder::column) return TensorFault::kOrder;
  if (header.ndims < 1 || header.ndims > kMaxDims) return TensorFault::kNdims;
  for (size_t i = 0; i < header.ndims; ++i) {
    if (header.dims[i] < 0 || header.strides[i] < 0) return TensorFault::kNegative;
  }
  for (size_t i = header.ndims; i < kMaxDims; ++i) header.dims[i] = header.strides[i] = 0;  // a stranger may leave old values there
  if (const TensorFault fault = infer_strides(header); fault != TensorFault::kNone) return fault;
  return check_progress(header);
}

uint64_t extent_bytes(const TensorHeader& header) noexcept {
  uint64_t extent = element_bytes(header.dtype);
  for (size_t i = 0; i < std::min<size_t>(header.ndims, kMaxDims); ++i) {
    if (header.dims[i] <= 0) return 0;
    uint64_t span = 0;
    if (__builtin_mul_overflow(static_cast<uint64_t>(header.dims[i] - 1), static_cast<uint64_t>(header.strides[i]), &span) ||
        __builtin_add_overflow(extent, span, &extent)) {
      return std::numeric_limits<uint64_t>::max();
    }
  }
  return extent;
}

uint64_t element_count(const TensorHeader& header) noexcept {
  uint64_t count = 1;
  bool saturated = false;
  for (size_t i = 0; i < std::min<size_t>(header.ndims, kMaxDims); ++i) {
    if (header.dims[i] <= 0) return 0;
    saturated = saturated || __builtin_mul_overflow(count, static_cast<uint64_t>(header.dims[i]), &count);
  }
  return saturated ? std::numeric_limits<uint64_t>::max() : count;
}

bool is_contiguous(const TensorHeader& header) noexcept {
  TensorHeader inferred = header;
  inferred.progress_unit = ProgressUnit::none;
  inferred.strides.fill(0);
  return check_and_infer(inferred) == TensorFault::kNone && inferred.strides == header.strides;
}

TensorHeader contiguous(DType dtype, std::span<const int32_t> dims, MajorOrder order) noexcept {
  TensorHeader header{.dtype = dtype, .order = order, .dims = {}, .strides = {}};
  if (dims.empty() || dims.size() > kMaxDims) return header;
  header.ndims = static_cast<uint8_t>(dims.size());
  std::copy(dims.begin(), dims.end(), header.dims.begin());
  TensorHeader inferred = header;
  return check_and_infer(inferred) == TensorFault::kNone ? inferred : header;  // faulty: the next check names the fault
}

}  // namespace tidepool::wire
