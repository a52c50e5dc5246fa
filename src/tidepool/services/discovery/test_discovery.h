#pragma once
// For this folder's tests: a configuration of two drivers, announces, and requests as anybody may send them.

#include <cstdint>
#include <string>
#include <utility>

#include "tidepool/services/discovery/config.h"
#include "tidepool/wire/messages.h"

namespace tidepool::discovery::testing {

inline constexpr const char* kChannel = "aeron:ipc?term-length=64k";

inline DriverEndpoint driver_a() { return {"lab-a", {kChannel, 1001}, {kChannel, 1300}, "aeron:ipc?term-length=4m", 1000}; }
inline DriverEndpoint driver_b() { return {"lab-b", {kChannel, 2001}, {kChannel, 2300}, "aeron:ipc?term-length=4m", 2000}; }

inline DiscoveryConfig config() {
  DiscoveryConfig out;
  out.request = {kChannel, 7000};
  out.endpoints = {driver_a(), driver_b()};
  return out;
}

inline wire::ShmPoolAnnounce announce(uint32_t stream_id, uint64_t epoch = 5, uint32_t producer_id = 9) {
  wire::ShmPoolAnnounce out;
  out.stream_id = stream_id;
  out.producer_id = producer_id;
  out.epoch = epoch;
  out.announce_timestamp_ns = 1;  // of the driver's clock, which need not be ours
  out.header_nslots = 64;
  out.pools = {{1, 64, 4096, "shm:file?path=/dev/shm/t/1.pool"}};
  out.header_region_uri = "shm:file?path=/dev/shm/t/header.ring";
  return out;
}

inline wire::DataSourceAnnounce source(uint32_t stream_id, const std::string& name, uint64_t epoch = 5) {
  wire::DataSourceAnnounce out;
  out.stream_id = stream_id;
  out.epoch = epoch;
  out.name = name;
  return out;
}

inline wire::DiscoveryRequest request(uint64_t request_id = 1) {
  wire::DiscoveryRequest out;
  out.request_id = request_id;
  out.client_id = 7;
  out.response_stream_id = 7004;
  out.response_channel = kChannel;
  return out;
}

}  // namespace tidepool::discovery::testing
