#include "tidepool/feed/memory_hints.h"

#include <cerrno>
#include <cstring>

#include "tidepool/base/log.h"
#include "tidepool/feed/fault.h"

namespace tidepool::feed {
namespace {

std::string_view advice_on(std::string_view what) noexcept {
  if (what == "huge pages") return "a tmpfs gives them if it is mounted with huge=advise, within_size or always";
  if (what == "locked memory") return "ulimit -l says how much may be locked";
  return "Linux 5.14 and later do it";
}

}  // namespace

void MemoryHints::apply(const File& file, const FeedOptions& options, const Mapping& mapping) noexcept {
  Files& files = file.files();
  if (options.huge_pages && files.advise_huge(file.fd(), mapping.data(), mapping.size()) != 0) refused("huge pages", errno);
  if (options.lock_memory && files.lock_memory(mapping.data(), mapping.size()) != 0) refused("locked memory", errno);
}

void MemoryHints::refused(std::string_view what, int err) noexcept {
  try {
    errno = err;
    const std::string why = errno_text();
    const std::scoped_lock lock(mutex_);
    if (!refused_.emplace(what, why).second) return;
    log(LogLevel::kWarn, "feed", "feed ", feed_, ": goes on without ", what, why, ": ", advice_on(what));
  } catch (...) {  // without words then
  }
}

std::string MemoryHints::text() const {
  const std::scoped_lock lock(mutex_);
  std::string all;
  for (const auto& [what, why] : refused_) all += concat(all.empty() ? "" : "; ", what, why);
  return all;
}

}  // namespace tidepool::feed
