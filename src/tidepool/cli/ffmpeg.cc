#include "tidepool/cli/ffmpeg.h"

#include <unistd.h>

#include <charconv>
#include <cstdlib>

#include "tidepool/base/error.h"

namespace tidepool::cli {
namespace {

// The last field of "0, 12, 12, 1, 522240, daaf98b6".
bool parse_checksum(std::string_view line, uint32_t& crc) {
  const auto comma = line.rfind(',');
  if (comma == std::string_view::npos) return false;
  line.remove_prefix(comma + 1);
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), crc, 16);
  return error == std::errc() && end == line.data() + line.size();
}

bool parse_dimensions(std::string_view line, VideoInfo& info) {
  static constexpr std::string_view kPrefix = "#dimensions 0: ";
  if (!line.starts_with(kPrefix)) return false;
  line.remove_prefix(kPrefix.size());
  const char* end = line.data() + line.size();
  const auto width = std::from_chars(line.data(), end, info.width);
  if (width.ec != std::errc() || width.ptr == end || *width.ptr != 'x') return false;
  const auto height = std::from_chars(width.ptr + 1, end, info.height);
  return height.ec == std::errc() && info.width > 0 && info.height > 0 && info.frame_bytes() <= UINT32_MAX;
}

// Run framehash over (the first `limit_frames` of) the file.
VideoChecksums checksums(const std::string& ffmpeg, const std::string& file, uint64_t limit_frames) {
  std::vector<std::string> args = {ffmpeg, "-v", "error", "-nostdin", "-i", file, "-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", "rgb24"};
  if (limit_frames > 0) args.insert(args.end(), {"-frames:v", std::to_string(limit_frames)});
  args.insert(args.end(), {"-c:v", "rawvideo", "-f", "framehash", "-hash", "CRC32", "-"});
  Child child = Child::start(args, {.capture_errors = true});
  VideoChecksums out;
  for (std::string line; child.read_line(line);) {
    uint32_t crc = 0;
    if (line.starts_with('#')) {
      (void)parse_dimensions(line, out.info);
    } else if (parse_checksum(line, crc)) {
      out.crc32.push_back(crc);
    }
  }
  const int exit_code = child.wait();
  const std::string errors = child.complaints();
  if (exit_code != 0 || out.crc32.empty() || out.info.width == 0) {
    throw Error(Code::kInvalidArgument, "cannot decode ", file, ": ", errors.empty() ? "no video frames in it" : errors);
  }
  return out;
}

}  // namespace

std::string find_ffmpeg() {
  if (const char* named = std::getenv("TIDEPOOL_FFMPEG"); named != nullptr && *named != '\0') {
    if (::access(named, X_OK) != 0) throw Error(Code::kNotFound, "TIDEPOOL_FFMPEG=", named, errno_text(), ": expected an executable");
    return named;
  }
  std::string_view path = std::getenv("PATH") != nullptr ? std::getenv("PATH") : "";
  while (!path.empty()) {
    const auto colon = path.find(':');
    const std::string candidate = concat(path.substr(0, colon), "/ffmpeg");
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    path = colon == std::string_view::npos ? std::string_view{} : path.substr(colon + 1);
  }
  throw Error(Code::kNotFound, "no ffmpeg on PATH: install it (apt-get install ffmpeg) or name one in TIDEPOOL_FFMPEG");
}

VideoChecksums video_checksums(const std::string& file) {
  if (::access(file.c_str(), R_OK) != 0) throw Error(code_of_errno(errno), "open video ", file, errno_text());
  return checksums(find_ffmpeg(), file, 0);
}

RawVideo::RawVideo(std::string file) : ffmpeg_(find_ffmpeg()), file_(std::move(file)) {
  if (::access(file_.c_str(), R_OK) != 0) throw Error(code_of_errno(errno), "open video ", file_, errno_text());
  info_ = checksums(ffmpeg_, file_, 1).info;
  start();
}

void RawVideo::start() {
  child_ = Child::start({ffmpeg_, "-v", "error", "-nostdin", "-i", file_, "-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", "rgb24",
                         "-f", "rawvideo", "-"},
                        {.capture_errors = true});
}

bool RawVideo::read(MutableBytes to) {
  const size_t wanted = info_.frame_bytes();
  if (to.size() < wanted) throw Error(Code::kInvalidArgument, "a frame of ", file_, " takes ", wanted, " bytes, ", to.size(), " given");
  const size_t got = child_.read_fully(to.data(), wanted);
  if (got == wanted) return true;
  const std::string errors = child_.complaints();
  if (got != 0 || !errors.empty()) throw Error(Code::kCorrupt, "decoding ", file_, " stopped within a frame: ", errors);
  return false;
}

void RawVideo::rewind(uint64_t skip_frames) {
  start();
  std::vector<std::byte> scratch(skip_frames > 0 ? info_.frame_bytes() : 0);
  for (uint64_t i = 0; i < skip_frames; ++i) {
    if (!read(scratch)) throw Error(Code::kInvalidArgument, file_, " has only ", i, " frames: cannot skip ", skip_frames);
  }
}

}  // namespace tidepool::cli
