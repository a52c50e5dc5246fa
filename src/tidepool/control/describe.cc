#include "tidepool/control/describe.h"

#include <algorithm>
#include <concepts>
#include <initializer_list>
#include <optional>
#include <type_traits>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"

namespace tidepool::control {
namespace {

// ---- fields ------------------------------------------------------------------------------------------------------------

// Collects fields by name.
class Writer {
 public:
  template <std::integral T>
  Writer& operator()(std::string_view name, T value) {
    if constexpr (std::is_same_v<T, bool>) {
      return add(name, value);
    } else if constexpr (std::is_signed_v<T>) {
      return add(name, int64_t{value});
    } else {
      return add(name, uint64_t{value});
    }
  }
  template <std::integral T>
  Writer& operator()(std::string_view name, std::optional<T> value) {
    return value ? (*this)(name, *value) : add(name, Null{});
  }
  Writer& operator()(std::string_view name, const std::string& text) { return add(name, text); }
  Writer& operator()(std::string_view name, Symbol symbol) { return add(name, symbol); }
  Writer& operator()(std::string_view name, std::optional<Symbol> symbol) {
    return symbol ? add(name, *symbol) : add(name, Null{});
  }
  Writer& raw(std::string_view name, const std::string& bytes) { return add(name, Raw{bytes}); }
  Writer& operator()(std::string_view name, std::vector<Fields> entries) { return add(name, std::move(entries)); }

  // A raw number of an enumeration, which a sender may have got wrong: then the number stands for itself. `null`: its null.
  Writer& choice(std::string_view name, uint8_t raw, std::initializer_list<std::pair<uint8_t, std::string_view>> names,
                 std::optional<uint8_t> null) {
    if (null && raw == *null) return add(name, Null{});
    for (const auto& [number, text] : names) {
      if (number == raw) return add(name, Symbol{text});
    }
    return add(name, uint64_t{raw});
  }

  Fields take() { return std::move(fields_); }

 private:
  Writer& add(std::string_view name, Value value) {
    fields_.push_back({name, std::move(value)});
    return *this;
  }
  Fields fields_;
};

// The decoders let no other values through, so "?" is never seen.
Symbol symbol(wire::ClockDomain value) {
  switch (value) {
    case wire::ClockDomain::monotonic: return {"MONOTONIC"};
    case wire::ClockDomain::realtime_synced: return {"REALTIME_SYNCED"};
  }
  return {"?"};
}
Symbol symbol(wire::Mode value) {
  switch (value) {
    case wire::Mode::unknown: return {"UNKNOWN"};
    case wire::Mode::stream: return {"STREAM"};
    case wire::Mode::rate_limited: return {"RATE_LIMITED"};
  }
  return {"?"};
}
Symbol symbol(wire::ProgressState value) {
  switch (value) {
    case wire::ProgressState::unknown: return {"UNKNOWN"};
    case wire::ProgressState::started: return {"STARTED"};
    case wire::ProgressState::progress: return {"PROGRESS"};
    case wire::ProgressState::complete: return {"COMPLETE"};
  }
  return {"?"};
}
Symbol symbol(wire::ResponseCode value) {
  switch (value) {
    case wire::ResponseCode::ok: return {"OK"};
    case wire::ResponseCode::unsupported: return {"UNSUPPORTED"};
    case wire::ResponseCode::invalid_params: return {"INVALID_PARAMS"};
    case wire::ResponseCode::rejected: return {"REJECTED"};
    case wire::ResponseCode::internal_error: return {"INTERNAL_ERROR"};
  }
  return {"?"};
}
Symbol symbol(wire::Role value) {
  switch (value) {
    case wire::Role::producer: return {"PRODUCER"};
    case wire::Role::consumer: return {"CONSUMER"};
  }
  return {"?"};
}
Symbol symbol(wire::RevokeReason value) {
  switch (value) {
    case wire::RevokeReason::detached: return {"DETACHED"};
    case wire::RevokeReason::expired: return {"EXPIRED"};
    case wire::RevokeReason::revoked: return {"REVOKED"};
  }
  return {"?"};
}
Symbol symbol(wire::ShutdownReason value) {
  switch (value) {
    case wire::ShutdownReason::normal: return {"NORMAL"};
    case wire::ShutdownReason::admin: return {"ADMIN"};
    case wire::ShutdownReason::error: return {"ERROR"};
  }
  return {"?"};
}
Symbol symbol(wire::DiscoveryStatus value) { return {wire::name_of(value)}; }
void role(Writer& out, uint8_t raw) { out.choice("role", raw, {{1, "PRODUCER"}, {2, "CONSUMER"}}, std::nullopt); }

void pools(Writer& out, const std::vector<wire::PoolEntry>& pools) {
  std::vector<Fields> entries;
  for (const auto& pool : pools) {
    Writer entry;
    entry("poolId", pool.pool_id)("poolNslots", pool.nslots)("strideBytes", pool.stride_bytes)("regionUri", pool.region_uri);
    entries.push_back(entry.take());
  }
  out("payloadPools", std::move(entries));
}

// ---- schema 900: names and order of wire.md 5 ----------------------------------------------------------------------------

void write(Writer& out, const wire::ShmPoolAnnounce& m) {
  out("streamId", m.stream_id)("producerId", m.producer_id)("epoch", m.epoch)("announceTimestampNs", m.announce_timestamp_ns);
  out("announceClockDomain", symbol(m.clock_domain))("layoutVersion", m.layout_version)("headerNslots", m.header_nslots);
  out("headerSlotBytes", m.header_slot_bytes);
  pools(out, m.pools);
  out("headerRegionUri", m.header_region_uri);
}
void write(Writer& out, const wire::ConsumerHello& m) {
  out("streamId", m.stream_id)("consumerId", m.consumer_id)("supportsShm", m.supports_shm)("supportsProgress", m.supports_progress);
  out("mode", symbol(m.mode))("maxRateHz", m.max_rate_hz)("expectedLayoutVersion", m.expected_layout_version);
  out("progressIntervalUs", m.progress_interval_us)("progressBytesDelta", m.progress_bytes_delta);
  out("progressMajorDeltaUnits", m.progress_major_delta_units)("descriptorStreamId", m.descriptor_stream_id);
  out("controlStreamId", m.control_stream_id)("descriptorChannel", m.descriptor_channel)("controlChannel", m.control_channel);
}
void write(Writer& out, const wire::ConsumerConfig& m) {
  out("streamId", m.stream_id)("consumerId", m.consumer_id)("useShm", m.use_shm)("mode", symbol(m.mode));
  out("descriptorStreamId", m.descriptor_stream_id)("controlStreamId", m.control_stream_id);
  out("payloadFallbackUri", m.payload_fallback_uri)("descriptorChannel", m.descriptor_channel)("controlChannel", m.control_channel);
}
void write(Writer& out, const wire::FrameDescriptor& m) {
  out("streamId", m.stream_id)("epoch", m.epoch)("seq", m.seq)("timestampNs", m.timestamp_ns)("metaVersion", m.meta_version);
  out("traceId", m.trace_id);
}
void write(Writer& out, const wire::QosConsumer& m) {
  out("streamId", m.stream_id)("consumerId", m.consumer_id)("epoch", m.epoch)("lastSeqSeen", m.last_seq_seen);
  out("dropsGap", m.drops_gap)("dropsLate", m.drops_late)("mode", symbol(m.mode));
}
void write(Writer& out, const wire::QosProducer& m) {
  out("streamId", m.stream_id)("producerId", m.producer_id)("epoch", m.epoch)("currentSeq", m.current_seq)("watermark",
                                                                                                           m.watermark);
}
void write(Writer& out, const wire::DataSourceAnnounce& m) {
  out("streamId", m.stream_id)("producerId", m.producer_id)("epoch", m.epoch)("metaVersion", m.meta_version);
  out("name", m.name)("summary", m.summary);
}
void write(Writer& out, const wire::DataSourceMeta& m) {
  out("streamId", m.stream_id)("metaVersion", m.meta_version)("timestampNs", m.timestamp_ns);
  std::vector<Fields> entries;
  for (const auto& attribute : m.attributes) {
    Writer entry;
    entry("key", attribute.key)("format", attribute.format).raw("value", attribute.value);
    entries.push_back(entry.take());
  }
  out("attributes", std::move(entries));
}
void write(Writer& out, const wire::ControlResponse& m) {
  out("correlationId", m.correlation_id)("code", symbol(m.code))("errorMessage", m.error_message);
}
void write(Writer& out, const wire::FrameProgress& m) {
  out("streamId", m.stream_id)("epoch", m.epoch)("seq", m.seq)("payloadBytesFilled", m.payload_bytes_filled)("state",
                                                                                                             symbol(m.state));
}
void write(Writer& out, const wire::MetaBlobAnnounce& m) {
  out("streamId", m.stream_id)("metaVersion", m.meta_version)("blobType", m.blob_type)("totalLen", m.total_len)("checksum",
                                                                                                                m.checksum);
}
void write(Writer& out, const wire::MetaBlobChunk& m) {
  out("streamId", m.stream_id)("metaVersion", m.meta_version)("chunkOffset", m.chunk_offset).raw("bytes", m.bytes);
}
void write(Writer& out, const wire::MetaBlobComplete& m) {
  out("streamId", m.stream_id)("metaVersion", m.meta_version)("checksum", m.checksum);
}

// ---- schema 901: names and order of driver.md 3 ----------------------------------------------------------------------------

void write(Writer& out, const wire::ShmAttachRequest& m) {
  out("correlationId", m.correlation_id)("streamId", m.stream_id)("clientId", m.client_id);
  role(out, m.role);
  out("expectedLayoutVersion", m.expected_layout_version);
  out.choice("publishMode", m.publish_mode, {{1, "REQUIRE_EXISTING"}, {2, "EXISTING_OR_CREATE"}}, 255);
  out.choice("requireHugepages", m.require_hugepages, {{0, "UNSPECIFIED"}, {1, "STANDARD"}, {2, "HUGEPAGES"}}, 255);
  out("desiredNodeId", m.desired_node_id);
}
void write(Writer& out, const wire::ShmAttachResponse& m) {
  out("correlationId", m.correlation_id)("code", symbol(m.code))("leaseId", m.lease_id);
  out("leaseExpiryTimestampNs", m.lease_expiry_timestamp_ns)("streamId", m.stream_id)("epoch", m.epoch);
  out("layoutVersion", m.layout_version)("headerNslots", m.header_nslots)("headerSlotBytes", m.header_slot_bytes)("nodeId",
                                                                                                                  m.node_id);
  pools(out, m.pools);
  out("headerRegionUri", m.header_region_uri)("errorMessage", m.error_message);
}
void write(Writer& out, const wire::ShmDetachRequest& m) {
  out("correlationId", m.correlation_id)("leaseId", m.lease_id)("streamId", m.stream_id)("clientId", m.client_id);
  role(out, m.role);
}
void write(Writer& out, const wire::ShmDetachResponse& m) {
  out("correlationId", m.correlation_id)("code", symbol(m.code))("errorMessage", m.error_message);
}
void write(Writer& out, const wire::ShmLeaseKeepalive& m) {
  out("leaseId", m.lease_id)("streamId", m.stream_id)("clientId", m.client_id);
  role(out, m.role);
  out("clientTimestampNs", m.client_timestamp_ns);
}
void write(Writer& out, const wire::ShmDriverShutdown& m) {
  out("timestampNs", m.timestamp_ns)("reason", symbol(m.reason))("errorMessage", m.error_message);
}
void write(Writer& out, const wire::ShmLeaseRevoked& m) {
  out("timestampNs", m.timestamp_ns)("leaseId", m.lease_id)("streamId", m.stream_id)("clientId", m.client_id);
  out("role", symbol(m.role))("reason", symbol(m.reason))("errorMessage", m.error_message);
}
void write(Writer& out, const wire::ShmDriverShutdownRequest& m) {
  out("correlationId", m.correlation_id)("reason", symbol(m.reason));
  out("token", std::string(m.token.empty() ? "" : "***"))("errorMessage", m.error_message);
}

// ---- schema 910: names and order of discovery.md 3 --------------------------------------------------------------------------

void tags(Writer& out, const std::vector<std::string>& tags) {
  std::vector<Fields> entries;
  for (const std::string& tag : tags) {
    Writer entry;
    entry("tag", tag);
    entries.push_back(entry.take());
  }
  out("tags", std::move(entries));
}
void write(Writer& out, const wire::DiscoveryRequest& m) {
  out("requestId", m.request_id)("clientId", m.client_id)("responseStreamId", m.response_stream_id);
  out("streamId", m.stream_id)("producerId", m.producer_id)("dataSourceId", m.data_source_id);
  tags(out, m.tags);
  out("responseChannel", m.response_channel)("dataSourceName", m.data_source_name);
}
void write(Writer& out, const wire::DiscoveryResult& m) {
  out("streamId", m.stream_id)("producerId", m.producer_id)("epoch", m.epoch)("layoutVersion", m.layout_version);
  out("headerNslots", m.header_nslots)("headerSlotBytes", m.header_slot_bytes)("maxDims", m.max_dims);
  out("dataSourceId", m.data_source_id)("driverControlStreamId", m.driver_control_stream_id);
  pools(out, m.pools);
  tags(out, m.tags);
  out("headerRegionUri", m.header_region_uri)("dataSourceName", m.data_source_name);
  out("driverInstanceId", m.driver_instance_id)("driverControlChannel", m.driver_control_channel);
}
void write(Writer& out, const wire::DiscoveryResponse& m) {
  out("requestId", m.request_id)("discoveryStatus", symbol(m.status));  // "status" is what to_json() says of any message
  std::vector<Fields> entries;
  for (const auto& result : m.results) {
    Writer entry;
    write(entry, result);
    entries.push_back(entry.take());
  }
  out("results", std::move(entries))("errorMessage", m.error_message);
}

// ---- the switch ------------------------------------------------------------------------------------------------------------

template <typename Message>
void describe_as(std::string_view name, Plane plane, bool longer_block_is_fine, Bytes bytes, Description& out) {
  out.name = name;
  out.plane = plane;
  Message message;
  switch (wire::decode(bytes, message)) {
    case wire::DecodeStatus::kOk: {
      out.status = Description::Status::kMessage;
      Writer writer;
      write(writer, message);
      out.fields = writer.take();
      return;
    }
    case wire::DecodeStatus::kUnsupportedVersion:
      out.status = Description::Status::kUnsupported;
      out.why = concat("version is ", out.header.version, ", known is ", wire::kSchemaVersion);
      return;
    case wire::DecodeStatus::kForeign: out.status = Description::Status::kUnknown; return;
    case wire::DecodeStatus::kMalformed: break;
  }
  out.status = Description::Status::kMalformed;
  const uint16_t block = out.header.block_length;
  if (block < Message::kBlockLength || (block > Message::kBlockLength && !longer_block_is_fine)) {
    out.why = concat("blockLength is ", block, ", the table says ", Message::kBlockLength);
  } else if (bytes.size() < wire::kMessageHeaderBytes + block) {
    out.why =
        concat("it ends within its block: ", bytes.size(), " bytes, header and block take ", wire::kMessageHeaderBytes + block);
  } else {
    out.why = "a group or text runs past its end, or a value is none of its enumeration";
  }
}

// The message of `out.header.template_id`; false: the schema has none of that number.
bool describe_pool(Bytes bytes, Description& out) {
#define TIDEPOOL_CASE(M, PLANE) \
  case wire::M::kTemplateId: describe_as<wire::M>(#M, Plane::PLANE, false, bytes, out); return true;
  switch (out.header.template_id) {
    TIDEPOOL_CASE(ShmPoolAnnounce, kAnnounce)
    TIDEPOOL_CASE(ConsumerHello, kControl)
    TIDEPOOL_CASE(ConsumerConfig, kControl)
    TIDEPOOL_CASE(FrameDescriptor, kDescriptor)
    TIDEPOOL_CASE(QosConsumer, kQos)
    TIDEPOOL_CASE(QosProducer, kQos)
    TIDEPOOL_CASE(DataSourceAnnounce, kMetadata)
    TIDEPOOL_CASE(DataSourceMeta, kMetadata)
    TIDEPOOL_CASE(ControlResponse, kControl)
    TIDEPOOL_CASE(FrameProgress, kControl)
    TIDEPOOL_CASE(MetaBlobAnnounce, kMetadata)
    TIDEPOOL_CASE(MetaBlobChunk, kMetadata)
    TIDEPOOL_CASE(MetaBlobComplete, kMetadata)
    default: return false;
  }
#undef TIDEPOOL_CASE
}

bool describe_driver(Bytes bytes, Description& out) {
#define TIDEPOOL_CASE(M) \
  case wire::M::kTemplateId: describe_as<wire::M>(#M, Plane::kControl, true, bytes, out); return true;
  switch (out.header.template_id) {
    TIDEPOOL_CASE(ShmAttachRequest)
    TIDEPOOL_CASE(ShmAttachResponse)
    TIDEPOOL_CASE(ShmDetachRequest)
    TIDEPOOL_CASE(ShmDetachResponse)
    TIDEPOOL_CASE(ShmLeaseKeepalive)
    TIDEPOOL_CASE(ShmDriverShutdown)
    TIDEPOOL_CASE(ShmLeaseRevoked)
    TIDEPOOL_CASE(ShmDriverShutdownRequest)
    default: return false;
  }
#undef TIDEPOOL_CASE
}

bool describe_discovery(Bytes bytes, Description& out) {
  switch (out.header.template_id) {
    case wire::DiscoveryRequest::kTemplateId:
      describe_as<wire::DiscoveryRequest>("DiscoveryRequest", Plane::kDiscovery, false, bytes, out);
      return true;
    case wire::DiscoveryResponse::kTemplateId:
      describe_as<wire::DiscoveryResponse>("DiscoveryResponse", Plane::kDiscovery, false, bytes, out);
      return true;
    default: return false;
  }
}

// What is heard beside ours is named, too. A schema whose messages are to be read gets its function here, and nothing else.
struct Schema {
  uint16_t id;
  std::string_view name;
  Plane plane;                            // of templates that nobody knows
  bool (*describe)(Bytes, Description&);  // nullptr: known by name alone
};
constexpr Schema kSchemas[] = {
    {wire::kPoolSchemaId, "pool", Plane::kControl, describe_pool},
    {wire::kDriverSchemaId, "driver", Plane::kControl, describe_driver},
    {902, "bridge", Plane::kControl, nullptr},
    {903, "merge map", Plane::kControl, nullptr},
    {904, "trace link", Plane::kControl, nullptr},
    {wire::kDiscoverySchemaId, "discovery", Plane::kDiscovery, describe_discovery},
};

std::string hex_head(Bytes bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const std::byte b : bytes.first(std::min(bytes.size(), kHexHeadBytes))) {
    out.push_back(kDigits[std::to_integer<unsigned>(b) >> 4]);
    out.push_back(kDigits[std::to_integer<unsigned>(b) & 15]);
  }
  return out;
}

// ---- rendering ---------------------------------------------------------------------------------------------------------------

// As a JSON string, in text, too: nothing is lost and nothing that a terminal would obey is left (W-93).
void append_quoted(std::string& out, std::string_view text) { out += json_quoted(text); }

bool is_text(std::string_view bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return (c >= 0x20 && c < 0x7F) || c == '\n' || c == '\t'; });
}
Bytes bytes_of(const std::string& text) noexcept { return {reinterpret_cast<const std::byte*>(text.data()), text.size()}; }

struct Style {
  bool json;
  void name(std::string& out, std::string_view name) const {
    if (json) {
      append_quoted(out, name);
      out.push_back(':');
    } else {
      out += name;
      out.push_back('=');
    }
  }
  std::string_view separator() const noexcept { return json ? "," : " "; }
};

void append_fields(std::string& out, const Fields& fields, Style style);

void append_value(std::string& out, const Value& value, Style style) {
  std::visit(
      [&](const auto& held) {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, Null>) {
          out += "null";
        } else if constexpr (std::is_same_v<T, bool>) {
          out += held ? "true" : "false";
        } else if constexpr (std::is_integral_v<T>) {
          out += std::to_string(held);
        } else if constexpr (std::is_same_v<T, Symbol>) {
          if (style.json) {
            append_quoted(out, held.name);
          } else {
            out += held.name;
          }
        } else if constexpr (std::is_same_v<T, std::string>) {
          append_quoted(out, held);
        } else if constexpr (std::is_same_v<T, Raw>) {
          if (is_text(held.bytes)) return append_quoted(out, held.bytes);
          out += "{";
          style.name(out, "length");
          out += std::to_string(held.bytes.size());
          out += style.separator();
          style.name(out, "hex");
          append_quoted(out, hex_head(bytes_of(held.bytes)));
          out += "}";
        } else {
          out += "[";
          for (size_t i = 0; i < held.size(); ++i) {
            if (i > 0) out += style.separator();
            out += "{";
            append_fields(out, held[i], style);
            out += "}";
          }
          out += "]";
        }
      },
      value);
}

void append_fields(std::string& out, const Fields& fields, Style style) {
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) out += style.separator();
    style.name(out, fields[i].name);
    append_value(out, fields[i].value, style);
  }
}

// What stands beside the fields of a message that could not be read.
Fields head_of(const Description& d) {
  Writer out;
  if (d.status != Description::Status::kRunt) {
    out("schema", d.header.schema_id)("template", d.header.template_id)("version", d.header.version)("blockLength",
                                                                                                     d.header.block_length);
  }
  out("length", d.length);
  if (!d.why.empty()) out("why", d.why);
  out("hex", d.hex);
  return out.take();
}

}  // namespace

std::string_view name_of(Plane plane) noexcept {
  switch (plane) {
    case Plane::kControl: return "control";
    case Plane::kAnnounce: return "announce";
    case Plane::kDescriptor: return "descriptor";
    case Plane::kQos: return "qos";
    case Plane::kMetadata: return "metadata";
    case Plane::kDiscovery: return "discovery";
  }
  return "?";
}

std::string_view name_of(Description::Status status) noexcept {
  switch (status) {
    case Description::Status::kMessage: return "ok";
    case Description::Status::kUnknown: return "unknown";
    case Description::Status::kUnsupported: return "unsupported";
    case Description::Status::kMalformed: return "malformed";
    case Description::Status::kRunt: return "runt";
  }
  return "?";
}

namespace {
uint32_t stream_id_of(const Fields& fields) noexcept {
  for (const Field& field : fields) {
    const auto* number = std::get_if<uint64_t>(&field.value);
    if (field.name == "streamId" && number != nullptr) return static_cast<uint32_t>(*number);
  }
  return 0;
}
}  // namespace

uint32_t Description::stream_id() const noexcept { return stream_id_of(fields); }

bool Description::is_about(uint32_t stream) const noexcept {
  if (stream_id() == stream) return true;
  return std::any_of(fields.begin(), fields.end(), [stream](const Field& field) {
    const auto* entries = std::get_if<std::vector<Fields>>(&field.value);
    return entries != nullptr &&
           std::any_of(entries->begin(), entries->end(), [stream](const Fields& entry) { return stream_id_of(entry) == stream; });
  });
}

Description describe(Bytes message) {
  Description out;
  out.length = message.size();
  if (const auto header = wire::read_header(message)) {
    out.header = *header;
    out.status = Description::Status::kUnknown;
    const auto* schema =
        std::find_if(std::begin(kSchemas), std::end(kSchemas), [&](const Schema& known) { return known.id == header->schema_id; });
    if (schema != std::end(kSchemas)) {
      out.schema = schema->name;
      out.plane = schema->plane;
    }
    const bool known = schema != std::end(kSchemas) && schema->describe != nullptr && schema->describe(message, out);
    if (!known) {
      out.why = out.schema.empty() ? "a schema that nobody here knows"
                                   : concat(schema->describe != nullptr ? "an unknown template of schema " : "schema ", out.schema);
    }
  } else {
    out.why = concat("a message header takes ", wire::kMessageHeaderBytes, " bytes");
  }
  if (out.status == Description::Status::kMessage) return out;
  // A shutdown request that cannot be read may still hold a token: of it the block alone is shown.
  const bool secret =
      out.header.schema_id == wire::kDriverSchemaId && out.header.template_id == wire::ShmDriverShutdownRequest::kTemplateId;
  constexpr size_t kOpen = wire::kMessageHeaderBytes + wire::ShmDriverShutdownRequest::kBlockLength;
  out.hex = hex_head(secret ? message.first(std::min(message.size(), kOpen)) : message);
  return out;
}

std::string to_text(const Description& description) {
  constexpr Style kText{false};
  std::string out;
  if (description.status == Description::Status::kMessage) {
    out = description.name;
    if (!description.fields.empty()) out.push_back(' ');
    append_fields(out, description.fields, kText);
    return out;
  }
  out = name_of(description.status);
  if (!description.name.empty()) out += concat(" ", description.name);
  out.push_back(' ');
  append_fields(out, head_of(description), kText);
  return out;
}

std::string to_json(const Description& description, const Fields& envelope) {
  constexpr Style kJson{true};
  std::string out = "{";
  if (!envelope.empty()) {
    append_fields(out, envelope, kJson);
    out.push_back(',');
  }
  Writer head;
  head("message", description.name.empty() ? std::optional<Symbol>() : std::optional(Symbol{description.name}));
  head("status", Symbol{name_of(description.status)});
  append_fields(out, head.take(), kJson);
  out.push_back(',');
  if (description.status != Description::Status::kMessage) {
    append_fields(out, head_of(description), kJson);
    return out + "}";
  }
  Writer numbers;
  numbers("schema", description.header.schema_id)("template", description.header.template_id)("version",
                                                                                              description.header.version);
  numbers("length", description.length);
  append_fields(out, numbers.take(), kJson);
  if (!description.fields.empty()) out.push_back(',');
  append_fields(out, description.fields, kJson);
  return out + "}";
}

}  // namespace tidepool::control
