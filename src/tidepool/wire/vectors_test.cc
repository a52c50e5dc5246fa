// The golden bytes of tests/vectors/messages.json, made with another generator for the published schemas, and the dumps of
// the specification: what independent implementations agree on.

#include <gtest/gtest.h>

#include <concepts>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tidepool/wire/messages.h"
#include "tidepool/wire/test_bytes.h"
#include "tidepool/wire/test_messages.h"

namespace tidepool::wire::vectors_test {
namespace {

using Json = nlohmann::ordered_json;

struct Vector {
  std::string name;
  int schema;
  int message_template;
  Json fields;
  std::vector<std::byte> bytes;
};

const std::vector<Vector>& vectors() {
  static const std::vector<Vector> all = [] {
    std::ifstream file(TIDEPOOL_VECTORS_DIR "/messages.json");
    const Json document = Json::parse(file);
    std::vector<Vector> out;
    for (const Json& entry : document.at("vectors")) {
      out.push_back({entry.at("name"), entry.at("schema"), entry.at("template"), entry.at("fields"),
                     test::bytes_of_hex(entry.at("hex").get<std::string>())});
      EXPECT_EQ(out.back().bytes.size(), entry.at("length").get<size_t>()) << out.back().name;
    }
    return out;
  }();
  return all;
}

// The names of the tables in wire.md 4 and driver.md 3; raw numbers stand for themselves where a null is legal.
Json name_in(int64_t value, std::initializer_list<std::pair<int64_t, const char*>> names) {
  for (const auto& [number, name] : names) {
    if (number == value) return name;
  }
  return value;
}
const char* json_of(bool value) { return value ? "TRUE" : "FALSE"; }
Json json_of(Mode mode) { return name_in(static_cast<int64_t>(mode), {{1, "STREAM"}, {2, "RATE_LIMITED"}}); }
Json json_of(ClockDomain domain) { return name_in(static_cast<int64_t>(domain), {{1, "MONOTONIC"}, {2, "REALTIME_SYNCED"}}); }
Json json_of(ProgressState state) {
  return name_in(static_cast<int64_t>(state), {{0, "UNKNOWN"}, {1, "STARTED"}, {2, "PROGRESS"}, {3, "COMPLETE"}});
}
Json json_of(ResponseCode code) {
  return name_in(static_cast<int64_t>(code),
                 {{0, "OK"}, {1, "UNSUPPORTED"}, {2, "INVALID_PARAMS"}, {3, "REJECTED"}, {4, "INTERNAL_ERROR"}});
}
Json json_of(ShutdownReason reason) { return name_in(static_cast<int64_t>(reason), {{0, "NORMAL"}, {1, "ADMIN"}, {2, "ERROR"}}); }
Json json_of(RevokeReason reason) {
  return name_in(static_cast<int64_t>(reason), {{1, "DETACHED"}, {2, "EXPIRED"}, {3, "REVOKED"}});
}
Json role_json(int64_t role) { return name_in(role, {{1, "PRODUCER"}, {2, "CONSUMER"}}); }
template <typename T>
T null_or(const std::optional<T>& value) {  // the vectors show nulls as their numbers
  return value.value_or(static_cast<T>(-1));
}
// An object, field by field: an initializer list of a message's size takes the compiler minutes under sanitizers.
class Fields {
 public:
  template <std::integral T>
  Fields& operator()(const char* name, T value) {
    if constexpr (std::is_signed_v<T>) {
      return add_signed(name, value);
    } else {
      return add_unsigned(name, value);
    }
  }
  Fields& operator()(const char* name, const std::string& text);
  Fields& operator()(const char* name, const char* text);
  Fields& operator()(const char* name, const Json& value);
  Json json() const { return json_; }

 private:
  Fields& add_signed(const char* name, int64_t value);
  Fields& add_unsigned(const char* name, uint64_t value);

  Json json_ = Json::object();
};
Fields& Fields::operator()(const char* name, const Json& value) {
  json_[name] = value;
  return *this;
}
Fields& Fields::operator()(const char* name, const std::string& text) { return (*this)(name, Json(text)); }
Fields& Fields::operator()(const char* name, const char* text) { return (*this)(name, Json(text)); }
Fields& Fields::add_signed(const char* name, int64_t value) { return (*this)(name, Json(value)); }
Fields& Fields::add_unsigned(const char* name, uint64_t value) { return (*this)(name, Json(value)); }

Json pools_json(const std::vector<PoolEntry>& pools) {
  Json out = Json::array();
  for (const PoolEntry& pool : pools) {
    out.push_back(
        Fields()("poolId", pool.pool_id)("poolNslots", pool.nslots)("strideBytes", pool.stride_bytes)("regionUri", pool.region_uri)
            .json());
  }
  return out;
}

Json fields_of(const ShmPoolAnnounce& m) {
  return Fields()("Name", "ShmPoolAnnounce")("streamId", m.stream_id)("producerId", m.producer_id)("epoch", m.epoch)(
             "announceTimestampNs", m.announce_timestamp_ns)("announceClockDomain", json_of(m.clock_domain))(
             "layoutVersion", m.layout_version)("headerNslots", m.header_nslots)("headerSlotBytes", m.header_slot_bytes)(
             "payloadPools", pools_json(m.pools))("headerRegionUri", m.header_region_uri)
      .json();
}
Json fields_of(const ConsumerHello& m) {
  return Fields()("Name", "ConsumerHello")("streamId", m.stream_id)("consumerId", m.consumer_id)(
             "supportsShm", json_of(m.supports_shm))("supportsProgress", json_of(m.supports_progress))("mode", json_of(m.mode))(
             "maxRateHz", m.max_rate_hz)("expectedLayoutVersion", m.expected_layout_version)(
             "progressIntervalUs", null_or(m.progress_interval_us))("progressBytesDelta", null_or(m.progress_bytes_delta))(
             "progressMajorDeltaUnits", null_or(m.progress_major_delta_units))("descriptorStreamId", m.descriptor_stream_id)(
             "controlStreamId", m.control_stream_id)("descriptorChannel", m.descriptor_channel)("controlChannel", m.control_channel)
      .json();
}
Json fields_of(const ConsumerConfig& m) {
  return Fields()("Name", "ConsumerConfig")("streamId", m.stream_id)("consumerId", m.consumer_id)("useShm", json_of(m.use_shm))(
             "mode", json_of(m.mode))("descriptorStreamId", m.descriptor_stream_id)("controlStreamId", m.control_stream_id)(
             "payloadFallbackUri", m.payload_fallback_uri)("descriptorChannel", m.descriptor_channel)("controlChannel",
                                                                                                      m.control_channel)
      .json();
}
Json fields_of(const FrameDescriptor& m) {
  return Fields()("Name", "FrameDescriptor")("streamId", m.stream_id)("epoch", m.epoch)("seq", m.seq)(
             "timestampNs", null_or(m.timestamp_ns))("metaVersion", null_or(m.meta_version))("traceId", m.trace_id)
      .json();
}
Json fields_of(const QosConsumer& m) {
  return Fields()("Name", "QosConsumer")("streamId", m.stream_id)("consumerId", m.consumer_id)("epoch", m.epoch)(
             "lastSeqSeen", m.last_seq_seen)("dropsGap", m.drops_gap)("dropsLate", m.drops_late)("mode", json_of(m.mode))
      .json();
}
Json fields_of(const QosProducer& m) {
  return Fields()("Name", "QosProducer")("streamId", m.stream_id)("producerId", m.producer_id)("epoch", m.epoch)(
             "currentSeq", m.current_seq)("watermark", null_or(m.watermark))
      .json();
}
Json fields_of(const DataSourceAnnounce& m) {
  return Fields()("Name", "DataSourceAnnounce")("streamId", m.stream_id)("producerId", m.producer_id)("epoch", m.epoch)(
             "metaVersion", m.meta_version)("name", m.name)("summary", m.summary)
      .json();
}
Json fields_of(const DataSourceMeta& m) {
  Json attributes = Json::array();
  for (const Attribute& a : m.attributes) attributes.push_back(Fields()("key", a.key)("format", a.format)("value", a.value).json());
  return Fields()("Name", "DataSourceMeta")("streamId", m.stream_id)("metaVersion", m.meta_version)("timestampNs", m.timestamp_ns)(
             "attributes", attributes)
      .json();
}
Json fields_of(const ControlResponse& m) {
  return Fields()("Name", "ControlResponse")("correlationId", m.correlation_id)("code", json_of(m.code))("errorMessage",
                                                                                                         m.error_message)
      .json();
}
Json fields_of(const FrameProgress& m) {
  return Fields()("Name", "FrameProgress")("streamId", m.stream_id)("epoch", m.epoch)("seq", m.seq)(
             "payloadBytesFilled", m.payload_bytes_filled)("state", json_of(m.state))
      .json();
}
Json fields_of(const MetaBlobAnnounce&) {
  return Fields()("Name", "MetaBlobAnnounce").json();
}  // experimental: the oracle has none
Json fields_of(const MetaBlobChunk&) { return Fields()("Name", "MetaBlobChunk").json(); }
Json fields_of(const MetaBlobComplete&) { return Fields()("Name", "MetaBlobComplete").json(); }
Json fields_of(const ShmAttachRequest& m) {
  return Fields()("Name", "ShmAttachRequest")("correlationId", m.correlation_id)("streamId", m.stream_id)("clientId", m.client_id)(
             "role", role_json(m.role))("expectedLayoutVersion", m.expected_layout_version)(
             "publishMode", name_in(m.publish_mode, {{1, "REQUIRE_EXISTING"}, {2, "EXISTING_OR_CREATE"}, {255, "NULL_VALUE"}}))(
             "requireHugepages", name_in(m.require_hugepages, {{0, "UNSPECIFIED"}, {1, "STANDARD"}, {2, "HUGEPAGES"}}))(
             "desiredNodeId", null_or(m.desired_node_id))
      .json();
}
Json fields_of(const ShmAttachResponse& m) {
  return Fields()("Name", "ShmAttachResponse")("correlationId", m.correlation_id)("code", json_of(m.code))(
             "leaseId", null_or(m.lease_id))("leaseExpiryTimestampNs", null_or(m.lease_expiry_timestamp_ns))(
             "streamId", null_or(m.stream_id))("epoch", null_or(m.epoch))("layoutVersion", null_or(m.layout_version))(
             "headerNslots", null_or(m.header_nslots))("headerSlotBytes", null_or(m.header_slot_bytes))(
             "nodeId", null_or(m.node_id))("payloadPools", pools_json(m.pools))("headerRegionUri", m.header_region_uri)(
             "errorMessage", m.error_message)
      .json();
}
Json fields_of(const ShmDetachRequest& m) {
  return Fields()("Name", "ShmDetachRequest")("correlationId", m.correlation_id)("leaseId", m.lease_id)("streamId", m.stream_id)(
             "clientId", m.client_id)("role", role_json(m.role))
      .json();
}
Json fields_of(const ShmDetachResponse& m) {
  return Fields()("Name", "ShmDetachResponse")("correlationId", m.correlation_id)("code", json_of(m.code))("errorMessage",
                                                                                                           m.error_message)
      .json();
}
Json fields_of(const ShmLeaseKeepalive& m) {
  return Fields()("Name", "ShmLeaseKeepalive")("leaseId", m.lease_id)("streamId", m.stream_id)("clientId", m.client_id)(
             "role", role_json(m.role))("clientTimestampNs", m.client_timestamp_ns)
      .json();
}
Json fields_of(const ShmDriverShutdown& m) {
  return Fields()("Name", "ShmDriverShutdown")("timestampNs", m.timestamp_ns)("reason", json_of(m.reason))("errorMessage",
                                                                                                           m.error_message)
      .json();
}
Json fields_of(const ShmLeaseRevoked& m) {
  return Fields()("Name", "ShmLeaseRevoked")("timestampNs", m.timestamp_ns)("leaseId", m.lease_id)("streamId", m.stream_id)(
             "clientId", m.client_id)("role", role_json(static_cast<int64_t>(m.role)))("reason", json_of(m.reason))("errorMessage",
                                                                                                                    m.error_message)
      .json();
}
Json fields_of(const ShmDriverShutdownRequest& m) {
  return Fields()("Name", "ShmDriverShutdownRequest")("correlationId", m.correlation_id)("reason", json_of(m.reason))(
             "token", m.token)("errorMessage", m.error_message)
      .json();
}
Json status_json(DiscoveryStatus status) {
  return name_in(static_cast<int64_t>(status), {{1, "OK"}, {2, "NOT_FOUND"}, {3, "ERROR"}});
}
Json fields_of(const DiscoveryRequest& m) {
  return Fields()("Name", "DiscoveryRequest")("requestId", m.request_id)("clientId", m.client_id)(
             "responseStreamId", m.response_stream_id)("streamId", null_or(m.stream_id))("producerId", null_or(m.producer_id))(
             "dataSourceId", null_or(m.data_source_id))("tags", Json(m.tags))("responseChannel", m.response_channel)(
             "dataSourceName", m.data_source_name)
      .json();
}
Json fields_of(const DiscoveryResponse& m) {
  Json results = Json::array();
  for (const DiscoveryResult& r : m.results) {
    results.push_back(Fields()("streamId", r.stream_id)("producerId", r.producer_id)("epoch", r.epoch)(
                          "layoutVersion", r.layout_version)("headerNslots", r.header_nslots)(
                          "headerSlotBytes", r.header_slot_bytes)("maxDims", r.max_dims)("dataSourceId", null_or(r.data_source_id))(
                          "driverControlStreamId", r.driver_control_stream_id)("payloadPools", pools_json(r.pools))(
                          "tags", Json(r.tags))("headerRegionUri", r.header_region_uri)("dataSourceName", r.data_source_name)(
                          "driverInstanceId", r.driver_instance_id)("driverControlChannel", r.driver_control_channel)
                          .json());
  }
  return Fields()("Name", "DiscoveryResponse")("requestId", m.request_id)("status", status_json(m.status))("results", results)(
             "errorMessage", m.error_message)
      .json();
}

// The vectors elide raw data as "31 bytes of raw data"; then lengths are compared, and the bytes by encoding again.
void expect_same(const Json& expected, const Json& actual, const std::string& where) {
  if (expected.is_array()) {
    ASSERT_TRUE(actual.is_array()) << where;
    ASSERT_EQ(expected.size(), actual.size()) << where;
    for (size_t i = 0; i < expected.size(); ++i) expect_same(expected[i], actual[i], where + "[" + std::to_string(i) + "]");
  } else if (expected.is_object()) {
    for (const auto& [key, value] : expected.items()) {
      if (key == "sbeTemplateId") continue;  // the type that was decoded has it
      ASSERT_TRUE(actual.contains(key)) << where << "." << key;
      expect_same(value, actual.at(key), where + "." + key);
    }
    EXPECT_EQ(actual.size() + expected.contains("sbeTemplateId"), expected.size()) << where;
  } else if (expected.is_string() && expected.get<std::string>().ends_with(" bytes of raw data")) {
    EXPECT_EQ(std::to_string(actual.get<std::string>().size()) + " bytes of raw data", expected.get<std::string>()) << where;
  } else {
    EXPECT_EQ(expected, actual) << where;
  }
}

bool is_ours(int schema) { return schema == kPoolSchemaId || schema == kDriverSchemaId || schema == kDiscoverySchemaId; }

TEST(VectorsTest, EveryVectorOfOurSchemasDecodesToItsFieldsAndEncodesToItsBytes) {  // W-2, W-3, W-7, W-8, D-3, DS-7, DS-9
  int checked = 0;
  for (const Vector& vector : vectors()) {
    if (!is_ours(vector.schema)) continue;
    bool known = false;
    test::for_each_message([&]<typename M>(std::type_identity<M>) {
      M message;
      const DecodeStatus status = decode(vector.bytes, message);
      if (test::schema_of<M>() != vector.schema || M::kTemplateId != vector.message_template) {
        EXPECT_EQ(status, DecodeStatus::kForeign) << vector.name << " as " << M::kTemplateId;
        return;
      }
      known = true;
      ASSERT_EQ(status, DecodeStatus::kOk) << vector.name;
      expect_same(vector.fields, fields_of(message), vector.name);
      EXPECT_EQ(test::hex_of(encode_new(message)), test::hex_of(vector.bytes)) << vector.name;
    });
    EXPECT_TRUE(known) << vector.name;
    ++checked;
  }
  EXPECT_EQ(checked, 25);  // 11 of schema 900, 10 of schema 901, 4 of schema 910: a shrunk file must not pass
}

TEST(VectorsTest, EveryVectorOfAnotherSchemaIsForeign) {  // W-4, D-2
  int checked = 0;
  for (const Vector& vector : vectors()) {
    if (is_ours(vector.schema)) continue;
    test::for_each_message([&]<typename M>(std::type_identity<M>) {
      M message;
      EXPECT_EQ(decode(vector.bytes, message), DecodeStatus::kForeign) << vector.name;
    });
    ++checked;
  }
  EXPECT_EQ(checked, 6);
}

// ---- the dumps of wire.md 17 (17.1, 17.2 and 17.5 are in shm_layout_test.cc) -------------------------------------------

template <typename M>
void expect_golden(const M& message, std::string_view hex) {
  const std::vector<std::byte> golden = test::bytes_of_hex(hex);
  EXPECT_EQ(test::hex_of(encode_new(message)), test::hex_of(golden));
  M decoded;
  ASSERT_EQ(decode(golden, decoded), DecodeStatus::kOk);
  EXPECT_EQ(decoded, message);
}

TEST(GoldenDumpTest, FrameDescriptorWithNulls) {  // wire.md 17.3, W-7
  FrameDescriptor m;
  m.stream_id = 10000;
  m.epoch = 7;
  m.seq = 11;
  m.meta_version = 5;
  expect_golden(m, R"(
0000: 28 00 04 00 84 03 01 00 10 27 00 00 07 00 00 00
0010: 00 00 00 00 0b 00 00 00 00 00 00 00 ff ff ff ff
0020: ff ff ff ff 05 00 00 00 00 00 00 00 00 00 00 00)");
}

TEST(GoldenDumpTest, FrameDescriptorWithTimeAndTrace) {  // wire.md 17.4, W-7
  FrameDescriptor m;
  m.stream_id = 10000;
  m.epoch = 7;
  m.seq = 11;
  m.timestamp_ns = 3'000'500'000;
  m.trace_id = 0x1122334455667788;
  expect_golden(m, R"(
0000: 28 00 04 00 84 03 01 00 10 27 00 00 07 00 00 00
0010: 00 00 00 00 0b 00 00 00 00 00 00 00 20 ff d7 b2
0020: 00 00 00 00 ff ff ff ff 88 77 66 55 44 33 22 11)");
}

TEST(GoldenDumpTest, ShmPoolAnnounce) {  // wire.md 17.6
  ShmPoolAnnounce m;
  m.stream_id = 10000;
  m.producer_id = 77;
  m.epoch = 7;
  m.announce_timestamp_ns = 2'000'000'000;
  m.header_nslots = 8;
  m.pools = {{1, 8, 4096, "shm:file?path=/dev/shm/tensorpool-a/default/10000/7/1.pool"}};
  m.header_region_uri = "shm:file?path=/dev/shm/tensorpool-a/default/10000/7/header.ring";
  EXPECT_EQ(encoded_bytes(m), 186u);
  expect_golden(m, R"(
0000: 23 00 01 00 84 03 01 00 10 27 00 00 4d 00 00 00
0010: 07 00 00 00 00 00 00 00 00 94 35 77 00 00 00 00
0020: 01 01 00 00 00 08 00 00 00 00 01 0a 00 01 00 01
0030: 00 08 00 00 00 00 10 00 00 3a 00 00 00 73 68 6d
0040: 3a 66 69 6c 65 3f 70 61 74 68 3d 2f 64 65 76 2f
0050: 73 68 6d 2f 74 65 6e 73 6f 72 70 6f 6f 6c 2d 61
0060: 2f 64 65 66 61 75 6c 74 2f 31 30 30 30 30 2f 37
0070: 2f 31 2e 70 6f 6f 6c 3f 00 00 00 73 68 6d 3a 66
0080: 69 6c 65 3f 70 61 74 68 3d 2f 64 65 76 2f 73 68
0090: 6d 2f 74 65 6e 73 6f 72 70 6f 6f 6c 2d 61 2f 64
00a0: 65 66 61 75 6c 74 2f 31 30 30 30 30 2f 37 2f 68
00b0: 65 61 64 65 72 2e 72 69 6e 67)");
}

TEST(GoldenDumpTest, ConsumerHello) {  // wire.md 17.7, W-7, W-8
  ConsumerHello m;
  m.stream_id = 10000;
  m.consumer_id = 42;
  m.expected_layout_version = 1;
  expect_golden(m, R"(
0000: 27 00 02 00 84 03 01 00 10 27 00 00 2a 00 00 00
0010: 01 00 01 00 00 00 00 01 00 00 00 ff ff ff ff ff
0020: ff ff ff ff ff ff ff 00 00 00 00 00 00 00 00 00
0030: 00 00 00 00 00 00 00)");
}

TEST(GoldenDumpTest, ConsumerConfig) {  // wire.md 17.8, W-8
  ConsumerConfig m;
  m.stream_id = 10000;
  m.consumer_id = 42;
  m.descriptor_stream_id = 31001;
  m.descriptor_channel = "aeron:ipc";
  expect_golden(m, R"(
0000: 12 00 03 00 84 03 01 00 10 27 00 00 2a 00 00 00
0010: 01 01 19 79 00 00 00 00 00 00 00 00 00 00 09 00
0020: 00 00 61 65 72 6f 6e 3a 69 70 63 00 00 00 00)");
}

TEST(GoldenDumpTest, DataSourceMeta) {  // wire.md 17.9
  DataSourceMeta m;
  m.stream_id = 10000;
  m.meta_version = 5;
  m.timestamp_ns = 2'000'000'000;
  m.attributes = {{"gain", "text/plain", "1.5"}};
  expect_golden(m, R"(
0000: 10 00 08 00 84 03 01 00 10 27 00 00 05 00 00 00
0010: 00 94 35 77 00 00 00 00 00 00 01 00 04 00 00 00
0020: 67 61 69 6e 0a 00 00 00 74 65 78 74 2f 70 6c 61
0030: 69 6e 03 00 00 00 31 2e 35)");
}

TEST(GoldenDumpTest, FrameProgress) {  // wire.md 17.10
  FrameProgress m;
  m.stream_id = 10000;
  m.epoch = 7;
  m.seq = 11;
  m.payload_bytes_filled = 16;
  m.state = ProgressState::progress;
  expect_golden(m, R"(
0000: 1d 00 0b 00 84 03 01 00 10 27 00 00 07 00 00 00
0010: 00 00 00 00 0b 00 00 00 00 00 00 00 10 00 00 00
0020: 00 00 00 00 02)");
}

TEST(GoldenDumpTest, QosConsumer) {  // wire.md 17.11
  QosConsumer m;
  m.stream_id = 10000;
  m.consumer_id = 42;
  m.epoch = 7;
  m.last_seq_seen = 11;
  m.drops_gap = 3;
  m.drops_late = 1;
  expect_golden(m, R"(
0000: 29 00 05 00 84 03 01 00 10 27 00 00 2a 00 00 00
0010: 07 00 00 00 00 00 00 00 0b 00 00 00 00 00 00 00
0020: 03 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00
0030: 01)");
}

TEST(GoldenDumpTest, QosProducer) {  // wire.md 17.12, W-7
  QosProducer m;
  m.stream_id = 10000;
  m.producer_id = 77;
  m.epoch = 7;
  m.current_seq = 12;
  expect_golden(m, R"(
0000: 1c 00 06 00 84 03 01 00 10 27 00 00 4d 00 00 00
0010: 07 00 00 00 00 00 00 00 0c 00 00 00 00 00 00 00
0020: ff ff ff ff)");
}

TEST(GoldenDumpTest, DataSourceAnnounce) {  // wire.md 17.13, W-8
  DataSourceAnnounce m;
  m.stream_id = 10000;
  m.producer_id = 77;
  m.epoch = 7;
  m.meta_version = 5;
  m.name = "cam1";
  expect_golden(m, R"(
0000: 14 00 07 00 84 03 01 00 10 27 00 00 4d 00 00 00
0010: 07 00 00 00 00 00 00 00 05 00 00 00 04 00 00 00
0020: 63 61 6d 31 00 00 00 00)");
}

// ---- the dumps of discovery.md 3.5 -------------------------------------------------------------------------------------

TEST(GoldenDumpTest, DiscoveryRequestWithATag) {  // discovery.md 3.5, DS-7, DS-8
  DiscoveryRequest m;
  m.request_id = 1;
  m.client_id = 7;
  m.response_stream_id = 9001;
  m.stream_id = 10000;
  m.tags = {"cam"};
  m.response_channel = "aeron:ipc";
  EXPECT_EQ(encoded_bytes(m), 68u);
  expect_golden(m, R"(
20 00 01 00 8e 03 01 00 01 00 00 00 00 00 00 00 07 00 00 00 29 23 00 00 10 27 00 00
ff ff ff ff ff ff ff ff ff ff ff ff 00 00 01 00 03 00 00 00 63 61 6d 09 00 00 00
61 65 72 6f 6e 3a 69 70 63 00 00 00 00)");
}

TEST(GoldenDumpTest, DiscoveryResponseWithOneResult) {  // discovery.md 3.5, DS-7, DS-8, DS-9
  DiscoveryResponse m;
  m.request_id = 1;
  m.results = {{10000,
                7,
                3,
                1,
                64,
                256,
                8,
                {},
                1000,
                {{1, 64, 4096, "shm:file?path=/p"}},
                {"cam"},
                "shm:file?path=/h",
                "cam1",
                "drv",
                "aeron:ipc"}};
  EXPECT_EQ(encoded_bytes(m), 157u);
  expect_golden(m, R"(
09 00 02 00 8e 03 01 00 01 00 00 00 00 00 00 00 01 27 00 01 00 10 27 00 00 07 00 00 00
03 00 00 00 00 00 00 00 01 00 00 00 40 00 00 00 00 01 08 ff ff ff ff ff ff ff ff
e8 03 00 00 0a 00 01 00 01 00 40 00 00 00 00 10 00 00 10 00 00 00 73 68 6d 3a 66 69
6c 65 3f 70 61 74 68 3d 2f 70 00 00 01 00 03 00 00 00 63 61 6d 10 00 00 00 73 68 6d
3a 66 69 6c 65 3f 70 61 74 68 3d 2f 68 04 00 00 00 63 61 6d 31 03 00 00 00 64 72 76
09 00 00 00 61 65 72 6f 6e 3a 69 70 63 00 00 00 00)");
}

TEST(GoldenDumpTest, DiscoveryErrorKeepsItsEmptyResults) {  // discovery.md 3.5, DS-7, DS-28
  DiscoveryResponse m;
  m.request_id = 1;
  m.status = DiscoveryStatus::error;
  m.error_message = "bad";
  EXPECT_EQ(encoded_bytes(m), 28u);
  expect_golden(m, "09 00 02 00 8e 03 01 00 01 00 00 00 00 00 00 00 03 27 00 00 00 03 00 00 00 62 61 64");
}

}  // namespace
}  // namespace tidepool::wire::vectors_test
