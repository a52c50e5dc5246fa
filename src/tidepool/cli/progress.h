#pragma once
// One line at the bottom of a terminal that says how far a command is. Silent when stderr is no terminal.

#include <cstdint>
#include <cstdio>
#include <string>

#include "tidepool/base/clock.h"
#include "tidepool/cli/command.h"

namespace tidepool::cli {

// "[######..............]  30 % "; empty when the whole is not known.
std::string progress_bar(uint64_t done, uint64_t all);

// Thread safety: one thread.
class Progress {
 public:
  explicit Progress(const Context& context);
  ~Progress();  // wipes the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Draw what `text()` returns, at most four times a second.
  template <typename Text>
  void update(uint64_t now_ns, Text&& text) {
    if (to_ == nullptr || now_ns < next_ns_) return;
    next_ns_ = now_ns + 250 * kNsPerMs;
    draw(text());
  }

 private:
  void draw(const std::string& line);

  std::FILE* to_ = nullptr;  // nullptr: silent
  uint64_t next_ns_ = 0;
  bool drawn_ = false;
};

}  // namespace tidepool::cli
