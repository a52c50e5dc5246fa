#include <tidepool_sbe_driver/ShmAttachRequest.h>
#include <tidepool_sbe_driver/ShmAttachResponse.h>
#include <tidepool_sbe_driver/ShmDetachRequest.h>
#include <tidepool_sbe_driver/ShmDetachResponse.h>
#include <tidepool_sbe_driver/ShmDriverShutdown.h>
#include <tidepool_sbe_driver/ShmDriverShutdownRequest.h>
#include <tidepool_sbe_driver/ShmLeaseKeepalive.h>
#include <tidepool_sbe_driver/ShmLeaseRevoked.h>

#include "tidepool/wire/codec.h"
#include "tidepool/wire/messages.h"

namespace tidepool::wire {

namespace driver_codec = tidepool::sbe::driver;

std::string_view name_of(Role role) noexcept {
  switch (role) {
    case Role::producer: return "producer";
    case Role::consumer: return "consumer";
  }
  return "?";
}

std::string_view name_of(RevokeReason reason) noexcept {
  switch (reason) {
    case RevokeReason::detached: return "detached";
    case RevokeReason::expired: return "expired";
    case RevokeReason::revoked: return "revoked";
  }
  return "?";
}

// ---- ShmAttachRequest --------------------------------------------------------------------------------------------------

std::string_view over_limit(const ShmAttachRequest&) noexcept { return {}; }
size_t encoded_bytes(const ShmAttachRequest&) noexcept { return kMessageHeaderBytes + ShmAttachRequest::kBlockLength; }

DecodeStatus decode(Bytes message, ShmAttachRequest& out) noexcept {
  driver_codec::ShmAttachRequest raw;
  const DecodeStatus status = detail::open<ShmAttachRequest>(message, raw);
  if (status == DecodeStatus::kUnsupportedVersion) {
    // Answered by name (driver.md 5.2 row 1), so the id must be there to echo; without it there is nobody to answer (D-4).
    const size_t id_bytes = sizeof out.correlation_id;
    if (detail::load_header(message).block_length < id_bytes || message.size() < kMessageHeaderBytes + id_bytes) {
      return DecodeStatus::kMalformed;
    }
    out.correlation_id =
        load<int64_t>(message.data() + kMessageHeaderBytes + driver_codec::ShmAttachRequest::correlationIdEncodingOffset());
  }
  if (status != DecodeStatus::kOk) return status;
  out.correlation_id = raw.correlationId();
  out.stream_id = raw.streamId();
  out.client_id = raw.clientId();
  out.role = raw.roleRaw();
  out.expected_layout_version = raw.expectedLayoutVersion();
  out.publish_mode = raw.publishModeRaw();
  out.require_hugepages = raw.requireHugepagesRaw();
  out.desired_node_id = detail::unless_null(raw.desiredNodeId());
  return DecodeStatus::kOk;
}

size_t encode(const ShmAttachRequest& message, MutableBytes out) noexcept {
  driver_codec::ShmAttachRequest raw;
  const size_t bytes = detail::begin_fixed<ShmAttachRequest>(out, raw);
  if (bytes == 0) return 0;
  raw.correlationId(message.correlation_id)
      .streamId(message.stream_id)
      .clientId(message.client_id)
      .role(static_cast<driver_codec::Role::Value>(message.role))
      .expectedLayoutVersion(message.expected_layout_version)
      .publishMode(static_cast<driver_codec::PublishMode::Value>(message.publish_mode))
      .requireHugepages(static_cast<driver_codec::HugepagesPolicy::Value>(message.require_hugepages))
      .desiredNodeId(detail::or_null(message.desired_node_id));
  return bytes;
}

// ---- ShmAttachResponse -------------------------------------------------------------------------------------------------

std::string_view over_limit(const ShmAttachResponse& message) noexcept {
  if (!detail::within(message.code, ResponseCode::ok, ResponseCode::internal_error)) return "code";
  if (!detail::pools_fit(message.pools)) return "payloadPools";
  if (message.header_region_uri.size() > kMaxUriBytes) return "headerRegionUri";
  return {};
}

size_t encoded_bytes(const ShmAttachResponse& message) noexcept {
  return kMessageHeaderBytes + ShmAttachResponse::kBlockLength + detail::pools_bytes(message.pools) +
         detail::var_bytes(message.header_region_uri) + detail::var_bytes(detail::cut_text(message.error_message));
}

DecodeStatus decode(Bytes message, ShmAttachResponse& out) noexcept try {
  driver_codec::ShmAttachResponse raw;
  if (const DecodeStatus status = detail::open<ShmAttachResponse>(message, raw); status != DecodeStatus::kOk) return status;
  if (!detail::read_enum(raw.codeRaw(), ResponseCode::ok, ResponseCode::internal_error, out.code)) return DecodeStatus::kMalformed;
  out.correlation_id = raw.correlationId();
  out.lease_id = detail::unless_null(raw.leaseId());
  out.lease_expiry_timestamp_ns = detail::unless_null(raw.leaseExpiryTimestampNs());
  out.stream_id = detail::unless_null(raw.streamId());
  out.epoch = detail::unless_null(raw.epoch());
  out.layout_version = detail::unless_null(raw.layoutVersion());
  out.header_nslots = detail::unless_null(raw.headerNslots());
  out.header_slot_bytes = detail::unless_null(raw.headerSlotBytes());
  out.node_id = detail::unless_null(raw.nodeId());
  const auto pools = detail::peek_group(message, raw, detail::kPoolBlockBytes, kMaxPoolsPerMessage);
  if (!pools || !detail::read_pools(message, raw.payloadPools(), *pools, out.pools)) return DecodeStatus::kMalformed;
  if (!detail::read_var(message, raw, &driver_codec::ShmAttachResponse::headerRegionUriLength,
                        &driver_codec::ShmAttachResponse::getHeaderRegionUriAsStringView, kMaxUriBytes, out.header_region_uri) ||
      !detail::read_text(message, raw, &driver_codec::ShmAttachResponse::errorMessageLength,
                         &driver_codec::ShmAttachResponse::getErrorMessageAsStringView, out.error_message)) {
    return DecodeStatus::kMalformed;
  }
  return DecodeStatus::kOk;
} catch (...) {
  return DecodeStatus::kMalformed;  // no memory for it; lengths were checked
}

size_t encode(const ShmAttachResponse& message, MutableBytes out) noexcept {
  driver_codec::ShmAttachResponse raw;
  const size_t bytes = detail::begin(message, out, raw);
  if (bytes == 0) return 0;
  raw.correlationId(message.correlation_id)
      .code(static_cast<driver_codec::ResponseCode::Value>(message.code))
      .leaseId(detail::or_null(message.lease_id))
      .leaseExpiryTimestampNs(detail::or_null(message.lease_expiry_timestamp_ns))
      .streamId(detail::or_null(message.stream_id))
      .epoch(detail::or_null(message.epoch))
      .layoutVersion(detail::or_null(message.layout_version))
      .headerNslots(detail::or_null(message.header_nslots))
      .headerSlotBytes(detail::or_null(message.header_slot_bytes))
      .nodeId(detail::or_null(message.node_id));
  detail::write_pools(message.pools, raw);
  raw.putHeaderRegionUri(std::string_view(message.header_region_uri)).putErrorMessage(detail::cut_text(message.error_message));
  return bytes;
}

// ---- ShmDetachRequest, ShmDetachResponse -------------------------------------------------------------------------------

std::string_view over_limit(const ShmDetachRequest&) noexcept { return {}; }
size_t encoded_bytes(const ShmDetachRequest&) noexcept { return kMessageHeaderBytes + ShmDetachRequest::kBlockLength; }

DecodeStatus decode(Bytes message, ShmDetachRequest& out) noexcept {
  driver_codec::ShmDetachRequest raw;
  if (const DecodeStatus status = detail::open<ShmDetachRequest>(message, raw); status != DecodeStatus::kOk) return status;
  out.correlation_id = raw.correlationId();
  out.lease_id = raw.leaseId();
  out.stream_id = raw.streamId();
  out.client_id = raw.clientId();
  out.role = raw.roleRaw();
  return DecodeStatus::kOk;
}

size_t encode(const ShmDetachRequest& message, MutableBytes out) noexcept {
  driver_codec::ShmDetachRequest raw;
  const size_t bytes = detail::begin_fixed<ShmDetachRequest>(out, raw);
  if (bytes == 0) return 0;
  raw.correlationId(message.correlation_id)
      .leaseId(message.lease_id)
      .streamId(message.stream_id)
      .clientId(message.client_id)
      .role(static_cast<driver_codec::Role::Value>(message.role));
  return bytes;
}

std::string_view over_limit(const ShmDetachResponse& message) noexcept {
  return detail::within(message.code, ResponseCode::ok, ResponseCode::internal_error) ? std::string_view{} : "code";
}

size_t encoded_bytes(const ShmDetachResponse& message) noexcept {
  return kMessageHeaderBytes + ShmDetachResponse::kBlockLength + detail::var_bytes(detail::cut_text(message.error_message));
}

DecodeStatus decode(Bytes message, ShmDetachResponse& out) noexcept try {
  driver_codec::ShmDetachResponse raw;
  if (const DecodeStatus status = detail::open<ShmDetachResponse>(message, raw); status != DecodeStatus::kOk) return status;
  out.correlation_id = raw.correlationId();
  if (!detail::read_enum(raw.codeRaw(), ResponseCode::ok, ResponseCode::internal_error, out.code) ||
      !detail::read_text(message, raw, &driver_codec::ShmDetachResponse::errorMessageLength,
                         &driver_codec::ShmDetachResponse::getErrorMessageAsStringView, out.error_message)) {
    return DecodeStatus::kMalformed;
  }
  return DecodeStatus::kOk;
} catch (...) {
  return DecodeStatus::kMalformed;  // no memory for it; lengths were checked
}

size_t encode(const ShmDetachResponse& message, MutableBytes out) noexcept {
  driver_codec::ShmDetachResponse raw;
  const size_t bytes = detail::begin(message, out, raw);
  if (bytes == 0) return 0;
  raw.correlationId(message.correlation_id)
      .code(static_cast<driver_codec::ResponseCode::Value>(message.code))
      .putErrorMessage(detail::cut_text(message.error_message));
  return bytes;
}

// ---- ShmLeaseKeepalive -------------------------------------------------------------------------------------------------

std::string_view over_limit(const ShmLeaseKeepalive&) noexcept { return {}; }
size_t encoded_bytes(const ShmLeaseKeepalive&) noexcept { return kMessageHeaderBytes + ShmLeaseKeepalive::kBlockLength; }

DecodeStatus decode(Bytes message, ShmLeaseKeepalive& out) noexcept {
  driver_codec::ShmLeaseKeepalive raw;
  if (const DecodeStatus status = detail::open<ShmLeaseKeepalive>(message, raw); status != DecodeStatus::kOk) return status;
  out.lease_id = raw.leaseId();
  out.stream_id = raw.streamId();
  out.client_id = raw.clientId();
  out.role = raw.roleRaw();
  out.client_timestamp_ns = raw.clientTimestampNs();
  return DecodeStatus::kOk;
}

size_t encode(const ShmLeaseKeepalive& message, MutableBytes out) noexcept {
  driver_codec::ShmLeaseKeepalive raw;
  const size_t bytes = detail::begin_fixed<ShmLeaseKeepalive>(out, raw);
  if (bytes == 0) return 0;
  raw.leaseId(message.lease_id)
      .streamId(message.stream_id)
      .clientId(message.client_id)
      .role(static_cast<driver_codec::Role::Value>(message.role))
      .clientTimestampNs(message.client_timestamp_ns);
  return bytes;
}

// ---- ShmDriverShutdown, ShmLeaseRevoked --------------------------------------------------------------------------------

std::string_view over_limit(const ShmDriverShutdown& message) noexcept {
  return detail::within(message.reason, ShutdownReason::normal, ShutdownReason::error) ? std::string_view{} : "reason";
}

size_t encoded_bytes(const ShmDriverShutdown& message) noexcept {
  return kMessageHeaderBytes + ShmDriverShutdown::kBlockLength + detail::var_bytes(detail::cut_text(message.error_message));
}

DecodeStatus decode(Bytes message, ShmDriverShutdown& out) noexcept try {
  driver_codec::ShmDriverShutdown raw;
  if (const DecodeStatus status = detail::open<ShmDriverShutdown>(message, raw); status != DecodeStatus::kOk) return status;
  out.timestamp_ns = raw.timestampNs();
  if (!detail::read_enum(raw.reasonRaw(), ShutdownReason::normal, ShutdownReason::error, out.reason) ||
      !detail::read_text(message, raw, &driver_codec::ShmDriverShutdown::errorMessageLength,
                         &driver_codec::ShmDriverShutdown::getErrorMessageAsStringView, out.error_message)) {
    return DecodeStatus::kMalformed;
  }
  return DecodeStatus::kOk;
} catch (...) {
  return DecodeStatus::kMalformed;  // no memory for it; lengths were checked
}

size_t encode(const ShmDriverShutdown& message, MutableBytes out) noexcept {
  driver_codec::ShmDriverShutdown raw;
  const size_t bytes = detail::begin(message, out, raw);
  if (bytes == 0) return 0;
  raw.timestampNs(message.timestamp_ns)
      .reason(static_cast<driver_codec::ShutdownReason::Value>(message.reason))
      .putErrorMessage(detail::cut_text(message.error_message));
  return bytes;
}

std::string_view over_limit(const ShmLeaseRevoked& message) noexcept {
  if (!detail::within(message.role, Role::producer, Role::consumer)) return "role";
  if (!detail::within(message.reason, RevokeReason::detached, RevokeReason::revoked)) return "reason";
  return {};
}

size_t encoded_bytes(const ShmLeaseRevoked& message) noexcept {
  return kMessageHeaderBytes + ShmLeaseRevoked::kBlockLength + detail::var_bytes(detail::cut_text(message.error_message));
}

DecodeStatus decode(Bytes message, ShmLeaseRevoked& out) noexcept try {
  driver_codec::ShmLeaseRevoked raw;
  if (const DecodeStatus status = detail::open<ShmLeaseRevoked>(message, raw); status != DecodeStatus::kOk) return status;
  out.timestamp_ns = raw.timestampNs();
  out.lease_id = raw.leaseId();
  out.stream_id = raw.streamId();
  out.client_id = raw.clientId();
  if (!detail::read_enum(raw.roleRaw(), Role::producer, Role::consumer, out.role) ||
      !detail::read_enum(raw.reasonRaw(), RevokeReason::detached, RevokeReason::revoked, out.reason) ||  // D-63
      !detail::read_text(message, raw, &driver_codec::ShmLeaseRevoked::errorMessageLength,
                         &driver_codec::ShmLeaseRevoked::getErrorMessageAsStringView, out.error_message)) {
    return DecodeStatus::kMalformed;
  }
  return DecodeStatus::kOk;
} catch (...) {
  return DecodeStatus::kMalformed;  // no memory for it; lengths were checked
}

size_t encode(const ShmLeaseRevoked& message, MutableBytes out) noexcept {
  driver_codec::ShmLeaseRevoked raw;
  const size_t bytes = detail::begin(message, out, raw);
  if (bytes == 0) return 0;
  raw.timestampNs(message.timestamp_ns)
      .leaseId(message.lease_id)
      .streamId(message.stream_id)
      .clientId(message.client_id)
      .role(static_cast<driver_codec::Role::Value>(message.role))
      .reason(static_cast<driver_codec::LeaseRevokeReason::Value>(message.reason))
      .putErrorMessage(detail::cut_text(message.error_message));
  return bytes;
}

// ---- ShmDriverShutdownRequest ------------------------------------------------------------------------------------------

std::string_view over_limit(const ShmDriverShutdownRequest& message) noexcept {
  if (!detail::within(message.reason, ShutdownReason::normal, ShutdownReason::error)) return "reason";
  if (message.token.size() > kMaxTokenBytes) return "token";
  return {};
}

size_t encoded_bytes(const ShmDriverShutdownRequest& message) noexcept {
  return kMessageHeaderBytes + ShmDriverShutdownRequest::kBlockLength + detail::var_bytes(message.token) +
         detail::var_bytes(detail::cut_text(message.error_message));
}

DecodeStatus decode(Bytes message, ShmDriverShutdownRequest& out) noexcept try {
  driver_codec::ShmDriverShutdownRequest raw;
  if (const DecodeStatus status = detail::open<ShmDriverShutdownRequest>(message, raw); status != DecodeStatus::kOk) return status;
  out.correlation_id = raw.correlationId();
  if (!detail::read_enum(raw.reasonRaw(), ShutdownReason::normal, ShutdownReason::error, out.reason) ||
      !detail::read_var(message, raw, &driver_codec::ShmDriverShutdownRequest::tokenLength,
                        &driver_codec::ShmDriverShutdownRequest::getTokenAsStringView, kMaxTokenBytes, out.token) ||
      !detail::read_text(message, raw, &driver_codec::ShmDriverShutdownRequest::errorMessageLength,
                         &driver_codec::ShmDriverShutdownRequest::getErrorMessageAsStringView, out.error_message)) {
    return DecodeStatus::kMalformed;
  }
  return DecodeStatus::kOk;
} catch (...) {
  return DecodeStatus::kMalformed;  // no memory for it; lengths were checked
}

size_t encode(const ShmDriverShutdownRequest& message, MutableBytes out) noexcept {
  driver_codec::ShmDriverShutdownRequest raw;
  const size_t bytes = detail::begin(message, out, raw);
  if (bytes == 0) return 0;
  raw.correlationId(message.correlation_id)
      .reason(static_cast<driver_codec::ShutdownReason::Value>(message.reason))
      .putToken(std::string_view(message.token))
      .putErrorMessage(detail::cut_text(message.error_message));
  return bytes;
}

template std::vector<std::byte> encode_new(const ShmAttachRequest&);
template std::vector<std::byte> encode_new(const ShmAttachResponse&);
template std::vector<std::byte> encode_new(const ShmDetachRequest&);
template std::vector<std::byte> encode_new(const ShmDetachResponse&);
template std::vector<std::byte> encode_new(const ShmLeaseKeepalive&);
template std::vector<std::byte> encode_new(const ShmDriverShutdown&);
template std::vector<std::byte> encode_new(const ShmLeaseRevoked&);
template std::vector<std::byte> encode_new(const ShmDriverShutdownRequest&);

}  // namespace tidepool::wire
