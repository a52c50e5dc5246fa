#include "tidepool/client/discovery.h"

#include <algorithm>
#include <map>
#include <utility>

#include "tidepool/base/agent.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/base/random.h"
#include "tidepool/client/options.h"
#include "tidepool/control/dispatch.h"
#include "tidepool/control/sender.h"
#include "tidepool/transport/connection.h"
#include "tidepool/wire/messages.h"

namespace tidepool::client {
namespace {

constexpr int kFragmentsPerPoll = 10;

// DS-35, and what no publication could be made for: the control endpoint is a stranger's text.
bool usable(const wire::DiscoveryResult& result) {
  return result.driver_control_channel.starts_with("aeron:") && result.driver_control_channel.size() <= 1024 &&
         result.driver_control_stream_id != 0 && result.driver_control_stream_id <= wire::kMaxAeronStreamId &&
         result.header_slot_bytes == wire::kSlotBytes && result.max_dims == 8 && !result.header_region_uri.empty() &&
         !result.pools.empty() && std::all_of(result.pools.begin(), result.pools.end(), [&](const wire::PoolEntry& pool) {
           return pool.nslots == result.header_nslots && !pool.region_uri.empty();
         });
}

DiscoveredStream stream_of(const wire::DiscoveryResult& result) {
  DiscoveredStream out;
  out.stream_id = result.stream_id;
  out.data_source_name = result.data_source_name;
  out.tags = result.tags;
  out.data_source_id = result.data_source_id;
  out.driver_instance_id = result.driver_instance_id;
  out.driver_control = {result.driver_control_channel, static_cast<int32_t>(result.driver_control_stream_id)};
  out.producer_id = result.producer_id;
  out.epoch = result.epoch;
  out.layout_version = result.layout_version;
  out.header_nslots = result.header_nslots;
  out.header_slot_bytes = result.header_slot_bytes;
  out.max_dims = result.max_dims;
  out.header_region_uri = result.header_region_uri;
  out.pools = result.pools;
  return out;
}

}  // namespace

DiscoveryAnswer judge(const wire::DiscoveryResponse& response) {
  DiscoveryAnswer out;
  out.request_id = response.request_id;
  out.status = response.status;
  out.error_message = response.error_message;
  if (response.status != wire::DiscoveryStatus::ok) return out;  // DS-34: whatever the group says
  std::map<std::pair<std::string, uint32_t>, const wire::DiscoveryResult*> newest;
  for (const wire::DiscoveryResult& result : response.results) {
    if (!usable(result)) {
      ++out.discarded;
      continue;
    }
    const wire::DiscoveryResult*& kept = newest[{result.driver_instance_id, result.stream_id}];
    if (kept == nullptr || result.epoch > kept->epoch) kept = &result;
  }
  for (const auto& [identity, result] : newest) out.streams.push_back(stream_of(*result));
  return out;
}

struct DiscoveryClient::Impl {
  explicit Impl(DiscoverySettings the_settings) : settings(std::move(the_settings)) {
    if (settings.request.stream_id == 0) {
      throw Error(Code::kInvalidArgument, "discovery is switched off: its request stream id is 0; give one, such as 7000");
    }
    if (settings.response.channel.empty()) {
      throw Error(Code::kInvalidArgument, "no discovery response channel: answers to a request on ", settings.request.channel,
                  " need a channel of ours\n  give --discovery-response-channel, CLIENT_DISCOVERY_RESPONSE_CHANNEL or "
                  "client.discovery_response_channel, such as aeron:udp?endpoint=THIS-HOST:40704");
    }
    client_id = settings.client_id != 0 ? settings.client_id : random_id();
    next_request_id = (uint64_t{client_id} << 32) + 1;  // DS-33
    connection = transport::Connection::open({.aeron_dir = settings.aeron_dir,
                                              .driver_timeout_ms = settings.media_driver_timeout_ms,
                                              .invoker = true,
                                              .client_name = "tidepool discovery client"});
    // Before anything is sent (DS-33).
    in = connection->add_subscription(settings.response.channel, settings.response.stream_id);
    out = std::make_unique<control::Sender>(connection->add_publication(settings.request.channel, settings.request.stream_id));
  }

  void start(const DiscoveryQuery& query) {
    request = {};
    request.client_id = client_id;
    request.response_stream_id = static_cast<uint32_t>(settings.response.stream_id);
    request.stream_id = query.stream_id;
    request.producer_id = query.producer_id;
    request.data_source_id = query.data_source_id;
    request.tags = query.tags;
    request.response_channel = settings.response.channel;
    request.data_source_name = query.name;
    if (const std::string_view field = wire::over_limit(request); !field.empty()) {
      throw Error(Code::kInvalidArgument, "the query's ", field,
                  " is beyond what a request can carry: see the limits in docs/formats/messages.md");
    }
    answer.reset();
    attempts = 0;
    next_send_ns = 0;
  }

  std::optional<DiscoveryAnswer> poll() {
    connection->poll();
    if (!connection->alive())
      throw Error(Code::kUnavailable, "the media driver in ", settings.aeron_dir, " is lost: ", connection->failure());
    in->poll([&](Bytes message, const transport::MessageInfo& info) { control::dispatch(message, info, *this, heard); },
             kFragmentsPerPoll);
    if (answer) {
      next_send_ns = UINT64_MAX;
      return std::exchange(answer, std::nullopt);
    }
    if (const uint64_t now_ns = monotonic_ns(); now_ns >= next_send_ns) {
      request.request_id = next_request_id;
      if (out->send(request) == transport::SendResult::kOk) {
        newest_request_id = next_request_id++;
        ++attempts;
        next_send_ns = now_ns + settings.retry_ns;
      }  // else nobody listens yet: at the next poll
    }
    return std::nullopt;
  }

  void on(const wire::DiscoveryResponse& response, const transport::MessageInfo&) {
    // Everybody's answers come by on a shared stream; those to our earlier requests are late (DS-33, DS-34, DS-42).
    if (attempts > 0 && next_send_ns != UINT64_MAX && response.request_id == newest_request_id) answer = judge(response);
  }

  const DiscoverySettings settings;
  uint32_t client_id = 0;
  uint64_t next_request_id = 0;
  uint64_t newest_request_id = 0;  // of what was sent
  std::shared_ptr<transport::Connection> connection;
  std::shared_ptr<transport::Subscription> in;
  std::unique_ptr<control::Sender> out;
  wire::DiscoveryRequest request;
  std::optional<DiscoveryAnswer> answer;
  uint64_t attempts = 0;
  uint64_t next_send_ns = UINT64_MAX;  // nothing is asked
  control::DispatchCounts heard;
};

DiscoveryClient::DiscoveryClient(const DiscoveryOptions& options)
    : impl_(std::make_unique<Impl>(resolve(options, process_environment))) {}
DiscoveryClient::DiscoveryClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DiscoveryClient DiscoveryClient::with(DiscoverySettings settings) {
  return DiscoveryClient(std::make_unique<Impl>(std::move(settings)));
}
DiscoveryClient::DiscoveryClient(DiscoveryClient&&) noexcept = default;
DiscoveryClient& DiscoveryClient::operator=(DiscoveryClient&&) noexcept = default;
DiscoveryClient::~DiscoveryClient() = default;

void DiscoveryClient::start(const DiscoveryQuery& query) { impl_->start(query); }
std::optional<DiscoveryAnswer> DiscoveryClient::poll() { return impl_->poll(); }

DiscoveryAnswer DiscoveryClient::query(const DiscoveryQuery& query) {
  const DiscoverySettings& s = impl_->settings;
  start(query);
  const uint64_t deadline_ns = monotonic_ns() + s.timeout_ns;
  Idler idler(Idle::kBackoff);
  for (;;) {
    if (auto answer = poll()) return *std::move(answer);
    if (s.keep_waiting && !s.keep_waiting()) throw Error(Code::kTimeout, "stopped waiting for an answer of a discovery service");
    if (monotonic_ns() >= deadline_ns) {
      throw Error(Code::kTimeout, "no discovery service answered within ", duration_text(s.timeout_ns), "\n  request channel ",
                  s.request.channel, " stream ", s.request.stream_id, attempts() == 0 ? ", where nobody listens" : "",
                  "; response channel ", s.response.channel, " stream ", s.response.stream_id,
                  "\n  start one:  tidepool discovery serve --config FILE");
    }
    idler.idle(0);
  }
}

uint32_t DiscoveryClient::client_id() const noexcept { return impl_->client_id; }
uint64_t DiscoveryClient::attempts() const noexcept { return impl_->attempts; }
const Endpoint& DiscoveryClient::request() const noexcept { return impl_->settings.request; }
const Endpoint& DiscoveryClient::response() const noexcept { return impl_->settings.response; }

}  // namespace tidepool::client
