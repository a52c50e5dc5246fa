// What holds for every message type. The bodies are written, and compiled, once: Kind is what they know of a type.

#include "tidepool/wire/messages.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "tidepool/wire/test_bytes.h"
#include "tidepool/wire/test_messages.h"

namespace tidepool::wire::messages_test {
namespace {

// ---- arbitrary messages ------------------------------------------------------------------------------------------------

// Arbitrary values, edges among them, from one seed of RapidCheck, which it prints when a property fails. A number that is
// null on the wire comes back as nullopt, so optionals never hold the null number here.
class Source {
 public:
  explicit Source(uint64_t seed) : random_(seed) {}

  template <typename... Fields>
  void fill(Fields&... fields) {
    (set(fields), ...);
  }
  void text(std::string& field, size_t limit) {
    field.assign(below(9) == 0 ? limit : below(40), 'x');
    for (size_t i = 0; i < std::min<size_t>(field.size(), 8); ++i) field[i] = static_cast<char>(random_());  // NULs too
  }
  template <typename E>
  void one_of(E& field, E first, E last) {
    field = static_cast<E>(static_cast<int>(first) +
                           static_cast<int>(below(static_cast<size_t>(last) - static_cast<size_t>(first) + 1)));
  }
  void aeron_id(uint32_t& field) { field = static_cast<uint32_t>(below(0x80000000)); }
  size_t below(size_t limit) { return static_cast<size_t>(random_() % limit); }

 private:
  template <typename T>
  void set(T& field) {
    const uint64_t edges[] = {0, static_cast<uint64_t>(-1), static_cast<uint64_t>(-2), random_(), random_(), random_()};
    field = static_cast<T>(edges[below(std::size(edges))]);
  }
  void set(bool& field) { field = below(2) == 1; }
  template <typename T>
  void set(std::optional<T>& field) {
    T value;
    set(value);
    field = value == static_cast<T>(-1) || below(3) == 0 ? std::nullopt : std::optional(value);
  }
  void set(ResponseCode& field) { one_of(field, ResponseCode::ok, ResponseCode::internal_error); }
  void set(std::vector<PoolEntry>& field) {
    field.resize(below(6));
    for (PoolEntry& pool : field) {
      fill(pool.pool_id, pool.nslots, pool.stride_bytes);
      text(pool.region_uri, kMaxUriBytes);
    }
  }

  std::mt19937_64 random_;
};

void arbitrary(Source& s, ShmPoolAnnounce& m) {
  s.fill(m.stream_id, m.producer_id, m.epoch, m.announce_timestamp_ns, m.layout_version, m.header_nslots, m.header_slot_bytes,
         m.pools);
  s.one_of(m.clock_domain, ClockDomain::monotonic, ClockDomain::realtime_synced);
  s.text(m.header_region_uri, kMaxUriBytes);
}
void arbitrary(Source& s, ConsumerHello& m) {
  s.fill(m.stream_id, m.consumer_id, m.supports_shm, m.supports_progress, m.max_rate_hz, m.expected_layout_version,
         m.progress_interval_us, m.progress_bytes_delta, m.progress_major_delta_units);
  s.one_of(m.mode, Mode::stream, Mode::rate_limited);
  s.aeron_id(m.descriptor_stream_id);
  s.aeron_id(m.control_stream_id);
  s.text(m.descriptor_channel, kMaxUriBytes);
  s.text(m.control_channel, kMaxUriBytes);
}
void arbitrary(Source& s, ConsumerConfig& m) {
  s.fill(m.stream_id, m.consumer_id, m.use_shm);
  s.one_of(m.mode, Mode::stream, Mode::rate_limited);
  s.aeron_id(m.descriptor_stream_id);
  s.aeron_id(m.control_stream_id);
  s.text(m.payload_fallback_uri, kMaxUriBytes);
  s.text(m.descriptor_channel, kMaxUriBytes);
  s.text(m.control_channel, kMaxUriBytes);
}
void arbitrary(Source& s, FrameDescriptor& m) {
  s.fill(m.stream_id, m.epoch, m.seq, m.timestamp_ns, m.meta_version, m.trace_id);
  if (m.trace_id == kNull64) m.trace_id = 0;  // reads as absent
}
void arbitrary(Source& s, QosConsumer& m) {
  s.fill(m.stream_id, m.consumer_id, m.epoch, m.last_seq_seen, m.drops_gap, m.drops_late);
  s.one_of(m.mode, Mode::unknown, Mode::rate_limited);
}
void arbitrary(Source& s, QosProducer& m) { s.fill(m.stream_id, m.producer_id, m.epoch, m.current_seq, m.watermark); }
void arbitrary(Source& s, DataSourceAnnounce& m) {
  s.fill(m.stream_id, m.producer_id, m.epoch, m.meta_version);
  s.text(m.name, kMaxNameBytes);
  s.text(m.summary, kMaxNameBytes);
}
void arbitrary(Source& s, DataSourceMeta& m) {
  s.fill(m.stream_id, m.meta_version, m.timestamp_ns);
  m.attributes.resize(s.below(6));
  for (Attribute& attribute : m.attributes) {
    s.text(attribute.key, kMaxNameBytes);
    s.text(attribute.format, kMaxNameBytes);
    s.text(attribute.value, kMaxAttributeBytes / 16);
  }
}
void arbitrary(Source& s, ControlResponse& m) {
  s.fill(m.correlation_id, m.code);
  s.text(m.error_message, kMaxErrorMessageBytes);
}
void arbitrary(Source& s, FrameProgress& m) {
  s.fill(m.stream_id, m.epoch, m.seq, m.payload_bytes_filled);
  s.one_of(m.state, ProgressState::started, ProgressState::complete);
}
void arbitrary(Source& s, MetaBlobAnnounce& m) { s.fill(m.stream_id, m.meta_version, m.blob_type, m.total_len, m.checksum); }
void arbitrary(Source& s, MetaBlobChunk& m) {
  s.fill(m.stream_id, m.meta_version, m.chunk_offset);
  s.text(m.bytes, MetaBlobChunk::kMaxChunkBytes);
  if (m.bytes.empty()) m.bytes = "b";
}
void arbitrary(Source& s, MetaBlobComplete& m) { s.fill(m.stream_id, m.meta_version, m.checksum); }
void arbitrary(Source& s, ShmAttachRequest& m) {  // raw enumerations: the driver answers bad values by name
  s.fill(m.correlation_id, m.stream_id, m.client_id, m.role, m.expected_layout_version, m.publish_mode, m.require_hugepages,
         m.desired_node_id);
}
void arbitrary(Source& s, ShmAttachResponse& m) {
  s.fill(m.correlation_id, m.code, m.lease_id, m.lease_expiry_timestamp_ns, m.stream_id, m.epoch, m.layout_version, m.header_nslots,
         m.header_slot_bytes, m.node_id, m.pools);
  s.text(m.header_region_uri, kMaxUriBytes);
  s.text(m.error_message, kMaxErrorMessageBytes);
}
void arbitrary(Source& s, ShmDetachRequest& m) { s.fill(m.correlation_id, m.lease_id, m.stream_id, m.client_id, m.role); }
void arbitrary(Source& s, ShmDetachResponse& m) {
  s.fill(m.correlation_id, m.code);
  s.text(m.error_message, kMaxErrorMessageBytes);
}
void arbitrary(Source& s, ShmLeaseKeepalive& m) { s.fill(m.lease_id, m.stream_id, m.client_id, m.role, m.client_timestamp_ns); }
void arbitrary(Source& s, ShmDriverShutdown& m) {
  s.fill(m.timestamp_ns);
  s.one_of(m.reason, ShutdownReason::normal, ShutdownReason::error);
  s.text(m.error_message, kMaxErrorMessageBytes);
}
void arbitrary(Source& s, ShmLeaseRevoked& m) {
  s.fill(m.timestamp_ns, m.lease_id, m.stream_id, m.client_id);
  s.one_of(m.role, Role::producer, Role::consumer);
  s.one_of(m.reason, RevokeReason::detached, RevokeReason::revoked);
  s.text(m.error_message, kMaxErrorMessageBytes);
}
void arbitrary(Source& s, ShmDriverShutdownRequest& m) {
  s.fill(m.correlation_id);
  s.one_of(m.reason, ShutdownReason::normal, ShutdownReason::error);
  s.text(m.token, kMaxTokenBytes);
  s.text(m.error_message, kMaxErrorMessageBytes);
}
void arbitrary_tags(Source& s, std::vector<std::string>& tags) {
  tags.resize(s.below(5));
  for (std::string& tag : tags) s.text(tag, 64);
}
void arbitrary(Source& s, DiscoveryRequest& m) {
  s.fill(m.request_id, m.client_id, m.response_stream_id, m.stream_id, m.producer_id, m.data_source_id);
  arbitrary_tags(s, m.tags);
  s.text(m.response_channel, kMaxUriBytes);
  s.text(m.data_source_name, kMaxNameBytes);
}
void arbitrary(Source& s, DiscoveryResponse& m) {
  s.fill(m.request_id);
  s.one_of(m.status, DiscoveryStatus::ok, DiscoveryStatus::error);
  s.text(m.error_message, kMaxErrorMessageBytes);
  if (m.status != DiscoveryStatus::ok) return;
  m.results.resize(s.below(5));
  for (DiscoveryResult& result : m.results) {
    s.fill(result.stream_id, result.producer_id, result.epoch, result.layout_version, result.header_nslots,
           result.header_slot_bytes, result.max_dims, result.data_source_id, result.driver_control_stream_id, result.pools);
    arbitrary_tags(s, result.tags);
    s.text(result.header_region_uri, kMaxUriBytes);
    s.text(result.data_source_name, kMaxNameBytes);
    s.text(result.driver_instance_id, kMaxUriBytes);
    s.text(result.driver_control_channel, kMaxUriBytes);
  }
}

// ---- a message type, with its type forgotten ---------------------------------------------------------------------------

// What came of decoding bytes into a struct that held something else before.
struct Outcome {
  DecodeStatus status = DecodeStatus::kOk;
  bool is_sample = false;          // the message decoded is test::sample_of()
  bool is_bare = false;            // ... or one of nothing but defaults
  std::vector<std::byte> encoded;  // the message encoded again; empty when it may be read but not sent
};

struct Kind {
  uint16_t schema_id;
  uint16_t template_id;
  uint16_t block_length;
  size_t sample_bytes;  // what encoded_bytes() says
  size_t may_end_at;    // DS-40: where the last text of the sample may be left out; 0: nowhere
  size_t (*encode_sample)(MutableBytes out);
  std::vector<std::byte> (*encode_bare)();
  Outcome (*decode)(Bytes bytes);
  bool (*comes_back)(uint64_t seed);  // an arbitrary message encodes to as many bytes as it says and decodes to the same

  std::vector<std::byte> sample() const {
    std::vector<std::byte> bytes(sample_bytes);
    EXPECT_EQ(encode_sample(bytes), bytes.size());
    return bytes;
  }
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.schema_id << " template " << kind.template_id; }

template <typename M>
M bare() {
  M message;
  if constexpr (std::is_same_v<M, MetaBlobChunk>) message.bytes = "b";  // without bytes it is none
  return message;
}

template <typename M>
size_t may_end_at() {
  const M sample = test::sample_of<M>();
  if constexpr (std::is_same_v<M, DiscoveryRequest>) return encoded_bytes(sample) - 4 - sample.data_source_name.size();
  if constexpr (std::is_same_v<M, DiscoveryResponse>) return encoded_bytes(sample) - 4 - sample.error_message.size();
  return 0;
}

template <typename M>
Outcome decode_kind(Bytes bytes) {
  const test::ExactCopy copy(bytes);
  M message = test::sample_of<M>();
  Outcome outcome;
  outcome.status = decode(copy.bytes(), message);
  if (outcome.status != DecodeStatus::kOk) return outcome;
  outcome.is_sample = message == test::sample_of<M>();
  outcome.is_bare = message == bare<M>();
  if (over_limit(message).empty()) outcome.encoded = encode_new(message);
  return outcome;
}

template <typename M>
bool comes_back(uint64_t seed) {
  Source source(seed);
  M message;
  arbitrary(source, message);
  const std::vector<std::byte> bytes = encode_new(message);
  M decoded;
  return bytes.size() == encoded_bytes(message) && decode(bytes, decoded) == DecodeStatus::kOk && decoded == message;
}

std::vector<Kind> kinds() {
  std::vector<Kind> all;
  test::for_each_message([&]<typename M>(std::type_identity<M>) {
    all.push_back({test::schema_of<M>(), M::kTemplateId, M::kBlockLength, encoded_bytes(test::sample_of<M>()), may_end_at<M>(),
                   [](MutableBytes out) { return encode(test::sample_of<M>(), out); }, [] { return encode_new(bare<M>()); },
                   &decode_kind<M>, &comes_back<M>});
  });
  return all;
}

class EveryMessageTest : public testing::TestWithParam<Kind> {
 protected:
  const Kind& kind() const { return GetParam(); }
  const std::vector<std::byte> golden_ = GetParam().sample();
  DecodeStatus status_of(Bytes bytes) const { return kind().decode(bytes).status; }
};
INSTANTIATE_TEST_SUITE_P(Schemas, EveryMessageTest, testing::ValuesIn(kinds()), [](const auto& of) {
  return std::to_string(of.param.schema_id) + "_" + std::to_string(of.param.template_id);
});

// A message whose block is `extra` bytes longer than tabulated, as a later minor version would send it.
std::vector<std::byte> with_longer_block(std::vector<std::byte> bytes, size_t extra) {
  const auto block = load<uint16_t>(bytes.data());
  store(bytes.data(), static_cast<uint16_t>(block + extra));
  bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(kMessageHeaderBytes + block), extra, std::byte{0xAB});
  return bytes;
}

TEST_P(EveryMessageTest, CarriesTheTabulatedHeader) {  // W-2, W-3, D-3, DS-4
  const auto header = read_header(golden_);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->block_length, kind().block_length);
  EXPECT_EQ(header->template_id, kind().template_id);
  EXPECT_EQ(header->schema_id, kind().schema_id);
  EXPECT_EQ(header->version, 1);
}

TEST_P(EveryMessageTest, ComesBackAsItWasSent) {  // W-1, W-7, W-8
  const Outcome outcome = kind().decode(golden_);
  ASSERT_EQ(outcome.status, DecodeStatus::kOk);
  EXPECT_TRUE(outcome.is_sample);
  EXPECT_EQ(test::hex_of(outcome.encoded), test::hex_of(golden_));
}

TEST_P(EveryMessageTest, LeavesNothingOfWhatTheStructHeldBefore) {  // handlers reuse their structs
  const Outcome outcome = kind().decode(kind().encode_bare());
  ASSERT_EQ(outcome.status, DecodeStatus::kOk);
  EXPECT_TRUE(outcome.is_bare);
}

TEST_P(EveryMessageTest, SitsOnAnyAddress) {  // W-13
  std::vector<std::byte> memory(golden_.size() + 8);
  for (size_t shift = 0; shift < 8; ++shift) {
    const MutableBytes at = MutableBytes(memory).subspan(shift);
    ASSERT_EQ(kind().encode_sample(at), golden_.size());
    EXPECT_TRUE(kind().decode(at).is_sample);
  }
}

TEST_P(EveryMessageTest, IsNotEncodedIntoABufferOneByteShort) {
  std::vector<std::byte> buffer(golden_.size() - 1, std::byte{0xEE});
  const std::vector<std::byte> untouched = buffer;
  EXPECT_EQ(kind().encode_sample(buffer), 0u);
  EXPECT_EQ(buffer, untouched);
  EXPECT_EQ(kind().encode_sample(MutableBytes{}), 0u);
}

TEST_P(EveryMessageTest, IgnoresRuntsForeignSchemasAndOtherTemplates) {  // W-4, D-2, DS-4
  for (size_t size = 0; size < kMessageHeaderBytes; ++size) {
    EXPECT_EQ(status_of(Bytes(golden_).first(size)), DecodeStatus::kForeign) << size;
    EXPECT_FALSE(read_header(Bytes(golden_).first(size)));
  }
  for (const uint16_t schema : {0, 899, 900, 901, 902, 903, 904, 910, 65535}) {
    if (schema == kind().schema_id) continue;
    std::vector<std::byte> other = golden_;
    store(other.data() + 4, schema);
    store(other.data() + 6, uint16_t{9});  // even of a version that would be refused
    EXPECT_EQ(status_of(other), DecodeStatus::kForeign) << schema;
  }
  for (const uint16_t other_template : {0, 50, 51, 52, 65535}) {  // 50 to 52 live in shared memory only
    std::vector<std::byte> other = golden_;
    store(other.data() + 2, other_template);
    EXPECT_EQ(status_of(other), DecodeStatus::kForeign) << other_template;
  }
}

TEST_P(EveryMessageTest, RefusesEveryVersionButOne) {  // W-5, D-63, DS-4
  for (const uint16_t version : {uint16_t{0}, uint16_t{2}, uint16_t{65535}}) {
    std::vector<std::byte> bytes = golden_;
    store(bytes.data() + 6, version);
    EXPECT_EQ(status_of(bytes), DecodeStatus::kUnsupportedVersion) << version;
    store(bytes.data(), static_cast<uint16_t>(kind().block_length + 1));  // the version is judged before the length
    EXPECT_EQ(status_of(bytes), DecodeStatus::kUnsupportedVersion) << version;
  }
}

TEST_P(EveryMessageTest, RefusesAShorterBlock) {  // W-5, D-4
  for (const int block : {0, 1, kind().block_length - 1}) {
    std::vector<std::byte> bytes = golden_;
    store(bytes.data(), static_cast<uint16_t>(block));
    EXPECT_EQ(status_of(bytes), DecodeStatus::kMalformed) << block;
  }
}

TEST_P(EveryMessageTest, TakesALongerBlockOnlyInTheDriverSchema) {  // W-5, DS-4; driver.md 16.1: skip the surplus
  for (const size_t extra : {1u, 8u, 500u}) {
    const Outcome outcome = kind().decode(with_longer_block(golden_, extra));
    if (kind().schema_id != kDriverSchemaId) {
      EXPECT_EQ(outcome.status, DecodeStatus::kMalformed) << extra;
    } else {
      ASSERT_EQ(outcome.status, DecodeStatus::kOk) << extra;
      EXPECT_TRUE(outcome.is_sample);
    }
  }
  std::vector<std::byte> claimed_only = golden_;
  store(claimed_only.data(), uint16_t{65535});
  EXPECT_EQ(status_of(claimed_only), DecodeStatus::kMalformed);
}

TEST_P(EveryMessageTest, IsRefusedWhereverItIsCut) {  // W-6, D-4, DS-29, DS-40: each prefix in its own allocation, for ASan
  for (size_t size = kMessageHeaderBytes; size < golden_.size(); ++size) {
    if (size == kind().may_end_at) {
      EXPECT_EQ(status_of(Bytes(golden_).first(size)), DecodeStatus::kOk);
      continue;
    }
    EXPECT_EQ(status_of(Bytes(golden_).first(size)), DecodeStatus::kMalformed) << size << " of " << golden_.size();
  }
}

TEST_P(EveryMessageTest, MayBeFollowedByBytes) {  // W-6: ignored
  for (const size_t extra : {1u, 3u, 100u}) {
    std::vector<std::byte> bytes = golden_;
    bytes.resize(bytes.size() + extra, std::byte{0xFF});
    EXPECT_TRUE(kind().decode(bytes).is_sample) << extra;
  }
}

TEST_P(EveryMessageTest, SurvivesAnyDamage) {  // W-6, W-93, DS-29: refused, or sound enough to be sent on
  const bool held = rc::check("damaged message", [this](uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<std::byte> bytes = golden_;
    for (uint64_t flips = 1 + random() % 5; flips > 0; --flips) {
      bytes[kMessageHeaderBytes + random() % (bytes.size() - kMessageHeaderBytes)] = static_cast<std::byte>(random());
    }
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    const Outcome once = kind().decode(bytes);
    if (once.status != DecodeStatus::kOk || once.encoded.empty()) return;
    const Outcome twice = kind().decode(once.encoded);
    RC_ASSERT(twice.status == DecodeStatus::kOk);
    RC_ASSERT(once.encoded == twice.encoded);
  });
  EXPECT_TRUE(held);
}

TEST_P(EveryMessageTest, ComesBackWhateverItsFieldsHold) {  // W-1, W-7, W-8, W-93, DS-7
  EXPECT_TRUE(rc::check("round trip", [this](uint64_t seed) { RC_ASSERT(kind().comes_back(seed)); }));
}

}  // namespace
}  // namespace tidepool::wire::messages_test
