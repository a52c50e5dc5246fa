#include "tidepool/client/names.h"

#include <algorithm>

namespace tidepool::client {

void NameDirectory::heard(const wire::DataSourceAnnounce& announce, uint64_t now_ns) {
  if (announce.name.empty()) return;
  const std::lock_guard lock(mutex_);
  const auto found = streams_.find(announce.stream_id);
  if (found != streams_.end()) {
    if (announce.epoch < found->second.epoch) return;  // a producer that is gone (W-89)
    found->second = {announce.name, announce.epoch, now_ns};
    return;
  }
  if (streams_.size() >= kMaxStreams) {
    streams_.erase(std::min_element(streams_.begin(), streams_.end(), [](const auto& a, const auto& b) { return a.second.heard_ns < b.second.heard_ns; }));
  }
  streams_.emplace(announce.stream_id, Entry{announce.name, announce.epoch, now_ns});
}

std::vector<uint32_t> NameDirectory::streams_of(const std::string& name, uint64_t since_ns) const {
  std::vector<uint32_t> out;
  const std::lock_guard lock(mutex_);
  for (const auto& [stream_id, entry] : streams_) {
    if (entry.name == name && entry.heard_ns >= since_ns) out.push_back(stream_id);
  }
  return out;
}

std::vector<std::string> NameDirectory::names(uint64_t since_ns) const {
  std::vector<std::string> out;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [stream_id, entry] : streams_) {
      if (entry.heard_ns >= since_ns) out.push_back(entry.name);
    }
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace tidepool::client
