#pragma once
// NumPy's .npy files (format 1.0 to 3.0) as rows: structured arrays field by field, plain ones as one field.

#include <cstdint>
#include <string>
#include <vector>

#include "tidepool/feed/file_seam.h"
#include "tidepool/feed/schema.h"

namespace tidepool::feed {

// Where one field of an element lies in the file, and as what.
struct NpyField {
  std::string name;          // empty: of a plain array
  Type type = Type::kUint8;
  uint32_t count = 1;
  uint32_t offset = 0;       // in the element
  uint32_t bytes = 0;        // in the file
  bool swapped = false;      // big-endian
  bool utf32 = false;        // '<U8': four bytes a character, to become UTF-8
  ClockUnit time_unit = ClockUnit::kNs;
  bool is_time = false;      // datetime64
};

struct NpyLayout {
  std::vector<NpyField> fields;
  uint32_t element_bytes = 0;
  uint64_t count = 0;        // elements along the first axis
  uint64_t data_offset = 0;
};

// From the beginning of a file of `file_bytes`. Throws FeedError: kCorrupt (no .npy file, damaged, shorter than it says),
// kUnsupportedVersion, kInvalidSchema (objects, nested structures, Fortran order), naming `path`.
NpyLayout parse_npy(Bytes beginning, uint64_t file_bytes, const std::string& path);

// The header of a file of `count` elements of these fields, packed; of one field without a structure if `plain`. Its size does
// not depend on the count.
std::string npy_header(const std::vector<Field>& fields, uint64_t count, bool plain);
// "('price', '<f8')"-style type text of a field: '<f8', '|S12', '|V4'.
std::string npy_type(const Field& field);

}  // namespace tidepool::feed
