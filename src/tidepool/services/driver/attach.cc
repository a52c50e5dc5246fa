#include "tidepool/services/driver/attach.h"

namespace tidepool::driver {
namespace {

using wire::ResponseCode;

AttachVerdict refuse(ResponseCode code, std::string_view text) {
  AttachVerdict verdict;
  verdict.code = code;
  verdict.text = text;
  return verdict;
}

AttachVerdict wait() {
  AttachVerdict verdict;
  verdict.kind = AttachVerdict::Kind::kWait;
  return verdict;
}

constexpr uint8_t kNullMode = 255;

bool is_mode(uint8_t mode) noexcept {
  return mode == uint8_t(wire::PublishMode::require_existing) || mode == uint8_t(wire::PublishMode::existing_or_create) ||
         mode == kNullMode;
}

}  // namespace

AttachVerdict judge_attach(const wire::ShmAttachRequest& request, const AttachView& view) {
  // Rows 3 to 7: what the request says by itself.
  if (!view.running) return refuse(ResponseCode::rejected, "driver draining");
  if (!is_role(request.role)) return refuse(ResponseCode::invalid_params, "invalid role");
  if (request.client_id == 0) return refuse(ResponseCode::invalid_params, "client_id must be non-zero");
  if (!is_mode(request.publish_mode)) return refuse(ResponseCode::unsupported, "unsupported publish_mode");
  if (request.require_hugepages > uint8_t(wire::HugepagesPolicy::hugepages))
    return refuse(ResponseCode::invalid_params, "invalid hugepages policy");
  const auto role = static_cast<wire::Role>(request.role);

  // Rows 8 and 9: who asks.
  if (const Lease* lease = view.leases.find_by_client(request.client_id)) {
    if (lease->identity.role == role && lease->requested_stream_id == request.stream_id &&
        lease->correlation_id == request.correlation_id) {
      AttachVerdict verdict;
      verdict.kind = AttachVerdict::Kind::kRepeat;
      verdict.lease = lease;
      return verdict;
    }
    // Clients compare this text for equality and draw a new id (D-10): nothing may be appended.
    return refuse(ResponseCode::rejected, "client_id already attached");
  }
  // Its earlier request is not answered yet: this one comes after it, to row 8 or 9.
  if (view.attaching_clients.contains(request.client_id)) return wait();

  // Row 10.
  const uint32_t expected = request.expected_layout_version;
  if (expected != 0 && expected != wire::kLayoutVersion && expected != wire::kNull32)
    return refuse(ResponseCode::rejected, "layout version mismatch");

  // Rows 11 to 14: which stream.
  AttachVerdict grant;
  grant.kind = AttachVerdict::Kind::kGrant;
  grant.role = role;
  grant.stream_id = request.stream_id;
  const Stream* stream = request.stream_id == 0 ? nullptr : view.streams.find(request.stream_id);
  if (stream == nullptr) {
    // D-13: a null publish mode is REQUIRE_EXISTING.
    if (!view.config.allow_dynamic_streams || request.publish_mode != uint8_t(wire::PublishMode::existing_or_create))
      return refuse(ResponseCode::rejected, "stream not provisioned");
    if (!view.streams.has_ranges()) return refuse(ResponseCode::invalid_params, "stream_id_range not configured");
    if (request.stream_id == 0) {
      const auto free = view.streams.next_free_id();
      if (!free) return refuse(ResponseCode::invalid_params, "stream_id_range exhausted");
      grant.stream_id = *free;
    } else if (!view.streams.in_ranges(request.stream_id)) {
      return refuse(ResponseCode::rejected, "stream_id outside dynamic range");
    }
    grant.new_stream = true;
  }

  // Rows 15 and 16: what it looks like.
  grant.profile = stream != nullptr ? view.config.profile(stream->profile) : view.config.dynamic_profile();
  if (grant.profile == nullptr) return refuse(ResponseCode::invalid_params, "profile not found");
  if (grant.profile->geometry.pools.empty()) return refuse(ResponseCode::invalid_params, "stream has no payload pools");

  // Row 17. While an epoch is being made, whether there is a producer is still open.
  if (stream != nullptr && stream->busy) return wait();
  if (role == wire::Role::producer && stream != nullptr && stream->producer_lease != 0)
    return refuse(ResponseCode::rejected, "producer already attached");

  // Rows 18 and 19: the backing is a property of the base directory's file system (D-15).
  const auto pages = static_cast<wire::HugepagesPolicy>(request.require_hugepages);
  const bool needs_huge =
      pages == wire::HugepagesPolicy::hugepages || (pages == wire::HugepagesPolicy::unspecified && view.config.require_hugepages);
  if (needs_huge && !view.on_hugetlbfs) return refuse(ResponseCode::rejected, "hugepages not available");
  if (pages == wire::HugepagesPolicy::standard && view.on_hugetlbfs)
    return refuse(ResponseCode::rejected, "standard pages requested");

  // Rows 20 and 21: the node id. D-16: 0 is no preference either, since it is never a real id.
  const uint32_t desired = request.desired_node_id.value_or(0);
  if (desired != 0) {
    if (!view.nodes.available(desired, request.client_id, view.now_ns))
      return refuse(ResponseCode::rejected, "desired node_id unavailable");
    grant.node_id = desired;
  } else {
    const auto picked = view.nodes.pick(request.client_id, view.now_ns);
    if (!picked) return refuse(ResponseCode::internal_error, "node_id allocation failed");
    grant.node_id = *picked;
  }
  // Row 23, ahead of row 22: no epoch is made for a lease that cannot be.
  if (view.leases.full()) return refuse(ResponseCode::internal_error, "lease allocation failed");

  grant.needs_epoch = role == wire::Role::producer || stream == nullptr || stream->epoch == 0;  // 8.2
  return grant;
}

}  // namespace tidepool::driver
