#pragma once
// Asking a discovery service which streams there are (discovery.md 6; docs/protocols/discovery.md).
//
//   tidepool::DiscoveryClient discovery;
//   for (const auto& stream : discovery.query({.name = "cam1"}).streams) ...
//
// An answer is a hint (DS-1): nothing is mapped on its strength. Client::producer() and consumer() ask by themselves when they are
// given a name that nobody announces nearby.
//
// Thread safety: one thread. Lifetime: has a connection to the media driver of its own.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/client/client.h"
#include "tidepool/wire/messages.h"

namespace tidepool::client {

// What is given must hold, all of it (DS-24); nothing given asks for everything.
struct DiscoveryQuery {
  std::optional<uint32_t> stream_id = {};
  std::optional<uint32_t> producer_id = {};
  std::optional<uint64_t> data_source_id = {};
  std::string name = {};               // the data source's, byte for byte; empty: any
  std::vector<std::string> tags = {};  // each of them
};

// One stream, as its driver announced it. What is needed to attach: stream_id, and driver_control as ClientOptions::control.
// Descriptor, QoS and metadata endpoints are not in it and cannot be guessed (DS-41).
struct DiscoveredStream {
  uint32_t stream_id = 0;
  std::string data_source_name;
  std::vector<std::string> tags;
  std::optional<uint64_t> data_source_id;
  std::string driver_instance_id;  // the stream's identity is this and stream_id (DS-3)
  Endpoint driver_control;
  // For looking at; an attach is told anew.
  uint32_t producer_id = 0;
  uint64_t epoch = 0;
  uint32_t layout_version = 0;
  uint32_t header_nslots = 0;
  uint16_t header_slot_bytes = 0;
  uint8_t max_dims = 0;
  std::string header_region_uri;
  std::vector<wire::PoolEntry> pools;
};

struct DiscoveryAnswer {
  uint64_t request_id = 0;
  wire::DiscoveryStatus status = wire::DiscoveryStatus::ok;
  std::string error_message;              // with ERROR: for people
  std::vector<DiscoveredStream> streams;  // by instance, then stream; none unless the status is ok
  size_t discarded = 0;                   // results that could not be used (DS-35)
};

// What a response is worth (DS-34, DS-35).
DiscoveryAnswer judge(const wire::DiscoveryResponse& response);

struct DiscoveryOptions {
  std::string aeron_dir = {};  // these as in ClientOptions: empty and 0 take the environment, then the default
  Endpoint request = {};
  Endpoint response = {};
  std::optional<uint32_t> timeout_ms = {};         // 5000: in all
  std::optional<uint32_t> retry_interval_ms = {};  // 1000: asked again, with another request id
  std::optional<uint32_t> media_driver_timeout_ms = {};
  uint32_t client_id = 0;                      // 0: random
  std::function<bool()> keep_waiting = {};     // asked now and then; false makes query() throw Error kTimeout soon
};

// The same, completed.
struct DiscoverySettings {
  std::string aeron_dir;
  Endpoint request;   // stream id 0: discovery is off
  Endpoint response;  // empty channel: none can be derived (UDP), it must be given
  uint64_t timeout_ns = 0;
  uint64_t retry_ns = 0;
  uint64_t media_driver_timeout_ms = 0;
  uint32_t client_id = 0;
  std::function<bool()> keep_waiting;
};

class DiscoveryClient {
 public:
  // Connects and subscribes to the response endpoint. Throws Error: kUnavailable (no media driver), kInvalidArgument (endpoints).
  explicit DiscoveryClient(const DiscoveryOptions& options = {});
  static DiscoveryClient with(DiscoverySettings settings);
  DiscoveryClient(DiscoveryClient&&) noexcept;
  DiscoveryClient& operator=(DiscoveryClient&&) noexcept;
  ~DiscoveryClient();

  // Ask, and ask again, until somebody answers. Throws Error kTimeout: nobody did, and what to start.
  DiscoveryAnswer query(const DiscoveryQuery& query);

  // The same without waiting: start(), then poll() until it gives an answer. The time-out is the caller's business. Starting
  // again forgets what was asked before.
  void start(const DiscoveryQuery& query);
  std::optional<DiscoveryAnswer> poll();

  uint32_t client_id() const noexcept;
  uint64_t attempts() const noexcept;  // requests sent since start()
  const Endpoint& request() const noexcept;
  const Endpoint& response() const noexcept;

 private:
  struct Impl;
  explicit DiscoveryClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidepool::client
