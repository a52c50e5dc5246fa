#include "tidepool/cli/npy.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "tidepool/cli/test_command.h"

namespace tidepool::cli::npy_test {
namespace {

using namespace test;
using Buffer = std::vector<std::byte>;

// A file as NumPy writes it: format `major`, `dictionary` padded with blanks and a newline to a multiple of 64.
std::string npy(int major, std::string dictionary, std::string_view data) {
  const size_t preamble = major == 1 ? 10 : 12;
  dictionary.append(63 - (preamble + dictionary.size()) % 64, ' ');
  dictionary += '\n';
  std::string out("\x93NUMPY");
  out += static_cast<char>(major);
  out += '\0';
  for (size_t i = 0; i < preamble - 8; ++i) out += static_cast<char>(dictionary.size() >> (8 * i) & 0xff);
  return out + dictionary + std::string(data);
}

std::string counting(size_t bytes) {
  std::string out(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) out[i] = static_cast<char>(i);
  return out;
}

wire::TensorHeader tensor_of(wire::DType dtype, std::vector<int32_t> dims, wire::MajorOrder order = wire::MajorOrder::row) {
  wire::TensorHeader tensor = wire::contiguous(dtype, dims, order);
  EXPECT_EQ(wire::check_and_infer(tensor), wire::TensorFault::kNone);
  return tensor;
}

class NpyTest : public ::testing::Test {
 protected:
  TemporaryDirectory directory_{"/tmp"};
  std::string path_ = directory_ / "a.npy";

  NpyFile open(std::string_view content, bool along_first_axis = false) {
    write_file(path_, content);
    return NpyFile(path_, along_first_axis);
  }
  static std::string frame(const NpyFile& file, uint64_t index) {
    std::string out(static_cast<size_t>(file.frame_bytes()), '?');
    file.read_frame(index, std::as_writable_bytes(std::span(out)));
    return out;
  }
};

TEST_F(NpyTest, ReadsEveryElementTypeThatTheProtocolHas) {
  const std::pair<const char*, wire::DType> types[] = {
      {"|b1", wire::DType::boolean}, {"|u1", wire::DType::u8}, {"|i1", wire::DType::i8},  {"<u2", wire::DType::u16}, {"<i2", wire::DType::i16}, {"<u4", wire::DType::u32},
      {"<i4", wire::DType::i32},     {"<u8", wire::DType::u64}, {"<i8", wire::DType::i64}, {"<f4", wire::DType::f32}, {"<f8", wire::DType::f64}};
  for (const auto& [descr, dtype] : types) {
    const std::string data = counting(6 * wire::element_bytes(dtype));
    const NpyFile file = open(npy(1, std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (2, 3), }", data));
    EXPECT_EQ(file.tensor().dtype, dtype);
    EXPECT_EQ(file.tensor().order, wire::MajorOrder::row);
    EXPECT_EQ(file.tensor().ndims, 2);
    EXPECT_EQ(file.tensor().dims[0], 2);
    EXPECT_EQ(file.tensor().dims[1], 3);
    EXPECT_EQ(file.frame_count(), 1u);
    EXPECT_EQ(frame(file, 0), data) << descr;
  }
}

TEST_F(NpyTest, ReadsAllThreeFormatsAndLenientDictionaries) {
  for (const int major : {1, 2, 3}) EXPECT_EQ(frame(open(npy(major, "{'descr': '|u1', 'fortran_order': False, 'shape': (5,), }", "abcde")), 0), "abcde");
  EXPECT_EQ(frame(open(npy(1, R"({"shape":(5L,),"fortran_order":True,"descr":"|u1"})", "abcde")), 0), "abcde");
}

TEST_F(NpyTest, ReadsScalarsEmptyArraysAndColumnMajorOnes) {
  const NpyFile scalar = open(npy(1, "{'descr': '<u2', 'fortran_order': False, 'shape': (), }", "ab"));
  EXPECT_EQ(scalar.tensor().ndims, 1);
  EXPECT_EQ(scalar.tensor().dims[0], 1);
  EXPECT_EQ(frame(scalar, 0), "ab");
  const NpyFile empty = open(npy(1, "{'descr': '<u2', 'fortran_order': False, 'shape': (0, 3), }", ""));
  EXPECT_EQ(empty.frame_bytes(), 0u);
  EXPECT_EQ(frame(empty, 0), "");
  const NpyFile fortran = open(npy(1, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", "adbecf"));
  EXPECT_EQ(fortran.tensor().order, wire::MajorOrder::column);
  EXPECT_EQ(frame(fortran, 0), "adbecf");  // as it lies: the header says how
}

TEST_F(NpyTest, CutsFramesAlongTheFirstAxis) {
  const NpyFile rows = open(npy(1, "{'descr': '<u2', 'fortran_order': False, 'shape': (3, 2), }", "aAbBcCdDeEfF"), true);
  EXPECT_EQ(rows.frame_count(), 3u);
  EXPECT_EQ(rows.tensor().ndims, 1);
  EXPECT_EQ(frame(rows, 0) + "|" + frame(rows, 2), "aAbB|eEfF");
  // Column-major: element (frame, i, j) lies at frame + 2 i + 2 * 2 j.
  const NpyFile columns = open(npy(1, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2, 3), }", "aAbBcCdDeEfF"), true);
  EXPECT_EQ(columns.frame_count(), 2u);
  EXPECT_EQ(columns.tensor().order, wire::MajorOrder::column);
  EXPECT_EQ(frame(columns, 0) + "|" + frame(columns, 1), "abcdef|ABCDEF");
  const NpyFile scalars = open(npy(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }", "abcd"), true);
  EXPECT_EQ(scalars.frame_count(), 4u);
  EXPECT_EQ(frame(scalars, 3), "d");
}

TEST_F(NpyTest, SwapsBigEndianElements) {
  EXPECT_EQ(frame(open(npy(1, "{'descr': '>u4', 'fortran_order': False, 'shape': (2,), }", "abcdefgh")), 0), "dcbahgfe");
  EXPECT_EQ(frame(open(npy(1, "{'descr': '>f8', 'fortran_order': False, 'shape': (2, 1), }", "abcdefghijklmnop"), true), 1), "ponmlkji");
}

TEST_F(NpyTest, SaysWhatIsWrongWithAFile) {
  const auto refuses = [&](Code code, std::string_view fragment, std::string_view content, bool along = false) {
    expect_error(code, fragment, [&] { open(content, along); });
  };
  refuses(Code::kCorrupt, "not an .npy file", "PNG");
  refuses(Code::kCorrupt, "not an .npy file", "");
  refuses(Code::kUnsupported, "format 4", npy(4, "{}", ""));
  refuses(Code::kCorrupt, "missing", npy(1, "{'descr': '<f4', 'shape': (1,)}", "abcd"));
  refuses(Code::kCorrupt, "unknown key 'x", npy(1, "{'x\x01': '<f4'}", ""));
  refuses(Code::kUnsupported, "'|O'", npy(1, "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "abcdefgh"));
  refuses(Code::kUnsupported, "'<f2'", npy(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (1,)}", "ab"));
  refuses(Code::kUnsupported, "structured", npy(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "abcd"));
  refuses(Code::kCorrupt, "cut short", npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "abcdefg"));
  refuses(Code::kCorrupt, "cut short", npy(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2147483647, 2147483647, 2147483647)}", "abcdefg"));
  refuses(Code::kUnsupported, "dimension of 4294967296", npy(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (4294967296,)}", ""));
  refuses(Code::kUnsupported, "9 dimensions", npy(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1)}", "a"));
  refuses(Code::kInvalidArgument, "no first axis", npy(1, "{'descr': '|u1', 'fortran_order': False, 'shape': ()}", "a"), true);
  refuses(Code::kCorrupt, "expected a number", npy(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}", "a"));
  refuses(Code::kCorrupt, "does not end", npy(1, "{'descr", ""));
  std::string huge = npy(2, "{}", "");
  huge[11] = '\x7f';
  refuses(Code::kCorrupt, "make sense", huge);
  expect_error(Code::kNotFound, "nowhere.npy", [&] { NpyFile(directory_ / "nowhere.npy", false); });
  expect_error(Code::kInvalidArgument, "not a regular file", [&] { NpyFile(directory_.path(), false); });
}

TEST_F(NpyTest, RefusesAFileThatIsCutAnywhere) {
  const std::string whole = npy(1, "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }", counting(12));
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const std::string cut = whole.substr(0, bytes);
    EXPECT_THROW(parse_npy_header(std::as_bytes(std::span(cut)), cut.size(), "cut"), Error) << bytes;
  }
  EXPECT_NO_THROW(parse_npy_header(std::as_bytes(std::span(whole)), whole.size(), "whole"));
}

TEST_F(NpyTest, NoticesAFileThatShrinksWhileItIsRead) {
  const NpyFile file = open(npy(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 8), }", counting(16)), true);
  ASSERT_EQ(::truncate(path_.c_str(), 140), 0);
  expect_error(Code::kCorrupt, "became shorter", [&] { frame(file, 1); });
}

RC_GTEST_PROP(NpyHeaderTest, AnyBytesAreAHeaderOrAnError, (const std::string& tail)) {
  const std::string text = "\x93NUMPY\x01" + std::string(1, '\0') + tail;
  try {
    const NpyHeader header = parse_npy_header(std::as_bytes(std::span(text)), text.size(), "random");
    RC_ASSERT(header.data_offset_bytes + header.data_bytes <= text.size());
  } catch (const Error&) {
  }
}

RC_GTEST_PROP(NpyHeaderTest, ADamagedDictionaryIsAHeaderOrAnError, ()) {
  std::string text = npy(1, "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }", counting(12));
  for (int i = 0; i < 3; ++i) text[*rc::gen::inRange<size_t>(8, text.size())] = *rc::gen::arbitrary<char>();
  try {
    const NpyHeader header = parse_npy_header(std::as_bytes(std::span(text)), text.size(), "damaged");
    RC_ASSERT(header.data_offset_bytes + header.data_bytes <= text.size());
  } catch (const Error&) {
  }
}

TEST_F(NpyTest, WritesWhatItReads) {
  using enum wire::DType;
  for (const auto dtype : {u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, boolean}) {
    for (const auto& dims : std::vector<std::vector<int32_t>>{{7}, {2, 3}, {0, 4}, {1, 2, 3, 1, 2, 1, 1, 2}}) {
      const auto tensor = tensor_of(dtype, dims);
      const std::string data = counting(static_cast<size_t>(wire::extent_bytes(tensor)));
      write_npy(path_, tensor, std::as_bytes(std::span(data)));
      const NpyFile file(path_, false);
      EXPECT_EQ(file.tensor(), tensor);
      EXPECT_EQ(frame(file, 0), data);
    }
  }
}

TEST_F(NpyTest, WritesTheHeaderThatNumPyWrites) {
  const std::string header = npy_header_text(tensor_of(wire::DType::f32, {2, 3}));
  EXPECT_EQ(header.size() % 64, 0u);
  EXPECT_EQ(header, npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", ""));
  EXPECT_EQ(npy_header_text(tensor_of(wire::DType::boolean, {3})), npy(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", ""));
  EXPECT_EQ(npy_header_text(tensor_of(wire::DType::bytes, {3, 1}, wire::MajorOrder::column)), npy(1, "{'descr': '|u1', 'fortran_order': True, 'shape': (3, 1), }", ""));
}

TEST_F(NpyTest, PacksStridedFrames) {
  wire::TensorHeader rows = wire::contiguous(wire::DType::u8, std::vector<int32_t>{2, 3});
  rows.strides = {4, 1};  // one byte of padding after each row
  ASSERT_EQ(wire::check_and_infer(rows), wire::TensorFault::kNone);
  const std::string data = "abc.def";
  write_npy(path_, rows, std::as_bytes(std::span(data)));
  EXPECT_EQ(frame(NpyFile(path_, false), 0), "abcdef");

  wire::TensorHeader columns = wire::contiguous(wire::DType::u8, std::vector<int32_t>{2, 3}, wire::MajorOrder::column);
  columns.strides = {1, 3};
  ASSERT_EQ(wire::check_and_infer(columns), wire::TensorFault::kNone);
  const std::string padded = "ad.be.cf";
  write_npy(path_, columns, std::as_bytes(std::span(padded)));
  const NpyFile file(path_, false);
  EXPECT_EQ(file.tensor().order, wire::MajorOrder::column);
  EXPECT_EQ(frame(file, 0), "adbecf");
}

TEST_F(NpyTest, RefusesAFrameShorterThanItsShape) {  // W-47
  const std::string data = counting(5);
  expect_error(Code::kInvalidArgument, "holds 5 bytes, its shape needs 6", [&] { write_npy(path_, tensor_of(wire::DType::u8, {2, 3}), std::as_bytes(std::span(data))); });
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(NpyTest, LeavesNothingHalfWritten) {
  const std::string data = counting(6);
  const auto tensor = tensor_of(wire::DType::u8, {2, 3});
  expect_error(Code::kNotFound, "nowhere", [&] { write_npy(directory_ / "nowhere/a.npy", tensor, std::as_bytes(std::span(data))); });
  std::filesystem::create_directory(directory_ / "taken.npy");  // the rename onto it fails
  EXPECT_THROW(write_npy(directory_ / "taken.npy", tensor, std::as_bytes(std::span(data))), Error);
  size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory_.path())) ++entries;
  EXPECT_EQ(entries, 1u);
}

}  // namespace
}  // namespace tidepool::cli::npy_test
