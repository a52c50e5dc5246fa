#include "tidepool/cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace tidepool::cli {

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
