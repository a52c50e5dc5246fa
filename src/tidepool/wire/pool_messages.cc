#include <tidepool_sbe_pool/ConsumerConfig.h>
#include <tidepool_sbe_pool/ConsumerHello.h>
#include <tidepool_sbe_pool/ControlResponse.h>
#include <tidepool_sbe_pool/DataSourceAnnounce.h>
#include <tidepool_sbe_pool/DataSourceMeta.h>
#include <tidepool_sbe_pool/FrameDescriptor.h>
#include <tidepool_sbe_pool/FrameProgress.h>
#include <tidepool_sbe_pool/MetaBlobAnnounce.h>
#include <tidepool_sbe_pool/MetaBlobChunk.h>
#include <tidepool_sbe_pool/MetaBlobComplete.h>
#include <tidepool_sbe_pool/QosConsumer.h>
#include <tidepool_sbe_pool/QosProducer.h>
#include <tidepool_sbe_pool/ShmPoolAnnounce.h>

#include "tidepool/wire/codec.h"
#include "tidepool/wire/messages.h"

namespace tidepool::wire {

namespace codec = tidepool::sbe::pool;

std::optional<MessageHeader> read_header(Bytes message) noexcept {
  if (message.size() < kMessageHeaderBytes) return std::nullopt;
  return detail::load_header(message);
}

std::string_view name_of(ResponseCode code) noexcept {
  switch (code) {
    case ResponseCode::ok: return "ok";
    case ResponseCode::unsupported: return "unsupported";
    case ResponseCode::invalid_params: return "invalid params";
    case ResponseCode::rejected: return "rejected";
    case ResponseCode::internal_error: return "internal error";
  }
  return "?";
}

// ---- FrameDescriptor and FrameProgress: once per frame, straight-line --------------------------------------------------

std::string_view over_limit(const FrameDescriptor&) noexcept { return {}; }
size_t encoded_bytes(const FrameDescriptor&) noexcept { return FrameDescriptor::kBytes; }

DecodeStatus decode(Bytes message, FrameDescriptor& out) noexcept {
  codec::FrameDescriptor raw;
  if (const DecodeStatus status = detail::open<FrameDescriptor>(message, raw); status != DecodeStatus::kOk) return status;
  out.stream_id = raw.streamId();
  out.epoch = raw.epoch();
  out.seq = raw.seq();
  out.timestamp_ns = detail::unless_null(raw.timestampNs());
  out.meta_version = detail::unless_null(raw.metaVersion());
  const uint64_t trace_id = raw.traceId();
  out.trace_id = trace_id == kNull64 ? 0 : trace_id;  // WX-8
  return DecodeStatus::kOk;
}

size_t encode(const FrameDescriptor& message, MutableBytes out) noexcept {
  codec::FrameDescriptor raw;
  const size_t bytes = detail::begin_fixed<FrameDescriptor>(out, raw);
  if (bytes == 0) return 0;
  raw.streamId(message.stream_id)
      .epoch(message.epoch)
      .seq(message.seq)
      .timestampNs(detail::or_null(message.timestamp_ns))
      .metaVersion(detail::or_null(message.meta_version))
      .traceId(message.trace_id);
  return bytes;
}

std::string_view over_limit(const FrameProgress& message) noexcept {
  return detail::within(message.state, ProgressState::started, ProgressState::complete) ? std::string_view{} : "state";
}
size_t encoded_bytes(const FrameProgress&) noexcept { return FrameProgress::kBytes; }

DecodeStatus decode(Bytes message, FrameProgress& out) noexcept {
  codec::FrameProgress raw;
  if (const DecodeStatus status = detail::open<FrameProgress>(message, raw); status != DecodeStatus::kOk) return status;
  // UNKNOWN is in the enumeration: it decodes, and whoever tracks progress ignores it (W-9, W-80).
  if (!detail::read_enum(raw.stateRaw(), ProgressState::unknown, ProgressState::complete, out.state))
    return DecodeStatus::kMalformed;
  out.stream_id = raw.streamId();
  out.epoch = raw.epoch();
  out.seq = raw.seq();
  out.payload_bytes_filled = raw.payloadBytesFilled();
  return DecodeStatus::kOk;
}

size_t encode(const FrameProgress& message, MutableBytes out) noexcept {
  if (message.state < ProgressState::started || message.state > ProgressState::complete) return 0;
  codec::FrameProgress raw;
  const size_t bytes = detail::begin_fixed<FrameProgress>(out, raw);
  if (bytes == 0) return 0;
  raw.streamId(message.stream_id)
      .epoch(message.epoch)
      .seq(message.seq)
      .payloadBytesFilled(message.payload_bytes_filled)
      .state(static_cast<codec::FrameProgressState::Value>(message.state));
  return bytes;
}

// ---- ShmPoolAnnounce ---------------------------------------------------------------------------------------------------

std::string_view over_limit(const ShmPoolAnnounce& message) noexcept {
  if (!detail::within(message.clock_domain, ClockDomain::monotonic, ClockDomain::realtime_synced)) return "announceClockDomain";
  if (!detail::pools_fit(message.pools)) return "payloadPools";
  if (message.header_region_uri.size() > kMaxUriBytes) return "headerRegionUri";
  return {};
}

size_t encoded_bytes(const ShmPoolAnnounce& message) noexcept {
  return kMessageHeaderBytes + ShmPoolAnnounce::kBlockLength + detail::pools_bytes(message.pools) +
         detail::var_bytes(message.header_region_uri);
}

DecodeStatus decode(Bytes message, ShmPoolAnnounce& out) noexcept try {
  codec::ShmPoolAnnounce raw;
  if (const DecodeStatus status = detail::open<ShmPoolAnnounce>(message, raw); status != DecodeStatus::kOk) return status;
  if (!detail::read_enum(raw.announceClockDomainRaw(), ClockDomain::monotonic, ClockDomain::realtime_synced, out.clock_domain)) {
    return DecodeStatus::kMalformed;
  }
  out.stream_id = raw.streamId();
  out.producer_id = raw.producerId();
  out.epoch = raw.epoch();
  out.announce_timestamp_ns = raw.announceTimestampNs();
  out.layout_version = raw.layoutVersion();
  out.header_nslots = raw.headerNslots();
  out.header_slot_bytes = raw.headerSlotBytes();
  const auto pools = detail::peek_group(message, raw, detail::kPoolBlockBytes, kMaxPoolsPerMessage);
  if (!pools || !detail::read_pools(message, raw.payloadPools(), *pools, out.pools)) return DecodeStatus::kMalformed;
  if (!detail::read_var(message, raw, &codec::ShmPoolAnnounce::headerRegionUriLength,
                        &codec::ShmPoolAnnounce::getHeaderRegionUriAsStringView, kMaxUriBytes, out.header_region_uri)) {
    return DecodeStatus::kMalformed;
  }
  return DecodeStatus::kOk;
} catch (...) {
  return DecodeStatus::kMalformed;  // no memory for it; lengths were checked
}

size_t encode(const ShmPoolAnnounce& message, MutableBytes out) noexcept {
  codec::ShmPoolAnnounce raw;
  const size_t bytes = detail::begin(message, out, raw);
  if (bytes == 0) return 0;
  raw.streamId(message.stream_id)
      .producerId(message.producer_id)
      .epoch(message.epoch)
      .announceTimestampNs(message.announce_timestamp_ns)
      .announceClockDomain(static_cast<codec::ClockDomain::Value>(message.clock_domain))
      .layoutVersion(message.layout_version)
      .headerNslots(message.header_nslots)
      .headerSlotBytes(message.header_slot_bytes);
  detail::write_pools(message.pools, raw);
  raw.putHeaderRegionUri(std::string_view(message.header_region_uri));
  return bytes;
}

// ---- ConsumerHello -----------------------------------------------------------------------------------------------------

std::string_view over_limit(const ConsumerHello& message) noexcept {
  if (!detail::within(message.mode, Mode::stream, Mode::rate_limited)) return "mode";
  if (message.descriptor_channel.size() > kMaxUriBytes) return "descriptorChannel";
  if (message.control_channel.size() > kMaxUriBytes) return "controlChannel";
  return {};
}

size_t encoded_bytes(const ConsumerHello& message) noexcept {
  return kMessageHeaderBytes + ConsumerHello::kBlockLength + detail::var_bytes(message.descriptor_channel) +
         detail::var_bytes(message.control_channel);
}

DecodeStatus decode(Bytes message, ConsumerHello& out) noexcept try {
  codec::ConsumerHello raw;
  if (const DecodeStatus status = detail::open<ConsumerHello>(message, raw); status != DecodeStatus::kOk) return status;
  if (!detail::read_bool(raw.supportsShmRaw(), out.supports_shm) ||
      !detail::read_bool(raw.supportsProgressRaw(), out.supports_progress) ||
      !detail::read_enum(raw.modeRaw(), Mode::stream, Mode::rate_limited, out.mode)) {
    return DecodeStatus::kMalformed;
  }
  out.stream_id = raw.streamId();
  out.consumer_id = raw.consumerId();
  out.max_rate_hz = raw.maxRateHz();
  out.expected_layout_version = raw.expectedLayoutVersion();
  out.progress_interval_us = detail::unless_null(raw.progressIntervalUs());
  out.progress_bytes_delta = detail::unless_null(raw.progressBytesDelta());
  out.progress_major_delta_units = detail::unless_null(raw.progressMajorDeltaUnits());
  out.descriptor_stream_id = detail::aeron_stream_id(raw.descriptorStreamId());
  out.control_stream_id = detail::aeron_stream_id(raw.controlStreamId());
  // Declining a request must not discard the rest of the Hello (W-70): a channel too long to be one reads as empty.
  const auto descriptor_channel = detail::view_var(message, raw, &codec::ConsumerHello::descriptorChannelLength,
                                                   &codec::ConsumerHello::getDescriptorChannelAsStringView);
  if (!descriptor_channel) return DecodeStatus::kMalformed;
  const auto control_channel = detail::view_var(message, raw, &codec::ConsumerHello::controlChannelLength,
                                                &codec::ConsumerHello::getControlChannelAsStringView);
  if (!control_channel) return DecodeStatus::kMalformed;
  out.descriptor_channel.assign(descriptor_channel->size() > kMaxUriBytes ? std::string_view{} : *descriptor_channel);
  out.control_channel.assign(control_channel->size() > kMaxUriBytes ? std::string_view{} : *control_channel);
  return DecodeStatus::kOk;
} catch (...) {
  return DecodeStatus::kMalformed;  // no memory for it; lengths were checked
}

size_t encode(const ConsumerHello& message, MutableBytes out) noexcept {
  codec::ConsumerHello raw;
  const size_t bytes = detail::begin(message, out, raw);
  if (bytes == 0) return 0;
  raw.streamId(message.stream_id)
      .consumerId(message.consumer_id)
      .supportsShm(static_cast<codec::Bool::Value>(message.supports_shm))
      .supportsProgress(static_cast<codec::Bool::Value>(message.supports_progress))
      .mode(static_cast<codec::Mode::Value>(message.mode))
      .maxRateHz(message.max_rate_hz)
      .expectedLayoutVersion(message.expected_layout_version)
      .progressIntervalUs(detail::or_null(message.progress_interval_us))
      .progressBytesDelta(detail::or_null(message.progress_bytes_delta))
      .progressMajorDeltaUnits(detail::or_null(message.progress_major_delta_units))
      .descriptorStreamId(message.descriptor_stream_id)
      .controlStreamId(message.control_stream_id)
      .putDescriptorChannel(std::string_view(message.descriptor_channel))
      .putControlChannel(std::string_view(message.control_channel));
  return bytes;
}

// ---- ConsumerConfig ----------------------------------------------------------------------------------------------------

std::string_view over_limit(const ConsumerConfig& message) noexcept {
  if (!detail::within(message.mode, Mode::stream, Mode::rate_limited)) return "mode";
  if (message.descriptor_stream_id > kMaxAeronStreamId) return "descriptorStreamId";
  if (message.control_stream_id > kMaxAeronStreamId) return "controlStreamId";
  if (message.payload_fallback_uri.size() > kMaxUriBytes) return "payloadFallbackUri";
  if (message.descriptor_channel.size() > kMaxUriBytes) return "descriptorChannel";
  if (message.control_channel.size() > kMaxUriBytes) return "controlChannel";
  return {};
}

size_t encoded_bytes(const ConsumerConfig& message) noexcept {
  return kMessageHeaderBytes + ConsumerConfig::kBlockLength + detail::var_bytes(message.payload_fallback_uri) +
         detail::var_bytes(message.descriptor_channel) + detail::var_bytes(message.control_channel);
}

DecodeStatus decode(Bytes message, ConsumerConfig& out) noexcept try {
  codec::ConsumerConfig raw;
  if (const DecodeStatus status = detail::open<ConsumerConfig>(message, raw); status != DecodeStatus::kOk) return status;
  if (!detail::read_bool(raw.useShmRaw(), out.use_shm) ||
      !detail::read_enum(raw.modeRaw(), Mode::stream, Mode::rate_limited, out.mode)) {
    return DecodeStatus::kMalformed;
  }
  out.stream_id = raw.streamId();
  out.consumer_id = raw.consumerId();
  out.descriptor_stream_id = detail::aeron_stream_id(raw.descriptorStreamId());
  out.control_stream_id = detail::aeron_stream_id(raw.controlStreamId());
  if (out.descriptor_stream_id > kMaxAeronStreamId || out.control_stream_id > kMaxAeronStreamId) {
    return DecodeStatus::kMalformed;  // an assignment that cannot be subscribed to (W-11)
  }
  if (!detail::read_var(message, raw, &codec::ConsumerConfig::payloadFallbackUriLength,
                        &codec::ConsumerConfig::getPayloadFallbackUriAsStringView, kMaxUriBytes, out.payload_fallback_uri) ||
      !detail::read_var(message, raw, &codec::ConsumerConfig::descriptorChannelLength,
                        &codec::ConsumerConfig::getDescriptorChannelAsStringView, kMaxUriBytes, out.descriptor_channel) ||
      !detail::read_var(message, raw, &codec::ConsumerConfig::controlChannelLength,
                        &codec::ConsumerConfig::getControlChannelAsStringView, kMaxUriBytes, out.control_channel)) {
    return DecodeStatus::kMalformed;
  }
  return DecodeStatus::kOk;
} catch (...) {
  return DecodeStatus::kMalformed;  // no memory for it; lengths were checked
}

size_t encode(const ConsumerConfig& message, MutableBytes out) noexcept {
  codec::ConsumerConfig raw;
  const size_t bytes = detail::begin(message, out, raw);
  if (bytes == 0) return 0;
  raw.streamId(message.stream_id)
      .consumerId(message.consumer_id)
      .useShm(static_cast<codec::Bool::Value>(message.use_shm))
      .mode(static_cast<codec::Mode::Value>(message.mode))
      .descriptorStreamId(message.descriptor_stream_id)
      .controlStreamId(message.control_stream_id)
      .putPayloadFallbackUri(std::string_view(message.payload_fallback_uri))
      .putDescriptorChannel(std::string_view(message.descriptor_channel))
      .putControlChannel(std::string_view(message.control_channel));
  return bytes;
}

// ---- QosConsumer, QosProducer ------------------------------------------------------------------------------------------

std::string_view over_limit(const QosConsumer& message) noexcept {
  return detail::within(message.mode, Mode::unknown, Mode::rate_limited) ? std::string_view{} : "mode";
}
size_t encoded_bytes(const QosConsumer&) noexcept { return kMessageHeaderBytes + QosConsumer::kBlockLength; }

DecodeStatus decode(Bytes message, QosConsumer& out) noexcept {
  codec::QosConsumer raw;
  if (const DecodeStatus status = detail::open<QosConsumer>(message, raw); status != DecodeStatus::kOk) return status;
  out.stream_id = raw.streamId();
  out.consumer_id = raw.consumerId();
  out.epoch = raw.epoch();
  out.last_seq_seen = raw.lastSeqSeen();
  out.drops_gap = raw.dropsGap();
  out.drops_late = raw.dropsLate();
  if (!detail::read_enum(raw.modeRaw(), Mode::stream, Mode::rate_limited, out.mode)) out.mode = Mode::unknown;  // W-9: kept
  return DecodeStatus::kOk;
}

size_t encode(const QosConsumer& message, MutableBytes out) noexcept {
  codec::QosConsumer raw;
  const size_t bytes = detail::begin(message, out, raw);
  if (bytes == 0) return 0;
  raw.streamId(message.stream_id)
      .consumerId(message.consumer_id)
      .epoch(message.epoch)
      .lastSeqSeen(message.last_seq_seen)
      .dropsGap(message.drops_gap)
      .dropsLate(message.drops_late)
      .mode(static_cast<codec::Mode::Value>(message.mode));
  return bytes;
}

std::string_view over_limit(const QosProducer&) noexcept { return {}; }
size_t encoded_bytes(const QosProducer&) noexcept { return kMessageHeaderBytes + QosProducer::kBlockLength; }

DecodeStatus decode(Bytes message, QosProducer& out) noexcept {
  codec::QosProducer raw;
  if (const DecodeStatus status = detail::open<QosProducer>(message, raw); status != DecodeStatus::kOk) return status;
  out.stream_id = raw.streamId();
  out.producer_id = raw.producerId();
  out.epoch = raw.epoch();
  out.current_seq = raw.currentSeq();
  out.watermark = detail::unless_null(raw.watermark());
  return DecodeStatus::kOk;
}

size_t encode(const QosProducer& message, MutableBytes out) noexcept {
  codec::QosProducer raw;
  const size_t bytes = detail::begin_fixed<QosProducer>(out, raw);
  if (bytes == 0) return 0;
  raw.streamId(message.stream_id)
      .producerId(message.producer_id)
      .epoch(message.epoch)
      .currentSeq(message.current_seq)
      .watermark(detail::or_null(message.watermark));
  return bytes;
}

// ---- DataSourceAnnounce, DataSourceMeta --------------------------------------------------------------------------------

std::string_view over_limit(const DataSourceAnnounce& message) noexcept {
  if (message.name.size() > kMaxNameBytes) return "name";
  if (message.summary.size() > kMaxNameBytes) return "summary";
  return {};
}

size_t encoded_bytes(const DataSourceAnnounce& message) noexcept {
  return kMessageHeaderBytes + DataSourceAnnounce::kBlockLength + detail::var_bytes(message.name) +
         detail::var_bytes(message.summary);
}

DecodeStatus decode(Bytes message, DataSourceAnnounce& out) noexcept try {
  codec::DataSourceAnnounce raw;
  if (const DecodeStatus status = detail::open<DataSourceAnnounce>(message, raw); status != DecodeStatus::kOk) return status;
  out.stream_id = raw.streamId();
  out.producer_id = raw.producerId();
  out.epoch = raw.epoch();
  out.meta_version = raw.metaVersion();
  if (!detail::read_var(message, raw, &codec::DataSourceAnnounce::nameLength, &codec::DataSourceAnnounce::getNameAsStringView,
                        kMaxNameBytes, out.name) ||
      !detail::read_var(message, raw, &codec::DataSourceAnnounce::summaryLength, &codec::DataSourceAnnounce::getSummaryAsStringView,
                        kMaxNameBytes, out.summary)) {
    return DecodeStatus::kMalformed;
  }
  return DecodeStatus::kOk;
} catch (...) {
  return DecodeStatus::kMalformed;  // no memory for it; lengths were checked
}

size_t encode(const DataSourceAnnounce& message, MutableBytes out) noexcept {
  codec::DataSourceAnnounce raw;
  const size_t bytes = detail::begin(message, out, raw);
  if (bytes == 0) return 0;
  raw.streamId(message.stream_id)
      .producerId(message.producer_id)
      .epoch(message.epoch)
      .metaVersion(message.meta_version)
      .putName(std::string_view(message.name))
      .putSummary(std::string_view(message.summary));
  return bytes;
}

std::string_view over_limit(const DataSourceMeta& message) noexcept {
  if (message.attributes.size() > kMaxAttributesPerMessage) return "attributes";
  for (const Attribute& attribute : message.attributes) {
    if (attribute.key.size() > kMaxNameBytes) return "attributes.key";
    if (attribute.format.size() > kMaxNameBytes) return "attributes.format";
    if (attribute.value.size() > kMaxAttributeBytes) return "attributes.value";
  }
  return {};
}

size_t encoded_bytes(const DataSourceMeta& message) noexcept {
  size_t bytes = kMessageHeaderBytes + DataSourceMeta::kBlockLength + detail::kGroupHeaderBytes;
  for (const Attribute& attribute : message.attributes) {
    bytes += detail::var_bytes(attribute.key) + detail::var_bytes(attribute.format) + detail::var_bytes(attribute.value);
  }
  return bytes;
}

DecodeStatus decode(Bytes message, DataSourceMeta& out) noexcept try {
  codec::DataSourceMeta raw;
  if (const DecodeStatus status = detail::open<DataSourceMeta>(message, raw); status != DecodeStatus::kOk) return status;
  out.stream_id = raw.streamId();
  out.meta_version = raw.metaVersion();
  out.timestamp_ns = raw.timestampNs();
  out.attributes.clear();
  using Group = codec::DataSourceMeta::Attributes;
  const auto count = detail::peek_group(message, raw, Group::sbeBlockLength(), kMaxAttributesPerMessage);
  if (!count) return DecodeStatus::kMalformed;
  Group& group = raw.attributes();
  out.attributes.reserve(std::min<size_t>(*count, detail::bytes_left(group, message) / (3 * detail::kVarHeaderBytes)));
  for (size_t i = 0; i < *count; ++i) {
    if (detail::bytes_left(group, message) < group.sbeActingBlockLength()) return DecodeStatus::kMalformed;
    group.next();
    Attribute& attribute = out.attributes.emplace_back();
    if (!detail::read_var(message, group, &Group::keyLength, &Group::getKeyAsStringView, kMaxNameBytes, attribute.key) ||
        !detail::read_var(message, group, &Group::formatLength, &Group::getFormatAsStringView, kMaxNameBytes, attribute.format) ||
        !detail::read_var(message, group, &Group::valueLength, &Group::getValueAsStringView, kMaxAttributeBytes, attribute.value)) {
      return DecodeStatus::kMalformed;
    }
  }
  return DecodeStatus::kOk;
} catch (...) {
  return DecodeStatus::kMalformed;  // no memory for it; lengths were checked
}

size_t encode(const DataSourceMeta& message, MutableBytes out) noexcept {
  codec::DataSourceMeta raw;
  const size_t bytes = detail::begin(message, out, raw);
  if (bytes == 0) return 0;
  raw.streamId(message.stream_id).metaVersion(message.meta_version).timestampNs(message.timestamp_ns);
  auto& group = raw.attributesCount(static_cast<uint16_t>(message.attributes.size()));
  for (const Attribute& attribute : message.attributes) {
    group.next()
        .putKey(std::string_view(attribute.key))
        .putFormat(std::string_view(attribute.format))
        .putValue(std::string_view(attribute.value));
  }
  return bytes;
}

// ---- ControlResponse ---------------------------------------------------------------------------------------------------

std::string_view over_limit(const ControlResponse& message) noexcept {
  return detail::within(message.code, ResponseCode::ok, ResponseCode::internal_error) ? std::string_view{} : "code";
}

size_t encoded_bytes(const ControlResponse& message) noexcept {
  return kMessageHeaderBytes + ControlResponse::kBlockLength + detail::var_bytes(detail::cut_text(message.error_message));
}

DecodeStatus decode(Bytes message, ControlResponse& out) noexcept try {
  codec::ControlResponse raw;
  if (const DecodeStatus status = detail::open<ControlResponse>(message, raw); status != DecodeStatus::kOk) return status;
  out.correlation_id = raw.correlationId();
  if (!detail::read_enum(raw.codeRaw(), ResponseCode::ok, ResponseCode::internal_error, out.code) ||
      !detail::read_text(message, raw, &codec::ControlResponse::errorMessageLength,
                         &codec::ControlResponse::getErrorMessageAsStringView, out.error_message)) {
    return DecodeStatus::kMalformed;
  }
  return DecodeStatus::kOk;
} catch (...) {
  return DecodeStatus::kMalformed;  // no memory for it; lengths were checked
}

size_t encode(const ControlResponse& message, MutableBytes out) noexcept {
  codec::ControlResponse raw;
  const size_t bytes = detail::begin(message, out, raw);
  if (bytes == 0) return 0;
  raw.correlationId(message.correlation_id)
      .code(static_cast<codec::ResponseCode::Value>(message.code))
      .putErrorMessage(detail::cut_text(message.error_message));
  return bytes;
}

// ---- MetaBlob*: experimental -------------------------------------------------------------------------------------------

std::string_view over_limit(const MetaBlobAnnounce&) noexcept { return {}; }
size_t encoded_bytes(const MetaBlobAnnounce&) noexcept { return kMessageHeaderBytes + MetaBlobAnnounce::kBlockLength; }

DecodeStatus decode(Bytes message, MetaBlobAnnounce& out) noexcept {
  codec::MetaBlobAnnounce raw;
  if (const DecodeStatus status = detail::open<MetaBlobAnnounce>(message, raw); status != DecodeStatus::kOk) return status;
  out.stream_id = raw.streamId();
  out.meta_version = raw.metaVersion();
  out.blob_type = raw.blobType();
  out.total_len = raw.totalLen();
  out.checksum = raw.checksum();
  return DecodeStatus::kOk;
}

size_t encode(const MetaBlobAnnounce& message, MutableBytes out) noexcept {
  codec::MetaBlobAnnounce raw;
  const size_t bytes = detail::begin_fixed<MetaBlobAnnounce>(out, raw);
  if (bytes == 0) return 0;
  raw.streamId(message.stream_id)
      .metaVersion(message.meta_version)
      .blobType(message.blob_type)
      .totalLen(message.total_len)
      .checksum(message.checksum);
  return bytes;
}

std::string_view over_limit(const MetaBlobChunk& message) noexcept {
  return !message.bytes.empty() && message.bytes.size() <= MetaBlobChunk::kMaxChunkBytes ? std::string_view{} : "bytes";
}
size_t encoded_bytes(const MetaBlobChunk& message) noexcept {
  return kMessageHeaderBytes + MetaBlobChunk::kBlockLength + detail::var_bytes(message.bytes);
}

DecodeStatus decode(Bytes message, MetaBlobChunk& out) noexcept try {
  codec::MetaBlobChunk raw;
  if (const DecodeStatus status = detail::open<MetaBlobChunk>(message, raw); status != DecodeStatus::kOk) return status;
  out.stream_id = raw.streamId();
  out.meta_version = raw.metaVersion();
  out.chunk_offset = raw.chunkOffset();
  if (!detail::read_var(message, raw, &codec::MetaBlobChunk::bytesLength, &codec::MetaBlobChunk::getBytesAsStringView,
                        MetaBlobChunk::kMaxChunkBytes, out.bytes) ||
      out.bytes.empty()) {  // wire.md 14: a chunk holds something
    return DecodeStatus::kMalformed;
  }
  return DecodeStatus::kOk;
} catch (...) {
  return DecodeStatus::kMalformed;  // no memory for it; lengths were checked
}

size_t encode(const MetaBlobChunk& message, MutableBytes out) noexcept {
  codec::MetaBlobChunk raw;
  const size_t bytes = detail::begin(message, out, raw);
  if (bytes == 0) return 0;
  raw.streamId(message.stream_id)
      .metaVersion(message.meta_version)
      .chunkOffset(message.chunk_offset)
      .putBytes(std::string_view(message.bytes));
  return bytes;
}

std::string_view over_limit(const MetaBlobComplete&) noexcept { return {}; }
size_t encoded_bytes(const MetaBlobComplete&) noexcept { return kMessageHeaderBytes + MetaBlobComplete::kBlockLength; }

DecodeStatus decode(Bytes message, MetaBlobComplete& out) noexcept {
  codec::MetaBlobComplete raw;
  if (const DecodeStatus status = detail::open<MetaBlobComplete>(message, raw); status != DecodeStatus::kOk) return status;
  out.stream_id = raw.streamId();
  out.meta_version = raw.metaVersion();
  out.checksum = raw.checksum();
  return DecodeStatus::kOk;
}

size_t encode(const MetaBlobComplete& message, MutableBytes out) noexcept {
  codec::MetaBlobComplete raw;
  const size_t bytes = detail::begin_fixed<MetaBlobComplete>(out, raw);
  if (bytes == 0) return 0;
  raw.streamId(message.stream_id).metaVersion(message.meta_version).checksum(message.checksum);
  return bytes;
}

template std::vector<std::byte> encode_new(const ShmPoolAnnounce&);
template std::vector<std::byte> encode_new(const ConsumerHello&);
template std::vector<std::byte> encode_new(const ConsumerConfig&);
template std::vector<std::byte> encode_new(const FrameDescriptor&);
template std::vector<std::byte> encode_new(const QosConsumer&);
template std::vector<std::byte> encode_new(const QosProducer&);
template std::vector<std::byte> encode_new(const DataSourceAnnounce&);
template std::vector<std::byte> encode_new(const DataSourceMeta&);
template std::vector<std::byte> encode_new(const ControlResponse&);
template std::vector<std::byte> encode_new(const FrameProgress&);
template std::vector<std::byte> encode_new(const MetaBlobAnnounce&);
template std::vector<std::byte> encode_new(const MetaBlobChunk&);
template std::vector<std::byte> encode_new(const MetaBlobComplete&);

}  // namespace tidepool::wire
