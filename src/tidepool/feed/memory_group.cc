#include "tidepool/feed/memory_group.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>

#include "tidepool/base/error.h"
#include "tidepool/feed/file_seam.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kNoLimit = ~uint64_t{0};
constexpr uint64_t kUnlimitedAbove = uint64_t{1} << 60;  // version 1 writes "no limit" as a large number
constexpr size_t kDepthMax = 64;

std::optional<uint64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;  // also "max"
}

// Of memory.stat: file pages, which the kernel takes back before it kills. Shared memory is not among them.
uint64_t reclaimable_in(const std::string& path, std::string_view prefix) {
  std::ifstream file(path);
  std::string key;
  uint64_t value = 0, sum = 0;
  while (file >> key >> value) {
    if (key == concat(prefix, "inactive_file") || key == concat(prefix, "active_file")) sum += value;
  }
  return sum;
}

struct Names {
  const char* limit;
  const char* used;
  const char* stat_prefix;
};

uint64_t left_of(const std::string& directory, const Names& names) {
  const auto limit = number_in(concat(directory, "/", names.limit));
  const auto used = number_in(concat(directory, "/", names.used));
  if (!limit || !used || *limit >= kUnlimitedAbove) return kNoLimit;
  const uint64_t reclaimable = std::min(*used, reclaimable_in(concat(directory, "/memory.stat"), names.stat_prefix));
  const uint64_t held = *used - reclaimable;
  return *limit > held ? *limit - held : 0;
}

}  // namespace

uint64_t memory_left_in(const std::string& membership, const std::string& mount, std::string& group) {
  uint64_t least = kNoLimit;
  std::istringstream lines(membership);
  for (std::string line; std::getline(lines, line);) {  // "4:memory:/a/b" or "0::/a/b"
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool unified = controllers == ",,";
    if (!unified && controllers.find(",memory,") == std::string::npos) continue;
    const Names names = unified ? Names{"memory.max", "memory.current", ""} : Names{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_"};
    const std::string top = unified ? mount : concat(mount, "/memory");
    std::string path = line.substr(second + 1);
    if (path.find("..") != std::string::npos) path.clear();  // of another namespace: its top is what we see
    for (size_t depth = 0; depth < kDepthMax; ++depth) {
      if (path == "/") path.clear();
      const uint64_t left = left_of(concat(top, path), names);
      if (left < least) {
        least = left;
        group = concat(top, path);
      }
      if (path.empty()) break;
      path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    }
  }
  return least;
}

uint64_t Files::memory_left(std::string& group) noexcept {
  try {
    std::ifstream file("/proc/self/cgroup");
    std::ostringstream text;
    text << file.rdbuf();
    return memory_left_in(text.str(), "/sys/fs/cgroup", group);
  } catch (...) {
    return kNoLimit;
  }
}

}  // namespace tidepool::feed
