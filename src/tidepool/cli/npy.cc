#include "tidepool/cli/npy.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"

namespace tidepool::cli {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr uint64_t kMaxHeaderBytes = 1 << 20;  // a plain array's header is below 200 bytes

struct Descr {
  std::string_view text;  // without the byte order
  wire::DType dtype;
};
constexpr std::array kDescrs = {
    Descr{"b1", wire::DType::boolean}, Descr{"u1", wire::DType::u8},  Descr{"i1", wire::DType::i8},  Descr{"u2", wire::DType::u16},
    Descr{"i2", wire::DType::i16},     Descr{"u4", wire::DType::u32}, Descr{"i4", wire::DType::i32}, Descr{"u8", wire::DType::u64},
    Descr{"i8", wire::DType::i64},     Descr{"f4", wire::DType::f32}, Descr{"f8", wire::DType::f64}};

// Reads the header's Python dictionary: string keys, values that are strings, True or False, or tuples of integers.
class Dictionary {
 public:
  Dictionary(std::string_view text, const std::string& name) : text_(text), name_(name) { parse(); }

  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<uint64_t>> shape;

 private:
  [[noreturn]] void refuse(std::string_view why) const { throw Error(Code::kCorrupt, name_, ": damaged .npy header: ", why); }

  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
  }
  bool take(char c) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) refuse(concat("expected '", c, "' at byte ", at_, " of the dictionary"));
  }
  bool take_word(std::string_view word) {
    skip_blanks();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  std::string string() {
    skip_blanks();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') refuse("expected a string");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) refuse("a string does not end");
    std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }
  std::vector<uint64_t> tuple() {
    std::vector<uint64_t> values;
    expect('(');
    while (!take(')')) {
      skip_blanks();
      uint64_t value = 0;
      const char* begin = text_.data() + at_;
      const auto [stop, error] = std::from_chars(begin, text_.data() + text_.size(), value);
      if (error != std::errc{}) refuse("expected a number in 'shape'");
      at_ += static_cast<size_t>(stop - begin);
      take('L');  // Python 2 wrote 3L
      values.push_back(value);
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return values;
  }

  void parse() {
    expect('{');
    while (!take('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr") {
        skip_blanks();
        if (at_ < text_.size() && text_[at_] == '[') {
          throw Error(Code::kUnsupported, name_, ": a structured array: save one field at a time, e.g. np.save(path, a['field'])");
        }
        descr = string();
      } else if (key == "fortran_order") {
        if (take_word("True")) {
          fortran_order = true;
        } else if (take_word("False")) {
          fortran_order = false;
        } else {
          refuse("'fortran_order' is neither True nor False");
        }
      } else if (key == "shape") {
        shape = tuple();
      } else {
        refuse(concat("unknown key '", printable(key, 32), "'"));
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    if (!descr || !fortran_order || !shape) refuse("'descr', 'fortran_order' or 'shape' is missing");
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
};

uint64_t element_count(const std::vector<int32_t>& shape) noexcept {
  uint64_t count = 1;
  for (const int32_t dim : shape) {
    if (__builtin_mul_overflow(count, static_cast<uint64_t>(dim), &count)) return UINT64_MAX;
  }
  return count;
}

void copy_element(std::byte* to, const std::byte* from, size_t bytes, bool swap) noexcept {
  if (swap) {
    std::reverse_copy(from, from + bytes, to);
  } else {
    std::copy(from, from + bytes, to);
  }
}

void read_exactly(int fd, std::byte* to, uint64_t bytes, uint64_t offset, const std::string& path) {
  while (bytes > 0) {
    const ssize_t got = ::pread(fd, to, static_cast<size_t>(bytes), static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) continue;
      throw Error(code_of_errno(errno), "read ", path, errno_text());
    }
    if (got == 0) throw Error(Code::kCorrupt, path, " became shorter while it was read");
    to += got;
    bytes -= static_cast<uint64_t>(got);
    offset += static_cast<uint64_t>(got);
  }
}

// Elements in the tensor's own order (row- or column-major), without the holes that strides leave.
std::vector<std::byte> packed(const wire::TensorHeader& tensor, Bytes payload) {
  const size_t element = wire::element_bytes(tensor.dtype);
  std::vector<std::byte> out(static_cast<size_t>(wire::element_count(tensor)) * element);
  std::array<int32_t, wire::kMaxDims> index{};
  for (size_t at = 0; at < out.size(); at += element) {
    uint64_t offset = 0;
    for (size_t d = 0; d < tensor.ndims; ++d) offset += static_cast<uint64_t>(index[d]) * static_cast<uint64_t>(tensor.strides[d]);
    std::copy_n(payload.data() + offset, element, out.data() + at);
    for (size_t step = 0; step < tensor.ndims; ++step) {  // the fastest dimension first
      const size_t d = tensor.order == wire::MajorOrder::column ? step : tensor.ndims - 1 - step;
      if (++index[d] < tensor.dims[d]) break;
      index[d] = 0;
    }
  }
  return out;
}

}  // namespace

NpyHeader parse_npy_header(Bytes beginning, uint64_t file_bytes, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(beginning.data()), beginning.size());
  if (!text.starts_with(kMagic)) throw Error(Code::kCorrupt, name, ": not an .npy file (it does not begin with \\x93NUMPY)");
  if (text.size() < 10) throw Error(Code::kCorrupt, name, ": cut short within the .npy header");
  const auto major = static_cast<uint8_t>(text[6]);
  if (major < 1 || major > 3) throw Error(Code::kUnsupported, name, ": .npy format ", int{major}, ": 1 to 3 are known");
  const size_t length_bytes = major == 1 ? 2 : 4;
  if (text.size() < 8 + length_bytes) throw Error(Code::kCorrupt, name, ": cut short within the .npy header");
  const uint64_t header_bytes = major == 1 ? load<uint16_t>(text.data() + 8) : load<uint32_t>(text.data() + 8);
  if (header_bytes > kMaxHeaderBytes) throw Error(Code::kCorrupt, name, ": .npy header of ", header_bytes, " bytes: at most ", kMaxHeaderBytes, " make sense");
  NpyHeader header;
  header.data_offset_bytes = 8 + length_bytes + header_bytes;
  if (text.size() < header.data_offset_bytes) throw Error(Code::kCorrupt, name, ": cut short within the .npy header");

  const Dictionary dictionary(text.substr(8 + length_bytes, static_cast<size_t>(header_bytes)), name);
  const std::string& descr = *dictionary.descr;
  const char order = descr.empty() ? '\0' : descr[0];
  const auto* found = std::find_if(kDescrs.begin(), kDescrs.end(), [&](const Descr& known) { return descr.size() > 1 && known.text == descr.substr(1); });
  if (found == kDescrs.end() || (order != '<' && order != '>' && order != '|' && order != '=')) {
    throw Error(Code::kUnsupported, name, ": element type '", printable(descr, 32),
                "' has no counterpart: convert it first, e.g. np.save(path, a.astype('<f4'))");
  }
  header.dtype = found->dtype;
  header.big_endian = order == '>' && wire::element_bytes(header.dtype) > 1;
  header.fortran_order = *dictionary.fortran_order;
  for (const uint64_t dim : *dictionary.shape) {
    if (dim > INT32_MAX) throw Error(Code::kUnsupported, name, ": a dimension of ", dim, ": at most 2147483647 fit the protocol");
    header.shape.push_back(static_cast<int32_t>(dim));
  }
  uint64_t data_bytes = 0;
  if (__builtin_mul_overflow(element_count(header.shape), uint64_t{wire::element_bytes(header.dtype)}, &data_bytes) ||
      data_bytes > file_bytes - header.data_offset_bytes) {
    throw Error(Code::kCorrupt, name, ": cut short: the header promises more data than the file's ", file_bytes - header.data_offset_bytes, " bytes");
  }
  header.data_bytes = data_bytes;
  return header;
}

NpyFile::NpyFile(const std::string& path, bool frames_along_first_axis) : path_(path) {
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) throw Error(code_of_errno(errno), "open ", path, errno_text());
  try {
    struct stat status {};
    if (::fstat(fd_, &status) != 0) throw Error(code_of_errno(errno), "stat ", path, errno_text());
    if (!S_ISREG(status.st_mode)) throw Error(Code::kInvalidArgument, path, ": not a regular file");
    const auto file_bytes = static_cast<uint64_t>(status.st_size);
    std::vector<std::byte> beginning(static_cast<size_t>(std::min<uint64_t>(file_bytes, 12 + kMaxHeaderBytes)));
    read_exactly(fd_, beginning.data(), beginning.size(), 0, path);
    const NpyHeader header = parse_npy_header(beginning, file_bytes, path);

    std::vector<int32_t> frame_shape = header.shape;
    frame_count_ = 1;
    if (frames_along_first_axis) {
      if (frame_shape.empty()) throw Error(Code::kInvalidArgument, path, ": a scalar has no first axis: leave --frames-along-first-axis out");
      frame_count_ = static_cast<uint64_t>(frame_shape.front());
      frame_shape.erase(frame_shape.begin());
    }
    if (frame_shape.empty()) frame_shape.push_back(1);
    if (frame_shape.size() > wire::kMaxDims) {
      throw Error(Code::kUnsupported, path, ": frames of ", frame_shape.size(), " dimensions: at most ", wire::kMaxDims, " fit the protocol");
    }
    const auto order = header.fortran_order ? wire::MajorOrder::column : wire::MajorOrder::row;
    tensor_ = wire::contiguous(header.dtype, frame_shape, order);
    if (const auto fault = wire::check_and_infer(tensor_); fault != wire::TensorFault::kNone) {
      throw Error(Code::kUnsupported, path, ": frames of this shape do not fit the protocol: ", wire::text_of(fault));
    }
    frame_bytes_ = wire::extent_bytes(tensor_);
    data_offset_bytes_ = header.data_offset_bytes;
    if (frame_bytes_ > UINT32_MAX) throw Error(Code::kUnsupported, path, ": frames of ", frame_bytes_, " bytes: at most 4 GiB - 1 fit the protocol");
    if (header.big_endian || (header.fortran_order && frames_along_first_axis && frame_count_ > 1)) load_in_order(header, frames_along_first_axis);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

NpyFile::NpyFile(NpyFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), tensor_(other.tensor_), frame_count_(other.frame_count_),
      frame_bytes_(other.frame_bytes_), data_offset_bytes_(other.data_offset_bytes_), in_order_(std::move(other.in_order_)) {}

NpyFile::~NpyFile() {
  if (fd_ >= 0) ::close(fd_);
}

void NpyFile::load_in_order(const NpyHeader& header, bool along_first_axis) {
  std::vector<std::byte> data(static_cast<size_t>(header.data_bytes));
  read_exactly(fd_, data.data(), data.size(), data_offset_bytes_, path_);
  const size_t element = wire::element_bytes(header.dtype);
  const size_t frame_elements = static_cast<size_t>(frame_bytes_) / element;
  const bool interleaved = header.fortran_order && along_first_axis;  // element e of frame k lies at e * frames + k
  in_order_.resize(data.size());
  for (size_t frame = 0; frame < frame_count_; ++frame) {
    for (size_t e = 0; e < frame_elements; ++e) {
      const size_t from = interleaved ? e * frame_count_ + frame : frame * frame_elements + e;
      copy_element(in_order_.data() + (frame * frame_elements + e) * element, data.data() + from * element, element, header.big_endian);
    }
  }
}

void NpyFile::read_frame(uint64_t index, MutableBytes to) const {
  if (index >= frame_count_ || to.size() != frame_bytes_) throw Error(Code::kInternal, path_, ": frame ", index, " of ", frame_count_, " asked for");
  if (to.empty()) return;
  if (!in_order_.empty()) {
    std::copy_n(in_order_.data() + index * frame_bytes_, to.size(), to.data());
  } else {
    read_exactly(fd_, to.data(), to.size(), data_offset_bytes_ + index * frame_bytes_, path_);
  }
}

std::string npy_header_text(const wire::TensorHeader& tensor) {
  std::string_view descr = "u1";  // bytes and bit: raw
  for (const Descr& known : kDescrs) {
    if (known.dtype == tensor.dtype) descr = known.text;
  }
  std::string shape;
  for (size_t d = 0; d < tensor.ndims; ++d) shape += fmt::format("{}, ", tensor.dims[d]);
  if (tensor.ndims > 1) shape.resize(shape.size() - 2);  // "(3,)" but "(3, 4)"
  if (tensor.ndims == 1) shape.pop_back();
  std::string dictionary = fmt::format("{{'descr': '{}{}', 'fortran_order': {}, 'shape': ({}), }}", descr.ends_with('1') ? '|' : '<', descr,
                                       tensor.order == wire::MajorOrder::column ? "True" : "False", shape);
  // 10 bytes of preamble; the dictionary ends with a newline on a multiple of 64.
  dictionary.append(63 - (10 + dictionary.size()) % 64, ' ');
  dictionary += '\n';
  std::string out(kMagic);
  out += '\x01';
  out += '\x00';
  out += static_cast<char>(dictionary.size() & 0xff);
  out += static_cast<char>(dictionary.size() >> 8);
  return out + dictionary;
}

void write_npy(const std::string& path, const wire::TensorHeader& tensor, Bytes payload) {
  const uint64_t extent = wire::extent_bytes(tensor);
  if (extent > payload.size()) {
    throw Error(Code::kInvalidArgument, "write ", path, ": the frame holds ", payload.size(), " bytes, its shape needs ", extent);
  }
  std::vector<std::byte> gathered;
  Bytes data = payload.first(static_cast<size_t>(extent));
  if (!wire::is_contiguous(tensor)) {
    gathered = packed(tensor, payload);
    data = gathered;
  }
  const std::string header = npy_header_text(tensor);
  const std::string partial = fmt::format("{}.{}.partial", path, ::getpid());
  const int fd = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (fd < 0) throw Error(code_of_errno(errno), "write ", partial, errno_text());
  int failed = 0;
  const auto put = [&](const std::byte* from, size_t bytes) {
    while (bytes > 0 && failed == 0) {
      const ssize_t written = ::write(fd, from, bytes);
      if (written >= 0) {
        from += written;
        bytes -= static_cast<size_t>(written);
      } else if (errno != EINTR) {
        failed = errno;
      }
    }
  };
  put(reinterpret_cast<const std::byte*>(header.data()), header.size());
  put(data.data(), data.size());
  if (::close(fd) != 0 && failed == 0) failed = errno;
  if (failed == 0 && ::rename(partial.c_str(), path.c_str()) != 0) failed = errno;
  if (failed != 0) {
    ::unlink(partial.c_str());
    throw Error(code_of_errno(failed), "write ", path, errno_text(failed));
  }
}

}  // namespace tidepool::cli
