#include "tidepool/services/discovery/provider.h"

#include <algorithm>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/base/random.h"
#include "tidepool/control/dispatch.h"
#include "tidepool/services/discovery/answer.h"
#include "tidepool/services/discovery/channel_policy.h"
#include "tidepool/services/discovery/index.h"
#include "tidepool/services/discovery/request_rate.h"
#include "tidepool/services/discovery/responses.h"
#include "tidepool/transport/media_driver.h"
#include "tidepool/wire/messages.h"

namespace tidepool::discovery {
namespace {

constexpr int kFragmentLimit = 10;  // DS-32
constexpr int kCatchUpRounds = 100;
constexpr uint64_t kBackoffMinNs = 100 * kNsPerMs;
constexpr uint64_t kBackoffMaxNs = 3200 * kNsPerMs;
constexpr uint64_t kLookPeriodNs = kNsPerSecond;  // at the media driver's pid
constexpr uint64_t kLogPeriodNs = kNsPerSecond;   // DS-39: one line a period, whoever asks however often

DiscoveryConfig checked(DiscoveryConfig config) {
  std::string text;
  for (const auto& problem : check_discovery_config(config)) {
    if (problem.fatal) text += concat(text.empty() ? "" : "\n", problem.line());
  }
  if (!text.empty()) throw Error(Code::kInvalidArgument, text);
  if (config.aeron_dir.empty()) config.aeron_dir = transport::default_aeron_dir();
  return config;
}

// A line now and then about what strangers make happen.
class SampledLog {
 public:
  template <typename... Parts>
  void line(uint64_t now_ns, LogLevel level, const Parts&... parts) {
    if (now_ns < next_ns_) {
      ++unsaid_;
      return;
    }
    next_ns_ = now_ns + kLogPeriodNs;
    if (const uint64_t unsaid = std::exchange(unsaid_, 0); unsaid > 0) {
      log(level, "discovery", parts..., " (and ", unsaid, " such lines unsaid)");
    } else {
      log(level, "discovery", parts...);
    }
  }

 private:
  uint64_t next_ns_ = 0;
  uint64_t unsaid_ = 0;
};

}  // namespace

struct Provider::Impl {
  // What one subscription hears. Announce and metadata of one driver may share one, and everything may share with other planes (DS-4).
  struct Source {
    std::shared_ptr<transport::Subscription> subscription;
    const DriverEndpoint* from = nullptr;
    bool announces = false;
    bool metadata = false;
  };
  struct Planes {
    std::shared_ptr<transport::Connection> connection;
    std::vector<Source> announces;  // with their metadata, if the endpoint is the same
    std::vector<Source> metadata;
    std::shared_ptr<transport::Subscription> requests;
    std::unique_ptr<Responses> responses;
    uint64_t media_driver_pid = 0;
    uint64_t next_look_ns = 0;
  };
  struct DriverEar {
    Impl& impl;
    const Source& source;
    void on(const wire::ShmPoolAnnounce& message, const transport::MessageInfo&) {
      if (!source.announces) return;
      ++(impl.index.heard(*source.from, message, impl.now_ns) == Heard::kAccepted ? impl.counts.announces
                                                                                  : impl.counts.announces_ignored);
    }
    void on(const wire::DataSourceAnnounce& message, const transport::MessageInfo&) {
      if (!source.metadata) return;
      impl.index.heard(*source.from, message, impl.now_ns);
      ++impl.counts.metadata;
    }
    // DataSourceMeta holds nothing that an answer has (DS-19): the dispatcher passes it by, and it prolongs nothing (DS-15).
  };
  struct RequestEar {
    Impl& impl;
    void on(const wire::DiscoveryRequest& message, const transport::MessageInfo& info) { impl.on_request(message, info); }
  };

  Impl(DiscoveryConfig the_config, const Clock& the_clock)
      : config(checked(std::move(the_config))),
        allowed_channels(config.effective_allowed_channels()),
        clock(the_clock),
        now_ns(clock.monotonic_ns()),
        index(config),
        rate(config.max_requests_per_second) {
    planes = std::make_unique<Planes>(open_planes());
  }

  Planes open_planes() {
    Planes out;
    out.connection = transport::Connection::open({.aeron_dir = config.aeron_dir,
                                                  .driver_timeout_ms = config.media_driver_timeout_ms,
                                                  .invoker = true,
                                                  .client_name = "tidepool discovery"});
    out.media_driver_pid = transport::media_driver_status(config.aeron_dir, config.media_driver_timeout_ms).pid;
    out.next_look_ns = now_ns + kLookPeriodNs;
    // A service that stalls holds no driver and no producer back.
    const auto overhear = [&](const Endpoint& endpoint) {
      return out.connection->add_subscription(transport::with_parameter(endpoint.channel, "tether", "false"), endpoint.stream_id);
    };
    for (const DriverEndpoint& driver : config.endpoints) {
      const bool has_metadata = driver.metadata.stream_id != 0;
      const bool shared = has_metadata && same_endpoint(driver.announce, driver.metadata);
      out.announces.push_back({overhear(driver.announce), &driver, true, shared});
      if (has_metadata && !shared) out.metadata.push_back({overhear(driver.metadata), &driver, false, true});
    }
    out.requests = out.connection->add_subscription(config.request.channel, config.request.stream_id);
    out.responses = std::make_unique<Responses>(out.connection, config);
    return out;
  }

  int poll() {
    now_ns = clock.monotonic_ns();
    if (!planes) return try_reconnect();
    int work = planes->connection->poll();
    if (!planes->connection->alive()) {
      lose_planes(planes->connection->failure());
      return 1;
    }
    if (media_driver_replaced()) {
      lose_planes("another one has taken its place");
      return 1;
    }
    for (const auto* sources : {&planes->announces, &planes->metadata}) {
      for (const Source& source : *sources) {
        DriverEar ear{*this, source};
        // Until it is empty: after a stall of ours the announces of healthy drivers lie in the log, behind whatever else is on a shared
        // stream, and must be heard before a request finds their streams expired.
        for (int round = 0; round < kCatchUpRounds; ++round) {
          const int taken = source.subscription->poll(
              [&](Bytes message, const transport::MessageInfo& info) { control::dispatch(message, info, ear, heard); },
              kFragmentLimit);
          work += taken;
          if (taken < kFragmentLimit) break;
        }
      }
    }
    RequestEar ear{*this};
    work += planes->requests->poll(
        [&](Bytes message, const transport::MessageInfo& info) { control::dispatch(message, info, ear, heard); }, kFragmentLimit);
    work += planes->responses->poll(now_ns);
    const int forgotten = index.forget(now_ns);
    counts.forgotten += static_cast<uint64_t>(forgotten);
    return work + forgotten;
  }

  // discovery.md 5.2, from step 3 on; the dispatcher has done the first two.
  void on_request(const wire::DiscoveryRequest& request, const transport::MessageInfo& info) {
    if (request.response_channel.empty()) {  // DS-22: silently, always
      ++counts.requests_without_channel;
      return;
    }
    const bool stream_zero = request.response_stream_id == 0;
    if (request.response_stream_id > wire::kMaxAeronStreamId || (stream_zero && !config.answer_on_stream_zero)) {
      ++counts.requests_bad_stream;
      return;
    }
    if (!rate.allow(info.session_id, request.client_id, now_ns)) {
      ++counts.requests_over_rate;
      refusals.line(now_ns, LogLevel::kWarn, "client ", request.client_id,
                    ", or all together, ask more often than max_requests_per_second allows: dropped");
      return;
    }
    if (const ChannelVerdict verdict = judge_channel(request.response_channel, allowed_channels);
        verdict != ChannelVerdict::kAllowed) {
      ++counts.requests_refused;
      refusals.line(now_ns, LogLevel::kWarn, "the response channel ", printable(request.response_channel, 128), " of client ",
                    request.client_id, " ", name_of(verdict), ": dropped");
      return;
    }
    const Endpoint to{request.response_channel, static_cast<int32_t>(request.response_stream_id)};
    if (stream_zero) {
      ++counts.requests_bad_stream;
      ++counts.answers[static_cast<size_t>(wire::DiscoveryStatus::error)];
      planes->responses->send(to, error_answer(request.request_id, kStreamZeroText), now_ns);
      return;
    }
    const wire::DiscoveryResponse response = answer_or_failure(request);
    ++counts.requests;
    ++counts.answers[static_cast<size_t>(response.status)];
    queries.line(now_ns, LogLevel::kDebug, "client ", request.client_id, " asked", request.data_source_name.empty() ? "" : " for ",
                 printable(request.data_source_name, 64), ": ", wire::name_of(response.status), ", ", response.results.size(),
                 " streams");
    planes->responses->send(to, response, now_ns);
  }

  wire::DiscoveryResponse answer_or_failure(const wire::DiscoveryRequest& request) const {
    try {
      return answer(request, index, {.max_results = config.max_results, .deny_explicitly = config.deny_explicitly}, now_ns);
    } catch (const std::exception& e) {  // no memory for it
      return error_answer(request.request_id, concat("internal failure: ", e.what()));
    }
  }

  void lose_planes(const std::string& why) {
    log(LogLevel::kWarn, "discovery", "the media driver in ", config.aeron_dir, " is lost: ", why);
    lost_responses = responses_so_far();
    planes.reset();
    backoff_ns = 0;
    next_reconnect_ns = now_ns;
  }

  int try_reconnect() {
    if (now_ns < next_reconnect_ns) return 0;
    try {
      planes = std::make_unique<Planes>(open_planes());
    } catch (const Error& error) {
      log(LogLevel::kDebug, "discovery", "reconnect: ", error.what());
      backoff_ns = std::clamp(backoff_ns * 2, kBackoffMinNs, kBackoffMaxNs);
      next_reconnect_ns = now_ns + backoff_ns / 2 + random_u64() % (backoff_ns / 2 + 1);
      return 0;
    }
    ++counts.reconnects;
    log(LogLevel::kInfo, "discovery", "connected to the media driver in ", config.aeron_dir, " again");
    return 1;
  }

  // A new one may take the directory long before the old one's silence is long enough to be noticed.
  bool media_driver_replaced() {
    if (now_ns < planes->next_look_ns) return false;
    planes->next_look_ns = now_ns + kLookPeriodNs;
    const auto status = transport::media_driver_status(config.aeron_dir, config.media_driver_timeout_ms);
    if (planes->media_driver_pid == 0) planes->media_driver_pid = status.pid;
    return status.cnc_present && status.alive && status.pid != 0 && status.pid != planes->media_driver_pid;
  }

  ResponseCounts responses_so_far() const {
    ResponseCounts out = lost_responses;
    if (!planes) return out;
    const ResponseCounts& now = planes->responses->counts();
    out.sent += now.sent;
    out.expired += now.expired;
    out.refused += now.refused;
    out.failed += now.failed;
    out.too_large += now.too_large;
    out.evicted += now.evicted;
    out.idle_closed += now.idle_closed;
    return out;
  }

  const DiscoveryConfig config;  // endpoints are pointed at
  const std::vector<std::string> allowed_channels;
  const Clock& clock;
  uint64_t now_ns;  // of this duty cycle
  Index index;
  RequestRate rate;
  std::unique_ptr<Planes> planes;  // nullptr: no media driver
  control::DispatchCounts heard;
  ProviderCounts counts;
  ResponseCounts lost_responses;  // of media drivers that are gone
  SampledLog refusals, queries;
  uint64_t backoff_ns = 0;
  uint64_t next_reconnect_ns = 0;
};

Provider::Provider(DiscoveryConfig config, const Clock& clock) : impl_(std::make_unique<Impl>(std::move(config), clock)) {}
Provider::~Provider() = default;

int Provider::poll() {
  try {
    return impl_->poll();
  } catch (const std::exception& e) {  // out of memory at worst: the next cycle may do better
    log(LogLevel::kError, "discovery", "a duty cycle failed: ", e.what());
    return 0;
  }
}

bool Provider::connected() const noexcept { return impl_->planes != nullptr; }

ProviderCounts Provider::counts() const {
  ProviderCounts out = impl_->counts;
  out.names_too_long = impl_->index.names_too_long();
  out.requests_malformed = impl_->heard.malformed + impl_->heard.unsupported;
  out.responses = impl_->responses_so_far();
  return out;
}

size_t Provider::live_streams() const {
  const uint64_t now_ns = impl_->clock.monotonic_ns();
  const auto& entries = impl_->index.entries();
  return static_cast<size_t>(std::count_if(entries.begin(), entries.end(), [&](const auto& item) {
    return item.second.visible && impl_->index.live(item.second, now_ns);
  }));
}

}  // namespace tidepool::discovery
