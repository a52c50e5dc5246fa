#pragma once
// Every message of schemas 900, 901 and 910 as a plain struct, with its checked decoder and its encoder.
//
// decode(): the receive rules of wire.md 3.6, driver.md 2 and discovery.md 9: gate on schema, template, version and block length; bounds
//   of body, groups and var data before anything is applied; enum values as the message's section says. On any status
//   but kOk the struct is unspecified and must not be used (W-6). Never throws, never reads outside `message`.
// encode(): the exact bytes of the tables, with the 8-byte header (W-2, W-3, W-8). Returns the length, or 0 when `out` is
//   too small or a field exceeds its limit. encoded_bytes() says beforehand what is needed, over_limit() names the field
//   that is refused (empty: none).
// error_message and other texts for people are cut at kMaxErrorMessageBytes, written or read: an answer must not be lost to
// its explanation.
// Thread safety: functions without state.
// Optional fields are std::optional: nullopt is the null of wire.md 3.5 on the wire (W-7).
// Aeron stream ids: NULL32 reads as 0 (W-11).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/base/bytes.h"
#include "tidepool/wire/shm_layout.h"

namespace tidepool::wire {

inline constexpr uint32_t kMaxAeronStreamId = 0x7FFFFFFF;  // Aeron's ids are signed; those of messages are not (W-11)

inline constexpr uint16_t kPoolSchemaId = 900;
inline constexpr uint16_t kDriverSchemaId = 901;
inline constexpr uint16_t kDiscoverySchemaId = 910;
inline constexpr uint16_t kSchemaVersion = 1;  // of each of them (discovery.md 10: discovery_schema_version)
inline constexpr size_t kMessageHeaderBytes = 8;

// Limits on what one message may make us hold (W-93).
inline constexpr size_t kMaxPoolsPerMessage = 256;
inline constexpr size_t kMaxAttributesPerMessage = 1024;
inline constexpr size_t kMaxTagsPerMessage = 1024;      // of a request, or of one result
inline constexpr size_t kMaxResultsPerMessage = 65534;  // what the group can count
inline constexpr size_t kMaxUriBytes = 4095;
inline constexpr size_t kMaxErrorMessageBytes = 1024;
inline constexpr size_t kMaxTokenBytes = 1024;
inline constexpr size_t kMaxNameBytes = 65536;
inline constexpr size_t kMaxAttributeBytes = 1 << 20;

enum class DecodeStatus : uint8_t {
  kOk,
  kForeign,             // runt, another schema, unknown template: ignore silently, count
  kUnsupportedVersion,  // ours, but version is not 1: drop, count (W-5)
  kMalformed,           // ours, but lengths or values contradict the tables: drop, count (W-5, W-6, W-9)
};

struct MessageHeader {
  uint16_t block_length = 0;
  uint16_t template_id = 0;
  uint16_t schema_id = 0;
  uint16_t version = 0;
};
// nullopt for fewer than 8 bytes.
std::optional<MessageHeader> read_header(Bytes message) noexcept;

enum class ClockDomain : uint8_t { monotonic = 1, realtime_synced = 2 };
enum class Mode : uint8_t { unknown = 0, stream = 1, rate_limited = 2 };  // unknown: only in a received QosConsumer (W-9)
enum class ProgressState : uint8_t { unknown = 0, started = 1, progress = 2, complete = 3 };
enum class ResponseCode : int32_t { ok = 0, unsupported = 1, invalid_params = 2, rejected = 3, internal_error = 4 };
enum class Role : uint8_t { producer = 1, consumer = 2 };
enum class PublishMode : uint8_t { require_existing = 1, existing_or_create = 2 };
enum class HugepagesPolicy : uint8_t { unspecified = 0, standard = 1, hugepages = 2 };
enum class RevokeReason : uint8_t { detached = 1, expired = 2, revoked = 3 };
enum class ShutdownReason : uint8_t { normal = 0, admin = 1, error = 2 };
std::string_view name_of(ResponseCode code) noexcept;
std::string_view name_of(Role role) noexcept;
std::string_view name_of(RevokeReason reason) noexcept;

// One payload pool in an announce or an attach response.
struct PoolEntry {
  uint16_t pool_id = 0;
  uint32_t nslots = 0;
  uint32_t stride_bytes = 0;
  std::string region_uri;
  bool operator==(const PoolEntry&) const = default;
};

// ---- schema 900 ----------------------------------------------------------------------------------------------------

struct ShmPoolAnnounce {
  static constexpr uint16_t kTemplateId = 1, kBlockLength = 35;
  uint32_t stream_id = 0;
  uint32_t producer_id = 0;  // 0: no producer attached
  uint64_t epoch = 0;
  uint64_t announce_timestamp_ns = 0;
  ClockDomain clock_domain = ClockDomain::monotonic;
  uint32_t layout_version = kLayoutVersion;
  uint32_t header_nslots = 0;
  uint16_t header_slot_bytes = kSlotBytes;
  std::vector<PoolEntry> pools;
  std::string header_region_uri;
  bool operator==(const ShmPoolAnnounce&) const = default;
};

struct ConsumerHello {
  static constexpr uint16_t kTemplateId = 2, kBlockLength = 39;
  uint32_t stream_id = 0;
  uint32_t consumer_id = 0;
  bool supports_shm = true;
  bool supports_progress = false;
  Mode mode = Mode::stream;
  uint32_t max_rate_hz = 0;               // 0: unlimited
  uint32_t expected_layout_version = 0;   // 0: any
  std::optional<uint32_t> progress_interval_us;
  std::optional<uint32_t> progress_bytes_delta;
  std::optional<uint32_t> progress_major_delta_units;
  uint32_t descriptor_stream_id = 0;      // 0: not requested; > 0x7FFFFFFF arrives as it is: an invalid request
  uint32_t control_stream_id = 0;
  std::string descriptor_channel;         // empty: not requested; over 4095 bytes reads as empty: declined with its id (W-70)
  std::string control_channel;
  bool operator==(const ConsumerHello&) const = default;
};

struct ConsumerConfig {
  static constexpr uint16_t kTemplateId = 3, kBlockLength = 18;
  uint32_t stream_id = 0;
  uint32_t consumer_id = 0;
  bool use_shm = true;
  Mode mode = Mode::stream;
  uint32_t descriptor_stream_id = 0;  // 0: none assigned
  uint32_t control_stream_id = 0;
  std::string payload_fallback_uri;
  std::string descriptor_channel;
  std::string control_channel;
  bool operator==(const ConsumerConfig&) const = default;
};

struct FrameDescriptor {
  static constexpr uint16_t kTemplateId = 4, kBlockLength = 40;
  static constexpr size_t kBytes = 48;
  uint32_t stream_id = 0;
  uint64_t epoch = 0;
  uint64_t seq = 0;
  std::optional<uint64_t> timestamp_ns;  // time of emission
  std::optional<uint32_t> meta_version;
  uint64_t trace_id = 0;                 // 0: absent (NULL64 reads as 0, WX-8)
  bool operator==(const FrameDescriptor&) const = default;
};

struct QosConsumer {
  static constexpr uint16_t kTemplateId = 5, kBlockLength = 41;
  uint32_t stream_id = 0;
  uint32_t consumer_id = 0;
  uint64_t epoch = 0;  // 0 while unmapped
  uint64_t last_seq_seen = 0;
  uint64_t drops_gap = 0;
  uint64_t drops_late = 0;
  Mode mode = Mode::stream;
  bool operator==(const QosConsumer&) const = default;
};

struct QosProducer {
  static constexpr uint16_t kTemplateId = 6, kBlockLength = 28;
  uint32_t stream_id = 0;
  uint32_t producer_id = 0;
  uint64_t epoch = 0;
  uint64_t current_seq = 0;  // the next sequence to be assigned
  std::optional<uint32_t> watermark;
  bool operator==(const QosProducer&) const = default;
};

struct DataSourceAnnounce {
  static constexpr uint16_t kTemplateId = 7, kBlockLength = 20;
  uint32_t stream_id = 0;
  uint32_t producer_id = 0;
  uint64_t epoch = 0;
  uint32_t meta_version = 0;
  std::string name;
  std::string summary;
  bool operator==(const DataSourceAnnounce&) const = default;
};

struct Attribute {
  std::string key;
  std::string format;  // MIME type, or sbe:<schema>.<template>
  std::string value;   // raw bytes
  bool operator==(const Attribute&) const = default;
};
struct DataSourceMeta {
  static constexpr uint16_t kTemplateId = 8, kBlockLength = 16;
  uint32_t stream_id = 0;
  uint32_t meta_version = 0;
  uint64_t timestamp_ns = 0;
  std::vector<Attribute> attributes;
  bool operator==(const DataSourceMeta&) const = default;
};

struct ControlResponse {
  static constexpr uint16_t kTemplateId = 9, kBlockLength = 12;
  int64_t correlation_id = 0;
  ResponseCode code = ResponseCode::ok;
  std::string error_message;
  bool operator==(const ControlResponse&) const = default;
};

struct FrameProgress {
  static constexpr uint16_t kTemplateId = 11, kBlockLength = 29;
  static constexpr size_t kBytes = 37;
  uint32_t stream_id = 0;
  uint64_t epoch = 0;
  uint64_t seq = 0;
  uint64_t payload_bytes_filled = 0;
  ProgressState state = ProgressState::started;
  bool operator==(const FrameProgress&) const = default;
};

struct MetaBlobAnnounce {
  static constexpr uint16_t kTemplateId = 10, kBlockLength = 28;
  uint32_t stream_id = 0;
  uint32_t meta_version = 0;
  uint32_t blob_type = 0;
  uint64_t total_len = 0;
  uint64_t checksum = 0;
  bool operator==(const MetaBlobAnnounce&) const = default;
};
struct MetaBlobChunk {
  static constexpr uint16_t kTemplateId = 12, kBlockLength = 16;
  static constexpr size_t kMaxChunkBytes = 65536;
  uint32_t stream_id = 0;
  uint32_t meta_version = 0;
  uint64_t chunk_offset = 0;
  std::string bytes;
  bool operator==(const MetaBlobChunk&) const = default;
};
struct MetaBlobComplete {
  static constexpr uint16_t kTemplateId = 13, kBlockLength = 16;
  uint32_t stream_id = 0;
  uint32_t meta_version = 0;
  uint64_t checksum = 0;
  bool operator==(const MetaBlobComplete&) const = default;
};

// ---- schema 901 ----------------------------------------------------------------------------------------------------
// Enumerations of requests arrive as raw numbers, since the driver answers bad ones by name (driver.md 5.2).

struct ShmAttachRequest {
  static constexpr uint16_t kTemplateId = 1, kBlockLength = 27;
  int64_t correlation_id = 0;
  uint32_t stream_id = 0;  // 0: a dynamic driver chooses
  uint32_t client_id = 0;
  uint8_t role = 0;
  uint32_t expected_layout_version = kLayoutVersion;  // 0: no expectation
  uint8_t publish_mode = 255;                         // 255: null
  uint8_t require_hugepages = 0;
  std::optional<uint32_t> desired_node_id;
  bool operator==(const ShmAttachRequest&) const = default;
};

struct ShmAttachResponse {
  static constexpr uint16_t kTemplateId = 2, kBlockLength = 54;
  int64_t correlation_id = 0;
  ResponseCode code = ResponseCode::ok;
  std::optional<uint64_t> lease_id;
  std::optional<uint64_t> lease_expiry_timestamp_ns;
  std::optional<uint32_t> stream_id;
  std::optional<uint64_t> epoch;
  std::optional<uint32_t> layout_version;
  std::optional<uint32_t> header_nslots;
  std::optional<uint16_t> header_slot_bytes;
  std::optional<uint32_t> node_id;
  std::vector<PoolEntry> pools;
  std::string header_region_uri;
  std::string error_message;
  bool operator==(const ShmAttachResponse&) const = default;
};

struct ShmDetachRequest {
  static constexpr uint16_t kTemplateId = 3, kBlockLength = 25;
  int64_t correlation_id = 0;
  uint64_t lease_id = 0;
  uint32_t stream_id = 0;
  uint32_t client_id = 0;
  uint8_t role = 0;
  bool operator==(const ShmDetachRequest&) const = default;
};

struct ShmDetachResponse {
  static constexpr uint16_t kTemplateId = 4, kBlockLength = 12;
  int64_t correlation_id = 0;
  ResponseCode code = ResponseCode::ok;
  std::string error_message;
  bool operator==(const ShmDetachResponse&) const = default;
};

struct ShmLeaseKeepalive {
  static constexpr uint16_t kTemplateId = 5, kBlockLength = 25;
  uint64_t lease_id = 0;
  uint32_t stream_id = 0;
  uint32_t client_id = 0;
  uint8_t role = 0;
  uint64_t client_timestamp_ns = 0;
  bool operator==(const ShmLeaseKeepalive&) const = default;
};

struct ShmDriverShutdown {
  static constexpr uint16_t kTemplateId = 6, kBlockLength = 9;
  uint64_t timestamp_ns = 0;
  ShutdownReason reason = ShutdownReason::normal;
  std::string error_message;
  bool operator==(const ShmDriverShutdown&) const = default;
};

struct ShmLeaseRevoked {
  static constexpr uint16_t kTemplateId = 7, kBlockLength = 26;
  uint64_t timestamp_ns = 0;
  uint64_t lease_id = 0;
  uint32_t stream_id = 0;
  uint32_t client_id = 0;
  Role role = Role::producer;
  RevokeReason reason = RevokeReason::revoked;
  std::string error_message;
  bool operator==(const ShmLeaseRevoked&) const = default;
};

struct ShmDriverShutdownRequest {
  static constexpr uint16_t kTemplateId = 8, kBlockLength = 9;
  int64_t correlation_id = 0;
  ShutdownReason reason = ShutdownReason::admin;
  std::string token;
  std::string error_message;
  bool operator==(const ShmDriverShutdownRequest&) const = default;
};

// ---- schema 910 ----------------------------------------------------------------------------------------------------

enum class DiscoveryStatus : uint8_t { ok = 1, not_found = 2, error = 3 };  // an undefined value reads as error (DS-34)
std::string_view name_of(DiscoveryStatus status) noexcept;                   // "OK", "NOT_FOUND", "ERROR"

// Which streams are there? Filters that are given are ANDed (DS-24); an empty name and empty tags are no filter.
struct DiscoveryRequest {
  static constexpr uint16_t kTemplateId = 1, kBlockLength = 32;
  uint64_t request_id = 0;
  uint32_t client_id = 0;
  uint32_t response_stream_id = 0;  // as it arrives: 0 and what is above 0x7FFFFFFF are for the provider to refuse
  std::optional<uint32_t> stream_id;
  std::optional<uint32_t> producer_id;
  std::optional<uint64_t> data_source_id;
  std::vector<std::string> tags;
  std::string response_channel;
  std::string data_source_name;
  bool operator==(const DiscoveryRequest&) const = default;
};

struct DiscoveryResult {
  uint32_t stream_id = 0;
  uint32_t producer_id = 0;
  uint64_t epoch = 0;
  uint32_t layout_version = 0;
  uint32_t header_nslots = 0;
  uint16_t header_slot_bytes = kSlotBytes;
  uint8_t max_dims = 8;  // always (DS-20)
  std::optional<uint64_t> data_source_id;
  uint32_t driver_control_stream_id = 0;
  std::vector<PoolEntry> pools;
  std::vector<std::string> tags;
  std::string header_region_uri;
  std::string data_source_name;
  std::string driver_instance_id;
  std::string driver_control_channel;
  bool operator==(const DiscoveryResult&) const = default;
};
struct DiscoveryResponse {
  static constexpr uint16_t kTemplateId = 2, kBlockLength = 9;
  uint64_t request_id = 0;
  DiscoveryStatus status = DiscoveryStatus::ok;
  std::vector<DiscoveryResult> results;  // empty unless the status is ok, sent or received (DS-28, DS-34)
  std::string error_message;
  bool operator==(const DiscoveryResponse&) const = default;
};
// What one result takes in a response.
size_t encoded_bytes(const DiscoveryResult& result) noexcept;

// ---- decode and encode, one overload for each message ----------------------------------------------------------------

#define TIDEPOOL_WIRE_MESSAGE(M)                              \
  DecodeStatus decode(Bytes message, M& out) noexcept;        \
  size_t encode(const M& message, MutableBytes out) noexcept; \
  size_t encoded_bytes(const M& message) noexcept;            \
  std::string_view over_limit(const M& message) noexcept;

TIDEPOOL_WIRE_MESSAGE(ShmPoolAnnounce)
TIDEPOOL_WIRE_MESSAGE(ConsumerHello)
TIDEPOOL_WIRE_MESSAGE(ConsumerConfig)
TIDEPOOL_WIRE_MESSAGE(FrameDescriptor)
TIDEPOOL_WIRE_MESSAGE(QosConsumer)
TIDEPOOL_WIRE_MESSAGE(QosProducer)
TIDEPOOL_WIRE_MESSAGE(DataSourceAnnounce)
TIDEPOOL_WIRE_MESSAGE(DataSourceMeta)
TIDEPOOL_WIRE_MESSAGE(ControlResponse)
TIDEPOOL_WIRE_MESSAGE(FrameProgress)
TIDEPOOL_WIRE_MESSAGE(MetaBlobAnnounce)
TIDEPOOL_WIRE_MESSAGE(MetaBlobChunk)
TIDEPOOL_WIRE_MESSAGE(MetaBlobComplete)
// Schema 901: block lengths longer than tabulated are accepted (the surplus is skipped), shorter are malformed
// (driver.md 5.2 row 2, 16.1). ShmAttachRequest alone decodes with kUnsupportedVersion *and* correlation_id set, since
// the driver answers it (5.2 row 1).
TIDEPOOL_WIRE_MESSAGE(ShmAttachRequest)
TIDEPOOL_WIRE_MESSAGE(ShmAttachResponse)
TIDEPOOL_WIRE_MESSAGE(ShmDetachRequest)
TIDEPOOL_WIRE_MESSAGE(ShmDetachResponse)
TIDEPOOL_WIRE_MESSAGE(ShmLeaseKeepalive)
TIDEPOOL_WIRE_MESSAGE(ShmDriverShutdown)
TIDEPOOL_WIRE_MESSAGE(ShmLeaseRevoked)
TIDEPOOL_WIRE_MESSAGE(ShmDriverShutdownRequest)
// Schema 910: exact block lengths, as in schema 900; a tags group that states 4 for its block, and a last text that is left
// out with its length, are read too (DS-8, DS-40).
TIDEPOOL_WIRE_MESSAGE(DiscoveryRequest)
TIDEPOOL_WIRE_MESSAGE(DiscoveryResponse)
#undef TIDEPOOL_WIRE_MESSAGE

// Encode into a fresh buffer. Throws Error kInvalidArgument when a field exceeds its limit.
template <typename Message>
std::vector<std::byte> encode_new(const Message& message);

}  // namespace tidepool::wire
