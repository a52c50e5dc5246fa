// Any bytes as a superblock (the first 64) and as a slot header (the first 256; short inputs are filled with zeros). Held
// against each input:
// - a superblock is all meaning: decoded and encoded it has the same bytes;
// - an accepted slot header is sound: 1 to 8 dimensions, none negative, complete strides, an extent that does not overflow
//   and equals the elements where it is contiguous;
// - an accepted slot header, encoded, differs only in what a reader ignores: commit word, pads, what lies beyond ndims, and
//   strides that were left out; it is accepted again and means the same.

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tidepool/wire/shm_layout.h"

namespace {

using namespace tidepool;
using namespace tidepool::wire;

void require(bool holds, const char* invariant) {
  if (holds) return;
  std::fprintf(stderr, "shm_layout_fuzz: broken: %s\n", invariant);
  std::abort();
}

template <size_t N>
void fill(std::byte (&to)[N], Bytes from) {
  std::fill(std::begin(to), std::end(to), std::byte{0});
  std::copy_n(from.begin(), std::min(N, from.size()), to);
}

void check_superblock(Bytes input) {
  std::byte bytes[kSuperblockBytes];
  fill(bytes, input);
  std::byte again[kSuperblockBytes];
  encode_superblock(decode_superblock(bytes), again);
  require(std::equal(std::begin(bytes), std::end(bytes), std::begin(again)), "a superblock comes back byte by byte");
}

void check_tensor(const TensorHeader& tensor) {
  require(element_bytes(tensor.dtype) != 0, "the element type is known");
  require(tensor.order == MajorOrder::row || tensor.order == MajorOrder::column, "the order is known");
  require(tensor.ndims >= 1 && tensor.ndims <= kMaxDims, "1 to 8 dimensions");
  for (size_t i = 0; i < kMaxDims; ++i) {
    require(tensor.dims[i] >= 0, "no negative dimension");
    require(i < tensor.ndims ? tensor.strides[i] > 0 : tensor.strides[i] == 0 && tensor.dims[i] == 0,
            "complete strides, nothing beyond");
  }
  const uint64_t count = element_count(tensor);
  const uint64_t extent = extent_bytes(tensor);
  require((count == 0) == (extent == 0), "empty is empty");
  require(extent < uint64_t{1} << 63, "the extent does not overflow");
  require(extent >= count, "an element takes a byte at least");
  if (is_contiguous(tensor)) require(extent == count * element_bytes(tensor.dtype), "a contiguous tensor has no holes");
}

void check_slot(Bytes input) {
  std::byte slot[kSlotBytes];
  fill(slot, input);
  SlotHeader once;
  if (decode_slot_header(slot, once) != SlotFault::kNone) return;
  check_tensor(once.tensor);

  std::byte bytes[kSlotBytes];
  encode_slot_header(once, bytes);
  const auto same = [&](size_t from, size_t to) { return std::equal(slot + from, slot + to, bytes + from); };
  require(same(8, 34) && same(60, 77) && same(78, 79), "fields come back as they were");
  require(same(83, 83 + size_t{4} * once.tensor.ndims), "dimensions come back as they were");

  SlotHeader twice;
  require(decode_slot_header(bytes, twice) == SlotFault::kNone, "an encoding decodes");
  if (once.tensor.progress_unit == ProgressUnit::none) once.tensor.progress_stride_bytes = 0;  // written as 0, whatever it was
  require(once == twice, "an encoding decodes to an equal header");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes input(reinterpret_cast<const std::byte*>(data), size);
  check_superblock(input);
  check_slot(input);
  return 0;
}
