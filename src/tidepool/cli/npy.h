#pragma once
// NumPy's .npy files (format 1.0 to 3.0), read as frames and written from them.

#include <cstdint>
#include <string>
#include <vector>

#include "tidepool/base/bytes.h"
#include "tidepool/wire/tensor.h"

namespace tidepool::cli {

// The header of an .npy file. Judged: every field fits the protocol or parse_npy_header() has thrown.
struct NpyHeader {
  wire::DType dtype = wire::DType::u8;
  bool big_endian = false;     // elements must be swapped
  bool fortran_order = false;  // the first index changes fastest
  std::vector<int32_t> shape;  // empty for a scalar
  uint64_t data_offset_bytes = 0;
  uint64_t data_bytes = 0;
};

// Parse from the beginning of a file. `file_bytes` is the whole file's size. Throws Error: kCorrupt (not an .npy file, damaged,
// shorter than its header says), kUnsupported (element type, dimensions), with `name` in front.
NpyHeader parse_npy_header(Bytes beginning, uint64_t file_bytes, const std::string& name);

// An .npy file as one frame, or as one frame for each index of its first axis.
// Thread safety: one thread. The file is read frame by frame, so it may be larger than memory, unless its elements must be put
// in order (big-endian, or Fortran order cut along the first axis): then it is held in memory.
class NpyFile {
 public:
  // Throws Error, also when the array has no first axis to cut along.
  NpyFile(const std::string& path, bool frames_along_first_axis);
  NpyFile(NpyFile&& other) noexcept;
  NpyFile& operator=(NpyFile&&) = delete;
  ~NpyFile();

  const wire::TensorHeader& tensor() const noexcept { return tensor_; }
  uint64_t frame_count() const noexcept { return frame_count_; }
  uint64_t frame_bytes() const noexcept { return frame_bytes_; }
  // Fill `to` (frame_bytes() long) with frame `index`. Throws Error when the file has shrunk or cannot be read.
  void read_frame(uint64_t index, MutableBytes to) const;

 private:
  void load_in_order(const NpyHeader& header, bool along_first_axis);

  std::string path_;
  int fd_ = -1;
  wire::TensorHeader tensor_;
  uint64_t frame_count_ = 0;
  uint64_t frame_bytes_ = 0;
  uint64_t data_offset_bytes_ = 0;
  std::vector<std::byte> in_order_;
};

// Magic, version and dictionary, padded so that the data begin at a multiple of 64.
std::string npy_header_text(const wire::TensorHeader& tensor);

// Write a frame to `path`: under a temporary name first, so that `path` is never half a file. Strided payloads are packed.
// Throws Error: kInvalidArgument when the payload is shorter than the tensor's extent (W-47), else what the system says.
void write_npy(const std::string& path, const wire::TensorHeader& tensor, Bytes payload);

}  // namespace tidepool::cli
