#pragma once
// Video through an ffmpeg child process that writes raw RGB frames to a pipe: ffmpeg is never linked.

#include <cstdint>
#include <string>
#include <vector>

#include "tidepool/base/bytes.h"
#include "tidepool/cli/child.h"

namespace tidepool::cli {

// The ffmpeg to run: TIDEPOOL_FFMPEG if set, else `ffmpeg` on PATH. Throws Error kNotFound saying what to install.
std::string find_ffmpeg();

struct VideoInfo {
  uint32_t width = 0;
  uint32_t height = 0;
  uint64_t frame_bytes() const noexcept { return uint64_t{width} * height * 3; }
};

// Decode the whole file and let ffmpeg itself compute the CRC-32 of each raw RGB frame: the independent decode that a demo
// or test compares with. Throws Error naming the file, with ffmpeg's own words.
struct VideoChecksums {
  VideoInfo info;
  std::vector<uint32_t> crc32;  // by frame
};
VideoChecksums video_checksums(const std::string& file);

// A decoding in progress. Thread safety: one thread.
class RawVideo {
 public:
  explicit RawVideo(std::string file);

  // Size of the frames, known after construction.
  const VideoInfo& info() const noexcept { return info_; }
  // Read the next frame straight into `to` (info().frame_bytes() long). False at the end of the file. Throws Error when
  // ffmpeg failed or stopped within a frame.
  bool read(MutableBytes to);
  // Begin again at the first frame (or at `skip_frames`).
  void rewind(uint64_t skip_frames = 0);

 private:
  void start();
  std::string ffmpeg_;
  std::string file_;
  VideoInfo info_;
  Child child_;
};

}  // namespace tidepool::cli
