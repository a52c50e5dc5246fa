#include "tidepool/cli/frame_source.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/cli/signals.h"

namespace tidepool::cli {
namespace {

enum class PipeRead : uint8_t {
  kFull,
  kEnd,      // the pipe ended before the last byte
  kStopped,  // a signal asked the command to end
};

// Read all of `to`. Returns within 100 ms of a signal.
PipeRead read_pipe(int fd, MutableBytes to, size_t& got_bytes) {
  got_bytes = 0;
  while (got_bytes < to.size()) {
    if (stop_requested()) return PipeRead::kStopped;
    pollfd ready{fd, POLLIN, 0};
    const int polled = ::poll(&ready, 1, 100);
    if (polled < 0 && errno != EINTR) throw Error(Code::kInternal, "wait for a pipe", errno_text());
    if (polled <= 0) continue;
    const ssize_t got = ::read(fd, to.data() + got_bytes, to.size() - got_bytes);
    if (got < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      throw Error(code_of_errno(errno), "read from a pipe", errno_text());
    }
    if (got == 0) return PipeRead::kEnd;
    got_bytes += static_cast<size_t>(got);
  }
  return PipeRead::kFull;
}

}  // namespace

PatternSource::PatternSource(Pattern pattern, const wire::TensorHeader& tensor, uint64_t seed) noexcept
    : pattern_(pattern), tensor_(tensor), seed_(pattern == Pattern::kMix ? mix_run(static_cast<uint32_t>(seed)) : seed) {}

bool PatternSource::fill(MutableBytes to, uint64_t seq, uint64_t epoch) noexcept {
  switch (pattern_) {
    case Pattern::kCheck: fill_check(to, seq); break;
    case Pattern::kMix: fill_mix(to, seed_, epoch, seq); break;
    case Pattern::kRamp: fill_ramp(to, tensor_, frame_); break;
    case Pattern::kNoise: fill_noise(to, tensor_.dtype, seed_, frame_); break;
  }
  ++frame_;
  return true;
}

NpySource::NpySource(const std::string& path, bool frames_along_first_axis, bool loop) : file_(path, frames_along_first_axis), loop_(loop) {}

Ready NpySource::next() noexcept {
  if (frame_ == file_.frame_count() && loop_) frame_ = 0;
  return frame_ < file_.frame_count() ? Ready::kReady : Ready::kEnd;
}

bool NpySource::fill(MutableBytes to, uint64_t /*seq*/, uint64_t /*epoch*/) {
  file_.read_frame(frame_, to);
  ++frame_;
  return true;
}

PipeSource::PipeSource(int fd, const wire::TensorHeader& tensor, std::string name) : fd_(fd), tensor_(tensor), name_(std::move(name)) {}

Ready PipeSource::next() {
  if (first_byte_) return Ready::kReady;
  std::byte byte{};
  size_t got = 0;
  switch (read_pipe(fd_, {&byte, 1}, got)) {
    case PipeRead::kFull: first_byte_ = byte; return Ready::kReady;
    case PipeRead::kStopped: return Ready::kStopped;
    default: return Ready::kEnd;
  }
}

bool PipeSource::fill(MutableBytes to, uint64_t /*seq*/, uint64_t /*epoch*/) {
  to[0] = *std::exchange(first_byte_, std::nullopt);
  size_t got = 0;
  switch (read_pipe(fd_, to.subspan(1), got)) {
    case PipeRead::kFull: ++frames_; return true;
    case PipeRead::kStopped: return false;
    default: break;
  }
  throw Error(Code::kCorrupt, name_, " ended in the middle of frame ", frames_ + 1, ": ", got + 1, " of ", to.size(), " bytes: do --shape and --dtype fit?");
}

VideoSource::VideoSource(const std::string& path, bool loop) : video_(path), path_(path), loop_(loop) {
  const std::array<int32_t, 3> dims = {static_cast<int32_t>(video_.info().height), static_cast<int32_t>(video_.info().width), 3};
  tensor_ = wire::contiguous(wire::DType::u8, dims);
}

bool VideoSource::fill(MutableBytes to, uint64_t /*seq*/, uint64_t /*epoch*/) {
  try {
    bool filled = video_.read(to);
    if (!filled && loop_ && frame_ > 0) {
      video_.rewind();
      frame_ = 0;
      filled = video_.read(to);
    }
    if (!filled && frame_ == 0) throw Error(Code::kCorrupt, path_, " has no frames any more");
    ended_ = !filled;
    if (filled) ++frame_;
    return filled;
  } catch (const Error&) {
    if (stop_requested()) return false;  // a terminal's Ctrl-C ends ffmpeg too, wherever it is
    throw;
  }
}

}  // namespace tidepool::cli
