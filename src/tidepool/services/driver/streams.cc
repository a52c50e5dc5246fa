#include "tidepool/services/driver/streams.h"

#include <algorithm>
#include <utility>

namespace tidepool::driver {

Streams::Streams(const DriverConfig& config) : ranges_(config.stream_id_range) {
  for (const auto& configured : config.streams) {
    Stream& stream = streams_[configured.stream_id];
    stream.stream_id = configured.stream_id;
    stream.profile = configured.profile;
  }
}

Stream* Streams::find(uint32_t stream_id) noexcept {
  const auto at = streams_.find(stream_id);
  return at == streams_.end() ? nullptr : &at->second;
}
const Stream* Streams::find(uint32_t stream_id) const noexcept { return const_cast<Streams*>(this)->find(stream_id); }

bool Streams::in_ranges(uint32_t stream_id) const noexcept {
  return std::any_of(ranges_.begin(), ranges_.end(), [=](const IdRange& range) { return range.contains(stream_id); });
}

std::optional<uint32_t> Streams::next_free_id() const noexcept {
  if (ranges_.empty()) return std::nullopt;
  size_t index = 0;
  uint64_t candidate = ranges_[0].first;
  uint64_t left = 0;
  for (size_t i = 0; i < ranges_.size(); ++i) {
    left += uint64_t{ranges_[i].last} - ranges_[i].first + 1;
    if (ranges_[i].contains(last_given_)) {
      index = i;
      candidate = uint64_t{last_given_} + 1;
    }
  }
  // Each step either finds a free id or passes one in use, so this ends after as many steps as there are streams.
  for (; left > 0; --left, ++candidate) {
    if (candidate > ranges_[index].last) {
      index = (index + 1) % ranges_.size();
      candidate = ranges_[index].first;
    }
    if (!streams_.contains(static_cast<uint32_t>(candidate))) return static_cast<uint32_t>(candidate);
  }
  return std::nullopt;
}

Stream& Streams::add_dynamic(uint32_t stream_id, std::string profile) {
  Stream& stream = streams_[stream_id];
  stream.stream_id = stream_id;
  stream.profile = std::move(profile);
  stream.dynamic = true;
  stream.provisional = true;
  stream.highest_epoch = forgotten_epoch_;
  return stream;
}

void Streams::erase(uint32_t stream_id) {
  const auto at = streams_.find(stream_id);
  if (at == streams_.end()) return;
  forgotten_epoch_ = std::max(forgotten_epoch_, at->second.highest_epoch);
  streams_.erase(at);
}

}  // namespace tidepool::driver
