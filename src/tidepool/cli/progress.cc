#include "tidepool/cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace tidepool::cli {

std::string progress_bar(uint64_t done, uint64_t all) {
  constexpr size_t kBarWidth = 20;
  if (all == 0) return "";
  const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(all));
  const auto full = static_cast<size_t>(part * kBarWidth);
  std::string percent = std::to_string(static_cast<unsigned>(part * 100));
  percent.insert(0, 3 - std::min<size_t>(3, percent.size()), ' ');
  return "[" + std::string(full, '#') + std::string(kBarWidth - full, '.') + "] " + percent + " % ";
}

Progress::Progress(const Context& context) {
  if (!context.quiet && ::isatty(::fileno(context.err)) == 1) to_ = context.err;
}

Progress::~Progress() {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", to_);
  std::fflush(to_);
}

void Progress::draw(const std::string& line) {
  winsize window{};
  size_t columns = 80;
  if (::ioctl(::fileno(to_), TIOCGWINSZ, &window) == 0 && window.ws_col > 0) columns = window.ws_col;
  std::fprintf(to_, "\r\x1b[K%.*s", static_cast<int>(columns - 1), line.c_str());
  std::fflush(to_);
  drawn_ = true;
}

}  // namespace tidepool::cli
