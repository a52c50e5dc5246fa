#include "tidepool/feed/held_unlinked.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "tidepool/base/log.h"
#include "tidepool/feed/file_seam.h"

namespace tidepool::feed {
namespace {

constexpr std::string_view kDeletedMark = " (deleted)";

}  // namespace

// "7f00-7f10 r--s 00000000 00:1b 4711   /dev/shm/tidepool-.../0000000000000001.data (deleted)"
void add_held_unlinked(const std::string& maps, uint64_t pid, const std::string& lead, std::vector<HeldUnlinked>& found) {
  std::istringstream lines(maps);
  for (std::string line; std::getline(lines, line);) {
    const size_t path_at = line.find(lead);
    if (path_at == std::string::npos || !line.ends_with(kDeletedMark)) continue;
    const std::string path = line.substr(path_at, line.size() - kDeletedMark.size() - path_at);
    std::istringstream words(line.substr(0, path_at));
    std::string range, mode, offset, device;
    HeldUnlinked held;
    words >> range >> mode >> offset >> device >> held.inode;
    const size_t dash = range.find('-');
    uint64_t from = 0, to = 0;
    if (!words || dash == std::string::npos) continue;
    std::from_chars(range.data(), range.data() + dash, from, 16);
    std::from_chars(range.data() + dash + 1, range.data() + range.size(), to, 16);
    if (to <= from) continue;
    held.pid = pid;
    held.directory = path.substr(0, path.rfind('/'));
    held.bytes = to - from;
    const auto same = std::find_if(found.begin(), found.end(), [&](const HeldUnlinked& h) { return h.pid == pid && h.inode == held.inode; });
    if (same == found.end()) {
      found.push_back(std::move(held));
    } else {
      same->bytes += held.bytes;
    }
  }
}

std::vector<HeldUnlinked> held_unlinked(const Id& base_id, const std::string& shm_root) {
  const std::string lead = concat(shm_root, "/tidepool-", hex(base_id), "-");
  std::vector<HeldUnlinked> found;
  for (const std::string& name : names_in("/proc")) {
    uint64_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ptr != name.data() + name.size()) continue;
    std::ifstream maps(concat("/proc/", name, "/maps"));  // gone, or none of our business: nothing
    std::ostringstream text;
    if (maps && maps.peek() != std::ifstream::traits_type::eof()) text << maps.rdbuf();
    add_held_unlinked(text.str(), pid, lead, found);
  }
  return found;
}

}  // namespace tidepool::feed
