#pragma once
// Where `publish` takes frames from. Each source states its tensor once and fills payloads in place; what they have in
// common is a shape, not a base class, so that the publishing loop calls nothing virtual for a frame:
//
//   const wire::TensorHeader& tensor() const;  // of every frame
//   Ready next();                              // waits until there is another frame, or there is none
//   bool fill(MutableBytes, seq, epoch);       // after kReady; false: there was none after all, or a signal came in between
//   uint64_t trace_id() const;                 // of the frame last filled: its number in the source + 1; 0: none
//
// Thread safety: one thread. next() and fill() throw Error when the source breaks.

#include <cstdint>
#include <optional>
#include <string>

#include "tidepool/cli/ffmpeg.h"
#include "tidepool/cli/npy.h"
#include "tidepool/cli/pattern.h"
#include "tidepool/wire/tensor.h"

namespace tidepool::cli {

enum class Ready : uint8_t { kReady, kEnd, kStopped };

class PatternSource {
 public:
  PatternSource(Pattern pattern, const wire::TensorHeader& tensor, uint64_t seed) noexcept;
  const wire::TensorHeader& tensor() const noexcept { return tensor_; }
  Ready next() noexcept { return Ready::kReady; }
  bool fill(MutableBytes to, uint64_t seq, uint64_t epoch) noexcept;
  uint64_t trace_id() const noexcept { return 0; }

 private:
  Pattern pattern_;
  wire::TensorHeader tensor_;
  uint64_t seed_;   // mix: the run
  uint64_t frame_ = 0;
};

class NpySource {
 public:
  NpySource(const std::string& path, bool frames_along_first_axis, bool loop);
  const wire::TensorHeader& tensor() const noexcept { return file_.tensor(); }
  Ready next() noexcept;
  bool fill(MutableBytes to, uint64_t seq, uint64_t epoch);
  uint64_t trace_id() const noexcept { return file_.frame_count() > 1 ? frame_ : 0; }

 private:
  NpyFile file_;
  bool loop_;
  uint64_t frame_ = 0;  // to be filled next
};

// Raw frames from a file descriptor: standard input. A signal ends the waiting for them.
class PipeSource {
 public:
  // `name` is for messages: "stdin".
  PipeSource(int fd, const wire::TensorHeader& tensor, std::string name);
  const wire::TensorHeader& tensor() const noexcept { return tensor_; }
  Ready next();
  bool fill(MutableBytes to, uint64_t seq, uint64_t epoch);
  uint64_t trace_id() const noexcept { return 0; }

 private:
  int fd_;
  wire::TensorHeader tensor_;
  std::string name_;
  uint64_t frames_ = 0;
  // The first byte of the next frame: read before a slot is claimed, so that the end of the pipe costs no sequence.
  std::optional<std::byte> first_byte_;
};

// Frames of a video, straight out of ffmpeg's pipe; trace_id() counts within the file, so that loops stay comparable.
class VideoSource {
 public:
  VideoSource(const std::string& path, bool loop);
  const wire::TensorHeader& tensor() const noexcept { return tensor_; }
  Ready next() noexcept { return ended_ ? Ready::kEnd : Ready::kReady; }
  // Also false at the end of the video, which only reading shows: next() then says kEnd.
  bool fill(MutableBytes to, uint64_t seq, uint64_t epoch);
  uint64_t trace_id() const noexcept { return frame_; }

 private:
  RawVideo video_;
  std::string path_;
  bool loop_;
  bool ended_ = false;
  wire::TensorHeader tensor_;
  uint64_t frame_ = 0;  // frames of this pass that were filled
};

}  // namespace tidepool::cli
