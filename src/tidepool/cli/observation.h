#pragma once
// What can be known of a deployment by listening for a while: streams announced, their names, who reports quality of service, and
// which leases are kept alive. All of it is hearsay, bounded (W-93), and shown to operators alone.

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "tidepool/control/dispatch.h"
#include "tidepool/wire/messages.h"

namespace tidepool::cli {

struct ObservedConsumer {
  wire::QosConsumer qos;
  bool reported = false;  // qos was heard; else only a hello
  uint64_t heard_ns = 0;
};

struct ObservedStream {
  std::optional<wire::ShmPoolAnnounce> announce;
  int32_t announce_session = 0;
  uint64_t announce_ns = 0;  // when it was heard
  std::optional<wire::DataSourceAnnounce> source;
  std::optional<wire::QosProducer> producer;
  uint64_t producer_ns = 0;
  // The first report of this epoch: with the last one it gives a rate.
  uint64_t first_seq = 0, first_ns = 0;
  std::map<uint32_t, ObservedConsumer> consumers;  // by consumer id
};

struct ObservedLease {
  uint64_t lease_id = 0;
  uint32_t stream_id = 0;
  uint32_t client_id = 0;
  uint8_t role = 0;
  uint64_t keepalives = 0;
  uint64_t heard_ns = 0;               // the last keepalive, or the attach response
  std::optional<uint32_t> node_id;     // if we heard the attach
  std::optional<uint64_t> epoch;
};

// A handler of control::dispatch. Thread safety: one thread.
class Observation {
 public:
  static constexpr size_t kMaxStreams = 4096;
  static constexpr size_t kMaxConsumers = 1024;  // of one stream
  static constexpr size_t kMaxLeases = 65536;

  std::map<uint32_t, ObservedStream> streams;
  std::map<uint64_t, ObservedLease> leases;  // by lease id
  uint64_t shutdowns = 0;
  control::DispatchCounts counts;

  void take(Bytes message, const transport::MessageInfo& info) noexcept { control::dispatch(message, info, *this, counts); }

  void on(const wire::ShmPoolAnnounce& message, const transport::MessageInfo& info);
  void on(const wire::DataSourceAnnounce& message, const transport::MessageInfo& info);
  void on(const wire::QosProducer& message, const transport::MessageInfo& info);
  void on(const wire::QosConsumer& message, const transport::MessageInfo& info);
  void on(const wire::ConsumerHello& message, const transport::MessageInfo& info);
  void on(const wire::ShmAttachRequest& message, const transport::MessageInfo& info);
  void on(const wire::ShmAttachResponse& message, const transport::MessageInfo& info);
  void on(const wire::ShmLeaseKeepalive& message, const transport::MessageInfo& info);
  void on(const wire::ShmLeaseRevoked& message, const transport::MessageInfo& info);
  void on(const wire::ShmDriverShutdown& message, const transport::MessageInfo& info);

 private:
  ObservedStream* stream(uint32_t stream_id);
  ObservedConsumer* consumer(uint32_t stream_id, uint32_t consumer_id);

  std::map<int64_t, wire::ShmAttachRequest> asked_;  // by correlation id
};

}  // namespace tidepool::cli
