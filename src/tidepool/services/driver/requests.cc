// What clients ask (driver.md 5, 6, 11).

#include <algorithm>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/services/driver/driver_impl.h"

namespace tidepool::driver {
namespace {

using wire::ResponseCode;

std::string within_limit(std::string_view text) { return std::string(text.substr(0, wire::kMaxErrorMessageBytes)); }


// Takes as long for a near miss as for a far one: the time depends on what was received alone (D-47).
bool equal_in_constant_time(std::string_view received, std::string_view secret) noexcept {
  volatile unsigned difference = received.size() == secret.size() ? 0 : 1;
  for (size_t i = 0; i < received.size(); ++i) {
    const char expected = secret.empty() ? '\0' : secret[i % secret.size()];
    difference = difference | (static_cast<unsigned char>(received[i]) ^ static_cast<unsigned char>(expected));
  }
  return difference == 0;
}

}  // namespace

// ---- attach ----------------------------------------------------------------------------------------------------------

void Driver::Impl::on(const wire::ShmAttachRequest& request, const transport::MessageInfo&) {
  if (!room()) {
    ++counts_.requests_refused;  // the client asks again; an answer would be one more message to owe
    return;
  }
  handle_attach(request);
}

void Driver::Impl::on_unsupported_attach(int64_t correlation_id, const transport::MessageInfo&) {
  if (!room()) {
    ++counts_.requests_refused;
    return;
  }
  refuse_attach(correlation_id, ResponseCode::unsupported, "unsupported driver schema version");
}

void Driver::Impl::handle_attach(const wire::ShmAttachRequest& request) {
  const AttachView view{config_, lifecycle_ == Lifecycle::kRunning, on_hugetlbfs_, leases_, streams_, nodes_, attaching_clients_,
                        now_ns_};
  const AttachVerdict verdict = judge_attach(request, view);
  switch (verdict.kind) {
    case AttachVerdict::Kind::kRefuse: return refuse_attach(request.correlation_id, verdict.code, verdict.text);
    case AttachVerdict::Kind::kRepeat: return answer_attach(*verdict.lease, request.correlation_id);
    case AttachVerdict::Kind::kWait: return defer(request);
    case AttachVerdict::Kind::kGrant:
      if (verdict.needs_epoch) return begin_attach(request, verdict);
      return grant(*streams_.find(verdict.stream_id), request, verdict);
  }
}

void Driver::Impl::defer(const wire::ShmAttachRequest& request) {
  // A verbatim repeat of one that waits already gets its answer with that one.
  const auto same = [&request](const wire::ShmAttachRequest& other) { return other == request; };
  for (const auto& [ticket, making] : making_)
    if (making.attach && same(making.attach->request)) return;
  if (std::any_of(deferred_.begin(), deferred_.end(), same)) return;
  if (deferred_.size() >= kMaxDeferred) return refuse_attach(request.correlation_id, ResponseCode::rejected, "driver busy");
  deferred_.push_back(request);
}

void Driver::Impl::retry_deferred() {
  auto waiting = std::exchange(deferred_, {});
  for (const auto& request : waiting) handle_attach(request);  // those that still must wait queue up again, in order
}

void Driver::Impl::begin_attach(const wire::ShmAttachRequest& request, const AttachVerdict& verdict) {
  Stream& stream =
      verdict.new_stream ? streams_.add_dynamic(verdict.stream_id, verdict.profile->name) : *streams_.find(verdict.stream_id);
  nodes_.reserve(verdict.node_id);
  attaching_clients_.insert(request.client_id);
  make_epoch(stream, {stream.stream_id, Attaching{request, verdict}, {}, false});
}

void Driver::Impl::grant(Stream& stream, const wire::ShmAttachRequest& request, const AttachVerdict& verdict) {
  Lease wanted;
  wanted.identity = {0, stream.stream_id, request.client_id, verdict.role};
  wanted.requested_stream_id = request.stream_id;
  wanted.correlation_id = request.correlation_id;
  wanted.node_id = verdict.node_id;
  wanted.epoch = stream.epoch;
  wanted.expiry_ns = now_ns_ + lease_lifetime_ns_;
  const Lease& lease = leases_.grant(wanted);
  nodes_.take(lease.node_id, request.client_id);
  if (verdict.role == wire::Role::producer) {
    stream.producer_lease = lease.identity.lease_id;
  } else {
    ++stream.consumers;
  }
  if (verdict.new_stream && request.stream_id == 0) streams_.given(stream.stream_id);
  log(LogLevel::kInfo, "driver", "stream ", stream.stream_id, ": lease ", lease.identity.lease_id, " for ",
      wire::name_of(verdict.role), " ", request.client_id, ", node ", lease.node_id, ", epoch ", lease.epoch);
  announce(stream, true);  // before the answer (driver.md 10)
  answer_attach(lease, request.correlation_id);
}

void Driver::Impl::answer_attach(const Lease& lease, int64_t correlation_id) {
  const Stream& stream = *streams_.find(lease.identity.stream_id);
  // Only a repeat for a consumer can meet a stream that went down since: there is nothing to map (6.6).
  if (stream.epoch == 0)
    return refuse_attach(correlation_id, ResponseCode::internal_error,
                         "shm creation failed: the stream is down, its last epoch could not be made");
  wire::ShmAttachResponse response;
  response.correlation_id = correlation_id;
  response.code = ResponseCode::ok;
  response.lease_id = lease.identity.lease_id;
  response.lease_expiry_timestamp_ns = lease.expiry_ns;
  response.stream_id = stream.stream_id;
  response.epoch = stream.epoch;
  response.layout_version = stream.regions.layout_version;
  response.header_nslots = stream.regions.header_nslots;
  response.header_slot_bytes = stream.regions.header_slot_bytes;
  response.node_id = lease.node_id;
  response.pools = stream.regions.pools;
  response.header_region_uri = stream.regions.header_region_uri;
  respond(std::move(response));
}

void Driver::Impl::refuse_attach(int64_t correlation_id, ResponseCode code, std::string_view text) {
  wire::ShmAttachResponse response;  // every optional field stays null, no pools, no URI (D-12)
  response.correlation_id = correlation_id;
  response.code = code;
  response.error_message = within_limit(text);
  log(LogLevel::kInfo, "driver", "attach refused, ", wire::name_of(code), ": ",
      printable(response.error_message, wire::kMaxErrorMessageBytes));
  respond(std::move(response));
}

void Driver::Impl::respond(wire::ShmAttachResponse response) {
  ++counts_.attach_responses[static_cast<size_t>(response.code)];
  sent_responses_.push_back({response.correlation_id, response.code, response.lease_id});
  if (sent_responses_.size() > 2 * Outbox::kMaxOwed) sent_responses_.pop_front();
  owe(std::move(response));
}

void Driver::Impl::on(const wire::ShmAttachResponse& response, const transport::MessageInfo&) {
  // Everybody on this stream shares one log, so ours come back in order; the session says nothing about who sent them.
  const auto ours = std::find_if(sent_responses_.begin(), sent_responses_.end(), [&](const SentResponse& sent) {
    return sent.correlation_id == response.correlation_id && sent.code == response.code && sent.lease_id == response.lease_id;
  });
  if (ours != sent_responses_.end()) {
    sent_responses_.erase(sent_responses_.begin(), ours + 1);
    return;
  }
  ++counts_.foreign_responses;
  if (foreign_logged_ns_ != 0 && now_ns_ - foreign_logged_ns_ < kNsPerSecond) return;
  foreign_logged_ns_ = now_ns_;
  log(LogLevel::kError, "driver", "another driver answers attach requests on ", config_.control_channel, " stream ",
      config_.control_stream_id, " (", counts_.foreign_responses, " so far): give each driver a control stream of its own");
}

// ---- detach ----------------------------------------------------------------------------------------------------------

void Driver::Impl::on(const wire::ShmDetachRequest& request, const transport::MessageInfo&) {
  if (!room()) {
    ++counts_.requests_refused;
    return;
  }
  if (!is_role(request.role)) return answer_detach(request.correlation_id, ResponseCode::invalid_params, "invalid role");
  const LeaseIdentity identity{request.lease_id, request.stream_id, request.client_id, static_cast<wire::Role>(request.role)};
  if (leases_.find(identity) != nullptr)
    return end_lease(request.lease_id, wire::RevokeReason::detached, "", request.correlation_id);
  if (leases_.tombstone(identity) == wire::RevokeReason::detached) {
    // Idempotent. While the epoch that follows the first detach is being made, the answer follows its announce, too.
    for (auto& [ticket, making] : making_) {
      if (making.stream_id == request.stream_id && !making.detaches.empty() && making.detaches.size() < kMaxDeferred) {
        making.detaches.push_back(request.correlation_id);
        return;
      }
    }
    return answer_detach(request.correlation_id, ResponseCode::ok, "");
  }
  answer_detach(request.correlation_id, ResponseCode::rejected, "lease not found");
}

void Driver::Impl::answer_detach(int64_t correlation_id, ResponseCode code, std::string_view text) {
  ++counts_.detach_responses;
  wire::ShmDetachResponse response;
  response.correlation_id = correlation_id;
  response.code = code;
  response.error_message = within_limit(text);
  owe(std::move(response));
}

// ---- keepalive -------------------------------------------------------------------------------------------------------

void Driver::Impl::on(const wire::ShmLeaseKeepalive& keepalive, const transport::MessageInfo&) {
  const bool known_role = is_role(keepalive.role);
  const LeaseIdentity identity{keepalive.lease_id, keepalive.stream_id, keepalive.client_id,
                               static_cast<wire::Role>(keepalive.role)};
  if (Lease* lease = known_role ? leases_.find(identity) : nullptr) {
    lease->expiry_ns = now_ns_ + lease_lifetime_ns_;
    ++counts_.keepalives;
    return;
  }
  ++counts_.keepalives_ignored;

  // The unknown-lease notice (6.3, D-28): who survived our predecessor learns from it that its lease did not.
  if (!config_.notify_unknown_lease || !known_role || keepalive.lease_id == 0 || keepalive.lease_id == wire::kNull64) return;
  if (leases_.find(keepalive.lease_id) != nullptr || leases_.ended(keepalive.lease_id)) return;
  const Stream* stream = streams_.find(keepalive.stream_id);
  const bool ours =
      (stream != nullptr && !stream->dynamic) || (config_.allow_dynamic_streams && streams_.in_ranges(keepalive.stream_id));
  if (!ours || !room() || !leases_.answer_unknown(keepalive.lease_id)) return;
  ++counts_.unknown_lease_notices;
  log(LogLevel::kInfo, "driver", "stream ", keepalive.stream_id, ": client ", keepalive.client_id, " keeps lease ",
      keepalive.lease_id, " alive, which is none of ours: told so");
  wire::ShmLeaseRevoked notice;
  notice.timestamp_ns = now_ns_;
  notice.lease_id = keepalive.lease_id;
  notice.stream_id = keepalive.stream_id;
  notice.client_id = keepalive.client_id;
  notice.role = static_cast<wire::Role>(keepalive.role);
  notice.reason = wire::RevokeReason::revoked;
  notice.error_message = "unknown lease";
  owe(std::move(notice));
}

// ---- hello -----------------------------------------------------------------------------------------------------------

void Driver::Impl::on(const wire::ConsumerHello& hello, const transport::MessageInfo&) {
  const Lease* lease = leases_.find_by_client(hello.consumer_id);
  if (lease == nullptr || lease->identity.role != wire::Role::consumer || lease->identity.stream_id != hello.stream_id) {
    ++counts_.hellos_ignored;  // D-51: a consumer without us, another driver's, or one whose lease has ended
    return;
  }
  if (!room()) {
    ++counts_.requests_refused;  // it says hello again, and is answered then
    return;
  }
  const uint64_t beyond = per_consumer_.counts().beyond_capacity;
  const auto answer = per_consumer_.heard(lease->identity.lease_id, hello);
  if (per_consumer_.counts().beyond_capacity != beyond && beyond == 0)
    log(LogLevel::kWarn, "driver", "more than ", per_consumer_.known(),
        " consumers ask for something: those beyond are not answered (supervisor.consumer_capacity)");
  if (!answer) return;
  ++counts_.consumer_configs;
  log(LogLevel::kInfo, "driver", "stream ", hello.stream_id, ": consumer ", hello.consumer_id, " gets descriptors on ",
      answer->descriptor_stream_id == 0 ? "the shared stream" : concat("stream ", answer->descriptor_stream_id), ", progress on ",
      answer->control_stream_id == 0 ? "shared control" : concat("stream ", answer->control_stream_id));
  owe(*answer);
}

// ---- shutdown request --------------------------------------------------------------------------------------------------

void Driver::Impl::on(const wire::ShmDriverShutdownRequest& request, const transport::MessageInfo&) {
  const bool authorised = !config_.shutdown_token.empty() && equal_in_constant_time(request.token, config_.shutdown_token);
  if (!authorised || lifecycle_ != Lifecycle::kRunning) {
    ++counts_.shutdown_requests_ignored;
    log(LogLevel::kWarn, "driver", "shutdown request ignored: ",
        lifecycle_ != Lifecycle::kRunning ? "shutting down already"
        : config_.shutdown_token.empty()  ? "policies.shutdown_token is not set"
                                          : "its token is wrong");
    return;
  }
  log(LogLevel::kInfo, "driver", "shutdown requested: ", printable(request.error_message, wire::kMaxErrorMessageBytes));
  shutdown(request.reason, request.error_message, false);
}

}  // namespace tidepool::driver
