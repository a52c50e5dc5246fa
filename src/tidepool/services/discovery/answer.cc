#include "tidepool/services/discovery/answer.h"

#include <algorithm>
#include <utility>

namespace tidepool::discovery {
namespace {

// DS-27: nobody is sent where no attach can go. The index takes nothing else; this is the last look.
bool attachable(const Entry& entry) {
  return !entry.driver_control_channel.empty() && entry.driver_control_stream_id != 0 && !entry.pools.empty() &&
         std::all_of(entry.pools.begin(), entry.pools.end(),
                     [&](const wire::PoolEntry& pool) { return pool.nslots == entry.header_nslots; });
}

wire::DiscoveryResult result_of(const EntryKey& key, const Entry& entry) {
  wire::DiscoveryResult out;
  out.stream_id = key.stream_id;
  out.producer_id = entry.producer_id;
  out.epoch = entry.epoch;
  out.layout_version = entry.layout_version;
  out.header_nslots = entry.header_nslots;
  out.data_source_id = entry.data_source_id;
  out.driver_control_stream_id = entry.driver_control_stream_id;
  out.pools = entry.pools;
  out.tags = entry.tags;
  out.header_region_uri = entry.header_region_uri;
  out.data_source_name = entry.data_source_name;
  out.driver_instance_id = key.instance_id;
  out.driver_control_channel = entry.driver_control_channel;
  return out;
}

}  // namespace

bool matches(const wire::DiscoveryRequest& request, const EntryKey& key, const Entry& entry) {
  if (request.stream_id && *request.stream_id != key.stream_id) return false;
  if (request.producer_id && *request.producer_id != entry.producer_id) return false;
  if (request.data_source_id && request.data_source_id != entry.data_source_id) return false;
  if (!request.data_source_name.empty() && request.data_source_name != entry.data_source_name) return false;
  return std::all_of(request.tags.begin(), request.tags.end(), [&](const std::string& tag) {
    return tag.empty() || std::find(entry.tags.begin(), entry.tags.end(), tag) != entry.tags.end();
  });
}

wire::DiscoveryResponse error_answer(uint64_t request_id, std::string text) {
  wire::DiscoveryResponse out;
  out.request_id = request_id;
  out.status = wire::DiscoveryStatus::error;
  out.error_message = std::move(text);
  return out;
}

wire::DiscoveryResponse answer(const wire::DiscoveryRequest& request, const Index& index, const AnswerRules& rules,
                               uint64_t now_ns) {
  wire::DiscoveryResponse out;
  out.request_id = request.request_id;
  bool hidden = false;
  for (const auto& [key, entry] : index.entries()) {  // in the order of DS-26
    if (!index.live(entry, now_ns) || !attachable(entry) || !matches(request, key, entry)) continue;
    if (!entry.visible) {
      hidden = true;
      continue;
    }
    if (out.results.size() >= rules.max_results) return error_answer(request.request_id, kLimitText);
    out.results.push_back(result_of(key, entry));
  }
  if (!out.results.empty()) return out;
  if (hidden && rules.deny_explicitly) return error_answer(request.request_id, kDeniedText);
  if (index.hides_streams()) out.status = wire::DiscoveryStatus::not_found;
  return out;
}

}  // namespace tidepool::discovery
