#pragma once
// Every message type once, for tests and fuzzers that hold a rule against all of them, and a valid message of each.

#include <concepts>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "tidepool/wire/messages.h"

namespace tidepool::wire::test {

using PoolMessages =
    std::tuple<ShmPoolAnnounce, ConsumerHello, ConsumerConfig, FrameDescriptor, QosConsumer, QosProducer, DataSourceAnnounce,
               DataSourceMeta, ControlResponse, FrameProgress, MetaBlobAnnounce, MetaBlobChunk, MetaBlobComplete>;
using DriverMessages = std::tuple<ShmAttachRequest, ShmAttachResponse, ShmDetachRequest, ShmDetachResponse, ShmLeaseKeepalive,
                                  ShmDriverShutdown, ShmLeaseRevoked, ShmDriverShutdownRequest>;
using DiscoveryMessages = std::tuple<DiscoveryRequest, DiscoveryResponse>;

namespace detail {
template <typename M, typename... Ms>
constexpr bool one_of(std::type_identity<std::tuple<Ms...>>) {
  return (std::same_as<M, Ms> || ...);
}
template <typename... Ms>
void for_each(std::type_identity<std::tuple<Ms...>>, const auto& call) {
  (call(std::type_identity<Ms>{}), ...);
}
}  // namespace detail

template <typename M>
constexpr uint16_t schema_of() {
  if constexpr (detail::one_of<M>(std::type_identity<PoolMessages>{})) return kPoolSchemaId;
  if constexpr (detail::one_of<M>(std::type_identity<DriverMessages>{})) return kDriverSchemaId;
  if constexpr (detail::one_of<M>(std::type_identity<DiscoveryMessages>{})) return kDiscoverySchemaId;
  return 0;
}

// call(std::type_identity<M>{}) for each message type M.
void for_each_message(const auto& call) {
  detail::for_each(std::type_identity<PoolMessages>{}, call);
  detail::for_each(std::type_identity<DriverMessages>{}, call);
  detail::for_each(std::type_identity<DiscoveryMessages>{}, call);
}

// ---- one valid message of each type, every field set to something that is not its default ------------------------------

inline std::vector<PoolEntry> two_pools() {
  return {{1, 64, 4096, "shm:file?path=/dev/shm/t/1.pool"}, {2, 64, 1048576, "shm:file?path=/dev/shm/t/2.pool"}};
}

inline void sample(ShmPoolAnnounce& m) {
  m = {10001,
       9,
       0x0102030405060708,
       123,
       ClockDomain::realtime_synced,
       1,
       64,
       256,
       two_pools(),
       "shm:file?path=/dev/shm/t/header.ring"};
}
inline void sample(ConsumerHello& m) {
  m = {10001, 42, false, true, Mode::rate_limited, 30, 1, 250, 65536, 8, 31001, 32001, "aeron:ipc", "aeron:ipc?term-length=4m"};
}
inline void sample(ConsumerConfig& m) {
  m = {10001, 42, false, Mode::rate_limited, 31001, 32001, "aeron:udp?endpoint=127.0.0.1:40123", "aeron:ipc", "aeron:ipc"};
}
inline void sample(FrameDescriptor& m) { m = {10001, 7, 11, 3'000'500'000, 5, 0x1122334455667788}; }
inline void sample(QosConsumer& m) { m = {10001, 42, 7, 1000, 2, 1, Mode::rate_limited}; }
inline void sample(QosProducer& m) { m = {10001, 9, 7, 1001, 6}; }
inline void sample(DataSourceAnnounce& m) { m = {10001, 9, 7, 3, "cam1", "a camera"}; }
inline void sample(DataSourceMeta& m) {
  m = {10001, 3, 123, {{"gain", "text/plain", "1.5"}, {"raw", "application/octet-stream", std::string("\0\xff", 2)}}};
}
inline void sample(ControlResponse& m) { m = {-2, ResponseCode::invalid_params, "stride is not a power of two"}; }
inline void sample(FrameProgress& m) { m = {10001, 7, 11, 4096, ProgressState::progress}; }
inline void sample(MetaBlobAnnounce& m) { m = {10001, 3, 1, 70000, 0xABCD}; }
inline void sample(MetaBlobChunk& m) { m = {10001, 3, 65536, "bytes"}; }
inline void sample(MetaBlobComplete& m) { m = {10001, 3, 0xABCD}; }
inline void sample(ShmAttachRequest& m) { m = {-1, 10000, 77, 2, 0, 2, 1, 17}; }
inline void sample(ShmAttachResponse& m) {
  m = {12,        ResponseCode::ok, 3, 5'000'000'000, 10000, 7, 1, 64, 256, 17, two_pools(), "shm:file?path=/dev/shm/t/header.ring",
       "no error"};
}
inline void sample(ShmDetachRequest& m) { m = {10, 3, 10000, 77, 1}; }
inline void sample(ShmDetachResponse& m) { m = {10, ResponseCode::rejected, "lease not found"}; }
inline void sample(ShmLeaseKeepalive& m) { m = {3, 10000, 77, 2, 6'000'000'000}; }
inline void sample(ShmDriverShutdown& m) { m = {7'000'000'000, ShutdownReason::error, "out of memory"}; }
inline void sample(ShmLeaseRevoked& m) { m = {7'000'000'000, 3, 10000, 77, Role::consumer, RevokeReason::expired, "no keepalive"}; }
inline void sample(ShmDriverShutdownRequest& m) { m = {11, ShutdownReason::normal, "secret", "maintenance"}; }
inline void sample(DiscoveryRequest& m) {
  m = {0x0000002A00000001, 42, 7004, 10001, 9, 17, {"left", "raw"}, "aeron:ipc?term-length=1m", "cam1"};
}
inline DiscoveryResult sample_result() {
  return {10001,  9,     7,          1, 64, 256, 8, 17, 1000, two_pools(), {"left", "raw"}, "shm:file?path=/dev/shm/t/header.ring",
          "cam1", "lab", "aeron:ipc"};
}
inline void sample(DiscoveryResponse& m) {
  DiscoveryResult second = sample_result();
  second.stream_id = 10002;
  second.data_source_id = {};
  second.tags.clear();
  m = {0x0000002A00000001, DiscoveryStatus::ok, {sample_result(), second}, "no error"};
}

template <typename M>
M sample_of() {
  M message;
  sample(message);
  return message;
}

}  // namespace tidepool::wire::test
