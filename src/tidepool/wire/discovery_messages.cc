#include <tidepool_sbe_discovery/DiscoveryRequest.h>
#include <tidepool_sbe_discovery/DiscoveryResponse.h>

#include "tidepool/wire/codec.h"
#include "tidepool/wire/messages.h"

namespace tidepool::wire {

namespace discovery_codec = tidepool::sbe::discovery;

namespace {

constexpr size_t kResultBlockBytes = 39;

size_t tags_bytes(const std::vector<std::string>& tags) noexcept {
  size_t bytes = detail::kGroupHeaderBytes;
  for (const std::string& tag : tags) bytes += detail::var_bytes(tag);
  return bytes;
}

bool tags_fit(const std::vector<std::string>& tags) noexcept {
  return tags.size() <= kMaxTagsPerMessage &&
         std::all_of(tags.begin(), tags.end(), [](const std::string& tag) { return tag.size() <= kMaxNameBytes; });
}

// The tags group at the codec's position, by hand (DS-8): some generators count an entry's length word as its block, the bytes are
// the same.
template <typename Codec>
bool read_tags(Bytes message, Codec& discovery_codec, std::vector<std::string>& out) {
  if (detail::bytes_left(discovery_codec, message) < detail::kGroupHeaderBytes) return false;
  size_t at = static_cast<size_t>(discovery_codec.sbePosition());
  const auto block = load<uint16_t>(message.data() + at);
  const auto count = load<uint16_t>(message.data() + at + 2);
  if ((block != 0 && block != detail::kVarHeaderBytes) || count > kMaxTagsPerMessage) return false;
  at += detail::kGroupHeaderBytes;
  out.clear();
  out.reserve(std::min<size_t>(count, (message.size() - at) / detail::kVarHeaderBytes));  // DS-29
  for (size_t i = 0; i < count; ++i) {
    if (message.size() - at < detail::kVarHeaderBytes) return false;
    const auto length = load<uint32_t>(message.data() + at);
    at += detail::kVarHeaderBytes;
    if (length > message.size() - at || length > kMaxNameBytes) return false;
    out.emplace_back(detail::chars(message) + at, length);
    at += length;
  }
  discovery_codec.sbePosition(at);
  return true;
}

template <typename Codec>
void write_tags(const std::vector<std::string>& tags, Codec& discovery_codec) {
  auto& group = discovery_codec.tagsCount(static_cast<uint16_t>(tags.size()));
  for (const std::string& tag : tags) group.next().putTag(std::string_view(tag));
}

// The entry that `raw` stands on.
bool read_result(Bytes message, discovery_codec::DiscoveryResponse::Results& raw, DiscoveryResult& out) {
  using Raw = discovery_codec::DiscoveryResponse::Results;
  out.stream_id = raw.streamId();
  out.producer_id = raw.producerId();
  out.epoch = raw.epoch();
  out.layout_version = raw.layoutVersion();
  out.header_nslots = raw.headerNslots();
  out.header_slot_bytes = raw.headerSlotBytes();
  out.max_dims = raw.maxDims();
  out.data_source_id = detail::unless_null(raw.dataSourceId());
  out.driver_control_stream_id = raw.driverControlStreamId();
  const auto pools = detail::peek_group(message, raw, detail::kPoolBlockBytes, kMaxPoolsPerMessage);
  return pools && detail::read_pools(message, raw.payloadPools(), *pools, out.pools) && read_tags(message, raw, out.tags) &&
         detail::read_var(message, raw, &Raw::headerRegionUriLength, &Raw::getHeaderRegionUriAsStringView, kMaxUriBytes,
                          out.header_region_uri) &&
         detail::read_var(message, raw, &Raw::dataSourceNameLength, &Raw::getDataSourceNameAsStringView, kMaxNameBytes,
                          out.data_source_name) &&
         detail::read_var(message, raw, &Raw::driverInstanceIdLength, &Raw::getDriverInstanceIdAsStringView, kMaxUriBytes,
                          out.driver_instance_id) &&
         detail::read_var(message, raw, &Raw::driverControlChannelLength, &Raw::getDriverControlChannelAsStringView, kMaxUriBytes,
                          out.driver_control_channel);
}

bool read_results(Bytes message, discovery_codec::DiscoveryResponse& raw, std::vector<DiscoveryResult>& out) {
  // The least that an entry takes: its block, two group headers, four lengths.
  constexpr size_t kLeastBytes = kResultBlockBytes + 2 * detail::kGroupHeaderBytes + 4 * detail::kVarHeaderBytes;
  const auto count = detail::peek_group(message, raw, kResultBlockBytes, kMaxResultsPerMessage);
  if (!count || *count > detail::bytes_left(raw, message) / kLeastBytes) return false;  // DS-29
  auto& results = raw.results();
  out.clear();
  out.reserve(*count);
  for (size_t i = 0; i < *count; ++i) {
    if (detail::bytes_left(results, message) < results.sbeActingBlockLength()) return false;
    results.next();
    if (!read_result(message, results, out.emplace_back())) return false;
  }
  return true;
}

}  // namespace

std::string_view name_of(DiscoveryStatus status) noexcept {
  switch (status) {
    case DiscoveryStatus::ok: return "OK";
    case DiscoveryStatus::not_found: return "NOT_FOUND";
    case DiscoveryStatus::error: return "ERROR";
  }
  return "?";
}

// ---- DiscoveryRequest --------------------------------------------------------------------------------------------------

std::string_view over_limit(const DiscoveryRequest& message) noexcept {
  if (!tags_fit(message.tags)) return "tags";
  if (message.response_channel.size() > kMaxUriBytes) return "responseChannel";
  if (message.data_source_name.size() > kMaxNameBytes) return "dataSourceName";
  return {};
}

size_t encoded_bytes(const DiscoveryRequest& message) noexcept {
  return kMessageHeaderBytes + DiscoveryRequest::kBlockLength + tags_bytes(message.tags) +
         detail::var_bytes(message.response_channel) + detail::var_bytes(message.data_source_name);
}

DecodeStatus decode(Bytes message, DiscoveryRequest& out) noexcept try {
  discovery_codec::DiscoveryRequest raw;
  if (const DecodeStatus status = detail::open<DiscoveryRequest>(message, raw); status != DecodeStatus::kOk) return status;
  out.request_id = raw.requestId();
  out.client_id = raw.clientId();
  out.response_stream_id = raw.responseStreamId();
  out.stream_id = detail::unless_null(raw.streamId());
  out.producer_id = detail::unless_null(raw.producerId());
  out.data_source_id = detail::unless_null(raw.dataSourceId());
  if (!read_tags(message, raw, out.tags) ||
      !detail::read_var(message, raw, &discovery_codec::DiscoveryRequest::responseChannelLength,
                        &discovery_codec::DiscoveryRequest::getResponseChannelAsStringView, kMaxUriBytes, out.response_channel)) {
    return DecodeStatus::kMalformed;
  }
  out.data_source_name.clear();
  if (detail::bytes_left(raw, message) == 0) return DecodeStatus::kOk;  // DS-40: one peer leaves an unset last text out
  if (!detail::read_var(message, raw, &discovery_codec::DiscoveryRequest::dataSourceNameLength,
                        &discovery_codec::DiscoveryRequest::getDataSourceNameAsStringView, kMaxNameBytes, out.data_source_name)) {
    return DecodeStatus::kMalformed;
  }
  return DecodeStatus::kOk;
} catch (...) {
  return DecodeStatus::kMalformed;  // no memory for it; lengths were checked
}

size_t encode(const DiscoveryRequest& message, MutableBytes out) noexcept {
  discovery_codec::DiscoveryRequest raw;
  const size_t bytes = detail::begin(message, out, raw);
  if (bytes == 0) return 0;
  raw.requestId(message.request_id)
      .clientId(message.client_id)
      .responseStreamId(message.response_stream_id)
      .streamId(detail::or_null(message.stream_id))
      .producerId(detail::or_null(message.producer_id))
      .dataSourceId(detail::or_null(message.data_source_id));
  write_tags(message.tags, raw);
  raw.putResponseChannel(std::string_view(message.response_channel)).putDataSourceName(std::string_view(message.data_source_name));
  return bytes;
}

// ---- DiscoveryResponse -------------------------------------------------------------------------------------------------

size_t encoded_bytes(const DiscoveryResult& result) noexcept {
  return kResultBlockBytes + detail::pools_bytes(result.pools) + tags_bytes(result.tags) +
         detail::var_bytes(result.header_region_uri) + detail::var_bytes(result.data_source_name) +
         detail::var_bytes(result.driver_instance_id) + detail::var_bytes(result.driver_control_channel);
}

std::string_view over_limit(const DiscoveryResponse& message) noexcept {
  if (!detail::within(message.status, DiscoveryStatus::ok, DiscoveryStatus::error)) return "status";
  if (message.results.size() > kMaxResultsPerMessage) return "results";
  if (message.status != DiscoveryStatus::ok && !message.results.empty()) return "results";  // DS-28
  for (const DiscoveryResult& result : message.results) {
    if (!detail::pools_fit(result.pools)) return "payloadPools";
    if (!tags_fit(result.tags)) return "tags";
    if (result.header_region_uri.size() > kMaxUriBytes) return "headerRegionUri";
    if (result.data_source_name.size() > kMaxNameBytes) return "dataSourceName";
    if (result.driver_instance_id.size() > kMaxUriBytes) return "driverInstanceId";
    if (result.driver_control_channel.size() > kMaxUriBytes) return "driverControlChannel";
  }
  return {};
}

size_t encoded_bytes(const DiscoveryResponse& message) noexcept {
  size_t bytes = kMessageHeaderBytes + DiscoveryResponse::kBlockLength + detail::kGroupHeaderBytes +
                 detail::var_bytes(detail::cut_text(message.error_message));
  for (const DiscoveryResult& result : message.results) bytes += encoded_bytes(result);
  return bytes;
}

DecodeStatus decode(Bytes message, DiscoveryResponse& out) noexcept try {
  discovery_codec::DiscoveryResponse raw;
  if (const DecodeStatus status = detail::open<DiscoveryResponse>(message, raw); status != DecodeStatus::kOk) return status;
  out.request_id = raw.requestId();
  if (!detail::read_enum(raw.statusRaw(), DiscoveryStatus::ok, DiscoveryStatus::error, out.status)) {
    out.status = DiscoveryStatus::error;  // DS-34
  }
  if (!read_results(message, raw, out.results)) return DecodeStatus::kMalformed;
  if (out.status != DiscoveryStatus::ok) out.results.clear();  // DS-34: read only to reach the text
  out.error_message.clear();
  if (detail::bytes_left(raw, message) == 0) return DecodeStatus::kOk;  // DS-40
  if (!detail::read_text(message, raw, &discovery_codec::DiscoveryResponse::errorMessageLength,
                         &discovery_codec::DiscoveryResponse::getErrorMessageAsStringView, out.error_message)) {
    return DecodeStatus::kMalformed;
  }
  return DecodeStatus::kOk;
} catch (...) {
  return DecodeStatus::kMalformed;  // no memory for it; lengths were checked
}

size_t encode(const DiscoveryResponse& message, MutableBytes out) noexcept {
  discovery_codec::DiscoveryResponse raw;
  const size_t bytes = detail::begin(message, out, raw);
  if (bytes == 0) return 0;
  raw.requestId(message.request_id).status(static_cast<discovery_codec::DiscoveryStatus::Value>(message.status));
  auto& results = raw.resultsCount(static_cast<uint16_t>(message.results.size()));
  for (const DiscoveryResult& result : message.results) {
    results.next()
        .streamId(result.stream_id)
        .producerId(result.producer_id)
        .epoch(result.epoch)
        .layoutVersion(result.layout_version)
        .headerNslots(result.header_nslots)
        .headerSlotBytes(result.header_slot_bytes)
        .maxDims(result.max_dims)
        .dataSourceId(detail::or_null(result.data_source_id))
        .driverControlStreamId(result.driver_control_stream_id);
    detail::write_pools(result.pools, results);
    write_tags(result.tags, results);
    results.putHeaderRegionUri(std::string_view(result.header_region_uri))
        .putDataSourceName(std::string_view(result.data_source_name))
        .putDriverInstanceId(std::string_view(result.driver_instance_id))
        .putDriverControlChannel(std::string_view(result.driver_control_channel));
  }
  raw.putErrorMessage(detail::cut_text(message.error_message));
  return bytes;
}

template std::vector<std::byte> encode_new(const DiscoveryRequest&);
template std::vector<std::byte> encode_new(const DiscoveryResponse&);

}  // namespace tidepool::wire
