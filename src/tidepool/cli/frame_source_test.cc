#include "tidepool/cli/frame_source.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tidepool/cli/signals.h"
#include "tidepool/cli/test_command.h"

namespace tidepool::cli::frame_source_test {
namespace {

using namespace test;

wire::TensorHeader bytes(int32_t count) {
  wire::TensorHeader tensor = wire::contiguous(wire::DType::u8, std::vector<int32_t>{count});
  EXPECT_EQ(wire::check_and_infer(tensor), wire::TensorFault::kNone);
  return tensor;
}

// All frames that a source has, each as text, with its trace id.
template <typename Source>
std::vector<std::pair<std::string, uint64_t>> all_of(Source& source, size_t limit = SIZE_MAX) {
  std::vector<std::pair<std::string, uint64_t>> out;
  while (out.size() < limit && source.next() == Ready::kReady) {
    std::string frame(static_cast<size_t>(wire::extent_bytes(source.tensor())), '?');
    if (!source.fill(std::as_writable_bytes(std::span(frame)), out.size(), 7)) continue;
    out.emplace_back(frame, source.trace_id());
  }
  return out;
}

class PipeSourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    clear_stop();
    ASSERT_EQ(::pipe2(fds_, O_CLOEXEC), 0);
  }
  void TearDown() override {
    clear_stop();
    ::close(fds_[0]);
    end();
  }
  void put(std::string_view text) { ASSERT_EQ(::write(fds_[1], text.data(), text.size()), static_cast<ssize_t>(text.size())); }
  void end() {
    if (fds_[1] >= 0) ::close(std::exchange(fds_[1], -1));
  }
  int fds_[2] = {-1, -1};
};

TEST_F(PipeSourceTest, CutsTheStreamIntoFrames) {
  PipeSource source(fds_[0], bytes(3), "stdin");
  put("abcdef");
  end();
  const auto frames = all_of(source);
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].first, "abc");
  EXPECT_EQ(frames[1].first, "def");
  EXPECT_EQ(source.next(), Ready::kEnd);
}

TEST_F(PipeSourceTest, OfOneByteFrames) {
  PipeSource source(fds_[0], bytes(1), "stdin");
  put("xy");
  end();
  EXPECT_EQ(all_of(source).size(), 2u);
}

TEST_F(PipeSourceTest, SaysWhenTheEndIsInTheMiddleOfAFrame) {
  PipeSource source(fds_[0], bytes(4), "stdin");
  put("abcdef");
  end();
  expect_error(Code::kCorrupt, "stdin ended in the middle of frame 2: 2 of 4 bytes", [&] { all_of(source); });
}

TEST_F(PipeSourceTest, ASignalEndsTheWaitForBytes) {
  PipeSource source(fds_[0], bytes(4), "stdin");
  put("ab");
  ASSERT_EQ(source.next(), Ready::kReady);
  request_stop();
  std::string frame(4, '?');
  EXPECT_FALSE(source.fill(std::as_writable_bytes(std::span(frame)), 0, 7));
  EXPECT_EQ(source.next(), Ready::kStopped);
}

TEST(PatternSourceTest, FillsWhatTheVerifierExpects) {  // P-17
  PatternSource check(Pattern::kCheck, bytes(100), 1), mix(Pattern::kMix, bytes(100), 0xABCDEF0012345678);
  std::vector<std::byte> payload(100);
  EXPECT_TRUE(check.fill(payload, 42, 7));
  EXPECT_EQ(find_check_mismatch(payload, 42), std::nullopt);
  MixJudge judge;
  EXPECT_TRUE(mix.fill(payload, 42, 7));
  EXPECT_EQ(judge.find_mismatch(payload, 7, 42), std::nullopt);
  EXPECT_TRUE(mix.fill(payload, 0, 8));
  EXPECT_EQ(judge.find_mismatch(payload, 8, 0), std::nullopt);
}

TEST(NpySourceTest, CountsItsFramesAndLoops) {
  const TemporaryDirectory directory("/tmp");
  write_npy(directory / "a.npy", [] {
    wire::TensorHeader tensor = wire::contiguous(wire::DType::u8, std::vector<int32_t>{3, 2});
    wire::check_and_infer(tensor);
    return tensor;
  }(), std::as_bytes(std::span("aAbBcC", 6)));
  using Frames = std::vector<std::pair<std::string, uint64_t>>;
  NpySource whole(directory / "a.npy", false, false), cut(directory / "a.npy", true, false), loop(directory / "a.npy", true, true);
  EXPECT_EQ(all_of(whole), (Frames{{"aAbBcC", 0}}));
  EXPECT_EQ(all_of(cut), (Frames{{"aA", 1}, {"bB", 2}, {"cC", 3}}));
  EXPECT_EQ(all_of(loop, 5), (Frames{{"aA", 1}, {"bB", 2}, {"cC", 3}, {"aA", 1}, {"bB", 2}}));
}

class VideoSourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      ffmpeg_ = find_ffmpeg();
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
    Child child = Child::start({ffmpeg_, "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc=size=32x18:rate=10", "-frames:v", "5", "-c:v", "ffv1", path_});
    ASSERT_EQ(child.wait(), 0);
  }
  TemporaryDirectory directory_{"/tmp"};
  std::string path_ = directory_ / "five.avi";
  std::string ffmpeg_;
};

TEST_F(VideoSourceTest, NumbersTheFramesOfTheFileInEveryLoop) {  // issue 3 item 5: comparable with ffmpeg's own checksums
  VideoSource once(path_, false);
  EXPECT_EQ(once.tensor().dims[0], 18);
  EXPECT_EQ(once.tensor().dims[1], 32);
  EXPECT_EQ(once.tensor().dims[2], 3);
  const auto frames = all_of(once);
  ASSERT_EQ(frames.size(), 5u);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(frames[i].second, i + 1);
  VideoSource loop(path_, true);
  const auto more = all_of(loop, 12);
  ASSERT_EQ(more.size(), 12u);
  for (size_t i = 0; i < 12; ++i) EXPECT_EQ(more[i], frames[i % 5]) << i;
}

TEST_F(VideoSourceTest, SaysWhatFfmpegSays) {
  write_file(path_, "no video at all");
  EXPECT_THROW(VideoSource(path_, false), Error);
  EXPECT_THROW(VideoSource(directory_ / "nowhere.avi", false), Error);
}

}  // namespace
}  // namespace tidepool::cli::frame_source_test
